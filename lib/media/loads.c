/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device-dax is read by loads from a mapping of it, by a copy that stops at poison and never twice at the same; and written
 * by stores that are flushed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef HAVE_LIBPMEM
#include <dlfcn.h>
#endif

#include "loads.h"

/* What is mapped at once: a multiple of every alignment there is. Of small pages the tables would fill memory. */
#define WINDOW ((uint64_t)1 << 30)

/* pmem_persist() */
typedef void (*persist_fn)(const void *at, size_t length);

struct pmr_loads {
	int fd;
	int protection;
	uint64_t size;
	uint64_t window;
	char *at; /* of [start, start + length); NULL where nothing is mapped */
	uint64_t start;
	uint64_t length;
	void *library; /* that @persist is of */
	persist_fn persist; /* NULL where nothing can be stored */
	struct pmr_ranges
		failed; /* normal: sectors that stopped a load, and that nothing was stored to since */
};

#ifdef HAVE_LIBPMEM

/*
 * Opened by who stores, and not linked: as soon as it is there it walks all of sysfs that is of PMEM, which takes a good part of
 * the time of a health check. Return: NULL where this machine has none.
 */
static void *open_library(persist_fn *persist)
{
	void *library = dlopen("libpmem.so.1", RTLD_NOW | RTLD_LOCAL);
	void *symbol = library ? dlsym(library, "pmem_persist") : NULL;

	if (library && !symbol) {
		dlclose(library);
		return NULL;
	}
	/* the way that dlsym(3) shows */
	memcpy(persist, &symbol, sizeof(symbol));
	return library;
}

static void close_library(void *library)
{
	if (library)
		dlclose(library);
}

#else

static void *open_library(persist_fn *persist)
{
	(void)persist;
	return NULL;
}

static void close_library(void *library)
{
	(void)library;
}

#endif

int pmr_loads_new(int fd, uint64_t size, uint64_t align, bool is_writable, struct pmr_loads **loads)
{
	struct pmr_loads *made;

	/* a length that is not a multiple of the alignment has a last part that cannot be mapped */
	if (!size || (align && (size % align || (align & (align - 1)))))
		return -EINVAL;
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->fd = fd;
	made->protection = is_writable ? PROT_READ | PROT_WRITE : PROT_READ;
	made->size = size;
	made->window = align > WINDOW ? align : WINDOW;
	if (is_writable)
		made->library = open_library(&made->persist);
	*loads = made;
	return 0;
}

static void unmap(struct pmr_loads *loads)
{
	if (loads->at)
		munmap(loads->at, (size_t)loads->length);
	loads->at = NULL;
}

void pmr_loads_free(struct pmr_loads *loads)
{
	if (!loads)
		return;
	unmap(loads);
	close_library(loads->library);
	pmr_ranges_release(&loads->failed);
	free(loads);
}

/* Have the byte at @offset mapped. */
static int map(struct pmr_loads *loads, uint64_t offset)
{
	uint64_t start = offset - offset % loads->window, length = loads->size - start;
	void *at;

	if (loads->at && loads->start == start)
		return 0;
	unmap(loads);
	if (length > loads->window)
		length = loads->window;
	at = mmap(NULL, (size_t)length, loads->protection, MAP_SHARED, loads->fd, (off_t)start);
	if (at == MAP_FAILED)
		return -errno;
	loads->at = at;
	loads->start = start;
	loads->length = length;
	return 0;
}

/* How much of it precedes what failed before. */
static size_t until_failed(const struct pmr_loads *loads, uint64_t offset, size_t length)
{
	size_t i = pmr_ranges_first(&loads->failed, offset);
	uint64_t failed = i < loads->failed.n ? loads->failed.v[i].offset : UINT64_MAX;

	if (failed <= offset)
		return 0;
	return failed - offset < length ? (size_t)(failed - offset) : length;
}

/* They are mostly met in order, and one after the other. */
static int add_failed(struct pmr_loads *loads, uint64_t offset)
{
	struct pmr_ranges *failed = &loads->failed;
	struct pmr_range *last = failed->n ? &failed->v[failed->n - 1] : NULL;
	bool in_order = !last || last->offset + last->length < offset;
	int ret;

	if (last && last->offset + last->length == offset) {
		last->length += PMR_SECTOR;
		return 0;
	}
	ret = pmr_ranges_add(failed, offset, PMR_SECTOR);
	if (!ret && !in_order)
		pmr_ranges_normalize(failed);
	return ret;
}

int pmr_loads_copy(struct pmr_loads *loads, uint64_t offset, void *to, size_t length, size_t *got)
{
	size_t done = 0, part, n;
	int ret;

	if (offset > loads->size || length > loads->size - offset)
		return -EINVAL;
	length = until_failed(loads, offset, length);
	while (done < length) {
		ret = map(loads, offset + done);
		if (ret)
			return ret;
		part = (size_t)(loads->start + loads->length - (offset + done));
		if (part > length - done)
			part = length - done;
		n = pmr_copy_nofault((char *)to + done, loads->at + (offset + done - loads->start),
				     part);
		done += n;
		if (n < part) {
			ret = add_failed(loads, (offset + done) / PMR_SECTOR * PMR_SECTOR);
			if (ret)
				return ret;
			break;
		}
	}
	*got = done;
	return 0;
}

bool pmr_loads_can_store(void)
{
	persist_fn persist = NULL;
	void *library = open_library(&persist);

	close_library(library);
	return library != NULL;
}

#define LINE 64 /* of a cache, or a part of one */

/* Where the caches outlive the power they need not be flushed, and what is read back would be theirs, not the medium's. */
static void evict(const char *at, size_t length)
{
#if defined(__x86_64__)
	for (size_t i = 0; i < length; i += LINE)
		__builtin_ia32_clflush(at + i);
	__builtin_ia32_mfence();
#elif defined(__aarch64__)
	for (size_t i = 0; i < length; i += LINE)
		__asm__ volatile("dc civac, %0" : : "r"(at + i) : "memory");
	__asm__ volatile("dsb sy" : : : "memory");
#else
	(void)at, (void)length;
#endif
}

/* What was stored may be loaded again. */
static int forget(struct pmr_loads *loads, uint64_t offset, uint64_t length)
{
	struct pmr_ranges stored = { 0 }, left = { 0 };
	int ret;

	if (!pmr_ranges_overlap(&loads->failed, offset, length))
		return 0;
	ret = pmr_ranges_add(&stored, offset, length);
	if (!ret)
		ret = pmr_ranges_subtract(&left, &loads->failed, &stored);
	pmr_ranges_release(&stored);
	if (ret)
		return ret;
	pmr_ranges_release(&loads->failed);
	loads->failed = left;
	return 0;
}

/*
 * By the copy that survives: a mapping whose device goes away meanwhile is SIGBUS to a store, too. It also is to a flush, which
 * does not survive: that window is as short as the flush.
 */
int pmr_loads_store(struct pmr_loads *loads, uint64_t offset, const void *from, size_t length)
{
	size_t done = 0, part;
	char *to;
	int ret;

	if (!loads->persist)
		return -EOPNOTSUPP;
	if (offset > loads->size || length > loads->size - offset)
		return -EINVAL;
	for (; done < length; done += part) {
		ret = map(loads, offset + done);
		if (ret)
			return ret;
		part = (size_t)(loads->start + loads->length - (offset + done));
		if (part > length - done)
			part = length - done;
		to = loads->at + (offset + done - loads->start);
		if (pmr_copy_nofault(to, (const char *)from + done, part) != part)
			return -EIO;
		loads->persist(to, part);
		evict(to, part);
	}
	return forget(loads, offset, length);
}
