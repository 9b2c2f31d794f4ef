// SPDX-License-Identifier: GPL-2.0-or-later
/* One line of progress on stderr, where that is a terminal. */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"
#include "text.h"

/* Milliseconds between two lines. */
#define INTERVAL 200u
/* What has not been drawn for so long has ended. */
#define OVER 2000u

/* What a person reads for a phase, and what it counts: NULL for bytes. The last one stands for a phase without a name. */
static const struct phase {
	const char *word;
	const char *text;
	const char *noun;
} phases[PROGRESS_PHASES] = {
	{ "read", "reading media", NULL },
	{ "scrub", "scrub", "second" },
	{ "scan", "scan", "file" },
	{ "inodes", "inode table", "inode" },
	{ "names", "looking for names", "name" },
	{ "salvage", "salvage", NULL },
	{ "repair", "repair", NULL },
	{ NULL, NULL, NULL },
};

void progress_init(struct progress *progress, bool quiet)
{
	*progress = (struct progress){ .enabled = !quiet && isatty(STDERR_FILENO) == 1 };
}

/* Asked for every file of a walk: the coarse clock is read without a system call, and is fine enough. */
static bool is_due(struct progress *progress, const struct pmr_progress *how_far, uint64_t *now)
{
	struct timespec time;

	if (clock_gettime(CLOCK_MONOTONIC_COARSE, &time))
		return false;
	*now = (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
	if (how_far->total)
		progress->sure = *now;
	/* nothing is drawn for work that ends within the first interval */
	if (!progress->last)
		progress->last = *now;
	return *now - progress->last >= INTERVAL;
}

size_t progress_phase(const struct pmr_progress *how_far)
{
	size_t i = 0;

	while (phases[i].word && strcmp(phases[i].word, how_far->phase))
		i++;
	return i;
}

bool progress_is_turn(const struct progress *progress, const struct pmr_progress *how_far,
		      uint64_t now)
{
	if (how_far->total)
		return true;
	if (progress->sure && now - progress->sure < OVER)
		return false;
	return !progress->shown || now - progress->last >= OVER ||
	       progress_phase(how_far) == progress->phase;
}

static void print_amount(const struct phase *phase, uint64_t amount, const char *noun, FILE *out)
{
	if (!phase->noun)
		text_print_size(out, amount);
	else if (noun)
		text_print_count(out, amount, noun);
	else
		fprintf(out, "%" PRIu64, amount);
}

void progress_print(struct progress *progress, const struct pmr_progress *how_far, uint64_t now,
		    FILE *out)
{
	size_t i = progress_phase(how_far);
	const struct phase *phase = &phases[i];
	struct rate *rate = &progress->rates[i];
	/* a total may be an estimate */
	uint64_t total = how_far->done > how_far->total ? 0 : how_far->total;
	uint64_t per_second, left;
	char text[64];

	rate_add(rate, now, how_far->done);
	fprintf(out, "%s: ", phase->text ? phase->text : how_far->phase);
	print_amount(phase, how_far->done, phase->noun, out);
	if (total) {
		fputs(" of ", out);
		print_amount(phase, total, NULL, out);
	}
	if (rate_get(rate, &per_second) && per_second) {
		fputs(" (", out);
		print_amount(phase, per_second, NULL, out);
		fputs("/s)", out);
	}
	if (rate_left(rate, how_far->done, total, &left))
		fprintf(out, ", %s", rate_format_left(left, text, sizeof(text)));
	if (how_far->object) {
		fputs(", ", out);
		text_print_safe(out, how_far->object);
	}
}

void progress_update(void *data, const struct pmr_progress *how_far)
{
	struct progress *progress = data;
	uint64_t now;

	if (!progress->enabled || !is_due(progress, how_far, &now) ||
	    !progress_is_turn(progress, how_far, now))
		return;
	progress->last = now;
	progress->phase = progress_phase(how_far);
	/* No wrap while the line is drawn: what wrapped could not be erased. */
	fputs("\r\033[K\033[?7l", stderr);
	progress_print(progress, how_far, now, stderr);
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
