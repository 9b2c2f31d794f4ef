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

/* 0 where nothing is there */
static mode_t mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_mode;
}

static int refuse_one_file(struct pmr_ctx *ctx, const char *backup)
{
	pmr_say(ctx, PMR_ERROR, "backup-not-directory", backup,
		"is one file: name one file or device-dax as the target, or a directory as the backup");
	return -EINVAL;
}

int pmr_plan_check_backup(struct pmr_ctx *ctx, const char *const *targets, size_t n_targets,
			  const struct pmr_repair_options *options)
{
	mode_t target = n_targets == 1 ? mode_of(targets[0]) : 0;
	struct stat st;
	int ret;

	if (!options->backup)
		return 0;
	if (stat(options->backup, &st) < 0) {
		ret = -errno;
		pmr_say(ctx, PMR_ERROR, "no-backup", options->backup,
			"cannot be used as a backup: %s", strerror(-ret));
		return ret;
	}
	/* a device-dax may also go by its namespace's name: what a name is that leads to nothing the scan finds out */
	if (!S_ISDIR(st.st_mode) && (n_targets > 1 || S_ISDIR(target) || S_ISBLK(target)))
		return refuse_one_file(ctx, options->backup);
	return 0;
}

static int check_options(struct pmr_ctx *ctx, const struct pmr_scan *scan,
			 const char *const *targets, size_t n_targets,
			 const struct pmr_repair_options *options)
{
	int ret;

	if (!options->backup == !options->zero_fill)
		return -EINVAL;
	for (size_t i = 0; options->trust_badblocks && i < scan->n_devices; i++)
		if (major(scan->devices[i]->devno) != LOOP_MAJOR) {
			pmr_say(ctx, PMR_ERROR, "trust-badblocks", scan->devices[i]->name,
				"is no loop device: a list is not to be trusted where a read can tell");
			return -EINVAL;
		}
	ret = pmr_plan_check_backup(ctx, targets, n_targets, options);
	if (ret || !options->backup || S_ISDIR(mode_of(options->backup)))
		return ret;
	return n_targets == 1 && (S_ISREG(mode_of(targets[0])) || is_whole(scan))
		       ? 0
		       : refuse_one_file(ctx, options->backup);
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
		ret = pmr_backup_verify(p->ctx, &backup, claim, media, plan, p->options, refused);
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
	struct pmr_extent_list extents = { 0 };
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
	ret = pmr_plan_extents(claim, &extents);
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
	pmr_policy_apply(p->ctx, file, claim, p->options, &policy);
	if (!wants_any(file))
		return 0;
	ret = pmr_policy_choose(p->ctx, plan, p->options->method, &policy);
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
