#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# locate.sh: locate is the inverse of map, by device offset and by physical address; locate-ext4.sh is the same on ext4.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

fs=${fs:-xfs}
maps=/tmp/maps.json

# locate_at ADDRESS: as the kernel prints it
locate_at() { recover locate --address="$(printf %x "$1")"; }

# What map says of all files, and what locate says of all bytes, as rows of the same shape. A file's pieces are joined
# where they go on, as the two cut them at different places.
rows='
def joined: reduce .[] as $r ([];
	if length > 0 and (.[-1] | .path == $r.path and .kind == $r.kind and .shared == $r.shared and .past_eof == $r.past_eof
		and .file_offset + .length == $r.file_offset and .offset + .length == $r.offset)
	then .[-1].length += $r.length else . + [$r] end);
def sorted: sort_by(.path, .file_offset) | joined;
def cut($size): if .file_offset >= $size then .past_eof = true
	elif .file_offset + .length > $size then ($size - .file_offset) as $n |
		(.length = $n), (.file_offset += $n | .length -= $n | .offset += $n | .region_offset += $n | .address += $n | .past_eof = true)
	else . end;
def of_maps: [.[].files[] | .path as $path | .size as $size | .mappings[] | select(.kind == "data" or .kind == "unwritten") |
	{path: $path, file_offset: .offset, length, kind, shared, past_eof: false, offset: .device_offset, region_offset, address} |
	cut($size)] | unique | sorted;
def of_places($paths): [.places[] | select(.path and .owner == "file") | . as $p | (.path, .links[].path) | select($paths[.]) |
	{path: ., file_offset: $p.file_offset, length: $p.length, kind: $p.kind, shared: $p.shared, past_eof: $p.past_eof,
	 offset: $p.offset, region_offset: $p.region_offset, address: $p.address}] | sorted;'

# Some of the files: an emulated CPU takes half a second for each.
map_some() {
	local file
	: >$maps
	while IFS= read -r -d '' file; do
		"$PMEM_RECOVER" map "$file" >>$maps || return
	done < <(find "$mnt" -xdev -type f -links +1 -print0 | head -zn 4
		find "$mnt" -xdev -type f -size +0 -print0 | sed -zn '5~35p')
}

# all_bytes STATUS SIZE: the whole device against the maps
all_bytes() {
	recover locate "$PMEM" 0+"$2"
	status_is "$1" "every byte"
	check "every mapping leads back, and nothing else leads to these files" \
		jq -n --slurpfile maps $maps --slurpfile out $out "$rows"' ($maps | of_maps) as $a |
		($out[0] | of_places($a | map({(.path): true}) | add)) as $b |
		if ($a | length) > 12 and $a == $b then true
		else {rows: ($a | length), map_only: ($a - $b)[:3], locate_only: ($b - $a)[:3]} | tojson | error end'
	report "all of it is covered, in order" "reduce .places[] as \$p (0; if . >= 0 and \$p.offset <= . then [., \$p.offset + \$p.length] | max else -1 end) == $2"
	report "names, unwritten and past the end are all there" '[.places[] | select(.links != [])] != [] and
		any(.places[]; .kind == "unwritten") and any(.places[]; .past_eof)'
	[ $fs = ext4 ] || report "so is a block of more than one file" 'any(.places[]; .shared)'
}

# The last bytes of two files' places, and of one of each other owner. A path of any bytes stays JSON.
by_address() {
	local n=0 place address
	mapfile -t chosen < <(jq -c '[.places[] | select(.owner != "unknown")] | group_by(.owner)[] |
		.[range(0; length; if .[0].owner == "file" then [length / 2 | ceil, 1] | max else length end)] | (.length - 1) as $last |
		(.address + $last, {owner, path, file_offset: (.file_offset | if . then . + $last else . end), offset: (.offset + $last)})' $out)
	while [ $n -lt ${#chosen[@]} ]; do
		address=${chosen[n]} place=${chosen[n + 1]}
		n=$((n + 2))
		locate_at "$address"
		status_is 0 "address $(printf 0x%x "$address")"
		report "address $(printf 0x%x "$address") leads to $place" "any(.places[]; {owner, path, file_offset, offset} == $place) and
			all(.places[]; .length == 1 and .base == \"device\" and .address == $address)"
	done
	check "some addresses were asked about" [ $n -ge 6 ]
}

use_pmem fsdax
device_size=$(($(cat "/sys/class/block/${PMEM##*/}/size") * 512))
if [ $fs = xfs ]; then mount_fs xfs -m rmapbt=1; else mount_fs ext4; fi
"$TREE" make 3 $mnt /tmp/tree >/tmp/made || not_ok "no tree"
check "files have maps" map_some
# The last block of XFS before 6.11 is nobody's that can be asked.
if [ $fs = xfs ]; then all_bytes 0 $((device_size - 4096)); else all_bytes 0 "$device_size"; fi
by_address

# A listed sector is counted, and neither it nor its page is read: the list stays what it was.
make_file f 50000
sector=$(file_sector f 20000)
poison_file f 20000
recover locate "${PMEM##*/}" $((sector * 512))+512
status_is 0 "a listed sector"
report "it is bad, and the file's" '.places == [.places[0]] and (.places[0] | .bad_bytes == 512 and .path == "/mnt/f" and .file_offset == 19968
	and .namespace == "namespace0.0" and .region == "region0" and .filesystem.mountpoint == "/mnt")'
recover locate namespace0.0 $((sector * 512 - 4096))
report "by the name of the namespace; its neighbour is not bad" '.places[0] | .bad_bytes == 0 and .file_offset == 19968 - 4096'
recover locate -u "$PMEM" $((sector * 512))+512
check "for people" grep -Eq "^$PMEM +0x[0-9a-f]+ +512 B +0x4[0-9a-f]{7} +file +/mnt/f +19968 \(19.5 KiB\) +512 B$" $out
check "the list is as it was" listed "$sector 1"
clear_all
umount $mnt
recover locate "$PMEM" $((sector * 512))
status_is 8 "not mounted"
report "not mounted: nobody is asked, and it is said what to do" '.places[0].owner == "unknown" and .places[0].filesystem.mountpoint == null and
	any(.messages[]; .code == "not-mounted" and (.text | contains("mount it")))'
rm -rf /tmp/tree "${backup:?}"/*

[ $fs = xfs ] || finish
# Without the reverse map XFS does not tell of its own blocks, but free space it knows.
mount_fs xfs -m rmapbt=0
make_file f 50000
recover locate "$PMEM" $(($(file_sector f 20000) * 512))
status_is 0 "xfs without rmapbt: a file"
recover locate "$PMEM" $((device_size - 65536))
status_is 0 "xfs without rmapbt: free space"
report "it is free" '.places[0].owner == "free"'
recover locate "$PMEM" 0
status_is 0 "xfs without rmapbt: the superblock"
report "it is metadata" '.places[0].owner == "metadata"'
root=$(xfs_db -r -c "convert inode $(stat -c %i $mnt) daddr" "$PMEM" | sed 's/.*(\([0-9]*\))/\1/')
recover locate "$PMEM" $((root * 512))
status_is 8 "xfs without rmapbt: an inode"
says "xfs without rmapbt: what would tell" rmapbt=1
umount $mnt
rm -rf "${backup:?}"/*
finish
