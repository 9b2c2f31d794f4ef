#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# two-runs.sh: two repairs of one device at once: the second is told who holds the lock.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
mount_fs ext4
# Long enough to be met at work.
make_file first 4000000 1
base=$(file_sector first 0)
for ((n = 0; n < 300; n++)); do
	echo "$((base + 16 * n)) 1"
done >/tmp/list
inject /tmp/list
make_file second 50000 2
poison_file second 20000
# has_lock PID: whether a process holds a lock of flock(2). Asks nobody for the lock, which would be in the way of who wants it.
has_lock() {
	local line
	while read -r line; do
		[[ $line != *FLOCK*WRITE\ $1\ * ]] || return 0
	done </proc/locks
	return 1
}

"$PMEM_RECOVER" repair --yes --from-backup=$backup/first $mnt/first >/tmp/first.json 2>/tmp/first.err &
first_run=$!
until has_lock $first_run || ! kill -0 $first_run; do :; done
pause $first_run
check "the first is at work" kill -0 $first_run
before=$(badblocks "$PMEM" | wc -l)

repair --from-backup=$backup/second $mnt/second
check "the second: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
says "the second is told who holds the lock" "${PMEM##*/}: .*[^0-9]$first_run([^0-9]|$)"
report "the second wrote nothing" 'all(.files[].ranges[]; .state != "repaired" and .state != "failed") and any(.messages[]; .code == "device-locked")'
check "the list is as it was" [ "$(badblocks "$PMEM" | wc -l)" = "$before" ]

kill -CONT $first_run
wait $first_run
check "the first ended well" [ $? = 1 ]
check "its file is whole" same first
repair --from-backup=$backup $mnt
status_is 1 "the second again, later"
check "the list is empty" clean
check "its file is whole" same second
unmount
finish
