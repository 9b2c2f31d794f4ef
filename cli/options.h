/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line: every option stands in exactly one popt table, and the commands include the tables they take.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <popt.h>

#include "pmem-recover.h"

/** struct options - what the user asked for; release with options_release() */
struct options {
	bool human;
	bool quiet;
	unsigned int verbose;
	bool help;
	bool list_opts;
	char *badblocks;
	char *from_backup;
	char *backup_root;
	char *journal;
	enum pmr_verify_backup verify_backup;
	bool zero_fill;
	bool accept_offlined;
	bool trust_badblocks;
	bool yes;
	bool dry_run;
	bool force;
	enum pmr_method method;
	uint32_t recovery_flag;
	char *ranges;
	char *output;
	char *mapfile;
	bool has_fill;
	uint8_t fill;
	bool has_address;
	uint64_t address;
	char *acknowledge;
	bool online;
	bool resume;
	bool has_keep;
	unsigned int keep_days;
	bool all;
	bool set_aside;
	char *export;
	unsigned int threads;
	enum pmr_lookup_by lookup;
	bool read;
	uint64_t read_rate; /* 0 for none */
	bool scrub;
	char **args;
	size_t n_args;
};

/* The tables of the commands. */
extern const struct poptOption options_plain[]; /* list */
extern const struct poptOption options_badblocks[]; /* map */
extern const struct poptOption options_scan[];
extern const struct poptOption options_locate[];
extern const struct poptOption options_salvage[];
extern const struct poptOption options_repair[];
extern const struct poptOption options_health[];
extern const struct poptOption options_journal[];

/**
 * options_parse() - parse what follows the verb
 * @name: "pmem-recover VERB"
 * @table: the command's
 * @argc, @argv: what follows the verb
 * @options: result, zero-initialised by the caller
 *
 * Says on stderr what is wrong. Return: 0, -EINVAL, -ENOMEM.
 */
int options_parse(const char *name, const struct poptOption *table, int argc, char **argv,
		  struct options *options);
/** options_release() - free what options_parse() made */
void options_release(struct options *options);

/** options_print_help() - "Usage: NAME [OPTION...] ARGS" and one line an option. Return: 0, -ENOMEM. */
int options_print_help(const char *name, const char *args, const struct poptOption *table,
		       FILE *out);

/** options_print_list() - every spelling that help shows, one a line: "-u", "--human", "--format=json|human" */
void options_print_list(const struct poptOption *table, FILE *out);

#endif
