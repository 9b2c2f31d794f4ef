/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast work gets on, and when it will be done: pure, from samples.
 */
#ifndef CLI_RATE_H
#define CLI_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** RATE_WINDOW - milliseconds that a rate is taken over, where there are samples enough */
#define RATE_WINDOW 5000u
/** RATE_SAMPLES - enough for a window with one in 200 ms */
#define RATE_SAMPLES 32u

/** struct rate - samples of the last seconds, oldest first; zero-initialise */
struct rate {
	struct rate_sample {
		uint64_t time; /* milliseconds, of any clock that does not go back */
		uint64_t done;
	} v[RATE_SAMPLES];
	size_t n;
};

/**
 * rate_add() - so much was done by now
 *
 * Where that is less than before it is other work, and what was sampled of more than this does not count any more.
 */
void rate_add(struct rate *rate, uint64_t time, uint64_t done);

/** rate_get() - how much is done in a second. Return: whether it can be told. */
bool rate_get(const struct rate *rate, uint64_t *per_second);

/**
 * rate_left() - how many seconds are left, at least 1
 * @done: of @total, which is 0 where it is not known
 *
 * Return: whether it can be told: not for what has just begun or stands still, and not once everything is done.
 */
bool rate_left(const struct rate *rate, uint64_t done, uint64_t total, uint64_t *seconds);

/** rate_format_left() - "about 40 s left", "about 2 min left": no more exact than it can be known. Return: @text. */
char *rate_format_left(uint64_t seconds, char *text, size_t size);

#endif
