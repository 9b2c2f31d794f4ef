// SPDX-License-Identifier: GPL-2.0-or-later
/* seal.c: a file sealed by fs-verity. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fsverity.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tree.h"

int verb_seal(int argc, char **argv)
{
	struct fsverity_enable_arg arg = {
		.version = 1,
		.hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
		.block_size = 4096,
	};
	int fd = must_open(argv[0], O_RDONLY);

	(void)argc;
	if (ioctl(fd, FS_IOC_ENABLE_VERITY, &arg))
		die("%s: cannot be sealed: %s", argv[0], strerror(errno));
	close(fd);
	return 0;
}
