/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GNU ddrescue's mapfiles. */

#include "fuzz.h"
#include "core/mapfile.h"

static unsigned long count_lines(const char *text, size_t length)
{
	unsigned long n = 1;

	for (size_t i = 0; i < length; i++)
		n += text[i] == '\n';
	return n;
}

/* ---- inputs */

#define SIZE "# pmem-recover size: "

/* Areas begin where the one before ends, and the file ends where they do. Return: where that is. */
static uint64_t mend_line(FILE *out, const char *line, bool *has_status, uint64_t end,
			  uint64_t total)
{
	const char *first = line + strspn(line, " \t");
	long long length;
	char status;

	if (!strncmp(line, SIZE, strlen(SIZE))) {
		fprintf(out, SIZE "%llu\n", (unsigned long long)total);
	} else if (*has_status && sscanf(first, "%*i %lli %c", &length, &status) == 2 &&
		   length > 0 && (uint64_t)length <= INT64_MAX - end) {
		fprintf(out, "%llu 0x%llX %c\n", (unsigned long long)end, length, status);
		end += (uint64_t)length;
	} else {
		*has_status = *has_status || (*first && *first != '#');
		fprintf(out, "%s\n", line);
	}
	return end;
}

static uint64_t mend(char *text, uint64_t total, char **mended, size_t *length)
{
	FILE *out = open_memstream(mended, length);
	bool has_status = false;
	uint64_t end = 0;
	char *line;

	check(out);
	while ((line = strsep(&text, "\n")))
		if (text || *line)
			end = mend_line(out, line, &has_status, end, total);
	check(!fclose(out));
	return end;
}

/* A changed digit would hide all that is behind it: three in four are mended. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	char *mended, *text;
	size_t length;
	uint64_t end;

	size = LLVMFuzzerMutate(data, size, max_size);
	if (seed % 4 == 0 || memchr(data, '\0', size))
		return size;
	text = strndup((const char *)data, size);
	check(text);
	end = mend(text, 0, &mended, &length);
	free(mended);
	memcpy(text, data, size);
	mend(text, end, &mended, &length);
	if (length <= max_size) {
		memcpy(data, mended, length);
		size = length;
	}
	free(mended);
	free(text);
	return size;
}

/* ---- properties */

static int parse(const char *text, size_t length, struct pmr_mapfile *map)
{
	const char *fault = NULL;
	unsigned long line = 0;
	int ret;

	memset(map, UNTOUCHED, sizeof(*map));
	ret = pmr_mapfile_parse(text, length, map, &line, &fault);
	if (!ret)
		return 0;
	check(ret == -EINVAL || ret == -ERANGE);
	check(is_untouched(map, sizeof(*map)));
	check(fault && *fault);
	check(line >= 1 && line <= count_lines(text, length));
	return ret;
}

static void check_map(const struct pmr_mapfile *map)
{
	const struct pmr_mapfile_identity *identity = &map->identity;
	const struct pmr_ranges *bad = &map->bad;

	check(map->size <= INT64_MAX);
	check_normal(&map->rescued, map->size);
	check_normal(bad, map->size);
	check_normal(&map->listed, map->size);
	for (size_t i = 0; i < bad->n; i++)
		check(!pmr_ranges_overlap(&map->rescued, bad->v[i].offset, bad->v[i].length));
	check(!identity->path);
	if (!identity->known)
		return;
	check(identity->size == map->size);
	check(identity->change_time.tv_nsec >= 0 && identity->change_time.tv_nsec < 1000000000);
	check(!identity->uuid || (*identity->uuid && strlen(identity->uuid) <= 64));
	check(!pmr_mapfile_differs(map, identity));
}

static void check_same(const struct pmr_mapfile *a, const struct pmr_mapfile *b)
{
	check(a->size == b->size);
	check_same_ranges(&a->rescued, &b->rescued);
	check_same_ranges(&a->bad, &b->bad);
	check_same_ranges(&a->listed, &b->listed);
	check(a->identity.known == b->identity.known);
	if (!a->identity.known)
		return;
	check(is_same_text(a->identity.uuid, b->identity.uuid));
	check(a->identity.inode == b->identity.inode);
	check(a->identity.generation == b->identity.generation);
	check(!pmr_mapfile_differs(a, &b->identity));
	check(a->output == b->output);
	/* of no output there is nothing to say */
	check(!a->output || a->output_generation == b->output_generation);
	check(!a->output || pmr_is_same_time(&a->output_birth, &b->output_birth));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmr_mapfile map, again;
	char *text, *same;
	size_t length, n;

	if (parse((const char *)data, size, &map))
		return 0;
	understood();
	check_map(&map);
	check(!pmr_mapfile_format(&map, &text, &length));
	check(strlen(text) == length);
	check(!parse(text, length, &again));
	check_same(&map, &again);
	check(!pmr_mapfile_format(&again, &same, &n));
	check(n == length && !memcmp(text, same, n));
	pmr_mapfile_release(&map);
	pmr_mapfile_release(&again);
	free(text);
	free(same);
	return 0;
}
