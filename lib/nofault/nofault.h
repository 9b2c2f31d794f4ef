/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two files behind pmr_copy_nofault() tell each other:
 *
 *   copy.c      the copy, and the table of its instructions that may fault (one for each architecture)
 *   nofault.c   the handler that looks into the table, and passes on what is not in it
 */
#ifndef PMR_NOFAULT_H
#define PMR_NOFAULT_H

#include <stdbool.h>

/** PMR_NOFAULT_SUPPORTED - whether copy.c has a table for this architecture */
#if (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__)
#define PMR_NOFAULT_SUPPORTED 1
#else
#define PMR_NOFAULT_SUPPORTED 0
#endif

/**
 * pmr_nofault_fix() - if a thread was stopped at an instruction of the table, have it go on at its fix-up
 * @ucontext: of the signal; takes the new place
 *
 * Async-signal-safe. Return: whether it was.
 */
bool pmr_nofault_fix(void *ucontext);

#endif
