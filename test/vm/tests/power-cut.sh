#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# power-cut.sh: the power goes at the 20 clears of a repair in turn, between the clear and the write that follows: at each
# second one on one kernel, and at the others on the other. After each boot the repair is resumed from its journal, with no
# backup: the file must be whole. Once on each kernel the resume is cut, too.
#
# needs: module own-guest reset
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

fs=${fs:-ext4}
pages=20
first_cut=1
[ "$kernel" = 6.1 ] || first_cut=2
# the cuts after which the resume is cut, at its so many-th clear
declare -A again_at=([4]=1 [13]=5)
# on the disk: the next cut, whether the resume was cut already, how many went well, the first sector of the file
state=$journals/state
size=$((40 * 4096 - 1000))

# Of each second page one sector, some more, or all; and one of the last page, which is not full.
list_poison() {
	local n at
	for ((n = 0; n < pages - 1; n++)); do
		at=$((sector + (2 * n + 1) * 8))
		case $((n % 4)) in
		0) echo "$((at + n % 8)) 1" ;;
		1) echo "$((at + 2)) 3" ;;
		2) echo "$at 8" ;;
		3) echo "$((at + 7)) 1" ;;
		esac
	done
	echo "$((sector + 39 * 8 + 1)) 1"
}

save() { echo "$cut $resumed $good $sector $size_of_pmem" >$state.new && mv $state.new $state && sync -f $state; }

damage() {
	list_poison >/tmp/poison
	while read -r at count; do
		"$TREE" scramble "$PMEM" "$at" "$count" || return
	done </tmp/poison
	inject /tmp/poison
}

# lose_power N COMMAND...: does not come back
lose_power() {
	module_set reset_on_clear "$1"
	shift
	save
	sync
	flush_output
	"$@"
	not_ok "the power did not go: exit status $status"
	show_run
	finish
}

begin() {
	use_pmem fsdax
	mount_fs "$fs"
	make_file f $size
	chmod 6755 $mnt/f
	sync -f $mnt/f
	cp $backup/f $journals/f
	sector=$(file_sector f 0)
	size_of_pmem=$(cat /sys/block/pmem0/size)
	cut=$first_cut resumed=no good=0
	check "the file is in one piece" [ "$(file_sector f $((39 * 4096)))" = $((sector + 39 * 8)) ]
}

again() {
	read -r cut resumed good sector size_of_pmem <$state
	pmem_again || not_ok "the PMEM is not back"
	[ "$(cat /sys/block/pmem0/size)" = "$size_of_pmem" ] || not_ok "the PMEM is another"
	mount_dax "$fs" "$PMEM" $mnt || not_ok "not mounted"
	cp $journals/f $backup/f
}

is_whole() {
	same f && [ "$(stat -c '%a %s' $mnt/f)" = "6755 $size" ] && clean && ! ls $journals/*.journal 2>/dev/null
}

resume() { recover repair --yes --journal=$journals --resume; }

# After a boot: what the last cut left behind is made good.
recovered() {
	if [ -n "${again_at[$cut]:-}" ] && [ "$resumed" = no ]; then
		resumed=yes
		lose_power "${again_at[$cut]}" resume
	fi
	resume
	if [ "$status" = 1 ] && is_whole >/tmp/why 2>&1; then
		good=$((good + 1))
	else
		not_ok "cut at clear $cut: exit status $status: $(head -n 3 /tmp/why)"
		stat -c '%a %s %z' $mnt/f
		badblocks "$PMEM"
		ls $journals
		show_report
	fi
	cut=$((cut + 2)) resumed=no
	rm -f $journals/*.done
}

if [ "$PMR_BOOT" = 1 ]; then
	begin
else
	again
	recovered
fi
if [ $cut -le $pages ] && [ $failures = 0 ]; then
	damage || not_ok "no poison"
	lose_power $cut repair --from-backup=$backup/f $mnt/f
fi
check "no cut did harm" [ "$good" = $((pages / 2)) ]
echo "figure power-cut: $good of $((pages / 2)) $kernel $fs"
finish
