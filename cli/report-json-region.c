// SPDX-License-Identifier: GPL-2.0-or-later
/* The JSON of what lies below namespaces: buses, regions and DIMMs. */
#include "report-json.h"

static struct json_object *new_bus(struct json *json, const struct pmr_bus *bus)
{
	struct json_object *object = json_new_object(json);

	json_put_text(json, object, "name", bus->name);
	json_put_text(json, object, "provider", bus->provider);
	json_put_bool(json, object, "can_scrub", bus->can_scrub);
	json_put_bool(json, object, "can_clear", bus->can_clear);
	json_put_known(json, object, "scrubs", bus->scrubs, PMR_NO_COUNT);
	if (bus->scrubs == PMR_NO_COUNT)
		json_put_null(json, object, "scrubbing");
	else
		json_put_bool(json, object, "scrubbing", bus->is_scrubbing);
	return object;
}

static struct json_object *new_part(struct json *json, const struct pmr_region_part *part)
{
	struct json_object *object = json_new_object(json);

	json_put_number(json, object, "offset", part->range.offset);
	json_put_number(json, object, "length", part->range.length);
	if (pmr_owner_name(part->owner))
		json_put_text(json, object, "owner", pmr_owner_name(part->owner));
	if (pmr_part_name(part->part))
		json_put_text(json, object, "part", pmr_part_name(part->part));
	json_put_text(json, object, "namespace", part->device ? part->device->ns_name : NULL);
	json_put_text(json, object, "dimm", part->dimm ? part->dimm->name : NULL);
	return object;
}

static struct json_object *new_names(struct json *json, const struct pmr_region *region)
{
	struct json_object *names = json_new_array(json);

	for (size_t i = 0; i < region->n_dimms; i++)
		json_append(json, names, json_object_new_string(region->dimms[i]->name));
	return names;
}

static struct json_object *new_region(struct json *json, const struct pmr_region *region)
{
	struct json_object *object = json_new_object(json);
	struct json_object *parts = json_new_array(json);

	json_put_text(json, object, "name", region->name);
	json_put_text(json, object, "bus", region->bus ? region->bus->name : NULL);
	json_put_text(json, object, "type", region->type);
	json_put_number(json, object, "size", region->size);
	json_put_known(json, object, "address", region->resource, PMR_NO_ADDRESS);
	json_put_bool(json, object, "read_only", region->read_only);
	json_put_text(json, object, "persistence", region->persistence);
	json_put_number(json, object, "ways", region->n_mappings);
	json_put(json, object, "dimms", new_names(json, region));
	json_put_known(json, object, "unallocated", region->unallocated, PMR_NO_COUNT);
	for (size_t i = 0; i < region->n_parts; i++)
		json_append(json, parts, new_part(json, &region->parts[i]));
	json_put(json, object, "badblocks", report_json_new_list(json, &region->badblocks, parts));
	return object;
}

static struct json_object *new_dimm(struct json *json, const struct pmr_dimm *dimm)
{
	struct json_object *object = json_new_object(json);

	json_put_text(json, object, "name", dimm->name);
	json_put_text(json, object, "bus", dimm->bus->name);
	json_put_text(json, object, "id", dimm->id);
	json_put_known(json, object, "handle", dimm->handle, PMR_NO_HANDLE);
	json_put_bool(json, object, "enabled", dimm->enabled);
	json_put_text(json, object, "security", pmr_security_name(dimm->security));
	if (dimm->security)
		json_put_bool(json, object, "frozen", dimm->is_frozen);
	else
		json_put_null(json, object, "frozen");
	json_put_text(json, object, "health", pmr_health_name(dimm->health));
	return object;
}

void report_json_put_regions(struct json *json, struct json_object *document,
			     const struct pmr_topology *topology)
{
	struct json_object *buses = json_new_array(json);
	struct json_object *regions = json_new_array(json);
	struct json_object *dimms = json_new_array(json);

	for (size_t i = 0; topology && i < topology->n_buses; i++)
		json_append(json, buses, new_bus(json, topology->buses[i]));
	for (size_t i = 0; topology && i < topology->n_regions; i++)
		json_append(json, regions, new_region(json, topology->regions[i]));
	for (size_t i = 0; topology && i < topology->n_dimms; i++)
		json_append(json, dimms, new_dimm(json, topology->dimms[i]));
	json_put(json, document, "buses", buses);
	json_put(json, document, "regions", regions);
	json_put(json, document, "dimms", dimms);
}
