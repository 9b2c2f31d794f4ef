#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# device-faults.sh: the method device against clears that fail, poison that comes back, and pages that a machine check took:
# never called repaired, refused by name, and no oops.
#
# needs: module own-guest
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax

# fails WHAT: a repair by device that cannot succeed
fails() {
	repair --method=device --from-backup=$backup $mnt/f
	status_is 4 "$1"
	report "$1: failed, not repaired" '[.files[].ranges[]] | length > 0 and all(.state == "failed")'
	check "$1: nothing is left frozen" timeout 20 touch $mnt/thawed
	says "$1: it is said which file" "$mnt/f: "
}

damage() {
	clear_all
	rm -rf "${journals:?}"/*.journal
	cp $backup/f $mnt/f
	sync -f $mnt/f
	poison_file f 42496
}

for fs in xfs ext4; do
	name_of_test=$name
	name="$name_of_test $fs"
	# Nothing may write to a page that was offlined: each filesystem has a place of its own.
	case $fs in
	xfs) make_fs xfs "$PMEM" $mnt -K -d size=100m ;;
	ext4)
		"$TREE" partition 1 "$PMEM" 100 200 >/dev/null
		device=${PMEM}p1
		make_fs ext4 "$device" $mnt -E nodiscard
		;;
	esac
	check "mounted with DAX" grep -q " $mnt .*dax=always" /proc/mounts
	make_file f 1000000
	if [ $fs = xfs ]; then
		damage
		module_set clear_mode fail
		fails "clear_mode=fail"
		check "clear_mode=fail: the record stays" listed "$(file_sector f 42496) 1"
		module_set clear_mode ok
		damage
		module_set returns 1
		fails "poison that comes back"
		module_set returns 0
		damage
		module_set returns_latent 1
		fails "poison that comes back unlisted"
		module_set returns_latent 0
		damage
		repair --method=device --from-backup=$backup $mnt/f
		status_is 1 "when it can be cleared"
		check "when it can be cleared: whole" same f
		damage
		clear_all
	fi
	device=$PMEM
	[ $fs = xfs ] || device=${PMEM}p1

	xfs_io -c 'mmap -rw 131072 4096' -c 'mread 131072 1' $mnt/f >/dev/null
	check "a machine check" machine_check "$device" "$(file_sector f 131584)"
	for options in '' --accept-offlined; do
		# shellcheck disable=SC2086 # words
		repair --method=device $options --from-backup=$backup $mnt/f
		status_is 4 "an offlined page $options"
		report "an offlined page $options: left by name" '[.files[].ranges[] | select(.offset >= 131072 and .offset < 135168)] | (map(.length) | add) == 4096 and all(.state == "skipped" and .reason == "page-offlined")'
	done
	sleep 1000 3<>$mnt/f &
	holder=$!
	has_open $holder 3
	repair --online --from-backup=$backup $mnt/f
	status_is 4 "an offlined page in use"
	report "an offlined page in use: left by name" '[.files[].ranges[] | select(.offset >= 131072 and .offset < 135168)] | length > 0 and all(.state == "skipped" and .reason == "page-offlined")'
	kill $holder
	wait $holder 2>/dev/null
	if [ $fs = xfs ]; then
		make_file g 100000 3
		cp --reflink=always $mnt/g $mnt/h
		cp $backup/g $backup/h
		sync -f $mnt
		check "a machine check in a shared block" machine_check "$device" "$(file_sector g 8192)"
		repair --from-backup=$backup $mnt/g $mnt/h
		status_is 4 "a shared block that was offlined"
		report "a shared block that was offlined: left by name" '[.files[].ranges[]] | length > 0 and all(.state == "skipped" and .reason == "page-offlined")'
	fi
	umount $mnt
	name=$name_of_test
done
check "no oops" eval '! dmesg | grep -E "BUG:|Oops:"'
finish
