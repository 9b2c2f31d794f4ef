/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which bytes of a file are taken from where, what is called lost, and when nothing is called so: on a file of letters. */

#include <errno.h>
#include <linux/fiemap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "salvage/salvage.h"

#define PAGES 40u
#define START (1u << 20) /* of the filesystem on its device */
#define PLACE(page) (START + 65536 + (uint64_t)(page)*PMR_PAGE)
#define BAD_SECTOR 2u

/*
 * A page of the file is a letter:
 *   .  good                                  h  a hole
 *   L  sector 2 is listed, the page cannot   u  never written
 *      be read through the file              X  in no list, and nothing of it can be read
 *   C  the same, and the page cache has it   D  sector 2 is listed, the scan found the others dead
 *   x  sector 2 fails, in no list: EFAULT    k  as e, and the page cache has it
 *   e  the same: EIO                         b  fails through the file alone: EIO
 *   T  good, its place not to be trusted     t  the same, and cannot be read
 *   v  an earlier run saw sector 2 listed    r  good, an earlier run could not read it
 *      and could not read the page           F  as L, and an earlier run could not read it
 *   M  good, and cannot be listed            m  the same, and cannot be read
 * In what became of it:
 *   .  all of it is in the output            7  all but sector 2
 *   0  nothing, and called lost              ?  not tried
 * What is in the output and not believed is called lost here.
 */
static const struct row {
	const char *name;
	const char *pages;
	const char *have; /* + where the output has it; NULL for nowhere */
	const char *wanted;
	const char *reasons; /* of the losses, one after the other; - for none */
	int closed; /* error of opening the device */
	int gone; /* error of reading it, everywhere */
	int stopped;
	bool shut_down; /* every read of the file fails */
	bool dead; /* every read of the device fails */
	unsigned int cancel; /* after so many looks, 0 for never */
	unsigned int full; /* after so many writes, 0 for never */
	unsigned int shrinks; /* the file has this many pages only, 0 for all */
	bool moves; /* the file moves while sectors are read */
	int tail; /* bytes that the last page lacks */
	const char *unplaced;
} rows[] = {
	{ .name = "clean", .pages = "....", .wanted = "...." },
	{ .name = "empty", .pages = "", .wanted = "" },
	{ .name = "holes", .pages = "h.huu.h", .wanted = "......." },
	{ .name = "nothing but holes", .pages = "hhh", .wanted = "..." },
	{ .name = "listed", .pages = "..L.", .wanted = "..7.", .reasons = "-" },
	{ .name = "listed, first and last", .pages = "L..L", .wanted = "7..7", .reasons = "- -" },
	{ .name = "listed, side by side", .pages = ".LLL.", .wanted = ".777.", .reasons = "- - -" },
	{ .name = "all listed", .pages = "LL", .wanted = "77", .reasons = "- -" },
	{ .name = "listed, in a part beyond a hole",
	  .pages = "hLh.uL",
	  .wanted = ".7...7",
	  .reasons = "- -" },
	{ .name = "listed, the others dead",
	  .pages = ".D.",
	  .wanted = ".0.",
	  .reasons = "page-offlined - page-offlined" },
	{ .name = "no device",
	  .pages = ".L.",
	  .closed = -EACCES,
	  .wanted = ".0.",
	  .reasons = "no-device-access - no-device-access" },
	{ .name = "no device, latent",
	  .pages = ".x.e.",
	  .closed = -EPERM,
	  .wanted = ".0.0.",
	  .reasons = "no-device-access no-device-access" },
	{ .name = "no device, latent, nothing to compare with: EFAULT is proof",
	  .pages = "x",
	  .closed = -EACCES,
	  .wanted = "0",
	  .reasons = "no-device-access" },
	{ .name = "no device, latent, nothing to compare with: EIO is none",
	  .pages = "e",
	  .closed = -EACCES,
	  .wanted = "?",
	  .stopped = -EIO },
	{ .name = "in the page cache", .pages = ".C.L", .wanted = "...7", .reasons = "- -" },
	{ .name = "in the page cache, no device",
	  .pages = "C",
	  .closed = -EACCES,
	  .wanted = ".",
	  .reasons = "-" },
	{ .name = "latent", .pages = "..x.e.", .wanted = "..7.7.", .reasons = "unlisted unlisted" },
	{ .name = "latent, in the page cache", .pages = ".k.", .wanted = "..." },
	{ .name = "latent, whole pages",
	  .pages = ".XX.X",
	  .wanted = ".00.0",
	  .reasons = "page-offlined page-offlined" },
	{ .name = "latent, the whole file",
	  .pages = "XX",
	  .wanted = "00",
	  .reasons = "page-offlined" },
	{ .name = "latent and listed",
	  .pages = "xLX.",
	  .wanted = "770.",
	  .reasons = "unlisted - page-offlined" },
	{ .name = "only the file fails, here", .pages = ".b..", .wanted = "...." },
	{ .name = "only the file fails, everywhere", .pages = "b", .wanted = "?", .stopped = -EIO },
	{ .name = "shut down",
	  .pages = "....",
	  .shut_down = true,
	  .wanted = "????",
	  .stopped = -EIO },
	{ .name = "shut down: what is listed is lost all the same",
	  .pages = "L...",
	  .shut_down = true,
	  .wanted = "7???",
	  .reasons = "-",
	  .stopped = -EIO },
	{ .name = "shut down, no device",
	  .pages = "....",
	  .shut_down = true,
	  .closed = -EACCES,
	  .wanted = "????",
	  .stopped = -EIO },
	{ .name = "shut down: known losses are not known any more",
	  .pages = "..L.",
	  .shut_down = true,
	  .wanted = "????",
	  .reasons = "-",
	  .stopped = -EIO },
	{ .name = "the device is dead",
	  .pages = ".X..",
	  .dead = true,
	  .wanted = ".???",
	  .stopped = -ENODEV },
	{ .name = "the device was taken away",
	  .pages = ".x.",
	  .gone = -ENODEV,
	  .wanted = ".??",
	  .stopped = -ENODEV },
	{ .name = "the device was taken away, listed",
	  .pages = ".L.",
	  .gone = -ENXIO,
	  .wanted = ".??",
	  .reasons = "-",
	  .stopped = -ENXIO },
	{ .name = "resumed",
	  .pages = "..x.L.",
	  .have = "+  +",
	  .wanted = "..7.7.",
	  .reasons = "unlisted -" },
	{ .name = "resumed: what it has is not read again",
	  .pages = "xXLC",
	  .have = "++++",
	  .wanted = "...." },
	{ .name = "stopped",
	  .pages = "L.L.h.",
	  .cancel = 3,
	  .wanted = "7.7???",
	  .reasons = "- -",
	  .stopped = -ECANCELED },
	{ .name = "stopped, with something to the right",
	  .pages = "L.L.",
	  .have = "   +",
	  .cancel = 2,
	  .wanted = "7.?.",
	  .reasons = "- -",
	  .stopped = -ECANCELED },
	{ .name = "stopped when nothing was left to do",
	  .pages = "L.L.",
	  .cancel = 4,
	  .wanted = "7.7.",
	  .reasons = "- -" },
	{ .name = "a full disk",
	  .pages = "L.L.",
	  .full = 1,
	  .wanted = "!???",
	  .reasons = "- -",
	  .stopped = -ENOSPC },
	{ .name = "it became shorter",
	  .pages = "....",
	  .shrinks = 2,
	  .wanted = "..??",
	  .stopped = -ESTALE },
	{ .name = "it moved",
	  .pages = ".L..",
	  .moves = true,
	  .wanted = ".???",
	  .reasons = "-",
	  .stopped = -ESTALE },
	{ .name = "a tail", .pages = "..", .tail = 100, .wanted = ".." },
	{ .name = "a tail, listed", .pages = ".L", .tail = 100, .wanted = ".7", .reasons = "-" },
	{ .name = "a tail that ends in the bad sector",
	  .pages = ".L",
	  .tail = PMR_PAGE - 2 * 512 - 10,
	  .wanted = ".7",
	  .reasons = "-" },
	{ .name = "a tail ahead of the bad sector",
	  .pages = ".x",
	  .tail = PMR_PAGE - 700,
	  .wanted = ".." },
	{ .name = "no place", .pages = ".TtT.", .wanted = "..0..", .reasons = "unlisted" },
	{ .name = "no place, nothing to compare with",
	  .pages = "t",
	  .wanted = "?",
	  .stopped = -EIO },
	{ .name = "resumed: what was listed is not read, the rest of its page is",
	  .pages = ".v.",
	  .wanted = ".7.",
	  .reasons = "-" },
	{ .name = "resumed: vanished, beside what is lost now",
	  .pages = "vLxv",
	  .wanted = "7777",
	  .reasons = "- - unlisted -" },
	{ .name = "resumed: vanished, and the output has it",
	  .pages = ".v.",
	  .have = " + ",
	  .wanted = "..." },
	{ .name = "resumed: what could not be read is not believed",
	  .pages = ".rr.r",
	  .wanted = ".00.0",
	  .reasons = "readable-again readable-again" },
	{ .name = "resumed: what could not be read because of what is listed now",
	  .pages = ".F.r",
	  .wanted = ".7.0",
	  .reasons = "- readable-again" },
	{ .name = "resumed: vanished, no device",
	  .pages = ".v.",
	  .closed = -EACCES,
	  .wanted = ".0.",
	  .reasons = "no-device-access - no-device-access" },
	{ .name = "resumed: vanished, encrypted",
	  .pages = ".v.",
	  .unplaced = "encrypted",
	  .wanted = ".0.",
	  .reasons = "encrypted - encrypted" },
	{ .name = "unlisted", .pages = "..mm.", .wanted = "..00.", .reasons = "no-extents" },
	{ .name = "unlisted, the file has it", .pages = ".MM.", .wanted = "...." },
	{ .name = "unlisted, behind a hole, and up to the end",
	  .pages = ".hmhmm",
	  .wanted = "..0.00",
	  .reasons = "no-extents no-extents" },
	{ .name = "unlisted in two places, poison between and behind",
	  .pages = "hmLMx.mXL",
	  .wanted = ".07.7.007",
	  .reasons = "no-extents - unlisted no-extents page-offlined -" },
	{ .name = "unlisted, no device",
	  .pages = ".mML",
	  .closed = -EACCES,
	  .wanted = ".0.0",
	  .reasons = "no-extents no-device-access - no-device-access" },
	{ .name = "unlisted, resumed",
	  .pages = ".mMm.",
	  .have = "+  + ",
	  .wanted = ".0...",
	  .reasons = "no-extents" },
	{ .name = "unlisted, nothing to compare with",
	  .pages = "mm",
	  .wanted = "??",
	  .stopped = -EIO },
	{ .name = "encrypted",
	  .pages = ".Lx",
	  .unplaced = "encrypted",
	  .wanted = ".00",
	  .reasons = "encrypted - encrypted" },
};

/* ---- the world of one row */

struct world {
	const struct row *row;
	uint64_t size;
	char output[PAGES * PMR_PAGE];
	bool written[PAGES * PMR_PAGE / 256]; /* in pieces, enough for a tail */
	unsigned int looks;
	unsigned int writes;
	bool read_sectors;
	char buffer[PMR_RESCUE_CHUNK + PMR_PAGE];
};

static struct world *the_world; /* for FIEMAP, which is given no more than a descriptor */

static char truth(uint64_t offset)
{
	return (char)(1 + (offset * 31 + offset / 512 * 7 + offset / PMR_PAGE * 13) % 255);
}

static char page_of(const struct world *w, uint64_t offset)
{
	size_t page = (size_t)(offset / PMR_PAGE);

	return page < strlen(w->row->pages) ? w->row->pages[page] : 'h';
}

static bool is_hole(char page)
{
	return page == 'h' || page == 'u';
}

static int fake_fiemap(int fd, struct fiemap *map)
{
	const struct world *w = the_world;
	uint64_t page = map->fm_start / PMR_PAGE,
		 last = (map->fm_start + map->fm_length - 1) / PMR_PAGE;
	bool is_broken = false;
	unsigned int n = 0;

	(void)fd;
	for (; page <= last && page < strlen(w->row->pages) && n < map->fm_extent_count; page++) {
		struct fiemap_extent *e = &map->fm_extents[n];
		char c = w->row->pages[page];

		if (c == 'h')
			continue;
		if (c == 'm' || c == 'M') {
			is_broken = true;
			break;
		}
		*e = (struct fiemap_extent){ .fe_logical = page * PMR_PAGE,
					     .fe_physical = PLACE(page) - START,
					     .fe_length = PMR_PAGE };
		if (c == 'u')
			e->fe_flags = FIEMAP_EXTENT_UNWRITTEN;
		if (c == 'T' || c == 't')
			e->fe_flags = FIEMAP_EXTENT_UNKNOWN;
		if (w->row->moves && w->read_sectors)
			e->fe_physical += PMR_PAGE;
		n++;
	}
	if (is_broken && !n)
		return -EUCLEAN;
	/* as Linux has it, whatever follows */
	if (n)
		map->fm_extents[n - 1].fe_flags |= FIEMAP_EXTENT_LAST;
	map->fm_mapped_extents = n;
	return 0;
}

static int fake_read(void *data, uint64_t offset, void *buffer, size_t length, size_t *got)
{
	struct world *w = data;
	uint64_t end = w->row->shrinks ? w->row->shrinks * PMR_PAGE : w->size;
	char *to = buffer;

	*got = 0;
	assert_int_equal(offset % PMR_PAGE, 0);
	assert_int_equal(length % PMR_PAGE, 0);
	if (w->row->shut_down)
		return -EIO;
	for (size_t n = 0; n < length && offset + n < end; n++) {
		char page = page_of(w, offset + n);

		/* what is listed is never read through the file: it could give anything */
		assert_null(strchr("LCDFv", page));
		if (page == 'x')
			return -EFAULT;
		if (page == 'm')
			return -EUCLEAN;
		if (strchr("eXbtk", page))
			return -EIO;
		to[n] = is_hole(page) ? 0 : truth(offset + n);
		*got = n + 1;
	}
	return 0;
}

static int fake_cached(void *data, uint64_t offset, void *buffer, size_t length)
{
	const struct world *w = data;

	assert_true(length <= PMR_PAGE - offset % PMR_PAGE);
	if (!strchr("Ck", page_of(w, offset)))
		return 0;
	for (size_t n = 0; n < length; n++)
		((char *)buffer)[n] = truth(offset + n);
	return 1;
}

static bool sector_fails(const struct world *w, uint64_t at)
{
	char page = at >= PLACE(0) ? page_of(w, at - PLACE(0)) : '.';
	unsigned int sector = (unsigned int)(at % PMR_PAGE / PMR_SECTOR);

	return w->row->dead || page == 'X' ||
	       (sector == BAD_SECTOR && (page == 'x' || page == 'e' || page == 'k'));
}

static int fake_device(void *data, uint64_t offset, uint64_t length, const struct pmr_ranges *avoid,
		       void *buffer, struct pmr_ranges *unreadable)
{
	struct world *w = data;

	if (w->row->closed || w->row->gone)
		return w->row->closed ? w->row->closed : w->row->gone;
	assert_int_equal(offset % PMR_SECTOR, 0);
	assert_int_equal(length % PMR_SECTOR, 0);
	w->read_sectors = true;
	for (uint64_t at = offset; at < offset + length; at += PMR_SECTOR) {
		/* there may be anything by now */
		assert_false(at >= PLACE(0) && page_of(w, at - PLACE(0)) == 'v' &&
			     at % PMR_PAGE / PMR_SECTOR == BAD_SECTOR);
		if (pmr_ranges_overlap(avoid, at, PMR_SECTOR) || sector_fails(w, at)) {
			assert_int_equal(pmr_ranges_add(unreadable, at, PMR_SECTOR), 0);
			continue;
		}
		for (uint64_t n = 0; n < PMR_SECTOR; n++)
			((char *)buffer)[at - offset + n] = truth(at + n - PLACE(0));
	}
	pmr_ranges_normalize(unreadable);
	return 0;
}

static int fake_closed(void *data)
{
	const struct world *w = data;

	return w->row->closed;
}

static void *fake_buffer(void *data)
{
	struct world *w = data;

	return w->buffer;
}

static int fake_write(void *data, uint64_t offset, const void *buffer, size_t length)
{
	struct world *w = data;

	assert_true(offset + length <= w->size);
	if (w->row->full && w->writes++ >= w->row->full)
		return -ENOSPC;
	memcpy(w->output + offset, buffer, length);
	return 0;
}

static int fake_tick(void *data)
{
	struct world *w = data;

	return w->row->cancel && ++w->looks > w->row->cancel ? -ECANCELED : 0;
}

/* What a scan would have found. */
static void make_losses(const struct row *row, uint64_t size, struct pmr_losses *losses,
			struct pmr_ranges *listed)
{
	for (size_t page = 0; page < strlen(row->pages); page++) {
		char c = row->pages[page];

		for (unsigned int sector = 0; sector < 8; sector++) {
			uint64_t in = sector * PMR_SECTOR, offset = page * PMR_PAGE + in;
			struct pmr_loss loss = { .offset = offset,
						 .length = PMR_SECTOR,
						 .device_offset = PLACE(page) + in,
						 .state = c == 'C' ? PMR_CACHED : PMR_LOST };

			if (sector == BAD_SECTOR ? !strchr("LCDF", c) : c != 'D')
				continue;
			if (sector == BAD_SECTOR)
				assert_int_equal(
					pmr_ranges_add(listed, loss.device_offset, PMR_SECTOR), 0);
			else
				loss.reason = "page-offlined";
			if (offset >= size)
				continue;
			if (loss.length > size - offset)
				loss.length = size - offset;
			assert_int_equal(
				pmr_grow(&losses->v, losses->n, &losses->alloc, sizeof(loss)), 0);
			losses->v[losses->n++] = loss;
		}
	}
	pmr_ranges_normalize(listed);
}

/* What a mapfile says. */
static void learn_earlier(const struct row *row, struct pmr_rescue *r)
{
	for (size_t page = 0; page < strlen(row->pages); page++) {
		if (strchr("vrF", row->pages[page]))
			assert_int_equal(pmr_ranges_add(&r->failed, page * PMR_PAGE, PMR_PAGE), 0);
		if (row->pages[page] == 'v')
			assert_int_equal(pmr_ranges_add(&r->noted,
							page * PMR_PAGE + BAD_SECTOR * PMR_SECTOR,
							PMR_SECTOR),
					 0);
	}
	pmr_ranges_normalize(&r->failed);
}

static const struct pmr_rescue_io io = {
	.read = fake_read,
	.cached = fake_cached,
	.device = fake_device,
	.closed = fake_closed,
	.buffer = fake_buffer,
	.write = fake_write,
	.tick = fake_tick,
};

static void set_up(struct pmr_rescue *r, struct world *w, struct pmr_file *file)
{
	static struct pmr_device device = { .size = 1u << 30 };
	static struct pmr_filesystem filesystem = { .device = &device,
						    .start = START,
						    .size = 512u << 20 };
	struct pmr_losses losses = { 0 };
	struct pmr_ranges listed = { 0 };

	w->size = strlen(w->row->pages) * PMR_PAGE - (unsigned int)w->row->tail;
	make_losses(w->row, w->size, &losses, &listed);
	*file = (struct pmr_file){ .losses = losses.v, .n_losses = losses.n };
	*r = (struct pmr_rescue){ .io = &io,
				  .data = w,
				  .fd = -1,
				  .fiemap = fake_fiemap,
				  .filesystem = &filesystem,
				  .size = w->size,
				  .fill = -1,
				  .unplaced = w->row->unplaced };
	for (size_t i = 0; w->row->have && i < strlen(w->row->have); i++) {
		if (w->row->have[i] != '+')
			continue;
		assert_int_equal(pmr_ranges_add(&r->have, i * PMR_PAGE, PMR_PAGE), 0);
		for (size_t n = 0; n < PMR_PAGE; n++)
			w->output[i * PMR_PAGE + n] = truth(i * PMR_PAGE + n);
	}
	pmr_ranges_normalize(&r->have);
	learn_earlier(w->row, r);
	assert_int_equal(pmr_rescue_init(r), 0);
	assert_int_equal(pmr_rescue_learn(r, losses.n ? file : NULL, &listed), 0);
	pmr_ranges_release(&listed);
	the_world = w;
}

/* ---- held against what was wanted */

static bool is_in(const struct pmr_ranges *a, uint64_t offset, uint64_t length)
{
	struct pmr_ranges clipped = { 0 };
	bool is;

	assert_int_equal(pmr_ranges_clip(&clipped, a, offset, length), 0);
	is = pmr_ranges_bytes(&clipped) == length;
	pmr_ranges_release(&clipped);
	return is;
}

/* The letter of what became of a page. */
static char outcome(const struct pmr_rescue *r, const struct world *w, size_t page)
{
	uint64_t from = page * PMR_PAGE, left = w->size - from;
	uint64_t length = left < PMR_PAGE ? left : PMR_PAGE, bad = from + BAD_SECTOR * PMR_SECTOR;
	uint64_t bad_length = bad >= w->size		   ? 0
			      : w->size - bad < PMR_SECTOR ? w->size - bad
							   : PMR_SECTOR;
	struct pmr_ranges have = { 0 };
	char c = '!';

	assert_int_equal(pmr_ranges_copy(&have, &r->have), 0);
	for (size_t i = 0; i < r->done.n; i++)
		assert_int_equal(pmr_ranges_add(&have, r->done.v[i].offset, r->done.v[i].length),
				 0);
	pmr_ranges_normalize(&have);
	for (size_t i = 0; i < have.n; i++)
		for (uint64_t at = have.v[i].offset; at < have.v[i].offset + have.v[i].length; at++)
			assert_int_equal(w->output[at], is_hole(page_of(w, at)) ? 0 : truth(at));
	if (is_in(&have, from, length))
		c = '.';
	else if (is_in(&r->bad, from, length))
		c = '0';
	else if (is_in(&r->bad, bad, bad_length) && bad_length &&
		 is_in(&have, from, BAD_SECTOR * PMR_SECTOR) &&
		 is_in(&have, bad + bad_length, from + length - bad - bad_length))
		c = '7';
	else if (!pmr_ranges_overlap(&have, from, length) &&
		 !pmr_ranges_overlap(&r->bad, from, length))
		c = '?';
	pmr_ranges_release(&have);
	return c;
}

static void get_reasons(const struct pmr_losses *losses, char *text, size_t size)
{
	size_t n = 0;

	*text = '\0';
	for (size_t i = 0; i < losses->n && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%s", i ? " " : "",
				      losses->v[i].reason ? losses->v[i].reason : "-");
}

static void check_sums(const struct pmr_rescue *r, const struct world *w)
{
	const struct row *row = w->row;
	uint64_t data = 0, lost = 0, end = 0;

	for (uint64_t at = 0; at < w->size; at++)
		data += !is_hole(page_of(w, at));
	if (r->rescued + r->lost + r->untried != data)
		fail_msg("%s: %llu + %llu + %llu bytes of %llu", row->name,
			 (unsigned long long)r->rescued, (unsigned long long)r->lost,
			 (unsigned long long)r->untried, (unsigned long long)data);
	for (size_t i = 0; i < r->losses.n; i++) {
		const struct pmr_loss *loss = &r->losses.v[i];

		assert_true(loss->offset >= end && loss->length);
		end = loss->offset + loss->length;
		if (loss->state == PMR_LOST)
			lost += loss->length;
		if (loss->device_offset != PMR_NO_ADDRESS)
			assert_int_equal(loss->device_offset, PLACE(0) + loss->offset);
	}
	assert_int_equal(lost, r->lost);
	assert_int_equal(pmr_ranges_bytes(&r->bad), r->lost + r->in_doubt);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct world *w = calloc(1, sizeof(*w));
		char wanted[PAGES + 1] = "", reasons[512];
		struct pmr_file file;
		struct pmr_rescue r;

		assert_non_null(w);
		w->row = row;
		set_up(&r, w, &file);
		r.stopped = pmr_rescue_cached(&r);
		assert_int_equal(r.stopped, 0);
		assert_int_equal(pmr_rescue_run(&r), 0);
		for (size_t page = 0; page < strlen(row->pages); page++)
			wanted[page] = outcome(&r, w, page);
		get_reasons(&r.losses, reasons, sizeof(reasons));
		if (strcmp(wanted, row->wanted) || r.stopped != row->stopped)
			fail_msg("%s: '%s' instead of '%s', stopped %d", row->name, wanted,
				 row->wanted, r.stopped);
		/* what the page cache saved is no loss of the rescue */
		if (!strchr(row->pages, 'C') && strcmp(reasons, row->reasons ? row->reasons : ""))
			fail_msg("%s: reasons '%s'", row->name, reasons);
		check_sums(&r, w);
		pmr_rescue_release(&r);
		free(file.losses);
		free(w);
	}
}

static void test_fill(void **state)
{
	static const struct row row = { .name = "fill", .pages = ".LX.", .tail = 10 };
	struct world *w = calloc(1, sizeof(*w));
	struct pmr_file file;
	struct pmr_rescue r;

	(void)state;
	assert_non_null(w);
	w->row = &row;
	set_up(&r, w, &file);
	r.fill = 0xee;
	assert_int_equal(pmr_rescue_run(&r), 0);
	for (size_t at = 0; at < w->size; at++) {
		bool lost = at / PMR_PAGE == 2 ||
			    (at / PMR_PAGE == 1 && at % PMR_PAGE / PMR_SECTOR == BAD_SECTOR);

		assert_int_equal(w->output[at], lost ? (char)0xee : truth(at));
	}
	pmr_rescue_release(&r);
	free(file.losses);
	free(w);
}

/* After a stop at any point, going on gives what an undisturbed run gives. */
static void test_resume(void **state)
{
	static const char pages[] = "L.xh.LLuX..kC.D.e..";
	static const struct row whole = { .name = "whole", .pages = pages };
	struct world *reference = calloc(1, sizeof(*reference)), *w = calloc(1, sizeof(*w));
	struct pmr_file file;
	struct pmr_rescue r;
	uint64_t lost;

	(void)state;
	assert_true(reference && w);
	reference->row = &whole;
	set_up(&r, reference, &file);
	assert_int_equal(pmr_rescue_cached(&r), 0);
	assert_int_equal(pmr_rescue_run(&r), 0);
	lost = r.lost;
	pmr_rescue_release(&r);
	free(file.losses);
	for (unsigned int stop = 1; stop < 20; stop++) {
		struct row first = { .name = "first", .pages = pages, .cancel = stop };
		struct pmr_ranges have = { 0 };

		memset(w, 0, sizeof(*w));
		w->row = &first;
		set_up(&r, w, &file);
		assert_int_equal(pmr_rescue_cached(&r), 0);
		assert_int_equal(pmr_rescue_run(&r), 0);
		assert_int_equal(pmr_ranges_copy(&have, &r.have), 0);
		for (size_t i = 0; i < r.done.n; i++)
			assert_int_equal(
				pmr_ranges_add(&have, r.done.v[i].offset, r.done.v[i].length), 0);
		pmr_ranges_normalize(&have);
		pmr_rescue_release(&r);
		free(file.losses);
		w->row = &whole;
		set_up(&r, w, &file);
		pmr_ranges_release(&r.have);
		r.have = have;
		assert_int_equal(pmr_rescue_cached(&r), 0);
		assert_int_equal(pmr_rescue_run(&r), 0);
		assert_int_equal(r.stopped, 0);
		assert_int_equal(r.lost, lost);
		assert_memory_equal(w->output, reference->output, sizeof(w->output));
		pmr_rescue_release(&r);
		free(file.losses);
	}
	free(reference);
	free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
