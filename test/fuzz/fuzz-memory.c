/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files in which health remembers lists of badblocks. */

#include "fuzz.h"
#include "memory/memory.h"

static int parse(const char *text, size_t length, struct pmr_remembered *remembered)
{
	int ret;

	memset(remembered, UNTOUCHED, sizeof(*remembered));
	ret = pmr_remembered_parse(text, length, remembered);
	if (ret) {
		check(ret == -EBADMSG || ret == -EPROTONOSUPPORT);
		check(is_untouched(remembered, sizeof(*remembered)));
	}
	return ret;
}

/* What is gone is in order and not listed as well. */
static void check_recall(const struct pmr_recall *recall, uint64_t end)
{
	const struct pmr_gone *gone = recall->gone;

	check_normal(&recall->listed, end);
	check(recall->n_gone <= recall->alloc_gone);
	for (size_t i = 0; i < recall->n_gone; i++) {
		const struct pmr_range *range = &gone[i].range;

		check(range->length && range->offset <= end);
		check(range->length <= end - range->offset);
		check(!i || range->offset >= gone[i - 1].range.offset + gone[i - 1].range.length);
		check(!pmr_ranges_overlap(&recall->listed, range->offset, range->length));
	}
}

static void check_same_recall(const struct pmr_recall *a, const struct pmr_recall *b)
{
	check_same_ranges(&a->listed, &b->listed);
	check(a->n_gone == b->n_gone);
	for (size_t i = 0; i < a->n_gone; i++) {
		check(a->gone[i].range.offset == b->gone[i].range.offset);
		check(a->gone[i].range.length == b->gone[i].range.length);
		check(a->gone[i].seen == b->gone[i].seen);
	}
}

static void check_same(const struct pmr_remembered *a, const struct pmr_remembered *b)
{
	check(is_same_text(a->device, b->device));
	check(a->size == b->size && a->data_offset == b->data_offset);
	check(a->incomplete == b->incomplete);
	check_same_recall(&a->data, &b->data);
	check_same_recall(&a->metadata, &b->metadata);
}

/* The file is one for --badblocks as well: all that is remembered of the device. */
static void check_badblocks(const char *text, size_t length,
			    const struct pmr_remembered *remembered)
{
	const struct pmr_recall *data = &remembered->data;
	struct pmr_ranges all = { 0 };
	struct pmr_badblocks_file file;
	unsigned int line;

	check(!pmr_badblocks_parse(text, length, &file, &line));
	check(!pmr_ranges_copy(&all, &data->listed));
	for (size_t i = 0; i < data->n_gone; i++)
		check(!pmr_ranges_add(&all, data->gone[i].range.offset,
				      data->gone[i].range.length));
	pmr_ranges_normalize(&all);
	check_same_ranges(&all, &file.list.ranges);
	check(is_same_text(file.device, remembered->device) && file.size == remembered->size);
	check(!remembered->incomplete || file.list.trust == PMR_LIST_INCOMPLETE);
	pmr_ranges_release(&all);
	pmr_badblocks_file_release(&file);
}

/* Whoever gives a file of the memory to --badblocks has it read by another reader: it must not know less. */
static void check_other_reader(const char *text, size_t length,
			       const struct pmr_remembered *remembered)
{
	struct pmr_badblocks_file file;
	unsigned int line;

	check(!pmr_badblocks_parse(text, length, &file, &line));
	check(is_same_text(file.device, remembered->device) && file.size == remembered->size);
	check(!file.list.reason || strcmp(file.list.reason, "noted") || remembered->incomplete);
	pmr_badblocks_file_release(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmr_remembered remembered, again;
	size_t length;
	char *text;

	if (parse((const char *)data, size, &remembered))
		return 0;
	understood();
	check_other_reader((const char *)data, size, &remembered);
	check(!remembered.device || *remembered.device);
	check_recall(&remembered.data, remembered.size ? remembered.size : UINT64_MAX);
	check_recall(&remembered.metadata, UINT64_MAX);
	check(!pmr_remembered_format(&remembered, &text, &length));
	check(strlen(text) == length);
	check(!parse(text, length, &again));
	check_same(&remembered, &again);
	check_badblocks(text, length, &remembered);
	pmr_remembered_release(&remembered);
	pmr_remembered_release(&again);
	free(text);
	return 0;
}
