// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Freezes a filesystem in a process of its own, the guardian: whichever of the two dies, the other one thaws.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

/* Milliseconds in which a guardian that was made is to be ready to freeze, and which the freeze may take to be of use. */
#define READY 10000u
/* How often, and every how many nanoseconds, a thaw is tried that fails. */
#define THAWS 5
#define THAW_AGAIN 50000000L
/* Bytes of stack that are made present before the freeze. */
#define STACK 65536u

enum stage {
	STAGE_NEW,
	STAGE_CALLED_OFF, /* by the parent: it must not freeze any more */
	STAGE_FREEZING, /* from here on it may be frozen */
	STAGE_FROZEN,
	STAGE_THAWED, /* or it never was: see the error */
	STAGE_THAWED_BY_OTHERS,
	STAGE_THAW_FAILED,
};

/**
 * struct watch - what guardian and parent both see
 * @stage: how far the guardian came
 * @began: nanoseconds, when it began to freeze
 * @since: when it was frozen
 * @ended: when it had thawed
 * @error: why it did not freeze, a negative errno
 */
struct watch {
	int stage;
	uint64_t began;
	uint64_t since;
	uint64_t ended;
	int error;
};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void set_stage(struct watch *watch, enum stage stage)
{
	__atomic_store_n(&watch->stage, stage, __ATOMIC_SEQ_CST);
}

/* Return: whether it was @from, of which there are two who may end it. */
static bool change_stage(struct watch *watch, enum stage from, enum stage to)
{
	int expected = from;

	return __atomic_compare_exchange_n(&watch->stage, &expected, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static enum stage get_stage(const struct watch *watch)
{
	return (enum stage)__atomic_load_n(&watch->stage, __ATOMIC_SEQ_CST);
}

/* Return: 0, also where it is not frozen (any more); -errno. */
static int thaw(int fd)
{
	const struct timespec pause = { .tv_nsec = THAW_AGAIN };
	int ret = 0;

	for (int i = 0; i < THAWS; i++) {
		ret = ioctl(fd, FITHAW, 0) < 0 ? -errno : 0;
		if (!ret || ret == -EINVAL)
			return 0;
		nanosleep(&pause, NULL);
	}
	return ret;
}

/* Whether it took too long to freeze, or whoever froze was stopped right then: enough have waited. */
static bool is_late(const struct watch *watch)
{
	return watch->since - watch->began > (uint64_t)READY * 1000000;
}

/* ---- the guardian */

/* So that nothing has to be fetched, or room to be made, while the filesystem stands still. */
static int hold_memory(void)
{
	volatile char stack[STACK];

	for (size_t i = 0; i < sizeof(stack); i += 1024)
		stack[i] = 0;
	return mlockall(MCL_CURRENT | MCL_FUTURE) < 0 ? -errno : 0;
}

static void __attribute__((noreturn)) guard(struct pmr_freeze *freeze, struct watch *watch)
{
	bool others;

	/* a terminal that goes away, or Ctrl-C, is not meant for it */
	setsid();
	/* should it be stopped, and its parent die, it goes on and thaws */
	prctl(PR_SET_PDEATHSIG, SIGCONT);
	watch->error = hold_memory();
	if (watch->error) {
		set_stage(watch, STAGE_THAWED);
		_exit(1);
	}
	watch->began = now();
	if (!change_stage(watch, STAGE_NEW, STAGE_FREEZING))
		_exit(1);
	if (ioctl(freeze->fd, FIFREEZE, 0) < 0) {
		watch->error = -errno;
		set_stage(watch, STAGE_THAWED);
		_exit(1);
	}
	watch->since = freeze->began = now();
	set_stage(watch, STAGE_FROZEN);
	if (!is_late(watch))
		freeze->work(freeze->data);
	/* it was frozen by us, so where it is not any more somebody else has thawed it, and nobody knows when */
	others = ioctl(freeze->fd, FITHAW, 0) < 0 && errno == EINVAL;
	if (!others && thaw(freeze->fd)) {
		set_stage(watch, STAGE_THAW_FAILED);
		_exit(1);
	}
	watch->ended = now();
	set_stage(watch, others ? STAGE_THAWED_BY_OTHERS : STAGE_THAWED);
	_exit(0);
}

/* ---- the parent, which until the thaw writes to nothing */

/* @life: a pipe that the guardian alone can write to, so that it ends with it. Return: whether it ended. */
static bool wait_end(int life, uint64_t until)
{
	struct pollfd wait = { .fd = life, .events = POLLIN };
	uint64_t time;
	int ret;

	do {
		time = now();
		ret = poll(&wait, 1, time < until ? (int)((until - time) / 1000000) + 1 : 0);
	} while (ret <= 0 && now() < until);
	return ret > 0;
}

/*
 * Whether the guardian came to its end in time. It is not killed while it freezes: that waits for the freeze of somebody else to
 * be complete before it fails, and then nobody would know whose the freeze is.
 */
static bool is_in_time(pid_t guardian, int life, struct watch *watch, unsigned int limit)
{
	const uint64_t slice = (uint64_t)limit * 1000000 / 4;
	const uint64_t made = now();

	while (get_stage(watch) == STAGE_NEW) {
		if (wait_end(life, now() + slice))
			return true;
		if (now() - made >= (uint64_t)READY * 1000000 &&
		    change_stage(watch, STAGE_NEW, STAGE_CALLED_OFF))
			return false;
	}
	while (get_stage(watch) == STAGE_FREEZING) {
		if (wait_end(life, now() + slice))
			return true;
		/* should it have been stopped, it goes on */
		kill(guardian, SIGCONT);
	}
	/* what it may take begins when it is frozen, and when that is it alone knows */
	return wait_end(life, watch->since + (uint64_t)limit * 1000000);
}

/* Until it is really dead: what the kernel does in its name it does to the end, so a write of it may still come. */
static void wait_dead(pid_t guardian)
{
	while (waitpid(guardian, NULL, 0) < 0 && errno == EINTR)
		;
}

static const char *find_mountpoint(const struct cli *cli, dev_t devno)
{
	const struct pmr_topology *topology = cli->report.topology;

	for (size_t i = 0; topology && i < topology->n_filesystems; i++)
		if (topology->filesystems[i]->devno == devno &&
		    topology->filesystems[i]->mountpoint)
			return topology->filesystems[i]->mountpoint;
	return "MOUNTPOINT";
}

static int say_frozen(struct cli *cli, const struct pmr_freeze *freeze, int error)
{
	const char *mountpoint = find_mountpoint(cli, freeze->devno);

	cli_say(cli, PMR_ERROR, "still-frozen", mountpoint,
		"may still be frozen, and everybody who writes to it hangs: thawing it failed (%s). Type NOW: fsfreeze -u %s",
		strerror(-error), mountpoint);
	return -EIO;
}

/* The guardian is dead. @stage and @in_time: how far it came, and whether it had to be killed. */
static int conclude(struct cli *cli, struct pmr_freeze *freeze, const struct watch *watch,
		    bool in_time)
{
	enum stage stage = get_stage(watch);
	int ret;

	/* of a freeze that failed EIO says that it does not stand still, and not that it may */
	if (stage == STAGE_THAWED && watch->error)
		return watch->error == -EIO ? -EOPNOTSUPP : watch->error;
	if (stage == STAGE_THAWED || stage == STAGE_THAWED_BY_OTHERS) {
		freeze->frozen = watch->ended - watch->began;
		if (is_late(watch))
			return -ETIMEDOUT;
		return stage == STAGE_THAWED ? 0 : -EAGAIN;
	}
	if (stage == STAGE_NEW || stage == STAGE_CALLED_OFF)
		return in_time ? -ECHILD : -ETIMEDOUT;
	ret = thaw(freeze->fd);
	freeze->frozen = now() - watch->began;
	if (ret)
		return say_frozen(cli, freeze, ret);
	return in_time ? -ECHILD : -ETIMEDOUT;
}

static int guard_in_child(struct cli *cli, struct pmr_freeze *freeze, struct watch *watch,
			  int life[2])
{
	sigset_t all, before;
	bool in_time;
	pid_t guardian;
	int ret;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	guardian = fork();
	if (!guardian)
		guard(freeze, watch);
	if (guardian < 0) {
		ret = -ENOMEM;
		goto out;
	}
	close(life[1]);
	life[1] = -1;
	in_time = is_in_time(guardian, life[0], watch, freeze->limit);
	if (!in_time)
		kill(guardian, SIGKILL);
	wait_dead(guardian);
	ret = conclude(cli, freeze, watch, in_time);
out:
	/* not before it is thawed: nobody else would thaw for a parent that a signal stopped or ended (Ctrl-Z, Ctrl-\) */
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ret;
}

static int run(void *data, struct pmr_freeze *freeze)
{
	struct watch *watch;
	int life[2], ret;

	if (pipe2(life, O_CLOEXEC) < 0)
		return -ENOMEM;
	watch = mmap(NULL, sizeof(*watch), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (watch == MAP_FAILED) {
		ret = -ENOMEM;
		goto out;
	}
	/* what waits to be written is written before it stands still, not while */
	syncfs(freeze->fd);
	ret = guard_in_child(data, freeze, watch, life);
	munmap(watch, sizeof(*watch));
out:
	close(life[0]);
	if (life[1] >= 0)
		close(life[1]);
	return ret;
}

static bool is_on(int fd, dev_t devno)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_dev == devno;
}

static const char *refuses(void *data, dev_t devno)
{
	const struct cli *cli = data;
	const char *journal = cli->options.journal;
	struct stat st;

	if (!stat("/", &st) && st.st_dev == devno)
		return "root-filesystem";
	if (is_on(STDOUT_FILENO, devno) || is_on(STDERR_FILENO, devno))
		return "output-on-target";
	if (!stat(journal ? journal : PMR_STATE_DIRECTORY, &st) && st.st_dev == devno)
		return "journal-on-target";
	return NULL;
}

void cli_set_freezer(struct cli *cli)
{
	const struct pmr_freezer freezer = { .refuses = refuses, .run = run, .data = cli };

	pmr_set_freezer(cli->ctx, &freezer);
}
