/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of badblocks: the text form, and how far the kernel's can be believed. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"
#include "topology.h"

/* The kernel keeps no more records than this for one device, and drops what comes after (MAX_BADBLOCKS). */
#define RECORD_LIMIT 512
/* Nor are they longer (BB_MAX_LEN). */
#define RECORD_SECTORS 512
/* What the kernel shows where a page has 4096 bytes, which is the least. */
#define SHORTEST_FULL ((size_t)4095)
/* 64 MiB of records is more than any device has; a wrong file is refused instead of read for ever. */
#define FILE_LIMIT ((size_t)64 << 20)

/* Far more than 512 records of any length. */
#define ATTRIBUTE_LIMIT ((size_t)1 << 20)

struct span {
	const char *at;
	const char *end;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct span *span)
{
	while (span->at < span->end && is_blank(*span->at))
		span->at++;
}

/* The next line without its end; false when there is none. */
static bool next_line(struct span *text, struct span *line)
{
	const char *newline;

	if (text->at == text->end)
		return false;
	newline = memchr(text->at, '\n', text->end - text->at);
	line->at = text->at;
	line->end = newline ? newline : text->end;
	text->at = newline ? newline + 1 : text->end;
	if (line->end > line->at && line->end[-1] == '\r')
		line->end--;
	return true;
}

static int take_number(struct span *line, uint64_t *number)
{
	uint64_t value = 0;

	skip_blanks(line);
	if (line->at == line->end || *line->at < '0' || *line->at > '9')
		return -EINVAL;
	for (; line->at < line->end && *line->at >= '0' && *line->at <= '9'; line->at++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (unsigned int)(*line->at - '0'), &value))
			return -ERANGE;
	}
	if (line->at < line->end && !is_blank(*line->at))
		return -EINVAL;
	*number = value;
	return 0;
}

static bool is_empty(struct span *line)
{
	skip_blanks(line);
	return line->at == line->end;
}

/* "sector count" and nothing else. */
static int take_record(struct span line, struct pmr_range *record)
{
	uint64_t sector, count, end;
	struct pmr_range made;
	int err;

	err = take_number(&line, &sector);
	if (!err)
		err = take_number(&line, &count);
	if (err)
		return err;
	if (!is_empty(&line) || !count)
		return -EINVAL;
	if (__builtin_mul_overflow(sector, PMR_SECTOR, &made.offset) ||
	    __builtin_mul_overflow(count, PMR_SECTOR, &made.length) ||
	    __builtin_add_overflow(made.offset, made.length, &end))
		return -ERANGE;
	*record = made;
	return 0;
}

/* Whether a comment line goes on with this word; moves behind it. */
static bool take_word(struct span *line, const char *word)
{
	struct span rest = { line->at + 1, line->end };
	size_t length = strlen(word);

	skip_blanks(&rest);
	if ((size_t)(rest.end - rest.at) < length || memcmp(rest.at, word, length) != 0)
		return false;
	rest.at += length;
	if (rest.at < rest.end && !is_blank(*rest.at))
		return false;
	*line = rest;
	return true;
}

static int take_device(struct span line, char **device)
{
	const char *begin;
	char *made;

	skip_blanks(&line);
	begin = line.at;
	/* no control characters: a name is one word of one line */
	while (line.at < line.end && (unsigned char)*line.at > ' ' && *line.at != 0x7f)
		line.at++;
	if (line.at == begin)
		return -EINVAL;
	made = strndup(begin, line.at - begin);
	if (!made)
		return -ENOMEM;
	/* Two lines that name two devices cannot both be meant. */
	if (!is_empty(&line) || (*device && strcmp(*device, made) != 0)) {
		free(made);
		return -EINVAL;
	}
	free(*device);
	*device = made;
	return 0;
}

static int take_size(struct span line, uint64_t *size)
{
	uint64_t made;
	int err;

	err = take_number(&line, &made);
	if (err)
		return err;
	if (!is_empty(&line) || !made || (*size && *size != made))
		return -EINVAL;
	*size = made;
	return 0;
}

static int parse_line(struct span line, struct pmr_badblocks_file *file)
{
	struct pmr_range record;
	int err;

	if (line.at < line.end && *line.at == '#') {
		if (file->list.ranges.n)
			return 0;
		if (take_word(&line, "device"))
			return take_device(line, &file->device);
		if (take_word(&line, "incomplete")) {
			file->list.reason = "noted";
			return 0;
		}
		return take_word(&line, "size") ? take_size(line, &file->size) : 0;
	}
	if (is_empty(&line))
		return 0;
	err = take_record(line, &record);
	if (err)
		return err;
	if (file->size && record.offset + record.length > file->size)
		return -ERANGE;
	return pmr_ranges_add(&file->list.ranges, record.offset, record.length);
}

/* Whether @length is all that the kernel shows of a list, with the page sizes there are. */
static bool is_page_full(size_t length)
{
	static const size_t pages[] = { 4096, 16384, 65536 };
	size_t i;

	for (i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		if (length == pages[i] - 1)
			return true;
	}
	return false;
}

/*
 * A copy of the kernel's attribute ends where the attribute ended. By hand and by other programs longer lists are
 * made, but with an end to their last line; and only the kernel stops at just so many records of no more sectors.
 * @length: from the first record on, without what was written ahead of it
 */
static const char *find_doubt(size_t length, bool cut, const struct pmr_ranges *records)
{
	size_t i;

	if (is_page_full(length))
		return "page-full";
	if (cut)
		return "cut-line";
	for (i = 0; i < records->n; i++) {
		if (records->v[i].length > (uint64_t)RECORD_SECTORS * PMR_SECTOR)
			return NULL;
	}
	return records->n == RECORD_LIMIT ? "record-limit" : NULL;
}

int pmr_badblocks_parse(const char *text, size_t length, struct pmr_badblocks_file *file,
			unsigned int *line)
{
	struct pmr_badblocks_file made = { .list.trust = PMR_LIST_COMPLETE };
	struct span rest = { text, text + length }, one;
	const char *begin = rest.end;
	unsigned int number = 0;
	bool cut = false;
	int err;

	while (next_line(&rest, &one)) {
		number++;
		/* A short one may well have been typed without the last newline. */
		cut = rest.at == rest.end && rest.end[-1] != '\n' &&
		      (size_t)(rest.end - begin) >= SHORTEST_FULL;
		err = cut ? 0 : parse_line(one, &made);
		if (err) {
			pmr_badblocks_file_release(&made);
			*line = number;
			return err;
		}
		if (made.list.ranges.n && begin > one.at)
			begin = one.at;
	}
	if (!made.list.reason)
		made.list.reason = find_doubt(rest.end - begin, cut, &made.list.ranges);
	if (made.list.reason) {
		made.list.trust = PMR_LIST_INCOMPLETE;
		*line = number;
	}
	pmr_ranges_normalize(&made.list.ranges);
	*file = made;
	return 0;
}

int pmr_badblocks_judge(const char *text, size_t length, int error, size_t page,
			struct pmr_badblocks *list)
{
	struct pmr_badblocks made = { .trust = PMR_LIST_UNKNOWN };
	bool cut = length && text[length - 1] != '\n', malformed = false;
	struct span rest, line;
	struct pmr_range record;
	int err;

	if (error == -ENOENT || (!error && length == 1 && !cut)) {
		/* Before about 6.5 a disk without a list answers with an empty line. */
		made.reason = "no-attribute";
	} else if (error) {
		made.reason = "cannot-open";
	}
	if (made.reason) {
		*list = made;
		return 0;
	}
	rest = (struct span){ text, text + length };
	while (next_line(&rest, &line)) {
		if (cut && rest.at == rest.end)
			break;
		if (take_record(line, &record)) {
			malformed = true;
			continue;
		}
		err = pmr_ranges_add(&made.ranges, record.offset, record.length);
		if (err) {
			pmr_badblocks_release(&made);
			return err;
		}
	}
	if (length >= page - 1)
		made.reason = "page-full";
	else if (cut)
		made.reason = "cut-line";
	else if (malformed)
		made.reason = "malformed";
	else if (made.ranges.n >= RECORD_LIMIT)
		made.reason = "record-limit";
	made.trust = made.reason ? PMR_LIST_INCOMPLETE : PMR_LIST_COMPLETE;
	*list = made;
	return 0;
}

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

void pmr_badblocks_file_release(struct pmr_badblocks_file *file)
{
	free(file->device);
	pmr_badblocks_release(&file->list);
	memset(file, 0, sizeof(*file));
}

static void say_file_incomplete(struct pmr_ctx *ctx, const char *object, const char *reason,
				unsigned int line)
{
	if (strcmp(reason, "record-limit") == 0)
		pmr_say(ctx, PMR_WARNING, "badblocks-incomplete", object,
			"has %u records up to line %u, just as many as the kernel keeps: there may be more bad sectors",
			RECORD_LIMIT, line);
	else if (strcmp(reason, "noted") == 0)
		pmr_say(ctx, PMR_WARNING, "badblocks-incomplete", object,
			"says of itself that it is incomplete: there may be more bad sectors");
	else
		pmr_say(ctx, PMR_WARNING, "badblocks-incomplete", object,
			"ends in line %u where the page ends in which the kernel shows a list%s: there may be more "
			"bad sectors",
			line,
			strcmp(reason, "cut-line") == 0 ? ", and that line was left out" : "");
}

int pmr_badblocks_load(struct pmr_ctx *ctx, const char *path, struct pmr_badblocks_file *file)
{
	const char *object = strcmp(path, "-") == 0 ? "standard input" : path;
	struct pmr_badblocks_file made = { 0 };
	unsigned int line = 0;
	char *text = NULL;
	size_t length;
	int err;

	err = pmr_read_text(path, FILE_LIMIT, &text, &length);
	if (err) {
		pmr_say(ctx, PMR_ERROR, "badblocks-unreadable", object,
			"the list of badblocks cannot be read: %s", strerror(-err));
		return err;
	}
	err = pmr_badblocks_parse(text, length, &made, &line);
	if (err == -EINVAL)
		pmr_say(ctx, PMR_ERROR, "badblocks-malformed", object,
			"line %u is no record: expected a sector and a count above 0, both unsigned decimal, in "
			"%u-byte sectors",
			line, PMR_SECTOR);
	else if (err == -ERANGE)
		pmr_say(ctx, PMR_ERROR, "badblocks-malformed", object,
			"line %u lies past the end of the device, or its numbers are too large",
			line);
	if (err)
		goto out;
	if (made.list.reason)
		say_file_incomplete(ctx, object, made.list.reason, line);
	made.list.source = strdup(object);
	if (!made.list.source) {
		err = -ENOMEM;
		goto out;
	}
	*file = made;
	memset(&made, 0, sizeof(made));
out:
	pmr_badblocks_file_release(&made);
	free(text);
	return err;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool pmr_device_is_named(const struct pmr_device *device, const char *name)
{
	struct stat st;

	if (device->devno && strchr(name, '/') && stat(name, &st) == 0 && S_ISBLK(st.st_mode))
		return st.st_rdev == device->devno;
	return strcmp(base_name(name), device->name) == 0 ||
	       (device->path && strcmp(name, device->path) == 0) ||
	       (device->ns_name && strcmp(name, device->ns_name) == 0) ||
	       (device->volume && strcmp(base_name(name), device->volume) == 0);
}

static int check_file(struct pmr_ctx *ctx, const struct pmr_device *device, const char *path,
		      const struct pmr_badblocks_file *file)
{
	const struct pmr_ranges *ranges = &file->list.ranges;
	const struct pmr_range *last = ranges->n ? &ranges->v[ranges->n - 1] : NULL;

	if (file->device && !pmr_device_is_named(device, file->device)) {
		pmr_say(ctx, PMR_ERROR, "badblocks-other-device", path,
			"was taken from %s, but the target lies on %s", file->device, device->name);
		return -EXDEV;
	}
	/* A disabled namespace has no size to compare with. */
	if (!device->size)
		return 0;
	if (file->size && file->size != device->size) {
		pmr_say(ctx, PMR_ERROR, "badblocks-other-size", path,
			"was taken from a device of %" PRIu64 " bytes, but %s has %" PRIu64,
			file->size, device->name, device->size);
		return -ERANGE;
	}
	if (last && last->offset + last->length > device->size) {
		pmr_say(ctx, PMR_ERROR, "badblocks-past-end", path,
			"the record \"%" PRIu64 " %" PRIu64
			"\" reaches past the end of %s, which has %" PRIu64 " sectors",
			last->offset / PMR_SECTOR, last->length / PMR_SECTOR, device->name,
			device->size / PMR_SECTOR);
		return -ERANGE;
	}
	return 0;
}

/* A list may be of a device that a mapped one lies on. */
static struct pmr_device *find_below(const struct pmr_device *device, const char *name)
{
	struct pmr_device *found = NULL;

	for (size_t i = 0; i < device->n_lowers && !found; i++) {
		found = find_below(device->lowers[i], name);
		if (!found && pmr_device_is_named(device->lowers[i], name))
			found = device->lowers[i];
	}
	return found;
}

int pmr_device_use_file(struct pmr_ctx *ctx, struct pmr_device *device, const char *path,
			const struct pmr_badblocks_file *file)
{
	struct pmr_badblocks made = { .trust = file->list.trust, .reason = file->list.reason };
	struct pmr_device *below = file->device ? find_below(device, file->device) : NULL;
	int err;

	if (below) {
		err = pmr_device_use_file(ctx, below, path, file);
		return err ? err : pmr_device_refresh(ctx, device);
	}
	err = check_file(ctx, device, path, file);
	if (err)
		return err;
	err = pmr_ranges_copy(&made.ranges, &file->list.ranges);
	if (err)
		return err;
	made.source = strdup(path);
	if (!made.source) {
		pmr_badblocks_release(&made);
		return -ENOMEM;
	}
	pmr_badblocks_release(&device->badblocks);
	device->badblocks = made;
	device->from_file = true;
	return 0;
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
