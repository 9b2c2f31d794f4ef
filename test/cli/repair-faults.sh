#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Calls of a repair that fail, each in turn: the journal's, the backup's, the file's, and any that a signal may interrupt.
# Writes that say that they were done and were not, and a journal whose filesystem is full.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

# faults WHAT DIRECTORY [OPTION]...: see faults.py
faults() {
	local what=$1 mnt=$2

	shift 2
	tools_of faults.py "$what" "$(program)" "$mnt" "$image" "$work" "$@" || fail "$what"
}

mnt=$work/ext4
filesystem ext4 "$mnt"
faults journal "$mnt"
faults backup "$mnt"
faults file "$mnt"
faults tail "$mnt"
faults interrupted "$mnt"
faults lies "$mnt" --keep=0

mnt=$work/xfs
filesystem xfs "$mnt"
faults journal "$mnt"
faults file "$mnt"
image_of_file=$image
loop 2M
mkfs.ext4 -q -F -m 0 -b 1024 "$loop" || fail mkfs
mounted "$loop" "$work/journal"
image=$image_of_file
faults full "$mnt"
