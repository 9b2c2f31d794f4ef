/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a file could not be opened or its extents not be listed, in words that tell what to do. */

#include <errno.h>
#include <string.h>

#include "extent.h"

void pmr_failure_say(struct pmr_ctx *ctx, const char *object, const struct pmr_failure *table,
		     size_t n, const char *code, const char *what, int error)
{
	for (size_t i = 0; i < n; i++) {
		if (table[i].error == error) {
			pmr_say(ctx, PMR_ERROR, table[i].code, object, "%s", table[i].text);
			return;
		}
	}
	pmr_say(ctx, PMR_ERROR, code, object, "%s: %s", what, strerror(-error));
}

void pmr_listing_say(struct pmr_ctx *ctx, const char *object, int error)
{
	static const struct pmr_failure failures[] = {
		{ -EOPNOTSUPP, "no-extents",
		  "its filesystem does not tell where files lie (no FIEMAP)" },
		{ -ENOTTY, "no-extents",
		  "its filesystem does not tell where files lie (no FIEMAP)" },
		{ -EIO, "no-extents",
		  "its extents cannot be listed (Input/output error): the filesystem has shut down, or its own metadata lies on "
		  "poison; see the kernel log" },
		{ -EUCLEAN, "no-extents",
		  "its extents cannot be listed (Structure needs cleaning): the filesystem's own metadata is damaged; see the "
		  "kernel log" },
		{ -EBADMSG, "no-extents",
		  "its extents cannot be listed (Bad message): the filesystem's own metadata is damaged; see the kernel log" },
		{ -ERANGE, "no-extents",
		  "has an extent past the end of its device: the device was mistaken for another" },
		{ -EPROTO, "no-extents", "its extents were listed in no order that makes sense" },
		{ -EOVERFLOW, "no-extents", "has an extent at an impossible place" },
	};

	pmr_failure_say(ctx, object, failures, sizeof(failures) / sizeof(failures[0]), "no-extents",
			"its extents cannot be listed", error);
}
