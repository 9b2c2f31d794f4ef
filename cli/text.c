// SPDX-License-Identifier: GPL-2.0-or-later
/* Text in and out: sizes, paths that are safe on a terminal, strings that are safe in JSON. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

const char *text_format_time(time_t when, char *text)
{
	struct tm tm;

	if (!gmtime_r(&when, &tm) || !strftime(text, TEXT_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return NULL;
	return text;
}

void text_print_size(FILE *out, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t whole = bytes;
	unsigned int tenth = 0;
	bool exact = true;
	size_t i = 0;

	while (whole >= 1024) {
		exact = exact && whole % 1024 == 0;
		tenth = (unsigned int)(whole % 1024 * 10 / 1024);
		whole /= 1024;
		i++;
	}
	if (exact)
		fprintf(out, "%" PRIu64 " %s", whole, units[i]);
	else
		fprintf(out, "%" PRIu64 ".%u %s", whole, tenth, units[i]);
}

void text_print_count(FILE *out, uint64_t count, const char *noun)
{
	fprintf(out, "%" PRIu64 " %s%s", count, noun, count == 1 ? "" : "s");
}

/*
 * Decode one character of UTF-8. Returns its length, or 0 when the bytes are none: overlong forms,
 * surrogates and what lies past U+10FFFF included.
 */
static size_t decode(const char *text, uint32_t *character)
{
	const unsigned char *s = (const unsigned char *)text;
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t c;

	if (length <= 1) {
		*character = s[0];
		return length;
	}
	if (s[0] > 0xf4)
		return 0;
	c = s[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*character = c;
	return length;
}

/* Characters that would move the cursor, turn the writing direction or hide what follows. */
static bool is_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xe0000 && c <= 0xe0fff);
}

void text_print_safe(FILE *out, const char *text)
{
	bool utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	uint32_t c = 0;
	size_t length;

	for (; *text; text += length) {
		length = decode(text, &c);
		if (length == 0 || is_unsafe(c) || (length > 1 && !utf8)) {
			length = length ? length : 1;
			for (size_t i = 0; i < length; i++)
				fprintf(out, "\\x%02x", (unsigned char)text[i]);
		} else {
			if (c == '\\')
				fputc('\\', out);
			fwrite(text, 1, length, out);
		}
	}
}

char *text_to_utf8(const char *text, bool *exact)
{
	/* one stray byte becomes the three of U+FFFD */
	char *copy = malloc(strlen(text) * 3 + 1);
	char *to = copy;
	uint32_t c;

	if (exact)
		*exact = true;
	if (!copy)
		return NULL;
	while (*text) {
		size_t length = decode(text, &c);

		if (length) {
			to = mempcpy(to, text, length);
			text += length;
			continue;
		}
		to = mempcpy(to, "\xef\xbf\xbd", 3);
		text++;
		if (exact)
			*exact = false;
	}
	*to = '\0';
	return copy;
}

char *text_to_base64(const char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = (const unsigned char *)text;
	size_t left = strlen(text);
	char *copy = malloc((left + 2) / 3 * 4 + 1);
	char *to = copy;

	if (!copy)
		return NULL;
	while (left) {
		uint32_t bits = (uint32_t)s[0] << 16;

		if (left > 1)
			bits |= (uint32_t)s[1] << 8;
		if (left > 2)
			bits |= s[2];
		*to++ = digits[bits >> 18];
		*to++ = digits[bits >> 12 & 63];
		*to++ = left > 1 ? digits[bits >> 6 & 63] : '=';
		*to++ = left > 2 ? digits[bits & 63] : '=';
		s += left > 3 ? 3 : left;
		left -= left > 3 ? 3 : left;
	}
	*to = '\0';
	return copy;
}

int text_parse_size(const char *text, const char **end, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	unsigned long long value;
	const char *unit;
	char *stop;

	/* strtoull() would take blanks and a sign */
	if (hex ? !isxdigit((unsigned char)*digits) : !isdigit((unsigned char)*digits))
		return -EINVAL;
	errno = 0;
	/* from the 0x on: without it, base 16 takes a second one */
	value = strtoull(text, &stop, hex ? 16 : 10);
	if (errno)
		return -ERANGE;
	unit = *stop ? strchr(units, toupper((unsigned char)*stop)) : NULL;
	if (unit) {
		unsigned int shift = 10 * (unsigned int)(unit - units + 1);

		if (value > UINT64_MAX >> shift)
			return -ERANGE;
		value <<= shift;
		stop++;
	}
	*end = stop;
	*bytes = value;
	return 0;
}

int text_parse_range(const char *text, uint64_t *offset, uint64_t *length)
{
	const char *end;
	uint64_t bytes;
	int rc;

	rc = text_parse_size(text, &end, offset);
	if (rc || !*end)
		return rc;
	if (*end != '+')
		return -EINVAL;
	rc = text_parse_size(end + 1, &end, &bytes);
	if (rc)
		return rc;
	if (*end || bytes == 0)
		return -EINVAL;
	*length = bytes;
	return 0;
}

/* Longer than any name there is. */
#define LONGEST 32

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The distance of Damerau and Levenshtein, each letter touched once. */
bool text_is_slip(const char *word, const char *meant, size_t *slips)
{
	size_t rows[3][LONGEST + 1], n = strlen(word), m = strlen(meant), distance;

	if (n > LONGEST || m > LONGEST)
		return false;
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= m; j++) {
			now[j] = least(least(last[j], now[j - 1]) + 1,
				       last[j - 1] + (word[i - 1] != meant[j - 1]));
			if (i > 1 && j > 1 && word[i - 1] == meant[j - 2] &&
			    word[i - 2] == meant[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
	}
	distance = rows[n % 3][m];
	if (distance > (n > 3 ? 2 : 1) || distance >= *slips)
		return false;
	*slips = distance;
	return true;
}
