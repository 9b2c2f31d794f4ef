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
 *
 * Return: 0; -EINVAL: these cannot be; -ENOMEM.
 */
int pmr_loads_new(int fd, uint64_t size, uint64_t align, struct pmr_loads **loads);
/** pmr_loads_free() - takes NULL */
void pmr_loads_free(struct pmr_loads *loads);

/**
 * pmr_loads_copy() - copy bytes from there
 * @got: how many; short where the next one could not be loaded
 *
 * Needs a handler of SIGBUS, see pmr_copy_nofault(). Return: 0; -EINVAL: past the end; the errno of mapping it.
 */
int pmr_loads_copy(struct pmr_loads *loads, uint64_t offset, void *to, size_t length, size_t *got);

#endif
