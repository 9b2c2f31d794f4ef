/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plan for a whole scan: each damaged file is claimed for a moment, refused by name or given its steps and backup.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "repair.h"
#include "device/topology.h"

#define LOOP_MAJOR 7 /* linux/major.h */

struct prepare {
	struct pmr_ctx *ctx;
	const char *const *targets;
	size_t n_targets;
	const struct pmr_repair_options *options;
	struct pmr_plan *plan;
};

/* Whether all that was scanned is one device-dax. */
static bool is_whole(const struct pmr_scan *scan)
{
	return scan->n_devices == 1 && pmr_device_is_dax(scan->devices[0]);
}

/* A journal is of files or of device-dax: one of both could not be resumed, and that of files has to be. */
static int check_mixed(struct pmr_ctx *ctx, const struct pmr_scan *scan)
{
	const struct pmr_file *whole = NULL, *file = NULL;

	for (size_t i = 0; i < scan->n_files; i++) {
		if (!scan->files[i]->n_losses)
			continue;
		if (scan->files[i]->whole_device)
			whole = scan->files[i];
		else
			file = scan->files[i];
	}
	if (!whole || !file)
		return 0;
	pmr_say(ctx, PMR_ERROR, "device-dax", whole->path,
		"is device-dax, and is not repaired together with files, such as %s, whose repair could be resumed: repair it "
		"by itself",
		file->path);
	return -EINVAL;
}

static int check_options(struct pmr_ctx *ctx, const struct pmr_scan *scan,
			 const char *const *targets, size_t n_targets,
			 const struct pmr_repair_options *options)
{
	struct stat st, target;

	if (!options->backup == !options->zero_fill)
		return -EINVAL;
	for (size_t i = 0; options->trust_badblocks && i < scan->n_devices; i++)
		if (major(scan->devices[i]->devno) != LOOP_MAJOR) {
			pmr_say(ctx, PMR_ERROR, "trust-badblocks", scan->devices[i]->name,
				"is no loop device: a list is not to be trusted where a read can tell");
			return -EINVAL;
		}
	if (check_mixed(ctx, scan))
		return -EINVAL;
	if (!options->backup)
		return 0;
	if (stat(options->backup, &st) < 0) {
		int ret = -errno;

		pmr_say(ctx, PMR_ERROR, "no-backup", options->backup,
			"cannot be used as a backup: %s", strerror(-ret));
		return ret;
	}
	/* a device-dax may also go by its namespace's name */
	if (!S_ISDIR(st.st_mode) &&
	    (n_targets != 1 ||
	     ((stat(targets[0], &target) < 0 || !S_ISREG(target.st_mode)) && !is_whole(scan)))) {
		pmr_say(ctx, PMR_ERROR, "backup-not-directory", options->backup,
			"is one file: name one file or device-dax as the target, or a directory as the backup");
		return -EINVAL;
	}
	return 0;
}

struct extent_list {
	struct pmr_extent *v;
	size_t n;
	size_t alloc;
};

/* XFS cuts what it lists to the range asked for, so pieces of one extent come in more than one listing */
static int add_extent(struct extent_list *list, const struct pmr_extent *e)
{
	struct pmr_extent *last = list->n ? &list->v[list->n - 1] : NULL;
	int ret;

	if (last && e->offset < last->offset + last->length) {
		if (e->offset + e->length > last->offset + last->length &&
		    e->physical - last->physical == e->offset - last->offset)
			last->length = e->offset + e->length - last->offset;
		return 0;
	}
	ret = pmr_grow(&list->v, list->n, &list->alloc, sizeof(*list->v));
	if (!ret)
		list->v[list->n++] = *e;
	return ret;
}

/* the extents under [from, to), of a listing that goes on behind it: what reaches further is kept in @e */
static int take_extents(struct pmr_extents *listing, struct pmr_extent *e, uint64_t from,
			uint64_t to, struct extent_list *list)
{
	int ret;

	for (;;) {
		if (e->offset + e->length <= from) {
			ret = pmr_extents_next(listing, e);
			if (ret != 1)
				return ret;
			continue;
		}
		if (e->offset >= to)
			return 0;
		ret = add_extent(list, e);
		if (ret || e->offset + e->length >= to)
			return ret;
		from = e->offset + e->length;
	}
}

/* Every extent under the pages of the losses that are wanted, sorted by offset; what lies near together is listed at once. */
static int wanted_extents(const struct pmr_claim *claim, struct extent_list *list)
{
	const struct pmr_file *file = claim->file;
	struct pmr_extents *listing = NULL;
	const struct pmr_loss *loss;
	uint64_t from, to, end = 0;
	struct pmr_extent e;
	int ret = 0;

	for (size_t i = 0; !ret && i < file->n_losses; i++) {
		loss = &file->losses[i];
		if (!pmr_plan_wants(file, loss))
			continue;
		from = loss->offset - loss->offset % PMR_PAGE;
		to = loss->offset + loss->length + PMR_PAGE - 1;
		to -= to % PMR_PAGE;
		if (to > end) {
			pmr_extents_close(listing);
			listing = NULL;
			e = (struct pmr_extent){ 0 };
			end = to - from > PMR_PLACES ? to : from + PMR_PLACES;
			ret = pmr_extents_open(claim->fd, from, end - from, true, &listing);
		}
		if (!ret)
			ret = take_extents(listing, &e, from, to, list);
	}
	pmr_extents_close(listing);
	return ret;
}

/* The steps of one claimed file; refused where no backup that can be believed is there for them. */
static int prepare_backup(struct prepare *p, const struct pmr_claim *claim, struct pmr_media *media,
			  struct pmr_file_plan *plan, const char **refused)
{
	struct pmr_backup backup = { .fd = -1 };
	int ret;

	ret = pmr_backup_path(plan->file, p->targets, p->n_targets, p->options, &plan->backup);
	if (ret == -ENOMEM)
		return ret;
	if (ret == -ENOENT) {
		pmr_say(p->ctx, PMR_ERROR, "no-backup", plan->file->path,
			"does not lie below %s under this name: name the directory that the backup stands for "
			"with --backup-root",
			p->options->backup_root		     ? p->options->backup_root
			: plan->file->filesystem->mountpoint ? plan->file->filesystem->mountpoint
							     : "a mountpoint");
		*refused = "no-backup";
		return -EINVAL;
	}
	if (ret) {
		pmr_say(p->ctx, PMR_ERROR, "no-backup", plan->file->path,
			"has no backup below %s: %s", p->options->backup, strerror(-ret));
		*refused = "no-backup";
		return -EINVAL;
	}
	ret = pmr_backup_open(p->ctx, plan->backup, claim, &backup, refused);
	if (!ret)
		ret = pmr_backup_verify(p->ctx, &backup, claim, media, plan,
					p->options->verify_backup, refused);
	plan->backup_inode = backup.inode;
	plan->backup_change_time = backup.change_time;
	pmr_backup_close(&backup);
	return ret;
}

static int prepare_claimed(struct prepare *p, const struct pmr_claim *claim,
			   const struct pmr_policy *policy, struct pmr_file_plan *plan,
			   const char **refused)
{
	struct pmr_file *file = plan->file;
	struct extent_list extents = { 0 };
	struct pmr_media *media = NULL;
	int ret;

	ret = pmr_media_open(p->ctx, file->filesystem->device, &media);
	if (ret) {
		pmr_say(p->ctx, PMR_ERROR, "no-device-access", file->filesystem->device->name,
			"cannot be read to save the good sectors around the damage: %s; run as root",
			strerror(-ret));
		*refused = "no-device-access";
		return ret == -ENOMEM ? ret : -EINVAL;
	}
	ret = wanted_extents(claim, &extents);
	if (ret && ret != -ENOMEM) {
		pmr_say(p->ctx, PMR_ERROR, "no-extents", file->path,
			"its extents cannot be listed: %s", strerror(-ret));
		*refused = "no-extents";
		ret = -EINVAL;
	}
	if (!ret)
		ret = pmr_plan_steps(file, policy, extents.v, extents.n, &plan->steps,
				     &plan->n_steps);
	if (!ret && plan->n_steps && p->options->backup)
		ret = prepare_backup(p, claim, media, plan, refused);
	free(extents.v);
	pmr_media_close(media);
	return ret;
}

static bool wants_any(const struct pmr_file *file)
{
	for (size_t i = 0; i < file->n_losses; i++)
		if (pmr_plan_wants(file, &file->losses[i]))
			return true;
	return false;
}

static const char *first_reason(const struct pmr_file *file)
{
	for (size_t i = 0; i < file->n_losses; i++)
		if (file->losses[i].state == PMR_SKIPPED)
			return file->losses[i].reason;
	return NULL;
}

/* what is left by policy is said once for each file and reason */
static void say_left(struct pmr_ctx *ctx, const struct pmr_file *file)
{
	static const struct {
		const char *reason, *text;
	} texts[] = {
		{ "shared",
		  "has damaged blocks shared by reflink, which a write through one file cannot clear: leave the method to "
		  "auto on a filesystem mounted DAX, or copy the file to unshared blocks from a backup" },
		{ "page-offlined",
		  "has pages that the kernel took offline after a machine check: reboot to get their "
		  "good sectors back, or take the whole pages from the backup with --accept-offlined (in place, not by a punch "
		  "or through the device, and not in use or shared)" },
		{ "no-sibling",
		  "has pages of which every sector is bad or one block: the kernel might crash on a write of them through the "
		  "device; stop who uses the file and repair it without --online or --method=device, and copy what is shared "
		  "by reflink to unshared blocks from a backup" },
		{ "not-dax",
		  "is not mounted DAX: its page cache would hide what is written through the device; leave the method to auto, "
		  "and stop who uses the file" },
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

	for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++)
		for (size_t i = 0; i < file->n_losses; i++)
			if (file->losses[i].state == PMR_SKIPPED && file->losses[i].reason &&
			    !strcmp(file->losses[i].reason, texts[t].reason)) {
				pmr_say(ctx, PMR_WARNING, texts[t].reason, file->path, "%s",
					texts[t].text);
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
static const char *refuse_device(struct prepare *p, const struct pmr_file *file,
				 const struct pmr_policy *policy)
{
	const struct pmr_freezer *freezer = pmr_ctx_freezer(p->ctx);
	const struct pmr_filesystem *filesystem = file->filesystem;
	struct pmr_media *media = NULL;
	const char *reason = NULL;

	if (!file->dax)
		return policy->wanted == PMR_METHOD_AUTO && !policy->in_use ? "shared" : "not-dax";
	if (!freezer)
		return "no-freezer";
	if (freezer->refuses)
		reason = freezer->refuses(freezer->data, filesystem->devno);
	if (!reason && pmr_media_open_writable(p->ctx, filesystem->device, &media))
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

static void apply_policy(struct prepare *p, struct pmr_file *file, const struct pmr_claim *claim,
			 struct pmr_policy *policy)
{
	*policy = (struct pmr_policy){
		.wanted = p->options->method,
		/* a page that is not mapped must not come to free space: the kernel may oops when it is written next */
		.accept_offlined =
			p->options->accept_offlined && p->options->method != PMR_METHOD_PUNCH,
		.in_use = claim->in_use,
		.block = file->filesystem->device->logical_block,
	};
	leave_btt(file);
	if (wants_by(file, policy, true))
		policy->no_device = refuse_device(p, file, policy);
	pmr_plan_policy(file, policy);
	say_left(p->ctx, file);
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
static int choose_method(struct prepare *p, struct pmr_file_plan *plan, struct pmr_policy *policy)
{
	int ret = 0;

	plan->method = PMR_METHOD_DEVICE;
	if (wants_by(plan->file, policy, false))
		ret = pmr_method_choose(p->ctx, plan, p->options->method, &plan->refused);
	if (ret && wants_by(plan->file, policy, true)) {
		leave_rest(plan->file, policy, plan->refused);
		plan->refused = NULL;
		plan->method = PMR_METHOD_DEVICE;
		ret = 0;
	}
	policy->rest = plan->method;
	return ret;
}

/* @claim: taken where that could be */
static int prepare_wanted(struct prepare *p, struct pmr_claim *claim, struct pmr_file_plan *plan)
{
	struct pmr_file *file = plan->file;
	struct pmr_policy policy;
	int ret = 0;

	/* who has it open decides what may be written how */
	if (p->options->online)
		ret = pmr_claim_take(p->ctx, file, true, claim, &plan->refused);
	if (ret)
		return ret;
	plan->in_use = claim->in_use;
	apply_policy(p, file, claim, &policy);
	if (!wants_any(file))
		return 0;
	ret = choose_method(p, plan, &policy);
	if (!ret && claim->fd < 0)
		ret = pmr_claim_take(p->ctx, file, false, claim, &plan->refused);
	return ret ? ret : prepare_claimed(p, claim, &policy, plan, &plan->refused);
}

static int prepare_file(struct prepare *p, struct pmr_file_plan *plan)
{
	struct pmr_claim claim = { .fd = -1 };
	struct pmr_file *file = plan->file;
	int ret;

	ret = pmr_plan_split_tail(file);
	if (ret)
		return ret;
	plan->refused = NULL;
	if (!wants_any(file)) {
		plan->refused = first_reason(file);
		return 0;
	}
	ret = file->whole_device
		      ? pmr_whole_prepare(p->ctx, p->targets, p->n_targets, p->options, plan)
		      : prepare_wanted(p, &claim, plan);
	pmr_claim_release(&claim);
	if (ret == -ENOMEM)
		return ret;
	if (plan->refused) {
		pmr_plan_skip(file, plan->refused);
		free(plan->steps);
		plan->steps = NULL;
		plan->n_steps = 0;
	} else if (!plan->n_steps) {
		plan->refused = first_reason(file);
	}
	return ret == -EINVAL || ret == -EBUSY ? 0 : ret;
}

static void add_up(struct pmr_plan *plan, const struct pmr_file_plan *file_plan)
{
	const struct pmr_file *file = file_plan->file;

	plan->n_steps += file_plan->n_steps;
	for (size_t i = 0; i < file_plan->n_steps; i++)
		plan->bytes += file_plan->steps[i].length;
	for (size_t i = 0; file_plan->n_steps && i < file->n_losses; i++)
		if (file->losses[i].state == PMR_LOST || file->losses[i].state == PMR_CACHED)
			plan->lost_bytes += file->losses[i].length;
}

/* what a punch costs is said once, before anything is written */
static void say_cost(const struct prepare *p)
{
	const struct pmr_file_plan *plan;

	for (size_t i = 0; i < p->plan->n_files; i++) {
		plan = &p->plan->files[i];
		if (!plan->n_steps || plan->method != PMR_METHOD_PUNCH)
			continue;
		pmr_say(p->ctx, PMR_WARNING, "punch-cost", plan->file->filesystem->device->name,
			"punching moves the damaged blocks: the files may fragment, and the poison stays in free space until "
			"those blocks are written; a power cut between punch and write leaves the bytes in the journal alone");
		return;
	}
}

int pmr_plan_new(struct pmr_ctx *ctx, struct pmr_scan *scan, const char *const *targets,
		 size_t n_targets, const struct pmr_repair_options *options, struct pmr_plan **plan)
{
	struct prepare p = { ctx, targets, n_targets, options, NULL };
	int ret;

	ret = check_options(ctx, scan, targets, n_targets, options);
	if (ret)
		return ret;
	p.plan = calloc(1, sizeof(*p.plan));
	if (!p.plan)
		return -ENOMEM;
	p.plan->scan = scan;
	p.plan->files = calloc(scan->n_files ? scan->n_files : 1, sizeof(*p.plan->files));
	if (!p.plan->files) {
		ret = -ENOMEM;
		goto fail;
	}
	pmr_method_try(ctx, scan);
	for (size_t i = 0; i < scan->n_files; i++) {
		struct pmr_file_plan *file_plan = &p.plan->files[p.plan->n_files];

		if (!scan->files[i]->n_losses)
			continue;
		file_plan->file = scan->files[i];
		p.plan->n_files++;
		if (pmr_is_cancelled(ctx)) {
			scan->complete = false;
			pmr_plan_skip(file_plan->file, "interrupted");
			file_plan->refused = "interrupted";
			continue;
		}
		ret = prepare_file(&p, file_plan);
		if (ret)
			goto fail;
	}
	ret = pmr_plan_owners(ctx, p.plan);
	if (ret)
		goto fail;
	for (size_t i = 0; i < p.plan->n_files; i++)
		add_up(p.plan, &p.plan->files[i]);
	say_cost(&p);
	*plan = p.plan;
	return 0;
fail:
	pmr_plan_free(p.plan);
	return ret;
}

void pmr_plan_free(struct pmr_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->n_files; i++) {
		free(plan->files[i].backup);
		free(plan->files[i].steps);
	}
	free(plan->files);
	if (plan->release_resume)
		plan->release_resume(plan->resume);
	free(plan->journal);
	free(plan);
}
