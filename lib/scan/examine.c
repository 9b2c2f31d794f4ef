/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the media and the page cache say of the pages that a file's losses lie in. */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"

static struct pmr_media *get_media(struct pmr_scanner *scanner, struct pmr_exam *exam)
{
	struct pmr_device *device = exam->device;
	int ret;

	if (exam->tried)
		return exam->media;
	exam->tried = true;
	ret = pmr_media_open(scanner->ctx, device, &exam->media);
	if (!ret)
		return exam->media;
	exam->media = NULL;
	if (ret == -EACCES || ret == -EPERM)
		pmr_say(scanner->ctx, PMR_WARNING, "siblings-unchecked",
			device->path ? device->path : device->name,
			"cannot be read (%s), so pages that a machine check took offline are not recognised: root, or "
			"CAP_DAC_OVERRIDE, is needed",
			strerror(-ret));
	else
		pmr_say(scanner->ctx, PMR_WARNING, "siblings-unchecked",
			device->path ? device->path : device->name,
			"cannot be read (%s), so pages that a machine check took offline are not recognised",
			strerror(-ret));
	return NULL;
}

/* Where the whole page is one logical block there is nothing that a read could tell. */
static bool is_one_block(const struct pmr_page *page)
{
	return page->block == 0xff;
}

static int examine_with(struct pmr_media *media, const struct pmr_exam *exam, struct pmr_page *page)
{
	struct pmr_ranges unreadable = { 0 };
	size_t i;
	int ret;

	ret = pmr_media_page_state(media, page->offset, &exam->device->badblocks.ranges,
				   &page->state, &unreadable);
	page->examined = !ret;
	for (i = 0; i < unreadable.n && !ret; i++)
		page->dead |= pmr_page_mask(page->offset, &unreadable.v[i]);
	pmr_ranges_release(&unreadable);
	return ret == -ENOMEM ? ret : 0;
}

static int examine_page(struct pmr_scanner *scanner, struct pmr_exam *exam, struct pmr_page *page)
{
	struct pmr_media *media;

	if (is_one_block(page)) {
		page->examined = true;
		return 0;
	}
	media = get_media(scanner, exam);
	return media ? examine_with(media, exam, page) : 0;
}

static int examine_below(struct pmr_scanner *scanner, struct pmr_exam *exam,
			 const struct pmr_loss *loss)
{
	struct pmr_pages *pages = &exam->pages;
	size_t i;
	int ret;

	for (i = pmr_pages_first(pages, loss->device_offset);
	     i < pages->n && pages->v[i].offset < loss->device_offset + loss->length; i++) {
		if (pages->v[i].examined)
			continue;
		ret = examine_page(scanner, exam, &pages->v[i]);
		if (ret)
			return ret;
	}
	return 0;
}

int pmr_examine(struct pmr_scanner *scanner, struct pmr_exam *exam, const struct pmr_losses *wide,
		struct pmr_losses *exact)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < wide->n && !ret; i++) {
		if (wide->v[i].state == PMR_LOST)
			ret = examine_below(scanner, exam, &wide->v[i]);
		if (!ret)
			ret = pmr_refine(&exam->pages, &wide->v[i], exact);
	}
	return ret;
}

/* ---- ahead, by several threads */

/* Fewer are examined when their turn comes. */
#define FEW 32u
/* Examining a page is waiting for the device, not computing. */
#define THREADS 8u

struct ahead {
	const struct pmr_scanner *scanner;
	const struct pmr_exam *exam;
	struct pmr_page **pages;
	size_t n;
	atomic_size_t next;
};

static void *examine_some(void *data)
{
	struct ahead *a = data;
	struct pmr_media *media = NULL;
	size_t i;

	/* What fails here fails again in its turn, and is said then. */
	if (pmr_media_open(a->scanner->ctx, a->exam->device, &media))
		return NULL;
	while (!pmr_is_cancelled(a->scanner->ctx) && (i = atomic_fetch_add(&a->next, 1)) < a->n)
		if (examine_with(media, a->exam, a->pages[i]))
			break;
	pmr_media_close(media);
	return NULL;
}

static void examine_all(struct ahead *a)
{
	pthread_t ids[THREADS];
	sigset_t all, before;
	unsigned int n = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (n < THREADS && !pthread_create(&ids[n], NULL, examine_some, a))
		n++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	while (n)
		pthread_join(ids[--n], NULL);
}

int pmr_examine_ahead(struct pmr_scanner *scanner, struct pmr_exam *exam,
		      const struct pmr_ranges *ranges)
{
	struct ahead a = { .scanner = scanner, .exam = exam };
	struct pmr_pages *pages = &exam->pages;
	size_t i, page, after = 0;

	a.pages = calloc(pages->n ? pages->n : 1, sizeof(a.pages[0]));
	if (!a.pages)
		return -ENOMEM;
	for (i = 0; i < ranges->n; i++) {
		uint64_t end = ranges->v[i].offset + ranges->v[i].length;

		page = pmr_pages_first(pages, ranges->v[i].offset);
		for (page = page < after ? after : page;
		     page < pages->n && pages->v[page].offset < end; page++)
			if (!pages->v[page].examined && !is_one_block(&pages->v[page]))
				a.pages[a.n++] = &pages->v[page];
		after = page > after ? page : after;
	}
	if (a.n > FEW)
		examine_all(&a);
	free(a.pages);
	return 0;
}

/* ---- page cache */

struct cache {
	int fd;
	uint64_t size;
	uint64_t page; /* the page asked about last, none of a file's at first */
	bool is_there;
};

static bool is_cached(struct cache *cache, uint64_t page)
{
	uint64_t left = cache->size - page;
	char buffer[PMR_PAGE];

	if (page != cache->page) {
		cache->page = page;
		cache->is_there =
			pmr_media_read_cached(cache->fd, page, buffer,
					      left < PMR_PAGE ? (size_t)left : PMR_PAGE) == 1;
	}
	return cache->is_there;
}

/* Append a loss in pieces that are all there or all gone. */
static int split(struct cache *cache, const struct pmr_loss *loss, struct pmr_losses *out)
{
	uint64_t done = 0, length;
	size_t first = out->n;
	int ret;

	for (done = 0; done < loss->length; done += length) {
		uint64_t offset = loss->offset + done, page = offset & ~(uint64_t)(PMR_PAGE - 1);
		struct pmr_loss *last = out->n > first ? &out->v[out->n - 1] : NULL;
		struct pmr_loss part = *loss;

		length = page + PMR_PAGE - offset;
		if (length > loss->length - done)
			length = loss->length - done;
		part.state = is_cached(cache, page) ? PMR_CACHED : PMR_LOST;
		if (last && last->state == part.state) {
			last->length += length;
			continue;
		}
		part.offset = offset;
		part.device_offset += done;
		part.length = length;
		ret = pmr_grow(&out->v, out->n, &out->alloc, sizeof(out->v[0]));
		if (ret)
			return ret;
		out->v[out->n++] = part;
	}
	return 0;
}

int pmr_examine_cache(int fd, uint64_t size, struct pmr_losses *losses)
{
	struct cache cache = { .fd = fd, .size = size, .page = UINT64_MAX };
	struct pmr_losses out = { 0 };
	size_t i;
	int ret = 0;

	for (i = 0; i < losses->n && !ret; i++) {
		if (losses->v[i].state == PMR_LOST) {
			ret = split(&cache, &losses->v[i], &out);
			continue;
		}
		ret = pmr_grow(&out.v, out.n, &out.alloc, sizeof(out.v[0]));
		if (!ret)
			out.v[out.n++] = losses->v[i];
	}
	if (ret) {
		free(out.v);
		return ret;
	}
	free(losses->v);
	*losses = out;
	return 0;
}
