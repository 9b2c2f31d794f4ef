/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of badblocks as the kernel gives them: reading one, what is in doubt of it, and saying so. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"
#include "topology.h"

/* Far more than 512 records of any length. */
#define ATTRIBUTE_LIMIT ((size_t)1 << 20)

int pmr_badblocks_read(const char *path, struct pmr_badblocks *list, int *error)
{
	char *text = NULL;
	size_t length = 0;
	int err;

	*error = pmr_read_text(path, ATTRIBUTE_LIMIT, &text, &length);
	if (*error == -ENOMEM)
		return -ENOMEM;
	err = pmr_badblocks_judge(text, length, *error, sysconf(_SC_PAGESIZE), list);
	free(text);
	return err;
}

/* libndctl misreads a cut line, so past the whole records it may have one more than the attribute. */
bool pmr_badblocks_agree(const struct pmr_badblocks *list, const struct pmr_ranges *records)
{
	if (list->reason && strcmp(list->reason, "malformed") == 0)
		return true;
	if (records->n < list->ranges.n)
		return false;
	if (records->n > list->ranges.n && list->trust == PMR_LIST_COMPLETE)
		return false;
	return !list->ranges.n ||
	       memcmp(records->v, list->ranges.v, list->ranges.n * sizeof(*records->v)) == 0;
}

/* What either says is bad has been bad a moment ago. */
int pmr_badblocks_unite(struct pmr_badblocks *list, const struct pmr_ranges *records)
{
	size_t i;
	int err = 0;

	for (i = 0; i < records->n && !err; i++)
		err = pmr_ranges_add(&list->ranges, records->v[i].offset, records->v[i].length);
	list->trust = PMR_LIST_INCOMPLETE;
	list->reason = "changing";
	return err;
}

void pmr_badblocks_doubt(struct pmr_badblocks *list, const char *reason)
{
	if (!reason || list->trust != PMR_LIST_COMPLETE)
		return;
	list->trust = PMR_LIST_INCOMPLETE;
	list->reason = reason;
}

bool pmr_badblocks_is_short(const char *reason)
{
	static const char *const reasons[] = { "page-full", "cut-line", "record-limit",
					       "was-full" };

	for (size_t i = 0; reason && i < sizeof(reasons) / sizeof(*reasons); i++)
		if (strcmp(reason, reasons[i]) == 0)
			return true;
	return false;
}

const char *pmr_badblocks_lasting(const char *before, const char *now)
{
	if (!before || (!pmr_badblocks_is_short(before) && pmr_badblocks_is_short(now)))
		return now;
	return before;
}

bool pmr_badblocks_shows_all(const struct pmr_badblocks *list)
{
	return list->trust == PMR_LIST_COMPLETE ||
	       (list->trust == PMR_LIST_INCOMPLETE && list->reason &&
		strcmp(list->reason, "was-full") == 0);
}

void pmr_badblocks_release(struct pmr_badblocks *list)
{
	free(list->source);
	pmr_ranges_release(&list->ranges);
	memset(list, 0, sizeof(*list));
}

static const struct {
	const char *reason;
	bool more_may_come;
	const char *text;
} doubts[] = {
	{ "page-full", true, "fills the page the kernel shows it in: there may be more" },
	{ "cut-line", true, "ends in the middle of a line: there may be more" },
	{ "record-limit", true, "is as long as the kernel keeps: there may be more" },
	{ "was-full", true,
	  "once had, or may have had, more than the kernel keeps or shows, and nothing has gone over the whole device "
	  "since: there may be more" },
	{ "region-only", false,
	  "cannot be told from its region's, which has poison: read the whole device to find what is lost (scan --read)" },
	{ "noted", true, "says of itself that it is incomplete: there may be more" },
	{ "changing", false, "changed each time it was read: try again" },
	{ "part-unknown", false,
	  "tells of a part of it alone: the rest lies on devices that are no persistent memory (see --badblocks)" },
	{ "ars-unconfirmed", true,
	  "lacks what the last scrub of its bus found, of which it is not known whether it is bad still" },
	{ "ars-cut", true,
	  "may lack poison: the last scrub of its bus ended early, as it found more than it can tell" },
	{ "malformed", false,
	  "has lines that are no records: the kernel is newer than this program" },
};

static void say_incomplete(struct pmr_ctx *ctx, const char *object, const struct pmr_device *device)
{
	bool can_scrub = device->region && device->region->bus->can_scrub;
	const char *advice =
		can_scrub ? "; repair what is listed, then scrub it (scan --scrub) and look again"
			  : "; repair what is listed, then read the whole device (scan --read)";
	size_t i;

	for (i = 0; i < sizeof(doubts) / sizeof(*doubts); i++) {
		if (strcmp(doubts[i].reason, device->badblocks.reason) == 0)
			pmr_say(ctx, PMR_WARNING, "badblocks-incomplete", object,
				"its list of badblocks %s%s", doubts[i].text,
				doubts[i].more_may_come ? advice : "");
	}
}

/* What the device's own list cannot tell: the region's has it, and that may be unknown on its own. */
static void say_of_metadata(struct pmr_ctx *ctx, const char *object,
			    const struct pmr_device *device)
{
	const struct pmr_badblocks *list = &device->metadata_badblocks;

	if (list->trust == PMR_LIST_INCOMPLETE)
		pmr_say(ctx, PMR_WARNING, "badblocks-incomplete", object,
			"whether its info block or page map has poison is not known for sure: its region's list is "
			"not complete, or where in the region it lies may not be read (root may)");
	else if (list->trust == PMR_LIST_UNKNOWN && device->data_offset)
		pmr_say(ctx, PMR_WARNING, "badblocks-unknown", object,
			"whether its info block or page map has poison is not known: its region's list cannot be read");
}

void pmr_badblocks_say(struct pmr_ctx *ctx, const struct pmr_device *device)
{
	const struct pmr_badblocks *list = &device->badblocks;
	const char *object = device->path ? device->path : device->name;
	enum pmr_level level = device->enabled ? PMR_ERROR : PMR_WARNING;

	if (list->trust == PMR_LIST_COMPLETE)
		say_of_metadata(ctx, object, device);
	else if (list->trust == PMR_LIST_INCOMPLETE)
		say_incomplete(ctx, object, device);
	else if (strcmp(list->reason, "remapped") == 0)
		pmr_say(ctx, level, "badblocks-unknown", object,
			"its device mapper table, or one below, was changed, removed or suspended meanwhile: what is lost "
			"cannot be known, so look again");
	else if (list->trust == PMR_LIST_UNKNOWN && strcmp(list->reason, "no-attribute") == 0)
		pmr_say(ctx, level, "badblocks-unknown", object,
			"the kernel shows no list of badblocks for it: what is lost cannot be known");
	else if (list->trust == PMR_LIST_UNKNOWN)
		pmr_say(ctx, level, "badblocks-unknown", object,
			"its list of badblocks cannot be read (%s): what is lost cannot be known",
			strerror(-device->own->error));
}
