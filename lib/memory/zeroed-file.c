/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files in which zeros are remembered: their names, and how they are read, changed and replaced. */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/document.h"
#include "state.h"
#include "zeroed.h"

#define ZEROED "zeroed"
/* Of the filesystem's UUID, in a name: enough to tell it from the others of a machine. */
#define UUID_PART 8

/* ---- ranges */

int pmr_zeros_add(struct pmr_zeros *zeros, const struct pmr_zeros_range *range)
{
	size_t at = zeros->n_ranges;
	int ret;

	ret = pmr_grow(&zeros->ranges, zeros->n_ranges, &zeros->alloc_ranges, sizeof(*range));
	if (ret)
		return ret;
	while (at && zeros->ranges[at - 1].at.offset > range->at.offset)
		at--;
	memmove(&zeros->ranges[at + 1], &zeros->ranges[at],
		(zeros->n_ranges - at) * sizeof(*range));
	zeros->ranges[at] = *range;
	zeros->n_ranges++;
	return 0;
}

int pmr_zeros_remove(struct pmr_zeros *zeros, const struct pmr_ranges *ranges, bool *changed)
{
	struct pmr_zeros left = { 0 };
	struct pmr_ranges one = { 0 }, parts = { 0 };
	int ret = 0;

	for (size_t i = 0; i < zeros->n_ranges && !ret; i++) {
		const struct pmr_zeros_range *range = &zeros->ranges[i];

		one.n = parts.n = 0;
		if (pmr_ranges_overlap(ranges, range->at.offset, range->at.length))
			*changed = true;
		ret = pmr_ranges_add(&one, range->at.offset, range->at.length);
		if (!ret)
			ret = pmr_ranges_subtract(&parts, &one, ranges);
		for (size_t j = 0; j < parts.n && !ret; j++) {
			struct pmr_zeros_range part = *range;

			part.at.offset = parts.v[j].offset;
			part.at.length = parts.v[j].length;
			part.at.device_offset += part.at.offset - range->at.offset;
			ret = pmr_zeros_add(&left, &part);
		}
	}
	pmr_ranges_release(&one);
	pmr_ranges_release(&parts);
	if (ret) {
		free(left.ranges);
		return ret;
	}
	free(zeros->ranges);
	zeros->ranges = left.ranges;
	zeros->n_ranges = left.n_ranges;
	zeros->alloc_ranges = left.alloc_ranges;
	return 0;
}

/* ---- the files */

char *pmr_zeros_name(const struct pmr_zeros *zeros, unsigned int n)
{
	const char *from =
		zeros->file.filesystem_uuid ? zeros->file.filesystem_uuid : zeros->device;
	char part[UUID_PART + 1] = "", more[16] = "", *name;

	for (size_t i = 0; i < UUID_PART && from[i]; i++)
		part[i] = isalnum((unsigned char)from[i]) ? from[i] : '_';
	if (n > 1)
		snprintf(more, sizeof(more), ".%u", n);
	return asprintf(&name, "%s-%" PRIu64 "%s", part, zeros->file.inode, more) < 0 ? NULL : name;
}

int pmr_zeros_open(const char *directory, bool make, int *fd)
{
	return pmr_state_open(directory, ZEROED, make, fd);
}

int pmr_zeros_append(struct pmr_zeros_list *list, char *name, struct pmr_zeros_entry **entry)
{
	int ret = name ? pmr_grow(&list->v, list->n, &list->alloc, sizeof(*list->v)) : -ENOMEM;

	if (ret) {
		free(name);
		return ret;
	}
	list->v[list->n] = (struct pmr_zeros_entry){ .name = name };
	*entry = &list->v[list->n++];
	return 0;
}

static int load_one(int fd, const char *name, struct pmr_zeros_list *list)
{
	struct pmr_zeros_entry *entry;
	size_t length = 0;
	char *text = NULL;
	int ret;

	ret = pmr_zeros_append(list, strdup(name), &entry);
	if (ret)
		return ret;
	ret = pmr_state_read(fd, name, PMR_DOCUMENT_MAX, &text, &length, NULL);
	if (!ret)
		ret = pmr_zeros_parse(text, length, &entry->zeros);
	free(text);
	/* it was removed just now */
	if (ret == -ENOENT)
		free(list->v[--list->n].name);
	else if (ret != -ENOMEM)
		entry->error = ret;
	return ret == -ENOMEM ? ret : 0;
}

/* Those that are being written, and those that were set aside, are none. */
static bool is_one(const char *name)
{
	size_t length = strlen(name);

	return *name != '.' && (length < 4 || strcmp(name + length - 4, ".bad") != 0);
}

static int compare_entries(const void *a, const void *b)
{
	const struct pmr_zeros_entry *x = a, *y = b;

	return strverscmp(x->name, y->name);
}

int pmr_zeros_load(int fd, struct pmr_zeros_list *list)
{
	const struct dirent *entry;
	int copy, ret = 0;
	DIR *directory;

	/* a descriptor of its own, since the place in a directory belongs to the open file */
	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copy < 0)
		return -errno;
	directory = fdopendir(copy);
	if (!directory) {
		ret = -errno;
		close(copy);
		return ret;
	}
	for (errno = 0; !ret && (entry = readdir(directory)); errno = 0)
		if (is_one(entry->d_name))
			ret = load_one(fd, entry->d_name, list);
	if (!ret)
		ret = -errno;
	closedir(directory);
	if (list->n)
		qsort(list->v, list->n, sizeof(*list->v), compare_entries);
	return ret;
}

int pmr_zeros_store(int fd, const struct pmr_zeros_entry *entry)
{
	size_t length = 0;
	char *text = NULL;
	int ret;

	if (!entry->zeros.n_ranges)
		return pmr_state_remove(fd, entry->name);
	ret = pmr_zeros_format(&entry->zeros, &text, &length);
	if (!ret)
		ret = pmr_state_replace(fd, entry->name, text, length, time(NULL));
	free(text);
	return ret;
}

void pmr_zeros_list_release(struct pmr_zeros_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->v[i].name);
		pmr_zeros_release(&list->v[i].zeros);
	}
	free(list->v);
	*list = (struct pmr_zeros_list){ 0 };
}
