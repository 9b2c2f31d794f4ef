#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# not-dax.sh: a filesystem not mounted DAX: what the page cache still holds is saved before anything is written.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax

for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	umount $mnt
	mount $PMEM $mnt
	make_file cached 200000 1
	make_file dropped 200000 2
	sync
	echo 3 >/proc/sys/vm/drop_caches
	cat $mnt/cached >/dev/null
	poison_file cached 100000
	poison_file dropped 100000

	recover scan $mnt
	status_is 4 "scan"
	report "what is in the page cache is cached" '[.files[] | select(.path | endswith("/cached")) | .ranges[].state] == ["cached"]'
	report "what is not is lost" '[.files[] | select(.path | endswith("/dropped")) | .ranges[].state] == ["lost"]'
	check "the cached file can still be read" same cached

	repair --from-backup=$backup $mnt
	status_is 1 "repair"
	report "saved from the page cache" '[.files[] | select(.path | endswith("/cached")) | .ranges[] | [.state, .source]] == [["repaired", "page-cache"]]'
	report "the other from the backup" '[.files[] | select(.path | endswith("/dropped")) | .ranges[] | [.state, .source]] == [["repaired", "backup"]]'
	check "the list is empty" clean
	echo 3 >/proc/sys/vm/drop_caches
	check "without the page cache: cached" same cached
	check "without the page cache: dropped" same dropped
	unmount
	name=$name_of_test
done

# What goes to the log first: on 6.1 the device still has older bytes, which must not be taken for the newest.
name="$name_of_test journalled"
mount_fs ext4
umount $mnt
for options in data=journal nodelalloc; do
	mount -o $options $PMEM $mnt
	make_file tail 1000 1
	[ $options != nodelalloc ] || chattr +j $mnt/tail
	umount $mnt
	mount -o $options $PMEM $mnt
	cat $mnt/tail >/dev/null
	sector=$(file_sector tail 0)
	poison $PMEM $((sector + 6)) 1
	$TREE bytes 2 1000 >$backup/tail
	dd if=$backup/tail of=$mnt/tail bs=1000 count=1 conv=notrunc status=none
	repair --zero-fill $mnt/tail
	check "$options: a repair leaves the newest bytes" same tail
	# Since 6.4 listing its extents has written it to its place, and so healed that.
	[ "$kernel" != 6.1 ] || report "$options: and says why it leaves the file" '[.files[].ranges[] | [.state, .reason]] == [["skipped", "data-journal"]]'
	run $PMEM_RECOVER salvage $mnt/tail -o /tmp/salvaged
	check "$options: salvage has the newest bytes" cmp /tmp/salvaged $backup/tail
	rm /tmp/salvaged
	umount $mnt
done
mount -o data=ordered $PMEM $mnt
check "with data=ordered they are there" same tail
unmount
finish
