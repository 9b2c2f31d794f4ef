#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a repair overwrote with zeros is remembered: scan and health tell it until a backup restores it, or somebody
# acknowledges it; of a file that was changed since, nothing is taken for known.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root
command -v strace >/dev/null || fail "needs strace"

: >"$work/none"

# look STATUS ARGUMENT...: a scan with an empty list
look() {
	local wanted=$1

	shift
	run "$wanted" scan --badblocks="$work/none" "$@"
}

# restore STATUS ARGUMENT...: a repair from the backup with an empty list
restore() {
	local wanted=$1

	shift
	run "$wanted" repair --badblocks="$work/none" --journal="$work/journal" --from-backup="$backup" "$@"
}

# zeroed FILE OFFSET [COUNT]: sectors are lost and made zeros
zeroed() {
	damaged "$@"
	repair 4 --zero-fill -y "$1"
	json 'losses(d, "zeroed")' '"zeroed-not-kept" not in codes'
}

# remembers N: so many files
remembers() {
	local n

	n=$(find $state/zeroed -type f 2>/dev/null | wc -l)
	[ "$n" -eq "$1" ] || fail "$n files are remembered instead of $1"
}

same() {
	settle "$mnt"
	cmp "$mnt/$1" "$backup/$1" || fail "$1 is not what it was"
	settle "$mnt"
}

for type in ext4 xfs; do
	mnt=$work/$type
	backup=$work/backup-$type
	filesystem $type "$mnt"
	mkdir "$mnt/dir" "$mnt/other" "$backup"
	odd=$'dir/f\xfffile'
	tools write "$mnt/file" 40 || fail write
	tools write "$mnt/dir/tail" 3 - 700 || fail write
	tools write "$mnt/$odd" 4 || fail write
	chmod 4755 "$mnt/file"
	sync -f "$mnt"
	cp -a "$mnt"/file "$mnt"/dir "$backup"
	uuid=$(blkid -s UUID -o value "$loop")
	id=${uuid%%-*}-$(stat -c %i "$mnt/file")

	# ---- nothing
	look 0 "$mnt"
	json 'd["zeroed"] == []'
	[ ! -e $state/zeroed ] || fail "there is a directory for nothing"

	# ---- zeroed: told of what holds the file, and of nothing else
	begin=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	zeroed "$mnt/file" 8192 2
	remembers 1
	[ "$(stat -c %a $state/zeroed $state/zeroed/*)" = "$(printf '700\n600')" ] || fail "modes"
	[ -f "$state/zeroed/$id" ] || fail "the name is $(ls $state/zeroed)"
	for target in "$mnt" "$mnt/file" "$mnt/dir/.." "$loop"; do
		look 4 "$target"
		json '[(z["id"], z["path"], z["offset"], z["length"]) for z in d["zeroed"]] == [
			("'"$id@8192"'", "'"$mnt/file"'", 8192, 1024)]' \
			'all(z["file"] == "same" and z["filesystem_uuid"] == "'"$uuid"'" for z in d["zeroed"])' \
			'all(z["inode"] == os.stat("'"$mnt/file"'").st_ino for z in d["zeroed"])' \
			'all("'"$begin"'" <= z["zeroed_at"] for z in d["zeroed"])' \
			'codes == ["zeroed-remembered"] and d["summary"]["lost_bytes"] == 0 and d["files"] == []'
		says "$mnt/file: 1024 bytes, the first at byte 8192"
		says "repair --from-backup=PATH"
		says "--acknowledge=$id"
	done
	for target in "$mnt/dir" "$mnt/other" "$mnt/dir/tail"; do
		look 0 "$target"
		json 'd["zeroed"] == [] and codes == []'
	done
	look 4 -u "$mnt"
	prints "$mnt/file: 1 KiB at byte 8192 overwritten with zeros "
	prints ": $id@8192"
	prints "); 1 KiB zeroed"
	look 4 -q "$mnt"
	says "1 KiB at byte 8192 overwritten with zeros "
	# a copy has them too
	run 4 salvage --badblocks="$work/none" "$mnt/file" -o "$work/copy-$type" -u
	prints ": $id@8192"
	prints ": 160 KiB rescued, 1 KiB zeroed by a repair"
	run 4 salvage --badblocks="$work/none" "$mnt/file" -o "$work/copy-$type" --force
	json '[z["id"] for z in d["zeroed"]] == ["'"$id@8192"'"]' 'codes == ["zeroed-remembered"]' \
		'd["salvage"]["lost_bytes"] == 0 and d["files"] == []'
	run 0 salvage --badblocks="$work/none" "$mnt/dir/tail" -o "$work/copy-$type" --force -u
	prints ", nothing lost"
	# what is zeroed is no loss that zeros could mend
	run 0 repair --badblocks="$work/none" --zero-fill -y "$mnt"
	run 4 health
	json '[z["id"] for z in d["zeroed"]] == ["'"$id@8192"'"]' 'd["zeroed"][0]["file"] is None' \
		'"zeroed-remembered" in codes'
	run 4 health -u
	prints "$mnt/file: 1 KiB at byte 8192 overwritten with zeros "
	run 4 health -q
	says ": $id@8192"

	# ---- more of the same file, in two repairs; the changes that are a repair's own do not count
	zeroed "$mnt/file" 40960
	remembers 1
	zeroed "$mnt/dir/tail" 8192 2
	remembers 2
	look 4 "$mnt"
	json 'sorted((z["path"], z["offset"], z["length"]) for z in d["zeroed"]) == sorted([("'"$mnt/dir/tail"'", 8192, 700),
			("'"$mnt/file"'", 8192, 1024), ("'"$mnt/file"'", 40960, 512)])' \
		'all(z["file"] == "same" for z in d["zeroed"])'
	[ "$(stat -c %a "$mnt/file")" = 4755 ] || fail "mode"

	# ---- restored
	restore 0 --dry-run "$mnt"
	json 'd["summary"]["lost_bytes"] == 1024 + 512 + 700' \
		'all(r["vanished"] for f in d["files"] for r in f["ranges"])'
	remembers 2
	restore 1 -y "$mnt/file"
	json 'losses(d, "repaired") == {"'"$mnt/file"'": [(8192, 1024, "repaired"), (40960, 512, "repaired")]}'
	same file
	remembers 1
	restore 1 -y "$mnt"
	json 'list(losses(d)) == ["'"$mnt/dir/tail"'"]'
	same dir/tail
	remembers 0
	look 0 "$mnt"
	json 'd["zeroed"] == []'
	restore 0 -y "$mnt"
	json 'codes == ["nothing-to-repair"]'

	# ---- with a loss beside it: both are written; what a backup does not have stays
	zeroed "$mnt/file" 8192
	damaged "$mnt/file" 16384
	repair 1 --from-backup="$backup" -y "$mnt"
	json 'losses(d, "repaired") == {"'"$mnt/file"'": [(8192, 512, "repaired"), (16384, 512, "repaired")]}'
	same file
	zeroed "$mnt/file" 8192
	mkdir -p "$work/empty"
	run 4 repair --badblocks="$work/none" --journal="$work/journal" --from-backup="$work/empty" -y "$mnt"
	json 'losses(d, "skipped") == {"'"$mnt/file"'": [(8192, 512, "skipped")]}'
	remembers 1
	# by the report of the memory itself
	run 1 repair --badblocks="$work/none" --journal="$work/journal" --from-backup="$backup" -y \
		--ranges="$state/zeroed/$id"
	same file
	remembers 0

	# ---- a name that is no UTF-8, a relative target, a punch
	cd "$mnt/dir" || exit 1
	damaged "$mnt/$odd" 8192
	repair 4 --zero-fill --method=punch -y ./f*
	json 'losses(d, "zeroed")'
	cd / || exit 1
	remembers 1
	look 4 "$mnt"
	json 'exact_path(d["zeroed"][0]) == os.fsencode("'"$mnt"'/dir/f\udcfffile")' 'd["zeroed"][0]["file"] == "same"'
	restore 1 -y "$mnt"
	same "$odd"
	remembers 0

	# ---- killed when the zeros are written and not yet remembered: the journal is unfinished, and a resume remembers
	damaged "$mnt/file" 8192 2
	strace -qq -f -o /dev/null -P $state/zeroed -e trace=renameat -e inject=renameat:signal=KILL "$PMEM_RECOVER" repair \
		--badblocks="$work/bad" --trust-badblocks --journal="$work/killed" --zero-fill -y "$mnt/file" \
		>"$work/out" 2>"$work/err"
	[ $? -eq 137 ] || fail "it was not killed"
	look 8 --journal="$work/killed" "$mnt"
	json 'd["zeroed"] == []'
	run 8 salvage --badblocks="$work/none" --journal="$work/killed" "$mnt/file" -o "$work/copy-$type" --force
	json 'codes == ["unfinished-journal"]' 'd["salvage"]["lost_bytes"] == 0'
	"$PMEM_RECOVER" repair --resume --journal="$work/killed" --trust-badblocks -y >"$work/out" 2>"$work/err"
	[ $(($? & 4)) -eq 4 ] || fail "the resume says nothing of zeros"
	look 4 --journal="$work/killed" "$mnt"
	json '[z["offset"] for z in d["zeroed"]] == [8192] and d["zeroed"][0]["file"] == "same"'
	restore 1 -y "$mnt"
	same file
	remembers 0

	# ---- changed: nobody knows; nothing is written
	zeroed "$mnt/file" 8192
	printf x | dd of="$mnt/file" bs=1 seek=100 conv=notrunc status=none
	look 4 "$mnt"
	json 'codes == ["zeroed-changed"] and d["zeroed"][0]["file"] == "changed"'
	says '(other: change time)'
	sum=$(sha256sum <"$mnt/file")
	restore 4 -y "$mnt"
	json '"zeroed-changed" in codes and d["journal"] is None'
	[ "$(sha256sum <"$mnt/file")" = "$sum" ] || fail "a changed file was written"
	remembers 1
	run 4 health
	# what is zeroed now is another matter, and both are told
	zeroed "$mnt/file" 40960
	remembers 2
	look 4 "$mnt"
	json 'sorted((z["id"], z["file"]) for z in d["zeroed"]) == [("'"$id.2@40960"'", "same"), ("'"$id@8192"'", "changed")]'
	run 12 health --acknowledge="$id@40960"
	json '"not-vanished" in codes'
	says "there is $id@8192, $id.2@40960"
	run 4 health --acknowledge="$id@8192"
	json '"acknowledged" in codes'
	remembers 1
	cp -a "$backup/file" "$mnt/file"
	sync -f "$mnt"
	run 0 health --acknowledge="$loop"
	remembers 0

	# ---- not there
	zeroed "$mnt/file" 8192
	mv "$mnt/file" "$mnt/moved"
	look 4 "$mnt"
	json 'codes == ["zeroed-gone"] and d["zeroed"][0]["file"] == "gone"'
	restore 4 -y "$mnt"
	mv "$mnt/moved" "$mnt/file"
	unmounted "$mnt"
	run 12 scan "$mnt"
	json '"zeroed-gone" in codes'
	run 4 health
	run 0 health --acknowledge="$mnt/file"
	json 'd["zeroed"] == []'
	remembers 0

	# ---- it cannot be remembered: said, and the report says where
	mounted "$loop" "$mnt"
	damaged "$mnt/dir/tail" 0
	rm -rf $state/zeroed
	: >$state/zeroed
	repair 4 --zero-fill -y "$mnt"
	json 'codes == ["zeroed-not-kept"]'
	says 'keep this report'
	cp "$work/out" "$work/report"
	look 8 "$mnt"
	json 'd["zeroed"] is None and "zeroed-unreadable" in codes'
	rm $state/zeroed
	restore 1 -y --ranges="$work/report" "$mnt"
	same dir/tail
	unmounted "$mnt"
done
