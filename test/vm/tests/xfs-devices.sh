#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# xfs-devices.sh: an XFS whose log is a device of its own: poison there is named as its log, and what is advised clears it.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

seed=${SEED:-$(($(date +%s) % 32768))}
RANDOM=$seed
echo "# seed $seed"

use_pmem fsdax

# owned LIST: the last report's bad ranges of PMEM, as jq has them: offsets are in sectors of partition 2
owned() {
	report "$what: offsets and owners" "[.devices[] | select(.path == \"$PMEM\") | .badblocks.ranges[] | [.offset / 512 - $log_start, .length / 512, .owner]] == $1"
}

partitions 300 20
log_start=$(cat "/sys/class/block/${PMEM##*/}p2/start")
data=${PMEM}p1 log=${PMEM}p2
export TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1
check "mkfs" mkfs.xfs -q -f -K -l "logdev=$log,size=16m" "$data"
# shellcheck disable=SC2317
mount_log() {
	mount -o "dax,logdev=$log" "$data" "$mnt" 2>/dev/null || mount -o "logdev=$log" "$data" "$mnt" || { dmesg | tail -n 4; false; }
}
check "mount" mount_log
make_file f 50000

bad=$((600 + RANDOM % 31000)) border=$((32768 - 1))
poison "$log" $bad 3
poison "$log" $border 2
what="the log ($bad)"
for target in $mnt "$log" "$PMEM" ''; do
	# shellcheck disable=SC2086 # an empty target is none
	recover scan $target
	status_is 4 "$what: scan ${target:-without a target}"
	owned "[[$bad, 3, \"log\"], [$border, 1, \"log\"], [$((border + 1)), 1, \"free\"]]"
	report "$what: its codes" '[.messages[] | select(.level != "info") | .code] | sort == ["log-lost", "poison-in-free-space"]'
done
says "$what: what helps" "xfs_repair -L -l $log $data"
recover scan "$data"
status_is 0 "$what: the data's partition has none of it"
recover locate "$log" $((bad * 512))
status_is 0 "$what: locate"
report "$what: locate: whose" '.places[0] | [.owner, .filesystem.mountpoint, .bad_bytes] == ["log", "/mnt", 1]'
address=$(("$(cat "$(readlink -f "/sys/block/${PMEM##*/}/device")/resource")" + (log_start + bad) * 512))
recover locate --address="$(printf %x $address)"
status_is 0 "$what: locate by its address"
report "$what: locate by its address: whose" '.places[0] | [.owner, .filesystem.mountpoint] == ["log", "/mnt"]'

umount $mnt
# also where it is known by what is written in it, and that is what cannot be read
poison "$log" 83
what="not mounted"
recover scan "$log"
status_is 4 "$what"
owned "[[83, 1, \"log\"], [$bad, 3, \"log\"], [$border, 2, \"log\"]]"
says "$what: said" "$log: holds the log of an XFS that is not mounted here"

# The end of the log is what the kernel and xfs_repair try to read before anything else.
what="written anew"
dd if=/dev/zero of="$log" bs=512 seek=$border count=1 oflag=direct conv=notrunc status=none
check "$what" xfs_repair -L -l "$log" "$data"
check "$what: mount" mount_log
recover scan $mnt
status_is 0 "$what: scan"
owned "[[$((border + 1)), 1, \"free\"]]"
check "$what: its file is whole" same f
umount $mnt
clear_all
dd if=/dev/zero of="$PMEM" bs=1M count=1 oflag=direct status=none
blockdev --rereadpt "$PMEM"
rm -rf ${backup:?}/*
finish
