/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is a backup a copy that was salvaged, with what is lost still missing in it? The mapfile that lies beside it tells. */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mapfile.h"
#include "repair.h"

struct search {
	const struct pmr_backup *backup;
	const struct pmr_ranges *lost;
	const struct pmr_ranges *plain;
	struct timespec written; /* when the backup was, last */
	const char *base; /* the backup's name in the directory */
	int directory;
};

static bool has_end(const char *name, const char *end)
{
	size_t length = strlen(name), n = strlen(end);

	return length >= n && !strcasecmp(name + length - n, end);
}

/* Called after the backup: what follows its name does not make it another. */
static bool is_named(const struct search *s, const char *name)
{
	size_t length = strlen(s->base);

	if (strncmp(name, s->base, length))
		return false;
	return !isalnum((unsigned char)name[length]) || !strcasecmp(name + length, "map") ||
	       !strcasecmp(name + length, "mapfile");
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* A backup is older than what was salvaged; a copy of that is not, not even with its times. */
static bool is_older(const struct search *s, const struct pmr_mapfile *map,
		     const struct stat *other)
{
	bool known = map->output_birth.tv_sec || map->output_birth.tv_nsec;

	return is_before(&s->written, known ? &map->output_birth : &other->st_mtim);
}

/*
 * Whether a file beside the backup, after which a map is called with more of its name, is the one it was made with, and
 * the backup no copy of that.
 */
static bool is_of_another(const struct search *s, const char *name, const struct pmr_mapfile *map)
{
	char other[NAME_MAX + 1];
	struct stat st;

	for (size_t i = strlen(s->base) + 1; i < sizeof(other) && name[i]; i++) {
		if (isalnum((unsigned char)name[i]))
			continue;
		memcpy(other, name, i);
		other[i] = '\0';
		if (!fstatat(s->directory, other, &st, AT_SYMLINK_NOFOLLOW) &&
		    S_ISREG(st.st_mode) && st.st_ino == map->output)
			return is_older(s, map, &st);
	}
	return false;
}

/* Called after the backup, or a map: a directory may hold more files than one would open. */
static bool may_be_mapfile(const struct search *s, const char *name)
{
	if (!strcmp(name, s->base))
		return false;
	return !strncmp(name, s->base, strlen(s->base)) || has_end(name, "map") ||
	       has_end(name, "mapfile");
}

static int read_text(int fd, char **text, size_t *length)
{
	static const char begin[] = "# Mapfile.";
	char head[sizeof(begin) - 1], *buffer;
	struct stat st;
	size_t got;
	int ret;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size > PMR_MAPFILE_LIMIT ||
	    pmr_media_read_file(fd, 0, head, sizeof(head), &got) || got != sizeof(head) ||
	    memcmp(head, begin, sizeof(head)))
		return -EINVAL;
	buffer = malloc((size_t)st.st_size + 1);
	if (!buffer)
		return -ENOMEM;
	ret = pmr_media_read_file(fd, 0, buffer, (size_t)st.st_size, length);
	if (ret)
		free(buffer);
	else
		*text = buffer;
	return ret;
}

/* Whether a range lies within one of a normal list. */
static bool is_within(const struct pmr_range *range, const struct pmr_ranges *ranges)
{
	size_t i = pmr_ranges_first(ranges, range->offset);

	return i < ranges->n && ranges->v[i].offset <= range->offset &&
	       range->offset + range->length <= ranges->v[i].offset + ranges->v[i].length;
}

/* A copy of a copy is another file, and then goes by its name. Return: 1, 0, -ENOMEM. */
static int is_missing(const struct search *s, const char *name, const struct pmr_mapfile *map,
		      uint64_t *offset)
{
	struct pmr_ranges missing = { 0 };
	int ret;

	if (map->size != s->backup->size)
		return 0;
	if (map->output != s->backup->inode && (!is_named(s, name) || is_of_another(s, name, map)))
		return 0;
	ret = pmr_ranges_subtract(&missing, s->lost, &map->rescued);
	/* the right bytes may be the same for a part of it */
	for (size_t i = 0; !ret && i < missing.n; i++) {
		if (!is_within(&missing.v[i], s->plain))
			continue;
		*offset = missing.v[i].offset;
		ret = 1;
	}
	pmr_ranges_release(&missing);
	return ret;
}

/* What is no mapfile says nothing. Return: 1, 0, -ENOMEM. */
static int look_at(const struct search *s, const char *name, uint64_t *offset)
{
	struct pmr_mapfile map = { 0 };
	const char *fault;
	unsigned long line;
	char *text = NULL;
	size_t length;
	int fd, ret;

	fd = openat(s->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return 0;
	ret = read_text(fd, &text, &length);
	close(fd);
	if (!ret)
		ret = pmr_mapfile_parse(text, length, &map, &line, &fault);
	free(text);
	if (!ret) {
		ret = is_missing(s, name, &map, offset);
		pmr_mapfile_release(&map);
		return ret;
	}
	return ret == -ENOMEM ? ret : 0;
}

static int search_directory(struct search *s, DIR *dir, char **mapfile, uint64_t *offset)
{
	struct dirent *entry;
	int ret = 0;

	while (!ret && (entry = readdir(dir))) {
		if (!may_be_mapfile(s, entry->d_name))
			continue;
		ret = look_at(s, entry->d_name, offset);
		if (ret == 1) {
			*mapfile = strdup(entry->d_name);
			ret = *mapfile ? 1 : -ENOMEM;
		}
	}
	return ret;
}

int pmr_backup_unmended(const struct pmr_backup *backup, const struct pmr_ranges *lost,
			const struct pmr_ranges *plain, char **mapfile, uint64_t *offset)
{
	struct search s = { .backup = backup, .lost = lost, .plain = plain };
	char *path = realpath(backup->path, NULL), *slash;
	DIR *dir = NULL;
	struct stat st;
	int ret = 0;

	/* of an unknown time it counts as a copy */
	s.written.tv_sec = INT64_MAX;
	if (!fstat(backup->fd, &st))
		s.written = st.st_mtim;
	slash = path ? strrchr(path, '/') : NULL;
	if (slash) {
		*slash = '\0';
		s.base = slash + 1;
		dir = opendir(slash == path ? "/" : path);
	}
	if (dir) {
		s.directory = dirfd(dir);
		ret = search_directory(&s, dir, mapfile, offset);
		closedir(dir);
	}
	free(path);
	return ret;
}
