#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Odd things in a tree: names that are not UTF-8, FIFOs, device nodes, symbolic links, holes, blocks that were never
# written or lie past the end, files of 0 bytes and of 8 EiB. Nothing blocks, nothing is called lost that is not.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

for type in ext4 xfs; do
	mnt=$work/$type
	filesystem $type "$mnt"
	tools write "$mnt/"$'name-\xff\xfe\n' 4
	mkdir "$mnt/"$'dir-\xc3'
	tools write "$mnt/"$'dir-\xc3/file' 4
	mkfifo "$mnt/fifo"
	mknod "$mnt/null" c 1 3
	mknod "$mnt/block" b 7 0
	ln -s / "$mnt/link-to-root"
	ln -s loop "$mnt/loop"
	ln -s /dev/null "$mnt/dangling"
	: >"$mnt/empty"
	/usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$mnt/socket"
	# allocated and never written; a little data so that the blocks are real
	fallocate -l 64K "$mnt/unwritten"
	# past the end: allocated with the size kept, and written before the end moved
	tools write "$mnt/past" 4
	fallocate -n -o 16K -l 16K "$mnt/past"
	if [ $type = xfs ]; then
		truncate -s 9223372036854775807 "$mnt/huge"
	else
		truncate -s 16T "$mnt/huge" 2>/dev/null || truncate -s 15T "$mnt/huge"
	fi
	printf 'x' | dd of="$mnt/huge" conv=notrunc bs=4096 seek=1000 status=none
	settle "$mnt"

	{
		echo "# device $loop"
		for file in "$mnt/"$'name-\xff\xfe\n' "$mnt/"$'dir-\xc3/file'; do
			echo $(($(tools where "$image" "$file" 4096) / 512)) 1
		done
		# the first extent whole, past the end too
		for file in unwritten past huge; do
			tools fiemap "$mnt/$file" | while read -r _ physical length _; do
				echo $((physical / 512)) $((length / 512))
			done
		done
	} >"$work/bad"
	settle "$mnt"
	timeout 60 "$PMEM_RECOVER" scan --badblocks="$work/bad" "$mnt" >"$work/out" 2>"$work/err"
	status=$?
	[ $status -eq 4 ] || fail "$type: status $status"
	json 'set(losses(d, "lost")) == {os.path.join("'"$mnt"'", n) for n in
			("name-\udcff\udcfe\n", "dir-\udcc3/file", "past", "huge")}' \
		'all("\ufffd" in f["path"] for f in d["files"] if "path_base64" in f)' \
		'sum("path_base64" in f for f in d["files"]) == 2' \
		'losses(d, "lost")["'"$mnt"'/dir-\udcc3/file"] == [(4096, 512, "lost")]' \
		'losses(d, "lost")["'"$mnt"'/past"] == [(0, 16384, "lost")]' \
		'sum(r[1] for r in losses(d, "past_eof")["'"$mnt"'/past"]) == 16384' \
		'losses(d)["'"$mnt"'/unwritten"] == [(0, 65536, "unwritten")]' \
		'losses(d, "lost")["'"$mnt"'/huge"][0][0] == 4096000' \
		'd["summary"]["files_affected"] == 4'
	run 4 scan -u --badblocks="$work/bad" "$mnt"
	prints '/name-\xff\xfe\x0a'
	prints '/dir-\xc3/file'

	# by name: what is no file of data has nothing to lose, and is refused rather than opened
	for odd in fifo null socket; do
		timeout 10 "$PMEM_RECOVER" scan --badblocks="$work/bad" "$mnt/$odd" >"$work/out" 2>"$work/err"
		status=$?
		[ $status -eq 8 ] || fail "$type: $odd: status $status"
		json 'd["files"] == [] or not d["files"][0]["complete"]'
		says "pmem-recover: $mnt/$odd: "
	done
	run 0 scan --badblocks="$work/bad" "$mnt/empty"
	unmounted "$mnt"
done

run 8 scan "$work/no-such-file"
says "pmem-recover: $work/no-such-file: "
json 'not d["complete"]'
run 8 scan "$work/no-such-file" "$work/neither"
says "pmem-recover: $work/neither: "
run 8 scan namespace77.0
says 'pmem-recover: namespace77.0: '

# A mounted filesystem whose type nobody tells: what its extents mean is not known, and that is said.
filesystem ext4 "$work/untyped"
tools write "$work/untyped/file" 4
echo "$(($(tools where "$image" "$work/untyped/file" 0) / 512)) 1" >"$work/bad"
settle "$work/untyped"
for target in "$work/untyped/file" "$work/untyped"; do
	# its device is hidden from libblkid, the mounts from libmount
	unshare -m bash -c 'mount --bind /dev/null /proc/$$/mountinfo && mount --bind /dev/null /proc/$$/mounts &&
			mount -t tmpfs none /dev || exit 99
		exec "$0" scan --badblocks="$1" "$2"' "${PMEM_RECOVER%-valgrind}" "$work/bad" "$target" >"$work/out" 2>"$work/err"
	status=$?
	[ $status -eq 8 ] || fail "a filesystem of unknown type: status $status"
	json '"filesystem-unknown" in codes' 'd["files"] == []'
	says "pmem-recover: "
done
