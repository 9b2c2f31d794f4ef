/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recover-at FILE FROM OFFSET LSB LIST OUT [gone]: map FILE from byte FROM on, have it recovered around OFFSET, and tell
 *
 * LIST: of bad blocks, "none" for the device's own.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pmem-recover.h"

static void say(void *data, const struct pmr_message *message)
{
	(void)data;
	fprintf(stderr, "%s: %s\n", message->object, message->text);
}

static int tell(const struct pmr_recovered *recovered, const char *out)
{
	FILE *file = fopen(out, "w");

	printf("%s: fault %llu range %llu+%llu lost %llu error %d device %d\n", recovered->path,
	       (unsigned long long)recovered->fault, (unsigned long long)recovered->offset,
	       (unsigned long long)recovered->length, (unsigned long long)recovered->lost,
	       recovered->error, recovered->no_device);
	for (size_t i = 0; i < recovered->n_losses; i++)
		printf("%s %llu+%llu %s\n", pmr_state_name(recovered->losses[i].state),
		       (unsigned long long)recovered->losses[i].offset,
		       (unsigned long long)recovered->losses[i].length,
		       recovered->losses[i].reason ? recovered->losses[i].reason : "-");
	if (!file || fwrite(recovered->bytes, 1, recovered->length, file) != recovered->length ||
	    fclose(file))
		return 1;
	return 0;
}

static int recover(const char *map, char **argv)
{
	uint64_t from = strtoull(argv[2], NULL, 0), offset = strtoull(argv[3], NULL, 0);
	struct pmr_badblocks_file list = { 0 };
	struct pmr_topology *topology = NULL;
	struct pmr_recovered *recovered;
	struct pmr_filesystem *filesystem;
	struct pmr_ctx *ctx = NULL;
	struct stat st;
	int ret;

	if (stat(argv[1], &st) || pmr_new(&ctx))
		return 1;
	pmr_set_message_fn(ctx, say, NULL);
	ret = pmr_topology_new(ctx, PMR_TOPOLOGY_FILESYSTEMS, &topology);
	if (!ret)
		ret = pmr_topology_resolve(ctx, topology, st.st_dev, argv[1], &filesystem);
	if (!ret && strcmp(argv[5], "none") != 0)
		ret = pmr_badblocks_load(ctx, argv[5], &list);
	if (!ret && list.list.source)
		ret = pmr_device_use_file(ctx, filesystem->device, argv[5], &list);
	if (!ret && argv[7] && unlink(argv[1]))
		ret = -errno;
	if (!ret)
		ret = pmr_recover_at(ctx, topology, map + (offset - from),
				     (unsigned int)atoi(argv[4]), &recovered);
	if (ret) {
		printf("failed: %s\n", strerror(-ret));
	} else {
		ret = tell(recovered, argv[6]);
		pmr_recovered_free(recovered);
	}
	pmr_badblocks_file_release(&list);
	pmr_topology_free(topology);
	pmr_unref(ctx);
	return ret != 0;
}

int main(int argc, char **argv)
{
	size_t length = (size_t)64 << 20;
	int fd, ret;
	char *map;

	if (argc < 7)
		return 16;
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	map = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, (off_t)strtoull(argv[2], NULL, 0));
	if (fd < 0 || map == MAP_FAILED)
		return 1;
	close(fd);
	ret = recover(map, argv);
	munmap(map, length);
	return ret;
}
