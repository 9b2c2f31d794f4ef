/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is remembered of the lists of badblocks: remember.c compares and does no I/O, memory-file.c keeps it, entry.c does both
 * for a namespace, memory.c for a whole topology, account.c for what was repaired.
 */
#ifndef PMR_MEMORY_H
#define PMR_MEMORY_H

#include "private.h"

/** struct pmr_gone - what a list had and has no more; @seen: when it last had it */
struct pmr_gone {
	struct pmr_range range;
	time_t seen;
};

/**
 * struct pmr_recall - what is remembered of one list
 * @listed: normal; what it had when it was last seen
 * @gone: sorted by offset; what had vanished by then, and was not acknowledged
 */
struct pmr_recall {
	struct pmr_ranges listed;
	struct pmr_gone *gone;
	size_t n_gone;
	size_t alloc_gone;
};

/**
 * struct pmr_remembered - what is remembered of a namespace; zero-initialised it is nothing
 * @device: the device's name then
 * @size: its size then, 0 when nothing is remembered
 * @data_offset: its data offset then, or PMR_NO_ADDRESS
 * @incomplete: its list was not complete
 * @data: of its own list
 * @metadata: of the list for info block and page map
 * @seen: when @listed was last seen just so
 */
struct pmr_remembered {
	char *device;
	uint64_t size;
	uint64_t data_offset;
	bool incomplete;
	struct pmr_recall data;
	struct pmr_recall metadata;
	time_t seen;
};

/* ---- remember.c: pure */

/** pmr_remembered_release() - free the storage; nothing is then remembered */
void pmr_remembered_release(struct pmr_remembered *remembered);

/** pmr_remembered_is_empty() - whether there is no record, listed or gone */
bool pmr_remembered_is_empty(const struct pmr_remembered *remembered);

/** pmr_remembered_is_of() - whether a device still has the size and data offset it had; where one is unknown it has */
bool pmr_remembered_is_of(const struct pmr_remembered *remembered, const struct pmr_device *device);

/** pmr_recall_sort() - put what is gone in order */
void pmr_recall_sort(struct pmr_recall *recall);

/**
 * pmr_recall_missing() - append to @out what a list had and has no more
 * @list: as it is now. Where it does not show all nothing is missing.
 *
 * Return: 0, -ENOMEM.
 */
int pmr_recall_missing(const struct pmr_recall *recall, const struct pmr_badblocks *list,
		       struct pmr_ranges *out);

/**
 * pmr_recall_update() - remember a list as it is now
 * @list: as it is now. An unknown one changes nothing, one that is not complete only adds.
 * @missing: normal: what it has no more
 * @lasting: of that, what lies ahead of this byte is gone from now on, and the rest forgotten
 * @seen: when what is missing was last seen
 * @changed: set true where it differs from what was remembered
 *
 * What is gone and listed again is listed. Return: 0, -ENOMEM.
 */
int pmr_recall_update(struct pmr_recall *recall, const struct pmr_badblocks *list,
		      const struct pmr_ranges *missing, uint64_t lasting, time_t seen,
		      bool *changed);

/** pmr_recall_drop_gone() - forget ranges of what is gone. Return: 0, -ENOMEM. */
int pmr_recall_drop_gone(struct pmr_recall *recall, const struct pmr_ranges *ranges, bool *changed);

/**
 * pmr_recall_forget() - forget ranges, listed or gone
 * @ranges: normal
 * @changed: set true where anything of them was remembered
 *
 * Return: 0, -ENOMEM.
 */
int pmr_recall_forget(struct pmr_recall *recall, const struct pmr_ranges *ranges, bool *changed);

/* ---- memory-file.c */

/**
 * pmr_remembered_parse() - what a file of the memory says
 * @remembered: result but for @seen; release with pmr_remembered_release()
 *
 * Return: 0; -EBADMSG: not whole, or not such a file; -EPROTONOSUPPORT: of a later version; -ENOMEM.
 */
int pmr_remembered_parse(const char *text, size_t length, struct pmr_remembered *remembered);

/**
 * pmr_remembered_format() - the text of a file of the memory, which is one for --badblocks as well
 * @text: result, free() it
 *
 * Its records are all that is remembered, gone or not; comment lines say what of them is gone.
 * Return: 0, -ENOMEM.
 */
int pmr_remembered_format(const struct pmr_remembered *remembered, char **text, size_t *length);

/**
 * pmr_memory_open() - open the directory of the files
 * @directory: the state directory
 * @make: make what is missing, readable by its owner alone
 * @fd: result; closing it is the release, also of the lock
 *
 * Return: 0; -ENOENT (without @make); another errno. Says nothing.
 */
int pmr_memory_open(const char *directory, bool make, int *fd);

/** pmr_memory_name() - the name of a device's file, free() it; NULL without memory */
char *pmr_memory_name(const struct pmr_device *device);
/** pmr_memory_path() - the path of a file, free() it; NULL without memory */
char *pmr_memory_path(const char *directory, const char *name);

/**
 * pmr_memory_load() - read one file, its @seen included
 *
 * Return: 0, -ENOENT, as pmr_remembered_parse(), another errno.
 */
int pmr_memory_load(int fd, const char *name, struct pmr_remembered *remembered);

/** pmr_memory_touch() - its list was seen again just so; where that cannot be noted nothing is lost */
void pmr_memory_touch(int fd, const char *name);

/** pmr_memory_store() - replace one file, safe from a crash; nothing to remember is no file. Return: 0, -errno. */
int pmr_memory_store(int fd, const char *name, const struct pmr_remembered *remembered);

/* ---- entry.c */

/**
 * struct pmr_memory_entry - one namespace
 * @error: why what was remembered is not known: -EBADMSG (damaged), -ESTALE (of a namespace that was there before),
 *         or what reading it failed with; 0
 * @changed: what is remembered is to be written
 */
struct pmr_memory_entry {
	struct pmr_device *device;
	char *name;
	char *path;
	struct pmr_remembered remembered;
	int error;
	bool changed;
};

/**
 * struct pmr_memory - see there
 * @fd: -1 while there is no directory
 * @error: why nothing that was remembered could be looked at, or 0
 * @store_error: the first time something could not be written, or 0
 */
struct pmr_memory {
	struct pmr_ctx *ctx;
	char *directory;
	int fd;
	struct pmr_memory_entry *entries;
	size_t n_entries;
	struct pmr_vanished *vanished;
	size_t n_vanished;
	size_t alloc_vanished;
	int error;
	int store_error;
};

/** pmr_memory_level() - how much of an error is news: who has no right to the memory runs without */
enum pmr_level pmr_memory_level(int error);

/** pmr_memory_is_left() - what is damaged or of another namespace is set aside and then nothing; what cannot be read is left */
bool pmr_memory_is_left(const struct pmr_memory_entry *entry);

/** pmr_memory_look() - compare what is remembered with the lists as they were read last. Return: 0, -ENOMEM. */
int pmr_memory_look(const struct pmr_memory *memory, struct pmr_memory_entry *entry);

/** pmr_memory_lock() - make the directory if need be, and lock it. Return: 0, -errno. */
int pmr_memory_lock(struct pmr_memory *memory);

/** pmr_memory_put() - write one, under the lock. Return: 0; why it could not be written; -ENOMEM. */
int pmr_memory_put(struct pmr_memory *memory, struct pmr_memory_entry *entry);

/** pmr_memory_keep() - look again at what changed, as it is at one moment, and write it. Return: 0, -ENOMEM; errors of writing are said. */
int pmr_memory_keep(struct pmr_memory *memory);

/** pmr_memory_say() - what is wrong with what was remembered of one */
void pmr_memory_say(const struct pmr_memory *memory, const struct pmr_memory_entry *entry);

/* ---- account.c */

/** pmr_memory_account_in() - pmr_memory_account() with another state directory, for tests */
int pmr_memory_account_in(struct pmr_ctx *ctx, const char *directory,
			  const struct pmr_device *device, const struct pmr_ranges *repaired);

#endif
