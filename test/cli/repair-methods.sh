#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# repair --method= on loop devices: a plain write, the flag refused, the punch, and a punch whose write fails; and what
# an earlier report knows of that holds the right bytes already.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

# same NAME: the file is what it was, also on the medium
same() {
	settle "$mnt"
	cmp "$mnt/$1" "$backup/$1" || fail "$1 is not what it was"
}

# extents NAME: where it lies
extents() {
	filefrag -b1 -v "$mnt/$1" | grep -E '^ +[0-9]+:'
}

# on_medium NAME OFFSET: byte of the image that has that byte of the file
on_medium() {
	tools where "$image" "$mnt/$1" "$2"
}

# lost PLACE...: two sectors at each, a file's name and an offset, are lost; they go to $work/bad
lost() {
	local place

	: >"$work/bad"
	for place in "$@"; do
		echo "$(($(on_medium "${place% *}" "${place#* }") / 512)) 2" >>"$work/bad"
	done
	tools damage "$image" "$work/bad" || fail damage
	settle "$mnt"
}

# a full disk under the file
cat >"$work/no-space" <<EOF
#!/bin/sh
exec strace -qq -f -o /dev/null -P $work/ext4/file -P $work/xfs/file -e trace=pwritev2 -e inject=pwritev2:error=ENOSPC $(program) "\$@"
EOF
chmod +x "$work/no-space"

for type in ext4 xfs; do
	mnt=$work/$type
	backup=$work/backup-$type
	filesystem $type "$mnt"
	mkdir "$backup"
	tools write "$mnt/file" 100 || fail write
	tools write "$mnt/tail" 3 - 1234 || fail write
	sync -f "$mnt"
	cp -a "$mnt"/file "$mnt"/tail "$backup"

	# ---- the flag is for DAX
	lost "file 8192" "file 303104" "tail 8192"
	repair 4 -y --method=flag --from-backup="$backup" "$mnt"
	json 'd["summary"]["repaired_bytes"] == 0' 'all(r["reason"] == "no-flag" for f in d["files"] for r in f["ranges"])' \
		'all(p["refused"] == "no-flag" and p["method"] is None and not p["steps"] for p in d["plan"])'
	says "is not mounted DAX"

	# ---- the plan has the method, and what the punch costs
	repair 0 --dry-run --from-backup="$backup" "$mnt"
	json '[p["method"] for p in d["plan"]] == ["write", "write"]' '"punch-cost" not in codes'
	says "method write"
	repair 0 --dry-run --method=punch --from-backup="$backup" "$mnt"
	json '[p["method"] for p in d["plan"]] == ["punch", "punch"]' 'codes.count("punch-cost") == 1'
	says "in 2 writes, method punch: moves its blocks, may fragment it, and leaves the poison in free space"

	# ---- the punch
	before=$(extents file)
	size=$(stat -c '%s %b' "$mnt/tail")
	repair 1 -y --method=punch --from-backup="$backup" "$mnt"
	json 'all(r["method"] == "punch" and r["state"] == "repaired" for f in d["files"] for r in f["ranges"] if r["offset"] < f["size"])' \
		'd["summary"]["repaired_bytes"] == 3 * 1024' 'codes.count("poison-left") == 2' 'd["journal"].endswith(".done")' \
		'all(r["owner"] == "free" for r in d["devices"][0]["badblocks"]["ranges"])'
	says "2048 bytes of poison that were in $mnt/file lie in free space now"
	same file
	same tail
	[ "$(extents file)" != "$before" ] || fail "no block has moved"
	[ "$(stat -c '%s %b' "$mnt/tail")" = "$size" ] || fail "tail has another size"

	# ---- above the limit on the size of files nothing is written, nor punched
	lost "file 8192" "file 303104"
	for method in punch write; do
		(
			ulimit -f 128
			repair 4 -y --method=$method --from-backup="$backup" "$mnt/file"
		) || exit 1
		status=4
		json 'losses(d)["'"$mnt/file"'"][-1] == (303104, 1024, "skipped")' 'd["files"][0]["ranges"][-1]["reason"] == "file-size-limit"' \
			'd["journal"].endswith(".done")'
		says "ulimit -f"
		settle "$mnt"
		cmp -n 303104 "$mnt/file" "$backup/file" || fail "what is below the limit was not repaired"
		cmp -i 307200 "$mnt/file" "$backup/file" || fail "something else was written"
		settle "$mnt"
		[ $method = write ] || sed -i 1d "$work/bad"
	done
	repair 1 -y --from-backup="$backup" "$mnt/file"
	same file
	(
		ulimit -f 128
		run 8 salvage "$mnt/file" --badblocks="$work/bad" -o "$work/copy"
	) || exit 1
	says "File too large"
	rm -f "$work/copy"

	# ---- the punch, and then nothing can be written: the bytes are in the journal, and it is said where
	lost "file 303104"
	rm -r "$work/journal"
	(
		PMEM_RECOVER=$work/no-space
		export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
		repair 4 -y --method=punch --from-backup="$backup" "$mnt/file"
	) || exit 1
	status=4
	json 'losses(d) == {"'"$mnt/file"'": [(303104, 1024, "failed")]}' 'd["journal"].endswith(".journal")' \
		'd["files"][0]["ranges"][0]["reason"] == "punched-not-written"' '"not-repaired" not in codes'
	journal=$(echo "$work"/journal/*.journal)
	says "its 4096 bytes from byte 303104 on were given back, and No space left on device; they are in the journal $journal from byte"
	at=$(sed -n 's/.*journal from byte \([0-9]*\) on.*/\1/p' "$work/err")
	cmp -s "$mnt/file" "$backup/file" && fail "nothing was punched"
	dd if="$journal" of="$mnt/file" bs=1 skip="$at" seek=303104 count=4096 conv=notrunc status=none || fail dd
	same file
	# until it is known what is to become of its journal, nothing else is written; its new blocks may be its old ones
	: >"$work/bad"
	repair 8 -y --from-backup="$backup" "$mnt/file"
	json '"unfinished-journal" in codes'
	run 0 journal --journal="$work/journal" --set-aside "$journal"

	# ---- no list has it any more
	lost "file 8192" "file 303104" "tail 8192"
	run 4 scan --badblocks="$work/bad" "$mnt"
	cp "$work/out" "$work/report"
	cp "$work/bad" "$work/was"
	: >"$work/bad"
	# one range has come to hold what it should, another to hold something else
	dd if="$backup/file" of="$image" bs=1 skip=8192 seek=$(($(sed -n '1s/ .*//p' "$work/was") * 512)) \
		count=1024 conv=notrunc status=none || fail dd
	settle "$mnt"
	repair 1 -y --from-backup="$backup" --ranges="$work/report" "$mnt"
	json '[(r["offset"], r["state"], r.get("reason"), r.get("method")) for f in d["files"] for r in f["ranges"]
			if f["path"].endswith("/file")] == [(8192, "repaired", "already-equal", None), (303104, "repaired", None, "write")]' \
		'all(r["vanished"] and r["source"] == "backup" for f in d["files"] for r in f["ranges"])'
	same file
	same tail
	# all of it right already: nothing is written
	lost "file 8192"
	run 4 scan --badblocks="$work/bad" "$mnt/file"
	cp "$work/out" "$work/report"
	cp "$work/bad" "$work/was"
	: >"$work/bad"
	dd if="$backup/file" of="$image" bs=1 skip=8192 seek=$(($(sed -n '1s/ .*//p' "$work/was") * 512)) count=1024 conv=notrunc \
		status=none || fail dd
	settle "$mnt"
	time=$(stat -c '%.Y %.Z' "$mnt/file")
	repair 1 -y --from-backup="$backup" --ranges="$work/report" "$mnt/file"
	json 'd["files"][0]["ranges"][0]["reason"] == "already-equal"'
	[ "$(stat -c '%.Y %.Z' "$mnt/file")" = "$time" ] || fail "the file was written"
	same file

	# ---- the device fails after the write: that is said, once of a file, and a resume looks again
	rm -rf "$work/journal"
	fails=(repair --yes --badblocks="$work/bad" --trust-badblocks --journal="$work/journal" --from-backup="$backup" "$mnt/file")
	traced=(env ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0" strace -qq -f -P "$loop" -P "$mnt/file" -e trace=pread64,pwritev2)
	lost "file 8192" "file 303104"
	"${traced[@]}" -o "$work/trace" "$(program)" "${fails[@]}" >"$work/out" 2>"$work/err" </dev/null
	same file
	reads=$(sed '/pwritev2/q' "$work/trace" | grep -c 'pread64(')
	lost "file 8192" "file 303104"
	"${traced[@]}" -o /dev/null -e "inject=pread64:error=ENXIO:when=$((reads + 1))+" "$(program)" "${fails[@]}" \
		>"$work/out" 2>"$work/err" </dev/null
	status=$?
	json 'codes.count("unread") == 1' '"spoiled" not in codes' 'd["journal"].endswith(".journal")' \
		'[r["reason"] for f in d["files"] for r in f["ranges"]] == ["read-back-error"] * 2'
	run 1 repair --resume --yes --badblocks="$work/bad" --trust-badblocks --journal="$work/journal"
	same file
	unmounted "$mnt"
done
