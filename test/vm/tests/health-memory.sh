#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# health-memory.sh: health remembers lists: records that vanish are told until they are acknowledged, listed again, or
# accounted for by a repair.
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
sector=$(file_sector f 50000)
byte=$((sector * 512))
vanished() { report "$1: vanished" "[.vanished[] | [.offset, .length]] == $2"; }

# ---- nothing, then something, then nothing new

recover health
status_is 0 "no badblocks"
check "no badblocks: nothing is remembered" [ ! -e $lists ]
poison_file f 50000
recover health
status_is 4 "badblocks"
vanished "badblocks" '[]'
report "badblocks: remembered" '.remembered == true'
list=$(echo $lists/*)
check "badblocks: there is one file" [ -f "$list" ]
check "badblocks: it has the record" grep -qx "$sector 1" "$list"
inode=$(stat -c %i "$list")
touch -d @1000 "$list"
strace -f -e trace=openat,open,renameat,unlinkat,flock -o /tmp/trace "$PMEM_RECOVER" health >/dev/null 2>&1
check "nothing new: nothing is written" eval '[ "$(stat -c %i "$list")" = "$inode" ] && ! grep -Eq "flock|rename|unlink|$disk.*O_(WRONLY|RDWR|CREAT)|lists.*O_(WRONLY|RDWR|CREAT)" /tmp/trace'
check "nothing new: the time at which it was seen" [ "$(stat -c %Y "$list")" -gt 1000 ]

# ---- somebody cleared it

recover scan $mnt
cp $out /tmp/before.json
touch -d 2026-11-22T03:12:44Z "$list"
clear_all
check "it was cleared" clean
recover health
status_is 8 "vanished"
vanished "vanished" "[[$byte, 512]]"
report "vanished: which" ".vanished[0] | .id == \"$disk@$byte\" and .device == \"$disk\" and .metadata == false and .seen == \"2026-11-22T03:12:44Z\" and .list == \"$list\""
report "vanished: it is said" 'any(.messages[]; .code == "records-vanished" and .level == "warning")'
says "vanished: how to go on" "--acknowledge=$disk"
recover health
status_is 8 "vanished: still"
recover health -q
check "vanished: a line with -q" grep -q "512 B at byte $byte vanished.*: $disk@$byte" $err
recover health -u
check "vanished: a line for people" grep -q "512 B at byte $byte vanished.*: $disk@$byte" $out
recover scan --badblocks="$list" $mnt
report "vanished: what is remembered names the file" "[.files[] | select(.ranges != []) | .path] == [\"$mnt/f\"] and .files[0].ranges[0].device_offset == $byte"

# ---- acknowledged

recover health --acknowledge="$disk@1"
check "another name: exit status 8 ($status)" [ $status = 8 ]
says "another name: what there is" "there is $disk@$byte"
recover health --acknowledge="$disk@$byte"
status_is 0 "acknowledged"
vanished "acknowledged" '[]'
check "acknowledged: nothing is remembered" [ ! -e "$list" ]
recover health
status_is 0 "acknowledged: from now on"

# ---- repaired: from the list, and after it vanished

make_file f 100000
sector=$(file_sector f 50000)
poison_file f 50000
poison_file f 99990
recover health
status_is 4 "before a repair"
repair --from-backup=$backup $mnt
status_is 1 "repair"
check "repair: nothing is left to remember" [ ! -e "$list" ]
recover health
status_is 0 "after a repair"
vanished "after a repair" '[]'

poison_file f 50000
recover scan $mnt
cp $out /tmp/before.json
recover health
status_is 4 "before it vanishes again"
clear_all
recover health
status_is 8 "vanished again"
repair --from-backup=$backup --verify-backup=none --force --ranges=/tmp/before.json $mnt
status_is 1 "repair of what vanished"
check "repair of what vanished: the file is whole" same f
recover health
status_is 0 "after a repair of what vanished"
poison_file f 50000
recover scan $mnt
cp $out /tmp/before.json
recover health
clear_all
recover health
status_is 8 "vanished, to be punched"
repair --from-backup=$backup --verify-backup=none --force --method=punch --ranges=/tmp/before.json $mnt
status_is 1 "a punch of what vanished"
recover health
status_is 0 "after a punch of what vanished"

# ---- listed again

poison_file f 50000
recover health
clear_all
recover health
status_is 8 "vanished, for the third time"
poison_file f 50000
recover health
status_is 4 "listed again"
vanished "listed again" '[]'

rm -rf $lists
unmount
finish
