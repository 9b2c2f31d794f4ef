#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# races.sh: a repair that is stopped behind each of its writes to a DAX file while others cut, lengthen, punch or rewrite it:
# nothing of theirs is undone, and no byte that could be read is lost. Also where it is stopped for longer than it may keep
# them waiting. (repair-races.sh stops it in more places, and needs no guest.)
#
# needs: any own-guest long
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
# Each filesystem on one kernel: what is stopped and traced takes its time.
fs=ext4
[ "$kernel" = 6.1 ] || fs=xfs
name="$name $fs"
mount_fs $fs
export TREE
top_srcdir=$(realpath "$here/../../..")
export top_srcdir

# races WHAT ACTION [OPTION]...: see test/cli/faults.py
races() {
	local what=$1 action=$2

	shift 2
	mkdir -p "$journals/races"
	/usr/bin/python3 -B "$top_srcdir/test/cli/faults.py" "$what=$action" "$PMEM_RECOVER" $mnt "$PMEM" "$journals/races" "$@" >/tmp/races 2>&1
	status=$?
	tail -n 1 /tmp/races
	check "$what $action${*:+ $*}" eval "cat /tmp/races; [ $status = 0 ]"
}

check "mounted with DAX" grep -q " $mnt .*dax=always" /proc/mounts
for action in truncated extended punched rewritten; do
	races dax-race $action
done
# What the kernel waits for before it takes a lease away, in seconds.
echo 1 >/proc/sys/fs/lease-break-time
for action in truncated emptied extended filled rewritten; do
	races dax-late $action
done
for action in extended rewritten; do
	races dax-late $action --method=punch
done
races dax-asking extended
finish
