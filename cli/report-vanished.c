// SPDX-License-Identifier: GPL-2.0-or-later
/* Writes which records vanished from the lists, for programs and for people. */
#include <inttypes.h>

#include "report-human.h"
#include "report-json.h"
#include "text.h"

static struct json_object *new_vanished(struct json *json, const struct pmr_vanished *vanished)
{
	struct json_object *object = json_new_object(json);
	char seen[TEXT_TIME_SIZE];

	json_put_text(json, object, "id", vanished->id);
	json_put_text(json, object, "device", vanished->device->name);
	json_put_text(json, object, "namespace", vanished->device->ns_name);
	json_put_bool(json, object, "metadata", vanished->metadata);
	json_put_number(json, object, "offset", vanished->range.offset);
	json_put_number(json, object, "length", vanished->range.length);
	json_put_text(json, object, "seen", text_format_time(vanished->seen, seen));
	json_put_path(json, object, "list", vanished->list);
	return object;
}

void report_json_put_vanished(struct json *json, struct json_object *document,
			      const struct pmr_memory *memory)
{
	const struct pmr_vanished *vanished = NULL;
	size_t n = memory ? pmr_memory_vanished(memory, &vanished) : 0;
	struct json_object *array;

	if (!memory || (!n && !pmr_memory_is_known(memory))) {
		json_put_null(json, document, "vanished");
	} else {
		array = json_new_array(json);
		for (size_t i = 0; i < n; i++)
			json_append(json, array, new_vanished(json, &vanished[i]));
		json_put(json, document, "vanished", array);
	}
	if (memory)
		json_put_bool(json, document, "remembered", pmr_memory_is_kept(memory));
	else
		json_put_null(json, document, "remembered");
}

void report_write_vanished(const struct pmr_memory *memory, const char *ahead, FILE *out)
{
	const struct pmr_vanished *vanished = NULL;
	size_t n = memory ? pmr_memory_vanished(memory, &vanished) : 0;
	char seen[TEXT_TIME_SIZE];

	for (size_t i = 0; i < n; i++) {
		const struct pmr_vanished *one = &vanished[i];
		const char *when = text_format_time(one->seen, seen);

		fputs(ahead, out);
		text_print_safe(out, report_device_label(one->device));
		fputs(": ", out);
		text_print_size(out, one->range.length);
		fprintf(out, " at byte %" PRIu64 "%s vanished from its list, last seen %s: ",
			one->range.offset, one->metadata ? " of the namespace's metadata" : "",
			when ? when : "before");
		text_print_safe(out, one->id);
		fputc('\n', out);
	}
}
