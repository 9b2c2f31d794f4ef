/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is there an interrupted repair of what is about to be written? Its journal may have bytes that are nowhere else. */

#include <errno.h>

#include "repair/repair.h"

static bool is_of_plan(const struct pmr_journal_entry *entry, const struct pmr_plan *plan)
{
	for (size_t i = 0; i < plan->n_files; i++) {
		if (plan->files[i].n_steps &&
		    pmr_journal_is_of(entry, plan->files[i].file->filesystem))
			return true;
	}
	return false;
}

int pmr_journals_check(struct pmr_ctx *ctx, const char *directory, const struct pmr_plan *plan)
{
	struct pmr_journals *journals = NULL;
	int ret;

	ret = pmr_journals_new(ctx, directory, 0, &journals);
	for (size_t i = 0; !ret && i < journals->n; i++) {
		const struct pmr_journal_entry *entry = &journals->v[i];

		if ((entry->state != PMR_JOURNAL_UNFINISHED &&
		     entry->state != PMR_JOURNAL_DAMAGED) ||
		    !is_of_plan(entry, plan))
			continue;
		pmr_say(ctx, PMR_ERROR, "unfinished-journal", entry->path,
			"nothing was written: an earlier repair was interrupted, which is to be resumed or set aside "
			"first");
		ret = -EBUSY;
	}
	pmr_journals_free(journals);
	return ret;
}
