/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files that remember which lists were cut or full. */

#include "fuzz.h"
#include "memory/doubt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmr_doubt doubt, again;
	char *text;
	int ret;

	memset(&doubt, UNTOUCHED, sizeof(doubt));
	ret = pmr_doubt_parse((const char *)data, size, &doubt);
	if (ret) {
		check(ret == -EBADMSG);
		check(is_untouched(&doubt, sizeof(doubt)));
		return 0;
	}
	understood();
	check(pmr_doubt_is(&doubt));
	check(strlen(doubt.boot) < sizeof(doubt.boot));
	check(doubt.has_room || !doubt.room);
	text = pmr_doubt_format(&doubt, "pmem0");
	check(text);
	check(!pmr_doubt_parse(text, strlen(text), &again));
	check(again.list == doubt.list && again.region == doubt.region);
	check(!strcmp(again.boot, doubt.boot));
	check(again.has_room == doubt.has_room && again.room == doubt.room);
	free(text);
	return 0;
}
