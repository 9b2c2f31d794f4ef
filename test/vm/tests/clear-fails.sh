#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# clear-fails.sh: a device that does not clear, or not all of it: failed, never repaired.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax

# With the flag the kernel says EIO ahead of its copy, so that nothing was written.
outcome=failed
[ ! -e /sys/module/dax/parameters/recovery_flag ] || outcome=skipped
never_repaired='[.files[].ranges[].state] | all(. != "repaired") and any(. == "'$outcome'")'

for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	make_file f 1000000
	poison_file f $((40960 + 3 * 512))
	sector=$(file_sector f $((40960 + 3 * 512)))

	module_set clear_mode fail
	repair --from-backup=$backup $mnt
	status_is 4 "clear_mode=fail"
	report "the range is failed, not repaired" "$never_repaired"
	report "the range is the sector, exactly" '.files[0].ranges == [.files[0].ranges[0]] and .files[0].ranges[0].offset == 42496 and .files[0].ranges[0].length == 512'
	report "nothing counts as repaired" '.summary.repaired_bytes == 0 and .summary.lost_bytes == 512'
	check "the list is as it was" listed "$sector 1"
	says "it is said which file" "$mnt/f: "

	# Two sectors of one page; the first half is cleared and never written, since the kernel gives up: with what was lost
	# of it, what could be read is gone.
	module_set clear_mode ok
	clear_all
	cp $backup/f $mnt/f
	sync -f $mnt/f
	poison_file f $((81920 + 512))
	poison_file f $((81920 + 6 * 512))
	second=$(file_sector f $((81920 + 6 * 512)))
	module_set clear_mode partial
	repair --from-backup=$backup $mnt
	status_is 4 "clear_mode=partial"
	report "a sector that is still bad is failed" 'any(.files[].ranges[]; .offset == 84992 and .state == "failed")'
	report "a sector that was cleared and not written is not repaired" 'all(.files[].ranges[]; .state != "repaired")'
	check "what was not cleared is listed" listed "$second 1"
	check "what was cleared and not written is listed again" [ "$(badblocks "$PMEM" | awk '{ n += $2 } END { print n }')" = 5 ]
	says "it is said where the bytes are that could be read" "lost more by the write at byte 81920 .* are in the journal $journals/"
	report "and it has a code" 'any(.messages[]; .code == "spoiled")'
	journal=$(echo $journals/*.journal)
	recover journal --export=/tmp/spoiled.$fs "$journal"
	check "they can be had" cmp -n 4096 -i 0:81920 /tmp/spoiled.$fs/*@81920+4096 $backup/f

	module_set clear_mode ok
	recover repair --yes --journal=$journals --resume
	status_is 1 "then it is resumed"
	check "every byte is there" same f
	unmount
	name=$name_of_test
done
finish
