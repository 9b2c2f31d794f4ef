#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A repair that is stopped behind each of its writes, syncs and locks, in turn, while others cut the file, write to it, rename
# it, remove it, or do that to the backup: nothing of theirs is undone, and nothing is lost.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

for type in ext4 xfs; do
	filesystem $type "$work/$type"
	tools_of faults.py race "$(program)" "$work/$type" "$image" "$work" || fail "$type"
done
tools_of faults.py backup-race "$(program)" "$work/xfs" "$image" "$work" || fail "backup"
tools_of faults.py set-id-race "$(program)" "$work/xfs" "$image" "$work" || fail "set-id"
tools_of faults.py race=truncated,extended,rewritten,punched "$(program)" "$work/xfs" "$image" "$work" --method=punch ||
	fail "punch"
