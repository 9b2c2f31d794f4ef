#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# stale-backup.sh: a backup that is not of this file as it is, and one that is the file itself.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax

# refused WHAT REASON OPTION...: nothing is written, for that reason.
refused() {
	local what=$1 reason=$2
	shift 2
	repair "$@" $mnt/f
	status_is 4 "$what"
	report "$what: left as $reason" "[.files[].ranges[]] | length == 1 and all(.state == \"skipped\" and .reason == \"$reason\")"
	check "$what: the list is as it was" listed "$sector 1"
}

# change OFFSET: another byte in the backup.
change() { printf '\377\0\377\0' | dd of=$backup/f bs=1 seek="$1" conv=notrunc status=none; }

mount_fs xfs
make_file f 1000000
cp $backup/f /tmp/right
offset=$((409600 + 1024))
poison_file f $offset
sector=$(file_sector f $offset)

change $((409600 + 2048))
refused "another byte in the page" stale-backup --from-backup=$backup/f
cp /tmp/right $backup/f
change $((409600 - 50000))
refused "another byte 50000 bytes ahead" stale-backup --from-backup=$backup/f
refused "the same in a directory" stale-backup --from-backup=$backup
cp /tmp/right $backup/f
change $((409600 + 200000))
refused "another byte 200000 bytes behind, verified in full" stale-backup --verify-backup=full --from-backup=$backup/f
truncate -s 409700 $backup/f
refused "a backup that ends before the loss" backup-short --from-backup=$backup/f
rm $backup/f
refused "no backup in the directory" no-backup --from-backup=$backup
refused "the file itself" backup-is-target --from-backup=$mnt/f
ln $mnt/f $mnt/link
refused "the file by another name" backup-is-target --from-backup=$mnt/link
rm $mnt/link
cp --reflink=always $mnt/f $mnt/clone && {
	repair --from-backup=$mnt/clone $mnt/f
	status_is 4 "a reflink of the file"
	check "a reflink of the file: the list is as it was" listed "$sector 1"
	report "a reflink of the file: nothing is repaired" 'all(.files[].ranges[]; .state == "skipped")'
	rm $mnt/clone
	sync -f $mnt
}
recover repair --yes --from-backup=/tmp/nowhere $mnt/f
check "a backup that is not there: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
says "a backup that is not there: its name first" 'pmem-recover: /tmp/nowhere: '
recover repair --yes --verify-backup=none --from-backup=/tmp/right $mnt/f
check "--verify-backup=none without --force: exit status 16" [ $status = 16 ]

cp /tmp/right $backup/f
change $((409600 + 200000))
repair --from-backup=$backup/f $mnt/f
status_is 1 "another byte far away does not matter"
check "the lost bytes are as they were" cmp $mnt/f /tmp/right

poison_file f $offset
cp /tmp/right $backup/f
echo more >>$backup/f
repair --from-backup=$backup/f $mnt/f
status_is 1 "a longer backup is good enough"
report "and a warning" 'any(.messages[]; .code == "backup-size" and .level == "warning")'
check "the file is whole, and no longer" cmp $mnt/f /tmp/right

poison_file f $offset
cp /tmp/right $backup/f
change $((409600 + 2048))
repair --verify-backup=none --force --from-backup=$backup/f $mnt/f
status_is 1 "--verify-backup=none --force"
check "only the lost bytes were taken" cmp $mnt/f /tmp/right
unmount
finish
