/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Large values of attributes, which lie in inodes without a name: whose attributes they are. */

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ext4.h"

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool is_value(const struct pmr_ext4 *ext4, uint32_t number)
{
	return bsearch(&number, ext4->values, ext4->n_values, sizeof(number), compare_numbers);
}

/* ---- who has one */

static int look_at_entries(struct pmr_ext4_worker *worker, uint32_t number,
			   const struct ext2_inode_large *raw, const unsigned char *entries,
			   size_t length)
{
	struct pmr_ext4_holder holder = { .number = number,
					  .generation = le32toh(raw->i_generation) };
	struct ext2_ext_attr_entry entry;
	size_t size;
	int ret;

	while (length >= sizeof(entry)) {
		memcpy(&entry, entries, sizeof(entry));
		if (!entry.e_name_len && !entry.e_name_index && !entry.e_value_offs)
			break;
		holder.value = le32toh(entry.e_value_inum);
		if (holder.value && is_value(worker->ext4, holder.value)) {
			ret = pmr_grow(&worker->holders, worker->n_holders, &worker->alloc_holders,
				       sizeof(worker->holders[0]));
			if (ret)
				return ret;
			worker->holders[worker->n_holders++] = holder;
		}
		size = EXT2_EXT_ATTR_LEN(entry.e_name_len);
		if (size > length)
			break;
		entries += size;
		length -= size;
	}
	return 0;
}

static bool has_magic(const unsigned char *bytes)
{
	uint32_t magic;

	memcpy(&magic, bytes, sizeof(magic));
	return le32toh(magic) == EXT2_EXT_ATTR_MAGIC;
}

static int look_in_inode(struct pmr_ext4_worker *worker, uint32_t number,
			 const struct ext2_inode_large *raw)
{
	size_t size = worker->ext4->inode_size, at = EXT2_GOOD_OLD_INODE_SIZE;

	if (size == at)
		return 0;
	at += le16toh(raw->i_extra_isize);
	if (at % 4 || at + sizeof(uint32_t) > size || !has_magic((const unsigned char *)raw + at))
		return 0;
	at += sizeof(uint32_t);
	return look_at_entries(worker, number, raw, (const unsigned char *)raw + at, size - at);
}

static int look_in_block(struct pmr_ext4_worker *worker, uint32_t number,
			 const struct ext2_inode_large *raw)
{
	const struct pmr_ext4 *ext4 = worker->ext4;
	uint64_t block = pmr_ext4_attributes_at(ext4, raw);
	uint32_t size = ext4->fs->blocksize;

	if (block <= ext4->fs->super->s_first_data_block || block >= ext4->blocks)
		return 0;
	if (!worker->nodes[0])
		worker->nodes[0] = malloc(size);
	if (!worker->nodes[0])
		return -ENOMEM;
	if (pmr_ext4_read(ext4, worker->fd, block * size, worker->nodes[0], size) ||
	    !has_magic(worker->nodes[0]))
		return 0;
	return look_at_entries(worker, number, raw,
			       worker->nodes[0] + sizeof(struct ext2_ext_attr_header),
			       size - sizeof(struct ext2_ext_attr_header));
}

int pmr_ext4_look_for_values(struct pmr_ext4_worker *worker, uint32_t number,
			     const struct ext2_inode_large *raw)
{
	int ret;

	if (!raw->i_mode || !raw->i_links_count || pmr_ext4_is_special(worker->ext4, number))
		return 0;
	ret = look_in_inode(worker, number, raw);
	return ret ? ret : look_in_block(worker, number, raw);
}

/* ---- what was claimed for values */

int pmr_ext4_values_init(struct pmr_ext4 *ext4, const struct pmr_claims *claims)
{
	for (size_t i = 0; i < claims->n; i++) {
		const struct pmr_owner_claim *claim = &claims->v[i];
		int ret;

		if (claim->part != PMR_PART_ATTRIBUTES || !(claim->inode & PMR_EXT4_VALUE))
			continue;
		ret = pmr_grow(&ext4->values, ext4->n_values, &ext4->alloc_values,
			       sizeof(ext4->values[0]));
		if (ret)
			return ret;
		ext4->values[ext4->n_values++] = (uint32_t)claim->inode;
	}
	return 0;
}

void pmr_ext4_values_sort(struct pmr_ext4 *ext4)
{
	qsort(ext4->values, ext4->n_values, sizeof(ext4->values[0]), compare_numbers);
}

static int add_for_holders(struct pmr_claims *claims, const struct pmr_owner_claim *claim,
			   const struct pmr_ext4_worker *worker, bool *any)
{
	struct pmr_owner_claim held = *claim;
	int ret = 0;

	for (size_t i = 0; i < worker->n_holders && !ret; i++) {
		if (worker->holders[i].value != (uint32_t)claim->inode)
			continue;
		held.inode = worker->holders[i].number;
		held.generation = worker->holders[i].generation;
		*any = true;
		ret = pmr_claims_add(claims, &held);
	}
	return ret;
}

int pmr_ext4_add_claim(struct pmr_claims *claims, const struct pmr_owner_claim *claim,
		       const struct pmr_ext4_worker *workers, unsigned int n)
{
	struct pmr_owner_claim nobody = *claim;
	bool any = false;
	int ret = 0;

	if (!(claim->inode & PMR_EXT4_VALUE))
		return pmr_claims_add(claims, claim);
	for (unsigned int i = 0; i < n && !ret; i++)
		ret = add_for_holders(claims, claim, &workers[i], &any);
	if (ret || any)
		return ret;
	nobody.inode = 0;
	nobody.generation = 0;
	return pmr_claims_add(claims, &nobody);
}
