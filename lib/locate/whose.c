/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who owns a piece of a device: what its filesystem tells, else the files that have it by FIEMAP. Reads no media. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "locate.h"
#include "device/held.h"
#include "device/topology.h"

/* A part of a filesystem while its owners are looked for. */
struct asking {
	struct pmr_locator *l;
	struct pmr_filesystem *filesystem;
	const struct pmr_place *piece;
	struct pmr_root root; /* its mountpoint */
	struct pmr_view *view; /* whose list is the piece */
	bool is_shared; /* a file found is perhaps not the only one */
	uint64_t unknown; /* bytes whose owner nobody tells */
	uint64_t unknown_at;
};

static int add_place(struct asking *a, uint64_t offset, uint64_t length, enum pmr_owner owner)
{
	struct pmr_place place = pmr_place_part(a->piece, offset - a->piece->offset, length);

	place.filesystem = a->filesystem;
	place.owner = owner;
	return pmr_places_add(&a->l->places, &place);
}

/* ---- files */

static int add_file_places(struct asking *a, struct pmr_file *file, struct pmr_ranges *claimed)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < file->n_losses && !ret; i++) {
		const struct pmr_loss *loss = &file->losses[i];
		struct pmr_place place = pmr_place_part(
			a->piece, loss->device_offset - a->piece->offset, loss->length);

		place.filesystem = a->filesystem;
		place.owner = PMR_OWNER_FILE;
		place.file = file;
		place.inode = file->inode;
		place.file_offset = loss->offset;
		place.kind = loss->unwritten ? PMR_EXTENT_UNWRITTEN : PMR_EXTENT_DATA;
		place.past_eof = loss->state == PMR_PAST_EOF;
		place.shared = loss->shared;
		a->is_shared |= loss->shared;
		ret = pmr_places_add(&a->l->places, &place);
		if (!ret)
			ret = pmr_ranges_add(claimed, loss->device_offset - a->filesystem->start,
					     loss->length);
	}
	/* They were places, and are no losses. */
	free(file->losses);
	file->losses = NULL;
	file->n_losses = 0;
	return ret;
}

/* ---- what is in no file that was met */

static int add_unnamed(struct asking *a, const struct pmr_owner_claim *claim,
		       struct pmr_place *place)
{
	place->owner = PMR_OWNER_FILE;
	place->kind = claim->owner == PMR_OWNER_UNWRITTEN ? PMR_EXTENT_UNWRITTEN : PMR_EXTENT_DATA;
	a->l->complete = false;
	pmr_say(a->l->ctx, PMR_ERROR, "unnamed-file", a->filesystem->mountpoint,
		"inode %" PRIu64 " has %" PRIu64 " bytes at device offset %" PRIu64
		", but the walk met no file of that number there: it is deleted and still open, below another mount, or "
		"has just moved (ask again)",
		claim->inode, place->length, place->offset);
	return pmr_places_add(&a->l->places, place);
}

/* Kept with the scan that the location keeps. Return: 0; -ENOMEM. */
static int name_place(struct asking *a, struct pmr_place *place)
{
	const char *name = place->inode ? pmr_view_name(a->view, place->inode) : NULL;
	struct pmr_scan *scan = a->l->scanner.scan;
	struct pmr_owned *kept;
	int ret;

	if (!name)
		return 0;
	kept = scan->n_owned ? &scan->owned[scan->n_owned - 1] : NULL;
	if (!kept || kept->inode != place->inode || strcmp(kept->path, name)) {
		ret = pmr_grow(&scan->owned, scan->n_owned, &a->l->scanner.alloc_owned,
			       sizeof(scan->owned[0]));
		if (ret)
			return ret;
		kept = &scan->owned[scan->n_owned];
		*kept = (struct pmr_owned){ .inode = place->inode, .path = strdup(name) };
		if (!kept->path)
			return -ENOMEM;
		scan->n_owned++;
	}
	place->path = kept->path;
	return 0;
}

static int take_part(void *data, const struct pmr_owner_claim *claim, const struct pmr_range *part)
{
	struct asking *a = data;
	uint64_t offset = a->filesystem->start + part->offset;
	struct pmr_place place = pmr_place_part(a->piece, offset - a->piece->offset, part->length);
	int ret;

	place.filesystem = a->filesystem;
	place.owner = claim ? claim->owner : PMR_OWNER_UNKNOWN;
	place.inode = claim ? claim->inode : 0;
	place.part = claim ? claim->part : PMR_PART_NONE;
	if (place.inode && place.owner != PMR_OWNER_METADATA)
		return add_unnamed(a, claim, &place);
	if (place.owner == PMR_OWNER_UNKNOWN) {
		if (!a->unknown)
			a->unknown_at = offset;
		a->unknown += part->length;
	}
	ret = name_place(a, &place);
	return ret ? ret : pmr_places_add(&a->l->places, &place);
}

/* Of files that were not met, also where they share it with one that was. */
static int add_unmet(struct asking *a, struct pmr_ranges *claimed)
{
	const struct pmr_claims *claims = &a->view->claims;
	int ret = 0;

	for (size_t i = 0; i < claims->n && !ret; i++) {
		const struct pmr_owner_claim *claim = &claims->v[i];

		if ((claim->owner != PMR_OWNER_FILE && claim->owner != PMR_OWNER_UNWRITTEN) ||
		    !claim->inode || pmr_scanner_file(&a->l->scanner, a->filesystem, claim->inode))
			continue;
		ret = take_part(a, claim, &claim->range);
		if (!ret)
			ret = pmr_ranges_add(claimed, claim->range.offset, claim->range.length);
	}
	return ret;
}

static int collect(struct asking *a)
{
	const struct pmr_scan *scan = a->l->scanner.scan;
	struct pmr_ranges claimed = { 0 }, rest = { 0 };
	size_t i, cursor = 0;
	int ret = 0;

	for (i = 0; i < scan->n_files && !ret; i++) {
		if (scan->files[i]->filesystem == a->filesystem)
			ret = add_file_places(a, scan->files[i], &claimed);
	}
	if (!ret)
		ret = add_unmet(a, &claimed);
	pmr_ranges_normalize(&claimed);
	if (!ret)
		ret = pmr_ranges_subtract(&rest, &a->view->wide, &claimed);
	for (i = 0; i < rest.n && !ret; i++)
		ret = pmr_claims_each(&a->view->claims, &cursor, &rest.v[i], take_part, a);
	pmr_ranges_release(&claimed);
	pmr_ranges_release(&rest);
	return ret;
}

/* ---- a filesystem */

static void say_unknown(struct asking *a)
{
	struct pmr_locator *l = a->l;

	if (!a->unknown)
		return;
	l->complete = false;
	if (pmr_scanner_interrupted(&l->scanner))
		return;
	pmr_say(l->ctx, PMR_ERROR, "owner-unknown", a->filesystem->mountpoint,
		"%" PRIu64 " bytes, the first at device offset %" PRIu64
		", are in no file that was met, and the filesystem does not tell whose they are: metadata, or a file "
		"that could not be looked at%s",
		a->unknown, a->unknown_at, pmr_owner_advice(a->filesystem));
}

static int ask_mounted(struct asking *a)
{
	struct pmr_locator *l = a->l;
	int ret;

	a->view = calloc(1, sizeof(*a->view));
	if (!a->view)
		return -ENOMEM;
	a->view->filesystem = a->filesystem;
	a->view->is_whole = true;
	ret = pmr_ranges_add(&a->view->wide, a->piece->offset - a->filesystem->start,
			     a->piece->length);
	if (!ret) {
		pmr_sieve_init(&a->view->sieve, &a->view->wide);
		ret = pmr_find(&l->scanner, a->view, &a->root, true);
	}
	if (ret == -ECANCELED)
		ret = 0;
	if (!ret)
		ret = pmr_view_settle(a->view);
	if (!ret)
		ret = collect(a);
	/* A second owner may be among what could not be looked at. */
	if (a->is_shared && !l->scanner.scan->complete)
		l->complete = false;
	if (a->filesystem->unreplayed) {
		l->complete = false;
		pmr_filesystem_say_unreplayed(l->ctx, a->filesystem);
	}
	say_unknown(a);
	pmr_view_release(a->view);
	free(a->view);
	return ret;
}

/* Says why nothing of a filesystem can be asked. */
static int open_mountpoint(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem,
			   struct pmr_root *root)
{
	*root = (struct pmr_root){ .fd = -1, .kept = -1, .tree = -1 };
	if (!filesystem->type) {
		pmr_say(ctx, PMR_ERROR, "no-filesystem", filesystem->source,
			"has no filesystem that is known: only the program that uses it can tell whose these bytes are");
		return -ENODEV;
	}
	if (pmr_filesystem_check(ctx, filesystem, filesystem->source))
		return -EOPNOTSUPP;
	if (filesystem->mountpoint)
		return pmr_root_open(ctx, filesystem, NULL, root);
	if (pmr_elsewhere_say(ctx, filesystem, filesystem->source, "locate"))
		return -ENODEV;
	pmr_say(ctx, PMR_ERROR, "not-mounted", filesystem->source,
		"holds %s that is not mounted: to learn whose these bytes are, mount it (read-only: -o ro) and ask again; where "
		"that fails, -o ro,norecovery shows some of its files, and no answer is whole",
		filesystem->type);
	return -ENODEV;
}

/* What holds the log of an XFS. */
static int add_log(struct asking *a)
{
	const struct pmr_range range = { a->piece->offset - a->filesystem->start,
					 a->piece->length };
	struct pmr_claims claims = { 0 };
	size_t cursor = 0;
	int ret;

	ret = pmr_log_claims(a->l->ctx, a->filesystem, &claims);
	if (ret == -ENODEV) {
		a->l->complete = false;
		ret = add_place(a, a->piece->offset, a->piece->length, PMR_OWNER_UNKNOWN);
	} else if (!ret)
		ret = pmr_claims_each(&claims, &cursor, &range, take_part, a);
	free(claims.v);
	return ret;
}

static int ask_filesystem(struct pmr_locator *l, struct pmr_filesystem *filesystem,
			  const struct pmr_place *piece)
{
	struct asking a = {
		.l = l,
		.filesystem = filesystem,
		.piece = piece,
	};
	size_t first = l->places.n;
	int ret;

	if (filesystem->role == PMR_ROLE_LOG)
		return add_log(&a);
	ret = open_mountpoint(l->ctx, filesystem, &a.root);
	if (!ret && !pmr_realtime_check(l->ctx, filesystem, a.root.kept, filesystem->source))
		ret = -ENODEV;
	if (!ret)
		ret = ask_mounted(&a);
	else if (ret != -ENOMEM) {
		l->complete = false;
		ret = add_place(&a, piece->offset, piece->length, PMR_OWNER_UNKNOWN);
	}
	pmr_root_close(&a.root);
	if (!ret)
		pmr_places_settle(&l->places, first);
	return ret;
}

/* ---- a device */

/* Outside of all filesystems: of a partitioned disk its tables and gaps, else what no filesystem is known to have. */
static int add_outside(struct pmr_locator *l, struct pmr_place *place)
{
	const struct pmr_device *device = place->device;
	const char *object = device->path ? device->path : device->name;
	size_t i;

	place->owner = PMR_OWNER_NOT_ASKED;
	for (i = 0; i < l->topology->n_filesystems; i++) {
		const struct pmr_filesystem *filesystem = l->topology->filesystems[i];

		if (filesystem->device == device && filesystem->start)
			place->owner = PMR_OWNER_NAMESPACE;
	}
	if (pmr_device_is_dax(device)) {
		place->owner = PMR_OWNER_DEVICE;
		pmr_say(l->ctx, PMR_WARNING, "no-filesystem", object,
			"is device-dax: only the program that uses it can tell whose these bytes are");
	} else if (place->owner == PMR_OWNER_NOT_ASKED) {
		l->complete = false;
		pmr_say(l->ctx, PMR_ERROR, "no-filesystem", object,
			"has no filesystem that is known: only the program that uses it can tell whose these bytes are");
	}
	return pmr_places_add(&l->places, place);
}

/* ---- what is built on it */

/* @part: of @piece, and all in one place of the mapped device @upper */
static int ask_upper(struct pmr_locator *l, const struct pmr_place *piece, struct pmr_device *upper,
		     const struct pmr_range *part, struct pmr_ranges *asked)
{
	uint64_t offset = part->offset, end = offset + part->length, length, below;
	struct pmr_device *lower;
	int ret = 0;

	for (; offset < end && !ret; offset += length) {
		struct pmr_place place;

		length = end - offset;
		if (!pmr_pieces_down(upper, offset, &length, &lower, &below))
			break;
		place = pmr_place_part(piece, below - piece->offset, length);
		place.device = upper;
		place.offset = offset;
		ret = pmr_ranges_add(asked, below, length);
		if (!ret)
			ret = pmr_whose(l, &place);
	}
	return ret;
}

/* Of what is no PMEM the topology was not made with what is built on it. */
static int meet_holder(void *data, const struct pmr_block *holder)
{
	struct pmr_locator *l = data;
	struct pmr_device *upper;
	int ret = pmr_topology_upper(l->ctx, l->topology, holder, NULL, &upper);

	/* who cannot be followed is named where nothing else has the place */
	return ret == -ENOMEM ? ret : 0;
}

/* @asked: gains what of @piece the mapped devices on it have, which were asked */
static int ask_above(struct pmr_locator *l, const struct pmr_place *piece, struct pmr_ranges *asked)
{
	struct pmr_range range = { piece->offset, piece->length };
	const struct pmr_ranges one = { .v = &range, .n = 1 };
	struct pmr_ranges up = { 0 };
	int ret = pmr_holders_visit(piece->device, meet_holder, l);

	for (size_t i = 0; i < l->topology->n_devices && !ret; i++) {
		struct pmr_device *upper = l->topology->devices[i];

		if (!pmr_pieces_are_on(upper, piece->device))
			continue;
		up.n = 0;
		ret = pmr_pieces_up(upper, piece->device, &one, &up);
		for (size_t j = 0; j < up.n && !ret; j++)
			ret = ask_upper(l, piece, upper, &up.v[j], asked);
	}
	pmr_ranges_release(&up);
	pmr_ranges_normalize(asked);
	return ret;
}

static int say_holder(void *data, const struct pmr_block *holder)
{
	struct pmr_locator *l = data;
	struct pmr_device *upper;
	char *path = pmr_block_path(holder->name);
	int ret;

	if (!path)
		return -ENOMEM;
	ret = pmr_topology_device(l->ctx, l->topology, holder->disk, path, &upper);
	free(path);
	return ret == -ENOMEM ? ret : 0;
}

/* Something is built there that cannot be followed, or it is what that keeps for itself. */
static int add_held(struct pmr_locator *l, const struct pmr_filesystem *held,
		    struct pmr_place *place)
{
	const char *name = held ? held->source + strlen("/dev/") : place->device->name;
	int ret;

	l->complete = false;
	place->owner = PMR_OWNER_UNKNOWN;
	ret = pmr_block_relations(name, "holders", say_holder, l);
	if (ret)
		return ret;
	pmr_say(l->ctx, PMR_ERROR, "no-filesystem", held ? held->source : place->device->path,
		"has no volume at device offset %" PRIu64
		" that could be followed: what is built on it can tell whose these bytes are",
		place->offset);
	return pmr_places_add(&l->places, place);
}

/* @rest: of @piece, and no volume's; cut where it goes from what something is built on to what nothing is */
static int add_rest(struct pmr_locator *l, const struct pmr_place *piece,
		    const struct pmr_range *rest)
{
	uint64_t from = rest->offset, end = from + rest->length, to;
	const struct pmr_device *device = piece->device;
	const struct pmr_filesystem *held;
	int ret = 0;

	for (; from < end && !ret; from = to) {
		struct pmr_place place;

		to = end;
		held = pmr_held_at(l->topology, device, from, &to);
		place = pmr_place_part(piece, from - piece->offset, to - from);
		if (held || pmr_is_held_at(l->topology, device, from))
			ret = add_held(l, held, &place);
		else
			ret = add_outside(l, &place);
	}
	return ret;
}

static int ask_outside(struct pmr_locator *l, const struct pmr_place *piece)
{
	const struct pmr_range range = { piece->offset, piece->length };
	const struct pmr_ranges one = { .v = (struct pmr_range *)&range, .n = 1 };
	struct pmr_ranges asked = { 0 }, rest = { 0 };
	int ret;

	ret = ask_above(l, piece, &asked);
	if (!ret)
		ret = pmr_ranges_subtract(&rest, &one, &asked);
	for (size_t i = 0; i < rest.n && !ret; i++)
		ret = add_rest(l, piece, &rest.v[i]);
	pmr_ranges_release(&asked);
	pmr_ranges_release(&rest);
	return ret;
}

int pmr_whose(struct pmr_locator *l, const struct pmr_place *piece)
{
	uint64_t from = piece->offset, end = from + piece->length, to;
	int ret = 0;

	for (; from < end && !ret; from = to) {
		struct pmr_filesystem *filesystem;
		struct pmr_place part;

		to = end;
		filesystem = pmr_filesystem_at(l->topology, piece->device, from, &to);
		part = pmr_place_part(piece, from - piece->offset, to - from);
		if (filesystem)
			ret = ask_filesystem(l, filesystem, &part);
		else
			ret = ask_outside(l, &part);
	}
	return ret;
}
