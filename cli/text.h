/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text in and out: sizes, paths that are safe on a terminal, strings that are safe in JSON.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

/** TEXT_TIME_SIZE - room for what text_format_time() writes */
#define TEXT_TIME_SIZE sizeof("-2147483648-00-00T00:00:00Z")

/** text_format_time() - as RFC 3339 writes it, in UTC. Return: @text; NULL where it is no time. */
const char *text_format_time(time_t when, char *text);

/** text_print_size() - "512 B", "4 KiB", "1.5 MiB" */
void text_print_size(FILE *out, uint64_t bytes);

/** text_print_count() - "1 file", "3 files" */
void text_print_count(FILE *out, uint64_t count, const char *noun);

/**
 * text_print_safe() - print a string so that it cannot drive a terminal
 *
 * Control characters, invisible direction marks and what is no character of the locale become \xHH,
 * a backslash becomes two.
 */
void text_print_safe(FILE *out, const char *text);

/**
 * text_to_utf8() - a copy in which every byte that is no UTF-8 is U+FFFD
 * @text: NUL-terminated
 * @exact: set false when something had to be replaced; may be NULL
 *
 * Return: the copy to free(), or NULL without memory.
 */
char *text_to_utf8(const char *text, bool *exact);

/** text_to_base64() - RFC 4648 base64 of a NUL-terminated string, to free(); NULL without memory */
char *text_to_base64(const char *text);

/**
 * text_parse_size() - a number of bytes: decimal or 0x hexadecimal, with K, M, G or T for powers of 1024
 * @end: the first character after the number
 *
 * Return: 0, -EINVAL (no number), -ERANGE (past UINT64_MAX).
 */
int text_parse_size(const char *text, const char **end, uint64_t *bytes);

/**
 * text_parse_range() - "OFFSET" or "OFFSET+LENGTH", each as text_parse_size() takes it
 * @length: at least 1; left alone where the text has none
 *
 * Return: 0, -EINVAL, -ERANGE.
 */
int text_parse_range(const char *text, uint64_t *offset, uint64_t *length);

/**
 * text_is_slip() - whether a word is a slip of the pen for another: letters wrong, missing, too many or changed round
 * @slips: how many; those that count have to be less. Gains how many there are where there are less.
 *
 * Two at most, and one in words of up to three letters.
 */
bool text_is_slip(const char *word, const char *meant, size_t *slips);

#endif
