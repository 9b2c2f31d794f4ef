/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a scan says of a made-up machine: which devices are asked, and whose the poison is that no file claims. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scan.h"
#include "topology.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define MAX_FILESYSTEMS 2

static char pmem0[] = "pmem0", pmem0_path[] = "/dev/pmem0", ns_name[] = "namespace0.0";

struct heard {
	unsigned int n;
	enum pmr_level level;
	char codes[256]; /* each with a blank behind it */
};

static void hear(void *data, const struct pmr_message *message)
{
	struct heard *heard = data;
	size_t used = strlen(heard->codes);

	heard->n++;
	heard->level = message->level;
	snprintf(heard->codes + used, sizeof(heard->codes) - used, "%s ", message->code);
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metadata),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
