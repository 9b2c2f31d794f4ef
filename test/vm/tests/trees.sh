# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# tests/trees.sh: a random tree: poison, scan, salvage, repair; each answer is held against an oracle of its own. Source it
# after lib.sh. The script that does says where the tree lies:
#
#	setup FS SEED		makes a filesystem and mounts it at $mnt; sets disk, which the oracle and the report call its
#				device, table, a word for how it lies there, and, where these are not $mnt and yes, target,
#				what is scanned and repaired, and dax, whether no page cache is in between
#	teardown		what undoes that, once it is unmounted and nothing is listed any more
#	volume_on DISK...	for setup: $disk is a volume over these, which is how the oracle learns where it lies on them.
#				Whatever it held is gone
#	aside SEED		prints further sectors to poison, of no file, as "OWNER SECTOR"
#
# and calls run_seed FS SEED AGAIN for each, AGAIN being the options of suite that run it once more.

tmp=/tmp/seed
mib=48
salvaged=3
# Starting a program takes its time on an emulated CPU: the guest's busybox starts fastest.
busybox=/run/guest/bin/busybox
# Named, and not auto: shared blocks, which that takes through the device, are device-shared.sh's.
capability='write'
case $(uname -r) in *-flag*) capability=flag kernel=flag ;; esac
# The disks with the poison, and the map to them where there is something in between.
below=()
unset TREE_MAP
declare -A memory_offsets hits rescues
mkdir -p $tmp

teardown() { :; }
aside() { :; }

make_xfs() { TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q -f -K "$@" >/dev/null; }

# make_tree_fs FS DEVICE [XFS-OPTION...]: of $mib, or of the whole DEVICE where $mib is empty; mounted, with DAX where $dax is yes.
make_tree_fs() {
	local fs=$1 device=$2
	shift 2
	case $fs in
	ext4)
		mkfs.ext4 -q -F -b 4096 -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 -N 1024 -J size=8 "$device" \
			${mib:+${mib}M}
		;;
	xfs) make_xfs ${mib:+-d size=${mib}m} "$@" "$device" ;;
	esac || return
	if [ $dax = yes ]; then
		$busybox mount -t "$fs" -o dax "$device" $mnt
	else
		$busybox mount -t "$fs" "$device" $mnt
	fi
}

volume_on() {
	below=("$@")
	$TREE trace "$disk" $tmp/map "$@" || return
	export TREE_MAP=$tmp/map
}

# The offset in the module's memory of a disk.
memory_offset() {
	local device
	if [ -z "${memory_offsets[$1]:-}" ]; then
		device=$(readlink -f "/sys/block/${1##*/}/device")
		memory_offsets[$1]=$(($(cat "$device/resource") - $(cat /sys/bus/nd/devices/region0/resource)))
	fi
	offset=${memory_offsets[$1]}
}

# poison_disk DISK LIST
poison_disk() {
	local offset
	if [ "$kind" = module ]; then
		memory_offset "$1"
		$TREE inject "$2" $pmr_parameters/inject "$offset"
	else
		$TREE inject "$2" "/sys/block/${1##*/}/badblocks"
	fi
}

# poison_list LIST: of $disk
poison_list() {
	local n one
	if [ -z "${TREE_MAP:-}" ]; then
		poison_disk "$disk" "$1"
		return
	fi
	for n in "${!below[@]}"; do
		$TREE lower $tmp/map "$1" "$n" >$tmp/lower || return
		[ -s $tmp/lower ] || continue
		one=${below[n]##*/}
		hits[$one]=$((${hits[$one]:-0} + 1))
		poison_disk "${below[n]}" $tmp/lower || return
	done
}

poison_aside() {
	local owner sector
	aside "$1" >$tmp/aside || return
	[ -s $tmp/aside ] || return 0
	while read -r owner sector; do
		echo "aside $owner $sector" >>$tmp/expect
		echo "$sector 1"
		hits[in_$owner]=$((${hits[in_$owner]:-0} + 1))
	done <$tmp/aside >$tmp/aside.list
	poison_disk "$disk" $tmp/aside.list
}

# The summary of the classes that were hit, from the list's last line; counted over all seeds.
count_hits() {
	local word lines
	mapfile -t lines <$tmp/list
	classes=${lines[-1]#\# }
	for word in $classes $table=1 $method=1 ${1:+$1=1}; do
		hits[${word%=*}]=$((${hits[${word%=*}]:-0} + ${word#*=}))
	done
}

# run_to NAME COMMAND...: what it says goes to $tmp/NAME.json and .err. It must exit with what it tells in its report, which
# the oracle looks at.
run_to() {
	local to=$1 inside
	shift
	"$@" >"$tmp/$to.json" 2>"$tmp/$to.err"
	status=$?
	status_in "$tmp/$to.json"
	[ $status != "$inside" ] || return 0
	echo "$to: exit status $status, in the report $inside"
	head -n 20 "$tmp/$to.err" | sed 's/^/    /'
	return 1
}

scan() {
	run_to scan "$PMEM_RECOVER" scan "$target" && $TREE check-scan $tmp/expect $tmp/scan.json
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
	run_to repair "$PMEM_RECOVER" repair --from-backup=$tmp/backup --yes --method="${method/auto/$capability}" "$target" &&
		$TREE check-repair $tmp/backup $mnt $tmp/expect $tmp/repair.json $method $capability
}

# The lines of the checks, in one.
sums() {
	local line
	while read -r line; do
		case $line in
		'scan: bad='* | 'salvage: files='* | 'repair: '*=* | 'again: '*) summary+="$line " ;;
		esac
	done <$tmp/answer
}

# Keeps what is needed to look at it afterwards, where the harness gave a directory.
keep() {
	[ -n "${KEEP:-}" ] || return
	mkdir -p "$KEEP/$1"
	cp $tmp/list $tmp/expect $tmp/answer $tmp/map $tmp/*.json $tmp/*.err $tmp/*.map "$KEEP/$1/" 2>/dev/null
}

tree_seed() {
	local fs=$1 seed=$2
	setup "$fs" "$seed" || { echo "cannot mount"; return 1; }
	$TREE make "$seed" $mnt $tmp/backup >$tmp/made || return
	$TREE poison "$seed" $mnt "$disk" 100 $tmp/expect >$tmp/list || { cat $tmp/list; return 1; }
	# What it had before the poison is no file's any more.
	[ $dax = yes ] || echo 1 >/proc/sys/vm/drop_caches
	poison_list $tmp/list && poison_aside "$seed" || { echo "cannot poison"; return 1; }
	count_hits "$fs"
	scan || return
	salvage "$seed" || return
	repair_tree || return
	scan_again
}

# one_seed FS SEED, and clear_away after it: for scripts that have others
one_seed() { tree_seed "$@"; }
clear_away() { clear_away_tree; }

# What is left after the repair, and no more.
scan_again() { :; }

clear_away_tree() {
	$busybox umount $mnt || failures=$((failures + 1))
	clear_below
	teardown
}

keep_reports() {
	local report
	[ -n "${REPORTS:-}" ] || return
	for report in $tmp/*.json; do
		[ ! -s "$report" ] || $busybox cat "$report"
	done >"$REPORTS/$1"
}

clear_below() {
	local one
	for one in "${below[@]:-$disk}"; do
		TREE_MAP='' $TREE clear "$one"
	done
}

run_seed() {
	local fs=$1 seed=$2 again=$3 begin took verdict=ok summary='' classes='' method=auto
	begin=${EPOCHREALTIME/./}
	[ $(((seed + seed / 4) % 2)) = 1 ] || method=punch
	$busybox rm -f $tmp/*.json
	below=() target=$mnt dax=yes
	unset TREE_MAP
	if ! one_seed "$fs" "$seed" >$tmp/answer 2>&1; then
		verdict='not ok'
		failures=$((failures + 1))
		keep "$prefix$fs-$seed"
	fi
	keep_reports "$prefix$fs-$seed"
	clear_away
	sums
	took=$(((${EPOCHREALTIME/./} - begin) / 10000))
	echo "$verdict - $name seed $seed ($table) $summary$classes [$((took / 100)).$((took % 100 / 10)) s]"
	if [ "$verdict" != ok ]; then
		sed 's/^/    /' $tmp/answer | head -n 40
		echo "    again: test/vm/suite --kernel=$kernel --pmem=$kind $again --seed=$seed"
	fi
}

# hit_all CLASS...: what a single seed need not hit, all of them must.
hit_all() {
	local class
	for class; do
		if [ "${hits[$class]:-0}" -gt 0 ]; then ok "$class: ${hits[$class]} seeds"; else not_ok "no seed on $class"; fi
	done
}

show_hits() {
	echo "    hits in all seeds:$(for class in "${!hits[@]}"; do printf ' %s=%s' "$class" "${hits[$class]}"; done)"
	echo "    salvaged in all seeds:$(for class in "${!rescues[@]}"; do printf ' %s=%s' "$class" "${rescues[$class]}"; done)"
}
