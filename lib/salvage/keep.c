/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A mapfile on disk: believed only for the file that it is of, and replaced whole. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "salvage.h"

static int fail(struct pmr_ctx *ctx, const struct pmr_output_place *place, const char *what,
		int error)
{
	pmr_say(ctx, PMR_ERROR, "mapfile", place->path, "%s: %s", what, strerror(-error));
	return error;
}

static int read_text(const struct pmr_output_place *place, char **text, size_t *length)
{
	char *buffer = NULL;
	struct stat st;
	int fd, ret;

	fd = openat(place->directory, place->name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st)) {
		ret = -errno;
		goto out;
	}
	ret = (uint64_t)st.st_size > PMR_MAPFILE_LIMIT ? -EFBIG : 0;
	if (ret)
		goto out;
	buffer = malloc((size_t)st.st_size + 1);
	ret = buffer ? pmr_media_read_file(fd, 0, buffer, (size_t)st.st_size, length) : -ENOMEM;
out:
	if (fd >= 0)
		close(fd);
	if (ret)
		free(buffer);
	else
		*text = buffer;
	return ret;
}

static int parse(struct pmr_ctx *ctx, const struct pmr_output_place *place, const char *text,
		 size_t length, struct pmr_mapfile *map)
{
	const char *fault = NULL;
	unsigned long line = 0;
	int ret;

	ret = pmr_mapfile_parse(text, length, map, &line, &fault);
	if (ret == -EINVAL || ret == -ERANGE)
		pmr_say(ctx, PMR_ERROR, "mapfile-malformed", place->path,
			"is no mapfile, or damaged: line %lu: %s", line, fault);
	return ret;
}

static int check(struct pmr_ctx *ctx, const struct pmr_output_place *place,
		 const struct pmr_mapfile_identity *now, const struct pmr_mapfile *map)
{
	const char *difference = NULL;

	if (map->identity.known)
		difference = pmr_mapfile_differs(map, now);
	else if (map->size != now->size)
		difference = "a file of another size";
	if (difference) {
		pmr_say(ctx, PMR_ERROR, "mapfile-other", place->path,
			"is not of %s as it is now, but of %s: name another mapfile and another output",
			now->path, difference);
		return -EINVAL;
	}
	if (!map->identity.known)
		pmr_say(ctx, PMR_WARNING, "mapfile-unchecked", place->path,
			"does not say which file it is of (ddrescue wrote it): its size fits %s, and it is believed",
			now->path);
	return 0;
}

int pmr_keep_load(struct pmr_ctx *ctx, const struct pmr_output_place *place,
		  const struct pmr_mapfile_identity *now, struct pmr_mapfile *map)
{
	struct pmr_mapfile loaded = { 0 };
	char *text = NULL;
	size_t length;
	int ret;

	if (!place->st.st_mode)
		return 0;
	ret = read_text(place, &text, &length);
	if (ret)
		return fail(ctx, place, "cannot be read", ret);
	ret = parse(ctx, place, text, length, &loaded);
	free(text);
	if (!ret)
		ret = check(ctx, place, now, &loaded);
	if (ret) {
		pmr_mapfile_release(&loaded);
		return ret;
	}
	*map = loaded;
	return 1;
}

int pmr_keep_save(struct pmr_ctx *ctx, const struct pmr_output_place *place,
		  const struct pmr_mapfile *map)
{
	char *text = NULL, name[64];
	size_t length, written;
	int fd, ret;

	ret = pmr_mapfile_format(map, &text, &length);
	if (ret)
		return fail(ctx, place, "cannot be written", ret);
	fd = pmr_output_beside(place, "map", 0666, name, sizeof(name));
	if (fd < 0) {
		ret = fail(ctx, place, "cannot be made", fd);
		goto out;
	}
	ret = pmr_media_write_file(fd, 0, 0, text, length, &written);
	if (!ret && fsync(fd))
		ret = -errno;
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret && renameat(place->directory, name, place->directory, place->name))
		ret = -errno;
	if (ret) {
		fail(ctx, place, "cannot be written", ret);
		unlinkat(place->directory, name, 0);
	} else if (fsync(place->directory) && errno != EINVAL && errno != EROFS) {
		ret = fail(ctx, place, "its directory cannot be synced", -errno);
	}
out:
	free(text);
	return ret;
}
