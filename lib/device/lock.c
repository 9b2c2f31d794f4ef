/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One repair at a time on a device: a lock, and who holds it, which the kernel knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lock.h"

#define LOCK_DIRECTORY "/run/pmem-recover"

bool pmr_lock_holder(const struct stat *st, long *pid)
{
	char wanted[64], line[256];
	bool found = false;
	FILE *locks;

	*pid = 0;
	snprintf(wanted, sizeof(wanted), " %02x:%02x:%" PRIu64 " ", major(st->st_dev),
		 minor(st->st_dev), (uint64_t)st->st_ino);
	locks = fopen("/proc/locks", "re");
	while (locks && !found && fgets(line, sizeof(line), locks))
		found = strstr(line, " FLOCK ") && strstr(line, wanted);
	if (locks)
		fclose(locks);
	/* "1: FLOCK  ADVISORY  WRITE 1234 00:1a:42 0 EOF" */
	if (found && (sscanf(line, "%*s %*s %*s %*s %ld", pid) != 1 || *pid < 0))
		*pid = 0;
	return found;
}

static void say_holder(struct pmr_ctx *ctx, const struct pmr_device *device, int lock)
{
	struct stat st;
	long pid = 0;

	if (!fstat(lock, &st))
		pmr_lock_holder(&st, &pid);
	if (pid)
		pmr_say(ctx, PMR_ERROR, "device-locked", device->name,
			"another pmem-recover repairs it, process %ld; wait for it to end", pid);
	else
		pmr_say(ctx, PMR_ERROR, "device-locked", device->name,
			"another pmem-recover repairs it; wait for it to end");
}

static int lock_device(struct pmr_ctx *ctx, const struct pmr_device *device, int *fd)
{
	char path[128];
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
		if (ret == -EBUSY)
			say_holder(ctx, device, lock);
		else
			pmr_say(ctx, PMR_ERROR, "lock", path, "cannot be locked: %s",
				strerror(-ret));
		close(lock);
		return ret;
	}
	*fd = lock;
	return 0;
}

/* ---- all that a run writes to */

struct set {
	const struct pmr_device **v;
	size_t n;
	size_t alloc;
};

/* With all that lies below: two volumes of one device are not repaired at once. */
static int add_device(struct set *set, const struct pmr_device *device)
{
	int ret;

	for (size_t i = 0; i < set->n; i++)
		if (set->v[i] == device)
			return 0;
	ret = pmr_grow(&set->v, set->n, &set->alloc, sizeof(set->v[0]));
	if (!ret)
		set->v[set->n++] = device;
	for (size_t i = 0; !ret && i < device->n_lowers; i++)
		ret = add_device(set, device->lowers[i]);
	return ret;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(const struct pmr_device *const *)a)->name,
		      (*(const struct pmr_device *const *)b)->name);
}

int pmr_lock_devices(struct pmr_ctx *ctx, const struct pmr_device *const *devices, size_t n,
		     struct pmr_locks *locks)
{
	struct set set = { 0 };
	int ret = 0;

	for (size_t i = 0; !ret && i < n; i++)
		ret = add_device(&set, devices[i]);
	if (!ret && set.n) {
		qsort(set.v, set.n, sizeof(set.v[0]), compare_names);
		locks->fds = calloc(set.n, sizeof(locks->fds[0]));
		ret = locks->fds ? 0 : -ENOMEM;
	}
	for (size_t i = 0; !ret && i < set.n; i++) {
		ret = lock_device(ctx, set.v[i], &locks->fds[locks->n]);
		locks->n += !ret;
	}
	free(set.v);
	if (ret)
		pmr_locks_release(locks);
	return ret;
}

void pmr_locks_release(struct pmr_locks *locks)
{
	while (locks->n)
		close(locks->fds[--locks->n]);
	free(locks->fds);
	*locks = (struct pmr_locks){ 0 };
}

/* To ask for the lock would be in the way of a repair that wants it. */
bool pmr_lock_is_held(const struct pmr_device *device)
{
	char path[128];
	struct stat st;
	long pid;

	snprintf(path, sizeof(path), LOCK_DIRECTORY "/%s.lock", device->name);
	return !stat(path, &st) && pmr_lock_holder(&st, &pid);
}
