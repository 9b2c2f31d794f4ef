// SPDX-License-Identifier: GPL-2.0-or-later
/* tree: make a random tree on PMEM, poison it, and hold pmem-recover's answer against what was done. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tree.h"

static const char usage[] =
	"usage: tree make SEED MNT BACKUP             make a tree, and a copy of it, anew\n"
	"       tree poison SEED MNT DEV N EXPECT     print the sectors to poison, write down what they take\n"
	"                                             with TREE_TAGS=FILE only where that has a sector, to EXPECT.below\n"
	"       tree note MNT                         the number of this tree's tags, and how many there are\n"
	"       tree tags NUMBER N DEV                where on a device each tag lies that is there once\n"
	"       tree check-scan EXPECT REPORT         is the scan right?\n"
	"       tree salvage PROGRAM SEED N BACKUP EXPECT DIR CAPABILITY\n"
	"                                             salvage N files to DIR; is what came out right?\n"
	"       tree check-salvage BACKUP EXPECT DIR NUMBER CAPABILITY   is one of them?\n"
	"       tree check-repair BACKUP MNT EXPECT REPORT METHOD CAPABILITY\n"
	"       tree check-outcome EXPECT REPORT STATE WORD\n"
	"                                             is all that was lost repaired by method WORD, or left for reason WORD?\n"
	"       tree check-rest BACKUP EXPECT         is all that was not lost as it was?\n"
	"       tree partition SEED DEV MIB [START]   write an MBR or GPT with a partition of MIB mebibytes\n"
	"       tree inject LIST KNOB                 write a list of sectors to a device's badblocks attribute\n"
	"       tree inject LIST KNOB OFFSET          the same to the test module, for a device at OFFSET of its region\n"
	"       tree scramble DEV SECTOR COUNT        overwrite sectors: what was there is lost\n"
	"       tree clear DEV                        write over every listed sector of a device\n"
	"       tree probe DEV EXPECT                 the bad sectors that cannot be read\n"
	"       tree bytes SEED COUNT                 that many bytes on standard output\n"
	"       tree store DAX FILE                   a file's bytes into a device-dax, from its first byte on\n"
	"       tree load DAX                         the bytes of a device-dax on standard output\n"
	"       tree poison-dax SEED DAX EXPECT       print sectors of it to poison, write down what they take\n"
	"       tree seal FILE                        by fs-verity\n"
	"       tree spoil DAX LIST                   overwrite a list of sectors: what was there is lost\n"
	"       tree trace VOLUME MAP DEVICE...       number the sectors of a volume, and find them on one or two devices below\n"
	"       tree lower MAP LIST N                 a list of the volume's sectors as one of the Nth device, from 0\n"
	"       tree hold DAX                         map it, say so, and wait to be killed\n";

static const struct verb {
	const char *name;
	int arguments;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "make", 3, verb_make },
	{ "poison", 5, verb_poison },
	{ "check-scan", 2, verb_check_scan },
	{ "salvage", 7, verb_salvage },
	{ "check-salvage", 5, verb_check_salvage },
	{ "check-repair", 6, verb_check_repair },
	{ "partition", 3, verb_partition },
	{ "partition", 4, verb_partition },
	{ "inject", 2, verb_inject },
	{ "inject", 3, verb_inject },
	{ "scramble", 3, verb_scramble },
	{ "note", 1, verb_note },
	{ "tags", 3, verb_tags },
	{ "check-rest", 2, verb_check_rest },
	{ "probe", 2, verb_probe },
	{ "clear", 1, verb_clear },
	{ "bytes", 2, verb_bytes },
	{ "store", 2, verb_store },
	{ "load", 1, verb_load },
	{ "poison-dax", 3, verb_poison_dax },
	{ "check-outcome", 4, verb_check_outcome },
	{ "seal", 1, verb_seal },
	{ "spoil", 2, verb_spoil },
	{ "trace", 3, verb_trace },
	{ "trace", 4, verb_trace },
	{ "lower", 3, verb_lower },
	{ "hold", 1, verb_hold },
};

const struct kind_info kinds[N_KINDS] = {
	[KIND_PLAIN] = { 'p', "plain" },
	[KIND_SHUFFLED] = { 's', "shuffled" },
	[KIND_INTERLEAVED] = { 'i', "interleaved" },
	[KIND_SPARSE] = { 'h', "sparse" },
	[KIND_UNWRITTEN] = { 'u', "unwritten" },
	[KIND_AHEAD] = { 'a', "past_eof" },
	[KIND_REFLINKED] = { 'r', "reflinked" },
	[KIND_TWICE] = { 't', "twice" },
	[KIND_LINKED] = { 'l', "hardlink" },
	[KIND_EMPTY] = { 'e', "empty" },
};

void die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("tree: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

void *must_alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		die("out of memory");
	return p;
}

void *must_grow(void *array, size_t n, size_t *alloc, size_t size)
{
	if (n < *alloc)
		return array;
	*alloc = *alloc ? *alloc * 2 : 64;
	array = reallocarray(array, *alloc, size);
	if (!array)
		die("out of memory");
	return array;
}

char *must_format(const char *format, ...)
{
	va_list args;
	char *text;
	int rc;

	va_start(args, format);
	rc = vasprintf(&text, format, args);
	va_end(args);
	if (rc < 0)
		die("out of memory");
	return text;
}

size_t must_pread(int fd, const char *what, void *buffer, size_t length, uint64_t offset)
{
	size_t done = 0;
	ssize_t n;

	while (done < length) {
		n = pread(fd, (char *)buffer + done, length - done, (off_t)(offset + done));
		if (n < 0)
			die("%s: cannot read at %llu: %s", what,
			    (unsigned long long)(offset + done), strerror(errno));
		if (!n)
			break;
		done += (size_t)n;
	}
	return done;
}

int must_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		die("%s: cannot open: %s", path, strerror(errno));
	return fd;
}

static bool is_tame(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       strchr("/._-", c);
}

char *encode_path(const char *path)
{
	char *text = must_alloc(3 * strlen(path) + 1, 1), *out = text;

	for (; *path; path++) {
		if (is_tame((unsigned char)*path))
			*out++ = *path;
		else
			out += sprintf(out, "%%%02X", (unsigned char)*path);
	}
	return text;
}

char *decode_path(const char *text)
{
	char *path = must_alloc(strlen(text) + 1, 1), *out = path;
	unsigned int byte;

	for (; *text; text++) {
		if (*text == '%' && sscanf(text + 1, "%2x", &byte) == 1) {
			*out++ = (char)byte;
			text += 2;
		} else {
			*out++ = *text;
		}
	}
	return path;
}

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0 && argc == verbs[i].arguments + 2)
			return verbs[i].run(argc - 2, argv + 2);
	}
	fputs(usage, stderr);
	return 2;
}
