#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The journal of a repair that was killed: told of by every command, exported, set aside, pruned once it is old.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

mnt=$work/mnt
journals=$work/journal
filesystem ext4 "$mnt"
rmdir "$mnt/lost+found"
# a name with a newline, a character that looks like a slash, and a byte that is no UTF-8
odd=$'o\nd\xe2\x88\x95d \xff.db'
tools write "$mnt/$odd" 40
tools write "$mnt/plain" 8
mkdir "$work/backup"
cp "$mnt/$odd" "$mnt/plain" "$work/backup"
tools pick "$image" 7 12 "$mnt/$odd" >"$work/bad"
echo "$(($(tools where "$image" "$mnt/plain" 4096) / 512)) 1" >>"$work/bad"
tools damage "$image" "$work/bad"
settle "$mnt"

# Which of all writes goes to the file how often: those of the journal and a question to a memory file come between.
strace -f -y -o "$work/trace" -e trace=pwritev2 "$(program)" repair -y --badblocks="$work/bad" --trust-badblocks \
	--journal="$journals" --from-backup="$work/backup" "$mnt" >/dev/null 2>"$work/err"
mapfile -t writes < <(grep 'pwritev2(' "$work/trace" | grep -nF "<$mnt/" | cut -d: -f1)
[ ${#writes[@]} -ge 8 ] || fail "too few writes to the files were seen"
rm -r "$journals"
tools damage "$image" "$work/bad"
settle "$mnt"

# killed N: a repair that is killed at its write number N to the files
killed() {
	strace -f -o /dev/null -e trace=pwritev2 -e inject=pwritev2:signal=KILL:when="${writes[$1 - 1]}" "$(program)" \
		repair -y --badblocks="$work/bad" --trust-badblocks --journal="$journals" --from-backup="$work/backup" \
		"$mnt" >/dev/null 2>"$work/err"
	[ $? -eq 137 ] || fail "the repair was not killed"
	settle "$mnt"
}

# ---- none

# named, and not there: a slip of the pen is not "none"
run 8 journal -u --journal="$journals-"
says "$journals-: there is no such directory"
run 8 repair --resume --journal="$journals-"
says "$journals-: there is no such directory"
run 8 health --journal="$journals-"
json '"journals-unknown" in codes'
run 12 scan --badblocks="$work/bad" --journal="$journals-" "$mnt/plain"
json '"journals-unknown" in codes'
run 12 salvage --badblocks="$work/bad" --journal="$journals-" "$mnt/plain" -o "$work/copy"
json '"journals-unknown" in codes'
mkdir -m 700 "$journals"
run 0 journal --journal="$journals"
json 'd["journals"] == []' 'codes == []'
run 0 journal --journal="$journals" --human
prints 'No journal'
run 0 journal --journal="$journals" -q
is_silent
run 8 journal --journal="$journals" missing.journal
json '"no-journal" in codes' 'd["journals"] == []'

# ---- one

killed 4 2>/dev/null
journal=$(echo "$journals"/*.journal)
[ -f "$journal" ] || fail "no journal is left"
run 8 journal --journal="$journals"
json 'codes == ["unfinished-journal"]' 'len(d["journals"]) == 1' \
	"d['journals'][0]['path'] == '$journal'" \
	'(lambda j: j["state"] == "unfinished" and j["reason"] is None and j["same_host"] and j["same_boot"] and j["written"] and not j["torn"] and not j["zero_fill"] and j["host"] == d["host"])(d["journals"][0])' \
	'all(sum(f["pieces"][k] for k in ("done", "open", "none")) == f["pieces"]["total"] > 0 for f in d["journals"][0]["files"])' \
	'any(f["pieces"]["open"] for f in d["journals"][0]["files"])' \
	'not all(f["outcome"] for f in d["journals"][0]["files"])' \
	'd["journals"][0]["bytes"] >= 4096 * 4' 'd["journals"][0]["planned_files"] == 2'
json "any(exact_path(f) == os.fsencode('$mnt') + b'/o\\nd\\xe2\\x88\\x95d \\xff.db' for f in d['journals'][0]['files'])"
cp "$work/out" "$work/listed"
says "--resume --journal=$journals"
says "--journal=$journals --set-aside ${journal##*/}"
run 8 journal --journal="$journals" --human
prints unfinished
prints "${journal##*/}"
# by name, by path, twice
run 8 journal --journal="$journals" "${journal##*/}"
json 'len(d["journals"]) == 1'
run 8 journal "$journal" "$journal"
json 'len(d["journals"]) == 1'
(cd "$journals" && run 8 journal ./"${journal##*/}") || exit 1
# what is to be typed is what a shell takes
mkdir "$work/a dir"
cp "$journal" "$work/a dir/it's.journal"
run 8 journal --journal="$work/a dir"
says "repair --resume --journal=\"$work/a dir\"'"
says "--journal=\"$work/a dir\" --set-aside \"it's.journal\"'"
run 8 journal -q --journal="$journals"
[ ! -s "$work/out" ] || fail "quiet prints a report"
[ "$(wc -l <"$work/err")" = 1 ] || fail "quiet: not one line"

# everybody says so, and repair writes nothing
run 12 scan --badblocks="$work/bad" --journal="$journals" "$mnt"
json '"unfinished-journal" in codes'
says 'pmem-recover repair --resume'
# nothing is listed any more, which is just when it has to be said
: >"$work/none"
run 8 scan --badblocks="$work/none" --journal="$journals" "$mnt/plain"
json 'codes == ["unfinished-journal"]' 'd["files"] == []'
run 8 scan --badblocks="$work/none" --journal="$journals" "$loop"
json 'codes.count("unfinished-journal") == 1'
run 8 health --journal="$journals"
json '"unfinished-journal" in codes'
contents() {
	settle "$mnt"
	stat -c '%n %s %y %z' "$mnt"/*
	sha256sum "$mnt"/*
	settle "$mnt"
}
contents >"$work/before"
repair 12 -y --from-backup="$work/backup" "$mnt"
json '"unfinished-journal" in codes' 'd["journal"] is None' 'all(s == "lost" for r in losses(d).values() for _, _, s in r)'
repair 8 -n --from-backup="$work/backup" "$mnt"
json '"unfinished-journal" in codes' 'd["dry_run"]'
run 8 repair -y --badblocks="$work/none" --journal="$journals" --from-backup="$work/backup" "$mnt"
json '"unfinished-journal" in codes'
contents | diff "$work/before" - || fail "a repair wrote although another was interrupted"
[ "$(ls "$journals")" = "${journal##*/}" ] || fail "a second journal"

# another filesystem is none of its business
image_of_file=$image loop_of_file=$loop
filesystem ext4 "$work/other"
tools write "$work/other/file" 4
settle "$work/other"
run 0 scan --badblocks="$work/none" --journal="$journals" "$work/other"
json 'codes == []'
other_loop=$loop
image=$image_of_file loop=$loop_of_file

# ---- export

cp "$journal" "$work/as-it-was"
run 0 journal --export="$work/bytes" "$journal"
json '"exported" in codes'
cmp "$journal" "$work/as-it-was" || fail "an export changes the journal"
[ "$(stat -c %a "$work/bytes")" = 700 ] || fail "others may read the export"
/usr/bin/python3 -B - "$work" "$mnt" <<'PYTHON' || fail "what was exported is not what was to be written"
import base64, json, os, sys
work, mnt = sys.argv[1:]
index = json.load(open(work + "/bytes/index.json"))
listed = json.load(open(work + "/listed"))["journals"][0]
names = {"index.json"}
total = 0
for f, l in zip(index["files"], listed["files"], strict=True):
    path = base64.b64decode(f["path_base64"]) if "path_base64" in f else f["path"].encode()
    assert os.path.dirname(path) == os.fsencode(mnt), path
    assert f["inode"] == os.stat(path).st_ino and f["filesystem_uuid"] == l["filesystem_uuid"]
    good = open(os.fsencode(work) + b"/backup/" + os.path.basename(path), "rb").read()
    assert len(f["pieces"]) == l["pieces"]["total"] and f["losses"]
    for p in f["pieces"]:
        assert all(c.isascii() and (c.isalnum() or c in "._-@+") for c in p["name"]), p["name"]
        assert os.stat(work + "/bytes/" + p["name"]).st_mode & 0o777 == 0o600
        assert open(work + "/bytes/" + p["name"], "rb").read() == good[p["offset"] : p["offset"] + p["length"]]
        names.add(p["name"])
        total += p["length"]
    assert [p["mark"] for p in f["pieces"]].count("open") == l["pieces"]["open"]
assert names == set(os.listdir(work + "/bytes")), "more or less than the index says"
assert total == listed["bytes"]
PYTHON
# what is there is not touched, and nothing is added to it
(cd "$work/bytes" && sha256sum ./*) >"$work/sums"
run 8 journal --export="$work/bytes" "$journal"
says 'File exists'
(cd "$work/bytes" && sha256sum ./*) | diff "$work/sums" - || fail "an export overwrites"
mkdir "$work/taken"
echo mine >"$work/taken/index.json"
run 8 journal --export="$work/taken" "$journal"
[ "$(ls "$work/taken")" = index.json ] && grep -q mine "$work/taken/index.json" || fail "an export leaves something behind"
run 8 journal --export="$work/none" "$journal"
says "$work/none: cannot be opened"
# not on what is damaged
run 8 journal --export="$mnt/bytes" "$journal"
json '"output-on-target" in codes'
[ ! -e "$mnt/bytes" ] || fail "something was made on the damaged filesystem"
# a full disk
dd if=/dev/zero of="$work/other/filler" bs=64k status=none 2>/dev/null
df --output=avail -k "$work/other" | tail -1 | grep -qx ' *[0-9]\{1,2\}' || fail "the other disk is not full"
run 8 journal --export="$work/other/bytes" "$journal"
says 'No space left'
[ ! -e "$work/other/bytes" ] || [ -z "$(ls -A "$work/other/bytes")" ] || fail "a failed export leaves something behind"
rm "$work/other/filler"

# ---- running

killed_journal=$(sha256sum <"$work/as-it-was")
mv "$journal" "$work/interrupted"
# stopped at its first write to a file, when its journal is there
ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 strace -D -f -o "$work/trace" -e trace=pwritev2 \
	-e inject=pwritev2:signal=SIGSTOP:when="${writes[0]}" "$(program)" repair --badblocks="$work/bad" --trust-badblocks \
	--journal="$journals" -y --from-backup="$work/backup" "$mnt" >"$work/running.out" 2>"$work/running.err" </dev/null &
pid=$!
holders=("$pid")
stopped $pid || fail "the repair ended too soon to be stopped"
running=$(echo "$journals"/*.journal)
run 0 journal --journal="$journals"
json 'd["journals"][0]["state"] == "running"' 'codes == ["journal-running"]'
run 0 journal --journal="$journals" -q
is_silent
run 0 health --journal="$journals"
json '"unfinished-journal" not in codes and "journal-running" in codes'
run 8 journal --set-aside "$running"
json '"journal-running" in codes'
[ -e "$running" ] || fail "a running journal was set aside"
kill -CONT $pid
wait $pid
[ $? -eq 1 ] || fail "the repair that was stopped did not end well"
holders=()
run 0 journal --journal="$journals"
json 'd["journals"] == []'
run 0 journal --journal="$journals" --all
json '[j["state"] for j in d["journals"]] == ["done"]' 'all(f["outcome"] for f in d["journals"][0]["files"])'
finished=$(echo "$journals"/*.done)
run 8 journal --set-aside "$finished"
[ -e "$finished" ] || fail "a journal that is done was set aside"

# ---- set aside

mv "$work/interrupted" "$journal"
run 8 health --journal="$journals"
run 0 journal --set-aside --export="$work/two" "$journal"
json '"set-aside" in codes and "exported" in codes' 'd["journals"][0]["state"] == "aside"'
says 'compare'
aside=${journal%.journal}.aside
[ ! -e "$journal" ] && [ "$(sha256sum <"$aside")" = "$killed_journal" ] || fail "what was set aside is not what it was"
(cd "$work/two" && sha256sum ./*) | grep -v index.json | diff <(grep -v index.json "$work/sums") - || fail "exports differ"
run 0 journal --journal="$journals"
run 0 health --journal="$journals"
run 0 scan --badblocks="$work/none" --journal="$journals" "$mnt"
json 'codes == []'
# its bytes can still be had
run 0 journal --all --export="$work/three" "$aside"
diff -r "$work/two" "$work/three" | grep -v '^[<>-]\|^diff\|^[0-9,c]*$' && fail "exports differ"
run 8 journal --set-aside "$aside"

# several at once, each in a directory of its own
run 0 journal --export="$work/several" "$aside" "$finished"
[ "$(find "$work/several" -mindepth 1 -maxdepth 1 -type d | wc -l)" = 2 ] || fail "not two directories"

# ---- damaged

# A byte in the last piece of the first file: its mark comes behind it.
/usr/bin/python3 -B - "$aside" "$journals/changed.journal" <<'PYTHON' || fail "no such journal"
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
at, pieces = 0, []
while at + 32 <= len(data):
    magic, kind, length = struct.unpack_from("<IIQ", data, at)
    assert magic == 0x4A524D50
    if kind == 4:
        pieces.append(at)
    if kind == 7 and len(pieces) > 1:
        break
    at += 32 + length
data[pieces[-1] + 1000] ^= 1
open(sys.argv[2], "wb").write(data)
PYTHON
cp "$aside" "$journals/cut.journal"
truncate -s 100 "$journals/cut.journal"
: >"$journals/empty.journal"
echo 'no journal at all, but some text that is longer than a header' >"$journals/text.journal"
mkdir "$journals/directory.journal"
ln -s "$aside" "$journals/link.journal"
run 8 journal --journal="$journals"
json '{os.path.basename(j["path"]): j["state"] for j in d["journals"]} == dict.fromkeys(("changed.journal", "directory.journal", "link.journal", "text.journal"), "damaged") | {n: "unfinished" if n == "never" else j["state"] for j in d["journals"] for n in [os.path.basename(j["path"])] if n in ("cut.journal", "empty.journal")}' \
	'next(j["reason"] for j in d["journals"] if j["path"].endswith("/changed.journal")) == "checksum"' \
	'codes.count("damaged-journal") >= 4'
run 8 scan --badblocks="$work/none" --journal="$journals" "$work/other"
json 'set(codes) == {"damaged-journal"}'
run 8 health --journal="$journals"
json '"damaged-journal" in codes'
# ahead of the damage, the bytes are good
run 8 journal --export="$work/four" "$journals/changed.journal"
json '"export-damaged" in codes'
compgen -G "$work/four/*@*" >/dev/null || fail "nothing exported of a damaged journal"
for file in "$work"/four/*@*; do
	cmp "$file" "$work/bytes/${file##*/}" || fail "other bytes from a damaged journal"
done
[ -e "$work/four/index.json" ] || fail "no index of what a damaged journal still has"
rmdir "$journals/directory.journal"
rm "$journals"/{cut,empty,text,link}.journal
run 0 journal --journal="$journals" --set-aside changed.journal
run 0 health --journal="$journals"
run 0 journal --journal="$journals"
json 'd["journals"] == []'
run 0 journal --journal="$journals" --all
json 'next(j["state"] for j in d["journals"] if j["path"].endswith("/changed.aside")) == "damaged"'

# ---- pruning

tools damage "$image" "$work/bad"
settle "$mnt"
cp "$aside" "$journals/interrupted.journal"
echo else >"$journals/other.txt"
mkdir "$journals/directory.done"
touch -d '200 days ago' "$journals"/* "$finished"
touch -d '89 days ago' "$journals/changed.aside"
# not by a repair that does not get to its end
repair 12 -y --from-backup="$work/backup" "$mnt"
[ -e "$finished" ] || fail "a repair that did nothing removes journals"
mv "$journals/interrupted.journal" "$journals/interrupted.kept"
repair 1 -y --from-backup="$work/backup" --keep=forever "$mnt"
[ -e "$finished" ] && [ -e "$aside" ] || fail "not kept for ever"
mv "$journals/interrupted.kept" "$journals/20000101T000000Z-1.journal"
touch -d '200 days ago' "$journals/20000101T000000Z-1.journal"
tools damage "$image" "$work/bad"
settle "$mnt"
# an interrupted one stays, however old it is
run 8 journal --journal="$journals"
mkdir "$work/apart"
mv "$journals/20000101T000000Z-1.journal" "$work/apart"
repair 1 -y --from-backup="$work/backup" "$mnt"
[ ! -e "$finished" ] && [ ! -e "$aside" ] || fail "old journals are not removed"
[ -e "$journals/changed.aside" ] && [ -d "$journals/directory.done" ] && [ -e "$journals/other.txt" ] ||
	fail "something else was removed"
tools damage "$image" "$work/bad"
settle "$mnt"
repair 1 -y --from-backup="$work/backup" --keep=30 "$mnt"
[ ! -e "$journals/changed.aside" ] || fail "--keep=30 keeps what is older"
[ "$(ls "$journals"/*.done | wc -l)" -ge 3 ] || fail "--keep=30 removes what is new"

# none that is done is kept, and none is named that is gone; what was set aside just now is kept
touch "$journals/now.aside"
tools damage "$image" "$work/bad"
settle "$mnt"
repair 1 -y --from-backup="$work/backup" --keep=0 "$mnt"
json 'd["journal"] is None'
[ "$(cd "$journals" && echo *.done *.aside)" = "directory.done now.aside" ] || fail "--keep=0: $(ls "$journals")"

# ---- resumed: nobody speaks of it any more

rm -r "$journals"
tools damage "$image" "$work/bad"
settle "$mnt"
killed 1 2>/dev/null
run 8 health --journal="$journals"
says 'a repair of 2 files was interrupted'
# what was not come to is in no journal, and is not said to be repaired
run 9 repair --resume -y --badblocks="$work/bad" --trust-badblocks --journal="$journals"
json 'codes.count("not-reached") == 1' 'len(d["files"]) == 1' 'd["summary"]["lost_bytes"] == 0'
says 'had not come to 1 of its 2 files'
run 0 health --journal="$journals"
run 0 scan --badblocks="$work/none" --journal="$journals" "$mnt"
run 0 journal --journal="$journals"
json 'd["journals"] == []'
run 0 journal --journal="$journals" --all
json '[j["state"] for j in d["journals"]] == ["done"]'

# ---- the directory of those who name none

if [ -n "${PMR_TEST_STATE:-}" ]; then
	cp "$work/apart"/*.journal "$state/unfinished.journal"
	run 8 journal
	json 'd["journals"][0]["path"] == "/var/lib/pmem-recover/unfinished.journal"'
	says "--set-aside unfinished.journal'"
	run 8 health
	run 8 scan --badblocks="$work/none" "$mnt"
	run 0 journal --set-aside unfinished.journal
	run 0 journal
	run 0 health
fi

# ---- rights

mv "$work/apart"/*.journal "$journals"
chmod 700 "$journals"
chmod 755 "$work"
# as_nobody STATUS ARGUMENT...
as_nobody() {
	local wanted=$1

	shift
	setpriv --reuid=65534 --regid=65534 --clear-groups "$PMEM_RECOVER" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ "$status" -eq "$wanted" ] || fail "as nobody: pmem-recover $*: status $status instead of $wanted"
}
if setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$PMEM_RECOVER"; then
	as_nobody 8 journal --journal="$journals"
	json 'codes == ["journals-unknown"]' 'd["journals"] == []'
	says 'Permission denied'
	# unknown is not clean
	as_nobody 8 health --journal="$journals"
	json '"journals-unknown" in codes'
	mkdir -m 755 "$work/public"
	as_nobody 0 health --journal="$work/public"
fi
run 8 journal --journal="$work/bad"
says 'Not a directory'
run 8 health --journal="$work/bad"
json '"journals-unknown" in codes'
: "$other_loop"
