/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deleted files that are still open, where the filesystem does not tell of them: no walk meets them. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "find.h"
#include "owner/open-files.h"

/* @last: several processes often have the same one open */
struct search {
	struct pmr_finding *f;
	uint64_t last;
};

static int look_at(struct search *s, const struct pmr_open_file *file, const struct stat *st)
{
	struct pmr_scanner *scanner = s->f->scanner;
	size_t before = scanner->scan->n_files;
	char holder[64];
	int fd, ret;

	fd = pmr_open_by_path(file->path, O_RDONLY);
	if (fd < 0)
		return 0;
	ret = pmr_look_at_nameless(scanner, s->f->view, fd, file->path, st);
	close(fd);
	if (ret || scanner->scan->n_files == before)
		return ret;
	snprintf(holder, sizeof(holder), "PID %d (%s)", (int)file->pid, file->name);
	pmr_open_file_say(scanner->ctx, file->path, file->path, holder);
	return 0;
}

static int meet(void *data, const struct pmr_open_file *file)
{
	struct search *s = data;
	struct stat st;

	if (!file->path || file->inode == s->last)
		return 0;
	s->last = file->inode;
	if (stat(file->path, &st) || !S_ISREG(st.st_mode) || st.st_nlink ||
	    st.st_dev != file->devno || st.st_ino != file->inode)
		return 0;
	return look_at(s, file, &st);
}

int pmr_find_opened(struct pmr_finding *finding)
{
	struct search s = { .f = finding };

	return pmr_open_files(finding->view->filesystem->devno, meet, &s);
}
