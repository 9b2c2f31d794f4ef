#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dm-resume.sh: the repair of a file on a striped volume, killed between two writes, is finished from its journal; not where
# the volume's table puts the file's blocks elsewhere by then, whatever ended the repair, but where the volume only grew.
#
# needs: once
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

tmp=/tmp/dm
mkdir -p $tmp
use_pmem fsdax
modprobe dm_mod
stripes=(102400 204800)
elsewhere=307200
sectors=49152
table="0 $sectors striped 2 8 $PMEM ${stripes[0]} $PMEM ${stripes[1]}"

# Sector $1 of the volume, on the PMEM.
below() {
	local chunk=$(($1 / 8))
	echo $((stripes[chunk % 2] + chunk / 2 * 8 + $1 % 8))
}

# A sector of each of four pages, on both stripes.
damage() {
	local at sector
	make_file f 200000
	for at in 41472 86528 123392 168448; do
		sector=$(file_sector f $at) || return
		"$TREE" scramble /dev/mapper/volume "$sector" 1 && poison "$PMEM" "$(below "$sector")" || return
	done
}

# killed [OPTION]...: a repair, at its second write to the file
killed() {
	(strace -f -qq -o /dev/null -P $mnt/f -e trace=pwritev2 -e inject=pwritev2:signal=SIGKILL:when=2 "$PMEM_RECOVER" repair --yes \
		--journal=$journals --from-backup=$backup/f "$@" $mnt/f >/tmp/killed.out 2>/tmp/killed.err </dev/null; exit $?) 2>/dev/null
	[ $? = 137 ]
}

# A repair that ends by a signal, which comes once the file is its own: it says so in its journal, where all is left to be done.
interrupted() {
	strace -f -qq -o /dev/null -P $mnt/f -e trace=fcntl -e inject=fcntl:signal=SIGINT:when=5 "$PMEM_RECOVER" repair --yes \
		--format=json --journal=$journals --from-backup=$backup/f $mnt/f >/tmp/killed.out 2>/tmp/killed.err </dev/null
	grep -q '"interrupted"' /tmp/killed.out && ls $journals/*.journal >/dev/null
}

# The journal has all that is needed.
resume() {
	mv $backup/f $backup/kept
	recover repair --yes --journal=$journals --resume
	mv $backup/kept $backup/f
}

# set_table TABLE: while it is mounted
set_table() { printf '%s\n' "$1" | dmsetup load volume && dmsetup resume volume; }

# finished WHAT
finished() {
	resume
	status_is 1 "$1: resume"
	report "$1: all is repaired" '[.files[].ranges[].state] | length > 0 and all(. == "repaired")'
	check "$1: the file is whole" same f
	check "$1: the list below is empty" clean
	check "$1: the journal is done" eval "! ls $journals/*.journal 2>/dev/null"
}

rm -f $journals/*.journal
printf '%s\n' "$table" | dmsetup create volume && dmsetup mknodes
make_fs ext4 /dev/mapper/volume $mnt -E nodiscard -N 256 -J size=4 || exit 99
check "poison" damage
check "killed" killed
recover scan $mnt
check "scan tells of it ($status)" [ $((status & 8)) = 8 ]
finished "killed"

check "a list from a file: poison" damage
{
	echo "# device ${PMEM##*/}"
	badblocks "$PMEM"
} >$tmp/file
check "a list from a file: killed" killed --badblocks=$tmp/file
finished "a list from a file"

# moved WHAT: one stripe moves, with all that can be read of it, after a repair that WHAT ended.
moved() {
	check "$1, moved: poison" damage
	check "$1, moved: $1" "$1"
	badblocks "$PMEM" >$tmp/before
	dmsetup suspend volume
	dd if="$PMEM" of="$PMEM" bs=4096 skip=$((stripes[1] / 8)) seek=$((elsewhere / 8)) count=$((sectors / 2 / 8)) iflag=direct oflag=direct conv=noerror,sync,notrunc status=none 2>/dev/null
	dd if="$PMEM" bs=512 skip=$elsewhere count=$((sectors / 2)) iflag=direct status=none | sha256sum >$tmp/sum
	check "$1, moved: the table" set_table "0 $sectors striped 2 8 $PMEM ${stripes[0]} $PMEM $elsewhere"
	resume
	status_is 8 "$1, moved: resume"
	report "$1, moved: nothing is known of it" '[.files[].ranges[] | [.state, .reason]] | length > 0 and all(. == ["unknown", "remapped"])'
	says "$1, moved: said, and what to do" "^pmem-recover: $mnt/f: lies elsewhere below its volume .* give /dev/mapper/volume the table that it had"
	check "$1, moved: the list below is what it was" cmp $tmp/before <(badblocks "$PMEM")
	check "$1, moved: nothing was written" cmp $tmp/sum <(dd if="$PMEM" bs=512 skip=$elsewhere count=$((sectors / 2)) iflag=direct status=none | sha256sum)
	check "$1, moved: the journal stays" eval "ls $journals/*.journal"
	check "$1, moved back: the table" set_table "$table"
	finished "$1, moved back"
}

moved killed
moved interrupted

check "grown: poison" damage
check "grown: killed" killed
check "grown: the table" set_table "$table
$sectors 8192 linear $PMEM $elsewhere"
finished "grown"

umount $mnt
dmsetup remove volume
rm -rf ${backup:?}/* $tmp "${journals:?}"/*.journal "${journals:?}"/*.done
finish
