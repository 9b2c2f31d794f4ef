#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# oracle.sh: the checks of the random trees can fail: each kind of wrong report or wrong repair is found.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q -f -K -d size=80m -m reflink=1 "$PMEM" >/dev/null
mount -t xfs -o dax "$PMEM" $mnt
$TREE make 1 $mnt /tmp/copy >/dev/null && $TREE poison 1 $mnt "$PMEM" 110 /tmp/expect >/tmp/list || exit 99
inject /tmp/list

"$PMEM_RECOVER" scan $mnt >/tmp/right.json 2>/dev/null
check "the scan as it is: right" $TREE check-scan /tmp/expect /tmp/right.json

# wrong WHAT FILTER: the same report with one thing changed.
wrong() {
	jq "$2" /tmp/right.json >/tmp/wrong.json
	check "the scan, $1: wrong" eval '! cmp -s /tmp/right.json /tmp/wrong.json && ! $TREE check-scan /tmp/expect /tmp/wrong.json'
}

lost='[.files | to_entries[] | select(any(.value.ranges[]; .state == "lost")) | .key][3]'
wrong "a range left out" "($lost) as \$i | .files[\$i].ranges |= .[1:]"
wrong "a sector too long" "($lost) as \$i | .files[\$i].ranges[0].length += 512"
wrong "a byte too long" "($lost) as \$i | .files[\$i].ranges[0].length += 1"
wrong "a page off" "($lost) as \$i | .files[\$i].ranges[0].offset += 4096"
wrong "elsewhere on the device" "($lost) as \$i | .files[\$i].ranges[0].device_offset += 4096"
wrong "a range twice" "($lost) as \$i | .files[\$i].ranges += [.files[\$i].ranges[0]]"
wrong "another state" "($lost) as \$i | .files[\$i].ranges[0].state = \"unwritten\""
wrong "a file left out" "($lost) as \$i | del(.files[\$i])"
wrong "another file" "($lost) as \$i | .files[\$i].path = \"/mnt/none\" | del(.files[\$i].path_base64)"
wrong "another inode" "($lost) as \$i | .files[\$i].inode += 1"
wrong "a hard link left out" '(first(.files[] | select(.links != [])) | .links) = []'
wrong "unwritten blocks lost" '(first(.files[].ranges[] | select(.state == "unwritten")) | .state) = "lost"'
wrong "blocks past the end lost" '(first(.files[].ranges[] | select(.state == "past_eof")) | .state) = "lost"'
wrong "free space that is a file" '(first(.devices[0].badblocks.ranges[] | select(.owner == "free")) | .owner) = "file"'
wrong "another exit status" '.exit_status = 0'
wrong "one byte more in the summary" '.summary.lost_bytes += 1'

"$PMEM_RECOVER" repair --yes --from-backup=/tmp/copy $mnt >/tmp/right.json 2>/dev/null
repaired() { $TREE check-repair /tmp/copy $mnt /tmp/expect "${1:-/tmp/right.json}"; }
check "the repair as it is: right" repaired

# A file without poison that is left, so that it can be changed and put back; without a capability, as writing drops it.
file=$(find $mnt -type f -name 'p*' -size +8k | sort | while read -r one; do
	[ ! -f "$one" ] || [ -n "$(getcap "$one")" ] || { echo "$one"; break; }
done)
cp -p "$file" /tmp/file
attributes=$(stat -c %a "$file")
caught() { check "the repair, $1: wrong" eval '! repaired'; }
printf x | dd of="$file" bs=1 seek=5000 conv=notrunc status=none
caught "one byte of a file changed"
# In place: new blocks might be ones that are poisoned and free.
dd if=/tmp/file of="$file" bs=4096 conv=notrunc status=none
chmod 7777 "$file"
caught "another mode"
chmod "$attributes" "$file"
truncate -s +1 "$file"
caught "a byte longer"
truncate -s -1 "$file"
setcap cap_sys_admin=ep "$file"
caught "a capability more"
setcap -r "$file"
poison "$PMEM" "$(sector_of "$file" 0)"
caught "a sector still bad"
dd if=/tmp/file of="$file" bs=4096 count=1 conv=notrunc status=none
check "all put back: right" repaired
jq '(first(.files[].ranges[] | select(.state == "skipped")) | .reason) = "in-use"' /tmp/right.json >/tmp/wrong.json
check "the repair, skipped for another reason: wrong" eval '! repaired /tmp/wrong.json'
jq '(first(.files[].ranges[] | select(.state == "skipped")) | .state) = "repaired"' /tmp/right.json >/tmp/wrong.json
check "the repair, said to be whole: wrong" eval '! repaired /tmp/wrong.json'
unmount
finish
