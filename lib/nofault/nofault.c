/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The handler of SIGBUS: a fault of pmr_copy_nofault() is put right, any other is passed on to the handler before it. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "nofault/nofault.h"
#include "private.h"

/*
 * The handler of a signal is the process's, and so is this. The handler reads what stands here before it is installed,
 * and takes no lock.
 */
static struct {
	pthread_mutex_t lock;
	unsigned int users;
	bool installed; /* and perhaps beneath another one */
	struct sigaction previous;
	atomic_bool spent; /* the previous one was for one signal, and had it */
} nofault = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Of the instruction that the thread is at, which nobody but the kernel says; a signal from elsewhere may come at any. */
static bool is_forced(const siginfo_t *info)
{
	return info->si_code > 0 && info->si_code != BUS_MCEERR_AO;
}

bool pmr_nofault_handle(int signal, siginfo_t *info, void *ucontext)
{
	return signal == SIGBUS && is_forced(info) && pmr_nofault_fix(ucontext);
}

/*
 * The kernel does not ignore a signal that it forces, and whoever wanted the default wanted its core. A fault comes again
 * when the handler returns, and the core then shows the instruction that it was for. What a machine check found may have
 * been found in a system call, and comes no more.
 */
static void die(int signal, const siginfo_t *info)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	sigemptyset(&action.sa_mask);
	if (sigaction(signal, &action, NULL) == 0 &&
	    (!is_forced(info) || info->si_code == BUS_MCEERR_AR))
		(void)raise(signal);
}

static void pass_on(int signal, siginfo_t *info, void *ucontext)
{
	const struct sigaction *previous = &nofault.previous;
	sigset_t mask = previous->sa_mask;

	if (previous->sa_handler == SIG_IGN && !is_forced(info))
		return;
	if (previous->sa_handler == SIG_IGN || previous->sa_handler == SIG_DFL ||
	    ((previous->sa_flags & SA_RESETHAND) && atomic_exchange(&nofault.spent, true))) {
		die(signal, info);
		return;
	}
	if (!(previous->sa_flags & SA_NODEFER))
		sigaddset(&mask, signal);
	/* Until it returns: the kernel then puts back what @ucontext has. */
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	if (previous->sa_flags & SA_SIGINFO)
		previous->sa_sigaction(signal, info, ucontext);
	else
		previous->sa_handler(signal);
}

static void on_sigbus(int signal, siginfo_t *info, void *ucontext)
{
	int saved = errno;

	if (!pmr_nofault_handle(signal, info, ucontext))
		pass_on(signal, info, ucontext);
	errno = saved;
}

static bool is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_sigbus;
}

static bool is_handler(const struct sigaction *action)
{
	return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

static int install(void)
{
	struct sigaction now, action = { .sa_sigaction = on_sigbus };
	int shared = SA_ONSTACK | SA_RESTART;

	if (sigaction(SIGBUS, NULL, &now) != 0)
		return -errno;
	/* One that was installed above ours passes on to ours what it does not handle. */
	if (is_ours(&now) || (nofault.installed && is_handler(&now)))
		return 0;
	/* The stack, and whether system calls go on, are as the previous one has them. */
	action.sa_flags =
		SA_SIGINFO | SA_NODEFER | (is_handler(&now) ? now.sa_flags & shared : shared);
	sigemptyset(&action.sa_mask);
	nofault.previous = now;
	atomic_store(&nofault.spent, false);
	if (sigaction(SIGBUS, &action, NULL) != 0)
		return -errno;
	nofault.installed = true;
	return 0;
}

int pmr_nofault_init(void)
{
	int error;

	if (!PMR_NOFAULT_SUPPORTED)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&nofault.lock);
	error = install();
	if (error == 0)
		nofault.users++;
	pthread_mutex_unlock(&nofault.lock);
	return error;
}

void pmr_nofault_release(void)
{
	struct sigaction now;

	pthread_mutex_lock(&nofault.lock);
	if (nofault.users > 0 && --nofault.users == 0 && sigaction(SIGBUS, NULL, &now) == 0 &&
	    is_ours(&now)) {
		if (atomic_load(&nofault.spent))
			nofault.previous.sa_handler = SIG_DFL;
		nofault.installed = sigaction(SIGBUS, &nofault.previous, NULL) != 0;
	}
	pthread_mutex_unlock(&nofault.lock);
}
