#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A signal in the middle of a walk: what was found so far, valid and marked as not all of it, and no thread that goes on.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

mnt=$work/mnt
loop 192M
mkfs.ext4 -q -F -b 1024 -N 30000 "$loop" || fail mkfs
mounted "$loop" "$mnt"
tools_of walks.py make "$mnt" 20000 200 || fail "no files"
# what the kernel kept for the next files is nobody's, and nobody tells
unmounted "$mnt"
mounted "$loop" "$mnt"
# all over the device: files, directories, inodes, free space
for ((sector = 100; sector < 192 * 2048; sector += 811)); do
	echo "$sector 1"
done >"$work/bad"

for threads in 1 2; do
	run 4 scan --badblocks="$work/bad" --lookup=walk --threads=$threads "$mnt"
	json 'len(d["files"]) > 20'
	cp "$work/out" "$work/whole"
	tools_of walks.py interrupt "$work" getdents64:10 "$work/whole" "$(program)" scan --badblocks="$work/bad" --lookup=walk \
		--threads=$threads "$mnt" || fail "scan by $threads"
done
# in the pass over the inodes; in the walk for names
for call in pread64:100 getdents64:10; do
	tools_of walks.py interrupt "$work" $call "$work/whole" "$(program)" scan --badblocks="$work/bad" --threads=2 "$mnt" ||
		fail "scan at $call"
done

run 0 locate --lookup=walk "$loop" 16M+4M
cp "$work/out" "$work/whole"
tools_of walks.py interrupt "$work" getdents64:10 "$work/whole" "$(program)" locate --lookup=walk --threads=2 "$loop" 16M+4M ||
	fail "locate"
