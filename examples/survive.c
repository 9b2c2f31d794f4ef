/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * survive copy FILE >COPY	copy a file out of a mapping
 * survive sum FILE		add up its bytes, where they are mapped
 *
 * What a program does that maps files on persistent memory and wants to outlive poison in it. Copying is the easy way: by
 * pmr_copy_nofault(), which returns where memcpy() would kill. A program that works on the mapping itself needs a handler
 * of SIGBUS, which leaves what it interrupted. Both then ask pmr_recover_at() for what can be read after all.
 *
 * Exit status: 0: every byte was had; 4: some are lost, and named, and zeros stand for them; 8: it could not be done.
 *
 *	cc -o survive survive.c $(pkg-config --cflags --libs pmem-recover)
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pmem-recover.h>

#define PIECE ((size_t)1 << 20)

struct reader {
	struct pmr_ctx *ctx;
	struct pmr_topology *topology;
	const char *path;
	const char *map;
	size_t size;
	uint64_t lost;
};

static void say(void *data, const struct pmr_message *message)
{
	(void)data;
	fprintf(stderr, "%s: %s\n", message->object, message->text);
}

/* ---- what is not in the mapping */

/* Return: what could be had around an address, or NULL, and it is said. */
static struct pmr_recovered *recover(struct reader *reader, const void *address, unsigned int lsb)
{
	struct pmr_recovered *recovered;
	int ret;

	ret = pmr_recover_at(reader->ctx, reader->topology, address, lsb, &recovered);
	if (!ret && recovered->error) {
		ret = recovered->error;
		pmr_recovered_free(recovered);
	}
	if (ret) {
		fprintf(stderr, "%s: cannot be recovered: %s\n", reader->path, strerror(-ret));
		return NULL;
	}
	for (size_t i = 0; i < recovered->n_losses; i++) {
		const struct pmr_loss *loss = &recovered->losses[i];

		fprintf(stderr, "%s: lost: %llu bytes at %llu%s%s\n", reader->path,
			(unsigned long long)loss->length, (unsigned long long)loss->offset,
			loss->reason ? ", " : "", loss->reason ? loss->reason : "");
	}
	reader->lost += recovered->lost;
	return recovered;
}

/* ---- the easy way */

static int write_out(const void *bytes, size_t length)
{
	if (fwrite(bytes, 1, length, stdout) == length)
		return 0;
	perror("survive: cannot write");
	return 8;
}

static int copy(struct reader *reader)
{
	char *buffer = malloc(PIECE);
	struct pmr_recovered *recovered;
	size_t done = 0, want, got, skip;
	int status = 8;

	if (!buffer || pmr_nofault_init() != 0)
		goto out;
	while (done < reader->size) {
		want = reader->size - done < PIECE ? reader->size - done : PIECE;
		got = pmr_copy_nofault(buffer, reader->map + done, want);
		if (write_out(buffer, got) != 0)
			goto release;
		done += got;
		if (got == want)
			continue;
		recovered = recover(reader, reader->map + done, 0);
		if (!recovered)
			goto release;
		/* of the range around it, what the copy did not have already */
		skip = done - recovered->offset;
		status = write_out((char *)recovered->bytes + skip, recovered->length - skip);
		done = recovered->offset + recovered->length;
		pmr_recovered_free(recovered);
		if (status)
			goto release;
		status = 8;
	}
	status = fflush(stdout) ? 8 : 0;
release:
	pmr_nofault_release();
out:
	free(buffer);
	return status;
}

/* ---- the hard way */

/* With threads each has its own, and a handler that finds it: thread-local storage of the program itself is safe there. */
static struct {
	sigjmp_buf back;
	volatile sig_atomic_t armed;
	void *volatile address;
	volatile unsigned int lsb;
	volatile int code;
} fault;

static void on_sigbus(int signal, siginfo_t *info, void *ucontext)
{
	if (pmr_nofault_handle(signal, info, ucontext))
		return;
	if (!fault.armed || info->si_code <= 0 || info->si_code == BUS_MCEERR_AO) {
		/* none of the loads below: what would have happened without this handler */
		struct sigaction action = { .sa_handler = SIG_DFL };

		sigaction(signal, &action, NULL);
		raise(signal);
		return;
	}
	fault.armed = 0;
	fault.address = info->si_addr;
	fault.code = info->si_code;
	/* Only with this code it is filled in. Linux has it for recorded poison since 6.5, and BUS_ADRERR before. */
	fault.lsb = info->si_code == BUS_MCEERR_AR ? (unsigned int)info->si_addr_lsb : 0;
	siglongjmp(fault.back, 1);
}

/* Not inlined: nothing of it is in variables that the jump back would spoil. */
__attribute__((noinline)) static uint64_t add(const unsigned char *bytes, size_t length)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += bytes[i];
	return sum;
}

/* What it has done so far is lost with it where it is interrupted: steps are as long as one wants to repeat. */
static bool add_mapped(const char *from, size_t length, uint64_t *sum)
{
	if (sigsetjmp(fault.back, 1))
		return false;
	fault.armed = 1;
	atomic_signal_fence(memory_order_seq_cst); /* no load is moved out of here */
	*sum += add((const unsigned char *)from, length);
	atomic_signal_fence(memory_order_seq_cst);
	fault.armed = 0;
	return true;
}

static int add_up(struct reader *reader)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	struct pmr_recovered *recovered;
	size_t at = 0, length, skip;
	uint64_t sum = 0;

	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, NULL) != 0)
		return 8;
	while (at < reader->size) {
		length = reader->size - at < PMR_PAGE ? reader->size - at : PMR_PAGE;
		if (add_mapped(reader->map + at, length, &sum)) {
			at += length;
			continue;
		}
		fprintf(stderr, "%s: SIGBUS, %s, lsb %u\n", reader->path,
			fault.code == BUS_MCEERR_AR ? "BUS_MCEERR_AR" : "BUS_ADRERR", fault.lsb);
		if ((const char *)fault.address < reader->map + at ||
		    (const char *)fault.address >= reader->map + at + length) {
			fprintf(stderr, "%s: SIGBUS elsewhere\n", reader->path);
			return 8;
		}
		recovered = recover(reader, fault.address, fault.lsb);
		if (!recovered)
			return 8;
		skip = at - recovered->offset;
		sum += add((unsigned char *)recovered->bytes + skip, recovered->length - skip);
		at = recovered->offset + recovered->length;
		pmr_recovered_free(recovered);
	}
	printf("%llu\n", (unsigned long long)sum);
	return fflush(stdout) ? 8 : 0;
}

/* ---- */

static int map_file(struct reader *reader)
{
	struct stat st;
	void *map = MAP_FAILED;
	int fd;

	fd = open(reader->path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && !fstat(fd, &st)) {
		reader->size = (size_t)st.st_size;
		map = mmap(NULL, reader->size, PROT_READ, MAP_SHARED, fd, 0);
	}
	if (map == MAP_FAILED)
		perror(reader->path);
	else
		reader->map = map;
	if (fd >= 0)
		close(fd);
	return map == MAP_FAILED ? 8 : 0;
}

int main(int argc, char **argv)
{
	struct reader reader = { 0 };
	int status;

	if (argc != 3 || (strcmp(argv[1], "copy") != 0 && strcmp(argv[1], "sum") != 0)) {
		fprintf(stderr, "usage: survive copy|sum FILE\n");
		return 16;
	}
	reader.path = argv[2];
	if (pmr_new(&reader.ctx) != 0)
		return 8;
	pmr_set_message_fn(reader.ctx, say, NULL);
	status = map_file(&reader);
	if (!status &&
	    pmr_topology_new(reader.ctx, PMR_TOPOLOGY_FILESYSTEMS, &reader.topology) != 0)
		status = 8;
	if (!status)
		status = strcmp(argv[1], "copy") == 0 ? copy(&reader) : add_up(&reader);
	if (!status && reader.lost)
		status = 4;
	if (reader.map)
		munmap((void *)reader.map, reader.size);
	pmr_topology_free(reader.topology);
	pmr_unref(reader.ctx);
	return status;
}
