// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmr_test: PMEM over RAM that memmap=SIZE$START reserved, with media errors made by hand and a clear command that can be
 * told to fail. A test's instrument: never load it outside a throw-away guest.
 *
 * Controls, under /sys/module/pmr_test/parameters. Offsets are bytes in all of the memory, which is one region unless it was
 * loaded with more.
 *
 *	regions=N		at load time: that many regions of one size
 *	dimms=N			at load time: that many DIMMs below them, see dimms.h; without any the bus has none, and
 *				none of an NFIT's attributes
 *	labels=1		at load time: the DIMMs have labels, and regions no namespace at first
 *	dimm_health=N,N...	what each DIMM's SMART command says: 1 not critical, 2 critical, 4 fatal
 *	scrub_count=N, scrub_runs=1	what the bus says of its scrubs, where it has DIMMs. There "1" in its attribute nfit/scrub
 *				begins one, which finds all poison and records it when it ends; then its ARS status has
 *				what was found, until the next one
 *	scrub_ms=N		how long one takes
 *	ars=OFFSET,LENGTH	the last scrub's status has this, too, and the kernel was not told; also without DIMMs
 *	ars_mode=MODE		how the status is answered: ok, error, cut (there was more than there is room for), odd (with
 *				records that make no sense, of which there are said to be more than there can be)
 *
 *	inject=OFFSET,LENGTH	poison that was found: recorded, and everyone is notified
 *	machine_check=OFFSET	poison that was consumed: the sector is recorded and its page leaves the kernel's map
 *	latent=OFFSET[,LENGTH]	poison that nobody knows of: in no list, but the kernel's copies out of it stop there, as
 *				after a machine check. A write to it goes well and heals nothing, only a clear command
 *				does. What a program loads from a mapping is not stopped, but for a device-dax with pages
 *				of 4096: it cannot be had mapped, and is SIGBUS
 *	touch=MODE		what follows when a copy stopped at latent poison: nothing, record (as the NFIT driver's
 *				handler does), offline (the page leaves the kernel's map, unrecorded), machine_check
 *				(both). It follows when the program's system call returns
 *	scrub=1			all poison is found: that which was latent is recorded, and everyone is notified
 *	clear_mode=MODE		ok, fail (the command errs), partial (only the first half is cleared, and its bytes are 0xc1)
 *	clear_unit=BYTES	the smallest piece the clear command takes, a power of two
 *	clear_delay_ms=N	how long a clear command takes
 *	pretend=1		the bus has no clear command, as e820's has none: the kernel then takes each clear for
 *				done, and forgets what was recorded
 *	clear_count		how many clear commands came so far
 *	returns=N		what each of the next N commands clears goes bad again, and is recorded, when the
 *				program's system call returns
 *	returns_latent=N	what each of the next N commands clears is latent poison when the command is done
 *	reset_on_clear=N	the power goes right after the N-th command from now that clears, before anything is
 *				written there: the range is not poisoned any more and its bytes are 0xc1
 *
 * `media` is the truth about the cells, one bit a sector; `latent` has those that stop copies. What libnvdimm believes are
 * the badranges it is told of.
 *
 * Where memmap= reserved a MiB more than SIZE, `media` is kept there and outlives a warm reset: all poison is recorded when
 * the module comes back, as if firmware had found it, and all pages are in the kernel's map again.
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/kprobes.h>
#include <linux/libnvdimm.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nd.h>
#include <linux/ndctl.h>
#include <linux/pfn_t.h>
#include <linux/platform_device.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/task_work.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "dimms.h"

#define SECTOR 512ULL
#define KEPT_MAGIC 0x6b65707420706d72ULL

static unsigned long start = 0x40000000;
static unsigned long size = 512UL << 20;
module_param(start, ulong, 0444);
module_param(size, ulong, 0444);

static struct platform_device *pdev;
static struct nvdimm_bus *bus;
#define MOST_REGIONS 4
static struct nd_region *made_regions[MOST_REGIONS];

/* Behind the region, or in ordinary memory where nothing is reserved there. */
struct kept {
	u64 magic, start, size;
	unsigned long media[];
};
static struct kept *kept;
static bool kept_is_mapped;

static DEFINE_MUTEX(media_lock);
static unsigned long *media;
static unsigned long *latent;

static unsigned int clear_unit = SECTOR;
static unsigned int clear_delay_ms;
static unsigned long clear_count;
static unsigned int returns, returns_latent, reset_on_clear;
module_param(clear_unit, uint, 0644);
module_param(clear_delay_ms, uint, 0644);
module_param(clear_count, ulong, 0444);
module_param(returns, uint, 0644);
module_param(returns_latent, uint, 0644);
module_param(reset_on_clear, uint, 0644);

static const char *const clear_modes[] = { "ok", "fail", "partial" };
enum { CLEAR_OK, CLEAR_FAIL, CLEAR_PARTIAL };
static int clear_mode;

/* A mode's number has a bit for each of the things that may follow. */
static const char *const touch_modes[] = { "nothing", "record", "offline", "machine_check" };
enum { TOUCH_RECORD = 1, TOUCH_OFFLINE = 2 };
static int touch_mode;

static unsigned long sectors(void)
{
	return size / SECTOR;
}

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

/* The same for numbers that came from outside. */
static int check_range(u64 offset, u64 length, u64 *first, u64 *end)
{
	return offset <= size && to_sectors(start + offset, length, first, end) ? 0 : -ERANGE;
}

/* Tells libnvdimm of all sectors in `which`; nobody hears of it yet. */
static int add_badranges(const unsigned long *which)
{
	unsigned long first, end;
	int rc = 0;

	mutex_lock(&media_lock);
	for_each_set_bitrange(first, end, which, sectors())
	{
		rc = nvdimm_bus_add_badrange(bus, start + first * SECTOR, (end - first) * SECTOR);
		if (rc)
			break;
	}
	mutex_unlock(&media_lock);
	return rc;
}

static void notify(void)
{
	for (unsigned int i = 0; i < regions; i++)
		nvdimm_region_notify(made_regions[i], NVDIMM_REVALIDATE_POISON);
}

/* Whether all of them are made. */
static bool is_ready(void)
{
	return regions <= MOST_REGIONS && made_regions[regions - 1];
}

/* Poison that somebody found: on the media, on libnvdimm's list, and announced. */
static int record(u64 offset, u64 length)
{
	u64 first, end;
	int rc;

	if (!is_ready())
		return -ENODEV;
	rc = check_range(offset, length, &first, &end);
	if (rc)
		return rc;
	mutex_lock(&media_lock);
	bitmap_set(media, first, end - first);
	mutex_unlock(&media_lock);
	rc = nvdimm_bus_add_badrange(bus, start + first * SECTOR, (end - first) * SECTOR);
	if (rc)
		return rc;
	notify();
	return 0;
}

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
 * What the machine check handler does. It unmaps the page only where memory_failure() could name its owner; here it always
 * goes, as tests want the state, and the log tells what memory_failure() said.
 */
static int offline(u64 offset)
{
	unsigned long pfn = PHYS_PFN(start + offset);

	pr_info("pmr_test: machine check at offset %#llx: memory_failure() says %d\n", offset,
		memory_failure(pfn, 0));
	return unmap_page(pfn);
}

/* Something that follows when the system call returns, or soon, where a kernel thread is at work. */
struct sequel {
	struct callback_head task;
	struct work_struct work;
	u64 offset, length;
	unsigned int what;
};

static void sequel_run(struct sequel *sequel)
{
	if (sequel->what & TOUCH_RECORD)
		record(sequel->offset, sequel->length);
	if (sequel->what & TOUCH_OFFLINE)
		offline(sequel->offset);
	kfree(sequel);
}

static void sequel_of_task(struct callback_head *task)
{
	sequel_run(container_of(task, struct sequel, task));
}

static void sequel_of_work(struct work_struct *work)
{
	sequel_run(container_of(work, struct sequel, work));
}

static void follow(u64 offset, u64 length, unsigned int what, gfp_t gfp)
{
	struct sequel *sequel = kmalloc(sizeof(*sequel), gfp);

	if (WARN_ON(!sequel))
		return;
	sequel->offset = offset;
	sequel->length = length;
	sequel->what = what;
	init_task_work(&sequel->task, sequel_of_task);
	if (!(current->flags & PF_KTHREAD) && !task_work_add(current, &sequel->task, TWA_RESUME))
		return;
	INIT_WORK(&sequel->work, sequel_of_work);
	schedule_work(&sequel->work);
}

#include "latent.h"
#include "ars.h"

/* What was cleared is anything until it is written. The kernel's own map may lack the page: a map of our own. */
static void spoil(u64 offset, u64 length)
{
	void *cells = memremap(start + offset, length, MEMREMAP_WB);

	if (WARN_ON(!cells))
		return;
	memset(cells, 0xc1, length);
	memunmap(cells);
}

static void power_cut(u64 offset, u64 length)
{
	spoil(offset, length);
	pr_emerg("pmr_test: reset after a clear at offset %#llx, length %#llx\n", offset, length);
	emergency_restart();
}

/* true: it is this command's turn. */
static bool count_down(unsigned int *left)
{
	bool last;

	mutex_lock(&media_lock);
	last = *left == 1;
	if (*left)
		--*left;
	mutex_unlock(&media_lock);
	return last;
}

/* What befalls a range that was just cleared. */
static void after_clear(u64 offset, u64 length)
{
	unsigned int listed = returns, hidden = returns_latent;

	if (reset_on_clear && count_down(&reset_on_clear))
		power_cut(offset, length);
	count_down(&returns);
	count_down(&returns_latent);
	if (hidden)
		WARN_ON(make_latent(offset, length));
	if (listed)
		follow(offset, length, TOUCH_RECORD, GFP_KERNEL);
}

static int clear_error(struct nd_cmd_clear_error *clear)
{
	u64 first, end;

	clear->cleared = 0;
	clear->status = 0;
	clear_count++;
	if (!to_sectors(clear->address, clear->length, &first, &end))
		return -EINVAL;
	if (clear_delay_ms)
		msleep(clear_delay_ms);
	if (clear_mode == CLEAR_FAIL) {
		clear->status = 2;
		return -EIO;
	}
	if (clear_mode == CLEAR_PARTIAL)
		end = first + (end - first) / 2;
	mutex_lock(&media_lock);
	bitmap_clear(media, first, end - first);
	bitmap_clear(latent, first, end - first);
	mutex_unlock(&media_lock);
	clear->cleared = (end - first) * SECTOR;
	if (clear_mode == CLEAR_PARTIAL && clear->cleared)
		spoil(first * SECTOR, clear->cleared);
	if (clear->cleared)
		after_clear(first * SECTOR, clear->cleared);
	return 0;
}

static int bus_command(struct nvdimm_bus_descriptor *desc, struct nvdimm *nvdimm, unsigned int cmd,
		       void *buf, unsigned int length, int *cmd_rc)
{
	int rc = 0;

	if (nvdimm)
		rc = dimm_command(nvdimm, cmd, buf);
	else if (cmd == ND_CMD_CALL)
		rc = translate(buf, start, size);
	if (nvdimm || cmd == ND_CMD_CALL)
		goto out;
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
out:
	if (cmd_rc)
		*cmd_rc = rc;
	return rc == -ENOTTY ? rc : 0;
}

#define COMMANDS                                                                \
	(BIT(ND_CMD_ARS_CAP) | BIT(ND_CMD_ARS_START) | BIT(ND_CMD_ARS_STATUS) | \
	 BIT(ND_CMD_CLEAR_ERROR))
static struct nvdimm_bus_descriptor bus_desc = {
	.cmd_mask = COMMANDS,
	.module = THIS_MODULE,
	.provider_name = "pmr_test.0",
	.ndctl = bus_command,
};

#include "controls.h"

/* Finds what outlived a reset, or begins anew. */
static int find_kept(void)
{
	size_t bits = BITS_TO_LONGS(sectors()) * sizeof(long);
	size_t length = sizeof(*kept) + bits;

	kept_is_mapped =
		length <= SZ_1M && region_intersects(start + size, SZ_1M, IORESOURCE_SYSTEM_RAM,
						     IORES_DESC_NONE) == REGION_DISJOINT;
	kept = kept_is_mapped ? memremap(start + size, SZ_1M, MEMREMAP_WB) : vzalloc(length);
	latent = vzalloc(bits);
	if (!kept || !latent)
		return -ENOMEM;
	media = kept->media;
	if (kept->magic == KEPT_MAGIC && kept->start == start && kept->size == size) {
		pr_info("pmr_test: %u bad sectors from before the reset\n",
			bitmap_weight(media, sectors()));
		return 0;
	}
	memset(kept, 0, length);
	*kept = (struct kept){ .magic = KEPT_MAGIC, .start = start, .size = size };
	return 0;
}

static void forget_kept(void)
{
	vfree(latent);
	vfree(found);
	if (!kept)
		return;
	kept->magic = 0;
	if (kept_is_mapped)
		memunmap(kept);
	else
		vfree(kept);
}

static int add_region(unsigned int number)
{
	u64 share = size / regions;
	struct resource res = DEFINE_RES_MEM(start + number * share, share);
	struct nd_mapping_desc mapping[MOST_DIMMS] = {};
	struct nd_region_desc desc = { .res = &res };

	set_bit(ND_REGION_PAGEMAP, &desc.flags);
	map_dimms(&desc, mapping, number, share);
	made_regions[number] = nvdimm_pmem_region_create(bus, &desc);
	return made_regions[number] ? 0 : -ENXIO;
}

static int add_regions(void)
{
	int rc = 0;

	for (unsigned int i = 0; i < regions && !rc; i++)
		rc = add_region(i);
	return rc;
}

static void pmr_test_exit(void)
{
	cancel_delayed_work_sync(&scrub_work);
	if (copies_are_watched) {
		unregister_kprobe(&insert);
		unregister_kretprobes(copies, ARRAY_SIZE(copies));
	}
	if (bus)
		nvdimm_bus_unregister(bus);
	if (!IS_ERR_OR_NULL(pdev))
		platform_device_unregister(pdev);
	forget_kept();
	forget_dimms();
}

static int __init pmr_test_init(void)
{
	int rc = regions > MOST_REGIONS ? -EINVAL : describe_dimms(&bus_desc, size);

	if (rc)
		return rc;
	rc = find_kept();
	if (rc)
		goto out;
	pdev = platform_device_register_simple("pmr_test", 0, NULL, 0);
	rc = PTR_ERR_OR_ZERO(pdev);
	if (rc)
		goto out;
	rc = -ENXIO;
	bus = nvdimm_bus_register(&pdev->dev, &bus_desc);
	if (!bus)
		goto out;
	rc = add_badranges(media);
	if (!rc)
		rc = add_dimms(bus);
	if (!rc)
		rc = add_regions();
out:
	if (rc)
		pmr_test_exit();
	return rc;
}

module_init(pmr_test_init);
module_exit(pmr_test_exit);
MODULE_DESCRIPTION("PMEM with media errors made by hand");
MODULE_LICENSE("GPL");
