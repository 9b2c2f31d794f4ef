#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# repair on loop devices: listed sectors hold garbage, the rest is good, and afterwards every byte is what it was.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

# same DIRECTORY DIRECTORY: content and names
same() {
	settle "$mnt"
	diff -r "$1" "$2" >"$work/diff" || fail "not the same: $(head -3 "$work/diff")"
}

for type in ext4 xfs; do
	mnt=$work/$type
	backup=$work/backup-$type
	seed=$RANDOM
	echo "$type: seed $seed"
	filesystem $type "$mnt"
	mkdir -p "$mnt/tree/a"
	tools write "$mnt/tree/plain" 40 || fail write
	tools write "$mnt/tree/shuffled" 24 $seed || fail write
	tools write "$mnt/tree/a/tail" 3 - 700 || fail write
	tools write "$mnt/tree/a/tiny" 1 - 100 || fail write
	tools write "$mnt/tree/good" 4 || fail write
	chmod 4755 "$mnt/tree/plain"
	/usr/bin/python3 -c 'import os, sys; os.setxattr(sys.argv[1], "security.capability",
		bytes.fromhex("0100000200040000000000000000000000000000"))' "$mnt/tree/plain" || fail setxattr
	getfattr -d -m - --absolute-names "$mnt/tree/plain" >"$work/xattrs"
	sync -f "$mnt"
	cp -a "$mnt/tree" "$backup"
	tools pick "$image" $seed 24 "$mnt/tree/plain" "$mnt/tree/shuffled" "$mnt/tree/a/tail" >"$work/bad"
	# each file is hit, and the partly filled last pages are
	for place in "a/tiny 0" "a/tail 8704" "plain 0" "shuffled 8192"; do
		echo "$(($(tools where "$image" "$mnt/tree/${place% *}" "${place#* }") / 512)) 1" >>"$work/bad"
	done
	tools damage "$image" "$work/bad"
	settle "$mnt"
	diff -rq "$mnt/tree" "$backup" >/dev/null && fail "the damage does not show, so nothing is tested"
	settle "$mnt"

	# a dry run changes nothing, and pairs every file with its backup
	stat -c '%n %y %z %s' "$mnt"/tree/* "$mnt"/tree/a/* >"$work/before"
	sha256sum "$mnt"/tree/a/* "$mnt"/tree/[a-z][a-z]* >"$work/sums"
	settle "$mnt"
	repair 0 --from-backup="$backup" --dry-run "$mnt/tree"
	json 'd["dry_run"] and d["journal"] is None and codes[-1] == "dry-run"' \
		'all(p["backup"] == p["path"].replace("'"$mnt/tree"'", "'"$backup"'") for p in d["plan"])' \
		'all(s["length"] % 4096 == 0 and s["offset"] % 4096 == 0 for p in d["plan"] for s in p["steps"])' \
		'sum(s["lost_bytes"] for p in d["plan"] for s in p["steps"]) == d["summary"]["lost_bytes"] > 0' \
		'len(d["plan"]) == d["summary"]["files_affected"] == 4' \
		'not losses(d, "repaired")'
	says "$mnt/tree/shuffled <- $backup/shuffled: "
	settle "$mnt"
	stat -c '%n %y %z %s' "$mnt"/tree/* "$mnt"/tree/a/* | cmp -s - "$work/before" || fail "a dry run changes files"
	sha256sum -c --quiet "$work/sums" >/dev/null || fail "a dry run writes"
	[ ! -e "$work/journal" ] || fail "a dry run writes a journal"
	settle "$mnt"

	# nobody to ask: nothing is written
	repair 12 --from-backup="$backup" "$mnt/tree"
	json 'codes[-1] == "not-confirmed"' 'd["journal"] is None' 'set(losses(d)) == set(losses(d, "lost"))'
	sha256sum -c --quiet "$work/sums" >/dev/null || fail "written without a yes"
	settle "$mnt"

	repair 1 --from-backup="$backup" --yes "$mnt/tree"
	json 'd["summary"]["lost_bytes"] == 0 and d["summary"]["repaired_bytes"] > 0' \
		'set(losses(d)) == set(losses(d, "repaired", "past_eof", "unwritten"))' \
		'all(r["source"] == "backup" and r["method"] == "write" for f in d["files"] for r in f["ranges"]
			if r["state"] == "repaired" and r["offset"] < f["size"])' \
		'd["journal"].startswith("'"$work/journal"'/")'
	same "$mnt/tree" "$backup"
	[ "$(stat -c %a "$mnt/tree/plain")" = 4755 ] || fail "mode bits are gone"
	getfattr -d -m - --absolute-names "$mnt/tree/plain" | cmp -s - "$work/xattrs" || fail "capabilities are gone"
	[ "$(stat -c '%a %u' "$work/journal"/*)" = '600 0' ] || fail "the journal is for everybody to read"
	rm -r "$work/journal"

	# one file from one file; the report for people; a hard link as the target
	ln "$mnt/tree/plain" "$mnt/link"
	damaged "$mnt/tree/plain" 40960 3
	repair 1 --from-backup="$backup/plain" -y -u "$mnt/link"
	prints '1 file affected'
	prints '1.5 KiB repaired'
	prints "Journal: $work/journal/"
	same "$mnt/tree" "$backup"

	# the backup's place: below the mountpoint, and below --backup-root
	damaged "$mnt/tree/a/tail" 4096 2
	mkdir "$work/below-$type"
	cp -a "$backup" "$work/below-$type/tree"
	repair 1 --from-backup="$work/below-$type" -y "$mnt/tree/a/tail"
	same "$mnt/tree" "$backup"
	damaged "$mnt/tree/a/tail" 4096 2
	repair 1 --from-backup="$backup/a" --backup-root="$mnt/tree/a" -y "$mnt/tree/a/tail"
	same "$mnt/tree" "$backup"

	# a full disk under the report: done all the same, and said
	damaged "$mnt/tree/shuffled" 8192
	"$PMEM_RECOVER" repair --badblocks="$work/bad" --trust-badblocks --journal="$work/journal" -y \
		--from-backup="$backup" "$mnt/tree" >/dev/full 2>"$work/err"
	[ $? -eq 9 ] || fail "a full disk under stdout"
	says '512 B repaired'
	says 'Journal: '
	same "$mnt/tree" "$backup"

	# nothing is lost
	: >"$work/bad"
	repair 0 --from-backup="$backup" "$mnt/tree"
	json 'codes == ["nothing-to-repair"]' 'd["plan"] == [] and d["journal"] is None'
	says 'nothing to repair'
	fallocate -l 64K "$mnt/tree/unwritten"
	sync -f "$mnt"
	tools fiemap "$mnt/tree/unwritten" | while read -r _ physical _; do echo $((physical / 512)) 4; done >"$work/bad"
	repair 0 --from-backup="$backup" -y "$mnt/tree"
	json 'losses(d, "unwritten")' 'd["journal"] is None' 'codes[-1] == "nothing-to-repair"'
	rm "$mnt/tree/unwritten"

	# zeros, by request
	damaged "$mnt/tree/plain" 8192 2
	repair 4 --zero-fill --dry-run "$mnt/tree/plain"
	repair 4 --zero-fill -y "$mnt/tree/plain"
	json 'losses(d)["'"$mnt/tree/plain"'"] == [(8192, 1024, "zeroed")]' 'd["summary"]["zeroed_bytes"] == 1024' \
		'd["plan"][0]["backup"] is None'
	settle "$mnt"
	cp "$backup/plain" "$work/zeroed"
	dd if=/dev/zero of="$work/zeroed" bs=512 seek=16 count=2 conv=notrunc status=none
	cmp "$work/zeroed" "$mnt/tree/plain" || fail "zeros beside what was lost, or none in it"
	rm -r "$work/journal"
	unmounted "$mnt"
done
