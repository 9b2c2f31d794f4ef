#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dm-refused.sh: device mapper and other stacks that are not understood: refused by name, never clean.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
modprobe dm_mod
sectors=$(cat "/sys/block/${PMEM##*/}/size")
check "a dm-linear over the device" dmsetup create linear --table "0 $((sectors - 2048)) linear $PMEM 2048"
# No udev here.
dmsetup mknodes
make_fs ext4 /dev/mapper/linear $mnt -E nodiscard
make_file f 100000
poison "$PMEM" $((2048 + $(file_sector f 50000)))

for target in $mnt/f $mnt /dev/mapper/linear; do
	recover scan $target
	check "scan $target: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
	report "scan $target: not complete" '.complete == false'
	report "scan $target: refused by name" 'any(.messages[]; .code == "unsupported-stack" and .level == "error")'
	says "scan $target: its name first" "pmem-recover: ($target|/dev/mapper/linear|/dev/dm-0|dm-0)"
done
repair --from-backup=$backup $mnt
check "repair: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
check "repair: the list is as it was" [ "$(badblocks "$PMEM" | wc -l)" = 1 ]
umount $mnt
dmsetup remove linear
recover scan /tmp
check "scan of a tmpfs: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
clear_all

modprobe btrfs
mkfs.btrfs -q -f "$PMEM" >/dev/null 2>&1 && mount "$PMEM" $mnt
make_file f 100000
poison "$PMEM" 100000
for target in $mnt/f $mnt; do
	recover scan $target
	check "scan $target on btrfs: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
	report "scan $target on btrfs: refused by name" '.complete == false and any(.messages[]; .code == "unsupported-filesystem" or .code == "unsupported-stack")'
done
umount $mnt
clear_all
rm -rf ${backup:?}/*
finish
