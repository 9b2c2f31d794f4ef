/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of a repair is tried ahead of it: on which devices, and what is said of it. The devices are made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define pmr_journal_check fake_journal_check
#define pmr_media_close fake_close
#define pmr_media_confirm fake_confirm
#define pmr_media_open fake_open
#include "repair/check.c"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static unsigned int tried, n_readable, n_not_tried;

int fake_journal_check(struct pmr_ctx *ctx, const char *directory, const struct pmr_plan *plan)
{
	(void)ctx, (void)directory, (void)plan;
	return 0;
}

int fake_open(struct pmr_ctx *ctx, const struct pmr_device *device, struct pmr_media **media)
{
	(void)ctx, (void)device, (void)media;
	tried++;
	return 0;
}

void fake_close(struct pmr_media *media)
{
	assert_null(media);
}

/* All of it can be read. */
int fake_confirm(struct pmr_media *media, uint64_t offset, uint64_t length,
		 struct pmr_ranges *failing)
{
	(void)media, (void)offset, (void)length, (void)failing;
	return 0;
}

static void hear(void *data, const struct pmr_message *message)
{
	(void)data;
	n_readable += !strcmp(message->code, "readable");
	n_not_tried += !strcmp(message->code, "not-tried");
}

static void test_check(void **state)
{
	static struct pmr_device disk = { .mode = PMR_MODE_NONE },
				 pmem = { .mode = PMR_MODE_FSDAX };
	static struct pmr_device *disks[] = { &disk }, *both[] = { &disk, &pmem };
	static struct pmr_device on_disk = { .mode = PMR_MODE_MAPPED,
					     .lowers = disks,
					     .n_lowers = 1 };
	static struct pmr_device on_both = { .mode = PMR_MODE_MAPPED,
					     .lowers = both,
					     .n_lowers = 2 };
	static struct pmr_device *on_disks[] = { &on_disk }, *on_boths[] = { &on_disk, &on_both };
	static const struct {
		const char *what;
		struct pmr_device device;
		bool tried;
	} rows[] = {
		{ "a disk", { .mode = PMR_MODE_NONE }, true },
		{ "PMEM", { .mode = PMR_MODE_FSDAX }, false },
		{ "a volume over a disk",
		  { .mode = PMR_MODE_MAPPED, .lowers = disks, .n_lowers = 1 },
		  true },
		{ "over both", { .mode = PMR_MODE_MAPPED, .lowers = both, .n_lowers = 2 }, false },
		{ "over a volume",
		  { .mode = PMR_MODE_MAPPED, .lowers = on_disks, .n_lowers = 1 },
		  true },
		{ "over two",
		  { .mode = PMR_MODE_MAPPED, .lowers = on_boths, .n_lowers = 2 },
		  false },
		{ "over what is not known", { .mode = PMR_MODE_MAPPED }, false },
	};
	const struct pmr_repair_options options = { 0 };
	struct pmr_ctx *ctx;

	(void)state;
	assert_int_equal(pmr_new(&ctx), 0);
	pmr_set_message_fn(ctx, hear, NULL);
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_device device = rows[i].device;
		struct pmr_filesystem filesystem = { .device = &device };
		/* over three chunks */
		struct pmr_loss losses[] = { { .length = 512 },
					     { .offset = PMR_CHUNK, .length = 512 },
					     { .offset = 2 * PMR_CHUNK, .length = 512 } };
		struct pmr_file file = { .path = (char[]){ "f" },
					 .losses = losses,
					 .n_losses = N(losses),
					 .filesystem = &filesystem };
		struct pmr_step step = { .length = 3 * PMR_CHUNK, .n_losses = N(losses) };
		struct pmr_file_plan plans[] = { { .file = &file, .steps = &step, .n_steps = 1 } };
		struct pmr_plan plan = { .files = plans, .n_files = 1, .n_steps = 1 };

		device.from_file = true;
		tried = n_readable = n_not_tried = 0;
		assert_int_equal(pmr_repair_check(ctx, &plan, &options), 0);
		if (tried != rows[i].tried || n_not_tried == tried)
			fail_msg("%s: tried: %u", rows[i].what, tried);
		/* once of a step, which is left from there on */
		assert_int_equal(n_readable, tried);
		for (size_t k = 0; k < N(losses); k++)
			assert_int_equal(losses[k].state, tried ? PMR_SKIPPED : PMR_LOST);
	}
	pmr_unref(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
