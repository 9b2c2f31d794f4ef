#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scrub.sh: what the kernel dropped of a list that was full is in doubt until a scrub, is found by it, and is repaired.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

scrub=/sys/bus/nd/devices/ndbus0/nfit/scrub

rm -rf "${journals:?}"/*
recover scan --scrub
status_is 8 "a bus that tells of no scrubs"
report "it is said, and what to do" 'any(.messages[]; .code == "scrub-unsupported" and (.text | contains("read")))'

check "a bus with a scrub" module_again dimms=1
use_pmem fsdax
mount_fs ext4
make_file f 8000000
base=$(file_sector f 0)

# ---- 600 ranges, and nobody is notified again; what is not cleared cannot be read

for ((n = 0; n < 600; n++)); do
	echo "$((base + 24 * n)) 1"
done >/tmp/list
pmem_disk "$PMEM"
check "poison" "$TREE" inject /tmp/list $pmr_parameters/latent "$(region_offset 0)"
inject /tmp/list
repair --from-backup=$backup $mnt
check "what the kernel kept: exit status 9 ($status)" [ "$status" = 9 ]
report "it is repaired, in two rounds" '([.files[].ranges[].state] | length == 512 and all(.[]; . == "repaired")) and ([.messages[] | select(.code == "repair-round")] | length == 1)'
check "the list is empty" clean
check "and the file is not whole" eval '! same f'
recover scan $mnt
status_is 8 "scan: nothing is listed, and that is no news"
report "scan: why" '.files == [] and (.devices[0].badblocks | .count == 0 and .reason == "was-full")'

module_set scrub_ms 300
recover scan --scrub $mnt
status_is 4 "scan --scrub"
report "what the kernel had dropped is there, and no doubt" '([.files[].ranges[].length] | add) == 88 * 512 and .complete and (.devices[0].badblocks | .complete and .reason == null)'
repair --from-backup=$backup $mnt
status_is 1 "repair of that"
check "the file is whole" same f
check "nothing is listed" clean
recover scan $mnt
status_is 0 "scan: no doubt is left"
recover health
status_is 0 "health: no doubt is left"

# ---- other scrubs than our own

# Full once more; then cleared by somebody else, so that no repair saw that there was room.
inject /tmp/list
recover health
check "full: exit status has 12 ($status)" [ $((status & 12)) = 12 ]
rm -r $journals/lists
echo 1 >$scrub
while grep -q + $scrub; do sleep 0.1; done
until clean; do clear_all; done
recover scan $mnt
status_is 8 "a scrub that found the list full settles nothing"
module_set scrub_ms 15000
echo 1 >$scrub
recover scan --scrub $mnt
module_set scrub_ms 300
report "one that runs already is waited for" 'any(.messages[]; .code == "scrub-running")'
echo 1 >$scrub
while grep -q + $scrub; do sleep 0.1; done
recover scan $mnt
report "one that began when there was room does: no doubt" '.complete and .devices[0].badblocks.complete'
clear_all

# ---- of what lies below a volume

umount $mnt
modprobe dm_mod
dmsetup create volume --table "0 65536 linear $PMEM 0" && dmsetup mknodes
count=$(cat $scrub)
recover scan --scrub /dev/mapper/volume
check "of a volume: the bus of what is below it" [ "$(cat $scrub)" -gt "$count" ]
report "of a volume: nothing is unsupported" 'all(.messages[]; .code != "scrub-unsupported")'
dmsetup remove volume
mount "$PMEM" $mnt

# ---- what stops it

chmod 755 /tmp/stage
run setpriv --reuid=65534 --clear-groups "$PMEM_RECOVER" scan --scrub
check "nobody: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
report "nobody: it is said" 'any(.messages[]; .code == "scrub-refused" and (.text | contains("root")))'
module_set scrub_ms 60000
next_run
"$PMEM_RECOVER" scan --scrub $mnt >"$out" 2>"$err" </dev/null &
scan=$!
until grep -q + $scrub || [ ! -e /proc/$scan/fd/1 ]; do sleep 0.1; done
kill -TERM $scan
wait $scan
status=$?
report "interrupted: it is said" 'any(.messages[]; .code == "scrub-unfinished") and .exit_status == 8 and .complete == false'
check "interrupted: it goes on" grep -q + $scrub
recover scan --scrub "$mnt" --badblocks=/tmp/list
check "contradiction: exit status 16 ($status)" [ "$status" = 16 ]

umount $mnt
rm -rf "${journals:?}"/*
check "as it was" module_again
finish
