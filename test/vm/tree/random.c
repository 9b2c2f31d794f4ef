// SPDX-License-Identifier: GPL-2.0-or-later
/* random.c: numbers that a seed decides. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tree.h"

uint64_t prng_next(struct prng *prng)
{
	uint64_t z = prng->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t prng_below(struct prng *prng, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)prng_next(prng) * n) >> 64);
}

uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high)
{
	return low + prng_below(prng, high - low + 1);
}

void prng_shuffle(struct prng *prng, void *array, size_t n, size_t size)
{
	unsigned char *bytes = array, swap[64];
	size_t i, j;

	if (size > sizeof(swap))
		die("cannot shuffle things of %zu bytes", size);
	for (i = n; i > 1; i--) {
		j = prng_below(prng, i);
		memcpy(swap, bytes + (i - 1) * size, size);
		memcpy(bytes + (i - 1) * size, bytes + j * size, size);
		memcpy(bytes + j * size, swap, size);
	}
}

int verb_bytes(int argc, char **argv)
{
	struct prng prng = { strtoull(argv[0], NULL, 0) };
	uint64_t left = strtoull(argv[1], NULL, 0), word;
	size_t n;

	(void)argc;
	for (; left; left -= n) {
		word = prng_next(&prng);
		n = left < sizeof(word) ? left : sizeof(word);
		if (fwrite(&word, 1, n, stdout) != n)
			die("cannot write");
	}
	return fflush(stdout) ? 2 : 0;
}
