/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of a journal as files, for a person to use: each is checked once more, and nothing is overwritten. */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal-export.h"

#define INDEX "index.json"
#define LONGEST_NAME 100 /* of the file's name in that of a piece */

struct exporting {
	struct pmr_ctx *ctx;
	const struct pmr_journal_entry *entry;
	const char *directory_name;
	int directory;
	int journal;
	size_t n_pieces;
	bool *exported; /* of each piece */
	size_t damaged;
	char *bytes; /* PMR_CHUNK */
};

static int fail(const struct exporting *e, const char *name, const char *what, int error)
{
	pmr_say(e->ctx, PMR_ERROR, "export", e->directory_name, "%s %s: %s", name, what,
		strerror(-error));
	return error;
}

void pmr_export_name(const struct pmr_journal_file *file, const struct pmr_journal_piece *piece,
		     size_t number, char *name)
{
	const char *slash = file->path ? strrchr(file->path, '/') : NULL;
	const char *from = slash ? slash + 1 : file->path ? file->path : "";
	char clean[LONGEST_NAME + 1];
	size_t n;

	for (n = 0; n < LONGEST_NAME && from[n]; n++) {
		const char c = from[n];
		const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
				      (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';

		clean[n] = c;
		if (!is_plain)
			clean[n] = '_';
	}
	clean[n] = '\0';
	snprintf(name, PMR_EXPORT_NAME, "%06zu-%s@%" PRIu64 "+%" PRIu64, number, clean,
		 piece->offset, piece->length);
}

/* ---- where */

/*
 * Whether the directory lies on a filesystem that the journal is of, or on its device. One whose device is not found at all
 * is not attached here, and nothing can lie on it.
 */
static int check_place(const struct exporting *e, const struct stat *st)
{
	struct pmr_topology *topology = NULL;
	struct pmr_filesystem *fs;
	struct pmr_ctx *silent = NULL; /* that this is no PMEM, nobody wants to hear */
	int ret;

	ret = pmr_new(&silent);
	if (!ret)
		ret = pmr_topology_new(silent, PMR_TOPOLOGY_FILESYSTEMS, &topology);
	if (ret == -ENOMEM)
		goto out;
	ret = 0;
	/* no PMEM, perhaps; what cannot be resolved (tmpfs, a network) is no block device */
	if (topology &&
	    pmr_topology_resolve(silent, topology, st->st_dev, e->directory_name, &fs) == -ENOMEM)
		ret = -ENOMEM;
	for (size_t i = 0; topology && !ret && i < topology->n_filesystems; i++) {
		fs = topology->filesystems[i];
		for (size_t j = 0; !ret && j < e->entry->n_files; j++) {
			if (!pmr_journal_file_is_on(&e->entry->files[j], fs) ||
			    !pmr_place_is_on(st, fs))
				continue;
			pmr_say(e->ctx, PMR_ERROR, "output-on-target", e->directory_name,
				"lies on the damaged device %s: name a directory on another disk",
				fs->device->name);
			ret = -EINVAL;
		}
	}
out:
	pmr_topology_free(topology);
	pmr_unref(silent);
	return ret;
}

static int open_directory(struct exporting *e, const char *name, bool *made)
{
	struct stat st;
	int ret = 0;

	*made = !mkdir(name, 0700);
	if (!*made && errno != EEXIST)
		ret = -errno;
	if (!ret) {
		e->directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (e->directory < 0 || fstat(e->directory, &st))
			ret = -errno;
	}
	if (ret) {
		pmr_say(e->ctx, PMR_ERROR, "export", name, "cannot be %s: %s",
			*made || ret == -ENOTDIR ? "opened" : "made", strerror(-ret));
		return ret;
	}
	return check_place(e, &st);
}

/* ---- one piece */

static int read_piece(const struct exporting *e, const struct pmr_journal_piece *piece)
{
	struct pmr_record_header header;
	int ret;

	ret = pmr_journal_read_bytes(e->journal, piece->position, &header, e->bytes, piece->length);
	return !ret && le64toh(header.position) != piece->offset ? -EBADMSG : ret;
}

static int write_new(const struct exporting *e, const char *name, const void *bytes, size_t length)
{
	size_t written;
	int fd, ret;

	fd = openat(e->directory, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return fail(e, name, "cannot be made", -errno);
	ret = pmr_media_write_file(fd, 0, 0, bytes, length, &written);
	if (!ret && fsync(fd))
		ret = -errno;
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret)
		return 0;
	unlinkat(e->directory, name, 0);
	return fail(e, name, "cannot be written", ret);
}

static int export_piece(struct exporting *e, const struct pmr_journal_file *file,
			const struct pmr_journal_piece *piece, size_t number)
{
	char name[PMR_EXPORT_NAME];
	int ret;

	if (pmr_is_cancelled(e->ctx)) {
		pmr_say(e->ctx, PMR_ERROR, "interrupted", e->entry->path,
			"was not exported: interrupted");
		return -EINTR;
	}
	ret = read_piece(e, piece);
	if (ret) {
		/* the others may be just what somebody needs */
		e->damaged++;
		return 0;
	}
	pmr_export_name(file, piece, number, name);
	ret = write_new(e, name, e->bytes, piece->length);
	e->exported[number] = !ret;
	return ret;
}

/* ---- all of it */

static int export_pieces(struct exporting *e)
{
	const struct pmr_journal_file *file;
	size_t number = 0;
	int ret = 0;

	for (size_t i = 0; !ret && i < e->entry->n_files; i++) {
		file = &e->entry->files[i];
		for (size_t j = 0; !ret && j < file->n_pieces; j++)
			ret = export_piece(e, file, &file->pieces[j], number++);
	}
	return ret;
}

static int export_index(const struct exporting *e)
{
	char *text = NULL;
	size_t length = 0;
	int ret;

	ret = pmr_export_index(e->entry, e->exported, &text, &length);
	if (!ret)
		ret = write_new(e, INDEX, text, length);
	free(text);
	if (!ret && fsync(e->directory) && errno != EINVAL && errno != EROFS) {
		ret = fail(e, INDEX, "cannot be kept: its directory cannot be synced", -errno);
		unlinkat(e->directory, INDEX, 0);
	}
	return ret;
}

/* Takes back what this run made, so that the next one finds room, and no names that are taken. */
static void take_back(const struct exporting *e)
{
	const struct pmr_journal_file *file;
	char name[PMR_EXPORT_NAME];
	size_t number = 0;

	for (size_t i = 0; i < e->entry->n_files; i++) {
		file = &e->entry->files[i];
		for (size_t j = 0; j < file->n_pieces; j++, number++) {
			pmr_export_name(file, &file->pieces[j], number, name);
			if (e->exported[number])
				unlinkat(e->directory, name, 0);
		}
	}
}

/* What was exported is good, but not all that there was. */
static int say_missing(const struct exporting *e)
{
	if (e->damaged)
		pmr_say(e->ctx, PMR_ERROR, "export-damaged", e->entry->path,
			"%zu of its %zu pieces are damaged and were not exported", e->damaged,
			e->n_pieces);
	else if (e->entry->state == PMR_JOURNAL_DAMAGED)
		pmr_say(e->ctx, PMR_ERROR, "export-damaged", e->entry->path,
			"is damaged (%s): only what lies ahead of that was exported, %zu pieces",
			e->entry->reason ? e->entry->reason : "unknown", e->n_pieces);
	else
		return 0;
	return -EBADMSG;
}

static int open_journal(struct exporting *e)
{
	struct stat st;
	int ret = 0;

	e->journal =
		open(e->entry->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (e->journal < 0 || fstat(e->journal, &st))
		ret = -errno;
	else if (!S_ISREG(st.st_mode))
		ret = -EINVAL;
	if (ret)
		pmr_say(e->ctx, PMR_ERROR, "export", e->entry->path, "cannot be opened: %s",
			strerror(-ret));
	return ret;
}

static int prepare(struct exporting *e)
{
	for (size_t i = 0; i < e->entry->n_files; i++)
		e->n_pieces += e->entry->files[i].n_pieces;
	e->exported = calloc(e->n_pieces + 1, sizeof(*e->exported));
	e->bytes = malloc(PMR_CHUNK);
	return e->exported && e->bytes ? open_journal(e) : -ENOMEM;
}

int pmr_journal_export(struct pmr_ctx *ctx, const struct pmr_journal_entry *entry,
		       const char *directory)
{
	struct exporting e = {
		.ctx = ctx,
		.entry = entry,
		.directory_name = directory,
		.directory = -1,
		.journal = -1,
	};
	bool made = false;
	int ret;

	ret = prepare(&e);
	if (!ret)
		ret = open_directory(&e, directory, &made);
	if (ret)
		goto out;
	ret = export_pieces(&e);
	if (!ret)
		ret = export_index(&e);
	if (ret)
		take_back(&e);
	if (!ret)
		ret = say_missing(&e);
out:
	/* where something lies in it, it stays */
	if (ret && made)
		rmdir(directory);
	if (e.directory >= 0)
		close(e.directory);
	if (e.journal >= 0)
		close(e.journal);
	free(e.exported);
	free(e.bytes);
	return ret;
}
