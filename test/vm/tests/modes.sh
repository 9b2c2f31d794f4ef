#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# modes.sh: random trees in every mode of a namespace and on every stack: poison, scan, salvage, repair, and a second scan; each
# answer is held against an oracle of its own.
#
#     modes.sh ROW[,ROW] FIRST LAST
#
# One line a row and seed, and how often what was hit. Odd seeds are XFS, even ones ext4. The rows:
#
#	raw		a namespace in raw mode, with DAX or the page cache
#	linear		a volume of two pieces in the wrong order
#	stripe		one of two or three stripes
#	nested		one of pieces of stripes over partitions
#	regions		one over the namespaces of two regions, striped or in pieces
#	realtime	an XFS whose files are on the realtime device, on partitions
#	log		an XFS with its log on another partition, which is poisoned as well
#	dax		a device-dax: modes-dax.sh
#	btt		a namespace in sector mode, of either size of sectors, found by reading: modes-read.sh
#	error		a loop device over sectors of dm-error, found by reading or in a list from a file: modes-read.sh
#	dust		the same over dm-dust's, which a write heals; the project's own kernel has it
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"
# shellcheck source=test/vm/tests/trees.sh
. "$here/trees.sh"

# shellcheck source=test/vm/tests/modes-dax.sh
. "$here/modes-dax.sh"
# shellcheck source=test/vm/tests/modes-read.sh
. "$here/modes-read.sh"

rows=${1//,/ }
from=$2
to=$3

# between LOW HIGH: sets picked; RANDOM is the seed's
between() { picked=$(($1 + (RANDOM << 15 | RANDOM) % ($2 - $1 + 1))); }

# volume_of TABLE DISK...: $disk with that table, and the map to what lies below it
volume_of() {
	disk=/dev/mapper/$row
	dmsetup create "$row" --table "$1" && dmsetup mknodes || return
	shift
	volume_on "$@"
}

remove_volumes() {
	local volume
	for volume; do
		[ ! -e "/dev/mapper/$volume" ] || dmsetup remove "$volume" || failures=$((failures + 1))
	done
}

# The kernel does not mount XFS with reflink and DAX but on a whole namespace.
tree_on_volume() { mib='' make_tree_fs "$1" "$disk" -m reflink=0; }

# ---- a function for the row, and one for each seed

begin_raw() { use_pmem raw; }

setup_raw() {
	disk=$PMEM
	table='dax'
	if [ $((seed / 2 % 2)) = 1 ]; then dax=no table=cached; fi
	make_tree_fs "$1" "$disk" -m reflink=1
}

begin_linear() { use_pmem fsdax && modprobe -q dm_mod; }

# One piece ends where the other begins, or there is something in between.
setup_linear() {
	local cut first second
	between 1000 11000
	cut=$((picked * 8))
	between 0 30000
	first=$((picked * 8))
	between 0 20000
	second=$((first + 98304 - cut + (picked % 4 ? picked : 0) * 8))
	volume_of "0 $cut linear $PMEM $second
$cut $((98304 - cut)) linear $PMEM $first" "$PMEM" && tree_on_volume "$1"
}

teardown_linear() { remove_volumes linear; }

begin_stripe() { begin_linear; }

# stripes N CHUNK: the end of the table: so many at random places of $PMEM, in any order
stripes() {
	local n at=0 text=''
	for ((n = 0; n < $1; n++)); do
		between 0 1500
		at=$((at + picked * 8))
		if [ $((RANDOM % 2)) = 0 ]; then text="$text $PMEM $at"; else text=" $PMEM $at$text"; fi
		at=$((at + 98304 / $1))
	done
	echo "striped $1 $2$text"
}

setup_stripe() {
	local n chunk unit
	between 2 3
	n=$picked
	between 0 4
	chunk=$((8 << picked))
	unit=$((n * chunk))
	table=stripe$n
	volume_of "0 $((98304 / unit * unit)) $(stripes $n $chunk)" "$PMEM" && tree_on_volume "$1"
}

teardown_stripe() { remove_volumes stripe; }

begin_nested() {
	begin_linear
	partitions 48 64
}

# The second half of a stripe, the first one, and a piece of a partition.
setup_nested() {
	local chunk piece
	between 0 4
	chunk=$((8 << picked))
	between 0 1000
	piece=$((80000 + picked * 8))
	dmsetup create inner --table "0 81920 striped 2 $chunk ${PMEM}p1 $((picked * 8)) ${PMEM}p2 2048" && dmsetup mknodes || return
	volume_of "0 40960 linear /dev/mapper/inner 40960
40960 40960 linear /dev/mapper/inner 0
81920 16384 linear ${PMEM}p2 $piece" "$PMEM" && tree_on_volume "$1"
}

teardown_nested() { remove_volumes nested inner; }

end_partitions() {
	dd if=/dev/zero of="$PMEM" bs=1M count=1 oflag=direct status=none
	blockdev --rereadpt "$PMEM"
}

end_nested() { end_partitions; }

begin_regions() {
	modprobe -q dm_mod
	rm -f /run/pmem-mode
	module_again size=$((256 << 20)) regions=2 || return
	ndctl create-namespace -f -e namespace0.0 -m fsdax --map=dev >/dev/null && ndctl create-namespace -f -e namespace1.0 -m raw >/dev/null || return
	[ -b /dev/pmem0 ] && [ -b /dev/pmem1 ]
}

setup_regions() {
	local first second cut
	between 0 5000
	first=$((picked * 8))
	between 0 5000
	second=$((picked * 8))
	between 1000 11000
	cut=$((picked * 8))
	if [ $((seed / 2 % 2)) = 0 ]; then
		table=striped
		set -- "$1" "0 98304 striped 2 $((8 << cut / 8 % 4)) /dev/pmem1 $second /dev/pmem0 $first"
	else
		table=pieces
		set -- "$1" "0 $cut linear /dev/pmem1 $second
$cut $((98304 - cut)) linear /dev/pmem0 $first"
	fi
	volume_of "$2" /dev/pmem0 /dev/pmem1 && tree_on_volume "$1"
}

teardown_regions() { remove_volumes regions; }

# What their namespaces left in the memory is none of a region of all of it.
end_regions() {
	ndctl destroy-namespace -f all >/dev/null 2>&1
	module_again
}

begin_realtime() {
	use_pmem fsdax
	modprobe -q loop
	truncate -s 64M $tmp/image && loop=$(losetup -f --show $tmp/image)
}

# On a whole namespace with DAX, the rest of the filesystem on a disk; or on a partition, where the kernel has no DAX for it.
setup_realtime() {
	local data=$loop
	realtime=$PMEM
	target=$PMEM
	table=whole
	if [ $((seed / 2 % 2)) = 1 ]; then
		partitions 64 64 || return
		data=${PMEM}p1 realtime=${PMEM}p2
		target=$mnt
		table=partition
		dax=no
	fi
	disk=$PMEM
	mib='' make_xfs -m reflink=0,rmapbt=0 -d rtinherit=1 -r "rtdev=$realtime,size=64m,extsize=4096" "$data" &&
		$busybox mount -t xfs -o "dax,rtdev=$realtime" "$data" $mnt
}

teardown_realtime() { [ $dax = yes ] || end_partitions; }

end_realtime() { losetup -d "$loop"; }

begin_log() {
	use_pmem fsdax
	partitions 64 20
	log_start=$(cat "/sys/class/block/${PMEM##*/}p2/start")
}

setup_log() {
	disk=$PMEM
	make_xfs -m reflink=0 -l "logdev=${PMEM}p2,size=16m" "${PMEM}p1" &&
		$busybox mount -t xfs -o "dax,logdev=${PMEM}p2" "${PMEM}p1" $mnt
}

# In the half that is not written to, so that the poison stays.
aside_log() {
	local n
	for ((n = 0; n < 3; n++)); do
		between $((16000 + n * 5000)) $((20000 + n * 5000))
		echo "log $((log_start + picked))"
	done
}

end_log() { end_partitions; }

# ---- the same for all of them

has() { declare -F "$1" >/dev/null; }

setup() {
	table=$row
	"setup_$row" "$@"
}

teardown() { ! has "teardown_$row" || "teardown_$row"; }

clear_away() {
	if has "clear_away_$row"; then "clear_away_$row"; else clear_away_tree; fi
}

aside() {
	RANDOM=$1
	! has "aside_$row" || "aside_$row" "$1"
}

# What is left is what is shared, and what is no file's.
scan_again() {
	local wanted=0
	grep -Eq '^(lost .* 1|aside .*)$' $tmp/expect && wanted=4
	"$PMEM_RECOVER" scan "$target" >$tmp/again.json 2>$tmp/again.err
	status=$?
	if [ $status != $wanted ]; then
		echo "a second scan: exit status $status, not $wanted"
		sed 's/^/    /' $tmp/again.err | head -n 20
		return 1
	fi
	echo "again: status=$status"
}

one_seed() {
	if has "seed_$row"; then "seed_$row" "$@"; else tree_seed "$@"; fi
}

filesystem_of() {
	case $row in
	dax) fs=none ;;
	realtime | log) fs=xfs ;;
	*) if [ $(($1 % 2)) = 1 ]; then fs=xfs; else fs=ext4; fi ;;
	esac
}

# What a single seed need not hit, all of a row must: the first two do, and so do any ten.
check_hits() {
	local class missing='' counts='' wanted='auto punch'
	case $row in
	dax) wanted='across page pages huge' ;;
	error) wanted='refused' ;;
	realtime) wanted+=' whole partition' ;;
	log) wanted+=' in_log' ;;
	*) wanted+=' ext4 xfs' ;;
	esac
	case $row in
	raw) wanted+=' dax cached' ;;
	error | dust) wanted+=' read badblocks' ;;
	btt) wanted+=' block512 block4096' ;;
	stripe) [ $((to - from)) -lt 9 ] || wanted+=' stripe2 stripe3' ;;
	regions) wanted+=' striped pieces pmem0 pmem1' ;;
	esac
	[ "$from" = 1 ] || [ $((to - from)) -ge 9 ] || wanted=
	for class in $wanted; do
		[ "${hits[$class]:-0}" -gt 0 ] || missing+=" $class"
	done
	for class in "${!hits[@]}"; do counts+=" $class=${hits[$class]}"; done
	if [ -z "$missing" ]; then ok "hits:$counts"; else not_ok "no seed on:$missing"; fi
	echo "    salvaged in all seeds:$(for class in "${!rescues[@]}"; do printf ' %s=%s' "$class" "${rescues[$class]}"; done)"
}

for row in $rows; do
	has "begin_$row" || { echo "modes.sh: no row $row" >&2; exit 2; }
	name="modes $row $kernel $kind"
	prefix=$row-
	hits=() rescues=() memory_offsets=()
	"begin_$row" || { not_ok "cannot begin"; continue; }
	for ((seed = from; seed <= to; seed++)); do
		RANDOM=$seed
		filesystem_of "$seed"
		run_seed $fs "$seed" "--test=modes --row=$row"
	done
	[ "$from" = "$to" ] || check_hits
	! has "end_$row" || "end_$row" || not_ok "cannot end"
done
finish
