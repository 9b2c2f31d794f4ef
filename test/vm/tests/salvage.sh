#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# salvage.sh: a copy has every byte that was not poisoned, and mended it is a backup. salvage-cache.sh does the same
# without DAX.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
cache=${cache:-no}
copy=/tmp/copy
map=/tmp/map
expected=/tmp/expected

# lose NAME OFFSET COUNT: poison so many sectors, and take them out of what is expected
lose() {
	local name=$1 offset=$2 count=$3
	poison_file "$name" "$offset" "$count"
	dd if=/dev/zero of=$expected bs=512 seek=$((offset / 512)) count="$count" conv=notrunc status=none
	bytes=$((bytes + count * 512))
}

lost() { ddrescuelog --list-blocks=- -b512 $map | wc -l; }

# mend NAME: what the copy lacks, from the backup
mend() {
	local first count
	while read -r first count _; do
		dd if="$backup/$1" of=$copy bs=512 skip=$((first / 512)) seek=$((first / 512)) count=$(((count + 511) / 512)) conv=notrunc status=none
	done < <(sed -n 's/-$//p' $map)
	truncate -s "$(stat -c %s "$backup/$1")" $copy
}

# forget NAME: what the page cache has of it, and nothing else
forget() { dd if="$mnt/$1" iflag=nocache count=0 status=none; }

salvage() { recover salvage "$@" -o $copy --mapfile=$map; }

for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	if [ $cache = yes ]; then
		umount $mnt
		mount "$PMEM" $mnt
	fi
	bytes=0
	make_file f 4000000
	make_file g 500000 2
	dd if="$backup/g" of=$mnt/sparse bs=4096 count=2 status=none
	dd if="$backup/g" of=$mnt/sparse bs=4096 count=2 seek=4000 conv=notrunc status=none
	fallocate -o 20M -l 64K $mnt/sparse
	cp --sparse=always $mnt/sparse $backup/sparse
	sync -f $mnt
	cp $backup/f $expected
	lose f 0 1
	lose f $((4096 * 3 + 512)) 2
	lose f $((4096 * 4)) 1
	lose f $((4096 * 100 + 3584)) 10
	lose f $((4096 * 512)) 8
	lose f $((4000000 / 512 * 512 - 512)) 1
	forget f
	forget sparse
	rm -f $copy $map
	salvage $mnt/f
	status_is 4 "salvage"
	report "as many bytes are lost as were poisoned" ".salvage.lost_bytes == $bytes"
	report "all others are rescued" ".salvage.rescued_bytes == 4000000 - $bytes and .salvage.remaining_bytes == 0"
	report "the ranges are as many" "[.files[].ranges[] | select(.state == \"lost\") | .length] | add == $bytes"
	check "every other byte is in the copy" cmp $copy $expected
	check "the mapfile says so" [ "$(lost)" = $((bytes / 512)) ]
	list=$(badblocks "$PMEM")

	# a list that knows nothing: reading tells
	rm -f $copy $map
	: >/tmp/nothing
	salvage --badblocks=/tmp/nothing $mnt/f
	status_is 4 "what is in no list"
	report "the same is lost" ".salvage.lost_bytes == $bytes"
	report "it is said that it was in no list" 'all(.files[].ranges[]; .reason == "unlisted" or .reason == "page-offlined")'
	check "the same copy" cmp $copy $expected
	check "nothing of this changed the list" [ "$(badblocks "$PMEM")" = "$list" ]

	# the sparse file
	rm -f $copy $map
	poison_file sparse $((16384000 + 512)) 1
	salvage $mnt/sparse
	status_is 4 "a sparse file"
	report "its holes are none of the data" '.salvage.rescued_bytes == 16384 - 512'
	check "its holes are holes" [ "$(stat -c %b $copy)" -le 64 ]
	mend sparse
	check "all but one sector is there" cmp $copy $backup/sparse

	# a person mended the copy
	rm -f $copy $map
	salvage $mnt/f
	mend f
	check "mended" cmp $copy $backup/f
	repair --from-backup=$copy $mnt/f
	status_is 1 "repair from the mended copy"
	check "the file is whole" same f
	salvage --force $mnt/f
	status_is 8 "the mapfile of before the repair is refused"
	says "it is said why" 'before it was changed'
	if [ $cache = yes ]; then
		cat $mnt/g >/dev/null
		poison_file g 102400 3
		poison_file g 409600
		rm -f $copy $map
		salvage $mnt/g
		status_is 0 "what only the page cache has"
		report "it is said where it came from" '[.files[].ranges[] | [.state, .source]] | unique == [["cached", "page-cache"]]'
		check "a copy of the page cache" cmp $copy $backup/g
		check "it is still there" same g
	fi
	rm -f $copy $map
	unmount
	name=$name_of_test
done

[ $cache = no ] || finish

# a filesystem that has shut down: nothing is called lost that is not listed
for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	make_file f 1000000
	xfs_io -x -c shutdown $mnt >/dev/null
	salvage $mnt/f
	check "shut down: exit status 8 ($status)" [ $status = 8 ]
	report "shut down: nothing is lost" '.files == [] or all(.files[]; .ranges == [])'
	report "shut down: and nothing rescued" '.salvage.lost_bytes == null or .salvage.lost_bytes == 0'
	report "shut down: it is said" 'any(.messages[]; .level == "error" and (.code == "shut-down" or .code == "no-extents"))'
	rm -f $copy $map
	unmount
	name=$name_of_test
done
finish
