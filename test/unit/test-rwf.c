/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is believed of a kernel, and what is sent to it: made-up kernels that answer in every way one was seen to. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "private.h"

#define BIT 0x20u
#define OTHER 0x200u
#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

/* ---- a kernel */

enum memfd_answer {
	APPENDS,
	OVERWRITES,
	UNKNOWN_BIT,
	NO_CALL,
	WRITES_NOTHING,
	WRITES_TWICE,
	NO_MEMFD,
	FORBIDS
};

/* What a read of a good page and a bad one behind it does with the flag, or what else is odd about the pair. */
enum read_answer {
	SHORT,
	FILLS,
	NO_DIFFERENCE,
	NOT_KNOWN,
	NOT_VALID,
	OTHER_BYTES,
	HALF_A_PAGE,
	GOOD_IS_BAD,
	BAD_IS_GOOD,
	BAD_BECOMES_GOOD,
	NOT_NOW,
};

static struct {
	enum memfd_answer memfd;
	enum read_answer read;
	const char *release;
	const char *symbols;
	unsigned int sent; /* how often 0x20 was sent to the memfd */
	unsigned int flagged; /* how often a flagged read was tried */
	unsigned int symbols_read;
} kernel;

static int fake_memfd(void)
{
	return kernel.memfd == NO_MEMFD ? -ENFILE : memfd_create("test", MFD_CLOEXEC);
}

static ssize_t fake_pwritev2(int fd, const void *buffer, size_t length, off_t offset, uint32_t flag)
{
	kernel.sent++;
	assert_int_equal(flag, BIT);
	switch (kernel.memfd) {
	case UNKNOWN_BIT:
		return -EOPNOTSUPP;
	case NO_CALL:
		return -ENOSYS;
	case FORBIDS:
		return -EPERM;
	case WRITES_NOTHING:
		return 0;
	case OVERWRITES:
		assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
		break;
	case WRITES_TWICE:
		assert_int_equal(write(fd, buffer, length), length);
		break;
	default:
		break;
	}
	return pwrite(fd, buffer, length, offset);
}

static ssize_t fake_read(int fd, uint32_t flag, uint64_t offset, void *buffer, size_t length)
{
	char *bytes = buffer;
	size_t good = length < PMR_PAGE ? length : PMR_PAGE;

	(void)fd;
	(void)offset;
	if (kernel.read == GOOD_IS_BAD)
		return -EIO;
	memset(bytes, 'g', good);
	if (length <= PMR_PAGE)
		return (ssize_t)length;
	memset(bytes + PMR_PAGE, 0, length - PMR_PAGE);
	if (!flag)
		return kernel.read == BAD_IS_GOOD ||
				       (kernel.read == BAD_BECOMES_GOOD && kernel.flagged)
			       ? (ssize_t)length
			       : -EIO;
	kernel.flagged++;
	switch (kernel.read) {
	case NO_DIFFERENCE:
		return -EIO;
	case NOT_KNOWN:
		return -EOPNOTSUPP;
	case NOT_VALID:
		return -EINVAL;
	case NOT_NOW:
		return -EAGAIN;
	case OTHER_BYTES:
		memset(bytes, 'x', good);
		return (ssize_t)good;
	case HALF_A_PAGE:
		return (ssize_t)good / 2;
	case FILLS:
		return (ssize_t)length;
	default:
		return (ssize_t)good;
	}
}

static int fake_release(char *buffer, size_t size)
{
	if (!kernel.release)
		return -EFAULT;
	snprintf(buffer, size, "%s", kernel.release);
	return 0;
}

static int fake_symbols(void)
{
	int fd;

	kernel.symbols_read++;
	if (!kernel.symbols)
		return -EACCES;
	fd = memfd_create("symbols", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, kernel.symbols, strlen(kernel.symbols)), strlen(kernel.symbols));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static const struct pmr_rwf_kernel fake = {
	fake_memfd, fake_pwritev2, fake_read, fake_release, fake_symbols,
};

static struct pmr_ctx *boot(enum memfd_answer memfd, enum read_answer answer, const char *release)
{
	struct pmr_ctx *ctx;

	memset(&kernel, 0, sizeof(kernel));
	kernel.memfd = memfd;
	kernel.read = answer;
	kernel.release = release;
	assert_int_equal(pmr_new(&ctx), 0);
	pmr_ctx_rwf(ctx)->kernel = &fake;
	return ctx;
}

static bool is_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* ---- what it says of itself */

static void hear(void *data, const struct pmr_message *message)
{
	snprintf(data, 256, "%s: %s: %s", message->code, message->object, message->text);
}

static void test_probe(void **state)
{
	static const struct {
		const char *name;
		uint32_t wanted;
		enum memfd_answer memfd;
		enum pmr_capability capability;
		uint32_t flag;
		const char *evidence;
		unsigned int sent;
		bool candidate;
		const char *says;
	} rows[] = {
		{ "recovery", PMR_FLAG_AUTO, APPENDS, PMR_CAPABILITY_FLAG, BIT, "memfd-probe", 1,
		  false, NULL },
		{ "noappend", PMR_FLAG_AUTO, OVERWRITES, PMR_CAPABILITY_WRITE, 0, "release", 1,
		  false, NULL },
		{ "absent", PMR_FLAG_AUTO, UNKNOWN_BIT, PMR_CAPABILITY_WRITE, 0, "release", 1,
		  false, NULL },
		{ "no call", PMR_FLAG_AUTO, NO_CALL, PMR_CAPABILITY_WRITE, 0, "release", 1, false,
		  NULL },
		{ "forbidden", PMR_FLAG_AUTO, FORBIDS, PMR_CAPABILITY_WRITE, 0, "release", 1, false,
		  NULL },
		{ "nothing", PMR_FLAG_AUTO, WRITES_NOTHING, PMR_CAPABILITY_WRITE, 0, "release", 1,
		  false, NULL },
		{ "odd", PMR_FLAG_AUTO, WRITES_TWICE, PMR_CAPABILITY_WRITE, 0, "release", 1, false,
		  NULL },
		{ "no memfd", PMR_FLAG_AUTO, NO_MEMFD, PMR_CAPABILITY_WRITE, 0, "release", 0, false,
		  NULL },
		{ "never", PMR_FLAG_NEVER, APPENDS, PMR_CAPABILITY_WRITE, 0, "release", 0, false,
		  NULL },
		{ "named", BIT, APPENDS, PMR_CAPABILITY_FLAG, BIT, "memfd-probe", 1, false, NULL },
		{ "named, noappend", BIT, OVERWRITES, PMR_CAPABILITY_WRITE, 0, "release", 1, false,
		  "flag-not-shown: this kernel: has RWF_NOAPPEND for 0x20, so that it is not used" },
		{ "named, no memfd", BIT, NO_MEMFD, PMR_CAPABILITY_WRITE, 0, "release", 0, false,
		  "flag-not-shown: this kernel: does not show that 0x20 is RWF_RECOVERY_DATA, so that it is not used" },
		{ "another", OTHER, APPENDS, PMR_CAPABILITY_WRITE, 0, "release", 0, true, NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_ctx *ctx = boot(rows[i].memfd, SHORT, "6.12.1");
		const struct pmr_recovery *recovery;
		char said[256] = "";

		pmr_set_message_fn(ctx, hear, said);
		assert_int_equal(pmr_set_recovery_flag(ctx, rows[i].wanted), 0);
		recovery = pmr_get_recovery(ctx);
		/* who names it hears that it is not used */
		assert_string_equal(said, rows[i].says ? rows[i].says : "");
		if (recovery->capability != rows[i].capability || recovery->flag != rows[i].flag ||
		    !is_text(recovery->evidence, rows[i].evidence) ||
		    pmr_rwf_flag(ctx) != rows[i].flag ||
		    pmr_rwf_wants_trial(ctx) != rows[i].candidate)
			fail_msg("%s: %s, 0x%x, %s", rows[i].name,
				 pmr_capability_name(recovery->capability), recovery->flag,
				 recovery->evidence);
		/* asked again, also after the user's word: never sent a second time */
		pmr_get_recovery(ctx);
		assert_int_equal(pmr_set_recovery_flag(ctx, rows[i].wanted), 0);
		assert_int_equal(pmr_get_recovery(ctx)->flag, rows[i].flag);
		if (kernel.sent != rows[i].sent)
			fail_msg("%s: 0x20 was sent %u times", rows[i].name, kernel.sent);
		assert_int_equal(kernel.flagged, 0);
		pmr_unref(ctx);
	}
}

static void test_without_flag(void **state)
{
	static const struct {
		const char *release;
		const char *symbols;
		enum pmr_capability capability;
		const char *evidence;
	} rows[] = {
		{ "5.19.0", NULL, PMR_CAPABILITY_WRITE, "release" },
		{ "5.19", NULL, PMR_CAPABILITY_WRITE, "release" },
		{ "6.1.0-49-amd64", NULL, PMR_CAPABILITY_WRITE, "release" },
		{ "10.0.0", NULL, PMR_CAPABILITY_WRITE, "release" },
		{ "5.18.19", NULL, PMR_CAPABILITY_NONE, "release" },
		{ "5.2", "", PMR_CAPABILITY_NONE, "release" },
		{ "4.18.0-553.el8", "0 T dax_recovery_write\n", PMR_CAPABILITY_WRITE, "symbol" },
		{ "5.14.0-503.el9", "0 t a\n0 T dax_recovery_write\t[dax]\n", PMR_CAPABILITY_WRITE,
		  "symbol" },
		{ "5.14", "0 t dax_recovery_write_iter\n0 t my_dax_recovery_write\n",
		  PMR_CAPABILITY_NONE, "release" },
		{ "5.14", "0 t dax_recovery_write", PMR_CAPABILITY_NONE, "release" },
		{ "Linux", "0 T dax_recovery_write\n", PMR_CAPABILITY_UNKNOWN, NULL },
		{ "", NULL, PMR_CAPABILITY_UNKNOWN, NULL },
		{ NULL, NULL, PMR_CAPABILITY_UNKNOWN, NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_ctx *ctx = boot(UNKNOWN_BIT, SHORT, rows[i].release);
		const struct pmr_recovery *recovery;

		kernel.symbols = rows[i].symbols;
		recovery = pmr_get_recovery(ctx);
		if (recovery->capability != rows[i].capability || recovery->flag ||
		    !is_text(recovery->evidence, rows[i].evidence))
			fail_msg("row %zu: %s, %s", i, pmr_capability_name(recovery->capability),
				 recovery->evidence);
		assert_true(kernel.symbols_read <= 1);
		pmr_unref(ctx);
	}
}

/* The name is found wherever the pieces in which the list is read are cut. */
static void test_long_symbols(void **state)
{
	static const char line[] = "ffffffff81000000 T dax_recovery_write\n";
	const size_t piece = 64 * 1024, room = piece + 4096;
	char *text = malloc(room);

	(void)state;
	assert_non_null(text);
	for (size_t at = piece - 2 * sizeof(line); at < piece + sizeof(line); at++) {
		struct pmr_ctx *ctx = boot(UNKNOWN_BIT, SHORT, "5.14");

		memset(text, 'x', at);
		for (size_t i = 63; i < at; i += 64)
			text[i] = '\n';
		text[at - 1] = '\n';
		memcpy(text + at, line, sizeof(line));
		kernel.symbols = text;
		if (!is_text(pmr_get_recovery(ctx)->evidence, "symbol"))
			fail_msg("not found at %zu", at);
		pmr_unref(ctx);
	}
	/* one line longer than a piece, as no kernel has it */
	memset(text, 'x', room - 1);
	text[room - 1] = '\0';
	kernel.symbols = text;
	for (int i = 0; i < 2; i++) {
		struct pmr_ctx *ctx = boot(UNKNOWN_BIT, SHORT, "5.14");

		kernel.symbols = text;
		assert_int_equal(pmr_get_recovery(ctx)->capability, PMR_CAPABILITY_NONE);
		pmr_unref(ctx);
	}
	free(text);
}

/* ---- what the user says */

static void test_set(void **state)
{
	static const struct {
		uint32_t flag;
		const char *said;
	} rows[] = {
		{ 0x1, "RWF_HIPRI" },	  { 0x2, "RWF_DSYNC" },	       { 0x4, "RWF_SYNC" },
		{ 0x8, "RWF_NOWAIT" },	  { 0x10, "RWF_APPEND" },      { 0x40, "RWF_ATOMIC" },
		{ 0x80, "DONTCACHE" },	  { 0x100, "NOSIGNAL" },       { 0x60, "not one bit" },
		{ 0x3, "not one bit" },	  { 1u << 31, "not one bit" }, { 0x20, NULL },
		{ 0x200, NULL },	  { 1u << 30, NULL },	       { PMR_FLAG_AUTO, NULL },
		{ PMR_FLAG_NEVER, NULL },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_ctx *ctx = boot(UNKNOWN_BIT, SHORT, "6.1");
		char said[256] = "", start[64];

		pmr_set_message_fn(ctx, hear, said);
		assert_int_equal(pmr_set_recovery_flag(ctx, rows[i].flag),
				 rows[i].said ? -EINVAL : 0);
		snprintf(start, sizeof(start), "recovery-flag-invalid: 0x%x: ", rows[i].flag);
		if (rows[i].said &&
		    (strncmp(said, start, strlen(start)) || !strstr(said, rows[i].said)))
			fail_msg("0x%x: %s", rows[i].flag, said);
		if (!rows[i].said)
			assert_string_equal(said, "");
		/* what was refused changes nothing */
		assert_int_equal(pmr_ctx_rwf(ctx)->wanted, rows[i].said ? 0 : rows[i].flag);
		pmr_unref(ctx);
	}
}

/* ---- a trial */

static void test_try(void **state)
{
	static const struct {
		const char *name;
		enum read_answer read;
		uint64_t bad;
		bool shown;
		bool candidate; /* is it still one? */
		unsigned int flagged;
	} rows[] = {
		{ "short", SHORT, PMR_PAGE, true, false, 1 },
		{ "zero fill", FILLS, PMR_PAGE, true, false, 1 },
		{ "plain", NO_DIFFERENCE, PMR_PAGE, false, false, 1 },
		{ "EOPNOTSUPP", NOT_KNOWN, PMR_PAGE, false, false, 1 },
		{ "EINVAL", NOT_VALID, PMR_PAGE, false, false, 1 },
		{ "other bytes", OTHER_BYTES, PMR_PAGE, false, false, 1 },
		{ "half a page", HALF_A_PAGE, PMR_PAGE, false, false, 1 },
		{ "not now", NOT_NOW, PMR_PAGE, false, true, 1 },
		{ "the good page fails", GOOD_IS_BAD, PMR_PAGE, false, true, 0 },
		{ "the bad page is good", BAD_IS_GOOD, PMR_PAGE, false, true, 0 },
		{ "the bad page becomes good", BAD_BECOMES_GOOD, PMR_PAGE, false, true, 1 },
		{ "no neighbours", SHORT, 2 * PMR_PAGE, false, true, 0 },
		{ "the same page", SHORT, 0, false, true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_ctx *ctx = boot(OVERWRITES, rows[i].read, "6.12");
		const struct pmr_recovery *recovery;
		bool shown;

		assert_int_equal(pmr_set_recovery_flag(ctx, OTHER), 0);
		shown = pmr_rwf_try(ctx, -1, 0, rows[i].bad);
		recovery = pmr_get_recovery(ctx);
		if (shown != rows[i].shown || pmr_rwf_wants_trial(ctx) != rows[i].candidate ||
		    kernel.flagged != rows[i].flagged)
			fail_msg("%s: shown %d, flagged %u", rows[i].name, shown, kernel.flagged);
		assert_int_equal(pmr_rwf_flag(ctx), shown ? OTHER : 0);
		assert_string_equal(recovery->evidence, shown ? "flagged-read" : "release");
		assert_int_equal(recovery->capability,
				 shown ? PMR_CAPABILITY_FLAG : PMR_CAPABILITY_WRITE);
		/* what is decided is not asked again */
		if (!rows[i].candidate) {
			pmr_rwf_try(ctx, -1, 0, PMR_PAGE);
			assert_int_equal(kernel.flagged, rows[i].flagged);
		}
		assert_int_equal(kernel.sent, 0);
		pmr_unref(ctx);
	}
}

static void test_no_trial(void **state)
{
	static const struct {
		uint32_t wanted;
		enum memfd_answer memfd;
	} rows[] = {
		{ PMR_FLAG_AUTO, APPENDS },  { PMR_FLAG_AUTO, OVERWRITES }, { BIT, UNKNOWN_BIT },
		{ PMR_FLAG_NEVER, APPENDS }, { PMR_FLAG_AUTO, NO_MEMFD },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_ctx *ctx = boot(rows[i].memfd, SHORT, "6.12");

		assert_int_equal(pmr_set_recovery_flag(ctx, rows[i].wanted), 0);
		assert_false(pmr_rwf_wants_trial(ctx));
		assert_false(pmr_rwf_try(ctx, -1, 0, PMR_PAGE));
		assert_int_equal(kernel.flagged, 0);
		pmr_unref(ctx);
	}
}

/* ---- what a write told */

static void test_learn(void **state)
{
	static const struct {
		const char *name;
		enum memfd_answer memfd;
		enum pmr_capability told[2];
		enum pmr_capability capability;
		uint32_t flag;
		const char *evidence;
	} rows[] = {
		{ "nothing", APPENDS, { 0 }, PMR_CAPABILITY_FLAG, BIT, "memfd-probe" },
		{ "flag", APPENDS, { PMR_CAPABILITY_FLAG }, PMR_CAPABILITY_FLAG, BIT, "tried" },
		{ "a flag that is none",
		  OVERWRITES,
		  { PMR_CAPABILITY_FLAG },
		  PMR_CAPABILITY_WRITE,
		  0,
		  "release" },
		{ "write beside flag",
		  APPENDS,
		  { PMR_CAPABILITY_WRITE },
		  PMR_CAPABILITY_FLAG,
		  BIT,
		  "memfd-probe" },
		{ "write", OVERWRITES, { PMR_CAPABILITY_WRITE }, PMR_CAPABILITY_WRITE, 0, "tried" },
		{ "none", OVERWRITES, { PMR_CAPABILITY_NONE }, PMR_CAPABILITY_NONE, 0, "tried" },
		{ "stubborn", APPENDS, { PMR_CAPABILITY_NONE }, PMR_CAPABILITY_NONE, 0, "tried" },
		{ "stubborn, then write",
		  APPENDS,
		  { PMR_CAPABILITY_NONE, PMR_CAPABILITY_WRITE },
		  PMR_CAPABILITY_WRITE,
		  0,
		  "tried" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct pmr_ctx *ctx = boot(rows[i].memfd, SHORT, "6.12");
		const struct pmr_recovery *recovery;

		for (size_t j = 0; j < N(rows[i].told); j++)
			pmr_rwf_learn(ctx, rows[i].told[j]);
		recovery = pmr_get_recovery(ctx);
		if (recovery->capability != rows[i].capability || recovery->flag != rows[i].flag ||
		    !is_text(recovery->evidence, rows[i].evidence))
			fail_msg("%s: %s, 0x%x, %s", rows[i].name,
				 pmr_capability_name(recovery->capability), recovery->flag,
				 recovery->evidence);
		assert_int_equal(kernel.sent, 1);
		pmr_unref(ctx);
	}
}

/* ---- the kernel that runs this test: whichever it is, one of the answers */

static void test_here(void **state)
{
	struct pmr_ctx *ctx;
	const struct pmr_recovery *recovery;

	(void)state;
	assert_int_equal(pmr_new(&ctx), 0);
	recovery = pmr_get_recovery(ctx);
	assert_int_equal(!!recovery->flag, recovery->capability == PMR_CAPABILITY_FLAG);
	assert_int_equal(!recovery->evidence, recovery->capability == PMR_CAPABILITY_UNKNOWN);
	assert_int_not_equal(pmr_ctx_rwf(ctx)->probe, PMR_PROBE_NOT_ASKED);
	pmr_unref(ctx);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe),	     cmocka_unit_test(test_without_flag),
		cmocka_unit_test(test_long_symbols), cmocka_unit_test(test_set),
		cmocka_unit_test(test_try),	     cmocka_unit_test(test_no_trial),
		cmocka_unit_test(test_learn),	     cmocka_unit_test(test_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
