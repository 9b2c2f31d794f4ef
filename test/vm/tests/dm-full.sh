#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dm-full.sh: a volume striped over two regions whose lists are both longer than the kernel shows at once: never clean, and
# repaired in rounds, all of it.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

pages=980
# sectors with six digits, so that less than 512 of them fill a page
begin=102400

# an info block that another script left would come up in the place of a raw namespace
use_pmem raw
modprobe dm_mod
check "two regions" module_again size=$((160 << 20)) regions=2
check "a volume" dmsetup create volume --table "0 49152 striped 2 8 /dev/pmem0 $begin /dev/pmem1 $begin"
dmsetup mknodes
make_fs ext4 /dev/mapper/volume $mnt -E nodiscard -N 256 -J size=4 || exit 99
make_file f $((pages * 4096))
base=$(file_sector f 0)
[ "$(file_sector f $((pages * 4096 - 512)))" = $((base + pages * 8 - 1)) ] || exit 99

# A sector of each page.
awk -v base="$base" -v pages=$pages -v begin=$begin 'BEGIN {
	for (n = 0; n < pages; n++) {
		chunk = int((base + 8 * n) / 8)
		print begin + int(chunk / 2) * 8 + n % 8, 1 >("/tmp/list." chunk % 2)
	}
}'
for n in 0 1; do
	PMEM=/dev/pmem$n inject /tmp/list.$n
	check "the list of pmem$n is cut" [ "$(wc -c <"/sys/block/pmem$n/badblocks")" -ge 4095 ]
done

recover scan $mnt
status_is 12 "scan"
report "scan: not complete, and of both lists" ".complete == false and ([.files[].ranges[].lower[].device] | unique == [\"pmem0\", \"pmem1\"]) and (.files[].ranges | length < $pages)"
recover health
status_is 12 "health"
report "health: both are incomplete" '[.devices[] | select(.mode != "mapped") | .badblocks.complete] == [false, false]'
repair --from-backup=$backup $mnt
status_is 9 "repair"
report "repair: in rounds" '[.messages[].code] | index("repair-round") != null'
report "repair: all of it" "([.files[].ranges[].length] | add == $((pages * 512))) and all(.files[].ranges[]; .state == \"repaired\")"
check "the file is whole" same f
check "nothing is listed" [ -z "$(cat /sys/block/pmem[01]/badblocks)" ]
recover scan $mnt
status_is 8 "what was once full is in doubt"
report "neither the volume nor what is below is believed" 'all(.devices[]; .badblocks.trust == "incomplete" and .badblocks.reason == "was-full")'
recover scan --read
status_is 0 "all was read"
recover scan $mnt
status_is 0 "and is known now"
umount $mnt
dmsetup remove volume
check "the module as it was" module_again
rm -rf ${backup:?}/* "${journals:?}"/*.journal
finish
