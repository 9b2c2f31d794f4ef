#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# devdax.sh: poison in a device-dax is told in its own offsets, by every name and address that leads there.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

# random_poison N: a list of "sector count" of the device, sorted, none touching the next; in $run_files/poison
random_poison() {
	local n sector=$((RANDOM % 2048))
	for ((n = 0; n < $1; n++)); do
		echo "$sector $((n % 4 ? 1 : 1 + RANDOM % 16))"
		sector=$((sector + 17 + (RANDOM << 5 | RANDOM & 31) % 24000))
	done >$run_files/poison
}

RANDOM=${SEED:-20261130}
targets=(/dev/dax0.0 dax0.0 namespace0.0 "")
for options in "--map=dev" "--map=mem --align=4096"; do
	name="devdax $kernel $options"
	rm -f /run/pmem-mode
	# shellcheck disable=SC2086 # words
	check "there is a device" dax_setup $options
	[ -c "${DAX:-}" ] || break
	recover scan "$DAX"
	status_is 0 "nothing is bad"
	report "nothing is bad" '.files == [] and .devices[0].badblocks.count == 0 and .complete'

	random_poison 30
	check "poison" "$TREE" inject $run_files/poison $pmr_parameters/inject "$dax_offset"
	wanted=$(awk '{ printf "%s[%d,%d]", n++ ? "," : "", $1 * 512, $2 * 512 }' $run_files/poison)
	for target in "${targets[@]}"; do
		# shellcheck disable=SC2086 # none is everything
		recover scan $target
		status_is 4 "scan ${target:-of everything}"
		report "scan ${target:-of everything}: exactly what was injected" "[.devices[0].badblocks.ranges[] | [.offset, .length]] == [$wanted]"
		report "scan ${target:-of everything}: it is the device's" 'all(.devices[0].badblocks.ranges[]; .owner == "device")'
		report "scan ${target:-of everything}: all of it is lost" "(.files | length) == 1 and (.files[0] | .path == \"$DAX\" and .complete and .dax and .filesystem_uuid == null and .size > 0) and ([.files[0].ranges[] | [.offset, .length]] == [$wanted]) and all(.files[0].ranges[]; .state == \"lost\" and .device == \"dax0.0\" and .offset == .device_offset)"
		report "scan ${target:-of everything}: it is the whole answer" '.complete and any(.messages[]; .code == "device-data-lost")'
	done
	recover scan --human
	check "for people: what is lost" grep -q "$DAX.*lost" $out

	read -r sector _ <$run_files/poison
	recover locate "$DAX" $((sector * 512 - 1024))+2048
	status_is 0 "locate"
	report "locate: of the device, and how much of it is bad" ".places | length == 1 and (.[0] | .owner == \"device\" and .device == \"dax0.0\" and .base == \"device\" and .offset == $((sector * 512 - 1024)) and .bad_bytes >= 512 and .address - .offset == $((0x40000000 + dax_offset)))" 
	recover locate --address="$(printf %x $((0x40000000 + dax_offset + sector * 512)))"
	status_is 0 "locate an address"
	report "locate an address: the device's offset" ".places[0] | .owner == \"device\" and .offset == $((sector * 512)) and .bad_bytes == 1"
	targets=("$DAX")
	use_pmem raw
	clear_all
done
finish
