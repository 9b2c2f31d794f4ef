// SPDX-License-Identifier: GPL-2.0-or-later
/* One line of progress on stderr, where that is a terminal. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "text.h"

void progress_init(struct progress *progress, bool quiet)
{
	*progress = (struct progress){ .enabled = !quiet && isatty(STDERR_FILENO) == 1 };
}

static bool is_due(struct progress *progress)
{
	struct timespec now;
	int64_t passed;

	if (clock_gettime(CLOCK_MONOTONIC, &now))
		return false;
	passed = ((int64_t)now.tv_sec - progress->last.tv_sec) * 1000 +
		 (now.tv_nsec - progress->last.tv_nsec) / 1000000;
	/* nothing is drawn for work that ends within the first interval */
	if (progress->last.tv_sec == 0) {
		progress->last = now;
		return false;
	}
	if (passed < 200)
		return false;
	progress->last = now;
	return true;
}

static void print_amount(const struct pmr_progress *how_far)
{
	bool bytes = strcmp(how_far->phase, "scan") != 0;

	if (bytes)
		text_print_size(stderr, how_far->done);
	else
		text_print_count(stderr, how_far->done, "file");
	if (how_far->total == 0)
		return;
	fputs(" of ", stderr);
	if (bytes)
		text_print_size(stderr, how_far->total);
	else
		fprintf(stderr, "%" PRIu64, how_far->total);
}

void progress_update(void *data, const struct pmr_progress *how_far)
{
	struct progress *progress = data;

	if (!progress->enabled || !is_due(progress))
		return;
	/* No wrap while the line is drawn: what wrapped could not be erased. */
	fprintf(stderr, "\r\033[K\033[?7l%s: ", how_far->phase);
	print_amount(how_far);
	if (how_far->object) {
		fputs(", ", stderr);
		text_print_safe(stderr, how_far->object);
	}
	fputs("\033[?7h", stderr);
	fflush(stderr);
	progress->shown = true;
}

void progress_erase(struct progress *progress)
{
	if (!progress->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress->shown = false;
}
