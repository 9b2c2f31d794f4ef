/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this kernel means by RWF_RECOVERY_DATA: asked of a memfd, or shown by a flagged read of known poison.
 */
#include "private.h"

const char *pmr_capability_name(enum pmr_capability capability)
{
	static const char *const names[] = {
		[PMR_CAPABILITY_UNKNOWN] = "unknown",
		[PMR_CAPABILITY_NONE] = "none",
		[PMR_CAPABILITY_WRITE] = "write",
		[PMR_CAPABILITY_FLAG] = "flag",
	};

	return names[capability];
}
