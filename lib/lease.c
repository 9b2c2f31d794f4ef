/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Write leases: nobody else has the file open, and who wants in is heard of.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

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

void pmr_lease_release(int fd)
{
	fcntl(fd, F_SETLEASE, F_UNLCK);
}
