/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devdax: copies memory to a file on tmpfs as a device-dax is salvaged, and by memcpy(), in turn; the median of the ratios counts.
 * devdax copy DEVICE BYTES FILE: the latter of them alone, of a device-dax.
 * devdax fill DEVICE BYTES: no page of it is another's, or has never been touched.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "salvage/salvage.h"

#define SIZE ((uint64_t)256 << 20)
#define PIECE ((size_t)1 << 20)
#define ROUNDS 15

/* ---- by memcpy() */

static void copy(const char *from, uint64_t size, int out)
{
	static char buffer[PIECE];
	size_t n;

	for (uint64_t at = 0; at < size; at += n) {
		n = size - at < PIECE ? (size_t)(size - at) : PIECE;
		memcpy(buffer, from + at, n);
		if (pwrite(out, buffer, n, (off_t)at) != (ssize_t)n)
			err(1, "write");
	}
}

static int make(const char *path)
{
	int fd;

	if (unlink(path) && errno != ENOENT)
		err(1, "%s", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static char *map_device(const char *device, uint64_t size, int flags, int protection)
{
	int fd = open(device, flags);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, size, protection, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		err(1, "%s", device);
	return at;
}

static void copy_device(const char *device, uint64_t size, const char *path)
{
	const char *from = map_device(device, size, O_RDONLY, PROT_READ);
	int out = make(path);

	copy(from, size, out);
	if (fsync(out) || close(out))
		err(1, "%s", path);
}

static void fill(char *at, uint64_t size)
{
	for (uint64_t i = 0; i < size; i += sizeof(i))
		memcpy(at + i, &i, sizeof(i));
}

/* ---- as a device-dax is salvaged */

struct salvager {
	struct pmr_media *media;
	struct pmr_behind *behind;
};

static int load(void *data, uint64_t offset, void *buffer, size_t length, size_t *got)
{
	const struct salvager *s = data;

	return pmr_media_load(s->media, offset, buffer, length, got);
}

static void *buffer_of(void *data)
{
	const struct salvager *s = data;

	return pmr_behind_buffer(s->behind);
}

static int put(void *data, uint64_t offset, const void *bytes, size_t length)
{
	const struct salvager *s = data;

	return pmr_behind_write(s->behind, offset, bytes, length);
}

static int tick(void *data)
{
	(void)data;
	return 0;
}

static void salvage(struct pmr_media *media, int out)
{
	static const struct pmr_rescue_io io = {
		.read = load, .buffer = buffer_of, .write = put, .tick = tick
	};
	struct salvager s = { .media = media };
	struct pmr_rescue rescue = {
		.io = &io,
		.data = &s,
		.fd = -1,
		.fiemap = pmr_whole_fiemap,
		.size = SIZE,
		.fill = -1,
	};
	uint64_t failed_at;

	if (ftruncate(out, (off_t)SIZE) || pmr_behind_new(out, &s.behind) ||
	    pmr_rescue_init(&rescue) || pmr_rescue_run(&rescue) ||
	    pmr_behind_drain(s.behind, &failed_at) || rescue.rescued != SIZE)
		errx(1, "cannot be salvaged");
	pmr_behind_free(s.behind);
	pmr_rescue_release(&rescue);
}

/* ---- side by side */

struct cost {
	double wall;
	double processor; /* of all threads */
};

static double seconds_of(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static struct cost now(void)
{
	struct timespec wall;
	struct rusage usage;

	clock_gettime(CLOCK_MONOTONIC, &wall);
	getrusage(RUSAGE_SELF, &usage);
	return (struct cost){ (double)wall.tv_sec + (double)wall.tv_nsec / 1e9,
			      seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime) };
}

static int compare(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), compare);
	return v[ROUNDS / 2];
}

static void print(double walls[2][ROUNDS], double speeds[ROUNDS], double processor[ROUNDS])
{
	double speed = median(speeds);

	printf("figure device-dax salvage of %u MiB of memory to tmpfs: %.2f of the speed of memcpy and pwrite (goal at least 0.8, "
	       "%s); %.1f ms against %.1f ms; processor time %.2f of its\n",
	       (unsigned int)(SIZE >> 20), speed, speed >= 0.8 ? "met" : "MISSED",
	       median(walls[0]) * 1e3, median(walls[1]) * 1e3, median(processor));
}

static void measure(void)
{
	static double walls[2][ROUNDS], speeds[ROUNDS], processor[ROUNDS];
	char path[] = "/dev/shm/pmr-devdax-XXXXXX";
	int fd = memfd_create("devdax", MFD_CLOEXEC), out = mkstemp(path);
	struct pmr_media *media = NULL;
	char *from;

	if (fd < 0 || out < 0 || ftruncate(fd, (off_t)SIZE))
		err(1, "memory");
	from = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (from == MAP_FAILED || pmr_nofault_init() ||
	    pmr_media_open_loads(fd, SIZE, PMR_PAGE, false, &media))
		errx(1, "memory cannot be mapped");
	fill(from, SIZE);
	close(out);
	for (int round = -1; round < ROUNDS; round++) {
		struct cost begin, end, costs[2];

		/* Who is first changes; one round is for nothing. */
		for (int turn = 0; turn < 2; turn++) {
			int who = (round + turn) & 1;

			out = make(path);
			begin = now();
			if (who)
				copy(from, SIZE, out);
			else
				salvage(media, out);
			end = now();
			costs[who] = (struct cost){ end.wall - begin.wall,
						    end.processor - begin.processor };
			close(out);
		}
		if (round < 0)
			continue;
		walls[0][round] = costs[0].wall;
		walls[1][round] = costs[1].wall;
		speeds[round] = costs[1].wall / costs[0].wall;
		processor[round] = costs[0].processor / costs[1].processor;
	}
	print(walls, speeds, processor);
	unlink(path);
	pmr_media_close(media);
	pmr_nofault_release();
}

int main(int argc, char **argv)
{
	if (argc == 1)
		measure();
	else if (argc == 5 && !strcmp(argv[1], "copy"))
		copy_device(argv[2], strtoull(argv[3], NULL, 0), argv[4]);
	else if (argc == 4 && !strcmp(argv[1], "fill"))
		fill(map_device(argv[2], strtoull(argv[3], NULL, 0), O_RDWR,
				PROT_READ | PROT_WRITE),
		     strtoull(argv[3], NULL, 0));
	else
		errx(2, "usage: devdax [copy DEVICE BYTES FILE | fill DEVICE BYTES]");
	return 0;
}
