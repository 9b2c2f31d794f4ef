/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reports that repair takes lost ranges from. */

#include <json-c/json.h>
#include <sys/utsname.h>

#include "earlier/earlier.h"
#include "fuzz.h"

#define HOST "fuzz"

/* In place of libc's: a report has to be of this host, whichever that is. */
int uname(struct utsname *name)
{
	memset(name, 0, sizeof(*name));
	strcpy(name->nodename, HOST);
	return 0;
}

/* ---- inputs */

#define MAX_TOKENS 400

/* A part of a text that can be put in another's place: "string", 123, true, or {...} */
struct token {
	size_t at;
	size_t length;
};

static uint32_t roll(unsigned int *state, size_t sides)
{
	*state = *state * 1664525 + 1013904223;
	return (*state >> 8) % (uint32_t)sides;
}

static size_t token_end(const char *text, size_t size, size_t at)
{
	bool in_string = text[at] == '"';

	for (at++; at < size; at++) {
		if (in_string && text[at] == '\\')
			at++;
		else if (in_string && text[at] == '"')
			return at + 1;
		else if (!in_string && strchr("{}[]:, \t\r\n\"", text[at]))
			return at;
	}
	return size;
}

/* Where an object was not closed it goes to the end. */
static size_t find_tokens(const char *text, size_t size, struct token *tokens)
{
	size_t open[32], depth = 0, n = 0, at = 0;

	while (at < size && n < MAX_TOKENS) {
		if (text[at] == '{' && depth < 32) {
			open[depth++] = n;
			tokens[n++] = (struct token){ at, size - at };
		} else if (text[at] == '}' && depth) {
			depth--;
			tokens[open[depth]].length = at + 1 - tokens[open[depth]].at;
		} else if (!strchr("{}[]:, \t\r\n", text[at])) {
			tokens[n] = (struct token){ at, token_end(text, size, at) - at };
			at += tokens[n++].length - 1;
		}
		at++;
	}
	return n;
}

/* Most often of the same type, or nothing behind it would be reached. */
static void write_value(char *value, size_t size, char first, unsigned int *state)
{
	static const char *const words[] = { "\"lost\"",     "\"cached\"", "\"skipped\"",
					     "\"failed\"",   "\"zeroed\"", "\"repair\"",
					     "\"repaired\"", "\"scan\"",   "\"past_eof\"",
					     "\"conflict\"", "\"pmem0\"",  "\"pmem1\"",
					     "\"fuzz\"",     "\"\"",	   "\"/\"",
					     "\"/mnt/x\"",   "\"/w==\"",   "\"L21udC//\"" };
	static const char *const literals[] = { "true", "false", "null" };
	static const uint64_t numbers[] = { 0, 1, 131, 511, INT64_MAX, UINT64_MAX - 1, UINT64_MAX };
	static const char types[] = "\"0t";

	if (!roll(state, 8))
		first = types[roll(state, 3)];
	if (first == '"')
		snprintf(value, size, "%s", words[roll(state, sizeof(words) / sizeof(*words))]);
	else if (first == 't' || first == 'f' || first == 'n')
		snprintf(value, size, "%s", literals[roll(state, 3)]);
	else if (!roll(state, 4))
		snprintf(value, size, "%llu",
			 (unsigned long long)
				 numbers[roll(state, sizeof(numbers) / sizeof(*numbers))]);
	else
		snprintf(value, size, "%u", PMR_SECTOR * roll(state, 24));
}

/* @length bytes at @at replaced. Return: the new size, or the old one where that would be too long. */
static size_t splice(char *text, size_t size, size_t max_size, struct token old, const char *new,
		     size_t length)
{
	if (size - old.length + length > max_size)
		return size;
	memmove(text + old.at + length, text + old.at + old.length, size - old.at - old.length);
	memcpy(text + old.at, new, length);
	return size - old.length + length;
}

/* Written twice, or not at all, with one of its commas. */
static size_t change_object(char *text, size_t size, size_t max_size, struct token object,
			    unsigned int *state)
{
	char *copy;

	if (roll(state, 3)) {
		copy = malloc(object.length);
		check(copy);
		memcpy(copy, text + object.at, object.length);
		size = splice(text, size, max_size, (struct token){ object.at, 0 }, ",", 1);
		size = splice(text, size, max_size, (struct token){ object.at, 0 }, copy,
			      object.length);
		free(copy);
		return size;
	}
	if (object.at && text[object.at - 1] == ',')
		object = (struct token){ object.at - 1, object.length + 1 };
	else if (object.at + object.length < size && text[object.at + object.length] == ',')
		object.length++;
	return splice(text, size, max_size, object, "", 0);
}

static bool is_name(const char *text, size_t size, struct token token)
{
	size_t end = token.at + token.length;

	while (end < size && text[end] == ' ')
		end++;
	return end < size && text[end] == ':';
}

static size_t change(char *text, size_t size, size_t max_size, unsigned int *state)
{
	struct token tokens[MAX_TOKENS], token = { 0 };
	size_t n = find_tokens(text, size, tokens);
	char value[32];

	if (!n)
		return size;
	/* names stay */
	for (unsigned int tries = 0; !tries || (tries < 16 && is_name(text, size, token)); tries++)
		token = tokens[roll(state, n)];
	if (text[token.at] == '{')
		return change_object(text, size, max_size, token, state);
	write_value(value, sizeof(value), text[token.at], state);
	return splice(text, size, max_size, token, value, strlen(value));
}

/* What is JSON stays JSON in three of four, so that values are looked at. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	static const char report[] =
		"{\"format_version\":[1,0],\"command\":\"scan\",\"host\":\"" HOST
		"\",\"directory\":\"/root\","
		"\"complete\":true,\"devices\":[{\"name\":\"pmem0\",\"badblocks\":{\"ranges\":["
		"{\"offset\":1024,\"length\":512},{\"offset\":4096,\"length\":4096}]}}],"
		"\"files\":[{\"path\":\"/mnt/x\",\"inode\":131,\"size\":12288,\"generation\":7,"
		"\"change_time\":{\"seconds\":1,\"nanoseconds\":1},\"filesystem_uuid\":null,\"ranges\":["
		"{\"offset\":512,\"length\":512,\"device\":\"pmem0\",\"device_offset\":1024,"
		"\"state\":\"lost\"}]}]}";

	if (seed % 4 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	if (roll(&seed, 4) == 0 && max_size >= sizeof(report))
		memcpy(data, report, size = sizeof(report) - 1);
	return change((char *)data, size, max_size, &seed);
}

/* ---- properties */

static int parse(const char *text, size_t length, struct pmr_earlier **earlier)
{
	struct heard heard = { 0 };
	struct pmr_ctx *ctx;
	int ret;

	check(!pmr_new(&ctx));
	pmr_set_message_fn(ctx, hear, &heard);
	*earlier = NULL;
	ret = pmr_earlier_parse(ctx, text, length, "report", earlier);
	check(!ret || ret == -EINVAL || ret == -EXDEV);
	check(heard.errors == !!ret);
	check(!*earlier == !!ret);
	pmr_unref(ctx);
	return ret;
}

static void check_file(const struct pmr_earlier_file *file)
{
	uint64_t end = 0;

	check(file->path && *file->path);
	check(file->inode);
	check(file->change_time.tv_nsec >= 0 && file->change_time.tv_nsec < 1000000000);
	check(file->n_ranges && file->n_ranges <= file->alloc_ranges);
	check(!file->is_left_out);
	for (size_t i = 0; i < file->n_ranges; i++) {
		const struct pmr_earlier_range *range = &file->ranges[i];

		check(range->length && range->offset >= end && range->offset <= file->size);
		check(range->length <= file->size - range->offset);
		check(range->length <= UINT64_MAX - range->device_offset);
		end = range->offset + range->length;
	}
}

static void check_earlier(const struct pmr_earlier *earlier)
{
	const char *const *paths = pmr_earlier_paths(earlier);

	for (size_t i = 0; i < earlier->n_files; i++) {
		check(paths[i] == earlier->files[i].path);
		check_file(&earlier->files[i]);
	}
	check(!paths[earlier->n_files]);
}

/* ---- a report that says the same */

static void print_path(FILE *out, const char *path)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t length = strlen(path);

	fputs("\"path_base64\":\"", out);
	for (size_t i = 0; i < length; i += 3) {
		uint32_t bits = 0;

		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 | (i + j < length ? (unsigned char)path[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			fputc(i + j <= length ? digits[bits >> (18 - 6 * j) & 63] : '=', out);
	}
	fputc('"', out);
}

/* "x" has nothing listed, so what is listed was tried and failed. */
static void print_range(FILE *out, const struct pmr_earlier_range *range)
{
	static const char *const states[2][2] = { { "lost", "skipped" }, { "zeroed", "failed" } };

	fprintf(out,
		"{\"offset\":%llu,\"length\":%llu,\"device\":\"x\",\"device_offset\":%llu,\"shared\":%s,"
		"\"state\":\"%s\"}",
		(unsigned long long)range->offset, (unsigned long long)range->length,
		(unsigned long long)range->device_offset, range->shared ? "true" : "false",
		states[range->is_listed][range->may_be_cached]);
}

static void print_file(FILE *out, const struct pmr_earlier_file *file)
{
	struct json_object *uuid =
		file->filesystem_uuid ? json_object_new_string(file->filesystem_uuid) : NULL;

	fputc('{', out);
	print_path(out, file->path);
	fprintf(out, ",\"inode\":%llu,\"size\":%llu,\"generation\":%u,\"filesystem_uuid\":%s",
		(unsigned long long)file->inode, (unsigned long long)file->size, file->generation,
		json_object_to_json_string(uuid));
	fprintf(out, ",\"change_time\":{\"seconds\":%lld,\"nanoseconds\":%ld},\"ranges\":[",
		(long long)file->change_time.tv_sec, file->change_time.tv_nsec);
	for (size_t i = 0; i < file->n_ranges; i++) {
		if (i)
			fputc(',', out);
		print_range(out, &file->ranges[i]);
	}
	fputs("]}", out);
	json_object_put(uuid);
}

static char *format(const struct pmr_earlier *earlier, size_t *length)
{
	char *text;
	FILE *out = open_memstream(&text, length);

	check(out);
	fprintf(out,
		"{\"format_version\":[1,0],\"command\":\"scan\",\"host\":\"" HOST
		"\",\"complete\":%s,"
		"\"devices\":[{\"name\":\"x\",\"badblocks\":{\"ranges\":[]}}],\"files\":[",
		pmr_earlier_is_complete(earlier) ? "true" : "false");
	for (size_t i = 0; i < earlier->n_files; i++) {
		if (i)
			fputc(',', out);
		print_file(out, &earlier->files[i]);
	}
	fputs("]}", out);
	check(!fclose(out));
	return text;
}

static void check_same_file(const struct pmr_earlier_file *a, const struct pmr_earlier_file *b)
{
	check(!strcmp(a->path, b->path));
	check(is_same_text(a->filesystem_uuid, b->filesystem_uuid));
	check(a->inode == b->inode && a->generation == b->generation && a->size == b->size);
	check(a->change_time.tv_sec == b->change_time.tv_sec);
	check(a->change_time.tv_nsec == b->change_time.tv_nsec);
	check(a->n_ranges == b->n_ranges);
	for (size_t i = 0; i < a->n_ranges; i++) {
		const struct pmr_earlier_range *x = &a->ranges[i], *y = &b->ranges[i];

		check(x->offset == y->offset && x->length == y->length);
		check(x->device_offset == y->device_offset);
		check(x->shared == y->shared && x->is_listed == y->is_listed);
		check(x->may_be_cached == y->may_be_cached);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmr_earlier *earlier, *again;
	size_t length;
	char *text;

	if (parse((const char *)data, size, &earlier))
		return 0;
	understood();
	check_earlier(earlier);
	text = format(earlier, &length);
	check(!parse(text, length, &again));
	check(earlier->n_files == again->n_files);
	check(earlier->is_complete == again->is_complete);
	for (size_t i = 0; i < earlier->n_files; i++)
		check_same_file(&earlier->files[i], &again->files[i]);
	pmr_earlier_free(earlier);
	pmr_earlier_free(again);
	free(text);
	return 0;
}
