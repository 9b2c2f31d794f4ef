/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is remembered of zeros that a repair wrote: a file for each damaged file, in the form of a report, so that it can
 * be taken for an earlier one. zeroed-text.c knows their text, zeroed-file.c their places, zeroed-account.c what a repair
 * changes in them, zeroed.c tells of them, zeroed-look.c holds them against the files as they are now.
 */
#ifndef PMR_ZEROED_H
#define PMR_ZEROED_H

#include "earlier/earlier.h"

/** struct pmr_zeros_range - where the zeros are, and when they were written */
struct pmr_zeros_range {
	struct pmr_earlier_range at;
	time_t when;
};

/**
 * struct pmr_zeros - the zeros in one file
 * @file: as a repair left it; without ranges
 * @device: the device's name then
 * @ns_name, @ns_uuid: its namespace, or NULL
 * @ranges: sorted by offset, no two overlap
 */
struct pmr_zeros {
	struct pmr_earlier_file file;
	char *device;
	char *ns_name;
	char *ns_uuid;
	struct pmr_zeros_range *ranges;
	size_t n_ranges;
	size_t alloc_ranges;
};

/**
 * struct pmr_zeros_entry - a file of the memory
 * @name: of it
 * @zeros: what it says; nothing with @error
 * @error: -EBADMSG: it is damaged; -EPROTONOSUPPORT: of a later version; why it cannot be read; 0
 * @changed: it is to be written
 * @is_left_out: it has nothing to do with what was asked about
 * @now: what became of the file with the zeros
 * @differences: what tells it from that file, for people
 */
struct pmr_zeros_entry {
	char *name;
	struct pmr_zeros zeros;
	int error;
	bool changed;
	bool is_left_out;
	enum pmr_zeroed_file now;
	char differences[PMR_EARLIER_DIFFERENCES];
};

/** struct pmr_zeros_list - all files of the memory, by name */
struct pmr_zeros_list {
	struct pmr_zeros_entry *v;
	size_t n;
	size_t alloc;
};

/** struct pmr_zeroes - what is remembered, and what of it was asked about */
struct pmr_zeroes {
	struct pmr_ctx *ctx;
	char *directory;
	struct pmr_zeros_list list;
	struct pmr_zeroed *zeroed;
	size_t n_zeroed;
	size_t alloc_zeroed;
	int error; /* why nothing could be looked at, or 0 */
};

/* ---- zeroed-text.c */

/** pmr_zeros_release() - free the storage; it is then nothing */
void pmr_zeros_release(struct pmr_zeros *zeros);

/**
 * pmr_zeros_parse() - what a file of the memory says
 * @zeros: result; release with pmr_zeros_release()
 *
 * Return: 0; -EBADMSG: not whole, or not such a file; -EPROTONOSUPPORT: of a later version; -ENOMEM.
 */
int pmr_zeros_parse(const char *text, size_t length, struct pmr_zeros *zeros);

/**
 * pmr_zeros_format() - the text of such a file, which is a report as well
 * @text: result, free() it
 *
 * Return: 0, -ENOMEM.
 */
int pmr_zeros_format(const struct pmr_zeros *zeros, char **text, size_t *length);

/* ---- zeroed-file.c */

/** pmr_zeros_name() - the @n-th name for a file of the memory, from 1; free() it; NULL without memory */
char *pmr_zeros_name(const struct pmr_zeros *zeros, unsigned int n);

/** pmr_zeros_open() - open their directory; as pmr_state_open() */
int pmr_zeros_open(const char *directory, bool make, int *fd);

/** pmr_zeros_add() - one range more, in its place. Return: 0, -ENOMEM. */
int pmr_zeros_add(struct pmr_zeros *zeros, const struct pmr_zeros_range *range);

/**
 * pmr_zeros_remove() - without these bytes of the file
 * @ranges: normal, offsets in the file
 * @changed: set true where there were any
 *
 * Return: 0, -ENOMEM.
 */
int pmr_zeros_remove(struct pmr_zeros *zeros, const struct pmr_ranges *ranges, bool *changed);

/** pmr_zeros_load() - read all of them; what of one goes wrong is its @error. Return: 0, another errno of the directory. */
int pmr_zeros_load(int fd, struct pmr_zeros_list *list);

/** pmr_zeros_append() - one more, which has no zeros yet; @name is the list's from here on, also on failure. */
int pmr_zeros_append(struct pmr_zeros_list *list, char *name, struct pmr_zeros_entry **entry);

/** pmr_zeros_store() - replace one file, safe from a crash; without ranges it is removed. Return: 0, -errno. */
int pmr_zeros_store(int fd, const struct pmr_zeros_entry *entry);

/** pmr_zeros_list_release() - free the storage; the list is then empty */
void pmr_zeros_list_release(struct pmr_zeros_list *list);

/* ---- zeroed-account.c */

/**
 * pmr_zeros_before() - to be called before a plan is carried out
 *
 * Return: what pmr_zeros_account() wants to know of it, free() it; NULL without memory.
 */
struct timespec *pmr_zeros_before(const struct pmr_plan *plan);

/**
 * pmr_zeros_account() - remember what a plan wrote with zeros, and forget what it restored
 * @before: of pmr_zeros_before()
 *
 * To be called before the journal is finished: until then, that one tells. What goes wrong is said, and undoes no repair.
 */
void pmr_zeros_account(struct pmr_ctx *ctx, const struct pmr_plan *plan,
		       const struct timespec *before);

/** pmr_zeros_account_in() - the same with another state directory, for tests. Return: 0; -errno, said. */
int pmr_zeros_account_in(struct pmr_ctx *ctx, const char *directory, const struct pmr_plan *plan,
			 const struct timespec *before);

/* ---- zeroed.c */

/** pmr_zeroes_list() - make the public list anew from what is not left out. Return: 0, -ENOMEM. */
int pmr_zeroes_list(struct pmr_zeroes *zeroes);

/** pmr_zeros_are_on() - whether they lie on a device: by the namespace's UUID, where there is none by name */
bool pmr_zeros_are_on(const struct pmr_zeros *zeros, const struct pmr_device *device);

#endif
