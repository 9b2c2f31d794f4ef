/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes in the background: in order, from buffers that are not touched before they are written, and none after a failure. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "salvage/salvage.h"

#define ROUNDS 300u
#define SIZE (ROUNDS * 3000u)

static int make_file(void)
{
	char path[] = "/tmp/pmr-behind-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

/* Each round writes three pieces; the last one overwrites what the one before wrote, which an order must keep. */
static void write_round(struct pmr_behind *b, unsigned int round, int *ret)
{
	static const char elsewhere[100] = { 'e' };
	uint64_t at = round * 3000u;
	char *buffer = pmr_behind_buffer(b);

	memset(buffer, (int)round, 2000);
	memset(buffer + 2000, (int)round + 1, 1000);
	*ret = pmr_behind_write(b, at, buffer, 3000);
	if (!*ret)
		*ret = pmr_behind_write(b, at + 500, buffer + 2000, 700);
	if (!*ret && round % 50 == 7)
		*ret = pmr_behind_write(b, at + 600, elsewhere, sizeof(elsewhere));
}

static char expected(uint64_t at)
{
	unsigned int round = (unsigned int)(at / 3000), in = (unsigned int)(at % 3000);

	if (round % 50 == 7 && in >= 600 && in < 700)
		return in == 600 ? 'e' : 0;
	return (char)(in >= 2000 || (in >= 500 && in < 1200) ? round + 1 : round);
}

static void test_order(void **state)
{
	char *read = malloc(SIZE);
	struct pmr_behind *b;
	uint64_t failed_at;
	int fd = make_file(), ret;

	(void)state;
	assert_non_null(read);
	assert_int_equal(pmr_behind_new(fd, &b), 0);
	assert_int_equal(pmr_behind_drain(b, &failed_at), 0);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		write_round(b, round, &ret);
		assert_int_equal(ret, 0);
		if (round % 97 == 0)
			assert_int_equal(pmr_behind_drain(b, &failed_at), 0);
	}
	pmr_behind_free(b);
	assert_int_equal(pread(fd, read, SIZE, 0), SIZE);
	for (uint64_t at = 0; at < SIZE; at++)
		assert_int_equal(read[at], expected(at));
	close(fd);
	free(read);
}

static void test_failure(void **state)
{
	const struct rlimit limit = { 100000, RLIM_INFINITY };
	struct rlimit before;
	struct pmr_behind *b;
	uint64_t failed_at = 0;
	int fd = make_file(), ret = 0;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(pmr_behind_new(fd, &b), 0);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		write_round(b, round, &ret);
		if (ret)
			break;
	}
	assert_int_equal(pmr_behind_drain(b, &failed_at), -EFBIG);
	assert_int_equal(failed_at, 99000);
	/* what comes later is not written, be there room or not */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(pmr_behind_write(b, 0, pmr_behind_buffer(b), 10), -EFBIG);
	assert_int_equal(pmr_behind_write(b, 0, "elsewhere", 9), -EFBIG);
	assert_int_equal(pmr_behind_drain(b, &failed_at), -EFBIG);
	assert_int_equal(failed_at, 99000);
	pmr_behind_free(b);
	assert_int_equal(lseek(fd, 0, SEEK_END), 100000);
	close(fd);
}

static void test_none(void **state)
{
	struct pmr_behind *b;
	int fd = make_file();

	(void)state;
	pmr_behind_free(NULL);
	assert_int_equal(pmr_behind_new(fd, &b), 0);
	pmr_behind_free(b);
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
