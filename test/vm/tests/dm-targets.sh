#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dm-targets.sh: the targets of device mapper that are not followed, over linear volumes of PMEM, and what others build of block
# devices: named, whoever asks; nothing is written, and nothing is called clean while there is poison below. Files on some
# are dm-refused.sh's.
#
# needs: once tools
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
modprobe dm_mod
map=/dev/mapper
# Where data, more of it, and metadata of what is built begin on the PMEM, in sectors; and how long data is.
data=2048 more=67584 meta=133120
sectors=65536
bad=$((data + 40000))

# shellcheck disable=SC2317 # called by check
make_lowers() {
	dmsetup create data --table "0 $sectors linear $PMEM $data" &&
		dmsetup create more --table "0 $sectors linear $PMEM $more" &&
		dmsetup create meta --table "0 8192 linear $PMEM $meta" && dmsetup mknodes
}

# What one target left there another may take for its own.
wipe() {
	local volume
	for volume in data more meta; do
		dd if=/dev/zero of=$map/$volume bs=1M count=4 oflag=direct status=none
	done
}

# shellcheck disable=SC2317 # called by check
create() { printf '%s\n' "$2" | dmsetup create "$1" && dmsetup mknodes; }

# refused WHAT DEVICE NAME [HOLDER]: with poison below, DEVICE is refused as NAME; HOLDER is what is right above the poison.
refused() {
	local what=$1 device=$2 called=$3 holder=${4:-$3}
	poison "$PMEM" $bad
	recover scan "$device"
	status_is 8 "$what: scan"
	says "$what: named" "^pmem-recover: $device: lies on $called.*, which badblocks cannot be followed through"
	recover scan
	status_is 8 "$what: scan of everything"
	says "$what: named to who did not ask" "lies on $holder"
	repair --from-backup=$backup "$device"
	status_is 8 "$what: repair"
	check "$what: nothing was written" listed "$bad 1"
	clear_all
}

# target NAME MODULE TABLE [HOLDER]
target() {
	modprobe "$2"
	if ! create volume "$3" >/tmp/why 2>&1; then
		not_ok "$1: a volume: $(cat /tmp/why) $(dmesg | tail -n 2)"
		return
	fi
	refused "$1" $map/volume "device mapper target $1 " "${4:-}"
	dmsetup remove volume
	wipe
}

check "volumes below" make_lowers
wipe
target snapshot dm_snapshot "0 $sectors snapshot $map/data $map/meta N 8"
target mirror dm_mirror "0 $sectors mirror core 2 1024 nosync 2 $map/data 0 $map/more 0"
target raid dm_raid "0 $sectors raid raid1 4 0 nosync region_size 1024 2 - $map/data - $map/more"
target multipath dm_multipath "0 $sectors multipath 2 queue_mode bio 0 1 1 round-robin 0 1 1 $map/data 1000"
target cache dm_cache "0 $sectors cache $map/meta $map/more $map/data 512 1 writethrough default 0"
target writecache dm_writecache "0 $sectors writecache s $map/data $map/more 4096 0"
target integrity dm_integrity "0 40000 integrity $map/data 0 - D 1 internal_hash:crc32c"
target era dm_era "0 $sectors era $map/meta $map/data 128"
target delay dm_delay "0 $sectors delay $map/data 0 0"
target flakey dm_flakey "0 $sectors flakey $map/data 0 60 0"
target log-writes dm_log_writes "0 $sectors log-writes $map/data $map/more"
target unstriped dm_unstripe "0 $((sectors / 2)) unstriped 2 128 0 $map/data 0"
target switch dm_switch "0 $sectors switch 1 128 0 $map/data 0"
target zero dm_mod "0 60000 linear $map/data 0
60000 5536 zero"

modprobe dm_thin_pool
check "thin-pool" create pool "0 $sectors thin-pool $map/meta $map/data 128 0"
dmsetup message pool 0 'create_thin 0'
target thin dm_thin_pool "0 $sectors thin $map/pool 0" 'device mapper target thin-pool '
refused thin-pool $map/pool 'device mapper target thin-pool '
dmsetup remove pool
wipe

modprobe raid1
check "md" mdadm -q --build /dev/md0 --run -l 1 -n 2 --assume-clean $map/data $map/more
refused md /dev/md0 'md RAID \(md0 over '
make_fs ext4 /dev/md0 $mnt -E nodiscard || exit 99
make_file f 100000
poison "$PMEM" $bad
recover scan $mnt/f
status_is 8 "md: a file"
says "md: a file: named" "^pmem-recover: $mnt/f: lies on md RAID"
recover health
status_is 4 "health: what is below"
clear_all
umount $mnt
mdadm -q --stop /dev/md0
wipe

modprobe bcache
make-bcache -B $map/data >/dev/null
check "bcache" eval "echo $map/data >/sys/fs/bcache/register"
refused bcache /dev/bcache0 'bcache \(bcache0 over '
echo 1 >/sys/block/bcache0/bcache/stop

# bcache takes its time to let go.
for ((n = 0; n < 100; n++)); do
	dmsetup remove_all
	[ "$(dmsetup ls)" != 'No devices found' ] || break
	sleep 0.1
done >/dev/null 2>&1
check "all is taken down" [ $n -lt 100 ]
rm -rf ${backup:?}/*
finish
