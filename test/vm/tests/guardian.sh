#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# guardian.sh: the process that freezes, or the program that waits for it, is killed or stopped in the freeze: nothing is left
# frozen, and the report is honest.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
pages=(40960 81920 409600)

damage() {
	clear_all
	rm -rf "$journals"/*.journal
	cp $backup/f $mnt/f
	sync -f $mnt/f
	for page in "${pages[@]}"; do
		poison_file f $((page + 1024))
	done
}

# broken WHAT INJECT [FILTER]: a repair by device in which strace does INJECT to a call that only one of the two processes makes.
# A guardian that took long over a page has a successor for the rest, whose calls strace counts anew: again, until FILTER is true.
broken() {
	local tries
	for ((tries = 0; tries < 5; tries++)); do
		damage
		run timeout 60 strace -f -o /tmp/trace -P "$PMEM" -P "$mnt/f" -e trace="${2%%:*}" -e inject="$2" \
			"$PMEM_RECOVER" repair --yes --journal="$journals" --method=device --from-backup=$backup $mnt/f
		[ $# -gt 2 ] && ! jq -e "$3" "$out" >/dev/null || break
	done
	check "$1: it was done" grep -qE 'INJECTED|SIGKILL|SIGSTOP|DELAYED' /tmp/trace
	check "$1: nothing is left frozen" thawed
}

# whole WHAT: a second repair makes it whole, whatever the first one left.
whole() {
	rm -rf "$journals"/*.journal
	repair --from-backup=$backup $mnt/f
	check "$1: then a second repair makes it whole" same f
	check "$1: and the list empty" clean
}

# honest WHAT: what is said to be repaired is; nothing is both.
honest() {
	local offset
	for offset in $(jq -r '.files[].ranges[] | select(.state == "repaired") | .offset' "$out"); do
		check "$1: byte $offset is said to be repaired, and is" cmp -n 512 -i "$offset" $mnt/f $backup/f
	done
	check "$1: exit status $status has 4" [ $((status & 4)) = 4 ]
}

for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	make_file f 1000000
	check "mounted with DAX" grep -q " $mnt .*dax=always" /proc/mounts

	# Only the guardian writes to the device.
	broken "guardian killed before its first write" pwrite64:signal=KILL:when=1
	honest "guardian killed before its first write"
	report "guardian killed before its first write: the rest is left by name" '[.files[].ranges[] | select(.reason == "guardian-died")] | length == 2'
	report "guardian killed before its first write: nothing is repaired" 'all(.files[].ranges[]; .state != "repaired")'
	check "guardian killed before its first write: all is listed" [ "$(badblocks "$PMEM" | wc -l)" = 3 ]
	check "guardian killed before its first write: its journal stays" eval 'ls "$journals"/*.journal'
	whole "guardian killed before its first write"

	one='[.files[].ranges[] | select(.state == "repaired")] | length == 1'
	broken "guardian killed at its second write" pwrite64:signal=KILL:when=2 "$one"
	honest "guardian killed at its second write"
	report "guardian killed at its second write: the first is repaired" "$one"
	recover repair --resume --yes --journal="$journals"
	status_is 1 "guardian killed at its second write: resumed"
	check "guardian killed at its second write: resumed: as it was" same f
	check "guardian killed at its second write: resumed: the list is empty" clean

	one='[.files[].ranges[] | select(.reason == "freeze-timeout")] | length == 1'
	broken "guardian stopped" pwrite64:signal=STOP:when=2 "$one"
	honest "guardian stopped"
	report "guardian stopped: the rest is left by name" "$one"
	report "guardian stopped: how long it stood still is no secret" '.freezes.longest_ns >= 1000000000'
	whole "guardian stopped"

	# The program is killed when it begins to wait for the guardian, which then comes to its end.
	damage
	run timeout 60 strace -f -o /tmp/trace -e trace=poll -e inject=poll:signal=KILL:when=1 \
		"$PMEM_RECOVER" repair --yes --journal="$journals" --method=device --from-backup=$backup $mnt/f
	check "program killed: it was" grep -q SIGKILL /tmp/trace
	check "program killed: nothing is left frozen" thawed
	check "program killed: its journal stays" eval 'ls "$journals"/*.journal'
	check "program killed: the guardian came to its end" eval 'same f && clean'

	if [ "$kind" = module ]; then
		damage
		module_set clear_delay_ms 2500
		repair --method=device --from-backup=$backup $mnt/f
		module_set clear_delay_ms 0
		check "a clear that takes long: nothing is left frozen" thawed
		honest "a clear that takes long"
		report "a clear that takes long: the others are not tried" '[.files[].ranges[] | select(.state == "skipped" and .reason == "freeze-timeout")] | length == 2'
		whole "a clear that takes long"

		damage
		module_set clear_delay_ms 300
		touch /tmp/until
		(while [ -e /tmp/until ]; do ! fsfreeze -u $mnt 2>/dev/null || exit 0; sleep 0.05; done; exit 1) &
		other=$!
		repair --method=device --from-backup=$backup $mnt/f
		module_set clear_delay_ms 0
		rm /tmp/until
		check "thawed by others: it was" wait $other
		check "thawed by others: nothing is left frozen" thawed
		honest "thawed by others"
		report "thawed by others: what was not begun is left for that" '[.files[].ranges[] | select(.reason == "thawed-by-others")] | length >= 1'
		whole "thawed by others"
	fi
	unmount
	name=$name_of_test
done
finish
