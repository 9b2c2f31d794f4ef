/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has the bad bytes of a filesystem: it is asked itself, live files confirm, and what moved meanwhile is asked again. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "find.h"

/* A file that moves is looked up so often before it is left to a scan at a quieter time. */
#define ROUNDS 4

int pmr_find_replace(struct pmr_view *view, const struct pmr_ranges *ranges,
		     const struct pmr_claims *claims)
{
	struct pmr_claims merged = { 0 };
	int ret;

	ret = pmr_claims_without(&view->claims, ranges, &merged);
	for (size_t i = 0; i < claims->n && !ret; i++)
		ret = pmr_claims_add(&merged, &claims->v[i]);
	if (ret) {
		free(merged.v);
		return ret;
	}
	pmr_claims_settle(&merged);
	free(view->claims.v);
	view->claims = merged;
	return 0;
}

static int ask_once(struct pmr_finding *f, const struct pmr_ranges *open, struct pmr_ranges *moved)
{
	struct pmr_filesystem *filesystem = f->view->filesystem;
	struct pmr_claims claims = { 0 };
	enum pmr_way way;
	int ret;

	ret = pmr_lookup(f->scanner->ctx, filesystem, f->root->fd, open, &claims, &way);
	if (!ret && (filesystem->way == PMR_WAY_NONE || way == PMR_WAY_WALK ||
		     filesystem->way == PMR_WAY_REVERSE_MAP))
		filesystem->way = way;
	/* of an XFS the numbers of inodes tell where they are */
	f->view->is_by_files |= !ret && way == PMR_WAY_WALK && filesystem->type &&
				strcmp(filesystem->type, "xfs") != 0;
	if (!ret)
		ret = pmr_find_named(f, &claims, moved);
	if (!ret)
		ret = pmr_find_replace(f->view, open, &claims);
	free(claims.v);
	return ret;
}

/* The list may change underneath: what is new in it was not asked for yet. */
static int add_new(const struct pmr_finding *f, const struct pmr_ranges *asked,
		   struct pmr_ranges *open)
{
	int ret = pmr_ranges_subtract(open, &f->view->wide, asked);

	pmr_ranges_normalize(open);
	return ret;
}

static bool is_unknown(const struct pmr_owner_claim *claim)
{
	return claim->owner == PMR_OWNER_UNKNOWN;
}

/* Where every file is asked, it is also because inodes of some may make no sense: then what any says of itself is in doubt. */
static bool is_in_doubt(const struct pmr_owner_claim *claim)
{
	return is_unknown(claim) || claim->inode;
}

/* @asked: what needs no asking; gains what was asked */
static int ask_filesystem(struct pmr_finding *f, struct pmr_ranges *asked)
{
	struct pmr_ranges open = { 0 }, moved = { 0 };
	int ret;

	ret = add_new(f, asked, &open);
	for (int round = 0; !ret && open.n && round < ROUNDS; round++) {
		moved.n = 0;
		ret = ask_once(f, &open, &moved);
		for (size_t i = 0; i < open.n && !ret; i++)
			ret = pmr_ranges_add(asked, open.v[i].offset, open.v[i].length);
		pmr_ranges_normalize(asked);
		open.n = 0;
		for (size_t i = 0; i < moved.n && !ret; i++)
			ret = pmr_ranges_add(&open, moved.v[i].offset, moved.v[i].length);
		/* a file whose extents were on the move may have slipped through the pass that read them */
		if (!ret && !round && f->view->filesystem->way == PMR_WAY_INODE_TABLE)
			ret = pmr_claims_ranges(&f->view->claims, is_unknown, &open);
		if (!ret)
			ret = add_new(f, asked, &open);
	}
	pmr_ranges_release(&open);
	pmr_ranges_release(&moved);
	return ret;
}

/* Of all of a filesystem that is said with what else has no owner. */
static int add_untold(struct pmr_finding *f)
{
	struct pmr_ranges unknown = { 0 };
	int ret;

	ret = pmr_look_at_inodes(f->scanner, f->view, f->root);
	if (!ret)
		ret = pmr_claims_ranges(&f->view->claims,
					f->view->is_by_files ? pmr_may_be_inodes : is_unknown,
					&unknown);
	if (!ret)
		ret = pmr_add_untold(f->scanner, f->view, f->root->path, &unknown);
	pmr_ranges_release(&unknown);
	return ret;
}

/* What an earlier target had asked for is not asked again, but it may be of what lies here. */
static int name_told(struct pmr_finding *f)
{
	struct pmr_ranges moved = { 0 };
	struct pmr_claims told = { 0 };
	int ret = 0;

	for (size_t i = 0; i < f->view->claims.n && !ret; i++) {
		const struct pmr_owner_claim *claim = &f->view->claims.v[i];

		if (claim->owner == PMR_OWNER_METADATA && claim->inode &&
		    !pmr_view_name(f->view, claim->inode))
			ret = pmr_claims_add(&told, claim);
	}
	if (!ret && told.n)
		ret = pmr_find_named(f, &told, &moved);
	pmr_ranges_release(&moved);
	free(told.v);
	return ret;
}

/* Whose what no file has is: its directories told already what they have. */
static int ask_rest(struct pmr_finding *f)
{
	enum pmr_way way = f->view->filesystem->way;
	uint64_t seen = f->scanner->scan->files_seen;
	struct pmr_ranges met = { 0 };
	int ret;

	ret = name_told(f);
	if (!ret)
		ret = pmr_ranges_copy(&met, &f->view->met);
	if (!ret)
		ret = pmr_claims_ranges(&f->view->claims, NULL, &met);
	if (!ret)
		ret = ask_filesystem(f, &met);
	if (!ret && !f->is_whole)
		ret = add_untold(f);
	/* the walk met them all */
	f->scanner->scan->files_seen = seen;
	f->view->filesystem->way = way;
	pmr_ranges_release(&met);
	return ret;
}

static int run_auto(struct pmr_finding *f)
{
	struct pmr_ranges asked = { 0 }, unknown = { 0 };
	const char *type = f->view->filesystem->type;
	int ret;

	/* A pass over all inodes may cost more than the files of one tree: it is made for what these do not have. */
	if (!f->is_whole && (!type || strcmp(type, "xfs") != 0)) {
		ret = pmr_find_in_files(f, &f->view->wide);
		return ret ? ret : ask_rest(f);
	}
	ret = ask_filesystem(f, &asked);
	if (!ret && f->view->filesystem->way == PMR_WAY_WALK)
		ret = pmr_claims_ranges(&f->view->claims, is_in_doubt, &unknown);
	if (!ret && unknown.n)
		ret = pmr_find_in_files(f, &unknown);
	if (!ret && unknown.n && f->is_whole)
		ret = pmr_find_opened(f);
	if (!ret && !f->is_whole)
		ret = add_untold(f);
	pmr_ranges_release(&asked);
	pmr_ranges_release(&unknown);
	return ret;
}

/* Files that no name leads to, and what is no file's, only the filesystem can tell. */
static int run_walk(struct pmr_finding *f)
{
	int ret;

	ret = pmr_find_in_files(f, &f->view->wide);
	if (!ret && f->is_whole)
		ret = pmr_find_opened(f);
	if (!ret)
		ret = ask_rest(f);
	f->view->filesystem->way = PMR_WAY_WALK;
	return ret;
}

/* Whether another file, or another place of the same, has the begin of what a loss says is shared. */
static bool is_met_twice(const struct pmr_scan *scan, const struct pmr_loss *shared)
{
	for (size_t i = 0; i < scan->n_files; i++)
		for (size_t j = 0; j < scan->files[i]->n_losses; j++) {
			const struct pmr_loss *loss = &scan->files[i]->losses[j];

			if (loss != shared && loss->shared &&
			    loss->device_offset <= shared->device_offset &&
			    shared->device_offset - loss->device_offset < loss->length)
				return true;
		}
	return false;
}

/* Where no map tells of all owners, one that was met alone is not all. */
static void say_alone(struct pmr_finding *f, const struct pmr_file *file)
{
	struct pmr_scan *scan = f->scanner->scan;

	for (size_t i = 0; i < file->n_losses; i++) {
		if (!file->losses[i].shared || is_met_twice(scan, &file->losses[i]))
			continue;
		scan->complete = false;
		pmr_say(f->scanner->ctx, PMR_ERROR, "unmet-owner", file->path,
			"shares lost blocks with a file that was not met: it is deleted and still open, or below another "
			"mount");
		return;
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Several threads meet names in no order: the first in the alphabet is the file's, and the others follow. */
static void sort_names(struct pmr_file *file)
{
	char *first = file->path;

	if (!file->n_links)
		return;
	qsort(file->links, file->n_links, sizeof(file->links[0]), compare_names);
	if (strcmp(file->links[0], first) >= 0)
		return;
	file->path = file->links[0];
	file->links[0] = first;
	qsort(file->links, file->n_links, sizeof(file->links[0]), compare_names);
}

static int compare_files(const void *a, const void *b)
{
	return strcmp((*(struct pmr_file *const *)a)->path, (*(struct pmr_file *const *)b)->path);
}

/* Paths of a bare root may lead elsewhere for everybody else. Return: as pmr_root_hides() */
static int is_hidden(const struct pmr_finding *f, const struct pmr_file *file, const char *path,
		     char **by)
{
	struct stat st;

	if (!f->root->is_bare || (!stat(path, &st) && st.st_ino == file->inode &&
				  st.st_dev == f->view->filesystem->devno))
		return 0;
	return pmr_root_hides(f->root, path, by);
}

/* A name that nothing hides comes first. */
static int say_hidden(struct pmr_finding *f, struct pmr_file *file)
{
	char *by = NULL, *other = NULL, *path = file->path;
	int ret = is_hidden(f, file, path, &by);
	int seen = ret;

	for (size_t i = 0; i < file->n_links && seen == 1; i++) {
		seen = is_hidden(f, file, file->links[i], &other);
		free(other);
		other = NULL;
		if (!seen) {
			file->path = file->links[i];
			file->links[i] = path;
		}
	}
	file->hidden = seen == 1;
	if (file->hidden)
		pmr_root_say_hidden(f->scanner->ctx, f->root, path, by);
	free(by);
	return seen < 0 ? seen : 0;
}

int pmr_find(struct pmr_scanner *scanner, struct pmr_view *view, const struct pmr_root *root,
	     bool is_whole)
{
	struct pmr_finding f = {
		.scanner = scanner,
		.view = view,
		.root = root,
		.is_whole = is_whole,
	};
	struct pmr_scan *scan = scanner->scan;
	size_t first = scan->n_files;
	pthread_rwlockattr_t kind;
	int ret;

	pthread_rwlockattr_init(&kind);
	pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&f.lock, &kind);
	pthread_rwlockattr_destroy(&kind);
	if (is_whole)
		pmr_root_say_part(scanner->ctx, view->filesystem, root);
	ret = pmr_ctx_lookup(scanner->ctx) == PMR_LOOKUP_WALK ? run_walk(&f) : run_auto(&f);
	pthread_rwlock_destroy(&f.lock);
	if (!pmr_root_check(scanner->ctx, root))
		scan->complete = false;
	for (size_t i = first; i < scan->n_files; i++)
		sort_names(scan->files[i]);
	for (size_t i = first; i < scan->n_files && !ret; i++) {
		ret = say_hidden(&f, scan->files[i]);
		if (is_whole && view->filesystem->way == PMR_WAY_WALK &&
		    !pmr_scanner_interrupted(scanner))
			say_alone(&f, scan->files[i]);
	}
	if (scan->n_files > first)
		qsort(scan->files + first, scan->n_files - first, sizeof(scan->files[0]),
		      compare_files);
	return ret;
}
