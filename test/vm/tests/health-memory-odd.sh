#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# health-memory-odd.sh: health's memory damaged, full, read-only, not to be read; other runs at work.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

lists=$journals/lists
rm -rf $lists
use_pmem fsdax
disk=${PMEM##*/}
mount_fs ext4
make_file f 100000
poison_file f 50000
byte=$(($(file_sector f 50000) * 512))

# ---- the file

recover health
status_is 4 "badblocks"
list=$(echo $lists/*)
head -c 40 "$list" >/tmp/cut
cp /tmp/cut "$list"
recover health
status_is 12 "cut: what was remembered is not known"
report "cut: it is said" 'any(.messages[]; .code == "memory-malformed") and .vanished == null'
check "cut: it is set aside" cmp /tmp/cut "$list.bad"
recover health
status_is 4 "cut: and then forgotten"
report "cut: and then forgotten" '.vanished == []'
head -c 100000 /dev/urandom >"$list"
recover health
check "random bytes: exit status 12 ($status)" [ $status = 12 ]
clear_all
recover health
status_is 8 "after random bytes: remembered again"
recover health --acknowledge="$disk"
status_is 0 "acknowledged"

# ---- the directory: full, read-only, closed

mkdir /tmp/small
mount -t tmpfs -o size=16k tmpfs /tmp/small
mount --bind /tmp/small $journals
poison_file f 50000
recover health
status_is 4 "small"
list=$(echo $lists/*)
dd if=/dev/zero of=$journals/filler bs=4096 status=none 2>/dev/null
cp "$list" /tmp/kept
poison_file f 90000
recover health
status_is 4 "full"
report "full: it is said" 'any(.messages[]; .code == "memory-not-kept" and .level == "warning") and .remembered == false'
check "full: what was remembered is as it was" cmp /tmp/kept "$list"
check "full: nothing else is left" [ "$(ls -A $lists | wc -l)" = 1 ]
clear_all
recover health
status_is 8 "full: what vanished is told"
mount -o remount,bind,ro $journals
recover health
status_is 8 "read-only: what vanished is told"
report "read-only" ".vanished[0].id == \"$disk@$byte\" and .remembered == false and all(.messages[]; .code != \"memory-not-kept\" or .level == \"info\")"
recover health --acknowledge="$disk"
check "read-only: cannot be acknowledged ($status)" [ $status = 8 ]
report "read-only: cannot be acknowledged" '(.vanished | length) == 1 and any(.messages[]; .code == "not-acknowledged")'
umount $journals
umount /tmp/small
recover health
status_is 0 "another directory, another memory"

chmod 755 /tmp/stage
poison_file f 50000
recover health
status_is 4 "badblocks"
run setpriv --reuid=65534 --clear-groups "$PMEM_RECOVER" health
check "not root: badblocks are told ($status)" [ $((status & 4)) = 4 ]
report "not root: what vanished is not known" '.vanished == null and .remembered == false'
check "not root: and no warning" eval '! grep -q "pmem-recover/lists\|remembered" $err'
clear_all
rm -rf $lists

# ---- others at work

umount $mnt
mount_fs ext4
make_file f 4000000
base=$(file_sector f 0)
for ((n = 0; n < 300; n++)); do
	echo "$((base + 16 * n)) 1"
done >/tmp/list
inject /tmp/list
for n in 1 2 3 4; do
	"$PMEM_RECOVER" health >/tmp/health.$n 2>/dev/null &
done
wait
recover health
check "four at once: all remembered" [ "$(grep -c '^[0-9]' "$list")" = 300 ]
status_is 4 "four at once"

# start_repair SIGNAL: a repair that gets the signal at the 150th of its 300 writes to the file
start_repair() {
	strace -qq -o /dev/null -P $mnt/f -e trace=pwritev2 -e inject=pwritev2:signal="$1":when=150 \
		"$PMEM_RECOVER" repair --yes --from-backup=$backup $mnt >/tmp/first.json 2>/tmp/first.err &
	tracer=$!
}
start_repair SIGSTOP
until [ "$(badblocks "$PMEM" | wc -l)" -le 150 ] || ! kill -0 $tracer; do
	sleep 0.1
done
repairing=$(pgrep -P $tracer)
left=$(badblocks "$PMEM" | wc -l)
check "a repair at work: in the middle ($left left)" [ "$left" -gt 0 -a "$left" -lt 300 ]
recover health
report "a repair at work: nothing vanished" '.vanished == []'
kill -CONT $repairing
wait $tracer
check "the repair ended well" [ $? = 1 ]
recover health
status_is 0 "after the repair"
check "after the repair: nothing is remembered" [ ! -e "$list" ]

inject /tmp/list
recover health
start_repair SIGKILL
wait $tracer
left=$(badblocks "$PMEM" | wc -l)
check "a repair that dies: in the middle ($left left)" [ "$left" -gt 0 -a "$left" -lt 300 ]
recover health
check "a repair that dies: exit status 12 ($status)" [ $status = 12 ]
report "a repair that dies: what it cleared is told" "(.vanished | length) == $((300 - left))"
rm -f $journals/*.journal
repair --from-backup=$backup $mnt
status_is 1 "the rest is repaired"
recover health
status_is 8 "the rest is repaired: what vanished is still told"
report "the rest is repaired: what vanished is still told" "(.vanished | length) == $((300 - left))"
recover health --acknowledge="$disk"
status_is 0 "acknowledged"
unmount
rm -rf $lists
finish
