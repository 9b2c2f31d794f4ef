#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# xfs-realtime.sh: files on the realtime device of an XFS: poison at random, exact against what the sectors themselves said, then
# mapped, located, salvaged and repaired, on DAX and not, beside files of the same addresses on the data device.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

seed=${SEED:-$(($(date +%s) % 32768))}
RANDOM=$seed
echo "# seed $seed"

use_pmem fsdax
export TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1

# tagged NAME SECTORS: a file each sector of which says where in which file it is, and its backup
tagged() {
	mkdir -p "$(dirname "$backup/$1")"
	awk -v name="$1" -v n="$2" 'BEGIN { for (i = 0; i < n; i++) printf "@%s@%d@%-*s\n", name, i * 512, 508 - length(name) - length(i * 512), "" }' >"$backup/$1"
	cp "$backup/$1" "$mnt/$1"
}

# hit DEVICE FIRST RANGE COUNT: poison so many sectors of a device that files have, at random; what they were is in /tmp/expected
hit() {
	local n=0 tries sector tag
	for ((tries = 0; tries < 200 && n < $4; tries++)); do
		sector=$(($2 + RANDOM % $3))
		# one that is poisoned already reads as nothing, and another may have what an earlier test left
		tag=$(dd if="$1" bs=512 skip=$sector count=1 iflag=direct status=none 2>/dev/null | tr -d '\0' |
			sed -n '1s/^@\([a-z/]*@[0-9]*\)@ *$/\1/p')
		[ -n "$tag" ] || continue
		n=$((n + 1))
		echo "$tag" >>/tmp/expected
		echo "$sector" >>/tmp/sectors."${1##*/}"
		poison "$1" $sector
	done
}

# exact WHAT: the last report has all that is expected, and no more
exact() {
	local list
	list=$(sort -u /tmp/expected | while IFS=@ read -r path offset; do printf '["%s",%s],' "$mnt/$path" "$offset"; done)
	report "$1: exact" "[.files[] | .path as \$path | .ranges[] | range(.offset; .offset + .length; 512) as \$at | [\$path, \$at]] | sort == ([${list%,}] | sort)"
	report "$1: all lost" '[.files[].ranges[] | .state == "lost"] | all'
}

# make OPTION...: mkfs.xfs with files on the realtime device, and three beside them that are not; mounted
make() {
	check "$what: mkfs" mkfs.xfs -q -f -K -m reflink=0,rmapbt=0 -d rtinherit=1 -r "rtdev=$realtime,extsize=$extent" "$data"
	mount -o "dax,rtdev=$realtime" "$data" $mnt 2>/dev/null || mount -o "rtdev=$realtime" "$data" $mnt || exit 99
	mkdir $mnt/plain
	xfs_io -c 'chattr -t' $mnt/plain
	tagged one 160
	tagged two 96
	tagged plain/three 200
	tagged four 1
	sync -f $mnt
	echo 3 >/proc/sys/vm/drop_caches
	: >/tmp/expected
	rm -f /tmp/sectors.*
}

# ---- on DAX, with the data on a disk
what=dax
truncate -s 300M /tmp/image
modprobe -q loop
data=$(losetup -f --show /tmp/image) realtime=$PMEM extent=4096
make
hit "$PMEM" 0 260 10
for target in '' "$PMEM"; do
	# shellcheck disable=SC2086 # an empty target is none
	recover scan $target
	status_is 4 "$what: scan ${target:-without a target}"
	exact "$what: scan ${target:-without a target}"
	report "$what: looked up by a walk" ".devices[] | select(.path == \"$PMEM\") | .filesystem | [.role, .belongs_to, .mountpoint, .dax, .lookup] == [\"realtime\", \"$data\", \"/mnt\", true, \"walk\"]"
done
recover scan $mnt/one $mnt/two $mnt/four
status_is 4 "$what: scan of files"
exact "$what: scan of files"
recover scan $mnt
status_is 12 "$what: scan of the mountpoint: the list of the data's device is not known"
exact "$what: scan of the mountpoint"
says "$what: said" "/mnt: lies on $data, which is no persistent memory"
recover scan $mnt/plain/three
status_is 8 "$what: a file of the data's device"
recover scan --read $mnt/one $mnt/two $mnt/four $mnt/plain/three
status_is 4 "$what: scan --read of files on both"
exact "$what: scan --read of files on both"
report "$what: each is read where it lies" '.devices | length == 2 and all(.read.complete and .read.bytes > 0)'

IFS=@ read -r path offset < <(sed -n 1p /tmp/expected)
sector=$(sed -n 1p "/tmp/sectors.${PMEM##*/}")
recover map "$mnt/$path" "$offset+512"
status_is 4 "$what: map"
report "$what: map: where" ".files[0].mappings[0] | [.device, .device_offset, .bad_bytes] == [\"${PMEM##*/}\", $((sector * 512)), 512]"
recover locate "$PMEM" $((sector * 512 + 7))
status_is 0 "$what: locate"
report "$what: locate: whose" ".places | map([.owner, .path, .file_offset]) == [[\"file\", \"$mnt/$path\", $((offset + 7))]]"
recover locate "$data" $((sector * 512))
report "$what: locate on the data's device has none of it" ".places | map(.path) | all(. != \"$mnt/$path\")"

for path in one two; do
	rm -f /tmp/copy
	recover salvage $mnt/$path -o /tmp/copy
	check "$what: salvage $path: all but what is lost" [ "$(cmp -l /tmp/copy $backup/$path | awk '{ print int(($1 - 1) / 512) }' | sort -un | wc -l)" = "$(sort -u /tmp/expected | grep -c "^$path@")" ]
done
repair --from-backup=$backup $mnt/one $mnt/two $mnt/four
status_is 1 "$what: repair"
report "$what: repair: how" '[.files[].ranges[].method] | all(. == "write" or . == "flag")'
for path in one two four plain/three; do
	check "$what: $path is whole" same $path
done
recover scan "$PMEM"
status_is 0 "$what: scan after it"
check "$what: no record is left" clean

: >/tmp/expected
hit "$PMEM" 0 260 4
repair --method=device --from-backup=$backup $mnt/one $mnt/two $mnt/four
status_is 1 "$what: repair through the device"
report "$what: repair through the device: how" '[.files[].ranges[] | .method == "device"] | length > 0 and all'
echo 3 >/proc/sys/vm/drop_caches
for path in one two four; do
	check "$what: $path is whole through the device" same $path
done

: >/tmp/expected
hit "$PMEM" 0 260 2
repair --zero-fill $mnt/one $mnt/two $mnt/four
status_is 4 "$what: zeros"
recover scan "$PMEM"
status_is 4 "$what: zeros: told of"
report "$what: zeros: where" '[.zeroed[] | .file == "same"] | length > 0 and all'
repair --from-backup=$backup $mnt/one $mnt/two $mnt/four
status_is 1 "$what: zeros: restored"
for path in one two four; do
	check "$what: $path is whole after zeros" same $path
done

# what no list has any more, but an earlier report
: >/tmp/expected
hit "$PMEM" 0 260 3
recover scan "$PMEM"
status_is 4 "$what: a report"
cp "$out" /tmp/report.json
while read -r sector; do
	dd if=/dev/zero of="$PMEM" bs=512 seek="$sector" count=1 oflag=direct conv=notrunc status=none
done < <(tail -n 3 "/tmp/sectors.${PMEM##*/}")
repair --ranges=/tmp/report.json --from-backup=$backup --backup-root=$mnt "$PMEM"
status_is 1 "$what: repair by it"
for path in one two four; do
	check "$what: $path is whole by it" same $path
done

# killed in the middle, and finished from its journal
: >/tmp/expected
hit "$PMEM" 0 160 3
strace -qq -f -o /dev/null -P $mnt/one -e trace=pwritev2 -e inject=pwritev2:signal=KILL:when=1 \
	"$PMEM_RECOVER" repair --yes --journal=$journals --from-backup=$backup $mnt/one >/tmp/killed.json 2>/tmp/killed.err
check "$what: a repair is killed" [ $? = 137 ]
recover scan "$PMEM"
check "$what: scan tells of it" [ $((status & 8)) = 8 ]
repair --resume
status_is 1 "$what: resumed"
check "$what: it is whole, resumed" same one
check "$what: no record is left, resumed" clean
# given back and written anew
: >/tmp/expected
hit "$PMEM" 0 260 2
repair --method=punch --from-backup=$backup $mnt/one $mnt/two $mnt/four
status_is 1 "$what: punch"
for path in one two four; do
	check "$what: $path is whole after a punch" same $path
done
unmount
losetup -d "$data"
rm /tmp/image

# ---- both in partitions of one namespace, of which the data's alone is DAX
what=partitions
partitions 300 64 16
# in units of more than a page
data=${PMEM}p1 realtime=${PMEM}p2 extent=65536
make
hit "$realtime" 0 520 6
three=$(file_sector plain/three 0)
hit "$data" "$three" 200 4
for target in $mnt "$PMEM" ''; do
	# shellcheck disable=SC2086 # an empty target is none
	recover scan $target
	status_is 4 "$what: scan ${target:-without a target}"
	exact "$what: scan ${target:-without a target}"
done
cp /tmp/expected /tmp/all
grep -v ^plain /tmp/all >/tmp/expected
recover scan "$realtime"
status_is 4 "$what: scan $realtime"
exact "$what: scan $realtime"
grep ^plain /tmp/all >/tmp/expected
recover scan "$data"
status_is 4 "$what: scan $data"
exact "$what: scan $data"
repair --from-backup=$backup $mnt
status_is 1 "$what: repair"
echo 3 >/proc/sys/vm/drop_caches
for path in one two four plain/three; do
	check "$what: $path is whole" same $path
done
check "$what: no record is left" clean
# the name that it was mounted by has become another's
umount $mnt
ln -sf "$realtime" /tmp/name
mount -o "rtdev=/tmp/name" "$data" $mnt
ln -sf "${PMEM}p3" /tmp/name
recover scan $mnt/one
status_is 8 "$what: another's name"
says "$what: another's name: said" "its mount options call that ${PMEM}p3, which it is not"
recover locate "${PMEM}p3" 4096
status_is 8 "$what: another's name: locate"
ln -sf "$realtime" /tmp/name
recover scan $mnt/one
status_is 0 "$what: its name again"
# what no file has
poison "$realtime" 100000
recover scan $mnt
status_is 0 "$what: free space"
report "$what: free space: told" '[.messages[] | select(.level != "info") | .code] == ["poison-in-free-space"]'
umount $mnt
recover scan "$realtime"
status_is 8 "$what: not mounted, nobody knows what it is"
clear_all
dd if=/dev/zero of="$PMEM" bs=1M count=1 oflag=direct status=none
blockdev --rereadpt "$PMEM"
rm -rf ${backup:?}/*
finish
