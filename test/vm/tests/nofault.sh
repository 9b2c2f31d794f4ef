#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# nofault.sh: mappings of files on DAX with poison in them. Who copies out of them by pmr_copy_nofault(), or loads from them
# with a handler of its own, outlives it, and has by pmr_recover_at() every byte that was not poisoned.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
survive=/tmp/stage/survive
expected=/tmp/expected
lost_bytes=0

# lose NAME OFFSET COUNT: poison so many sectors, and take them out of what is expected
lose() {
	poison_file "$1" "$2" "$3"
	dd if=/dev/zero of=$expected bs=512 seek=$(($2 / 512)) count="$3" conv=notrunc status=none
	lost_bytes=$((lost_bytes + $3 * 512))
}

lost() { awk '/: lost: / { n += $3 } END { print n + 0 }' /tmp/said; }

# survives STATUS COMMAND...
survives() {
	"${@:2}" >/tmp/copy 2>/tmp/said
	status=$?
	[ $status = "$1" ] && return
	echo "status $status"
	cat /tmp/said
	return 1
}

# a user runs it, too
chmod a+rx /tmp/stage
name_of_test=$name
for fs in ext4 xfs; do
	name="$name_of_test $fs"
	mount_fs $fs
	make_file f 3000000
	cp $backup/f $expected
	lost_bytes=0
	lose f 0 1
	lose f $((4096 * 3 + 512)) 2
	lose f $((4096 * 4)) 1
	lose f $((4096 * 300)) 8
	lose f $((4096 * 732 + 1024)) 1

	check "a copy ends with status 4" survives 4 $survive copy $mnt/f
	check "it has every byte that was not poisoned" cmp /tmp/copy $expected
	check "of the others it says which they are" [ "$(lost)" = $lost_bytes ]
	check "loads with a handler end with status 4" survives 4 $survive sum $mnt/f
	check "their sum is that of the copy" [ "$(cat /tmp/copy)" = "$($survive sum $expected)" ]
	check "they name the same losses" [ "$(lost)" = $lost_bytes ]
	# 6.5 brought the code by which poison is told from everything else
	case $kernel in
	6.1 | flag) signal='SIGBUS, BUS_ADRERR, lsb 0' ;;
	*) signal='SIGBUS, BUS_MCEERR_AR, lsb 12' ;;
	esac
	check "the signals are such as this kernel has: $signal" [ "$(grep -c "$signal" /tmp/said)" = 5 ]
	check "threads that copy into a bad page all get the exact count" survives 0 \
		/tmp/stage/nofault dax $mnt/f $((4096 * 3)) 4000
	# who may not read the device loses all of each bad page
	check "a user survives, too" survives 4 setpriv --reuid=1000 --regid=1000 --clear-groups $survive copy $mnt/f
	check "and loses whole pages" [ "$(lost)" = $((4096 * 4 + 3000000 - 4096 * 732)) ]
	unmount
done

name=$name_of_test
check "memory that the kernel was told is bad (MADV_HWPOISON)" survives 0 /tmp/stage/nofault madvise
finish
