/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays that grow. */

#include <errno.h>
#include <string.h>
#include <stdlib.h>

#include "private.h"

int pmr_grow(void *array, size_t n, size_t *alloc, size_t size)
{
	size_t bytes, wanted;
	void *old, *grown;

	if (n < *alloc)
		return 0;
	if (__builtin_add_overflow(n, n / 2 + 8, &wanted) ||
	    __builtin_mul_overflow(wanted, size, &bytes))
		return -ENOMEM;

	/* The caller's pointer has a type of its own, so it is read and written as bytes. */
	memcpy(&old, array, sizeof(old));
	grown = realloc(old, bytes);
	if (!grown)
		return -ENOMEM;
	memcpy(array, &grown, sizeof(grown));
	*alloc = wanted;
	/* cppcheck-suppress memleak */
	return 0;
}
