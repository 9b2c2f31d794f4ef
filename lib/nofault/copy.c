/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A copy whose instructions that may fault are known by their addresses, as in the kernel's exception table. */
#include <ucontext.h>

#include "nofault/nofault.h"
#include "private.h"

#if PMR_NOFAULT_SUPPORTED

/* Distances from the fields themselves, so that the table needs no relocation. */
struct entry {
	int32_t fault;
	int32_t fix_up;
};

/* The linker's, for a section whose name is a C identifier. */
extern const struct entry __start_pmr_nofault[] __attribute__((visibility("hidden")));
extern const struct entry __stop_pmr_nofault[] __attribute__((visibility("hidden")));

#define ENTRY(fault, fix_up)                      \
	".pushsection pmr_nofault, \"a\"\n\t"     \
	".balign 4\n\t"                           \
	".long " fault " - ., " fix_up " - .\n\t" \
	".popsection\n\t"

#endif

#if PMR_NOFAULT_SUPPORTED && defined(__x86_64__)

static uintptr_t *place_of(ucontext_t *context)
{
	return (uintptr_t *)&context->uc_mcontext.gregs[REG_RIP];
}

/*
 * Instructions whose registers say at a fault how far they came: nothing is read twice. As fast as memcpy() on every processor
 * with enhanced REP MOVSB, and PMEM came later than that. By words where both sides have their edges in the same places, for
 * who takes a byte at a time: emulators, and processors whose fast strings the kernel had to turn off (5.17, for poison that
 * they met behind the end). No page, and no poison, begins within a word.
 */
size_t pmr_copy_nofault(void *to, const void *from, size_t length)
{
	const char *end = from;
	size_t head = length, words = 0, tail = 0;

	if (!(((uintptr_t)to ^ (uintptr_t)from) % sizeof(words)) && length >= sizeof(words)) {
		head = -(uintptr_t)from % sizeof(words);
		words = (length - head) / sizeof(words);
		tail = (length - head) % sizeof(words);
	}
	asm volatile("1:	rep movsb\n"
		     "	mov	%[words], %[left]\n"
		     "2:	rep movsq\n"
		     "	mov	%[tail], %[left]\n"
		     "3:	rep movsb\n"
		     "9:\n\t" ENTRY("1b", "9b") ENTRY("2b", "9b") ENTRY("3b", "9b")
		     : "+&D"(to), "+&S"(end), [left] "+&c"(head)
		     : [words] "r"(words), [tail] "r"(tail)
		     : "memory");
	/* Not by what is left: valgrind counts it down before it reads. */
	return (size_t)(end - (const char *)from);
}

#elif PMR_NOFAULT_SUPPORTED && defined(__aarch64__)

static uintptr_t *place_of(ucontext_t *context)
{
	return (uintptr_t *)&context->uc_mcontext.pc;
}

/*
 * Bytes until the source is aligned, so that no load lies in two pages or cache lines, then blocks of 64, then bytes. A
 * load that faults is not repeated, nor is one that preceded it: what that read is stored by the fix-up.
 */
size_t pmr_copy_nofault(void *to, const void *from, size_t length)
{
	const char *at = from, *end = at + length;
	size_t left;
	uint32_t byte;

	asm volatile("1:	cmp	%[at], %[end]\n"
		     "	b.eq	9f\n"
		     "	tst	%[at], #31\n"
		     "	b.eq	3f\n"
		     "2:	ldrb	%w[byte], [%[at]]\n"
		     "20:	strb	%w[byte], [%[to]], #1\n"
		     "	add	%[at], %[at], #1\n"
		     "	b	1b\n"
		     "3:	sub	%[left], %[end], %[at]\n"
		     "	subs	%[left], %[left], #64\n"
		     "	b.lo	5f\n"
		     "4:	ldp	q0, q1, [%[at]]\n"
		     "40:	ldp	q2, q3, [%[at], #32]\n"
		     "41:	stp	q0, q1, [%[to]]\n"
		     "	add	%[at], %[at], #32\n"
		     "42:	stp	q2, q3, [%[to], #32]\n"
		     "	add	%[at], %[at], #32\n"
		     "	add	%[to], %[to], #64\n"
		     "	subs	%[left], %[left], #64\n"
		     "	b.hs	4b\n"
		     "5:	cmp	%[at], %[end]\n"
		     "	b.eq	9f\n"
		     "6:	ldrb	%w[byte], [%[at]]\n"
		     "60:	strb	%w[byte], [%[to]], #1\n"
		     "	add	%[at], %[at], #1\n"
		     "	b	5b\n"
		     "8:	stp	q0, q1, [%[to]]\n"
		     "	add	%[at], %[at], #32\n"
		     "9:\n\t" ENTRY("2b", "9b") ENTRY("20b", "9b") ENTRY("4b", "9b")
			     ENTRY("40b", "8b") ENTRY("41b", "9b") ENTRY("42b", "9b")
				     ENTRY("6b", "9b") ENTRY("60b", "9b") ENTRY("8b", "9b")
		     : [to] "+&r"(to), [at] "+&r"(at), [left] "=&r"(left), [byte] "=&r"(byte)
		     : [end] "r"(end)
		     : "memory", "cc", "v0", "v1", "v2", "v3");
	return (size_t)(at - (const char *)from);
}

#else

size_t pmr_copy_nofault(void *to, const void *from, size_t length)
{
	(void)to;
	(void)from;
	(void)length;
	return 0;
}

#endif

#if PMR_NOFAULT_SUPPORTED

bool pmr_nofault_fix(void *ucontext)
{
	uintptr_t *place = place_of(ucontext);

	/* cppcheck-suppress comparePointers ; of one section, which the linker makes */
	for (const struct entry *entry = __start_pmr_nofault; entry < __stop_pmr_nofault; entry++)
		if (*place == (uintptr_t)&entry->fault + (uintptr_t)(intptr_t)entry->fault) {
			*place = (uintptr_t)&entry->fix_up + (uintptr_t)(intptr_t)entry->fix_up;
			return true;
		}
	return false;
}

#else

bool pmr_nofault_fix(void *ucontext)
{
	(void)ucontext;
	return false;
}

#endif
