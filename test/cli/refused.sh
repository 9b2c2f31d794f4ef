#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is not understood is refused by its name, never called clean.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

# refused WORD TARGET: 8, with the target and what it lies on
refused() {
	local target

	echo '8 1' >"$work/bad"
	for target in "$2" "$2/file"; do
		run 8 scan --badblocks="$work/bad" "$target"
		json 'd["files"] == [] or not any(f["complete"] for f in d["files"])' 'not d["complete"]'
		says "pmem-recover: $target: "
		says "$1"
		run 8 scan "$target"
		says "pmem-recover: $target: "
	done
	run 8 map --badblocks="$work/bad" "$2/file"
	says "$1"
	json 'd["files"] == []'
	run 8 repair --zero-fill --yes --badblocks="$work/bad" "$2/file"
	says "$1"
	json 'd["plan"] == []'
	[ "$(cat "$2/file")" = content ] || fail "a refused file was changed"
}

loop 128M
mkfs.btrfs -q -f "$loop" 2>/dev/null || fail "mkfs.btrfs"
mounted "$loop" "$work/btrfs"
echo content >"$work/btrfs/file"
sync -f "$work/btrfs"
refused btrfs "$work/btrfs"

mounted none "$work/tmpfs" -t tmpfs
echo content >"$work/tmpfs/file"
refused tmpfs "$work/tmpfs"

mkdir "$work/tmpfs/upper" "$work/tmpfs/work" "$work/tmpfs/lower"
echo content >"$work/tmpfs/lower/file"
mounted none "$work/overlay" -t overlay \
	-o "lowerdir=$work/tmpfs/lower,upperdir=$work/tmpfs/upper,workdir=$work/tmpfs/work"
refused overlay "$work/overlay"

run 8 scan /proc/self/status
run 8 scan /dev/null
says 'pmem-recover: /dev/null: '

# a directory where a file is needed, and nothing at all
run 8 map "$work"
says "pmem-recover: $work: "
run 8 map "$work/no-such-file"
says "pmem-recover: $work/no-such-file: "
json 'd["files"] == []'

# without rights: said, and never "clean"
filesystem ext4 "$work/mnt"
tools write "$work/mnt/file" 4
chmod 600 "$work/mnt/file"
chmod 755 "$work" "$work/mnt"
settle "$work/mnt"
echo "$(($(tools where "$image" "$work/mnt/file" 0) / 512)) 1" >"$work/bad"
chmod 644 "$work/bad"
setpriv --reuid=65534 --regid=65534 --clear-groups -- \
	"$PMEM_RECOVER" scan --badblocks="$work/bad" "$work/mnt" >"$work/out" 2>"$work/err"
status=$?
[ $((status & 8)) -eq 8 ] || fail "without rights: $status"
says "$work/mnt/file: "
json 'not d["complete"]'
