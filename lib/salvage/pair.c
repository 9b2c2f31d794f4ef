/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The output and its mapfile: where they may be, whether they belong to the file and to each other. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "salvage.h"
#include "scan/scan.h"

static bool is_same_place(const struct pmr_output_place *a, const struct pmr_output_place *b)
{
	struct stat x, y;

	if (a->st.st_mode && b->st.st_mode)
		return a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino;
	return !strcmp(a->name, b->name) && !fstat(a->directory, &x) && !fstat(b->directory, &y) &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int check_place(struct pmr_pair *p, const struct pmr_output_place *place)
{
	struct stat st;

	if (p->options->force)
		return 0;
	if (fstat(place->directory, &st))
		return -errno;
	if (!pmr_place_is_on(&st, p->source->filesystem) &&
	    (!place->st.st_mode || !pmr_place_is_on(&place->st, p->source->filesystem)))
		return 0;
	pmr_say(p->source->ctx, PMR_ERROR, "output-on-target", place->path,
		"lies on the damaged device %s: name a file on another disk, or insist with --force",
		p->source->filesystem->device->name);
	return -EINVAL;
}

static int find_mapfile(struct pmr_pair *p)
{
	const char *path = p->options->mapfile;
	int ret;

	if (!path)
		return 0;
	ret = pmr_output_find(p->source->ctx, "mapfile", path, &p->source->st, &p->map_place);
	if (!ret && is_same_place(&p->map_place, &p->output_place)) {
		pmr_say(p->source->ctx, PMR_ERROR, "mapfile", path,
			"cannot be the output and the mapfile at once");
		ret = -EINVAL;
	}
	if (!ret)
		ret = check_place(p, &p->map_place);
	return ret;
}

static int identify(struct pmr_pair *p)
{
	struct pmr_mapfile_identity *identity = &p->map.identity;

	identity->known = true;
	identity->path = strdup(p->source->path);
	identity->uuid = p->source->filesystem->uuid ? strdup(p->source->filesystem->uuid) : NULL;
	identity->inode = p->source->st.st_ino;
	identity->generation = pmr_file_generation(p->source->fd);
	identity->size = (uint64_t)p->source->st.st_size;
	identity->change_time = p->source->st.st_ctim;
	p->map.size = identity->size;
	return identity->path && (identity->uuid || !p->source->filesystem->uuid) ? 0 : -ENOMEM;
}

static int load_mapfile(struct pmr_pair *p)
{
	struct pmr_mapfile loaded = { 0 };
	int ret;

	ret = pmr_keep_load(p->source->ctx, &p->map_place, &p->map.identity, &loaded);
	if (ret <= 0)
		return ret;
	p->resumed = true;
	p->map.output = loaded.output;
	p->map.output_generation = loaded.output_generation;
	p->map.output_birth = loaded.output_birth;
	p->map.rescued = loaded.rescued;
	p->map.bad = loaded.bad;
	p->map.listed = loaded.listed;
	loaded.rescued = loaded.bad = loaded.listed = (struct pmr_ranges){ 0 };
	pmr_mapfile_release(&loaded);
	return 0;
}

/* Up to where an earlier run has put bytes into the output. */
static uint64_t rescued_end(const struct pmr_pair *p)
{
	const struct pmr_ranges *rescued = &p->map.rescued;

	if (rescued->n)
		return rescued->v[rescued->n - 1].offset + rescued->v[rescued->n - 1].length;
	return p->resumed ? 0 : PMR_NO_ADDRESS;
}

int pmr_pair_find(const struct pmr_source *source, const struct pmr_salvage_options *options,
		  struct pmr_pair *p)
{
	int ret;

	*p = (struct pmr_pair){ .source = source,
				.options = options,
				.output_place.directory = -1,
				.map_place.directory = -1 };
	ret = pmr_output_find(source->ctx, "output", p->options->output, &p->source->st,
			      &p->output_place);
	if (!ret)
		ret = check_place(p, &p->output_place);
	if (!ret)
		ret = find_mapfile(p);
	if (!ret)
		ret = identify(p);
	if (!ret && p->options->mapfile)
		ret = load_mapfile(p);
	if (!ret)
		ret = pmr_output_check(source->ctx, &p->output_place, rescued_end(p), &p->map,
				       options->force);
	return ret;
}

int pmr_pair_open(struct pmr_pair *p)
{
	return pmr_output_open(p->source->ctx, &p->output_place, rescued_end(p), &p->map,
			       p->options->force, &p->output);
}

static int unite(struct pmr_ranges *both, const struct pmr_ranges *a, const struct pmr_ranges *b)
{
	int ret = pmr_ranges_copy(both, a);

	for (size_t i = 0; i < b->n && !ret; i++)
		ret = pmr_ranges_add(both, b->v[i].offset, b->v[i].length);
	pmr_ranges_normalize(both);
	return ret;
}

/* What is in the output; what could not be read, by an earlier run either, and was not come to since; what was listed. */
int pmr_pair_save(struct pmr_pair *p, const struct pmr_rescue *r)
{
	struct pmr_mapfile now = { .identity = p->map.identity, .size = p->map.size };
	struct pmr_ranges bad = { 0 };
	int ret;

	now.output = p->map.output;
	now.output_generation = p->map.output_generation;
	now.output_birth = p->map.output_birth;
	ret = unite(&now.rescued, &r->have, &r->done);
	if (!ret)
		ret = unite(&bad, &p->map.bad, &r->bad);
	if (!ret)
		ret = pmr_ranges_subtract(&now.bad, &bad, &now.rescued);
	if (!ret)
		ret = pmr_ranges_subtract(&now.listed, &r->listed, &now.rescued);
	if (!ret)
		ret = pmr_keep_save(p->source->ctx, &p->map_place, &now);
	pmr_ranges_release(&bad);
	now.identity = (struct pmr_mapfile_identity){ 0 };
	pmr_mapfile_release(&now);
	return ret;
}

void pmr_pair_close(struct pmr_pair *p)
{
	pmr_output_close(p->output);
	p->output = NULL;
	pmr_output_leave(&p->output_place);
	pmr_output_leave(&p->map_place);
	pmr_mapfile_release(&p->map);
}
