#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# writers.sh: programs that write to a file while it is repaired: who has it open or mapped is left alone and named, who opens it
# in the middle waits for the step and goes on; no store and no acknowledged write is ever undone. See test/vm/writer.
#
# needs: any own-guest long
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
page=40960

# wait_for WHAT COMMAND...: until it is so; a machine that is too slow is no reason to go on.
wait_for() {
	local what=$1 tries=0
	shift
	until "$@"; do
		if [ $((tries += 1)) -gt 2000 ]; then
			not_ok "$what: waited in vain"
			return 1
		fi
		sleep 0.02
	done
}

# start_writer MODE [OPTION]...: of $mnt/f, in the background; sets writer. It has written to each place once.
start_writer() {
	rm -f /tmp/writer.log
	"$WRITER" "$1" $mnt/f /tmp/writer.log "${@:2}" >/tmp/writer.out 2>/tmp/writer.err &
	writer=$!
	wait_for "the writer" grep -q ready /tmp/writer.out
}

# stop_writer WHAT: and ask it, and its log, whether all is there.
stop_writer() {
	kill -TERM $writer
	kill -CONT $writer 2>/dev/null
	wait $writer
	check "$1: the writer missed nothing" eval "cat /tmp/writer.out /tmp/writer.err; [ $? = 0 ]"
	check "$1: all that it was promised is there" eval '"$WRITER" check $mnt/f /tmp/writer.log; [ $? = 0 ]'
}

acknowledged() { wc -l </tmp/writer.log; }

# It goes on writing while it is left alone.
is_busy() { [ "$(acknowledged)" -gt "$1" ]; }

left_alone() {
	local before
	before=$(acknowledged)
	repair --from-backup=$backup/f $mnt/f
	status_is 4 "$1"
	report "$1: left alone" '[.files[].ranges[]] | length > 0 and all(.state == "skipped" and .reason == "in-use")'
	says "$1: it is named" "writer \($writer\)"
	check "$1: the list is as it was" listed "$sector 1"
	wait_for "$1: it goes on" is_busy "$before"
}

check_left_alone() {
	local mode
	for mode in mapsync pages append; do
		make_file f 100000 3
		sector=$(file_sector f $((page + 1536)))
		case $mode in
		# It mapped the page before there was poison in it, and stores into its good sectors.
		mapsync) start_writer mapsync --offset=$page --skip=3 ;;
		pages) start_writer pages --offset=$((page + 4096)) --length=8192 ;;
		append) start_writer append ;;
		esac
		poison_file f $((page + 1536))
		left_alone "a $mode writer has it open"
		kill -TERM $writer
		wait $writer
		check "$mode: the writer missed nothing" eval "cat /tmp/writer.out /tmp/writer.err; [ $? = 0 ]"
		# What it wrote is not in the backup, and goes back as it was.
		repair --from-backup=$backup/f --verify-backup=none --force $mnt/f
		status_is 1 "$mode: repaired when it has ended"
		check "$mode: all that it was promised is there" "$WRITER" check $mnt/f /tmp/writer.log
	done
}

is_open() { [ -n "$(find /proc/$writer/fd -lname "$mnt/f" 2>/dev/null)" ]; }

# Stopped between two writes: a writer that opens the file anew for each. The file then has a last page, too.
pause_writer() {
	local tries=0
	pause $writer
	while is_open || [ $(($(stat -c %s $mnt/f) % 4096)) = 0 ]; do
		if [ $((tries += 1)) -gt 500 ]; then
			not_ok "$1: the writer never closes"
			return
		fi
		kill -CONT $writer
		sleep 0.01
		pause $writer
	done
}

# has_lease: the repair is at work on the file: its journal is there, and the file is its own.
has_lease() {
	! kill -0 $repairing 2>/dev/null || { compgen -G "$journals/*.journal" && grep -q "LEASE .* $repairing " /proc/locks; } >/dev/null
}

# opened WHAT: repair while the writer, which is paused, opens the file in the middle of it.
opened() {
	next_run
	last="$1"
	"$PMEM_RECOVER" repair --yes --journal="$journals" --verify-backup=none --force --from-backup=$backup/f $mnt/f \
		>"$out" 2>"$err" </dev/null &
	repairing=$!
	wait_for "$1: the repair has the file" has_lease
	kill -CONT $writer
	wait $repairing
	status=$?
	check "$1: exit status 1 or 4, not $status" [ $status = 1 -o $status = 4 ]
	report "$1: repaired, or left for who wants in, or as it changed" 'all(.files[].ranges[]; .state == "repaired" or (.state == "skipped" and
		(.reason == "in-use" or .reason == "changed" or .reason == "readable" or .reason == "moved")))'
	[ $status != 1 ] || repaired=$((repaired + 1))
	rm -f "$journals"/*.journal
}

# The last page is lost, a program appends.
check_append() {
	local round last_page
	repaired=0
	make_file f 100000 5
	start_writer append --reopen
	for ((round = 1; round <= 2 || (round <= 10 && repaired == 0); round++)); do
		pause_writer append
		cp $mnt/f $backup/f
		last_page=$(($(stat -c %s $mnt/f) / 4096 * 4096))
		poison_file f $last_page
		opened "an append to the last page, round $round"
		# What is left is repaired before the next page is the last.
		pause_writer append
		repair --verify-backup=none --force --from-backup=$backup/f $mnt/f
		check "the rest of round $round: exit status 0 or 1, not $status" [ $status -le 1 ]
		kill -CONT $writer
		wait_for "round $round: it goes on" is_busy "$(acknowledged)"
	done
	check "an append to the last page: repaired in $repaired of $((round - 1)) rounds" [ $repaired -ge 1 ]
	stop_writer "an append to the last page"
}

# Many pages are lost, a program writes to them.
check_opened() {
	local mode round n
	for mode in pages mapsync; do
		repaired=0
		make_file f 100000 6
		case $mode in
		pages) start_writer pages --reopen --offset=$page --length=16384 ;;
		mapsync) start_writer mapsync --reopen --offset=$page --length=16384 --skip=3,11,19,27 ;;
		esac
		for ((round = 1; round <= 2 || (round <= 10 && repaired == 0); round++)); do
			pause_writer $mode
			cp $mnt/f $backup/f
			for n in 0 1 2 3; do
				poison_file f $((page + n * 4096 + 1536))
			done
			opened "a $mode writer opens it, round $round"
			pause_writer $mode
			repair --verify-backup=none --force --from-backup=$backup/f $mnt/f
			check "the rest of round $round: exit status 0 or 1, not $status" [ $status -le 1 ]
			kill -CONT $writer
			wait_for "round $round: it goes on" is_busy "$(acknowledged)"
		done
		check "a $mode writer opens it: repaired in $repaired of $((round - 1)) rounds" [ $repaired -ge 1 ]
		stop_writer "a $mode writer opens it"
	done
}

# Each filesystem on one kernel.
fs=ext4
[ "$kernel" = 6.1 ] || fs=xfs
name="$name $fs"
mount_fs $fs
check_left_alone
check_append
check_opened
unmount
finish
