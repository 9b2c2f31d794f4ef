#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a terminal shows of long work: one line with amount, rate and estimate, which is gone in the end; nothing elsewhere.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

mnt=$work/mnt
loop 128M
mkfs.ext4 -q -F -b 1024 -N 30000 "$loop" || fail mkfs
mounted "$loop" "$mnt"
tools_of walks.py make "$mnt" 20000 100 || fail "no files"
unmounted "$mnt"
mounted "$loop" "$mnt"
# of many things
for ((sector = 100; sector < 128 * 2048; sector += 2111)); do
	echo "$sector 1"
done >"$work/bad"
scan=("$(program)" scan --badblocks="$work/bad" --threads=1)

run 4 scan --badblocks="$work/bad" "$mnt"
! grep -q $'[\r\e]' "$work/err" || fail "it is no terminal"
tools_of walks.py terminal "$work" getdents64 2500 4 -- "${scan[@]}" --quiet "$mnt" || fail "--quiet"

# of each phase: what is counted, how fast, how long it will take, and where it is
tools_of walks.py terminal "$work" getdents64 20000 4 \
	"looking for names: [0-9]+ names of [0-9]+ \([0-9]+/s\), about [0-9]+ (s|min) left, $mnt/.*" -- \
	"${scan[@]}" "$mnt" || fail "names"
tools_of walks.py terminal "$work" getdents64 10000 4 \
	"scan: [0-9]+ files of [0-9]+ \([0-9]+/s\)(, about [0-9]+ s left)?, $mnt/.*" -- \
	"${scan[@]}" --lookup=walk "$mnt" || fail "files"
