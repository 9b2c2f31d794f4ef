#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# journal-told.sh: a repair on DAX that was killed: every command tells of it, also where the kernel's list has forgotten;
# its bytes are exported, and it is set aside.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
mount_fs ext4
make_file f 200000
for at in 4096 40960 81920 122880; do
	poison_file f $((at + 1024))
done
recover journal
status_is 0 "no journal"

# The first page is written, and its record gone; the second is not.
strace -qq -o /dev/null -P $mnt/f -e trace=pwritev2 -e inject=pwritev2:signal=KILL:when=2 \
	"$PMEM_RECOVER" repair --yes --journal=$journals --from-backup=$backup $mnt >/tmp/killed.json 2>/tmp/killed.err
check "a repair is killed at its second write" [ $? = 137 ]
left=$(badblocks "$PMEM")
check "the list has forgotten the first page, or both" [ "$(echo "$left" | wc -l)" -lt 4 ]
journal=$(echo $journals/*.journal)

recover journal
status_is 8 "the journal"
report "it is unfinished, with writes begun" '.journals | length == 1 and (.[0] | .state == "unfinished" and .written and .same_boot and (.files[0].pieces | .open >= 1 and .done == 0 and .total == 4))'
recover journal --human
check "for people, as the unit shows it at boot" eval '[ $status = 8 ] && grep -q unfinished $out'
recover scan $mnt
status_is 12 "scan"
report "scan tells of it" 'any(.messages[]; .code == "unfinished-journal" and .level == "warning")'
recover health
status_is 12 "health"
report "health tells of it" 'any(.messages[]; .code == "unfinished-journal")'
repair --from-backup=$backup $mnt
status_is 12 "another repair"
report "it wrote nothing" '.journal == null and any(.messages[]; .code == "unfinished-journal" and .level == "error")'
check "the list is as it was" [ "$(badblocks "$PMEM")" = "$left" ]
umount $mnt
recover health -q
check "not mounted: health still tells" eval '[ $((status & 8)) = 8 ] && grep -q "repair --resume" $err'
mount -o dax "$PMEM" $mnt || mount "$PMEM" $mnt

# Nothing is listed, and yet something may be wrong.
clear_all
recover scan $mnt
status_is 8 "an empty list: scan"
recover journal --export=$mnt/export "$journal"
status_is 8 "not exported to the damaged device"
recover journal --export=/tmp/export "$journal"
status_is 0 "exported"
for file in /tmp/export/*@*; do
	at=${file##*@}
	tail -c +$((${at%+*} + 1)) $backup/f | head -c "${at#*+}" >/tmp/expected
	check "${file##*/}: what was to be written" cmp "$file" /tmp/expected
done
recover journal --set-aside "$journal"
status_is 0 "set aside"
check "it is kept" [ -f "${journal%.journal}.aside" ]
recover scan $mnt
status_is 0 "scan, then"
# The list was cleared by hand, of which health has its own to say.
recover health
report "health has nothing to say of it" 'all(.messages[]; .code != "unfinished-journal")'
unmount
rm -f $journals/*.aside
finish
