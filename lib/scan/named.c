/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes that a filesystem named as owners: their names by one walk, and what the live files have. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "find.h"
#include "owner/open-files.h"

/* What the walk returns when it has met all names of all inodes. */
#define ALL_MET 1

#define FILTER_BITS 65536u

/* An inode that was named. */
struct named {
	uint64_t inode;
	uint32_t generation;
	uint64_t met; /* names */
	bool are_all_met; /* as many names as there were then */
	bool is_looked_at; /* what the live inode has is known */
	bool has_metadata; /* among the claims is some of its metadata */
	bool is_unreadable; /* so that a name is all that may be asked for */
	char *path; /* the first in the alphabet of its names */
};

struct naming {
	struct pmr_finding *f;
	struct named *v; /* sorted */
	size_t n;
	size_t left; /* how many have names that were not met */
	uint64_t filter[FILTER_BITS /
			64]; /* nearly every inode is none of these, which this tells at once */
};

/* ---- the inodes */

static int compare_named(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

static unsigned int hash(uint64_t inode)
{
	return (unsigned int)((inode * UINT64_C(0x9e3779b97f4a7c15)) >> 48);
}

static int collect(struct naming *n, const struct pmr_claims *claims)
{
	size_t kept = 0;

	n->v = calloc(claims->n ? claims->n : 1, sizeof(n->v[0]));
	if (!n->v)
		return -ENOMEM;
	for (size_t i = 0; i < claims->n; i++)
		if (claims->v[i].inode)
			n->v[n->n++] = (struct named){
				.inode = claims->v[i].inode,
				.generation = claims->v[i].generation,
				.has_metadata = claims->v[i].owner == PMR_OWNER_METADATA,
				.is_unreadable = claims->v[i].is_unreadable,
			};
	if (!n->n)
		return 0;
	qsort(n->v, n->n, sizeof(n->v[0]), compare_named);
	for (size_t i = 1; i < n->n; i++) {
		if (n->v[i].inode != n->v[kept].inode) {
			n->v[++kept] = n->v[i];
			continue;
		}
		n->v[kept].has_metadata |= n->v[i].has_metadata;
		n->v[kept].is_unreadable |= n->v[i].is_unreadable;
	}
	n->n = kept + 1;
	n->left = n->n;
	for (size_t i = 0; i < n->n; i++)
		n->filter[hash(n->v[i].inode) / 64] |= UINT64_C(1) << hash(n->v[i].inode) % 64;
	return 0;
}

static struct named *find_named(const struct naming *n, uint64_t inode)
{
	const struct named key = { .inode = inode };

	return n->n ? bsearch(&key, n->v, n->n, sizeof(n->v[0]), compare_named) : NULL;
}

/* ---- names */

static bool wants(void *data, uint64_t inode, unsigned char type)
{
	const struct naming *n = data;
	unsigned int bit = hash(inode);

	(void)type;
	return n->filter[bit / 64] >> bit % 64 & 1 && find_named(n, inode);
}

static void count_name(struct naming *n, struct named *named, uint64_t links)
{
	named->met++;
	if (named->are_all_met || named->met < links)
		return;
	named->are_all_met = true;
	n->left--;
}

/* Of several names the first in the alphabet: threads meet them in any order. */
static int keep_path(struct named *named, const char *path)
{
	char *copy;

	if (named->path && strcmp(named->path, path) <= 0)
		return 0;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	free(named->path);
	named->path = copy;
	return 0;
}

static int meet_locked(struct naming *n, struct named *named, const struct pmr_walk_entry *entry)
{
	struct pmr_finding *f = n->f;
	struct stat st;
	bool is_ours;
	int ret;

	if (named->is_unreadable)
		return keep_path(named, entry->path);
	if (fstatat(entry->dirfd, entry->name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)) {
		if (errno == ENOENT)
			return 0;
		ret = -errno;
		/* Of all of a filesystem it may yet be opened by its number. */
		if (!f->is_whole)
			pmr_look_failed(f->scanner, entry->path, ret);
		return keep_path(named, entry->path);
	}
	is_ours = st.st_dev == f->view->filesystem->devno;
	/* Gone and made anew: the name is another's. */
	if (is_ours && st.st_ino != named->inode)
		return 0;
	ret = keep_path(named, entry->path);
	/* Hidden below a mount: the inode itself may yet be opened by its number. */
	if (ret || !is_ours)
		return ret;
	count_name(n, named, S_ISDIR(st.st_mode) ? 1 : st.st_nlink);
	if (!S_ISREG(st.st_mode)) {
		named->is_looked_at = true;
		return 0;
	}
	ret = pmr_look_at(f->scanner, f->view, entry->dirfd, entry->name, entry->path, &st);
	named->is_looked_at = !ret;
	return ret;
}

static int meet(void *data, const struct pmr_walk_entry *entry)
{
	struct naming *n = data;
	struct named *named = find_named(n, entry->inode);
	int ret;

	if (!named)
		return 0;
	pthread_rwlock_wrlock(&n->f->lock);
	ret = meet_locked(n, named, entry);
	if (!ret && !n->left)
		ret = ALL_MET;
	pthread_rwlock_unlock(&n->f->lock);
	return ret;
}

static int walk(struct naming *n)
{
	struct pmr_finding *f = n->f;
	const struct pmr_walker walker = {
		.wants = wants,
		.meet = meet,
		.data = n,
		.threads = pmr_ctx_threads(f->scanner->ctx),
	};
	struct statvfs statistics;
	uint64_t total = 0;
	bool complete = true;
	int ret;

	if (!fstatvfs(f->root->fd, &statistics))
		total = statistics.f_files - statistics.f_ffree;
	ret = pmr_walk(f->scanner->ctx, f->root->fd, f->root->path, f->is_whole ? total : 0,
		       &walker, &complete);
	if (!complete)
		f->scanner->scan->complete = false;
	return ret == ALL_MET ? 0 : ret;
}

/* ---- inodes without a name */

/* Who has it open can be asked for it. */
static int name_deleted(struct pmr_finding *f, struct named *named, const struct stat *st)
{
	char *path = NULL, *holder = NULL, object[48];
	int ret;

	if (st->st_nlink || named->path)
		return 0;
	ret = pmr_open_file_find(st->st_dev, st->st_ino, &path, &holder);
	snprintf(object, sizeof(object), "inode %" PRIu64, named->inode);
	if (ret == 1)
		pmr_open_file_say(f->scanner->ctx, path ? path : object, path, holder);
	free(holder);
	named->path = path;
	return ret < 0 ? ret : 0;
}

/* Deleted and still open, hidden below a mount, or in a directory that cannot be read. */
static int look_by_number(struct naming *n, struct named *named)
{
	struct pmr_finding *f = n->f;
	struct stat st;
	int fd, ret = 0;

	fd = pmr_handle_open(f->view->filesystem, f->root->fd, named->inode, named->generation);
	if (fd < 0)
		return fd == -ENOMEM ? fd : 0;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode)) {
		ret = name_deleted(f, named, &st);
		if (!ret)
			ret = pmr_look_at_nameless(f->scanner, f->view, fd, named->path, &st);
		named->is_looked_at = !ret;
	}
	close(fd);
	return ret;
}

static int look_by_numbers(struct naming *n)
{
	int ret = 0;

	for (size_t i = 0; i < n->n && !ret; i++)
		if (!n->v[i].is_looked_at && !n->v[i].is_unreadable)
			ret = look_by_number(n, &n->v[i]);
	return ret;
}

/* ---- what came of it */

/* A file that could not be looked at is said, and asking again would not help. */
static bool has_failed(const struct pmr_finding *f, uint64_t inode)
{
	const struct pmr_file *file = pmr_scanner_file(f->scanner, f->view->filesystem, inode);

	return file && !file->complete;
}

static int add_moved(struct naming *n, const struct pmr_owner_claim *claim,
		     struct pmr_ranges *moved)
{
	const struct named *named = find_named(n, claim->inode);
	struct pmr_ranges one = { 0 };
	int ret;

	/* Below another directory, its names are nobody's business here. */
	if (!named || (!n->f->is_whole && !named->is_looked_at) || has_failed(n->f, claim->inode))
		return 0;
	ret = pmr_ranges_add(&one, claim->range.offset, claim->range.length);
	if (!ret)
		ret = pmr_ranges_subtract(moved, &one, &n->f->view->met);
	pmr_ranges_release(&one);
	return ret;
}

static int find_moved(struct naming *n, const struct pmr_claims *claims, struct pmr_ranges *moved)
{
	int ret = 0;

	pmr_ranges_normalize(&n->f->view->met);
	for (size_t i = 0; i < claims->n && !ret; i++)
		if (claims->v[i].inode && (claims->v[i].owner == PMR_OWNER_FILE ||
					   claims->v[i].owner == PMR_OWNER_UNWRITTEN))
			ret = add_moved(n, &claims->v[i], moved);
	pmr_ranges_normalize(moved);
	return ret;
}

/* Their names are wanted where their metadata is told of. */
static int keep_names(struct naming *n)
{
	struct pmr_view *view = n->f->view;
	int ret = 0;

	for (size_t i = 0; i < n->n && !ret; i++) {
		if (n->v[i].path && n->v[i].has_metadata)
			ret = pmr_view_add_name(view, n->v[i].inode, n->v[i].path);
	}
	return ret;
}

/* Files below another directory are not looked at. */
static int examine_ahead(const struct pmr_finding *f, const struct pmr_claims *claims)
{
	uint64_t start = f->view->filesystem->start;
	struct pmr_ranges ranges = { 0 };
	int ret = 0;

	if (!f->is_whole || f->scanner->is_locating)
		return 0;
	for (size_t i = 0; i < claims->n && !ret; i++)
		if (claims->v[i].owner == PMR_OWNER_FILE)
			ret = pmr_ranges_add(&ranges, start + claims->v[i].range.offset,
					     claims->v[i].range.length);
	pmr_ranges_normalize(&ranges);
	if (!ret)
		ret = pmr_examine_ahead(f->scanner, f->view->exam, &ranges);
	pmr_ranges_release(&ranges);
	return ret;
}

int pmr_find_named(struct pmr_finding *finding, const struct pmr_claims *claims,
		   struct pmr_ranges *moved)
{
	struct naming n = { .f = finding };
	int ret;

	ret = collect(&n, claims);
	if (!ret)
		ret = examine_ahead(finding, claims);
	if (!ret && n.n)
		ret = walk(&n);
	if (!ret && n.n && finding->is_whole)
		ret = look_by_numbers(&n);
	if (!ret)
		ret = find_moved(&n, claims, moved);
	if (!ret)
		ret = keep_names(&n);
	for (size_t i = 0; i < n.n; i++)
		free(n.v[i].path);
	free(n.v);
	return ret;
}
