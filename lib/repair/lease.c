/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Write leases: nobody else has the file open, and who wants in is heard of.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "repair.h"

int pmr_lease_take(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		return -errno;
	return 0;
}

bool pmr_lease_is_wanted(int fd)
{
	/* while a break waits, F_GETLEASE tells what the lease is to become */
	return fcntl(fd, F_GETLEASE) != F_WRLCK;
}

/* "1: LEASE  BREAKING  UNLCK 1234 00:1a:42 0 EOF" */
static bool is_in_locks(const struct stat *st)
{
	char wanted[96], line[256];
	bool found = false;
	FILE *locks;

	snprintf(wanted, sizeof(wanted), " %ld %02x:%02x:%" PRIu64 " ", (long)getpid(),
		 major(st->st_dev), minor(st->st_dev), (uint64_t)st->st_ino);
	locks = fopen("/proc/locks", "re");
	while (locks && !found && fgets(line, sizeof(line), locks))
		found = strstr(line, " LEASE ") && strstr(line, wanted);
	if (locks)
		fclose(locks);
	return found;
}

bool pmr_lease_is_lost(int fd)
{
	struct stat st;

	/* F_GETLEASE says the same of a lease that somebody waits for, and of none */
	return pmr_lease_is_wanted(fd) && (fstat(fd, &st) < 0 || !is_in_locks(&st));
}

void pmr_lease_release(int fd)
{
	fcntl(fd, F_SETLEASE, F_UNLCK);
}
