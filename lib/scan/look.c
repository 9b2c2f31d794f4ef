/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One file of a scan: its losses, or why they cannot be known. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "scan.h"
#include "uapi.h"

/* A file that grows, or a list that changes, is looked at again so often before it is given up. */
#define LOOKS 5

/* Orders the scan's files by inode. */
static int compare_inodes(const void *a, const void *b)
{
	const struct pmr_file *x = a, *y = b;

	if (x->filesystem != y->filesystem)
		return (uintptr_t)x->filesystem < (uintptr_t)y->filesystem ? -1 : 1;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

struct pmr_file *pmr_scanner_file(struct pmr_scanner *scanner, struct pmr_filesystem *filesystem,
				  uint64_t inode)
{
	struct pmr_file key = { .filesystem = filesystem, .inode = inode };
	void *node = tfind(&key, &scanner->inodes, compare_inodes);

	return node ? *(struct pmr_file **)node : NULL;
}

/* A second name of an inode that is in the answer; the same name again is no news. */
static int add_link(struct pmr_file *file, const char *path, nlink_t links)
{
	char **grown, *copy;
	size_t i;

	if (links < 2 || !strcmp(file->path, path))
		return 0;
	for (i = 0; i < file->n_links; i++) {
		if (!strcmp(file->links[i], path))
			return 0;
	}
	copy = strdup(path);
	grown = copy ? realloc(file->links, (file->n_links + 1) * sizeof(*grown)) : NULL;
	if (!grown) {
		free(copy);
		return -ENOMEM;
	}
	file->links = grown;
	file->links[file->n_links++] = copy;
	return 0;
}

uint32_t pmr_file_generation(int fd)
{
	/* The ioctl's number says long, the kernel writes an int. */
	uint32_t answer[2] = { 0 };

	return fd >= 0 && !ioctl(fd, FS_IOC_GETVERSION, answer) ? answer[0] : 0;
}

bool pmr_file_is_dax(int fd, const struct pmr_filesystem *filesystem)
{
	struct statx stx;

	if (fd >= 0 && !statx(fd, "", AT_EMPTY_PATH, 0, &stx) &&
	    stx.stx_attributes_mask & STATX_ATTR_DAX)
		return stx.stx_attributes & STATX_ATTR_DAX;
	return filesystem->dax == PMR_DAX_YES;
}

static int add_file(struct pmr_scanner *scanner, struct pmr_view *view, int fd, const char *path,
		    const struct stat *st, struct pmr_file **added)
{
	struct pmr_scan *scan = scanner->scan;
	struct pmr_file *file;
	int ret;

	ret = pmr_grow(&scan->files, scan->n_files, &scanner->alloc_files, sizeof(scan->files[0]));
	if (ret)
		return ret;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->path = strdup(path);
	file->inode = st->st_ino;
	file->size = (uint64_t)st->st_size;
	file->change_time = st->st_ctim;
	file->generation = pmr_file_generation(fd);
	file->dax = pmr_file_is_dax(fd, view->filesystem);
	file->filesystem = view->filesystem;
	file->complete = true;
	if (!file->path || !tsearch(file, &scanner->inodes, compare_inodes)) {
		free(file->path);
		free(file);
		return -ENOMEM;
	}
	scan->files[scan->n_files++] = file;
	*added = file;
	return 0;
}

static int add_failed(struct pmr_scanner *scanner, struct pmr_view *view, int fd, const char *path,
		      const struct stat *st, int error)
{
	struct pmr_file *file;
	int ret;

	scanner->scan->complete = false;
	ret = add_file(scanner, view, fd, path, st, &file);
	if (ret)
		return ret;
	file->complete = false;
	file->error = error;
	return 0;
}

static const struct pmr_failure open_failures[] = {
	{ -EACCES, "permission", "may not be opened: root, or CAP_DAC_READ_SEARCH, is needed" },
	{ -EPERM, "permission", "may not be opened: root, or CAP_DAC_READ_SEARCH, is needed" },
	{ -EAGAIN, "in-use",
	  "is leased by another program and was not looked at: stop that program, or scan again later" },
	{ -EIO, "shut-down",
	  "cannot be opened (Input/output error): the filesystem has probably shut down, see the kernel log; unmount, "
	  "repair and mount it, then scan again" },
};

static int fail_open(struct pmr_scanner *scanner, struct pmr_view *view, const char *path,
		     const struct stat *st, int error)
{
	/* Deleted, or replaced by something that is no file, since the directory was read: nothing of ours. */
	if (error == -ENOENT || error == -ELOOP || error == -EINVAL || error == -ESTALE)
		return 0;
	if (error == -ENOMEM)
		return error;
	pmr_failure_say(scanner->ctx, path, open_failures,
			sizeof(open_failures) / sizeof(open_failures[0]), "cannot-open",
			"cannot be opened", error);
	return add_failed(scanner, view, -1, path, st, error);
}

static int fail_list(struct pmr_scanner *scanner, struct pmr_view *view, int fd, const char *path,
		     const struct stat *st, int error)
{
	if (error == -ENOMEM || error == -ECANCELED)
		return error;
	pmr_listing_say(scanner->ctx, path, error);
	return add_failed(scanner, view, fd, path, st, error);
}

static int add_met(struct pmr_view *view, const struct pmr_losses *wide)
{
	int ret = 0;

	for (size_t i = 0; i < wide->n && !ret; i++)
		ret = pmr_ranges_add(&view->met, wide->v[i].device_offset - view->filesystem->start,
				     wide->v[i].length);
	return ret;
}

/*
 * The losses as the widened list gives them. FIEMAP syncs, and where the page cache is not bypassed writing back can
 * itself clear poison: then the list of before is no longer true.
 * @is_settled: neither the file's size nor the list changed meanwhile.
 */
static int take_wide(struct pmr_scanner *scanner, struct pmr_view *view, int fd, bool dax,
		     struct stat *st, struct pmr_losses *wide, uint32_t *untrusted,
		     bool *is_settled)
{
	bool changed = false;
	struct stat now;
	int ret;

	wide->n = 0;
	ret = pmr_file_list(scanner->ctx, fd, view->filesystem, &view->sieve, (uint64_t)st->st_size,
			    wide, untrusted);
	if (ret || !wide->n)
		return ret;
	ret = add_met(view, wide);
	if (!ret && !dax && !scanner->is_locating)
		ret = pmr_scanner_refresh(scanner, view->exam, &changed);
	if (!ret && fstat(fd, &now))
		ret = -errno;
	if (ret)
		return ret;
	*is_settled = !changed && now.st_size == st->st_size;
	*st = now;
	return 0;
}

static int keep(struct pmr_scanner *scanner, struct pmr_view *view, int fd, const char *path,
		const struct stat *st, struct pmr_losses *losses, bool complete)
{
	struct pmr_file *file;
	int ret;

	ret = add_file(scanner, view, fd, path, st, &file);
	if (ret)
		return ret;
	file->complete = complete;
	if (!complete)
		scanner->scan->complete = false;
	file->losses = losses->v;
	file->n_losses = losses->n;
	*losses = (struct pmr_losses){ 0 };
	return 0;
}

/* Nothing of the file is lost past its end, yet poison there takes the whole last page from whoever reads the file. */
static bool is_tail_unreadable(const struct pmr_losses *losses, uint64_t size)
{
	for (size_t i = 0; i < losses->n; i++)
		if (losses->v[i].state == PMR_PAST_EOF && !losses->v[i].unwritten &&
		    losses->v[i].offset / PMR_PAGE == (size - 1) / PMR_PAGE)
			return size > 0;
	return false;
}

bool pmr_file_is_sealed(int fd)
{
	struct statx stx;

	return !statx(fd, "", AT_EMPTY_PATH, 0, &stx) &&
	       stx.stx_attributes_mask & stx.stx_attributes & STATX_ATTR_VERITY;
}

/* ext4 keeps it so far behind the end; what lies ahead of it is the rest of the last page, and zeros. */
uint64_t pmr_seal_offset(uint64_t size)
{
	return size + (65536 - size % 65536) % 65536;
}

/* Leaves of a loss what is not the seal's. Return: bytes that are, its last ones */
static uint64_t cut_seal(struct pmr_loss *loss, uint64_t from)
{
	uint64_t end = loss->offset + loss->length, length;

	if (loss->state != PMR_PAST_EOF || loss->unwritten || end <= from)
		return 0;
	length = loss->offset < from ? end - from : loss->length;
	loss->length -= length;
	return length;
}

/* What fs-verity checks a file by lies behind its end, and makes data unreadable when it is. @wide: loses that */
static int take_seal(struct pmr_view *view, int fd, const char *path, const struct stat *st,
		     struct pmr_losses *wide)
{
	size_t kept = 0, before = view->own.n;
	bool sealed = wide->n && pmr_file_is_sealed(fd);
	int ret = 0;

	for (size_t i = 0; sealed && i < wide->n && !ret; i++) {
		struct pmr_loss loss = wide->v[i];
		struct pmr_owner_claim claim = {
			.owner = PMR_OWNER_METADATA,
			.part = PMR_PART_VERITY,
			.inode = st->st_ino,
		};

		claim.range.length = cut_seal(&loss, pmr_seal_offset((uint64_t)st->st_size));
		claim.range.offset = loss.device_offset + loss.length - view->filesystem->start;
		if (claim.range.length)
			ret = pmr_claims_add(&view->own, &claim);
		if (loss.length)
			wide->v[kept++] = loss;
	}
	if (!ret && view->own.n > before)
		ret = pmr_view_add_name(view, st->st_ino, path);
	if (sealed)
		wide->n = kept;
	return ret;
}

/* What is really lost of what the widened list gave. Where a place was asked about, its list is exact already. */
static int make_exact(struct pmr_scanner *scanner, struct pmr_view *view, int fd, bool dax,
		      const struct stat *st, struct pmr_losses *wide, struct pmr_losses *exact)
{
	int ret;

	if (scanner->is_locating) {
		*exact = *wide;
		*wide = (struct pmr_losses){ 0 };
		return 0;
	}
	ret = pmr_examine(scanner, view->exam, wide, exact);
	if (!ret && !dax)
		ret = pmr_examine_cache(fd, (uint64_t)st->st_size, exact);
	return ret;
}

static int look_at_open(struct pmr_scanner *scanner, struct pmr_view *view, int fd,
			const char *path, struct stat *st)
{
	struct pmr_losses wide = { 0 }, exact = { 0 };
	bool dax = pmr_file_is_dax(fd, view->filesystem), settled = true;
	uint32_t untrusted = 0;
	int i, ret = 0;

	for (i = 0; i < LOOKS; i++) {
		settled = true;
		ret = take_wide(scanner, view, fd, dax, st, &wide, &untrusted, &settled);
		if (ret || settled)
			break;
	}
	if (ret) {
		ret = fail_list(scanner, view, fd, path, st, ret);
		goto out;
	}
	scanner->scan->files_seen++;
	ret = take_seal(view, fd, path, st, &wide);
	if (!ret)
		ret = make_exact(scanner, view, fd, dax, st, &wide, &exact);
	if (ret)
		goto out;
	if (untrusted)
		pmr_say(scanner->ctx, PMR_ERROR, "untrusted-extent", path,
			"has data whose place on the device is not known (%s), so not all of it could be checked",
			pmr_untrusted_name(untrusted));
	if (!scanner->is_locating && is_tail_unreadable(&exact, (uint64_t)st->st_size))
		pmr_say(scanner->ctx, PMR_WARNING, "tail-unreadable", path,
			"has poison behind its end, where no byte is its own, but its last page cannot be read until "
			"repair has rewritten it");
	if (!settled && exact.n)
		pmr_say(scanner->ctx, PMR_WARNING, "file-changes", path,
			"grew, shrank or was written back each time it was looked at: scan again when it rests");
	if (exact.n || untrusted)
		ret = keep(scanner, view, fd, path, st, &exact, settled && !untrusted);
out:
	free(wide.v);
	free(exact.v);
	return ret;
}

/*
 * What lies on the other device of its XFS has nothing here, and a view of its own. To change that, a file has to be empty, so
 * what comes to lie elsewhere in the middle of a scan was written just now.
 */
static int look_elsewhere(struct pmr_scanner *scanner, struct pmr_view *view, int fd,
			  const char *path, const struct stat *st)
{
	const struct pmr_filesystem *fs = view->filesystem;
	bool is_known = fs->role == PMR_ROLE_REALTIME || fs->rtdev;

	if (scanner->is_locating || (is_known && !scanner->is_named))
		return 0;
	pmr_say(scanner->ctx, PMR_ERROR, "realtime-file", path,
		is_known ? "has come to lie on another device of its XFS just now: scan again"
			 : "lies on the realtime device of its XFS, which cannot be looked up");
	return add_failed(scanner, view, fd, path, st, -EOPNOTSUPP);
}

static int look_at_descriptor(struct pmr_scanner *scanner, struct pmr_view *view, int fd,
			      const char *path, struct stat *st)
{
	if (pmr_file_is_on(fd, view->filesystem))
		return look_at_open(scanner, view, fd, path, st);
	return look_elsewhere(scanner, view, fd, path, st);
}

int pmr_look_at(struct pmr_scanner *scanner, struct pmr_view *view, int dirfd, const char *name,
		const char *path, const struct stat *st)
{
	struct pmr_file *known = pmr_scanner_file(scanner, view->filesystem, st->st_ino);
	struct stat now;
	int fd, ret;

	if (known)
		return add_link(known, path, st->st_nlink);
	if (pmr_scanner_interrupted(scanner))
		return -ECANCELED;
	pmr_tell_progress(scanner->ctx, "scan", path, scanner->scan->files_seen, 0);
	fd = pmr_file_open(dirfd, name, O_RDONLY);
	if (fd < 0)
		return fail_open(scanner, view, path, st, fd);
	if (fstat(fd, &now))
		ret = fail_list(scanner, view, fd, path, st, -errno);
	else if (now.st_dev != st->st_dev)
		/* Replaced by a file of another filesystem since its directory was read. */
		ret = 0;
	else
		ret = look_at_descriptor(scanner, view, fd, path, &now);
	close(fd);
	return ret;
}

int pmr_look_failed(struct pmr_scanner *scanner, const char *path, int error)
{
	scanner->scan->complete = false;
	pmr_say(scanner->ctx, PMR_ERROR, "cannot-stat", path, "%s: it was not looked at",
		strerror(-error));
	return 0;
}

/* Nothing is kept of it but that it was met. */
static int look_at_unnamed(struct pmr_scanner *scanner, struct pmr_view *view, int fd,
			   const struct stat *st)
{
	struct pmr_losses wide = { 0 };
	uint32_t untrusted;
	int ret;

	ret = pmr_file_list(scanner->ctx, fd, view->filesystem, &view->sieve, (uint64_t)st->st_size,
			    &wide, &untrusted);
	if (!ret)
		ret = add_met(view, &wide);
	free(wide.v);
	return ret == -ENOMEM || ret == -ECANCELED ? ret : 0;
}

int pmr_look_at_nameless(struct pmr_scanner *scanner, struct pmr_view *view, int fd,
			 const char *path, const struct stat *st)
{
	struct stat now = *st;

	if (pmr_scanner_file(scanner, view->filesystem, st->st_ino))
		return 0;
	if (path)
		return look_at_descriptor(scanner, view, fd, path, &now);
	if (!pmr_file_is_on(fd, view->filesystem))
		return 0;
	return look_at_unnamed(scanner, view, fd, st);
}

int pmr_look_at_directory(struct pmr_scanner *scanner, struct pmr_view *view, int dirfd,
			  const char *name, const char *path, struct pmr_claims *claims)
{
	struct pmr_losses wide = { 0 };
	uint32_t untrusted;
	struct stat st;
	int fd, ret;

	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* That it cannot be read is said where its names are. */
	if (fd < 0)
		return 0;
	ret = fstat(fd, &st) ? -errno : 0;
	if (!ret)
		ret = pmr_file_list(scanner->ctx, fd, view->filesystem, &view->sieve, UINT64_MAX,
				    &wide, &untrusted);
	close(fd);
	if (ret)
		ret = ret == -ENOMEM || ret == -ECANCELED ? ret : 0;
	for (size_t i = 0; i < wide.n && !ret; i++) {
		struct pmr_owner_claim claim = {
			.range = { wide.v[i].device_offset - view->filesystem->start,
				   wide.v[i].length },
			.owner = PMR_OWNER_METADATA,
			.part = PMR_PART_DIRECTORY,
			.inode = st.st_ino,
		};

		ret = pmr_claims_add(claims, &claim);
	}
	if (!ret && wide.n)
		ret = pmr_view_add_name(view, st.st_ino, path);
	free(wide.v);
	return ret;
}
