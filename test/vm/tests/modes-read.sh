# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# tests/modes-read.sh: modes.sh's rows of devices that have no list: what is bad there is found by reading, or is in a file.

# Where the program's command line needs more than a target: tree salvage runs it by this.
program_with() {
	printf '#!/bin/sh\nverb=$1\nshift\nexec %s "$verb" %s "$@"\n' "$PMEM_RECOVER" "$*" >$tmp/program
	chmod +x $tmp/program
}

# ---- any storage: a loop device over a mapper, which has the bad sectors, over another loop device

load_mapper() {
	modprobe -a loop dm_mod 2>/dev/null
	[ "$row" = error ] || dmsetup targets | grep -q dust
}

begin_error() { load_mapper; }
begin_dust() { load_mapper; }

# Reads past the page cache, so that a sector fails by itself.
setup_storage() {
	rm -f $tmp/image
	truncate -s ${mib}M $tmp/image && under=$(losetup -f --show $tmp/image) || return
	sectors=$((mib * 2048))
	case $row in
	error) sound="0 $sectors linear $under 0" ;;
	dust) sound="0 $sectors dust $under 0 512" ;;
	esac
	# No udev here.
	dmsetup create bad --table "$sound" && dmsetup mknodes && disk=$(losetup -f --show --direct-io=on /dev/mapper/bad) || return
	target=$disk dax=no
	make_tree_fs "$1" "$disk" -m reflink=0
}

# The table of dm-error, from a list: all sectors but these.
error_table() {
	awk -v all=$sectors -v below="$under" -v at=0 '
		/^[0-9]/ {
			if ($1 > at) print at, $1 - at, "linear", below, at
			print $1, $2, "error"
			at = $1 + $2
		}
		END { if (at < all) print at, all - at, "linear", below, at }' "$1"
}

load_table() { dmsetup load bad && dmsetup resume bad; }

# What is in the list fails from now on; the page cache has what the device has no more.
damage() {
	local sector count
	$busybox umount $mnt || return
	if [ "$row" = error ]; then
		error_table $tmp/list | load_table || return
	else
		while read -r sector count; do
			for (( ; count; count--)); do
				dmsetup message bad 0 addbadblock $((sector++)) || return
			done
		done < <(grep '^[0-9]' $tmp/list)
		dmsetup message bad 0 enable || return
	fi >$tmp/dmsetup
	$busybox mount "$disk" $mnt
}

# Where each write fails nothing is repaired, and nothing harmed.
refuse_storage() {
	run_to repair "$PMEM_RECOVER" repair "${how[@]}" --from-backup=$tmp/backup --yes "$target" || return
	$TREE check-outcome $tmp/expect $tmp/repair.json failed read-back-error || { head -n 20 $tmp/repair.err; return 1; }
	$busybox umount $mnt && echo "$sound" | load_table && $busybox mount "$disk" $mnt || return
	$TREE check-rest $tmp/backup $tmp/expect
}

repair_storage() {
	run_to repair "$PMEM_RECOVER" repair "${how[@]}" --from-backup=$tmp/backup --yes --method="${method/auto/write}" "$target" ||
		return
	$TREE probe "$disk" $tmp/expect >$tmp/left || return
	TREE_LIST=$tmp/left $TREE check-repair $tmp/backup $mnt $tmp/expect $tmp/repair.json "${method/auto/write}" $capability || return
	[ "${how[0]}" = --read ] || return 0
	"$PMEM_RECOVER" scan --read "$target" >$tmp/again.json 2>$tmp/again.err
	status=$?
	[ $status = 0 ] || { echo "a second scan: exit status $status, not 0"; return 1; }
	echo "again: status=$status"
}

seed_storage() {
	local fs=$1 seed=$2 how=(--read) sound sectors
	setup_storage "$fs" || { echo "cannot mount"; return 1; }
	$TREE make "$seed" $mnt $tmp/backup >$tmp/made || return
	$TREE poison "$seed" $mnt "$disk" 60 $tmp/expect >$tmp/list || { cat $tmp/list; return 1; }
	damage || { echo "cannot damage it"; return 1; }
	[ $((seed / 2 % 2)) = 0 ] || how=(--badblocks=$tmp/list)
	table=${how[0]%%=*}
	table=${table#--}
	[ "$row" = dust ] || method=refused
	count_hits "$fs"
	run_to scan "$PMEM_RECOVER" scan "${how[@]}" "$target" && $TREE check-scan $tmp/expect $tmp/scan.json || return
	program_with "${how[@]}"
	if [ "${how[0]}" = --read ]; then
		TREE_READS=yes PMEM_RECOVER=$tmp/program salvage "$seed" || return
	else
		PMEM_RECOVER=$tmp/program salvage "$seed" || return
	fi
	if [ "$row" = error ]; then refuse_storage; else repair_storage; fi
}

seed_error() { seed_storage "$@"; }
seed_dust() { seed_storage "$@"; }

clear_away_storage() {
	$busybox umount $mnt
	losetup -d "$disk" || failures=$((failures + 1))
	remove_volumes bad
	losetup -d "$under"
}

clear_away_error() { clear_away_storage; }
clear_away_dust() { clear_away_storage; }

# ---- sector mode: what the BTT wrote where is read from the namespace as it is without one

begin_btt() { rm -f /run/pmem-mode; }

# as_raw NUMBER: 1 to have the namespace without its BTT, 0 to have it back
as_raw() {
	ndctl disable-namespace namespace0.0 && echo "$1" >/sys/bus/nd/devices/namespace0.0/force_raw &&
		ndctl enable-namespace namespace0.0
} >/dev/null 2>&1

setup_btt() {
	block=512
	[ $((seed / 2 % 2)) = 0 ] || block=4096
	table=block$block
	disk=/dev/pmem0s target=$mnt dax=no
	ndctl create-namespace -f -e namespace0.0 -m sector --sector-size=$block >/dev/null && make_tree_fs "$1" $disk -m reflink=0
}

seed_btt() {
	local fs=$1 seed=$2 how=(--read) magic serials block
	setup_btt "$fs" || { echo "cannot mount"; return 1; }
	$TREE make "$seed" $mnt $tmp/backup >$tmp/made || return
	read -r magic serials < <($TREE note $mnt)
	$busybox umount $mnt && as_raw 1 && $TREE tags "$magic" "$serials" /dev/pmem0 >$tmp/tags && as_raw 0 &&
		$busybox mount $disk $mnt || { echo "cannot find its tags"; return 1; }
	TREE_TAGS=$tmp/tags $TREE poison "$seed" $mnt $disk 60 $tmp/expect >$tmp/list || { cat $tmp/list; return 1; }
	echo 1 >/proc/sys/vm/drop_caches
	$TREE inject $tmp/expect.below $pmr_parameters/inject 0 || return
	count_hits "$fs"
	run_to scan "$PMEM_RECOVER" scan --read "$target" && $TREE check-scan $tmp/expect $tmp/scan.json || return
	program_with --read
	TREE_READS=yes PMEM_RECOVER=$tmp/program salvage "$seed" || return
	repair_storage
}

clear_away_btt() {
	$busybox umount $mnt
	use_pmem raw
	clear_all
	rm -f /run/pmem-mode
}
