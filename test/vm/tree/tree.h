/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The random-tree torture test: what its parts tell each other.
 *
 * make.c     a tree of files in every layout, each sector of which can be told from every other by its tag
 * oracle.c   where each sector lies: the raw device is read and the tags are looked for. No FIEMAP.
 * quiet.c    allocated ranges that hold no data: GETBMAPX on XFS, ext4's extent tree read from the raw device
 * poison.c   which sectors to poison, and what a scan must then say: the expectation
 * expect.c   the expectation, written and read back
 * report.c   the report of pmem-recover, read
 * check.c    the report against the expectation
 * salvage.c  files salvaged, and what came out against the expectation
 * after.c    the repaired files and the device against the expectation
 * tags.c     where tags lie on another device
 * below.c    where a volume lies on what is below it
 * device.c   partition tables, and a clean start
 *
 * Nothing here includes or links anything of the library or program under test.
 */
#ifndef TREE_H
#define TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SECTOR 512u
#define BLOCK 4096u
#define SECTORS_IN_BLOCK (BLOCK / SECTOR)
/* A sector cut short by the end of its file still shows its tag. */
#define TAG_BYTES 16u
#define NO_SECTOR UINT64_MAX
#define AMBIGUOUS (UINT64_MAX - 1)

/* ---- tree.c */

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void *must_alloc(size_t n, size_t size);
/* Make room for one more; returns the array, moved or not. */
void *must_grow(void *array, size_t n, size_t *alloc, size_t size);
char *must_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* All of it or die; a short read at the end of the file returns what there was. */
size_t must_pread(int fd, const char *what, void *buffer, size_t length, uint64_t offset);
int must_open(const char *path, int flags);
/* A path with every byte but letters, digits and "/._-" as %XX, and back. Both return new memory. */
char *encode_path(const char *path);
char *decode_path(const char *text);

/* ---- random.c: splitmix64 */

struct prng {
	uint64_t state;
};

uint64_t prng_next(struct prng *prng);
/* Even over [0, n). */
uint64_t prng_below(struct prng *prng, uint64_t n);
/* Even over [low, high]. */
uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high);
/* Shuffle n things of a size of at most 64 bytes. */
void prng_shuffle(struct prng *prng, void *array, size_t n, size_t size);

/* ---- tags */

/* The first bytes of each sector that `tree make` writes. */
struct tag {
	uint64_t magic;
	uint64_t serial;
};

/* Where `tree make` leaves what `tree poison` must know: an attribute of the mountpoint's root. */
#define NOTE_NAME "user.tree-note"

struct note {
	uint64_t magic;
	uint64_t serials; /* tags 0 .. serials - 1 were written */
};

/* ---- the kinds of file; the first letter of a file's name */

enum kind {
	KIND_PLAIN,
	KIND_SHUFFLED,
	KIND_INTERLEAVED,
	KIND_SPARSE,
	KIND_UNWRITTEN,
	KIND_AHEAD,
	KIND_REFLINKED,
	KIND_TWICE,
	KIND_LINKED,
	KIND_EMPTY,
	N_KINDS,
};

struct kind_info {
	char letter;
	const char *name;
};
extern const struct kind_info kinds[N_KINDS];

/* ---- oracle.c */

struct file {
	char *path; /* below the mountpoint: the first name met */
	char **links; /* further names */
	size_t n_links;
	enum kind kind;
	uint64_t inode;
	uint64_t size;
	unsigned int mode;
	unsigned int uid;
	char *capability; /* security.capability in hexadecimal, or NULL */
};

/* A sector of a file that holds data: its tag was read through the file. */
struct shown {
	uint32_t file;
	uint64_t offset; /* in the file */
	uint32_t length; /* less than a sector at the end of the file */
	uint64_t serial;
};

/* A sector of a file that is allocated but holds no data. */
struct quiet {
	uint32_t file;
	uint64_t offset;
	uint32_t length; /* less than a sector where the file ends inside it */
	uint64_t sector; /* on the device */
	bool past_eof;
	bool tail; /* between the end of the file and the end of its last page, which holds data */
	bool shared; /* a tail of a block that has more than one owner */
};

struct oracle {
	const char *mount;
	const char *device; /* path of the whole device */
	bool xfs;
	uint64_t start; /* of the filesystem on the device, in bytes */
	struct note note;
	struct file *files;
	size_t n_files, files_alloc;
	struct shown *shown; /* sorted by file and offset */
	size_t n_shown, shown_alloc;
	struct quiet *quiet; /* sorted by device sector */
	size_t n_quiet, quiet_alloc;
	uint64_t *
		sector_of; /* by serial; NO_SECTOR where the tag is nowhere, AMBIGUOUS at more than one place */
	uint64_t *serial_of; /* by device sector; NO_SECTOR where there is no tag */
	uint64_t n_sectors; /* of the device */
	uint32_t *owners; /* by serial: how many shown sectors have it */
};

/* Read the tree and the device. The filesystem is frozen meanwhile, so that all is where it will be. */
void oracle_learn(struct oracle *oracle, const char *mount, const char *device);

/* ---- quiet.c */

void quiet_learn_xfs(struct oracle *oracle, uint32_t file, int fd);
void quiet_learn_ext4(struct oracle *oracle, int device);
/* Returns the first piece; they follow each other up to n_quiet. */
struct quiet *quiet_add(struct oracle *oracle, uint32_t file, uint64_t offset, uint64_t physical,
			uint64_t length);

/* ---- expect.c */

/* What poison takes from a file; length is clipped at the end of the file. */
struct lost {
	uint32_t file;
	uint64_t offset;
	uint32_t length;
	uint64_t sector;
	bool shared;
};

/* A bad sector that the script chose, of an owner that is no file. */
struct aside {
	char *owner;
	uint64_t sector;
};

struct expect {
	char *mount;
	char *device;
	bool xfs;
	struct file *files;
	size_t n_files, files_alloc;
	struct lost *lost; /* sorted by file and offset */
	size_t n_lost, lost_alloc;
	struct quiet *quiet;
	size_t n_quiet, quiet_alloc;
	uint64_t *free; /* device sectors that belong to no file */
	size_t n_free, free_alloc;
	struct aside *aside; /* lines "aside OWNER SECTOR", added by hand */
	size_t n_aside, aside_alloc;
	uint64_t *bad; /* every poisoned device sector, sorted */
	size_t n_bad, bad_alloc;
};

void expect_write(const struct expect *expect, const char *path);
void expect_read(struct expect *expect, const char *path);
int compare_u64(const void *a, const void *b);
/* The owner of a sector that was put aside, or NULL. */
const char *aside_owner(const struct expect *expect, uint64_t sector);
/* Overwrite sectors. Poison made by hand leaves the cells as they were, and who forgets to write would not be caught. */
void scramble(const char *device, const uint64_t *sectors, size_t n);
/*
 * The kernel's list of a device: every listed sector, in the list's order. A volume has none: TREE_MAP names the map of what
 * lies below it, whose lists are then asked, or TREE_LIST a list to take for its own.
 */
uint64_t *listed_sectors(const char *device, size_t *n);
/* The same of a device that has a list. */
uint64_t *listed_sectors_of(const char *device, size_t *n);

/* ---- report.c */

/* A sector of a file, or what of it is inside the file, as the report has it. */
struct told {
	uint32_t file; /* index into the expectation's files */
	uint64_t offset;
	uint32_t length;
	uint64_t device_offset;
	const char *state;
	const char *reason; /* or "" */
	const char *source;
	const char *method;
};

struct told_owner {
	uint64_t sector;
	const char *owner;
};

struct report {
	void *json;
	const char *command;
	const char *capability, *evidence; /* what the kernel offers, and how that is known */
	uint32_t flag;
	int exit_status;
	bool complete;
	uint64_t lost_bytes, repaired_bytes; /* of its summary */
	struct told *told; /* sorted by file and offset, then device offset */
	size_t n_told, told_alloc;
	struct told_owner *owners; /* of the device's bad sectors, as listed */
	size_t n_owners, owners_alloc;
};

/*
 * Read the report and find the expectation's files in it. Every fault is printed and counted.
 * all_names: each file has all of its names in it, as after a walk.
 */
unsigned int report_read(struct report *report, const char *path, const struct expect *expect,
			 bool all_names);
void report_release(struct report *report);
/* Of an object, or of nothing: NULL, "", a fault and 0, 0. */
struct json_object;
struct json_object *json_get(struct json_object *object, const char *key);
const char *json_text(struct json_object *object, const char *key);
uint64_t json_number(struct json_object *object, const char *key, unsigned int *faults);
size_t json_length(struct json_object *array);
/* Print one fault; there may be many, and only the first ones help. */
void fault(unsigned int *faults, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- check.c */

/* What a repair makes of what it need not leave. */
struct outcome {
	const char *state;
	const char *reason; /* of what is left */
	const char *method; /* of what is repaired */
};

/* The ranges of files; with an outcome, after a repair. */
void compare_ranges(const struct expect *expect, const struct report *report,
		    const struct outcome *outcome, unsigned int *faults);
void compare_sums(const struct report *report, int status, uint64_t lost, uint64_t repaired,
		  unsigned int *faults);
/* Whether a file's last page is partly filled and bad, on a filesystem that a repair which fails there leaves it a page long. */
bool expect_grown(const struct expect *expect, uint32_t file);
/* What the report says of the kernel: "write" or "flag". */
void compare_recovery(const struct report *report, const char *capability, unsigned int *faults);
/* Bytes that are lost: in blocks of one owner, and in shared ones. */
void sum_lost(const struct expect *expect, uint64_t *lost, uint64_t *shared);

/* ---- below.c */

/* What a volume's map says is listed below it. */
uint64_t *listed_below(const char *map, size_t *n);
/* Where the report's ranges are said to lie below. */
void compare_lower(const struct report *report, const char *map, unsigned int *faults);

/* ---- verbs: each returns the program's exit status */

int verb_make(int argc, char **argv);
int verb_poison(int argc, char **argv);
int verb_check_scan(int argc, char **argv);
int verb_check_repair(int argc, char **argv);
int verb_salvage(int argc, char **argv);
int verb_check_salvage(int argc, char **argv);
int verb_partition(int argc, char **argv);
int verb_inject(int argc, char **argv);
int verb_scramble(int argc, char **argv);
int verb_clear(int argc, char **argv);
int verb_bytes(int argc, char **argv);
int verb_store(int argc, char **argv);
int verb_load(int argc, char **argv);
int verb_seal(int argc, char **argv);
int verb_spoil(int argc, char **argv);
int verb_hold(int argc, char **argv);
int verb_poison_dax(int argc, char **argv);
int verb_check_outcome(int argc, char **argv);
int verb_check_rest(int argc, char **argv);
int verb_probe(int argc, char **argv);
int verb_tags(int argc, char **argv);
int verb_note(int argc, char **argv);
int verb_trace(int argc, char **argv);
int verb_lower(int argc, char **argv);

#endif
