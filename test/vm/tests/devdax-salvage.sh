#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# devdax-salvage.sh: a copy of a device-dax has every byte but what is bad, known or met; it goes on where it stopped.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

copy=/tmp/copy
map=/tmp/map
list=$run_files/poison
whole=$run_files/whole

# begin OPTION...: a device with bytes, and a list of poison in it that spoils them; sets wanted, as pairs for jq
begin() {
	check "there is a device" dax_setup "$@"
	[ -c "${DAX:-}" ] || finish
	size=$(cat /sys/bus/dax/devices/dax0.0/size)
	"$TREE" bytes 7 "$size" >$whole
	check "bytes" "$TREE" store "$DAX" $whole
	# at both ends, pairs in a page, whole pages, and beyond
	printf '%d %d\n' 0 1 9 1 12 2 24 8 41 17 4096 1 $((size / 512 - 1)) 1 >$list
	check "poison" "$TREE" inject $list $pmr_parameters/inject "$dax_offset"
	check "what it had is gone" "$TREE" spoil "$DAX" $list
	wanted=$(awk '{ printf "%s[%d,%d]", n++ ? "," : "", $1 * 512, $2 * 512 }' $list)
}

# cut LIST FILE: what is lost, as zeros in a file
cut_out() {
	while read -r sector count; do
		dd if=/dev/zero of="$2" bs=512 seek="$sector" count="$count" conv=notrunc status=none || return
	done <"$1"
}

losses_are() { report "$1" "[.files[0].ranges[] | [.offset, .length]] == [$2] and all(.files[0].ranges[]; .state == \"lost\")"; }

module_again size=$((48 << 20)) || exit 99

name="devdax-salvage $kernel 2M"
begin
recover salvage "$DAX" -o $copy --mapfile=$map
status_is 4 "salvage"
losses_are "salvage: what is lost is what was listed" "$wanted"
report "salvage: and all else is rescued" ".salvage | .size == $size and .lost_bytes == $((512 * 31)) and .rescued_bytes + .lost_bytes == .size and .remaining_bytes == 0 and .path == \"$DAX\""
cut_out $list $whole
check "salvage: the copy has every other byte" cmp $copy $whole
check "salvage: the mapfile is one" ddrescuelog --show-status $map
check "salvage: it has as many lost bytes" [ "$(ddrescuelog --list-blocks=- --block-size=512 $map | wc -l)" = 31 ]
recover salvage "$DAX" -o $copy --mapfile=$map
status_is 4 "again"
report "again: it goes on where it was" '.salvage.resumed and .salvage.remaining_bytes == 0'
check "again: nothing of it changed" cmp $copy $whole
sed -i 's/^# pmem-recover filesystem: .*/# pmem-recover filesystem: 01234567-89ab-cdef-0123-456789abcdef/' $map
recover salvage "$DAX" -o $copy --mapfile=$map
status_is 8 "the mapfile of another namespace"
says "the mapfile of another namespace: it is said" 'mapfile|is not of'
rm -f $copy $map

# Poison that is in no list: the kernel does not map its page.
use_pmem raw
clear_all
name="devdax-salvage $kernel 4K"
begin --align=4096
printf '%d %d\n' 8005 2 16000 1 >$run_files/hidden
while read -r sector count; do
	module_set latent $((dax_offset + sector * 512)),$((count * 512))
done <$run_files/hidden
recover scan --read "$DAX"
status_is 4 "a scan that reads"
report "a scan that reads: finds what nobody knew of, and comes to its end" "[.devices[0].badblocks.ranges[] | [.offset, .length]] | contains([[$((8000 * 512)),4096],[$((16000 * 512)),4096]]) and length == 9"
recover salvage dax0.0 -o $copy --fill=0
status_is 4 "poison that nobody knew of"
losses_are "poison that nobody knew of: whole pages are lost, and no more" "$(printf '%s\n' "$wanted" | sed 's/,\[[0-9]*,512\]$//'),[$((8000 * 512)),4096],[$((16000 * 512)),4096],[$((size - 512)),512]"
report "poison that nobody knew of: the reason says so" "[.files[0].ranges[] | select(.length == 4096 and .offset > $((4096 * 512))) | .reason] == [\"page-offlined\", \"page-offlined\"]"
printf '%d 8\n' 8000 16000 >>$list
cut_out $list $whole
check "poison that nobody knew of: every other byte" cmp $copy $whole
rm -f $copy

# Somebody has it mapped: nobody can tell whether it changed.
hold_device "$DAX"
recover salvage "$DAX" -o $copy
status_is 4 "in use"
says "in use: it is said by whom" "is open or mapped by tree \($holder\)"
kill "$holder"
rm -f $copy

# Gone while nobody looks.
ndctl disable-namespace namespace0.0 >/dev/null 2>&1
recover salvage "$DAX" -o $copy
status_is 8 "a namespace that was disabled"
check "a namespace that was disabled: no copy was made" [ ! -e $copy ]
ndctl enable-namespace namespace0.0 >/dev/null 2>&1

module_again || exit 99
rm -f /run/pmem-mode
finish
