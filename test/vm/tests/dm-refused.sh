#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dm-refused.sh: targets of device mapper and other stacks that are not understood: refused by name, never clean.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
modprobe dm_mod
modprobe dm_snapshot
modprobe dm_crypt
modprobe xts
modprobe aes_generic
sectors=65536
key=$(printf '%064d' 7)

# refused TARGET TABLE: a filesystem on a volume with that target; below it is poison.
refused() {
	local target=$1 object
	check "$target: a volume" dmsetup create volume --table "$2"
	# No udev here.
	dmsetup mknodes
	mkfs.ext4 -q -F -b 4096 -E nodiscard /dev/mapper/volume 24M
	mount /dev/mapper/volume $mnt
	make_file f 100000
	poison "$PMEM" 60000
	for object in $mnt/f $mnt /dev/mapper/volume "$PMEM" ''; do
		# shellcheck disable=SC2086 # an empty target is none
		recover scan $object
		check "$target: scan $object: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
		report "$target: scan $object: not complete" '.complete == false'
		report "$target: scan $object: refused by name" "any(.messages[]; .code == \"unsupported-stack\" and .level == \"error\" and (.text | test(\"$target\")))"
		says "$target: scan $object: its name first" "pmem-recover: ($mnt/f|$mnt|/dev/mapper/volume|/dev/dm-0): lies on device mapper target $target \\(volume over pmem0\\)"
	done
	recover locate "$PMEM" $((60000 * 512))
	status_is 8 "$target: locate"
	says "$target: locate names it" "target $target"
	repair --from-backup=$backup $mnt
	check "$target: repair: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
	check "$target: the list is as it was" [ "$(badblocks "$PMEM" | wc -l)" = 1 ]
	umount $mnt
	dmsetup remove volume
	clear_all
	recover scan
	status_is 0 "$target: gone, and nothing is lost"
}

refused crypt "0 $sectors crypt aes-xts-plain64 $key 0 $PMEM 2048"
refused snapshot-origin "0 $sectors snapshot-origin $PMEM"
refused error "$(printf '%s\n' "0 $((sectors - 8)) linear $PMEM 2048" "$((sectors - 8)) 8 error")"

# What begins inside a page of what is below would have its pages in two.
check "a volume that begins inside a page" dmsetup create volume --table "0 $sectors linear $PMEM 2049"
dmsetup mknodes
recover scan /dev/mapper/volume
status_is 8 "inside a page"
says "inside a page: named" "does not begin with a page"
dmsetup remove volume

# Poison beside all volumes.
check "a volume" dmsetup create volume --table "0 $sectors linear $PMEM 2048"
dmsetup mknodes
poison "$PMEM" 1024
recover scan
status_is 8 "poison in no volume"
says "in no volume: named" 'in no filesystem and no volume'
recover locate "$PMEM" $((1024 * 512))
status_is 8 "in no volume: locate"
clear_all
dmsetup remove volume
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
