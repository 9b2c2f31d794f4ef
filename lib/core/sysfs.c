/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes of sysfs: a line, a number, the number of a device. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "private.h"

/* One page is the most that the kernel gives; lists of bad blocks are not read here. */
#define ATTRIBUTE_LIMIT 65536

int pmr_sysfs_line(const char *directory, const char *name, char **line)
{
	char *path, *text;
	size_t length;
	int err;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return -ENOMEM;
	err = pmr_read_text(path, ATTRIBUTE_LIMIT, &text, &length);
	free(path);
	if (err)
		return err;
	text[strcspn(text, "\n")] = '\0';
	*line = text;
	return 0;
}

int pmr_sysfs_number(const char *directory, const char *name, uint64_t *number)
{
	char *line, *end;
	uint64_t value;
	int err;

	err = pmr_sysfs_line(directory, name, &line);
	if (err)
		return err;
	errno = 0;
	value = strtoull(line, &end, 0);
	if (errno || end == line || *end)
		err = -EINVAL;
	else
		*number = value;
	free(line);
	return err;
}

int pmr_sysfs_devno(const char *directory, dev_t *devno)
{
	unsigned int high, low;
	char *line, after;
	int err;

	err = pmr_sysfs_line(directory, "dev", &line);
	if (err)
		return err;
	if (sscanf(line, "%u:%u%c", &high, &low, &after) == 2)
		*devno = makedev(high, low);
	else
		err = -EINVAL;
	free(line);
	return err;
}
