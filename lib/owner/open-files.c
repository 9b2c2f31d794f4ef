/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has a file open or mapped, as far as /proc lets us see, and the kernel's own loop devices. */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "open-files.h"

struct search {
	dev_t devno;
	const struct stat
		*node; /* of a character device: only who has that, by whatever node; else NULL */
	int (*met)(void *data, const struct pmr_open_file *file);
	void *data;
	int process; /* its directory in /proc */
	const char *number; /* of the process, and the name of that directory */
	char program[32];
};

static DIR *open_directory(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir;

	if (fd < 0)
		return NULL;
	dir = fdopendir(fd);
	if (!dir)
		close(fd);
	return dir;
}

static void read_program(struct search *search)
{
	char *name = search->program;
	ssize_t n = -1;
	int fd;

	if (*name)
		return;
	fd = openat(search->process, "comm", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, name, sizeof(search->program) - 1);
		close(fd);
	}
	if (n <= 0)
		n = snprintf(name, sizeof(search->program), "process");
	name[n] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

static int meet(struct search *search, const char *below, const char *name, dev_t devno,
		uint64_t inode)
{
	char path[128];
	struct pmr_open_file file = { .devno = devno, .inode = inode, .path = path };

	if (search->devno && search->devno != devno)
		return 0;
	read_program(search);
	snprintf(path, sizeof(path), "/proc/%.12s/%s%s", search->number, below, name);
	file.pid = (pid_t)atol(search->number);
	file.name = search->program;
	return search->met(search->data, &file);
}

static bool is_of_node(const struct search *search, const struct statx *sx)
{
	return S_ISCHR(sx->stx_mode) &&
	       makedev(sx->stx_rdev_major, sx->stx_rdev_minor) == search->node->st_rdev;
}

/* What a link of /proc leads to, which is not walked but followed to the open file itself. */
static int look(struct search *search, int dirfd, const char *below, const char *name)
{
	struct statx sx;

	/* not synced: a file of theirs on a server that is gone must not hold us up */
	if (statx(dirfd, name, AT_STATX_DONT_SYNC, STATX_INO | STATX_TYPE, &sx) || !sx.stx_ino)
		return 0;
	if (search->node && !is_of_node(search, &sx))
		return 0;
	return meet(search, below, name, makedev(sx.stx_dev_major, sx.stx_dev_minor), sx.stx_ino);
}

static int look_at_descriptors(struct search *search)
{
	DIR *dir = open_directory(search->process, "fd");
	struct dirent *entry;
	int ret = 0;

	while (dir && !ret && (entry = readdir(dir))) {
		if (isdigit((unsigned char)entry->d_name[0]))
			ret = look(search, dirfd(dir), "fd/", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return ret;
}

static int look_at_places(struct search *search)
{
	static const char *const places[] = { "exe", "cwd", "root" };
	int ret = 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(*places) && !ret; i++)
		ret = look(search, search->process, "", places[i]);
	return ret;
}

/* Of a mapping its line tells the node, not of which device that is. */
static int look_at_mapping(struct search *search, const char *name, dev_t devno, uint64_t inode)
{
	struct statx sx;
	char path[80];

	if (!search->node)
		return meet(search, "map_files/", name, devno, inode);
	snprintf(path, sizeof(path), "map_files/%s", name);
	/* who may not follow it knows it by the node that is known */
	if (statx(search->process, path, AT_STATX_DONT_SYNC, STATX_TYPE, &sx)
		    ? devno != search->node->st_dev || inode != search->node->st_ino
		    : !is_of_node(search, &sx))
		return 0;
	return meet(search, "map_files/", name, devno, inode);
}

/* A line for each mapping; those of one file mostly stand together. */
static int look_at_mappings(struct search *search)
{
	unsigned int major_number, minor_number;
	unsigned long long inode, last_inode = 0;
	unsigned long from, to;
	dev_t devno, last = 0;
	char *line = NULL, name[64];
	size_t size = 0;
	FILE *maps;
	int fd, ret = 0;

	fd = openat(search->process, "maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	maps = fdopen(fd, "r");
	if (!maps) {
		close(fd);
		return 0;
	}
	while (!ret && getline(&line, &size, maps) > 0) {
		if (sscanf(line, "%lx-%lx %*s %*s %x:%x %llu", &from, &to, &major_number,
			   &minor_number, &inode) != 5 ||
		    !inode)
			continue;
		devno = makedev(major_number, minor_number);
		if (devno == last && inode == last_inode)
			continue;
		last = devno;
		last_inode = inode;
		snprintf(name, sizeof(name), "%lx-%lx", from, to);
		ret = look_at_mapping(search, name, devno, inode);
	}
	free(line);
	fclose(maps);
	return ret;
}

static int look_at_process(struct search *search, int proc, const char *number)
{
	int ret;

	search->number = number;
	search->program[0] = '\0';
	search->process = openat(proc, number, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (search->process < 0)
		return 0;
	ret = look_at_descriptors(search);
	if (!ret)
		ret = look_at_places(search);
	if (!ret)
		ret = look_at_mappings(search);
	close(search->process);
	return ret;
}

/* ---- the kernel's own */

/* The driver knows the inode; the path that sysfs shows may lead elsewhere by now. */
static int look_at_loop(struct search *search, const char *name)
{
	struct pmr_open_file file = { 0 };
	struct loop_info64 info = { 0 };
	char path[64];
	int fd, ret;

	snprintf(path, sizeof(path), "/sys/block/%.32s/loop", name);
	if (access(path, F_OK))
		return 0;
	snprintf(path, sizeof(path), "/dev/%.32s", name);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ret = ioctl(fd, LOOP_GET_STATUS64, &info);
	close(fd);
	if (ret)
		return 0;
	/* as new_encode_dev() in the kernel has it */
	file.devno = makedev(info.lo_device >> 8 & 0xfff,
			     (info.lo_device & 0xff) | (info.lo_device >> 12 & 0xfff00));
	file.inode = info.lo_inode;
	file.name = path;
	if (search->devno && search->devno != file.devno)
		return 0;
	return search->met(search->data, &file);
}

static int look_at_loops(struct search *search)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;
	int ret = 0;

	while (dir && !ret && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "loop", 4) == 0)
			ret = look_at_loop(search, entry->d_name);
	}
	if (dir)
		closedir(dir);
	return ret;
}

/* ---- all of them */

static int look_at_all(struct search *search)
{
	struct dirent *entry;
	char own[32] = "";
	DIR *proc;
	int ret = 0;

	proc = opendir("/proc");
	/* by its number there, which need not be what getpid(2) says */
	if (proc && readlinkat(dirfd(proc), "self", own, sizeof(own) - 1) < 0)
		own[0] = '\0';
	while (proc && !ret && (entry = readdir(proc))) {
		if (isdigit((unsigned char)entry->d_name[0]) && strcmp(entry->d_name, own) != 0)
			ret = look_at_process(search, dirfd(proc), entry->d_name);
	}
	if (proc)
		closedir(proc);
	/* no loop device lies on a character device */
	return ret || search->node ? ret : look_at_loops(search);
}

int pmr_open_files(dev_t devno, int (*met)(void *data, const struct pmr_open_file *file),
		   void *data)
{
	struct search search = { .devno = devno, .met = met, .data = data };

	return look_at_all(&search);
}

int pmr_open_nodes(const struct stat *node,
		   int (*met)(void *data, const struct pmr_open_file *file), void *data)
{
	struct search search = { .node = node, .met = met, .data = data };

	return look_at_all(&search);
}

/* ---- one file */

#define FOUND 1

struct found {
	uint64_t inode;
	char *path;
	char *holder;
};

static int take(void *data, const struct pmr_open_file *file)
{
	struct found *found = data;
	int ret;

	if (file->inode != found->inode)
		return 0;
	if (!file->path) {
		found->holder = strdup(file->name);
		return found->holder ? FOUND : -ENOMEM;
	}
	ret = asprintf(&found->holder, "PID %d (%s)", (int)file->pid, file->name);
	if (ret < 0)
		found->holder = NULL;
	found->path = strdup(file->path);
	return found->holder && found->path ? FOUND : -ENOMEM;
}

int pmr_open_file_find(dev_t devno, uint64_t inode, char **path, char **holder)
{
	struct found found = { .inode = inode };
	int ret = pmr_open_files(devno, take, &found);

	if (ret == FOUND) {
		*path = found.path;
		*holder = found.holder;
		return 1;
	}
	free(found.path);
	free(found.holder);
	return ret;
}

void pmr_open_file_say(struct pmr_ctx *ctx, const char *object, const char *path,
		       const char *holder)
{
	struct stat st;

	if (!path) {
		pmr_say(ctx, PMR_WARNING, "deleted-open", object,
			"was deleted and is held open by %s: copy that before it is detached",
			holder);
		return;
	}
	if (!stat(path, &st) && st.st_nlink) {
		pmr_say(ctx, PMR_WARNING, "unnamed-open", object,
			"is held open by %s, and its name was not met: it was moved meanwhile, or lies where nothing "
			"may be read; copy it from there, or scan again",
			holder);
		return;
	}
	pmr_say(ctx, PMR_WARNING, "deleted-open", object,
		"was deleted and is held open by %s: copy it from there before it is closed (pmem-recover salvage %s -o "
		"OUT, or cp for what is not lost)",
		holder, path);
}

/* ---- a file that may have no name */

/* Never a FIFO or a device: what the link leads to is held, looked at, and then opened. */
static int open_held(const char *path, int flags)
{
	int held = open(path, O_PATH | O_CLOEXEC), fd = -EINVAL;
	char link[64];
	struct stat st;

	if (held < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", held);
	if (!fstat(held, &st) && S_ISREG(st.st_mode)) {
		do
			fd = open(link, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		while (fd < 0 && errno == EINTR);
		if (fd < 0)
			fd = -errno;
	}
	close(held);
	return fd;
}

/* Where a link of /proc is read like any other, it may lead nowhere, or to another file. */
static bool is_led_to(const char *path, int fd)
{
	struct stat named, st;

	return !stat(path, &named) && !fstat(fd, &st) && named.st_dev == st.st_dev &&
	       named.st_ino == st.st_ino;
}

int pmr_open_by_path(const char *path, int flags)
{
	char *found = realpath(path, NULL);
	int fd = found ? pmr_file_open(AT_FDCWD, found, flags) : -errno;

	free(found);
	if (fd >= 0 && is_led_to(path, fd))
		return fd;
	if (fd >= 0)
		close(fd);
	else if (fd != -ENOENT && fd != -EINVAL)
		return fd;
	return open_held(path, flags);
}
