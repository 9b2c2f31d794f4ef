#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# punch.sh: repair --method=punch: the same bytes on other blocks, beside holes, in last pages and with several names; no room.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax

# The filesystem's blocks under a file, one extent a line: offset, place and length in the file, in bytes.
places() { filefrag -b1 -v "$mnt/$1" | sed -n 's/^ *[0-9]*: *\([0-9]*\)\.\. *\([0-9]*\): *\([0-9]*\)\.\..*/\1 \2 \3/p'; }

all_methods() { echo "[.files[].ranges[].method] | length > 0 and all(. == \"$1\")"; }

poison_set() {
	local at
	for at in "$@"; do
		poison_file "${at%:*}" "${at#*:}" || return
	done
}

make_set() {
	make_file plain 600000 1
	make_file tail 10000 2
	make_file sparse 200000 3
	fallocate -p -o 40960 -l 40960 $mnt/sparse
	fallocate -p -o 86016 -l 40960 $mnt/sparse
	cp --sparse=never $mnt/sparse $backup/sparse
	make_file linked 100000 4
	ln -f $mnt/linked $mnt/second
	cp $backup/linked $backup/second
	sync -f $mnt
}

# Two sectors of a page, a page with all of its sectors, neighbours; the last page; a page between two holes.
damage_set() {
	poison_file plain 409600 16
	poison_set plain:4608 plain:6144 plain:204800 tail:9999 sparse:82000 linked:50000
}

check_set() {
	for file in plain tail sparse linked second; do
		check "$1: $file is as it was" same $file
	done
}

# What is written later may lie on blocks that were given back before, whose poison is then cleared; not the last ones.
check_punch_one() {
	poison_file plain 409600 16
	poison_set plain:4608 plain:204800
	before=$(places plain)
	repair --method=punch --from-backup=$backup/plain $mnt/plain
	status_is 1 "punch of one file"
	check "the blocks have moved" [ "$(places plain)" != "$before" ]
	check "poison stays in the list" eval "! clean"
	# shellcheck disable=SC2016 # jq's variable
	report "how much is told" '.devices[0].badblocks.bytes as $left | [.messages[] | select(.code == "poison-left") | .text | startswith("\($left) bytes")] == [true]'
	check "the file is as it was" same plain
	clear_all
}

check_punch() {
	damage_set
	sizes=$(stat -c '%s %b' $mnt/tail $mnt/sparse $mnt/linked)
	repair --method=punch --from-backup=$backup $mnt
	status_is 1 "punch"
	report "every range was punched" "$(all_methods punch)"
	report "and is repaired" '[.files[].ranges[].state] | all(. == "repaired")'
	report "what is left is told" 'any(.messages[]; .code == "poison-left")'
	report "and is nobody's" '[.devices[0].badblocks.ranges[].owner] | length > 0 and all(. == "free")'
	report "the journal has come to its end" '.journal | endswith(".done")'
	check "sizes and blocks are the same" [ "$(stat -c '%s %b' $mnt/tail $mnt/sparse $mnt/linked)" = "$sizes" ]
	# blocks that were given back may already be metadata, and their poison goes when that is written
	umount $mnt
	mount_again
	recover scan $mnt
	status_is 0 "then nothing is lost"
	check_set "punch, mounted again"
	truncate -s 12288 $mnt/tail
	check "zeros behind the end" cmp -n 2288 -i 10000:0 $mnt/tail /dev/zero
	truncate -s 10000 $mnt/tail
	clear_all
}

mount_again() { mount -t $fs -o dax $PMEM $mnt 2>/dev/null || mount -t $fs $PMEM $mnt; }

# No room for the bytes a second time: nothing is punched.
check_full() {
	make_file precious 300000 5
	poison_file precious 100000
	sector=$(file_sector precious 100000)
	before=$(places precious)
	dd if=/dev/zero of=$mnt/filler bs=1M status=none 2>/dev/null
	dd if=/dev/zero of=$mnt/filler bs=4k oflag=append conv=notrunc status=none 2>/dev/null
	sync -f $mnt
	repair --method=punch --from-backup=$backup/precious $mnt/precious
	status_is 4 "punch on a full filesystem"
	report "left for that" '[.files[].ranges[] | [.state, .reason]] == [["skipped", "no-space"]]'
	check "it lies where it lay" [ "$(places precious)" = "$before" ]
	check "its poison is listed" listed "$sector 1"
	repair --from-backup=$backup/precious $mnt/precious
	status_is 1 "in place it needs no room"
	check "precious is as it was" same precious
	rm $mnt/filler
}

for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	make_set
	check_punch_one
	check_punch
	check_full
	unmount
	name=$name_of_test
done
finish
