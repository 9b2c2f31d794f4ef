/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables of device mapper: the one place that knows libdevmapper. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"
#include "topology.h"

void pmr_dm_release(struct pmr_dm_table *table)
{
	for (size_t i = 0; i < table->n_targets; i++) {
		free(table->targets[i].type);
		free(table->targets[i].params);
	}
	free(table->targets);
	free(table->name);
	free(table->text);
	*table = (struct pmr_dm_table){ 0 };
}

#ifdef HAVE_LIBDEVMAPPER

#include <inttypes.h>
#include <libdevmapper.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/sysmacros.h>

/* It keeps its own state, among it who hears its log: one thread at a time, whatever contexts there are. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* What matters of it is in the error that it leaves. */
static void ignore_log(int level, const char *file, int line, int error, const char *format, ...)
{
	(void)level, (void)file, (void)line, (void)error, (void)format;
}

/* Nobody needs what others are told, and that of crypt may be its key. */
static bool is_followed(const char *type)
{
	return !strcmp(type, "linear") || !strcmp(type, "striped");
}

static int add_target(struct pmr_dm_table *table, size_t *alloc, uint64_t start, uint64_t length,
		      const char *type, const char *params)
{
	struct pmr_dm_target *target;
	int err = pmr_grow(&table->targets, table->n_targets, alloc, sizeof(*table->targets));

	if (err)
		return err;
	target = &table->targets[table->n_targets++];
	*target = (struct pmr_dm_target){
		.start = start,
		.length = length,
		.type = strdup(type ? type : ""),
		.params = strdup(params && is_followed(type) ? params : ""),
	};
	return target->type && target->params ? 0 : -ENOMEM;
}

static int make_text(struct pmr_dm_table *table)
{
	size_t length = 0;
	FILE *out = open_memstream(&table->text, &length);

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_targets; i++)
		fprintf(out, "%" PRIu64 " %" PRIu64 " %s %s\n", table->targets[i].start,
			table->targets[i].length, table->targets[i].type, table->targets[i].params);
	return fclose(out) ? -ENOMEM : 0;
}

static int take_table(struct dm_task *task, void *data)
{
	struct pmr_dm_table *table = data;
	const char *name = dm_task_get_name(task);
	char *type = NULL, *params = NULL;
	uint64_t start, length;
	struct dm_info info;
	size_t alloc = 0;
	void *next = NULL;
	int err = 0;

	if (!dm_task_get_info(task, &info))
		return -EIO;
	if (!info.exists || !info.live_table)
		return -ENODEV;
	table->suspended = info.suspended;
	table->name = strdup(name ? name : "");
	if (!table->name)
		return -ENOMEM;
	do {
		next = dm_get_next_target(task, next, &start, &length, &type, &params);
		if (type)
			err = add_target(table, &alloc, start, length, type, params);
	} while (next && !err);
	return err ? err : make_text(table);
}

struct below {
	dev_t *v;
	size_t n;
};

static int take_below(struct dm_task *task, void *data)
{
	const struct dm_deps *deps = dm_task_get_deps(task);
	struct below *below = data;

	if (!deps)
		return -EIO;
	below->v = calloc(deps->count + 1, sizeof(*below->v));
	if (!below->v)
		return -ENOMEM;
	below->n = deps->count;
	for (size_t i = 0; i < below->n; i++)
		below->v[i] = (dev_t)deps->device[i];
	return 0;
}

static int run(int type, dev_t devno, int (*take)(struct dm_task *task, void *data), void *data)
{
	struct dm_task *task = dm_task_create(type);
	int err = -ENOMEM;

	if (!task)
		return err;
	if (dm_task_secure_data(task) &&
	    dm_task_set_major_minor(task, (int)major(devno), (int)minor(devno), 0) &&
	    dm_task_no_open_count(task)) {
		errno = 0;
		if (dm_task_run(task)) {
			err = take(task, data);
		} else {
			err = -dm_task_get_errno(task);
			/* what could not be opened was not asked */
			if (!err)
				err = errno ? -errno : -EIO;
			if (err == -ENXIO)
				err = -ENODEV;
		}
	}
	dm_task_destroy(task);
	return err;
}

static int ask(int type, dev_t devno, int (*take)(struct dm_task *task, void *data), void *data)
{
	bool silence;
	int err;

	pthread_mutex_lock(&one_at_a_time);
	/* who listens to it already goes on to */
	silence = !dm_log_is_non_default();
	if (silence)
		dm_log_with_errno_init(ignore_log);
	err = run(type, devno, take, data);
	dm_lib_release();
	if (silence)
		dm_log_with_errno_init(NULL);
	pthread_mutex_unlock(&one_at_a_time);
	return err;
}

int pmr_dm_read(dev_t devno, struct pmr_dm_table *table)
{
	struct pmr_dm_table made = { 0 };
	int err = ask(DM_DEVICE_TABLE, devno, take_table, &made);

	if (err)
		pmr_dm_release(&made);
	else
		*table = made;
	return err;
}

int pmr_dm_below(dev_t devno, dev_t **devices, size_t *n)
{
	struct below below = { 0 };
	int err = ask(DM_DEVICE_DEPS, devno, take_below, &below);

	if (err)
		return err;
	*devices = below.v;
	*n = below.n;
	return 0;
}

#else

int pmr_dm_read(dev_t devno, struct pmr_dm_table *table)
{
	(void)devno, (void)table;
	return -ENOSYS;
}

int pmr_dm_below(dev_t devno, dev_t **devices, size_t *n)
{
	(void)devno, (void)devices, (void)n;
	return -ENOSYS;
}

#endif
