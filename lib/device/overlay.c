/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an overlay is made of, and in which of its layers a file really lies (overlayfs, Documentation/filesystems). */

#include <errno.h>
#include <libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "private.h"
#include "topology.h"

/*
 * @path: as the mounter gave it: in its own mount namespace, and perhaps below a directory that nobody tells
 * @data_only: its files are reached by redirects alone
 */
struct layer {
	char *path;
	bool data_only;
};

/* @layers: the upper one first, where there is one, then the lower ones as they are looked into */
struct overlay {
	struct layer *layers;
	size_t n;
	size_t alloc;
	size_t uppers;
	/* where the object lies: of a file the one that has its data, of a directory each that has a part of it */
	char **places;
	size_t n_places;
	size_t alloc_places;
};

static void release(struct overlay *overlay)
{
	size_t i;

	for (i = 0; i < overlay->n; i++)
		free(overlay->layers[i].path);
	for (i = 0; i < overlay->n_places; i++)
		free(overlay->places[i]);
	free(overlay->layers);
	free(overlay->places);
}

/* ---- layers, from the options of the mount */

/* The kernel's octal escapes, which libmount would undo in all options at once, where commas are then no separators. */
static void undo_octal(char *text)
{
	unsigned int c;
	char *to = text;

	for (; *text; to++) {
		if (sscanf(text, "\\%3o", &c) == 1) {
			*to = (char)c;
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

/* Takes one directory off a list with colons, which a backslash hides. Return: what follows, or NULL. */
static char *cut_directory(char *text)
{
	char *to = text;

	for (; *text && *text != ':'; to++) {
		if (*text == '\\' && text[1])
			text++;
		*to = *text++;
	}
	if (!*text) {
		*to = '\0';
		return NULL;
	}
	*to = '\0';
	return text + 1;
}

static int add_layer(struct overlay *overlay, const char *path, bool data_only)
{
	int ret = pmr_grow(&overlay->layers, overlay->n, &overlay->alloc, sizeof(*overlay->layers));
	char *copy = ret ? NULL : strdup(path);

	if (!copy)
		return -ENOMEM;
	overlay->layers[overlay->n++] = (struct layer){ .path = copy, .data_only = data_only };
	return 0;
}

static int add_lower(struct overlay *overlay, char *list)
{
	bool data_only = false;
	char *next;
	int ret = 0;

	for (; list && !ret; list = next) {
		next = cut_directory(list);
		/* "::" */
		if (!*list)
			data_only = true;
		else
			ret = add_layer(overlay, list, data_only);
	}
	return ret;
}

/* Overlays of before 6.5 take backslashes out of it, later ones do not: it is what is there. */
static int add_upper(struct overlay *overlay, char *value)
{
	char *raw = strdup(value);
	struct stat st;
	int ret;

	if (!raw)
		return -ENOMEM;
	cut_directory(value);
	ret = add_layer(overlay, lstat(raw, &st) ? value : raw, false);
	free(raw);
	overlay->uppers = overlay->n;
	return ret;
}

static int take_option(struct overlay *overlay, const char *name, char *value)
{
	undo_octal(value);
	if (strcmp(name, "upperdir") == 0)
		return add_upper(overlay, value);
	if (strcmp(name, "lowerdir") == 0)
		return add_lower(overlay, value);
	/* 6.7: one option for each, in which nothing is escaped */
	if (strcmp(name, "lowerdir+") == 0 || strcmp(name, "datadir+") == 0)
		return add_layer(overlay, value, *name == 'd');
	return 0;
}

static int take_options(struct overlay *overlay, char *options, bool upper)
{
	char *option, *value, *rest = options;
	int ret = 0;

	while (!ret && (option = strsep(&rest, ","))) {
		value = strchr(option, '=');
		if (!value || (strncmp(option, "upper", 5) == 0) != upper)
			continue;
		*value++ = '\0';
		ret = take_option(overlay, option, value);
	}
	return ret;
}

/* The last part of a mount's line, as it stands there. Return: 0 and it in new storage; -ENOENT; -ENOMEM. */
static int read_options(int id, char **options)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *found;
	size_t size = 0;
	int ret = -ENOENT;

	while (mounts && ret == -ENOENT && getline(&line, &size, mounts) > 0) {
		if (atoi(line) != id)
			continue;
		line[strcspn(line, "\n")] = '\0';
		found = strrchr(line, ' ');
		if (!found)
			break;
		*options = strdup(found + 1);
		ret = *options ? 0 : -ENOMEM;
	}
	if (mounts)
		fclose(mounts);
	free(line);
	return ret;
}

static int read_layers(struct overlay *overlay, int id)
{
	char *options, *copy;
	int ret;

	ret = read_options(id, &options);
	if (ret)
		return ret;
	copy = strdup(options);
	ret = copy ? take_options(overlay, copy, true) : -ENOMEM;
	if (!ret)
		ret = take_options(overlay, options, false);
	free(options);
	free(copy);
	return ret;
}

/* ---- where a file lies */

/* An attribute of overlayfs, which has another name where it is mounted without rights. */
static ssize_t get_attribute(const char *path, const char *name, char *value, size_t size)
{
	static const char *const prefixes[] = { "trusted", "user" };
	char full[64];
	ssize_t n = -1;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes) && n < 0; i++) {
		snprintf(full, sizeof(full), "%s.overlay.%s", prefixes[i], name);
		n = lgetxattr(path, full, value, size - 1);
	}
	if (n >= 0)
		value[n] = '\0';
	return n;
}

static bool is_opaque(const char *path)
{
	char value[8];

	return get_attribute(path, "opaque", value, sizeof(value)) == 1 && value[0] == 'y';
}

static bool is_whiteout(const char *path, const struct stat *st)
{
	char value[8];

	if (S_ISCHR(st->st_mode))
		return st->st_rdev == makedev(0, 0);
	return S_ISREG(st->st_mode) && !st->st_size &&
	       get_attribute(path, "whiteout", value, sizeof(value)) >= 0;
}

/*
 * The way to an object through one layer.
 * @here: below the layer
 * @below: what it is called in the layers below, where directories may have had other names
 * @is_last: the layers below have nothing to do with it
 */
struct way {
	char here[PATH_MAX];
	char below[PATH_MAX];
	bool is_last;
	struct stat st;
};

static int join(char *to, const char *name, size_t length)
{
	size_t used = strlen(to);

	if (used + length + 2 > PATH_MAX)
		return -ENAMETOOLONG;
	sprintf(to + used, "/%.*s", (int)length, name);
	return 0;
}

/* What the layers below call what is @name here. */
static int go_below(struct way *way, const char *name, size_t length)
{
	char redirect[PATH_MAX];

	if (get_attribute(way->here, "redirect", redirect, sizeof(redirect)) <= 0)
		return join(way->below, name, length);
	/* from the root of the layer, else from the same directory */
	if (*redirect == '/')
		way->below[0] = '\0';
	return join(way->below, redirect, strlen(redirect));
}

/* One step down. Return: 1; 0: not there; -ENOENT: nor in any layer below; -ENAMETOOLONG. */
static int step(struct way *way, const char *name, size_t length)
{
	if (join(way->here, name, length))
		return -ENAMETOOLONG;
	if (lstat(way->here, &way->st))
		return way->is_last ? -ENOENT : join(way->below, name, length);
	if (is_whiteout(way->here, &way->st))
		return -ENOENT;
	way->is_last |= S_ISDIR(way->st.st_mode) && is_opaque(way->here);
	return go_below(way, name, length) ? -ENAMETOOLONG : 1;
}

/* @wanted: its path below the overlay's root; becomes what the next layer has to be asked for. Return: as step() */
static int look_in(const struct layer *layer, char *wanted, struct way *way)
{
	const char *name = wanted;
	size_t length;
	int ret = 1;

	way->below[0] = '\0';
	way->is_last = false;
	snprintf(way->here, sizeof(way->here), "%s", layer->path);
	if (lstat(way->here, &way->st))
		return 0;
	for (; ret >= 0; name += length) {
		name += strspn(name, "/");
		length = strcspn(name, "/");
		if (!length)
			break;
		if (ret)
			ret = step(way, name, length);
		else if (join(way->below, name, length))
			ret = -ENAMETOOLONG;
	}
	strcpy(wanted, way->below);
	return ret;
}

static int add_place(struct overlay *overlay, const char *path)
{
	int ret = pmr_grow(&overlay->places, overlay->n_places, &overlay->alloc_places,
			   sizeof(*overlay->places));
	char *copy = ret ? NULL : strdup(path);

	if (!copy)
		return -ENOMEM;
	overlay->places[overlay->n_places++] = copy;
	return 0;
}

/* @wanted: PATH_MAX bytes; of an object that is seen in the overlay as @st */
static int find_places(struct overlay *overlay, char *wanted, const struct stat *st)
{
	bool is_directory = S_ISDIR(st->st_mode), follows = false;
	char value[8];
	struct way *way = malloc(sizeof(*way));
	int ret = 0;

	if (!way)
		return -ENOMEM;
	for (size_t i = 0; i < overlay->n && ret >= 0; i++) {
		/* Where a layer cannot be looked into, nothing below it is known. */
		if (overlay->layers[i].path[0] != '/')
			break;
		if (overlay->layers[i].data_only && !follows)
			break;
		ret = look_in(&overlay->layers[i], wanted, way);
		if (ret < 1)
			continue;
		if (S_ISDIR(way->st.st_mode) != is_directory)
			break;
		/* Its names alone were copied up. */
		follows = !is_directory &&
			  get_attribute(way->here, "metacopy", value, sizeof(value)) >= 0;
		if (!follows && !is_directory && way->st.st_size != st->st_size)
			break;
		if (!follows && add_place(overlay, way->here))
			ret = -ENOMEM;
		else if (!follows && (!is_directory || way->is_last))
			break;
	}
	free(way);
	return ret == -ENOMEM ? ret : 0;
}

/* ---- in words */

static void say(struct pmr_ctx *ctx, const struct overlay *overlay, const char *object,
		const struct stat *st)
{
	char *layers = NULL, *places = NULL;
	size_t size, i;
	FILE *text;

	text = open_memstream(&layers, &size);
	for (i = 0; text && i < overlay->n; i++)
		fprintf(text, "%s%s %s", i ? ", " : "", i < overlay->uppers ? "upper" : "lower",
			overlay->layers[i].path);
	if (text)
		fclose(text);
	text = open_memstream(&places, &size);
	for (i = 0; text && i < overlay->n_places; i++)
		fprintf(text, "%s%s", i ? ", " : "", overlay->places[i]);
	if (text)
		fclose(text);
	if (!overlay->n_places)
		pmr_say(ctx, PMR_ERROR, "overlay", object,
			"lies on an overlay, which has no blocks of its own: name it in the layer below (%s; their "
			"paths are those of who mounted it)",
			layers && *layers ? layers : "which are not told");
	else if (S_ISDIR(st->st_mode))
		pmr_say(ctx, PMR_ERROR, "overlay", object,
			"lies on an overlay (%s), which has no blocks of its own: what is in it lies in %s, name %s "
			"instead",
			layers ? layers : "", places ? places : "",
			overlay->n_places > 1 ? "each of them" : "that");
	else
		pmr_say(ctx, PMR_ERROR, "overlay", object,
			"lies on an overlay (%s), which has no blocks of its own: it is %s there, name that instead",
			layers ? layers : "", places ? places : "");
	free(layers);
	free(places);
}

int pmr_overlay_refuse(struct pmr_ctx *ctx, struct libmnt_fs *mount, const char *object)
{
	const char *target = mnt_fs_get_target(mount), *root = mnt_fs_get_root(mount);
	char *real = realpath(object, NULL), *wanted = malloc(PATH_MAX);
	struct overlay overlay = { 0 };
	size_t length = target ? strlen(target) : 0;
	struct stat st = { 0 };
	int ret = wanted ? 0 : -ENOMEM;

	if (!ret)
		ret = read_layers(&overlay, mnt_fs_get_id(mount));
	/* of a mountpoint "/" all of it is below */
	if (length == 1)
		length = 0;
	if (!ret && real && !lstat(real, &st) && strncmp(real, target, length) == 0 && root &&
	    snprintf(wanted, PATH_MAX, "%s%s", root, real + length) < PATH_MAX)
		ret = find_places(&overlay, wanted, &st);
	if (ret != -ENOMEM) {
		say(ctx, &overlay, object, &st);
		ret = -EOPNOTSUPP;
	}
	release(&overlay);
	free(wanted);
	free(real);
	return ret;
}
