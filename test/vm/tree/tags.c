// SPDX-License-Identifier: GPL-2.0-or-later
/* tags.c: where the tags of a tree lie on a device that is not the filesystem's: what a BTT wrote where. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tree.h"

int verb_tags(int argc, char **argv)
{
	struct note note = { .magic = strtoull(argv[0], NULL, 0),
			     .serials = strtoull(argv[1], NULL, 0) };
	uint64_t *at = must_alloc(note.serials, sizeof(*at)), base, i;
	int fd = must_open(argv[2], O_RDONLY | O_DIRECT);
	unsigned char *chunk = aligned_alloc(BLOCK, 1 << 20);
	const struct tag *tag;
	size_t n;

	(void)argc;
	if (!chunk)
		die("out of memory");
	for (i = 0; i < note.serials; i++)
		at[i] = NO_SECTOR;
	for (base = 0; (n = must_pread(fd, argv[2], chunk, 1 << 20, base)) > 0; base += n) {
		for (i = 0; i + SECTOR <= n; i += SECTOR) {
			tag = (const struct tag *)(chunk + i);
			if (tag->magic == note.magic && tag->serial < note.serials)
				at[tag->serial] = at[tag->serial] == NO_SECTOR ? (base + i) / SECTOR
									       : AMBIGUOUS;
		}
	}
	for (i = 0; i < note.serials; i++) {
		if (at[i] < AMBIGUOUS)
			printf("%lu %lu\n", i, at[i]);
	}
	free(chunk);
	close(fd);
	return 0;
}

int verb_note(int argc, char **argv)
{
	struct note note;

	(void)argc;
	if (getxattr(argv[0], NOTE_NAME, &note, sizeof(note)) != sizeof(note))
		die("%s: no tree was made here", argv[0]);
	printf("%lu %lu\n", note.magic, note.serials);
	return 0;
}
