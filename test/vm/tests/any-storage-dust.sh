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

for fs in ext4 xfs; do
	one_filesystem $fs
	check_salvage $fs
	check_repair $fs
	remove_storage
done
finish
