/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What make.c, which decides what the tree holds, and build.c, which writes it, tell each other. */
#ifndef TREE_MAKE_H
#define TREE_MAKE_H

#include "tree.h"

enum op_kind {
	OP_WRITE, /* new data */
	OP_ALLOCATE, /* fallocate: unwritten blocks, inside the file */
	OP_ALLOCATE_AHEAD, /* the same past its end */
};

/* One thing done to a file. What different files have to do is mixed, so that their blocks are too. */
struct op {
	enum op_kind kind;
	uint32_t block;
	uint32_t count;
};

struct work {
	enum kind kind;
	char *name; /* below the mountpoint */
	char *link; /* a second name, or NULL */
	int fd;
	uint64_t size;
	unsigned char *image; /* what the file holds, in whole blocks */
	struct op *ops;
	size_t n_ops, ops_alloc, next_op;
	struct work *clone_of; /* reflinked: where blocks come from */
	uint32_t clone_from, clone_to, clone_count; /* blocks */
	uint32_t overwrite; /* blocks of the clone that get data of their own again */
	bool doomed; /* deleted in the end */
	unsigned int mode;
	bool capable; /* gets a security.capability */
};

struct maker {
	struct prng prng;
	const char *mount;
	const char *backup;
	bool reflink;
	bool dax;
	struct note note;
	char **dirs;
	size_t n_dirs;
	struct work *works;
	size_t n_works;
};

/* ---- build.c */

bool build_can_reflink(const char *mount);
/* Let ext4 hand out blocks in the order they are asked for, whatever file they are for. */
void build_tune_ext4(const char *mount);
void build_open(struct maker *maker, struct work *work);
/* Carry out the next op. */
void build_step(struct maker *maker, struct work *work);
/* What comes after every file's ops: clones, second names, modes, deletions, the copy. */
void build_finish(struct maker *maker);

static inline uint32_t blocks_of(const struct work *work)
{
	return (uint32_t)((work->size + BLOCK - 1) / BLOCK);
}

#endif
