/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Journals of repairs. Inputs are sealed: their checksums are made right, or nothing behind them would be reached. */

#include <endian.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "fuzz.h"
#include "journal/journal.h"

static struct pmr_ctx *ctx;
static struct pmr_journal *journal;
static int fd; /* of the journal's file, which holds the input */
static struct heard heard;

/* ---- inputs */

/* Every record made whole, as far as records can be told; the last one takes what is left when its length is wrong. */
static void seal(uint8_t *data, size_t size)
{
	struct pmr_record_header header;
	size_t length;

	while (size >= sizeof(header)) {
		memcpy(&header, data, sizeof(header));
		data += sizeof(header);
		size -= sizeof(header);
		if (le64toh(header.length) > size)
			header.length = htole64(size);
		length = (size_t)le64toh(header.length);
		header.magic = htole32(PMR_RECORD_MAGIC);
		header.payload_crc = htole32(pmr_record_crc(data, length));
		header.header_crc = htole32(
			pmr_record_crc(&header, offsetof(struct pmr_record_header, header_crc)));
		memcpy(data - sizeof(header), &header, sizeof(header));
		data += length;
		size -= length;
	}
}

/* One in eight stays torn. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	size = LLVMFuzzerMutate(data, size, max_size);
	if (seed % 8)
		seal(data, size);
	return size;
}

/* The journal is made once, and its file takes one input after the other. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char directory[] = "journal-XXXXXX";
	struct pmr_scan scan = { 0 };
	struct pmr_plan plan = { .scan = &scan };

	(void)argc, (void)argv;
	check(mkdtemp(directory));
	check(!pmr_new(&ctx));
	pmr_set_message_fn(ctx, hear, &heard);
	check(!pmr_journal_open(ctx, directory, &plan, false, &journal));
	fd = open(pmr_journal_path(journal), O_RDWR | O_CLOEXEC);
	check(fd >= 0);
	check(!unlink(pmr_journal_path(journal)) && !rmdir(directory));
	return 0;
}

static void put_input(const uint8_t *data, size_t size)
{
	static size_t before = SIZE_MAX;

	check(pwrite(fd, data, size, 0) == (ssize_t)size);
	if (size < before)
		check(!ftruncate(fd, (off_t)size));
	before = size;
}

/* ---- readers */

static bool is_whole(const uint8_t *data, size_t size, struct pmr_record_header *header)
{
	if (size < sizeof(*header))
		return false;
	memcpy(header, data, sizeof(*header));
	return le32toh(header->magic) == PMR_RECORD_MAGIC &&
	       le32toh(header->header_crc) ==
		       pmr_record_crc(header, offsetof(struct pmr_record_header, header_crc)) &&
	       le64toh(header->length) <= size - sizeof(*header) &&
	       le32toh(header->payload_crc) ==
		       pmr_record_crc(data + sizeof(*header), (size_t)le64toh(header->length));
}

/* What is read back are the bytes of a whole record of just that length, and nothing else is. */
static bool read_bytes(const uint8_t *data, size_t size, size_t at, size_t length)
{
	struct pmr_record_header header;
	bool whole = at <= size && is_whole(data + at, size - at, &header) &&
		     le32toh(header.type) == PMR_RECORD_BYTES && le64toh(header.length) == length;
	uint64_t position = at;
	uint8_t *bytes = malloc(length + 1);

	check(bytes);
	heard.errors = 0;
	if (!pmr_journal_read(journal, &position, bytes, length)) {
		check(whole && !heard.errors);
		check(position == at + sizeof(header) + length);
		check(!memcmp(bytes, data + at + sizeof(header), length));
	} else {
		check(!whole && heard.errors == 1);
		check(position == at);
	}
	free(bytes);
	return whole;
}

/* ---- the whole journal */

static bool is_inside(uint64_t offset, uint64_t length)
{
	return length && offset <= INT64_MAX && length <= INT64_MAX - offset;
}

/* Of what is compared with the device, and with what lies below it. */
static void check_places(const struct pmr_journal_file *file)
{
	uint64_t end = 0;

	for (size_t i = 0; i < file->n_below; i++) {
		check(is_inside(file->below[i].offset, file->below[i].length));
		check(is_inside(file->below[i].device_offset, file->below[i].length));
		check(file->below[i].device);
	}
	for (size_t i = 0; i < file->n_around; i++) {
		check(file->around[i].offset >= end && !(file->around[i].offset % PMR_SECTOR));
		check(is_inside(file->around[i].offset, PMR_SECTOR));
		end = file->around[i].offset + PMR_SECTOR;
	}
}

static void check_file(const struct pmr_journal_file *file, size_t size)
{
	uint64_t end = 0, position = 0, at;
	uint8_t *bytes;

	check(file->path && *file->path);
	check_places(file);
	for (size_t i = 0; i < file->n_losses; i++) {
		check(file->losses[i].offset >= end && file->losses[i].length);
		end = file->losses[i].offset + file->losses[i].length;
	}
	end = 0;
	for (size_t i = 0; i < file->n_pieces; i++) {
		const struct pmr_journal_piece *piece = &file->pieces[i];

		check(piece->offset >= end && piece->length && piece->length <= PMR_CHUNK);
		check(piece->position >= position && piece->position + piece->length <= size);
		check(piece->method != PMR_METHOD_AUTO);
		end = piece->offset + piece->length;
		position = piece->position + piece->length;
		/* whatever it is taken for, its bytes are those that were written */
		bytes = malloc(piece->length);
		at = piece->position;
		check(bytes && !pmr_journal_read(journal, &at, bytes, piece->length));
		free(bytes);
	}
}

/* Whole records and a torn end are understood, everything else is damaged; never half of anything. */
static bool parse(size_t size)
{
	struct pmr_journal_entry entry = { 0 };
	bool any = false, understood_it;

	check(!pmr_journal_parse(fd, &entry));
	understood_it = entry.state != PMR_JOURNAL_DAMAGED;
	check(understood_it == !entry.reason);
	if (understood_it) {
		check(entry.end <= size && entry.torn == (entry.end < size));
		for (size_t i = 0; i < entry.n_files; i++) {
			check_file(&entry.files[i], size);
			for (size_t p = 0; p < entry.files[i].n_pieces; p++)
				any |= entry.files[i].pieces[p].mark != PMR_MARK_NONE;
		}
		check(entry.written || !any);
	}
	pmr_journal_entry_release(&entry);
	return understood_it;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmr_record_header header;
	size_t at = 0, length;
	bool any = false;

	put_input(data, size);
	while (size - at >= sizeof(header)) {
		memcpy(&header, data + at, sizeof(header));
		length = le64toh(header.length) <= PMR_CHUNK ? (size_t)le64toh(header.length) : 1;
		any = read_bytes(data, size, at, length) || any;
		if (!is_whole(data + at, size - at, &header))
			break;
		at += sizeof(header) + length;
	}
	read_bytes(data, size, at, 1);
	if (parse(size) || any)
		understood();
	return 0;
}
