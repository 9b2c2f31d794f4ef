/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What became of zeros in a device-dax, whose bytes are all that tells. The device is made up. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define pmr_device_is_dax fake_is_dax
#define pmr_media_close fake_close
#define pmr_media_open fake_open
#define pmr_media_salvage fake_salvage
#include "memory/zeroed-look.c"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define SIZE (4 * PMR_PAGE)
#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static char bytes[SIZE];
static struct pmr_range unreadable;
static bool is_dax;
static int open_fails, salvage_fails;

bool fake_is_dax(const struct pmr_device *device)
{
	(void)device;
	return is_dax;
}

int fake_open(struct pmr_ctx *ctx, const struct pmr_device *device, struct pmr_media **media)
{
	(void)ctx, (void)device, (void)media;
	return open_fails;
}

void fake_close(struct pmr_media *media)
{
	assert_null(media);
}

/* What cannot be read comes as something. */
int fake_salvage(struct pmr_media *media, uint64_t offset, uint64_t length,
		 const struct pmr_ranges *listed, void *buffer, struct pmr_ranges *bad)
{
	const struct pmr_ranges all = { &unreadable, unreadable.length ? 1 : 0, 1 };
	size_t first = bad->n;

	(void)media, (void)listed;
	assert_true(offset + length <= SIZE);
	if (salvage_fails)
		return salvage_fails;
	memcpy(buffer, bytes + offset, (size_t)length);
	assert_int_equal(pmr_ranges_clip(bad, &all, offset, length), 0);
	for (size_t i = first; i < bad->n; i++)
		memset((char *)buffer + (bad->v[i].offset - offset), 0x5a,
		       (size_t)bad->v[i].length);
	return 0;
}

static void test_whole(void **state)
{
	static const struct {
		const char *what;
		uint64_t stored; /* a byte there is another's; 0 for none */
		struct pmr_range unreadable;
		int open_fails, salvage_fails;
		bool is_other, is_disabled, is_resized;
		enum pmr_zeroed_file now;
		const char *differences;
	} rows[] = {
		{ "as it was", .now = PMR_ZEROED_FILE_SAME },
		{ "the first byte", .stored = 512, .now = PMR_ZEROED_FILE_CHANGED,
		  .differences = "bytes" },
		{ "the last, in its second page", .stored = 512 + PMR_PAGE + 511,
		  .now = PMR_ZEROED_FILE_CHANGED, .differences = "bytes" },
		{ "the other range alone", .stored = 3 * PMR_PAGE + 7,
		  .now = PMR_ZEROED_FILE_CHANGED, .differences = "bytes" },
		{ "beside them", .stored = 511, .now = PMR_ZEROED_FILE_SAME },
		{ "behind them", .stored = 1024 + PMR_PAGE, .now = PMR_ZEROED_FILE_SAME },
		/* bad again: that is nobody's store */
		{ "bad in the middle", .unreadable = { 1024, 512 }, .now = PMR_ZEROED_FILE_SAME },
		{ "bad over both ends", .unreadable = { 0, SIZE }, .now = PMR_ZEROED_FILE_SAME },
		{ "bad, and stored to beside that", .unreadable = { 1024, 512 }, .stored = 1536,
		  .now = PMR_ZEROED_FILE_CHANGED, .differences = "bytes" },
		{ "it cannot be opened", .open_fails = -EACCES, .now = PMR_ZEROED_FILE_UNKNOWN },
		{ "it cannot be read", .salvage_fails = -EIO, .now = PMR_ZEROED_FILE_UNKNOWN },
		{ "another namespace's", .is_other = true, .now = PMR_ZEROED_FILE_GONE },
		{ "in another mode, or disabled", .is_disabled = true,
		  .now = PMR_ZEROED_FILE_GONE },
		{ "another size", .is_resized = true, .now = PMR_ZEROED_FILE_CHANGED,
		  .differences = "size" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_device device = {
			.name = (char *)"dax7.0",
			.ns_name = (char *)"namespace7.0",
			.ns_uuid = (char *)(rows[i].is_other ? "f" UUID : UUID),
			.size = rows[i].is_resized ? 2 * SIZE : SIZE,
		};
		struct pmr_device *devices[] = { &device };
		const struct pmr_topology topology = { .devices = devices, .n_devices = 1 };
		struct pmr_zeros_range ranges[] = {
			{ .at = { .offset = 512, .length = PMR_PAGE + 512 } },
			{ .at = { .offset = 3 * PMR_PAGE, .length = 512 } },
		};
		struct pmr_zeros_entry entry = {
			.zeros = { .file = { .whole_device = true, .size = SIZE },
				   .device = (char *)"dax7.0",
				   .ns_name = (char *)"namespace7.0",
				   .ns_uuid = (char *)UUID,
				   .ranges = ranges,
				   .n_ranges = N(ranges) },
		};

		memset(bytes, 0x77, sizeof(bytes));
		for (size_t k = 0; k < N(ranges); k++)
			memset(bytes + ranges[k].at.offset, 0, (size_t)ranges[k].at.length);
		if (rows[i].stored)
			bytes[rows[i].stored] = 'x';
		unreadable = rows[i].unreadable;
		open_fails = rows[i].open_fails;
		salvage_fails = rows[i].salvage_fails;
		is_dax = !rows[i].is_disabled;
		if (look_whole(NULL, &topology, &entry) != rows[i].now)
			fail_msg("%s", rows[i].what);
		assert_string_equal(entry.differences,
				    rows[i].differences ? rows[i].differences : "");
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_whole) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
