#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# any-storage.sh: block devices that are no PMEM and answer EIO: scan, salvage and repair with --read, held against an oracle.
#
# The filesystem lies on a loop device over a device mapper. Here its bad sectors are dm-error's, which cannot be written either;
# any-storage-dust.sh has those of dm-dust, which a write heals.
#
# needs: once
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

bad=${bad:-error}
block=4096
mib=48
tmp=/tmp/any
seed=${seed:-3}
mkdir -p $tmp
modprobe -a loop dm_mod 2>/dev/null

# A loop device over the mapper over another loop device; reads past the page cache, so that a sector fails by itself.
make_storage() {
	rm -f $tmp/image
	truncate -s ${mib}M $tmp/image
	below=$(losetup -f --show $tmp/image) || exit 99
	sectors=$((mib * 2048))
	table="0 $sectors linear $below 0"
	[ "$bad" = error ] || table="0 $sectors dust $below 0 512"
	dmsetup create bad --table "$table" || exit 99
	# No udev here.
	dmsetup mknodes
	loop=$(losetup -f --show --direct-io=on /dev/mapper/bad) || exit 99
	case $1 in
	ext4) mkfs.ext4 -q -F -b $block -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 -N 1024 -J size=4 "$loop" ;;
	xfs) TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q -f -K -m reflink=0 "$loop" >/dev/null ;;
	esac || exit 99
	mount "$loop" $mnt || exit 99
}

# Every sector of a list, one a line.
each_sector() { awk '/^[0-9]/ { for (i = 0; i < $2; i++) print $1 + i }' "$1" | sort -nu; }

# Another table for the mapper, from standard input.
load() { dmsetup load bad && dmsetup resume bad; }

# The table of dm-error: each sector by itself.
error_table() {
	awk -v all=$sectors -v below="$below" -v at=0 '
		{ if ($1 > at) print at, $1 - at, "linear", below, at; print $1, 1, "error"; at = $1 + 1 }
		END { if (at < all) print at, all - at, "linear", below, at }' "$1"
}

# Of what is in $tmp/sectors, all fails from now on.
damage() {
	local sector
	if [ "$bad" = error ]; then
		error_table $tmp/sectors | load
		return
	fi
	while read -r sector; do
		dmsetup message bad 0 addbadblock "$sector" || return
	done <$tmp/sectors
	dmsetup message bad 0 enable
}

found_sectors() {
	jq -r '.devices[0].read.ranges[] | range(.offset / 512; (.offset + .length) / 512)' "$out" | sort -nu
}

# is_exact: the last report has found all bad sectors, and no other
is_exact() { diff <(found_sectors) $tmp/sectors; }

one_filesystem() {
	make_storage "$1"
	$TREE make "$seed" $mnt $backup >$tmp/made || exit 99
	$TREE poison "$seed" $mnt "$loop" 15 $tmp/expect >$tmp/list || exit 99
	each_sector $tmp/list >$tmp/sectors
	check "$1: there is something to find" [ -s $tmp/sectors ]
	# The page cache has what the device has no more.
	umount $mnt
	if [ "$bad" = error ]; then
		mount "$loop" $mnt && cp -a $mnt $tmp/before && umount $mnt || exit 99
	fi
	check "$1: $(wc -l <$tmp/sectors) sectors of dm-$bad" damage
	mount "$loop" $mnt || exit 99

	recover scan --read "$loop"
	status_is 4 "$1: scan --read of the device"
	check "$1: it found the sectors, and no other" is_exact
	check "$1: what they took is exactly that" $TREE check-scan $tmp/expect "$out"
	report "$1: all of it was read, so its list is complete" '.devices[0] | .read.complete and .read.bytes == .size and
		.badblocks.trust == "complete" and .badblocks.source == "read" and .badblocks.bytes == .read.found_by_reading'
	says "$1: it says so" "$loop: .* cannot be read and were in no list"
	repair --from-backup=$backup $mnt
	check "$1: without a list nothing is repaired ($status)" [ $((status & 9)) = 8 ]
}

check_error() {
	repair --read --from-backup=$backup $mnt
	status_is 4 "$1: repair where writes fail"
	report "$1: nothing is called repaired" '.summary.repaired_bytes == 0 and .summary.lost_bytes > 0'
	recover scan --read "$loop"
	check "$1: the same sectors are bad" is_exact
	umount $mnt
	echo "0 $sectors linear $below 0" | load
	mount "$loop" $mnt
	check "$1: no byte of any file was harmed" diff -r $tmp/before $mnt
}

# A device that fails altogether is no terabyte of bad sectors.
check_dead() {
	echo "0 $sectors error" | load
	recover scan --read "$loop"
	status_is 8 "$1: a dead device"
	report "$1: it is named, and has no bad sectors" '.complete == false and (.devices[0] | .read.complete == false and
		.read.found_by_reading == 0 and .badblocks.ranges == []) and
		any(.messages[]; .code == "device-error" and .level == "error")'
	echo "0 $sectors linear $below 0" | load
}

remove_storage() {
	umount $mnt
	losetup -d "$loop"
	dmsetup remove bad
	losetup -d "$below"
	rm -rf $tmp/before ${backup:?}/* "${journals:?}"/*.journal
}

if [ "$bad" = error ]; then
	for fs in ext4 xfs; do
		one_filesystem $fs
		check_error $fs
		umount $mnt
		check_dead $fs
		mount "$loop" $mnt
		remove_storage
	done
	finish
fi
