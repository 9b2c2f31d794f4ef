/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who owns a piece of a device: what its filesystem tells, else the files that have it by FIEMAP. Reads no media. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "locate.h"
#include "device/topology.h"

/* What the walk returns when there is nothing more to be learnt from it. */
#define ALL_KNOWN 1

/* A part of a filesystem while its owners are looked for. */
struct asking {
	struct pmr_locator *l;
	struct pmr_filesystem *filesystem;
	const struct pmr_place *piece;
	int fd; /* its mountpoint */
	struct pmr_view *view; /* whose list is what files may have of the piece */
	struct pmr_ranges rest; /* device offsets: what no file was found to have, after the walk */
	uint64_t wanted; /* bytes that may be files' */
	uint64_t claimed; /* bytes of these that files have, each alone */
	uint64_t names; /* that the files found have, and were not met */
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

/* ---- what the filesystem tells */

static int take_first(void *data, const struct pmr_range *part, enum pmr_owner owner,
		      uint64_t inode)
{
	struct asking *a = data;

	switch (owner) {
	case PMR_OWNER_FREE:
	case PMR_OWNER_METADATA:
	case PMR_OWNER_LOG:
		return add_place(a, a->filesystem->start + part->offset, part->length, owner);
	default:
		break;
	}
	/* Room that XFS keeps for copies, and that no file refers to. */
	if (owner == PMR_OWNER_UNWRITTEN && !inode)
		return add_place(a, a->filesystem->start + part->offset, part->length, owner);
	return pmr_ranges_add(&a->view->wide, part->offset, part->length);
}

static int take_rest(void *data, const struct pmr_range *part, enum pmr_owner owner, uint64_t inode)
{
	uint64_t offset = ((struct asking *)data)->filesystem->start + part->offset;
	struct asking *a = data;
	struct pmr_place place;

	if (!inode) {
		if (owner == PMR_OWNER_UNKNOWN && !a->unknown)
			a->unknown_at = offset;
		if (owner == PMR_OWNER_UNKNOWN)
			a->unknown += part->length;
		return add_place(a, offset, part->length, owner);
	}
	if (owner == PMR_OWNER_METADATA)
		return add_place(a, offset, part->length, owner);
	place = pmr_place_part(a->piece, offset - a->piece->offset, part->length);
	place.filesystem = a->filesystem;
	place.owner = PMR_OWNER_FILE;
	place.kind = owner == PMR_OWNER_UNWRITTEN ? PMR_EXTENT_UNWRITTEN : PMR_EXTENT_DATA;
	place.inode = inode;
	a->l->complete = false;
	pmr_say(a->l->ctx, PMR_ERROR, "unnamed-file", a->filesystem->mountpoint,
		"inode %" PRIu64 " has %" PRIu64 " bytes at device offset %" PRIu64
		", but the walk met no file of that number there: it is deleted and still open, below another mount, or "
		"has just moved (ask again)",
		inode, part->length, offset);
	return pmr_places_add(&a->l->places, &place);
}

/* ---- files */

static uint64_t bytes_of(const struct pmr_file *file, bool *is_shared)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < file->n_losses; i++) {
		bytes += file->losses[i].length;
		*is_shared |= file->losses[i].shared;
	}
	return bytes;
}

static int look_at_file(struct asking *a, const struct pmr_old_walk_entry *entry)
{
	struct pmr_scanner *scanner = &a->l->scanner;
	const struct pmr_file *before, *file;
	size_t links;
	int ret;

	before = pmr_scanner_file(scanner, a->filesystem, entry->st->st_ino);
	links = before ? before->n_links : 0;
	ret = pmr_look_at(scanner, a->view, entry->dirfd, entry->name, entry->path, entry->st);
	if (ret)
		return ret;
	file = before ? before : pmr_scanner_file(scanner, a->filesystem, entry->st->st_ino);
	if (!file || !file->n_losses)
		return 0;
	if (before) {
		a->names -= file->n_links - links;
	} else {
		a->names += entry->st->st_nlink - 1;
		a->claimed += bytes_of(file, &a->is_shared);
	}
	return a->claimed >= a->wanted && !a->is_shared && !a->names ? ALL_KNOWN : 0;
}

static int look_at_entry(void *data, const struct pmr_old_walk_entry *entry)
{
	struct asking *a = data;

	if (S_ISDIR(entry->st->st_mode))
		return pmr_look_at_directory(&a->l->scanner, a->view, entry->dirfd, entry->path);
	return look_at_file(a, entry);
}

static int walk(struct asking *a)
{
	struct pmr_scanner *scanner = &a->l->scanner;
	bool complete = true;
	int ret;

	ret = pmr_old_walk(a->l->ctx, a->filesystem->mountpoint, look_at_entry, a, &complete);
	if (ret == -ECANCELED || !complete)
		scanner->scan->complete = false;
	return ret == ALL_KNOWN || ret == -ECANCELED ? 0 : ret;
}

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
		ret = pmr_places_add(&a->l->places, &place);
		if (!ret)
			ret = pmr_ranges_add(claimed, loss->device_offset, loss->length);
	}
	/* They were places, and are no losses. */
	free(file->losses);
	file->losses = NULL;
	file->n_losses = 0;
	return ret;
}

static int drop(struct asking *a, const struct pmr_ranges *known)
{
	struct pmr_ranges left = { 0 };
	int ret;

	ret = pmr_ranges_subtract(&left, &a->rest, known);
	if (ret) {
		pmr_ranges_release(&left);
		return ret;
	}
	pmr_ranges_release(&a->rest);
	a->rest = left;
	return 0;
}

static int give_directories(struct asking *a)
{
	const struct pmr_ranges *directories = &a->view->directories;
	struct pmr_ranges given = { 0 };
	size_t i;
	int ret = 0;

	for (i = 0; i < directories->n && !ret; i++)
		ret = pmr_ranges_clip(&given, &a->rest, directories->v[i].offset,
				      directories->v[i].length);
	for (i = 0; i < given.n && !ret; i++)
		ret = add_place(a, given.v[i].offset, given.v[i].length, PMR_OWNER_METADATA);
	pmr_ranges_release(&given);
	return ret ? ret : drop(a, directories);
}

static int collect(struct asking *a)
{
	const struct pmr_scan *scan = a->l->scanner.scan;
	struct pmr_ranges claimed = { 0 };
	size_t i;
	int ret = 0;

	for (i = 0; i < a->view->wide.n && !ret; i++)
		ret = pmr_ranges_add(&a->rest, a->filesystem->start + a->view->wide.v[i].offset,
				     a->view->wide.v[i].length);
	for (i = 0; i < scan->n_files && !ret; i++) {
		if (scan->files[i]->filesystem == a->filesystem)
			ret = add_file_places(a, scan->files[i], &claimed);
	}
	pmr_ranges_normalize(&claimed);
	pmr_ranges_normalize(&a->view->directories);
	if (!ret)
		ret = drop(a, &claimed);
	if (!ret)
		ret = give_directories(a);
	pmr_ranges_release(&claimed);
	return ret;
}

/* ---- a filesystem */

static void say_unknown(struct asking *a)
{
	struct pmr_locator *l = a->l;

	if (!a->unknown || pmr_scanner_interrupted(&l->scanner))
		return;
	pmr_say(l->ctx, PMR_ERROR, "owner-unknown", a->filesystem->mountpoint,
		"%" PRIu64 " bytes, the first at device offset %" PRIu64
		", are in no file that was met, and the filesystem does not tell whose they are: metadata, or a file "
		"that could not be looked at%s",
		a->unknown, a->unknown_at, pmr_owner_advice(a->filesystem));
}

static int find_files(struct asking *a)
{
	struct pmr_locator *l = a->l;
	size_t i;
	int ret;

	pmr_ranges_normalize(&a->view->wide);
	a->wanted = pmr_ranges_bytes(&a->view->wide);
	pmr_sieve_init(&a->view->sieve, &a->view->wide);
	ret = walk(a);
	if (!ret)
		ret = collect(a);
	/* A second owner may be among what could not be looked at. */
	if (a->is_shared && !l->scanner.scan->complete)
		l->complete = false;
	for (i = 0; i < a->rest.n && !ret; i++) {
		struct pmr_range range = { a->rest.v[i].offset - a->filesystem->start,
					   a->rest.v[i].length };

		ret = pmr_owner_of(l->ctx, a->fd, &range, take_rest, a);
	}
	if (a->unknown)
		l->complete = false;
	say_unknown(a);
	return ret;
}

static int ask_mounted(struct asking *a)
{
	struct pmr_range range = { a->piece->offset - a->filesystem->start, a->piece->length };
	int ret;

	a->view = calloc(1, sizeof(*a->view));
	if (!a->view)
		return -ENOMEM;
	a->view->filesystem = a->filesystem;
	ret = pmr_owner_of(a->l->ctx, a->fd, &range, take_first, a);
	if (!ret && a->view->wide.n)
		ret = find_files(a);
	pmr_ranges_release(&a->view->wide);
	pmr_ranges_release(&a->view->directories);
	pmr_ranges_release(&a->rest);
	free(a->view);
	return ret;
}

/* Says why nothing of a filesystem can be asked. Return: the mountpoint, or -errno. */
static int open_mountpoint(struct pmr_ctx *ctx, const struct pmr_filesystem *filesystem)
{
	struct stat st;
	int fd;

	if (!filesystem->type) {
		pmr_say(ctx, PMR_ERROR, "no-filesystem", filesystem->source,
			"has no filesystem that is known: only the program that uses it can tell whose these bytes are");
		return -ENODEV;
	}
	if (pmr_filesystem_check(ctx, filesystem, filesystem->source))
		return -EOPNOTSUPP;
	if (!filesystem->mountpoint) {
		pmr_say(ctx, PMR_ERROR, "not-mounted", filesystem->source,
			"holds %s that is not mounted: to learn whose these bytes are, mount it (read-only: -o ro, on XFS "
			"-o ro,norecovery, on ext4 -o ro,noload) and ask again",
			filesystem->type);
		return -ENODEV;
	}
	fd = open(filesystem->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		int err = -errno;

		pmr_say(ctx, PMR_ERROR, "cannot-read-directory", filesystem->mountpoint,
			"cannot be opened, so that no file below it can be asked: %s",
			strerror(-err));
		return err;
	}
	if (!fstat(fd, &st) && st.st_dev == filesystem->devno)
		return fd;
	close(fd);
	pmr_say(ctx, PMR_ERROR, "hidden", filesystem->mountpoint,
		"is not where %s can be looked at: unmounted meanwhile, or hidden by another mount",
		filesystem->source);
	return -ENODEV;
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

	a.fd = open_mountpoint(l->ctx, filesystem);
	if (a.fd < 0) {
		l->complete = false;
		return add_place(&a, piece->offset, piece->length, PMR_OWNER_UNKNOWN);
	}
	ret = ask_mounted(&a);
	close(a.fd);
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
	if (place->owner == PMR_OWNER_NOT_ASKED && device->mode == PMR_MODE_DEVDAX) {
		pmr_say(l->ctx, PMR_WARNING, "no-filesystem", object,
			"is device-dax: only the program that uses it can tell whose these bytes are");
	} else if (place->owner == PMR_OWNER_NOT_ASKED) {
		l->complete = false;
		pmr_say(l->ctx, PMR_ERROR, "no-filesystem", object,
			"has no filesystem that is known: only the program that uses it can tell whose these bytes are");
	}
	return pmr_places_add(&l->places, place);
}

int pmr_whose(struct pmr_locator *locator, const struct pmr_place *piece)
{
	uint64_t from = piece->offset, end = from + piece->length, to;
	int ret = 0;

	for (; from < end && !ret; from = to) {
		struct pmr_filesystem *filesystem;
		struct pmr_place part;

		to = end;
		filesystem = pmr_filesystem_at(locator->topology, piece->device, from, &to);
		part = pmr_place_part(piece, from - piece->offset, to - from);
		if (filesystem)
			ret = ask_filesystem(locator, filesystem, &part);
		else
			ret = add_outside(locator, &part);
	}
	return ret;
}
