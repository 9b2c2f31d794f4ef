#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# not-fooled.sh: writes and clears that say that they went well and did not, pages that are gone whatever is written to them, and
# clears that take their time: never "repaired", the record is kept, and it is said what to do. And no oops: each method is
# tried on pages that a machine check took. not-fooled-flag.sh runs it where the flag is real.
#
# needs: module own-guest long
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
# Each filesystem on one kernel: pages that are gone do not come back.
fs=ext4
[ "$kernel" != 6.12 ] || fs=xfs
name="$name $fs"
page=40960
n_files=0
what=

# sound: a file of its own for each row; sets f and sector. What a page that is gone has kept open is no matter of the next.
sound() {
	rm -f "$journals"/*.journal
	n_files=$((n_files + 1))
	f=f$n_files
	make_file $f 200000 $n_files
	sector=$(file_sector $f $((page + 1536)))
}

# fresh: with poison in one sector of its page at $page.
fresh() {
	sound
	poison_file $f $((page + 1536))
}

# has_record: a record in the list covers the sector, whoever dropped what was there.
has_record() {
	local first count
	while read -r first count; do
		[ "$sector" -lt "$first" ] || [ "$sector" -ge $((first + count)) ] || return 0
	done < <(badblocks "$PMEM")
	badblocks "$PMEM"
	return 1
}

# Whether a journal waits for a resume: it has the only copy of what the write took with it.
is_kept() { compgen -G "$journals/*.journal" >/dev/null; }

# not_fooled WHAT REASON: what must be so after a repair that did not work: REASON is a regular expression.
not_fooled() {
	status_is 4 "$1"
	report "$1: the range failed, and why" "[.files[].ranges[] | select(.offset <= $page + 1536 and .offset + .length > $page + 1536)] |
		length > 0 and all(.state == \"failed\" and (.reason | test(\"^($2)\$\")))"
	report "$1: nothing counts as repaired" '.summary.repaired_bytes == 0 and all(.files[].ranges[]; .state != "repaired")'
	says "$1: it is said what to do" "$mnt/$f: .*not repaired .*(reboot|restore|scan)"
	check "$1: a record is in the list" has_record
	report "$1: a journal stays for what could be read before, and for nothing else" \
		"any(.messages[]; .code == \"spoiled\" or .code == \"unread\") == $(is_kept && echo true || echo false)"
	recover scan $mnt/$f
	if is_kept; then status_is 12 "$1: a scan"; else status_is 4 "$1: a scan"; fi
	report "$1: a scan still says so" "[.files[].ranges[] | select(.offset <= $page + 1536 and .offset + .length > $page + 1536) | .state] | length > 0 and all(. == \"lost\")"
}

# healed WHAT: and once the hardware behaves, it can be repaired.
healed() {
	if is_kept; then
		repair --resume
	else
		repair --from-backup=$backup/$f $mnt/$f
	fi
	status_is 1 "$1: once the hardware behaves"
	check "$1: then the file is whole" same $f
	check "$1: then nothing is listed" clean
}

check_returns() {
	fresh
	module_set returns 1
	repair --from-backup=$backup/$f $mnt/$f
	not_fooled "poison that is back" 'still-listed|read-back-error'
	healed "poison that is back"

	fresh
	module_set returns_latent 1
	repair --from-backup=$backup/$f $mnt/$f
	says "poison that is back, and in no list: its record was put back" 'record .*put back'
	not_fooled "poison that is back, and in no list" read-back-error
	healed "poison that is back, and in no list"
}

check_pretend() {
	fresh
	latent "$PMEM" "$sector"
	module_set pretend 1
	repair --from-backup=$backup/$f $mnt/$f
	module_set pretend 0
	says "a clear that is only pretended: its record was put back" 'record .*put back'
	not_fooled "a clear that is only pretended" read-back-error
	healed "a clear that is only pretended"
}

# The write is not done, and yet returns what it should, or less.
check_lies() {
	local bytes
	for bytes in 4096 512; do
		fresh
		run strace -f -o /tmp/trace -P $mnt/$f -e trace=pwritev2 -e inject=pwritev2:retval=$bytes:when=1 \
			"$PMEM_RECOVER" repair --yes --journal="$journals" --from-backup=$backup/$f $mnt/$f
		check "a write that returns $bytes and does nothing: it was one" grep -q INJECTED /tmp/trace
		if [ $bytes = 4096 ]; then
			not_fooled "a write that returns $bytes and does nothing" 'still-listed|read-back-error'
		else
			# What follows is no whole page any more, so that the kernel refuses it.
			check "a write that returns $bytes: exit status $status" [ $((status & 5)) = 4 ]
			report "a write that returns $bytes: nothing is repaired" 'all(.files[].ranges[]; .state != "repaired")'
			check "a write that returns $bytes: a record is in the list" has_record
		fi
		healed "a write that returns $bytes and does nothing"
	done
}

# Somebody who wants in does not wait for all clears, and finds each page as it was or repaired.
check_slow() {
	local count n opener tries=0
	fresh
	for ((n = 1; n < 4; n++)); do
		poison_file $f $((page + n * 4096 + 512))
	done
	count=$(module_get clear_count)
	module_set clear_delay_ms 2000
	next_run
	last="a repair with slow clears"
	"$PMEM_RECOVER" repair --yes --journal="$journals" --from-backup=$backup/$f $mnt/$f >"$out" 2>"$err" </dev/null &
	repairing=$!
	until [ "$(module_get clear_count)" -gt "$count" ] || [ $tries -ge 1000 ]; do
		tries=$((tries + 1))
		sleep 0.02
	done
	check "slow clears: the first is under way" [ $tries -lt 1000 ]
	cat $mnt/$f >/dev/null 2>&1 &
	opener=$!
	wait $repairing
	status=$?
	wait $opener
	module_set clear_delay_ms 0
	status_is 4 "slow clears, and somebody who wants in"
	report "slow clears: what was written is repaired, and the rest left" \
		'[.files[].ranges[].state] | unique == ["repaired", "skipped"]'
	report "slow clears: the rest is left for who wants in" 'all(.files[].ranges[] | select(.state == "skipped"); .reason == "in-use")'
	says "slow clears: and that is said" "another program wants to open the file"
	healed "slow clears"

	fresh
	module_set clear_delay_ms 1500
	repair --from-backup=$backup/$f $mnt/$f
	module_set clear_delay_ms 0
	status_is 1 "a slow clear"
	check "a slow clear: the file is whole" same $f
}

# The page leaves the kernel's map when it is read back.
check_touch() {
	local what
	for what in machine_check offline; do
		fresh
		module_set returns_latent 1
		module_set touch $what
		repair --from-backup=$backup/$f $mnt/$f
		module_set touch nothing
		module_set returns_latent 0
		not_fooled "a machine check at the read-back ($what)" 'read-back-error|still-listed'
	done
}

# Each method, on a page of its own that a machine check took.
check_methods() {
	local method methods='auto write punch'
	[ "$kernel" != flag ] || methods='auto flag write punch'
	for method in $methods; do
		for mapped in never before; do
			sound
			what="machine check, mapped $mapped, --method=$method"
			[ $mapped = never ] || xfs_io -r -c "mmap -r $page 4096" -c "mread $page 1" $mnt/$f >/dev/null
			check "$what: it came" machine_check "$PMEM" "$sector"
			repair --method=$method --from-backup=$backup/$f $mnt/$f
			status_is 4 "$what: left"
			report "$what: left, as it is offline" 'all(.files[].ranges[]; .state == "skipped" and .reason == "page-offlined")'
			repair --method=$method --accept-offlined --from-backup=$backup/$f $mnt/$f
			echo "# $what: --accept-offlined: exit status $status"
			if [ $status = 1 ]; then
				check "$what: --accept-offlined: it says that it is whole, and it is" same $f
			else
				status_is 4 "$what: --accept-offlined"
				report "$what: --accept-offlined: nothing is called repaired" 'all(.files[].ranges[]; .state != "repaired")'
				says "$what: --accept-offlined: it is said what to do" "$mnt/$f: .*(reboot|restore|--method=punch)"
				check "$what: --accept-offlined: a record is in the list" has_record
			fi
		done
	done
}

mount_fs $fs
check "mounted with DAX" grep -q " $mnt .*dax=always" /proc/mounts
check_returns
check_pretend
check_lies
check_slow
check_touch
check_methods
check "the kernel did not oops" eval '! dmesg | grep -E "BUG:|Oops|general protection"'
finish
