/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The copy that survives SIGBUS: its count is exact, and whose signal it is not gets it as if nobody were in between. */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "pmem-recover.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define GUARD 64u

static size_t page; /* the kernel's: 64 KiB on some */
static char *edge; /* what lies before it can be read, one page, and one page behind it is SIGBUS */

static char byte_at(const char *at)
{
	return (char)(((uintptr_t)at % page) * 7 % 251 + 1);
}

/* A file of one page, mapped as two. */
static char *map_edge(void)
{
	char path[] = "/tmp/pmr-nofault-XXXXXX", *map;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, (off_t)page), 0);
	map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	for (size_t i = 0; i < page; i++)
		map[i] = byte_at(map + i);
	return map + page;
}

static void unmap_edge(char *end)
{
	munmap(end - page, 2 * page);
}

/* Copies and compares with what a look at the page says. */
static void check(char *buffer, size_t to, size_t before, size_t length)
{
	const char *from = edge - before;
	size_t wanted = length < before ? length : before;

	memset(buffer, 0, to + length + GUARD);
	assert_int_equal(pmr_copy_nofault(buffer + to, from, length), wanted);
	assert_int_equal(memcmp(buffer + to, from, wanted), 0);
	for (size_t i = 0; i < to; i++)
		assert_int_equal(buffer[i], 0);
	for (size_t i = to + wanted; i < to + length + GUARD; i++)
		assert_int_equal(buffer[i], 0);
}

static void test_edges(void **state)
{
	static const size_t over[] = { 0, 1, 7, 8, 31, 32, 63, 64, 65, 128 };
	char *buffer = malloc(2 * page + GUARD + 64);

	(void)state;
	assert_true(buffer != NULL);
	assert_int_equal(pmr_nofault_init(), 0);
	for (size_t before = 0; before <= 160; before++)
		for (size_t i = 0; i < N(over); i++)
			check(buffer, before * 5 % 33, before, before + over[i]);
	for (size_t to = 0; to <= 33; to++)
		for (size_t before = 60; before <= 100; before++)
			check(buffer, to, before, before + 64);
	/* Words, and what is left at both ends of them. */
	for (size_t before = 1; before <= 160; before++)
		for (size_t i = 0; i < N(over); i++)
			check(buffer, (size_t)(-before % 8), before, before + over[i]);
	/* All lengths that end before it, from any place. */
	for (size_t before = 1; before <= 160; before++)
		for (size_t length = 0; length <= before; length += before > 100 ? 13 : 1)
			check(buffer, before % 19, before, length);
	for (size_t before = page - 70; before <= page; before++)
		check(buffer, before % 23, before, page + 5);
	pmr_nofault_release();
	free(buffer);
}

/* A store that fails ends it, too: what is counted arrived. */
static void test_destination(void **state)
{
	char bytes[200];

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(pmr_nofault_init(), 0);
	for (size_t before = 0; before < sizeof(bytes); before++) {
		char *end = edge - before;
		size_t got;

		for (char *at = end; at < edge; at++)
			*at = byte_at(at);
		got = pmr_copy_nofault(end, bytes, sizeof(bytes));
		assert_true(got <= before);
#ifdef __x86_64__
		assert_int_equal(got, before);
#endif
		assert_int_equal(memcmp(end, bytes, got), 0);
	}
	for (char *at = edge - page; at < edge; at++)
		*at = byte_at(at);
	pmr_nofault_release();
}

/* ---- handlers before and after */

static struct {
	sigjmp_buf back;
	volatile sig_atomic_t calls;
	volatile sig_atomic_t ours;
	void *volatile address;
	volatile int has_usr1; /* SIGUSR1 was blocked in the handler */
	volatile int has_bus;
} seen;

static void look(void)
{
	sigset_t mask;

	seen.calls++;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	seen.has_usr1 = sigismember(&mask, SIGUSR1);
	seen.has_bus = sigismember(&mask, SIGBUS);
}

static void plain_handler(int signal)
{
	look();
	assert_int_equal(signal, SIGBUS);
	siglongjmp(seen.back, 1);
}

static void info_handler(int signal, siginfo_t *info, void *ucontext)
{
	(void)ucontext;
	seen.address = info->si_addr;
	plain_handler(signal);
}

/* One that asks first, as an application's installed later should. */
static void asking_handler(int signal, siginfo_t *info, void *ucontext)
{
	if (pmr_nofault_handle(signal, info, ucontext)) {
		seen.ours++;
		return;
	}
	info_handler(signal, info, ucontext);
}

/* One that returns. */
static void counting_handler(int signal)
{
	(void)signal;
	look();
}

static void set_action(struct sigaction *old, void (*plain)(int),
		       void (*info)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_flags = flags };

	if (info) {
		action.sa_flags |= SA_SIGINFO;
		action.sa_sigaction = info;
	} else {
		action.sa_handler = plain;
	}
	sigemptyset(&action.sa_mask);
	if (info || (plain != SIG_DFL && plain != SIG_IGN))
		sigaddset(&action.sa_mask, SIGUSR1);
	assert_int_equal(sigaction(SIGBUS, &action, old), 0);
}

static char load(const volatile char *at)
{
	return *at;
}

/* Through a pointer: valgrind then has all registers in their places when the load is to be done again. */
static char (*volatile load_from)(const volatile char *at) = load;

static void fault(void)
{
	(void)load_from(edge);
}

static void expect_handled(bool nodefer)
{
	sigset_t mask;

	memset(&seen, 0, sizeof(seen));
	if (sigsetjmp(seen.back, 1) == 0) {
		fault();
		assert_true(false);
	}
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.has_usr1, 1);
	assert_int_equal(seen.has_bus, !nodefer);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGUSR1), 0);
}

static void expect_copy(void)
{
	char buffer[32];

	errno = 77;
	assert_int_equal(pmr_copy_nofault(buffer, edge - 10, 20), 10);
	assert_int_equal(errno, 77);
}

static void test_handler_before(void **state)
{
	struct sigaction before, after;

	(void)state;
	for (int i = 0; i < 4; i++) {
		int flags = i & 1 ? SA_NODEFER : 0;

		set_action(&before, plain_handler, i & 2 ? info_handler : NULL, flags);
		assert_int_equal(pmr_nofault_init(), 0);
		expect_copy();
		expect_handled(i & 1);
		if (i & 2)
			assert_true(seen.address == edge);
		expect_copy();
		pmr_nofault_release();
		sigaction(SIGBUS, &before, &after);
		assert_true(i & 2 ? after.sa_sigaction == info_handler
				  : after.sa_handler == plain_handler);
		assert_int_equal(after.sa_flags & SA_NODEFER, flags);
	}
}

static void test_handler_after(void **state)
{
	struct sigaction before, now;

	(void)state;
	set_action(&before, plain_handler, NULL, 0);
	assert_int_equal(pmr_nofault_init(), 0);
	set_action(NULL, NULL, asking_handler, 0);
	memset(&seen, 0, sizeof(seen));
	expect_copy();
	assert_int_equal(seen.ours, 1);
	expect_handled(false);
	/* It stays, now and when ours is wanted again. */
	pmr_nofault_release();
	sigaction(SIGBUS, NULL, &now);
	assert_true(now.sa_sigaction == asking_handler);
	assert_int_equal(pmr_nofault_init(), 0);
	expect_copy();
	expect_handled(false);
	/* Whoever took it away gets it back. */
	set_action(NULL, SIG_DFL, NULL, 0);
	assert_int_equal(pmr_nofault_init(), 0);
	expect_copy();
	pmr_nofault_release();
	pmr_nofault_release();
	sigaction(SIGBUS, &before, &now);
	assert_true(now.sa_handler == SIG_DFL);
}

/* Without an init of ours. */
static void test_handler_alone(void **state)
{
	struct sigaction before;
	siginfo_t info = { .si_code = BUS_ADRERR };

	(void)state;
	set_action(&before, NULL, asking_handler, 0);
	expect_copy();
	expect_handled(false);
	assert_true(!pmr_nofault_handle(SIGSEGV, &info, NULL));
	sigaction(SIGBUS, &before, NULL);
}

static void test_counted(void **state)
{
	struct sigaction before, now;

	(void)state;
	sigaction(SIGBUS, NULL, &before);
	pmr_nofault_release();
	assert_int_equal(pmr_nofault_init(), 0);
	assert_int_equal(pmr_nofault_init(), 0);
	pmr_nofault_release();
	expect_copy();
	pmr_nofault_release();
	pmr_nofault_release();
	sigaction(SIGBUS, NULL, &now);
	assert_true(now.sa_handler == before.sa_handler);
	assert_int_equal(pmr_nofault_init(), 0);
	expect_copy();
	pmr_nofault_release();
}

/* ---- what is not ours, where nobody handles it */

struct ending {
	const char *name;
	void (*previous)(int);
	int flags;
	enum { FAULT, SENT, FAULT_TWICE, MACHINE_CHECK } cause;
	int signal; /* that it ends by, 0 where it goes on */
};

/*
 * What the kernel forces where it met poison in a system call: nothing is repeated when the handler returns. The handler is
 * called as by the kernel, since valgrind and qemu-user take such a signal for a fault of their own.
 */
static void send_machine_check(void)
{
	siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_MCEERR_AR };
	struct sigaction now;
	ucontext_t context;

	info.si_addr = edge;
	/* cppcheck-suppress getcontextCalled ; a context is what a handler takes */
	if (sigaction(SIGBUS, NULL, &now) || getcontext(&context))
		_exit(4);
	now.sa_sigaction(SIGBUS, &info, &context);
	pthread_sigmask(SIG_SETMASK, &context.uc_sigmask, NULL);
}

static void run_ending(const struct ending *ending)
{
	static const struct rlimit none;
	struct sigaction now;
	sigset_t mask;

	setrlimit(RLIMIT_CORE, &none);
	/* Whatever the handler of a test program thinks of it. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
	set_action(NULL, ending->previous, NULL, ending->flags);
	if (pmr_nofault_init() != 0)
		_exit(1);
	expect_copy();
	if (ending->cause == SENT) {
		raise(SIGBUS);
	} else if (ending->cause == MACHINE_CHECK) {
		send_machine_check();
	} else if (sigsetjmp(seen.back, 1) == 0 || ending->cause == FAULT_TWICE) {
		fault();
		_exit(3);
	}
	expect_copy();
	pmr_nofault_release();
	sigaction(SIGBUS, NULL, &now);
	_exit(now.sa_handler == ending->previous ? 0 : 2);
}

static void test_endings(void **state)
{
	static const struct ending endings[] = {
		{ "default, fault", SIG_DFL, 0, FAULT, SIGBUS },
		{ "default, sent", SIG_DFL, 0, SENT, SIGBUS },
		{ "default, machine check", SIG_DFL, 0, MACHINE_CHECK, SIGBUS },
		{ "ignored, machine check", SIG_IGN, 0, MACHINE_CHECK, SIGBUS },
		{ "handled, machine check", counting_handler, 0, MACHINE_CHECK, 0 },
		{ "ignored, fault", SIG_IGN, 0, FAULT, SIGBUS },
		{ "ignored, sent", SIG_IGN, 0, SENT, 0 },
		{ "handled, fault", plain_handler, 0, FAULT, 0 },
		{ "handled, sent", counting_handler, 0, SENT, 0 },
		{ "handled, twice", plain_handler, SA_NODEFER | SA_RESETHAND, FAULT_TWICE, SIGBUS },
	};

	(void)state;
	for (size_t i = 0; i < N(endings); i++) {
		const struct ending *ending = &endings[i];
		pid_t child = fork();
		int status;

		if (child == 0)
			run_ending(ending);
		assert_true(child > 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (ending->signal == 0 ? status != 0 : WTERMSIG(status) != ending->signal)
			fprintf(stderr, "%s: status %x\n", ending->name, (unsigned int)status);
		assert_true(ending->signal == 0
				    ? status == 0
				    : WIFSIGNALED(status) && WTERMSIG(status) == ending->signal);
	}
}

static atomic_bool sent_all;

/* Somebody else's SIGBUS, while the thread is at a copy, is none of the copy's. */
static void *send_many(void *thread)
{
	static const struct timespec little = { .tv_nsec = 20000 };

	for (int i = 0; i < 300; i++) {
		pthread_kill(*(pthread_t *)thread, SIGBUS);
		nanosleep(&little, NULL);
	}
	atomic_store(&sent_all, true);
	return NULL;
}

static void test_sent(void **state)
{
	size_t length = 1024 * 1024;
	char *from = malloc(length), *to = malloc(length);
	pthread_t self = pthread_self(), sender;
	struct sigaction before;

	(void)state;
	assert_true(from && to);
	memset(from, 'x', length);
	set_action(&before, counting_handler, NULL, SA_RESTART);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(pmr_nofault_init(), 0);
	assert_int_equal(pthread_create(&sender, NULL, send_many, &self), 0);
	while (!atomic_load(&sent_all))
		assert_int_equal(pmr_copy_nofault(to, from, length), length);
	pthread_join(sender, NULL);
	assert_true(seen.calls > 0);
	pmr_nofault_release();
	sigaction(SIGBUS, &before, NULL);
	free(from);
	free(to);
}

/* ---- threads */

struct copier {
	pthread_t thread;
	unsigned int number;
	unsigned long copies;
	unsigned long wrong;
};

static void *copy_many(void *data)
{
	struct copier *copier = data;
	uint32_t random = copier->number * 2654435761u + 1;
	char to[512];

	for (unsigned long i = 0; i < copier->copies; i++) {
		size_t before, length;

		random = random * 1664525u + 1013904223u;
		before = random >> 24;
		length = before + 1 + (random >> 16 & 0xff);
		if (pmr_copy_nofault(to, edge - before, length) != before ||
		    memcmp(to, edge - before, before) != 0)
			copier->wrong++;
	}
	return NULL;
}

/* COPIES says how many in all, for what is slow at signals. */
static void test_threads(void **state)
{
	const char *wanted = getenv("COPIES");
	unsigned long copies = wanted ? strtoul(wanted, NULL, 10) : 1000000;
	struct copier copiers[4] = { 0 };

	(void)state;
	assert_true(copies >= 1000);
	assert_int_equal(pmr_nofault_init(), 0);
	for (unsigned int i = 0; i < N(copiers); i++) {
		copiers[i].number = i;
		copiers[i].copies = copies / N(copiers);
		assert_int_equal(pthread_create(&copiers[i].thread, NULL, copy_many, &copiers[i]),
				 0);
	}
	for (unsigned int i = 0; i < N(copiers); i++) {
		pthread_join(copiers[i].thread, NULL);
		assert_int_equal(copiers[i].wrong, 0);
	}
	pmr_nofault_release();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),	       cmocka_unit_test(test_destination),
		cmocka_unit_test(test_handler_before), cmocka_unit_test(test_handler_after),
		cmocka_unit_test(test_handler_alone),  cmocka_unit_test(test_counted),
		cmocka_unit_test(test_endings),	       cmocka_unit_test(test_sent),
		cmocka_unit_test(test_threads),
	};
	int failed;

	page = (size_t)sysconf(_SC_PAGESIZE);
	edge = map_edge();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unmap_edge(edge);
	return failed;
}
