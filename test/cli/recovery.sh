#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# RWF_RECOVERY_DATA: every report says what the kernel offers, and its bit goes to a file in memory, once, and nowhere else.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root
command -v strace >/dev/null || fail "needs strace"

# Not the checker's calls but the program's.
PMEM_RECOVER=${PMEM_RECOVER%-valgrind}
verbs=$("$PMEM_RECOVER" --list-cmds)

# traced STATUS ARGUMENT...: run; each preadv2 and pwritev2 goes to $work/calls as "DESCRIPTOR FLAGS"
traced() {
	local wanted=$1

	shift
	rm -f "$work"/trace*
	# leaks cannot be looked for while a tracer is at work
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 \
		strace -ff -y -X raw -e trace=preadv2,pwritev2 -o "$work/trace" "$PMEM_RECOVER" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ "$status" -eq "$wanted" ] || fail "pmem-recover $*: status $status instead of $wanted"
	cat "$work"/trace* | grep -E '^p(read|write)v2' >"$work/trace"
	sed -nE 's/^p(read|write)v2\([0-9]+<([^>]*)>.*, (0x[0-9a-f]+|0)\) += .*/\2 \3/p' "$work/trace" >"$work/calls"
	[ "$(wc -l <"$work/trace")" -eq "$(wc -l <"$work/calls")" ] || fail "strace writes calls in another way: $(cat "$work/trace")"
}

# sent BIT: how many calls had it; those to anything but a file in memory go to $work/elsewhere
sent() {
	local to flags n=0

	: >"$work/elsewhere"
	while read -r to flags; do
		((flags & $1)) || continue
		n=$((n + 1))
		[[ $to = /memfd:* ]] || echo "$to" >>"$work/elsewhere"
	done < <(sed 's/ (deleted) / /' "$work/calls")
	echo $n
}

# asked_once WHAT: the bit 0x20 was sent once, to a file in memory
asked_once() {
	[ "$(sent 0x20)" -eq 1 ] || fail "$1: 0x20 was sent $(sent 0x20) times"
	[ ! -s "$work/elsewhere" ] || fail "$1: 0x20 was sent to $(cat "$work/elsewhere")"
}

filesystem ext4 "$work/mnt"
tools write "$work/mnt/file" 64
cp "$work/mnt/file" "$work/backup"
: >"$work/bad"
settle "$work/mnt"

# damage: the file has one lost sector again
damage() {
	dd if="$work/backup" of="$work/mnt/file" bs=64k conv=notrunc status=none || fail dd
	sync -f "$work/mnt"
	damaged "$work/mnt/file" 8192
}

# words_for VERB: sets words to one that does what the verb is for, and wanted to its exit status
words_for() {
	local bad=--badblocks=$work/bad

	wanted=0
	case $1 in
	list) words=(list) ;;
	locate)
		read -r sector _ <"$work/bad"
		words=(locate "$bad" "$loop" $((sector * 512)))
		;;
	health)
		{
			echo "# device $loop"
			cat "$work/bad"
		} >"$work/named"
		wanted=4
		words=(health --badblocks="$work/named")
		;;
	journal)
		mkdir -p "$work/no-journals"
		words=(journal --journal="$work/no-journals")
		;;
	scan) wanted=4 words=(scan "$bad" "$work/mnt") ;;
	map) wanted=4 words=(map "$bad" "$work/mnt/file") ;;
	salvage) wanted=4 words=(salvage "$bad" --force -o "$work/saved" "$work/mnt/file") ;;
	repair)
		wanted=1
		words=(repair "$bad" --trust-badblocks --journal="$work/journal" --yes
			--from-backup="$work/backup" "$work/mnt/file")
		;;
	*) fail "no test for $1" ;;
	esac
}

# every verb says it, and asks in the same way
IFS=.- read -r major minor _ < <(uname -r)
for verb in $verbs; do
	damage
	words_for "$verb"
	traced $wanted "${words[@]}"
	json 'set(d["recovery"]) == {"capability", "flag", "evidence"}'
	# where it is real on DAX, it still is nothing for a file on a loop device
	asked_once "$verb"
	if ((major > 5 || (major == 5 && minor >= 19))); then
		json 'd["recovery"]["capability"] in ("write", "flag")'
	fi
	# since 6.9 the bit has another name, and no released kernel has both
	if ((major > 6 || (major == 6 && minor >= 9))); then
		json 'd["recovery"] == {"capability": "write", "flag": None, "evidence": "release"}'
	fi
done

# for people
run 0 list -v
says 'pmem-recover: this kernel: '
json 'codes[-1] == "recovery"'
run 0 list
! grep -q 'this kernel' "$work/err" || fail "said to people who did not ask"

# the user knows better: never, or a bit that nothing can be shown of
for verb in salvage repair; do
	grep -qx $verb <<<"$verbs" || continue
	for flag in never 0x200 512; do
		damage
		words_for $verb
		traced $wanted "${words[@]}" --recovery-flag=$flag
		[ "$(sent 0x20)" -eq 0 ] || fail "$verb --recovery-flag=$flag: 0x20 is sent"
		[ "$(sent 0x200)" -eq 0 ] || fail "$verb --recovery-flag=$flag: 0x200 is sent to a file that is not DAX"
		json 'd["recovery"]["flag"] is None'
	done
	damage
	words_for "$verb"
	traced $wanted "${words[@]}" --recovery-flag=0x20
	asked_once "$verb --recovery-flag=0x20"
done

# what it cannot be: each is refused by value, before anything is looked at
for verb in salvage repair; do
	grep -qx $verb <<<"$verbs" || continue
	damage
	words_for "$verb"
	for flag in 1:RWF_HIPRI 2:RWF_DSYNC 4:RWF_SYNC 8:RWF_NOWAIT 0x10:RWF_APPEND 0x40:RWF_ATOMIC 0x80:RWF_DONTCACHE \
		0x100:RWF_NOSIGNAL 0x30:bit 3:bit 0:bit 0x80000000:bit 0x100000000:bit -1:bit 0x:bit BIT:bit yes:bit; do
		run 16 "${words[@]}" --recovery-flag="${flag%:*}"
		[ ! -s "$work/out" ] || fail "a document for a usage error"
		says "${flag#*:}"
		[ "$(wc -l <"$work/err")" -eq 1 ] || fail "more than one line: ${flag%:*}"
	done
done
