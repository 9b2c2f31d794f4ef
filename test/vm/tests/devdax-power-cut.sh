#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# devdax-power-cut.sh: the power goes at each clear of the repair of a device-dax, between the clear and the store that follows.
# After each boot it is resumed from its journal, with no image: every byte must be there. One resume is cut, too.
#
# needs: module own-guest reset
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

# on the disk: the next cut, whether its resume was cut already, how many went well
state=$journals/state
whole=$journals/whole
list=$run_files/poison
bytes=$((1 << 20))

# A sector is cleared at a time, at each of the 4 clears; or the page around it, at the first two, and after the second cut the
# resume is cut at its second clear, too.
unit=512 cuts=4 cut_again=
[ $kernel != 6.1 ] || unit=4096 cuts=2 cut_again=2
name="$name unit $unit boot $PMR_BOOT"

holds() { cmp <("$TREE" load "$DAX" 2>/dev/null | head -c $bytes) $whole; }

damage() {
	printf '%d %d\n' 10 1 100 3 1000 8 1501 1 >$list
	"$TREE" inject $list $pmr_parameters/inject "$dax_offset" && "$TREE" spoil "$DAX" $list
}

# lose_power N COMMAND...: does not come back
lose_power() {
	module_set clear_unit $unit
	module_set reset_on_clear "$1"
	shift
	echo "$cut $resumed $good" >$state
	sync
	flush_output
	"$@"
	not_ok "the power did not go: exit status $status"
	show_run
	finish
}

begin() {
	check "there is a device" dax_setup
	"$TREE" bytes 11 $bytes >$whole
	"$TREE" store "$DAX" $whole
	cut=1 resumed=no good=0
}

again() {
	local n
	read -r cut resumed good <$state
	modprobe -a dax_pmem device_dax
	ndctl enable-namespace namespace0.0 >/dev/null 2>&1
	DAX=/dev/dax0.0
	for ((n = 0; n < 100; n++)); do
		[ ! -c $DAX ] || break
		sleep 0.1
	done
	dax_offset=$(($(cat /sys/bus/dax/devices/dax0.0/resource) - $(cat /sys/bus/nd/devices/region0/resource)))
}

is_whole() { holds && [ -z "$(cat /sys/bus/nd/devices/region0/badblocks)" ] && ! ls $journals/*.journal 2>/dev/null; }

resume() { recover repair --yes --journal=$journals --resume; }

recovered() {
	if [ "$cut" = "$cut_again" ] && [ "$resumed" = no ]; then
		resumed=yes
		lose_power 2 resume
	fi
	module_set clear_unit $unit
	check "cut at clear $cut: something is wrong" eval '! holds'
	resume
	if [ "$status" = 1 ] && is_whole >/tmp/why 2>&1; then
		good=$((good + 1))
	else
		not_ok "cut at clear $cut: exit status $status: $(head -n 3 /tmp/why)"
		cat /sys/bus/nd/devices/region0/badblocks
		ls $journals
		show_report
	fi
	cut=$((cut + 1)) resumed=no
	rm -f $journals/*.done
}

if [ "$PMR_BOOT" = 1 ]; then
	begin
else
	again
	recovered
fi
if [ $cut -le $cuts ] && [ $failures = 0 ]; then
	damage || not_ok "no poison"
	lose_power $cut repair --from-backup=$whole "$DAX"
fi
check "no cut did harm" [ "$good" = $cuts ]
echo "figure devdax-power-cut: $good of $cuts $kernel"
finish
