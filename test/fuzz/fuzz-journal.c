/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Journals of repairs. Inputs are sealed: their checksums are made right, or nothing behind them would be reached. */

#include <endian.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>
#include <zlib.h>

#include "fuzz.h"
#include "repair.h"

/* As lib/journal.c has it. */
#define MAGIC 0x4a524d50u
#define BYTES 4u

struct header {
	uint32_t magic;
	uint32_t type;
	uint64_t length;
	uint64_t position;
	uint32_t payload_crc;
	uint32_t header_crc;
};

static struct pmr_ctx *ctx;
static struct pmr_journal *journal;
static int fd; /* of the journal's file, which holds the input */
static struct heard heard;

static uint32_t crc(const void *bytes, size_t length)
{
	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, length);
}

/* ---- inputs */

/* Every record made whole, as far as records can be told; the last one takes what is left when its length is wrong. */
static void seal(uint8_t *data, size_t size)
{
	struct header header;
	size_t length;

	while (size >= sizeof(header)) {
		memcpy(&header, data, sizeof(header));
		data += sizeof(header);
		size -= sizeof(header);
		if (le64toh(header.length) > size)
			header.length = htole64(size);
		length = (size_t)le64toh(header.length);
		header.magic = htole32(MAGIC);
		header.payload_crc = htole32(crc(data, length));
		header.header_crc = htole32(crc(&header, offsetof(struct header, header_crc)));
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

static bool is_whole(const uint8_t *data, size_t size, struct header *header)
{
	if (size < sizeof(*header))
		return false;
	memcpy(header, data, sizeof(*header));
	return le32toh(header->magic) == MAGIC &&
	       le32toh(header->header_crc) == crc(header, offsetof(struct header, header_crc)) &&
	       le64toh(header->length) <= size - sizeof(*header) &&
	       le32toh(header->payload_crc) ==
		       crc(data + sizeof(*header), (size_t)le64toh(header->length));
}

/* What is read back are the bytes of a whole record of just that length, and nothing else is. */
static bool read_bytes(const uint8_t *data, size_t size, size_t at, size_t length)
{
	struct header header;
	bool whole = at <= size && is_whole(data + at, size - at, &header) &&
		     le32toh(header.type) == BYTES && le64toh(header.length) == length;
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header header;
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
	if (any)
		understood();
	return 0;
}
