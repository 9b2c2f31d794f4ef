// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * writer: a program that owns a file and keeps writing to it while others repair it, and that remembers all it was
 * promised. It is the only writer of what it writes, so that whatever it finds changed was undone by somebody else.
 *
 *	writer mapsync FILE LOG [OPTION]...	stores a number into the first 8 bytes of each sector of the window
 *	writer pages FILE LOG [OPTION]...	writes whole aligned pages of the window, each full of one number
 *	writer append FILE LOG [OPTION]...	appends records of many lengths, through O_APPEND
 *	writer check FILE LOG			what the log says was acknowledged, held against the file
 *
 *	--offset=BYTES		first byte of the window, a multiple of 4096 (0)
 *	--length=BYTES		of the window, a multiple of 4096 (4096)
 *	--skip=N[,N]...		sectors of the window that mapsync never touches: those that will be poisoned
 *	--reopen		open the file anew for each write (and map it), and close it again: what a lease holds up
 *	--shared		without MAP_SYNC, for a file that is not DAX
 *	--delay=MICROSECONDS	between two writes (200)
 *	--count=N		end after so many writes were acknowledged, instead of at SIGTERM
 *
 * LOG is made anew; it must lie where nobody repairs: another disk, or a tmpfs. A line of it is "NUMBER OFFSET LENGTH", added
 * when the write was acknowledged: a store was flushed out of the cache (on a MAP_SYNC mapping it is then on the medium), a
 * write(2) returned all of its bytes (and, where the file is no DAX one, O_DSYNC). "ready" on stdout: each place was written
 * once. A write that is refused (an errno, SIGBUS) was not acknowledged and is tried again; none of it is believed.
 *
 * Before it overwrites a place it looks whether what it wrote last is still there, so that nothing is undone unseen even if
 * the next write covers it up. On SIGTERM it says on stdout "N acknowledged, N refused, N unreadable, N undone". Exit status
 * of all modes: 0; 1: something acknowledged was undone, and stderr says what; 2: of check: nothing was, but something cannot
 * be read; 3: it could not be run.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u
#define PAGE 4096u
/* Records of append are this long at least and at most. */
#define SHORTEST 40u
#define LONGEST 1500u

enum mode { MAPSYNC, PAGES, APPEND, CHECK, N_MODES };
static const char *const mode_names[N_MODES] = { "mapsync", "pages", "append", "check" };

struct writer {
	enum mode mode;
	const char *path;
	const char *log_path;
	uint64_t offset, length;
	bool *skipped; /* by sector of the window */
	bool reopen, shared;
	useconds_t delay;
	uint64_t count;
	int fd;
	int log;
	char *map;
	uint64_t *
		last; /* by sector or page of the window: the number acknowledged last, 0 for none */
	bool *unsure; /* by the same: a write that was refused may have changed it */
	uint64_t number;
	uint64_t acknowledged, refused, unreadable, undone;
};

static volatile sig_atomic_t stop;
static sigjmp_buf bus_error;
static volatile sig_atomic_t storing;

static void on_stop(int signal)
{
	(void)signal;
	stop = 1;
}

static void on_bus_error(int signal)
{
	if (storing)
		siglongjmp(bus_error, 1);
	_exit(128 + signal);
}

static void __attribute__((format(printf, 1, 2), noreturn)) die(const char *format, ...)
{
	va_list arguments;

	fputs("writer: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(3);
}

/* ---- what bytes a number stands for */

static void fill(char *bytes, size_t length, uint64_t number)
{
	uint64_t x = number * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < length; i++) {
		if (i % SECTOR < sizeof(number)) {
			bytes[i] = (char)(number >> (8 * (i % SECTOR)));
			continue;
		}
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes[i] = (char)x;
	}
}

static size_t record_length(uint64_t number)
{
	return SHORTEST + number * 2654435761u % (LONGEST - SHORTEST);
}

/* ---- the file */

static void open_file(struct writer *w)
{
	int flags = O_RDWR | O_CLOEXEC | (w->mode == APPEND ? O_APPEND : 0) |
		    (w->mode == MAPSYNC ? 0 : O_DSYNC);

	do
		w->fd = open(w->path, flags);
	while (w->fd < 0 && errno == EINTR && !stop);
	if (w->fd < 0) {
		if (stop)
			return;
		die("%s: %s", w->path, strerror(errno));
	}
	if (w->mode != MAPSYNC)
		return;
	w->map = mmap(NULL, w->length, PROT_READ | PROT_WRITE,
		      w->shared ? MAP_SHARED : MAP_SHARED_VALIDATE | MAP_SYNC, w->fd,
		      (off_t)w->offset);
	if (w->map == MAP_FAILED)
		die("%s: cannot be mapped: %s", w->path, strerror(errno));
}

static void close_file(struct writer *w)
{
	if (w->map)
		munmap(w->map, w->length);
	w->map = NULL;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

static void acknowledge(struct writer *w, uint64_t offset, uint64_t length)
{
	char line[80];
	int n = snprintf(line, sizeof(line), "%llu %llu %llu\n", (unsigned long long)w->number,
			 (unsigned long long)offset, (unsigned long long)length);

	if (write(w->log, line, (size_t)n) != n)
		die("%s: cannot be written: %s", w->log_path, strerror(errno));
	w->acknowledged++;
}

static void say_undone(struct writer *w, uint64_t offset, uint64_t expected, uint64_t found)
{
	if (w->undone++ < 10)
		fprintf(stderr, "undone at byte %llu: it was %llu and is %llu\n",
			(unsigned long long)offset, (unsigned long long)expected,
			(unsigned long long)found);
}

/* ---- mapsync */

static void flush(volatile const char *address)
{
#ifdef __x86_64__
	__builtin_ia32_clflush((const void *)address);
	__builtin_ia32_sfence();
#else
	msync((void *)((uintptr_t)address & ~(uintptr_t)(PAGE - 1)), PAGE, MS_SYNC);
#endif
}

/* Return: 0, or 1 where it was SIGBUS. */
static int access_slot(volatile uint64_t *slot, uint64_t *value, bool store)
{
	int ret = sigsetjmp(bus_error, 1);

	if (!ret) {
		storing = 1;
		if (store) {
			*slot = *value;
			flush((volatile const char *)slot);
		} else {
			*value = *slot;
		}
	}
	storing = 0;
	return ret;
}

static void store_one(struct writer *w, size_t sector)
{
	volatile uint64_t *slot = (volatile uint64_t *)(w->map + sector * SECTOR);
	uint64_t offset = w->offset + sector * SECTOR, found = 0, number;

	if (w->last[sector]) {
		if (access_slot(slot, &found, false)) {
			w->unreadable++;
			return;
		}
		if (found != w->last[sector] && !(w->unsure[sector] && found > w->last[sector]))
			say_undone(w, offset, w->last[sector], found);
	}
	number = ++w->number;
	if (access_slot(slot, &number, true)) {
		w->refused++;
		w->unsure[sector] = true;
		return;
	}
	acknowledge(w, offset, sizeof(number));
	w->last[sector] = w->number;
	w->unsure[sector] = false;
}

/* ---- pages */

/* The number that [at, at + length) of a page is full of, 0 for none; @at is a sector's. */
static uint64_t number_in(const char *bytes, size_t at, size_t length)
{
	char expected[PAGE];
	uint64_t number;

	memcpy(&number, bytes + at, sizeof(number));
	fill(expected, PAGE, number);
	return !memcmp(bytes + at, expected + at, length) ? number : 0;
}

static void look_at_page(struct writer *w, size_t page)
{
	uint64_t offset = w->offset + (uint64_t)page * PAGE, number;
	char bytes[PAGE];

	if (pread(w->fd, bytes, PAGE, (off_t)offset) != PAGE) {
		w->unreadable++;
		return;
	}
	number = number_in(bytes, 0, PAGE);
	/* a write that was refused may have come to some of the page */
	if (number != w->last[page] && !w->unsure[page])
		say_undone(w, offset, w->last[page], number);
}

static void write_page(struct writer *w, size_t page)
{
	uint64_t offset = w->offset + (uint64_t)page * PAGE;
	char bytes[PAGE] __attribute__((aligned(PAGE)));

	if (w->last[page])
		look_at_page(w, page);
	fill(bytes, PAGE, ++w->number);
	if (pwrite(w->fd, bytes, PAGE, (off_t)offset) != PAGE) {
		w->refused++;
		w->unsure[page] = true;
		return;
	}
	acknowledge(w, offset, PAGE);
	w->last[page] = w->number;
	w->unsure[page] = false;
}

/* ---- append */

static void append(struct writer *w)
{
	char record[LONGEST];
	size_t length;
	off_t end;

	w->number++;
	length = record_length(w->number);
	fill(record, length, w->number);
	if (write(w->fd, record, length) != (ssize_t)length) {
		w->refused++;
		return;
	}
	/* of a descriptor with O_APPEND: where the write ended */
	end = lseek(w->fd, 0, SEEK_CUR);
	acknowledge(w, (uint64_t)end - length, length);
}

/* ---- check */

struct acknowledged {
	uint64_t number, offset, length;
};

static int by_place(const void *a, const void *b)
{
	const struct acknowledged *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* A greater number is that of a write that was refused, or was under way when the writer was killed. */
static void check_slot(struct writer *w, const struct acknowledged *one, const char *bytes)
{
	uint64_t found;

	memcpy(&found, bytes, sizeof(found));
	if (found < one->number)
		say_undone(w, one->offset, one->number, found);
}

/* Such a write may have come to some of the sectors. */
static void check_page(struct writer *w, const struct acknowledged *one, const char *bytes)
{
	uint64_t found;

	for (size_t at = 0; at < PAGE; at += SECTOR) {
		found = number_in(bytes, at, SECTOR);
		if (found < one->number) {
			say_undone(w, one->offset + at, one->number, found);
			return;
		}
	}
}

static void check_record(struct writer *w, const struct acknowledged *one, const char *bytes)
{
	char right[LONGEST];
	uint64_t found;

	fill(right, one->length, one->number);
	memcpy(&found, bytes, sizeof(found));
	if (memcmp(bytes, right, one->length))
		say_undone(w, one->offset, one->number, found);
}

static void check_one(struct writer *w, const struct acknowledged *one)
{
	static void (*const checks[])(struct writer * w, const struct acknowledged *one,
				      const char *bytes) = {
		[MAPSYNC] = check_slot,
		[PAGES] = check_page,
		[APPEND] = check_record,
	};
	char bytes[PAGE] = { 0 };
	ssize_t n;

	if (one->length > PAGE || one->length < sizeof(uint64_t) ||
	    (w->mode == PAGES && one->length != PAGE) ||
	    (w->mode == APPEND && one->length > LONGEST))
		die("%s: a record that nobody wrote", w->log_path);
	n = pread(w->fd, bytes, one->length, (off_t)one->offset);
	if (n < 0)
		w->unreadable++;
	else if ((size_t)n < one->length && w->mode == APPEND)
		say_undone(w, one->offset, one->number, 0);
	else
		checks[w->mode](w, one, bytes);
}

static enum mode mode_named(const char *name)
{
	for (int i = 0; i < N_MODES; i++)
		if (!strcmp(mode_names[i], name))
			return (enum mode)i;
	die("%s is no mode", name);
}

/* The log's records, and w->number the greatest. A line that was cut was never acknowledged. */
static struct acknowledged *read_log(struct writer *w, size_t *n)
{
	struct acknowledged *list = NULL, one;
	unsigned long long number, offset, length;
	size_t alloc = 0;
	char line[128];
	FILE *log = fopen(w->log_path, "re");

	*n = 0;
	if (!log || !fgets(line, sizeof(line), log))
		die("%s: cannot be read", w->log_path);
	line[strcspn(line, "\n")] = '\0';
	w->mode = mode_named(line);
	while (fgets(line, sizeof(line), log) && strchr(line, '\n')) {
		if (sscanf(line, "%llu %llu %llu", &number, &offset, &length) != 3)
			die("%s: a line that nobody wrote: %s", w->log_path, line);
		one = (struct acknowledged){ number, offset, length };
		if (*n == alloc) {
			alloc = alloc ? 2 * alloc : 1024;
			list = realloc(list, alloc * sizeof(*list));
			if (!list)
				die("no memory");
		}
		list[(*n)++] = one;
		if (number > w->number)
			w->number = number;
	}
	fclose(log);
	return list;
}

static void check(struct writer *w)
{
	struct acknowledged *list;
	size_t n;

	list = read_log(w, &n);
	w->fd = open(w->path, O_RDONLY | O_CLOEXEC);
	if (w->fd < 0)
		die("%s: %s", w->path, strerror(errno));
	if (n)
		qsort(list, n, sizeof(*list), by_place);
	for (size_t i = 0; i < n; i++) {
		/* of a place that was written again the last counts */
		if (i + 1 < n && list[i + 1].offset == list[i].offset)
			continue;
		check_one(w, &list[i]);
		w->acknowledged++;
	}
	free(list);
}

/* ---- what is run */

static void write_one(struct writer *w, size_t place)
{
	if (w->reopen)
		open_file(w);
	if (w->fd < 0)
		return;
	switch (w->mode) {
	case MAPSYNC:
		store_one(w, place);
		break;
	case PAGES:
		write_page(w, place);
		break;
	default:
		append(w);
	}
	if (w->reopen)
		close_file(w);
}

static size_t n_places(const struct writer *w)
{
	switch (w->mode) {
	case MAPSYNC:
		return w->length / SECTOR;
	case PAGES:
		return w->length / PAGE;
	default:
		return 1;
	}
}

static bool is_done(const struct writer *w)
{
	return stop || (w->count && w->acknowledged >= w->count);
}

static void work(struct writer *w)
{
	size_t n = n_places(w);
	bool ready = false;

	w->last = calloc(n, sizeof(*w->last));
	w->unsure = calloc(n, sizeof(*w->unsure));
	if (!w->last || !w->unsure)
		die("no memory");
	if (!w->reopen)
		open_file(w);
	while (!is_done(w)) {
		for (size_t i = 0; i < n && !is_done(w); i++) {
			if (w->mode == MAPSYNC && w->skipped[i])
				continue;
			write_one(w, i);
			if (w->delay)
				usleep(w->delay);
		}
		if (!ready && w->acknowledged) {
			puts("ready");
			fflush(stdout);
			ready = true;
		}
	}
	close_file(w);
	free(w->last);
	free(w->unsure);
}

static void start_log(struct writer *w)
{
	size_t length = strlen(mode_names[w->mode]);

	w->log = open(w->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (w->log < 0 || write(w->log, mode_names[w->mode], length) != (ssize_t)length ||
	    write(w->log, "\n", 1) != 1)
		die("%s: %s", w->log_path, strerror(errno));
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_stop };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	action.sa_handler = on_bus_error;
	sigaction(SIGBUS, &action, NULL);
}

/* ---- the command line */

static uint64_t number_of(const char *text, uint64_t multiple)
{
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || end == text || *end || number % multiple)
		die("%s is no number that is a multiple of %u", text, (unsigned int)multiple);
	return number;
}

static void skip_sectors(struct writer *w, const char *list)
{
	char *copy = list ? strdup(list) : NULL, *rest = copy, *word;
	uint64_t sector;

	w->skipped = calloc(w->length / SECTOR, sizeof(*w->skipped));
	if (!w->skipped || (list && !copy))
		die("no memory");
	while (copy && (word = strsep(&rest, ","))) {
		sector = number_of(word, 1);
		if (sector >= w->length / SECTOR)
			die("sector %s lies outside of the window", word);
		w->skipped[sector] = true;
	}
	free(copy);
}

static void parse_options(struct writer *w, int argc, char **argv)
{
	static const struct option options[] = {
		{ "offset", required_argument, NULL, 'o' },
		{ "length", required_argument, NULL, 'l' },
		{ "skip", required_argument, NULL, 's' },
		{ "reopen", no_argument, NULL, 'r' },
		{ "shared", no_argument, NULL, 'm' },
		{ "delay", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	const char *skip = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 'o':
			w->offset = number_of(optarg, PAGE);
			break;
		case 'l':
			w->length = number_of(optarg, PAGE);
			break;
		case 's':
			skip = optarg;
			break;
		case 'r':
			w->reopen = true;
			break;
		case 'm':
			w->shared = true;
			break;
		case 'd':
			w->delay = (useconds_t)number_of(optarg, 1);
			break;
		case 'c':
			w->count = number_of(optarg, 1);
			break;
		default:
			exit(3);
		}
	}
	if (argc - optind != 3 || !w->length)
		die("usage: writer mapsync|pages|append|check FILE LOG [OPTION]...");
	w->mode = mode_named(argv[optind]);
	w->path = argv[optind + 1];
	w->log_path = argv[optind + 2];
	skip_sectors(w, skip);
}

int main(int argc, char **argv)
{
	struct writer w = { .length = PAGE, .delay = 200, .fd = -1, .log = -1 };
	bool is_check;

	parse_options(&w, argc, argv);
	is_check = w.mode == CHECK;
	if (is_check) {
		check(&w);
	} else {
		catch_signals();
		start_log(&w);
		work(&w);
	}
	printf("%llu acknowledged, %llu refused, %llu unreadable, %llu undone\n",
	       (unsigned long long)w.acknowledged, (unsigned long long)w.refused,
	       (unsigned long long)w.unreadable, (unsigned long long)w.undone);
	free(w.skipped);
	if (w.undone)
		return 1;
	return is_check && w.unreadable ? 2 : 0;
}
