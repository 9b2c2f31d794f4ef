/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What may be written of a file, by what was asked for and by what lies below: what is left says why, the rest gets its method.
 */
#include <string.h>

#include "repair.h"
#include "device/topology.h"

static const struct {
	const char *reason, *text;
} texts[] = {
	{ "shared",
	  "has damaged blocks shared by reflink, which a write through one file cannot clear: leave the method to "
	  "auto, or copy the file to unshared blocks from a backup" },
	{ "page-offlined",
	  "has pages that the kernel took offline after a machine check: reboot to get their "
	  "good sectors back, or take the whole pages from the backup with --accept-offlined (in place, not by a punch "
	  "or through the device, and not in use or shared)" },
	{ "no-sibling",
	  "has pages of which every sector is bad or one block: the kernel might crash on a write of them through the "
	  "device; stop who uses the file and repair it without --online or --method=device, and copy what is shared "
	  "by reflink to unshared blocks from a backup" },
	{ "not-dax",
	  "is not mounted DAX: its page cache would hide what is written through the device; stop who uses the file, "
	  "and repair it without --online and --method=device" },
	{ "no-freezer",
	  "would have to be written through its device while its filesystem is frozen, and this program cannot freeze "
	  "it: use pmem-recover repair" },
	{ "root-filesystem",
	  "lies on the root filesystem, which must not be frozen by a program that runs from it: repair it from a rescue "
	  "system" },
	{ "output-on-target",
	  "lies on the filesystem that this program's output goes to, so it must not be frozen: send the output "
	  "elsewhere" },
	{ "journal-on-target",
	  "lies on the filesystem of the journal, so it must not be frozen: name another place with --journal" },
	{ "btt-map",
	  "has blocks whose place is lost with the map of their BTT, so that they can be neither read nor written: save "
	  "what else the namespace holds, make it anew (ndctl create-namespace -f -e), and restore it as a whole" },
	{ "btt-log",
	  "lies on a BTT whose log is damaged, so that writes may fail: save what the namespace holds, make it anew (ndctl "
	  "create-namespace -f -e), and restore it as a whole" },
	{ "btt-no-clear",
	  "lies on a BTT whose bus cannot clear poison: with the block that a write leaves to be cleared, the kernel may "
	  "hang; copy what can be read with pmem-recover salvage" },
	{ "btt-unknown",
	  "lies on a BTT of which it is not known what the poison took of its map and log, so that writes may fail: run as "
	  "root, and copy what can be read with pmem-recover salvage" },
	{ "no-memory", "is left, for there is not enough memory to look at what is below" },
	{ "device-not-writable",
	  "would have to be written through its device, which may not be opened for writing: run as root; a kernel built "
	  "without CONFIG_BLK_DEV_WRITE_MOUNTED wants bdev_allow_write_mounted=1 at boot" },
};

/* Without DAX nothing is written through the device, whatever the method. */
static const char shared_text[] =
	"has damaged blocks shared by reflink, which a write through one file cannot clear, and is not mounted DAX, so that "
	"they cannot be written through the device: restore each file that shares them from a backup, as a new file";

static const char *text_of(const struct pmr_file *file, size_t t)
{
	return !file->dax && !strcmp(texts[t].reason, "shared") ? shared_text : texts[t].text;
}

/* what is left by policy is said once for each file and reason */
static void say_left(struct pmr_ctx *ctx, const struct pmr_file *file)
{
	for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++)
		for (size_t i = 0; i < file->n_losses; i++)
			if (file->losses[i].state == PMR_SKIPPED && file->losses[i].reason &&
			    !strcmp(file->losses[i].reason, texts[t].reason)) {
				pmr_say(ctx, PMR_WARNING, texts[t].reason, file->path, "%s",
					text_of(file, t));
				break;
			}
}

/* Whether the losses that are wanted include some by the device, or some that are not. */
static bool wants_by(const struct pmr_file *file, const struct pmr_policy *policy, bool device)
{
	for (size_t i = 0; i < file->n_losses; i++)
		if (pmr_plan_wants(file, &file->losses[i]) &&
		    pmr_plan_by_device(file, policy, i) == device)
			return true;
	return false;
}

/* Why nothing of a file can be written through the device, or NULL. */
static const char *refuse_device(struct pmr_ctx *ctx, const struct pmr_file *file,
				 const struct pmr_policy *policy)
{
	const struct pmr_freezer *freezer = pmr_ctx_freezer(ctx);
	const struct pmr_filesystem *filesystem = file->filesystem;
	struct pmr_media *media = NULL;
	const char *reason = NULL;

	if (!file->dax)
		return policy->wanted == PMR_METHOD_AUTO && !policy->in_use ? "shared" : "not-dax";
	if (!freezer)
		return "no-freezer";
	if (freezer->refuses)
		reason = freezer->refuses(freezer->data, filesystem->devno);
	if (!reason && pmr_media_open_writable(ctx, filesystem->device, &media))
		reason = "device-not-writable";
	pmr_media_close(media);
	return reason;
}

static void leave_btt(struct pmr_file *file)
{
	for (size_t i = 0; i < file->n_losses; i++) {
		struct pmr_loss *loss = &file->losses[i];
		const char *reason;

		if (!pmr_plan_wants(file, loss))
			continue;
		reason = pmr_btt_refuses(file->filesystem->device, loss->device_offset,
					 loss->length);
		if (!reason)
			continue;
		loss->state = PMR_SKIPPED;
		loss->reason = reason;
	}
}

void pmr_policy_apply(struct pmr_ctx *ctx, struct pmr_file *file, const struct pmr_claim *claim,
		      const struct pmr_repair_options *options, struct pmr_policy *policy)
{
	*policy = (struct pmr_policy){
		.wanted = options->method,
		/* a page that is not mapped must not come to free space: the kernel may oops when it is written next */
		.accept_offlined = options->accept_offlined && options->method != PMR_METHOD_PUNCH,
		.in_use = claim->in_use,
		.block = file->filesystem->device->logical_block,
	};
	leave_btt(file);
	if (wants_by(file, policy, true))
		policy->no_device = refuse_device(ctx, file, policy);
	pmr_plan_policy(file, policy);
	say_left(ctx, file);
}

static void leave_rest(struct pmr_file *file, const struct pmr_policy *policy, const char *reason)
{
	for (size_t i = 0; i < file->n_losses; i++) {
		if (!pmr_plan_wants(file, &file->losses[i]) || pmr_plan_by_device(file, policy, i))
			continue;
		file->losses[i].state = PMR_SKIPPED;
		file->losses[i].reason = reason;
	}
}

/* The method of what does not go by device, where there is such; where it has none, the others still go. */
int pmr_policy_choose(struct pmr_ctx *ctx, struct pmr_file_plan *plan, enum pmr_method wanted,
		      struct pmr_policy *policy)
{
	int ret = 0;

	plan->method = PMR_METHOD_DEVICE;
	if (wants_by(plan->file, policy, false))
		ret = pmr_method_choose(ctx, plan, wanted, &plan->refused);
	if (ret && wants_by(plan->file, policy, true)) {
		leave_rest(plan->file, policy, plan->refused);
		plan->refused = NULL;
		plan->method = PMR_METHOD_DEVICE;
		ret = 0;
	}
	policy->rest = plan->method;
	return ret;
}
