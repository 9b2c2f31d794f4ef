/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded into the program: something happens at the calls that freeze and thaw. FROZEN says what:
 *
 *	kill-before-freeze kill-after-freeze kill-before-thaw kill-after-thaw	SIGKILL to who makes the call
 *	stop-after-freeze	SIGSTOP to it
 *	both-after-freeze	SIGKILL to it and its parent
 *	thaw-after-freeze	somebody else thaws
 *	fail-freeze		the call says EIO
 *	slow-freeze		it is made after 11 seconds
 *	write-before-freeze	its owner writes the pages of FROZEN_PAGES in FROZEN_FILE anew, with 'O'
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...);

/* Only who froze is killed when it thaws: where that one died, the other one does. */
static int is_guardian;

static int is(const char *word)
{
	const char *wanted = getenv("FROZEN");

	return wanted && !strcmp(wanted, word);
}

static void end(int signal)
{
	kill(getpid(), signal);
}

static void write_pages(void)
{
	static char page[4096] __attribute__((aligned(4096)));
	const char *list = getenv("FROZEN_PAGES"), *file = getenv("FROZEN_FILE");
	int fd = list && file ? open(file, O_WRONLY | O_CLOEXEC) : -1;
	char *next;

	memset(page, 'O', sizeof(page));
	for (; fd >= 0 && *list; list = *next ? next + 1 : next)
		if (pwrite(fd, page, sizeof(page), strtol(list, &next, 10)) !=
		    (ssize_t)sizeof(page))
			_exit(77);
	if (fd < 0 || fsync(fd) < 0)
		_exit(78);
	close(fd);
}

static int freeze(int fd, long argument)
{
	int ret;

	if (is("fail-freeze")) {
		errno = EIO;
		return -1;
	}
	if (is("write-before-freeze"))
		write_pages();
	if (is("kill-before-freeze"))
		end(SIGKILL);
	is_guardian = 1;
	if (is("slow-freeze"))
		sleep(11);
	ret = (int)syscall(SYS_ioctl, fd, FIFREEZE, argument);
	if (is("thaw-after-freeze"))
		syscall(SYS_ioctl, fd, FITHAW, 0);
	if (is("both-after-freeze"))
		kill(getppid(), SIGKILL);
	if (is("kill-after-freeze") || is("both-after-freeze"))
		end(SIGKILL);
	if (is("stop-after-freeze"))
		end(SIGSTOP);
	return ret;
}

static int thaw(int fd, long argument)
{
	int ret;

	if (is_guardian && is("kill-before-thaw"))
		end(SIGKILL);
	ret = (int)syscall(SYS_ioctl, fd, FITHAW, argument);
	if (is_guardian && is("kill-after-thaw"))
		end(SIGKILL);
	return ret;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	long argument;

	va_start(arguments, request);
	argument = va_arg(arguments, long);
	va_end(arguments);
	if (request == FIFREEZE)
		return freeze(fd, argument);
	if (request == FITHAW)
		return thaw(fd, argument);
	return (int)syscall(SYS_ioctl, fd, request, argument);
}
