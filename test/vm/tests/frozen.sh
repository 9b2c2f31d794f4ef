#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# frozen.sh: the guardian is killed at each call that freezes or thaws; others thaw, and the owner writes, right there. Nothing
# is left frozen, what is said is true, and --resume makes the file whole.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
pages=(40960 81920 409600)
points=0
whole=0
frozen_by_others=

damage() {
	clear_all
	rm -rf "$journals"/*.journal
	cp $backup/f $mnt/f
	sync -f $mnt/f
	for page in "${pages[@]}"; do
		poison_file f $((page + 1024))
	done
}

# at POINT ARGUMENT...: a repair by device with that happening
at() {
	local point=$1
	shift
	damage
	[ -z "$frozen_by_others" ] || fsfreeze -f $mnt
	# no program may hang on what it leaves
	run env FROZEN="$point" LD_PRELOAD="$FROZEN_LIBRARY" timeout 60 "$PMEM_RECOVER" repair --yes --journal="$journals" \
		--method=device --from-backup=$backup "$@" $mnt/f
}

# The page at that byte is what its owner wrote.
owners() { cmp -n 4096 -i "$1:0" $mnt/f <(head -c 4096 /dev/zero | tr '\0' O); }

# Each sector that is said to be repaired is.
honest() {
	local offset
	for offset in $(jq -r '.files[].ranges[] | select(.state == "repaired") | .offset' "$out"); do
		cmp -n 512 -i "$offset" $mnt/f $backup/f || return
	done
}

for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	make_file f 1000000
	check "mounted with DAX" grep -q " $mnt .*dax=always" /proc/mounts

	for point in kill-before-freeze kill-after-freeze stop-after-freeze kill-before-thaw kill-after-thaw; do
		at $point
		points=$((points + 1))
		check "$point: nothing is left frozen" thawed
		check "$point: what is said to be repaired is" honest
		if [ -n "$(ls "$journals"/*.journal 2>/dev/null)" ]; then
			recover repair --resume --yes --journal="$journals"
			status_is 1 "$point: resumed"
		elif [ "$status" != 1 ]; then
			repair --from-backup=$backup $mnt/f
			status_is 1 "$point: nothing was begun: repaired"
		fi
		check "$point: the file is as it was, and the list empty" eval 'same f && clean && whole=$((whole + 1))'
	done

	at both-after-freeze
	check "both killed: it is frozen, and fsfreeze thaws it" fsfreeze -u $mnt
	check "both killed: nothing is left frozen" thawed
	recover repair --resume --yes --journal="$journals"
	status_is 1 "both killed: resumed"
	check "both killed: the file is as it was" eval 'same f && clean'

	at thaw-after-freeze
	check "thawed by others: nothing is left frozen" thawed
	check "thawed by others: what is said to be repaired is" honest
	says "thawed by others: it is said" "thaw"

	at fail-freeze
	status_is 4 "a freeze that fails"
	report "a freeze that fails: all is left for that" 'all(.files[].ranges[]; .state == "skipped" and .reason == "cannot-freeze")'

	# A freeze that waits for the freeze of somebody else, longer than a guardian may take to be ready.
	if [ $fs = ext4 ]; then
		frozen_by_others=yes
		at slow-freeze
		frozen_by_others=
		check "frozen by others: that stays so" fsfreeze -u $mnt
		status_is 4 "frozen by others"
		report "frozen by others: all is left for that" 'all(.files[].ranges[]; .state == "skipped" and .reason == "frozen")'
	fi

	# It is in use, so that no lease is in the way of its owner.
	exec 9<>$mnt/f
	FROZEN_FILE=$mnt/f FROZEN_PAGES=40960,409600 at write-before-freeze --online
	exec 9>&-
	check "written before the freeze: the owner's first page is his" owners 40960
	check "written before the freeze: so is the other one" owners 409600
	check "written before the freeze: what is said to be repaired is" honest
	report "written before the freeze: only the other one may be said to be repaired" \
		'all(.files[].ranges[] | select(.offset < 81920 or .offset >= 86016); .state != "repaired")'
	unmount
	name=$name_of_test
done
echo "figure kill-points at freeze and thaw $kernel: $whole of $points"
check "every kill was resumed" [ $whole = $points ]
finish
