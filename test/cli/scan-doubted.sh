#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a filesystem, or a name in /dev, tells and must not be believed: nothing is called free by a log that was not
# replayed, nor by another device's inodes.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

mnt=$work/mnt
codes="sorted(m['code'] for m in d['messages'] if m['level'] != 'info')"
owners="[r.get('owner') for r in d['devices'][0]['badblocks']['ranges']]"

# bad FILE: one bad sector, in its second page
bad() {
	echo "$(($(tools where "$image" "$1" 4096) / 512)) 1" >"$work/bad"
}

# prepared: of both filesystems, what was written back
prepared() {
	tools write "$mnt/old" 4 || fail write
	fallocate -l 64K "$mnt/pre" || fail fallocate
	unmounted "$mnt"
	tools write "$work/data" 16 || fail write
}

# written: what the log alone has: a new file, and data in what was unwritten
written() {
	tools write "$mnt/new" 8 || fail write
	dd if="$work/data" of="$mnt/pre" bs=64K conv=notrunc,fsync status=none || fail dd
	bad "$mnt/pre"
	mv "$work/bad" "$work/bad-pre"
	bad "$mnt/new"
}

# unreplayed MOUNT-OPTION: nobody's, as far as is known
unreplayed() {
	mounted "$loop" "$mnt" -o "ro,$1"
	[ ! -e "$mnt/new" ] || fail "the log was replayed"
	run 8 scan --badblocks="$work/bad" "$mnt"
	json "$codes == ['log-not-replayed', 'owner-unknown']" "$owners == ['unknown']" 'd["files"] == []'
	says "$mnt: is mounted without its log having been replayed"
	run 8 scan --lookup=walk --badblocks="$work/bad" "$mnt"
	json "$codes == ['log-not-replayed', 'owner-unknown']" "$owners == ['unknown']"
	run 8 scan --badblocks="$work/bad" "$mnt/old"
	json "$codes == ['log-not-replayed']" "$owners == [None]"
	run 8 map --badblocks="$work/bad" "$mnt/old"
	json "'log-not-replayed' in codes"
	run 8 locate --badblocks="$work/bad" "$loop" $(($(cut -d' ' -f1 "$work/bad") * 512))
	json "$codes == ['log-not-replayed', 'owner-unknown']" "[p['owner'] for p in d['places']] == ['unknown']"
	for target in "$mnt" "$mnt/pre"; do
		run 8 scan --badblocks="$work/bad-pre" "$target"
		json "'log-not-replayed' in codes and 'poison-unwritten' not in codes" "$owners == ['unknown']"
	done
	unmounted "$mnt"
	# as is advised
	mounted "$loop" "$mnt" -o ro
	for name in new pre; do
		list=$work/bad
		[ $name = new ] || list=$work/bad-pre
		run 4 scan --badblocks="$list" "$mnt"
		json "$codes == []" "[f['path'] for f in d['files']] == ['$mnt/$name']" "$owners == ['file']"
	done
	unmounted "$mnt"
}

filesystem xfs "$mnt"
prepared
mounted "$loop" "$mnt"
written
xfs_io -x -c 'shutdown -f' "$mnt" || fail shutdown
unmounted "$mnt"
unreplayed norecovery

filesystem ext4 "$mnt"
prepared
mounted "$loop" "$mnt" -o commit=300
written
# what a crash leaves
cp --sparse=always "$image" "$images/crashed" || fail cp
unmounted "$mnt"
loop=$(losetup -f --show "$images/crashed") || fail "no loop device"
loops+=("$loop")
unreplayed noload
# it says that nothing is left in its log
mounted "$loop" "$mnt" -o ro,noload
run 4 scan --badblocks="$work/bad" "$mnt"
json "$codes == []" "[f['path'] for f in d['files']] == ['$mnt/new']"
unmounted "$mnt"

# ---- the name in /dev is another device's, with a filesystem of the same size
name=$loop
filesystem ext4 "$mnt"
other=$loop
image=$images/crashed
unmounted "$mnt"
mounted "$name" "$mnt"
/usr/bin/python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.a", b"a" * 3000)' "$mnt/new" || fail setxattr
sync -f "$mnt"
attributes=$(debugfs -R "stat new" "$name" 2>/dev/null | sed -n 's/.*File ACL: \([0-9]*\).*/\1/p')
mount --bind "$other" "$name" || fail bind
mounts+=("$name")
run 4 scan --badblocks="$work/bad" "$mnt"
json "$codes == ['lookup-by-walk', 'siblings-unchecked']" "[f['path'] for f in d['files']] == ['$mnt/new']" "$owners == ['file']"
says "$mnt: has its inodes on a device whose name, $name, is another's here"
# of a file alone
echo "$((attributes * 8)) 1" >"$work/bad"
run 8 scan --badblocks="$work/bad" "$mnt/new"
json "'owner-unknown' in codes"
unmounted "$name"
run 4 scan --badblocks="$work/bad" "$mnt/new"
json "'attributes-lost' in codes"
unmounted "$mnt"
exit 0
