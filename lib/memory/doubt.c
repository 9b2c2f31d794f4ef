/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in doubt of lists that were once cut or full, and what settles it. Pure. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doubt.h"

#define FIRST_LINE "# pmem-recover doubt 1\n"
#define LAST_LINE "# end\n"
#define LINE_LIMIT 128

bool pmr_doubt_is(const struct pmr_doubt *doubt)
{
	return doubt->list || doubt->region;
}

bool pmr_doubt_is_settled(const struct pmr_doubt *doubt, const struct pmr_doubt_now *now)
{
	if (!now->can_scrub || !now->has_room || !*doubt->boot || !*now->boot)
		return false;
	if (strcmp(doubt->boot, now->boot) != 0)
		return now->scrubs.count > 0;
	return doubt->has_room && now->scrubs.count > doubt->room;
}

bool pmr_doubt_see(struct pmr_doubt *doubt, const struct pmr_doubt_now *now)
{
	const struct pmr_doubt before = *doubt;

	if (!now->has_room || !*doubt->boot) {
		snprintf(doubt->boot, sizeof(doubt->boot), "%s", now->boot);
		doubt->has_room = false;
		doubt->room = 0;
	} else if (now->can_scrub && !doubt->has_room && strcmp(doubt->boot, now->boot) == 0) {
		doubt->has_room = true;
		/* one that is at work may be past what it did not find room for */
		doubt->room = (uint64_t)now->scrubs.count + now->scrubs.is_running;
	}
	return strcmp(before.boot, doubt->boot) != 0 || before.has_room != doubt->has_room ||
	       before.room != doubt->room;
}

/* ---- the text */

static int take_boot(const char *value, struct pmr_doubt *doubt)
{
	if (!*value || strlen(value) >= sizeof(doubt->boot) || strchr(value, ' '))
		return -EBADMSG;
	strcpy(doubt->boot, value);
	return 0;
}

static int take_room(const char *value, struct pmr_doubt *doubt)
{
	uint64_t number = 0;

	if (!*value)
		return -EBADMSG;
	for (; *value; value++) {
		if (*value < '0' || *value > '9' || __builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (unsigned int)(*value - '0'), &number))
			return -EBADMSG;
	}
	doubt->has_room = true;
	doubt->room = number;
	return 0;
}

/* A line of ours, behind its "# ". Others are for people, or of a later time. */
static int take_line(char *line, struct pmr_doubt *doubt)
{
	char *value = strchr(line, ' ');

	if (value)
		*value++ = '\0';
	if (strcmp(line, "boot") == 0)
		return take_boot(value ? value : "", doubt);
	if (strcmp(line, "room") == 0)
		return take_room(value ? value : "", doubt);
	if (strcmp(line, "list") == 0 && !value)
		doubt->list = true;
	else if (strcmp(line, "region") == 0 && !value)
		doubt->region = true;
	return 0;
}

int pmr_doubt_parse(const char *text, size_t length, struct pmr_doubt *doubt)
{
	size_t first = strlen(FIRST_LINE), last = strlen(LAST_LINE);
	const char *end = text + length, *newline;
	struct pmr_doubt made = { 0 };
	char line[LINE_LIMIT];
	int err = 0;

	if (length < first + last || memcmp(text, FIRST_LINE, first) != 0 ||
	    memcmp(end - last, LAST_LINE, last) != 0 || memchr(text, '\0', length))
		return -EBADMSG;
	for (text += first; text < end && !err; text = newline + 1) {
		newline = memchr(text, '\n', (size_t)(end - text));
		if (!newline || newline - text >= LINE_LIMIT || newline - text < 2 ||
		    memcmp(text, "# ", 2) != 0)
			return -EBADMSG;
		memcpy(line, text + 2, (size_t)(newline - text - 2));
		line[newline - text - 2] = '\0';
		err = take_line(line, &made);
	}
	if (!err && !pmr_doubt_is(&made))
		err = -EBADMSG;
	if (err)
		return err;
	*doubt = made;
	return 0;
}

char *pmr_doubt_format(const struct pmr_doubt *doubt, const char *device)
{
	char room[32] = "", *text;

	if (doubt->has_room)
		snprintf(room, sizeof(room), "# room %" PRIu64 "\n", doubt->room);
	if (asprintf(&text, FIRST_LINE "# device %.64s\n%s%s%s%s%s%s" LAST_LINE, device,
		     doubt->list ? "# list\n" : "", doubt->region ? "# region\n" : "",
		     *doubt->boot ? "# boot " : "", doubt->boot, *doubt->boot ? "\n" : "",
		     room) < 0)
		return NULL;
	return text;
}
