#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# devdax-repair.sh: a device-dax is cleared by its bus and stored anew, byte by byte what it was; what cannot be is left.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

list=$run_files/poison
whole=$run_files/whole
now=$run_files/now

# hurt LINE...: poison sectors, "sector count", and spoil what they had
hurt() {
	printf '%s\n' "$@" >$list
	"$TREE" inject $list $pmr_parameters/inject "$dax_offset" && "$TREE" spoil "$DAX" $list
}

holds() { "$TREE" load "$DAX" >"$now" && cmp "$now" "$1"; }

unlisted() { [ -z "$(cat /sys/bus/nd/devices/region0/badblocks)" ]; }

all_are() { report "$1" "(.files[0].ranges | length) > 0 and all(.files[0].ranges[]; $2)"; }

rm -rf "${journals:?}"/*
module_again size=$((16 << 20)) || exit 99
check "there is a device" dax_setup
[ -c "${DAX:-}" ] || finish
size=$(cat /sys/bus/dax/devices/dax0.0/size)
"$TREE" bytes 9 "$size" >$whole
"$TREE" store "$DAX" $whole

# More than is written at once; but kernels before 6.7 get ranges above 512 sectors wrong.
long=700
[ "$kernel" != 6.1 ] || long=500
check "poison" hurt '0 1' '9 1' '12 2' '24 8' "41 $long" '4096 1' "$((size / 512 - 1)) 1"
repair --from-backup=$whole --dry-run "$DAX"
status_is 0 "dry run"
report "dry run: what would be done" ".plan[0] | .path == \"$DAX\" and .method == \"clear\" and ([.steps[] | .length] | add) == $((512 * (long + 14)))"
check "dry run: nothing was" [ "$(module_get clear_count)" = 0 ]
repair --from-backup=$whole "$DAX"
status_is 1 "from a backup"
all_are "from a backup: every range" '.state == "repaired" and .method == "clear" and .source == "backup"'
check "from a backup: every byte" holds $whole
check "from a backup: nothing is listed" unlisted
check "from a backup: the journal is done" [ "$(find $journals -name '*.done' | wc -l)" = 1 ]
recover health
status_is 0 "health: nothing vanished"

"$TREE" bytes 10 "$size" >$run_files/stale
hurt '100 1'
repair --from-backup=$run_files/stale "$DAX"
status_is 4 "another backup"
all_are "another backup" '.state == "skipped" and .reason == "stale-backup"'

# Neighbours that are cleared with it are stored as they were.
module_set clear_unit 4096
repair --from-backup=$whole dax0.0
status_is 1 "a unit of a page"
check "a unit of a page: every byte" holds $whole
module_set clear_unit 512

module_set clear_mode fail
hurt '200 2'
"$TREE" load "$DAX" >$run_files/before
repair --from-backup=$whole "$DAX"
status_is 4 "a clear that fails"
all_are "a clear that fails" '.state == "failed" and .reason == "clear-failed"'
check "a clear that fails: nothing was written" holds $run_files/before
recover scan "$DAX"
status_is 4 "a clear that fails: it is still listed"

module_set pretend 1
repair --from-backup=$whole "$DAX"
status_is 4 "no clear command"
all_are "no clear command" '.state == "skipped" and .reason == "no-clear-error"'
check "no clear command: nothing was written" holds $run_files/before
module_set pretend 0

# What was cleared is stored, and the rest stays listed.
module_set clear_mode partial
repair --from-backup=$whole "$DAX"
status_is 4 "a clear of the half"
all_are "a clear of the half" '.state == "failed" and .reason == "clear-failed"'
check "a clear of the half: that half is there" cmp -n 512 -i $((200 * 512)) <("$TREE" load "$DAX") $whole
module_set clear_mode ok
repair --from-backup=$whole "$DAX"
status_is 1 "then the rest"
check "then the rest: every byte" holds $whole

# Zeros in the half that was cleared are in no list.
module_set clear_mode partial
hurt '200 2'
repair --zero-fill "$DAX"
status_is 4 "zeros in the half"
module_set clear_mode ok
recover scan "$DAX"
status_is 4 "zeros in the half: a scan knows"
report "zeros in the half: a scan knows" '[.zeroed[] | [.offset, .file]] == [[102400, "same"]]'
repair --from-backup=$whole "$DAX"
status_is 1 "zeros in the half: restored"
check "zeros in the half: restored, every byte" holds $whole

# ended SIGNAL LINE...: the repair of these sectors, ended in the middle of its first clear
ended() {
	local signal=$1 count n repair
	shift
	hurt "$@"
	module_set clear_delay_ms 4000
	count=$(module_get clear_count)
	"$PMEM_RECOVER" repair --yes --journal=$journals --from-backup=$whole "$DAX" >/dev/null 2>&1 &
	repair=$!
	for ((n = 0; n < 200; n++)); do
		[ "$(module_get clear_count)" = "$count" ] || break
		sleep 0.1
	done
	kill -"$signal" $repair
	wait $repair 2>/dev/null
	module_set clear_delay_ms 0
}

resume() { recover repair --yes --journal=$journals --resume; }

# other_byte SECTOR: as a program stores one
other_byte() {
	"$TREE" load "$DAX" >"$now"
	printf x | dd of="$now" bs=1 seek=$(($1 * 512)) conv=notrunc status=none
	"$TREE" store "$DAX" "$now"
}

# Killed right after the clear: the bytes are in the journal alone.
ended KILL '250 1' '5000 1'
check "killed: the record is gone" [ "$(wc -l </sys/bus/nd/devices/region0/badblocks)" = 1 ]
check "killed: and its bytes are" eval '! holds $whole'
recover scan --journal=$journals "$DAX"
status_is 12 "killed: a scan of the device knows"
says "killed: a scan of the device knows" 'was interrupted'
cp $out $run_files/report
repair --zero-fill "$DAX"
status_is 12 "killed: nothing is repaired before it is seen to"
journal=$(cd $journals && echo *.journal)
check "killed: its bytes can be had" "$PMEM_RECOVER" journal --journal=$journals --export=$run_files/export "$journal"
check "killed: they are those" cmp -n 512 -i 0:$((250 * 512)) $run_files/export/*@$((250 * 512))+512 $whole
resume
status_is 1 "killed: it is resumed"
all_are "killed: it is resumed" '.state == "repaired" and .method == "clear" and .source == "backup"'
check "killed: every byte" holds $whole
check "killed: nothing is listed" unlisted
check "killed: no journal is open" [ -z "$(find $journals -name '*.journal')" ]

# The clear takes a page with it, and a program has stored beside what was lost meanwhile.
module_set clear_unit 4096
ended KILL '250 1' '5000 1'
other_byte 5001
resume
status_is 4 "stored to beside it"
report "stored to beside it: what was not begun is left" '[.files[0].ranges[] | [.offset, .state, .reason]] == [[128000, "repaired", null], [2560000, "skipped", "changed"]]'
check "stored to beside it: that is there" [ "$("$TREE" load "$DAX" | dd bs=1 skip=$((5001 * 512)) count=1 status=none)" = x ]
module_set clear_unit 512
"$TREE" store "$DAX" $whole
repair --from-backup=$whole "$DAX"
status_is 1 "stored to beside it: it is repaired anew"

# Nothing was, and a program has stored to the page around it: what is in the cleared sector may be that's, too.
ended KILL '250 1'
other_byte 251
resume
status_is 4 "stored to around it"
all_are "stored to around it" '.state == "conflict" and .reason == "changed"'
check "stored to around it: it is set aside" "$PMEM_RECOVER" journal --journal=$journals --set-aside "$(cd $journals && echo *.journal)"
"$TREE" store "$DAX" $whole

# Who has it open is named, and the journal waits; so it does while the namespace is disabled.
ended KILL '250 1'
hold_device "$DAX"
resume
status_is 12 "resumed in use"
says "resumed in use: by whom" "is open or mapped by tree \($holder\)"
all_are "resumed in use" '.state == "skipped" and .reason == "in-use"'
kill "$holder"
ndctl disable-namespace namespace0.0 >/dev/null 2>&1
resume
status_is 8 "resumed while it is disabled"
says "resumed while it is disabled" 'is not there in devdax mode'
ndctl enable-namespace namespace0.0 >/dev/null 2>&1
module_set clear_unit 4096
resume
status_is 1 "resumed then"
check "resumed then: every byte" holds $whole
module_set clear_unit 512

# What is stopped by its user has done all that it began, and the rest waits for a resume.
ended TERM '250 1' '5000 1'
check "stopped: the journal is open" [ "$(find $journals -name '*.journal' | wc -l)" = 1 ]
resume
status_is 1 "stopped: the rest is done"
report "stopped: the first was done before" '[.files[0].ranges[] | [.offset, .state, .reason]] == [[128000, "repaired", "already-equal"], [2560000, "repaired", null]]'
check "stopped: every byte" holds $whole

hurt '300 1'
# by another node of it, as a container has one
mkdir -p /dev/other
mknod /dev/other/dax0.0 c "$((16#$(stat -c %t "$DAX")))" "$((16#$(stat -c %T "$DAX")))"
hold_device /dev/other/dax0.0
repair --from-backup=$whole "$DAX"
status_is 4 "in use"
says "in use: by whom" "is open or mapped by tree \($holder\)"
all_are "in use" '.state == "skipped" and .reason == "in-use"'
repair --online --from-backup=$whole "$DAX"
status_is 1 "in use, online"
check "in use, online: every byte" holds $whole
hurt '300 1'
module_set clear_unit 4096
repair --online --from-backup=$whole "$DAX"
status_is 4 "in use, a unit of a page"
all_are "in use, a unit of a page" '.state == "skipped" and .reason == "clear-unit"'
module_set clear_unit 512
kill "$holder"
rm -r /dev/other
repair --from-backup=$whole "$DAX"
status_is 1 "in use no more"

# Zeros are remembered until they are restored, which clears nothing, or are somebody's bytes.
hurt '400 3'
repair --zero-fill namespace0.0
status_is 4 "zeros"
all_are "zeros" '.state == "zeroed"'
cp $whole $run_files/zeros
dd if=/dev/zero of=$run_files/zeros bs=512 seek=400 count=3 conv=notrunc status=none
check "zeros: every byte beside them" holds $run_files/zeros
recover scan "$DAX"
status_is 4 "zeros: a scan knows"
report "zeros: a scan knows" ".files == [] and [.zeroed[] | [.path, .offset, .length, .file, .inode]] == [[\"$DAX\", 204800, 1536, \"same\", null]]"
count=$(module_get clear_count)
repair --from-backup=$whole "$DAX"
status_is 1 "zeros: restored"
all_are "zeros: restored" '.state == "repaired" and .vanished'
check "zeros: restored, every byte" holds $whole
check "zeros: restored, nothing was cleared" [ "$(module_get clear_count)" = "$count" ]
hurt '400 1'
repair --zero-fill "$DAX"
other_byte 400
repair --from-backup=$whole "$DAX"
status_is 4 "zeros that were stored to"
says "zeros that were stored to" 'changed since \(other: bytes\)'
check "zeros that were stored to: they are left" holds "$now"
recover health --acknowledge=dax0.0
status_is 0 "zeros that were stored to: acknowledged"
"$TREE" store "$DAX" $whole

# An earlier report names what is in no list any more: nobody can tell whether it is somebody's now.
other_byte 5000
repair --ranges=$run_files/report --from-backup=$whole "$DAX"
status_is 8 "an earlier report"
says "an earlier report" 'names device-dax: nothing tells'
check "an earlier report: nothing was written" holds "$now"
"$TREE" store "$DAX" $whole

printf '500 1\n' >$list
repair --zero-fill --badblocks=$list "$DAX"
status_is 4 "a list from a file"
all_are "a list from a file" '.state == "skipped" and .reason == "trust-badblocks"'
check "a list from a file: nothing was written" holds $whole

module_again || exit 99
rm -rf /run/pmem-mode "${journals:?}"/*
finish
