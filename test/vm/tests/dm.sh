#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dm.sh: volumes of device mapper, nested, striped and in pieces, over partitions of PMEM: random poison is found, salvaged
# and repaired to the byte, both ways lead from file to memory, and a table that changes in between stops a repair.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

tmp=/tmp/dm
mkdir -p $tmp
use_pmem fsdax
modprobe dm_mod
start1=2048 start2=135168
chunk=8

# An MBR with two partitions of 64 MiB.
number() { printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24)); }
for start in $start1 $start2; do
	printf '%b' "\\0\\0\\0\\0\\x83\\0\\0\\0$(number $start)$(number 131072)"
done >$tmp/mbr
head -c 32 /dev/zero >>$tmp/mbr
printf '\x55\xaa' >>$tmp/mbr
dd if=$tmp/mbr of="$PMEM" bs=1 seek=446 conv=fsync status=none
blockdev --rereadpt "$PMEM"

# shellcheck disable=SC2317 # called by check
# "top" is the second half of a stripe, then the first one, then 4 MiB of a partition.
make_volumes() {
	dmsetup create stripe --table "0 98304 striped 2 $chunk ${PMEM}p1 2048 ${PMEM}p2 0" && dmsetup mknodes &&
		printf '%s\n' '0 49152 linear /dev/mapper/stripe 49152' '49152 40960 linear /dev/mapper/stripe 0' \
			"90112 8192 linear ${PMEM}p2 81920" | dmsetup create top && dmsetup mknodes
}

# below_each: lines "SECTOR COUNT" of top, sector by sector, become the disk's: what the kernel's rules say, written anew.
below_each() {
	awk -v chunk=$chunk -v start1=$start1 -v start2=$start2 '
		/^[0-9]/ {
			for (s = $1; s < $1 + $2; s++) {
				if (s >= 90112) { print start2 + 81920 + s - 90112, 1; continue }
				t = s < 49152 ? s + 49152 : s - 49152
				n = int(t / chunk)
				row = int(n / 2) * chunk + t % chunk
				print (n % 2 ? start2 : start1 + 2048) + row, 1
			}
		}' "$1"
}

# below: the same, sorted and joined.
below() {
	below_each "$1" | sort -n | awk '
		NR > 1 && $1 == at + n { n++; next }
		NR > 1 { print at, n }
		{ at = $1; n = 1 }
		END { if (NR) print at, n }'
}

# poison_top SECTOR [COUNT]
poison_top() {
	local lower count
	"$TREE" scramble /dev/mapper/top "$1" "${2:-1}"
	echo "$1 ${2:-1}" >$tmp/one
	while read -r lower count; do
		poison "$PMEM" "$lower" "$count"
	done < <(below $tmp/one)
}

check "volumes" make_volumes
dm=dm-$(dmsetup info -c --noheadings -o minor top)
for fs in ext4 xfs; do
	case $fs in
	ext4) mkfs.ext4 -q -F -b 4096 -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 -N 1024 -J size=4 /dev/mapper/top ;;
	xfs) TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q -f -K -m reflink=0 /dev/mapper/top >/dev/null ;;
	esac
	check "$fs: mounted with DAX" mount -t $fs -o dax /dev/mapper/top $mnt
	$TREE make 3 $mnt $tmp/backup >$tmp/made || exit 99
	check "$fs: random poison" eval "\$TREE poison 3 $mnt /dev/mapper/top 80 $tmp/expect >$tmp/list"
	below $tmp/list >$tmp/lower
	check "$fs: it lies on both partitions" eval "awk '\$1 < $start2' $tmp/lower | grep -q . && awk '\$1 >= $start2' $tmp/lower | grep -q ."
	inject $tmp/lower
	recover scan $mnt
	check "$fs: scan: exit status 4 ($status)" [ "$status" = 4 ]
	check "$fs: scan is exact" $TREE check-scan $tmp/expect "$out"
	jq -r '.files[].ranges[] | .lower[] | "\(.device_offset) \(.length) \(.device)"' "$out" | sort -n >$tmp/named
	check "$fs: what lies below is named, and listed" eval "
		[ \$(jq '[.files[].ranges[].length] | add' $out) = \$(awk '{ n += \$2 } END { print n }' $tmp/named) ] &&
		! grep -v 'pmem0\$' $tmp/named &&
		awk 'NR == FNR { for (s = \$1; s < \$1 + \$2; s++) bad[s]; next }
			{ for (b = \$1; b < \$1 + \$2; b += 512) if (!(int(b / 512) in bad)) exit 1 }' $tmp/lower $tmp/named"
	check "$fs: salvage is exact" $TREE salvage "$PMEM_RECOVER" 3 2 $tmp/backup $tmp/expect $tmp write
	repair --method=write --from-backup=$tmp/backup $mnt
	# What is still listed, of each sector of the volume whether its place below is.
	echo "0 98304" >$tmp/all
	below_each $tmp/all | awk 'NR == FNR { for (s = $1; s < $1 + $2; s++) bad[s]; next } $1 in bad { print FNR - 1, 1 }' \
		<(badblocks "$PMEM") - >$tmp/left
	export TREE_LIST=$tmp/left
	check "$fs: repair is exact" $TREE check-repair $tmp/backup $mnt $tmp/expect "$out" write write
	unset TREE_LIST
	umount $mnt
	clear_all
	rm -rf $tmp/backup
done

# Without DAX, where the page cache is in between.
mount -t xfs /dev/mapper/top $mnt
make_file f 300000
umount $mnt
mount -t xfs /dev/mapper/top $mnt
sector=$(file_sector f 100000)
poison_top "$sector" 3
recover scan "$PMEM"
status_is 4 "scan of the device below"
report "it covers what is on the volume" "[.files[].ranges[] | [.offset, .length, .device, .device_offset]] == [[99840, 1536, \"$dm\", $((sector * 512))]]"
report "every bad range is the file's, on all three devices" '[.devices[].badblocks.ranges[].owner] | length >= 3 and all(. == "file")'
report "bytes are counted once" '.summary.bad_bytes == 1536'
lower=$(below $tmp/one | head -n 1)
lower=${lower% *}
recover locate "$PMEM" $((lower * 512))
report "locate goes up to the file" ".places[0] | .path == \"$mnt/f\" and .file_offset >= 99840 and .file_offset < 101376 and .lower[0].device_offset == $((lower * 512))"
recover map $mnt/f 99840+512
report "map goes down" ".files[0].mappings[0] | .lower[0].device == \"pmem0\" and .device_offset == $((sector * 512))"
address=$(jq '.files[0].mappings[0].address' "$out")
recover locate --address="$(printf %x "$address")"
report "an address leads to the file" ".places[0] | .path == \"$mnt/f\" and .file_offset == 99840"
recover list
report "list shows what it lies on" '.devices[] | select(.volume == "top") | .mode == "mapped" and (.pieces | length) == 3 and .badblocks.bytes == 1536 and .filesystem.type == "xfs"'
"$PMEM_RECOVER" health >/dev/null 2>&1
repair --from-backup=$backup $mnt
status_is 1 "without DAX: repair"
check "without DAX: the file is whole" same f
check "without DAX: the list below is empty" clean
recover health
status_is 0 "health knows that it was repaired"
report "no record vanished" '.vanished == []'

# A list that was taken below stays with what it names, and does not shrink.
poison_top "$sector" 2
{
	echo "# device ${PMEM##*/}"
	badblocks "$PMEM"
} >$tmp/file
repair --badblocks=$tmp/file --from-backup=$backup $mnt
status_is 1 "a list from a file, of the device below: repaired"
report "all of it" '[.files[].ranges[].state] == ["repaired"]'
check "a list from a file: the file is whole" same f
check "a list from a file: the list below is empty" clean

# Without a target a volume is read as what it lies on.
run strace -f -e trace=openat -o $tmp/opened "$PMEM_RECOVER" scan --read
check "read: it is all one" eval "grep -q '\"$PMEM\", O_RDONLY.*O_DIRECT' $tmp/opened && ! grep -q '/dev/mapper/top\".*O_DIRECT' $tmp/opened"

# Suspended after its table was read: nothing waits for it.
(
	for ((n = 0; n < 100; n++)); do
		grep -qs 'stopped by SIGSTOP' $tmp/stopped && break
		sleep 0.1
	done
	dmsetup suspend top
	pkill -CONT -x pmem-recover
	for ((n = 0; n < 100; n++)); do
		if ! pgrep -x pmem-recover >/dev/null; then
			touch $tmp/nobody
			break
		fi
		sleep 0.1
	done
	dmsetup resume top
) &
run strace -o $tmp/stopped -P /proc/self/mountinfo -e trace=openat -e inject=openat:signal=SIGSTOP:when=1 \
	"$PMEM_RECOVER" scan --read /dev/mapper/top
wait
check "suspended meanwhile: not read, and nobody waited" [ -e $tmp/nobody ]
status_is 8 "suspended meanwhile"
report "suspended meanwhile: said" '[.messages[].code] | index("cannot-read") and index("badblocks-unknown")'

# In use, through the device while the filesystem stands still.
poison_top "$sector" 2
exec 5<>$mnt/f
repair --online --from-backup=$backup $mnt
check "in use, without DAX: left" [ "$status" = 4 ]
exec 5>&-
umount $mnt
mount -t xfs -o dax /dev/mapper/top $mnt
exec 5<>$mnt/f
repair --online --from-backup=$backup $mnt
exec 5>&-
status_is 1 "in use: repaired through the device"
report "by device" '[.files[].ranges[].method] == ["device"]'
check "in use: the file is whole" same f
check "in use: the list below is empty" clean

# Another volume of the same PMEM is no place for a journal, and its repair waits for this one.
poison_top "$sector" 1
dmsetup create other --table "0 20480 linear ${PMEM}p1 100000"
dmsetup mknodes
mkfs.ext4 -q -F /dev/mapper/other
mkdir -p /tmp/other
mount /dev/mapper/other /tmp/other
recover repair --yes --journal=/tmp/other --from-backup=$backup $mnt
check "a journal on another volume of it: refused" grep -q journal-on-target "$out"
umount /tmp/other
dmsetup remove other
exec 6>/run/pmem-recover/pmem0.lock
flock 6
repair --from-backup=$backup $mnt
check "one repair at a time on what is below" grep -q device-locked "$out"
exec 6>&-

# A table that changes between plan and write, if only in how it says the same.
printf '%s\n' '0 40960 linear /dev/mapper/stripe 49152' '40960 8192 linear /dev/mapper/stripe 90112' \
	'49152 40960 linear /dev/mapper/stripe 0' "90112 8192 linear ${PMEM}p2 81920" >$tmp/table
(
	for ((n = 0; n < 300; n++)); do
		if compgen -G "$journals/*.journal" || compgen -G "$journals/.*.journal"; then break; fi
		sleep 0.1
	done >/dev/null
	dmsetup load top $tmp/table && dmsetup resume top
) &
# The journal is on its way to the disk for so long.
run strace -f -o /dev/null -e trace=fsync,fdatasync -e inject=fsync,fdatasync:delay_enter=1500000 \
	"$PMEM_RECOVER" repair --yes --journal="$journals" --from-backup=$backup $mnt
wait
check "a table that changed: the table is the new one" eval "dmsetup table top | grep -q '^40960 8192'"
status_is 12 "a table that changed"
report "nothing is written" '[.files[].ranges[] | [.state, .reason]] == [["skipped", "remapped"]]'
check "a table that changed: still listed" eval '! clean'
repair --from-backup=$backup $mnt
status_is 1 "planned anew: repaired"
check "planned anew: the file is whole" same f

# On a disk that is no PMEM a volume is met from below.
truncate -s 32M $tmp/disk
modprobe loop
loop=$(losetup -f --show $tmp/disk)
dmsetup create plain --table "0 40960 linear $loop 8192"
dmsetup mknodes
mkfs.ext4 -q -F /dev/mapper/plain
mkdir -p /tmp/plain
mount /dev/mapper/plain /tmp/plain
cp $backup/f /tmp/plain/f
sync -f /tmp/plain
lower=$(($(sector_of /tmp/plain/f 100000) + 8192))
echo "$lower 1" >$tmp/file
recover scan --badblocks=$tmp/file "$loop"
status_is 4 "no PMEM: scan of the disk"
report "no PMEM: the file on the volume" '[.files[] | .path, (.ranges[] | .offset, .length)] == ["/tmp/plain/f", 99840, 512]'
recover locate "$loop" $((lower * 512))
report "no PMEM: locate" '.places[0] | .path == "/tmp/plain/f" and .file_offset == 99840'
umount /tmp/plain
dmsetup remove plain
losetup -d "$loop"

# Who reads a suspended one waits for ever.
dmsetup suspend top
recover scan /dev/mapper/top
status_is 8 "suspended"
says "suspended: named" 'suspended'
recover scan
check "suspended: who did not ask for it is not kept" [ "$status" = 0 ]
dmsetup resume top

# The metadata of what a volume lies on is of no volume, and it is lost with that.
if [ -d "$pmr_parameters" ]; then
	data_offset=$("$PMEM_RECOVER" list 2>/dev/null | jq '.devices[] | select(.name == "pmem0") | .data_offset')
	module_set inject $((data_offset - 4096)),512
	recover scan /dev/mapper/top
	status_is 4 "metadata below: scan of the volume"
	report "metadata below: it is said" '[.messages[] | select(.code == "namespace-metadata") | .object] == ["namespace0.0"]'
	recover scan $mnt/f
	status_is 0 "metadata below: scan of a file"
	report "metadata below: a warning" '[.messages[] | select(.code == "namespace-metadata") | .level] == ["warning"]'
fi

umount $mnt
dmsetup remove top
dmsetup remove stripe
wipefs -aq "$PMEM"
blockdev --rereadpt "$PMEM"
# A raw namespace reaches all of the region.
[ ! -d "$pmr_parameters" ] || use_pmem raw
clear_all
rm -rf ${backup:?}/* $tmp "${journals:?}"/*.journal
finish
