/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As much of cmocka as a unit test needs that runs where there is none: built for another architecture. */
#ifndef PLAIN_CMOCKA_H
#define PLAIN_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>

struct CMUnitTest {
	const char *name;
	void (*run)(void **state);
};

#define cmocka_unit_test(function)  \
	{                           \
#function, function \
	}
#define assert_true(condition) \
	((condition) ? (void)0 : plain_fail(__FILE__, __LINE__, #condition, 0, 1))
#define assert_int_equal(a, b)            \
	((long long)(a) == (long long)(b) \
		 ? (void)0                \
		 : plain_fail(__FILE__, __LINE__, #a " == " #b, (long long)(a), (long long)(b)))

static inline void plain_fail(const char *file, int line, const char *what, long long a,
			      long long b)
{
	fprintf(stderr, "%s:%d: %s: %lld is not %lld\n", file, line, what, a, b);
	exit(1);
}

#define cmocka_run_group_tests(tests, setup, teardown) \
	plain_run(tests, sizeof(tests) / sizeof((tests)[0]))

static inline int plain_run(const struct CMUnitTest *tests, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		tests[i].run(NULL);
		printf("ok - %s\n", tests[i].name);
	}
	return 0;
}

#endif
