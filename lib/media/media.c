/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every read and write of media: whole devices with O_DIRECT, or by loads, files through their filesystem.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loads.h"
#include "private.h"
#include "uapi.h"
#include "device/topology.h"
#include "nofault/nofault.h"

#define BOUNCE_SIZE (256u * 1024)

struct pmr_media {
	int fd;
	unsigned int block; /* O_DIRECT works in this unit */
	uint64_t size;
	char *bounce; /* page aligned, BOUNCE_SIZE bytes */
	const struct pmr_device *dax; /* a device-dax: it has no read(2); else NULL */
	struct pmr_loads *loads;
};

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
	if (posix_memalign((void **)&m->bounce, PMR_PAGE, BOUNCE_SIZE)) {
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
	if (!ret && posix_memalign((void **)&m->bounce, PMR_PAGE, BOUNCE_SIZE)) {
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

/* all of [offset, offset + length) into the bounce buffer, or why not */
static int read_whole(struct pmr_media *media, uint64_t offset, size_t length)
{
	return pmr_media_read_block(media, offset, media->bounce, length);
}

struct salvage {
	struct pmr_media *media;
	uint64_t offset; /* what buffer[0] stands for, and how far it goes */
	uint64_t end;
	char *buffer;
	struct pmr_ranges *failed;
};

/* Block aligned [offset, offset + length), at most BOUNCE_SIZE: halve until what fails is one block. */
static int salvage_or_split(struct salvage *s, uint64_t offset, size_t length)
{
	uint64_t from, to;
	size_t half;
	int ret;

	ret = read_whole(s->media, offset, length);
	if (!ret) {
		from = offset > s->offset ? offset : s->offset;
		to = offset + length < s->end ? offset + length : s->end;
		if (s->buffer && from < to)
			memcpy(s->buffer + (from - s->offset), s->media->bounce + (from - offset),
			       to - from);
		return 0;
	}
	if (!pmr_media_is_error(ret))
		return ret;
	if (length == s->media->block)
		return pmr_ranges_add(s->failed, offset, length);
	half = length / 2;
	half -= half % s->media->block;
	if (!half)
		half = s->media->block;
	ret = salvage_or_split(s, offset, half);
	return ret ? ret : salvage_or_split(s, offset + half, length - half);
}

/*
 * Each load of poison is a machine check, so none is repeated to find where it is: what precedes it is known, and behind
 * its sector it goes on. Those that the kernel took out of the mapping with it fail one by one.
 */
static int load_range(struct salvage *s, uint64_t offset, uint64_t end)
{
	size_t length, got;
	int ret;

	while (offset < end) {
		length = end - offset < BOUNCE_SIZE ? (size_t)(end - offset) : BOUNCE_SIZE;
		ret = pmr_media_load(s->media, offset, s->media->bounce, length, &got);
		if (ret && ret != -EIO)
			return ret;
		if (s->buffer)
			memcpy(s->buffer + (offset - s->offset), s->media->bounce, got);
		offset += got;
		if (!ret)
			continue;
		ret = pmr_ranges_add(s->failed, offset, PMR_SECTOR);
		if (ret)
			return ret;
		offset += PMR_SECTOR;
	}
	return 0;
}

static int salvage_range(struct salvage *s, const struct pmr_range *range)
{
	uint64_t offset = range->offset, end = range->offset + range->length;
	size_t length;
	int ret;

	if (s->media->loads)
		return load_range(s, offset, end);
	while (offset < end) {
		length = end - offset < BOUNCE_SIZE ? (size_t)(end - offset) : BOUNCE_SIZE;
		ret = salvage_or_split(s, offset, length);
		if (ret)
			return ret;
		offset += length;
	}
	return 0;
}

/* [offset, offset + length) widened to whole logical blocks; the device's size is a multiple of them */
static int widen(const struct pmr_media *media, uint64_t offset, uint64_t length,
		 struct pmr_range *out)
{
	uint64_t end;

	if (!length || __builtin_add_overflow(offset, length, &end) || end > media->size)
		return -EINVAL;
	out->offset = offset - offset % media->block;
	end += (media->block - end % media->block) % media->block;
	out->length = end - out->offset;
	return 0;
}

/* @list, each range widened to whole logical blocks, where it meets @within */
static int widen_list(const struct pmr_media *media, const struct pmr_ranges *list,
		      const struct pmr_range *within, struct pmr_ranges *out)
{
	struct pmr_range r;
	int ret;

	for (size_t i = pmr_ranges_first(list, within->offset); i < list->n; i++) {
		if (list->v[i].offset >= within->offset + within->length)
			break;
		ret = widen(media, list->v[i].offset, list->v[i].length, &r);
		if (!ret)
			ret = pmr_ranges_add(out, r.offset, r.length);
		if (ret)
			return ret;
	}
	pmr_ranges_normalize(out);
	return 0;
}

int pmr_media_salvage(struct pmr_media *media, uint64_t offset, uint64_t length,
		      const struct pmr_ranges *listed, void *buffer, struct pmr_ranges *unreadable)
{
	struct pmr_ranges whole = { 0 }, avoid = { 0 }, todo = { 0 }, failed = { 0 };
	struct salvage s = { media, offset, offset + length, buffer, &failed };
	struct pmr_range range;
	int ret;

	if (offset % PMR_SECTOR || length % PMR_SECTOR)
		return -EINVAL;
	ret = widen(media, offset, length, &range);
	if (!ret)
		ret = pmr_ranges_add(&whole, range.offset, range.length);
	if (!ret)
		ret = widen_list(media, listed, &range, &avoid);
	if (!ret)
		ret = pmr_ranges_subtract(&todo, &whole, &avoid);
	for (size_t i = 0; !ret && i < todo.n; i++)
		ret = salvage_range(&s, &todo.v[i]);
	for (size_t i = 0; !ret && i < avoid.n; i++)
		ret = pmr_ranges_add(&failed, avoid.v[i].offset, avoid.v[i].length);
	if (ret)
		goto out;
	pmr_ranges_normalize(&failed);
	ret = pmr_ranges_clip(unreadable, &failed, offset, length);
	pmr_ranges_normalize(unreadable);
out:
	pmr_ranges_release(&whole);
	pmr_ranges_release(&avoid);
	pmr_ranges_release(&todo);
	pmr_ranges_release(&failed);
	return ret;
}

int pmr_media_confirm(struct pmr_media *media, uint64_t offset, uint64_t length,
		      struct pmr_ranges *failing)
{
	static const struct pmr_ranges none;

	return pmr_media_salvage(media, offset, length, &none, NULL, failing);
}

int pmr_media_page_state(struct pmr_media *media, uint64_t page, const struct pmr_ranges *listed,
			 enum pmr_page_state *state, struct pmr_ranges *unreadable)
{
	struct pmr_ranges whole = { 0 }, avoid = { 0 }, lost = { 0 }, siblings = { 0 },
			  dead = { 0 };
	struct pmr_range range = { page, PMR_PAGE };
	int ret;

	if (page >= media->size)
		return -EINVAL;
	if (range.length > media->size - page)
		range.length = media->size - page;
	ret = pmr_ranges_add(&whole, range.offset, range.length);
	if (!ret)
		ret = pmr_media_salvage(media, range.offset, range.length, listed, NULL, &lost);
	if (!ret)
		ret = widen_list(media, listed, &range, &avoid);
	if (!ret)
		ret = pmr_ranges_subtract(&siblings, &whole, &avoid);
	if (!ret)
		ret = pmr_ranges_subtract(&dead, &lost, &avoid);
	if (ret)
		goto out;
	if (!siblings.n)
		*state = PMR_PAGE_UNTOLD;
	else if (pmr_ranges_bytes(&dead) == pmr_ranges_bytes(&siblings))
		*state = PMR_PAGE_OFFLINED;
	else
		*state = dead.n ? PMR_PAGE_PARTLY : PMR_PAGE_OK;
	/* what the listed sectors' own logical blocks take with them is unreadable too */
	ret = pmr_ranges_subtract(unreadable, &lost, listed);
	pmr_ranges_normalize(unreadable);
out:
	pmr_ranges_release(&whole);
	pmr_ranges_release(&avoid);
	pmr_ranges_release(&lost);
	pmr_ranges_release(&siblings);
	pmr_ranges_release(&dead);
	return ret;
}

/* Return: 1 the page cache has the page, or the kernel does not want to tell; 0 it has not; -1 it cannot be asked. */
static int ask_resident(int fd, uint64_t page)
{
	unsigned char answer;
	void *mapping;
	int ret;

	mapping = mmap(NULL, PMR_PAGE, PROT_NONE, MAP_SHARED, fd, (off_t)page);
	if (mapping == MAP_FAILED)
		return -1;
	ret = mincore(mapping, PMR_PAGE, &answer) ? -1 : answer & 1;
	munmap(mapping, PMR_PAGE);
	return ret;
}

/* Whether the page cache is known to have nothing there: one call for what else takes three. */
static bool is_absent(int fd, uint64_t page)
{
	struct pmr_cachestat_range range = { page, PMR_PAGE };
	struct pmr_cachestat answer;

	return !syscall(__NR_cachestat, fd, &range, &answer, 0) && !answer.nr_cache;
}

/*
 * Even a read that may not wait starts read-ahead (seen from 5.11 on), which asks the device for the very page in
 * question. So the kernel is asked first whether it has the page at all. Of files that the caller could not write to
 * it says that all is there (5.2): also what lies so far behind the end that no folio reaches it.
 */
static bool is_resident(int fd, uint64_t page)
{
	const uint64_t far = (uint64_t)64 << 20;
	struct stat st;

	if (is_absent(fd, page) || ask_resident(fd, page) != 1 || fstat(fd, &st))
		return false;
	return ask_resident(fd, ((uint64_t)st.st_size / far + 2) * far) == 0;
}

int pmr_media_read_cached(int fd, uint64_t offset, void *buffer, size_t length)
{
	struct iovec iov = { buffer, length };
	ssize_t n;

	if (length > PMR_PAGE - offset % PMR_PAGE)
		return -EINVAL;
	if (!is_resident(fd, offset - offset % PMR_PAGE))
		return 0;
	do
		n = preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EOPNOTSUPP ? 0 : -errno;
	return (size_t)n == length;
}

int pmr_media_read_file(int fd, uint64_t offset, void *buffer, size_t length, size_t *got)
{
	size_t done = 0;
	ssize_t n = 0;
	int ret = 0;

	while (done < length) {
		n = pread(fd, (char *)buffer + done, length - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (n < 0)
		ret = -errno;
	*got = done;
	return ret;
}

int pmr_media_read_file_direct(int fd, uint64_t offset, void *buffer, size_t length, size_t *got)
{
	int flags, ret;

	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
		return -errno;
	ret = pmr_media_read_file(fd, offset, buffer, length, got);
	if (fcntl(fd, F_SETFL, flags) < 0 && !ret)
		ret = -errno;
	return ret;
}

ssize_t pmr_media_read_once(int fd, uint32_t flag, uint64_t offset, void *buffer, size_t length)
{
	struct iovec iov = { buffer, length };
	ssize_t n;

	do
		n = preadv2(fd, &iov, 1, (off_t)offset, (int)flag);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* How far it is from @offset to the end of its page, or of @length bytes */
static size_t in_page(uint64_t offset, size_t length)
{
	size_t first = PMR_PAGE - (size_t)(offset % PMR_PAGE);

	return length < first ? length : first;
}

/* A plain read failed somewhere in these bytes: how many to try next, to the edge of a page */
static size_t half_of(uint64_t offset, size_t length)
{
	size_t first = in_page(offset, length), half = length / 2;

	return half <= first ? first : half - (size_t)((offset + half) % PMR_PAGE);
}

/* Whether a kernel that knows the flag refuses a page that a plain read returns: it then knows the flag in name only. */
static bool is_stubborn(int fd, uint64_t offset, void *buffer, size_t length)
{
	return pmr_media_read_once(fd, 0, offset, buffer, in_page(offset, length)) > 0;
}

int pmr_media_recover_file(int fd, uint32_t flag, uint64_t offset, void *buffer, size_t length,
			   size_t *got)
{
	size_t done = 0, fails = 0, want; /* something in the next @fails bytes does, where not 0 */
	char *to = buffer;
	ssize_t n;
	int ret = 0;

	while (done < length) {
		want = fails ? half_of(offset + done, fails) : length - done;
		n = pmr_media_read_once(fd, flag, offset + done, to + done, want);
		ret = n < 0 ? (int)n : 0;
		if (n > 0) {
			done += (size_t)n;
			fails = fails > (size_t)n ? fails - (size_t)n : 0;
		} else if (flag &&
			   (ret == -EOPNOTSUPP || ret == -EINVAL ||
			    (ret == -EIO && is_stubborn(fd, offset + done, to + done, want)))) {
			flag = 0; /* this file does not take it, or it does nothing */
		} else if (!n || flag || !pmr_media_is_error(ret) ||
			   want == in_page(offset + done, want)) {
			break;
		} else {
			fails = want;
		}
	}
	if (ret) {
		want = (size_t)((offset + done) % PMR_PAGE);
		done -= want < done ? want : done;
	}
	*got = done;
	return ret;
}

int pmr_media_write_file(int fd, uint32_t flag, uint64_t offset, const void *buffer, size_t length,
			 size_t *written)
{
	struct iovec iov;
	size_t done = 0;
	ssize_t n = 0;
	int ret = 0;

	while (done < length) {
		iov.iov_base = (char *)(uintptr_t)buffer + done;
		iov.iov_len = length - done;
		n = pwritev2(fd, &iov, 1, (off_t)(offset + done), (int)flag);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (n < 0)
		ret = -errno;
	else if (done < length)
		ret = -EIO;
	*written = done;
	return ret;
}

int pmr_media_punch_file(int fd, uint64_t offset, uint64_t length)
{
	int ret;

	do
		ret = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				(off_t)length);
	while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}
