#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# device-shared.sh: blocks shared by reflink are repaired in place, for all of their owners at once; nothing is copied.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax

mount_fs xfs -m reflink=1
make_file a 300000
cp --reflink=always $mnt/a $mnt/b
cp $backup/a $backup/b
cp --reflink=always $mnt/a $mnt/c
cp $backup/a $backup/c
sync -f $mnt
poison_file a 8192
poison_file a 100000 3
# shellcheck disable=SC2034 # used by eval
where=$(file_sector b 100000)
recover scan $mnt
status_is 4 "scan"
report "all owners lost it" '[.files[].path] | length == 3'
repair --from-backup=$backup $mnt
status_is 1 "repair of all owners"
report "repair of all owners: by device" '[.files[].ranges[]] | length == 6 and all(.state == "repaired" and .method == "device")'
report "repair of all owners: of a backup" '[.files[].ranges[]] | all(.source == "backup")'
report "repair of all owners: for less than a second" '.freezes | .count >= 1 and .longest_ns > 0 and .longest_ns < 1000000000'
for file in a b c; do
	check "$file is as it was" same $file
done
check "nothing was copied" eval '[ "$(file_sector a 100000)" = "$where" ] && [ "$(file_sector b 100000)" = "$where" ] && [ "$(file_sector c 100000)" = "$where" ]'
check "the list is empty" clean

# One owner is asked about alone; the file is shared with itself, too.
xfs_io -c "reflink $mnt/a 98304 204800 4096" $mnt/a >/dev/null
cp $mnt/a $backup/a
sync -f $mnt
poison_file a 100000
repair --from-backup=$backup $mnt/a
status_is 1 "one owner alone, which has it twice"
report "one owner alone: both places" '[.files[].ranges[]] | length == 2 and all(.state == "repaired" and .method == "device")'
for file in a b c; do
	check "one owner alone: $file is as it was" same $file
done

# Backups that disagree about the same block.
poison_file b 20480
poison_file b 40960
printf other | dd of=$backup/c bs=1 seek=20600 conv=notrunc status=none
recover repair --dry-run --verify-backup=none --force --from-backup=$backup $mnt
report "backups that differ: conflict, said before" '[.files[].ranges[] | select(.offset == 20480)] | length == 3 and all(.state == "conflict" and .reason == "backups-differ")'
repair --verify-backup=none --force --from-backup=$backup $mnt
status_is 4 "backups that differ"
report "backups that differ: conflict" '[.files[].ranges[] | select(.offset == 20480)] | length == 3 and all(.state == "conflict" and .reason == "backups-differ")'
report "backups that differ: what they agree on is repaired" '[.files[].ranges[] | select(.offset == 40960)] | length == 3 and all(.state == "repaired")'
check "backups that differ: the record stays" listed "$(file_sector b 20480) 1"
cp $backup/b $backup/c
repair --from-backup=$backup $mnt
status_is 1 "backups that agree again"
for file in a b c; do
	check "backups that agree again: $file" same $file
done

# By another method they are left.
poison_file b 20480
repair --method=write --from-backup=$backup $mnt
status_is 4 "shared, by write"
report "shared, by write: left" '[.files[].ranges[]] | all(.state == "skipped" and .reason == "shared")'
check "nothing is left frozen" timeout 20 touch $mnt/thawed
unmount
finish
