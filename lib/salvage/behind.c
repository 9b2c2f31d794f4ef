/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes in the background, one after the other, while the next bytes are read. */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "salvage.h"

#define BUFFERS 4u
#define JOBS 64u

struct job {
	uint64_t offset;
	const void *bytes;
	size_t length;
	unsigned int buffer; /* that the bytes are in */
};

struct pmr_behind {
	int fd;
	char *buffers[BUFFERS];
	unsigned int pending[BUFFERS]; /* jobs with bytes in it */
	unsigned int current; /* the buffer that is being filled */
	struct job jobs[JOBS];
	unsigned int first, n; /* of a ring */
	bool is_threaded;
	bool ends;
	int error; /* the first; nothing is written after it */
	uint64_t failed_at;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

static int write_all(const struct pmr_behind *b, uint64_t offset, const void *bytes, size_t length)
{
	size_t written;

	return pmr_media_write_file(b->fd, 0, offset, bytes, length, &written);
}

static void note(struct pmr_behind *b, uint64_t offset, int error)
{
	if (!error || b->error)
		return;
	b->error = error;
	b->failed_at = offset;
}

static void *run(void *data)
{
	struct pmr_behind *b = data;
	struct job job;
	int ret;

	pthread_mutex_lock(&b->lock);
	while (!b->ends || b->n) {
		if (!b->n) {
			pthread_cond_wait(&b->changed, &b->lock);
			continue;
		}
		job = b->jobs[b->first];
		if (!b->error) {
			pthread_mutex_unlock(&b->lock);
			ret = write_all(b, job.offset, job.bytes, job.length);
			pthread_mutex_lock(&b->lock);
			note(b, job.offset, ret);
		}
		b->first = (b->first + 1) % JOBS;
		b->n--;
		b->pending[job.buffer]--;
		pthread_cond_broadcast(&b->changed);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* Signals are for the threads of whoever calls the library. */
static void start(struct pmr_behind *b)
{
	sigset_t all, before;

	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &before))
		return;
	b->is_threaded = !pthread_create(&b->thread, NULL, run, b);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int pmr_behind_new(int fd, struct pmr_behind **behind)
{
	struct pmr_behind *b;

	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->fd = fd;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	for (unsigned int i = 0; i < BUFFERS; i++) {
		void *buffer;

		if (posix_memalign(&buffer, PMR_PAGE, PMR_RESCUE_CHUNK + PMR_PAGE)) {
			pmr_behind_free(b);
			return -ENOMEM;
		}
		b->buffers[i] = buffer;
	}
	start(b);
	*behind = b;
	return 0;
}

void *pmr_behind_buffer(struct pmr_behind *behind)
{
	pthread_mutex_lock(&behind->lock);
	/* they are written in order, so the one after this is the next to be free */
	if (behind->pending[behind->current])
		behind->current = (behind->current + 1) % BUFFERS;
	while (behind->pending[behind->current])
		pthread_cond_wait(&behind->changed, &behind->lock);
	pthread_mutex_unlock(&behind->lock);
	return behind->buffers[behind->current];
}

static bool is_in_buffer(const struct pmr_behind *b, const void *bytes)
{
	const char *buffer = b->buffers[b->current], *at = bytes;

	return at >= buffer && at < buffer + PMR_RESCUE_CHUNK + PMR_PAGE;
}

int pmr_behind_write(struct pmr_behind *behind, uint64_t offset, const void *bytes, size_t length)
{
	uint64_t failed_at;
	int ret;

	if (!behind->is_threaded || !is_in_buffer(behind, bytes)) {
		ret = pmr_behind_drain(behind, &failed_at);
		if (ret)
			return ret;
		/* nobody else is at work now */
		ret = write_all(behind, offset, bytes, length);
		note(behind, offset, ret);
		return ret;
	}
	pthread_mutex_lock(&behind->lock);
	while (behind->n == JOBS)
		pthread_cond_wait(&behind->changed, &behind->lock);
	ret = behind->error;
	if (!ret) {
		behind->jobs[(behind->first + behind->n) % JOBS] =
			(struct job){ offset, bytes, length, behind->current };
		behind->n++;
		behind->pending[behind->current]++;
		pthread_cond_broadcast(&behind->changed);
	}
	pthread_mutex_unlock(&behind->lock);
	return ret;
}

int pmr_behind_drain(struct pmr_behind *behind, uint64_t *failed_at)
{
	int ret;

	pthread_mutex_lock(&behind->lock);
	while (behind->n)
		pthread_cond_wait(&behind->changed, &behind->lock);
	ret = behind->error;
	if (ret)
		*failed_at = behind->failed_at;
	pthread_mutex_unlock(&behind->lock);
	return ret;
}

void pmr_behind_free(struct pmr_behind *behind)
{
	if (!behind)
		return;
	if (behind->is_threaded) {
		pthread_mutex_lock(&behind->lock);
		behind->ends = true;
		pthread_cond_broadcast(&behind->changed);
		pthread_mutex_unlock(&behind->lock);
		pthread_join(behind->thread, NULL);
	}
	pthread_mutex_destroy(&behind->lock);
	pthread_cond_destroy(&behind->changed);
	for (unsigned int i = 0; i < BUFFERS; i++)
		free(behind->buffers[i]);
	free(behind);
}
