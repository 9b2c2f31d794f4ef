/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One repair at a time on a device: a lock file that names its holder.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "repair.h"

#define LOCK_DIRECTORY "/run/pmem-recover"

static void read_holder(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

/* The kernel drops the lock with its holder, so what the file says counts only while it is locked. */
static int write_holder(int fd)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) < 0)
		return -errno;
	return pwrite(fd, text, (size_t)length, 0) == length ? 0 : -EIO;
}

int pmr_lock_device(struct pmr_ctx *ctx, const struct pmr_device *device, int *fd)
{
	char path[128], holder[32];
	int lock, ret;

	snprintf(path, sizeof(path), LOCK_DIRECTORY "/%s.lock", device->name);
	if (mkdir(LOCK_DIRECTORY, 0755) < 0 && errno != EEXIST) {
		ret = -errno;
		pmr_say(ctx, PMR_ERROR, "lock", LOCK_DIRECTORY, "cannot be made: %s",
			strerror(-ret));
		return ret;
	}
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (lock < 0) {
		ret = -errno;
		pmr_say(ctx, PMR_ERROR, "lock", path, "cannot be opened: %s", strerror(-ret));
		return ret;
	}
	if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		read_holder(lock, holder, sizeof(holder));
		if (ret == -EBUSY)
			pmr_say(ctx, PMR_ERROR, "device-locked", device->name,
				"another pmem-recover repairs it, process %s; wait for it to end",
				*holder ? holder : "unknown");
		else
			pmr_say(ctx, PMR_ERROR, "lock", path, "cannot be locked: %s",
				strerror(-ret));
		close(lock);
		return ret;
	}
	ret = write_holder(lock);
	if (ret) {
		pmr_say(ctx, PMR_ERROR, "lock", path, "cannot be written: %s", strerror(-ret));
		close(lock);
		return ret;
	}
	*fd = lock;
	return 0;
}

/* To ask for the lock would be in the way of a repair that wants it. */
bool pmr_lock_is_held(const struct pmr_device *device)
{
	char path[128], wanted[64], line[256];
	struct stat st;
	bool found = false;
	FILE *locks;

	snprintf(path, sizeof(path), LOCK_DIRECTORY "/%s.lock", device->name);
	if (stat(path, &st) < 0)
		return false;
	snprintf(wanted, sizeof(wanted), " %02x:%02x:%" PRIu64 " ", major(st.st_dev),
		 minor(st.st_dev), (uint64_t)st.st_ino);
	locks = fopen("/proc/locks", "re");
	while (locks && !found && fgets(line, sizeof(line), locks))
		found = strstr(line, " FLOCK ") && strstr(line, wanted);
	if (locks)
		fclose(locks);
	return found;
}
