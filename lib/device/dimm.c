/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DIMMs and scrubs, and on which DIMM a region's bad bytes lie, as far as libndctl is told. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ndctl/libndctl.h>

#include "private.h"
#include "topology.h"

/* Interleaved regions take turns in lines of at least a cache line. */
#define LINE 64u
/* The bus is asked for so many sectors of a region: firmware may take its time, and health is to take little. */
#define MOST_ASKED 32u

const char *pmr_security_name(enum pmr_security security)
{
	static const char *const names[] = {
		[PMR_SECURITY_UNKNOWN] = NULL,	      [PMR_SECURITY_DISABLED] = "disabled",
		[PMR_SECURITY_UNLOCKED] = "unlocked", [PMR_SECURITY_LOCKED] = "locked",
		[PMR_SECURITY_FROZEN] = "frozen",     [PMR_SECURITY_OVERWRITE] = "overwrite",
	};

	return (size_t)security < sizeof(names) / sizeof(names[0]) ? names[security] : NULL;
}

const char *pmr_health_name(enum pmr_health health)
{
	static const char *const names[] = {
		[PMR_HEALTH_UNKNOWN] = NULL,
		[PMR_HEALTH_OK] = "ok",
		[PMR_HEALTH_NON_CRITICAL] = "non_critical",
		[PMR_HEALTH_CRITICAL] = "critical",
		[PMR_HEALTH_FATAL] = "fatal",
	};

	return (size_t)health < sizeof(names) / sizeof(names[0]) ? names[health] : NULL;
}

void pmr_dimm_free(struct pmr_dimm *dimm)
{
	if (!dimm)
		return;
	free(dimm->name);
	free(dimm->id);
	free(dimm);
}

/* ---- buses */

int pmr_scrub_judge(const char *text, uint64_t *scrubs, bool *is_running)
{
	unsigned long long count;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	count = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (strcmp(end, "\n") && strcmp(end, "+\n"))
		return -EINVAL;
	*scrubs = count;
	*is_running = *end == '+';
	return 0;
}

/* Only the driver of an NFIT's bus has the attribute: how many have ended, and a "+" while one runs. */
static int read_scrubs(struct pmr_bus *bus)
{
	char *path, *text = NULL;
	size_t length;
	int err;

	if (asprintf(&path, "/sys/bus/nd/devices/%s/nfit/scrub", bus->name) < 0)
		return -ENOMEM;
	err = pmr_read_text(path, 4096, &text, &length);
	free(path);
	if (err)
		return err == -ENOMEM ? err : 0;
	pmr_scrub_judge(text, &bus->scrubs, &bus->is_scrubbing);
	free(text);
	return 0;
}

/* ---- DIMMs */

static enum pmr_security get_security(struct ndctl_dimm *nddimm)
{
	switch (ndctl_dimm_get_security(nddimm)) {
	case NDCTL_SECURITY_DISABLED:
		return PMR_SECURITY_DISABLED;
	case NDCTL_SECURITY_UNLOCKED:
		return PMR_SECURITY_UNLOCKED;
	case NDCTL_SECURITY_LOCKED:
		return PMR_SECURITY_LOCKED;
	case NDCTL_SECURITY_FROZEN:
		return PMR_SECURITY_FROZEN;
	case NDCTL_SECURITY_OVERWRITE:
		return PMR_SECURITY_OVERWRITE;
	default:
		return PMR_SECURITY_UNKNOWN;
	}
}

static enum pmr_health get_health(struct ndctl_dimm *nddimm)
{
	struct ndctl_cmd *cmd = ndctl_dimm_cmd_new_smart(nddimm);
	enum pmr_health health = PMR_HEALTH_UNKNOWN;
	unsigned int bits;

	if (!cmd)
		return health;
	if (ndctl_cmd_submit(cmd) == 0 && ndctl_cmd_get_firmware_status(cmd) == 0 &&
	    ndctl_cmd_smart_get_flags(cmd) & ND_SMART_HEALTH_VALID) {
		bits = ndctl_cmd_smart_get_health(cmd);
		health = bits & ND_SMART_FATAL_HEALTH	       ? PMR_HEALTH_FATAL
			 : bits & ND_SMART_CRITICAL_HEALTH     ? PMR_HEALTH_CRITICAL
			 : bits & ND_SMART_NON_CRITICAL_HEALTH ? PMR_HEALTH_NON_CRITICAL
							       : PMR_HEALTH_OK;
	}
	ndctl_cmd_unref(cmd);
	return health;
}

static int fill_dimm(struct ndctl_dimm *nddimm, struct pmr_dimm *dimm)
{
	const char *id = ndctl_dimm_get_unique_id(nddimm);

	dimm->name = strdup(ndctl_dimm_get_devname(nddimm));
	dimm->id = id ? strdup(id) : NULL;
	if (!dimm->name || (id && !dimm->id))
		return -ENOMEM;
	/* libndctl has all ones for none */
	dimm->handle = ndctl_dimm_get_handle(nddimm);
	dimm->enabled = ndctl_dimm_is_enabled(nddimm);
	dimm->security = get_security(nddimm);
	dimm->is_frozen = dimm->security && ndctl_dimm_security_is_frozen(nddimm);
	dimm->health = get_health(nddimm);
	return 0;
}

static int add_dimm(struct pmr_topology *topology, struct pmr_bus *bus, struct ndctl_dimm *nddimm)
{
	struct pmr_dimm *dimm;
	int err;

	err = pmr_grow(&topology->dimms, topology->n_dimms, &topology->own->alloc_dimms,
		       sizeof(*topology->dimms));
	if (err)
		return err;
	dimm = calloc(1, sizeof(*dimm));
	if (!dimm)
		return -ENOMEM;
	topology->dimms[topology->n_dimms++] = dimm;
	dimm->bus = bus;
	return fill_dimm(nddimm, dimm);
}

static struct pmr_dimm *find_dimm(const struct pmr_topology *topology, struct ndctl_dimm *nddimm)
{
	const char *name = nddimm ? ndctl_dimm_get_devname(nddimm) : NULL;
	size_t i;

	for (i = 0; name && i < topology->n_dimms; i++) {
		if (strcmp(topology->dimms[i]->name, name) == 0)
			return topology->dimms[i];
	}
	return NULL;
}

/* ---- regions */

static int compare_dimms(const void *a, const void *b)
{
	return strverscmp((*(struct pmr_dimm *const *)a)->name,
			  (*(struct pmr_dimm *const *)b)->name);
}

static int add_mappings(const struct pmr_topology *topology, struct ndctl_region *ndregion,
			struct pmr_region *region)
{
	struct ndctl_mapping *mapping;
	size_t alloc = 0;
	int err;

	for (mapping = ndctl_mapping_get_first(ndregion); mapping;
	     mapping = ndctl_mapping_get_next(mapping)) {
		struct pmr_dimm *dimm = find_dimm(topology, ndctl_mapping_get_dimm(mapping));

		if (!dimm)
			continue;
		err = pmr_grow(&region->dimms, region->n_dimms, &alloc, sizeof(*region->dimms));
		if (err)
			return err;
		region->dimms[region->n_dimms++] = dimm;
	}
	if (region->n_dimms)
		qsort(region->dimms, region->n_dimms, sizeof(*region->dimms), compare_dimms);
	return 0;
}

static bool is_mapped_to(const struct pmr_region *region, const struct pmr_dimm *dimm)
{
	size_t i;

	for (i = 0; i < region->n_dimms; i++) {
		if (region->dimms[i] == dimm)
			return true;
	}
	return false;
}

/*
 * The one DIMM that all of a range lies on, by asking for each line of it, or NULL. libndctl has handle 0 also for what
 * firmware failed to answer.
 */
static struct pmr_dimm *ask_dimm(const struct pmr_topology *topology, struct ndctl_bus *ndbus,
				 const struct pmr_region *region, uint64_t offset, uint64_t length)
{
	struct pmr_dimm *found = NULL;
	uint64_t at;

	for (at = offset; at < offset + length; at += LINE) {
		struct ndctl_dimm *nddimm =
			ndctl_bus_get_dimm_by_physical_address(ndbus, region->resource + at);
		struct pmr_dimm *dimm = find_dimm(topology, nddimm);

		if (!dimm || !dimm->handle || !is_mapped_to(region, dimm) ||
		    (found && found != dimm))
			return NULL;
		found = dimm;
	}
	return found;
}

/* A part becomes one for each DIMM in turn. Parts begin and end with sectors. */
struct splitting {
	const struct pmr_topology *topology;
	struct ndctl_bus *ndbus;
	struct pmr_region *region;
	struct pmr_region_part *parts;
	size_t n;
	size_t alloc;
	unsigned int asked;
};

static int add_piece(struct splitting *s, const struct pmr_region_part *part, uint64_t offset,
		     uint64_t length, struct pmr_dimm *dimm)
{
	struct pmr_region_part *last = s->n ? &s->parts[s->n - 1] : NULL;
	int err;

	if (last && offset > part->range.offset && last->dimm == dimm) {
		last->range.length += length;
		return 0;
	}
	err = pmr_grow(&s->parts, s->n, &s->alloc, sizeof(*s->parts));
	if (err)
		return err;
	s->parts[s->n] = *part;
	s->parts[s->n].range = (struct pmr_range){ offset, length };
	s->parts[s->n++].dimm = dimm;
	return 0;
}

static int split_part(struct splitting *s, const struct pmr_region_part *part)
{
	uint64_t offset = part->range.offset, end = offset + part->range.length, length;
	int err = 0;

	for (; offset < end && !err; offset += length) {
		struct pmr_dimm *dimm = NULL;

		length = end - offset;
		if (s->asked < MOST_ASKED) {
			s->asked++;
			length = length < PMR_SECTOR ? length : PMR_SECTOR;
			dimm = ask_dimm(s->topology, s->ndbus, s->region, offset, length);
		}
		err = add_piece(s, part, offset, length, dimm);
	}
	return err;
}

static int split_parts(const struct pmr_topology *topology, struct ndctl_bus *ndbus,
		       struct pmr_region *region)
{
	struct splitting s = { .topology = topology, .ndbus = ndbus, .region = region };
	size_t i;
	int err = 0;

	for (i = 0; i < region->n_parts && !err; i++)
		err = split_part(&s, &region->parts[i]);
	if (err) {
		free(s.parts);
		return err;
	}
	free(region->parts);
	region->parts = s.parts;
	region->n_parts = s.n;
	return 0;
}

/* A region on one DIMM is all on that. Of others only the bus of an NFIT can tell, and only root may ask. */
static int place_parts(const struct pmr_topology *topology, struct ndctl_region *ndregion,
		       struct pmr_region *region)
{
	size_t i;

	if (region->n_mappings == 1 && region->n_dimms == 1) {
		for (i = 0; i < region->n_parts; i++)
			region->parts[i].dimm = region->dimms[0];
		return 0;
	}
	if (!region->n_parts || region->n_dimms < 2 || region->n_dimms != region->n_mappings ||
	    region->resource == PMR_NO_ADDRESS)
		return 0;
	return split_parts(topology, ndctl_region_get_bus(ndregion), region);
}

static const char *persistence_name(enum ndctl_persistence_domain domain)
{
	switch (domain) {
	case PERSISTENCE_NONE:
		return "none";
	case PERSISTENCE_MEM_CTRL:
		return "memory_controller";
	case PERSISTENCE_CPU_CACHE:
		return "cpu_cache";
	default:
		return NULL;
	}
}

static int look_at_region(const struct pmr_topology *topology, struct ndctl_region *ndregion,
			  struct pmr_region *region)
{
	int err;

	region->persistence = persistence_name(ndctl_region_get_persistence_domain(ndregion));
	err = add_mappings(topology, ndregion, region);
	if (!err)
		err = pmr_region_parts_find(topology, region);
	return err ? err : place_parts(topology, ndregion, region);
}

/* ---- what a person should hear */

void pmr_region_say(struct pmr_ctx *ctx, const struct pmr_region *region)
{
	if (pmr_region_is_told(region))
		return;
	if (region->badblocks.trust == PMR_LIST_UNKNOWN)
		pmr_say(ctx, PMR_WARNING, "badblocks-unknown", region->name,
			"its list of badblocks cannot be read: whether there is poison in what no namespace has is not "
			"known");
	else if (region->badblocks.trust == PMR_LIST_INCOMPLETE)
		pmr_say(ctx, PMR_WARNING, "badblocks-incomplete", region->name,
			"its list of badblocks may not have all of them: there may be more poison in what no namespace "
			"has");
	else
		pmr_say(ctx, PMR_WARNING, "badblocks-unknown", region->name,
			"has poison, and whether that is in a namespace is not known: only root may read where they lie");
}

static void say_unallocated(struct pmr_ctx *ctx, const struct pmr_region *region)
{
	uint64_t bytes = 0, first = 0;
	size_t i;

	for (i = 0; i < region->n_parts; i++) {
		if (region->parts[i].part != PMR_PART_UNALLOCATED)
			continue;
		if (!bytes)
			first = region->parts[i].range.offset;
		bytes += region->parts[i].range.length;
	}
	if (bytes)
		pmr_say(ctx, PMR_WARNING, "poison-unallocated", region->name,
			"%" PRIu64 " bad bytes, the first at region offset %" PRIu64
			", are in no namespace: nothing is lost; a namespace made there has them in its list, and "
			"'ndctl clear-errors' takes them away while that is not in use",
			bytes, first);
}

static void say_dimm(struct pmr_ctx *ctx, const struct pmr_dimm *dimm)
{
	if (dimm->security == PMR_SECURITY_LOCKED)
		pmr_say(ctx, PMR_WARNING, "dimm-locked", dimm->name,
			"is locked: what lies on it cannot be read before it is unlocked with its passphrase (ndctl "
			"load-keys)");
	if (dimm->health > PMR_HEALTH_OK)
		pmr_say(ctx, PMR_WARNING, "dimm-health", dimm->name,
			"says that its health is %s: save what lies on it, and see 'ndctl list -DH' for more",
			dimm->health == PMR_HEALTH_NON_CRITICAL ? "not as it should be"
								: pmr_health_name(dimm->health));
}

/* ---- all of it */

static struct pmr_bus *find_bus(const struct pmr_topology *topology, const char *name)
{
	size_t i;

	for (i = 0; i < topology->n_buses; i++) {
		if (strcmp(topology->buses[i]->name, name) == 0)
			return topology->buses[i];
	}
	return NULL;
}

static struct pmr_region *find_region(const struct pmr_topology *topology, const char *name)
{
	size_t i;

	for (i = 0; i < topology->n_regions; i++) {
		if (strcmp(topology->regions[i]->name, name) == 0)
			return topology->regions[i];
	}
	return NULL;
}

static int look_at_bus(struct pmr_topology *topology, struct ndctl_bus *ndbus, struct pmr_bus *bus)
{
	struct ndctl_region *ndregion;
	struct ndctl_dimm *nddimm;
	int err;

	err = read_scrubs(bus);
	for (nddimm = ndctl_dimm_get_first(ndbus); nddimm && !err;
	     nddimm = ndctl_dimm_get_next(nddimm))
		err = add_dimm(topology, bus, nddimm);
	for (ndregion = ndctl_region_get_first(ndbus); ndregion && !err;
	     ndregion = ndctl_region_get_next(ndregion)) {
		struct pmr_region *region =
			find_region(topology, ndctl_region_get_devname(ndregion));

		if (region)
			err = look_at_region(topology, ndregion, region);
	}
	return err;
}

int pmr_dimms_find(struct pmr_ctx *ctx, struct pmr_topology *topology)
{
	struct ndctl_bus *ndbus;
	int err = 0;
	size_t i;

	for (ndbus = ndctl_bus_get_first(topology->own->ndctl); ndbus && !err;
	     ndbus = ndctl_bus_get_next(ndbus)) {
		struct pmr_bus *bus = find_bus(topology, ndctl_bus_get_devname(ndbus));

		if (bus)
			err = look_at_bus(topology, ndbus, bus);
	}
	if (err)
		return err;
	if (topology->n_dimms)
		qsort(topology->dimms, topology->n_dimms, sizeof(*topology->dimms), compare_dimms);
	for (i = 0; i < topology->n_regions; i++) {
		pmr_region_say(ctx, topology->regions[i]);
		say_unallocated(ctx, topology->regions[i]);
	}
	for (i = 0; i < topology->n_dimms; i++)
		say_dimm(ctx, topology->dimms[i]);
	return 0;
}
