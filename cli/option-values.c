// SPDX-License-Identifier: GPL-2.0-or-later
/* What the values of options mean. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "option-values.h"
#include "text.h"

/* Where an option goes: without a value of its own, to a bool; a name of a file, to a string. */
static const struct field {
	enum option option;
	size_t offset;
} flags[] = {
	{ OPT_HUMAN, offsetof(struct options, human) },
	{ OPT_QUIET, offsetof(struct options, quiet) },
	{ OPT_HELP, offsetof(struct options, help) },
	{ OPT_LIST_OPTS, offsetof(struct options, list_opts) },
	{ OPT_ZERO_FILL, offsetof(struct options, zero_fill) },
	{ OPT_FORCE, offsetof(struct options, force) },
	{ OPT_ACCEPT_OFFLINED, offsetof(struct options, accept_offlined) },
	{ OPT_TRUST_BADBLOCKS, offsetof(struct options, trust_badblocks) },
	{ OPT_YES, offsetof(struct options, yes) },
	{ OPT_DRY_RUN, offsetof(struct options, dry_run) },
	{ OPT_READ, offsetof(struct options, read) },
	{ OPT_SCRUB, offsetof(struct options, scrub) },
	{ OPT_ONLINE, offsetof(struct options, online) },
	{ OPT_RESUME, offsetof(struct options, resume) },
	{ OPT_ALL, offsetof(struct options, all) },
	{ OPT_SET_ASIDE, offsetof(struct options, set_aside) },
}, strings[] = {
	{ OPT_BADBLOCKS, offsetof(struct options, badblocks) },
	{ OPT_FROM_BACKUP, offsetof(struct options, from_backup) },
	{ OPT_BACKUP_ROOT, offsetof(struct options, backup_root) },
	{ OPT_JOURNAL, offsetof(struct options, journal) },
	{ OPT_RANGES, offsetof(struct options, ranges) },
	{ OPT_OUTPUT, offsetof(struct options, output) },
	{ OPT_MAPFILE, offsetof(struct options, mapfile) },
	{ OPT_ACKNOWLEDGE, offsetof(struct options, acknowledge) },
	{ OPT_EXPORT, offsetof(struct options, export) },
};

/* NULL where the option is in no such table */
static void *find_field(struct options *options, int option, const struct field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if ((int)fields[i].option == option)
			return (char *)options + fields[i].offset;
	}
	return NULL;
}

#define FIND_FIELD(options, option, fields) \
	find_field(options, option, fields, sizeof(fields) / sizeof((fields)[0]))

void options_complain(const char *name, const char *object, const char *text)
{
	fputs("pmem-recover: ", stderr);
	text_print_safe(stderr, object);
	fprintf(stderr, ": %s, see '%s --help'\n", text, name);
}

static int set_format(struct options *options, const char *value)
{
	if (strcmp(value, "json") && strcmp(value, "human"))
		return -EINVAL;
	options->human = value[0] == 'h';
	return 0;
}

static int set_verify(struct options *options, const char *value)
{
	static const char *const words[] = {
		[PMR_VERIFY_WINDOW] = "window",
		[PMR_VERIFY_FULL] = "full",
		[PMR_VERIFY_NONE] = "none",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(value, words[i])) {
			options->verify_backup = (enum pmr_verify_backup)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_method(struct options *options, const char *value)
{
	for (int i = PMR_METHOD_AUTO; i <= PMR_METHOD_DEVICE; i++) {
		if (!strcmp(value, pmr_method_name((enum pmr_method)i))) {
			options->method = (enum pmr_method)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* A number, all of it; decimal, or hexadecimal after 0x, where the base is 0: nobody means 8 by 010. */
static int parse_number(const char *value, int base, uint64_t *number)
{
	char *end;

	if (!isxdigit((unsigned char)*value) ||
	    (!base && *value == '0' && isdigit((unsigned char)value[1])))
		return -EINVAL;
	errno = 0;
	*number = strtoull(value, &end, base);
	return errno || *end ? -EINVAL : 0;
}

static int set_recovery_flag(struct options *options, const char *value)
{
	uint64_t bit = PMR_FLAG_AUTO;

	if (!strcmp(value, "never"))
		bit = PMR_FLAG_NEVER;
	else if (strcmp(value, "auto") &&
		 (parse_number(value, 0, &bit) || bit == 0 || bit > INT32_MAX))
		return -EINVAL;
	options->recovery_flag = (uint32_t)bit;
	return 0;
}

static int set_fill(struct options *options, const char *value)
{
	uint64_t byte;

	if (parse_number(value, 0, &byte) || byte > UINT8_MAX)
		return -EINVAL;
	options->fill = (uint8_t)byte;
	options->has_fill = true;
	return 0;
}

static int set_keep(struct options *options, const char *value)
{
	uint64_t days = PMR_KEEP_FOREVER;

	if (strcmp(value, "forever") &&
	    (parse_number(value, 10, &days) || days >= PMR_KEEP_FOREVER))
		return -EINVAL;
	options->keep_days = (unsigned int)days;
	options->has_keep = true;
	return 0;
}

/* What the library does not use, it need not be told. */
static int set_threads(struct options *options, const char *value)
{
	uint64_t threads;

	if (parse_number(value, 10, &threads) || threads == 0)
		return -EINVAL;
	options->threads = threads < UINT_MAX ? (unsigned int)threads : UINT_MAX;
	return 0;
}

static int set_lookup(struct options *options, const char *value)
{
	if (strcmp(value, "auto") && strcmp(value, "walk"))
		return -EINVAL;
	options->lookup = value[0] == 'w' ? PMR_LOOKUP_WALK : PMR_LOOKUP_AUTO;
	return 0;
}

static int set_address(struct options *options, const char *value)
{
	if (parse_number(value, 16, &options->address))
		return -EINVAL;
	options->has_address = true;
	return 0;
}

static int set_read_rate(struct options *options, const char *value)
{
	const char *end;

	return text_parse_size(value, &end, &options->read_rate) || *end || !options->read_rate
		       ? -EINVAL
		       : 0;
}

/* What is no file name, how it is understood, and what it is when it cannot be. */
static const struct value {
	enum option option;
	int (*set)(struct options *options, const char *value);
	const char *complaint;
} values[] = {
	{ OPT_FORMAT, set_format, "no such format: it is json or human" },
	{ OPT_VERIFY_BACKUP, set_verify, "--verify-backup is window, full or none" },
	{ OPT_METHOD, set_method, "--method is auto, flag, write, punch or device" },
	{ OPT_KEEP, set_keep, "--keep is a number of days, or forever" },
	{ OPT_THREADS, set_threads, "--threads is a number, at least 1" },
	{ OPT_LOOKUP, set_lookup, "--lookup is auto or walk" },
	{ OPT_READ_RATE, set_read_rate, "--read-rate is a number of bytes, as 512K or 100M" },
	{ OPT_RECOVERY_FLAG, set_recovery_flag,
	  "--recovery-flag is auto, never or one bit such as 0x20" },
	{ OPT_FILL, set_fill, "--fill is a byte, 0 to 255 or 0x00 to 0xff" },
	{ OPT_ADDRESS, set_address, "--address is a hexadecimal number" },
};

/* @value is ours to keep or to free. */
static int set_value(const char *name, struct options *options, int option, char *value)
{
	char **string = FIND_FIELD(options, option, strings);
	int rc = 0;

	if (!value)
		return -ENOMEM;
	if (string && *value) {
		free(*string);
		*string = value;
		return 0;
	}
	if (string) {
		options_complain(name, "option", "a file name cannot be empty");
		rc = -EINVAL;
	}
	for (size_t i = 0; !string && i < sizeof(values) / sizeof(values[0]); i++) {
		if ((int)values[i].option != option)
			continue;
		rc = values[i].set(options, value);
		if (rc)
			options_complain(name, value, values[i].complaint);
	}
	free(value);
	return rc;
}

int options_set(const char *name, struct options *options, int option, char *value)
{
	bool *flag = FIND_FIELD(options, option, flags);

	if (!flag && option != OPT_VERBOSE)
		return set_value(name, options, option, value);
	if (flag)
		*flag = true;
	else
		options->verbose++;
	return 0;
}
