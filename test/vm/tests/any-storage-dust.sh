#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# any-storage-dust.sh: any-storage.sh with the sectors of dm-dust, which a write heals: repair in place, byte for byte.
#
# needs: flag
set -u

here=$(cd "$(dirname "$0")" && pwd)
bad=dust
# shellcheck source=test/vm/tests/any-storage.sh
. "$here/any-storage.sh"

files_are_the_backup() {
	(cd $backup && find . -type f -print0 | xargs -0 -n 50 sh -c 'for f; do cmp "$f" "$0/$f" || exit 255; done' $mnt)
}

check_salvage() {
	printf '#!/bin/sh\nverb=$1\nshift\nexec %s "$verb" --read "$@"\n' $PMEM_RECOVER >$tmp/reading
	chmod +x $tmp/reading
	mkdir -p $tmp/salvaged
	check "$1: salvage --read is exact" $TREE salvage $tmp/reading "$seed" 3 $backup $tmp/expect $tmp/salvaged flag
}

check_repair() {
	repair --read --from-backup=$backup $mnt
	status_is 1 "$1: repair --read"
	report "$1: in the report all is repaired" '.summary.repaired_bytes > 0 and .summary.lost_bytes == 0'
	umount $mnt
	mount "$loop" $mnt
	check "$1: every file is the backup, byte for byte" files_are_the_backup
	recover scan --read $mnt
	status_is 0 "$1: scan --read finds nothing lost"
	report "$1: and fewer bad sectors" ".devices[0].read.found_by_reading < $(wc -l <$tmp/sectors) * 512"
}

# Where blocks are smaller than pages: what is read back of one must not fail for another one of its page that still waits.
check_small_blocks() {
	local at
	make_file f 8192
	# The second block of the page goes elsewhere, so that the first and the third are two writes.
	fallocate --punch-hole --offset 1024 --length 1024 $mnt/f
	dd if=$backup/f of=$mnt/f bs=1024 skip=1 seek=1 count=1 conv=notrunc,fsync status=none
	for at in 0 2048; do file_sector f $at; done | sort -n >$tmp/sectors
	check "small blocks: two extents of a page" [ $(($(tail -n 1 $tmp/sectors) - $(head -n 1 $tmp/sectors))) = 4 ]
	check "small blocks: the block between them is elsewhere" [ "$(file_sector f 1024)" != $(($(file_sector f 0) + 2)) ]
	umount $mnt
	check "small blocks: two sectors of dm-dust" damage
	mount "$loop" $mnt
	repair --read --method=punch --from-backup=$backup $mnt/f
	status_is 1 "small blocks: repair --method=punch"
	umount $mnt
	mount "$loop" $mnt
	check "small blocks: every byte" same f
}

for fs in ext4 xfs; do
	one_filesystem $fs
	check_salvage $fs
	check_repair $fs
	remove_storage
done
block=1024
make_storage ext4
check_small_blocks
remove_storage
finish
