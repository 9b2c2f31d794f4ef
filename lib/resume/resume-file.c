/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file of an interrupted repair: is it still that file, and what is left to be done to it? */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "resume.h"
#include "journal/journal.h"
#include "scan/scan.h"

/* what was found out of one file, while it is looked at */
struct subject {
	struct pmr_resume *resume;
	struct pmr_topology *topology;
	const struct pmr_journal_file *was;
	struct pmr_resume_file *of;
	struct pmr_file_plan *plan;
	struct pmr_filesystem *filesystem;
	int fd;
	struct stat st;
	const char *reasons[PMR_VERDICT_FAILED + 1]; /* the first of each verdict */
	uint64_t first[PMR_VERDICT_FAILED + 1]; /* and its offset */
};

/* ---- which file it is */

static bool is_filesystem(const struct pmr_journal_file *was, const struct pmr_filesystem *fs)
{
	if (was->filesystem_uuid && fs->uuid)
		return !strcmp(was->filesystem_uuid, fs->uuid);
	return !was->filesystem_uuid && was->device && fs->device->name &&
	       !strcmp(was->device, pmr_device_lasting_name(fs->device));
}

/* by what the journal says of it; a mounted one before others, of which there may be copies */
static struct pmr_filesystem *find_by_name(const struct subject *s)
{
	struct pmr_filesystem *found = NULL, *fs;

	for (size_t i = 0; i < s->topology->n_filesystems; i++) {
		fs = s->topology->filesystems[i];
		if (is_filesystem(s->was, fs) && (!found || (fs->mountpoint && !found->mountpoint)))
			found = fs;
	}
	return found;
}

static struct pmr_filesystem *find_by_number(const struct subject *s, dev_t devno)
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
static struct pmr_filesystem *find_by_directory(const struct subject *s)
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

static void say_missing(const struct subject *s)
{
	const struct pmr_journal_file *was = s->was;

	pmr_say(s->resume->ctx, PMR_ERROR, "not-mounted", was->path,
		"its filesystem %s (of %s) is not %s: nothing of it can be finished; the journal stays as it is, so %s "
		"and resume again",
		was->filesystem_uuid ? was->filesystem_uuid : "without a UUID",
		was->device ? was->device : "an unknown device",
		s->filesystem ? "mounted" : "there", s->filesystem ? "mount it" : "bring it back");
}

static void say_gone(const struct subject *s, const char *what)
{
	pmr_say(s->resume->ctx, PMR_ERROR, "gone", s->was->path,
		"%s: it was inode %" PRIu64 "; if it was renamed ('find %s -xdev -inum %" PRIu64
		"' tells), give it its name back and resume again; else have its bytes by 'pmem-recover journal "
		"--export=DIR %s' and then set the journal aside",
		what, s->was->inode, s->filesystem->mountpoint ? s->filesystem->mountpoint : "/",
		s->was->inode, s->resume->entry->path);
}

static uint64_t page_up(uint64_t offset)
{
	return offset + (PMR_PAGE - offset % PMR_PAGE) % PMR_PAGE;
}

/* Whether the file is longer by no more than the rest of its last page, and there are zeros, as our write leaves it. */
static bool has_grown(const struct subject *s)
{
	uint64_t size = s->was->size, now = (uint64_t)s->st.st_size;
	char tail[PMR_PAGE];
	size_t got;

	if (!s->of->begun || now != page_up(size) || now == size)
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

static void identify(struct subject *s)
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

static void open_file(struct subject *s)
{
	struct pmr_filesystem *named = find_by_name(s);
	int error;

	s->filesystem = named;
	s->fd = pmr_file_open(AT_FDCWD, s->was->path, O_RDONLY);
	error = s->fd < 0 ? s->fd : fstat(s->fd, &s->st) ? -errno : 0;
	if (!error) {
		s->filesystem = find_by_number(s, s->st.st_dev);
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

/* ---- its losses, cut where pieces end */

static bool is_in(const struct pmr_journal_piece *piece, uint64_t offset)
{
	return offset >= piece->offset && offset - piece->offset < piece->length;
}

/* What is left of a loss from @offset on: up to where a piece begins or ends. @piece: the one it is in, or n_pieces */
static uint64_t next_cut(const struct pmr_journal_file *was, uint64_t offset, uint64_t end,
			 size_t *piece)
{
	const struct pmr_journal_piece *p;
	size_t low = 0, high = was->n_pieces, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (was->pieces[mid].offset + was->pieces[mid].length <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	*piece = was->n_pieces;
	if (low == was->n_pieces)
		return end;
	p = &was->pieces[low];
	if (is_in(p, offset)) {
		*piece = low;
		return end < p->offset + p->length ? end : p->offset + p->length;
	}
	return end < p->offset ? end : p->offset;
}

/* the states that a loss of the journal may have had before it was skipped, repaired, ... */
static enum pmr_state first_state(const struct pmr_journal_file *was, const struct pmr_loss *loss)
{
	if (loss->state == PMR_UNWRITTEN)
		return PMR_UNWRITTEN;
	return loss->offset >= was->size ? PMR_PAST_EOF : PMR_LOST;
}

static const char *source_of(const struct subject *s, const struct pmr_loss *loss)
{
	if (loss->source)
		return loss->source;
	if (loss->state == PMR_CACHED)
		return "page-cache";
	/* of what was interrupted it was not noted yet, and it is the same for all of a repair */
	return s->resume->entry->zero_fill || loss->offset >= s->was->size ? "zero" : "backup";
}

static int add_loss(struct subject *s, struct pmr_losses *losses, const struct pmr_loss *was,
		    const struct pmr_range *part, size_t piece)
{
	const struct pmr_device *device = s->filesystem->device;
	struct pmr_loss *loss;
	int ret;

	ret = pmr_grow(&losses->v, losses->n, &losses->alloc, sizeof(losses->v[0]));
	if (ret)
		return ret;
	loss = &losses->v[losses->n++];
	*loss = *was;
	loss->offset = part->offset;
	loss->length = part->length;
	loss->device_offset += part->offset - was->offset;
	loss->state = first_state(s->was, loss);
	loss->reason = NULL;
	loss->method = NULL;
	if (piece < s->was->n_pieces) {
		loss->source = source_of(s, was);
		/* what is in no list any more has no poison in the way */
		loss->vanished =
			was->vanished || !pmr_ranges_overlap(&device->badblocks.ranges,
							     loss->device_offset, loss->length);
	} else if (pmr_plan_wants(&(struct pmr_file){ .size = s->was->size }, loss)) {
		loss->source = NULL;
		loss->state = PMR_SKIPPED;
		loss->reason = "not-journalled";
	}
	return 0;
}

static int take_losses(struct subject *s, struct pmr_losses *losses)
{
	const struct pmr_loss *loss;
	struct pmr_range part;
	uint64_t end;
	size_t piece;
	int ret = 0;

	for (size_t i = 0; !ret && i < s->was->n_losses; i++) {
		loss = &s->was->losses[i];
		end = loss->offset + loss->length;
		for (part.offset = loss->offset; !ret && part.offset < end;
		     part.offset += part.length) {
			part.length = next_cut(s->was, part.offset, end, &piece) - part.offset;
			ret = add_loss(s, losses, loss, &part, piece);
		}
	}
	return ret;
}

/* ---- its pieces */

/* the losses of a piece: [*from, *to) */
static void losses_of(const struct pmr_file *file, const struct pmr_journal_piece *piece,
		      size_t *from, size_t *to)
{
	for (*from = 0; *from < file->n_losses; ++*from)
		if (file->losses[*from].offset + file->losses[*from].length > piece->offset)
			break;
	for (*to = *from; *to < file->n_losses; ++*to)
		if (file->losses[*to].offset >= piece->offset + piece->length)
			break;
}

static void conclude(struct subject *s, const struct pmr_journal_piece *piece,
		     enum pmr_verdict verdict, const char *reason)
{
	static const enum pmr_state states[] = {
		[PMR_VERDICT_SETTLED] = PMR_REPAIRED,
		[PMR_VERDICT_SKIPPED] = PMR_SKIPPED,
		[PMR_VERDICT_CONFLICT] = PMR_CONFLICT,
		[PMR_VERDICT_FAILED] = PMR_FAILED,
	};
	struct pmr_file *file = s->plan->file;
	struct pmr_loss *loss;
	size_t from, to;

	if (!s->reasons[verdict]) {
		s->reasons[verdict] = reason;
		s->first[verdict] = piece->offset;
	}
	losses_of(file, piece, &from, &to);
	for (; from < to; from++) {
		loss = &file->losses[from];
		if (loss->state == PMR_UNWRITTEN)
			continue;
		loss->reason = reason;
		if (verdict == PMR_VERDICT_SETTLED && piece->mark != PMR_MARK_NONE)
			loss->method = pmr_method_name(piece->method);
		if (verdict == PMR_VERDICT_SETTLED && loss->state != PMR_PAST_EOF &&
		    !strcmp(loss->source, "zero"))
			loss->state = PMR_ZEROED;
		else
			loss->state = states[verdict];
	}
}

static int add_step(struct subject *s, const struct pmr_journal_piece *piece, size_t *alloc)
{
	struct pmr_file_plan *plan = s->plan;
	struct pmr_step *step;
	size_t from, to;
	int ret;

	losses_of(plan->file, piece, &from, &to);
	ret = pmr_grow(&plan->steps, plan->n_steps, alloc, sizeof(*plan->steps));
	if (ret)
		return ret;
	step = &plan->steps[plan->n_steps++];
	*step = (struct pmr_step){
		.offset = piece->offset,
		.length = piece->length,
		.device_offset = piece->device_offset,
		.first_loss = from,
		.n_losses = to - from,
		.journal_offset = piece->position,
		.method = piece->method,
		.redo = piece->mark == PMR_MARK_OPEN,
	};
	return 0;
}

/*
 * What an earlier resume found, that the piece may hold somebody's bytes: what it noted of the file since, and a boot that
 * is over, take nothing of that back. Else PMR_VERDICT_REDO.
 */
static enum pmr_verdict earlier_verdict(const struct pmr_journal_file *was,
					const struct pmr_journal_piece *piece)
{
	const struct pmr_loss *loss;

	for (size_t i = 0; i < was->n_losses; i++) {
		loss = &was->losses[i];
		if (loss->offset >= piece->offset + piece->length ||
		    loss->offset + loss->length <= piece->offset)
			continue;
		if (loss->state == PMR_CONFLICT)
			return PMR_VERDICT_CONFLICT;
		if (loss->state == PMR_SKIPPED && loss->reason)
			return PMR_VERDICT_SKIPPED;
	}
	return PMR_VERDICT_REDO;
}

static int judge_pieces(struct subject *s, struct pmr_media *media)
{
	struct pmr_ranges listed = { 0 };
	const struct pmr_resume_look look = {
		.resume = s->resume,
		.fd = s->fd,
		.media = media,
		.filesystem = s->filesystem,
		.of = s->of,
		.listed = &listed,
	};
	const struct pmr_journal_piece *piece;
	struct pmr_evidence evidence;
	enum pmr_verdict verdict;
	const char *reason;
	size_t alloc = 0;
	int ret;

	/* a list from a file is what was known before, and may have been written since */
	ret = pmr_reading_living(s->filesystem->device, &listed);
	for (size_t i = 0; !ret && i < s->was->n_pieces; i++) {
		piece = &s->was->pieces[i];
		ret = pmr_journal_read_bytes(s->resume->journal, piece->position, NULL,
					     s->resume->expected, piece->length);
		if (!ret)
			ret = pmr_resume_examine(&look, piece, s->resume->expected, &evidence);
		if (ret)
			break;
		verdict = pmr_judge(&evidence, &reason);
		if (verdict == PMR_VERDICT_REDO &&
		    earlier_verdict(s->was, piece) != PMR_VERDICT_REDO) {
			verdict = earlier_verdict(s->was, piece);
			reason = "changed";
		}
		s->of->verdicts[i] = verdict;
		if (verdict == PMR_VERDICT_REDO)
			ret = add_step(s, piece, &alloc);
		else
			conclude(s, piece, verdict, reason);
	}
	pmr_ranges_release(&listed);
	return ret;
}

/* of a file that is not there: what was not begun is nobody's, what was is in conflict */
static void judge_gone(struct subject *s)
{
	const struct pmr_journal_piece *piece;

	for (size_t i = 0; i < s->was->n_pieces; i++) {
		piece = &s->was->pieces[i];
		s->of->verdicts[i] = piece->mark == PMR_MARK_DONE   ? PMR_VERDICT_SETTLED
				     : piece->mark == PMR_MARK_OPEN ? PMR_VERDICT_CONFLICT
								    : PMR_VERDICT_SKIPPED;
		conclude(s, piece, s->of->verdicts[i],
			 piece->mark == PMR_MARK_DONE ? "changed-since" : "gone");
	}
}

static void leave_unknown(struct subject *s)
{
	struct pmr_file *file = s->plan->file;

	s->of->is_missing = true;
	file->complete = false;
	for (size_t i = 0; i < file->n_losses; i++)
		if (pmr_plan_wants(file, &file->losses[i])) {
			file->losses[i].state = PMR_UNKNOWN;
			file->losses[i].reason = "not-mounted";
		}
}

/* ---- how it is written */

static void choose_method(struct subject *s)
{
	struct pmr_file_plan *plan = s->plan;
	bool others = false, by_device = false, punched = false;

	for (size_t i = 0; i < plan->n_steps; i++) {
		by_device |= plan->steps[i].method == PMR_METHOD_DEVICE;
		punched |= plan->steps[i].method == PMR_METHOD_PUNCH;
		others |= plan->steps[i].method != PMR_METHOD_DEVICE;
	}
	plan->in_use = by_device && !others;
	plan->method = punched ? PMR_METHOD_PUNCH : PMR_METHOD_WRITE;
	/* another kernel may do it in another way */
	if (others && !punched)
		pmr_method_choose(s->resume->ctx, plan, PMR_METHOD_AUTO, &plan->refused);
	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].method != PMR_METHOD_DEVICE)
			plan->steps[i].method = plan->method;
	if (s->filesystem->read_only && plan->n_steps) {
		plan->refused = "read-only-filesystem";
		pmr_say(s->resume->ctx, PMR_ERROR, plan->refused, s->was->path,
			"lies on a filesystem mounted read-only: remount it read-write and resume again");
	}
	if (!plan->refused)
		return;
	pmr_plan_skip(plan->file, plan->refused);
	plan->n_steps = 0;
	plan->file->complete = false;
	s->of->is_missing = true;
}

/* ---- the whole */

/* what is not done is said once of a file */
static void say_verdicts(const struct subject *s)
{
	struct pmr_ctx *ctx = s->resume->ctx;
	const char *path = s->was->path;
	const struct pmr_file *file = s->plan->file;

	if (s->reasons[PMR_VERDICT_CONFLICT] && s->of->is_there)
		pmr_say(ctx, PMR_ERROR, "conflict", path,
			"is left at byte %" PRIu64
			": it was being written when the repair was interrupted, and was changed or moved since (%s); compare it "
			"with a backup; the bytes of the journal can be had with 'pmem-recover journal --export=DIR %s', and "
			"'pmem-recover journal --set-aside' puts it away",
			s->first[PMR_VERDICT_CONFLICT], s->reasons[PMR_VERDICT_CONFLICT],
			s->resume->entry->path);
	if (s->reasons[PMR_VERDICT_SKIPPED] && s->of->is_there)
		pmr_say(ctx, PMR_WARNING, "left", path,
			"is left at byte %" PRIu64
			" (%s): nothing of that was written, and it is not what it was when its repair was planned; scan it",
			s->first[PMR_VERDICT_SKIPPED], s->reasons[PMR_VERDICT_SKIPPED]);
	if (s->reasons[PMR_VERDICT_FAILED])
		pmr_say(ctx, PMR_ERROR, "not-repaired", path,
			"byte %" PRIu64
			" was repaired and is not any more (%s): scan it, and repair it again",
			s->first[PMR_VERDICT_FAILED], s->reasons[PMR_VERDICT_FAILED]);
	for (size_t i = 0; i < file->n_losses; i++)
		if (file->losses[i].reason && !strcmp(file->losses[i].reason, "not-journalled")) {
			pmr_say(ctx, PMR_WARNING, "not-journalled", path,
				"is left at byte %" PRIu64
				": the repair was interrupted before its bytes were in the journal; repair it again",
				file->losses[i].offset);
			break;
		}
}

static int make_file(struct subject *s)
{
	struct pmr_losses losses = { 0 };
	struct pmr_file *file;
	int ret;

	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	s->plan->file = file;
	/* it is the source; NULL stands for zeros */
	if (!s->resume->entry->zero_fill) {
		s->plan->backup = strdup(s->resume->entry->path);
		if (!s->plan->backup)
			return -ENOMEM;
	}
	file->path = strdup(s->was->path);
	file->inode = s->was->inode;
	file->size = s->of->is_there && !s->of->is_grown ? s->of->size : s->was->size;
	file->generation = s->was->generation;
	file->change_time = s->of->is_there ? s->st.st_ctim : s->was->change_time;
	file->dax = s->of->is_there ? pmr_file_is_dax(s->fd, s->filesystem) : s->was->dax;
	file->filesystem = s->filesystem;
	file->complete = true;
	ret = file->path ? take_losses(s, &losses) : -ENOMEM;
	file->losses = losses.v;
	file->n_losses = losses.n;
	return ret;
}

static int judge_file(struct subject *s)
{
	struct pmr_media *media = NULL;
	int ret;

	if (s->of->is_missing || !s->of->is_there) {
		if (s->of->is_missing)
			leave_unknown(s);
		else
			judge_gone(s);
		return 0;
	}
	ret = pmr_media_open(s->resume->ctx, s->filesystem->device, &media);
	if (!ret)
		ret = judge_pieces(s, media);
	pmr_media_close(media);
	if (ret == -ENOMEM)
		return ret;
	if (ret) {
		pmr_say(s->resume->ctx, PMR_ERROR, "cannot-open", s->was->path,
			"cannot be looked at for what is left to do: %s", strerror(-ret));
		s->plan->n_steps = 0;
		leave_unknown(s);
		return 0;
	}
	choose_method(s);
	return 0;
}

int pmr_resume_file(struct pmr_resume *resume, struct pmr_topology *topology, size_t index,
		    struct pmr_resume_file *of, struct pmr_file_plan *plan)
{
	struct subject s = {
		.resume = resume,
		.topology = topology,
		.was = &resume->entry->files[index],
		.of = of,
		.plan = plan,
		.fd = -1,
	};
	int ret = 0;

	of->was = s.was;
	of->index = index;
	of->verdicts = calloc(s.was->n_pieces + 1, sizeof(*of->verdicts));
	if (!of->verdicts)
		return -ENOMEM;
	for (size_t i = 0; i < s.was->n_pieces; i++)
		of->begun |= s.was->pieces[i].mark == PMR_MARK_OPEN;
	open_file(&s);
	if (s.filesystem)
		ret = make_file(&s);
	if (!ret && s.filesystem)
		ret = judge_file(&s);
	if (!ret && s.filesystem)
		say_verdicts(&s);
	if (s.fd >= 0)
		close(s.fd);
	return ret;
}
