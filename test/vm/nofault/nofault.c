/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nofault dax FILE OFFSET COPIES	pmr_copy_nofault() by four threads into the bad page of FILE at OFFSET; the page ahead is good
 * nofault madvise			of memory that the kernel was told is bad (MADV_HWPOISON)
 *
 * Prints what was wrong; exit status 0 if nothing was.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pmem-recover.h"

#define THREADS 4

struct copier {
	pthread_t thread;
	uint32_t random;
	unsigned long copies;
	unsigned long wrong;
	const char *edge; /* the first byte that cannot be read */
};

static void *copy_many(void *data)
{
	struct copier *copier = data;
	char to[2 * PMR_PAGE];

	for (unsigned long i = 0; i < copier->copies; i++) {
		size_t before, length, got;

		copier->random = copier->random * 1664525u + 1013904223u;
		before = copier->random >> 8 & 0xfff;
		length = before + 1 + (copier->random >> 20 & 0x7ff);
		got = pmr_copy_nofault(to, copier->edge - before, length);
		if (got != before || memcmp(to, copier->edge - before, before) != 0)
			copier->wrong++;
	}
	return NULL;
}

static int copy_by_threads(const char *edge, unsigned long copies)
{
	struct copier copiers[THREADS] = { 0 };
	unsigned long wrong = 0;

	for (unsigned int i = 0; i < THREADS; i++) {
		copiers[i].random = i * 2654435761u + 1;
		copiers[i].copies = copies / THREADS;
		copiers[i].edge = edge;
		if (pthread_create(&copiers[i].thread, NULL, copy_many, &copiers[i]))
			abort();
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(copiers[i].thread, NULL);
		wrong += copiers[i].wrong;
	}
	printf("%lu of %lu copies were wrong\n", wrong, copies);
	return wrong != 0;
}

static int of_file(const char *path, size_t offset, unsigned long copies)
{
	const size_t length = offset + PMR_PAGE;
	int failed, fd = open(path, O_RDONLY);
	char *map = fd < 0 ? MAP_FAILED : mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		perror(path);
	if (fd >= 0)
		close(fd);
	if (map == MAP_FAILED)
		return 1;
	failed = copy_by_threads(map + offset, copies);
	munmap(map, length);
	return failed;
}

/* Linux 6.12 tells who makes memory bad by a signal in madvise(2) itself, which is none of a copy's. */
static void pass(int signal)
{
	(void)signal;
}

static int of_pages(char *map)
{
	char to[PMR_PAGE];
	int failed;

	memset(map, 'x', 3 * PMR_PAGE);
	if (madvise(map + PMR_PAGE, PMR_PAGE, MADV_HWPOISON)) {
		perror("madvise");
		return 1;
	}
	failed = copy_by_threads(map + PMR_PAGE, 4000);
	/* and behind it */
	if (pmr_copy_nofault(to, map + PMR_PAGE + 100, 100) != 0 ||
	    pmr_copy_nofault(to, map + 2 * PMR_PAGE, PMR_PAGE) != PMR_PAGE) {
		printf("a copy from within or behind it was wrong\n");
		failed = 1;
	}
	return failed;
}

static int of_memory(void)
{
	char *map = mmap(NULL, 3 * PMR_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int failed;

	if (map == MAP_FAILED)
		return 1;
	failed = of_pages(map);
	munmap(map, 3 * PMR_PAGE);
	return failed;
}

int main(int argc, char **argv)
{
	signal(SIGBUS, pass);
	if (pmr_nofault_init() != 0)
		return 1;
	if (argc == 5 && strcmp(argv[1], "dax") == 0)
		return of_file(argv[2], strtoul(argv[3], NULL, 0), strtoul(argv[4], NULL, 0));
	if (argc == 2 && strcmp(argv[1], "madvise") == 0)
		return of_memory();
	return 16;
}
