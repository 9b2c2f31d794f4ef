#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# devdax-odd.sh: the repair of a device-dax on a bus that clears much at a time, or too much; whose cells go bad again; and whose
# namespace is disabled in the middle of it.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

list=$run_files/poison
whole=$run_files/whole
# How long a clear takes where something is done in the middle of it, by programs that may be slow to start.
delay=4000

hurt() {
	printf '%s\n' "$@" >$list
	"$TREE" inject $list $pmr_parameters/inject "$dax_offset" && "$TREE" spoil "$DAX" $list
}

holds() { cmp <("$TREE" load "$DAX") $whole; }

all_are() { report "$1" "(.files[0].ranges | length) > 0 and all(.files[0].ranges[]; $2)"; }

# cleared N: until the bus is at the N-th clear since it had $count
cleared() {
	local n
	for ((n = 0; n < 200; n++)); do
		[ "$(module_get clear_count)" -lt $((count + $1)) ] || return 0
		sleep 0.1
	done
	return 1
}

rm -rf "${journals:?}"/*
module_again size=$((16 << 20)) || exit 99
check "there is a device" dax_setup --align=4096
[ -c "${DAX:-}" ] || finish
size=$(cat /sys/bus/dax/devices/dax0.0/size)
"$TREE" bytes 12 "$size" >$whole
"$TREE" store "$DAX" $whole

module_set clear_unit 65536
hurt '0 1' '130 2' '300 8' "$((size / 512 - 1)) 1"
repair --from-backup=$whole "$DAX"
status_is 1 "16 pages at a time"
check "16 pages at a time: every byte" holds
module_set clear_unit $((512 << 10))
hurt '300 1'
repair --from-backup=$whole "$DAX"
status_is 4 "too much at a time"
all_are "too much at a time" '.state == "skipped" and .reason == "clear-unit"'
module_set clear_unit 4096
module_set clear_mode partial
repair --from-backup=$whole "$DAX"
status_is 4 "the half of a page"
all_are "the half of a page" '.state == "failed" and .reason == "clear-failed"'
module_set clear_mode ok
module_set clear_unit 512
repair --from-backup=$whole "$DAX"
status_is 1 "and then all of it"
check "and then all of it: every byte" holds

# What was cleared is bad again, and is found to be so: by the list, or by nothing but the load.
hurt '400 1'
module_set returns 1
repair --from-backup=$whole "$DAX"
status_is 4 "it is listed again"
all_are "it is listed again" '.state == "failed" and .reason == "still-listed"'
module_set returns_latent 1
repair --from-backup=$whole "$DAX"
status_is 4 "it cannot be loaded"
all_are "it cannot be loaded" '.state == "failed" and .reason == "read-back-error"'
check "it cannot be loaded: its bytes are kept" [ "$(find $journals -name '*.journal' | wc -l)" = 1 ]
recover repair --yes --journal=$journals --resume
status_is 1 "it is cleared once more"
check "it is cleared once more: every byte" holds

# The namespace goes while its bus is at one of four clears: what is cleared by then is in the journal alone.
hurt '500 1' '5000 1' '9000 1' '9100 1'
module_set clear_delay_ms $delay
count=$(module_get clear_count)
"$PMEM_RECOVER" repair --yes --journal=$journals --from-backup=$whole "$DAX" >/dev/null 2>&1 &
pid=$!
check "disabled: at its first clear" cleared 1
ndctl disable-namespace namespace0.0 >/dev/null 2>&1
module_set clear_delay_ms 0
wait $pid
ended=$?
check "disabled: no signal ends it" [ $ended -lt 128 ]
ndctl enable-namespace namespace0.0 >/dev/null 2>&1
# Clear and unbinding exclude each other, but what is stored behind the clear may be there before the mapping goes.
if [ -n "$(find $journals -name '*.journal')" ]; then
	recover repair --yes --journal=$journals --resume
	status_is 1 "enabled again: it is finished"
else
	check "disabled: what was cleared had been stored" cmp -n 512 -i $((500 * 512)) <("$TREE" load "$DAX") $whole
	repair --from-backup=$whole "$DAX"
	status_is 1 "enabled again: what it had not come to"
fi
check "enabled again: every byte" holds

# Another namespace in its place is none of the journal's.
hurt '500 1'
module_set clear_delay_ms $delay
count=$(module_get clear_count)
"$PMEM_RECOVER" repair --yes --journal=$journals --from-backup=$whole "$DAX" >/dev/null 2>&1 &
check "another namespace: killed at a clear" cleared 1
kill -KILL %?repair
wait
module_set clear_delay_ms 0
check "another namespace" dax_setup --align=4096
"$TREE" load "$DAX" >$run_files/before
recover repair --yes --journal=$journals --resume
status_is 8 "another namespace: its journal waits for the other"
says "another namespace: its journal waits for the other" 'is not there in devdax mode'
check "another namespace: nothing was written" cmp <("$TREE" load "$DAX") $run_files/before
rm -f $journals/*.journal

# A file and a device-dax in one repair, and in one journal.
module_again size=$((64 << 20)) regions=2 || exit 99
ndctl create-namespace -f -e namespace0.0 -m fsdax --map=dev >/dev/null && ndctl create-namespace -f -e namespace1.0 -m devdax >/dev/null
PMEM=/dev/pmem0 DAX=/dev/dax1.0
mount_fs ext4
make_file f 40000
poison_file f 8192
dax_offset=$(((32 << 20) + $(cat /sys/bus/dax/devices/dax1.0/resource) - $(cat /sys/bus/nd/devices/region1/resource)))
hurt '700 1'
module_set clear_delay_ms $delay
count=$(module_get clear_count)
"$PMEM_RECOVER" repair --yes --journal=$journals --zero-fill $mnt "$DAX" >/dev/null 2>&1 &
check "a file and a device: killed at the device's clear" cleared 2
kill -KILL %?repair
wait
module_set clear_delay_ms 0
recover repair --yes --journal=$journals --resume
status_is 4 "a file and a device"
report "a file and a device: both have zeros" '([.files[].path] | sort) == ["/dev/dax1.0", "/mnt/f"] and all(.files[].ranges[]; .state == "zeroed")'
check "a file and a device: the file's" cmp -n 512 -i 8192:0 $mnt/f /dev/zero
check "a file and a device: the device's" cmp -n 512 -i $((700 * 512)):0 <("$TREE" load "$DAX") /dev/zero
check "a file and a device: the journal is done" [ -z "$(find $journals -name '*.journal')" ]
umount $mnt

module_again || exit 99
rm -rf /run/pmem-mode "${journals:?}"/*
finish
