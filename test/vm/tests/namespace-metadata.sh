#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# namespace-metadata.sh: poison in a namespace's own info block and page map, which only the region's list tells.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
mount_fs ext4
make_file f 100000
recover list
data_offset=$(jq '.devices[0].data_offset' $out)
check "there is an info block ahead of the data ($data_offset)" [ "$data_offset" -gt 0 ]

module_set inject $((data_offset - 4096)),1024
check "the device's own list has nothing of it" clean
recover list
report "list: two sectors of metadata" ".devices[0].metadata_badblocks | .complete and .count == 1 and .bytes == 1024 and .ranges[0].offset == $((data_offset - 4096))"
report "list: and none of the device" '.devices[0].badblocks.count == 0'
recover health
status_is 4 "health"
recover scan "$PMEM"
status_is 4 "scan of the device"
recover scan $mnt
report "scan: no file is said to have lost anything" 'all(.files[]; .ranges == [])'
report "scan: it is said" 'any(.messages[]; .code == "namespace-metadata")'

# Both at once: the region's list is not mistaken for the device's.
poison_file f 50000
recover scan $mnt
status_is 4 "with a file's"
report "the file's loss alone is the file's" '[.files[].ranges[] | [.offset, .length]] == [[49664, 512]]'
repair --from-backup=$backup $mnt
report "the file is repaired" 'all(.files[].ranges[]; .state == "repaired")'
check "the file is whole" same f
unmount
# A raw namespace reaches all of the region.
use_pmem raw
clear_all
check "all of it is cleared" [ -z "$(cat /sys/bus/nd/devices/region0/badblocks)" ]
finish
