/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of a repair: the plan and the bytes to be written, on stable storage before the first write.
 *
 * A file of records. JOURNAL opens it, END closes it. Each file to be repaired has a FILE and a PATH, a BYTES for every
 * piece to be written, a MARK before and after the writes of pieces, and at last an OUTCOME.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "journal.h"

/* Small records are written together. */
#define WAITING (64u * 1024)

struct pmr_journal {
	struct pmr_ctx *ctx;
	int directory;
	int fd;
	uint64_t end; /* where the next record goes */
	char *waiting; /* WAITING bytes: the last ones ahead of @end, not yet written */
	size_t n_waiting;
	size_t n_files;
	uint64_t settled; /* what lies ahead of it is whole: each file has its outcome */
	bool begun; /* since then: a write may have begun */
	bool marked; /* ever */
	bool zero_fill;
	size_t n_planned; /* files that are to be written */
	char name[NAME_MAX + 1];
	char *path;
};

static int fail(const struct pmr_journal *journal, const char *what, int error)
{
	pmr_say(journal->ctx, PMR_ERROR, "journal", journal->path, "%s: %s", what,
		strerror(-error));
	return error;
}

static int write_all(int fd, const void *bytes, size_t length, uint64_t offset)
{
	size_t written;

	return pmr_media_write_file(fd, 0, offset, bytes, length, &written);
}

static int flush(struct pmr_journal *journal)
{
	int ret;

	ret = write_all(journal->fd, journal->waiting, journal->n_waiting,
			journal->end - journal->n_waiting);
	if (ret)
		return fail(journal, "cannot be written", ret);
	journal->n_waiting = 0;
	return 0;
}

static int put(struct pmr_journal *journal, const void *bytes, size_t length)
{
	int ret = 0;

	if (length > WAITING - journal->n_waiting)
		ret = flush(journal);
	if (!ret && length > WAITING) {
		ret = write_all(journal->fd, bytes, length, journal->end);
		if (ret)
			return fail(journal, "cannot be written", ret);
	} else if (!ret) {
		memcpy(journal->waiting + journal->n_waiting, bytes, length);
		journal->n_waiting += length;
	}
	if (!ret)
		journal->end += length;
	return ret;
}

static int append(struct pmr_journal *journal, enum pmr_record type, uint64_t position,
		  const void *payload, size_t length)
{
	struct pmr_record_header header = pmr_record_seal(type, position, payload, length);
	int ret;

	ret = put(journal, &header, sizeof(header));
	return ret ? ret : put(journal, payload, length);
}

/* json-c does not say that it had no memory for all of a text */
static bool is_whole(const char *text, struct json_object *object)
{
	struct json_object *back = json_tokener_parse(text);
	bool whole = back && json_object_equal(back, object);

	json_object_put(back);
	return whole;
}

static int append_json(struct pmr_journal *journal, enum pmr_record type,
		       struct json_object *object)
{
	const char *text;
	size_t length;

	text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &length);
	if (!text)
		return -ENOMEM;
	/* whoever reads it takes it for damage */
	if (length > PMR_RECORD_MAX)
		return fail(journal, "would have a record that is too long to be read back",
			    -EFBIG);
	if (!is_whole(text, object))
		return -ENOMEM;
	return append(journal, type, 0, text, length);
}

static int append_opening(struct pmr_journal *journal, const char *started)
{
	struct json_object *object =
		pmr_journal_tell_opening(started, journal->zero_fill, journal->n_planned);
	int ret;

	if (!object)
		return -ENOMEM;
	ret = append_json(journal, PMR_RECORD_JOURNAL, object);
	json_object_put(object);
	return ret;
}

static int sync_parent(int directory)
{
	int parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;

	if (parent < 0)
		return -errno;
	if (fsync(parent) < 0)
		ret = -errno;
	close(parent);
	return ret;
}

static int make_directory(struct pmr_ctx *ctx, const char *directory, int *fd)
{
	bool made;
	int ret;

	made = !mkdir(directory, 0700);
	if (!made && errno != EEXIST) {
		ret = -errno;
		pmr_say(ctx, PMR_ERROR, "journal", directory, "cannot be made: %s", strerror(-ret));
		return ret;
	}
	*fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0) {
		ret = -errno;
		pmr_say(ctx, PMR_ERROR, "journal", directory, "cannot be opened: %s",
			strerror(-ret));
		return ret;
	}
	ret = made ? sync_parent(*fd) : 0;
	if (ret)
		pmr_say(ctx, PMR_ERROR, "journal", directory,
			"the directory that it was made in cannot be synced: %s", strerror(-ret));
	return ret;
}

/* The directory, or the one that it is to be made in. */
static int open_place(struct pmr_ctx *ctx, const char *directory, int *fd)
{
	char *copy;

	*fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0 && errno == ENOENT) {
		copy = strdup(directory);
		if (!copy)
			return -ENOMEM;
		*fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		free(copy);
	}
	if (*fd < 0) {
		int ret = -errno;

		pmr_say(ctx, PMR_ERROR, "journal", directory, "cannot be %s: %s",
			ret == -ENOENT ? "made" : "opened", strerror(-ret));
		return ret;
	}
	return 0;
}

int pmr_journal_check(struct pmr_ctx *ctx, const char *directory, const struct pmr_plan *plan)
{
	int fd, ret;

	ret = open_place(ctx, directory, &fd);
	if (ret)
		return ret;
	ret = pmr_place_check(ctx, fd, directory, plan);
	if (!ret && faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		ret = -errno;
		pmr_say(ctx, PMR_ERROR, "journal", directory, "cannot be written: %s",
			strerror(-ret));
	}
	close(fd);
	return ret;
}

/* It has the name of a journal only once it is one: nobody can tell what an empty one means. */
static int begin(struct pmr_journal *journal, const char *hidden, const char *started)
{
	int ret;

	journal->fd = openat(journal->directory, hidden,
			     O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (journal->fd < 0)
		return fail(journal, "cannot be made", -errno);
	/* nobody else has it open yet, so it can be had */
	if (flock(journal->fd, LOCK_EX | LOCK_NB) < 0)
		return fail(journal, "cannot be locked", -errno);
	ret = append_opening(journal, started);
	if (!ret)
		ret = pmr_journal_sync(journal);
	if (!ret && renameat(journal->directory, hidden, journal->directory, journal->name) < 0)
		ret = fail(journal, "cannot be named", -errno);
	return ret;
}

/* Also what one of that name became when it came to its end. */
static bool is_taken(const struct pmr_journal *journal, const char *name)
{
	static const char *const ends[] = { ".journal", ".done", ".aside" };
	char path[sizeof(journal->name)];
	struct stat st;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(path, sizeof(path), "%.200s%s", name, ends[i]);
		if (!fstatat(journal->directory, path, &st, AT_SYMLINK_NOFOLLOW))
			return true;
	}
	return false;
}

/* The name tells when. Another run in the same second has another process number, another round of this one a number. */
static void choose_name(struct pmr_journal *journal, const char *started)
{
	char name[64];

	snprintf(name, sizeof(name), "%.31s-%ld", started, (long)getpid());
	for (unsigned int n = 2; is_taken(journal, name) && n < 1000; n++)
		snprintf(name, sizeof(name), "%.31s-%ld-%u", started, (long)getpid(), n);
	snprintf(journal->name, sizeof(journal->name), "%s.journal", name);
}

static int create(struct pmr_journal *journal, const char *directory)
{
	char started[32], hidden[sizeof(journal->name)];
	struct tm tm;
	time_t now;
	int ret;

	now = time(NULL);
	gmtime_r(&now, &tm);
	strftime(started, sizeof(started), "%Y%m%dT%H%M%SZ", &tm);
	choose_name(journal, started);
	if (asprintf(&journal->path, "%s/%s", directory, journal->name) < 0) {
		journal->path = NULL;
		return -ENOMEM;
	}
	strftime(started, sizeof(started), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(hidden, sizeof(hidden), ".%.*s", (int)sizeof(hidden) - 2, journal->name);
	ret = begin(journal, hidden, started);
	if (ret && journal->fd >= 0)
		unlinkat(journal->directory, hidden, 0);
	if (!ret && fsync(journal->directory) < 0)
		ret = fail(journal, "its directory cannot be synced", -errno);
	return ret;
}

static struct pmr_journal *new_journal(struct pmr_ctx *ctx)
{
	struct pmr_journal *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->ctx = ctx;
	j->fd = -1;
	j->directory = -1;
	j->waiting = malloc(WAITING);
	if (j->waiting)
		return j;
	free(j);
	return NULL;
}

int pmr_journal_open(struct pmr_ctx *ctx, const char *directory, const struct pmr_plan *plan,
		     bool zero_fill, struct pmr_journal **journal)
{
	struct pmr_journal *j = new_journal(ctx);
	int ret;

	if (!j)
		return -ENOMEM;
	j->zero_fill = zero_fill;
	for (size_t i = 0; i < plan->n_files; i++)
		j->n_planned += plan->files[i].n_steps > 0;
	/* before it is made where it may not lie */
	ret = pmr_journal_check(ctx, directory, plan);
	if (!ret)
		ret = make_directory(ctx, directory, &j->directory);
	if (!ret)
		ret = pmr_place_check(ctx, j->directory, directory, plan);
	if (!ret)
		ret = create(j, directory);
	if (ret) {
		if (j->fd >= 0)
			unlinkat(j->directory, j->name, 0);
		pmr_journal_close(j);
		return ret;
	}
	*journal = j;
	return 0;
}

/* What was read must be what is there, whole and nobody else's. */
static int read_again(struct pmr_journal *j, const struct pmr_journal_entry *entry)
{
	struct pmr_journal_entry now = { 0 };
	int ret;

	if (flock(j->fd, LOCK_EX | LOCK_NB) < 0) {
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		pmr_say(j->ctx, PMR_ERROR, "journal-running", j->path,
			"a repair is at work on it: wait for it to end");
		return ret;
	}
	ret = pmr_journal_parse(j->fd, &now);
	if (ret) {
		fail(j, "cannot be read", ret);
	} else if (now.state == PMR_JOURNAL_DAMAGED || now.end != entry->end ||
		   now.n_files != entry->n_files) {
		ret = -ESTALE;
		pmr_say(j->ctx, PMR_ERROR, "journal-changed", j->path,
			"changed since it was looked at: try again");
	}
	pmr_journal_entry_release(&now);
	return ret;
}

/* its directory, its name there, and itself */
static int open_again(struct pmr_journal *j, const struct pmr_plan *plan)
{
	char *slash = strrchr(j->path, '/'), *parent;
	int ret = 0;

	snprintf(j->name, sizeof(j->name), "%s", slash ? slash + 1 : j->path);
	parent = slash ? strndup(j->path, (size_t)(slash - j->path) + 1) : strdup(".");
	if (!parent)
		return -ENOMEM;
	j->directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->directory < 0)
		ret = fail(j, "its directory cannot be opened", -errno);
	if (!ret)
		ret = pmr_place_check(j->ctx, j->directory, parent, plan);
	free(parent);
	if (ret)
		return ret;
	j->fd = openat(j->directory, j->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (j->fd < 0)
		return fail(j, "cannot be opened", -errno);
	return 0;
}

int pmr_journal_reopen(struct pmr_ctx *ctx, const struct pmr_journal_entry *entry,
		       const struct pmr_plan *plan, struct pmr_journal **journal)
{
	struct pmr_journal *j = new_journal(ctx);
	int ret = -ENOMEM;

	if (!j)
		return -ENOMEM;
	j->path = strdup(entry->path);
	if (j->path)
		ret = open_again(j, plan);
	if (!ret)
		ret = read_again(j, entry);
	j->end = entry->end;
	/* one that ended and kept its name ends once more */
	if (entry->state == PMR_JOURNAL_DONE)
		j->end -= sizeof(struct pmr_record_header);
	/* marks that follow something torn would be taken for proof that the journal is damaged */
	if (!ret && (ftruncate(j->fd, (off_t)j->end) < 0 || fsync(j->fd) < 0))
		ret = fail(j, "cannot be cut where it was torn", -errno);
	if (ret) {
		pmr_journal_close(j);
		return ret;
	}
	j->settled = j->end;
	j->begun = j->marked = true;
	j->n_files = entry->n_files;
	*journal = j;
	return 0;
}

const char *pmr_journal_path(const struct pmr_journal *journal)
{
	return journal->path;
}

int pmr_journal_file(struct pmr_journal *journal, const struct pmr_file_plan *plan,
		     const struct pmr_claim *claim, size_t *index)
{
	struct json_object *object = pmr_journal_tell_file(plan, claim);
	/* a resume may be started in another directory */
	char *full = realpath(plan->file->path, NULL);
	const char *path = full ? full : plan->file->path;
	int ret = -ENOMEM;

	if (object)
		ret = append_json(journal, PMR_RECORD_FILE, object);
	json_object_put(object);
	if (!ret)
		ret = append(journal, PMR_RECORD_PATH, 0, path, strlen(path));
	free(full);
	if (!ret)
		*index = journal->n_files++;
	return ret;
}

int pmr_journal_bytes(struct pmr_journal *journal, uint64_t file_offset, const void *bytes,
		      size_t length, uint64_t *position)
{
	uint64_t at = journal->end;
	int ret;

	ret = append(journal, PMR_RECORD_BYTES, file_offset, bytes, length);
	if (!ret)
		*position = at;
	return ret;
}

int pmr_journal_read(struct pmr_journal *journal, uint64_t *position, void *bytes, size_t length)
{
	int ret;

	if (journal->n_waiting) {
		ret = flush(journal);
		if (ret)
			return ret;
	}
	ret = pmr_journal_read_bytes(journal->fd, *position, NULL, bytes, length);
	if (ret)
		return fail(journal, "cannot be read back", ret);
	*position += sizeof(struct pmr_record_header) + length;
	return 0;
}

int pmr_journal_mark(struct pmr_journal *journal, size_t index, enum pmr_mark mark,
		     const uint64_t *positions, size_t n, const struct timespec *change_time)
{
	struct json_object *object;
	int ret;

	if (!n)
		return 0;
	object = pmr_journal_tell_mark(index, mark, positions, n, change_time);
	if (!object)
		return -ENOMEM;
	ret = append_json(journal, PMR_RECORD_MARK, object);
	json_object_put(object);
	if (!ret)
		ret = mark == PMR_MARK_OPEN ? pmr_journal_sync(journal) : flush(journal);
	/* where the mark failed no write begins */
	if (!ret && mark == PMR_MARK_OPEN)
		journal->begun = journal->marked = true;
	return ret;
}

int pmr_journal_sync(struct pmr_journal *journal)
{
	int ret = flush(journal);

	if (ret)
		return ret;
	return fsync(journal->fd) < 0 ? fail(journal, "cannot be synced", -errno) : 0;
}

int pmr_journal_outcome(struct pmr_journal *journal, const struct pmr_file_plan *plan, size_t index)
{
	struct json_object *object = pmr_journal_tell_outcome(plan->file, index);
	int ret;

	if (!object)
		return -ENOMEM;
	ret = append_json(journal, PMR_RECORD_OUTCOME, object);
	json_object_put(object);
	if (!ret)
		ret = flush(journal);
	if (!ret) {
		journal->settled = journal->end;
		journal->begun = false;
	}
	return ret;
}

int pmr_journal_finish(struct pmr_journal *journal)
{
	char done[sizeof(journal->name)];
	char *path;
	int ret;

	ret = append(journal, PMR_RECORD_END, 0, "", 0);
	if (!ret)
		ret = pmr_journal_sync(journal);
	if (ret)
		return ret;
	snprintf(done, sizeof(done), "%.*s.done", (int)(strlen(journal->name) - strlen(".journal")),
		 journal->name);
	if (renameat(journal->directory, journal->name, journal->directory, done) < 0 ||
	    fsync(journal->directory) < 0)
		return fail(journal, "cannot be marked as done", -errno);
	path = journal->path;
	memcpy(path + strlen(path) - strlen(".journal"), ".done", sizeof(".done"));
	return 0;
}

int pmr_journal_give_up(struct pmr_journal *journal, bool resumable)
{
	if (journal->marked && (journal->begun || resumable))
		return 0;
	if (!journal->marked) {
		if (unlinkat(journal->directory, journal->name, 0) < 0)
			return fail(journal, "is of no use and cannot be removed", -errno);
		return 1;
	}
	/* what was added for a file that was not begun may have filled the disk */
	journal->n_waiting = 0;
	journal->end = journal->settled;
	if (ftruncate(journal->fd, (off_t)journal->end) < 0)
		return fail(journal, "cannot be cut", -errno);
	return pmr_journal_finish(journal);
}

void pmr_journal_close(struct pmr_journal *journal)
{
	if (!journal)
		return;
	if (journal->fd >= 0)
		close(journal->fd);
	if (journal->directory >= 0)
		close(journal->directory);
	free(journal->waiting);
	free(journal->path);
	free(journal);
}
