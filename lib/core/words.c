/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of a report for what a loss is, whose it is, and how it is written. */

#include "private.h"

const char *pmr_state_name(enum pmr_state state)
{
	static const char *const names[] = {
		[PMR_LOST] = "lost",	     [PMR_UNWRITTEN] = "unwritten",
		[PMR_PAST_EOF] = "past_eof", [PMR_CACHED] = "cached",
		[PMR_REPAIRED] = "repaired", [PMR_ZEROED] = "zeroed",
		[PMR_FAILED] = "failed",     [PMR_SKIPPED] = "skipped",
		[PMR_CONFLICT] = "conflict", [PMR_UNKNOWN] = "unknown",
	};

	return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

const char *pmr_owner_name(enum pmr_owner owner)
{
	static const char *const names[] = {
		[PMR_OWNER_NOT_ASKED] = NULL,	     [PMR_OWNER_FILE] = "file",
		[PMR_OWNER_UNWRITTEN] = "unwritten", [PMR_OWNER_FREE] = "free",
		[PMR_OWNER_METADATA] = "metadata",   [PMR_OWNER_LOG] = "log",
		[PMR_OWNER_NAMESPACE] = "namespace", [PMR_OWNER_DEVICE] = "device",
		[PMR_OWNER_UNKNOWN] = "unknown",
	};

	return (size_t)owner < sizeof(names) / sizeof(names[0]) ? names[owner] : "unknown";
}

const char *pmr_part_name(enum pmr_part part)
{
	static const char *const names[] = {
		[PMR_PART_NONE] = NULL,
		[PMR_PART_DIRECTORY] = "directory",
		[PMR_PART_SYMLINK] = "symlink",
		[PMR_PART_ATTRIBUTES] = "attributes",
		[PMR_PART_EXTENTS] = "extents",
		[PMR_PART_INODE] = "inode",
		[PMR_PART_VERITY] = "verity",
		[PMR_PART_BOOT_BLOCK] = "boot-block",
		[PMR_PART_INFO_BLOCK] = "info-block",
		[PMR_PART_PAGE_MAP] = "page-map",
		[PMR_PART_PADDING] = "padding",
		[PMR_PART_UNALLOCATED] = "unallocated",
		[PMR_PART_BTT_INFO] = "btt-info",
		[PMR_PART_BTT_DATA] = "btt-data",
		[PMR_PART_BTT_MAP] = "btt-map",
		[PMR_PART_BTT_LOG] = "btt-log",
		[PMR_PART_BTT_UNUSED] = "btt-unused",
	};

	return (size_t)part < sizeof(names) / sizeof(names[0]) ? names[part] : NULL;
}

const char *pmr_way_name(enum pmr_way way)
{
	static const char *const names[] = {
		[PMR_WAY_NONE] = NULL,
		[PMR_WAY_REVERSE_MAP] = "reverse-map",
		[PMR_WAY_INODE_TABLE] = "inode-table",
		[PMR_WAY_WALK] = "walk",
	};

	return (size_t)way < sizeof(names) / sizeof(names[0]) ? names[way] : NULL;
}

const char *pmr_method_name(enum pmr_method method)
{
	static const char *const names[] = {
		[PMR_METHOD_AUTO] = "auto",	[PMR_METHOD_FLAG] = "flag",
		[PMR_METHOD_WRITE] = "write",	[PMR_METHOD_PUNCH] = "punch",
		[PMR_METHOD_DEVICE] = "device", [PMR_METHOD_CLEAR] = "clear",
	};

	return names[method];
}
