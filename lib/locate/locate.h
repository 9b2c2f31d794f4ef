/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the rooms behind pmr_locate_new() tell each other:
 *
 *   locate.c   what the user named -> bytes of a device or a region
 *   piece.c    pure: these -> pieces that one namespace, its metadata or nothing has
 *   whose.c    a piece of a device -> places with owners, by the machinery of a scan
 */
#ifndef PMR_LOCATE_H
#define PMR_LOCATE_H

#include "scan/scan.h"

/* ---- piece.c: pure */

/** struct pmr_places - a growing list of places */
struct pmr_places {
	struct pmr_place *v;
	size_t n;
	size_t alloc;
};

/** pmr_place_part() - the part of a place that begins @skip bytes into it; its bad bytes are not counted yet */
struct pmr_place pmr_place_part(const struct pmr_place *place, uint64_t skip, uint64_t length);

/** pmr_places_add() - append. Return: 0, -ENOMEM. */
int pmr_places_add(struct pmr_places *places, const struct pmr_place *place);

/** pmr_places_settle() - sort the places of one device from index @first on, and join those that say the same */
void pmr_places_settle(struct pmr_places *places, size_t first);

/**
 * pmr_places_of_device() - append the piece that a range of a device is; of a disabled one, of its namespace
 *
 * Its owner is PMR_OWNER_UNKNOWN: nobody was asked yet. Return: 0, -ENOMEM.
 */
int pmr_places_of_device(struct pmr_device *device, uint64_t offset, uint64_t length,
			 struct pmr_places *places);

/**
 * pmr_places_of_region() - append the pieces that a range of a region is
 * @offset: in the region, and inside it as far as @length goes
 * @certain: set false where the place of one of its namespaces is not known, so that it may have any of the bytes
 *
 * What a device has is as in pmr_places_of_device(); PMR_BASE_NAMESPACE with PMR_OWNER_UNKNOWN is what a namespace has
 * that does not say which byte of its device it is (sector mode, disabled).
 *
 * Return: 0, -ENOMEM.
 */
int pmr_places_of_region(const struct pmr_topology *topology, const struct pmr_region *region,
			 uint64_t offset, uint64_t length, struct pmr_places *places,
			 bool *certain);

/** pmr_place_bad() - how many bytes of a place are listed bad, or PMR_NO_ADDRESS */
uint64_t pmr_place_bad(const struct pmr_place *place, const struct pmr_region *region);

/* ---- whose.c */

/**
 * struct pmr_locator - a location being made
 * @scanner: its scan holds the files, and is not complete where something of a filesystem could not be looked at
 * @places: with owners
 * @complete: every owner is certain
 */
struct pmr_locator {
	struct pmr_ctx *ctx;
	struct pmr_topology *topology;
	struct pmr_scanner scanner;
	struct pmr_places places;
	bool complete;
};

/**
 * pmr_whose() - append the places that a piece of a device is, with their owners
 * @piece: of an enabled device, with PMR_BASE_DEVICE
 *
 * Return: 0, -ENOMEM.
 */
int pmr_whose(struct pmr_locator *locator, const struct pmr_place *piece);

#endif
