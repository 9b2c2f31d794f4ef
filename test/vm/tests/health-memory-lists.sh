#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# health-memory-lists.sh: health's memory of a namespace that goes and comes, and of a list that cannot show all.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

lists=$journals/lists
rm -rf $lists
use_pmem fsdax
disk=${PMEM##*/}
mount_fs ext4
make_file f 100000
poison_file f 50000
recover health
status_is 4 "badblocks"
list=$(echo $lists/*)

# ---- a namespace that goes and comes

umount $mnt
ndctl disable-namespace namespace0.0 >/dev/null 2>&1
recover health
report "disabled: nothing vanished" '.vanished == []'
check "disabled: it keeps its memory" [ -e "$list" ]
ndctl enable-namespace namespace0.0 >/dev/null 2>&1
if clean; then
	# What was put into the list by hand alone is forgotten, as with a reboot where no firmware keeps it.
	recover health
	status_is 8 "enabled again, and the list is empty"
	recover health --acknowledge=namespace0.0
	status_is 0 "enabled again: acknowledged"
else
	recover health
	status_is 4 "enabled again, and the list is there"
	report "enabled again: nothing vanished" '.vanished == []'
fi
mount_fs ext4
clear_all
recover health --acknowledge="$PMEM"

# ---- a list that cannot show all

make_file f 4000000
base=$(file_sector f 0)
# The kernel takes 512 records by hand; from the module it takes more, and drops them.
[ "$kind" = module ] && count=600 || count=500
for ((n = 0; n < count; n++)); do
	echo "$((base + 8 * n)) 1"
done >/tmp/list
inject /tmp/list
recover health
check "full: exit status has 12 ($status)" [ $((status & 12)) = 12 ]
check "full: it is noted" grep -qx '# incomplete' "$list"
recover health
report "full: nothing vanished" '.vanished == [] and .devices[0].badblocks.complete == false'
recover scan --badblocks="$list" $mnt
report "full: what is remembered is incomplete as well" '.devices[0].badblocks.trust == "incomplete"'
before=$(badblocks "$PMEM" | wc -l)
clear_all
recover health
report "full: that it was is not forgotten" '.devices[0].badblocks | .complete == false and .reason == "was-full"'
left=$(jq .devices[0].badblocks.count $out)
report "full: what vanished is what was cleared" '([.vanished[].length] | add) <= 512 * '"$before"' and ([.vanished[].length] | add) > 512 * 400'
check "full: others were listed then ($left)" [ "$left" -gt 0 ]
clear_all
# Nothing here has gone over all of it; somebody knows better.
rm -r $journals/doubts
recover health --acknowledge="$disk"
check "full: acknowledged ($status)" [ $((status & 8)) = 0 ]
umount $mnt
while ! clean; do
	clear_all
done
rm -rf $lists
unmount 2>/dev/null
finish
