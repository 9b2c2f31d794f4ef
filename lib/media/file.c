/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every read and write of a file's bytes through its filesystem, and how a read that fails is tried again. */

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

#include "private.h"

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
		} else if (!n || flag || (!pmr_media_is_error(ret) && !pmr_is_map_error(ret)) ||
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
