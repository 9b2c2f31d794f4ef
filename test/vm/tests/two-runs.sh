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
for n in {1..40}; do
	make_file "f$n" 50000 "$n"
	poison_file "f$n" 20000
done
lock=/run/pmem-recover/${PMEM##*/}.lock

"$PMEM_RECOVER" repair --yes --from-backup=$backup $mnt >/tmp/first.json 2>/tmp/first.err &
first_run=$!
for _ in {1..3000}; do
	[ ! -e "$lock" ] || flock -n "$lock" true || break
	sleep 0.01
done
kill -STOP $first_run
check "the first is at work" kill -0 $first_run
before=$(badblocks "$PMEM" | wc -l)

repair --from-backup=$backup $mnt
check "the second: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
says "the second is told who holds the lock" "${PMEM##*/}: .*[^0-9]$first_run([^0-9]|$)"
report "the second wrote nothing" 'all(.files[].ranges[]; .state != "repaired" and .state != "failed") and any(.messages[]; .code == "device-locked")'
check "the list is as it was" [ "$(badblocks "$PMEM" | wc -l)" = "$before" ]

kill -CONT $first_run
wait $first_run
check "the first ended well" [ $? = 1 ]
check "the list is empty" clean
for n in {1..40}; do
	same "f$n" >/dev/null || not_ok "f$n differs"
done
poison_file f1 20000
repair --from-backup=$backup $mnt
status_is 1 "a third, later"
unmount
finish
