/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every file asked for its extents, by several threads. One that may be hit is looked at alone, as any file of a scan. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "find.h"
#include "owner/xfs.h"

/* What the walk returns when there is nothing more to be learnt from it. */
#define ALL_FOUND 1
/* On the stack of a thread; nearly every file has fewer. */
#define BATCH 64u
#define TELL_EVERY 64u

struct search {
	struct pmr_finding *f;
	struct pmr_ranges left; /* of what is looked for, what no file was found to have */
	size_t n_counted; /* of what was met */
	uint64_t gained; /* bytes met since the last subtraction */
	uint64_t wanted; /* bytes of what is left */
	bool may_share; /* blocks may have several owners */
	uint64_t total; /* about so many files; 0 where that is not known */
	uint64_t names; /* that files found have, and were not met */
	struct pmr_claims directories;
	struct pmr_claims unreadable; /* inodes that are not to be touched, by number */
	atomic_uint_fast64_t seen;
};

/* ---- files that are not hit: by several threads at a time */

/* Whatever is not certain is looked at again, alone. */
static bool may_be_hit(const struct pmr_finding *f, int fd, uint64_t size)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + BATCH * sizeof(struct fiemap_extent)];
	} answer = { .room = { 0 } }; /* zeros: valgrind does not know all that the kernel fills */
	const struct pmr_sieve *sieve = &f->view->sieve;
	uint64_t position = 0;

	for (;;) {
		answer.map = (struct fiemap){ .fm_start = position,
					      .fm_length = UINT64_MAX - position,
					      .fm_flags = position ? 0 : FIEMAP_FLAG_SYNC,
					      .fm_extent_count = BATCH };
		if (ioctl(fd, FS_IOC_FIEMAP, &answer.map))
			return true;
		if (!answer.map.fm_mapped_extents)
			return false;
		if (answer.map.fm_mapped_extents > BATCH)
			return true;
		for (uint32_t i = 0; i < answer.map.fm_mapped_extents; i++) {
			const struct fiemap_extent *fe = &answer.map.fm_extents[i];
			const struct pmr_extent extent = { fe->fe_logical, fe->fe_physical,
							   fe->fe_length, fe->fe_flags };

			if (!fe->fe_length || fe->fe_logical + fe->fe_length <= position ||
			    !pmr_extent_is_trusted(&extent) ||
			    pmr_sieve_hits(sieve, fe->fe_physical, fe->fe_length))
				return true;
			position = fe->fe_logical + fe->fe_length;
			/* short of the end it may hide an error, see extent.c */
			if (fe->fe_flags & FIEMAP_EXTENT_LAST && position >= size)
				return false;
		}
	}
}

/* Its directory just told that it is a regular file: of the calls that each file costs, no more than these. */
static int open_told(const struct search *s, const struct pmr_walk_entry *entry, uint64_t *size)
{
	struct stat st;
	int fd;

	fd = openat(entry->dirfd, entry->name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_dev == s->f->view->filesystem->devno) {
		*size = (uint64_t)st.st_size;
		return fd;
	}
	close(fd);
	return -1;
}

/* Whether some files of it lie on another device. */
static bool has_parts(const struct pmr_filesystem *filesystem)
{
	return filesystem->realtime || filesystem->role == PMR_ROLE_REALTIME;
}

/* Whether they are looked at with that one; if not, each of them has to be told of. */
static bool is_part_known(const struct pmr_filesystem *filesystem)
{
	return filesystem->rtdev || filesystem->role == PMR_ROLE_REALTIME;
}

static bool needs_look(struct search *s, const struct pmr_walk_entry *entry)
{
	uint64_t seen, size;
	bool is_hit;
	int fd;

	fd = open_told(s, entry, &size);
	if (fd < 0)
		return true;
	if (has_parts(s->f->view->filesystem) && !pmr_file_is_on(fd, s->f->view->filesystem)) {
		close(fd);
		return !is_part_known(s->f->view->filesystem);
	}
	pthread_rwlock_rdlock(&s->f->lock);
	is_hit = may_be_hit(s->f, fd, size);
	pthread_rwlock_unlock(&s->f->lock);
	close(fd);
	if (is_hit)
		return true;
	seen = atomic_fetch_add(&s->seen, 1) + 1;
	if (seen % TELL_EVERY == 0)
		pmr_tell_progress(s->f->scanner->ctx, "scan", entry->path, seen, s->total);
	return false;
}

/* ---- files that may be: one at a time */

/* For each of many files that would cost their square: not before as much was met as is left. */
static int subtract_met(struct search *s)
{
	struct pmr_ranges *met = &s->f->view->met;
	struct pmr_ranges left = { 0 };
	int ret;

	for (; s->n_counted < met->n; s->n_counted++)
		s->gained += met->v[s->n_counted].length;
	if (s->gained < s->wanted)
		return 0;
	pmr_ranges_normalize(met);
	s->n_counted = met->n;
	s->gained = 0;
	ret = pmr_ranges_subtract(&left, &s->left, met);
	if (ret) {
		pmr_ranges_release(&left);
		return ret;
	}
	pmr_ranges_release(&s->left);
	s->left = left;
	s->wanted = pmr_ranges_bytes(&left);
	return 0;
}

static int look_at_file(struct search *s, const struct pmr_walk_entry *entry, const struct stat *st)
{
	struct pmr_finding *f = s->f;
	struct pmr_file *before = pmr_scanner_file(f->scanner, f->view->filesystem, st->st_ino);
	size_t links = before ? before->n_links : 0;
	const struct pmr_file *file;
	int ret;

	ret = pmr_look_at(f->scanner, f->view, entry->dirfd, entry->name, entry->path, st);
	if (ret)
		return ret;
	file = pmr_scanner_file(f->scanner, f->view->filesystem, st->st_ino);
	if (!file)
		return 0;
	if (before)
		s->names -= file->n_links - links < s->names ? file->n_links - links : s->names;
	else
		s->names += st->st_nlink - 1;
	ret = subtract_met(s);
	if (ret)
		return ret;
	return !s->left.n && !s->names && !s->may_share ? ALL_FOUND : 0;
}

static int look(struct search *s, const struct pmr_walk_entry *entry)
{
	struct stat st;
	int ret;

	if (fstatat(entry->dirfd, entry->name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)) {
		ret = -errno;
		if (ret == -ENOENT)
			return 0;
		pthread_rwlock_wrlock(&s->f->lock);
		ret = pmr_look_failed(s->f->scanner, entry->path, ret);
		pthread_rwlock_unlock(&s->f->lock);
		return ret;
	}
	/* A file of another filesystem may be mounted on this name. */
	if (st.st_dev != s->f->view->filesystem->devno)
		return 0;
	pthread_rwlock_wrlock(&s->f->lock);
	if (S_ISREG(st.st_mode))
		ret = look_at_file(s, entry, &st);
	else
		ret = S_ISDIR(st.st_mode)
			      ? pmr_look_at_directory(s->f->scanner, s->f->view, entry->dirfd,
						      entry->name, entry->path, &s->directories)
			      : 0;
	pthread_rwlock_unlock(&s->f->lock);
	return ret;
}

static int compare_inodes(const void *a, const void *b)
{
	const struct pmr_owner_claim *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

static bool is_unreadable(const struct search *s, uint64_t inode)
{
	const struct pmr_owner_claim key = { .inode = inode };

	return s->unreadable.n && bsearch(&key, s->unreadable.v, s->unreadable.n,
					  sizeof(s->unreadable.v[0]), compare_inodes);
}

/* XFS does not tell where a directory lies. */
static bool wants_files(void *data, uint64_t inode, unsigned char type)
{
	(void)data;
	(void)inode;
	return type == DT_REG || type == DT_UNKNOWN;
}

static bool wants(void *data, uint64_t inode, unsigned char type)
{
	return (type == DT_REG || type == DT_DIR || type == DT_UNKNOWN) &&
	       !is_unreadable(data, inode);
}

static int meet(void *data, const struct pmr_walk_entry *entry)
{
	struct search *s = data;

	if (entry->type == DT_REG && !needs_look(s, entry))
		return 0;
	return look(s, entry);
}

static int collect_unreadable(struct search *s)
{
	const struct pmr_claims *claims = &s->f->view->claims;
	int ret = 0;

	for (size_t i = 0; i < claims->n && !ret; i++)
		if (claims->v[i].is_unreadable)
			ret = pmr_claims_add(&s->unreadable, &claims->v[i]);
	if (s->unreadable.n)
		qsort(s->unreadable.v, s->unreadable.n, sizeof(s->unreadable.v[0]), compare_inodes);
	return ret;
}

static int keep_directories(struct search *s)
{
	struct pmr_ranges ranges = { 0 };
	int ret;

	ret = pmr_claims_ranges(&s->directories, NULL, &ranges);
	if (!ret)
		ret = pmr_find_replace(s->f->view, &ranges, &s->directories);
	pmr_ranges_release(&ranges);
	return ret;
}

int pmr_find_in_files(struct pmr_finding *finding, const struct pmr_ranges *unknown)
{
	struct search s = { .f = finding };
	struct pmr_xfs_geometry geometry;
	struct statvfs statistics;
	bool is_xfs = pmr_xfs_geometry(finding->root->fd, &geometry);
	const struct pmr_walker walker = {
		.wants = is_xfs ? wants_files : wants,
		.meet = meet,
		.data = &s,
		.threads = pmr_ctx_threads(finding->scanner->ctx),
	};
	bool complete = true;
	int ret, err;

	s.may_share = is_xfs && geometry.flags & PMR_XFS_REFLINK;
	if (finding->is_whole && !fstatvfs(finding->root->fd, &statistics))
		s.total = statistics.f_files - statistics.f_ffree;
	s.n_counted = finding->view->met.n;
	s.wanted = pmr_ranges_bytes(unknown);
	ret = pmr_ranges_copy(&s.left, unknown);
	if (!ret)
		ret = collect_unreadable(&s);
	if (!ret)
		ret = pmr_walk(finding->scanner->ctx, finding->root->fd, finding->root->path, 0,
			       &walker, &complete);
	if (!complete || (finding->is_whole && finding->root->part))
		finding->scanner->scan->complete = false;
	finding->scanner->scan->files_seen += atomic_load(&s.seen);
	err = keep_directories(&s);
	pmr_ranges_release(&s.left);
	free(s.directories.v);
	free(s.unreadable.v);
	return ret == ALL_FOUND || !ret ? err : ret;
}
