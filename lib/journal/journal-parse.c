/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the records of a journal that are JSON say: nothing of it is believed before it was looked at. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/document.h"
#include "journal.h"

/* Each mark is held against all of them. */
#define MAX_BOOTS 1024

/* A word that is in a list, in static storage; NULL where it is in none. */
static const char *known_word(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; word && i < n; i++)
		if (!strcmp(word, words[i]))
			return words[i];
	return NULL;
}

static bool parse_method(const char *word, enum pmr_method *method)
{
	for (int i = PMR_METHOD_FLAG; word && i <= PMR_METHOD_CLEAR; i++)
		if (!strcmp(word, pmr_method_name((enum pmr_method)i))) {
			*method = (enum pmr_method)i;
			return true;
		}
	return false;
}

static bool parse_state(const char *word, enum pmr_state *state)
{
	for (int i = PMR_LOST; word && i <= PMR_UNKNOWN; i++)
		if (!strcmp(word, pmr_state_name((enum pmr_state)i))) {
			*state = (enum pmr_state)i;
			return true;
		}
	return false;
}

/* offset, length and place of something in a file; none of the sums overflows */
static bool parse_range(struct json_object *object, uint64_t *offset, uint64_t *length,
			uint64_t *device_offset)
{
	return pmr_document_get_number(object, "offset", offset) &&
	       pmr_document_get_number(object, "length", length) &&
	       pmr_document_get_number(object, "device_offset", device_offset) && *length > 0 &&
	       *offset <= INT64_MAX && *length <= INT64_MAX - *offset &&
	       *device_offset <= INT64_MAX && *length <= INT64_MAX - *device_offset;
}

static bool parse_time(struct json_object *object, const char *key, struct timespec *time)
{
	struct json_object *pair = pmr_document_member(object, key, json_type_array);
	struct json_object *seconds, *nanoseconds;

	if (!pair || json_object_array_length(pair) != 2)
		return false;
	seconds = json_object_array_get_idx(pair, 0);
	nanoseconds = json_object_array_get_idx(pair, 1);
	if (!json_object_is_type(seconds, json_type_int) ||
	    !json_object_is_type(nanoseconds, json_type_int) ||
	    json_object_get_int64(nanoseconds) < 0 ||
	    json_object_get_int64(nanoseconds) >= 1000000000)
		return false;
	time->tv_sec = json_object_get_int64(seconds);
	time->tv_nsec = (long)json_object_get_int64(nanoseconds);
	return true;
}

static int parse_loss(struct json_object *object, struct pmr_loss *loss)
{
	static const char *const sources[] = { "backup", "zero", "page-cache", "device" };
	static const char *const methods[] = { "flag", "write", "punch", "device", "clear" };
	/* those that a resume goes by: somebody may have been at the bytes */
	static const char *const reasons[] = { "changed", "moved", "shared", "readable" };

	*loss = (struct pmr_loss){ 0 };
	if (!json_object_is_type(object, json_type_object) ||
	    !parse_range(object, &loss->offset, &loss->length, &loss->device_offset) ||
	    !parse_state(pmr_document_get_text(object, "state"), &loss->state))
		return -EBADMSG;
	loss->source = known_word(pmr_document_get_text(object, "source"), sources,
				  sizeof(sources) / sizeof(sources[0]));
	loss->reason = known_word(pmr_document_get_text(object, "reason"), reasons,
				  sizeof(reasons) / sizeof(reasons[0]));
	loss->method = known_word(pmr_document_get_text(object, "method"), methods,
				  sizeof(methods) / sizeof(methods[0]));
	loss->vanished = pmr_document_is_true(object, "vanished");
	loss->shared = pmr_document_is_true(object, "shared");
	loss->unwritten = pmr_document_is_true(object, "unwritten");
	return 0;
}

static int parse_losses(struct json_object *object, struct pmr_journal_file *file)
{
	struct json_object *list = pmr_document_member(object, "losses", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	struct pmr_loss *losses;
	int ret = 0;

	if (!list)
		return -EBADMSG;
	losses = calloc(n ? n : 1, sizeof(*losses));
	if (!losses)
		return -ENOMEM;
	for (size_t i = 0; !ret && i < n; i++) {
		ret = parse_loss(json_object_array_get_idx(list, i), &losses[i]);
		if (!ret && i && losses[i].offset < losses[i - 1].offset + losses[i - 1].length)
			ret = -EBADMSG;
	}
	if (ret) {
		free(losses);
		return ret;
	}
	free(file->losses);
	file->losses = losses;
	file->n_losses = n;
	return 0;
}

static int parse_steps(struct json_object *object, struct pmr_step **steps, size_t *n_steps)
{
	struct json_object *list = pmr_document_member(object, "steps", json_type_array), *one;
	size_t n = list ? json_object_array_length(list) : 0;
	struct pmr_step *v, *step;

	if (!list)
		return -EBADMSG;
	v = calloc(n ? n : 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		one = json_object_array_get_idx(list, i);
		step = &v[i];
		if (!json_object_is_type(one, json_type_object) ||
		    !parse_range(one, &step->offset, &step->length, &step->device_offset) ||
		    !parse_method(pmr_document_get_text(one, "method"), &step->method) ||
		    (i && step->offset < v[i - 1].offset + v[i - 1].length)) {
			free(v);
			return -EBADMSG;
		}
	}
	*steps = v;
	*n_steps = n;
	return 0;
}

/* What is cleared by its bus is a device, and nothing else is. Return: 0, -EBADMSG. */
static int take_kind(const struct pmr_step *steps, size_t n, struct pmr_journal_file *file)
{
	size_t cleared = 0;

	for (size_t i = 0; i < n; i++)
		cleared += steps[i].method == PMR_METHOD_CLEAR;
	file->whole_device = cleared > 0;
	return cleared && cleared < n ? -EBADMSG : 0;
}

/* a pair of numbers; @end: where the sector before it ended, then where this one does */
static bool parse_around(struct json_object *pair, uint64_t *end, struct pmr_journal_around *around)
{
	uint64_t crc;

	if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2 ||
	    !pmr_document_number(json_object_array_get_idx(pair, 0), &around->offset) ||
	    !pmr_document_number(json_object_array_get_idx(pair, 1), &crc) || crc > UINT32_MAX ||
	    around->offset % PMR_SECTOR || around->offset < *end ||
	    around->offset > INT64_MAX - PMR_SECTOR)
		return false;
	around->crc = (uint32_t)crc;
	*end = around->offset + PMR_SECTOR;
	return true;
}

static int take_around(struct json_object *object, struct pmr_journal_file *file)
{
	struct json_object *list = pmr_document_member(object, "around", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	uint64_t end = 0;

	if (!n)
		return 0;
	file->around = calloc(n, sizeof(*file->around));
	if (!file->around)
		return -ENOMEM;
	for (; file->n_around < n; file->n_around++)
		if (!parse_around(json_object_array_get_idx(list, file->n_around), &end,
				  &file->around[file->n_around]))
			return -EBADMSG;
	return 0;
}

static int take_text(struct json_object *object, const char *key, char **text)
{
	const char *value = pmr_document_get_text(object, key);

	if (!value)
		return 0;
	*text = strdup(value);
	return *text ? 0 : -ENOMEM;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int take_capability(struct json_object *object, struct pmr_journal_file *file)
{
	const char *digits = pmr_document_get_text(object, "capability");
	size_t n = digits ? strlen(digits) : 0;
	unsigned char *bytes;
	int high, low;

	if (!n)
		return 0;
	if (n % 2 || n > 2 * 65536)
		return -EBADMSG;
	bytes = malloc(n / 2);
	if (!bytes)
		return -ENOMEM;
	file->capability = bytes;
	file->capability_length = n / 2;
	for (size_t i = 0; i < n; i += 2) {
		high = hex_digit(digits[i]);
		low = hex_digit(digits[i + 1]);
		if (high < 0 || low < 0)
			return -EBADMSG;
		bytes[i / 2] = (unsigned char)(high * 16 + low);
	}
	return 0;
}

static int take_below(struct json_object *object, struct pmr_journal_file *file)
{
	struct json_object *list = pmr_document_member(object, "below", json_type_array), *one;
	size_t n = list ? json_object_array_length(list) : 0;
	struct pmr_journal_below *below;
	int ret = 0;

	if (!n)
		return 0;
	file->below = calloc(n, sizeof(*file->below));
	if (!file->below)
		return -ENOMEM;
	for (size_t i = 0; !ret && i < n; i++) {
		one = json_object_array_get_idx(list, i);
		below = &file->below[file->n_below++];
		if (!json_object_is_type(one, json_type_object) ||
		    !parse_range(one, &below->offset, &below->length, &below->device_offset))
			return -EBADMSG;
		ret = take_text(one, "device", &below->device);
		if (!ret && !below->device)
			ret = -EBADMSG;
	}
	return ret;
}

int pmr_journal_parse_file(struct json_object *object, struct pmr_journal_file *file,
			   struct pmr_step **steps, size_t *n_steps)
{
	uint64_t generation, mode;
	int ret;

	if (!pmr_document_get_number(object, "inode", &file->inode) ||
	    !pmr_document_get_number(object, "generation", &generation) ||
	    !pmr_document_get_number(object, "size", &file->size) ||
	    !pmr_document_get_number(object, "mode", &mode) || generation > UINT32_MAX ||
	    file->size > INT64_MAX || mode > 07777 ||
	    !parse_time(object, "change_time", &file->change_time))
		return -EBADMSG;
	file->planned_time = file->change_time;
	file->generation = (uint32_t)generation;
	file->mode = (mode_t)mode;
	file->dax = pmr_document_is_true(object, "dax");
	file->in_use = pmr_document_is_true(object, "in_use");
	ret = take_text(object, "filesystem_type", &file->filesystem_type);
	if (!ret)
		ret = take_text(object, "filesystem_uuid", &file->filesystem_uuid);
	if (!ret)
		ret = take_text(object, "device", &file->device);
	if (!ret)
		ret = take_text(object, "namespace_uuid", &file->namespace_uuid);
	if (!ret)
		ret = take_below(object, file);
	if (!ret)
		ret = take_capability(object, file);
	if (!ret)
		ret = take_around(object, file);
	if (!ret)
		ret = parse_losses(object, file);
	if (!ret)
		ret = parse_steps(object, steps, n_steps);
	return ret ? ret : take_kind(*steps, *n_steps, file);
}

int pmr_journal_parse_opening(struct json_object *object, struct pmr_journal_entry *entry,
			      uint64_t *version)
{
	int ret;

	if (!pmr_document_get_number(object, "format_version", version))
		return -EBADMSG;
	entry->zero_fill = pmr_document_is_true(object, "zero_fill");
	entry->has_planned = pmr_document_get_number(object, "files", &entry->n_planned);
	ret = take_text(object, "version", &entry->version);
	if (!ret)
		ret = take_text(object, "started_at", &entry->started_at);
	if (!ret)
		ret = take_text(object, "host", &entry->host);
	if (!ret)
		ret = take_text(object, "boot_id", &entry->boot_id);
	return ret;
}

/* The number of the boot that a record was written in; without one, that of the opening. */
static int parse_boot(struct json_object *object, struct pmr_journal_entry *entry, size_t *boot)
{
	const char *id = pmr_document_get_text(object, "boot_id");
	char **grown;

	*boot = 0;
	if (!id || (entry->boot_id && !strcmp(id, entry->boot_id)))
		return 0;
	for (size_t i = entry->n_boots; i > 0; i--)
		if (!strcmp(id, entry->boots[i - 1])) {
			*boot = i;
			return 0;
		}
	if (entry->n_boots == MAX_BOOTS)
		return -EBADMSG;
	grown = reallocarray(entry->boots, entry->n_boots + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	entry->boots = grown;
	grown[entry->n_boots] = strdup(id);
	if (!grown[entry->n_boots])
		return -ENOMEM;
	*boot = ++entry->n_boots;
	return 0;
}

int pmr_journal_parse_outcome(struct json_object *object, struct pmr_journal_entry *entry)
{
	struct pmr_journal_file *file;
	struct timespec change_time;
	uint64_t index;
	int ret;

	if (!pmr_document_get_number(object, "file", &index) || index >= entry->n_files ||
	    !parse_time(object, "change_time", &change_time))
		return -EBADMSG;
	file = &entry->files[index];
	ret = parse_losses(object, file);
	if (!ret)
		ret = parse_boot(object, entry, &file->boot);
	if (ret)
		return ret;
	file->change_time = change_time;
	file->outcome = true;
	return 0;
}

struct pmr_journal_piece *pmr_journal_find_piece(const struct pmr_journal_file *file,
						 uint64_t position)
{
	size_t low = 0, high = file->n_pieces, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (file->pieces[mid].position < position)
			low = mid + 1;
		else
			high = mid;
	}
	return low < file->n_pieces && file->pieces[low].position == position ? &file->pieces[low]
									      : NULL;
}

bool pmr_journal_parse_mark_word(struct json_object *object, enum pmr_mark *mark)
{
	const char *word = pmr_document_get_text(object, "mark");

	for (int i = PMR_MARK_NONE; word && i <= PMR_MARK_DONE; i++)
		if (!strcmp(word, pmr_mark_name((enum pmr_mark)i))) {
			*mark = (enum pmr_mark)i;
			return true;
		}
	return false;
}

int pmr_journal_parse_mark(struct json_object *object, struct pmr_journal_entry *entry)
{
	struct json_object *list = pmr_document_member(object, "pieces", json_type_array);
	struct timespec time, change_time;
	struct pmr_journal_piece *piece;
	struct pmr_journal_file *file;
	uint64_t index, position;
	enum pmr_mark mark;
	size_t boot;
	int ret;

	if (!list || !pmr_document_get_number(object, "file", &index) || index >= entry->n_files ||
	    !parse_time(object, "time", &time) ||
	    !parse_time(object, "change_time", &change_time) ||
	    !pmr_journal_parse_mark_word(object, &mark))
		return -EBADMSG;
	ret = parse_boot(object, entry, &boot);
	if (ret)
		return ret;
	file = &entry->files[index];
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		piece = pmr_document_number(json_object_array_get_idx(list, i), &position)
				? pmr_journal_find_piece(file, position)
				: NULL;
		if (!piece)
			return -EBADMSG;
		/* what a power cut left there is not said to be anything by opening it again */
		piece->boot =
			piece->mark == PMR_MARK_OPEN && mark == PMR_MARK_OPEN && piece->boot != boot
				? PMR_BOOT_MIXED
				: boot;
		piece->mark = mark;
		piece->marked = time;
	}
	file->change_time = change_time;
	file->boot = boot;
	entry->written |= mark != PMR_MARK_NONE;
	return 0;
}
