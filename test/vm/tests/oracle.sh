#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# oracle.sh: the checks of the random trees can fail: each kind of wrong report or wrong repair is found.
#
# needs: once
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

capability='write'
case $(uname -r) in *-flag*) capability=flag ;; esac
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

# With seed 1 the first is a sparse one, and the second has its losses filled.
mkdir /tmp/saved
check "the salvage as it is: right" $TREE salvage "$PMEM_RECOVER" 1 3 /tmp/copy /tmp/expect /tmp/saved $capability
cp -r /tmp/saved /tmp/as-it-is
# spoilt WHAT FILE COMMAND...: the same with one thing changed in one of its files.
spoilt() {
	local what=$1 number=${2%%.*}
	shift 2
	"$@"
	check "the salvage, $what: wrong" eval '! $TREE check-salvage /tmp/copy /tmp/expect /tmp/saved ${number#*-} $capability'
	cp --sparse=always /tmp/as-it-is/* /tmp/saved/
}
put() { printf '%b' "$3" | dd of="/tmp/saved/$1" bs=1 seek="$2" conv=notrunc status=none; }
of_map() { sed -i "$2" "/tmp/saved/$1"; }
other_report() { jq "$2" "/tmp/as-it-is/$1" >"/tmp/saved/$1"; }
spoilt "a byte changed" salvage-0.out put salvage-0.out 20 X
spoilt "a byte more" salvage-0.out truncate -s +1 /tmp/saved/salvage-0.out
spoilt "no hole" salvage-0.out cp --sparse=never /tmp/as-it-is/salvage-0.out /tmp/saved/
spoilt "a loss that is good in the map" salvage-0.map of_map salvage-0.map 's/-$/+/'
spoilt "an end missing in the map" salvage-0.map of_map salvage-0.map '$d'
spoilt "a loss left out of the report" salvage-0.json other_report salvage-0.json 'del(.files[0].ranges[0])'
spoilt "another exit status" salvage-0.json other_report salvage-0.json '.exit_status = 0'

"$PMEM_RECOVER" repair --yes --method=$capability --from-backup=/tmp/copy $mnt >/tmp/right.json 2>/dev/null
repaired() { $TREE check-repair /tmp/copy $mnt /tmp/expect "${1:-/tmp/right.json}" auto $capability; }
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
jq '(first(.files[].ranges[] | select(.state == "repaired")) | .method) = "punch"' /tmp/right.json >/tmp/wrong.json
check "the repair, by another method: wrong" eval '! repaired /tmp/wrong.json'
jq '.recovery.capability = "none"' /tmp/right.json >/tmp/wrong.json
check "the repair, on another kernel: wrong" eval '! repaired /tmp/wrong.json'
unmount
finish
