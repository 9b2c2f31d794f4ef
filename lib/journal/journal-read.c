/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a journal, record after record, up to the first that is not whole; and decides whether that was torn off by a
 * power cut, or the journal is not to be believed.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/document.h"
#include "journal.h"

/* what was planned for a file, against which its bytes are held */
struct steps {
	struct pmr_step *v;
	size_t n;
	size_t at; /* the one that the next bytes belong to */
	uint64_t done; /* bytes of it that are there */
};

struct reader {
	int fd;
	struct pmr_journal_entry *entry;
	uint64_t at;
	uint64_t size;
	struct pmr_record_header header;
	unsigned char *payload; /* a NUL follows it */
	size_t length;
	size_t room;
	struct steps *steps; /* one for each file */
	size_t alloc_steps;
	size_t alloc_files;
	size_t alloc_pieces; /* of the last file */
	bool has_path; /* the last file has its name */
	bool ended;
};

/* Return: 1 all of it, 0 past the end, -errno */
static int read_at(const struct reader *r, uint64_t at, void *buffer, size_t length)
{
	size_t got;
	int ret;

	if (at > r->size || length > r->size - at)
		return 0;
	ret = pmr_media_read_file(r->fd, at, buffer, length, &got);
	return ret ? ret : got == length;
}

/* Return: 1 a whole record, 0 none, -errno; -EFBIG: a header that is right says what no record has. */
static int read_record(struct reader *r, uint64_t at)
{
	uint64_t length;
	unsigned char *grown;
	int ret;

	ret = read_at(r, at, &r->header, sizeof(r->header));
	if (ret != 1)
		return ret;
	if (!pmr_record_is_header(&r->header))
		return 0;
	length = le64toh(r->header.length);
	if (length > r->size - at - sizeof(r->header))
		return 0;
	if (length > (le32toh(r->header.type) == PMR_RECORD_BYTES ? PMR_CHUNK : PMR_RECORD_MAX))
		return -EFBIG;
	if (length >= r->room) {
		grown = realloc(r->payload, (size_t)length + 1);
		if (!grown)
			return -ENOMEM;
		r->payload = grown;
		r->room = (size_t)length + 1;
	}
	ret = read_at(r, at + sizeof(r->header), r->payload, (size_t)length);
	if (ret != 1)
		return ret;
	r->length = (size_t)length;
	r->payload[r->length] = '\0';
	return pmr_record_crc(r->payload, r->length) == le32toh(r->header.payload_crc);
}

int pmr_journal_read_bytes(int fd, uint64_t position, struct pmr_record_header *header, void *bytes,
			   size_t length)
{
	struct pmr_record_header h;
	uint64_t at;
	size_t got;
	int ret;

	if (length > PMR_CHUNK || __builtin_add_overflow(position, sizeof(h), &at))
		return -EBADMSG;
	ret = pmr_media_read_file(fd, position, &h, sizeof(h), &got);
	if (!ret && (got != sizeof(h) || !pmr_record_is_header(&h) ||
		     le32toh(h.type) != PMR_RECORD_BYTES || le64toh(h.length) != length))
		ret = -EBADMSG;
	if (!ret)
		ret = pmr_media_read_file(fd, at, bytes, length, &got);
	if (!ret && (got != length || le32toh(h.payload_crc) != pmr_record_crc(bytes, length)))
		ret = -EBADMSG;
	if (!ret && header)
		*header = h;
	return ret;
}

/* ---- what the records say */

static int parse_json(const struct reader *r, struct json_object **object)
{
	const char *fault;
	int ret = pmr_document_parse((const char *)r->payload, r->length, object, &fault);

	return ret == -EINVAL ? -EBADMSG : ret;
}

static int take_opening(struct reader *r)
{
	struct json_object *object;
	uint64_t version;
	int ret;

	ret = parse_json(r, &object);
	if (ret)
		return ret;
	ret = pmr_journal_parse_opening(object, r->entry, &version);
	json_object_put(object);
	return !ret && version != PMR_JOURNAL_VERSION ? -EPROTONOSUPPORT : ret;
}

static int take_file(struct reader *r)
{
	struct pmr_journal_entry *entry = r->entry;
	struct steps steps = { 0 };
	struct json_object *object;
	int ret;

	if (entry->n_files && !r->has_path)
		return -EBADMSG;
	ret = pmr_grow(&entry->files, entry->n_files, &r->alloc_files, sizeof(*entry->files));
	if (!ret)
		ret = pmr_grow(&r->steps, entry->n_files, &r->alloc_steps, sizeof(*r->steps));
	if (!ret)
		ret = parse_json(r, &object);
	if (ret)
		return ret;
	entry->files[entry->n_files] = (struct pmr_journal_file){ 0 };
	ret = pmr_journal_parse_file(object, &entry->files[entry->n_files], &steps.v, &steps.n);
	json_object_put(object);
	r->steps[entry->n_files++] = steps;
	r->alloc_pieces = 0;
	r->has_path = false;
	return ret;
}

static int take_path(struct reader *r)
{
	struct pmr_journal_entry *entry = r->entry;

	if (!entry->n_files || r->has_path || !r->length || strlen((char *)r->payload) != r->length)
		return -EBADMSG;
	entry->files[entry->n_files - 1].path = strdup((char *)r->payload);
	r->has_path = true;
	return entry->files[entry->n_files - 1].path ? 0 : -ENOMEM;
}

/* Bytes begin where a step does, or go on where the last ones of it ended; a step may be given up in between. */
static int take_bytes(struct reader *r)
{
	uint64_t offset = le64toh(r->header.position);
	struct pmr_journal_piece *piece;
	struct pmr_journal_file *file;
	struct pmr_step *step;
	struct steps *steps;

	if (!r->entry->n_files || !r->has_path || !r->length)
		return -EBADMSG;
	file = &r->entry->files[r->entry->n_files - 1];
	steps = &r->steps[r->entry->n_files - 1];
	while (steps->at < steps->n && offset != steps->v[steps->at].offset + steps->done) {
		steps->at++;
		steps->done = 0;
	}
	if (file->outcome || steps->at == steps->n)
		return -EBADMSG;
	step = &steps->v[steps->at];
	if (r->length > step->length - steps->done)
		return -EBADMSG;
	if (pmr_grow(&file->pieces, file->n_pieces, &r->alloc_pieces, sizeof(*file->pieces)))
		return -ENOMEM;
	piece = &file->pieces[file->n_pieces++];
	*piece = (struct pmr_journal_piece){
		.offset = offset,
		.length = r->length,
		.device_offset = step->device_offset + steps->done,
		.method = step->method,
		.position = r->at,
	};
	steps->done += r->length;
	if (steps->done == step->length) {
		steps->at++;
		steps->done = 0;
	}
	return 0;
}

static int take_json(struct reader *r,
		     int (*parse)(struct json_object *object, struct pmr_journal_entry *entry))
{
	struct json_object *object;
	int ret;

	ret = parse_json(r, &object);
	if (!ret) {
		ret = parse(object, r->entry);
		json_object_put(object);
	}
	return ret;
}

static int take_record(struct reader *r)
{
	/* nothing comes before the opening, or after the end */
	if ((r->at == 0) != (le32toh(r->header.type) == PMR_RECORD_JOURNAL) || r->ended)
		return -EBADMSG;
	switch (le32toh(r->header.type)) {
	case PMR_RECORD_JOURNAL:
		return take_opening(r);
	case PMR_RECORD_FILE:
		return take_file(r);
	case PMR_RECORD_PATH:
		return take_path(r);
	case PMR_RECORD_BYTES:
		return take_bytes(r);
	case PMR_RECORD_OUTCOME:
		return take_json(r, pmr_journal_parse_outcome);
	case PMR_RECORD_MARK:
		return take_json(r, pmr_journal_parse_mark);
	case PMR_RECORD_END:
		r->ended = true;
		return 0;
	default:
		return -EBADMSG;
	}
}

/* ---- where the whole records end */

/* Whether the record at @at says that a write was about to begin: all that is ahead of it was on stable storage then. */
static int is_open_mark(struct reader *r, uint64_t at)
{
	struct json_object *object;
	enum pmr_mark mark;
	int ret;

	ret = read_record(r, at);
	if (ret != 1 || le32toh(r->header.type) != PMR_RECORD_MARK)
		return ret == -EFBIG ? 0 : ret < 0 ? ret : 0;
	ret = parse_json(r, &object);
	if (ret)
		return ret == -ENOMEM ? ret : 0;
	ret = pmr_journal_parse_mark_word(object, &mark) && mark == PMR_MARK_OPEN;
	json_object_put(object);
	return ret;
}

/* Whether such a mark comes anywhere behind the last whole record. Return: 1, 0, -errno. */
static int has_open_mark(struct reader *r)
{
	const uint32_t magic = htole32(PMR_RECORD_MAGIC);
	unsigned char window[4096];
	size_t length, skip;
	unsigned char *hit;
	int ret;

	for (uint64_t at = r->at; at < r->size; at += skip) {
		length = r->size - at < sizeof(window) ? (size_t)(r->size - at) : sizeof(window);
		ret = read_at(r, at, window, length);
		if (ret != 1)
			return ret;
		hit = memmem(window, length, &magic, sizeof(magic));
		if (!hit) {
			/* the magic may lie across the border */
			skip = length > sizeof(magic) - 1 && length == sizeof(window)
				       ? length - (sizeof(magic) - 1)
				       : length;
			continue;
		}
		ret = is_open_mark(r, at + (uint64_t)(hit - window));
		if (ret)
			return ret;
		skip = (size_t)(hit - window) + 1;
	}
	return 0;
}

/* A file's bytes were on stable storage before the first mark; a step whose bytes are not all there was given up. */
static void drop_incomplete(struct reader *r)
{
	struct pmr_journal_file *file;
	const struct pmr_step *step;
	size_t kept, s, from;
	uint64_t bytes;

	for (size_t f = 0; f < r->entry->n_files; f++) {
		file = &r->entry->files[f];
		kept = s = 0;
		for (size_t i = 0; i < file->n_pieces;) {
			while (s + 1 < r->steps[f].n &&
			       file->pieces[i].offset >= r->steps[f].v[s + 1].offset)
				s++;
			step = &r->steps[f].v[s];
			bytes = 0;
			for (from = i; i < file->n_pieces &&
				       file->pieces[i].offset < step->offset + step->length;
			     i++)
				bytes += file->pieces[i].length;
			if (bytes != step->length)
				continue;
			memmove(&file->pieces[kept], &file->pieces[from],
				(i - from) * sizeof(*file->pieces));
			kept += i - from;
		}
		file->n_pieces = kept;
	}
	/* without its name a file is none */
	if (r->entry->n_files && !r->has_path) {
		r->entry->n_files--;
		pmr_journal_file_release(&r->entry->files[r->entry->n_files]);
		free(r->steps[r->entry->n_files].v);
	}
}

static void damaged(struct pmr_journal_entry *entry, const char *reason)
{
	entry->state = PMR_JOURNAL_DAMAGED;
	entry->reason = reason;
}

static int read_records(struct reader *r)
{
	int ret;

	while ((ret = read_record(r, r->at)) == 1) {
		ret = take_record(r);
		if (ret)
			break;
		r->at += sizeof(r->header) + r->length;
	}
	return ret;
}

static int conclude(struct reader *r, int ret)
{
	struct pmr_journal_entry *entry = r->entry;

	if (ret == -EBADMSG)
		damaged(entry, r->at ? "malformed" : "not-a-journal");
	else if (ret == -EFBIG)
		damaged(entry, "too-large");
	else if (ret == -EPROTONOSUPPORT)
		damaged(entry, "version");
	else if (ret)
		return ret;
	else if (!r->at)
		damaged(entry, "not-a-journal");
	if (entry->state == PMR_JOURNAL_DAMAGED)
		return 0;
	entry->end = r->at;
	entry->torn = r->at < r->size;
	ret = entry->torn ? has_open_mark(r) : 0;
	if (ret < 0)
		return ret;
	if (ret)
		damaged(entry, "checksum");
	else
		drop_incomplete(r);
	return 0;
}

int pmr_journal_parse(int fd, struct pmr_journal_entry *entry)
{
	struct reader r = { .fd = fd, .entry = entry };
	struct stat st;
	int ret;

	if (fstat(fd, &st) < 0)
		return -errno;
	r.size = (uint64_t)st.st_size;
	entry->state = PMR_JOURNAL_UNFINISHED;
	ret = conclude(&r, read_records(&r));
	if (!ret && r.ended && entry->state == PMR_JOURNAL_UNFINISHED)
		entry->state = PMR_JOURNAL_DONE;
	for (size_t i = 0; i < entry->n_files; i++)
		free(r.steps[i].v);
	free(r.steps);
	free(r.payload);
	return ret;
}

void pmr_journal_file_release(struct pmr_journal_file *file)
{
	free(file->path);
	free(file->filesystem_type);
	free(file->filesystem_uuid);
	free(file->device);
	free(file->namespace_uuid);
	free(file->capability);
	free(file->losses);
	free(file->around);
	for (size_t i = 0; i < file->n_below; i++)
		free(file->below[i].device);
	free(file->below);
	free(file->pieces);
	*file = (struct pmr_journal_file){ 0 };
}

void pmr_journal_entry_release(struct pmr_journal_entry *entry)
{
	for (size_t i = 0; i < entry->n_files; i++)
		pmr_journal_file_release(&entry->files[i]);
	free(entry->files);
	free(entry->path);
	free(entry->version);
	free(entry->started_at);
	free(entry->host);
	free(entry->boot_id);
	for (size_t i = 0; i < entry->n_boots; i++)
		free(entry->boots[i]);
	free(entry->boots);
	*entry = (struct pmr_journal_entry){ 0 };
}
