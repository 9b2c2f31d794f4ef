#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# device-method.sh: the lost sectors alone, through the block device, while the filesystem is frozen: any file by
# --method=device, a partly filled last page included; and what it refuses.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax

# Writes to the filesystem go on: nothing is frozen.

# stood_still WHAT: the last run's report tells how long the filesystem stood still.
stood_still() {
	report "$1: how long it stood still is reported, and is less than a second" \
		'.freezes | .count >= 1 and .longest_ns > 0 and .longest_ns < 1000000000 and .total_ns >= .longest_ns'
}

for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	make_file f 1000000
	make_file tail 10000 2
	make_file past 10000 3
	poison_file f 50000
	poison_file f $((49152 + 3072)) 2
	poison_file f 700000 7
	poison_file tail 9999
	"$TREE" scramble "$PMEM" $(($(file_sector past 9999) + 1)) 1
	poison "$PMEM" $(($(file_sector past 9999) + 1))
	before=$(file_sector f 50000)
	recover repair --dry-run --method=device --from-backup=$backup $mnt
	status_is 0 "a dry run"
	report "a dry run: every step is by device, in sectors" \
		'[.plan[].steps[]] | length >= 5 and all(.method == "device" and .length % 512 == 0 and .length < 4096)'
	says "a dry run: the method is printed" 'f <- .*device'
	check "a dry run writes nothing" eval '[ -n "$(badblocks $PMEM)" ]'
	repair --method=device --from-backup=$backup $mnt
	status_is 1 "repair"
	report "repair: all of it by device" '[.files[].ranges[] | select(.state != "past_eof")] | length >= 5 and all(.state == "repaired" and .method == "device")'
	stood_still "repair"
	for file in f tail past; do
		check "$file is as it was" same $file
	done
	check "its size, too" [ "$(stat -c %s $mnt/tail)" = 10000 ]
	check "the list is empty" clean
	check "nothing moved" [ "$(file_sector f 50000)" = "$before" ]
	check "nothing is left frozen" thawed
	recover scan $mnt
	status_is 0 "a scan afterwards"

	# A page of which every sector is bad has nothing that shows that it is mapped.
	poison_file f 40960 8
	repair --method=device --from-backup=$backup $mnt
	status_is 4 "a page that is bad throughout"
	report "a page that is bad throughout: left by name" '[.files[].ranges[]] | length == 1 and all(.state == "skipped" and .reason == "no-sibling")'
	says "a page that is bad throughout: what to do instead" 'without --online or --method=device'
	repair --from-backup=$backup $mnt
	status_is 1 "a page that is bad throughout, without it"

	poison_file f 50000
	repair -u --method=device --from-backup=$backup $mnt
	check "people are told how long it stood still" grep -E 'stood still 1 time, at most [0-9]{1,3} ms' "$out"

	# Many pages, few freezes.
	for i in $(seq 0 2 120); do
		echo "$(file_sector f $((i * 4096 + 1024))) 1"
	done >/tmp/many
	while read -r sector count; do
		"$TREE" scramble "$PMEM" "$sector" "$count"
	done </tmp/many
	inject /tmp/many
	repair --method=device --from-backup=$backup $mnt
	status_is 1 "61 pages"
	stood_still "61 pages"
	report "61 pages: in few freezes" '.freezes.count <= 10'
	jq -r '"# 61 pages: \(.freezes.count) freezes, the longest \(.freezes.longest_ns / 1000000 | floor) ms"' "$out"
	check "61 pages: as they were" same f

	# Somebody else has frozen it: a snapshot, say.
	poison_file f 50000
	fsfreeze -f $mnt
	repair --method=device --from-backup=$backup $mnt
	fsfreeze -u $mnt
	status_is 4 "frozen by somebody else"
	report "frozen by somebody else: left by name" '[.files[].ranges[]] | all(.state == "skipped" and .reason == "frozen")'
	"$PMEM_RECOVER" repair --yes --journal="$journals" --method=device --from-backup=$backup $mnt >$mnt/out 2>/tmp/said
	check "output to the filesystem itself: refused" eval 'jq -e "[.files[].ranges[]] | length > 0 and all(.state == \"skipped\" and .reason == \"output-on-target\")" $mnt/out'
	check "nothing is left frozen" thawed
	unmount
	name=$name_of_test
done
finish
