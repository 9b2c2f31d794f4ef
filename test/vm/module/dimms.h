/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DIMMs of pmr_test: what the kernel and libndctl are told of them, in the manner of a bus with an NFIT. Included by
 * pmr_test.c alone.
 *
 * The last region is interleaved over all DIMMs that those before it leave; each of these has one. Handles are 0x11, 0x21
 * and so on. The first one's security is disabled, the second is unlocked, all others are locked. With labels=1 namespaces are
 * what labels say, and there are none at first; the labels are forgotten with the module.
 */
#include <linux/libnvdimm.h>
#include <linux/ndctl.h>
#include <linux/vmalloc.h>

#define MOST_DIMMS 8
/* Bytes that lie on one DIMM before the next one's turn comes. */
#define INTERLEAVE_LINE 4096ULL

/* As libndctl and the NFIT driver define them. */
#define NFIT_TRANSLATE_SPA 5
#define INTEL_SMART 1
#define INTEL_HEALTH_VALID 1

static unsigned int dimms, regions = 1;
static unsigned int scrub_count;
static bool scrub_runs, labels;
module_param(dimms, uint, 0444);
module_param(regions, uint, 0444);
module_param(labels, bool, 0444);
module_param(scrub_count, uint, 0644);
module_param(scrub_runs, bool, 0644);
static unsigned int dimm_health[MOST_DIMMS];
module_param_array(dimm_health, uint, NULL, 0644);

/* In pmr_test.c; @bus_device: who is told when it is over. */
static int begin_scrub(struct device *bus_device);

static struct nvdimm *nvdimms[MOST_DIMMS];
static bool is_frozen[MOST_DIMMS];
static u8 *label_areas;
#define LABEL_AREA ((u32)SZ_64K)

static unsigned int number_of(struct nvdimm *nvdimm)
{
	return (unsigned long)nvdimm_provider_data(nvdimm);
}

static unsigned int handle_of(unsigned int dimm)
{
	return (dimm + 1) << 4 | 1;
}

/* ---- attributes */

static ssize_t handle_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%#x\n", handle_of(number_of(to_nvdimm(dev))));
}
static DEVICE_ATTR_RO(handle);

static ssize_t phys_id_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%#x\n", number_of(to_nvdimm(dev)));
}
static DEVICE_ATTR_RO(phys_id);

static ssize_t id_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "8089-a2-2026-%08x\n", handle_of(number_of(to_nvdimm(dev))));
}
static DEVICE_ATTR_RO(id);

static ssize_t family_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", NVDIMM_FAMILY_INTEL);
}
static DEVICE_ATTR_RO(family);

static ssize_t smart_mask_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%#lx\n", BIT(INTEL_SMART));
}
static struct device_attribute dev_attr_smart_mask = __ATTR(dsm_mask, 0444, smart_mask_show, NULL);

static struct attribute *dimm_attributes[] = {
	&dev_attr_handle.attr, &dev_attr_phys_id.attr,	  &dev_attr_id.attr,
	&dev_attr_family.attr, &dev_attr_smart_mask.attr, NULL,
};
static const struct attribute_group dimm_group = { .name = "nfit", .attrs = dimm_attributes };
static const struct attribute_group *dimm_groups[] = { &dimm_group, NULL };

static ssize_t range_index_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "1\n");
}
static DEVICE_ATTR_RO(range_index);

static struct attribute *region_attributes[] = { &dev_attr_range_index.attr, NULL };
static const struct attribute_group region_group = { .name = "nfit", .attrs = region_attributes };
static const struct attribute_group *region_groups[] = { &region_group, NULL };

static ssize_t revision_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "1\n");
}
static DEVICE_ATTR_RO(revision);

static ssize_t dsm_mask_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%#lx\n", BIT(NFIT_TRANSLATE_SPA));
}
static DEVICE_ATTR_RO(dsm_mask);

static ssize_t scrub_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u%s", scrub_count, scrub_runs ? "+\n" : "\n");
}

/* As the NFIT driver's. */
static ssize_t scrub_store(struct device *dev, struct device_attribute *attr, const char *buf,
			   size_t size)
{
	int rc = sysfs_streq(buf, "1") ? begin_scrub(dev) : -EINVAL;

	return rc ? rc : size;
}
static struct device_attribute dev_attr_nfit_scrub = __ATTR(scrub, 0644, scrub_show, scrub_store);

static struct attribute *bus_attributes[] = { &dev_attr_revision.attr, &dev_attr_dsm_mask.attr,
					      &dev_attr_nfit_scrub.attr, NULL };
static const struct attribute_group bus_group = { .name = "nfit", .attrs = bus_attributes };
static const struct attribute_group *bus_groups[] = { &bus_group, NULL };

/* ---- commands */

struct smart {
	u32 status, flags;
	u8 reserved[4], health, rest[119];
} __packed;

static bool is_in_area(u32 offset, u32 length)
{
	return offset <= LABEL_AREA && length <= LABEL_AREA - offset;
}

static int label_command(u8 *area, unsigned int cmd, void *buf)
{
	struct nd_cmd_get_config_size *extent = buf;
	struct nd_cmd_get_config_data_hdr *get = buf;
	struct nd_cmd_set_config_hdr *set = buf;

	switch (cmd) {
	case ND_CMD_GET_CONFIG_SIZE:
		*extent = (struct nd_cmd_get_config_size){ .config_size = LABEL_AREA,
							   .max_xfer = SZ_4K };
		return 0;
	case ND_CMD_GET_CONFIG_DATA:
		if (!is_in_area(get->in_offset, get->in_length))
			return -EINVAL;
		get->status = 0;
		memcpy(get->out_buf, area + get->in_offset, get->in_length);
		return 0;
	case ND_CMD_SET_CONFIG_DATA:
		if (!is_in_area(set->in_offset, set->in_length))
			return -EINVAL;
		memcpy(area + set->in_offset, set->in_buf, set->in_length);
		memset(set->in_buf + set->in_length, 0, sizeof(u32));
		return 0;
	default:
		return -ENOTTY;
	}
}

static int dimm_command(struct nvdimm *nvdimm, unsigned int cmd, void *buf)
{
	struct nd_cmd_pkg *pkg = buf;
	struct smart *smart = (void *)pkg->nd_payload;

	if (cmd != ND_CMD_CALL)
		return label_areas ? label_command(label_areas + number_of(nvdimm) * LABEL_AREA,
						   cmd, buf)
				   : -ENOTTY;
	if (pkg->nd_command != INTEL_SMART || pkg->nd_size_out < sizeof(*smart))
		return -ENOTTY;
	memset(smart, 0, sizeof(*smart));
	smart->flags = INTEL_HEALTH_VALID;
	smart->health = dimm_health[number_of(nvdimm)];
	pkg->nd_fw_size = sizeof(*smart);
	return 0;
}

struct translate {
	u64 address;
	u32 status;
	u8 flags, reserved[3];
	u64 length;
	u32 n;
	u32 handle, reserved_too;
	u64 dimm_address;
} __packed;

/* @offset: in all of the memory. */
static unsigned int dimm_of(u64 offset, u64 region_size)
{
	unsigned int at = div64_u64(offset, region_size);

	if (at + 1 < regions)
		return at;
	return at + div64_u64(offset - at * region_size, INTERLEAVE_LINE) % (dimms - at);
}

static int translate(struct nd_cmd_pkg *pkg, u64 start, u64 size)
{
	struct translate *spa = (void *)pkg->nd_payload;

	if (!dimms || pkg->nd_command != NFIT_TRANSLATE_SPA || pkg->nd_size_out < sizeof(*spa))
		return -ENOTTY;
	spa->status = 0;
	spa->n = 1;
	if (spa->address < start || spa->address - start >= size)
		spa->status = 2;
	else
		spa->handle = handle_of(dimm_of(spa->address - start, size / regions));
	pkg->nd_fw_size = sizeof(*spa);
	return 0;
}

/* ---- security */

static unsigned long security_flags(struct nvdimm *nvdimm, enum nvdimm_passphrase_type type)
{
	unsigned int number = number_of(nvdimm);
	unsigned long flags = number == 0   ? BIT(NVDIMM_SECURITY_DISABLED)
			      : number == 1 ? BIT(NVDIMM_SECURITY_UNLOCKED)
					    : BIT(NVDIMM_SECURITY_LOCKED);

	return is_frozen[number] ? flags | BIT(NVDIMM_SECURITY_FROZEN) : flags;
}

static int security_freeze(struct nvdimm *nvdimm)
{
	is_frozen[number_of(nvdimm)] = true;
	return 0;
}

static const struct nvdimm_security_ops security_ops = { .get_flags = security_flags,
							 .freeze = security_freeze };

/* ---- making them */

/* Before the bus is registered. */
static int describe_dimms(struct nvdimm_bus_descriptor *desc, u64 size)
{
	if (!regions || size % (regions * SZ_16M) || dimms > MOST_DIMMS ||
	    (dimms && dimms < regions))
		return -EINVAL;
	if (!dimms)
		return 0;
	label_areas = labels ? vzalloc(dimms * LABEL_AREA) : NULL;
	if (labels && !label_areas)
		return -ENOMEM;
	desc->attr_groups = bus_groups;
	desc->cmd_mask |= BIT(ND_CMD_CALL);
	desc->bus_family_mask = BIT(NVDIMM_BUS_FAMILY_NFIT);
	desc->dimm_family_mask = BIT(NVDIMM_FAMILY_INTEL);
	return 0;
}

static void forget_dimms(void)
{
	vfree(label_areas);
}

static int add_dimms(struct nvdimm_bus *bus)
{
	unsigned long commands = BIT(ND_CMD_CALL);

	if (labels)
		commands |= BIT(ND_CMD_GET_CONFIG_SIZE) | BIT(ND_CMD_GET_CONFIG_DATA) |
			    BIT(ND_CMD_SET_CONFIG_DATA);
	for (unsigned long i = 0; i < dimms; i++) {
		nvdimms[i] =
			__nvdimm_create(bus, (void *)i, dimm_groups, labels ? BIT(NDD_LABELING) : 0,
					commands, 0, NULL, NULL, &security_ops, NULL);
		if (!nvdimms[i])
			return -ENXIO;
	}
	/* Regions with labels want their drivers to have them. */
	return nvdimm_bus_check_dimm_count(bus, dimms);
}

/* @mapping: with room for all of them; stays in use until the region is made. */
static void map_dimms(struct nd_region_desc *desc, struct nd_mapping_desc *mapping,
		      unsigned int region, u64 size)
{
	unsigned int ways = region + 1 < regions ? 1 : dimms - region;
	static struct nd_interleave_set sets[MOST_DIMMS];

	if (!dimms)
		return;
	for (unsigned int i = 0; i < ways; i++)
		mapping[i] = (struct nd_mapping_desc){ .nvdimm = nvdimms[region + i],
						       .size = size / ways & PAGE_MASK,
						       .position = i };
	desc->mapping = mapping;
	desc->num_mappings = ways;
	sets[region] = (struct nd_interleave_set){ .cookie1 = region + 1, .cookie2 = region + 1 };
	desc->nd_set = &sets[region];
	set_bit(ND_REGION_PERSIST_MEMCTRL, &desc->flags);
	desc->attr_groups = region_groups;
}
