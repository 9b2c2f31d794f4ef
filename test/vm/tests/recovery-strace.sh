#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# recovery-strace.sh: which calls carry the bit of RWF_RECOVERY_DATA: on a kernel without it one, to a memfd; on one with it
# also those to DAX files. recovery-strace-flag.sh runs it on the latter.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

mode=/sys/module/dax/parameters/recovery_flag
verbs=$("$PMEM_RECOVER" --list-cmds)
lost=81920

# traced ARGUMENT...: run; sets memfd, reads and writes: how many calls had the bit 0x20, of a file in memory and of others.
# other: how many had 0x200, other_writes: how many of those would have written.
traced() {
	local what to flags

	rm -f /tmp/trace*
	run strace -ff -y -X raw -e trace=preadv2,pwritev2 -o /tmp/trace "$PMEM_RECOVER" "$@"
	memfd=0 reads=0 writes=0 other=0 other_writes=0 calls=0
	while read -r what to flags; do
		calls=$((calls + 1))
		if ((flags & 0x200)); then
			other=$((other + 1))
			[ "$what" != pwritev2 ] || other_writes=$((other_writes + 1))
		fi
		((flags & 0x20)) || continue
		case "$what $to" in
		*\ /memfd:*) memfd=$((memfd + 1)) ;;
		preadv2*) reads=$((reads + 1)) ;;
		*) writes=$((writes + 1)) ;;
		esac
	done < <(cat /tmp/trace.* | sed -nE 's/^(preadv2|pwritev2)\([0-9]+<([^>]*)>.*, (0x[0-9a-f]+|0)\) += .*/\1 \2 \3/p' |
		sed 's/ (deleted) / /')
	check "$1: strace writes calls as expected" [ "$calls" = "$(cat /tmp/trace.* | grep -cE '^p(read|write)v2')" ]
}

# only_asked WHAT: the bit was sent once, to a file in memory
only_asked() { check "$1: 0x20 goes to one memfd, and nowhere else" [ "$memfd $reads $writes" = "1 0 0" ]; }

damage() {
	make_file f 200000
	poison_file f $lost
}

repairing() { repair_words=(repair --yes --journal="$journals" --from-backup="$backup" "$@" "$mnt"); }

# A kernel that has no such flag: 6.1 does not know the bit, 6.12 takes it for RWF_NOAPPEND.
without_flag() {
	damage
	recover list -u
	check "people are told of writes" grep -q '^This kernel: a plain write .*(release)$' "$out"
	traced list
	only_asked list
	report "list: no flag" '.recovery == {capability: "write", flag: null, evidence: "release"}'
	traced scan $mnt
	status_is 4 "scan"
	only_asked scan
	if grep -qx salvage <<<"$verbs"; then
		traced salvage -o /tmp/saved $mnt/f
		status_is 4 "salvage"
		only_asked salvage
		rm -f /tmp/saved
	fi
	repairing
	traced "${repair_words[@]}"
	status_is 1 "repair"
	only_asked repair
	check "repaired" same f

	damage
	repairing --recovery-flag=never
	traced "${repair_words[@]}"
	status_is 1 "repair, never"
	check "never: not even asked" [ "$memfd $reads $writes" = "0 0 0" ]

	# a bit that nothing knows is tried with a read, once, and then given up
	damage
	repairing --recovery-flag=0x200
	traced "${repair_words[@]}"
	status_is 1 "repair, a bit that is none"
	check "another bit: 0x20 is not asked about" [ "$memfd $reads $writes" = "0 0 0" ]
	check "another bit: at most one read has it, no write" [ "$((other <= 1)) $other_writes" = "1 0" ]
	report "another bit: it is none" '.recovery.flag == null'
}

# A kernel that has it, and means it (flag, zero).
with_flag() {
	damage
	recover list -u
	check "$1: people are told of the flag" grep -q '^This kernel: RWF_RECOVERY_DATA .*(bit 0x20, memfd-probe)$' "$out"
	traced list
	only_asked "$1: list"
	report "$1: list has the flag" '.recovery == {capability: "flag", flag: 32, evidence: "memfd-probe"}'
	traced scan $mnt
	status_is 4 "$1: scan"
	check "$1: scan asks once, and writes nothing" [ "$memfd $writes" = "1 0" ]
	if grep -qx salvage <<<"$verbs"; then
		traced salvage -o /tmp/saved $mnt/f
		status_is 4 "$1: salvage"
		check "$1: salvage asks once, reads with the flag, and writes nothing" \
			[ "$memfd $((reads > 0)) $writes" = "1 1 0" ]
		rm -f /tmp/saved
	fi
	repairing
	traced "${repair_words[@]}"
	status_is 1 "$1: repair"
	check "$1: repair asks once, and writes with the flag" [ "$memfd $((writes > 0))" = "1 1" ]
	report "$1: the method is flag" '[.files[].ranges[] | select(.state == "repaired") | .method] | unique == ["flag"]'
	check "$1: repaired" same f

	damage
	repairing --recovery-flag=never
	traced "${repair_words[@]}"
	check "$1: never: not even asked" [ "$memfd $reads $writes" = "0 0 0" ]
	check "$1: never: cannot repair here" [ $status != 1 ]
	clear_all
}

# A kernel without either: the bit is unknown, and a plain write is EIO.
with_nothing() {
	damage
	traced list
	only_asked "none: list"
	repairing
	traced "${repair_words[@]}"
	check "none: cannot repair" [ $((status & 5)) = 4 ]
	only_asked "none: repair"
	clear_all
}

# A kernel that takes the flag and answers EIO for ever.
with_stubborn() {
	damage
	repairing
	traced "${repair_words[@]}"
	check "stubborn: cannot repair" [ $((status & 5)) = 4 ]
	check "stubborn: asked once" [ "$memfd" = 1 ]
	check "stubborn: some attempts, and not many" [ $((reads + writes)) -le 16 ]
	clear_all
}

use_pmem fsdax
mount_fs "${1:-ext4}" || exit 99
if [ ! -e $mode ]; then
	without_flag
else
	for word in flag zero; do
		echo $word >$mode
		with_flag $word
	done
	echo none >$mode
	with_nothing
	echo stubborn >$mode
	with_stubborn
	echo flag >$mode
fi
unmount
finish
