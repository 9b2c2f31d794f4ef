/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* So many bytes a second: how long to wait before the next read. */

#include "sweep.h"

#define SECOND UINT64_C(1000000000)
/* How many pieces a second is read in at least. */
#define PIECES 20u

uint64_t pmr_pace_wait(struct pmr_pace *pace, uint64_t now)
{
	if (!pace->rate)
		return 0;
	if (!pace->begun) {
		pace->begun = true;
		pace->due = now;
	}
	/* after a long halt there is no burst */
	if (pace->due + PMR_PACE_SLACK < now)
		pace->due = now - PMR_PACE_SLACK;
	return pace->due > now ? pace->due - now : 0;
}

void pmr_pace_add(struct pmr_pace *pace, uint64_t bytes)
{
	if (!pace->rate)
		return;
	/* seconds by themselves, so that no product of bytes and nanoseconds can be too large: a rest is less than @rate */
	pace->due += bytes / pace->rate * SECOND;
	pace->due += (uint64_t)((long double)(bytes % pace->rate) * SECOND / pace->rate);
}

size_t pmr_pace_piece(const struct pmr_pace *pace, size_t most, size_t block)
{
	size_t piece = most;

	if (pace->rate && pace->rate / PIECES < most)
		piece = (size_t)(pace->rate / PIECES);
	piece -= piece % block;
	return piece ? piece : block;
}
