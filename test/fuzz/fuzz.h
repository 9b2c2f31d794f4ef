/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share. A target is one function that gives any bytes to a parser and checks what comes out; it
 * calls understood() where the bytes were taken, so that a run in which nothing ever was can be told from a good one.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

/* libFuzzer's names: what it calls, and what it offers. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* What a result holds ahead of a call that must not touch it when it fails. */
#define UNTOUCHED 0xa5

#define check(condition)                                                                        \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

static unsigned long n_understood;

static inline void understood(void)
{
	n_understood++;
}

__attribute__((destructor)) static void tell_understood(void)
{
	fprintf(stderr, "understood: %lu\n", n_understood);
}

static inline bool is_untouched(const void *result, size_t size)
{
	const unsigned char *bytes = result;

	for (size_t i = 0; i < size; i++)
		if (bytes[i] != UNTOUCHED)
			return false;
	return true;
}

/* Sorted, none empty, none that touch, none past @end. */
static inline void check_normal(const struct pmr_ranges *ranges, uint64_t end)
{
	uint64_t after = 0;

	check(ranges->n <= ranges->alloc);
	for (size_t i = 0; i < ranges->n; i++) {
		const struct pmr_range *range = &ranges->v[i];

		check(range->length && range->offset <= end);
		check(range->length <= end - range->offset);
		check(!i || range->offset > after);
		after = range->offset + range->length;
	}
}

static inline void check_same_ranges(const struct pmr_ranges *a, const struct pmr_ranges *b)
{
	check(a->n == b->n);
	check(!a->n || !memcmp(a->v, b->v, a->n * sizeof(*a->v)));
}

static inline bool is_same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* ---- messages */

struct heard {
	unsigned int errors;
};

static inline void hear(void *data, const struct pmr_message *message)
{
	struct heard *heard = data;

	check(message->code && message->object && message->text && *message->text);
	heard->errors += message->level == PMR_ERROR;
}

#endif
