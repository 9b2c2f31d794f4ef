/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the page cache is asked for: never a page that the kernel does not say it has. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_cached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
