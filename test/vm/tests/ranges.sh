#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ranges.sh: the records are gone and the bytes are still lost: a report from before stands in for the list, for files
# that are what they were.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
before=/tmp/before.json

remount() { mount -t "$1" -o dax "$PMEM" $mnt 2>/dev/null || mount -t "$1" "$PMEM" $mnt; }

# forget FS: the records are cleared by somebody who does not know the bytes. ndctl clear-errors does the same by a
# command of the bus, which this one has not.
forget() {
	umount $mnt
	clear_all
	remount "$1"
	check "$1: no list knows of it" clean
}

# scan_before WHAT: the report from before
scan_before() {
	recover scan $mnt
	status_is 4 "$1"
	cp $out $before
}

differs() { ! cmp -s "$mnt/$1" "$backup/$1"; }

ranges() {
	repair --ranges=$before --from-backup=$backup "$@"
}

# refused WHAT CODE REPORT: nothing is taken from it for the file e, and nothing written
refused() {
	local sum
	sum=$(sha256sum <$mnt/e)
	repair --ranges="$3" --from-backup=$backup $mnt/e
	status_is 8 "$1"
	report "$1: $2, and why" "any(.messages[]; .code == \"$2\" and .object == \"$mnt/e\")"
	report "$1: not known, and no journal" '.journal == null and [.files[] | .complete] == [false]'
	check "$1: nothing was written" [ "$(sha256sum <$mnt/e)" = "$sum" ]
}

for fs in ext4 xfs; do
	mount_fs $fs
	make_file f 1000000
	make_file g 300000 2
	make_file e 70000 3
	poison_file f $((409600 + 1024))
	poison_file f 819200 9
	poison_file g 8192
	poison_file e 69632
	scan_before "$fs: scan"
	forget $fs

	recover scan $mnt
	status_is 0 "$fs: scan, now"
	for file in f g e; do
		check "$fs: $file is wrong all the same" differs $file
	done
	recover repair --dry-run --ranges=$before --from-backup=$backup $mnt
	status_is 0 "$fs: dry run"
	says "$fs: the plan says of what no list knows" 'is in no list any more'
	report "$fs: three files, all of it vanished" \
		'(.files | length) == 3 and all(.files[].ranges[]; .vanished and .state == "lost") and .summary.lost_bytes == 512 * 11 + 368'

	touch $mnt/g
	ranges $mnt/f $mnt/g
	status_is 9 "$fs: one file written to since, one not"
	report "$fs: one is repaired, by a write" \
		".files[] | select(.path == \"$mnt/f\") | [.ranges[] | .state, .method, .source] | unique == [\"backup\", \"repaired\", \"write\"]"
	report "$fs: one is not known" ".files[] | select(.path == \"$mnt/g\") | .ranges == [] and (.complete | not)"
	check "$fs: f is whole" same f
	check "$fs: g is as it was" differs g

	# The last page is partly used, and stays so.
	ranges $mnt/e
	status_is 1 "$fs: the last page"
	check "$fs: e is whole, and no longer" same e

	# ---- what is refused
	poison_file e 8192
	scan_before "$fs: scan of a file that will change"
	forget $fs
	cp --reflink=never $mnt/e /tmp/copy
	if [ $fs = ext4 ]; then
		mv $mnt/e $mnt/old
		cp -p $mnt/old $mnt/e
		refused "$fs: replaced" changed $before
		mv $mnt/old $mnt/e
		truncate -s 69000 $mnt/e
		refused "$fs: truncated" changed $before
	else
		# Bytes that lie elsewhere now, in a report that knows all else as it is.
		fallocate -c -o 8192 -l 4096 $mnt/e
		fallocate -i -o 12288 -l 4096 $mnt/e
		dd if=/tmp/copy of=$mnt/e bs=4096 conv=notrunc status=none
		sync -f $mnt
		sector=$(file_sector e 8192)
		check "$fs: the bytes lie elsewhere" jq -e ".files[0].ranges[0].device_offset != $sector * 512" $before
		nanoseconds=$(stat -c %z $mnt/e | sed 's/.*\.\([0-9]*\) .*/1\1/')
		jq ".files[0].change_time = {seconds: $(stat -c %Z $mnt/e), nanoseconds: $((nanoseconds - 1000000000))}" \
			$before >/tmp/edited.json
		refused "$fs: moved" moved /tmp/edited.json
	fi

	# ---- part is listed, part is not any more
	cp $backup/e $mnt/e
	sync -f $mnt
	poison_file e 4096
	poison_file e 40960 2
	scan_before "$fs: scan of two places"
	sector=$(file_sector e 40960)
	dd if=/dev/urandom of="$PMEM" bs=512 seek="$sector" count=2 oflag=direct conv=notrunc status=none
	check "$fs: one record is left" [ "$(badblocks "$PMEM" | wc -l)" = 1 ]
	ranges $mnt
	status_is 1 "$fs: half listed"
	report "$fs: half listed: both are repaired" \
		".files[] | select(.path == \"$mnt/e\") | [.ranges[] | [.offset, .state, .vanished]] == [[4096, \"repaired\", false], [40960, \"repaired\", true]]"
	check "$fs: half listed: e is whole" same e
	check "$fs: half listed: no list" clean
	unmount
done
finish
