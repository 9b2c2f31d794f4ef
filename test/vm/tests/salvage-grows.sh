#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# salvage-grows.sh: poison that is found while a file is copied, or is not in the file that stands for its list, on a kernel
# whose flagged reads fill it with zeros.
#
# needs: flag
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

mode=/sys/module/dax/parameters/recovery_flag
use_pmem fsdax
was=$(<$mode)

for how in flag zero; do
	name_of_test=$name
	name="$name_of_test $how"
	echo $how >$mode
	mount_fs xfs
	make_file f 4000000
	cp $backup/f /tmp/expected
	for sector in 24 4001; do
		dd if=/dev/zero of=/tmp/expected bs=512 seek=$sector count=1 conv=notrunc status=none
	done
	poison_file f $((24 * 512))
	rm -f /tmp/copy /tmp/map
	next_run
	# the list is read, the output made, and then the first read takes its time
	strace -f -qq -o /dev/null -e trace=preadv2 -e inject=preadv2:delay_enter=20000000:when=1 \
		"$PMEM_RECOVER" salvage $mnt/f -o /tmp/copy --mapfile=/tmp/map >"$out" 2>"$err" </dev/null &
	for ((i = 0; i < 300; i++)); do
		[ ! -e /tmp/map ] || break
		sleep 0.1
	done
	check "it waits" [ "$(grep -c '?$' /tmp/map)" = 1 ]
	poison_file f $((4001 * 512))
	check "it still waits" [ "$(grep -c '?$' /tmp/map)" = 1 ]
	wait $!
	status=$?
	last="salvage while poison is found"
	status_is 4 "salvage"
	report "what was found meanwhile is lost too" '[.files[].ranges[] | [.offset, .length, .state]] == [[12288, 512, "lost"], [2048512, 512, "lost"]]'
	report "nothing else is" '.salvage.lost_bytes == 1024 and .salvage.rescued_bytes == 4000000 - 1024 and .complete'
	check "every other byte is in the copy" cmp /tmp/copy /tmp/expected
	check "the mapfile has both" [ "$(grep -c -- '-$' /tmp/map)" = 2 ]
	# the kernel knows of both, and the file of one: the other is no zeros either
	head -n 1 /sys/block/"${PMEM##*/}"/badblocks >/tmp/list
	check "the kernel lists more than the file" [ "$(wc -l </sys/block/"${PMEM##*/}"/badblocks)" = 2 ]
	rm -f /tmp/copy /tmp/map
	recover salvage --badblocks=/tmp/list $mnt/f -o /tmp/copy --mapfile=/tmp/map
	status_is 4 "a list with less than the kernel's"
	report "what it does not have is lost too" '[.files[].ranges[] | [.offset, .length, .reason]] == [[12288, 512, null], [2048512, 512, "unlisted"]]'
	check "every other byte is in the copy by that list, too" cmp /tmp/copy /tmp/expected
	check "the mapfile has both, by that list too" [ "$(grep -c -- '-$' /tmp/map)" = 2 ]
	unmount
	name=$name_of_test
done
echo "$was" >$mode
finish
