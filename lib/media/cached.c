/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the page cache has of a file, without a read of the media. */

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "private.h"
#include "uapi.h"

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
