/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From an address to the file that is mapped there: the text of /proc/PID/maps, and what of the file a fault took. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "recover/recover.h"

/* One number, which ends in @end. */
static bool take(const char **at, int base, char end, uint64_t *value)
{
	char *behind;

	errno = 0;
	*value = strtoull(*at, &behind, base);
	if (errno || behind == *at || **at == '-' || **at == '+' || *behind != end)
		return false;
	*at = behind + 1;
	return true;
}

/* "START-END PERMISSIONS OFFSET MAJOR:MINOR INODE", spaces, and perhaps a path; proc(5) */
static bool take_line(const char *line, const char *end, struct pmr_mapped *mapped)
{
	uint64_t major, minor;
	const char *at = line;

	if (!take(&at, 16, '-', &mapped->start) || !take(&at, 16, ' ', &mapped->end))
		return false;
	at = memchr(at, ' ', (size_t)(end - at));
	if (!at++ || !take(&at, 16, ' ', &mapped->offset) || !take(&at, 16, ':', &major) ||
	    !take(&at, 16, ' ', &minor))
		return false;
	mapped->devno = makedev((unsigned int)major, (unsigned int)minor);
	/* where there is no path, a space follows all the same, or the line ends */
	if (!take(&at, 10, ' ', &mapped->inode) && !take(&at, 10, '\n', &mapped->inode))
		return false;
	while (at < end && *at == ' ')
		at++;
	mapped->path = at;
	mapped->path_length = at < end ? (size_t)(end - at) : 0;
	return mapped->start < mapped->end;
}

int pmr_mapped_find(const char *maps, uint64_t address, struct pmr_mapped *mapped)
{
	struct pmr_mapped found;
	const char *end;

	for (; *maps; maps = end + 1) {
		end = strchr(maps, '\n');
		if (!end || !take_line(maps, end, &found))
			return -EPROTO;
		if (found.start > address || found.end <= address)
			continue;
		*mapped = found;
		return 1;
	}
	return 0;
}

int pmr_mapped_range(const struct pmr_mapped *mapped, uint64_t address, uint64_t unit,
		     uint64_t size, struct pmr_range *range)
{
	uint64_t from = address & ~(unit - 1), to = from + (unit - 1), offset, length;

	if (from < mapped->start)
		from = mapped->start;
	if (to > mapped->end - 1)
		to = mapped->end - 1;
	offset = mapped->offset + (from - mapped->start);
	length = to - from + 1;
	if (offset + (address - from) >= size)
		return -ERANGE;
	range->offset = offset;
	range->length = length < size - offset ? length : size - offset;
	return 0;
}
