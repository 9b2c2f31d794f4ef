/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One line of progress on stderr, where that is a terminal.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <time.h>

#include "pmem-recover.h"

/**
 * struct progress - the line and when it was last drawn
 * @enabled: stderr is a terminal and nobody asked for quiet
 * @shown: there is a line to erase
 * @last: when it was drawn
 */
struct progress {
	bool enabled;
	bool shown;
	struct timespec last;
};

/** progress_init() - nothing shown; @quiet for never */
void progress_init(struct progress *progress, bool quiet);
/** progress_update() - a pmr_progress_fn; draws at most five times a second */
void progress_update(void *data, const struct pmr_progress *how_far);
/** progress_erase() - take the line away before anything else is printed */
void progress_erase(struct progress *progress);

#endif
