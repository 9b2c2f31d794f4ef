#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Random trees: whose bad bytes are is told the same by the filesystem, by a walk of all files, and by an oracle of its own.
#
# SEEDS is how many for each filesystem (20), ONLY a pattern that its name has to match.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

seeds=${SEEDS:-20}
failures=0

# trees NAME WAY BLOCK MKFS...: random trees on a filesystem made by that command
trees() {
	local name=$1 way=$2 block=$3 mnt=$work/$1

	shift 3
	# shellcheck disable=SC2254 # a pattern
	case $name in ${ONLY:-*}) ;; *) return ;; esac
	loop 96M
	TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 "$@" "$loop" >/dev/null || fail "$name: $1"
	mounted "$loop" "$mnt"
	tools_of whole_trees.py "$loop" "$mnt" "${name%%-*}" "$block" "$way" 1 "$seeds" || failures=$((failures + 1))
	unmounted "$mnt"
}

ext4() { trees "ext4-$1" inode-table "$2" mkfs.ext4 -q -F -b "$2" -J size=4 "${@:3}"; }
xfs() { trees "xfs-$1" "$2" "$3" mkfs.xfs -q -f -l size=16m -b size="$3" -m "$4"; }

ext4 4k 4096
ext4 1k 1024
ext4 4k-indirect 4096 -O ^extent,^64bit
ext4 1k-indirect 1024 -O ^extent,^64bit
xfs 4k-rmap-reflink reverse-map 4096 rmapbt=1,reflink=1
xfs 1k-rmap-reflink reverse-map 1024 rmapbt=1,reflink=1
xfs 4k-rmap reverse-map 4096 rmapbt=1,reflink=0
xfs 4k-reflink walk 4096 rmapbt=0,reflink=1
xfs 1k-plain walk 1024 rmapbt=0,reflink=0
[ $failures = 0 ] || fail "$failures filesystems"
