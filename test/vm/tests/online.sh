#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# online.sh: files are repaired while a program stores into the good sectors of a bad page, writes whole pages, or appends:
# nothing that it was promised is undone.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax

# begin MODE [OPTION]...: the writer, until it has written once.
begin() {
	local tries=0
	"$WRITER" "$1" $mnt/f /tmp/log "${@:2}" >/tmp/writer.out 2>/tmp/writer.err &
	writer=$!
	until grep -q ready /tmp/writer.out; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || { not_ok "the writer does not get ready"; return 1; }
		sleep 0.1
	done
}

# goes_on: it still gets acknowledgements.
goes_on() {
	local before tries=0
	before=$(wc -l </tmp/log)
	until [ "$(wc -l </tmp/log)" -gt "$before" ]; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || return 1
		sleep 0.1
	done
}

# end WHAT: nothing was undone, neither while it ran nor now.
end() {
	kill -TERM $writer
	wait $writer
	status=$?
	check "$1: nothing acknowledged was undone ($(tail -n 1 /tmp/writer.out))" eval "cat /tmp/writer.err; [ $status = 0 ]"
	check "$1: and all of it is there" "$WRITER" check $mnt/f /tmp/log
}

online() { repair --online --verify-backup=none --force --from-backup=$backup $mnt/f; }

short() { report "$1: it stood still for less than a second" '.freezes | .count >= 1 and .longest_ns > 0 and .longest_ns < 1000000000'; }

for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	check "mounted with DAX" grep -q " $mnt .*dax=always" /proc/mounts

	# Nobody has it open: as ever, through the file.
	make_file f 1000000
	poison_file f 50000
	repair --online --from-backup=$backup $mnt/f
	status_is 1 "not in use"
	report "not in use: through the file" 'all(.files[].ranges[]; .state == "repaired" and .method != "device") and .freezes.count == 0'

	# Open for reading: the backup can be compared.
	poison_file f 50000
	sleep 1000 3<$mnt/f &
	holder=$!
	has_open $holder 3
	repair --online --from-backup=$backup $mnt/f
	status_is 1 "open for reading"
	report "open for reading: through the device" 'all(.files[].ranges[]; .state == "repaired" and .method == "device")'
	check "open for reading: as it was" same f
	kill $holder
	wait $holder 2>/dev/null

	# Stores of a mapping that is older than the poison.
	begin mapsync --delay=3000 --offset=40960 --length=8192 --skip=3,4,13
	poison_file f $((40960 + 3 * 512)) 2
	poison_file f $((40960 + 13 * 512))
	repair --from-backup=$backup $mnt/f
	status_is 4 "mapped, without --online"
	report "mapped, without --online: left" '[.files[].ranges[]] | length == 2 and all(.state == "skipped" and .reason == "in-use")'
	says "mapped, without --online: the process is named" "writer \($writer\)"
	repair --online --from-backup=$backup $mnt/f
	status_is 4 "mapped: the backup is older"
	report "mapped: the backup is older" '[.files[].ranges[]] | all(.reason == "stale-backup")'
	recover repair --dry-run --online --verify-backup=none --force --from-backup=$backup $mnt/f
	says "mapped: the plan says so" 'method device, in use'
	online
	status_is 1 "mapped"
	report "mapped: repaired through the device" '[.files[].ranges[]] | length == 2 and all(.state == "repaired" and .method == "device" and .source == "backup")'
	short "mapped"
	check "mapped: the writer goes on" goes_on
	check "mapped: what was lost is as in the backup" eval "cmp -n 1024 -i 42496 $mnt/f $backup/f && cmp -n 512 -i 47616 $mnt/f $backup/f"
	check "mapped: the list is empty" clean
	end "mapped"

	# Whole pages: the owner itself writes over the poison, before, between or behind.
	make_file f 1000000
	begin pages --delay=3000 --offset=40960 --length=16384
	for i in 1 2 3; do
		poison "$PMEM" "$(file_sector f $((40960 + i * 2048 + 512)))"
		[ $i != 2 ] || poison_file f 500000
		online
		check "pages $i: nothing failed" jq -e 'all(.files[].ranges[]; .state == "repaired" or .reason == "readable")' "$out"
	done
	check "pages: what nobody wrote is as in the backup" cmp -n 4096 -i 499712 $mnt/f $backup/f
	check "pages: the writer goes on" goes_on
	end "pages"

	# The end of a file that is appended to, which nobody can append to until it is repaired.
	make_file f 10000
	begin append --delay=20000
	pause $writer
	while [ $(($(stat -c %s $mnt/f) % 4096)) = 0 ]; do
		kill -CONT $writer
		sleep 0.05
		pause $writer
	done
	sync -f $mnt
	size=$(stat -c %s $mnt/f)
	page=$((size - size % 4096))
	cp $mnt/f $backup/f
	poison_file f $page
	online
	status_is 1 "append"
	kill -CONT $writer
	check "append: the writer goes on" goes_on
	poison_file f 8192
	online
	report "append, running: repaired" '[.files[].ranges[]] | length > 0 and all(.state == "repaired" or .reason == "readable" or .state == "past_eof")'
	check "append: the writer goes on" goes_on
	end "append"
	check "append: what was there is as it was" cmp -n "$page" $mnt/f $backup/f
	check "append: the list is empty" clean
	unmount
	name=$name_of_test
done
finish
