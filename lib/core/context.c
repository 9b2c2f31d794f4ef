/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The context: who hears messages and progress, and whether to stop. */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "private.h"

#define MAX_THREADS 64u

struct pmr_ctx {
	pmr_message_fn message_fn;
	void *message_data;
	pmr_progress_fn progress_fn;
	void *progress_data;
	const volatile sig_atomic_t *cancel;
	sig_atomic_t outlasted; /* a value of it that stops nothing any more; 0 for none */
	struct pmr_rwf rwf;
	struct pmr_freezer freezer;
	enum pmr_lookup_by lookup;
	unsigned int threads;
	bool reading;
	uint64_t rate;
	pthread_mutex_t telling; /* one message, one step of progress at a time */
};

int pmr_new(struct pmr_ctx **ctx)
{
	struct pmr_ctx *made = calloc(1, sizeof(*made));

	if (!made)
		return -ENOMEM;
	pthread_mutex_init(&made->telling, NULL);
	*ctx = made;
	return 0;
}

void pmr_unref(struct pmr_ctx *ctx)
{
	if (!ctx)
		return;
	pthread_mutex_destroy(&ctx->telling);
	free(ctx);
}

void pmr_set_message_fn(struct pmr_ctx *ctx, pmr_message_fn fn, void *data)
{
	ctx->message_fn = fn;
	ctx->message_data = data;
}

void pmr_set_progress_fn(struct pmr_ctx *ctx, pmr_progress_fn fn, void *data)
{
	ctx->progress_fn = fn;
	ctx->progress_data = data;
}

void pmr_set_cancel(struct pmr_ctx *ctx, const volatile sig_atomic_t *flag)
{
	ctx->cancel = flag;
}

void pmr_set_freezer(struct pmr_ctx *ctx, const struct pmr_freezer *freezer)
{
	ctx->freezer = freezer ? *freezer : (struct pmr_freezer){ 0 };
}

const struct pmr_freezer *pmr_ctx_freezer(struct pmr_ctx *ctx)
{
	return ctx->freezer.run ? &ctx->freezer : NULL;
}

void pmr_set_lookup(struct pmr_ctx *ctx, enum pmr_lookup_by lookup)
{
	ctx->lookup = lookup;
}

enum pmr_lookup_by pmr_ctx_lookup(const struct pmr_ctx *ctx)
{
	return ctx->lookup;
}

void pmr_set_threads(struct pmr_ctx *ctx, unsigned int threads)
{
	ctx->threads = threads;
}

unsigned int pmr_ctx_threads(const struct pmr_ctx *ctx)
{
	unsigned int threads = ctx->threads;
	cpu_set_t set;
	long online;

	if (!threads && !sched_getaffinity(0, sizeof(set), &set))
		threads = (unsigned int)CPU_COUNT(&set);
	/* more processors than fit into the set */
	if (!threads) {
		online = sysconf(_SC_NPROCESSORS_ONLN);
		threads = online > 0 ? (unsigned int)online : 1;
	}
	return threads < MAX_THREADS ? threads : MAX_THREADS;
}

void pmr_set_reading(struct pmr_ctx *ctx, bool reading, uint64_t rate)
{
	ctx->reading = reading;
	ctx->rate = rate;
}

bool pmr_ctx_reading(const struct pmr_ctx *ctx, uint64_t *rate)
{
	if (ctx->reading)
		*rate = ctx->rate;
	return ctx->reading;
}

struct pmr_rwf *pmr_ctx_rwf(struct pmr_ctx *ctx)
{
	return &ctx->rwf;
}

bool pmr_is_cancelled(const struct pmr_ctx *ctx)
{
	sig_atomic_t flag = ctx->cancel ? *ctx->cancel : 0;

	return flag && flag != ctx->outlasted;
}

void pmr_ctx_outlast(struct pmr_ctx *ctx, bool outlast)
{
	ctx->outlasted = outlast && ctx->cancel ? *ctx->cancel : 0;
}

const char *pmr_version(void)
{
	return PACKAGE_VERSION;
}

void pmr_say(struct pmr_ctx *ctx, enum pmr_level level, const char *code, const char *object,
	     const char *format, ...)
{
	struct pmr_message message = { .level = level, .code = code, .object = object };
	int saved = errno, length;
	char *text = NULL;
	va_list args;

	if (!ctx->message_fn)
		return;
	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);

	/* Without memory the bare format still says more than silence. */
	message.text = length < 0 ? format : text;
	pthread_mutex_lock(&ctx->telling);
	ctx->message_fn(ctx->message_data, &message);
	pthread_mutex_unlock(&ctx->telling);
	if (length >= 0)
		free(text);
	errno = saved;
}

void pmr_tell_progress(struct pmr_ctx *ctx, const char *phase, const char *object, uint64_t done,
		       uint64_t total)
{
	struct pmr_progress progress = {
		.phase = phase, .object = object, .done = done, .total = total
	};

	if (!ctx->progress_fn)
		return;
	pthread_mutex_lock(&ctx->telling);
	ctx->progress_fn(ctx->progress_data, &progress);
	pthread_mutex_unlock(&ctx->telling);
}
