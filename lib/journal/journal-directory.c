/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The directory of the journals: which there are and what each is, those that are set aside, and those that are too old. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "journal.h"

#define SECONDS_OF_A_DAY 86400

static const struct suffix {
	const char *text;
	enum pmr_journal_state state;
} suffixes[] = {
	{ ".journal", PMR_JOURNAL_UNFINISHED },
	{ ".done", PMR_JOURNAL_DONE },
	{ ".aside", PMR_JOURNAL_ASIDE },
};

const char *pmr_journal_state_name(enum pmr_journal_state state)
{
	static const char *const names[] = {
		[PMR_JOURNAL_UNFINISHED] = "unfinished",
		[PMR_JOURNAL_RUNNING] = "running",
		[PMR_JOURNAL_DONE] = "done",
		[PMR_JOURNAL_ASIDE] = "aside",
		[PMR_JOURNAL_DAMAGED] = "damaged",
	};

	return names[state];
}

/* NULL for what is no journal by its name */
static const struct suffix *suffix_of(const char *name)
{
	size_t length = strlen(name), n;

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		n = strlen(suffixes[i].text);
		if (length > n && name[0] != '.' && !strcmp(name + length - n, suffixes[i].text))
			return &suffixes[i];
	}
	return NULL;
}

static void look_at_origin(struct pmr_journal_entry *entry)
{
	char host[256] = "", *boot = pmr_read_boot_id();

	if (!gethostname(host, sizeof(host) - 1))
		entry->same_host = entry->host && !strcmp(entry->host, host);
	entry->same_boot = boot && entry->boot_id && !strcmp(entry->boot_id, boot);
	free(boot);
}

/* What a journal that is open is, by its content, its name and whether somebody holds its lock. */
static int look_at(int fd, const struct suffix *suffix, struct pmr_journal_entry *entry)
{
	struct stat st;
	long pid;
	int ret;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		entry->state = PMR_JOURNAL_DAMAGED;
		entry->reason = "not-a-journal";
		return 0;
	}
	ret = pmr_journal_parse(fd, entry);
	if (ret)
		return ret;
	if (suffix->state == PMR_JOURNAL_UNFINISHED && pmr_lock_holder(&st, &pid)) {
		entry->state = PMR_JOURNAL_RUNNING;
		entry->reason = NULL;
	} else if (entry->state != PMR_JOURNAL_DAMAGED && suffix->state != PMR_JOURNAL_UNFINISHED) {
		entry->state = suffix->state;
	}
	look_at_origin(entry);
	return 0;
}

static int add_entry(struct pmr_journals *journals, size_t *alloc, int directory,
		     const char *directory_name, const char *name)
{
	struct pmr_journal_entry *entry;
	int fd, ret;

	ret = pmr_grow(&journals->v, journals->n, alloc, sizeof(*journals->v));
	if (ret)
		return ret;
	entry = &journals->v[journals->n];
	*entry = (struct pmr_journal_entry){ 0 };
	if (asprintf(&entry->path, "%s/%s", directory_name, name) < 0) {
		entry->path = NULL;
		return -ENOMEM;
	}
	journals->n++;
	fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT) {
		/* finished or pruned by somebody just now */
		journals->n--;
		pmr_journal_entry_release(entry);
		return 0;
	}
	ret = fd < 0 ? -errno : look_at(fd, suffix_of(name), entry);
	if (fd >= 0)
		close(fd);
	if (!ret || ret == -ENOMEM)
		return ret;
	entry->state = PMR_JOURNAL_DAMAGED;
	entry->reason = "cannot-open";
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of a directory that are those of journals, in the order of the time that they begin with. */
static int list_names(int directory, unsigned int flags, char ***names, size_t *n)
{
	const struct suffix *suffix;
	struct dirent *entry;
	size_t alloc = 0;
	int copy, ret = 0;
	DIR *dir;

	copy = dup(directory);
	if (copy < 0)
		return -errno;
	dir = fdopendir(copy);
	if (!dir) {
		ret = -errno;
		close(copy);
		return ret;
	}
	for (errno = 0; !ret && (entry = readdir(dir)); errno = 0) {
		suffix = suffix_of(entry->d_name);
		if (!suffix ||
		    (suffix->state != PMR_JOURNAL_UNFINISHED && !(flags & PMR_JOURNALS_ALL)))
			continue;
		ret = pmr_grow(names, *n, &alloc, sizeof(**names));
		if (ret)
			break;
		(*names)[*n] = strdup(entry->d_name);
		if (!(*names)[*n])
			ret = -ENOMEM;
		else
			++*n;
	}
	if (!ret && errno)
		ret = -errno;
	closedir(dir);
	if (*n)
		qsort(*names, *n, sizeof(**names), compare_names);
	return ret;
}

/* Return: a descriptor; -ENOENT, which is said of one that was @named; another errno, said. */
static int open_directory(struct pmr_ctx *ctx, const char *name, bool named)
{
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret;

	if (fd >= 0)
		return fd;
	ret = -errno;
	if (ret == -ENOENT && named)
		pmr_say(ctx, PMR_WARNING, "journals-unknown", name,
			"there is no such directory, so it is not known whether a repair was interrupted: is that its name?");
	else if (ret != -ENOENT)
		pmr_say(ctx, PMR_WARNING, "journals-unknown", name,
			"cannot be opened, so it is not known whether a repair was interrupted: %s",
			strerror(-ret));
	return ret;
}

int pmr_journals_new(struct pmr_ctx *ctx, const char *directory, unsigned int flags,
		     struct pmr_journals **journals)
{
	struct pmr_journals *made = calloc(1, sizeof(*made));
	char **names = NULL;
	size_t n = 0, alloc = 0;
	bool named = directory && (flags & PMR_JOURNALS_NAMED);
	int fd, ret = 0;

	if (!made)
		return -ENOMEM;
	if (!directory)
		directory = PMR_STATE_DIRECTORY;
	fd = open_directory(ctx, directory, named);
	if (fd < 0 && (fd != -ENOENT || named)) {
		free(made);
		return fd;
	}
	if (fd >= 0) {
		ret = list_names(fd, flags, &names, &n);
		for (size_t i = 0; !ret && i < n; i++)
			ret = add_entry(made, &alloc, fd, directory, names[i]);
		close(fd);
	}
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	if (ret) {
		if (ret != -ENOMEM)
			pmr_say(ctx, PMR_WARNING, "journals-unknown", directory,
				"cannot be read, so it is not known whether a repair was interrupted: %s",
				strerror(-ret));
		pmr_journals_free(made);
		return ret;
	}
	*journals = made;
	return 0;
}

void pmr_journals_free(struct pmr_journals *journals)
{
	if (!journals)
		return;
	for (size_t i = 0; i < journals->n; i++)
		pmr_journal_entry_release(&journals->v[i]);
	free(journals->v);
	free(journals);
}

bool pmr_journal_file_is_on(const struct pmr_journal_file *file,
			    const struct pmr_filesystem *filesystem)
{
	if (file->filesystem_uuid && filesystem->uuid)
		return !strcmp(file->filesystem_uuid, filesystem->uuid);
	return file->device && filesystem->device->name &&
	       !strcmp(file->device, pmr_device_lasting_name(filesystem->device));
}

bool pmr_journal_is_of(const struct pmr_journal_entry *entry,
		       const struct pmr_filesystem *filesystem)
{
	if (entry->state == PMR_JOURNAL_DAMAGED)
		return true;
	for (size_t i = 0; i < entry->n_files; i++)
		if (pmr_journal_file_is_on(&entry->files[i], filesystem))
			return true;
	return false;
}

/* ---- what is not needed any more */

static int rename_aside(struct pmr_ctx *ctx, int directory, const char *name,
			struct pmr_journal_entry *entry)
{
	char aside[NAME_MAX + 1], *path;
	size_t length = strlen(entry->path) - strlen(".journal");
	int ret;

	snprintf(aside, sizeof(aside), "%.*s.aside", (int)(strlen(name) - strlen(".journal")),
		 name);
	if (asprintf(&path, "%.*s.aside", (int)length, entry->path) < 0)
		return -ENOMEM;
	if (renameat2(directory, name, directory, aside, RENAME_NOREPLACE) < 0 ||
	    fsync(directory) < 0) {
		ret = -errno;
		pmr_say(ctx, PMR_ERROR, "journal", entry->path, "cannot be set aside: %s",
			strerror(-ret));
		free(path);
		return ret;
	}
	free(entry->path);
	entry->path = path;
	entry->state = PMR_JOURNAL_ASIDE;
	return 0;
}

/* Under its lock, so that nobody goes on with it. */
static int set_aside(struct pmr_ctx *ctx, int directory, const char *name,
		     struct pmr_journal_entry *entry)
{
	int fd, ret;

	fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		ret = -errno;
		pmr_say(ctx, PMR_ERROR, "journal", entry->path, "cannot be opened: %s",
			strerror(-ret));
		return ret;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		pmr_say(ctx, PMR_ERROR, "journal-running", entry->path,
			"a repair is at work on it: wait for it to end");
	} else {
		/* from now on it is as old as that */
		futimens(fd, NULL);
		ret = rename_aside(ctx, directory, name, entry);
	}
	close(fd);
	return ret;
}

int pmr_journal_set_aside(struct pmr_ctx *ctx, struct pmr_journal_entry *entry)
{
	const char *slash = strrchr(entry->path, '/'), *name = slash ? slash + 1 : entry->path;
	const struct suffix *suffix = suffix_of(name);
	char *parent;
	int fd, ret;

	if (!suffix || suffix->state != PMR_JOURNAL_UNFINISHED) {
		pmr_say(ctx, PMR_ERROR, "journal", entry->path,
			"is not one of an interrupted repair, so there is nothing to set aside");
		return -EINVAL;
	}
	parent = slash ? strndup(entry->path, (size_t)(slash - entry->path) + 1) : strdup(".");
	if (!parent)
		return -ENOMEM;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
		pmr_say(ctx, PMR_ERROR, "journal", parent, "cannot be opened: %s", strerror(-ret));
	} else {
		ret = set_aside(ctx, fd, name, entry);
		close(fd);
	}
	free(parent);
	return ret;
}

/* By the time of its last change, which is when it was finished or set aside; the latter may have the only copy of bytes. */
static bool is_older(int directory, const char *name, unsigned int days)
{
	const struct suffix *suffix = suffix_of(name);
	struct stat st;

	if (suffix->state == PMR_JOURNAL_UNFINISHED ||
	    fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (suffix->state == PMR_JOURNAL_ASIDE && days == 0)
		days = 1;
	return time(NULL) - st.st_mtim.tv_sec >= (time_t)days * SECONDS_OF_A_DAY;
}

int pmr_journals_prune(struct pmr_ctx *ctx, const char *directory, unsigned int days)
{
	char **names = NULL;
	size_t n = 0;
	int fd, ret;

	if (days == PMR_KEEP_FOREVER)
		return 0;
	if (!directory)
		directory = PMR_STATE_DIRECTORY;
	fd = open_directory(ctx, directory, false);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	ret = list_names(fd, PMR_JOURNALS_ALL, &names, &n);
	for (size_t i = 0; i < n; i++) {
		if (!ret && is_older(fd, names[i], days) && unlinkat(fd, names[i], 0) < 0)
			ret = -errno;
		free(names[i]);
	}
	free(names);
	close(fd);
	if (ret && ret != -ENOMEM)
		pmr_say(ctx, PMR_WARNING, "journals-not-pruned", directory,
			"journals that are older than %u days cannot be removed: %s", days,
			strerror(-ret));
	return ret;
}
