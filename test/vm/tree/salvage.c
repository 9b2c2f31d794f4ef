// SPDX-License-Identifier: GPL-2.0-or-later
/* salvage.c: have files salvaged, of every layout in turn, and hold what came out against the expectation. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tree.h"

/* What a file to be salvaged can be; most are several of these. The first ones are the kinds, with something lost. */
enum {
	CLASS_LAST_PAGE = N_KINDS, /* partly filled, with something lost in it */
	CLASS_LAST_SECTOR, /* cut by the end of the file, and lost */
	CLASS_PAGE, /* a whole page lost */
	CLASS_TAIL, /* poison right behind the end: the file cannot read its last page, and has lost nothing of it */
	CLASS_QUIET, /* poison where there is no data, and nowhere else */
	CLASS_ODD_NAME,
	CLASS_SOUND, /* no poison at all */
	N_CLASSES,
};

static const char *const class_names[N_CLASSES - N_KINDS] = {
	"last_page", "last_sector", "page", "tail", "quiet", "odd_name", "sound",
};

/* One file, and where its output, its map and its report are: paths that begin with @prefix. */
struct job {
	const char *prefix;
	uint32_t file;
	int fill; /* a byte, or -1 */
	int status; /* of the program */
};

static const char *class_name(unsigned int class)
{
	return class < N_KINDS ? kinds[class].name : class_names[class - N_KINDS];
}

static bool is_odd(const char *path)
{
	for (; *path; path++) {
		if ((unsigned char)*path < 0x20 || (unsigned char)*path > 0x7e ||
		    strchr("\"\\'", *path))
			return true;
	}
	return false;
}

static unsigned int classes_of_lost(const struct expect *expect, uint32_t index)
{
	const struct file *file = &expect->files[index];
	unsigned int bits = 0, in_page = 0;
	const struct lost *lost;
	bool shared = false;
	size_t i;

	for (i = 0; i < expect->n_lost; i++) {
		lost = &expect->lost[i];
		if (lost->file != index)
			continue;
		bits |= 1u << file->kind;
		shared |= lost->shared;
		in_page = lost->offset % BLOCK == 0 ? 1 : in_page + 1;
		if (lost->offset % BLOCK == BLOCK - SECTOR && in_page == SECTORS_IN_BLOCK)
			bits |= 1u << CLASS_PAGE;
		if (file->size % BLOCK && lost->offset / BLOCK == file->size / BLOCK)
			bits |= 1u << CLASS_LAST_PAGE;
		if (lost->length < SECTOR)
			bits |= 1u << CLASS_LAST_SECTOR;
	}
	/* Of these it is the shared blocks that are of interest. */
	if (!shared)
		bits &= ~(1u << KIND_REFLINKED | 1u << KIND_TWICE);
	return bits;
}

static unsigned int classes_of(const struct expect *expect, uint32_t index)
{
	const struct file *file = &expect->files[index];
	unsigned int bits = classes_of_lost(expect, index);
	bool quiet = false, tail = false;
	size_t i;

	for (i = 0; i < expect->n_quiet; i++) {
		if (expect->quiet[i].file == index) {
			quiet = true;
			tail |= expect->quiet[i].tail;
		}
	}
	if (tail)
		bits |= 1u << CLASS_TAIL;
	else if (quiet && !bits)
		bits |= 1u << CLASS_QUIET;
	if (!file->size)
		return bits | 1u << KIND_EMPTY;
	if (!quiet && !bits)
		return 1u << CLASS_SOUND;
	return bits | (is_odd(file->path) ? 1u << CLASS_ODD_NAME : 0);
}

/* ---- what came out */

static char *job_path(const struct job *job, const char *what)
{
	return must_format("%s.%s", job->prefix, what);
}

/* The expectation of one file alone. Who reads it for what is in no list (TREE_READS) reads nothing that was never written. */
static struct expect only(const struct expect *expect, uint32_t file)
{
	struct expect one = *expect;
	size_t i;

	one.lost = must_alloc(expect->n_lost, sizeof(*one.lost));
	one.quiet = must_alloc(expect->n_quiet, sizeof(*one.quiet));
	one.n_lost = one.n_quiet = 0;
	for (i = 0; i < expect->n_lost; i++) {
		if (expect->lost[i].file == file)
			one.lost[one.n_lost++] = expect->lost[i];
	}
	for (i = 0; i < expect->n_quiet; i++) {
		if (expect->quiet[i].file == file &&
		    (expect->quiet[i].tail || !getenv("TREE_READS")))
			one.quiet[one.n_quiet++] = expect->quiet[i];
	}
	return one;
}

/* All that the output must hold: the original's bytes, but for what is lost. */
static unsigned char *wanted_bytes(const struct expect *one, const struct file *file,
				   const char *backup, int fill)
{
	unsigned char *bytes = must_alloc(file->size + 1, 1);
	char *path = must_format("%s/%s", backup, file->path);
	int fd = must_open(path, O_RDONLY);
	size_t i;

	if (must_pread(fd, path, bytes, file->size, 0) != file->size)
		die("%s: shorter than the file", path);
	for (i = 0; i < one->n_lost; i++)
		memset(bytes + one->lost[i].offset, fill < 0 ? 0 : fill, one->lost[i].length);
	close(fd);
	free(path);
	return bytes;
}

static bool is_zero(const unsigned char *bytes, size_t length)
{
	while (length--) {
		if (bytes[length])
			return false;
	}
	return true;
}

/*
 * A page of the output is there where it holds a byte that was rescued or filled in, and else a hole: no sector with data
 * is all zeroes. But ext4, asked to write to a part of a short unwritten extent, writes zeroes to the rest of it.
 */
static void check_holes(const struct file *file, const unsigned char *wanted, bool xfs, int fd,
			unsigned int *faults)
{
	uint64_t at, length;
	off_t data;

	for (at = 0; at < file->size; at += BLOCK) {
		length = file->size - at < BLOCK ? file->size - at : BLOCK;
		data = lseek(fd, (off_t)at, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			die("%s: cannot look for holes: %s", file->path, strerror(errno));
		if (data == (off_t)at && file->kind == KIND_UNWRITTEN && !xfs)
			continue;
		if ((data == (off_t)at) == is_zero(wanted + at, length))
			fault(faults, "%s: its copy has %s at %lu", file->path,
			      data == (off_t)at ? "no hole" : "a hole", at);
	}
}

static void check_output(const struct job *job, const struct file *file,
			 const unsigned char *wanted, bool xfs, unsigned int *faults)
{
	unsigned char *bytes = must_alloc(file->size + 1, 1);
	char *path = job_path(job, "out");
	int fd = must_open(path, O_RDONLY);
	uint64_t at = 0;
	struct stat st;

	if (fstat(fd, &st))
		die("%s: %s", path, strerror(errno));
	if ((uint64_t)st.st_size != file->size) {
		fault(faults, "%s: its copy has %ld bytes, not %lu", file->path, st.st_size,
		      file->size);
	} else {
		must_pread(fd, path, bytes, file->size, 0);
		while (at < file->size && bytes[at] == wanted[at])
			at++;
		if (at < file->size)
			fault(faults, "%s: its copy has %02x at %lu, not %02x", file->path,
			      bytes[at], at, wanted[at]);
		check_holes(file, wanted, xfs, fd, faults);
	}
	close(fd);
	free(path);
	free(bytes);
}

/* ---- the map */

/* One line of blocks: is it right, and where does the next begin? */
static uint64_t check_block(const struct expect *one, const struct file *file, uint64_t at,
			    uint64_t length, char status, size_t *lost, unsigned int *faults)
{
	uint64_t end = at + length, bad = at;

	if (status == '-') {
		for (; *lost < one->n_lost && one->lost[*lost].offset == bad; (*lost)++)
			bad += one->lost[*lost].length;
		if (bad != end)
			fault(faults, "%s: the map says %lu+%lu is bad", file->path, at, length);
	} else if (status != '+') {
		fault(faults, "%s: the map has '%c' at %lu", file->path, status, at);
	} else if (*lost < one->n_lost && one->lost[*lost].offset < end) {
		fault(faults, "%s: the map says %lu+%lu is good", file->path, at, length);
	}
	return end;
}

/* Comments, a line with the current position and status, and blocks without a gap. */
static void check_map(const struct job *job, const struct expect *one, const struct file *file,
		      unsigned int *faults)
{
	char *path = job_path(job, "map"), *line = NULL, status;
	uint64_t next = 0;
	long at, length;
	bool has_status = false;
	size_t lost = 0, alloc = 0;
	FILE *f = fopen(path, "re");

	if (!f) {
		fault(faults, "%s: no map: %s", file->path, strerror(errno));
		free(path);
		return;
	}
	while (getline(&line, &alloc, f) > 0) {
		if (*line == '#')
			continue;
		if (!has_status) {
			has_status = true;
			if (sscanf(line, "%li %c", &at, &status) != 2 || status != '+')
				fault(faults, "%s: the map is not finished: %s", file->path, line);
		} else if (sscanf(line, "%li %li %c", &at, &length, &status) != 3 ||
			   (uint64_t)at != next) {
			fault(faults, "%s: after %lu the map goes on: %s", file->path, next, line);
			break;
		} else {
			next = check_block(one, file, next, (uint64_t)length, status, &lost,
					   faults);
		}
	}
	if (next != file->size || lost != one->n_lost)
		fault(faults, "%s: the map ends at %lu of %lu", file->path, next, file->size);
	fclose(f);
	free(line);
	free(path);
}

static unsigned int check_job(const struct job *job, const struct expect *expect,
			      const char *backup, const char *capability)
{
	const struct file *file = &expect->files[job->file];
	struct expect one = only(expect, job->file);
	unsigned char *wanted = wanted_bytes(&one, file, backup, job->fill);
	char *path = job_path(job, "json");
	unsigned int faults;
	uint64_t lost, shared;
	struct report report;

	faults = report_read(&report, path, expect, false);
	sum_lost(&one, &lost, &shared);
	if (report.json) {
		compare_ranges(&one, &report, NULL, &faults);
		compare_sums(&report, lost + shared ? 4 : 0, lost + shared, 0, &faults);
		compare_recovery(&report, capability, &faults);
		if (strcmp(report.command, "salvage") != 0 || report.exit_status != job->status)
			fault(&faults, "%s: \"%s\", exit status %d", file->path, report.command,
			      job->status);
		report_release(&report);
	}
	check_output(job, file, wanted, expect->xfs, &faults);
	check_map(job, &one, file, &faults);
	free(path);
	free(wanted);
	free(one.lost);
	free(one.quiet);
	return faults;
}

/* ---- the program */

static int spawn(const char *program, const char *const *words, const char *out, const char *err)
{
	posix_spawn_file_actions_t actions;
	int status, rc;
	pid_t child;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, out, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	posix_spawn_file_actions_addopen(&actions, 2, err, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	rc = posix_spawn(&child, program, &actions, NULL, (char *const *)words, environ);
	if (rc)
		die("%s: cannot start: %s", program, strerror(rc));
	posix_spawn_file_actions_destroy(&actions);
	if (waitpid(child, &status, 0) < 0)
		die("waitpid: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* A file with more than one name by its last one. */
static char *name_of(const struct expect *expect, const struct file *file)
{
	return must_format("%s/%s", expect->mount,
			   file->n_links ? file->links[file->n_links - 1] : file->path);
}

static void run_job(struct job *job, const struct expect *expect, const char *program)
{
	char *out = job_path(job, "out"), *map = job_path(job, "map"),
	     *json = job_path(job, "json"), *err = job_path(job, "err"),
	     *path = job_path(job, "job");
	char *name = name_of(expect, &expect->files[job->file]);
	char *mapfile = must_format("--mapfile=%s", map), *fill = NULL;
	const char *words[] = { program, "salvage", name, "-o", out, mapfile, NULL, NULL };
	FILE *f = fopen(path, "we");

	if (job->fill >= 0)
		words[6] = fill = must_format("--fill=0x%02x", (unsigned int)job->fill);
	/* A map that is there would be resumed from. */
	unlink(out);
	unlink(map);
	job->status = spawn(program, words, json, err);
	if (!f || fprintf(f, "%u %d %d\n", job->file, job->fill, job->status) < 0 || fclose(f))
		die("%s: cannot write: %s", path, strerror(errno));
	free(out);
	free(map);
	free(json);
	free(err);
	free(path);
	free(name);
	free(mapfile);
	free(fill);
}

/* A file of the class, or of the next one that there is; none twice. */
static uint32_t choose(const unsigned int *classes, const bool *taken, size_t n_files,
		       unsigned int class, struct prng *prng)
{
	uint32_t found = 0, n = 0, i;
	unsigned int tries;

	for (tries = 0; tries < N_CLASSES && !n; tries++, class = (class + 1) % N_CLASSES) {
		for (i = 0; i < n_files; i++) {
			if (!taken[i] && classes[i] & 1u << class && prng_below(prng, ++n) == 0)
				found = i;
		}
	}
	if (!n)
		die("no file to salvage");
	return found;
}

int verb_salvage(int argc, char **argv)
{
	uint64_t seed = strtoull(argv[1], NULL, 0), n_jobs = strtoull(argv[2], NULL, 0), i;
	struct prng prng = { seed ^ 0x5a17 };
	unsigned int *classes, count[N_CLASSES] = { 0 }, class, faults = 0;
	struct expect expect;
	bool *taken;

	(void)argc;
	expect_read(&expect, argv[4]);
	classes = must_alloc(expect.n_files, sizeof(*classes));
	taken = must_alloc(expect.n_files, sizeof(*taken));
	for (i = 0; i < expect.n_files; i++)
		classes[i] = classes_of(&expect, (uint32_t)i);
	for (i = 0; i < n_jobs; i++) {
		char *prefix = must_format("%s/salvage-%lu", argv[5], i);
		struct job job = { .prefix = prefix, .fill = i == 1 ? 0xa5 : -1 };

		job.file = choose(classes, taken, expect.n_files,
				  (unsigned int)((seed * n_jobs + i) % N_CLASSES), &prng);
		taken[job.file] = true;
		run_job(&job, &expect, argv[0]);
		faults += check_job(&job, &expect, argv[3], argv[6]);
		for (class = 0; class < N_CLASSES; class ++)
			count[class] += classes[job.file] >> class & 1;
		free(prefix);
	}
	printf("salvage: files=%lu", n_jobs);
	for (class = 0; class < N_CLASSES; class ++) {
		if (count[class])
			printf(" %s=%u", class_name(class), count[class]);
	}
	printf(" faults=%u\n", faults);
	return faults ? 1 : 0;
}

int verb_check_salvage(int argc, char **argv)
{
	struct job job = { .prefix = must_format("%s/salvage-%s", argv[2], argv[3]) };
	char *path = job_path(&job, "job");
	FILE *f = fopen(path, "re");
	struct expect expect;
	unsigned int faults;

	(void)argc;
	expect_read(&expect, argv[1]);
	if (!f || fscanf(f, "%u %d %d", &job.file, &job.fill, &job.status) != 3 ||
	    job.file >= expect.n_files)
		die("%s: no job", path);
	fclose(f);
	faults = check_job(&job, &expect, argv[0], argv[4]);
	printf("salvage: faults=%u\n", faults);
	return faults ? 1 : 0;
}
