#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# verity.sh: what fs-verity checks a file by lies behind its end, and takes data with it when it is lost.
#
# needs: once
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
mount_fs ext4 -O verity
umount $mnt
# no file is both sealed and DAX
mount "$PMEM" $mnt
make_file sealed 2000000 1
check "it is sealed" "$TREE" seal $mnt/sealed
umount $mnt
mount "$PMEM" $mnt
# the tree begins at the next 64 KiB
end=$(((2000000 + 65535) / 65536 * 65536))
sector=$(file_sector sealed $end)
check "the tree's place is known (${sector:-none})" [ "${sector:-0}" -gt 0 ]
"$TREE" scramble "$PMEM" "$sector" 1
poison "$PMEM" "$sector"

for target in $mnt $mnt/sealed; do
	recover scan $target
	status_is 4 "scan $target"
	report "$target: it is metadata of the file" '.files == [] and ([.devices[0].badblocks.ranges[] | [.owner, .part, .path]] == [["metadata", "verity", "'$mnt'/sealed"]])'
	report "$target: what it means" 'any(.messages[]; .code == "verity-lost" and .object == "'$mnt'/sealed")'
done
recover locate "$PMEM" $((sector * 512))+512
report "locate" '[.places[] | [.owner, .part, .path]] == [["metadata", "verity", "'$mnt'/sealed"]]'
recover map $mnt/sealed
status_is 4 "map"
check "its data cannot be read" eval "! cat $mnt/sealed >/dev/null 2>&1"
repair --from-backup=$backup $mnt
status_is 4 "repair"
report "repair: nothing to write" '.journal == null'

# ahead of the tree nothing is the seal's: the rest of the last page is as that of any file
clear_all
sector=$(file_sector sealed 2000896)
check "the tail's place is known (${sector:-none})" [ "${sector:-0}" -gt 0 ]
poison "$PMEM" "$sector"
for target in $mnt $mnt/sealed; do
	recover scan $target
	status_is 0 "scan $target: poison in the tail"
	report "$target: no metadata, and its last page cannot be read" '([.messages[].code] | index("verity-lost") == null and index("tail-unreadable") != null) and [.files[].ranges[].state] == ["past_eof"]'
done
recover map $mnt/sealed
status_is 0 "map: poison in the tail"
unmount
finish
