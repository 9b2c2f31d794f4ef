/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an open device is to media.c, and to readable.c.
 */
#ifndef PMR_MEDIA_H
#define PMR_MEDIA_H

#include "loads.h"

/** PMR_MEDIA_BOUNCE - bytes that are read at once where the caller has no buffer for them */
#define PMR_MEDIA_BOUNCE (256u * 1024)

/**
 * struct pmr_media - a device that was opened to be read, or written
 * @block: O_DIRECT works in this unit
 * @size: bytes
 * @bounce: page aligned, PMR_MEDIA_BOUNCE bytes
 * @dax: a device-dax: it has no read(2); else NULL
 * @loads: what is mapped, and read by loads; else NULL
 */
struct pmr_media {
	int fd;
	unsigned int block;
	uint64_t size;
	char *bounce;
	const struct pmr_device *dax;
	struct pmr_loads *loads;
};

#endif
