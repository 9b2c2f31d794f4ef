#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kill-points.sh: SIGKILL at each call of a repair of a DAX file that writes, and then --resume, without the backup. The
# same on a filesystem without DAX, and of what a resume does, is test/cli/kill-points.sh.
#
# needs: once
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

size=$((12 * 4096 - 1000))
points=0
good=0

# A file that has lost a sector of three pages, the last one among them, with set-id bits that a write drops.
damage() {
	local at
	make_file f $size
	chmod 6755 $mnt/f
	for at in 4608 20480 $((11 * 4096 + 512)); do
		poison_file f $at || return
	done
}

# killed CALL K: a repair, killed at its K-th such call; fails where there are not so many
killed() {
	(strace -f -qq -o /dev/null -e "trace=$1" -e "inject=$1:signal=SIGKILL:when=$2" "$PMEM_RECOVER" repair --yes \
		--journal=$journals --from-backup=$backup/f $mnt/f >/tmp/killed.out 2>/tmp/killed.err </dev/null; exit $?) 2>/dev/null
	[ $? = 137 ]
}

is_whole() { same f && [ "$(stat -c '%a %s' $mnt/f)" = "6755 $size" ] && clean && ! ls $journals/*.journal 2>/dev/null; }

# What was killed is finished; where nothing had come to the journal, it is repaired as ever.
finished() {
	mv $backup/f $backup/kept
	recover repair --yes --journal=$journals --resume
	mv $backup/kept $backup/f
	case $status in
	1) ;;
	0 | 4 | 8) clean || repair --from-backup=$backup/f $mnt/f ;;
	*) false ;;
	esac && is_whole
}

use_pmem fsdax
mount_fs ext4
for call in pwritev2 fsync ftruncate renameat fchmod; do
	for ((k = 1; ; k++)); do
		damage || { not_ok "no damage"; break; }
		killed $call $k || break
		points=$((points + 1))
		if finished >/tmp/why 2>&1; then
			good=$((good + 1))
		else
			not_ok "killed at $call $k: exit status $status: $(head -n 3 /tmp/why)"
			show_report
		fi
		rm -f $journals/*.done $journals/*.journal
		clear_all
	done
	rm -f $journals/*.done
done
check "there were calls to be killed at" [ $points -gt 20 ]
check "each file is whole" [ $good = $points ]
echo "figure kill-points: $good of $points $kernel"
unmount
finish
