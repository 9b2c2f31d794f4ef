/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of the JSON writer.
 */
#ifndef CLI_REPORT_JSON_H
#define CLI_REPORT_JSON_H

#include "json.h"
#include "report.h"

/** report_json_new_devices() - the array of the devices a report is about */
struct json_object *report_json_new_devices(struct json *json, const struct report *report);
/** report_json_put_lower() - "lower" of a place of a mapped device: where that lies in the end; nothing of others */
void report_json_put_lower(struct json *json, struct json_object *object,
			   const struct pmr_device *device, uint64_t offset, uint64_t length);
/** report_json_new_list() - a list of badblocks, with @ranges as its own */
struct json_object *report_json_new_list(struct json *json, const struct pmr_badblocks *list,
					 struct json_object *ranges);
/** report_json_put_regions() - "buses", "regions" and "dimms"; empty where @topology is NULL */
void report_json_put_regions(struct json *json, struct json_object *document,
			     const struct pmr_topology *topology);
/** report_json_put_recovery() - "recovery"; unknown where @recovery is NULL */
void report_json_put_recovery(struct json *json, struct json_object *document,
			      const struct pmr_recovery *recovery);
/** report_json_new_links() - the further names of a file */
struct json_object *report_json_new_links(struct json *json, const struct pmr_file *file);
/** report_json_put_places() - "places"; empty where @location is NULL */
void report_json_put_places(struct json *json, struct json_object *document,
			    const struct pmr_location *location);
/** report_json_put_salvage() - "salvage"; its numbers are null where nothing was copied */
void report_json_put_salvage(struct json *json, struct json_object *document,
			     const struct report *report);
/** report_json_put_journals() - "journals" of journal */
void report_json_put_journals(struct json *json, struct json_object *document,
			      const struct report *report);
/** report_json_put_vanished() - "vanished" and "remembered" of health; null where nothing is known */
void report_json_put_vanished(struct json *json, struct json_object *document,
			      const struct pmr_memory *memory);
/** report_json_put_zeroed() - "zeroed" of scan and health; null where it is not known */
void report_json_put_zeroed(struct json *json, struct json_object *document,
			    const struct pmr_zeroes *zeroes);

#endif
