/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GNU ddrescue's mapfile as text: parsed within bounds, and written so that ddrescue reads it. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mapfile.h"

/* What begins the comments that say which file it is, and what of it was listed. */
#define OURS "# pmem-recover "
#define LISTED "listed: "

/* ---- parse */

struct parser {
	struct pmr_mapfile *map;
	const char *at; /* the rest of the current line, and where it ends */
	const char *end;
	const char *fault;
	unsigned int fields; /* of the identity, a bit each */
	bool has_status;
	bool has_area;
};

enum field {
	FIELD_FILESYSTEM,
	FIELD_INODE,
	FIELD_GENERATION,
	FIELD_SIZE,
	FIELD_CHANGED,
	FIELD_OUTPUT, /* this one and what follows may be missing */
	FIELD_OUTPUT_GENERATION,
	FIELD_OUTPUT_BIRTH,
	N_FIELDS,
};

static const char *const field_names[N_FIELDS] = {
	[FIELD_FILESYSTEM] = "filesystem: ",
	[FIELD_INODE] = "inode: ",
	[FIELD_GENERATION] = "generation: ",
	[FIELD_SIZE] = "size: ",
	[FIELD_CHANGED] = "change time: ",
	[FIELD_OUTPUT] = "output inode: ",
	[FIELD_OUTPUT_GENERATION] = "output generation: ",
	[FIELD_OUTPUT_BIRTH] = "output birth: ",
};

static int fail(struct parser *p, int error, const char *fault)
{
	p->fault = fault;
	return error;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct parser *p)
{
	while (p->at < p->end && is_blank(*p->at))
		p->at++;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* An unsigned number as C writes it, with nothing but a blank or a word's end behind it. */
static int parse_number(struct parser *p, uint64_t limit, uint64_t *number)
{
	unsigned int base = 10;
	uint64_t value = 0;
	const char *first;
	int digit;

	if (p->end - p->at > 1 && p->at[0] == '0') {
		base = p->at[1] == 'x' || p->at[1] == 'X' ? 16 : 8;
		p->at += base == 16 ? 2 : 0;
	}
	for (first = p->at; p->at < p->end; p->at++) {
		digit = digit_of(*p->at);
		if (digit >= (int)base)
			break;
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value) || value > limit)
			return fail(p, -ERANGE, "a number is too large");
	}
	if (p->at == first || (p->at < p->end && digit_of(*p->at) < 16))
		return fail(p, -EINVAL, "a number is missing or malformed");
	*number = value;
	return 0;
}

static int parse_status(struct parser *p, const char *statuses, char *status)
{
	skip_blanks(p);
	if (p->at == p->end || !strchr(statuses, *p->at) || !*p->at)
		return fail(p, -EINVAL, "a status is missing or not known");
	*status = *p->at++;
	if (p->at < p->end && !is_blank(*p->at))
		return fail(p, -EINVAL, "a status is not one character");
	return 0;
}

static int parse_end(struct parser *p)
{
	skip_blanks(p);
	return p->at == p->end ? 0 : fail(p, -EINVAL, "there is too much in it");
}

/* "current_pos current_status [current_pass]": what matters of it stands in the areas too. */
static int parse_status_line(struct parser *p)
{
	uint64_t number;
	char status;
	int ret;

	ret = parse_number(p, INT64_MAX, &number);
	if (!ret)
		ret = parse_status(p, "?*/-FG+", &status);
	if (ret)
		return ret;
	skip_blanks(p);
	if (p->at < p->end)
		ret = parse_number(p, INT32_MAX, &number);
	p->has_status = true;
	return ret ? ret : parse_end(p);
}

/* "pos size" */
static int parse_range(struct parser *p, struct pmr_range *range)
{
	int ret = parse_number(p, INT64_MAX, &range->offset);

	if (ret)
		return ret;
	skip_blanks(p);
	return parse_number(p, INT64_MAX, &range->length);
}

/* "pos size status" */
static int parse_area(struct parser *p)
{
	struct pmr_mapfile *map = p->map;
	struct pmr_range range;
	char status = 0;
	int ret;

	ret = parse_range(p, &range);
	if (!ret)
		ret = parse_status(p, "?*/-+", &status);
	if (!ret)
		ret = parse_end(p);
	if (ret)
		return ret;
	if (range.offset != map->size || (p->has_area && !map->size))
		return fail(p, -EINVAL, "its area does not begin where the one before ends");
	if (range.length > INT64_MAX - range.offset)
		return fail(p, -ERANGE, "its area ends past the largest offset");
	/* the one area of an empty file */
	if (!range.length && map->size)
		return fail(p, -EINVAL, "its area is empty");
	p->has_area = true;
	map->size += range.length;
	if (!range.length || (status != '+' && status != '-'))
		return 0;
	return pmr_ranges_append(status == '+' ? &map->rescued : &map->bad, range.offset,
				 range.length);
}

static int parse_time(struct parser *p, struct timespec *when)
{
	bool negative = p->at < p->end && *p->at == '-';
	uint64_t seconds, nanoseconds = 0;
	int ret;

	p->at += negative;
	ret = parse_number(p, INT64_MAX, &seconds);
	if (ret)
		return ret;
	if (p->end - p->at < 2 || *p->at != '.')
		return fail(p, -EINVAL, "a time is malformed");
	for (p->at++; p->at < p->end && digit_of(*p->at) < 10; p->at++) {
		nanoseconds = nanoseconds * 10 + (uint64_t)digit_of(*p->at);
		if (nanoseconds > 999999999)
			return fail(p, -EINVAL, "a time is malformed");
	}
	when->tv_sec = negative ? -(time_t)seconds : (time_t)seconds;
	when->tv_nsec = (long)nanoseconds;
	return 0;
}

static int parse_uuid(struct parser *p, char **uuid)
{
	size_t length = (size_t)(p->end - p->at);

	while (length && is_blank(p->at[length - 1]))
		length--;
	if (!length || length > 64 || memchr(p->at, '\0', length))
		return fail(p, -EINVAL, "the filesystem is malformed");
	if (length > 1 || *p->at != '-') {
		*uuid = strndup(p->at, length);
		if (!*uuid)
			return -ENOMEM;
	}
	p->at += length;
	return 0;
}

static int parse_generation(struct parser *p, uint32_t *generation)
{
	uint64_t number;
	int ret = parse_number(p, UINT32_MAX, &number);

	if (!ret)
		*generation = (uint32_t)number;
	return ret;
}

static int parse_field(struct parser *p, enum field field)
{
	struct pmr_mapfile_identity *identity = &p->map->identity;
	int ret;

	if (p->fields & 1u << field)
		return fail(p, -EINVAL, "it says twice which file it is of");
	p->fields |= 1u << field;
	switch (field) {
	case FIELD_FILESYSTEM:
		ret = parse_uuid(p, &identity->uuid);
		break;
	case FIELD_INODE:
		ret = parse_number(p, UINT64_MAX, &identity->inode);
		break;
	case FIELD_GENERATION:
		ret = parse_generation(p, &identity->generation);
		break;
	case FIELD_SIZE:
		ret = parse_number(p, INT64_MAX, &identity->size);
		break;
	case FIELD_OUTPUT:
		ret = parse_number(p, UINT64_MAX, &p->map->output);
		break;
	case FIELD_OUTPUT_GENERATION:
		ret = parse_generation(p, &p->map->output_generation);
		break;
	case FIELD_OUTPUT_BIRTH:
		ret = parse_time(p, &p->map->output_birth);
		break;
	default:
		ret = parse_time(p, &identity->change_time);
		break;
	}
	return ret ? ret : parse_end(p);
}

/* Once for each range. */
static int parse_listed(struct parser *p)
{
	struct pmr_range range;
	int ret;

	ret = parse_range(p, &range);
	if (!ret)
		ret = parse_end(p);
	if (ret)
		return ret;
	if (!range.length)
		return fail(p, -EINVAL, "what was listed is empty");
	if (range.length > INT64_MAX - range.offset)
		return fail(p, -ERANGE, "what was listed ends past the largest offset");
	return pmr_ranges_append(&p->map->listed, range.offset, range.length);
}

/* Ahead of everything else; comments of others, and later ones, say nothing. */
static int parse_comment(struct parser *p)
{
	size_t length = (size_t)(p->end - p->at);

	if (p->has_status || length < strlen(OURS) || memcmp(p->at, OURS, strlen(OURS)))
		return 0;
	p->at += strlen(OURS);
	length -= strlen(OURS);
	if (length >= strlen(LISTED) && !memcmp(p->at, LISTED, strlen(LISTED))) {
		p->at += strlen(LISTED);
		return parse_listed(p);
	}
	for (unsigned int i = 0; i < N_FIELDS; i++) {
		size_t name = strlen(field_names[i]);

		if (length > name && !memcmp(p->at, field_names[i], name)) {
			p->at += name;
			return parse_field(p, (enum field)i);
		}
	}
	return 0;
}

static int parse_line(struct parser *p)
{
	const char *comment;

	skip_blanks(p);
	if (p->at == p->end)
		return 0;
	if (*p->at == '#')
		return parse_comment(p);
	comment = memchr(p->at, '#', (size_t)(p->end - p->at));
	if (comment)
		p->end = comment;
	return p->has_status ? parse_area(p) : parse_status_line(p);
}

static bool ends_past(const struct pmr_ranges *ranges, uint64_t size)
{
	const struct pmr_range *last = ranges->n ? &ranges->v[ranges->n - 1] : NULL;

	return last && last->offset + last->length > size;
}

static int check_whole(struct parser *p)
{
	const unsigned int needed = (1u << FIELD_OUTPUT) - 1;
	struct pmr_mapfile *map = p->map;

	if (!p->has_status)
		return fail(p, -EINVAL, "it has no status line");
	if (!p->has_area)
		return fail(p, -EINVAL, "it has no areas");
	pmr_ranges_normalize(&map->listed);
	if (ends_past(&map->listed, map->size))
		return fail(p, -EINVAL, "what was listed ends past its last area");
	if (!p->fields)
		return 0;
	if ((p->fields & needed) != needed)
		return fail(p, -EINVAL, "it does not say in full which file it is of");
	if (map->identity.size != map->size)
		return fail(p, -EINVAL, "its areas do not end where its file does");
	map->identity.known = true;
	return 0;
}

int pmr_mapfile_parse(const char *text, size_t length, struct pmr_mapfile *map, unsigned long *line,
		      const char **fault)
{
	const char *end = text + length, *next;
	struct pmr_mapfile made = { 0 };
	struct parser p = { .map = &made };
	unsigned long number = 0;
	int ret = 0;

	for (; text < end && !ret; text = next) {
		p.at = text;
		p.end = memchr(text, '\n', (size_t)(end - text));
		if (!p.end)
			p.end = end;
		next = p.end < end ? p.end + 1 : end;
		number++;
		ret = parse_line(&p);
	}
	if (!ret)
		ret = check_whole(&p);
	if (ret) {
		pmr_mapfile_release(&made);
		if (ret != -ENOMEM) {
			*line = number ? number : 1;
			*fault = p.fault;
		}
		return ret;
	}
	*map = made;
	return 0;
}

/* ---- format */

/* A name is one line of text, whatever is in it. */
static void print_path(FILE *out, const char *path)
{
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		if (c < ' ' || c == 0x7f || c == '\\')
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
}

static void print_time(FILE *out, enum field field, const struct timespec *time)
{
	fprintf(out, OURS "%s%" PRId64 ".%09ld\n", field_names[field], (int64_t)time->tv_sec,
		time->tv_nsec);
}

static void print_identity(FILE *out, const struct pmr_mapfile_identity *identity)
{
	if (identity->path) {
		fputs(OURS "file: ", out);
		print_path(out, identity->path);
		fputc('\n', out);
	}
	fprintf(out, OURS "%s%s\n", field_names[FIELD_FILESYSTEM],
		identity->uuid ? identity->uuid : "-");
	fprintf(out, OURS "%s%" PRIu64 "\n", field_names[FIELD_INODE], identity->inode);
	fprintf(out, OURS "%s%" PRIu32 "\n", field_names[FIELD_GENERATION], identity->generation);
	fprintf(out, OURS "%s%" PRIu64 "\n", field_names[FIELD_SIZE], identity->size);
	print_time(out, FIELD_CHANGED, &identity->change_time);
}

static void print_output(FILE *out, const struct pmr_mapfile *map)
{
	if (!map->output)
		return;
	fprintf(out, OURS "%s%" PRIu64 "\n", field_names[FIELD_OUTPUT], map->output);
	if (map->output_generation)
		fprintf(out, OURS "%s%" PRIu32 "\n", field_names[FIELD_OUTPUT_GENERATION],
			map->output_generation);
	if (map->output_birth.tv_sec || map->output_birth.tv_nsec)
		print_time(out, FIELD_OUTPUT_BIRTH, &map->output_birth);
}

static void print_area(FILE *out, uint64_t offset, uint64_t length, char status)
{
	fprintf(out, "0x%08" PRIX64 "  0x%08" PRIX64 "  %c\n", offset, length, status);
}

static uint64_t first_untried(const struct pmr_mapfile *map)
{
	uint64_t position = 0;
	size_t i = 0, j = 0;

	for (;;) {
		if (i < map->rescued.n && map->rescued.v[i].offset == position)
			position += map->rescued.v[i++].length;
		else if (j < map->bad.n && map->bad.v[j].offset == position)
			position += map->bad.v[j++].length;
		else
			return position;
	}
}

static int print_areas(FILE *out, const struct pmr_mapfile *map)
{
	const struct pmr_ranges *lists[] = { &map->rescued, &map->bad };
	size_t at[] = { 0, 0 };
	uint64_t position = 0;

	if (!map->size)
		print_area(out, 0, 0, '+');
	while (position < map->size) {
		const struct pmr_range *next = NULL;
		unsigned int which = 0;

		for (unsigned int i = 0; i < 2; i++) {
			if (at[i] < lists[i]->n &&
			    (!next || lists[i]->v[at[i]].offset < next->offset)) {
				next = &lists[i]->v[at[i]];
				which = i;
			}
		}
		if (!next) {
			print_area(out, position, map->size - position, '?');
			return 0;
		}
		if (next->offset < position || next->offset >= map->size ||
		    next->length > map->size - next->offset)
			return -EINVAL;
		if (next->offset > position)
			print_area(out, position, next->offset - position, '?');
		print_area(out, next->offset, next->length, "+-"[which]);
		position = next->offset + next->length;
		at[which]++;
	}
	return at[0] == map->rescued.n && at[1] == map->bad.n ? 0 : -EINVAL;
}

int pmr_mapfile_format(const struct pmr_mapfile *map, char **text, size_t *length)
{
	uint64_t untried = first_untried(map);
	bool finished = untried >= map->size;
	char *made = NULL;
	size_t n = 0;
	FILE *out;
	int ret;

	out = open_memstream(&made, &n);
	if (!out)
		return -ENOMEM;
	fprintf(out, "# Mapfile. Created by pmem-recover version %s\n", pmr_version());
	if (map->identity.known)
		print_identity(out, &map->identity);
	if (map->identity.known)
		print_output(out, map);
	for (size_t i = 0; i < map->listed.n; i++)
		fprintf(out, OURS LISTED "0x%08" PRIX64 "  0x%08" PRIX64 "\n",
			map->listed.v[i].offset, map->listed.v[i].length);
	fprintf(out,
		"# current_pos  current_status  current_pass\n0x%08" PRIX64
		"     %c               1\n",
		finished ? 0 : untried, finished ? '+' : '?');
	fputs("#      pos        size  status\n", out);
	ret = ends_past(&map->listed, map->size) ? -EINVAL : print_areas(out, map);
	if (!ret && ferror(out))
		ret = -ENOMEM;
	if (fclose(out) && !ret)
		ret = -ENOMEM;
	if (!ret && n > PMR_MAPFILE_LIMIT)
		ret = -EFBIG;
	if (ret) {
		free(made);
		return ret;
	}
	*text = made;
	*length = n;
	return 0;
}

const char *pmr_mapfile_differs(const struct pmr_mapfile *map,
				const struct pmr_mapfile_identity *now)
{
	const struct pmr_mapfile_identity *then = &map->identity;

	/* who may not read the device may not know its filesystem's UUID either */
	if (then->uuid && now->uuid && strcmp(then->uuid, now->uuid))
		return "a file of another filesystem";
	if (then->inode != now->inode || then->generation != now->generation)
		return "another file";
	if (then->size != now->size)
		return "the file when it had another size";
	if (!pmr_is_same_time(&then->change_time, &now->change_time))
		return "the file before it was changed";
	return NULL;
}

void pmr_mapfile_release(struct pmr_mapfile *map)
{
	free(map->identity.path);
	free(map->identity.uuid);
	pmr_ranges_release(&map->rescued);
	pmr_ranges_release(&map->bad);
	pmr_ranges_release(&map->listed);
	*map = (struct pmr_mapfile){ 0 };
}
