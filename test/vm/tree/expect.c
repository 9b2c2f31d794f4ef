// SPDX-License-Identifier: GPL-2.0-or-later
/* expect.c: what poison takes, written down by `tree poison` and read back by the checks. One line a fact. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tree.h"

int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void write_file(FILE *f, const struct file *file)
{
	char *path = encode_path(file->path);
	size_t i;

	fprintf(f, "file %c %lu %lu %o %u %s %s\n", kinds[file->kind].letter, file->inode,
		file->size, file->mode, file->uid, file->capability ? file->capability : "-", path);
	free(path);
	for (i = 0; i < file->n_links; i++) {
		path = encode_path(file->links[i]);
		fprintf(f, "link %s\n", path);
		free(path);
	}
}

void expect_write(const struct expect *expect, const char *path)
{
	FILE *f = fopen(path, "we");
	size_t i;

	if (!f)
		die("%s: cannot create: %s", path, strerror(errno));
	fprintf(f, "on %d %s %s\n", expect->xfs, expect->mount, expect->device);
	for (i = 0; i < expect->n_files; i++)
		write_file(f, &expect->files[i]);
	for (i = 0; i < expect->n_lost; i++) {
		const struct lost *lost = &expect->lost[i];

		fprintf(f, "lost %u %lu %u %lu %d\n", lost->file, lost->offset, lost->length,
			lost->sector, lost->shared);
	}
	for (i = 0; i < expect->n_quiet; i++) {
		const struct quiet *quiet = &expect->quiet[i];

		fprintf(f, "quiet %u %lu %u %lu %d %d %d\n", quiet->file, quiet->offset,
			quiet->length, quiet->sector, quiet->past_eof, quiet->tail, quiet->shared);
	}
	for (i = 0; i < expect->n_free; i++)
		fprintf(f, "free %lu\n", expect->free[i]);
	for (i = 0; i < expect->n_aside; i++)
		fprintf(f, "aside %s %lu\n", expect->aside[i].owner, expect->aside[i].sector);
	for (i = 0; i < expect->n_bad; i++)
		fprintf(f, "bad %lu\n", expect->bad[i]);
	if (fclose(f))
		die("%s: cannot write: %s", path, strerror(errno));
}

static bool read_file(struct expect *expect, char *text)
{
	char letter, capability[160];
	struct file *file;
	int at = 0;

	expect->files =
		must_grow(expect->files, expect->n_files, &expect->files_alloc, sizeof(*file));
	file = &expect->files[expect->n_files++];
	*file = (struct file){ .path = NULL };
	if (sscanf(text, "%c %lu %lu %o %u %150s %n", &letter, &file->inode, &file->size,
		   &file->mode, &file->uid, capability, &at) != 6 ||
	    !at)
		return false;
	for (file->kind = 0; kinds[file->kind].letter != letter;) {
		if (++file->kind == N_KINDS)
			return false;
	}
	if (strcmp(capability, "-") != 0)
		file->capability = must_format("%s", capability);
	file->path = decode_path(text + at);
	return true;
}

static bool read_link(struct expect *expect, const char *text)
{
	struct file *file;

	if (!expect->n_files)
		return false;
	file = &expect->files[expect->n_files - 1];
	file->links = realloc(file->links, (file->n_links + 1) * sizeof(*file->links));
	if (!file->links)
		die("out of memory");
	file->links[file->n_links++] = decode_path(text);
	return true;
}

static bool read_lost(struct expect *expect, const char *text)
{
	struct lost *lost;
	int shared;

	expect->lost = must_grow(expect->lost, expect->n_lost, &expect->lost_alloc, sizeof(*lost));
	lost = &expect->lost[expect->n_lost++];
	if (sscanf(text, "%u %lu %u %lu %d", &lost->file, &lost->offset, &lost->length,
		   &lost->sector, &shared) != 5)
		return false;
	lost->shared = shared;
	return lost->file < expect->n_files;
}

static bool read_quiet(struct expect *expect, const char *text)
{
	struct quiet *quiet;
	int past_eof, tail, shared;

	expect->quiet =
		must_grow(expect->quiet, expect->n_quiet, &expect->quiet_alloc, sizeof(*quiet));
	quiet = &expect->quiet[expect->n_quiet++];
	if (sscanf(text, "%u %lu %u %lu %d %d %d", &quiet->file, &quiet->offset, &quiet->length,
		   &quiet->sector, &past_eof, &tail, &shared) != 7)
		return false;
	quiet->past_eof = past_eof;
	quiet->tail = tail;
	quiet->shared = shared;
	return quiet->file < expect->n_files;
}

static bool read_number(uint64_t **array, size_t *n, size_t *alloc, const char *text)
{
	*array = must_grow(*array, *n, alloc, sizeof(**array));
	return sscanf(text, "%lu", &(*array)[(*n)++]) == 1;
}

static bool read_aside(struct expect *expect, const char *text)
{
	struct aside *aside;

	expect->aside =
		must_grow(expect->aside, expect->n_aside, &expect->aside_alloc, sizeof(*aside));
	aside = &expect->aside[expect->n_aside++];
	if (sscanf(text, "%ms %lu", &aside->owner, &aside->sector) != 2)
		return false;
	expect->bad =
		must_grow(expect->bad, expect->n_bad, &expect->bad_alloc, sizeof(*expect->bad));
	expect->bad[expect->n_bad++] = aside->sector;
	return true;
}

const char *aside_owner(const struct expect *expect, uint64_t sector)
{
	size_t i;

	for (i = 0; i < expect->n_aside; i++) {
		if (expect->aside[i].sector == sector)
			return expect->aside[i].owner;
	}
	return NULL;
}

static bool read_line(struct expect *expect, char *line)
{
	char *text = strchr(line, ' ');
	int xfs;

	if (!text)
		return false;
	*text++ = '\0';
	if (strcmp(line, "on") == 0) {
		if (sscanf(text, "%d %ms %ms", &xfs, &expect->mount, &expect->device) != 3)
			return false;
		expect->xfs = xfs;
		return true;
	}
	if (strcmp(line, "file") == 0)
		return read_file(expect, text);
	if (strcmp(line, "link") == 0)
		return read_link(expect, text);
	if (strcmp(line, "lost") == 0)
		return read_lost(expect, text);
	if (strcmp(line, "quiet") == 0)
		return read_quiet(expect, text);
	if (strcmp(line, "free") == 0)
		return read_number(&expect->free, &expect->n_free, &expect->free_alloc, text);
	if (strcmp(line, "aside") == 0)
		return read_aside(expect, text);
	if (strcmp(line, "bad") == 0)
		return read_number(&expect->bad, &expect->n_bad, &expect->bad_alloc, text);
	return false;
}

void expect_read(struct expect *expect, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t alloc = 0;
	ssize_t n;

	*expect = (struct expect){ .mount = NULL };
	if (!f)
		die("%s: cannot open: %s", path, strerror(errno));
	while ((n = getline(&line, &alloc, f)) > 0) {
		line[n - 1] = '\0';
		if (!read_line(expect, line))
			die("%s: cannot understand \"%s\"", path, line);
	}
	if (!expect->mount)
		die("%s: no expectation", path);
	if (expect->n_aside)
		qsort(expect->bad, expect->n_bad, sizeof(*expect->bad), compare_u64);
	free(line);
	fclose(f);
}
