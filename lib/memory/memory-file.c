/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files in which lists of badblocks are remembered: their text, and how they are replaced. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "memory.h"
#include "state.h"

#define LISTS "lists"
#define FORMAT_VERSION 1
#define FIRST_LINE "# pmem-recover list "
/* So that a file that was cut is not taken for one with fewer records. */
#define LAST_LINE "# end"
#define TIME_FORMAT "%Y-%m-%dT%H:%M:%SZ"
#define LINE_LIMIT 160
/* The kernel's names are shorter by half. */
#define NAME_LIMIT 64
/* More than a hundred thousand records; the kernel keeps 512 of a device. */
#define FILE_LIMIT (4 << 20)

/* ---- the text */

/* The next blank-separated word of a line, or NULL. */
static char *next_word(char **line)
{
	char *word;

	do
		word = strsep(line, " \t");
	while (word && !*word);
	return word;
}

static int take_number(char **line, uint64_t *number)
{
	const char *word = next_word(line);
	uint64_t value = 0;

	if (!word)
		return -EBADMSG;
	for (; *word; word++) {
		if (*word < '0' || *word > '9' || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (unsigned int)(*word - '0'), &value))
			return -EBADMSG;
	}
	*number = value;
	return 0;
}

static int take_range(char **line, struct pmr_range *range)
{
	uint64_t sector, count, end;

	if (take_number(line, &sector) || take_number(line, &count) || !count ||
	    __builtin_mul_overflow(sector, PMR_SECTOR, &range->offset) ||
	    __builtin_mul_overflow(count, PMR_SECTOR, &range->length) ||
	    __builtin_add_overflow(range->offset, range->length, &end))
		return -EBADMSG;
	return 0;
}

static int take_gone(char **line, struct pmr_recall *recall)
{
	struct pmr_gone gone;
	const char *word, *end;
	struct tm tm = { 0 };
	int err;

	err = take_range(line, &gone.range);
	word = err ? NULL : next_word(line);
	end = word ? strptime(word, TIME_FORMAT, &tm) : NULL;
	/* a leap second is never written, and the last of them lies in the year 10000 */
	if (!end || *end || tm.tm_sec > 59)
		return -EBADMSG;
	gone.seen = timegm(&tm);
	err = pmr_grow(&recall->gone, recall->n_gone, &recall->alloc_gone, sizeof(*recall->gone));
	if (!err)
		recall->gone[recall->n_gone++] = gone;
	return err;
}

static int take_metadata(char **line, struct pmr_recall *recall)
{
	struct pmr_range range;
	int err = take_range(line, &range);

	return err ? err : pmr_ranges_add(&recall->listed, range.offset, range.length);
}

/* A comment line of ours, behind its '#'. Others are for people, or of a later time. */
static int parse_comment(char *line, struct pmr_remembered *remembered)
{
	const char *word = next_word(&line);
	int err = 0;

	if (!word)
		return 0;
	if (strcmp(word, "data-offset") == 0)
		err = take_number(&line, &remembered->data_offset);
	else if (strcmp(word, "metadata") == 0)
		err = take_metadata(&line, &remembered->metadata);
	else if (strcmp(word, "vanished") == 0)
		err = take_gone(&line, &remembered->data);
	else if (strcmp(word, "vanished-metadata") == 0)
		err = take_gone(&line, &remembered->metadata);
	else if (strcmp(word, "incomplete") == 0)
		remembered->incomplete = true;
	else
		return 0;
	return !err && next_word(&line) ? -EBADMSG : err;
}

static int parse_comments(const char *text, size_t length, struct pmr_remembered *remembered)
{
	const char *end = text + length, *newline;
	char line[LINE_LIMIT];
	int err = 0;

	for (; text < end && !err; text = newline + 1) {
		newline = memchr(text, '\n', (size_t)(end - text));
		if (!newline || newline - text >= LINE_LIMIT)
			return -EBADMSG;
		if (*text != '#')
			continue;
		memcpy(line, text + 1, (size_t)(newline - text - 1));
		line[newline - text - 1] = '\0';
		err = parse_comment(line, remembered);
	}
	return err;
}

/* Whether it begins as a file of the memory does, and ends as one. */
static int check_frame(const char *text, size_t length)
{
	static const char last[] = "\n" LAST_LINE "\n";
	size_t first = strlen(FIRST_LINE), tail = strlen(last);
	uint64_t version = 0;

	/* to the reader of records a '\r' is a line's end, to that of comments it is not */
	if (length < first + tail || memcmp(text, FIRST_LINE, first) != 0 ||
	    memchr(text, '\0', length) || memchr(text, '\r', length))
		return -EBADMSG;
	text += first;
	length -= first;
	for (; length && *text >= '0' && *text <= '9'; text++, length--)
		if (version <= FORMAT_VERSION)
			version = version * 10 + (uint64_t)(*text - '0');
	if (!length || *text != '\n' || !version)
		return -EBADMSG;
	if (version > FORMAT_VERSION)
		return -EPROTONOSUPPORT;
	return length < tail || memcmp(text + length - tail, last, tail) != 0 ? -EBADMSG : 0;
}

/* The records hold what is gone as well: what is left is listed. */
static int split_records(struct pmr_recall *recall, const struct pmr_ranges *records, uint64_t size)
{
	struct pmr_ranges gone = { 0 }, listed = { 0 };
	uint64_t end = 0;
	int err = 0;

	pmr_recall_sort(recall);
	for (size_t i = 0; i < recall->n_gone && !err; i++) {
		const struct pmr_range *range = &recall->gone[i].range;

		if (range->offset < end || (size && range->offset + range->length > size))
			err = -EBADMSG;
		else
			err = pmr_ranges_add(&gone, range->offset, range->length);
		end = range->offset + range->length;
	}
	pmr_ranges_normalize(&gone);
	if (!err)
		err = pmr_ranges_subtract(&listed, records, &gone);
	pmr_ranges_release(&gone);
	if (err) {
		pmr_ranges_release(&listed);
		return err;
	}
	pmr_ranges_release(&recall->listed);
	recall->listed = listed;
	return 0;
}

int pmr_remembered_parse(const char *text, size_t length, struct pmr_remembered *remembered)
{
	struct pmr_remembered made = { .data_offset = PMR_NO_ADDRESS };
	struct pmr_badblocks_file file = { 0 };
	struct pmr_ranges metadata = { 0 };
	unsigned int line;
	int err;

	err = check_frame(text, length);
	if (err)
		return err;
	err = pmr_badblocks_parse(text, length, &file, &line);
	if (!err && file.device && strlen(file.device) > NAME_LIMIT)
		err = -EBADMSG;
	if (!err)
		err = parse_comments(text, length, &made);
	if (err) {
		err = err == -ENOMEM ? err : -EBADMSG;
		goto out;
	}
	made.device = file.device;
	file.device = NULL;
	made.size = file.size;
	metadata = made.metadata.listed;
	made.metadata.listed = (struct pmr_ranges){ 0 };
	pmr_ranges_normalize(&metadata);
	err = split_records(&made.data, &file.list.ranges, made.size);
	if (!err)
		err = split_records(&made.metadata, &metadata, 0);
	if (err)
		goto out;
	*remembered = made;
	made = (struct pmr_remembered){ 0 };
out:
	pmr_remembered_release(&made);
	pmr_ranges_release(&metadata);
	pmr_badblocks_file_release(&file);
	return err;
}

static void print_gone(FILE *out, const char *word, const struct pmr_recall *recall)
{
	for (size_t i = 0; i < recall->n_gone; i++) {
		const struct pmr_gone *gone = &recall->gone[i];
		char when[64] = "1970-01-01T00:00:00Z";
		struct tm tm;

		if (gmtime_r(&gone->seen, &tm) && !strftime(when, sizeof(when), TIME_FORMAT, &tm))
			strcpy(when, "1970-01-01T00:00:00Z");
		fprintf(out, "# %s %" PRIu64 " %" PRIu64 " %s\n", word,
			gone->range.offset / PMR_SECTOR, gone->range.length / PMR_SECTOR, when);
	}
}

static void print_ranges(FILE *out, const char *ahead, const struct pmr_ranges *ranges)
{
	for (size_t i = 0; i < ranges->n; i++)
		fprintf(out, "%s%" PRIu64 " %" PRIu64 "\n", ahead, ranges->v[i].offset / PMR_SECTOR,
			ranges->v[i].length / PMR_SECTOR);
}

/* All that is remembered of a list. */
static int unite(const struct pmr_recall *recall, struct pmr_ranges *records)
{
	int err = pmr_ranges_copy(records, &recall->listed);

	for (size_t i = 0; i < recall->n_gone && !err; i++)
		err = pmr_ranges_add(records, recall->gone[i].range.offset,
				     recall->gone[i].range.length);
	pmr_ranges_normalize(records);
	return err;
}

int pmr_remembered_format(const struct pmr_remembered *remembered, char **text, size_t *length)
{
	struct pmr_ranges records = { 0 };
	char *made = NULL;
	size_t size = 0;
	FILE *out;
	int err;

	err = unite(&remembered->data, &records);
	out = err ? NULL : open_memstream(&made, &size);
	if (!out) {
		pmr_ranges_release(&records);
		return -ENOMEM;
	}
	fprintf(out, FIRST_LINE "%d\n", FORMAT_VERSION);
	if (remembered->device)
		fprintf(out, "# device %s\n", remembered->device);
	if (remembered->size)
		fprintf(out, "# size %" PRIu64 "\n", remembered->size);
	if (remembered->data_offset != PMR_NO_ADDRESS)
		fprintf(out, "# data-offset %" PRIu64 "\n", remembered->data_offset);
	if (remembered->incomplete)
		fputs("# incomplete\n", out);
	print_ranges(out, "# metadata ", &remembered->metadata.listed);
	print_gone(out, "vanished", &remembered->data);
	print_gone(out, "vanished-metadata", &remembered->metadata);
	print_ranges(out, "", &records);
	fputs(LAST_LINE "\n", out);
	err = ferror(out) ? -ENOMEM : 0;
	if (fclose(out) || err) {
		free(made);
		made = NULL;
		err = -ENOMEM;
	}
	pmr_ranges_release(&records);
	if (err)
		return err;
	*text = made;
	*length = size;
	return 0;
}

/* ---- the files */

int pmr_memory_open(const char *directory, bool make, int *fd)
{
	return pmr_state_open(directory, LISTS, make, fd);
}

/* A legacy namespace has no UUID. */
char *pmr_memory_name(const struct pmr_device *device)
{
	char *name;

	if (device->ns_uuid)
		return strdup(device->ns_uuid);
	return asprintf(&name, "%s-%" PRIu64, device->ns_name, device->ns_size) < 0 ? NULL : name;
}

char *pmr_memory_path(const char *directory, const char *name)
{
	char *path;

	return asprintf(&path, "%s/" LISTS "/%s", directory, name) < 0 ? NULL : path;
}

int pmr_memory_load(int fd, const char *name, struct pmr_remembered *remembered)
{
	size_t length = 0;
	char *text = NULL;
	time_t seen;
	int err;

	err = pmr_state_read(fd, name, FILE_LIMIT, &text, &length, &seen);
	if (!err)
		err = pmr_remembered_parse(text, length, remembered);
	if (!err)
		remembered->seen = seen;
	free(text);
	return err;
}

void pmr_memory_touch(int fd, const char *name)
{
	utimensat(fd, name, NULL, AT_SYMLINK_NOFOLLOW);
}

int pmr_memory_store(int fd, const char *name, const struct pmr_remembered *remembered)
{
	size_t length = 0;
	char *text = NULL;
	int err;

	if (pmr_remembered_is_empty(remembered))
		return pmr_state_remove(fd, name);
	err = pmr_remembered_format(remembered, &text, &length);
	if (!err)
		err = length > FILE_LIMIT
			      ? -EFBIG
			      : pmr_state_replace(fd, name, text, length, remembered->seen);
	free(text);
	return err;
}
