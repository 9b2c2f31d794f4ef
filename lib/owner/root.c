/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All of a filesystem for a walk, other mounts or not, and which of these hides what the walk met. */

#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "owner.h"
#include "uapi.h"

#define DIRECTORY (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* ---- what is mounted there */

/* From fdinfo, which had it (3.15) before statx(2) did (5.8). Return: its number in mountinfo, or -1. */
static int get_mount_id(int fd)
{
	char path[64], line[128];
	int id = -1;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	while (info && fgets(line, sizeof(line), info) && id < 0) {
		if (sscanf(line, "mnt_id: %d", &id) != 1)
			id = -1;
	}
	if (info)
		fclose(info);
	return id;
}

/* Return: 0, also where it is not known; -ENOMEM. */
static int find_part(int fd, char **part)
{
	struct libmnt_table *mounts = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *mount;
	const char *directory;
	int id = get_mount_id(fd), ret = iter ? 0 : -ENOMEM;

	while (mounts && iter && mnt_table_next_fs(mounts, iter, &mount) == 0) {
		directory = mnt_fs_get_root(mount);
		if (mnt_fs_get_id(mount) != id || !directory || strcmp(directory, "/") == 0)
			continue;
		*part = strdup(directory);
		ret = *part ? 0 : -ENOMEM;
		break;
	}
	mnt_free_iter(iter);
	mnt_unref_table(mounts);
	return ret;
}

/* ---- opening it */

/*
 * A copy of the mount without those on top of it (5.2; CAP_SYS_ADMIN in the mount namespace). It is refused as well where
 * a container may not look behind its mounts, or where the mount is unbindable.
 */
static void open_bare(struct pmr_root *root)
{
	root->tree = (int)syscall(SYS_open_tree, root->kept, "",
				  AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (root->tree < 0)
		return;
	root->fd = openat(root->tree, ".", DIRECTORY);
	root->is_bare = root->fd >= 0;
}

static int fail_open(struct pmr_ctx *ctx, const char *path, int err)
{
	pmr_say(ctx, PMR_ERROR, "cannot-read-directory", path,
		"cannot be opened, so that no file below it can be asked: %s", strerror(-err));
	return err;
}

static int open_all(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, const char *path,
		    struct pmr_root *root)
{
	struct stat st;

	root->path = strdup(path);
	if (!root->path)
		return -ENOMEM;
	root->kept = open(path, DIRECTORY);
	if (root->kept < 0 || fstat(root->kept, &st))
		return fail_open(ctx, path, -errno);
	if (st.st_dev != filesystem->devno) {
		pmr_say(ctx, PMR_ERROR, "hidden", path,
			"is not where %s can be looked at: unmounted meanwhile, or hidden by another mount (mount it "
			"at another directory as well, and name that)",
			filesystem->source);
		return -ENODEV;
	}
	open_bare(root);
	if (root->fd < 0)
		root->fd = openat(root->kept, ".", DIRECTORY);
	return root->fd < 0 ? fail_open(ctx, path, -errno) : 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool leads_to(const char *path, int fd)
{
	struct stat now, st;

	return !stat(path, &now) && !fstat(fd, &st) && is_same(&now, &st);
}

int pmr_root_open(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem, const char *path,
		  struct pmr_root *root)
{
	const char *mountpoint = filesystem->mountpoint, *directory = path ? path : mountpoint;
	int ret;

	*root = (struct pmr_root){ .fd = -1, .kept = -1, .tree = -1 };
	if (!directory)
		return -ENODEV;
	ret = open_all(ctx, filesystem, directory, root);
	if (!ret && mountpoint && (!path || leads_to(mountpoint, root->kept)))
		ret = find_part(root->kept, &root->part);
	if (ret)
		pmr_root_close(root);
	return ret;
}

void pmr_root_say_part(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem,
		       const struct pmr_root *root)
{
	if (root->part)
		pmr_say(ctx, PMR_WARNING, "mounted-in-part", root->path,
			"shows only the directory %s of the filesystem on %s: files outside of it have no name here, and "
			"can at best be told by their numbers; to learn their names, mount %s at another directory as well "
			"and scan that",
			root->part, filesystem->source, filesystem->source);
}

void pmr_root_close(struct pmr_root *root)
{
	int fds[] = { root->fd, root->tree, root->kept };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	free(root->path);
	free(root->part);
	*root = (struct pmr_root){ .fd = -1, .kept = -1, .tree = -1 };
}

/* ---- what hides what */

bool pmr_root_check(struct pmr_ctx *ctx, const struct pmr_root *root)
{
	if (leads_to(root->path, root->kept))
		return true;
	pmr_say(ctx, PMR_ERROR, "mount-changed", root->path,
		"was unmounted, moved, or hidden by another mount while it was looked at: the paths told lead elsewhere "
		"now; scan again");
	return false;
}

/* A step down, in a tree where nothing is hidden and in the one that everybody sees. */
struct step {
	int bare;
	int seen;
};

static void close_step(struct step *step)
{
	if (step->bare >= 0)
		close(step->bare);
	if (step->seen >= 0)
		close(step->seen);
}

/* Return: 1: a mount lies on @name; 0: it was gone down to it; -ENOENT: something moved. */
static int step_down(struct step *step, const char *name)
{
	struct stat bare, seen;
	struct step next;
	int ret;

	next.bare = openat(step->bare, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	next.seen = openat(step->seen, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (next.bare < 0 || next.seen < 0 || fstat(next.bare, &bare) || fstat(next.seen, &seen))
		ret = -ENOENT;
	else if (is_same(&bare, &seen))
		ret = 0;
	else
		ret = get_mount_id(next.seen) == get_mount_id(step->seen) ? -ENOENT : 1;
	close_step(step);
	*step = next;
	return ret;
}

int pmr_root_hides(const struct pmr_root *root, const char *path, char **by)
{
	size_t length = strlen(root->path);
	struct step step;
	char *walked, *name, *end, separator;
	int ret = 0;

	if (!root->is_bare || strncmp(path, root->path, length) != 0)
		return 0;
	walked = strdup(path);
	if (!walked)
		return -ENOMEM;
	step.bare = openat(root->fd, ".", O_PATH | O_CLOEXEC);
	step.seen = openat(root->kept, ".", O_PATH | O_CLOEXEC);
	for (name = walked + length; !ret; name = end) {
		name += strspn(name, "/");
		end = name + strcspn(name, "/");
		if (end == name)
			break;
		separator = *end;
		*end = '\0';
		ret = step_down(&step, name);
		if (!ret)
			*end = separator;
	}
	close_step(&step);
	if (ret == 1)
		*by = walked;
	else
		free(walked);
	return ret == 1;
}

void pmr_root_say_hidden(struct pmr_ctx *ctx, const struct pmr_root *root, const char *path,
			 const char *by)
{
	pmr_say(ctx, PMR_WARNING, "hidden-below-mount", path,
		"is hidden by the mount at %s, so that this path does not lead to it: make it visible elsewhere (mount "
		"--bind %s DIRECTORY) and scan and repair it there",
		by, root->path);
}
