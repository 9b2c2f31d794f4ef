/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The controls of pmr_test that do something when they are written to. Included by pmr_test.c alone, which has what they do.
 */
/* Calls `make` with the two numbers of "OFFSET,LENGTH". Without the second it is `length`, if that is not 0. */
static int set_range(const char *text, u64 length, int (*make)(u64 offset, u64 length))
{
	char *copy = kstrdup(text, GFP_KERNEL), *rest = copy, *word;
	u64 offset;
	int rc = -EINVAL;

	if (!copy)
		return -ENOMEM;
	word = strsep(&rest, ",");
	if (!kstrtou64(word, 0, &offset) && (rest ? !kstrtou64(rest, 0, &length) : length))
		rc = make(offset, length);
	kfree(copy);
	return rc;
}

static int inject_set(const char *text, const struct kernel_param *kp)
{
	return set_range(text, 0, record);
}

static const struct kernel_param_ops inject_ops = { .set = inject_set };
module_param_cb(inject, &inject_ops, NULL, 0200);

static int latent_set(const char *text, const struct kernel_param *kp)
{
	return set_range(text, SECTOR, make_latent);
}

static const struct kernel_param_ops latent_ops = { .set = latent_set };
module_param_cb(latent, &latent_ops, NULL, 0200);

static int ars_set(const char *text, const struct kernel_param *kp)
{
	return set_range(text, SECTOR, add_found);
}

static const struct kernel_param_ops ars_ops = { .set = ars_set };
module_param_cb(ars, &ars_ops, NULL, 0200);

static int machine_check_set(const char *text, const struct kernel_param *kp)
{
	u64 offset;
	int rc;

	if (kstrtou64(text, 0, &offset))
		return -EINVAL;
	rc = record(round_down(offset, SECTOR), SECTOR);
	return rc ? rc : offline(offset);
}

static const struct kernel_param_ops machine_check_ops = { .set = machine_check_set };
module_param_cb(machine_check, &machine_check_ops, NULL, 0200);

static int scrub_set(const char *text, const struct kernel_param *kp)
{
	int rc;

	if (!is_ready())
		return -ENODEV;
	rc = add_badranges(media);
	notify();
	return rc;
}

static const struct kernel_param_ops scrub_ops = { .set = scrub_set };
module_param_cb(scrub, &scrub_ops, NULL, 0200);

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

static int touch_set(const char *text, const struct kernel_param *kp)
{
	int mode = sysfs_match_string(touch_modes, text);

	if (mode < 0)
		return mode;
	touch_mode = mode;
	return 0;
}

static int touch_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", touch_modes[touch_mode]);
}

static const struct kernel_param_ops touch_ops = { .set = touch_set, .get = touch_get };
module_param_cb(touch, &touch_ops, NULL, 0644);

static int pretend_set(const char *text, const struct kernel_param *kp)
{
	bool pretend;
	int rc = kstrtobool(text, &pretend);

	if (!rc) {
		bus_desc.ndctl = pretend ? NULL : bus_command;
		bus_desc.cmd_mask = pretend ? 0 : COMMANDS;
	}
	return rc;
}

static const struct kernel_param_ops pretend_ops = { .set = pretend_set };
module_param_cb(pretend, &pretend_ops, NULL, 0200);
