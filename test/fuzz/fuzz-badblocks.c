/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of badblocks: the text of a --badblocks file, and the same bytes as a kernel's attribute. */

#include <inttypes.h>

#include "fuzz.h"
#include "device/topology.h"

#define PAGE ((size_t)4096)

static unsigned int count_lines(const char *text, size_t length)
{
	unsigned int n = length && text[length - 1] != '\n';

	for (size_t i = 0; i < length; i++)
		n += text[i] == '\n';
	return n;
}

static void check_trust(const struct pmr_badblocks *list)
{
	check((list->trust == PMR_LIST_COMPLETE) == !list->reason);
	check(list->trust != PMR_LIST_UNKNOWN || !list->ranges.n);
	check(!list->source);
}

static void check_sectors(const struct pmr_ranges *ranges)
{
	for (size_t i = 0; i < ranges->n; i++)
		check(ranges->v[i].length && ranges->v[i].offset % PMR_SECTOR == 0 &&
		      ranges->v[i].length % PMR_SECTOR == 0);
}

/* What was read, written down as the kernel does it, is read again as the same. */
static void check_again(const struct pmr_badblocks_file *file)
{
	struct pmr_badblocks_file again;
	unsigned int line;
	size_t length;
	char *text;
	FILE *out = open_memstream(&text, &length);

	check(out);
	if (file->device)
		fprintf(out, "# device %s\n", file->device);
	if (file->size)
		fprintf(out, "# size %" PRIu64 "\n", file->size);
	for (size_t i = 0; i < file->list.ranges.n; i++)
		fprintf(out, "%" PRIu64 " %" PRIu64 "\n",
			file->list.ranges.v[i].offset / PMR_SECTOR,
			file->list.ranges.v[i].length / PMR_SECTOR);
	check(!fclose(out));
	check(!pmr_badblocks_parse(text, length, &again, &line));
	check(is_same_text(file->device, again.device) && file->size == again.size);
	check_same_ranges(&file->list.ranges, &again.list.ranges);
	pmr_badblocks_file_release(&again);
	free(text);
}

static int parse_file(const char *text, size_t length, struct pmr_badblocks_file *file)
{
	unsigned int line = 0;
	int ret;

	memset(file, UNTOUCHED, sizeof(*file));
	ret = pmr_badblocks_parse(text, length, file, &line);
	if (ret) {
		check(ret == -EINVAL || ret == -ERANGE);
		check(is_untouched(file, sizeof(*file)));
		check(line >= 1 && line <= count_lines(text, length));
		return ret;
	}
	check_trust(&file->list);
	check(file->list.trust != PMR_LIST_UNKNOWN);
	check(file->list.trust == PMR_LIST_COMPLETE || line == count_lines(text, length));
	check(!file->device || *file->device);
	check_normal(&file->list.ranges, file->size ? file->size : UINT64_MAX);
	check_sectors(&file->list.ranges);
	check_again(file);
	return 0;
}

/* Only what was read to the end and understood in full is believed, and then the other reader says the same. */
static void judge(const char *text, size_t length, const struct pmr_badblocks_file *file)
{
	bool whole = !length || text[length - 1] == '\n';
	struct pmr_badblocks list;

	check(!pmr_badblocks_judge(text, length, 0, PAGE, &list));
	check_trust(&list);
	check_sectors(&list.ranges);
	check(list.ranges.n <= length / 4 + 1);
	if (list.trust == PMR_LIST_COMPLETE) {
		check(whole && length < PAGE - 1);
		check(file);
		pmr_ranges_normalize(&list.ranges);
		check_same_ranges(&list.ranges, &file->list.ranges);
	}
	pmr_badblocks_release(&list);
}

/* An attribute that could not be read has no text. */
static void judge_nothing(void)
{
	struct pmr_badblocks list;

	check(!pmr_badblocks_judge(NULL, 0, -EACCES, PAGE, &list));
	check(list.trust == PMR_LIST_UNKNOWN && list.reason && !list.ranges.n);
	pmr_badblocks_release(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct pmr_badblocks_file file;
	int ret;

	judge_nothing();
	ret = parse_file(text, size, &file);
	judge(text, size, ret ? NULL : &file);
	if (ret)
		return 0;
	understood();
	pmr_badblocks_file_release(&file);
	return 0;
}
