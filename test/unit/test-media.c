/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading files: the page cache is never asked for a page it has not, and a recovery read takes all that can be had. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "private.h"

static enum { TELLS, REFUSES, HIDES } kernel;

/* In place of the C library's. */
int mincore(void *start, size_t length, unsigned char *answer)
{
	if (kernel == TELLS)
		return (int)syscall(SYS_mincore, start, length, answer);
	if (kernel == HIDES) {
		memset(answer, 1, (length + PMR_PAGE - 1) / PMR_PAGE);
		return 0;
	}
	errno = EPERM;
	return -1;
}

static void test_read_cached(void **state)
{
	static const int wanted[] = { [TELLS] = 1, [REFUSES] = 0, [HIDES] = 0 };
	char path[] = "/tmp/pmr-media-XXXXXX", written[PMR_PAGE], read[PMR_PAGE];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	memset(written, 'x', sizeof(written));
	assert_int_equal(write(fd, written, sizeof(written)), sizeof(written));
	for (kernel = TELLS; kernel <= HIDES; kernel++) {
		memset(read, 0, sizeof(read));
		assert_int_equal(pmr_media_read_cached(fd, 0, read, sizeof(read)), wanted[kernel]);
		assert_int_equal(read[0], wanted[kernel] ? 'x' : 0);
	}
	/* A hole was never read. */
	kernel = TELLS;
	assert_int_equal(ftruncate(fd, 64 * PMR_PAGE), 0);
	assert_int_equal(pmr_media_read_cached(fd, 63 * PMR_PAGE, read, sizeof(read)), 0);
	assert_int_equal(pmr_media_read_cached(fd, 1, read, sizeof(read)), -EINVAL);
	close(fd);
}

/* ---- recovery reads of a made-up DAX file */

#define FILE_FD 1000000
#define FLAG 0x200
#define PAGES 24u
#define TAIL 1000u /* bytes of the last page */
#define SIZE ((PAGES - 1) * PMR_PAGE + TAIL)

enum meaning {
	STOPS, /* short before the first bad page, as proposed */
	FILLS, /* zeros in the place of bad pages, as some vendors may */
	STUBBORN, /* accepted, and no different */
	UNKNOWN, /* EOPNOTSUPP */
	INTERRUPTED, /* EINTR every other time */
};

static struct {
	enum meaning meaning;
	uint32_t bad; /* a bit for each page */
	int error; /* what a bad page is */
	unsigned int
		extent; /* pages: a plain read fails for a bad page in the extent it begins in, and is short before one */
	unsigned int partly; /* so many bytes of a bad page are copied before the copy stops */
	unsigned int calls;
	unsigned int flagged;
} dax;

static bool is_bad(unsigned int page)
{
	return dax.bad >> page & 1;
}

static const char *content(void)
{
	static char bytes[SIZE];

	if (bytes[0])
		return bytes;
	for (uint64_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i / PMR_PAGE * 7 + i % 251 + 1);
	return bytes;
}

/* Copies the bytes of a page's part, zeros for a bad page. Return: how many. */
static size_t copy_in_page(char *to, uint64_t offset, uint64_t end)
{
	uint64_t edge = (offset / PMR_PAGE + 1) * PMR_PAGE;
	size_t length = (size_t)((edge < end ? edge : end) - offset);

	if (is_bad((unsigned int)(offset / PMR_PAGE)))
		memset(to, 0, length);
	else
		memcpy(to, content() + offset, length);
	return length;
}

/* Return: how many bytes from @offset on a read of @length gets, or a negative errno. */
static ssize_t answer_of(uint64_t offset, size_t length, bool flagged)
{
	unsigned int first = (unsigned int)(offset / PMR_PAGE), page;
	uint64_t end = offset + length < SIZE ? offset + length : SIZE, edge;

	if (offset >= SIZE)
		return 0;
	if (flagged && dax.meaning == FILLS)
		return (ssize_t)(end - offset);
	for (page = first; (uint64_t)page * PMR_PAGE < end; page++) {
		edge = (uint64_t)page * PMR_PAGE;
		if (!is_bad(page))
			continue;
		if (dax.partly)
			return edge + dax.partly > offset ? (ssize_t)(edge + dax.partly - offset)
							  : dax.error;
		if (flagged && page > first)
			return (ssize_t)(edge - offset);
		edge -= (uint64_t)(page % dax.extent) * PMR_PAGE;
		return edge > offset ? (ssize_t)(edge - offset) : dax.error;
	}
	return (ssize_t)(end - offset);
}

static ssize_t read_dax(const struct iovec *iov, uint64_t offset, uint32_t flags)
{
	char *to = iov->iov_base;
	ssize_t n;

	dax.calls++;
	dax.flagged += flags ? 1 : 0;
	if (dax.meaning == INTERRUPTED && dax.calls % 2)
		n = -EINTR;
	else if (flags && dax.meaning == UNKNOWN)
		n = -EOPNOTSUPP;
	else
		n = answer_of(offset, iov->iov_len, flags && dax.meaning != STUBBORN);
	for (ssize_t i = 0; i < n;)
		i += (ssize_t)copy_in_page(to + i, offset + (uint64_t)i, offset + (uint64_t)n);
	errno = n < 0 ? (int)-n : 0;
	return n < 0 ? -1 : n;
}

/* In place of the C library's. */
ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	if (fd == FILE_FD) {
		assert_int_equal(n, 1);
		return read_dax(iov, (uint64_t)offset, (uint32_t)flags);
	}
	return (ssize_t)syscall(SYS_preadv2, fd, iov, n, (long)offset, 0L, flags);
}

/* One read: what it got is right, ends where it has to, and did not take too many calls. */
static void recover_once(uint32_t flag, uint64_t offset, size_t length)
{
	static char buffer[SIZE + PMR_PAGE];
	uint64_t end = offset + length < SIZE ? offset + length : SIZE, at;
	unsigned int most = 2;
	int wanted = 0, ret;
	size_t got, n;

	if (!flag || dax.meaning != FILLS) {
		for (at = offset; at < end && !is_bad((unsigned int)(at / PMR_PAGE));)
			at = (at / PMR_PAGE + 1) * PMR_PAGE;
		if (at < end) {
			wanted = dax.error;
			end = at;
		}
	}
	/* halving 24 pages, and the edges of extents; a kernel is not asked again for what it has answered */
	if (!flag || dax.meaning == STUBBORN || dax.meaning == UNKNOWN)
		most = 12 + PAGES / dax.extent;
	else if (wanted)
		most = 4;
	if (dax.meaning == INTERRUPTED)
		most *= 2;
	dax.calls = 0;
	dax.flagged = 0;
	memset(buffer, 'x', sizeof(buffer));
	ret = pmr_media_recover_file(FILE_FD, flag, offset, buffer, length, &got);
	if (ret != wanted || got != end - offset || dax.calls > most)
		fail_msg(
			"meaning %d, bad %x, extent %u, flag %x, %u+%zu: %d instead of %d, %zu instead of %u, %u calls",
			dax.meaning, dax.bad, dax.extent, flag, (unsigned int)offset, length, ret,
			wanted, got, (unsigned int)(end - offset), dax.calls);
	for (at = offset; at < end; at = (at / PMR_PAGE + 1) * PMR_PAGE) {
		char page[PMR_PAGE];

		n = copy_in_page(page, at, end);
		if (!is_bad((unsigned int)(at / PMR_PAGE)))
			assert_memory_equal(buffer + (at - offset), page, n);
	}
	assert_true(dax.flagged <= (flag ? 4 : 0));
}

static void test_recover(void **state)
{
	static const unsigned int extents[] = { PAGES, 5, 1 };
	static const int errors[] = { -EIO, -EFAULT };
	uint32_t bad[2 * PAGES + 2];
	size_t n = 0;

	(void)state;
	/* none, each page alone, each with two more behind it, all */
	bad[n++] = 0;
	for (unsigned int page = 0; page < PAGES; page++) {
		bad[n++] = 1u << page;
		bad[n++] = 1u << page | 1u << (page + 1) % PAGES | 1u << (PAGES - 1);
	}
	bad[n++] = UINT32_MAX;
	for (size_t i = 0; i < n * 3 * 2 * (INTERRUPTED + 1); i++) {
		dax.bad = bad[i % n];
		dax.extent = extents[i / n % 3];
		dax.error = errors[i / n / 3 % 2];
		dax.meaning = (enum meaning)(i / n / 6);
		for (uint32_t flag = 0; flag <= FLAG; flag += FLAG) {
			/* a kernel that only pretends is found out by its EIO */
			if (flag && dax.meaning == STUBBORN && dax.error == -EFAULT)
				continue;
			recover_once(flag, 0, SIZE);
			recover_once(flag, 0, SIZE + 100);
			recover_once(flag, 3 * PMR_PAGE, 7 * PMR_PAGE);
			recover_once(flag, 2 * PMR_PAGE, PMR_PAGE);
			recover_once(flag, 2 * PMR_PAGE + 512, 6 * PMR_PAGE);
			recover_once(flag, SIZE, PMR_PAGE);
		}
	}
}

/* A machine check in the middle of a copy: what is told ends at the page's edge. */
static void test_recover_partly(void **state)
{
	(void)state;
	memset(&dax, 0, sizeof(dax));
	dax.bad = 1u << 5;
	dax.error = -EFAULT;
	dax.extent = PAGES;
	dax.partly = 1000;
	for (uint32_t flag = 0; flag <= FLAG; flag += FLAG) {
		recover_once(flag, 0, SIZE);
		recover_once(flag, 5 * PMR_PAGE, PMR_PAGE);
		recover_once(flag, 5 * PMR_PAGE + 512, PMR_PAGE);
	}
}

/* ---- loads */

#define WHOLE (3 * PMR_PAGE) /* what there is of it; the mapping reaches further */
#define CLAIMED (5 * PMR_PAGE)

static struct pmr_media *open_loads(char *bytes)
{
	int fd = memfd_create("loads", MFD_CLOEXEC);
	struct pmr_media *media = NULL;

	assert_true(fd >= 0);
	for (size_t i = 0; i < WHOLE; i++)
		bytes[i] = (char)(i * 7 + i / 251 + 1);
	assert_int_equal(write(fd, bytes, WHOLE), WHOLE);
	assert_int_equal(pmr_media_open_loads(fd, CLAIMED, PMR_PAGE, true, &media), 0);
	return media;
}

static void test_load(void **state)
{
	static const struct {
		uint64_t offset;
		size_t length;
		int ret;
		size_t got;
	} rows[] = {
		{ 0, WHOLE, 0, WHOLE },
		{ PMR_SECTOR, PMR_SECTOR, 0, PMR_SECTOR },
		{ 0, CLAIMED, -EIO, WHOLE },
		{ WHOLE - PMR_SECTOR, 2 * PMR_SECTOR, -EIO, PMR_SECTOR },
		{ WHOLE, PMR_PAGE, -EIO, 0 },
		{ CLAIMED - PMR_SECTOR, 2 * PMR_SECTOR, -EINVAL, 0 },
		{ UINT64_MAX - PMR_SECTOR + 1, PMR_SECTOR, -EINVAL, 0 },
	};
	char bytes[WHOLE], buffer[CLAIMED];
	struct pmr_media *media;
	size_t got;

	(void)state;
	assert_int_equal(pmr_nofault_init(), 0);
	media = open_loads(bytes);
	assert_int_equal(pmr_media_block(media), PMR_SECTOR);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(buffer, 0, sizeof(buffer));
		assert_int_equal(
			pmr_media_load(media, rows[i].offset, buffer, rows[i].length, &got),
			rows[i].ret);
		assert_int_equal(got, rows[i].got);
		assert_memory_equal(buffer, bytes + (got ? rows[i].offset : 0), got);
	}
	assert_int_equal(pmr_media_read_block(media, 0, buffer, WHOLE), 0);
	assert_int_equal(pmr_media_read_block(media, 0, buffer, CLAIMED), -EIO);
	pmr_media_close(media);
	/* what cannot be mapped */
	assert_int_equal(pmr_media_open_loads(0, 0, 0, false, &media), -EINVAL);
	assert_int_equal(pmr_media_open_loads(0, 3 * PMR_PAGE, 2 * PMR_PAGE, false, &media),
			 -EINVAL);
	assert_int_equal(pmr_media_open_loads(0, 3 * PMR_PAGE, 3 * PMR_PAGE, false, &media),
			 -EINVAL);
	pmr_nofault_release();
}

/* Stores, too, end where there is nothing. */
static void test_store(void **state)
{
	char bytes[WHOLE], buffer[WHOLE];
	struct pmr_media *media;
	int wanted = 0;

	(void)state;
#ifndef HAVE_LIBPMEM
	wanted = -EOPNOTSUPP;
#endif
	assert_int_equal(pmr_nofault_init(), 0);
	media = open_loads(bytes);
	memset(bytes + PMR_SECTOR, 'y', PMR_SECTOR);
	assert_int_equal(pmr_media_write_block(media, PMR_SECTOR, bytes + PMR_SECTOR, PMR_SECTOR),
			 wanted);
	if (!wanted) {
		assert_int_equal(pmr_media_read_block(media, 0, buffer, WHOLE), 0);
		assert_memory_equal(buffer, bytes, WHOLE);
		assert_int_equal(pmr_media_write_block(media, WHOLE, bytes, PMR_SECTOR), -EIO);
		assert_int_equal(pmr_media_write_block(media, CLAIMED, bytes, PMR_SECTOR), -EINVAL);
	}
	pmr_media_close(media);
	pmr_nofault_release();
}

static volatile sig_atomic_t faults;

static void count_fault(int signal, siginfo_t *info, void *ucontext)
{
	faults++;
	if (!pmr_nofault_handle(signal, info, ucontext))
		abort();
}

/* What stopped a load is not loaded again, whoever asks for it: each time is a machine check. */
static void test_load_once(void **state)
{
	static const struct pmr_ranges none;
	const unsigned int sectors = (CLAIMED - WHOLE) / PMR_SECTOR;
	struct sigaction action = { .sa_sigaction = count_fault,
				    .sa_flags = SA_SIGINFO | SA_NODEFER },
			 before;
	char bytes[WHOLE], buffer[CLAIMED];
	struct pmr_ranges unreadable = { 0 };
	struct pmr_media *media;
	size_t got;

	(void)state;
	assert_int_equal(sigaction(SIGBUS, &action, &before), 0);
	media = open_loads(bytes);
	faults = 0;
	/* out of order, and from the middle */
	for (int times = 0; times < 2; times++) {
		assert_int_equal(
			pmr_media_load(media, CLAIMED - PMR_SECTOR, buffer, PMR_SECTOR, &got),
			-EIO);
		assert_int_equal(got, 0);
		assert_int_equal(pmr_media_load(media, 0, buffer, CLAIMED, &got), -EIO);
		assert_int_equal(got, WHOLE);
		assert_int_equal(faults, 2);
	}
	for (int times = 0; times < 2; times++) {
		unreadable.n = 0;
		assert_int_equal(pmr_media_salvage(media, 0, CLAIMED, &none, buffer, &unreadable),
				 0);
		assert_int_equal(pmr_ranges_bytes(&unreadable), CLAIMED - WHOLE);
		assert_memory_equal(buffer, bytes, WHOLE);
		assert_int_equal(pmr_media_confirm(media, WHOLE, PMR_PAGE, &unreadable), 0);
		assert_int_equal(faults, sectors);
	}
	pmr_ranges_release(&unreadable);
	pmr_media_close(media);
	assert_int_equal(sigaction(SIGBUS, &before, NULL), 0);
}

/* But it is once it was stored: who else would see that it is good again? */
static void test_load_stored(void **state)
{
	char bytes[CLAIMED], buffer[CLAIMED];
	struct pmr_media *media;
	int fd = memfd_create("loads", MFD_CLOEXEC);
	int wanted = 0;
	size_t got;

	(void)state;
#ifndef HAVE_LIBPMEM
	wanted = -EOPNOTSUPP;
#endif
	assert_int_equal(pmr_nofault_init(), 0);
	memset(bytes, 'y', sizeof(bytes));
	assert_int_equal(pmr_media_open_loads(fd, CLAIMED, PMR_PAGE, true, &media), 0);
	for (uint64_t at = 0; at < CLAIMED; at += PMR_SECTOR)
		assert_int_equal(pmr_media_load(media, at, buffer, PMR_SECTOR, &got), -EIO);
	/* as if poison had been cleared: the end of a file is no longer in the way */
	assert_int_equal(ftruncate(fd, CLAIMED), 0);
	assert_int_equal(pmr_media_load(media, 0, buffer, PMR_SECTOR, &got), -EIO);
	assert_int_equal(pmr_media_write_block(media, PMR_PAGE, bytes, 2 * PMR_SECTOR), wanted);
	if (!wanted) {
		assert_int_equal(pmr_media_load(media, PMR_PAGE, buffer, PMR_PAGE, &got), -EIO);
		assert_int_equal(got, 2 * PMR_SECTOR);
		assert_memory_equal(buffer, bytes, got);
		assert_int_equal(
			pmr_media_load(media, PMR_PAGE - PMR_SECTOR, buffer, PMR_SECTOR, &got),
			-EIO);
		assert_int_equal(pmr_media_write_block(media, 0, bytes, CLAIMED), 0);
		assert_int_equal(pmr_media_read_block(media, 0, buffer, CLAIMED), 0);
		assert_memory_equal(buffer, bytes, CLAIMED);
	}
	pmr_media_close(media);
	pmr_nofault_release();
}

static void test_salvage_loads(void **state)
{
	struct pmr_range bad[] = { { PMR_SECTOR, PMR_SECTOR }, { 2 * PMR_PAGE, PMR_PAGE } };
	const struct pmr_ranges listed = { bad, 2, 2 };
	struct pmr_ranges unreadable = { 0 };
	char bytes[WHOLE], buffer[CLAIMED], left[CLAIMED];
	enum pmr_page_state page;
	struct pmr_media *media;

	(void)state;
	assert_int_equal(pmr_nofault_init(), 0);
	media = open_loads(bytes);
	memset(buffer, 'x', sizeof(buffer));
	memset(left, 'x', sizeof(left));
	assert_int_equal(pmr_media_salvage(media, 0, CLAIMED, &listed, buffer, &unreadable), 0);
	/* what is listed and what fails, which follow each other */
	assert_int_equal(unreadable.n, 2);
	assert_int_equal(unreadable.v[0].offset, PMR_SECTOR);
	assert_int_equal(unreadable.v[0].length, PMR_SECTOR);
	assert_int_equal(unreadable.v[1].offset, 2 * PMR_PAGE);
	assert_int_equal(unreadable.v[1].length, 3 * PMR_PAGE);
	assert_memory_equal(buffer, bytes, PMR_SECTOR);
	assert_memory_equal(buffer + PMR_SECTOR, left, PMR_SECTOR);
	assert_memory_equal(buffer + 2 * PMR_SECTOR, bytes + 2 * PMR_SECTOR,
			    2 * PMR_PAGE - 2 * PMR_SECTOR);
	assert_memory_equal(buffer + 2 * PMR_PAGE, left, 3 * PMR_PAGE);
	unreadable.n = 0;
	assert_int_equal(pmr_media_confirm(media, 2 * PMR_PAGE, 2 * PMR_PAGE, &unreadable), 0);
	assert_int_equal(unreadable.n, 1);
	assert_int_equal(unreadable.v[0].offset, 3 * PMR_PAGE);
	unreadable.n = 0;
	assert_int_equal(pmr_media_page_state(media, 0, &listed, &page, &unreadable), 0);
	assert_int_equal(page, PMR_PAGE_OK);
	assert_int_equal(pmr_media_page_state(media, 4 * PMR_PAGE, &listed, &page, &unreadable), 0);
	assert_int_equal(page, PMR_PAGE_OFFLINED);
	pmr_ranges_release(&unreadable);
	pmr_media_close(media);
	pmr_nofault_release();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),	      cmocka_unit_test(test_store),
		cmocka_unit_test(test_load_once),     cmocka_unit_test(test_load_stored),
		cmocka_unit_test(test_salvage_loads), cmocka_unit_test(test_read_cached),
		cmocka_unit_test(test_recover),	      cmocka_unit_test(test_recover_partly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
