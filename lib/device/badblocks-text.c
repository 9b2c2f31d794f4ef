/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of lists of badblocks, and how far the kernel's can be believed. Pure. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"
#include "topology.h"

/* Nor are records longer than this (BB_MAX_LEN). */
#define RECORD_SECTORS 512
/* What the kernel shows where a page has 4096 bytes, which is the least. */
#define SHORTEST_FULL ((size_t)4095)

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
	return records->n == PMR_RECORD_LIMIT ? "record-limit" : NULL;
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
	else if (made.ranges.n >= PMR_RECORD_LIMIT)
		made.reason = "record-limit";
	made.trust = made.reason ? PMR_LIST_INCOMPLETE : PMR_LIST_COMPLETE;
	*list = made;
	return 0;
}
