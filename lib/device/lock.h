/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One repair at a time on a device.
 */
#ifndef PMR_LOCK_H
#define PMR_LOCK_H

#include "private.h"

/** struct pmr_locks - what keeps other runs off some devices; zero-initialise */
struct pmr_locks {
	int *fds;
	size_t n;
};

/**
 * pmr_lock_devices() - keep other runs off devices, and off what mapped ones lie on
 * @locks: result; release with pmr_locks_release()
 *
 * Always in the same order. Return: 0; -EBUSY, and who holds which was said; other errno, said; -ENOMEM.
 */
int pmr_lock_devices(struct pmr_ctx *ctx, const struct pmr_device *const *devices, size_t n,
		     struct pmr_locks *locks);
/** pmr_locks_release() - takes a zeroed one too */
void pmr_locks_release(struct pmr_locks *locks);

/** pmr_lock_holder() - whether somebody holds a lock of flock(2) on a file; @pid: who, 0 where the kernel does not tell */
bool pmr_lock_holder(const struct stat *st, long *pid);

/** pmr_lock_is_held() - whether a run is at work on a device, without being in the way of one */
bool pmr_lock_is_held(const struct pmr_device *device);

#endif
