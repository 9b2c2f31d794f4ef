#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# offlined.sh: pages that a machine check took: left with advice; --accept-offlined takes them whole, or says that it failed.
#
# needs: module own-guest
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
file=f

# is_listed SECTOR: of $device, in its disk's list.
is_listed() {
	local start=0 first count
	[ "$device" = "$PMEM" ] || start=$(<"/sys/class/block/${device##*/}/start")
	while read -r first count; do
		[ $((start + $1)) -lt "$first" ] || [ $((start + $1)) -ge $((first + count)) ] || return 0
	done < <(badblocks "$PMEM")
	return 1
}

# take WHAT OFFSET: a machine check at OFFSET of the file, and what becomes of it.
take() {
	local what=$1 page=$2 sector number
	sector=$(file_sector $file $((page + 512)))
	check "$what: a machine check" machine_check "$device" "$sector"
	number=$(dmesg | sed -n 's/.*Memory failure: \(0x[0-9a-f]*\): .*/\1/p' | tail -n 1)
	recover locate --address="${number}000"
	status_is 0 "$what: the kernel log's page ${number:-number} leads to an owner"
	report "$what: to the file" ".places | length == 1 and .[0].path == \"$mnt/$file\" and .[0].file_offset == $page"
	recover scan $mnt/$file
	status_is 4 "$what: scan"
	report "$what: the whole page is lost" "[.files[].ranges[] | select(.state == \"lost\" and .offset >= $page and .offset < $((page + 4096))) | .length] | add == 4096"
	report "$what: the reason is page-offlined" "[.files[].ranges[] | select(.offset >= $page and .offset < $((page + 4096)))] | length > 0 and all(.reason == \"page-offlined\")"

	repair --from-backup=$backup $mnt/$file
	status_is 4 "$what: repair"
	report "$what: it is left" "[.files[].ranges[] | select(.offset >= $page and .offset < $((page + 4096)))] | all(.state == \"skipped\" and .reason == \"page-offlined\")"
	says "$what: the advice is to reboot, or --accept-offlined" 'reboot.*--accept-offlined'

	# After a reboot the siblings may be read again, and are newer than any backup: no report vouches for them.
	recover scan $mnt/$file
	cp $out /tmp/before.json
	recover repair --dry-run --badblocks=/dev/null --ranges=/tmp/before.json --from-backup=$backup $mnt/$file
	status_is 4 "$what: the record is gone"
	report "$what: the record is gone: only what was listed has vanished" "[.files[].ranges[] | select(.offset >= $page and .offset < $((page + 4096)))] | (map(.length) | add) == 4096 and (map(select(.vanished).length) | add) == 512"

	repair --accept-offlined --from-backup=$backup $mnt/$file
	case $status in
	1)
		status_is 1 "$what: --accept-offlined"
		report "$what: --accept-offlined: the page is repaired" "[.files[].ranges[] | select(.offset >= $page and .offset < $((page + 4096))) | .length] | add == 4096"
		report "$what: --accept-offlined: from the backup" "all(.files[].ranges[]; .state == \"repaired\" and .source == \"backup\")"
		check "$what: --accept-offlined: the file is whole" same $file
		;;
	*)
		# 6.1 drops the record and writes nothing: what matters is that it is not believed.
		status_is 4 "$what: --accept-offlined fails on this kernel"
		report "$what: --accept-offlined: it is said to have failed" "any(.files[].ranges[]; .state == \"failed\") and all(.files[].ranges[]; .state != \"repaired\")"
		check "$what: --accept-offlined: and it did" eval '! same $file'
		check "$what: --accept-offlined: the record is in the list, whoever dropped it" is_listed "$sector"
		;;
	esac
}

# take_unrecorded WHAT OFFSET: the same where nothing records it, as on a bus that keeps no list: who reads finds the page bad.
take_unrecorded() {
	local what=$1 page=$2 sector
	sector=$(file_sector $file $((page + 512)))
	latent "$device" "$sector"
	module_set touch offline
	recover scan --read $mnt/$file
	status_is 4 "$what: scan --read"
	check "$what: it is in no list" eval "! is_listed $sector"
	report "$what: the whole page is lost, and why" "[.files[].ranges[] | [.offset, .length, .reason]] == [[$page, 4096, \"page-offlined\"]]"
	repair --read --from-backup=$backup $mnt/$file
	status_is 4 "$what: repair --read"
	report "$what: it is left" '.summary.repaired_bytes == 0 and all(.files[].ranges[]; .state == "skipped" and .reason == "page-offlined")'
	module_set touch nothing
}

# Nothing may write to a page that was offlined, lest the kernel oops: each filesystem has a place of its own.
for fs in xfs ext4; do
	name_of_test=$name
	name="$name_of_test $fs"
	device=$PMEM
	case $fs in
	xfs) make_fs xfs "$PMEM" $mnt -K -d size=100m ;;
	ext4)
		"$TREE" partition 1 "$PMEM" 100 200 >/dev/null
		device=${PMEM}p1
		make_fs ext4 "$device" $mnt -E nodiscard
		;;
	esac
	check "mounted with DAX" grep -q " $mnt .*dax=always" /proc/mounts
	file=f
	make_file f 1000000
	xfs_io -c 'mmap -rw 131072 4096' -c 'mread 131072 1' $mnt/f >/dev/null
	take "a page that was mapped" 131072
	make_file g 1000000 2
	rm $backup/f
	file=g
	take "a page never mapped" 262144
	rm $backup/g
	make_file h 1000000 3
	file=h
	take_unrecorded "a page that nothing recorded" 393216
	rm $backup/h
	umount $mnt
	name=$name_of_test
done
finish
