/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How media.c reads what is mapped and has no read(2): a device-dax.
 */
#ifndef PMR_LOADS_H
#define PMR_LOADS_H

#include "private.h"

struct pmr_loads;

/**
 * pmr_loads_new() - read by loads
 * @fd: of what can be mapped; stays the caller's, and open as long
 * @size: bytes of it
 * @align: what is mapped of it begins and ends at multiples of this power of two; 0 for none
 * @is_writable: pmr_loads_store() may be asked
 *
 * Return: 0; -EINVAL: these cannot be; -ENOMEM.
 */
int pmr_loads_new(int fd, uint64_t size, uint64_t align, bool is_writable,
		  struct pmr_loads **loads);
/** pmr_loads_free() - takes NULL */
void pmr_loads_free(struct pmr_loads *loads);

/**
 * pmr_loads_copy() - copy bytes from there
 * @got: how many; short where the next one could not be loaded, now or before
 *
 * Each load of poison is a machine check: the sector that stopped one is not loaded again, unless it was stored meanwhile.
 * Needs a handler of SIGBUS, see pmr_copy_nofault(). Return: 0; -EINVAL: past the end; -ENOMEM; the errno of mapping it.
 */
int pmr_loads_copy(struct pmr_loads *loads, uint64_t offset, void *to, size_t length, size_t *got);

/** pmr_loads_can_store() - whether there is what flushes the processor's caches: this was built for libpmem, and finds it */
bool pmr_loads_can_store(void);

/**
 * pmr_loads_store() - store bytes there, so that they outlive the power, and what is loaded next is the medium's
 *
 * Return: 0; -EIO: a store failed; -EINVAL: past the end; -ENOMEM; -EOPNOTSUPP: see pmr_loads_can_store(),
 * and nothing was stored; the errno of mapping it.
 */
int pmr_loads_store(struct pmr_loads *loads, uint64_t offset, const void *from, size_t length);

#endif
