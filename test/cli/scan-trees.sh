#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scan names exactly the bytes that are bad, on ext4 and XFS: shuffled extents, a hard link, a partly filled last
# page, a file in a directory, and on XFS blocks that two files share.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

for type in ext4 xfs; do
	mnt=$work/$type
	filesystem $type "$mnt"
	seed=$((RANDOM))
	echo "$type: seed $seed"
	mkdir -p "$mnt/a/b"
	tools write "$mnt/plain" 64 || fail write
	tools write "$mnt/shuffled" 48 $seed || fail write
	tools write "$mnt/a/b/tail" 9 - 700 || fail write
	tools write "$mnt/a/linked" 16 $((seed + 1)) || fail write
	ln "$mnt/a/linked" "$mnt/z-link"
	tools write "$mnt/good" 1 || fail write
	# a tail that is cut within its page, and a sector of it too
	tools write "$mnt/short" 1 - 100 || fail write
	files=("$mnt/plain" "$mnt/shuffled" "$mnt/a/b/tail" "$mnt/a/linked" "$mnt/z-link" "$mnt/good" "$mnt/short")
	if [ $type = xfs ]; then
		cp --reflink=always "$mnt/shuffled" "$mnt/copy" || fail reflink
		# a file that holds a block twice
		xfs_io -c "reflink $mnt/plain 0 131072 65536" "$mnt/plain" >/dev/null || fail reflink
		files+=("$mnt/copy")
	fi
	settle "$mnt"
	for round in 1 2 3; do
		tools pick "$image" $((seed + round)) $((round * 12)) "${files[@]:0:5}" >"$work/bad" || fail pick
		settle "$mnt"
		run 4 scan --badblocks="$work/bad" "$mnt"
		json 'd["summary"]["files_affected"] == len(losses(d, "lost"))' \
			'all(r["owner"] in ("file", "unwritten") for r in d["devices"][0]["badblocks"]["ranges"])' \
			'd["devices"][0]["filesystem"]["type"] == "'$type'"'
		tools oracle "$image" "$work/bad" "$work/out" "${files[@]}" || fail "$type, seed $seed, round $round"
	done
	if [ $type = xfs ]; then
		json '[r["shared"] for f in d["files"] if f["path"].endswith("/copy") for r in f["ranges"]].count(False) == 0' \
			'any(f["path"].endswith("/shuffled") for f in d["files"]) == any(f["path"].endswith("/copy") for f in d["files"])'
	fi

	# one file alone, by a relative name and by the device
	settle "$mnt"
	(cd "$mnt" && "$PMEM_RECOVER" scan --badblocks="$work/bad" shuffled) >"$work/one" 2>"$work/err"
	tools oracle "$image" "$work/bad" <(sed 's,"path": "shuffled","path": "'"$mnt"'/shuffled",' "$work/one") \
		"$mnt/shuffled" || fail "one file"
	settle "$mnt"
	run 4 scan --badblocks="$work/bad" "$loop"
	tools oracle "$image" "$work/bad" "$work/out" "${files[@]}" || fail "$type by its device"
	unmounted "$mnt"
done
