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
mkdir $mnt/first $backup/first
for n in {1..40}; do
	make_file "first/f$n" 50000 "$n"
	poison_file "first/f$n" 20000
done
make_file second 50000 41
poison_file second 20000
lock=/run/pmem-recover/${PMEM##*/}.lock

"$PMEM_RECOVER" repair --yes --from-backup=$backup/first $mnt/first >/tmp/first.json 2>/tmp/first.err &
first_run=$!
for _ in {1..3000}; do
	[ ! -e "$lock" ] || flock -n "$lock" true || break
	sleep 0.01
done
kill -STOP $first_run
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
for n in {1..40}; do
	same "first/f$n" >/dev/null || not_ok "first/f$n differs"
done
repair --from-backup=$backup $mnt
status_is 1 "the second again, later"
check "the list is empty" clean
check "its file is whole" same second
unmount
finish
