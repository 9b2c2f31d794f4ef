/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One chunk onto the medium, in place: looked at right before, written by the flag or plainly, verified right after.
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

/* The last page of a file is written whole and the file then cut to its size again. */
static int restore_size(const struct pmr_claim *claim)
{
	struct stat st;

	if (fstat(claim->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size == claim->file->size)
		return 0;
	if (ftruncate(claim->fd, (off_t)claim->file->size) < 0)
		return -errno;
	return !claim->file->dax && fsync(claim->fd) < 0 ? -errno : 0;
}

void pmr_write_settle(struct pmr_writer *writer, const struct pmr_chunk *chunk)
{
	const struct pmr_file *file = chunk->plan->file;
	int ret;

	ret = restore_size(chunk->claim);
	if (ret) {
		pmr_say(writer->ctx, PMR_ERROR, "size", file->path,
			"has grown to a whole page and cannot be cut back to %llu bytes: %s; truncate it by hand",
			(unsigned long long)file->size, strerror(-ret));
		pmr_write_fail(chunk, "size");
	}
	ret = pmr_claim_settle(chunk->claim);
	if (!ret)
		return;
	pmr_say(writer->ctx, PMR_ERROR, "attributes", file->path,
		"its mode %04o or file capability could not be put back after the write: %s; see chmod(1), setcap(8)",
		(unsigned int)chunk->claim->mode, strerror(-ret));
	writer->scan->complete = false;
}

/* ---- before */

/* NULL when every loss of the chunk fails to be read right now; else why it must not be written */
static const char *still_failing(const struct pmr_chunk *chunk)
{
	uint64_t from = chunk->step.device_offset, at, end;
	struct pmr_ranges readable = { 0 }, wanted = { 0 };
	const char *reason = "device-error";
	const struct pmr_loss *loss;

	for (size_t i = 0; i < chunk->step.n_losses; i++) {
		loss = pmr_chunk_loss(chunk, i, 0, chunk->length);
		/* without a record of it poison that was cleared can be read; an earlier report vouches for it */
		if (!loss || loss->vanished)
			continue;
		at = loss->device_offset > from ? loss->device_offset : from;
		end = loss->device_offset + loss->length;
		if (end > from + chunk->length)
			end = from + chunk->length;
		if (at < end && pmr_ranges_add(&wanted, at, end - at))
			goto out;
	}
	pmr_ranges_normalize(&wanted);
	if (!pmr_ranges_subtract(&readable, &wanted, &chunk->failing))
		reason = readable.n ? "readable" : NULL;
out:
	pmr_ranges_release(&readable);
	pmr_ranges_release(&wanted);
	return reason;
}

static bool is_in_place(const struct pmr_chunk *chunk)
{
	return chunk->plan->method != PMR_METHOD_PUNCH;
}

const char *pmr_write_look(struct pmr_writer *writer, struct pmr_chunk *chunk)
{
	static const struct pmr_ranges none;
	const struct pmr_file *file = chunk->plan->file;
	const char *reason;

	if (file->dax && is_in_place(chunk) && writer->refusals >= PMR_REFUSALS)
		return "no-recovery-write";
	reason = pmr_claim_check(chunk->claim, &chunk->step);
	if (reason)
		return reason;
	/* what is listed is read too: this is about to be written */
	if (pmr_media_salvage(chunk->compose->media, chunk->step.device_offset, chunk->length,
			      &none, writer->before, &chunk->failing))
		return "device-error";
	if (!writer->trust_badblocks || !file->filesystem->device->from_file) {
		reason = still_failing(chunk);
		if (reason)
			return reason;
	}
	return is_in_place(chunk) ? NULL : pmr_punch_look(chunk);
}

/* What is listed of the chunk right now: after the write the kernel may have dropped too much of it. */
static int list_chunk(struct pmr_writer *writer, struct pmr_chunk *chunk)
{
	struct pmr_device *device = chunk->plan->file->filesystem->device;
	int ret = pmr_device_refresh(writer->ctx, device);

	if (ret)
		return ret;
	return pmr_ranges_clip(&chunk->listed, &device->badblocks.ranges, chunk->step.device_offset,
			       chunk->length);
}

/* Whether a page lost nothing but what vanished from the list, and holds already what it should. */
static bool is_equal(const struct pmr_writer *writer, const struct pmr_chunk *chunk, size_t at,
		     size_t length)
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
	return !memcmp(writer->before + at, chunk->bytes + at, length);
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

/* [from, to) of the chunk, all of it written by @method, or NULL where it was not; none for an empty range */
static int verify(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t from, size_t to,
		  const char *method)
{
	struct pmr_step part = chunk->step;
	struct pmr_ranges listed = { 0 };
	int ret;

	if (from >= to)
		return 0;
	pmr_write_settle(writer, chunk);
	part.offset += from;
	part.device_offset += from;
	part.length = to - from;
	ret = pmr_ranges_clip(&listed, &chunk->listed, part.device_offset, part.length);
	if (!ret)
		ret = pmr_verify_chunk(writer->ctx, chunk->compose, chunk->plan, &part, part.offset,
				       to - from, chunk->bytes + from, &listed, method);
	pmr_ranges_release(&listed);
	if (ret)
		pmr_write_fail(chunk, "unverified");
	else if (method && chunk->plan->file->dax && is_cured(chunk, from, to - from))
		pmr_rwf_learn(writer->ctx,
			      !strcmp(method, "flag") ? PMR_CAPABILITY_FLAG : PMR_CAPABILITY_WRITE);
	return ret;
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
 * After a write that said EIO: is the page just as it was? Then the kernel does not write over poison this way, or the
 * device cannot clear it, and nothing was lost or won.
 */
static bool is_untouched(struct pmr_writer *writer, const struct pmr_chunk *chunk, size_t at,
			 size_t length)
{
	static const struct pmr_ranges none;
	struct pmr_ranges failing = { 0 }, was_failing = { 0 }, listed = { 0 }, gone = { 0 };
	struct pmr_device *device = chunk->plan->file->filesystem->device;
	uint64_t place = chunk->step.device_offset + at;
	char page[PMR_PAGE];
	bool untouched = false;

	/* what fails to be read stays as it is here too, so that all of the page can be compared at once */
	memcpy(page, writer->before + at, length);
	if (pmr_device_refresh(writer->ctx, device) ||
	    device->badblocks.trust == PMR_LIST_UNKNOWN ||
	    pmr_ranges_clip(&listed, &chunk->listed, place, length) || !listed.n ||
	    pmr_ranges_subtract(&gone, &listed, &device->badblocks.ranges) || gone.n ||
	    pmr_media_salvage(chunk->compose->media, place, length, &none, page, &failing) ||
	    pmr_ranges_clip(&was_failing, &chunk->failing, place, length))
		goto out;
	untouched = failing.n == was_failing.n && !memcmp(page, writer->before + at, length);
	for (size_t i = 0; untouched && i < failing.n; i++)
		untouched = failing.v[i].offset == was_failing.v[i].offset &&
			    failing.v[i].length == was_failing.v[i].length;
	/* a filesystem that has shut down says EIO to everything */
	if (untouched) {
		pmr_write_settle(writer, chunk);
		untouched = !pmr_claim_check(chunk->claim, &chunk->step);
	}
out:
	pmr_ranges_release(&failing);
	pmr_ranges_release(&was_failing);
	pmr_ranges_release(&listed);
	pmr_ranges_release(&gone);
	return untouched;
}

/* One page: by which method, or NULL where the kernel would not write it and left it as it was. */
static const char *write_page(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t at,
			      size_t length)
{
	uint32_t flag = chunk->plan->method == PMR_METHOD_FLAG ? pmr_rwf_flag(writer->ctx) : 0;
	const char *method = flag ? "flag" : "write";
	size_t written;
	int ret;

	ret = pmr_media_write_file(chunk->claim->fd, flag, chunk->step.offset + at,
				   chunk->bytes + at, length, &written);
	if (ret == -EIO && is_untouched(writer, chunk, at, length)) {
		if (!flag || writer->wanted != PMR_METHOD_AUTO)
			return NULL;
		method = "write";
		ret = pmr_media_write_file(chunk->claim->fd, 0, chunk->step.offset + at,
					   chunk->bytes + at, length, &written);
		if (ret == -EIO && is_untouched(writer, chunk, at, length))
			return NULL;
		/* the flag is of no use here, a write is: the next pages need not try both */
		if (!ret)
			pmr_rwf_learn(writer->ctx, PMR_CAPABILITY_NONE);
	}
	if (ret)
		say_error(writer, chunk, at, length, ret);
	return method;
}

static void refuse_page(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t at,
			size_t length)
{
	pmr_write_leave(chunk, at, length, "no-recovery-write");
	if (!writer->told)
		pmr_say(writer->ctx, PMR_ERROR, "no-recovery-write", chunk->plan->file->path,
			"is left at byte %llu: the kernel answers a write over poison with EIO and leaves the page as "
			"it was, or the device cannot clear it; %s",
			(unsigned long long)(chunk->step.offset + at), PMR_PUNCH_HELP);
	writer->told = true;
	/* of two ways both must have failed */
	if (++writer->refusals == PMR_REFUSALS && writer->wanted != PMR_METHOD_FLAG &&
	    (writer->wanted == PMR_METHOD_AUTO || !pmr_rwf_flag(writer->ctx)))
		pmr_rwf_learn(writer->ctx, PMR_CAPABILITY_NONE);
}

/* [at, end) page by page: what a clear that fails takes with it is then one page, and the others are still written */
static int write_pages(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t at, size_t end)
{
	const char *method = NULL, *used;
	size_t from = at, next;
	int ret = 0;

	for (; !ret && at < end; at = next) {
		next = page_end(chunk, at);
		used = writer->refusals < PMR_REFUSALS ? write_page(writer, chunk, at, next - at)
						       : NULL;
		/* pages written alike are verified together */
		if (used != method) {
			if (method)
				ret = verify(writer, chunk, from, at, method);
			from = at;
			method = used;
		}
		if (used)
			writer->refusals = 0;
		else
			refuse_page(writer, chunk, at, next - at);
	}
	return !ret && method ? verify(writer, chunk, from, at, method) : ret;
}

/* ---- without DAX */

/* the write clears when it is written back, and that is where it fails */
static int write_back(struct pmr_writer *writer, struct pmr_chunk *chunk, size_t at, size_t end)
{
	const struct pmr_claim *claim = chunk->claim;
	size_t written;
	int ret;

	ret = pmr_media_write_file(claim->fd, 0, chunk->step.offset + at, chunk->bytes + at,
				   end - at, &written);
	if (fsync(claim->fd) < 0 && !ret)
		ret = -errno;
	if (ret)
		say_error(writer, chunk, at, end - at, ret);
	return verify(writer, chunk, at, end, "write");
}

static int write_in_place(struct pmr_writer *writer, struct pmr_chunk *chunk)
{
	bool dax = chunk->plan->file->dax, equal;
	size_t next;
	int ret = 0;

	for (size_t at = 0; !ret && at < chunk->length; at = next) {
		next = page_end(chunk, at);
		equal = is_equal(writer, chunk, at, next - at);
		while (next < chunk->length &&
		       is_equal(writer, chunk, next, page_end(chunk, next) - next) == equal)
			next = page_end(chunk, next);
		if (equal)
			ret = verify(writer, chunk, at, next, NULL);
		else
			ret = dax ? write_pages(writer, chunk, at, next)
				  : write_back(writer, chunk, at, next);
	}
	return ret;
}

int pmr_write_chunk(struct pmr_writer *writer, struct pmr_chunk *chunk)
{
	int ret = list_chunk(writer, chunk);

	if (ret)
		return ret;
	/* a block that lies past the end of the file has nothing that could be written anew */
	if (is_in_place(chunk) || chunk->step.offset >= chunk->plan->file->size)
		return write_in_place(writer, chunk);
	return pmr_punch_chunk(writer, chunk);
}
