#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Partitions: the list counts in sectors of the whole device, and each filesystem begins somewhere on it.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

# 1 MiB in, and at an odd multiple of 4 KiB
loop 150M
tools mbr "$image" 2048 140000 145000 150000
losetup -d "$loop"
loops=()
loop=$(losetup -fP --show "$image") || fail "no loop device"
loops+=("$loop")
# a kernel that reads no partition tables lets itself be told
[ -b "${loop}p2" ] || partx -a "$loop" 2>/dev/null
for _ in $(seq 50); do
	[ -b "${loop}p2" ] && break
	sleep 0.1
done
[ -b "${loop}p2" ] || fail "no partitions"
for n in 1 2; do
	mkfs.ext4 -q -F -b 4096 "${loop}p$n" || fail mkfs
	mounted "${loop}p$n" "$work/mnt$n"
	tools write "$work/mnt$n/file" 32 "$n"
	settle "$work/mnt$n"
done
tools pick "$image" 1 20 "$work/mnt1/file" "$work/mnt2/file" >"$work/bad"
# and one in the partition table's own sectors
echo "1 1" >>"$work/bad"
settle "$work/mnt1"
settle "$work/mnt2"

run 4 scan --badblocks="$work/bad" "$work/mnt1" "$work/mnt2"
tools oracle "$image" "$work/bad" "$work/out" "$work/mnt1/file" "$work/mnt2/file" || fail "two partitions"
settle "$work/mnt1"
settle "$work/mnt2"
json 'sorted(f["start"] for f in d["devices"][0]["filesystems"]) == [1048576, 74240000]' \
	'len(d["devices"]) == 1' 'd["devices"][0]["size"] == 157286400' \
	'd["devices"][0]["filesystem"] == d["devices"][0]["filesystems"][0]'
run 4 scan --badblocks="$work/bad" "$work/mnt2/file"
tools oracle "$image" "$work/bad" "$work/out" "$work/mnt2/file" || fail "one of two partitions"
settle "$work/mnt1"
settle "$work/mnt2"
run 4 scan --badblocks="$work/bad" "${loop}p1"
tools oracle "$image" "$work/bad" "$work/out" "$work/mnt1/file" || fail "a partition by its device"
settle "$work/mnt1"
# the whole device: both, and the partition table
run 4 scan --badblocks="$work/bad" "$loop"
tools oracle "$image" "$work/bad" "$work/out" "$work/mnt1/file" "$work/mnt2/file" || fail "the whole device"
json '[r["owner"] for r in d["devices"][0]["badblocks"]["ranges"] if r["offset"] == 512] == ["namespace"]'

# the list may be named after the device, but not after a partition of it
{
	echo "# device $loop"
	cat "$work/bad"
} >"$work/named"
run 4 scan --badblocks="$work/named" "$work/mnt1/file"
place=$(tools where "$image" "$work/mnt2/file" 4096)
run 0 map --badblocks=<(:) "$work/mnt2/file" 4096+512
json "d['files'][0]['mappings'][0]['device_offset'] == $place"
