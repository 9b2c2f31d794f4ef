/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scrubs of pmr_test, and what its bus says of the last one (ARS). Included by pmr_test.c alone, which has the media, and tells
 * of the controls.
 */
/* What the last scrub found, whatever was cleared since; NULL before the first. */
static unsigned long *found;

static int make_found(void)
{
	if (!found)
		found = vzalloc(BITS_TO_LONGS(sectors()) * sizeof(long));
	return found ? 0 : -ENOMEM;
}

static int add_found(u64 offset, u64 length)
{
	u64 first, end;
	int rc = check_range(offset, length, &first, &end);

	if (rc)
		return rc;
	mutex_lock(&media_lock);
	rc = make_found();
	if (!rc)
		bitmap_set(found, first, end - first);
	mutex_unlock(&media_lock);
	return rc;
}

static void ars_cap(struct nd_cmd_ars_cap *cap)
{
	cap->status = ND_ARS_PERSISTENT << ARS_EXT_STATUS_SHIFT;
	cap->max_ars_out = SZ_32K;
	cap->clear_err_unit = clear_unit;
	cap->flags = 0;
}

static void ars_start(struct nd_cmd_ars_start *ars)
{
	ars->status = 0;
	ars->scrub_time = 1;
}

static unsigned int scrub_ms;
module_param(scrub_ms, uint, 0644);
static struct device *scrub_listener;

static void scrub_ends(struct work_struct *work)
{
	WARN_ON(add_badranges(media));
	mutex_lock(&media_lock);
	if (!make_found())
		bitmap_copy(found, media, sectors());
	mutex_unlock(&media_lock);
	notify();
	scrub_count++;
	scrub_runs = false;
	sysfs_notify(&scrub_listener->kobj, "nfit", "scrub");
}
static DECLARE_DELAYED_WORK(scrub_work, scrub_ends);

static int begin_scrub(struct device *bus_device)
{
	if (!is_ready())
		return -ENODEV;
	if (scrub_runs)
		return -EBUSY;
	scrub_runs = true;
	scrub_listener = bus_device;
	schedule_delayed_work(&scrub_work, msecs_to_jiffies(scrub_ms));
	return 0;
}

/* Extended statuses, as ACPI has them. */
#define ARS_RUNS (1 << ARS_EXT_STATUS_SHIFT)
#define ARS_NEVER_RAN (2 << ARS_EXT_STATUS_SHIFT)
#define ARS_STOPPED (3 << ARS_EXT_STATUS_SHIFT)
#define ARS_IS_CUT 1

static const char *const ars_modes[] = { "ok", "error", "cut", "odd" };
enum { ARS_OK, ARS_ERROR, ARS_CUT, ARS_ODD };
static int ars_mode;

/* No length; past the end of all addresses; nowhere. */
static const struct nd_ars_record odd_records[] = {
	{ .err_address = 0x40000000 },
	{ .err_address = ~0ULL - 511, .length = 4096 },
	{ .err_address = 0x10, .length = 0x10 },
};

static void ars_status(struct nd_cmd_ars_status *ars, unsigned int length)
{
	unsigned int max = (length - sizeof(*ars)) / sizeof(ars->records[0]);
	unsigned long first, end;

	memset(ars, 0, sizeof(*ars));
	ars->out_length = sizeof(*ars);
	ars->status = scrub_runs ? ARS_RUNS : found ? 0 : ARS_NEVER_RAN;
	if (ars->status)
		return;
	if (ars_mode == ARS_ERROR) {
		ars->status = 2;
		return;
	}
	ars->address = start;
	ars->length = size;
	ars->type = ND_ARS_PERSISTENT;
	if (ars_mode == ARS_CUT) {
		ars->status = ARS_STOPPED;
		ars->flags = ARS_IS_CUT;
	} else if (ars_mode == ARS_ODD) {
		memcpy(ars->records, odd_records, sizeof(odd_records));
		ars->num_records = ARRAY_SIZE(odd_records);
	}
	mutex_lock(&media_lock);
	for_each_set_bitrange(first, end, found, sectors())
	{
		if (ars->num_records == max) {
			ars->flags = ARS_IS_CUT;
			break;
		}
		ars->records[ars->num_records++] = (struct nd_ars_record){
			.err_address = start + first * SECTOR,
			.length = (end - first) * SECTOR,
		};
	}
	mutex_unlock(&media_lock);
	ars->out_length = sizeof(*ars) + ars->num_records * sizeof(ars->records[0]);
	if (ars_mode == ARS_ODD)
		ars->num_records = max + 5;
}

static int ars_mode_set(const char *text, const struct kernel_param *kp)
{
	int mode = sysfs_match_string(ars_modes, text);

	if (mode < 0)
		return mode;
	ars_mode = mode;
	return 0;
}

static const struct kernel_param_ops ars_mode_ops = { .set = ars_mode_set };
module_param_cb(ars_mode, &ars_mode_ops, NULL, 0200);
