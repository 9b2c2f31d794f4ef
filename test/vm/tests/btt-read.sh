#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# btt-read.sh: sector mode: poison at random among the blocks, found by reading: scan, salvage and repair against what dd reads.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

DISK=/dev/pmem0s
REGION=/sys/bus/nd/devices/region0/badblocks
RANDOM=${seed:-7}

# The sectors in which a file is not what another is.
differing() { cmp -l "$1" "$2" | awk '{ s = int(($1 - 1) / 512) } s != last || NR == 1 { print s; last = s }'; }

# What the device does not give of a file that lies in one piece, block by block.
failing_sectors() {
	local size per=$((block / 512))
	size=$(stat -c %s "$backup/$1")
	dd if="$part" bs="$block" skip=$(($(file_sector "$1" 0) / per)) count=$((size / block + 1)) iflag=direct conv=noerror,sync status=none of=/tmp/read 2>/dev/null
	truncate -s "$size" /tmp/read
	differing /tmp/read "$backup/$1"
}

# The losses of a file in the last report, sector by sector.
lost_sectors() {
	jq -r --arg file "$mnt/$1" '.files[] | select(.path == $file) | .ranges[] | select(.state == "lost") | range(.offset / 512; (.offset + .length) / 512 | ceil)' "$out"
}

# A file's blocks lie near where they would lie without a map: each is written where the one before it was.
choose_poison() {
	local name first free n
	for name in a b; do
		first=$((data + start + $(file_sector $name 0)))
		for ((n = 0; n < 6; n++)); do
			echo $((first + (RANDOM * 32768 + RANDOM) % ($(stat -c %s "$backup/$name") / 512)))
		done
	done
	# Blocks that are free as long as fewer than 50 processors write.
	free=$((data + $(cat /sys/block/${DISK##*/}/size)))
	for ((n = 0; n < 3; n++)); do
		echo $((free + (50 + RANDOM % 200) * block / 512))
	done
}

# Sectors, by the block that they are in.
blocks_of() { awk -v per=$((block / 512)) '{ print int($1 / per) }' "$@" | sort -u | wc -l; }

# make_blocks FS: ext4 in a partition, XFS on the whole device; poison among the blocks of two files. False where a block that
# the files had has the log's by now.
make_blocks() {
	local fs=$1 file sector
	start=0
	part=$DISK
	rm -f /run/pmem-mode
	ndctl create-namespace -f -e namespace0.0 -m sector --sector-size="$block" >/dev/null || exit 99
	if [ "$fs" = ext4 ]; then
		"$TREE" partition 4 $DISK 64 >/tmp/table || exit 99
		part=${DISK}1
		start=$(cat /sys/class/block/${part##*/}/start)
	fi
	make_fs "$fs" $part $mnt || exit 99
	make_file a 600000
	make_file b 200100
	make_file c 20000
	: >$mnt/empty
	choose_poison | sort -nu >/tmp/injected
	while read -r sector; do module_set inject $((sector * 512)),512; done </tmp/injected
	echo 3 >/proc/sys/vm/drop_caches
	for file in a b; do
		failing_sectors $file >/tmp/failing.$file
	done
	[ $(($(blocks_of /tmp/failing.a) + $(blocks_of /tmp/failing.b) + 3)) = "$(blocks_of /tmp/injected)" ]
}

check_blocks() {
	local fs=$1 block=$2 start data=16 part file tries=1 what="$1, sectors of $2"
	until make_blocks "$fs"; do
		umount $mnt
		use_pmem raw
		clear_all
		((tries++ < 5)) || exit 99
	done

	recover scan $mnt
	status_is 8 "$what: without reading, what is lost is not known"
	says "$what: how to know it is said" 'read the whole device to find what is lost \(scan --read\)'
	recover scan --read $mnt
	status_is 4 "$what: scan --read"
	for file in a b; do
		lost_sectors $file >/tmp/lost.$file
		check "$what: $file: what is lost is what cannot be read ($(wc -l </tmp/failing.$file) sectors)" cmp /tmp/lost.$file /tmp/failing.$file
		check "$what: $file: something is lost" [ -s /tmp/failing.$file ]
	done
	report "$what: no other file is named" '[.files[].path] | all(. == "/mnt/a" or . == "/mnt/b")'
	rm -f /tmp/copy
	recover salvage --read $mnt/a -o /tmp/copy
	status_is 4 "$what: salvage --read"
	differing /tmp/copy $backup/a >/tmp/differing
	check "$what: the copy has every byte but these" cmp /tmp/differing /tmp/failing.a
	recover salvage --read $mnt/empty -o /tmp/empty
	status_is 0 "$what: of an empty file there is nothing to read"
	rm -f /tmp/empty

	recover health
	status_is 12 "$what: health"
	repair --read --from-backup=$backup $mnt
	status_is 1 "$what: repair --read"
	report "$what: all is repaired" '[.files[].ranges[].state] | length > 0 and all(. == "repaired")'
	echo 3 >/proc/sys/vm/drop_caches
	check "$what: a is whole" same a
	check "$what: b is whole" same b
	check "$what: what the files were moved from is cleared, and no free block" [ "$(awk '{ n += $2 } END { print n }' $REGION)" = 3 ]
	recover health
	report "$what: none of it is missed by health" '.vanished == []'
	recover scan --read "$part"
	status_is 0 "$what: nothing is lost any more"
	[ "$fs" = ext4 ] || report "$what: the rest is in free blocks" '.devices[0].metadata_badblocks | .bytes == 1536 and all(.ranges[]; .part == "btt-data" and .owner == "free")'
	recover locate --address="$(printf %x $((0x40000000 + $(tail -n 1 /tmp/injected) * 512)))"
	status_is 8 "$what: locate"
	report "$what: locate: a block, but not which" '.places[0] | .part == "btt-data" and .owner == "unknown" and .bad_bytes == 1'
	umount $mnt
	use_pmem raw
	clear_all
}

check_blocks ext4 512
check_blocks xfs 4096
finish
