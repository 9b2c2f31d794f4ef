/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The threads of a walk and the shares of it that wait for one of them. */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "walk.h"

/*
 * @workers: threads that are there, or are about to be
 * @idle: of them, those that wait for a share
 * @wanted: @idle less the shares that wait; read without the lock, as a hint
 * @is_over: set when all wait and nothing is left, or by a result
 */
struct pmr_walk_pool {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pmr_walk_share *shares;
	unsigned int workers;
	unsigned int idle;
	int result;
	atomic_int wanted;
	atomic_bool is_over;
	int (*work)(struct pmr_walk_pool *pool, void *data, unsigned int worker);
	void *data;
};

struct thread {
	struct pmr_walk_pool *pool;
	pthread_t id;
	unsigned int worker;
};

struct pmr_walk_share *pmr_walk_share_new(int fd, const char *path, size_t path_length,
					  size_t names_length)
{
	struct pmr_walk_share *share = malloc(sizeof(*share) + path_length + 1 + names_length);

	if (!share)
		return NULL;
	*share = (struct pmr_walk_share){ .fd = fd,
					  .path_length = path_length,
					  .names_length = names_length };
	memcpy(share->text, path, path_length);
	share->text[path_length] = '\0';
	return share;
}

void pmr_walk_share_release(struct pmr_walk_share *share)
{
	if (!share)
		return;
	if (share->fd >= 0)
		close(share->fd);
	free(share);
}

bool pmr_walk_is_wanted(struct pmr_walk_pool *pool)
{
	return atomic_load_explicit(&pool->wanted, memory_order_relaxed) > 0;
}

bool pmr_walk_is_over(struct pmr_walk_pool *pool)
{
	return atomic_load_explicit(&pool->is_over, memory_order_relaxed);
}

static void want(struct pmr_walk_pool *pool, int more)
{
	atomic_fetch_add_explicit(&pool->wanted, more, memory_order_relaxed);
}

static void end(struct pmr_walk_pool *pool)
{
	atomic_store_explicit(&pool->is_over, true, memory_order_relaxed);
	pthread_cond_broadcast(&pool->changed);
}

void pmr_walk_give(struct pmr_walk_pool *pool, struct pmr_walk_share *share)
{
	pthread_mutex_lock(&pool->lock);
	share->next = pool->shares;
	pool->shares = share;
	want(pool, -1);
	pthread_cond_signal(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
}

struct pmr_walk_share *pmr_walk_take(struct pmr_walk_pool *pool)
{
	struct pmr_walk_share *share = NULL;

	pthread_mutex_lock(&pool->lock);
	pool->idle++;
	want(pool, 1);
	while (!pool->shares && !pmr_walk_is_over(pool)) {
		if (pool->idle == pool->workers)
			end(pool);
		else
			pthread_cond_wait(&pool->changed, &pool->lock);
	}
	if (!pmr_walk_is_over(pool)) {
		/* One who waits less, and one who does not wait any more less. */
		share = pool->shares;
		pool->shares = share->next;
		pool->idle--;
	}
	pthread_mutex_unlock(&pool->lock);
	return share;
}

static void *live(void *data)
{
	struct thread *thread = data;
	struct pmr_walk_pool *pool = thread->pool;
	int ret;

	ret = pool->work(pool, pool->data, thread->worker);
	if (ret) {
		pthread_mutex_lock(&pool->lock);
		if (!pool->result)
			pool->result = ret;
		end(pool);
		pthread_mutex_unlock(&pool->lock);
	}
	return NULL;
}

/* Signals are for the program's own threads. Return: how many there are. */
static unsigned int start(struct pmr_walk_pool *pool, struct thread *threads, unsigned int n)
{
	sigset_t all, before;
	unsigned int started;
	int err = 0;

	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &before))
		return 0;
	for (started = 0; started < n; started++) {
		threads[started] = (struct thread){ .pool = pool, .worker = started + 1 };
		pthread_mutex_lock(&pool->lock);
		pool->workers++;
		pthread_mutex_unlock(&pool->lock);
		err = pthread_create(&threads[started].id, NULL, live, &threads[started]);
		if (err)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err) {
		pthread_mutex_lock(&pool->lock);
		pool->workers--;
		pthread_mutex_unlock(&pool->lock);
	}
	return started;
}

int pmr_walk_pool_run(struct pmr_walk_share *first, unsigned int n,
		      int (*work)(struct pmr_walk_pool *pool, void *data, unsigned int worker),
		      void *data)
{
	struct pmr_walk_pool pool = {
		.shares = first, .workers = 1, .wanted = -1, .work = work, .data = data
	};
	struct thread self = { .pool = &pool }, *threads = NULL;
	struct pmr_walk_share *share;
	unsigned int i, started = 0;

	pthread_mutex_init(&pool.lock, NULL);
	pthread_cond_init(&pool.changed, NULL);
	if (n > 1)
		threads = calloc(n - 1, sizeof(*threads));
	if (threads)
		started = start(&pool, threads, n - 1);
	live(&self);
	for (i = 0; i < started; i++)
		pthread_join(threads[i].id, NULL);
	while ((share = pool.shares)) {
		pool.shares = share->next;
		pmr_walk_share_release(share);
	}
	free(threads);
	pthread_cond_destroy(&pool.changed);
	pthread_mutex_destroy(&pool.lock);
	return pool.result;
}
