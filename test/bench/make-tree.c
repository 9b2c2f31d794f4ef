/* SPDX-License-Identifier: GPL-2.0-or-later */
/* make-tree DIR FILES BYTES FANOUT DEPTH: FILES files of BYTES bytes, as many in each of FANOUT^DEPTH directories. */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
	unsigned long per_directory;
	unsigned long fanout;
	size_t bytes;
	char *content;
};

static void make_file(const struct tree *tree, int dirfd, unsigned long number)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "file-%lu", number);
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		err(1, "%s", name);
	if (write(fd, tree->content, tree->bytes) != (ssize_t)tree->bytes || close(fd))
		err(1, "%s", name);
}

/* Takes @dirfd, and fills it: with files, or with directories @depth deep. */
static void fill(const struct tree *tree, int dirfd, unsigned long depth)
{
	char name[32];
	int fd;

	for (unsigned long i = 0; !depth && i < tree->per_directory; i++)
		make_file(tree, dirfd, i);
	for (unsigned long i = 0; depth && i < tree->fanout; i++) {
		snprintf(name, sizeof(name), "directory-%lu", i);
		if (mkdirat(dirfd, name, 0755))
			err(1, "%s", name);
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			err(1, "%s", name);
		fill(tree, fd, depth - 1);
	}
	close(dirfd);
}

int main(int argc, char **argv)
{
	unsigned long depth, directories = 1;
	struct tree tree;
	int fd;

	if (argc != 6)
		errx(2, "usage: make-tree DIR FILES BYTES FANOUT DEPTH");
	depth = strtoul(argv[5], NULL, 10);
	tree.fanout = strtoul(argv[4], NULL, 10);
	tree.bytes = strtoul(argv[3], NULL, 10);
	for (unsigned long i = 0; i < depth; i++)
		directories *= tree.fanout;
	tree.per_directory = strtoul(argv[2], NULL, 10) / directories;
	tree.content = malloc(tree.bytes + 1);
	fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || !tree.content)
		err(1, "%s", argv[1]);
	memset(tree.content, 'x', tree.bytes);
	fill(&tree, fd, depth);
	printf("%lu\n", tree.per_directory * directories);
	free(tree.content);
	return 0;
}
