/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a bus found at its last scrub (address range scrub, ARS), as far as its firmware keeps it: ars.c asks libndctl,
 * ars-judge.c says what of the answer is to be looked at (pure). The kernel takes all of it into its lists when a scrub ends,
 * as far as these have room.
 */
#ifndef PMR_ARS_H
#define PMR_ARS_H

#include "private.h"

/**
 * struct pmr_ars_answer - what came of asking; zero-initialise, free() @records
 * @error: negative errno of asking: -EOPNOTSUPP: its bus has no such command; or 0
 * @status: the command's, as ACPI has it: below an error, above how far the scrub is
 * @is_of_bus: all regions of the bus would be answered so: it is not that it knows nothing of this one
 * @is_cut: the scrub ended early, since it found more than there is room for
 * @told: how many records there are said to be
 * @records: physical addresses and lengths, as they came
 * @n_records: how many of those that were told of are there
 */
struct pmr_ars_answer {
	int error;
	uint32_t status;
	bool is_of_bus;
	bool is_cut;
	uint64_t told;
	struct pmr_range *records;
	size_t n_records;
};

/** enum pmr_ars_state - what an answer is worth */
enum pmr_ars_state {
	PMR_ARS_NONE, /* the bus keeps nothing of the kind, or was not scrubbed since it came up */
	PMR_ARS_REFUSED, /* only root may ask */
	PMR_ARS_RUNNING, /* a scrub is at work: what it finds the kernel will list */
	PMR_ARS_FAILED, /* it could not be asked, see @error and @status */
	PMR_ARS_CUT, /* there is more than was found, or than came */
	PMR_ARS_WHOLE,
};

/**
 * struct pmr_ars - what is made of an answer; zero-initialised it is none; release with pmr_ars_release()
 * @state: what it is worth
 * @error: of PMR_ARS_FAILED: as struct pmr_ars_answer's; -EIO where firmware answered with an error
 * @status: likewise
 * @records: normal; physical addresses, whole sectors
 * @odd: how many records are none: without a length, or past the end of all addresses
 */
struct pmr_ars {
	enum pmr_ars_state state;
	int error;
	uint32_t status;
	struct pmr_ranges records;
	uint64_t odd;
};

/* ---- ars.c */

/**
 * pmr_ars_ask() - ask the bus of a device
 * @device: of a region
 * @answer: result
 *
 * Return: 0 also where it could not be asked; -ENOMEM.
 */
int pmr_ars_ask(const struct pmr_device *device, struct pmr_ars_answer *answer);

/* ---- ars-judge.c: pure */

/** pmr_ars_judge() - what an answer is worth, and what it has. Return: 0, -ENOMEM. */
int pmr_ars_judge(const struct pmr_ars_answer *answer, struct pmr_ars *ars);

/** pmr_ars_release() - free the storage */
void pmr_ars_release(struct pmr_ars *ars);

/**
 * pmr_ars_unlisted() - what of a scrub's records is in a device, and in none of its lists
 * @device: enabled, of a region
 * @data: result, normal: device offsets, of what can be read
 * @hidden: result, normal: offsets from the namespace's first byte, of what cannot: its info block, or all of a namespace in
 *          sector mode, whose blocks have no fixed place. Not the page map, which the kernel makes anew, poison cleared, each
 *          time the namespace is enabled
 *
 * Most were cleared since, which a scrub's records outlive; others the kernel had no room for. Which of these holds the
 * medium alone can tell. Return: 0, -ENOMEM.
 */
int pmr_ars_unlisted(const struct pmr_ars *ars, const struct pmr_device *device,
		     struct pmr_ranges *data, struct pmr_ranges *hidden);

/* ---- reading.c */

/**
 * pmr_ars_doubt() - what a scrub's records mean for lists that are complete without them
 * @list: why the device's own may not be, static storage, or NULL
 * @metadata: likewise, of that of its info block and page map
 *
 * Holds until the next call, or until the device is read.
 */
void pmr_ars_doubt(struct pmr_device *device, const char *list, const char *metadata);

#endif
