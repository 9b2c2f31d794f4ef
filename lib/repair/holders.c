/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The programs that have a file open or mapped, as a list for people. */

#include <stdio.h>
#include <string.h>

#include "owner/open-files.h"
#include "repair.h"

struct list {
	uint64_t inode; /* 0: any */
	pid_t last;
	char *text;
	size_t size;
	size_t length;
};

static int add(void *data, const struct pmr_open_file *file)
{
	struct list *list = data;
	char one[64];

	if ((list->inode && file->inode != list->inode) || (file->pid && file->pid == list->last))
		return 0;
	list->last = file->pid;
	if (file->pid)
		snprintf(one, sizeof(one), "%s%s (%d)", list->length ? ", " : "", file->name,
			 (int)file->pid);
	else
		snprintf(one, sizeof(one), "%s%s", list->length ? ", " : "", file->name);
	if (list->length + strlen(one) < list->size) {
		strcpy(list->text + list->length, one);
		list->length += strlen(one);
	}
	return 0;
}

void pmr_holders(dev_t devno, uint64_t inode, char *text, size_t size)
{
	struct list list = { .inode = inode, .text = text, .size = size };

	text[0] = '\0';
	pmr_open_files(devno, add, &list);
}

void pmr_node_holders(const struct stat *node, char *text, size_t size)
{
	struct list list = { .text = text, .size = size };

	text[0] = '\0';
	pmr_open_nodes(node, add, &list);
}
