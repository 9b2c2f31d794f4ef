/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks onto the medium, in place: written by the flag or plainly, and verified right after.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repair.h"

struct pmr_loss *pmr_chunk_loss(const struct pmr_chunk *chunk, size_t i, size_t at, size_t length)
{
	struct pmr_loss *loss = &chunk->plan->file->losses[chunk->step.first_loss + i];
	uint64_t from = chunk->step.offset + at;

	return loss->offset < from + length && loss->offset + loss->length > from ? loss : NULL;
}

static size_t page_end(const struct pmr_chunk *chunk, size_t at)
{
	size_t next = at + PMR_PAGE - (chunk->step.offset + at) % PMR_PAGE;

	return next < chunk->length ? next : chunk->length;
}

/* what was done to the page at @at */
static unsigned char *how_of(struct pmr_chunk *chunk, size_t at)
{
	uint64_t first = chunk->step.offset / PMR_PAGE;

	return &chunk->how[(chunk->step.offset + at) / PMR_PAGE - first];
}

/* ---- outcomes */

void pmr_write_leave(const struct pmr_chunk *chunk, size_t at, size_t length, const char *reason)
{
	struct pmr_loss *loss;

	/* a loss that was written in part is not whole, so it is left too */
	for (size_t i = 0; i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, at, length);
		if (!loss || loss->state == PMR_FAILED || loss->state == PMR_SKIPPED)
			continue;
		loss->state = PMR_SKIPPED;
		loss->reason = reason;
	}
}

void pmr_write_fail(const struct pmr_chunk *chunk, const char *reason)
{
	struct pmr_loss *loss;

	for (size_t i = 0; i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, 0, chunk->length);
		if (!loss || loss->state == PMR_FAILED || loss->state == PMR_SKIPPED)
			continue;
		loss->state = PMR_FAILED;
		loss->reason = reason;
	}
}

void pmr_write_spoiled(struct pmr_writer *writer, const struct pmr_chunk *chunk, size_t at,
		       size_t length, enum pmr_spoiled how)
{
	if (how == PMR_SPOILED_NOT)
		return;
	writer->needs_journal = true;
	if (how == PMR_SPOILED_UNREAD) {
		if (!writer->told_unread)
			pmr_say(writer->ctx, PMR_ERROR, "unread", chunk->plan->file->path,
				"could not be read back after the write at byte %llu, as its device fails, and not for poison: its bytes "
				"are in the journal %s, and 'pmem-recover repair --resume' looks at them again once the device answers",
				(unsigned long long)(chunk->step.offset + at),
				pmr_journal_path(writer->journal));
		writer->told_unread = true;
		return;
	}
	pmr_say(writer->ctx, PMR_ERROR, "spoiled", chunk->plan->file->path,
		"lost more by the write at byte %llu than it had: bytes that could be read are not what they were; its %zu bytes "
		"from byte %llu on are in the journal %s from byte %llu on: 'pmem-recover repair --resume' writes them once "
		"the device can be written, or copy them to other blocks from there",
		(unsigned long long)(chunk->step.offset + at), length,
		(unsigned long long)(chunk->step.offset + at), pmr_journal_path(writer->journal),
		(unsigned long long)(chunk->journal_offset + at));
}

/* Whether a write of its last page made the file longer, and not others, whom a lease that was lost kept out no more. */
static bool is_grown(const struct pmr_claim *claim, uint64_t size, bool is_lost)
{
	return size > claim->file->size && (is_lost ? size == claim->grown : size <= claim->grown);
}

/* A file that is as long as it was: what makes it longer from now on need not be a write of the repair. */
static int settle_size(struct pmr_claim *claim)
{
	claim->grown = 0;
	return 0;
}

/*
 * The last page of a file is written whole and the file then cut to its size again.
 *
 * Return: 1 if it was cut, 0 if there was nothing to cut, or a negative errno.
 */
static int cut_back(struct pmr_claim *claim)
{
	struct stat st;
	bool is_lost;
	int ret;

	/* what others have open is not written through the file, and theirs to lengthen */
	if (claim->in_use)
		return 0;
	if (fstat(claim->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size == claim->file->size)
		return settle_size(claim);
	is_lost = pmr_lease_is_lost(claim->fd);
	/* looking at the leases takes time enough to append something: nothing comes between this look and the cut */
	if (fstat(claim->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size == claim->file->size)
		return settle_size(claim);
	if (!is_grown(claim, (uint64_t)st.st_size, is_lost))
		return -ESTALE;
	/* DAX waits for who uses the blocks, and a signal ends that */
	do
		ret = ftruncate(claim->fd, (off_t)claim->file->size);
	while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	claim->grown = 0;
	return 1;
}

static int restore_size(struct pmr_claim *claim)
{
	int ret = cut_back(claim);

	/* before the journal says that all is done: a power cut must not bring the longer file back */
	if (ret > 0)
		ret = fsync(claim->fd) < 0 ? -errno : 0;
	return ret;
}

int pmr_write_settle(struct pmr_writer *writer, struct pmr_claim *claim)
{
	const struct pmr_file *file = claim->file;
	int ret, size_error;

	size_error = restore_size(claim);
	if (size_error == -ESTALE)
		pmr_say(writer->ctx, PMR_ERROR, "changed", file->path,
			"was made longer or shorter by another program while it was repaired: its size is left as it is");
	else if (size_error)
		pmr_say(writer->ctx, PMR_ERROR, "size", file->path,
			"has grown with its last page and cannot be cut back to %llu bytes: %s; its journal stays, for 'pmem-recover repair "
			"--resume' to do it",
			(unsigned long long)file->size, strerror(-size_error));
	ret = pmr_claim_settle(claim);
	if (ret) {
		pmr_say(writer->ctx, PMR_ERROR, "attributes", file->path,
			"its mode %04o or file capability could not be put back after the write: %s; see chmod(1), setcap(8)",
			(unsigned int)claim->mode, strerror(-ret));
		writer->scan->complete = false;
	}
	return size_error;
}

/* Whether a page lost nothing but what vanished from the list, and holds already what it should. */
static bool is_equal(const struct pmr_chunk *chunk, size_t at, size_t length)
{
	uint64_t size = chunk->plan->file->size, offset = chunk->step.offset + at;
	uint64_t place = chunk->step.device_offset + at;
	const struct pmr_loss *loss;
	bool vanished = false;

	for (size_t i = 0; i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, at, length);
		if (loss && !loss->vanished)
			return false;
		vanished |= loss != NULL;
	}
	if (!vanished || offset >= size || pmr_ranges_overlap(&chunk->failing, place, length) ||
	    pmr_ranges_overlap(&chunk->listed, place, length))
		return false;
	if (length > size - offset)
		length = (size_t)(size - offset);
	return !memcmp(chunk->before + at, chunk->bytes + at, length);
}

static void say_error(struct pmr_writer *writer, const struct pmr_chunk *chunk, size_t at,
		      size_t length, int error)
{
	pmr_say(writer->ctx, PMR_WARNING, "write-error", chunk->plan->file->path,
		"writing %zu bytes at byte %llu: %s", length,
		(unsigned long long)(chunk->step.offset + at), strerror(-error));
}

/* ---- DAX */

/*
 * After a write that was refused: is the page just as it was? Then the kernel does not write over poison this way, or the
 * device cannot clear it, and nothing was lost or won.
 */
static bool is_untouched(struct pmr_writer *writer, const struct pmr_chunk *chunk, size_t at,
			 size_t length)
{
	static const struct pmr_ranges none;
	struct pmr_ranges failing = { 0 }, was_failing = { 0 }, listed = { 0 }, gone = { 0 };
	struct pmr_device *device = chunk->plan->file->filesystem->device;
	uint64_t place = chunk->step.device_offset + at;
	struct pmr_places places = { 0 };
	char page[PMR_PAGE];
	bool untouched = false;

	/* what fails to be read stays as it is here too, so that all of the page can be compared at once */
	memcpy(page, chunk->before + at, length);
	if (pmr_device_refresh(writer->ctx, device) ||
	    device->badblocks.trust == PMR_LIST_UNKNOWN ||
	    pmr_ranges_clip(&listed, &chunk->listed, place, length) || !listed.n ||
	    pmr_ranges_subtract(&gone, &listed, &device->badblocks.ranges) || gone.n ||
	    pmr_media_salvage(chunk->compose->media, place, length, &none, page, &failing) ||
	    pmr_ranges_clip(&was_failing, &chunk->failing, place, length))
		goto out;
	untouched = failing.n == was_failing.n && !memcmp(page, chunk->before + at, length);
	for (size_t i = 0; untouched && i < failing.n; i++)
		untouched = failing.v[i].offset == was_failing.v[i].offset &&
			    failing.v[i].length == was_failing.v[i].length;
	/* a filesystem that has shut down says EIO to everything */
	if (untouched) {
		untouched = !pmr_write_settle(writer, chunk->claim) &&
			    !pmr_claim_check(chunk->claim) &&
			    !pmr_places_check(&places, chunk->claim, &chunk->step);
		pmr_places_release(&places);
	}
out:
	pmr_ranges_release(&failing);
	pmr_ranges_release(&was_failing);
	pmr_ranges_release(&listed);
	pmr_ranges_release(&gone);
	return untouched;
}

/* What a kernel answers that does not write over poison this way: the second and third, of a flag that it does not know. */
static bool is_refusal(int error)
{
	return error == -EIO || error == -EOPNOTSUPP || error == -EINVAL;
}

/* Behind a write that goes past the end the file may be as long as that, also where it failed. */
static int write_file(struct pmr_chunk *chunk, uint32_t flag, size_t at, size_t length)
{
	uint64_t end = chunk->step.offset + at + length;
	size_t written;

	if (end > chunk->claim->file->size)
		chunk->claim->grown = end;
	return pmr_media_write_file(chunk->claim->fd, flag, chunk->step.offset + at,
				    chunk->bytes + at, length, &written);
}

/* One page: by which way, or not at all where the kernel would not write it and left it as it was. */
static enum pmr_how write_page(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t at,
			       size_t length)
{
	uint32_t flag = chunk->plan->method == PMR_METHOD_FLAG ? pmr_rwf_flag(writer->ctx) : 0;
	enum pmr_how how = flag ? PMR_HOW_FLAG : PMR_HOW_WRITE;
	int ret;

	ret = write_file(chunk, flag, at, length);
	if (is_refusal(ret) && is_untouched(writer, chunk, at, length)) {
		if (!flag || writer->wanted != PMR_METHOD_AUTO)
			return PMR_HOW_LEFT;
		how = PMR_HOW_WRITE;
		ret = write_file(chunk, 0, at, length);
		if (is_refusal(ret) && is_untouched(writer, chunk, at, length))
			return PMR_HOW_LEFT;
		/* the flag is of no use here, a write is: the next pages need not try both */
		if (!ret)
			pmr_rwf_learn(writer->ctx, PMR_CAPABILITY_NONE);
	}
	if (ret)
		say_error(writer, chunk, at, length, ret);
	return how;
}

static void refuse_page(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t at,
			size_t length)
{
	pmr_write_leave(chunk, at, length, "no-recovery-write");
	if (!writer->told)
		pmr_say(writer->ctx, PMR_ERROR, "no-recovery-write", chunk->plan->file->path,
			"is left at byte %llu: the kernel refuses a write over poison and leaves the page as it was, or "
			"the device cannot clear it; %s",
			(unsigned long long)(chunk->step.offset + at), PMR_PUNCH_HELP);
	writer->told = true;
	/* of two ways both must have failed */
	if (++writer->refusals == PMR_REFUSALS && !writer->has_recovered &&
	    writer->wanted != PMR_METHOD_FLAG &&
	    (writer->wanted == PMR_METHOD_AUTO || !pmr_rwf_flag(writer->ctx)))
		pmr_rwf_learn(writer->ctx, PMR_CAPABILITY_NONE);
}

/* Page by page: what a clear that fails takes with it is then one page, and the others are still written. */
static enum pmr_how write_dax(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t at,
			      size_t length)
{
	bool needed = pmr_chunk_needs_recovery(chunk, at, length);
	enum pmr_how how = PMR_HOW_LEFT;

	if (writer->refusals < PMR_REFUSALS || !needed)
		how = write_page(writer, chunk, at, length);
	if (how == PMR_HOW_LEFT) {
		refuse_page(writer, chunk, at, length);
	} else if (needed) {
		writer->refusals = 0;
		writer->has_recovered = true;
	}
	return how;
}

/* ---- without DAX */

static enum pmr_how write_cached(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t at,
				 size_t length)
{
	int ret = write_file(chunk, 0, at, length);

	if (ret)
		say_error(writer, chunk, at, length, ret);
	return PMR_HOW_WRITE;
}

static enum pmr_how write_one(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t at,
			      size_t length)
{
	return chunk->plan->file->dax ? write_dax(writer, chunk, at, length)
				      : write_cached(writer, chunk, at, length);
}

static enum pmr_how leave_wanted(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t at,
				 size_t length)
{
	pmr_write_leave(chunk, at, length, "in-use");
	pmr_say(writer->ctx, PMR_WARNING, "in-use", chunk->plan->file->path,
		"is left at byte %llu: another program wants to open the file: stop it and repair again",
		(unsigned long long)(chunk->step.offset + at));
	return PMR_HOW_LEFT;
}

void pmr_write_chunk(struct pmr_writer *writer, struct pmr_chunk *chunk)
{
	enum pmr_how how;
	size_t next;

	for (size_t at = 0; at < chunk->length; at = next) {
		next = page_end(chunk, at);
		/* a clear may take seconds, and the kernel's patience with a lease ends */
		if (at && pmr_lease_is_wanted(chunk->claim->fd))
			how = leave_wanted(writer, chunk, at, next - at);
		else if (is_equal(chunk, at, next - at))
			how = PMR_HOW_EQUAL;
		else
			how = write_one(writer, chunk, at, next - at);
		*how_of(chunk, at) = (unsigned char)how;
		chunk->touched |= how != PMR_HOW_LEFT;
	}
}

/* ---- after */

static bool is_cured(const struct pmr_chunk *chunk, size_t at, size_t length)
{
	const struct pmr_loss *loss;

	for (size_t i = 0; i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, at, length);
		if (loss && !loss->vanished &&
		    (loss->state == PMR_REPAIRED || loss->state == PMR_ZEROED))
			return true;
	}
	return false;
}

/* [at, at + length) of the chunk, all of it written alike */
static int verify_part(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t at, size_t length,
		       enum pmr_how how)
{
	static const char *const methods[] = {
		[PMR_HOW_EQUAL] = NULL,
		[PMR_HOW_WRITE] = "write",
		[PMR_HOW_FLAG] = "flag",
	};
	struct pmr_step part = chunk->step;
	struct pmr_ranges listed = { 0 };
	enum pmr_spoiled spoiled = PMR_SPOILED_NOT;
	int ret;

	part.offset += at;
	part.device_offset += at;
	part.length = length;
	ret = pmr_ranges_clip(&listed, &chunk->listed, part.device_offset, length);
	if (!ret)
		ret = pmr_verify_chunk(writer->ctx, chunk->compose, chunk->plan, &part, part.offset,
				       length, chunk->bytes + at, &listed, methods[how], &spoiled);
	pmr_ranges_release(&listed);
	pmr_write_spoiled(writer, chunk, at, length, spoiled);
	if (!ret && how > PMR_HOW_EQUAL && chunk->plan->file->dax && is_cured(chunk, at, length))
		pmr_rwf_learn(writer->ctx,
			      how == PMR_HOW_FLAG ? PMR_CAPABILITY_FLAG : PMR_CAPABILITY_WRITE);
	return ret;
}

static int verify_chunk(struct pmr_writer *writer, struct pmr_chunk *chunk)
{
	unsigned char how;
	size_t next;
	int ret = 0;

	for (size_t at = 0; !ret && at < chunk->length; at = next) {
		how = *how_of(chunk, at);
		next = page_end(chunk, at);
		while (next < chunk->length && *how_of(chunk, next) == how)
			next = page_end(chunk, next);
		if (how != PMR_HOW_LEFT)
			ret = verify_part(writer, chunk, at, next - at, how);
	}
	return ret;
}

static bool was_written(const struct pmr_chunk *chunks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t page = 0; page < sizeof(chunks[i].how); page++)
			if (chunks[i].how[page] != PMR_HOW_LEFT)
				return true;
	return false;
}

int pmr_write_verify(struct pmr_writer *writer, struct pmr_chunk *chunks, size_t n)
{
	const struct pmr_file *file = chunks->plan->file;
	int ret, size_error;

	if (!was_written(chunks, n))
		return 0;
	/*
	 * The write clears when it is written back, and that is where it fails. The file is cut before: a page that the cache
	 * has is not read for that, and one that could not be written back cannot be read. What fails is told of below.
	 */
	if (!file->dax) {
		(void)cut_back(chunks->claim);
		if (fsync(chunks->claim->fd) < 0)
			pmr_say(writer->ctx, PMR_WARNING, "write-error", file->path,
				"writing back: %s", strerror(errno));
	}
	size_error = pmr_write_settle(writer, chunks->claim);
	/* the journal alone knows which size it had */
	writer->needs_journal |= size_error && size_error != -ESTALE;
	ret = pmr_device_refresh(writer->ctx, file->filesystem->device);
	for (size_t i = 0; !ret && i < n; i++) {
		if (size_error && chunks[i].step.offset + chunks[i].length > file->size)
			pmr_write_fail(&chunks[i], size_error == -ESTALE ? "changed" : "size");
		ret = verify_chunk(writer, &chunks[i]);
	}
	writer->needs_journal |= ret != 0;
	for (size_t i = 0; ret && i < n; i++)
		if (was_written(&chunks[i], 1))
			pmr_write_fail(&chunks[i], "unverified");
	return ret;
}
