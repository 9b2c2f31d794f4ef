/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files and their extents against bad blocks, in the order of the flow:
 *
 *   extent.c     FIEMAP
 *   file.c       a file, opened with care -> losses, taken with the list widened to whole pages
 *   failure.c    why a file could not be opened or listed
 *   intersect.c  pure: bad blocks x extents -> losses; what is really lost of the pages around
 */
#ifndef PMR_EXTENT_H
#define PMR_EXTENT_H

#include "private.h"

/* ---- intersect.c: pure */

#define PMR_PAGE_SECTORS (PMR_PAGE / PMR_SECTOR)

/**
 * struct pmr_page - a page of a device of which the list does not tell all; bit N of a mask is its sector N
 * @offset: device offset, page aligned
 * @listed: sectors that are listed
 * @block: sectors that share a logical block with a listed one, the listed ones included
 * @dead: unlisted sectors that could not be read
 * @examined: @dead and @state are known
 * @state: what pmr_media_page_state() said
 */
struct pmr_page {
	uint64_t offset;
	uint8_t listed;
	uint8_t block;
	uint8_t dead;
	bool examined;
	enum pmr_page_state state;
};

/** struct pmr_pages - the pages of a device that are listed in part, or offline as reading found, sorted by offset */
struct pmr_pages {
	struct pmr_page *v;
	size_t n;
	size_t alloc;
};

/** pmr_page_mask() - the sectors of a page that a range touches */
uint8_t pmr_page_mask(uint64_t page, const struct pmr_range *range);

/**
 * pmr_pages_init() - find the pages that a list touches in part
 * @listed: normal, device offsets, whole sectors
 * @logical_block: of the device, 0 counts as one sector
 * @pages: result, none examined; free() its v
 *
 * Return: 0, -ENOMEM.
 */
int pmr_pages_init(const struct pmr_ranges *listed, unsigned int logical_block,
		   struct pmr_pages *pages);

/**
 * pmr_pages_offline() - add pages of which nothing can be read, as examined and PMR_PAGE_OFFLINED
 * @offlined: normal, device offsets, all of it listed
 *
 * Return: 0, -ENOMEM.
 */
int pmr_pages_offline(struct pmr_pages *pages, const struct pmr_ranges *offlined);

/** pmr_pages_first() - index of the first page that ends after @offset; n when there is none */
size_t pmr_pages_first(const struct pmr_pages *pages, uint64_t offset);

/**
 * pmr_widen() - what a list may stand for: its ranges widened to whole pages of the device
 * @listed: normal, device offsets
 * @start: device offset of the filesystem's byte 0
 * @size: bytes of the filesystem: the result is cut there
 * @wide: result, normal, in offsets from the filesystem's byte 0
 *
 * Return: 0, -ENOMEM.
 */
int pmr_widen(const struct pmr_ranges *listed, uint64_t start, uint64_t size,
	      struct pmr_ranges *wide);

/**
 * pmr_refine() - append what is really lost of a loss that was taken with a widened list
 * @pages: of the same list
 * @wide: the loss
 * @losses: gains the listed parts and, of written data, the unlisted parts that were found dead, with the reason
 *
 * Return: 0, -ENOMEM.
 */
int pmr_refine(const struct pmr_pages *pages, const struct pmr_loss *wide,
	       struct pmr_losses *losses);

/* ---- file.c */

/**
 * pmr_file_list() - pmr_file_losses() with a list made ready, cancellation, and the reason
 * @ctx: asked for cancellation, or NULL
 * @losses: gains the losses, in file order
 * @untrusted: the FIEMAP_EXTENT_ flags of extents within @size whose place is not known; 0 for none
 *
 * Return: 0; -ECANCELED; -ERANGE (an address past the filesystem's device); what FIEMAP said; -ENOMEM.
 */
int pmr_file_list(const struct pmr_ctx *ctx, int fd, const struct pmr_filesystem *filesystem,
		  const struct pmr_sieve *sieve, uint64_t size, struct pmr_losses *losses,
		  uint32_t *untrusted);

/** pmr_untrusted_name() - a word for people for the first of such flags */
const char *pmr_untrusted_name(uint32_t flags);

/* ---- failure.c */

/**
 * struct pmr_failure - what is said of an errno
 * @error: negative
 * @code, @text: as in struct pmr_message; static storage
 */
struct pmr_failure {
	int error;
	const char *code;
	const char *text;
};

/**
 * pmr_failure_say() - say why something failed
 * @table: what is said of errors, @n of them
 * @code, @what: of those that are not in it, with strerror(3)
 */
void pmr_failure_say(struct pmr_ctx *ctx, const char *object, const struct pmr_failure *table,
		     size_t n, const char *code, const char *what, int error);

/** pmr_listing_say() - say why the extents of a file could not be listed */
void pmr_listing_say(struct pmr_ctx *ctx, const char *object, int error);

#endif
