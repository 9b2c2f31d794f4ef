/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of ext4 and ext3 whose data goes to the log of their filesystem first, and to its place later. */

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "private.h"
#include "topology.h"

#define OPTIONS_MAX (64u * 1024)

static bool has_line(const char *text, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, line, length) && (at[length] == '\n' || !at[length]))
			return true;
	}
	return false;
}

bool pmr_options_journal(const char *options, bool flagged)
{
	/* without a log there is no such option */
	bool has_log = strstr(options, "\ndata=");

	return has_line(options, "data=journal") ||
	       (flagged && has_log && !has_line(options, "delalloc"));
}

/* The mount table does not show what the superblock has as its default. Return: 0, -errno. */
static int read_options(const struct pmr_filesystem *filesystem, char **options)
{
	struct pmr_block block;
	char *path = NULL;
	size_t length;
	int ret;

	ret = pmr_block_get(filesystem->devno, &block);
	if (ret)
		return ret;
	for (char *c = block.name; (c = strchr(c, '/'));)
		*c = '!';
	ret = asprintf(&path, "/proc/fs/ext4/%s/options", block.name) < 0 ? -ENOMEM : 0;
	pmr_block_release(&block);
	if (ret)
		return ret;
	ret = pmr_read_text(path, OPTIONS_MAX, options, &length);
	free(path);
	return ret;
}

bool pmr_file_is_journalled(int fd, const struct pmr_filesystem *filesystem)
{
	const char *type = filesystem->type;
	char *options = NULL;
	int flags = 0;
	bool journalled;

	if (!type || (strcmp(type, "ext4") != 0 && strcmp(type, "ext3") != 0))
		return false;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) || read_options(filesystem, &options))
		return true;
	journalled = pmr_options_journal(options, flags & FS_JOURNAL_DATA_FL);
	free(options);
	return journalled;
}
