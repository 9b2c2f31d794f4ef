#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# partition.sh: partitions: offsets are the device's, whichever way the target is named.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax

for seed in 4 8; do
	"$TREE" partition $seed "$PMEM" 100 >/tmp/table
	table=$(cut -d' ' -f1 /tmp/table)
	start=$(cat "/sys/class/block/${PMEM##*/}p1/start")
	make_fs ext4 "${PMEM}p1" $mnt -E nodiscard
	make_file f 200000
	sector=$((start + $(file_sector f 100000)))
	"$TREE" scramble "$PMEM" $sector 1
	poison "${PMEM}p1" $((sector - start))
	check "$table: poison lies where it was meant to" listed "$sector 1"

	for target in "$mnt/f" "$mnt" "${PMEM}p1" "$PMEM" namespace0.0 ''; do
		# shellcheck disable=SC2086 # an empty target is none
		recover scan $target
		status_is 4 "$table: scan ${target:-without a target}"
		report "$table: scan ${target:-without a target}: file and device offset" "[.files[].ranges[] | [.offset, .length, .device_offset]] == [[99840, 512, $((sector * 512))]]"
	done
	recover map $mnt/f 99840+512
	report "$table: map knows the partition too" ".files[0].mappings[0].device_offset == $((sector * 512))"
	repair --from-backup=$backup $mnt
	status_is 1 "$table: repair"
	check "$table: the file is whole" same f

	# The partition table itself, and what lies outside of all partitions.
	poison "$PMEM" 0
	poison "$PMEM" $((start - 1))
	recover scan "$PMEM"
	status_is 4 "$table: the partition table"
	report "$table: it is nobody's file" '[.devices[0].badblocks.ranges[].owner] | length == 2 and all(. == "namespace")'
	umount $mnt
	clear_all
	dd if=/dev/zero of="$PMEM" bs=1M count=1 oflag=direct status=none
	blockdev --rereadpt "$PMEM"
done
rm -rf ${backup:?}/*
finish
