#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# repair --ranges on loop devices: a scan had a list, now there is none, and what it said is repaired all the same; but
# only in files that are what they were.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

: >"$work/none"

# take STATUS ARGUMENT...: repair with no list at all
take() {
	local wanted=$1

	shift
	run "$wanted" repair --badblocks="$work/none" --journal="$work/journal" "$@"
}

# scanned TARGET...: a report of what is lost by the list in $work/bad
scanned() {
	run 4 scan --badblocks="$work/bad" "$@"
	json 'losses(d, "lost")'
	cp "$work/out" "$work/report"
}

# edit EXPRESSION: the report, changed by a statement of Python about d
edit() {
	/usr/bin/python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
f = [f for f in d["files"] if f["path"].endswith("/file")][0]
r = f["ranges"][0]
exec(sys.argv[3])
json.dump(d, open(sys.argv[2], "w"))' "$work/report" "$work/edited" "$1" || fail "edit"
}

# same: the file is what it was
same() {
	settle "$mnt"
	cmp "$mnt/$1" "$backup/$1" || fail "$1 is not what it was"
}

# unchanged: nothing was written
unchanged() {
	settle "$mnt"
	[ "$(sha256sum <"$mnt/file")" = "$damage" ] || fail "the file was changed"
	[ ! -e "$work/journal" ] || fail "there is a journal"
	settle "$mnt"
}

for type in ext4 xfs; do
	mnt=$work/$type
	backup=$work/backup-$type
	filesystem $type "$mnt"
	mkdir "$mnt/dir" "$backup"
	tools write "$mnt/file" 40 || fail write
	tools write "$mnt/shuffled" 24 7 || fail write
	tools write "$mnt/dir/tail" 3 - 700 || fail write
	sync -f "$mnt"
	cp -a "$mnt"/file "$mnt"/shuffled "$mnt"/dir "$backup"
	for place in "file 8192" "file 131072" "shuffled 4096" "dir/tail 8192"; do
		echo "$(($(tools where "$image" "$mnt/${place% *}" "${place#* }") / 512)) 2" >>"$work/bad"
	done
	tools damage "$image" "$work/bad"
	settle "$mnt"
	damage=$(sha256sum <"$mnt/file")
	settle "$mnt"
	scanned "$mnt"
	json 'd["host"] == os.uname().nodename and d["directory"] == os.getcwd()' \
		'all(f["generation"] is None or f["generation"] > 0 for f in d["files"])' \
		'all(os.stat(f["path"]).st_ctime_ns == f["change_time"]["seconds"] * 10**9 + f["change_time"]["nanoseconds"]
			for f in d["files"])' \
		'all(f["filesystem_uuid"] == d["devices"][0]["filesystem"]["uuid"] for f in d["files"])' \
		'not any(r["vanished"] for f in d["files"] for r in f["ranges"])'

	# ---- the plan: nothing is listed any more
	run 0 scan --badblocks="$work/none" "$mnt"
	take 0 --dry-run --from-backup="$backup" --ranges="$work/report"
	json 'len(d["files"]) == len(d["plan"]) == 3' 'd["summary"]["lost_bytes"] == 2048 + 1024 + 700' \
		'all(r["vanished"] and r["state"] == "lost" for f in d["files"] for r in f["ranges"])'
	says "(2 KiB is in no list any more)"
	unchanged
	cp "$work/out" "$work/dry"
	take 12 --from-backup="$backup" --ranges="$work/report"
	json '"not-confirmed" in codes'
	unchanged

	# ---- which files: those at or below the targets
	while read -r n target; do
		take 4 --dry-run --zero-fill --ranges="$work/report" $target
		json "len(d['files']) == $n"
	done <<-END
		1 $mnt/dir
		1 $mnt/dir/tail
		1 $mnt/dir/..//dir/tail
		2 $mnt/file $mnt/shuffled
		3 $mnt
		3 $mnt/dir/.. $mnt/file
		3 $loop
	END
	ln -s ../dir "$mnt/dir/link"
	take 4 --dry-run --zero-fill --ranges="$work/report" "$mnt/dir/link/"
	json 'len(d["files"]) == 1'
	rm "$mnt/dir/link"
	mkdir "$mnt/fil"
	take 0 --zero-fill -y --ranges="$work/report" "$mnt/fil"
	json 'codes == ["ranges-left-out", "nothing-to-repair"]'
	says 'not among the targets: 3'
	unchanged

	# ---- refused as a whole, by name
	while IFS='|' read -r code text change; do
		edit "$change"
		take 8 -y --from-backup="$backup" --ranges="$work/edited" "$mnt/file"
		json "'$code' in codes" 'd["files"] == []'
		says "pmem-recover: $work/edited: "
		says "$text"
		unchanged
	done <<-'END'
		ranges-other-host|'elsewhere'|d["host"] = "elsewhere"
		ranges-other-command|'map'|d["command"] = "map"
		ranges-version|format 2|d["format_version"] = [2, 0]
		ranges-malformed|old version|del d["host"]
		ranges-malformed|no devices|del d["devices"]
	END
	head -c 1000 "$work/report" >"$work/edited"
	take 8 -y --from-backup="$backup" --ranges="$work/edited" "$mnt/file"
	says 'ends in the middle'
	run 4 scan -u --badblocks="$work/bad" "$mnt"
	cp "$work/out" "$work/edited"
	take 8 -y --from-backup="$backup" --ranges="$work/edited"
	json 'codes == ["ranges-malformed", ]'
	says '--human'
	take 8 -y --from-backup="$backup" --ranges="$work/no-such-report"
	json 'codes == ["ranges-unreadable"]'
	unchanged

	# ---- a file that is another
	while IFS='|' read -r code text change; do
		edit "$change"
		take 8 -y --from-backup="$backup" --ranges="$work/edited" "$mnt/file"
		json "'$code' in codes" 'codes[-1] == "nothing-to-write"' \
			'[(f["complete"], f["ranges"]) for f in d["files"]] == [(False, [])]'
		says "pmem-recover: $mnt/file: "
		says "$text"
		unchanged
	done <<-'END'
		changed|(other: inode)|f["inode"] += 1
		changed|(other: size)|f["size"] += 1
		changed|(other: generation)|f["generation"] = (f["generation"] or 0) + 1
		changed|(other: change time)|f["change_time"]["nanoseconds"] ^= 1
		changed|(other: change time)|f["change_time"]["seconds"] -= 1
		changed|(other: filesystem UUID)|f["filesystem_uuid"] = "00000000-0000-0000-0000-000000000000"
		changed|(other: filesystem UUID)|f["filesystem_uuid"] = None
		changed|(other: inode, size)|f["inode"] += 1; f["size"] += 1
		moved|does not lie where it lay|r["device_offset"] += 4096
		moved|does not lie where it lay|f["ranges"][-1]["device_offset"] -= 512
	END
	if [ $type = xfs ]; then
		cp --reflink=always "$mnt/file" "$mnt/clone" || fail clone
		sync -f "$mnt"
		take 8 -y --from-backup="$backup" --ranges="$work/report" "$mnt/file"
		json '"shared" in codes'
		rm "$mnt/clone"
		sync -f "$mnt"
		scanned "$mnt"
	fi

	# ---- what was not listed and can be read again is kept: the siblings in a page that was taken offline
	edit 'd["devices"][0]["badblocks"]["ranges"] = []; r["reason"] = "page-offlined"'
	take 0 -y --from-backup="$backup" --ranges="$work/edited" "$mnt/file"
	says 'were never listed'
	json '"readable" in codes' 'codes[-1] == "nothing-to-repair"'
	unchanged
	# unless it was written to, or an earlier report vouches for it
	edit 'd["devices"][0]["badblocks"]["ranges"] = []; r["state"] = "failed"; f["ranges"][-1]["vanished"] = True'
	take 0 --dry-run --from-backup="$backup" --ranges="$work/edited" "$mnt/file"
	json 'd["summary"]["lost_bytes"] == 2048'

	# ---- what only the page cache had
	edit 'r["state"] = "cached"'
	cat "$mnt/file" >"$work/cached"
	take 8 --dry-run --from-backup="$backup" --ranges="$work/edited" "$mnt/file"
	json '"vanished-cached" in codes' 'd["summary"]["lost_bytes"] == 1024'
	settle "$mnt"

	# ---- a report that does not know everything
	edit 'd["complete"] = False'
	take 8 --dry-run --from-backup="$backup" --ranges="$work/edited" "$mnt/file"
	json '"ranges-incomplete" in codes' 'd["summary"]["lost_bytes"] == 2048'
	edit 'd["complete"] = False; d["files"] = []'
	take 8 -y --from-backup="$backup" --ranges="$work/edited"
	edit 'd["files"] = []'
	take 0 -y --from-backup="$backup" --ranges="$work/edited"
	json 'codes[-1] == "nothing-to-repair"' 'd["devices"] == []'
	# of a device-dax nothing is taken from it, and that is not all that it names
	edit 'd["files"] = [{"path": "/dev/dax0.0", "inode": None, "size": 1 << 20, "whole_device": True, "complete": True, "ranges": [dict(r, offset=0)]}]'
	take 8 -y --from-backup="$backup" --ranges="$work/edited"
	json '"device-dax" in codes' '"nothing-to-repair" not in codes'

	# ---- two files, of which one was written to; nothing of the other is left out
	unchanged
	edit 'pass'
	touch "$mnt/shuffled"
	take 9 -y --from-backup="$backup" --ranges="$work/edited" "$mnt/file" "$mnt/shuffled"
	json 'losses(d, "repaired") == {"'"$mnt/file"'": [(8192, 1024, "repaired"), (131072, 1024, "repaired")]}' \
		'[f["complete"] for f in sorted(d["files"], key=lambda f: f["path"])] == [True, False]' \
		'all(r["source"] == "backup" and r["vanished"] for f in d["files"] for r in f["ranges"])' \
		'all(os.stat(f["path"]).st_ctime_ns == f["change_time"]["seconds"] * 10**9 + f["change_time"]["nanoseconds"]
			for f in d["files"])'
	says "pmem-recover: $mnt/shuffled: is not as it was"
	same file
	cmp -s "$mnt/shuffled" "$backup/shuffled" && fail "shuffled was written"
	settle "$mnt"
	# once is enough
	take 8 -y --from-backup="$backup" --ranges="$work/edited" "$mnt/file"
	says '(other: change time)'
	same file

	# ---- from standard input, without targets; and what is gone
	scanned "$mnt/shuffled" "$mnt/dir"
	mv "$mnt/shuffled" "$mnt/elsewhere"
	"$PMEM_RECOVER" repair -y --badblocks="$work/none" --journal="$work/journal" --from-backup="$backup" --ranges=- \
		<"$work/report" >"$work/out" 2>"$work/err"
	status=$?
	[ $status -eq 9 ] || fail "from standard input: $status"
	json 'codes[0] == "gone"' 'codes.count("gone") == 1' 'd["summary"]["repaired_bytes"] == 700'
	says "$mnt/shuffled: is not there"
	same dir/tail
	take 8 -y --from-backup="$backup" --ranges="$work/report" "$mnt/elsewhere"
	says "$mnt/shuffled: is not there"
	mv "$mnt/elsewhere" "$mnt/shuffled"
	rm "$mnt/dir/tail"
	mv "$mnt/shuffled" "$mnt/elsewhere"
	take 8 -y --from-backup="$backup" --ranges="$work/report"
	json 'codes == ["gone"]'
	says 'mounted where they were'
	mv "$mnt/elsewhere" "$mnt/shuffled"

	# ---- a part is listed still
	scanned "$mnt/shuffled"
	rm -r "$work/journal"
	damaged "$mnt/file" 40960 2
	read -r sector _ <"$work/bad"
	scanned "$mnt/file"
	echo "$sector 1" >"$work/bad"
	repair 1 -y --from-backup="$backup" --ranges="$work/report" "$mnt"
	json 'losses(d, "repaired")["'"$mnt/file"'"] == [(40960, 1024, "repaired")]' \
		'[r["vanished"] for f in d["files"] if f["path"].endswith("/file") for r in f["ranges"]] == [False, True]'
	same file

	# ---- reports of repairs: zeros that a backup turned up for, and what was in use. Paths begin where the scan ran
	damaged "$mnt/file" 40960 3
	repair 4 -y --zero-fill "$mnt/file"
	json 'd["summary"]["zeroed_bytes"] == 1536'
	cp "$work/out" "$work/report"
	take 1 -y --from-backup="$backup" --ranges="$work/report"
	same file
	odd=$'dir/f\xffile'
	tools write "$mnt/$odd" 4 || fail write
	sync -f "$mnt"
	cp "$mnt/$odd" "$backup/$odd"
	damaged "$mnt/file" 40960
	echo "$(($(tools where "$image" "$mnt/$odd" 8192) / 512)) 1" >>"$work/bad"
	tools damage "$image" "$work/bad"
	settle "$mnt"
	cd "$mnt" || exit 1
	scanned file dir
	json 'sorted(f["path"] for f in d["files"]) == ["dir/f\ufffdile", "file"]'
	cd / || exit 1
	sleep 600 9<"$mnt/file" &
	holder=$!
	take 4 -y --from-backup="$backup" --ranges="$work/report"
	kill $holder
	wait $holder 2>/dev/null
	json 'losses(d, "repaired") == {"'"$mnt"'/dir/f\udcffile": [(8192, 512, "repaired")]}' \
		'losses(d, "skipped") == {"'"$mnt"'/file": [(40960, 512, "skipped")]}'
	same "$odd"
	cp "$work/out" "$work/report"
	take 1 -y --from-backup="$backup" --ranges="$work/report"
	json 'losses(d, "repaired") == {"'"$mnt"'/file": [(40960, 512, "repaired")]}'
	same file
	: >"$work/bad"
	rm -r "$work/journal"
	unmounted "$mnt"
done

run 16 repair --zero-fill --ranges=- --badblocks=-
run 16 repair --ranges="$work/report" "$mnt"
