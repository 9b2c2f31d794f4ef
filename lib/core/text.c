/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small files, read whole or not at all; names as a shell takes them. */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

/* Room for one more page, which is what sysfs answers a read with, and the NUL. */
static int make_room(char **buffer, size_t used, size_t *alloc)
{
	size_t wanted = *alloc ? *alloc * 2 : 8192;
	char *grown;

	if (*alloc - used > 4096)
		return 0;
	if (wanted < *alloc)
		return -ENOMEM;
	grown = realloc(*buffer, wanted);
	if (!grown)
		return -ENOMEM;
	*buffer = grown;
	*alloc = wanted;
	return 0;
}

static int read_all(int fd, size_t limit, char **text, size_t *length)
{
	size_t used = 0, alloc = 0;
	char *buffer = NULL;
	ssize_t got;
	int err;

	for (;;) {
		err = make_room(&buffer, used, &alloc);
		if (err)
			goto out;
		got = read(fd, buffer + used, alloc - used - 1);
		if (got < 0 && errno == EINTR)
			continue;
		err = got < 0 ? -errno : 0;
		if (err)
			goto out;
		if (got == 0)
			break;
		used += got;
		err = used > limit ? -EFBIG : 0;
		if (err)
			goto out;
	}
	buffer[used] = '\0';
	*text = buffer;
	*length = used;
	buffer = NULL;
out:
	free(buffer);
	return err;
}

int pmr_read_text(const char *path, size_t limit, char **text, size_t *length)
{
	bool standard_input = strcmp(path, "-") == 0;
	int fd, err;

	fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	err = read_all(fd, limit, text, length);
	if (!standard_input)
		close(fd);
	return err;
}

char *pmr_read_boot_id(void)
{
	char *id = NULL;
	size_t length;

	if (!pmr_read_text("/proc/sys/kernel/random/boot_id", 64, &id, &length))
		id[strcspn(id, "\n")] = '\0';
	return id;
}

static bool is_plain(const char *name)
{
	const char *c = name;

	while (*c && (isalnum((unsigned char)*c) || strchr("_@%+=:,./-", *c)))
		c++;
	return *name && !*c;
}

/* In single quotes each of its own ends them, comes by itself, and begins them anew. */
static char *quote_singly(const char *name)
{
	char *quoted = malloc(strlen(name) * 4 + 3), *to = quoted;

	if (!quoted)
		return NULL;
	*to++ = '\'';
	for (; *name; name++) {
		if (*name == '\'')
			to = stpcpy(to, "'\\''");
		else
			*to++ = *name;
	}
	strcpy(to, "'");
	return quoted;
}

char *pmr_quote(const char *name)
{
	char *quoted;

	if (is_plain(name))
		return strdup(name);
	if (strpbrk(name, "\"$`\\!"))
		return quote_singly(name);
	return asprintf(&quoted, "\"%s\"", name) < 0 ? NULL : quoted;
}
