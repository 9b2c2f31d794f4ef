/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a bus says that its last scrub found, and what of that is in a device and in none of its lists. Pure. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ars.h"
#include "topology.h"

/* Below: an error; above: how far the scrub is (ACPI 6.1, _DSM of an NFIT's root, function 3). */
#define ERROR_BITS 0xffffu
#define EXTENDED_SHIFT 16
enum { EXTENDED_DONE, EXTENDED_RUNNING, EXTENDED_NEVER, EXTENDED_STOPPED };

/* What of a namespace with an info block is ahead of its page map. */
#define INFO_BLOCK UINT64_C(8192)

static enum pmr_ars_state judge_error(int error)
{
	if (error == -EOPNOTSUPP || error == -ENOTTY)
		return PMR_ARS_NONE;
	if (error == -EACCES || error == -EPERM)
		return PMR_ARS_REFUSED;
	return error == -EBUSY ? PMR_ARS_RUNNING : PMR_ARS_FAILED;
}

static enum pmr_ars_state judge_status(const struct pmr_ars_answer *answer)
{
	if (answer->status & ERROR_BITS)
		return PMR_ARS_FAILED;
	switch (answer->status >> EXTENDED_SHIFT) {
	case EXTENDED_RUNNING:
		return PMR_ARS_RUNNING;
	case EXTENDED_NEVER:
		return PMR_ARS_NONE;
	case EXTENDED_DONE:
	case EXTENDED_STOPPED:
		return answer->is_cut ? PMR_ARS_CUT : PMR_ARS_WHOLE;
	default:
		return PMR_ARS_FAILED;
	}
}

/* Whole sectors. Return: 0; 1: it is no record; -ENOMEM. */
static int add_record(struct pmr_ranges *records, const struct pmr_range *record)
{
	uint64_t from = record->offset - record->offset % PMR_SECTOR, end;

	if (!record->length || __builtin_add_overflow(record->offset, record->length, &end) ||
	    __builtin_add_overflow(end, (PMR_SECTOR - end % PMR_SECTOR) % PMR_SECTOR, &end))
		return 1;
	return pmr_ranges_add(records, from, end - from) == -ENOMEM ? -ENOMEM : 0;
}

/* Where an answer was cut on its way, what is behind that is told of and was never filled in. */
static size_t count_records(const struct pmr_ars_answer *answer)
{
	size_t n = answer->n_records;

	while (n && !answer->records[n - 1].offset && !answer->records[n - 1].length)
		n--;
	return n;
}

int pmr_ars_judge(const struct pmr_ars_answer *answer, struct pmr_ars *ars)
{
	struct pmr_ars made = { .error = answer->error, .status = answer->status };
	size_t n = count_records(answer);
	int ret = 0;

	made.state = answer->error ? judge_error(answer->error) : judge_status(answer);
	if (made.state == PMR_ARS_FAILED && !made.error)
		made.error = -EIO;
	if (made.state == PMR_ARS_CUT || made.state == PMR_ARS_WHOLE) {
		if (n < answer->told)
			made.state = PMR_ARS_CUT;
		for (size_t i = 0; i < n && ret >= 0; i++) {
			ret = add_record(&made.records, &answer->records[i]);
			made.odd += ret > 0;
		}
	}
	if (ret < 0) {
		pmr_ars_release(&made);
		return ret;
	}
	pmr_ranges_normalize(&made.records);
	*ars = made;
	return 0;
}

void pmr_ars_release(struct pmr_ars *ars)
{
	pmr_ranges_release(&ars->records);
	memset(ars, 0, sizeof(*ars));
}

/* ---- places */

/* What of the records is at an address, moved to where that is in something. */
static int add_places(const struct pmr_ars *ars, uint64_t address, uint64_t length, uint64_t offset,
		      struct pmr_ranges *out)
{
	size_t i = out->n;
	int ret;

	/* what does not fit its address is no place */
	if (address == PMR_NO_ADDRESS || !length || address + length < address)
		return 0;
	ret = pmr_ranges_clip(out, &ars->records, address, length);
	for (; i < out->n && !ret; i++)
		out->v[i].offset += offset - address;
	return ret;
}

static int add_data(const struct pmr_ars *ars, const struct pmr_device *device,
		    struct pmr_ranges *data)
{
	const struct pmr_devdax *dax = &device->own->dax;
	int ret = 0;

	if (!pmr_dax_is_scattered(device))
		return add_places(ars, device->resource, device->size, 0, data);
	for (size_t i = 0; i < dax->n && !ret; i++)
		ret = add_places(ars, dax->ranges[i].address, dax->ranges[i].length,
				 dax->ranges[i].offset, data);
	return ret;
}

static int add_hidden(const struct pmr_ars *ars, const struct pmr_device *device,
		      struct pmr_ranges *hidden)
{
	uint64_t address = pmr_layout_add(device->region->resource, device->own->ns_offset);
	uint64_t length = device->ns_size;

	if (device->mode != PMR_MODE_SECTOR && device->data_offset == PMR_NO_ADDRESS)
		return 0;
	if (device->mode != PMR_MODE_SECTOR)
		length = device->data_offset < INFO_BLOCK ? device->data_offset : INFO_BLOCK;
	return add_places(ars, address, length, 0, hidden);
}

/* What is in neither is appended to @out. */
static int leave_listed(struct pmr_ranges *found, const struct pmr_ranges *listed,
			struct pmr_ranges *out)
{
	int ret;

	pmr_ranges_normalize(found);
	ret = pmr_ranges_subtract(out, found, listed);
	pmr_ranges_release(found);
	return ret;
}

int pmr_ars_unlisted(const struct pmr_ars *ars, const struct pmr_device *device,
		     struct pmr_ranges *data, struct pmr_ranges *hidden)
{
	struct pmr_ranges all = { 0 }, behind = { 0 };
	int ret, error;

	ret = add_data(ars, device, &all);
	if (!ret)
		ret = add_hidden(ars, device, &behind);
	error = leave_listed(&all, &device->badblocks.ranges, data);
	if (!ret)
		ret = error;
	error = leave_listed(&behind, &device->metadata_badblocks.ranges, hidden);
	return ret ? ret : error;
}
