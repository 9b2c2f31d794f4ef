// SPDX-License-Identifier: GPL-2.0-or-later
/* Writes what the kernel offers against poison, for programs and for people. */
#include "report-human.h"
#include "report-json.h"

void report_json_put_recovery(struct json *json, struct json_object *document,
			      const struct pmr_recovery *recovery)
{
	static const struct pmr_recovery unknown;
	struct json_object *object = json_new_object(json);

	if (!recovery)
		recovery = &unknown;
	json_put_text(json, object, "capability", pmr_capability_name(recovery->capability));
	json_put_known(json, object, "flag", recovery->flag, 0);
	json_put_text(json, object, "evidence", recovery->evidence);
	json_put(json, document, "recovery", object);
}

void report_describe_recovery(const struct pmr_recovery *recovery, char *text, size_t size)
{
	static const char *const sentences[] = {
		[PMR_CAPABILITY_UNKNOWN] =
			"it is not known how poison under a file can be overwritten",
		[PMR_CAPABILITY_NONE] = "poison under a DAX file cannot be overwritten in place",
		[PMR_CAPABILITY_WRITE] =
			"a plain write of whole pages overwrites poison under a DAX file",
		[PMR_CAPABILITY_FLAG] = "RWF_RECOVERY_DATA overwrites poison under a DAX file",
	};
	const char *sentence = sentences[recovery->capability];
	const char *evidence = recovery->evidence ? recovery->evidence : "could not be asked";

	if (recovery->flag)
		snprintf(text, size, "%s (bit 0x%x, %s)", sentence, recovery->flag, evidence);
	else
		snprintf(text, size, "%s (%s)", sentence, evidence);
}
