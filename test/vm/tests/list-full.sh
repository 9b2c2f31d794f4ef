#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# list-full.sh: a list that fills its page in sysfs: what is read of it is used, and said to be incomplete.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
mount_fs ext4
make_file f 4000000
base=$(file_sector f 0)
for ((n = 0; n < 500; n++)); do
	echo "$((base + 8 * n)) 1"
done >/tmp/list
inject /tmp/list
size=$(badblocks "$PMEM" | wc -c)
check "the kernel's file is cut ($size bytes)" [ "$size" -ge 4095 ]
lines=$(badblocks "$PMEM" | wc -l)

recover scan $mnt
check "scan: exit status has 8 and 4 ($status)" [ $((status & 12)) = 12 ]
report "scan: not complete" '.complete == false and .exit_status >= 8'
report "the list is incomplete, and why" '.devices[0].badblocks | .complete == false and .trust == "incomplete" and (.reason == "page-full" or .reason == "cut-line")'
report "no number is made of a cut line" "([.files[].ranges[].length] | add) <= 512 * $lines and ([.files[].ranges[] | .offset % 4096] | all(. == 0))"
report "it is said" 'any(.messages[]; .code == "badblocks-incomplete")'
recover health
check "health: exit status has 8 and 4 ($status)" [ $((status & 12)) = 12 ]
recover scan $mnt/f
check "scan of the file: exit status has 8 ($status)" [ $((status & 8)) = 8 ]

# The page that is not listed any more is still bad: a repair of the others must not call the file whole.
repair --from-backup=$backup $mnt
check "repair: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
report "repair: what was listed is repaired" '([.files[].ranges[] | select(.state == "repaired")] | length) > 400'
recover scan $mnt
report "later: the list is not full any more, and still in doubt" '.complete == false and .devices[0].badblocks.complete == false'
umount $mnt
while [ -n "$(badblocks "$PMEM")" ]; do
	clear_all
done

# The kernel may have dropped some: an empty list is no news of them, to no command.
recover health
status_is 8 "empty: health"
report "empty: and why" '.devices[0].badblocks | .trust == "incomplete" and .reason == "was-full" and .count == 0'
says "empty: what to do" 'once had, or may have had, more than the kernel keeps'
recover list
status_is 8 "empty: list"

# Who reads the whole device knows, and so do all that come after.
recover scan --read "$PMEM"
# What lies ahead of a device with an info block no read of it reaches: its region's list was full too.
[ "$kind" = module ] && expected=8 || expected=0
status_is $expected "read: scan --read"
report "read: the list is complete" '.devices[0] | .badblocks.trust == "complete" and .read.complete and .read.found_by_reading == 0'
recover list
status_is $expected "read: list"
report "read: its list is complete to others as well" '.devices[0].badblocks.complete'
finish
