#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# seeds.sh: random trees in the guest: poison, scan, repair; each answer is held against an oracle of its own.
#
#     seeds.sh ext4|xfs FIRST LAST
#
# One line a seed. Every fourth seed lies on a partition (of an MBR or GPT, as the seed has it); there XFS has no reflink,
# since the kernel does not mount it with DAX.
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

fs=$1
from=$2
to=$3
name="seeds $fs $kernel $kind"
tmp=/tmp/seed
mib=48
declare -A hits
use_pmem fsdax

make_xfs() { TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q -f -K -d size=${mib}m "$@" >/dev/null; }

# Sets device, the filesystem's, and table, how it lies on $PMEM.
setup() {
	local seed=$1
	device=$PMEM
	table=whole
	reflink=1
	if [ $((seed % 4)) = 0 ]; then
		table=$($TREE partition "$seed" "$PMEM" $mib) || return
		device=${PMEM}p1
		table=${table%% *}
		reflink=0
	fi
	case $fs in
	ext4) mkfs.ext4 -q -F -b 4096 -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 -N 1024 -J size=8 "$device" ${mib}M ;;
	xfs) make_xfs -m reflink=$reflink "$device" ;;
	esac || return
	mount -t "$fs" -o dax "$device" $mnt
}

# The summary of the classes that were hit, from the list's last line; counted over all seeds.
count_hits() {
	local word lines
	mapfile -t lines <$tmp/list
	classes=${lines[-1]#\# }
	for word in $classes $table=1; do
		hits[${word%=*}]=$((${hits[${word%=*}]:-0} + ${word#*=}))
	done
}

scan() {
	"$PMEM_RECOVER" scan $mnt >$tmp/scan.json 2>$tmp/scan.err
	status=$?
	[ $status = 4 ] || { echo "scan: exit status $status, not 4"; sed 's/^/    /' $tmp/scan.err; }
	$TREE check-scan $tmp/expect $tmp/scan.json
}

repair_tree() {
	"$PMEM_RECOVER" repair --from-backup=$tmp/backup --yes $mnt >$tmp/repair.json 2>$tmp/repair.err
	status=$?
	case $status in
	1 | 4) ;;
	*) echo "repair: exit status $status"; head -n 20 $tmp/repair.err | sed 's/^/    /' ;;
	esac
	$TREE check-repair $tmp/backup $mnt $tmp/expect $tmp/repair.json
}

# The lines of the checks, in one.
sums() {
	local line
	while read -r line; do
		case $line in
		'scan: bad='* | 'repair: repaired'*) printf '%s ' "$line" ;;
		esac
	done
}

# Keeps what is needed to look at it afterwards, where the harness gave a directory.
keep() {
	[ -n "${KEEP:-}" ] || return
	mkdir -p "$KEEP/$fs-$1"
	cp $tmp/list $tmp/expect $tmp/*.json $tmp/*.err "$KEEP/$fs-$1/" 2>/dev/null
}

one_seed() {
	local seed=$1
	setup "$seed" || { echo "cannot mount"; return 1; }
	$TREE make "$seed" $mnt $tmp/backup >$tmp/made || return
	$TREE poison "$seed" $mnt "$PMEM" 110 $tmp/expect >$tmp/list || { cat $tmp/list; return 1; }
	inject $tmp/list || { echo "cannot poison"; return 1; }
	count_hits
	scan || return
	repair_tree
}

mkdir -p $tmp
for ((seed = from; seed <= to; seed++)); do
	begin=${EPOCHREALTIME/./}
	classes=
	if one_seed "$seed" >/tmp/answer 2>&1; then
		verdict=ok
	else
		verdict='not ok'
		failures=$((failures + 1))
		keep "$seed"
	fi
	rm -rf $tmp/backup
	umount $mnt || failures=$((failures + 1))
	clear_all
	took=$(((${EPOCHREALTIME/./} - begin) / 10000))
	echo "$verdict - $name seed $seed ($table) $(sums </tmp/answer)$classes [$((took / 100)).$((took % 100 / 10)) s]"
	if [ "$verdict" != ok ]; then
		sed 's/^/    /' /tmp/answer | head -n 40
		echo "    again: test/vm/suite --kernel=$kernel --pmem=$kind --fs=$fs --seed=$seed"
	fi
done

# What a single seed need not hit, all of them must.
if [ $((to - from)) -ge 19 ]; then
	for class in whole mbr gpt; do
		if [ "${hits[$class]:-0}" -gt 0 ]; then ok "$class: ${hits[$class]} seeds"; else not_ok "no seed on $class"; fi
	done
	for class in "${!hits[@]}"; do
		printf '%s=%s ' "$class" "${hits[$class]}"
	done | sed "s/^/    hits in all seeds: /"
	echo
fi
finish
