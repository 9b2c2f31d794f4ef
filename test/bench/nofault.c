/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nofault: pmr_copy_nofault() against memcpy() for 1 MiB, in turn; the median of the ratios counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pmem-recover.h"

#define LENGTH (1024u * 1024)
#define ROUNDS 301
#define COPIES 8

typedef void *(*copy_fn)(void *to, const void *from, size_t length);

static void *nofault(void *to, const void *from, size_t length)
{
	if (pmr_copy_nofault(to, from, length) != length)
		abort();
	return to;
}

static double seconds(copy_fn copy, char *to, const char *from)
{
	struct timespec begin, end;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < COPIES; i++)
		copy(to, from, LENGTH);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
}

static int compare(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), compare);
	return v[ROUNDS / 2];
}

int main(void)
{
	static const struct {
		const char *what;
		unsigned int to;
		unsigned int from;
	} places[] = {
		{ "aligned", 0, 0 },
		{ "source off by 3", 0, 3 },
		{ "destination off by 5", 5, 0 },
		{ "both off by 7", 7, 7 },
	};
	/* Volatile, so that the compiler does not know whose it is. */
	copy_fn volatile copies[] = { nofault, memcpy };
	static double times[2][ROUNDS], ratios[ROUNDS];
	char *to = aligned_alloc(PMR_PAGE, LENGTH + PMR_PAGE);
	char *from = aligned_alloc(PMR_PAGE, LENGTH + PMR_PAGE);

	if (!to || !from || pmr_nofault_init() != 0)
		return 1;
	memset(to, 1, LENGTH + PMR_PAGE);
	memset(from, 2, LENGTH + PMR_PAGE);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		double ratio;

		for (int round = 0; round < ROUNDS; round++) {
			/* Who is first changes: a step of the clock's frequency then favours neither. */
			for (int turn = 0; turn < 2; turn++) {
				int who = (round + turn) % 2;

				times[who][round] = seconds(copies[who], to + places[i].to,
							    from + places[i].from);
			}
			ratios[round] = times[0][round] / times[1][round];
		}
		ratio = median(ratios);
		printf("figure nofault copy of 1 MiB, %s: ratio %.3f (goal at most 1.05, %s); %.1f us against %.1f us for: memcpy\n",
		       places[i].what, ratio, ratio <= 1.05 ? "met" : "MISSED",
		       median(times[0]) / COPIES * 1e6, median(times[1]) / COPIES * 1e6);
	}
	pmr_nofault_release();
	free(to);
	free(from);
	return 0;
}
