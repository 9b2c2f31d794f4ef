/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images of ext2 and ext4. An input is a list of what to write over the superblock, the inodes and the trees of one. */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "owner/owner.h"

#define IMAGE_SIZE ((size_t)512 << 10)
#define MAX_AREA 16384
#define N_KINDS 3

struct image {
	int fd;
	uint8_t *bytes;
	uint8_t *whole;
	uint32_t places[MAX_AREA]; /* what a number of an input stands for */
	unsigned int n_places;
	char path[32];
};

static struct image images[N_KINDS];
static struct pmr_ctx *ctx;

/* What is read again after a pause is still the same. */
int nanosleep(const struct timespec *requested, struct timespec *left)
{
	(void)requested, (void)left;
	return 0;
}

/* ---- images */

static void put(const char *name, size_t length, off_t offset)
{
	static uint8_t bytes[8192];
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	memset(bytes, 'x', sizeof(bytes));
	check(fd >= 0 && pwrite(fd, bytes, length, offset) == (ssize_t)length);
	close(fd);
}

static void make_tree(void)
{
	static char target[200];

	check(!mkdir("tree", 0755));
	put("tree/small", 3000, 0);
	for (int i = 0; i < 8; i++)
		put("tree/pieces", 4096, i * 8192L);
	put("tree/far", 4096, 0);
	put("tree/far", 4096, 300L << 10);
	put("tree/far", 4096, 70L << 20);
	memset(target, 'l', sizeof(target) - 1);
	check(!symlink(target, "tree/link"));
}

static int ask(const struct image *image, uint64_t offset, uint64_t length,
	       struct pmr_claims *claims)
{
	struct pmr_range range = { offset, length };
	const struct pmr_ranges wanted = { &range, 1, 1 };

	memset(claims, 0, sizeof(*claims));
	return pmr_ext4_claims(ctx, image->path, &wanted, 1, claims);
}

static void add_places(struct image *image, uint64_t offset, uint64_t length)
{
	for (; length && image->n_places < MAX_AREA; length--)
		image->places[image->n_places++] = (uint32_t)offset++;
}

/* The superblock, the first descriptor, inodes and what tells where blocks are. */
static void find_places(struct image *image)
{
	struct pmr_claims claims;

	add_places(image, 1024, 1024 + 64);
	check(!ask(image, 0, IMAGE_SIZE, &claims));
	for (size_t i = 0; i < claims.n; i++) {
		const struct pmr_owner_claim *claim = &claims.v[i];

		if (claim->part == PMR_PART_INODE || claim->part == PMR_PART_EXTENTS)
			add_places(image, claim->range.offset, claim->range.length);
	}
	check(image->n_places > 2000);
	free(claims.v);
}

static void make_image(struct image *image, const char *options)
{
	char command[512];
	int fd;

	snprintf(command, sizeof(command),
		 "PATH=$PATH:/sbin:/usr/sbin; E2FSPROGS_FAKE_TIME=1000000000 mke2fs -q -F -b 1024 "
		 "-N 32 -U 5d7a5ebb-c082-427a-8f7e-aef1f8c765c0 "
		 "-E hash_seed=5d7a5ebb-c082-427a-8f7e-aef1f8c765c0 %s -d tree image 512K && "
		 "debugfs -w -R 'ea_set -f tree/pieces /small user.large' image >/dev/null 2>&1",
		 options);
	check(!system(command));
	fd = open("image", O_RDONLY | O_CLOEXEC);
	image->fd = memfd_create("image", MFD_CLOEXEC);
	image->whole = malloc(IMAGE_SIZE);
	check(image->whole && fd >= 0 && image->fd >= 0 && !ftruncate(image->fd, IMAGE_SIZE));
	check(read(fd, image->whole, IMAGE_SIZE) == (ssize_t)IMAGE_SIZE);
	close(fd);
	image->bytes = mmap(NULL, IMAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, image->fd, 0);
	check(image->bytes != MAP_FAILED);
	memcpy(image->bytes, image->whole, IMAGE_SIZE);
	snprintf(image->path, sizeof(image->path), "/proc/self/fd/%d", image->fd);
	find_places(image);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const options[N_KINDS] = {
		"-t ext4 -O ^metadata_csum,^has_journal,^resize_inode,^uninit_bg",
		"-t ext2 -O ^resize_inode",
		"-t ext4 -O metadata_csum,^has_journal,^resize_inode,inline_data,ea_inode -I 256",
	};
	char directory[] = "ext4-XXXXXX";

	(void)argc, (void)argv;
	check(!pmr_new(&ctx));
	check(mkdtemp(directory) && !chdir(directory));
	make_tree();
	for (size_t i = 0; i < N_KINDS; i++)
		make_image(&images[i], options[i]);
	check(!chdir(".."));
	check(!system("rm -rf ext4-??????"));
	return 0;
}

/* ---- inputs */

/* Two bytes for a place, two for what to write there, twice as many for 32 bits. */
static void damage(struct image *image, const uint8_t *data, size_t size)
{
	uint16_t word[2];
	uint32_t place;

	for (; size >= sizeof(word); size -= sizeof(word), data += sizeof(word)) {
		memcpy(word, data, sizeof(word));
		place = image->places[word[0] % image->n_places];
		if (place + 1 < IMAGE_SIZE)
			memcpy(image->bytes + place, &word[1], sizeof(word[1]));
	}
}

static void repair(struct image *image, const uint8_t *data, size_t size)
{
	uint16_t word[2];
	uint32_t place;

	for (; size >= sizeof(word); size -= sizeof(word), data += sizeof(word)) {
		memcpy(word, data, sizeof(word));
		place = image->places[word[0] % image->n_places];
		if (place + 1 < IMAGE_SIZE)
			memcpy(image->bytes + place, image->whole + place, 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmr_claims claims;
	struct image *image;
	uint64_t offset, end;
	int ret;

	if (size < 3)
		return 0;
	image = &images[data[0] % N_KINDS];
	offset = (uint64_t)data[1] * (IMAGE_SIZE / 256);
	end = offset + (1 + (uint64_t)data[2]) * (IMAGE_SIZE / 128);
	damage(image, data + 3, size - 3);
	ret = ask(image, offset, end - offset, &claims);
	repair(image, data + 3, size - 3);
	check(!ret || ret == -EUCLEAN || ret == -EOPNOTSUPP || ret == -EIO || ret == -EINVAL);
	check(!ret || ret == -EUCLEAN || !claims.n);
	if (!ret)
		understood();
	for (size_t i = 0; i < claims.n; i++) {
		const struct pmr_owner_claim *claim = &claims.v[i];

		check(claim->range.length && claim->range.offset >= offset);
		check(claim->range.offset < end &&
		      claim->range.length <= end - claim->range.offset);
		check(claim->range.offset < IMAGE_SIZE &&
		      claim->range.length <= IMAGE_SIZE - claim->range.offset);
		check(claim->inode || claim->owner == PMR_OWNER_METADATA ||
		      claim->owner == PMR_OWNER_LOG);
	}
	free(claims.v);
	return 0;
}
