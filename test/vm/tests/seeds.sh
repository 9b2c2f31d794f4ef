#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# seeds.sh: random trees in the guest: poison, scan, salvage, repair; each answer is held against an oracle of its own.
#
#     seeds.sh FS[,FS] FIRST LAST
#
# One line a seed. Every fourth seed lies on a partition (of an MBR or GPT, as the seed has it); there XFS has no reflink,
# since the kernel does not mount it with DAX. About half of the seeds are repaired by punching, the others by the best that
# the kernel has. Of each tree three files are salvaged, of another layout in each seed. All reports go to REPORTS, if that is
# a directory, for the host to validate.
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"
# shellcheck source=test/vm/tests/trees.sh
. "$here/trees.sh"

filesystems=${1//,/ }
from=$2
to=$3
use_pmem fsdax

setup() {
	local fs=$1 seed=$2 device=$PMEM reflink=1
	disk=$PMEM
	table=whole
	if [ $((seed % 4)) = 0 ]; then
		$TREE partition "$seed" "$PMEM" $mib >$tmp/table || return
		read -r table _ <$tmp/table
		device=${PMEM}p1
		reflink=0
	fi
	make_tree_fs "$fs" "$device" -m reflink=$reflink
}

# What a single seed need not hit, all of them must.
check_hits() {
	local class wanted='plain shuffled interleaved sparse unwritten past_eof hardlink empty last_page last_sector page tail quiet odd_name sound'
	hit_all whole mbr gpt auto punch
	[ "$1" != xfs ] || wanted+=' reflinked twice'
	for class in $wanted; do
		if [ "${rescues[$class]:-0}" = 0 ]; then not_ok "nothing salvaged that is $class"; fi
	done
	[ "${rescues[files]:-0}" = 0 ] || ok "${rescues[files]} files salvaged, of every layout"
	show_hits
}

prefix=
for fs in $filesystems; do
	name="seeds $fs $kernel $kind"
	declare -A hits=() rescues=()
	for ((seed = from; seed <= to; seed++)); do
		run_seed "$fs" "$seed" "--fs=$fs"
	done
	[ $((to - from)) -lt 9 ] || check_hits "$fs"
done
finish
