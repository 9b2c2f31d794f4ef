/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who has a file open or mapped, as far as /proc lets us see.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "repair.h"

static bool has_open(int process, dev_t devno, uint64_t inode)
{
	struct dirent *entry;
	bool found = false;
	struct statx sx;
	DIR *dir;
	int fd;

	fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return false;
	}
	while (!found && (entry = readdir(dir)))
		/* not synced: a file of theirs on a server that is gone must not hold us up */
		found = isdigit((unsigned char)entry->d_name[0]) &&
			!statx(fd, entry->d_name, AT_STATX_DONT_SYNC, STATX_INO, &sx) &&
			makedev(sx.stx_dev_major, sx.stx_dev_minor) == devno && sx.stx_ino == inode;
	closedir(dir);
	return found;
}

static bool has_mapped(int process, dev_t devno, uint64_t inode)
{
	unsigned int major_number, minor_number;
	unsigned long long number;
	char *line = NULL;
	bool found = false;
	size_t size = 0;
	FILE *maps;
	int fd;

	fd = openat(process, "maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	maps = fdopen(fd, "r");
	if (!maps) {
		close(fd);
		return false;
	}
	while (!found && getline(&line, &size, maps) > 0)
		found = sscanf(line, "%*s %*s %*s %x:%x %llu", &major_number, &minor_number,
			       &number) == 3 &&
			makedev(major_number, minor_number) == devno && number == inode;
	free(line);
	fclose(maps);
	return found;
}

static void read_name(int process, char *name, size_t size)
{
	ssize_t n = -1;
	int fd;

	fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, name, size - 1);
		close(fd);
	}
	if (n <= 0)
		n = snprintf(name, size, "process");
	name[n] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

void pmr_holders(dev_t devno, uint64_t inode, char *text, size_t size)
{
	char name[32], one[64];
	struct dirent *entry;
	size_t length = 0;
	DIR *proc;
	int process;

	text[0] = '\0';
	proc = opendir("/proc");
	if (!proc)
		return;
	while ((entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    atol(entry->d_name) == (long)getpid())
			continue;
		process = openat(dirfd(proc), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process < 0)
			continue;
		if (has_open(process, devno, inode) || has_mapped(process, devno, inode)) {
			read_name(process, name, sizeof(name));
			snprintf(one, sizeof(one), "%s%s (%.12s)", length ? ", " : "", name,
				 entry->d_name);
			if (length + strlen(one) < size) {
				strcpy(text + length, one);
				length += strlen(one);
			}
		}
		close(process);
	}
	closedir(proc);
}
