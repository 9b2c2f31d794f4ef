// SPDX-License-Identifier: GPL-2.0-or-later
/* How fast work gets on, and when it will be done: pure, from samples. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "rate.h"

/* What was seen for less than this tells too little. */
#define ENOUGH_FOR_RATE 1000u
#define ENOUGH_FOR_ESTIMATE 2000u

#define MINUTE 60u
#define HOUR 3600u
#define DAY 86400u
/* Nobody waits for what takes longer, and it is a guess. */
#define TOO_LONG (100.0 * DAY)

static void drop_oldest(struct rate *rate)
{
	memmove(&rate->v[0], &rate->v[1], --rate->n * sizeof(rate->v[0]));
}

void rate_add(struct rate *rate, uint64_t time, uint64_t done)
{
	while (rate->n && (rate->v[rate->n - 1].done > done || rate->v[rate->n - 1].time > time))
		rate->n--;
	/* one that is older than the window stays: where samples are far apart it is all there is to compare with */
	while (rate->n >= 2 && time - rate->v[1].time >= RATE_WINDOW)
		drop_oldest(rate);
	if (rate->n == RATE_SAMPLES)
		drop_oldest(rate);
	rate->v[rate->n++] = (struct rate_sample){ time, done };
}

/* Return: how much was done in how many milliseconds, 0 where that is less than enough of them. */
static uint64_t advance(const struct rate *rate, uint64_t enough, uint64_t *span)
{
	const struct rate_sample *first = &rate->v[0], *last;

	if (rate->n < 2)
		return 0;
	last = &rate->v[rate->n - 1];
	*span = last->time - first->time;
	return *span < enough ? 0 : last->done - first->done;
}

bool rate_get(const struct rate *rate, uint64_t *per_second)
{
	uint64_t span, done = advance(rate, ENOUGH_FOR_RATE, &span);

	if (!done)
		return false;
	/* in this order nothing can overflow, since a span is at least a second */
	*per_second = done / span * 1000 + done % span * 1000 / span;
	return true;
}

bool rate_left(const struct rate *rate, uint64_t done, uint64_t total, uint64_t *seconds)
{
	uint64_t span, advanced = advance(rate, ENOUGH_FOR_ESTIMATE, &span);
	double left;

	if (!advanced || done >= total)
		return false;
	left = (double)(total - done) * (double)span / 1000 / (double)advanced;
	if (left < 1 || left > TOO_LONG)
		return false;
	*seconds = (uint64_t)left;
	return true;
}

char *rate_format_left(uint64_t seconds, char *text, size_t size)
{
	static const struct {
		uint64_t below; /* seconds, rounded to the unit */
		uint64_t unit;
		const char *name;
	} units[] = {
		{ 100 * MINUTE, MINUTE, "min" },
		{ 48 * HOUR, HOUR, "h" },
		{ UINT64_MAX, DAY, "days" },
	};
	size_t i = 0;

	if (seconds <= 10) {
		snprintf(text, size, "about %" PRIu64 " s left", seconds);
	} else if (seconds <= 55) {
		snprintf(text, size, "about %" PRIu64 " s left", (seconds + 4) / 5 * 5);
	} else {
		while (seconds + units[i].unit / 2 >= units[i].below)
			i++;
		snprintf(text, size, "about %" PRIu64 " %s left",
			 (seconds + units[i].unit / 2) / units[i].unit, units[i].name);
	}
	return text;
}
