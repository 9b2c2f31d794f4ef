#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# zeroed.sh: what a repair overwrote with zeros is remembered by scan and health, until a backup restores it or somebody
# acknowledges it; also where what is remembered is damaged or cannot be written.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

zeroed=$journals/zeroed
rm -rf "$zeroed"
use_pmem fsdax
name_of_test=$name

# zero NAME OFFSET: a lost sector that becomes zeros
zero() {
	poison_file "$1" "$2"
	repair --zero-fill $mnt
	status_is 4 "zero fill"
}

for fs in ext4 xfs; do
	name="$name_of_test $fs"
	mount_fs $fs
	make_file f 100000
	make_file g 20000 2
	poison_file f 40960 3
	poison_file g 8192
	repair --zero-fill $mnt
	status_is 4 "zero fill"
	check "zero fill: the list is empty" clean
	check "zero fill: two files are remembered" [ "$(find "$zeroed" -type f | wc -l)" = 2 ]
	recover scan $mnt
	status_is 4 "scan"
	report "scan: no loss, but zeros" '[.files[].ranges[]] == [] and ([.zeroed[] | [.path, .offset, .length]] | sort) == [["/mnt/f", 40960, 1536], ["/mnt/g", 8192, 512]] and all(.zeroed[]; .file == "same")'
	says "scan: what to do" "$mnt/f: 1536 bytes.*repair --from-backup=PATH.*--acknowledge="
	recover scan $mnt/g
	status_is 4 "scan of one file"
	report "scan of one file: its zeros" '[.zeroed[].path] == ["/mnt/g"]'
	recover health
	status_is 4 "health"
	report "health: zeros" '[.zeroed[] | .file] == [null, null] and .vanished == []'
	recover health -q
	check "health: a line with -q" grep -q "$mnt/f: 1.5 KiB at byte 40960 overwritten with zeros" $err

	# ---- restored, one file and then all; over a remount, which is no change
	umount $mnt && mount_dax $fs "$PMEM" $mnt
	repair --from-backup=$backup/g $mnt/g
	status_is 1 "restored"
	check "restored: the file is whole" same g
	recover scan $mnt
	status_is 4 "the other is remembered"
	repair --from-backup=$backup $mnt
	status_is 1 "all restored"
	check "all restored: the file is whole" same f
	recover scan $mnt
	status_is 0 "after that"
	recover health
	status_is 0 "health after that"
	report "nothing is remembered" '.zeroed == []'

	# ---- changed since
	zero f 8192
	touch $mnt/f
	recover scan $mnt
	status_is 4 "changed"
	report "changed: said" '.zeroed[0].file == "changed" and any(.messages[]; .code == "zeroed-changed")'
	repair --from-backup=$backup $mnt
	status_is 4 "changed: a repair takes nothing for known"
	report "changed: said by the repair" 'any(.messages[]; .code == "zeroed-changed") and .journal == null'
	id=$(basename "$(echo "$zeroed"/*)")
	recover health --acknowledge="$id@1"
	status_is 12 "another name"
	says "another name: what there is" "there is $id@8192"
	recover health --acknowledge="$id@8192"
	status_is 0 "acknowledged"
	recover scan $mnt
	status_is 0 "acknowledged: from now on"

	# ---- lost again at the same place: a loss like any other, and then restored
	zero g 4096
	poison_file g 4096
	recover scan $mnt
	status_is 4 "poison upon zeros"
	repair --from-backup=$backup $mnt
	status_is 1 "poison upon zeros: restored"
	check "poison upon zeros: the file is whole" same g
	recover health
	status_is 0 "poison upon zeros: health"

	# ---- gone, and not mounted
	zero g 4096
	umount $mnt
	recover scan "$PMEM"
	report "not mounted: zeros are remembered" '[.zeroed[].file] == ["gone"]'
	check "not mounted: exit status with 4 ($status)" [ $((status & 4)) = 4 ]
	recover health
	status_is 4 "not mounted: health"
	recover health --acknowledge="$PMEM"
	status_is 0 "acknowledged by device"
	mount_dax $fs "$PMEM" $mnt

	# ---- damaged, and not to be written
	zero g 4096
	id=$(basename "$(echo "$zeroed"/*)")
	truncate -s 100 "$zeroed/$id"
	recover health
	status_is 8 "damaged"
	report "damaged: nobody knows" '.zeroed == null and any(.messages[]; .code == "zeroed-malformed")'
	recover scan $mnt
	status_is 8 "damaged: scan"
	recover health --acknowledge="$id"
	status_is 0 "damaged: acknowledged"
	check "damaged: set aside" [ -s "$zeroed/$id.bad" ]
	rm -rf "$zeroed"
	: >"$zeroed"
	zero g 12288
	report "not kept: said" 'any(.messages[]; .code == "zeroed-not-kept" and .object == "/mnt/g")'
	cp $out /tmp/report.json
	rm "$zeroed"
	repair --from-backup=$backup/g --ranges=/tmp/report.json --verify-backup=none --force $mnt/g
	status_is 1 "not kept: by the report"
	unmount
done
name=$name_of_test

mkdir -p "$zeroed"
recover health
status_is 0 "an empty directory is nothing"
rm -rf "$zeroed"
finish
