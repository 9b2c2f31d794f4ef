#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# read-pmem.sh: poison on PMEM that is in no list: scan --read finds it, whatever the kernel makes of what was consumed.
#
# needs: module own-guest
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
size=$(blockdev --getsize64 "$PMEM")

# A file with two latent sectors in one page and one in another, and a sector of the free space behind it.
prepare() {
	mount_fs "$1"
	make_file f 100000
	begin=$(file_sector f 0)
	free=$((size / 512 - 64))
	latent "$PMEM" $((begin + 9)) 2
	latent "$PMEM" $((begin + 100))
	latent "$PMEM" $free
	module_set touch "$2"
}

# lost TEXT RANGES: what files lost, according to the last report
lost() { report "$1" "[.files[].ranges[] | select(.state == \"lost\") | [.offset, .length, .reason]] == $2"; }

is_told() {
	status_is 4 "$1: scan --read"
	report "$1: what was read" ".devices[0].read | .complete and .bytes == $size and .found_by_reading >= 2048"
	says "$1: it says so" "cannot be read and were in no list"
}

# Nobody learns of it but who reads: the list of the run has it, the kernel's has not.
prepare ext4 nothing
recover scan $mnt
status_is 0 "latent: no scan knows of it"
recover scan --read $mnt
is_told latent
lost "latent: exactly that is lost" '[[4608, 1024, null], [51200, 512, null]]'
check "latent: it is in no list of the kernel's" clean
# An interrupt ends the reading, and what was found by then has its file.
next_run
last="scan --read --read-rate=32M, interrupted"
"$PMEM_RECOVER" scan --read --read-rate=32M $mnt >"$out" 2>"$err" </dev/null &
while kill -0 $! 2>/dev/null && read -r _ bytes <"/proc/$!/io" && [ "$bytes" -lt $(((begin + 4096) * 512)) ]; do
	sleep 0.05
done
kill -TERM $!
wait $!
status=$?
status_is 12 "latent: interrupted"
lost "latent: interrupted: the file is told" '[[4608, 1024, null], [51200, 512, null]]'
report "latent: interrupted: not all was read" ".devices[0].read | (.complete | not) and .bytes < $size"
recover scan --read $mnt/f
report "latent: of the file alone its extents are read" '.devices[0].read | .complete and .bytes < 200000 and .found_by_reading == 1536'
cp "$out" /tmp/scan.json
repair --dry-run --ranges=/tmp/scan.json --from-backup=$backup $mnt/f
status_is 0 "latent: a report of what was read is enough for a repair"
report "latent: which takes it for what fails now, and not for records that vanished" \
	'.files[0].ranges | map([.offset, .length, .vanished, .reason]) == [[4608, 1024, false, null], [51200, 512, false, null]]'
recover salvage --read -o /tmp/copy $mnt/f
status_is 4 "latent: salvage --read"
report "latent: it loses that and no more" '.summary.lost_bytes == 1536'
# This kernel clears what it knows of, and no more: a write heals nothing here, and that is said.
repair --read --from-backup=$backup $mnt/f
status_is 4 "latent: a repair"
report "latent: is of no avail, and says so" '.summary.repaired_bytes == 0'
says "latent: and what would be" "in no list of the kernel's.*scan --scrub.*repair again"
module_set scrub 1
repair --from-backup=$backup $mnt/f
status_is 1 "latent: after a scrub it is repaired"
check "latent: and is the backup" same f
unmount

# What NFIT does: the kernel learns of it by the read, and then a repair is as ever.
prepare ext4 record
repair --read --from-backup=$backup $mnt
status_is 1 "record: repair --read"
report "record: all of it" '.summary.repaired_bytes == 1536 and .summary.lost_bytes == 0 and .devices[0].read.found_by_reading == 2048 and
	.devices[0].read.ranges == []'
check "record: it is the backup" same f
unmount

# Through a volume, of which there is no list but that of what is below.
modprobe dm_mod
check "volume" eval "dmsetup create volume --table '0 131072 linear $PMEM 2048' && dmsetup mknodes"
make_fs ext4 /dev/mapper/volume $mnt -E nodiscard || exit 99
make_file f 100000
begin=$((2048 + $(file_sector f 0)))
latent "$PMEM" $((begin + 9)) 2
module_set touch nothing
recover scan /dev/mapper/volume
status_is 0 "volume: no scan knows of it"
recover scan --read /dev/mapper/volume
status_is 4 "volume: scan --read"
lost "volume: its file is named" '[[4608, 1024, null]]'
report "volume: it was read, all of it" '[.devices[] | select(.volume == "volume") | .read | .complete, .bytes, .found_by_reading] == [true, 67108864, 1024]'
report "volume: and what is below" "[.files[].ranges[].lower[] | [.device, .device_offset]] == [[\"${PMEM##*/}\", $(((begin + 9) * 512))]]"
check "volume: it is in no list of the kernel's" clean
module_set touch record
repair --read --from-backup=$backup $mnt
status_is 1 "volume: repair --read"
report "volume: all of it" '.summary.repaired_bytes == 1024 and .summary.lost_bytes == 0'
check "volume: it is the backup" same f
check "volume: the list below is empty" clean
unmount
dmsetup remove volume

# And where the page goes with it, its siblings are told as what they are.
prepare xfs machine_check
recover scan --read $mnt
is_told machine_check
report "machine_check: pages that are offline are told" '[.files[].ranges[] | select(.reason == "page-offlined") | .length] | add == 8192'
report "machine_check: and nothing else is lost" '.summary.lost_bytes == 8192 and .devices[0].read.ranges == []'
finish
