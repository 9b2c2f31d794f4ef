/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a scan says of a made-up machine: which devices are asked, and whose the poison is that no file claims. */

#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "scan/scan.h"
#include "device/topology.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define MAX_FILESYSTEMS 2

static char pmem0[] = "pmem0", pmem0_path[] = "/dev/pmem0", ns_name[] = "namespace0.0";

struct heard {
	unsigned int n;
	enum pmr_level level;
	char codes[256]; /* each with a blank behind it */
	char text[512]; /* the last */
};

static void hear(void *data, const struct pmr_message *message)
{
	struct heard *heard = data;
	size_t used = strlen(heard->codes);

	heard->n++;
	heard->level = message->level;
	snprintf(heard->codes + used, sizeof(heard->codes) - used, "%s ", message->code);
	snprintf(heard->text, sizeof(heard->text), "%s", message->text);
}

struct world {
	struct pmr_ctx *ctx;
	struct heard heard;
	struct pmr_topology topology;
	struct pmr_device device;
	struct pmr_device *devices[1];
	struct pmr_filesystem filesystem[MAX_FILESYSTEMS];
	struct pmr_filesystem *filesystems[MAX_FILESYSTEMS];
	struct pmr_target target;
	struct pmr_scan scan;
	struct pmr_scanner scanner;
};

/* A namespace that is in use, with a complete and empty list and nothing on it. */
static void set_up(struct world *w)
{
	size_t i;

	memset(w, 0, sizeof(*w));
	assert_int_equal(pmr_new(&w->ctx), 0);
	pmr_set_message_fn(w->ctx, hear, &w->heard);
	w->device.name = pmem0;
	w->device.path = pmem0_path;
	w->device.ns_name = ns_name;
	w->device.mode = PMR_MODE_FSDAX;
	w->device.enabled = true;
	w->device.size = 1 << 20;
	w->device.badblocks.trust = PMR_LIST_COMPLETE;
	w->device.metadata_badblocks.trust = PMR_LIST_COMPLETE;
	w->devices[0] = &w->device;
	w->topology.devices = w->devices;
	w->topology.n_devices = 1;
	w->topology.filesystems = w->filesystems;
	for (i = 0; i < MAX_FILESYSTEMS; i++) {
		w->filesystem[i].device = &w->device;
		w->filesystems[i] = &w->filesystem[i];
	}
	w->target.name = pmem0;
	w->target.path = pmem0;
	w->target.device = &w->device;
	w->scan.topology = &w->topology;
	w->scan.complete = true;
	w->scanner.ctx = w->ctx;
	w->scanner.scan = &w->scan;
	w->scanner.targets = &w->target;
	w->scanner.n_targets = 1;
}

static void tear_down(struct world *w)
{
	size_t i;

	for (i = 0; i < w->scanner.n_views; i++) {
		pmr_ranges_release(&w->scanner.views[i]->wide);
		free(w->scanner.views[i]);
	}
	for (i = 0; i < w->scanner.n_exams; i++) {
		free(w->scanner.exams[i]->pages.v);
		free(w->scanner.exams[i]);
	}
	free(w->scanner.views);
	free(w->scanner.exams);
	pmr_ranges_release(&w->device.badblocks.ranges);
	pmr_ranges_release(&w->device.metadata_badblocks.ranges);
	free(w->scan.owned);
	free(w->scan.devices);
	pmr_unref(w->ctx);
}

static void ask_owners(struct world *w)
{
	w->scan.devices = malloc(sizeof(w->scan.devices[0]));
	assert_non_null(w->scan.devices);
	w->scan.devices[0] = &w->device;
	w->scan.n_devices = 1;
	assert_int_equal(pmr_owned_find(&w->scanner), 0);
}

/* ---- the namespace's own bytes */

static void test_metadata(void **state)
{
	static const struct {
		enum pmr_target_kind kind;
		uint64_t bad;
		bool is_lost;
		unsigned int messages;
		enum pmr_level level;
	} rows[] = {
		{ PMR_TARGET_DEVICE, 0, false, 0, PMR_ERROR },
		{ PMR_TARGET_DEVICE, 512, true, 1, PMR_ERROR },
		{ PMR_TARGET_FILESYSTEM, 512, false, 1, PMR_WARNING },
		{ PMR_TARGET_TREE, 512, false, 1, PMR_WARNING },
		{ PMR_TARGET_FILE, 512, false, 1, PMR_WARNING },
	};
	struct world w;
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		set_up(&w);
		w.target.kind = rows[i].kind;
		if (rows[i].bad)
			assert_int_equal(
				pmr_ranges_add(&w.device.metadata_badblocks.ranges, 0, rows[i].bad),
				0);
		ask_owners(&w);
		assert_int_equal(w.scan.metadata_lost, rows[i].is_lost);
		assert_int_equal(w.heard.n, rows[i].messages);
		assert_string_equal(w.heard.codes, rows[i].messages ? "namespace-metadata " : "");
		assert_int_equal(w.heard.level, rows[i].level);
		assert_true(w.scan.complete);
		tear_down(&w);
	}
}

/* ---- partitions */

/* In whatever order they were met, and the first one of each. */
static void test_names(void **state)
{
	static const uint64_t met[] = { 7, 3, 9, 3, 8, UINT64_MAX, 1, 7, 2 };
	struct pmr_view view = { 0 };
	char name[24];

	(void)state;
	assert_null(pmr_view_name(&view, 1));
	for (size_t i = 0; i < N(met); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		assert_int_equal(pmr_view_add_name(&view, met[i], name), 0);
	}
	assert_int_equal(view.n_names, 7);
	assert_string_equal(pmr_view_name(&view, 1), "6");
	assert_string_equal(pmr_view_name(&view, 3), "1");
	assert_string_equal(pmr_view_name(&view, 7), "0");
	assert_string_equal(pmr_view_name(&view, UINT64_MAX), "5");
	assert_null(pmr_view_name(&view, 0));
	assert_null(pmr_view_name(&view, 5));
	assert_null(pmr_view_name(&view, 10));
	pmr_view_release(&view);
}

static void test_partitions(void **state)
{
	static char ext4[] = "ext4", source[] = "/dev/pmem0p1";
	/* A partition that nothing is known of at 8192, an ext4 that is not mounted at 65536; 4096 bytes each. */
	static const struct {
		enum pmr_target_kind kind;
		uint64_t bad;
		enum pmr_owner owner;
		const char *codes;
		bool complete;
	} rows[] = {
		{ PMR_TARGET_DEVICE, 8192, PMR_OWNER_UNKNOWN, "no-filesystem ", false },
		{ PMR_TARGET_DEVICE, 11776, PMR_OWNER_UNKNOWN, "no-filesystem ", false },
		{ PMR_TARGET_FILESYSTEM, 8192, PMR_OWNER_UNKNOWN, "no-filesystem ", false },
		{ PMR_TARGET_DEVICE, 65536, PMR_OWNER_UNKNOWN, "not-mounted ", false },
		{ PMR_TARGET_FILESYSTEM, 65536, PMR_OWNER_NOT_ASKED, "", true },
		{ PMR_TARGET_DEVICE, 512, PMR_OWNER_NAMESPACE, "outside-partitions ", true },
		{ PMR_TARGET_DEVICE, 12288, PMR_OWNER_NAMESPACE, "outside-partitions ", true },
		{ PMR_TARGET_FILESYSTEM, 512, PMR_OWNER_NOT_ASKED, "", true },
	};
	struct world w;
	size_t i, j;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		set_up(&w);
		w.topology.n_filesystems = 2;
		for (j = 0; j < 2; j++) {
			w.filesystem[j].devno = makedev(4095, j + 1);
			w.filesystem[j].start = j ? 65536 : 8192;
			w.filesystem[j].size = 4096;
			w.filesystem[j].source = source;
		}
		w.filesystem[1].type = ext4;
		w.target.kind = rows[i].kind;
		w.target.filesystem = &w.filesystem[0];
		assert_int_equal(pmr_ranges_add(&w.device.badblocks.ranges, rows[i].bad, 512), 0);
		assert_int_equal(pmr_targets_run(&w.scanner), 0);
		ask_owners(&w);
		assert_int_equal(w.scan.n_owned, 1);
		assert_int_equal(w.scan.owned[0].owner, rows[i].owner);
		assert_string_equal(w.heard.codes, rows[i].codes);
		assert_int_equal(w.scan.complete, rows[i].complete);
		tear_down(&w);
	}
}

/* ---- who is asked */

static void test_all_devices(void **state)
{
	static const struct {
		enum pmr_mode mode;
		bool enabled;
		enum pmr_trust trust;
		size_t n;
		bool complete;
		uint64_t bad;
	} rows[] = {
		{ PMR_MODE_FSDAX, true, PMR_LIST_COMPLETE, 1, true, 0 },
		{ PMR_MODE_DEVDAX, true, PMR_LIST_COMPLETE, 1, true, 0 },
		{ PMR_MODE_FSDAX, true, PMR_LIST_INCOMPLETE, 1, false, 0 },
		{ PMR_MODE_FSDAX, true, PMR_LIST_UNKNOWN, 1, false, 0 },
		{ PMR_MODE_SECTOR, true, PMR_LIST_UNKNOWN, 1, false, 0 },
		/* ... nor is one clean that is disabled */
		{ PMR_MODE_UNKNOWN, false, PMR_LIST_UNKNOWN, 0, false, 0 },
		{ PMR_MODE_UNKNOWN, false, PMR_LIST_INCOMPLETE, 0, false, 0 },
		{ PMR_MODE_NONE, true, PMR_LIST_UNKNOWN, 0, true, 0 },
		/* Of one that is disabled nobody can be asked whose bad blocks are. */
		{ PMR_MODE_UNKNOWN, false, PMR_LIST_COMPLETE, 0, true, 0 },
		{ PMR_MODE_UNKNOWN, false, PMR_LIST_COMPLETE, 0, false, 512 },
	};
	struct world w;
	size_t i;

	(void)state;
	for (i = 0; i < N(rows); i++) {
		set_up(&w);
		w.scanner.targets = NULL;
		w.scanner.n_targets = 0;
		w.device.mode = rows[i].mode;
		w.device.enabled = rows[i].enabled;
		w.device.badblocks.trust = rows[i].trust;
		if (rows[i].bad)
			assert_int_equal(
				pmr_ranges_add(&w.device.badblocks.ranges, 4096, rows[i].bad), 0);
		assert_int_equal(pmr_targets_find(&w.scanner, NULL, 0), 0);
		assert_int_equal(pmr_targets_run(&w.scanner), 0);
		assert_int_equal(w.scanner.n_targets, rows[i].n);
		assert_int_equal(w.scan.n_devices, rows[i].n);
		assert_int_equal(w.scan.complete, rows[i].complete);
		if (rows[i].n) {
			free(w.scanner.targets->name);
			free(w.scanner.targets->path);
		}
		free(w.scanner.targets);
		tear_down(&w);
	}
}

/* A region that is disabled has no namespaces, and no list. */
static void test_all_regions(void **state)
{
	static const struct {
		enum pmr_trust trust;
		bool has_namespace;
		bool complete;
	} rows[] = {
		{ PMR_LIST_UNKNOWN, false, false },
		{ PMR_LIST_UNKNOWN, true, true },
		{ PMR_LIST_COMPLETE, false, true },
	};
	struct pmr_region region = { .name = pmem0 }, *regions[] = { &region };
	struct world w;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		set_up(&w);
		w.scanner.targets = NULL;
		w.scanner.n_targets = 0;
		w.device.mode = PMR_MODE_UNKNOWN;
		w.device.enabled = false;
		w.device.region = rows[i].has_namespace ? &region : NULL;
		w.topology.regions = regions;
		w.topology.n_regions = 1;
		region.badblocks.trust = rows[i].trust;
		assert_int_equal(pmr_targets_find(&w.scanner, NULL, 0), 0);
		assert_int_equal(w.scan.complete, rows[i].complete);
		assert_string_equal(w.heard.codes, rows[i].complete ? "" : "badblocks-unknown ");
		tear_down(&w);
	}
}

/* ---- what XFS would tell */

/* Return: false where the process may not have it. */
static bool change_sys_admin(bool on)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	assert_int_equal(syscall(SYS_capget, &header, data), 0);
	if (on)
		data[0].effective |= data[0].permitted & 1u << CAP_SYS_ADMIN;
	else
		data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
	return !on || data[0].effective & 1u << CAP_SYS_ADMIN;
}

static void test_xfs_advice(void **state)
{
	static char xfs[] = "xfs", nowhere[] = "/nonexistent/mount", source[] = "/dev/pmem0";
	struct world w;
	int i;

	(void)state;
	for (i = 0; i < 2 && change_sys_admin(i); i++) {
		set_up(&w);
		w.topology.n_filesystems = 1;
		w.filesystem[0].type = xfs;
		w.filesystem[0].mountpoint = nowhere;
		w.filesystem[0].source = source;
		w.filesystem[0].size = w.device.size;
		w.target.kind = PMR_TARGET_DEVICE;
		assert_int_equal(pmr_ranges_add(&w.device.badblocks.ranges, 8192, 512), 0);
		assert_int_equal(pmr_targets_run(&w.scanner), 0);
		ask_owners(&w);
		assert_non_null(strstr(w.heard.codes, "owner-unknown "));
		assert_int_equal(!strstr(w.heard.text, "CAP_SYS_ADMIN"), i);
		assert_int_equal(!strstr(w.heard.text, "rmapbt"), !i);
		tear_down(&w);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metadata),    cmocka_unit_test(test_names),
		cmocka_unit_test(test_partitions),  cmocka_unit_test(test_all_devices),
		cmocka_unit_test(test_all_regions), cmocka_unit_test(test_xfs_advice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
