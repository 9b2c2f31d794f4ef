/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this kernel means by RWF_RECOVERY_DATA: asked of a memfd, or shown by a flagged read of known poison.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "private.h"
#include "uapi.h"

/* The proposal's bit, and the one bit about which a memfd can be asked. */
#define PROPOSED_BIT 0x20u

const char *pmr_capability_name(enum pmr_capability capability)
{
	static const char *const names[] = {
		[PMR_CAPABILITY_UNKNOWN] = "unknown",
		[PMR_CAPABILITY_NONE] = "none",
		[PMR_CAPABILITY_WRITE] = "write",
		[PMR_CAPABILITY_FLAG] = "flag",
	};

	return names[capability];
}

/* ---- the kernel */

/* Kernels that may be told to want every memfd marked not executable (6.3) refuse one that is not. */
static int kernel_memfd(void)
{
	int fd = memfd_create("pmr_probe", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("pmr_probe", MFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static ssize_t kernel_pwritev2(int fd, const void *buffer, size_t length, off_t offset,
			       uint32_t flag)
{
	struct iovec iov = { (void *)(uintptr_t)buffer, length };
	ssize_t n = pwritev2(fd, &iov, 1, offset, (int)flag);

	return n < 0 ? -errno : n;
}

static int kernel_release(char *buffer, size_t size)
{
	struct utsname name;

	if (uname(&name))
		return -errno;
	snprintf(buffer, size, "%s", name.release);
	return 0;
}

static int kernel_symbols(void)
{
	int fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd;
}

static const struct pmr_rwf_kernel *kernel_of(const struct pmr_rwf *rwf)
{
	static const struct pmr_rwf_kernel kernel = {
		.memfd = kernel_memfd,
		.pwritev2 = kernel_pwritev2,
		.read = pmr_media_read_once,
		.release = kernel_release,
		.symbols = kernel_symbols,
	};

	return rwf->kernel ? rwf->kernel : &kernel;
}

/* ---- asking about 0x20 */

/*
 * "AB" in a file that only appends, and an "x" for its start. RWF_NOAPPEND puts it there; where the bit means anything
 * else it goes to the end; where it means nothing the call is refused. This is the only place that sends the bit
 * without knowing it.
 */
static enum pmr_rwf_probe ask_memfd(const struct pmr_rwf_kernel *kernel)
{
	enum pmr_rwf_probe answer = PMR_PROBE_SILENT;
	char text[4];
	ssize_t n;
	int fd;

	fd = kernel->memfd();
	if (fd < 0)
		return answer;
	if (write(fd, "AB", 2) != 2 || fcntl(fd, F_SETFL, O_APPEND) < 0)
		goto out;
	n = kernel->pwritev2(fd, "x", 1, 0, PROPOSED_BIT);
	if (n == -EOPNOTSUPP || n == -EINVAL || n == -ENOSYS)
		answer = PMR_PROBE_ABSENT;
	if (n != 1)
		goto out;
	n = pread(fd, text, sizeof(text), 0);
	if (n == 2 && !memcmp(text, "xB", 2))
		answer = PMR_PROBE_NOAPPEND;
	else if (n == 3 && !memcmp(text, "ABx", 3))
		answer = PMR_PROBE_RECOVERY;
out:
	close(fd);
	return answer;
}

/* ---- without the flag */

/* A line "address type name", or with "\t[module]" behind it: search for " name" and then either end of it. */
static bool has_symbol(const char *text, const char *symbol)
{
	size_t length = strlen(symbol);

	for (const char *at = strstr(text, symbol); at; at = strstr(at + 1, symbol)) {
		if (at > text && at[-1] == ' ' && (at[length] == '\n' || at[length] == '\t'))
			return true;
	}
	return false;
}

/* Whether dax_recovery_write() is among the kernel's symbols: vendors took it to kernels before 5.19. */
static bool has_recovery_write(const struct pmr_rwf_kernel *kernel)
{
	const size_t size = 64u * 1024;
	char *text = NULL, *line;
	size_t kept = 0;
	bool found = false;
	ssize_t n;
	int fd;

	fd = kernel->symbols();
	if (fd < 0)
		return false;
	text = malloc(size + 1);
	while (text && !found) {
		n = read(fd, text + kept, size - kept);
		if (n <= 0)
			break;
		kept += (size_t)n;
		text[kept] = '\0';
		found = has_symbol(text, "dax_recovery_write");
		/* the last line may go on in the next piece */
		line = strrchr(text, '\n');
		if (!line || kept - (size_t)(line - text) > size / 2)
			line = text + kept - 1;
		kept -= (size_t)(line - text);
		memmove(text, line, kept);
	}
	free(text);
	close(fd);
	return found;
}

static void look_for_write(const struct pmr_rwf_kernel *kernel, struct pmr_recovery *recovery)
{
	unsigned int major, minor;
	char release[128];

	if (kernel->release(release, sizeof(release)) ||
	    sscanf(release, "%3u.%3u", &major, &minor) != 2)
		return;
	recovery->capability = PMR_CAPABILITY_WRITE;
	recovery->evidence = "release";
	if (major > 5 || (major == 5 && minor >= 19))
		return;
	if (has_recovery_write(kernel))
		recovery->evidence = "symbol";
	else
		recovery->capability = PMR_CAPABILITY_NONE;
}

/* ---- the flag */

/* What released kernels do with a bit. 0x20 is not here: what it means is asked. */
static const struct known {
	uint32_t bit;
	const char *name;
	const char *since;
} known_flags[] = {
	{ 0x1, "RWF_HIPRI", "4.6" },	   { 0x2, "RWF_DSYNC", "4.7" },
	{ 0x4, "RWF_SYNC", "4.7" },	   { 0x8, "RWF_NOWAIT", "4.13" },
	{ 0x10, "RWF_APPEND", "4.16" },	   { 0x40, "RWF_ATOMIC", "6.11" },
	{ 0x80, "RWF_DONTCACHE", "6.14" }, { 0x100, "RWF_NOSIGNAL", "6.18" },
};

static const struct known *find_known(uint32_t bit)
{
	for (size_t i = 0; i < sizeof(known_flags) / sizeof(known_flags[0]); i++) {
		if (known_flags[i].bit == bit)
			return &known_flags[i];
	}
	return NULL;
}

static bool is_one_bit(uint32_t bit)
{
	return bit && !(bit & (bit - 1)) && bit <= INT32_MAX;
}

int pmr_set_recovery_flag(struct pmr_ctx *ctx, uint32_t flag)
{
	struct pmr_rwf *rwf = pmr_ctx_rwf(ctx);
	const struct known *known = find_known(flag);
	char object[16];

	snprintf(object, sizeof(object), "0x%x", flag);
	if (flag != PMR_FLAG_AUTO && flag != PMR_FLAG_NEVER && !is_one_bit(flag)) {
		pmr_say(ctx, PMR_ERROR, "recovery-flag-invalid", object,
			"is not one bit, so it cannot be RWF_RECOVERY_DATA");
		return -EINVAL;
	}
	if (known) {
		pmr_say(ctx, PMR_ERROR, "recovery-flag-invalid", object,
			"cannot be RWF_RECOVERY_DATA: it is %s since Linux %s", known->name,
			known->since);
		return -EINVAL;
	}
	rwf->wanted = flag;
	rwf->asked = false;
	return 0;
}

static void accept(struct pmr_rwf *rwf, uint32_t flag, const char *evidence)
{
	rwf->recovery.capability = PMR_CAPABILITY_FLAG;
	rwf->recovery.flag = flag;
	rwf->recovery.evidence = evidence;
	rwf->candidate = 0;
}

const struct pmr_recovery *pmr_get_recovery(struct pmr_ctx *ctx)
{
	struct pmr_rwf *rwf = pmr_ctx_rwf(ctx);
	const struct pmr_rwf_kernel *kernel = kernel_of(rwf);
	uint32_t bit = rwf->wanted;

	if (rwf->asked)
		return &rwf->recovery;
	rwf->asked = true;
	rwf->candidate = 0;
	rwf->recovery = (struct pmr_recovery){ 0 };
	if (bit == PMR_FLAG_AUTO)
		bit = (uint32_t)RWF_RECOVERY_DATA;
	look_for_write(kernel, &rwf->recovery);
	if (rwf->wanted == PMR_FLAG_NEVER || !is_one_bit(bit) || find_known(bit))
		return &rwf->recovery;
	if (bit != PROPOSED_BIT) {
		rwf->candidate = bit;
		return &rwf->recovery;
	}
	if (rwf->probe == PMR_PROBE_NOT_ASKED)
		rwf->probe = ask_memfd(kernel);
	if (rwf->probe == PMR_PROBE_RECOVERY)
		accept(rwf, bit, "memfd-probe");
	else if (rwf->wanted == bit)
		pmr_say(ctx, PMR_WARNING, "flag-not-shown", "this kernel",
			"%s, so that it is not used",
			rwf->probe == PMR_PROBE_NOAPPEND
				? "has RWF_NOAPPEND for 0x20"
				: "does not show that 0x20 is RWF_RECOVERY_DATA");
	return &rwf->recovery;
}

uint32_t pmr_rwf_flag(struct pmr_ctx *ctx)
{
	return pmr_get_recovery(ctx)->flag;
}

bool pmr_rwf_wants_trial(struct pmr_ctx *ctx)
{
	pmr_get_recovery(ctx);
	return pmr_ctx_rwf(ctx)->candidate != 0;
}

/* ---- a trial */

/*
 * The plain reads frame the flagged one: what they say twice is what is so, and not the luck of a page whose poison went
 * away meanwhile. Return: 1 shown, 0 shown that it is not, -1 this pair of pages tells nothing.
 */
static int try_flag(const struct pmr_rwf_kernel *kernel, uint32_t flag, int fd, uint64_t offset,
		    char *buffer)
{
	char *plain = buffer, *flagged = buffer + 2 * PMR_PAGE;
	ssize_t n;

	if (kernel->read(fd, 0, offset, plain, 2 * PMR_PAGE) != -EIO ||
	    kernel->read(fd, 0, offset, plain, PMR_PAGE) != PMR_PAGE)
		return -1;
	n = kernel->read(fd, flag, offset, flagged, 2 * PMR_PAGE);
	if (n < 0)
		return n == -EIO || n == -EOPNOTSUPP || n == -EINVAL ? 0 : -1;
	if ((n != PMR_PAGE && n != 2 * PMR_PAGE) || memcmp(plain, flagged, PMR_PAGE))
		return 0;
	return kernel->read(fd, 0, offset, plain, 2 * PMR_PAGE) == -EIO ? 1 : -1;
}

bool pmr_rwf_try(struct pmr_ctx *ctx, int fd, uint64_t good, uint64_t bad)
{
	struct pmr_rwf *rwf = pmr_ctx_rwf(ctx);
	char *buffer = NULL;
	int shown;

	if (!pmr_rwf_wants_trial(ctx) || good % PMR_PAGE || bad != good + PMR_PAGE)
		return false;
	if (posix_memalign((void **)&buffer, PMR_PAGE, 4 * PMR_PAGE))
		return false;
	memset(buffer, 0, 4 * PMR_PAGE);
	shown = try_flag(kernel_of(rwf), rwf->candidate, fd, good, buffer);
	free(buffer);
	if (shown == 1)
		accept(rwf, rwf->candidate, "flagged-read");
	else if (shown == 0)
		rwf->candidate = 0;
	return shown == 1;
}

void pmr_rwf_learn(struct pmr_ctx *ctx, enum pmr_capability capability)
{
	struct pmr_rwf *rwf = pmr_ctx_rwf(ctx);
	uint32_t flag = pmr_rwf_flag(ctx);

	if (capability == PMR_CAPABILITY_UNKNOWN || (capability == PMR_CAPABILITY_FLAG && !flag) ||
	    (capability == PMR_CAPABILITY_WRITE && flag))
		return;
	rwf->recovery.capability = capability;
	rwf->recovery.evidence = "tried";
	if (capability == PMR_CAPABILITY_NONE)
		rwf->recovery.flag = 0;
}
