/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Says of bad ranges that are no file's what they are, and what can be done about them; nothing here is repaired. */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "scan.h"
#include "device/topology.h"

/* One device, and where its ranges begin among those of the scan. */
struct advice {
	struct pmr_scanner *scanner;
	const struct pmr_device *device;
	size_t first;
	bool is_whole;
};

/* The parts of a filesystem, or of the whole device, that belong to an owner; the boot block alone, or without that. */
static uint64_t count_of(const struct advice *a, const struct pmr_filesystem *filesystem,
			 enum pmr_owner owner, bool is_boot, uint64_t *first)
{
	const struct pmr_scan *scan = a->scanner->scan;
	uint64_t bytes = 0;

	for (size_t i = a->first; i < scan->n_owned; i++) {
		const struct pmr_range *range = &scan->owned[i].range;

		if (scan->owned[i].owner != owner ||
		    is_boot != (scan->owned[i].part == PMR_PART_BOOT_BLOCK) ||
		    (filesystem && (range->offset < filesystem->start ||
				    range->offset - filesystem->start >= filesystem->size)))
			continue;
		if (!bytes)
			*first = range->offset;
		bytes += range->length;
	}
	return bytes;
}

static uint64_t count(const struct advice *a, const struct pmr_filesystem *filesystem,
		      enum pmr_owner owner, uint64_t *first)
{
	return count_of(a, filesystem, owner, false, first);
}

static bool is_xfs(const struct pmr_filesystem *filesystem)
{
	return filesystem->type && !strcmp(filesystem->type, "xfs");
}

const char *pmr_owner_advice(const struct pmr_filesystem *filesystem)
{
	if (!is_xfs(filesystem))
		return "";
	return pmr_may_ask_xfs() ? " (XFS made with rmapbt=1 would tell)"
				 : " (CAP_SYS_ADMIN is needed: XFS tells nobody else)";
}

/* Bad bytes that were asked about may be those of a file that only the log has, whatever was asked about. */
static void say_unreplayed(const struct advice *a, const struct pmr_view *view)
{
	if (!view->filesystem->unreplayed || !view->wide.n)
		return;
	a->scanner->scan->complete = false;
	pmr_filesystem_say_unreplayed(a->scanner->ctx, view->filesystem);
}

/* ---- what a filesystem is made of */

/* e2fsck writes blocks anew that it cannot read; xfs_repair 6.1 stops at the first one. */
static void say_metadata(const struct advice *a, const struct pmr_filesystem *fs)
{
	uint64_t first, bytes = count(a, fs, PMR_OWNER_METADATA, &first);

	if (bytes)
		pmr_say(a->scanner->ctx, PMR_ERROR, "metadata-lost", fs->mountpoint,
			"%" PRIu64
			" bytes of its metadata are lost, the first at device offset %" PRIu64
			": repair and save its files first, unmount it, and run %s; then scan again",
			bytes, first,
			is_xfs(fs)
				? "xfs_repair (where that stops at what cannot be read, see \"POISON THAT IS NOT IN A "
				  "FILE\" in pmem-recover(7))"
				: "'e2fsck -fy', which writes anew what it cannot read");
}

/* No check of the filesystem reads or writes it. */
static void say_boot_block(const struct advice *a, const struct pmr_filesystem *fs)
{
	uint64_t first, bytes = count_of(a, fs, PMR_OWNER_METADATA, true, &first);

	if (bytes)
		pmr_say(a->scanner->ctx, PMR_ERROR, "boot-block-lost", fs->mountpoint,
			"%" PRIu64
			" bytes ahead of its first block are lost, the first at device offset %" PRIu64
			": the filesystem keeps nothing there, but a boot loader may; where there was one, install it anew, "
			"else have zeros written there; then scan again",
			bytes, first);
}

static void say_log(const struct advice *a, const struct pmr_filesystem *fs)
{
	uint64_t first, bytes = count(a, fs, PMR_OWNER_LOG, &first);

	if (bytes)
		pmr_say(a->scanner->ctx, PMR_ERROR, "log-lost", fs->mountpoint,
			"%" PRIu64 " bytes of its log are lost, the first at device offset %" PRIu64
			": unmount it cleanly, so that nothing needs the log any more, and have it written anew (%s); after "
			"a crash it may not be mounted, and the same costs what only the log has; then scan again",
			bytes, first,
			is_xfs(fs) ? "xfs_repair -L"
				   : "tune2fs -O ^has_journal, e2fsck -f, tune2fs -j");
}

/* Of an ext4 or ext3. mke2fs does not write all of it, but what is bad is cleared as the log comes by. */
static void say_journal(const struct advice *a, const struct pmr_filesystem *fs, uint64_t bytes,
			uint64_t first)
{
	const char *data = fs->of_source ? fs->of_source : "DATA-DEVICE";

	pmr_say(a->scanner->ctx, PMR_ERROR, "log-lost",
		fs->mountpoint ? fs->mountpoint : fs->source,
		"%" PRIu64 " bytes of its log on %s are lost, the first at device offset %" PRIu64
		": unmount it cleanly, so that nothing needs the log any more, and have it made anew (tune2fs -O ^has_journal "
		"%s, e2fsck -f %s, mke2fs -O journal_dev -b BLOCK-SIZE %s, tune2fs -J device=%s %s); after a crash it may not be "
		"mounted, and the same costs what only the log has; then scan again",
		bytes, fs->source, first, data, data, fs->source, fs->source, data);
}

/* Writes that the log goes on with clear what is in their way; it is its filesystem's start after a crash that reads it. */
static void say_external_log(const struct advice *a, const struct pmr_filesystem *fs)
{
	const char *data = fs->of_source ? fs->of_source : "DATA-DEVICE";
	uint64_t first, bytes = count(a, fs, PMR_OWNER_LOG, &first);

	if (bytes && !strcmp(fs->type, "jbd"))
		say_journal(a, fs, bytes, first);
	else if (bytes && fs->mountpoint)
		pmr_say(a->scanner->ctx, PMR_ERROR, "log-lost", fs->mountpoint,
			"%" PRIu64
			" bytes of its log on %s are lost, the first at device offset %" PRIu64
			": unmount it cleanly, so that nothing needs the log any more, and have it written anew (xfs_repair -L "
			"-l %s %s; where that cannot read the end of the log, see \"POISON THAT IS NOT IN A FILE\" in "
			"pmem-recover(7)); after a crash it may not be mounted, and the same costs what only the log has; then scan "
			"again",
			bytes, fs->source, first, fs->source, data);
	else if (bytes)
		pmr_say(a->scanner->ctx, PMR_ERROR, "log-lost", fs->source,
			"holds the log of an XFS that is not mounted here, and %" PRIu64
			" bytes of it are lost, the first at device offset %" PRIu64
			": if it was unmounted cleanly, nothing needs them: have the log written anew (xfs_repair -L -l %s "
			"%s); if not, try to mount it first, and unmount it; where it cannot be mounted, save its files from "
			"-o ro,norecovery before, for the same costs what only the log has",
			bytes, first, fs->source, data);
	bytes = count(a, fs, PMR_OWNER_FREE, &first);
	if (bytes)
		pmr_say(a->scanner->ctx, PMR_WARNING, "poison-in-free-space", fs->source,
			"%" PRIu64 " bad bytes, the first at device offset %" PRIu64
			", are behind the end of the log that it holds: nothing is lost, and nobody reads or writes there",
			bytes, first);
}

static void say_unknown(const struct advice *a, const struct pmr_filesystem *fs)
{
	uint64_t first, bytes = count(a, fs, PMR_OWNER_UNKNOWN, &first);

	if (!bytes || a->scanner->is_interrupted)
		return;
	a->scanner->scan->complete = false;
	pmr_say(a->scanner->ctx, PMR_ERROR, "owner-unknown", fs->mountpoint,
		"%" PRIu64 " bad bytes, the first at device offset %" PRIu64
		", are in no file that was met, and the filesystem "
		"does not tell whose they are: metadata, or a file that could not be looked at%s",
		bytes, first, pmr_owner_advice(fs));
}

/* ---- what is in use by nobody */

/* What was said of logs already. */
static uint64_t count_behind_logs(const struct advice *a)
{
	uint64_t first, bytes = 0;

	for (size_t i = 0; i < a->scanner->n_views; i++) {
		const struct pmr_filesystem *fs = a->scanner->views[i]->filesystem;

		if (fs->device == a->device && fs->role == PMR_ROLE_LOG)
			bytes += count(a, fs, PMR_OWNER_FREE, &first);
	}
	return bytes;
}

static void say_unused(const struct advice *a)
{
	const struct pmr_device *device = a->device;
	const char *object = device->path ? device->path : device->name;
	uint64_t bytes, first;

	bytes = count(a, NULL, PMR_OWNER_FREE, &first) - count_behind_logs(a);
	if (bytes)
		pmr_say(a->scanner->ctx, PMR_WARNING, "poison-in-free-space", object,
			"%" PRIu64
			" bad bytes are in free space: nothing is lost, and they are cleared when a file is written there; "
			"how to have that now says pmem-recover(7)",
			bytes);
	bytes = count(a, NULL, PMR_OWNER_UNWRITTEN, &first);
	if (bytes)
		pmr_say(a->scanner->ctx, PMR_WARNING, "poison-unwritten", object,
			"%" PRIu64
			" bad bytes are in parts of files that hold no data: nothing is lost, and they are cleared when "
			"something is written there",
			bytes);
}

/* ---- what lies around filesystems */

static void say_partitions(const struct advice *a)
{
	uint64_t first, bytes = count(a, NULL, PMR_OWNER_NAMESPACE, &first);

	if (bytes)
		pmr_say(a->scanner->ctx, PMR_ERROR, "outside-partitions",
			a->device->path ? a->device->path : a->device->name,
			"%" PRIu64 " bad bytes, the first at %" PRIu64
			", are outside of its partitions: save the partition "
			"table (sfdisk --dump) while it can be read, and write it anew with sfdisk when it cannot",
			bytes, first);
}

/*
 * The info block is what the namespace is known by, but only when it is enabled. The page map the kernel makes anew then,
 * and clears its poison (nd_pfn_clear_memmap_errors()); until then a machine check there is the kernel's own. A sector
 * namespace has its blocks anywhere.
 */
static const struct part_advice {
	enum pmr_part part;
	bool is_lost;
	const char *code;
	const char *text;
} namespace_advice[] = {
	{ PMR_PART_INFO_BLOCK, true, "namespace-metadata",
	  "in its info block, which tells where its data begins: once it is disabled, as by a reboot, it comes up as another "
	  "device, with its data at another place; save its data now, and note its mode, map and alignment; how the block is "
	  "made anew says \"POISON THAT IS NOT IN A FILE\" in pmem-recover(7)" },
	{ PMR_PART_PAGE_MAP, true, "namespace-metadata",
	  "in its page map, where the kernel keeps book of its pages: no data is lost, but the kernel may take a machine check "
	  "there and stop; save its data, and then disable and enable it, which makes the map anew, see \"POISON THAT IS NOT IN "
	  "A FILE\" in pmem-recover(7)" },
	{ PMR_PART_PADDING, false, "namespace-padding", "where it keeps nothing: nothing is lost" },
	{ PMR_PART_NONE, true, "namespace-metadata", NULL },
};

static const char *get_advice(const struct pmr_device *device, const struct part_advice *advice)
{
	if (advice->text)
		return advice->text;
	return device->mode == PMR_MODE_SECTOR
		       ? "among its blocks, or in its map, log or info block: save its data first, and see \"SECTOR "
			 "MODE\" in pmem-recover(7)"
		       : "in its info block or page map: it may not come up again once it is disabled; save its data first";
}

/*
 * As Linux 6.1 and 6.12 do. An entry of the map or the log that is bad cannot be written either: such writes are atomic, and
 * clear no poison. A log that was zeroed would have block 0 for free. The copy of the info block is ndctl's alone to read.
 */
static const struct btt_word {
	enum pmr_part part;
	const char *text;
} btt_words[] = {
	{ PMR_PART_BTT_INFO,
	  "in the info block of its BTT, or the copy of that: it works until it is disabled, but without the info block it "
	  "comes back as a raw device, or not at all, then or after a reboot; save its data first, and see \"SECTOR MODE\" in "
	  "pmem-recover(7) for how the one is made from the other" },
	{ PMR_PART_BTT_MAP,
	  "in the map of its BTT: where some blocks lie is lost, which can be neither read nor written any more; save all "
	  "other data, and make the namespace anew (ndctl create-namespace -f -e), which loses what it holds" },
	{ PMR_PART_BTT_LOG,
	  "in the log of its BTT: writes fail on some processors or on all, and once it is disabled it does not come up again; "
	  "save its data now, and make the namespace anew (ndctl create-namespace -f -e), which loses what it holds" },
};

static bool is_told_apart(const struct pmr_device *device)
{
	uint64_t first;

	return device->mode == PMR_MODE_SECTOR &&
	       !pmr_namespace_part_bytes(device, PMR_PART_NONE, &first);
}

/* What lies in its blocks was said with its list. */
static void say_btt(const struct advice *a)
{
	const struct pmr_device *device = a->device;
	struct pmr_ctx *ctx = a->scanner->ctx;
	const char *object = device->ns_name;
	uint64_t bytes, first;

	for (size_t i = 0; i < sizeof(btt_words) / sizeof(btt_words[0]); i++) {
		bytes = pmr_namespace_part_bytes(device, btt_words[i].part, &first);
		if (!bytes)
			continue;
		if (a->is_whole)
			a->scanner->scan->metadata_lost = true;
		pmr_say(ctx, a->is_whole ? PMR_ERROR : PMR_WARNING, "namespace-metadata", object,
			"has %" PRIu64 " bad bytes %s", bytes, btt_words[i].text);
	}
	bytes = pmr_namespace_part_bytes(device, PMR_PART_BTT_DATA, &first);
	if (bytes && pmr_namespace_owner(device, PMR_PART_BTT_DATA) == PMR_OWNER_FREE)
		pmr_say(ctx, PMR_WARNING, "poison-in-free-space", object,
			"%" PRIu64
			" bad bytes are in free blocks of its BTT: nothing is lost, and they are cleared when these are to be used",
			bytes);
	bytes = pmr_namespace_part_bytes(device, PMR_PART_BTT_UNUSED, &first);
	if (bytes)
		pmr_say(ctx, PMR_WARNING, "poison-in-free-space", object,
			"%" PRIu64 " bad bytes are where its BTT has nothing: nothing is lost",
			bytes);
}

/* Who asked about a file or a tree alone is warned, and has lost nothing that was asked about. */
static void say_namespace(const struct advice *a)
{
	const struct pmr_device *device = a->device;
	size_t i;

	if (is_told_apart(device)) {
		say_btt(a);
		return;
	}
	for (i = 0; i < sizeof(namespace_advice) / sizeof(namespace_advice[0]); i++) {
		const struct part_advice *advice = &namespace_advice[i];
		bool is_lost = advice->is_lost && a->is_whole;
		uint64_t first, bytes = pmr_namespace_part_bytes(device, advice->part, &first);

		if (!bytes)
			continue;
		if (is_lost)
			a->scanner->scan->metadata_lost = true;
		pmr_say(a->scanner->ctx, is_lost ? PMR_ERROR : PMR_WARNING, advice->code,
			device->ns_name ? device->ns_name : device->name,
			"has %" PRIu64 " bad bytes, the first at offset %" PRIu64 " of it, %s",
			bytes, first, get_advice(device, advice));
	}
}

static bool is_scanned(const struct advice *a, const struct pmr_device *device)
{
	const struct pmr_scan *scan = a->scanner->scan;

	for (size_t i = 0; i < scan->n_devices; i++) {
		if (scan->devices[i] == device)
			return true;
	}
	return false;
}

/* Through no other target: that one is said with what is below it. */
static bool is_below(const struct advice *a, const struct pmr_device *device,
		     const struct pmr_device *upper)
{
	for (size_t i = 0; i < upper->n_lowers; i++) {
		const struct pmr_device *lower = upper->lowers[i];

		if (!is_scanned(a, lower) && (lower == device || is_below(a, device, lower)))
			return true;
	}
	return false;
}

/* What a volume lies on is asked about with it. */
static void say_below(const struct advice *a)
{
	const struct pmr_topology *topology = a->scanner->scan->topology;

	for (size_t i = 0; a->device->n_lowers && i < topology->n_devices; i++) {
		struct advice below = *a;

		below.device = topology->devices[i];
		if (is_below(a, below.device, a->device))
			say_namespace(&below);
	}
}

int pmr_owned_say(struct pmr_scanner *scanner, const struct pmr_device *device, size_t first,
		  bool is_whole)
{
	const struct advice a = { scanner, device, first, is_whole };
	int ret = 0;

	for (size_t i = 0; i < scanner->n_views && !ret; i++) {
		const struct pmr_view *view = scanner->views[i];

		if (view->filesystem->device != device)
			continue;
		if (view->filesystem->role == PMR_ROLE_LOG) {
			say_external_log(&a, view->filesystem);
			continue;
		}
		say_unreplayed(&a, view);
		ret = pmr_parts_say(scanner->ctx, view);
		if (!view->is_whole || !view->filesystem->mountpoint)
			continue;
		say_metadata(&a, view->filesystem);
		say_boot_block(&a, view->filesystem);
		say_log(&a, view->filesystem);
		say_unknown(&a, view->filesystem);
	}
	say_unused(&a);
	say_partitions(&a);
	say_namespace(&a);
	say_below(&a);
	return ret;
}
