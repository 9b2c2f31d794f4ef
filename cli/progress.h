/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One line of progress on stderr, where that is a terminal.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "pmem-recover.h"
#include "rate.h"

/** PROGRESS_PHASES - the words of struct pmr_progress, and one for all others */
#define PROGRESS_PHASES 8

/**
 * struct progress - the line and when it was last drawn
 * @enabled: stderr is a terminal and nobody asked for quiet
 * @shown: there is a line to erase
 * @last: when it was drawn, in milliseconds; 0 before the first update
 * @phase: which phase it was of
 * @sure: when something was told whose end is known; 0 for never
 * @rates: of each phase, for they may take turns
 */
struct progress {
	bool enabled;
	bool shown;
	uint64_t last;
	size_t phase;
	uint64_t sure;
	struct rate rates[PROGRESS_PHASES];
};

/** progress_init() - nothing shown; @quiet for never */
void progress_init(struct progress *progress, bool quiet);
/** progress_update() - a pmr_progress_fn; draws at most five times a second, and costs next to nothing between */
void progress_update(void *data, const struct pmr_progress *how_far);
/** progress_erase() - take the line away before anything else is printed */
void progress_erase(struct progress *progress);

/** progress_phase() - which of PROGRESS_PHASES it is */
size_t progress_phase(const struct pmr_progress *how_far);
/**
 * progress_is_turn() - whether the line may be of this phase now
 *
 * Work within work takes turns with it in telling, and the line would flicker: it is of that whose end is known as long as
 * that goes on, and else stays with what it was of.
 */
bool progress_is_turn(const struct progress *progress, const struct pmr_progress *how_far,
		      uint64_t now);
/**
 * progress_print() - "scan: 300 files of 1000 (50/s), about 15 s left, /mnt/file": the line without what draws it
 * @now: milliseconds
 */
void progress_print(struct progress *progress, const struct pmr_progress *how_far, uint64_t now,
		    FILE *out);

#endif
