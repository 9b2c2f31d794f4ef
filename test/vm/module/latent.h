/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Latent poison of pmr_test: what stops the kernel's copies, and keeps pages of a device-dax from being mapped. Included by
 * pmr_test.c alone, which has the media, and says what follows.
 */
/* A copy out of the region, copy_mc_...(to, from, length), ends where the first latent poison begins. */
static int copy_begins(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	u64 offset = regs->si - (unsigned long)phys_to_virt(start);
	unsigned int length = regs->dx, good;
	unsigned long first, end;

	if (offset >= size || !length)
		return 1;
	end = min_t(u64, DIV_ROUND_UP(offset + length, SECTOR), sectors());
	first = find_next_bit(latent, end, offset / SECTOR);
	if (first >= end)
		return 1;
	good = first * SECTOR > offset ? first * SECTOR - offset : 0;
	*(unsigned long *)instance->data = length - good;
	regs->dx = good;
	if (touch_mode)
		follow(first * SECTOR, SECTOR, touch_mode, GFP_ATOMIC);
	return 0;
}

/* What was not copied. */
static int copy_ends(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	regs->ax += *(unsigned long *)instance->data;
	return 0;
}

#define COPY_PROBE(name)                                                                    \
	{                                                                                   \
		.kp.symbol_name = name, .entry_handler = copy_begins, .handler = copy_ends, \
		.data_size = sizeof(unsigned long), .maxactive = 64,                        \
	}
/* One of these is all that copy_mc_to_kernel() and copy_mc_to_user() do, which may begin where no probe can be. */
static struct kretprobe fast = COPY_PROBE("copy_mc_enhanced_fast_string");
static struct kretprobe fragile = COPY_PROBE("copy_mc_fragile");
static struct kretprobe *copies[] = { &fast, &fragile };
/* A page of a device-dax is not mapped where it has latent poison: the kernel is given an address that is none. */
static int insert_begins(struct kprobe *probe, struct pt_regs *regs)
{
	u64 offset = PFN_PHYS(regs->dx & ~PFN_FLAGS_MASK) - start;
	unsigned long first = offset / SECTOR, end = first + PAGE_SIZE / SECTOR;

	if (offset < size && find_next_bit(latent, end, first) < end)
		regs->si = 0;
	return 0;
}

static struct kprobe insert = {
	.symbol_name = "vmf_insert_mixed",
	.pre_handler = insert_begins,
};
static bool copies_are_watched;

/* Not before there is latent poison, as it costs time. */
static int watch_copies(void)
{
	int rc = 0;

	if (!boot_cpu_has(X86_FEATURE_ERMS))
		return -EOPNOTSUPP;
	mutex_lock(&media_lock);
	if (!copies_are_watched) {
		rc = register_kretprobes(copies, ARRAY_SIZE(copies));
		if (!rc)
			rc = register_kprobe(&insert);
		if (rc)
			unregister_kretprobes(copies, ARRAY_SIZE(copies));
		copies_are_watched = !rc;
	}
	mutex_unlock(&media_lock);
	return rc;
}

static int make_latent(u64 offset, u64 length)
{
	u64 first, end;
	int rc = check_range(offset, length, &first, &end);

	if (!rc)
		rc = watch_copies();
	if (rc)
		return rc;
	mutex_lock(&media_lock);
	bitmap_set(media, first, end - first);
	bitmap_set(latent, first, end - first);
	mutex_unlock(&media_lock);
	return 0;
}
