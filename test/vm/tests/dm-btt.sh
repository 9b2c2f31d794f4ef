#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dm-btt.sh: a volume over a namespace in sector mode: bad blocks are found by reading the volume; on a bus that cannot clear
# poison they are left by name, and on one that can they are repaired.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

region=/sys/bus/nd/devices/region0/badblocks
use_pmem raw
clear_all
rm -f /run/pmem-mode
ndctl create-namespace -f -e namespace0.0 -m sector --sector-size=512 >/dev/null || exit 99
modprobe dm_mod
check "a volume" dmsetup create volume --table "0 65536 linear /dev/pmem0s 2048"
dmsetup mknodes
make_fs ext4 /dev/mapper/volume $mnt -E nodiscard -N 256 -J size=4 || exit 99
make_file f 400000
# A block lies near where it would lie without a map, and there is an info block ahead.
first=$((16 + 2048 + $(file_sector f 0)))
module_set inject $(((first + 300) * 512)),1024
module_set inject $(((first + 500) * 512)),512
before=$(cat $region)
echo 3 >/proc/sys/vm/drop_caches

recover scan $mnt
status_is 8 "without reading, what is lost is not known"
recover scan --read $mnt
status_is 4 "scan --read"
report "read: three sectors of the file" '[.files[].ranges[] | select(.state == "lost") | .length] | add == 1536'
module_set pretend 1
repair --read --from-backup=$backup $mnt
status_is 4 "no clear command: repair"
report "no clear command: left by name" '[.files[].ranges[] | [.state, .reason]] | length > 0 and all(. == ["skipped", "btt-no-clear"])'
check "no clear command: nothing was written" [ "$(cat $region)" = "$before" ]
module_set pretend 0
repair --read --from-backup=$backup $mnt
status_is 1 "repair"
echo 3 >/proc/sys/vm/drop_caches
check "the file is whole" same f
recover scan --read $mnt
status_is 0 "nothing is lost any more"
umount $mnt
dmsetup remove volume
use_pmem raw
clear_all
rm -rf ${backup:?}/* "${journals:?}"/*.journal
finish
