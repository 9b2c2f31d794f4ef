// SPDX-License-Identifier: GPL-2.0-or-later
/* dax.c: the bytes of a device-dax, which has no read and no write. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tree.h"

/* What it is spoiled with, as what a clear leaves is no data either. */
#define SPOILED 0xc1

static char *must_map(const char *device, size_t *size)
{
	char *path = must_format("/sys/bus/dax/devices/%s/size", strrchr(device, '/') + 1);
	int fd = must_open(device, O_RDWR);
	FILE *f = fopen(path, "re");
	void *at;

	if (!f || fscanf(f, "%zu", size) != 1)
		die("%s: cannot be read", path);
	fclose(f);
	free(path);
	at = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		die("%s: cannot be mapped: %s", device, strerror(errno));
	close(fd);
	return at;
}

int verb_store(int argc, char **argv)
{
	int fd = must_open(argv[1], O_RDONLY);
	char *at, *bytes;
	size_t size, n;

	(void)argc;
	at = must_map(argv[0], &size);
	bytes = must_alloc(size, 1);
	n = must_pread(fd, argv[1], bytes, size, 0);
	memcpy(at, bytes, n);
	free(bytes);
	close(fd);
	return 0;
}

int verb_load(int argc, char **argv)
{
	size_t size, done = 0;
	char *at;
	ssize_t n;

	(void)argc;
	at = must_map(argv[0], &size);
	for (; done < size; done += (size_t)n) {
		n = write(STDOUT_FILENO, at + done, size - done < 65536 ? size - done : 65536);
		if (n <= 0)
			die("standard output: %s", strerror(errno));
	}
	return 0;
}

int verb_spoil(int argc, char **argv)
{
	FILE *list = fopen(argv[1], "re");
	size_t size, sector, count;
	char *at;

	(void)argc;
	at = must_map(argv[0], &size);
	while (list && fscanf(list, "%zu %zu", &sector, &count) == 2)
		memset(at + sector * SECTOR, SPOILED, count * SECTOR);
	if (!list || !feof(list))
		die("%s: is no list", argv[1]);
	fclose(list);
	return 0;
}

int verb_hold(int argc, char **argv)
{
	size_t size;
	char *at = must_map(argv[0], &size);

	(void)argc;
	puts(at[0] ? "held" : "held, and zero");
	fflush(stdout);
	pause();
	return 0;
}
