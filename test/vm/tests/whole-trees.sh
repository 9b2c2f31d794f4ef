#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# whole-trees.sh: random trees: whose bad bytes are is told the same by the filesystem, by a walk and by an oracle of its own;
# whole-trees-ext4.sh is the same on ext4, in a test of its own for the time it takes.
#
# test/cli/whole-trees.sh is the same on loop devices, with more in its lists: metadata that the kernel itself has to read is
# not poisoned here, and all seeds run there. SEEDS is how many for each filesystem; of 20 one half is on one kernel, the
# other on the other.
#
# needs: any own-guest long
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

from=1
to=10
if [ -n "${SEEDS:-}" ]; then
	to=$SEEDS
elif [ "$kernel" != 6.1 ]; then
	from=11 to=20
fi
seeds=$((to - from + 1))
size=96
export PMEM_RECOVER
top_srcdir=$(cd "$here/../../.." && pwd)
export top_srcdir
use_pmem fsdax
knob=/sys/block/${PMEM##*/}/badblocks
offset=
if [ "$kind" = module ]; then
	knob=$pmr_parameters/inject
	pmem_disk "$PMEM"
	offset=$(region_offset 0)
fi

# trees NAME WAY BLOCK MKFS...: random trees on a filesystem made by that command; with DAX where the block is the page
trees() {
	local type=${1%%-*} what="$1, blocks of $3" way=$2 block=$3 dax=,dax begin=$SECONDS

	shift 3
	[ "$block" = 4096 ] || dax=
	if ! TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 "$@" >/tmp/why 2>&1 || ! mount -t "$type" -o noatime$dax "$PMEM" $mnt 2>>/tmp/why; then
		not_ok "$what: no filesystem: $(tail -n 1 /tmp/why)"
		return
	fi
	if /usr/bin/python3 -B "$top_srcdir/test/cli/whole_trees.py" "$PMEM" $mnt "$type" "$block" "$way" "$from" "$to" small \
		size=${size}M "knob=$knob" ${offset:+region=$offset} >/tmp/trees 2>&1; then
		ok "$what: $seeds trees [$((SECONDS - begin)) s]"
	else
		not_ok "$what: $(grep -c ^FAIL: /tmp/trees) of $seeds trees [$((SECONDS - begin)) s]"
	fi
	cut -c1-1500 /tmp/trees | sed 's/^/    /' | head -n 40
	umount $mnt
	clear_all
}

ext4() {
	trees "ext4-$1" inode-table "$2" \
		mkfs.ext4 -q -F -b "$2" -E nodiscard,lazy_itable_init=0,lazy_journal_init=1 -N 4096 -J size=4 "${@:3}" "$PMEM" ${size}M
}
xfs() {
	trees "xfs-$1" "$2" "$3" mkfs.xfs -q -f -K -d size=${size}m -l size=16m -b size="$3" -m "$4" "$PMEM"
}

if [ "${fs:-xfs}" = ext4 ]; then
	ext4 extents 4096
	ext4 extents 1024
	ext4 indirect 4096 -O ^extent,^64bit
	ext4 indirect 1024 -O ^extent,^64bit
else
	xfs rmap-reflink reverse-map 4096 rmapbt=1,reflink=1
	xfs rmap reverse-map 1024 rmapbt=1,reflink=0
	xfs reflink walk 4096 rmapbt=0,reflink=1
	xfs plain walk 1024 rmapbt=0,reflink=0
fi
finish
