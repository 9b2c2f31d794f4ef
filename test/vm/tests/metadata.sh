#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# metadata.sh: poison in a filesystem's own structures, its log, free space and unwritten blocks: each is named, repair leaves
# it, and what the messages advise helps.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
name_of_test=$name

# found STATUS OWNER CODE SECTOR: that sector alone is bad, and this is what scan and repair make of it
found() {
	local list

	poison "$PMEM" "$4"
	list=$(badblocks "$PMEM")
	recover scan $mnt
	status_is "$1" "$2"
	report "$2: the owner" "[.devices[0].badblocks.ranges[] | [.offset, .length, .owner]] == [[$(($4 * 512)), 512, \"$2\"]]"
	report "$2: the message" "[.messages[] | select(.level != \"info\") | .code] == [\"$3\"]"
	repair --from-backup=$backup $mnt
	status_is "$1" "$2: repair"
	report "$2: nothing to write" '.journal == null and all(.plan[]; .steps == []) and any(.messages[]; .code == "nothing-to-repair")'
	if [ "$1" != 0 ] && [ $fs = ext4 ]; then
		repair --zero-fill $mnt
		status_is "$1" "$2: zero fill"
		report "$2: nothing to fill" '.journal == null and .summary.zeroed_bytes == 0'
	fi
	check "$2: the list is what it was" [ "$(badblocks "$PMEM")" = "$list" ]
}

# healed WHAT: mounted again, nothing is bad and the file is whole
healed() {
	check "$1: the list is empty" clean
	mount_dax $fs "$PMEM" $mnt
	recover scan $mnt
	status_is 0 "$1"
	check "$1: the file is whole" same f
}

# fill: a file of zeros in all of the free space, and none again
fill() {
	dd if=/dev/zero of=$mnt/fill bs=1M 2>/dev/null
	sync -f $mnt
	rm $mnt/fill
}

unwritten() {
	fallocate -l 64K $mnt/reserved
	sync -f $mnt
	found 0 unwritten poison-unwritten "$(file_sector reserved 8192)"
	dd if=/dev/zero of=$mnt/reserved bs=4096 seek=2 count=1 conv=notrunc,fsync status=none
	check "unwritten: the first write clears it" clean
	rm $mnt/reserved
}

# ---- ext4: e2fsck writes anew what it cannot read

fs=ext4
name="$name_of_test $fs"
mount_fs $fs
make_file f 100000
dumpe2fs "$PMEM" >/tmp/dump 2>/dev/null
bitmap=$(sed -n 's/.*Block bitmap at \([0-9]*\).*/\1/p' /tmp/dump | sed -n 2p)
journal=$(debugfs -R 'blocks <8>' "$PMEM" 2>/dev/null | tr ' ' '\n' | sed -n 20p)
# In the middle of the longest run of free blocks, which a big file gets first: some are kept in reserve.
free=$(sed -n 's/^  Free blocks: //p' /tmp/dump | tr ',' '\n' | awk -F '[ -]+' '
	{ first = $1 == "" ? $2 : $1; if ($NF - first > longest) { longest = $NF - first; middle = int((first + $NF) / 2) } }
	END { print middle }')
check "the places are known ($bitmap, $journal, $free)" [ "${bitmap:-0}" -gt 0 -a "${journal:-0}" -gt 0 -a "${free:-0}" -gt 0 ]

found 0 free poison-in-free-space $((free * 8 + 8))
fill
check "free: a file that fills the filesystem clears it" clean

# What the filesystem itself has still to write would clear it.
umount $mnt && mount_dax $fs "$PMEM" $mnt
found 4 metadata metadata-lost $((bitmap * 8 + 2))
says "metadata: what helps" "e2fsck -fy"
umount $mnt
e2fsck -fy "$PMEM" >/tmp/fsck 2>&1
healed "metadata: after e2fsck"

found 4 log log-lost $((journal * 8 + 3))
says "log: what helps" "tune2fs -O \^has_journal"
umount $mnt
check "log: made anew" eval 'tune2fs -O ^has_journal $PMEM && e2fsck -f -p $PMEM && tune2fs -j $PMEM'
if ! clean; then
	# The new one lies elsewhere.
	mount_dax $fs "$PMEM" $mnt
	recover scan $mnt
	report "log: the poison is in free space" '[.devices[0].badblocks.ranges[].owner] == ["free"]'
	umount $mnt
	clear_all
fi
healed "log: after that"

unwritten

# An inode that cannot be read is told of by its name alone: who looks at it has the filesystem remounted read-only.
mkdir $mnt/many
for i in $(seq 64); do
	echo "$i" >$mnt/many/$i
done
inode=$(stat -c %i $mnt/many/40)
umount $mnt
tune2fs -e remount-ro "$PMEM" >/dev/null
table=$(debugfs -R "imap <$inode>" "$PMEM" 2>/dev/null | sed -n 's/.*located at block \([0-9]*\).*/\1/p')
check "the inode's place is known ($inode, ${table:-none})" [ "${table:-0}" -gt 0 ]
poison "$PMEM" $((table * 8 + 1))
# what other tests did to theirs
dmesg --clear
mount_dax $fs "$PMEM" $mnt
for lookup in auto walk; do
	recover scan --lookup=$lookup $mnt
	report "inode: what the place is ($lookup)" '[.devices[0].badblocks.ranges[] | [.owner, .part]] | unique == [["metadata", "inode"]]'
	report "inode: its name is told ($lookup)" 'any(.messages[]; .code == "inode-lost" and .object == "'$mnt'/many/40")'
	[ $lookup = walk ] ||
		check "inode: the filesystem is as it was" eval 'touch $mnt/still-writable && ! dmesg | grep -q "EXT4-fs error"'
done
umount $mnt
clear_all
e2fsck -fy "$PMEM" >/tmp/fsck 2>&1
mount_dax $fs "$PMEM" $mnt
unmount

# ---- XFS: the log and the heads of groups are known with a reverse map and without

fs=xfs
for map in 1 0; do
	name="$name_of_test $fs rmapbt=$map"
	mount_fs $fs -m rmapbt=$map
	make_file f 100000
	field() { xfs_db -r -c 'sb 0' -c "p $1" "$PMEM" | sed 's/.*= //'; }
	log=$(xfs_db -r -c "convert fsblock $(field logstart) daddr" "$PMEM" | sed 's/.*(\([0-9]*\))/\1/')
	log=$((log + $(field logblocks) * 4))
	group=$(($(field agblocks) * 8))
	free=$((group * 4 - 8192))
	check "the places are known ($log, $group)" [ "$log" -gt "$group" ]

	# The middle of the log: xfs_repair reads no more of one that is clean than where it ends.
	found 4 log log-lost $((log + 5))
	says "log: what helps" "xfs_repair -L"
	umount $mnt
	check "log: written anew" xfs_repair -L "$PMEM"
	healed "log: after xfs_repair -L"

	# The head of the second group: xfs_repair reads it, or stops.
	found 4 metadata metadata-lost $((group + 1))
	says "metadata: what helps" "xfs_repair"
	if [ $map = 0 ]; then
		unmount
		continue
	fi
	umount $mnt
	check "metadata: xfs_repair stops at it" eval '! xfs_repair "$PMEM"'
	dd if=/dev/zero of="$PMEM" bs=4096 seek=$((group / 8)) count=1 oflag=direct conv=notrunc status=none
	check "metadata: xfs_repair, once it can be read" xfs_repair "$PMEM"
	healed "metadata: after xfs_repair"

	found 0 free poison-in-free-space $((free + 8))
	clear_all
	unwritten
	unmount
done

# inodes that are XFS's own are no files
name="$name_of_test $fs quota"
mount_fs $fs -m rmapbt=1
umount $mnt
mount -o uquota "$PMEM" $mnt
make_file f 100000
umount $mnt
inode=$(xfs_db -r -c 'sb 0' -c 'p uquotino' "$PMEM" | sed 's/.*= //')
block=$(xfs_db -r -c "inode $inode" -c 'p u3.bmx' "$PMEM" | sed -n 's/.*0:\[0,\([0-9]*\),.*/\1/p')
sector=$(xfs_db -r -c "convert fsblock ${block:-0} daddr" "$PMEM" | sed 's/.*(\([0-9]*\))/\1/')
check "the place of its quota is known ($inode, $block, $sector)" [ "${block:-0}" -gt 0 ]
mount -o uquota "$PMEM" $mnt
found 4 metadata metadata-lost $((sector + 1))
unmount
name=$name_of_test
finish
