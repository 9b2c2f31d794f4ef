#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long-lists.sh: more bad ranges than the kernel shows at once, and than it keeps.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

rm -rf ${journals:?}/*
# list FIRST LAST: a sector of every third block of the file
list() {
	local n
	for ((n = $1; n < $2; n++)); do
		echo "$((base + 24 * n)) 1"
	done >/tmp/list
}

use_pmem fsdax
mount_fs ext4
make_file f 8000000
base=$(file_sector f 0)

# ---- more than a page shows

list 0 490
inject /tmp/list
recover repair --dry-run --from-backup=$backup $mnt
check "dry run: exit status 8 ($status)" [ "$status" = 8 ]
report "dry run: that there may be more" 'any(.messages[]; .code == "more-may-come")'
repair --from-backup=$backup $mnt
check "one repair: exit status 9 ($status)" [ "$status" = 9 ]
check "all is repaired" same f
check "nothing is listed" clean
report "each of them once, in one file" '.files | length == 1 and (.[0].ranges | length == 490 and all(.[]; .state == "repaired") and ([.[].offset] | . == (sort | unique)))'
report "in two rounds" '[.messages[] | select(.code == "repair-round")] | length == 1'
report "the plans of both" '.plan | length == 2 and ([.[].steps | length] | add) == 490 and ([.[].steps[].lost_bytes] | add) == 490 * 512'
check "two journals" [ "$(find $journals -name "*.done" | wc -l)" = 2 ]
report "and still in doubt" '.devices[0].badblocks | .trust == "incomplete" and .count == 0'
rm -rf ${journals:?}/*
unmount
finish
