#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# block-4096.sh: a device with logical blocks of 4096 bytes: a bad sector takes its whole block.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

# A loop device over a file on PMEM: its blocks are 4096 bytes, and its EIO is the real one from below.
use_pmem fsdax
modprobe loop
mount_fs ext4
"$TREE" bytes 7 33554432 >$mnt/image
loop=$(losetup -f --show --sector-size 4096 $mnt/image) || exit 99
inner=/tmp/inner
mkdir -p $inner
mkfs.ext4 -q -F -b 4096 "$loop" && mount "$loop" $inner || exit 99
check "the logical block is 4096" [ "$(cat "/sys/block/${loop##*/}/queue/logical_block_size")" = 4096 ]
mkdir $inner/data
"$TREE" bytes 8 300000 >$backup/f
cp $backup/f $inner/data/f
sync
above=$(sector_of $inner/data/f 102400)
below=$(sector_of $mnt/image $((above * 512)))
# Out of the page cache, or that would be where the bytes come from; twice, as the loop device has one of its own.
umount $inner
blockdev --flushbufs "$loop"
echo 3 >/proc/sys/vm/drop_caches
"$TREE" scramble "$PMEM" "$below" 1
poison "$PMEM" "$below"
mount "$loop" $inner
printf '# device %s\n%s 1\n' "${loop##*/}" "$above" >/tmp/list

recover scan --badblocks=/tmp/list $inner/data
status_is 4 "scan"
report "the device is known" '.devices[0].logical_block_size == 4096'
report "the whole logical block is lost" '[.files[].ranges[] | select(.state == "lost") | .length] | add == 4096'
report "the sector that was listed, and what goes with it" '[.files[].ranges[] | [.offset, .reason]] == [[102400, null], [102912, "logical-block"]]'
repair --badblocks=/tmp/list --from-backup=$backup $inner/data
report "the range is repaired" '[.files[].ranges[].state] | length > 0 and all(. == "repaired")'
check "the list below is empty" clean
umount $inner
blockdev --flushbufs "$loop"
echo 3 >/proc/sys/vm/drop_caches
mount "$loop" $inner
check "the file is whole" cmp $inner/data/f $backup/f
umount $inner
losetup -d "$loop"
unmount
finish
