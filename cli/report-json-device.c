// SPDX-License-Identifier: GPL-2.0-or-later
/* The JSON of what lies below the files: devices, badblocks and filesystems. */
#include "report-json.h"

static void put_list(struct json *json, struct json_object *object,
		     const struct pmr_badblocks *list, struct json_object *ranges)
{
	static const char *const trusts[] = {
		[PMR_LIST_UNKNOWN] = "unknown",
		[PMR_LIST_INCOMPLETE] = "incomplete",
		[PMR_LIST_COMPLETE] = "complete",
	};
	bool known = list->trust != PMR_LIST_UNKNOWN;

	json_put_bool(json, object, "complete", list->trust == PMR_LIST_COMPLETE);
	json_put_text(json, object, "trust", trusts[list->trust]);
	json_put_path(json, object, "source", list->source);
	json_put_text(json, object, "reason", list->reason);
	json_put_known(json, object, "count", known ? list->ranges.n : UINT64_MAX, UINT64_MAX);
	json_put_known(json, object, "bytes", known ? pmr_ranges_bytes(&list->ranges) : UINT64_MAX,
		       UINT64_MAX);
	json_put(json, object, "ranges", ranges);
}

struct json_object *report_json_new_list(struct json *json, const struct pmr_badblocks *list,
					 struct json_object *ranges)
{
	struct json_object *object = json_new_object(json);

	put_list(json, object, list, ranges);
	return object;
}

static struct json_object *new_range(struct json *json, const struct pmr_range *range,
				     const char *owner)
{
	struct json_object *object = json_new_object(json);

	json_put_number(json, object, "offset", range->offset);
	json_put_number(json, object, "length", range->length);
	if (owner)
		json_put_text(json, object, "owner", owner);
	return object;
}

/* What is not the namespace's data, by what it is. */
static struct json_object *new_metadata_list(struct json *json, const struct pmr_device *device)
{
	struct json_object *ranges = json_new_array(json);
	struct pmr_range range;
	enum pmr_part part;

	for (uint64_t position = 0;
	     pmr_device_next_metadata(device, &position, &range, &part) == 1;) {
		struct json_object *object =
			new_range(json, &range, pmr_owner_name(pmr_namespace_owner(device, part)));

		if (pmr_part_name(part))
			json_put_text(json, object, "part", pmr_part_name(part));
		json_append(json, ranges, object);
	}
	return report_json_new_list(json, &device->metadata_badblocks, ranges);
}

static struct json_object *new_part(struct json *json, const struct report_part *part)
{
	struct json_object *object = new_range(json, &part->range, pmr_owner_name(part->owner));
	const struct pmr_owned *owned = part->owned;

	if (owned && pmr_part_name(owned->part))
		json_put_text(json, object, "part", pmr_part_name(owned->part));
	if (owned && owned->inode)
		json_put_number(json, object, "inode", owned->inode);
	if (owned && owned->path)
		json_put_path(json, object, "path", owned->path);
	return object;
}

static struct json_object *next_part(struct json *json, struct json_at *at)
{
	struct report_part part;

	if (report_next_part(at->of, at->in, &at->position, &part) != 1)
		return NULL;
	return new_part(json, &part);
}

static struct json_object *new_owned_list(struct json *json, const struct pmr_device *device,
					  const struct pmr_scan *scan)
{
	struct json_object *object = json_new_object(json);

	put_list(json, object, &device->badblocks, json_new_list(json, next_part, device, scan));
	return object;
}

/* What was read of the media, and what of it failed without being in a list. */
static struct json_object *new_reading(struct json *json, const struct pmr_reading *reading)
{
	struct json_object *object = json_new_object(json);
	struct json_object *ranges = json_new_array(json);

	for (size_t i = 0; i < reading->found.n; i++)
		json_append(json, ranges, new_range(json, &reading->found.v[i], NULL));
	json_put_bool(json, object, "complete", reading->complete);
	json_put_number(json, object, "bytes", pmr_ranges_bytes(&reading->done));
	json_put_number(json, object, "found_by_reading", reading->found_bytes);
	json_put(json, object, "ranges", ranges);
	return object;
}

static void put_dax(struct json *json, struct json_object *object, enum pmr_dax dax)
{
	static const char *const modes[] = {
		[PMR_DAX_UNKNOWN] = NULL,
		[PMR_DAX_NO] = "never",
		[PMR_DAX_YES] = "always",
		[PMR_DAX_INODE] = "inode",
	};

	/* dax=inode is a matter of each file, so neither true nor false */
	if (dax == PMR_DAX_YES || dax == PMR_DAX_NO)
		json_put_bool(json, object, "dax", dax == PMR_DAX_YES);
	else
		json_put_null(json, object, "dax");
	json_put_text(json, object, "dax_mode", modes[dax]);
}

static struct json_object *new_filesystem(struct json *json,
					  const struct pmr_filesystem *filesystem)
{
	struct json_object *object = json_new_object(json);

	json_put_text(json, object, "type", filesystem->type);
	json_put_text(json, object, "uuid", filesystem->uuid);
	json_put_text(json, object, "label", filesystem->label);
	json_put_path(json, object, "source", filesystem->source);
	json_put_path(json, object, "mountpoint", filesystem->mountpoint);
	put_dax(json, object, filesystem->dax);
	json_put_bool(json, object, "read_only", filesystem->read_only);
	json_put_number(json, object, "start", filesystem->start);
	json_put_known(json, object, "size", filesystem->size, 0);
	if (filesystem->role != PMR_ROLE_DATA) {
		json_put_text(json, object, "role", pmr_role_name(filesystem->role));
		json_put_path(json, object, "belongs_to", filesystem->of_source);
	}
	if (pmr_way_name(filesystem->way))
		json_put_text(json, object, "lookup", pmr_way_name(filesystem->way));
	return object;
}

static void put_filesystems(struct json *json, struct json_object *object,
			    const struct pmr_device *device, const struct pmr_topology *topology)
{
	struct json_object *filesystems = json_new_array(json);
	const struct pmr_filesystem *first = NULL;

	for (size_t i = 0; i < topology->n_filesystems; i++) {
		const struct pmr_filesystem *filesystem = topology->filesystems[i];

		/* the topology also knows block devices that hold none */
		if (filesystem->device != device || (!filesystem->type && !filesystem->mountpoint))
			continue;
		if (!first)
			first = filesystem;
		json_append(json, filesystems, new_filesystem(json, filesystem));
	}
	if (first)
		json_put(json, object, "filesystem", new_filesystem(json, first));
	else
		json_put_null(json, object, "filesystem");
	json_put(json, object, "filesystems", filesystems);
}

static struct json_object *new_stripe(struct json *json, const struct pmr_stripe *stripe)
{
	struct json_object *object = json_new_object(json);

	json_put_text(json, object, "device", stripe->lower->name);
	json_put_number(json, object, "device_offset", stripe->offset);
	return object;
}

static void put_pieces(struct json *json, struct json_object *object,
		       const struct pmr_device *device)
{
	struct json_object *pieces = json_new_array(json);

	for (size_t i = 0; i < device->n_pieces; i++) {
		const struct pmr_piece *piece = &device->pieces[i];
		struct json_object *entry = json_new_object(json);
		struct json_object *stripes = json_new_array(json);

		json_put_number(json, entry, "offset", piece->offset);
		json_put_number(json, entry, "length", piece->length);
		json_put_known(json, entry, "chunk", piece->chunk, 0);
		for (size_t j = 0; j < piece->n_stripes; j++)
			json_append(json, stripes, new_stripe(json, &piece->stripes[j]));
		json_put(json, entry, "stripes", stripes);
		json_append(json, pieces, entry);
	}
	json_put_text(json, object, "volume", device->volume);
	json_put(json, object, "pieces", pieces);
}

void report_json_put_lower(struct json *json, struct json_object *object,
			   const struct pmr_device *device, uint64_t offset, uint64_t length)
{
	struct json_object *places;
	uint64_t below, part, end = offset + length;
	struct pmr_device *lower;

	if (!device || device->mode != PMR_MODE_MAPPED || offset == PMR_NO_ADDRESS)
		return;
	places = json_new_array(json);
	for (; offset < end; offset += part) {
		struct json_object *place = json_new_object(json);

		part = end - offset;
		if (!pmr_device_below(device, offset, &part, &lower, &below)) {
			json_object_put(place);
			break;
		}
		json_put_text(json, place, "device", lower->name);
		json_put_number(json, place, "device_offset", below);
		json_put_number(json, place, "length", part);
		json_append(json, places, place);
	}
	json_put(json, object, "lower", places);
}

static struct json_object *new_device(struct json *json, const struct pmr_device *device,
				      const struct report *report)
{
	const struct pmr_region *region = device->region;
	struct json_object *object = json_new_object(json);

	json_put_text(json, object, "name", device->name);
	json_put_path(json, object, "path", device->path);
	json_put_text(json, object, "namespace", device->ns_name);
	json_put_text(json, object, "namespace_uuid", device->ns_uuid);
	json_put_text(json, object, "region", region ? region->name : NULL);
	json_put_text(json, object, "bus", region && region->bus ? region->bus->name : NULL);
	json_put_text(json, object, "mode", pmr_mode_name(device->mode));
	json_put_known(json, object, "size", device->size, 0);
	json_put_known(json, object, "namespace_size", device->ns_size, 0);
	json_put_known(json, object, "logical_block_size", device->logical_block, 0);
	json_put_known(json, object, "data_offset", region ? device->data_offset : PMR_NO_ADDRESS,
		       PMR_NO_ADDRESS);
	json_put_known(json, object, "region_offset",
		       region ? device->region_offset : PMR_NO_ADDRESS, PMR_NO_ADDRESS);
	json_put_known(json, object, "address", region ? device->resource : PMR_NO_ADDRESS,
		       PMR_NO_ADDRESS);
	json_put_text(json, object, "map", pmr_page_map_name(device->page_map));
	if (device->mode == PMR_MODE_MAPPED)
		put_pieces(json, object, device);
	json_put_bool(json, object, "enabled", device->enabled);
	json_put_bool(json, object, "read_only", device->read_only);
	json_put(json, object, "badblocks", new_owned_list(json, device, report->scan));
	json_put(json, object, "metadata_badblocks", new_metadata_list(json, device));
	if (device->reading.asked)
		json_put(json, object, "read", new_reading(json, &device->reading));
	/* health looks at no filesystem, so that "none" would be a lie */
	if (report->verb != VERB_HEALTH)
		put_filesystems(json, object, device, report->topology);
	return object;
}

struct json_object *report_json_new_devices(struct json *json, const struct report *report)
{
	struct json_object *devices = json_new_array(json);

	for (size_t i = 0; i < report->n_devices; i++)
		json_append(json, devices, new_device(json, report->devices[i], report));
	return devices;
}
