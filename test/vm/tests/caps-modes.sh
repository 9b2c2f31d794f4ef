#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# caps-modes.sh: set-id bits, owner, security.capability and extended attributes survive a repair.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax

state_of() {
	stat -c '%a %u %g %s %h' "$1"
	getcap "$1"
	getfattr -d -m - -e hex "$1" 2>/dev/null
}

for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	n=0
	for mode in 0000 4755 2755 6711; do
		make_file "m$mode" 30000 $((n += 1))
		chown $((1000 + n)):$((2000 + n)) $mnt/m$mode
		[ $n = 3 ] || setcap cap_net_raw,cap_net_bind_service=ep $mnt/m$mode
		setfattr -n user.note -v "$mode" $mnt/m$mode 2>/dev/null
		chmod $mode $mnt/m$mode
		state_of $mnt/m$mode >/tmp/before.$mode
		poison_file m$mode 4096
		poison_file m$mode 29999
	done
	repair --from-backup=$backup $mnt
	status_is 1 "repair"
	for mode in 0000 4755 2755 6711; do
		check "mode $mode: whole" same m$mode
		check "mode $mode: nothing about it changed" eval 'state_of $mnt/m$mode | diff /tmp/before.$mode -'
	done
	unmount
	name=$name_of_test
done
finish
