#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# eof-page.sh: the last page of a file: repaired, and the file as long as it was.
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
	for size in 1 511 512 513 4095 4096 4097 12287 20000; do
		make_file "f$size" $size $size
		poison_file "f$size" $((size - 1))
	done
	# Past the end, in the last page: no byte of the file, and yet the page cannot be read.
	make_file tail 10000
	"$TREE" scramble "$PMEM" "$(($(file_sector tail 9999) + 1))" 1
	poison "$PMEM" $(($(file_sector tail 9999) + 1))
	# Two files more, as witnesses: what lies behind a last page is another file's.
	make_file witness 50000

	recover scan $mnt
	status_is 4 "scan"
	report "every last sector, cut at the end of the file" '[.files[] | . as $f | .ranges[] | select(.state == "lost") | .offset + .length == $f.size] | length == 9 and all'
	report "what lies past the end is no loss" '[.files[] | select(.path | endswith("/tail")) | .ranges[] | .state] == ["past_eof"]'
	repair --from-backup=$backup $mnt
	status_is 1 "repair"
	for file in f1 f511 f512 f513 f4095 f4096 f4097 f12287 f20000 tail witness; do
		check "$file is as it was" same $file
	done
	check "the list is empty" clean
	# What was past the end must read as zeros when the file grows.
	truncate -s 20480 $mnt/tail
	check "zeros behind the end" cmp -n 10480 -i 10000:0 $mnt/tail /dev/zero
	unmount
	name=$name_of_test
done
finish
