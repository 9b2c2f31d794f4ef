/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words that the tables and the sentences for people share.
 */
#ifndef CLI_REPORT_HUMAN_H
#define CLI_REPORT_HUMAN_H

#include "report.h"

/** report_device_label() - a device's path, or its name where it has none */
const char *report_device_label(const struct pmr_device *device);
/**
 * report_print_list() - how many badblocks
 * @words: "3 badblocks, 1.5 KiB" for a sentence, else "3, 1.5 KiB" for a column
 */
void report_print_list(FILE *out, const struct pmr_badblocks *list, bool words);
/** report_print_reading() - "; read 512 MiB, found 1 KiB", after a list: how much was read, and what failed; nothing for none */
void report_print_reading(FILE *out, const struct pmr_device *device);
/** report_write_readings() - a line for each device of which media was read */
void report_write_readings(const struct report *report, FILE *out);
/** report_print_metadata_list() - the same of a namespace's metadata after "; @where: "; nothing for none */
void report_print_metadata_list(FILE *out, const struct pmr_device *device, const char *where,
				bool words);
/** report_describe_recovery() - what the kernel offers against poison, without a full stop; 128 bytes are enough */
void report_describe_recovery(const struct pmr_recovery *recovery, char *text, size_t size);
/** report_print_position() - "61952 (60.5 KiB)" */
void report_print_position(FILE *out, uint64_t bytes);
/** report_print_part() - what of which inode it is: " (directory /mnt/db)", " (attributes of inode 12)"; nothing for none */
void report_print_part(FILE *out, enum pmr_part part, uint64_t inode, const char *path);
/** report_print_part_name() - "info block", "directory" */
void report_print_part_name(FILE *out, enum pmr_part part);
/** report_write_regions() - tables of regions, of what is bad in them, and of DIMMs. Return: 0, -ENOMEM. */
int report_write_regions(const struct pmr_topology *topology, FILE *out);
/** report_write_health_regions() - what is amiss with regions and DIMMs, each in a line */
void report_write_health_regions(const struct pmr_topology *topology, FILE *out);
/** report_write_quiet_regions() - of that, what the exit status tells of */
void report_write_quiet_regions(const struct pmr_topology *topology, FILE *out);
/** report_write_owners() - a table of badblocks that are in no file of the other table. Return: 0, -ENOMEM. */
int report_write_owners(const struct report *report, FILE *out);
/** report_write_ways() - how owners were found, a line for each filesystem where they were looked for */
void report_write_ways(const struct report *report, FILE *out);
/** report_write_health_line() - one device in one line */
void report_write_health_line(const struct pmr_device *device, FILE *out);
/** report_write_losses() - a table of what files lost, and of those that could not be looked at. Return: 0, -ENOMEM. */
int report_write_losses(const struct pmr_scan *scan, FILE *out);
/** report_write_vanished() - what vanished, each in a line behind @ahead; nothing for NULL */
void report_write_vanished(const struct pmr_memory *memory, const char *ahead, FILE *out);
/** report_write_zeroed() - the same of what a repair overwrote with zeros */
void report_write_zeroed(const struct pmr_zeroes *zeroes, const char *ahead, FILE *out);

#endif
