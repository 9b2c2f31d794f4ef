/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files in which zeros are remembered: reports of one file each, with the time of each range. */

#include "fuzz.h"
#include "memory/zeroed.h"

static int parse(const char *text, size_t length, struct pmr_zeros *zeros)
{
	int ret;

	memset(zeros, UNTOUCHED, sizeof(*zeros));
	ret = pmr_zeros_parse(text, length, zeros);
	if (ret) {
		check(ret == -EBADMSG || ret == -EPROTONOSUPPORT);
		check(is_untouched(zeros, sizeof(*zeros)));
	}
	return ret;
}

static void check_zeros(const struct pmr_zeros *zeros)
{
	uint64_t end = 0;

	check(zeros->file.path && *zeros->file.path == '/' && zeros->file.inode);
	check(!zeros->file.ranges && !zeros->file.n_ranges && !zeros->file.alloc_ranges);
	check(zeros->n_ranges && zeros->n_ranges <= zeros->alloc_ranges);
	for (size_t i = 0; i < zeros->n_ranges; i++) {
		const struct pmr_earlier_range *range = &zeros->ranges[i].at;

		check(range->length && range->offset >= end && range->offset <= zeros->file.size);
		check(range->length <= zeros->file.size - range->offset);
		check(range->length <= UINT64_MAX - range->device_offset);
		check(range->is_listed && !range->may_be_cached && zeros->ranges[i].when >= 0);
		end = range->offset + range->length;
	}
}

static void check_same(const struct pmr_zeros *a, const struct pmr_zeros *b)
{
	check(!strcmp(a->file.path, b->file.path));
	check(is_same_text(a->file.filesystem_uuid, b->file.filesystem_uuid));
	check(a->file.inode == b->file.inode && a->file.generation == b->file.generation);
	check(a->file.size == b->file.size);
	check(!memcmp(&a->file.change_time, &b->file.change_time, sizeof(a->file.change_time)));
	check(is_same_text(a->device, b->device) && is_same_text(a->ns_name, b->ns_name));
	check(is_same_text(a->ns_uuid, b->ns_uuid) && a->n_ranges == b->n_ranges);
	for (size_t i = 0; i < a->n_ranges; i++) {
		const struct pmr_earlier_range *x = &a->ranges[i].at, *y = &b->ranges[i].at;

		check(x->offset == y->offset && x->length == y->length);
		check(x->device_offset == y->device_offset && x->shared == y->shared);
		check(a->ranges[i].when == b->ranges[i].when);
	}
}

/* A name is one of a file in the directory, whatever the text has. */
static void check_name(const struct pmr_zeros *zeros)
{
	char *name = pmr_zeros_name(zeros, 2);

	check(name && *name && *name != '.' && !strchr(name, '/'));
	free(name);
}

/* Without its first byte there is one less, or the range is gone. */
static void check_remove(struct pmr_zeros *zeros)
{
	struct pmr_range first = { zeros->ranges[0].at.offset, 1 };
	const struct pmr_ranges one = { &first, 1, 1 };
	uint64_t length = zeros->ranges[0].at.length;
	size_t n = zeros->n_ranges;
	bool changed = false;

	check(!pmr_zeros_remove(zeros, &one, &changed));
	check(changed && zeros->n_ranges == (length == 1 ? n - 1 : n));
	check(length == 1 || zeros->ranges[0].at.length == length - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmr_zeros zeros, again;
	size_t length;
	char *text;

	if (parse((const char *)data, size, &zeros))
		return 0;
	understood();
	check_zeros(&zeros);
	/* what has no device comes from elsewhere, and is never written */
	if (zeros.device) {
		check_name(&zeros);
		check(!pmr_zeros_format(&zeros, &text, &length));
		check(!parse(text, length, &again));
		check_same(&zeros, &again);
		pmr_zeros_release(&again);
		free(text);
	}
	check_remove(&zeros);
	pmr_zeros_release(&zeros);
	return 0;
}
