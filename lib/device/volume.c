/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices that device mapper makes of others: a table becomes pieces. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "private.h"
#include "topology.h"

/* More stripes than the kernel takes would be a table misread. */
#define MAX_STRIPES 4096

struct mapper {
	struct pmr_ctx *ctx;
	struct pmr_topology *topology;
	const struct pmr_block *block;
	const char *object; /* NULL: nothing is said */
	struct pmr_dm_table table;
	struct pmr_device *made;
	size_t alloc;
	size_t alloc_lowers;
};

bool pmr_block_is_mapped(const struct pmr_block *block)
{
	return strncmp(block->disk_name, "dm-", 3) == 0;
}

/* ---- refused by name */

static int refuse(struct mapper *m, const char *target, const char *why)
{
	char *below;

	if (!m->object)
		return -EOPNOTSUPP;
	below = pmr_block_below(m->block->disk_name);
	pmr_say(m->ctx, PMR_ERROR, "unsupported-stack", m->object,
		"lies on device mapper%s%s (%s%s%s), %s", target ? " target " : "",
		target ? target : "", m->table.name ? m->table.name : m->block->disk_name,
		below && *below ? " over " : "", below ? below : "", why);
	free(below);
	return -EOPNOTSUPP;
}

static int refuse_table(struct mapper *m, int error)
{
	static const struct {
		int error;
		const char *why;
	} reasons[] = {
		{ -ENOSYS,
		  "which badblocks cannot be followed through: this was built without libdevmapper" },
		{ -EACCES, "whose table only root may read" },
		{ -EPERM, "whose table only root may read" },
		{ -ENODEV, "which has no table: it has just been made, or removed" },
	};
	size_t i;

	if (error == -ENOMEM)
		return error;
	for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		if (reasons[i].error == error)
			return refuse(m, NULL, reasons[i].why);
	}
	return refuse(m, NULL, "whose table cannot be read");
}

/* ---- a table */

static bool take_number(const char **text, uint64_t *number)
{
	char *end;

	while (**text == ' ')
		++*text;
	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*number = strtoull(*text, &end, 10);
	*text = end;
	return !errno;
}

static bool take_devno(const char **text, dev_t *devno)
{
	uint64_t high, low;

	if (!take_number(text, &high) || *(*text)++ != ':' || !take_number(text, &low))
		return false;
	*devno = makedev(high, low);
	return true;
}

static bool to_bytes(uint64_t sectors, uint64_t *bytes)
{
	return !__builtin_mul_overflow(sectors, PMR_SECTOR, bytes);
}

static int add_lower(struct mapper *m, struct pmr_device *lower)
{
	struct pmr_device *made = m->made;
	int err;

	if (pmr_pieces_are_on(made, lower))
		return 0;
	err = pmr_grow(&made->lowers, made->n_lowers, &m->alloc_lowers, sizeof(*made->lowers));
	if (!err)
		made->lowers[made->n_lowers++] = lower;
	return err;
}

/* "MAJOR:MINOR SECTOR": @length bytes of it must be there. */
static int take_stripe(struct mapper *m, const struct pmr_dm_target *target, const char **params,
		       uint64_t length, struct pmr_stripe *stripe)
{
	struct pmr_block block = { 0 };
	uint64_t sector, offset;
	dev_t devno;
	int err;

	if (!take_devno(params, &devno) || !take_number(params, &sector) ||
	    !to_bytes(sector, &offset))
		return refuse(m, target->type, "whose table makes no sense");
	err = pmr_block_get(devno, &block);
	if (err)
		return err == -ENOMEM ? err : refuse(m, target->type, "which has no device below");
	if (offset > block.size || length > block.size - offset) {
		err = refuse(m, target->type, "whose table reaches past a device below");
		goto out;
	}
	offset += block.start;
	/* A bad page below would be parts of two pages here: what one of them tells is not true of the other. */
	if (offset % PMR_PAGE) {
		err = refuse(m, target->type, "which does not begin with a page of what is below");
		goto out;
	}
	err = pmr_topology_device(m->ctx, m->topology, block.disk, m->object, &stripe->lower);
	stripe->offset = offset;
	if (!err)
		err = add_lower(m, stripe->lower);
out:
	pmr_block_release(&block);
	return err;
}

static int take_stripes(struct mapper *m, const struct pmr_dm_target *target, const char *params,
			uint64_t n, struct pmr_piece *piece)
{
	int err = 0;

	piece->stripes = calloc(n, sizeof(*piece->stripes));
	if (!piece->stripes)
		return -ENOMEM;
	piece->n_stripes = n;
	for (size_t i = 0; i < n && !err; i++)
		err = take_stripe(m, target, &params, piece->length / n, &piece->stripes[i]);
	while (!err && *params == ' ')
		params++;
	/* No feature of these targets is known. */
	if (!err && *params)
		err = refuse(m, target->type, "whose table has more than is known");
	return err;
}

static int take_linear(struct mapper *m, const struct pmr_dm_target *target,
		       struct pmr_piece *piece)
{
	return take_stripes(m, target, target->params, 1, piece);
}

static int take_striped(struct mapper *m, const struct pmr_dm_target *target,
			struct pmr_piece *piece)
{
	const char *params = target->params;
	uint64_t n, sectors;

	if (!take_number(&params, &n) || !n || n > MAX_STRIPES || !take_number(&params, &sectors) ||
	    !sectors || !to_bytes(sectors, &piece->chunk) || piece->length % n ||
	    piece->length / n % piece->chunk)
		return refuse(m, target->type, "whose table makes no sense");
	if (n == 1)
		piece->chunk = 0;
	else if (piece->chunk % PMR_PAGE)
		return refuse(m, target->type, "whose chunks are no whole pages");
	return take_stripes(m, target, params, n, piece);
}

static const struct {
	const char *type;
	int (*take)(struct mapper *m, const struct pmr_dm_target *target, struct pmr_piece *piece);
} understood[] = {
	{ "linear", take_linear },
	{ "striped", take_striped },
};

static int take_target(struct mapper *m, const struct pmr_dm_target *target, uint64_t *end)
{
	struct pmr_device *made = m->made;
	struct pmr_piece *piece;
	size_t i;
	int err;

	err = pmr_grow(&made->pieces, made->n_pieces, &m->alloc, sizeof(*made->pieces));
	if (err)
		return err;
	piece = &made->pieces[made->n_pieces++];
	*piece = (struct pmr_piece){ 0 };
	if (!to_bytes(target->start, &piece->offset) || !to_bytes(target->length, &piece->length) ||
	    !piece->length || piece->offset != *end ||
	    __builtin_add_overflow(piece->offset, piece->length, end))
		return refuse(m, target->type, "whose table makes no sense");
	for (i = 0; i < sizeof(understood) / sizeof(*understood); i++) {
		if (strcmp(target->type, understood[i].type) == 0)
			break;
	}
	if (i == sizeof(understood) / sizeof(*understood))
		return refuse(m, target->type, "which badblocks cannot be followed through");
	if (piece->offset % PMR_PAGE)
		return refuse(m, target->type, "which does not begin with a page");
	return understood[i].take(m, target, piece);
}

static int take_table(struct mapper *m)
{
	uint64_t end = 0;
	int err = 0;

	if (m->table.suspended)
		return refuse(m, NULL,
			      "which is suspended: resume it (dmsetup resume), and try again");
	for (size_t i = 0; i < m->table.n_targets && !err; i++)
		err = take_target(m, &m->table.targets[i], &end);
	if (!err && (!m->table.n_targets || end != m->block->disk_size))
		err = refuse(m, NULL, "whose table is not of its size");
	return err;
}

/* ---- a device */

/* Its own name stays from boot to boot, its number does not. */
static char *find_path(const struct pmr_block *block, const char *volume)
{
	struct stat st;
	char *path;

	if (asprintf(&path, "/dev/mapper/%s", volume) < 0)
		return NULL;
	if (!stat(path, &st) && S_ISBLK(st.st_mode) && st.st_rdev == block->disk)
		return path;
	free(path);
	return pmr_block_path(block->disk_name);
}

static int fill(struct mapper *m)
{
	struct pmr_device *made = m->made;

	made->mode = PMR_MODE_MAPPED;
	made->volume = strdup(m->table.name);
	made->path = made->volume ? find_path(m->block, made->volume) : NULL;
	made->own = calloc(1, sizeof(*made->own));
	if (!made->path || !made->own)
		return -ENOMEM;
	made->own->table = m->table.text;
	m->table.text = NULL;
	return pmr_volume_compose(made);
}

static void say_part_unknown(struct pmr_ctx *ctx, const struct pmr_device *device)
{
	if (device->badblocks.reason && strcmp(device->badblocks.reason, "part-unknown") == 0)
		pmr_badblocks_say(ctx, device);
}

int pmr_volume_add(struct pmr_ctx *ctx, struct pmr_topology *topology,
		   const struct pmr_block *block, const char *object, struct pmr_device **device)
{
	struct mapper m = { .ctx = ctx, .topology = topology, .block = block, .object = object };
	int err;

	err = pmr_device_new(block, &m.made);
	if (err)
		return err;
	err = pmr_dm_read(block->disk, &m.table);
	err = err ? refuse_table(&m, err) : take_table(&m);
	if (!err)
		err = fill(&m);
	if (!err)
		err = pmr_topology_add_device(topology, m.made);
	pmr_dm_release(&m.table);
	if (err) {
		pmr_device_free(m.made);
		return err;
	}
	say_part_unknown(ctx, m.made);
	*device = m.made;
	return 0;
}

void pmr_volume_release(struct pmr_device *device)
{
	for (size_t i = 0; i < device->n_pieces; i++)
		free(device->pieces[i].stripes);
	free(device->pieces);
	free(device->lowers);
	free(device->volume);
}

/* ---- those over what the topology has */

struct finder {
	struct pmr_ctx *ctx;
	struct pmr_topology *topology;
	unsigned int depth;
	bool found;
};

/* Nothing is built on itself, but what sysfs shows may change while it is looked at. */
#define MAX_DEPTH 32

static int look_below(void *data, const struct pmr_block *block)
{
	struct finder *finder = data;
	struct pmr_device *known = pmr_topology_at(finder->topology, block->disk);
	int err = 0;

	finder->found |= known && known->mode != PMR_MODE_NONE;
	if (!finder->found && !known && finder->depth < MAX_DEPTH) {
		finder->depth++;
		err = pmr_block_relations(block->disk_name, "slaves", look_below, finder);
		finder->depth--;
	}
	return err;
}

static int find_one(void *data, const struct pmr_block *block)
{
	struct finder *finder = data;
	struct pmr_device *device;
	int err;

	if (pmr_topology_at(finder->topology, block->disk))
		return 0;
	finder->found = false;
	err = pmr_block_relations(block->name, "slaves", look_below, finder);
	if (!err && finder->found)
		err = pmr_volume_add(finder->ctx, finder->topology, block, NULL, &device);
	/* Who asks for what cannot be followed is told then. */
	return err == -ENOMEM ? err : 0;
}

int pmr_volumes_find(struct pmr_ctx *ctx, struct pmr_topology *topology)
{
	struct finder finder = { .ctx = ctx, .topology = topology };

	return topology->n_devices ? pmr_block_each("dm-", find_one, &finder) : 0;
}
