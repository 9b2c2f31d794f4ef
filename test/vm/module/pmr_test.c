// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmr_test: one PMEM region over RAM that memmap=SIZE$START reserved, with media errors made by hand and a clear command
 * that can be told to fail. A test's instrument: never load it outside a throw-away guest.
 *
 * Controls, under /sys/module/pmr_test/parameters. Offsets are bytes in the region.
 *
 *	inject=OFFSET,LENGTH	poison that was found: recorded, and everyone is notified
 *	machine_check=OFFSET	poison that was consumed: the sector is recorded and its page leaves the kernel's map
 *	clear_mode=MODE		ok, fail (the command errs), partial (only the first half is cleared)
 *	clear_unit=BYTES	the smallest piece the clear command takes, a power of two
 *	clear_count		how many clear commands came so far
 *
 * `media` is the truth about the cells, one bit a sector. What libnvdimm believes are the badranges it is told of.
 */
#include <linux/bitmap.h>
#include <linux/kprobes.h>
#include <linux/libnvdimm.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nd.h>
#include <linux/ndctl.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define SECTOR 512ULL

static unsigned long start = 0x40000000;
static unsigned long size = 512UL << 20;
module_param(start, ulong, 0444);
module_param(size, ulong, 0444);

static struct platform_device *pdev;
static struct nvdimm_bus *bus;
static struct nd_region *region;

static DEFINE_MUTEX(media_lock);
static unsigned long *media;

static unsigned int clear_unit = SECTOR;
static unsigned long clear_count;
module_param(clear_unit, uint, 0644);
module_param(clear_count, ulong, 0444);

static const char *const clear_modes[] = { "ok", "fail", "partial" };
enum { CLEAR_OK, CLEAR_FAIL, CLEAR_PARTIAL };
static int clear_mode;

/* First and one past the last sector of a physical range, widened to whole sectors; false if it is not all inside. */
static bool to_sectors(u64 address, u64 length, u64 *first, u64 *end)
{
	u64 offset = address - start;

	if (address < start || offset > size || length > size - offset || !length)
		return false;
	*first = offset / SECTOR;
	*end = DIV_ROUND_UP(offset + length, SECTOR);
	return true;
}

static void ars_cap(struct nd_cmd_ars_cap *cap)
{
	cap->status = ND_ARS_PERSISTENT << ARS_EXT_STATUS_SHIFT;
	cap->max_ars_out = SZ_4K;
	cap->clear_err_unit = clear_unit;
	cap->flags = 0;
}

static void ars_start(struct nd_cmd_ars_start *ars)
{
	ars->status = 0;
	ars->scrub_time = 1;
}

static void ars_status(struct nd_cmd_ars_status *ars, unsigned int length)
{
	unsigned int max = (length - sizeof(*ars)) / sizeof(ars->records[0]);
	unsigned long first, end, sectors = size / SECTOR;

	memset(ars, 0, sizeof(*ars));
	ars->address = start;
	ars->length = size;
	ars->type = ND_ARS_PERSISTENT;
	mutex_lock(&media_lock);
	for_each_set_bitrange(first, end, media, sectors)
	{
		if (ars->num_records == max)
			break;
		ars->records[ars->num_records++] = (struct nd_ars_record){
			.err_address = start + first * SECTOR,
			.length = (end - first) * SECTOR,
		};
	}
	mutex_unlock(&media_lock);
	ars->out_length = sizeof(*ars) + ars->num_records * sizeof(ars->records[0]);
}

static int clear_error(struct nd_cmd_clear_error *clear)
{
	u64 first, end;

	clear->cleared = 0;
	clear->status = 0;
	clear_count++;
	if (!to_sectors(clear->address, clear->length, &first, &end))
		return -EINVAL;
	if (clear_mode == CLEAR_FAIL) {
		clear->status = 2;
		return -EIO;
	}
	if (clear_mode == CLEAR_PARTIAL)
		end = first + (end - first) / 2;
	mutex_lock(&media_lock);
	bitmap_clear(media, first, end - first);
	mutex_unlock(&media_lock);
	clear->cleared = (end - first) * SECTOR;
	return 0;
}

static int bus_command(struct nvdimm_bus_descriptor *desc, struct nvdimm *nvdimm, unsigned int cmd,
		       void *buf, unsigned int length, int *cmd_rc)
{
	int rc = 0;

	if (nvdimm)
		return -ENOTTY;
	switch (cmd) {
	case ND_CMD_ARS_CAP:
		ars_cap(buf);
		break;
	case ND_CMD_ARS_START:
		ars_start(buf);
		break;
	case ND_CMD_ARS_STATUS:
		ars_status(buf, length);
		break;
	case ND_CMD_CLEAR_ERROR:
		rc = clear_error(buf);
		break;
	default:
		return -ENOTTY;
	}
	if (cmd_rc)
		*cmd_rc = rc;
	return 0;
}

static struct nvdimm_bus_descriptor bus_desc = {
	.cmd_mask = BIT(ND_CMD_ARS_CAP) | BIT(ND_CMD_ARS_START) | BIT(ND_CMD_ARS_STATUS) |
		    BIT(ND_CMD_CLEAR_ERROR),
	.module = THIS_MODULE,
	.provider_name = "pmr_test.0",
	.ndctl = bus_command,
};

/* Poison that somebody found: on the media, on libnvdimm's list, and announced. */
static int record(u64 offset, u64 length)
{
	u64 first, end;
	int rc;

	if (!region)
		return -ENODEV;
	if (offset > size || !to_sectors(start + offset, length, &first, &end))
		return -ERANGE;
	mutex_lock(&media_lock);
	bitmap_set(media, first, end - first);
	mutex_unlock(&media_lock);
	rc = nvdimm_bus_add_badrange(bus, start + first * SECTOR, (end - first) * SECTOR);
	if (rc)
		return rc;
	nvdimm_region_notify(region, NVDIMM_REVALIDATE_POISON);
	return 0;
}

static int inject_set(const char *text, const struct kernel_param *kp)
{
	char *copy = kstrdup(text, GFP_KERNEL), *rest = copy, *word;
	u64 offset, length;
	int rc = -EINVAL;

	if (!copy)
		return -ENOMEM;
	word = strsep(&rest, ",");
	if (word && rest && !kstrtou64(word, 0, &offset) && !kstrtou64(rest, 0, &length))
		rc = record(offset, length);
	kfree(copy);
	return rc;
}

static const struct kernel_param_ops inject_ops = { .set = inject_set };
module_param_cb(inject, &inject_ops, NULL, 0200);

/* set_mce_nospec() is not exported to modules; a kprobe finds any symbol. */
static int unmap_page(unsigned long pfn)
{
	struct kprobe probe = { .symbol_name = "set_mce_nospec" };
	int (*set_nospec)(unsigned long pfn);
	int rc = register_kprobe(&probe);

	if (rc)
		return rc;
	set_nospec = (void *)probe.addr;
	unregister_kprobe(&probe);
	return set_nospec(pfn);
}

/*
 * What nfit_handle_mce() and then the machine check handler do. The handler unmaps the page only where memory_failure()
 * could name its owner; here it always goes, as tests want the state, and the log tells what memory_failure() said.
 */
static int machine_check_set(const char *text, const struct kernel_param *kp)
{
	unsigned long pfn;
	u64 offset;
	int rc;

	if (kstrtou64(text, 0, &offset))
		return -EINVAL;
	rc = record(round_down(offset, SECTOR), SECTOR);
	if (rc)
		return rc;
	pfn = PHYS_PFN(start + offset);
	pr_info("pmr_test: machine check at offset %#llx: memory_failure() says %d\n", offset,
		memory_failure(pfn, 0));
	return unmap_page(pfn);
}

static const struct kernel_param_ops machine_check_ops = { .set = machine_check_set };
module_param_cb(machine_check, &machine_check_ops, NULL, 0200);

static int clear_mode_set(const char *text, const struct kernel_param *kp)
{
	int mode = sysfs_match_string(clear_modes, text);

	if (mode < 0)
		return mode;
	clear_mode = mode;
	return 0;
}

static int clear_mode_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", clear_modes[clear_mode]);
}

static const struct kernel_param_ops clear_mode_ops = { .set = clear_mode_set,
							.get = clear_mode_get };
module_param_cb(clear_mode, &clear_mode_ops, NULL, 0644);

static int add_region(void)
{
	struct resource res = DEFINE_RES_MEM(start, size);
	struct nd_region_desc desc = { .res = &res };

	set_bit(ND_REGION_PAGEMAP, &desc.flags);
	region = nvdimm_pmem_region_create(bus, &desc);
	return region ? 0 : -ENXIO;
}

static void pmr_test_exit(void)
{
	if (bus)
		nvdimm_bus_unregister(bus);
	if (!IS_ERR_OR_NULL(pdev))
		platform_device_unregister(pdev);
	vfree(media);
}

static int __init pmr_test_init(void)
{
	int rc = -ENOMEM;

	media = vzalloc(BITS_TO_LONGS(size / SECTOR) * sizeof(long));
	if (!media)
		goto out;
	pdev = platform_device_register_simple("pmr_test", 0, NULL, 0);
	rc = PTR_ERR_OR_ZERO(pdev);
	if (rc)
		goto out;
	rc = -ENXIO;
	bus = nvdimm_bus_register(&pdev->dev, &bus_desc);
	if (!bus)
		goto out;
	rc = add_region();
out:
	if (rc)
		pmr_test_exit();
	return rc;
}

module_init(pmr_test_init);
module_exit(pmr_test_exit);
MODULE_DESCRIPTION("PMEM with media errors made by hand");
MODULE_LICENSE("GPL");
