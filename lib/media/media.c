/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every read and write of whole devices: with O_DIRECT, or by loads.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media.h"
#include "device/topology.h"
#include "nofault/nofault.h"

/*
 * The errors by which block drivers say that the medium is bad: EIO from nd_pmem and most others, ENODATA where a
 * driver knows it for a medium error (BLK_STS_MEDIUM), EFAULT from a DAX copy that stopped.
 */
bool pmr_media_is_error(int error)
{
	return error == -EIO || error == -EFAULT || error == -ENODATA || error == -EHWPOISON ||
	       error == -EREMOTEIO || error == -EILSEQ;
}

static int open_media(const struct pmr_device *device, int flags, struct pmr_media **media)
{
	struct pmr_media *m;
	struct stat st;
	int block, ret;

	if (!device->path || !device->devno)
		return -ENODEV;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->fd = open(device->path, flags | O_DIRECT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (m->fd < 0 || fstat(m->fd, &st) < 0) {
		ret = -errno;
		goto fail;
	}
	/* the name in /dev may have come to mean another device since the topology was read */
	if (!S_ISBLK(st.st_mode) || st.st_rdev != device->devno) {
		ret = -ENODEV;
		goto fail;
	}
	if (ioctl(m->fd, BLKSSZGET, &block) < 0 || ioctl(m->fd, BLKGETSIZE64, &m->size) < 0) {
		ret = -errno;
		goto fail;
	}
	m->block = (unsigned int)block;
	if (posix_memalign((void **)&m->bounce, PMR_PAGE, PMR_MEDIA_BOUNCE)) {
		m->bounce = NULL;
		ret = -ENOMEM;
		goto fail;
	}
	*media = m;
	return 0;
fail:
	pmr_media_close(m);
	return ret;
}

/* Loads reach single bytes, so that a sector is as good a unit as any. */
int pmr_media_open_loads(int fd, uint64_t size, uint64_t align, bool is_writable,
			 struct pmr_media **media)
{
	struct pmr_media *m;
	int ret;

	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->fd = -1;
	m->block = PMR_SECTOR;
	m->size = size;
	ret = pmr_loads_new(fd, size, align, is_writable, &m->loads);
	if (!ret && posix_memalign((void **)&m->bounce, PMR_PAGE, PMR_MEDIA_BOUNCE)) {
		m->bounce = NULL;
		ret = -ENOMEM;
	}
	if (ret) {
		pmr_media_close(m);
		return ret;
	}
	m->fd = fd;
	*media = m;
	return 0;
}

static int open_dax(const struct pmr_device *device, int flags, struct pmr_media **media)
{
	const struct pmr_devdax *dax = &device->own->dax;
	struct pmr_media *m;
	struct stat st;
	int fd, ret;

	if (!PMR_NOFAULT_SUPPORTED)
		return -EOPNOTSUPP;
	fd = open(device->path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		ret = -errno;
	else if (!S_ISCHR(st.st_mode) || st.st_rdev != dax->devno)
		ret = -ENODEV;
	else
		/* while it is open its namespace cannot become another under the same number */
		ret = pmr_dax_check(device);
	if (ret == -ESTALE)
		ret = -ENODEV;
	if (!ret)
		ret = pmr_media_open_loads(fd, dax->size, dax->align, flags == O_RDWR, &m);
	if (ret) {
		close(fd);
		return ret;
	}
	m->dax = device;
	*media = m;
	return 0;
}

int pmr_media_open(struct pmr_ctx *ctx, const struct pmr_device *device, struct pmr_media **media)
{
	(void)ctx;
	if (pmr_device_is_dax(device))
		return open_dax(device, O_RDONLY, media);
	return open_media(device, O_RDONLY, media);
}

int pmr_media_open_writable(struct pmr_ctx *ctx, const struct pmr_device *device,
			    struct pmr_media **media)
{
	(void)ctx;
	if (pmr_device_is_dax(device))
		return pmr_loads_can_store() ? open_dax(device, O_RDWR, media) : -EOPNOTSUPP;
	return open_media(device, O_RDWR | O_DSYNC, media);
}

void pmr_media_close(struct pmr_media *media)
{
	if (!media)
		return;
	pmr_loads_free(media->loads);
	if (media->fd >= 0)
		close(media->fd);
	free(media->bounce);
	free(media);
}

unsigned int pmr_media_block(const struct pmr_media *media)
{
	return media->block;
}

uint64_t pmr_media_size(const struct pmr_media *media)
{
	return media->size;
}

bool pmr_media_has_shrunk(const struct pmr_media *media)
{
	uint64_t size;

	if (media->dax)
		return pmr_dax_check(media->dax) != 0;
	return ioctl(media->fd, BLKGETSIZE64, &size) < 0 || size < media->size;
}

int pmr_media_load(struct pmr_media *media, uint64_t offset, void *buffer, size_t length,
		   size_t *got)
{
	int ret;

	*got = 0;
	ret = media->loads ? pmr_loads_copy(media->loads, offset, buffer, length, got) : -ENODEV;
	if (!ret && *got < length) {
		*got -= *got % PMR_SECTOR;
		ret = -EIO;
	}
	return ret;
}

int pmr_media_read_block(struct pmr_media *media, uint64_t offset, void *buffer, size_t length)
{
	size_t got = 0;
	ssize_t n;

	if (media->loads)
		return pmr_media_load(media, offset, buffer, length, &got);
	while (got < length) {
		n = pread(media->fd, (char *)buffer + got, length - got, (off_t)(offset + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		/* a short count that is no multiple of the block would make the next O_DIRECT read EINVAL */
		got += (size_t)n - (size_t)n % media->block;
		if ((size_t)n < media->block)
			return -EIO;
	}
	return 0;
}

int pmr_media_write_block(struct pmr_media *media, uint64_t offset, const void *buffer,
			  size_t length)
{
	size_t done = 0;
	ssize_t n;

	if (media->loads)
		return pmr_loads_store(media->loads, offset, buffer, length);
	while (done < length) {
		n = pwrite(media->fd, (const char *)buffer + done, length - done,
			   (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if ((size_t)n < media->block)
			return -EIO;
		done += (size_t)n - (size_t)n % media->block;
	}
	return 0;
}
