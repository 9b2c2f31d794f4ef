/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One pass over the inode table of an ext2, ext3 or ext4, by several threads: who has these bytes? */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ext4.h"

/* What all threads read at a time, and the most that one of them does: it stays in a near cache. */
#define TABLE_BYTES ((size_t)1 << 20)
#define TABLE_BYTES_EACH ((size_t)1 << 18)

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void worker_release(struct pmr_ext4_worker *worker)
{
	if (worker->fd >= 0)
		close(worker->fd);
	free(worker->claims.v);
	free(worker->hits.v);
	free(worker->table);
	free(worker->inode);
	for (size_t i = 0; i < PMR_EXT4_DEPTH; i++)
		free(worker->nodes[i]);
	free(worker->bitmap);
	free(worker->holders);
}

static int worker_init(struct pmr_ext4_worker *worker, struct pmr_ext4 *ext4, unsigned int threads)
{
	uint32_t block = ext4->fs->blocksize;
	size_t each = TABLE_BYTES / threads;

	each = min_size(each, TABLE_BYTES_EACH);
	each = min_size(each, (size_t)ext4->fs->super->s_inodes_per_group * ext4->inode_size);
	*worker = (struct pmr_ext4_worker){ .ext4 = ext4, .fd = -1 };
	worker->table_size = max_size(each / block * block, block);
	worker->table = malloc(worker->table_size);
	/* checksums are of inodes as large as the structure, at least */
	worker->inode = calloc(1, max_size(ext4->inode_size, sizeof(struct ext2_inode_large)));
	worker->bitmap = malloc(block);
	if (!worker->table || !worker->inode || !worker->bitmap)
		return -ENOMEM;
	worker->fd = open(ext4->path, O_RDONLY | O_CLOEXEC);
	return worker->fd < 0 ? -errno : 0;
}

/* ---- threads */

static void *work(void *data)
{
	struct pmr_ext4_worker *worker = data;
	struct pmr_ext4 *ext4 = worker->ext4;
	unsigned int group;

	while (!ext4->stop && !worker->ret) {
		group = atomic_fetch_add(&ext4->next_group, 1);
		if (group >= ext4->fs->group_desc_count)
			break;
		worker->ret = pmr_ext4_group(worker, group);
		if (worker->ret)
			ext4->stop = true;
	}
	return NULL;
}

/* The threads' signals are the caller's. Return: how many there are besides the calling one. */
static unsigned int start(struct pmr_ext4_worker *workers, unsigned int n)
{
	sigset_t all, before;
	unsigned int i;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (i = 1; i < n; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			break;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return i - 1;
}

static int pass(struct pmr_ext4 *ext4, struct pmr_ext4_worker *workers, unsigned int n)
{
	unsigned int started;
	int ret;

	ext4->next_group = 0;
	ext4->done = 0;
	started = start(workers, n);
	work(&workers[0]);
	ret = workers[0].ret;
	for (unsigned int i = 1; i <= started; i++) {
		pthread_join(workers[i].thread, NULL);
		ret = ret ? ret : workers[i].ret;
	}
	return ret;
}

/* ---- what is the filesystem's own */

static int look_at_special(struct pmr_ext4_worker *worker)
{
	struct pmr_ext4 *ext4 = worker->ext4;
	uint32_t n = ext4->fs->super->s_inodes_count;
	int ret = 0;

	for (uint32_t i = 1; i < EXT2_GOOD_OLD_FIRST_INO && i <= n && !ret; i++)
		if (i != EXT2_ROOT_INO)
			ret = pmr_ext4_one(worker, i);
	for (size_t i = 0; i < PMR_EXT4_SPECIAL && !ret; i++)
		if (ext4->special[i] >= EXT2_GOOD_OLD_FIRST_INO)
			ret = pmr_ext4_one(worker, ext4->special[i]);
	return ret;
}

static int claim_mmp(struct pmr_ext4 *ext4, struct pmr_claims *claims)
{
	struct pmr_owner_claim claim = { .owner = PMR_OWNER_METADATA };
	uint64_t block = ext4->fs->super->s_mmp_block;

	if (!ext2fs_has_feature_mmp(ext4->fs->super) || block >= ext4->blocks)
		return 0;
	claim.range.offset = block * ext4->fs->blocksize;
	claim.range.length = ext4->fs->blocksize;
	return pmr_claims_add_parts(claims, ext4->wanted, &claim);
}

/* Where blocks are so small that the superblock is in the second one, the first is no group's and in no bitmap. */
static int claim_boot_block(struct pmr_ext4 *ext4, struct pmr_claims *claims)
{
	struct pmr_owner_claim claim = { .owner = PMR_OWNER_METADATA, .part = PMR_PART_BOOT_BLOCK };

	claim.range.length = (uint64_t)ext4->fs->super->s_first_data_block * ext4->fs->blocksize;
	return claim.range.length ? pmr_claims_add_parts(claims, ext4->wanted, &claim) : 0;
}

/* Rare, and most filesystems cannot have any: values of attributes too large for a block are looked for again. */
static int find_holders(struct pmr_ext4 *ext4, struct pmr_ext4_worker *workers, unsigned int n)
{
	int ret = 0;

	for (unsigned int i = 0; i < n && !ret; i++)
		ret = pmr_ext4_values_init(ext4, &workers[i].claims);
	if (ret || !ext4->n_values)
		return ret;
	pmr_ext4_values_sort(ext4);
	return pass(ext4, workers, n);
}

static int has_rest(const struct pmr_claims *claims, const struct pmr_ranges *wanted, bool *any)
{
	struct pmr_ranges rest = { 0 };
	int ret;

	ret = pmr_claims_rest(claims, wanted, &rest);
	*any = rest.n;
	pmr_ranges_release(&rest);
	return ret;
}

static int look(struct pmr_ext4 *ext4, struct pmr_ext4_worker *workers, unsigned int n)
{
	unsigned int ready = 1;
	bool more = true;
	int ret;

	ret = worker_init(&workers[0], ext4, n);
	if (!ret)
		ret = claim_boot_block(ext4, &workers[0].claims);
	if (!ret)
		ret = claim_mmp(ext4, &workers[0].claims);
	if (!ret)
		ret = look_at_special(&workers[0]);
	if (!ret)
		ret = has_rest(&workers[0].claims, ext4->wanted, &more);
	if (ret || !more)
		return ret;
	/* with those that there is memory for */
	while (ready < n && !worker_init(&workers[ready], ext4, n))
		ready++;
	ret = pass(ext4, workers, ready);
	return ret ? ret : find_holders(ext4, workers, ready);
}

static int add_all(struct pmr_claims *claims, const struct pmr_ext4_worker *workers, unsigned int n)
{
	int ret = 0;

	for (unsigned int i = 0; i < n; i++)
		for (size_t c = 0; c < workers[i].claims.n && !ret; c++)
			ret = pmr_ext4_add_claim(claims, &workers[i].claims.v[c], workers, n);
	return ret;
}

int pmr_ext4_claims(struct pmr_ctx *ctx, const char *path, const struct pmr_ranges *wanted,
		    unsigned int threads, struct pmr_claims *claims)
{
	return pmr_ext4_claims_with(ctx, path, wanted, threads, pread, claims);
}

int pmr_ext4_claims_with(struct pmr_ctx *ctx, const char *path, const struct pmr_ranges *wanted,
			 unsigned int threads, pmr_ext4_pread_fn pread_fn,
			 struct pmr_claims *claims)
{
	struct pmr_ext4 *ext4 = calloc(1, sizeof(*ext4));
	struct pmr_ext4_worker *workers = NULL;
	unsigned int n = 0;
	int ret;

	if (!ext4)
		return -ENOMEM;
	ext4->ctx = ctx;
	ext4->path = path;
	ext4->pread = pread_fn;
	ext4->wanted = wanted;
	pmr_sieve_init(&ext4->sieve, wanted);
	ret = pmr_ext4_open(ext4);
	if (ret)
		goto out;
	n = threads < ext4->fs->group_desc_count ? threads : ext4->fs->group_desc_count;
	n = n ? n : 1;
	workers = calloc(n, sizeof(*workers));
	if (!workers) {
		ret = -ENOMEM;
		goto out;
	}
	for (unsigned int i = 0; i < n; i++)
		workers[i].fd = -1;
	ret = look(ext4, workers, n);
	if (!ret)
		ret = add_all(claims, workers, n);
	if (!ret && ext4->incomplete)
		ret = -EUCLEAN;
out:
	for (unsigned int i = 0; workers && i < n; i++)
		worker_release(&workers[i]);
	free(workers);
	free(ext4->values);
	pmr_ext4_close(ext4);
	free(ext4);
	return ret;
}

int pmr_ext4_inode_claims(struct pmr_ctx *ctx, const char *path, const struct pmr_ranges *wanted,
			  uint64_t number, struct pmr_claims *claims)
{
	struct pmr_ext4 *ext4 = calloc(1, sizeof(*ext4));
	struct pmr_ext4_worker worker = { .fd = -1 };
	int ret;

	if (!ext4)
		return -ENOMEM;
	ext4->ctx = ctx;
	ext4->path = path;
	ext4->pread = pread;
	ext4->wanted = wanted;
	pmr_sieve_init(&ext4->sieve, wanted);
	ret = pmr_ext4_open(ext4);
	if (!ret && ext2fs_has_feature_ea_inode(ext4->fs->super))
		ret = -EOPNOTSUPP;
	if (!ret && number > UINT32_MAX)
		ret = -EUCLEAN;
	if (!ret)
		ret = worker_init(&worker, ext4, 1);
	if (!ret)
		ret = pmr_ext4_alone(&worker, (uint32_t)number);
	if (!ret)
		ret = add_all(claims, &worker, 1);
	if (!ret && ext4->incomplete)
		ret = -EUCLEAN;
	worker_release(&worker);
	pmr_ext4_close(ext4);
	free(ext4);
	return ret;
}
