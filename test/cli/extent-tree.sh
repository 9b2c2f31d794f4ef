#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A block of the map of a file's extents is damaged. The kernel calls the last extent before it the last one of all; nobody
# believes that, and what lies behind is not taken for a hole.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

mnt=$work/ext4
filesystem ext4 "$mnt"
# four leaves of 340 extents each, with a hole between any two extents
/usr/bin/python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644)
for i in range(1200):
    os.pwrite(fd, bytes([65 + i % 26]) * 4096, i * 8192)' "$mnt/file" || fail "no file"
settle "$mnt"
cp --sparse=always "$mnt/file" "$work/backup"
leaf=$(debugfs -R "dump_extents -n /file" "$loop" 2>/dev/null | awk '$3 == "3/" && $5 == 1360 { print $8 }')
[ -n "$leaf" ] || fail "the third leaf does not begin with block 1360"
# a sector behind the break is lost as well
echo "$(($(debugfs -R "bmap /file 2200" "$loop" 2>/dev/null) * 8 + 3)) 1" >"$work/bad"
run 4 scan --badblocks="$work/bad" "$mnt/file"
unmounted "$mnt"
echo "$((leaf * 8)) 8" >>"$work/bad"
tools damage "$image" "$work/bad" || fail damage
mounted "$loop" "$mnt"

run 12 scan --badblocks="$work/bad" "$mnt/file"
json 'codes == ["no-extents", "extents-lost"]' 'not d["complete"]'
says "the filesystem's own metadata"
# the walk, which has its own FIEMAP, and the way that knows whose the damaged block is
run 12 scan --lookup=walk --badblocks="$work/bad" "$mnt"
says "$mnt/file: its extents cannot be listed"
run 12 scan --badblocks="$work/bad" "$mnt"
json 'any(r.get("part") == "extents" for r in d["devices"][0]["badblocks"]["ranges"])'
run 8 map --badblocks="$work/bad" "$mnt/file"
run 12 repair --dry-run --badblocks="$work/bad" --trust-badblocks --from-backup="$work/backup" "$mnt/file"
# what lies before it can be told
run 0 map --badblocks="$work/bad" "$mnt/file" 0+5M

# a copy has all that the file gives, and around the sector behind the break what the device gives
run 12 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
json 'codes.count("no-extents") == 2' 'd["salvage"]["remaining_bytes"] == 0' \
	'not d["complete"] and not d["files"][0]["complete"]' \
	'[(r["offset"], r["length"], r.get("reason")) for r in d["files"][0]["ranges"]] == [
		(680 * 8192, 340 * 8192, "no-extents"), (1100 * 8192 + 1536, 512, None)]'
says "keep this copy before anything repairs the filesystem"
ours=$(tools rescued "$work/map" "$work/backup" "$work/copy") || fail "the mapfile has + where the copy is wrong"
[ "$ours" -eq $((1199 * 8192 + 4096 - 340 * 8192 - 512)) ] || fail "$ours bytes were rescued"
