#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# in-use.sh: files that others have open for writing, mapped or leased: left, and the process is named.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax

left_in_use() {
	local what=$1 pid=$2
	repair --from-backup=$backup $mnt
	status_is 4 "$what"
	report "$what: left as in-use" '[.files[].ranges[]] | length == 1 and all(.state == "skipped" and .reason == "in-use")'
	says "$what: the process is named" "(^|[^0-9])$pid([^0-9]|$)"
	check "$what: the list is as it was" listed "$sector 1"
	kill "$pid"
	wait "$pid" 2>/dev/null
}

for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	make_file f 1000000
	poison_file f 50000
	sector=$(file_sector f 50000)

	sleep 1000 3<>$mnt/f &
	has_open $! 3
	left_in_use "open for writing" $!

	sleep 1000 3<$mnt/f &
	has_open $! 3
	left_in_use "open for reading" $!

	mkfifo /tmp/commands 2>/dev/null
	xfs_io $mnt/f </tmp/commands >/dev/null 2>&1 &
	exec 8>/tmp/commands
	echo 'mmap -rw 0 65536' >&8
	echo 'mread 0 1' >&8
	echo 'close' >&8
	until grep -q "$mnt/f" /proc/$!/maps && [ -z "$(find /proc/$!/fd -lname "$mnt/f")" ]; do
		sleep 0.1
	done
	left_in_use "mapped" $!
	exec 8>&-

	repair --from-backup=$backup $mnt
	status_is 1 "when nobody has it open"
	check "then it is repaired" same f
	unmount
	name=$name_of_test
done
finish
