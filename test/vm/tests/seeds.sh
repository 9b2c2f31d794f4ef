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

filesystems=${1//,/ }
from=$2
to=$3
tmp=/tmp/seed
mib=48
salvaged=3
# Starting a program takes its time on an emulated CPU: the guest's busybox starts fastest.
busybox=/run/guest/bin/busybox
# Named, and not auto: shared blocks, which that takes through the device, are device-shared.sh's.
capability='write'
case $(uname -r) in *-flag*) capability=flag kernel=flag ;; esac
use_pmem fsdax
knob=/sys/block/${PMEM##*/}/badblocks
offset=
if [ "$kind" = module ]; then
	knob=$pmr_parameters/inject
	pmem_disk "$PMEM"
	offset=$(region_offset 0)
fi

make_xfs() { TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q -f -K -d size=${mib}m "$@" >/dev/null; }

# Sets device, the filesystem's, and table, how it lies on $PMEM.
setup() {
	local fs=$1 seed=$2
	device=$PMEM
	table=whole
	reflink=1
	if [ $((seed % 4)) = 0 ]; then
		$TREE partition "$seed" "$PMEM" $mib >$tmp/table || return
		read -r table _ <$tmp/table
		device=${PMEM}p1
		reflink=0
	fi
	case $fs in
	ext4) mkfs.ext4 -q -F -b 4096 -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 -N 1024 -J size=8 "$device" ${mib}M ;;
	xfs) make_xfs -m reflink=$reflink "$device" ;;
	esac || return
	$busybox mount -t "$fs" -o dax "$device" $mnt
}

# The summary of the classes that were hit, from the list's last line; counted over all seeds.
count_hits() {
	local word lines
	mapfile -t lines <$tmp/list
	classes=${lines[-1]#\# }
	for word in $classes $table=1 $method=1; do
		hits[${word%=*}]=$((${hits[${word%=*}]:-0} + ${word#*=}))
	done
}

scan() {
	"$PMEM_RECOVER" scan $mnt >$tmp/scan.json 2>$tmp/scan.err
	status=$?
	[ $status = 4 ] || { echo "scan: exit status $status, not 4"; sed 's/^/    /' $tmp/scan.err; }
	$TREE check-scan $tmp/expect $tmp/scan.json
}

salvage() {
	local word line
	$TREE salvage "$PMEM_RECOVER" "$1" $salvaged $tmp/backup $tmp/expect $tmp $capability >$tmp/salvage
	status=$?
	cat $tmp/salvage
	while read -r line; do
		case $line in 'salvage: '*) ;; *) continue ;; esac
		for word in ${line#salvage: }; do
			rescues[${word%=*}]=$((${rescues[${word%=*}]:-0} + ${word#*=}))
		done
	done <$tmp/salvage
	return $status
}

repair_tree() {
	"$PMEM_RECOVER" repair --from-backup=$tmp/backup --yes --method="${method/auto/$capability}" $mnt >$tmp/repair.json 2>$tmp/repair.err
	status=$?
	case $status in
	1 | 4) ;;
	*) echo "repair: exit status $status"; head -n 20 $tmp/repair.err | sed 's/^/    /' ;;
	esac
	$TREE check-repair $tmp/backup $mnt $tmp/expect $tmp/repair.json $method $capability
}

# The lines of the checks, in one.
sums() {
	local line
	while read -r line; do
		case $line in
		'scan: bad='* | 'salvage: files='* | 'repair: method='*) summary+="$line " ;;
		esac
	done <$tmp/answer
}

# Keeps what is needed to look at it afterwards, where the harness gave a directory.
keep() {
	[ -n "${KEEP:-}" ] || return
	mkdir -p "$KEEP/$1-$2"
	cp $tmp/list $tmp/expect $tmp/answer $tmp/*.json $tmp/*.err $tmp/*.map "$KEEP/$1-$2/" 2>/dev/null
}

one_seed() {
	local fs=$1 seed=$2
	setup "$fs" "$seed" || { echo "cannot mount"; return 1; }
	$TREE make "$seed" $mnt $tmp/backup >$tmp/made || return
	$TREE poison "$seed" $mnt "$PMEM" 100 $tmp/expect >$tmp/list || { cat $tmp/list; return 1; }
	# shellcheck disable=SC2086 # no offset is no argument
	$TREE inject $tmp/list "$knob" $offset || { echo "cannot poison"; return 1; }
	count_hits
	scan || return
	salvage "$seed" || return
	repair_tree
}

run_seed() {
	local fs=$1 seed=$2 begin took verdict=ok summary='' classes='' method=auto
	begin=${EPOCHREALTIME/./}
	[ $(((seed + seed / 4) % 2)) = 1 ] || method=punch
	if ! one_seed "$fs" "$seed" >$tmp/answer 2>&1; then
		verdict='not ok'
		failures=$((failures + 1))
		keep "$fs" "$seed"
	fi
	[ -z "${REPORTS:-}" ] || $busybox cat $tmp/scan.json $tmp/salvage-*.json $tmp/repair.json >"$REPORTS/$fs-$seed"
	$busybox umount $mnt || failures=$((failures + 1))
	clear_all
	sums
	took=$(((${EPOCHREALTIME/./} - begin) / 10000))
	echo "$verdict - $name seed $seed ($table) $summary$classes [$((took / 100)).$((took % 100 / 10)) s]"
	if [ "$verdict" != ok ]; then
		sed 's/^/    /' $tmp/answer | head -n 40
		echo "    again: test/vm/suite --kernel=$kernel --pmem=$kind --fs=$fs --seed=$seed"
	fi
}

# What a single seed need not hit, all of them must.
check_hits() {
	local class wanted='plain shuffled interleaved sparse unwritten past_eof hardlink empty last_page last_sector page tail quiet odd_name sound'
	for class in whole mbr gpt auto punch; do
		if [ "${hits[$class]:-0}" -gt 0 ]; then ok "$class: ${hits[$class]} seeds"; else not_ok "no seed on $class"; fi
	done
	[ "$1" != xfs ] || wanted+=' reflinked twice'
	for class in $wanted; do
		if [ "${rescues[$class]:-0}" = 0 ]; then not_ok "nothing salvaged that is $class"; fi
	done
	[ "${rescues[files]:-0}" = 0 ] || ok "${rescues[files]} files salvaged, of every layout"
	echo "    hits in all seeds:$(for class in "${!hits[@]}"; do printf ' %s=%s' "$class" "${hits[$class]}"; done)"
	echo "    salvaged in all seeds:$(for class in "${!rescues[@]}"; do printf ' %s=%s' "$class" "${rescues[$class]}"; done)"
}

mkdir -p $tmp
for fs in $filesystems; do
	name="seeds $fs $kernel $kind"
	declare -A hits=() rescues=()
	for ((seed = from; seed <= to; seed++)); do
		run_seed "$fs" "$seed"
	done
	[ $((to - from)) -lt 9 ] || check_hits "$fs"
done
finish
