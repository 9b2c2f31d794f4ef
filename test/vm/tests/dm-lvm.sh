#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dm-lvm.sh: logical volumes as LVM makes them, linear and striped, in several segments, over four PMEM regions of which two
# have a page map ahead of their data: random poison on all of them, and where one ends and the next begins, is found,
# salvaged and repaired to the byte; where it lies is asked of LVM.
#
# needs: module tools
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

tmp=/tmp/dm
mkdir -p $tmp
disks="pmem0 pmem1 pmem2 pmem3"
extent=2048 # sectors, as vgcreate is told
# Where the first segment ends, in extents: among the files that are made. No group of XFS begins there.
line_border=44
striped_border=32

# No udev here, and nothing to be kept.
export LVM_SYSTEM_DIR=$tmp
cat >$tmp/lvm.conf <<'CONF'
devices { obtain_device_list_from_udev = 0 use_devicesfile = 0 filter = [ "a|^/dev/pmem[0-9]$|", "r|.*|" ] }
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
backup { backup = 0 archive = 0 }
global { event_activation = 0 }
CONF

# shellcheck disable=SC2317 # called by check
make_group() {
	local disk
	rm -f /run/pmem-mode
	module_again regions=4 || return
	for disk in 0 2; do
		ndctl create-namespace -f -e namespace$disk.0 -m fsdax --map=dev >/dev/null || return
	done
	modprobe dm_mod
	# shellcheck disable=SC2086 # words are wanted
	vgcreate -s 1m test-vg ${disks//pmem//dev/pmem} &&
		lvcreate -y -Wn -Zn -n line-lv -l $line_border test-vg /dev/pmem0 &&
		lvextend -l 48 test-vg/line-lv /dev/pmem1 &&
		lvcreate -y -Wn -Zn -n striped -i 2 -I 16 -l $striped_border test-vg /dev/pmem2 /dev/pmem3 &&
		lvextend -i 1 -l 48 test-vg/striped /dev/pmem1
}

# segments LV: what LVM says of it, a line each: START SECTORS SECTORS-OF-A-CHUNK, and of each stripe its disk and sector.
segments() {
	lvs --noheadings --units s --nosuffix --separator '|' -o seg_start,seg_size,stripe_size,seg_pe_ranges "test-vg/$1" |
		awk -v extent=$extent -v pe_start="$2" -F '|' '{
			printf "%d %d %d", $1, $2, $3
			n = split($4, stripe, " ")
			for (i = 1; i <= n; i++) {
				split(stripe[i], part, /[:-]/)
				sub("/dev/", "", part[1])
				printf " %s %d", part[1], pe_start + part[2] * extent
			}
			print ""
		}'
}

# below_each LIST: its lines "SECTOR COUNT" of the volume, sector by sector, become "DISK SECTOR".
below_each() {
	awk 'NR == FNR { n++; start[n] = $1; end[n] = $1 + $2; chunk[n] = $3; stripes[n] = (NF - 3) / 2
			for (i = 0; i < stripes[n]; i++) { disk[n, i] = $(4 + 2 * i); at[n, i] = $(5 + 2 * i) }
			next }
		/^[0-9]/ { for (s = $1; s < $1 + $2; s++) for (k = 1; k <= n; k++) {
			if (s < start[k] || s >= end[k]) continue
			t = s - start[k]; i = 0
			if (stripes[k] > 1) {
				c = int(t / chunk[k])
				i = c % stripes[k]
				t = int(c / stripes[k]) * chunk[k] + t % chunk[k]
			}
			print disk[k, i], at[k, i] + t } }' $tmp/segments "$1"
}

# join: lines "DISK SECTOR [COUNT]" sorted, and what touches joined.
join() {
	sort -k 1,1 -k 2,2n | awk '{ if (NF < 3) $3 = 1 }
		$1 == disk && $2 == at + n { n += $3; next }
		NR > 1 { print disk, at, n }
		{ disk = $1; at = $2; n = $3 }
		END { if (NR) print disk, at, n }'
}

# inject_below LIST: that of the volume, and keep what it is below.
inject_below() {
	local disk
	below_each "$1" | join >$tmp/lower
	for disk in $disks; do
		awk -v disk="$disk" '$1 == disk { print $2, $3 }' $tmp/lower >$tmp/of
		[ ! -s $tmp/of ] || PMEM=/dev/$disk inject $tmp/of || return
	done
}

# What is listed below, as below_each's.
listed_below() {
	local disk
	for disk in $disks; do
		awk -v disk="$disk" '{ for (s = $1; s < $1 + $2; s++) print disk, s }' "/sys/block/$disk/badblocks"
	done
}

# lies_on DISK...: some of what was injected lies on each of these.
# shellcheck disable=SC2317 # called by check
lies_on() { [ "$(cut -d ' ' -f 1 $tmp/lower | uniq | tr '\n' ' ')" = "$* " ]; }

# lists_are_below REPORT: the lists of the disks are what was injected.
# shellcheck disable=SC2317 # called by check
lists_are_below() {
	jq -r '.devices[] | select(.mode != "mapped") | .name as $n | .badblocks.ranges[] | "\($n) \(.offset / 512) \(.length / 512)"' "$1" | join >$tmp/told
	cmp $tmp/lower $tmp/told
}

# files_are_below REPORT: what is named below its files is all of them, and was injected.
# shellcheck disable=SC2317 # called by check
files_are_below() {
	jq -r '.files[].ranges[] | .lower[] | "\(.device) \(.device_offset) \(.length)"' "$1" >$tmp/named
	[ "$(jq '[.files[].ranges[].length] | add' "$1")" = "$(awk '{ n += $3 } END { print n }' $tmp/named)" ] || return
	awk 'NR == FNR { for (s = $2; s < $2 + $3; s++) bad[$1, s]; next }
		{ for (b = $2; b < $2 + $3; b += 512) if (!(($1, int(b / 512)) in bad)) { print; exit 1 } }' $tmp/lower $tmp/named
}

# A file whose bytes lie on both sides of a border, poison on both.
check_border() {
	local border=$1 at
	fallocate -l $(($(stat -f -c %a $mnt) * 4096 - (1 << 20))) $mnt/f
	at=$(filefrag -b512 -v $mnt/f | awk -v border="$border" -F '[:.]+ *' '
		/^ *[0-9]+:/ && border > $4 + 64 && border + 64 < $5 + 0 { print $2 + border - $4 }')
	[ -n "$at" ] || exit 99
	$TREE bytes 7 65536 | dd of=$mnt/f bs=512 seek=$((at - 64)) conv=notrunc status=none
	cp --sparse=always $mnt/f $backup/f
	sync -f $mnt
	"$TREE" scramble $volume $((border - 3)) 5
	echo "$((border - 3)) 5" >$tmp/list
	inject_below $tmp/list
	recover scan $mnt
	status_is 4 "$lv: across: scan"
	report "$lv: across: one range, on two devices" "[.files[].ranges[] | .offset, .length, (.lower[] | .device, .device_offset, .length)] == [$(((at - 3) * 512)), 2560, $(
		below_each $tmp/list | awk '$1 == disk { n += 512; next } NR > 1 { printf "\"%s\",%.0f,%d,", disk, at * 512, n } { disk = $1; at = $2; n = 512 }
			END { printf "\"%s\",%.0f,%d", disk, at * 512, n }')]"
	read -r disk at _ < <(below_each $tmp/list | tail -n 1)
	recover locate "/dev/$disk" $((at * 512))
	report "$lv: across: locate" ".places[0] | .path == \"$mnt/f\""
	recover health
	status_is 4 "$lv: across: health"
	report "$lv: across: health of what is below" "[.devices[] | select(.badblocks.count > 0 and .mode != \"mapped\") | [.name, .badblocks.bytes]] == [$(
		awk '{ printf "%s[\"%s\",%d]", (NR > 1 ? "," : ""), $1, $3 * 512 }' $tmp/lower)]"
	repair --from-backup=$backup $mnt
	status_is 1 "$lv: across: repair"
	check "$lv: across: the file is whole" same f
	check "$lv: across: nothing is listed" [ -z "$(listed_below)" ]
	rm $mnt/f $backup/f
}

# check_volume LV FS BORDER DISK...
check_volume() {
	local lv=$1 fs=$2 border=$3
	shift 3
	volume=/dev/mapper/test--vg-${lv/-/--}
	segments "$lv" "$pe_start" >$tmp/segments
	case $fs in
	ext4) make_fs ext4 "$volume" $mnt -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 -N 1024 -m 0 -J size=4 ;;
	xfs) make_fs xfs "$volume" $mnt -K -d noalign -m reflink=0 ;;
	esac || exit 99
	check "$lv: with DAX" grep -q " $mnt $fs .*dax" /proc/mounts
	check_border $((border * extent))
	$TREE make 3 $mnt $tmp/backup >$tmp/made || exit 99
	check "$lv: random poison" eval "\$TREE poison 3 $mnt \$volume 80 $tmp/expect >$tmp/list"
	inject_below $tmp/list
	check "$lv: it lies on $*" lies_on "$@"
	recover scan "/dev/test-vg/$lv"
	check "$lv: scan: exit status 4 ($status)" [ "$status" = 4 ]
	check "$lv: scan is exact" $TREE check-scan $tmp/expect "$out"
	check "$lv: what is below files is what was injected" files_are_below "$out"
	recover list
	check "$lv: the lists below are what was injected" lists_are_below "$out"
	report "$lv: it is called as device mapper calls it" ".devices[] | select(.path == \"$volume\") | .volume == \"${volume##*/}\" and .badblocks.complete"
	check "$lv: salvage is exact" $TREE salvage "$PMEM_RECOVER" 3 1 $tmp/backup $tmp/expect $tmp write
	repair --method=write --from-backup=$tmp/backup $mnt
	# What is still listed, of each sector of the volume.
	echo "0 $((48 * extent))" >$tmp/all
	listed_below >$tmp/listed
	below_each $tmp/all | awk 'NR == FNR { bad[$0]; next } $0 in bad { print FNR - 1, 1 }' $tmp/listed - >$tmp/left
	export TREE_LIST=$tmp/left
	check "$lv: repair is exact" $TREE check-repair $tmp/backup $mnt $tmp/expect "$out" write write
	unset TREE_LIST
	umount $mnt
	for disk in $disks; do $TREE clear "/dev/$disk"; done
	rm -rf $tmp/backup
}

check "logical volumes over four regions" make_group
pe_start=$(pvs --noheadings --units s --nosuffix -o pe_start | sort -u)
check_volume line-lv ext4 $line_border pmem0 pmem1
check_volume striped xfs $striped_border pmem1 pmem2 pmem3

# Without DAX, and what is not named is found as well.
volume=/dev/test-vg/line-lv
segments line-lv "$pe_start" >$tmp/segments
mount $volume $mnt
make_file f 300000
sector=$(file_sector f 100000)
umount $mnt
mount $volume $mnt
"$TREE" scramble $volume "$sector" 3
echo "$sector 3" >$tmp/list
inject_below $tmp/list
recover scan
status_is 4 "without DAX: scan of everything"
report "without DAX: the file" "[.files[] | .path, (.ranges[] | .offset, .length)] == [\"$mnt/f\", 99840, 1536]"
recover scan /dev/test-vg/striped
status_is 0 "the other volume has none of it"
repair --from-backup=$backup $volume
status_is 1 "without DAX: repair"
check "without DAX: the file is whole" same f
check "without DAX: nothing is listed" [ -z "$(listed_below)" ]
recover health
status_is 0 "health"

# Free extents of the group are in no volume.
module_set inject $((100 << 20)),512
recover scan
status_is 8 "in no logical volume"
says "in no logical volume: what shows it" "no filesystem and no volume .*'pvs --segments'"

umount $mnt
vgchange -q -an test-vg >/dev/null
# What their namespaces left in the memory is none of a region of all of it.
ndctl destroy-namespace -f all >/dev/null 2>&1
check "the module as it was" module_again
rm -rf ${backup:?}/* $tmp "${journals:?}"/*.journal
finish
