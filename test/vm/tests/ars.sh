#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ars.sh: what the last scrub found and no list has is read: what is bad is found, what was cleared since is no loss, and
# what cannot be read is not called clean.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

scrub=/sys/bus/nd/devices/ndbus0/nfit/scrub

# ars SECTOR [COUNT]: of $PMEM; the last scrub found it, and the kernel was not told
ars() { module_set ars "$(region_offset "$1"),$((${2:-1} * 512))"; }
codes() { echo "([.messages[].code] | index(\"$1\")) $2 null"; }

rm -rf "${journals:?}"/*
check "a bus with a scrub" module_again dimms=1
use_pmem fsdax
mount_fs ext4
make_file f 8000000
base=$(file_sector f 0)
pmem_disk "$PMEM"

# ---- 600 ranges, of which the kernel keeps 512, and nobody is notified again

for ((n = 0; n < 600; n++)); do
	echo "$((base + 24 * n)) 1"
done >/tmp/list
check "poison" "$TREE" inject /tmp/list $pmr_parameters/latent "$(region_offset 0)"
recover scan $mnt
status_is 0 "before the first scrub nobody knows"
echo 1 >$scrub
until grep -qx 1 $scrub; do sleep 0.1; done
recover scan $mnt
status_is 12 "one scan"
report "all of it is found" '([.files[].ranges[] | select(.state == "lost") | .length] | add) == 600 * 512 and ([.files[].ranges[]] | length) == 600'
report "that is said" "$(codes found-by-ars '!=')"
report "the list says where it has it from" '.devices[0].badblocks | .count == 600 and .trust == "incomplete" and (.source | endswith("/badblocks, ars"))'
# What stops at it puts it into the list, as NFIT's does: then a repair is as ever.
module_set touch record
repair --from-backup=$backup $mnt
status_is 9 "repair"
report "all of it is repaired" '[.files[].ranges[] | select(.state == "repaired")] | length == 600'
check "the file is whole" same f
check "nothing is listed" clean
module_set touch nothing
recover scan $mnt
status_is 8 "scan: a list that was full is in doubt still"
report "what was cleared since is no loss" '.files == [] and .devices[0].badblocks.count == 0 and .devices[0].badblocks.reason == "was-full"'
report "and no news" "$(codes found-by-ars ==) and $(codes ars-unconfirmed ==)"
rm -rf $journals/doubts
recover scan $mnt
status_is 0 "scan: once it is in no doubt"

# ---- what the kernel was never told, of one place

hole=$((base + 5))
latent "$PMEM" $hole
ars $hole
recover scan $mnt/f
status_is 4 "one place"
report "one place: exactly that" '[.files[].ranges[] | [.offset, .length, .state]] == [[2560, 512, "lost"]]'
recover salvage -o /tmp/copy $mnt/f
status_is 4 "one place: salvage"
report "one place: it loses that and no more" '.summary.lost_bytes == 512'
recover health
status_is 0 "one place: health reads nothing"

# ---- through a volume, whose list is made of it

umount $mnt
modprobe dm_mod
dmsetup create volume --table "0 $(blockdev --getsz "$PMEM") linear $PMEM 0" && dmsetup mknodes
recover scan /dev/mapper/volume
status_is 8 "volume: what is on it is not mounted"
report "volume: its list has it" "[.devices[] | select(.volume == \"volume\") | .badblocks.ranges[].offset] == [$((hole * 512))]"
: >/tmp/none
recover scan --badblocks=/tmp/none /dev/mapper/volume
report "volume: with a list from a file nobody is asked" "$(codes found-by-ars ==) and $(codes ars-unconfirmed ==)"
dmsetup remove volume
mount_dax ext4 "$PMEM" $mnt

# ---- answers that are none

module_set ars_mode odd
recover scan $mnt
status_is 12 "odd records"
report "odd records: they are left out, and what makes sense is not" "$(codes ars-malformed '!=') and .devices[0].badblocks.count == 1"
report "odd records: others are told of and did not come" "$(codes ars-cut '!=') and .devices[0].badblocks.reason == \"ars-cut\""
module_set ars_mode error
recover scan $mnt
status_is 0 "firmware error: the lists alone"
report "firmware error: it is said" "$(codes ars-unread '!=')"
module_set ars_mode cut
recover scan $mnt
status_is 12 "a scrub that ended early"
report "a scrub that ended early: there may be more" "$(codes ars-cut '!=') and .devices[0].badblocks.reason == \"ars-cut\""
module_set ars_mode ok
module_set scrub_runs 1
recover scan $mnt
status_is 0 "a scrub that runs: the lists alone"
report "a scrub that runs: it is said" "$(codes ars-running '!=')"
module_set scrub_runs 0
chmod 755 /tmp/stage
run setpriv --reuid=65534 --clear-groups "$PMEM_RECOVER" scan $mnt/f
report "nobody: it is said" "$(codes ars-unread '!=')"

# ---- what cannot be read

module_set ars "4096,512"
recover scan $mnt
status_is 12 "the info block"
report "the info block: it is not called clean" "$(codes ars-unconfirmed '!=') and (.devices[0].metadata_badblocks | .trust == \"incomplete\" and .reason == \"ars-unconfirmed\")"
module_set ars "$((256 << 20)),$((80 << 20))"
recover scan $mnt
status_is 12 "too much to be read unasked"
report "too much: the list is incomplete" "$(codes ars-unconfirmed '!=') and (.devices[0].badblocks | .trust == \"incomplete\" and .reason == \"ars-unconfirmed\")"
recover scan --badblocks="/sys/block/${PMEM##*/}/badblocks" $mnt
report "with a list from a file nobody is asked" "$(codes ars-unconfirmed ==) and .files == []"
umount $mnt

# ---- sector mode, whose blocks have no fixed place

check "a namespace in sector mode" ndctl create-namespace -f -e namespace0.0 -m sector
module_set ars $((100 << 20))
recover scan /dev/pmem0s
status_is 8 "sector mode"
report "sector mode: it is not called clean" "$(codes ars-unconfirmed '!=') and .devices[0].metadata_badblocks.reason == \"ars-unconfirmed\""

# ---- a device-dax

check "another bus" module_again dimms=1
check "a device-dax" dax_setup --align=4096
check "a device-dax: the unit of scans names what it is" grep -q ' dax$' /proc/devices
module_set latent $((dax_offset + 8192 + 512))
module_set ars $((dax_offset + 8192 + 512))
module_set ars $((dax_offset + 65536))
recover scan "$DAX"
status_is 4 "device-dax"
report "device-dax: it is read by loads, page by page, and what was cleared is no loss" '[.devices[0].badblocks.ranges[] | [.offset, .length]] == [[8704, 512]] and .complete'
rm -rf "${journals:?}"/*
check "as it was" module_again
finish
