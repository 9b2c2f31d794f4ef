/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file is claimed for repair: opened, refused by name where it is not safe, leased, and looked at again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "repair.h"

#define CAPABILITY "security.capability"
#define SET_ID (S_ISUID | S_ISGID)

/* what a person is told for each reason not to touch a file */
static const struct refusal {
	const char *reason;
	int error; /* of open(), 0 when it is not found that way */
	uint64_t attribute; /* of statx(), 0 when it is not found that way */
	const char *text;
} refusals[] = {
	{ "immutable", 0, STATX_ATTR_IMMUTABLE, "is immutable: chattr -i it first" },
	{ "append-only", 0, STATX_ATTR_APPEND, "is append-only: chattr -a it first" },
	{ "verity", 0, STATX_ATTR_VERITY,
	  "is sealed by fs-verity and cannot be written: restore it as a new file" },
	{ "encrypted", 0, STATX_ATTR_ENCRYPTED, "is encrypted: its blocks do not hold its bytes" },
	{ "read-only-filesystem", EROFS, 0,
	  "lies on a filesystem mounted read-only: remount it read-write" },
	{ "running", ETXTBSY, 0, "is a running program or swap file: stop it first" },
	{ "in-use", EAGAIN, 0,
	  "is leased by another program, such as a file server: stop it first" },
	{ "permission", EACCES, 0,
	  "may not be opened for writing: run as root, or with CAP_DAC_OVERRIDE" },
	{ "permission", EPERM, 0, "may not be opened for writing: run as root" },
	{ "gone", ENOENT, 0, "is gone since the scan" },
	{ "changed", ELOOP, 0, "has become a symbolic link since the scan" },
	{ "shut-down", EIO, 0,
	  "cannot be opened: Input/output error; has the filesystem shut down? See the kernel log" },
};

/* found by neither */
static const struct refusal journalled = {
	"data-journal", 0, 0,
	"goes, or may go, to the log of its filesystem ahead of its place (data=journal, or chattr +j; see "
	"/proc/fs/ext4/DEVICE/options), so that its device may hold older bytes than the file: chattr -j it, or unmount the "
	"filesystem and mount it with data=ordered, and repair again"
};

static int refuse(struct pmr_ctx *ctx, const struct pmr_file *file, const struct refusal *r,
		  const char **refused)
{
	pmr_say(ctx, PMR_ERROR, r->reason, file->path, "%s", r->text);
	*refused = r->reason;
	return -EBUSY;
}

/* What only a link of /proc leads to: see lib/owner/open-files.h. */
static bool is_deleted(const struct pmr_file *file)
{
	struct stat st;

	return !stat(file->path, &st) && !st.st_nlink && st.st_ino == file->inode &&
	       st.st_dev == file->filesystem->devno;
}

static int refuse_error(struct pmr_ctx *ctx, const struct pmr_file *file, int error,
			const char **refused)
{
	if (error == -ELOOP && is_deleted(file)) {
		pmr_say(ctx, PMR_ERROR, "deleted-open", file->path,
			"was deleted and is only still open: nothing is written to it; salvage it instead");
		*refused = "deleted-open";
		return -EBUSY;
	}
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i].error && refusals[i].error == -error)
			return refuse(ctx, file, &refusals[i], refused);
	pmr_say(ctx, PMR_ERROR, "cannot-open", file->path, "cannot be opened for writing: %s",
		strerror(-error));
	*refused = "cannot-open";
	return -EBUSY;
}

static int refuse_attributes(struct pmr_ctx *ctx, const struct pmr_file *file, const char **refused)
{
	struct statx sx;

	if (statx(AT_FDCWD, file->path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx) < 0)
		return refuse_error(ctx, file, -errno, refused);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i].attribute & sx.stx_attributes)
			return refuse(ctx, file, &refusals[i], refused);
	return 0;
}

/* whether the open file is still the one; its state then depends on who else has it */
static bool is_file(const struct pmr_claim *claim, struct stat *st)
{
	const struct pmr_file *file = claim->file;
	int generation = 0;

	if (fstat(claim->fd, st) < 0 || st->st_ino != file->inode ||
	    st->st_dev != file->filesystem->devno)
		return false;
	if (!pmr_file_is_on(claim->fd, file->filesystem))
		return false;
	return !file->generation || (!ioctl(claim->fd, FS_IOC_GETVERSION, &generation) &&
				     (uint32_t)generation == file->generation);
}

/* whether it is in the state that claim->change_time stands for; its owner may write to what is in use, and append */
static bool is_same(const struct pmr_claim *claim, struct stat *st)
{
	if (!is_file(claim, st))
		return false;
	if (claim->in_use)
		return (uint64_t)st->st_size >= claim->file->size;
	return (uint64_t)st->st_size == claim->file->size &&
	       pmr_is_same_time(&st->st_ctim, &claim->change_time);
}

static int remember_capability(struct pmr_claim *claim)
{
	ssize_t n = fgetxattr(claim->fd, CAPABILITY, NULL, 0);

	if (n <= 0)
		return 0;
	claim->capability = malloc((size_t)n);
	if (!claim->capability)
		return -ENOMEM;
	n = fgetxattr(claim->fd, CAPABILITY, claim->capability, (size_t)n);
	if (n < 0)
		return -errno;
	claim->capability_length = (size_t)n;
	return 0;
}

static int take_lease(struct pmr_ctx *ctx, struct pmr_claim *claim, bool online,
		      const char **refused)
{
	const struct pmr_file *file = claim->file;
	char holders[256];
	int ret = pmr_lease_take(claim->fd);

	if (!ret)
		return 0;
	if (ret == -EAGAIN && online) {
		claim->in_use = true;
		return 0;
	}
	if (ret == -EAGAIN) {
		pmr_holders(file->filesystem->devno, file->inode, holders, sizeof(holders));
		pmr_say(ctx, PMR_ERROR, "in-use", file->path,
			"is open or mapped in %s: stop it and try again%s",
			*holders ? holders : "another program that could not be seen",
			file->dax ? ", or repair it in use with --online" : "");
		*refused = "in-use";
	} else {
		pmr_say(ctx, PMR_ERROR, "no-lease", file->path, "no write lease can be had: %s",
			strerror(-ret));
		*refused = "no-lease";
	}
	return -EBUSY;
}

static int refuse_changed(struct pmr_ctx *ctx, const struct pmr_file *file, const char **refused)
{
	pmr_say(ctx, PMR_ERROR, "changed", file->path, "changed since the scan: scan it again");
	*refused = "changed";
	return -EBUSY;
}

/*
 * What is in use is only read through the file: a descriptor for writing would be in the way of leases and of running it.
 */
static int become_in_use(struct pmr_ctx *ctx, struct pmr_claim *claim, const char **refused)
{
	struct stat st;

	claim->in_use = true;
	pmr_lease_release(claim->fd);
	close(claim->fd);
	claim->fd = pmr_file_open(AT_FDCWD, claim->file->path, O_RDONLY);
	if (claim->fd < 0)
		return refuse_error(ctx, claim->file, claim->fd, refused);
	if (!is_same(claim, &st))
		return refuse_changed(ctx, claim->file, refused);
	claim->change_time = st.st_ctim;
	return 0;
}

/* Ours alone, or with @online somebody else's too. */
static int take(struct pmr_ctx *ctx, struct pmr_claim *claim, bool online, const char **refused)
{
	struct stat st;
	int ret;

	ret = take_lease(ctx, claim, online, refused);
	if (ret)
		return ret;
	if (!claim->in_use && !is_same(claim, &st)) {
		if (!online)
			return refuse_changed(ctx, claim->file, refused);
		claim->in_use = true;
	}
	if (claim->in_use)
		ret = become_in_use(ctx, claim, refused);
	/* no read-ahead: what is compared lies beside what must not be read */
	if (!ret)
		posix_fadvise(claim->fd, 0, 0, POSIX_FADV_RANDOM);
	return ret;
}

/* A file in memory shows it. */
bool pmr_claim_drops_set_id(void)
{
	bool drops = true;
	struct stat st;
	int fd;

	fd = memfd_create("pmr_probe", MFD_CLOEXEC);
	if (fd < 0)
		return true;
	if (!fstat(fd, &st) && !fchmod(fd, (st.st_mode & 07777) | S_ISUID) &&
	    write(fd, "x", 1) == 1 && !fstat(fd, &st))
		drops = !(st.st_mode & S_ISUID);
	close(fd);
	return drops;
}

int pmr_claim_take(struct pmr_ctx *ctx, const struct pmr_file *file, bool online,
		   struct pmr_claim *claim, const char **refused)
{
	struct pmr_claim c = { .fd = -1, .file = file, .change_time = file->change_time };
	struct stat st;
	int ret;

	/* Whatever its path leads to is another file. */
	if (file->hidden) {
		pmr_say(ctx, PMR_ERROR, "hidden-below-mount", file->path,
			"is hidden by another mount, and is left alone");
		*refused = "hidden-below-mount";
		return -EBUSY;
	}
	ret = refuse_attributes(ctx, file, refused);
	if (ret)
		return ret;
	c.fd = pmr_file_open(AT_FDCWD, file->path, O_RDWR);
	if (c.fd < 0)
		return refuse_error(ctx, file, c.fd, refused);
	if (!is_file(&c, &st)) {
		ret = refuse_changed(ctx, file, refused);
		goto fail;
	}
	c.mode = st.st_mode & 07777;
	c.drops_set_id = (c.mode & SET_ID) && pmr_claim_drops_set_id();
	if (!file->dax && pmr_file_is_journalled(c.fd, file->filesystem))
		ret = refuse(ctx, file, &journalled, refused);
	else
		ret = remember_capability(&c);
	if (!ret)
		ret = take(ctx, &c, online, refused);
	if (ret)
		goto fail;
	*claim = c;
	return 0;
fail:
	pmr_claim_release(&c);
	return ret;
}

const char *pmr_claim_check(const struct pmr_claim *claim)
{
	struct stat st;

	if (!claim->in_use && pmr_lease_is_wanted(claim->fd))
		return "in-use";
	return is_same(claim, &st) ? NULL : "changed";
}

/* Whether a file's mode lacks what our write may have dropped, and only that: all else is somebody's chmod. */
static bool is_dropped(const struct pmr_claim *claim, mode_t mode)
{
	return claim->drops_set_id && mode != claim->mode &&
	       (mode | (claim->mode & SET_ID)) == claim->mode;
}

int pmr_claim_settle(struct pmr_claim *claim)
{
	bool dropped = false;
	struct stat st;
	int ret = 0;

	if (fstat(claim->fd, &st) < 0)
		return -errno;
	if (claim->in_use) {
		claim->change_time = st.st_ctim;
		return 0;
	}
	/* a write drops security.capability, even root's, and set-id bits without CAP_FSETID */
	if (is_dropped(claim, st.st_mode & 07777)) {
		dropped = true;
		if (fchmod(claim->fd, claim->mode) < 0)
			ret = -errno;
	} else {
		claim->mode = st.st_mode & 07777;
	}
	if (claim->capability && fgetxattr(claim->fd, CAPABILITY, NULL, 0) < 0) {
		dropped = true;
		if (fsetxattr(claim->fd, CAPABILITY, claim->capability, claim->capability_length,
			      0) < 0 &&
		    !ret)
			ret = -errno;
	}
	/* before the journal says that all is done */
	if (dropped && !ret && fsync(claim->fd) < 0)
		ret = -errno;
	if (fstat(claim->fd, &st) < 0)
		return ret ? ret : -errno;
	claim->change_time = st.st_ctim;
	return ret;
}

void pmr_claim_release(struct pmr_claim *claim)
{
	if (claim->fd >= 0) {
		pmr_lease_release(claim->fd);
		close(claim->fd);
	}
	free(claim->capability);
	free(claim->around);
	claim->capability = NULL;
	claim->around = NULL;
	claim->fd = -1;
}
