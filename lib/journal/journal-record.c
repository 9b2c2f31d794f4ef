/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What makes a record of a journal one: its header and its checksums. */

#include <endian.h>
#include <stddef.h>
#include <zlib.h>

#include "journal.h"

uint32_t pmr_record_crc(const void *bytes, size_t length)
{
	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, length);
}

struct pmr_record_header pmr_record_seal(enum pmr_record type, uint64_t position,
					 const void *payload, size_t length)
{
	struct pmr_record_header header = {
		.magic = htole32(PMR_RECORD_MAGIC),
		.type = htole32(type),
		.length = htole64(length),
		.position = htole64(position),
		.payload_crc = htole32(pmr_record_crc(payload, length)),
	};

	header.header_crc =
		htole32(pmr_record_crc(&header, offsetof(struct pmr_record_header, header_crc)));
	return header;
}

bool pmr_record_is_header(const struct pmr_record_header *header)
{
	return le32toh(header->magic) == PMR_RECORD_MAGIC &&
	       le32toh(header->header_crc) ==
		       pmr_record_crc(header, offsetof(struct pmr_record_header, header_crc));
}
