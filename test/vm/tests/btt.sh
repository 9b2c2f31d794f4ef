#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# btt.sh: sector mode: what of the BTT has the poison, by what the kernel says of its layout; what is lost with its map.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

DISK=/dev/pmem0s

# make_btt SECTOR-SIZE: a new one, that fills the region. Sets dataoff and the like, in offsets from the namespace.
make_btt() {
	local arena field
	rm -f /run/pmem-mode
	ndctl create-namespace -f -e namespace0.0 -m sector --sector-size="$1" >/dev/null || exit 99
	arena=$(echo /sys/kernel/debug/btt/*/arena0)
	[ -d "$arena" ] || exit 99
	for field in infooff dataoff mapoff logoff info2off; do
		printf -v $field %d $(($(cat "$arena/$field") + 4096))
	done
	blocks=$(($(cat "$arena/external_nlba")))
	data_end=$((dataoff + $(cat "$arena/internal_nlba") * $(cat "$arena/internal_lbasize")))
}

# Poison on both sides of where one part ends and the next begins, wanted gets how it should be told apart.
poison_border() {
	local begin=$(($1 / 512 * 512 - 512))
	module_set inject $begin,1024
	wanted+="[\"$2\",$begin,$(($1 - begin))],[\"$3\",$1,$((begin + 1024 - $1))],"
}

check_parts() {
	local wanted='' begin map_end
	make_btt "$1"
	poison_border "$infooff" btt-unused btt-info
	poison_border "$dataoff" btt-info btt-data
	poison_border "$data_end" btt-data btt-unused
	poison_border "$mapoff" btt-unused btt-map
	# From the end of the map to the log it is not far.
	map_end=$((mapoff + blocks * 4))
	begin=$((map_end / 512 * 512 - 512))
	module_set inject $begin,$((logoff + 512 - begin))
	wanted+="[\"btt-map\",$begin,$((map_end - begin))],[\"btt-unused\",$map_end,$((logoff - map_end))],[\"btt-log\",$logoff,512],"
	poison_border "$info2off" btt-log btt-info
	recover list
	report "sectors of $1: each part by its name, as the kernel has it" "[.devices[0].metadata_badblocks.ranges[] | [.part, .offset, .length]] == [${wanted%,}]"
	report "sectors of $1: owners" 'all(.devices[0].metadata_badblocks.ranges[]; .owner == {"btt-info": "namespace", "btt-map": "namespace", "btt-log": "namespace", "btt-data": "unknown", "btt-unused": "free"}[.part])'
	report "sectors of $1: which blocks are bad is not known" '.devices[0].badblocks | .complete == false and .reason == "region-only"'
	use_pmem raw
	clear_all
}

# The sectors of the device from $1, $2 of them, that fail: read one by one, and told by what is in the place of them.
failing_sectors() {
	dd if=$DISK bs=512 skip="$1" count="$2" iflag=direct conv=noerror,sync status=none of=/tmp/read 2>/dev/null
	cmp -l /tmp/read "$3" | awk '{ s = int(($1 - 1) / 512) } s != last || NR == 1 { print s; last = s }'
}

mount -t debugfs none /sys/kernel/debug 2>/dev/null
check_parts 512
check_parts 4160

# A file over blocks that cannot be found any more.
make_btt 512
make_fs ext4 $DISK $mnt -E nodiscard || exit 99
make_file f 300000
make_file whole 50000
sector=$(file_sector f 0)
module_set inject $(((mapoff + (sector + 300) * 4) / 512 * 512)),512
echo 3 >/proc/sys/vm/drop_caches
recover scan $mnt
status_is 4 "the map"
says "it is said what that means" "512 bad bytes in the map of its BTT"
lost=$(jq -c '[.files[].ranges[] | [.offset, .length]]' $out)
report "files that were not hit are not named" '[.files[].path] == ["/mnt/f"]'
report "the list is the device's" '.devices[0].badblocks | .complete and .count == 1 and .bytes == 65536'
head -c $((300000 / 512 * 512)) $backup/f >/tmp/f
failing_sectors "$sector" $((300000 / 512)) /tmp/f >/tmp/failing
first=$(head -n 1 /tmp/failing) n=$(wc -l </tmp/failing)
check "some of the file is lost, not all ($n sectors)" [ "$n" -gt 10 -a "$n" -lt 500 ]
check "what is lost is what cannot be read" [ "$lost" = "[[$((first * 512)),$((n * 512))]]" ]
repair --from-backup=$backup $mnt
status_is 4 "repair"
report "repair: left by name" '[.files[].ranges[]] | length == 1 and all(.state == "skipped" and .reason == "btt-map")'
recover salvage $mnt/f -o /tmp/copy
report "salvage: all the rest" ".files[0].ranges | map([.offset, .length]) == $lost"
cmp -l /tmp/copy $backup/f | awk '{ s = int(($1 - 1) / 512) } s != last || NR == 1 { print s; last = s }' >/tmp/differing
check "the copy has every byte but these" cmp /tmp/differing /tmp/failing
recover scan $mnt/whole
status_is 0 "a file that was not hit"

# The log: writes may fail from now on.
module_set inject "$logoff",512
recover scan $DISK
status_is 4 "the log"
says "the log is named" "512 bad bytes in the log of its BTT"
repair --from-backup=$backup $mnt/f
report "nothing is written" '[.files[].ranges[]] | length == 1 and all(.state == "skipped" and .reason == "btt-log")'
umount -l $mnt

# What a BTT refuses it also refuses through a volume.
use_pmem raw
clear_all
modprobe dm_mod
make_btt 512
dmsetup create volume --table "0 131072 linear $DISK 2048"
# No udev here.
dmsetup mknodes
make_fs ext4 /dev/mapper/volume $mnt -E nodiscard || exit 99
make_file f 300000
sector=$(file_sector f 0)
module_set inject $(((mapoff + (2048 + sector + 300) * 4) / 512 * 512)),512
echo 3 >/proc/sys/vm/drop_caches
repair --from-backup=$backup $mnt
status_is 4 "through a volume"
report "through a volume: the map" '[.files[].ranges[]] | length == 1 and all(.state == "skipped" and .reason == "btt-map")'
module_set inject "$logoff",512
repair --from-backup=$backup $mnt
report "through a volume: the log" '[.files[].ranges[]] | length == 1 and all(.state == "skipped" and .reason == "btt-log")'
umount $mnt
dmsetup remove volume

# Its info block as it is put back by hand, by the manual.
use_pmem raw
clear_all
make_btt 512
make_fs ext4 $DISK $mnt -E nodiscard || exit 99
make_file f 100000
umount $mnt
module_set inject 4096,512
recover health
status_is 4 "health: the info block"
recover scan $DISK
status_is 4 "the info block"
says "the info block is named, and what to do" '512 bad bytes in the info block.*SECTOR MODE'
{
	ndctl disable-namespace namespace0.0
	echo 1 >/sys/bus/nd/devices/namespace0.0/force_raw
	ndctl enable-namespace namespace0.0
	dd if=/dev/zero of=/dev/pmem0 bs=512 seek=8 count=1 oflag=direct
	ndctl disable-namespace namespace0.0
	echo 0 >/sys/bus/nd/devices/namespace0.0/force_raw
	ndctl check-namespace --repair namespace0.0
	ndctl enable-namespace namespace0.0
} >/dev/null 2>&1
mount $DISK $mnt
check "by the manual: its files are there again" same f
recover scan $mnt
status_is 0 "by the manual: nothing is bad"
umount $mnt
use_pmem raw
clear_all
finish
