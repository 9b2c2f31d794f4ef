#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# zero-fill.sh: zeros where it is lost, and nowhere else; the data is gone, so exit status 4.
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
	make_file f 100000
	poison_file f 40960 3
	poison_file f 99999
	cp $backup/f /tmp/expected
	dd if=/dev/zero of=/tmp/expected bs=512 seek=80 count=3 conv=notrunc status=none
	# The last sector ends with the file.
	dd if=/dev/zero of=/tmp/expected bs=1 seek=99840 count=160 conv=notrunc status=none

	repair --dry-run --zero-fill $mnt
	status_is 4 "a dry run"
	check "a dry run writes nothing" listed "$(file_sector f 40960) 3"
	repair --zero-fill $mnt
	status_is 4 "--zero-fill"
	report "every range is zeroed" '[.files[].ranges[] | select(.state != "zeroed" and .state != "past_eof" and .state != "repaired")] == [] and ([.files[].ranges[] | select(.state == "zeroed") | .length] | add) >= 1696'
	report "nothing lost counts as repaired" '.summary.zeroed_bytes >= 1696 and .summary.lost_bytes == 0'
	check "zeros, and the rest as it was" cmp $mnt/f /tmp/expected
	check "the list is empty" clean
	recover scan $mnt
	status_is 4 "no poison is left, and the zeros are remembered"
	report "the zeros are remembered" '[.files[].ranges[]] == [] and ([.zeroed[].length] | add) >= 1696 and all(.zeroed[]; .file == "same")'
	recover health --acknowledge="${PMEM##*/}"
	status_is 0 "acknowledged"
	unmount
	name=$name_of_test
done
finish
