// SPDX-License-Identifier: GPL-2.0-or-later
/* Writes which bytes of files a repair overwrote with zeros, for programs and for people. */
#include <inttypes.h>

#include "report-human.h"
#include "report-json.h"
#include "text.h"

static struct json_object *new_zeroed(struct json *json, const struct pmr_zeroed *zeroed)
{
	struct json_object *object = json_new_object(json);
	char when[TEXT_TIME_SIZE];

	json_put_text(json, object, "id", zeroed->id);
	json_put_path(json, object, "path", zeroed->path);
	json_put_text(json, object, "filesystem_uuid", zeroed->filesystem_uuid);
	json_put_known(json, object, "inode", zeroed->inode, 0);
	json_put_number(json, object, "offset", zeroed->offset);
	json_put_number(json, object, "length", zeroed->length);
	json_put_text(json, object, "device", zeroed->device);
	json_put_text(json, object, "zeroed_at", text_format_time(zeroed->zeroed_at, when));
	json_put_text(json, object, "file", pmr_zeroed_file_name(zeroed->file));
	return object;
}

void report_json_put_zeroed(struct json *json, struct json_object *document,
			    const struct pmr_zeroes *zeroes)
{
	const struct pmr_zeroed *zeroed = NULL;
	size_t n = zeroes ? pmr_zeroes_get(zeroes, &zeroed) : 0;
	struct json_object *array;

	if (!zeroes || (!n && !pmr_zeroes_is_known(zeroes))) {
		json_put_null(json, document, "zeroed");
		return;
	}
	array = json_new_array(json);
	for (size_t i = 0; i < n; i++)
		json_append(json, array, new_zeroed(json, &zeroed[i]));
	json_put(json, document, "zeroed", array);
}

void report_write_zeroed(const struct pmr_zeroes *zeroes, const char *ahead, FILE *out)
{
	const struct pmr_zeroed *zeroed = NULL;
	size_t n = zeroes ? pmr_zeroes_get(zeroes, &zeroed) : 0;
	char when[TEXT_TIME_SIZE];

	for (size_t i = 0; i < n; i++) {
		const struct pmr_zeroed *one = &zeroed[i];

		fputs(ahead, out);
		text_print_safe(out, one->path);
		fputs(": ", out);
		text_print_size(out, one->length);
		fprintf(out, " at byte %" PRIu64 " overwritten with zeros%s%s", one->offset,
			text_format_time(one->zeroed_at, when) ? " " : "",
			text_format_time(one->zeroed_at, when) ? when : "");
		if (one->file == PMR_ZEROED_FILE_CHANGED)
			fputs(", the file changed since", out);
		else if (one->file == PMR_ZEROED_FILE_GONE)
			fputs(", the file is not there", out);
		fputs(": ", out);
		text_print_safe(out, one->id);
		fputc('\n', out);
	}
}
