/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a file of an interrupted repair is now, and whether it is still that file. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "resume.h"
#include "scan/scan.h"

/* ---- its filesystem */

static bool is_filesystem(const struct pmr_journal_file *was, const struct pmr_filesystem *fs)
{
	if (was->filesystem_uuid && fs->uuid)
		return !strcmp(was->filesystem_uuid, fs->uuid);
	return !was->filesystem_uuid && was->device && fs->device->name &&
	       !strcmp(was->device, pmr_device_lasting_name(fs->device));
}

/* by what the journal says of it; a mounted one before others, of which there may be copies */
static struct pmr_filesystem *find_by_name(const struct pmr_resume_subject *s)
{
	struct pmr_filesystem *found = NULL, *fs;

	for (size_t i = 0; i < s->topology->n_filesystems; i++) {
		fs = s->topology->filesystems[i];
		if (is_filesystem(s->was, fs) && (!found || (fs->mountpoint && !found->mountpoint)))
			found = fs;
	}
	return found;
}

static struct pmr_filesystem *find_by_number(const struct pmr_resume_subject *s, dev_t devno)
{
	struct pmr_filesystem *fs;

	for (size_t i = 0; i < s->topology->n_filesystems; i++) {
		fs = s->topology->filesystems[i];
		if (fs->devno == devno && is_filesystem(s->was, fs) &&
		    (s->fd < 0 || pmr_file_is_on(s->fd, fs)))
			return fs;
	}
	/* no PMEM, or not yet known */
	if (s->fd < 0 ? pmr_topology_resolve(s->resume->ctx, s->topology, devno, s->was->path, &fs)
		      : pmr_topology_resolve_file(s->resume->ctx, s->topology, s->fd, devno,
						  s->was->path, &fs))
		return NULL;
	return is_filesystem(s->was, fs) ? fs : NULL;
}

/* Where the file is not, its directory may tell. */
static struct pmr_filesystem *find_by_directory(const struct pmr_resume_subject *s)
{
	const char *slash = strrchr(s->was->path, '/');
	struct pmr_filesystem *found = NULL;
	struct stat st;
	char *parent;

	parent = slash ? strndup(s->was->path, (size_t)(slash - s->was->path) + 1) : NULL;
	/* without a block device there is nothing of ours */
	if (parent && !stat(parent, &st) && major(st.st_dev))
		found = find_by_number(s, st.st_dev);
	free(parent);
	return found;
}

/* An outcome does not say so: what a signal ends has one, too, and what is left of it may still be written. */
static bool is_all_done(const struct pmr_journal_file *was)
{
	for (size_t i = 0; i < was->n_pieces; i++)
		if (was->pieces[i].mark != PMR_MARK_DONE)
			return false;
	return true;
}

/* Whether what is to be written lies on what it lay on, below a volume; none of what is above tells. */
static bool is_below_same(const struct pmr_resume_subject *s)
{
	const struct pmr_journal_file *was = s->was;
	struct pmr_device *lower;
	uint64_t done, length, place;

	if (is_all_done(was))
		return true;
	for (size_t i = 0; i < was->n_below; i++) {
		const struct pmr_journal_below *below = &was->below[i];

		for (done = 0; done < below->length; done += length) {
			length = below->length - done;
			if (!pmr_device_below(s->filesystem->device, below->offset + done, &length,
					      &lower, &place) ||
			    place != below->device_offset + done ||
			    strcmp(below->device, pmr_device_identity(lower)) != 0)
				return false;
		}
	}
	return true;
}

/* ---- itself */

static void say_remapped(struct pmr_resume_subject *s)
{
	char *journal = pmr_quote(s->resume->entry->path);

	s->of->is_missing = true;
	s->unknown = "remapped";
	pmr_say(s->resume->ctx, PMR_ERROR, s->unknown, s->was->path,
		"lies elsewhere below its volume than when its repair was interrupted, or on a device without a namespace UUID that "
		"has another name since: nothing of it is written, and the journal stays as it is; give %s the table that it had, or "
		"the device its name, and resume again, or have its bytes by 'pmem-recover journal --export=DIR %s', compare the file "
		"with a backup, and set the journal aside",
		s->filesystem->device->path, journal ? journal : s->resume->entry->path);
	free(journal);
}

static void say_missing(const struct pmr_resume_subject *s)
{
	const struct pmr_journal_file *was = s->was;

	pmr_say(s->resume->ctx, PMR_ERROR, "not-mounted", was->path,
		"its filesystem %s (of %s) is not %s: nothing of it can be finished; the journal stays as it is, so %s "
		"and resume again",
		was->filesystem_uuid ? was->filesystem_uuid : "without a UUID",
		was->device ? was->device : "an unknown device",
		s->filesystem ? "mounted" : "there", s->filesystem ? "mount it" : "bring it back");
}

static void say_gone(const struct pmr_resume_subject *s, const char *what)
{
	const char *mountpoint = s->filesystem->mountpoint ? s->filesystem->mountpoint : "/";
	char *journal = pmr_quote(s->resume->entry->path), *top = pmr_quote(mountpoint);

	pmr_say(s->resume->ctx, PMR_ERROR, "gone", s->was->path,
		"%s: it was inode %" PRIu64 "; if it was renamed ('find %s -xdev -inum %" PRIu64
		"' tells), give it its name back and resume again; else have its bytes by 'pmem-recover journal "
		"--export=DIR %s' and then set the journal aside",
		what, s->was->inode, top ? top : mountpoint, s->was->inode,
		journal ? journal : s->resume->entry->path);
	free(journal);
	free(top);
}

/* Whether a write that may have begun ends there. That need not be where a page ends: blocks may be smaller. */
static bool is_end_of_write(const struct pmr_journal_file *was, uint64_t end)
{
	const struct pmr_journal_piece *piece;

	for (size_t i = was->n_pieces; i; i--) {
		piece = &was->pieces[i - 1];
		if (piece->offset + piece->length < end)
			return false;
		if (piece->mark == PMR_MARK_OPEN && piece->offset + piece->length == end)
			return true;
	}
	return false;
}

/* Whether the file is longer by no more than the rest of its last page, and there are zeros, as our write leaves it. */
static bool has_grown(const struct pmr_resume_subject *s)
{
	uint64_t size = s->was->size, now = (uint64_t)s->st.st_size;
	char tail[PMR_PAGE];
	size_t got;

	if (now <= size || now > pmr_page_up(size) || !is_end_of_write(s->was, now))
		return false;
	if (pmr_media_read_file(s->fd, size, tail, (size_t)(now - size), &got))
		/* a page that cannot be read has nobody's bytes */
		return true;
	for (size_t i = 0; i < got; i++)
		if (tail[i])
			return false;
	return true;
}

static bool is_here(const void *resume, const struct pmr_journal_piece *piece)
{
	return pmr_resume_is_here(resume, piece);
}

static void identify(struct pmr_resume_subject *s)
{
	const struct pmr_resume *resume = s->resume;
	struct pmr_resume_file *of = s->of;

	if (s->st.st_ino != s->was->inode || pmr_file_generation(s->fd) != s->was->generation) {
		say_gone(s, "has become another file");
		return;
	}
	of->is_there = true;
	of->size = (uint64_t)s->st.st_size;
	of->is_grown = has_grown(s);
	of->is_same = of->size == s->was->size || of->is_grown;
	of->change = pmr_judge_change(
		&(struct pmr_judge_times){
			.planned = s->was->planned_time,
			.noted = s->was->change_time,
			.noted_here = pmr_resume_is_boot(resume, s->was->boot),
			.booted = resume->booted,
			.now = s->st.st_ctim,
		},
		s->was->pieces, s->was->n_pieces, is_here, resume);
}

void pmr_resume_find_file(struct pmr_resume_subject *s)
{
	struct pmr_filesystem *named = find_by_name(s);
	int error;

	s->filesystem = named;
	s->fd = pmr_file_open(AT_FDCWD, s->was->path, O_RDONLY);
	error = s->fd < 0 ? s->fd : fstat(s->fd, &s->st) ? -errno : 0;
	if (!error) {
		s->filesystem = find_by_number(s, s->st.st_dev);
		if (s->filesystem && !is_below_same(s)) {
			say_remapped(s);
			return;
		}
		if (s->filesystem) {
			identify(s);
			return;
		}
		s->filesystem = named;
	}
	if (!s->filesystem)
		s->filesystem = find_by_directory(s);
	if (!s->filesystem || !s->filesystem->mountpoint) {
		s->of->is_missing = true;
		say_missing(s);
	} else if (!error || error == -ENOENT || error == -ENOTDIR || error == -ELOOP ||
		   error == -EINVAL) {
		say_gone(s, "is not there");
	} else {
		s->of->is_missing = true;
		pmr_say(s->resume->ctx, PMR_ERROR, "cannot-open", s->was->path,
			"cannot be opened: %s", strerror(-error));
	}
}
