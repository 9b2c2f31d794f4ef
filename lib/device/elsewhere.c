/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a filesystem is mounted that is not mounted here: the mount namespaces of other processes. */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private.h"
#include "topology.h"

/*
 * @seen: numbers of the namespaces that were looked at, a tree of their own
 * @pid: of a process there, "" while none was found
 * @mountpoint: as that process sees it; all of the filesystem where there is a choice
 */
struct elsewhere {
	dev_t devno;
	void *seen;
	char pid[16];
	char program[32];
	char *mountpoint;
};

static int compare_numbers(const void *a, const void *b)
{
	const ino_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Return: whether it was not there yet; also false without memory, which leaves it out. */
static bool remember(struct elsewhere *elsewhere, ino_t number)
{
	ino_t *copy, **known;

	if (tfind(&number, &elsewhere->seen, compare_numbers))
		return false;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return false;
	*copy = number;
	known = tsearch(copy, &elsewhere->seen, compare_numbers);
	if (known && *known == copy)
		return true;
	free(copy);
	return false;
}

static void look_at_mounts(struct elsewhere *elsewhere, const char *pid)
{
	struct libmnt_table *mounts;
	struct libmnt_iter *iter;
	struct libmnt_fs *mount;
	const char *root;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.12s/mountinfo", pid);
	mounts = mnt_new_table_from_file(path);
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	while (mounts && iter && mnt_table_next_fs(mounts, iter, &mount) == 0) {
		if (mnt_fs_get_devno(mount) != elsewhere->devno || !mnt_fs_get_target(mount))
			continue;
		root = mnt_fs_get_root(mount);
		if (elsewhere->mountpoint && (!root || strcmp(root, "/") != 0))
			continue;
		if (pmr_replace(&elsewhere->mountpoint, mnt_fs_get_target(mount)))
			continue;
		snprintf(elsewhere->pid, sizeof(elsewhere->pid), "%.12s", pid);
		if (root && strcmp(root, "/") == 0)
			break;
	}
	mnt_free_iter(iter);
	mnt_unref_table(mounts);
}

static void read_program(struct elsewhere *elsewhere)
{
	char path[64], *text;
	size_t length;

	snprintf(path, sizeof(path), "/proc/%.12s/comm", elsewhere->pid);
	snprintf(elsewhere->program, sizeof(elsewhere->program), "a process");
	if (pmr_read_text(path, sizeof(elsewhere->program), &text, &length))
		return;
	text[strcspn(text, "\n")] = '\0';
	if (*text)
		snprintf(elsewhere->program, sizeof(elsewhere->program), "%.31s", text);
	free(text);
}

static void look_at_all(struct elsewhere *elsewhere)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	struct stat st;
	char path[64];

	if (proc && !stat("/proc/self/ns/mnt", &st))
		remember(elsewhere, st.st_ino);
	while (proc && !elsewhere->mountpoint && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.12s/ns/mnt", entry->d_name);
		if (!stat(path, &st) && remember(elsewhere, st.st_ino))
			look_at_mounts(elsewhere, entry->d_name);
	}
	if (proc)
		closedir(proc);
	tdestroy(elsewhere->seen, free);
}

bool pmr_elsewhere_say(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem,
		       const char *object, const char *command)
{
	struct elsewhere elsewhere = { .devno = filesystem->devno };
	bool scans = strcmp(command, "scan") == 0;

	look_at_all(&elsewhere);
	if (!elsewhere.mountpoint)
		return false;
	read_program(&elsewhere);
	pmr_say(ctx, PMR_ERROR, "mounted-elsewhere", object,
		"is not mounted here, but at %s in the mount namespace of PID %s (%s): run this there: nsenter --target %s "
		"--mount pmem-recover %s %s; or mount it here as well, and %s again",
		elsewhere.mountpoint, elsewhere.pid, elsewhere.program, elsewhere.pid, command,
		scans ? elsewhere.mountpoint : "...", command);
	free(elsewhere.mountpoint);
	return true;
}
