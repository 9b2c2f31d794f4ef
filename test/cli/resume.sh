#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a resume finds when somebody was at the file, the journal or the machine meanwhile: what may be somebody's is left,
# and what is not to be believed is not.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root
command -v strace >/dev/null || fail "needs strace"

mnt=$work/mnt
program=$(program)
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
common=(--badblocks="$work/bad" --trust-badblocks --journal="$work/journal")

filesystem ext4 "$mnt"
for name in file other; do
	tools write "$mnt/$name" 30
	cp "$mnt/$name" "$work/$name"
done
settle "$mnt"
{
	for name in file other; do
		for page in 1 3 7 20; do
			echo "$(($(tools where "$image" "$mnt/$name" $((page * 4096 + 512))) / 512)) 1"
		done
	done
} >"$work/bad"
tools damage "$image" "$work/bad"
settle "$mnt"
cp "$mnt/file" "$work/damaged"
umount "$mnt" || fail "cannot unmount"
cp --sparse=always "$image" "$images/saved"

again() {
	! mountpoint -q "$mnt" || umount "$mnt" || fail "cannot unmount"
	cp --sparse=always "$images/saved" "$image"
	blockdev --flushbufs "$loop"
	mount "$loop" "$mnt" || fail "cannot mount"
	rm -rf "$work/journal"
}

# killed_at CALL K [NAME]: a repair of a file is killed at its K-th such call
killed_at() {
	local name=${3:-file}

	(timeout 60 strace -f -qq -o /dev/null -e "trace=$1" -e "inject=$1:signal=SIGKILL:when=$2" "$program" repair --yes \
		"${common[@]}" --from-backup="$work/$name" "$mnt/$name" >"$work/out" 2>"$work/err" </dev/null; exit $?) 2>/dev/null
	status=$?
	[ $status = 137 ] || fail "not killed: status $status"
	journal=$(echo "$work"/journal/*.journal)
	[ -e "$journal" ] || fail "no journal"
}

# begun: killed at the second write to the file, with page 1 written and the others marked as begun
begun() { again; killed_at pwritev2 6; }

resume() {
	local wanted=$1

	shift
	run "$wanted" repair --resume "${common[@]}" "$@"
}

# holds NAME FILE: the file in the mountpoint has the bytes of that one
holds() {
	settle "$mnt"
	cmp "$mnt/$1" "$2" || fail "$1 does not hold what $2 does"
	settle "$mnt"
}

state_of() { echo "[r.get('reason') for f in d['files'] for r in f['ranges'] if r['state'] == '$1']"; }

# ---- as it should be

begun
resume 0 --dry-run
grep -q "file <- $journal" "$work/err" || fail "the source is not said"
json 'd["dry_run"]' '"dry-run" in codes'
[ -e "$journal" ] || fail "a dry run did something"
resume 12
says 'no terminal'
[ -e "$journal" ] || fail "not confirmed, and done"
run 12 repair "${common[@]}" --yes --from-backup="$work/file" "$mnt/file"
says 'repair --resume'

mv "$work/file" "$work/kept"
resume 1 --yes "$(basename "$journal")"
mv "$work/kept" "$work/file"
holds file "$work/file"
json "len($(state_of repaired)) == 4" "$(state_of repaired) == ['already-equal', None, None, None]" \
	'd["journal"].endswith(".done")' 'all(r["source"] == "backup" for f in d["files"] for r in f["ranges"])'
[ ! -e "$journal" ] || fail "not done"
resume 0 --yes
json 'codes == ["nothing-to-resume"]'
resume 8 --yes "$journal"
says 'no such journal'

# two journals, one report
begun
first=$journal
mv "$first" "$work/"
killed_at pwritev2 6 other
mv "$work/$(basename "$first")" "$first"
resume 1 --yes
json "len($(state_of repaired)) == 8" 'len(d["files"]) == 2' 'len(d["plan"]) == 2'
holds file "$work/file"
holds other "$work/other"
resume 0 --yes
json 'codes == ["nothing-to-resume"]'

# zeros
again
(timeout 60 strace -f -qq -o /dev/null -e trace=pwritev2 -e inject=pwritev2:signal=SIGKILL:when=6 "$program" repair --yes \
	"${common[@]}" --zero-fill "$mnt/file" >"$work/out" 2>"$work/err" </dev/null; exit $?) 2>/dev/null
resume 4 --yes
json "len($(state_of zeroed)) == 4" 'd["summary"]["zeroed_bytes"] == 2048'

# zeros that were all written, and killed before they were remembered: they are, by what the journal says
again
(timeout 60 strace -f -qq -o /dev/null -e trace=renameat -e inject=renameat:signal=SIGKILL:when=2 "$PMEM_RECOVER" repair --yes \
	"${common[@]}" --zero-fill "$mnt/file" >"$work/out" 2>"$work/err" </dev/null; exit $?) 2>/dev/null
resume 4 --yes
json "$(state_of zeroed) == ['already-equal'] * 4"
run 4 health
json 'len(d["zeroed"]) == 4'
rm -rf "$state/zeroed"

# a signal, and then the rest
again
(timeout 60 strace -f -qq -o /dev/null -e trace=pwritev2 -e inject=pwritev2:signal=SIGINT:when=4 "$program" repair --yes \
	"${common[@]}" --from-backup="$work/file" "$mnt/file" >"$work/out" 2>"$work/err" </dev/null; exit $?) 2>/dev/null
grep -q '"interrupted"' "$work/out" || fail "not interrupted"
settle "$mnt"
resume 1 --yes
holds file "$work/file"

# nothing but the options that mean something
for option in --from-backup="$work/file" --zero-fill --ranges=/dev/null --method=write --online --accept-offlined; do
	run 16 repair --resume "$option"
	says "contradicts --resume"
done

# ---- somebody was at the file

# page_of FILE N
page_of() { dd if="$1" bs=4096 skip="$2" count=1 status=none; }

# conflict NAME REASON [PAGE]: what was begun is in conflict, the file, or that page of it, is left as it is, and the journal
# stays until it is set aside
conflict() {
	cp "$mnt/$1" "$work/before"
	stat -c '%s %Z %a' "$mnt/$1" >"$work/stat"
	settle "$mnt"
	resume 4 --yes
	json "'conflict' in codes or 'gone' in codes" "'$2' in $(state_of conflict)" 'd["journal"].endswith(".journal")'
	says '--export=DIR'
	if [ $# -gt 2 ]; then
		cmp <(page_of "$mnt/$1" "$3") <(page_of "$work/before" "$3") || fail "page $3 was changed"
		settle "$mnt"
		[ -e "$journal" ] || fail "a conflict is done"
		return
	fi
	says 'left alone (conflict'
	holds "$1" "$work/before"
	[ "$(stat -c '%s %Z %a' "$mnt/$1")" = "$(cat "$work/stat")" ] || fail "it was changed"
	[ -e "$journal" ] || fail "a conflict is done"
}

# the first page was written, and is rewritten by its owner
begun
dd if=/dev/urandom of="$mnt/file" bs=4096 seek=1 count=1 conv=notrunc status=none
conflict file changed 1
json "len($(state_of repaired)) == 3"
# and stays its owner's, whatever was noted meanwhile, in the next boot too
cat /proc/sys/kernel/random/uuid >"$work/boot"
settle "$mnt"
unshare --mount bash -c 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"' "$work/boot" \
	"$PMEM_RECOVER" repair --resume --yes "${common[@]}" >"$work/out" 2>"$work/err" </dev/null
status=$?
[ $status = 4 ] || fail "a conflict in the next boot: status $status"
cmp <(page_of "$mnt/file" 1) <(page_of "$work/before" 1) || fail "a conflict was written over in the next boot"
settle "$mnt"
run 0 journal --journal="$work/journal" --set-aside "$(basename "$journal")"
resume 0 --yes

# one that was marked as begun, and had not been come to
begun
dd if=/dev/urandom of="$mnt/file" bs=512 seek=59 count=1 conv=notrunc status=none
conflict file changed 7

# all of it, by the same bytes as the journal has: nothing is left to do
begun
dd if="$work/file" of="$mnt/file" bs=4096 conv=notrunc status=none
# without a list, root is told what helps
run 8 repair --resume --dry-run --journal="$work/journal"
says 'has no list of bad blocks of its own: give one by --badblocks=FILE'
resume 1 --yes
holds file "$work/file"

# cut, extended
for size in 40000 200000; do
	begun
	truncate -s $size "$mnt/file"
	conflict file changed
done

# longer by our own write of its last page
tools write "$work/good" 30
cp "$work/bad" "$work/bad.kept"
mv "$work/other" "$work/other.kept"
cp "$work/good" "$work/other"
truncate -s 119880 "$work/other"
grown() {
	again
	cp "$work/other" "$mnt/other"
	settle "$mnt"
	for page in 3 29; do
		echo "$(($(tools where "$image" "$mnt/other" $((page * 4096 + 512))) / 512)) 1"
	done >"$work/bad"
	tools damage "$image" "$work/bad"
	settle "$mnt"
	killed_at ftruncate 1 other
	[ "$(stat -c %s "$mnt/other")" = 122880 ] || fail "it has not grown"
	settle "$mnt"
}
# it cannot be cut: what is left of it is nobody's conflict, and waits for the next resume
grown
sed 1q "$work/bad" >"$work/again"
tools damage "$image" "$work/again"
settle "$mnt"
strace -f -qq -o /dev/null -P "$mnt/other" -e trace=ftruncate -e inject=ftruncate:error=EIO "$program" repair --resume --yes \
	"${common[@]}" >"$work/out" 2>"$work/err" </dev/null
status=$?
[ $status = 12 ] || fail "it cannot be cut: status $status"
json "$(state_of skipped) == ['size']" '"size" in codes' 'd["journal"].endswith(".journal")'
resume 1 --yes
holds other "$work/other"
# and changed since by somebody: it is not said to be repaired
grown
/usr/bin/python3 -B - "$journal" <<'PYTHON' || fail "cannot make the marks older"
import json, struct, sys, zlib
path = sys.argv[1]
data = open(path, "rb").read()
out, at = b"", 0
while at < len(data):
    magic, kind, length, position, crc, header = struct.unpack("<IIQQII", data[at : at + 32])
    text = data[at + 32 : at + 32 + length]
    if kind == 7:
        mark = json.loads(text)
        mark["time"][0] -= 1000
        text = json.dumps(mark, separators=(",", ":")).encode()
    head = struct.pack("<IIQQI", magic, kind, len(text), position, zlib.crc32(text))
    out += head + struct.pack("<I", zlib.crc32(head)) + text
    at += 32 + length
open(path, "wb").write(out)
PYTHON
chmod 600 "$mnt/other"
settle "$mnt"
resume 4 --yes
json "$(state_of failed) == ['size']" '"size" in codes'
mv "$work/other.kept" "$work/other"
mv "$work/bad.kept" "$work/bad"

# another file of that name
begun
cp "$mnt/file" "$mnt/copy"
mv "$mnt/copy" "$mnt/file"
conflict file gone

# renamed, and then not
begun
mv "$mnt/file" "$mnt/moved"
resume 12 --yes
says "-inum "
json "'gone' in $(state_of conflict)"
[ -e "$journal" ] || fail "gone, and done"
mv "$mnt/moved" "$mnt/file"
resume 1 --yes
holds file "$work/file"

# nothing was begun: what was changed is left, and there is nothing more to do
again
killed_at fsync 5
dd if=/dev/urandom of="$mnt/file" bs=512 seek=59 count=1 conv=notrunc status=none
cp "$mnt/file" "$work/before"
settle "$mnt"
sleep 0.01
resume 4 --yes
holds file "$work/before"

# open in another program
begun
exec 9<"$mnt/file"
resume 12 --yes
says 'is open or mapped in'
exec 9<&-
settle "$mnt"
resume 1 --yes
holds file "$work/file"

# not mounted; and then it is
begun
umount "$mnt"
resume 8 --yes
says 'nothing of it can be finished'
[ -e "$journal" ] || fail "not mounted, and done"
mount "$loop" "$mnt"
resume 1 --yes
holds file "$work/file"

# ---- all was written, and the sync at the end fails

# traced [ARGUMENT of strace...] -- ARGUMENT...: a repair, and its fsync()s in $work/trace
traced() {
	local options=()

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	timeout 60 strace -f -qq -y -o "$work/trace" -e trace=fsync "${options[@]}" "$program" repair "$@" "${common[@]}" \
		>"$work/out" 2>"$work/err" </dev/null
	status=$?
}

# last_sync FILE: which fsync() of the trace is the last one of it
last_sync() {
	sed 's/^[0-9]* *//' "$work/trace" | grep '^fsync(' | grep -nF "<$mnt/$1>" | tail -n 1 | cut -d: -f1 | grep .
}

again
traced -- --yes --from-backup="$work/file" "$mnt/file"
[ $status = 1 ] || fail "undisturbed: status $status"
sync=$(last_sync file) || fail "it is not synced"
again
traced -e "inject=fsync:error=EIO:when=$sync" -- --yes --from-backup="$work/file" "$mnt/file"
[ $status = 4 ] || fail "not synced: status $status"
json "$(state_of failed) == ['sync'] * 4"
journal=$(echo "$work"/journal/*.journal)
[ -e "$journal" ] || fail "not synced, and done"
settle "$mnt"
cp "$image" "$images/unsynced"
# it did not last, and somebody has been at its inode: nothing is believed of it that is not read
for lasts in true false; do
	if ! $lasts; then
		umount "$mnt" || fail "cannot unmount"
		cp --sparse=always "$images/unsynced" "$image"
		blockdev --flushbufs "$loop"
		mount "$loop" "$mnt" || fail "cannot mount"
		mv "$work/unsynced.journal" "$journal"
		tools damage "$image" "$work/bad"
		chmod 640 "$mnt/file"
	fi
	settle "$mnt"
	cp "$journal" "$work/unsynced.journal"
	traced -- --resume --yes
	[ $status = 1 ] || fail "resumed: status $status"
	sync=$(last_sync file) || fail "a resume does not sync it"
	[ ! -e "$journal" ] || fail "synced, and not done"
	rm "$work"/journal/*
	holds file "$work/file"
done
# a resume that cannot sync it leaves it open for the next one
mv "$work/unsynced.journal" "$journal"
tools damage "$image" "$work/bad"
settle "$mnt"
traced -e "inject=fsync:error=EIO:when=$sync" -- --resume --yes
[ $status = 12 ] || fail "not synced again: status $status"
json "$(state_of failed) == ['sync'] * 4"
tools damage "$image" "$work/bad"
settle "$mnt"
resume 1 --yes
holds file "$work/file"

# ---- its set-id bits

# has_mode MODE
has_mode() { [ "$(stat -c %a "$mnt/file")" = "$1" ] || fail "mode $(stat -c %a "$mnt/file") instead of $1"; }

# set_id: of a file with a set-id bit, as begun
set_id() {
	again
	chmod 4755 "$mnt/file"
	killed_at pwritev2 6
}

# what root writes keeps it, so somebody took it away
set_id
has_mode 4755
chmod u-s "$mnt/file"
settle "$mnt"
resume 1 --yes
has_mode 755
json '"attributes" in codes'
says 'had mode 4755'
holds file "$work/file"

# so it is where that is done while a resume writes
set_id
settle "$mnt"
timeout 60 strace -f -qq -o "$work/trace" -e trace=pwritev2 -e inject=pwritev2:signal=SIGSTOP:when=5 "$program" repair --resume \
	--yes "${common[@]}" >"$work/out" 2>"$work/err" </dev/null &
for ((i = 0; i < 5000; i++)); do
	stopped=$(grep -m 1 'stopped by SIGSTOP' "$work/trace" 2>/dev/null) && break
	sleep 0.01
done
[ -n "$stopped" ] || fail "not stopped: $(cat "$work/trace")"
has_mode 4755
chmod u-s "$mnt/file"
kill -CONT "${stopped%% *}"
wait $!
status=$?
[ $status = 1 ] || fail "chmod meanwhile: status $status"
has_mode 755
holds file "$work/file"

# without CAP_FSETID the write itself takes it away, and it is put back
cat >"$work/less" <<EOF
#!/bin/sh
exec setpriv --bounding-set=-fsetid "$program" "\$@"
EOF
chmod +x "$work/less"
program=$work/less set_id
has_mode 755
settle "$mnt"
PMEM_RECOVER=$work/less resume 1 --yes
has_mode 4755
holds file "$work/file"

# ---- somebody was at the journal

# torn in its last record: as if that had not been
begun
head -c 100 "$journal" >"$work/torn"
cat "$work/torn" >>"$journal"
resume 1 --yes
holds file "$work/file"

# a bit in the middle
begun
cp "$mnt/file" "$work/before"
settle "$mnt"
printf '\377' | dd of="$journal" bs=1 seek=5000 conv=notrunc status=none
resume 8 --yes
says 'is not to be believed'
holds file "$work/before"

# of another host
begun
/usr/bin/python3 -B - "$journal" <<'PYTHON' || fail "cannot make a foreign journal"
import json, struct, sys, zlib
path = sys.argv[1]
data = open(path, "rb").read()
magic, kind, length, position, crc, header = struct.unpack("<IIQQII", data[:32])
opening = json.loads(data[32 : 32 + length])
opening["host"] = "x" * len(opening["host"])
text = json.dumps(opening, separators=(",", ":")).encode()
text += b" " * (length - len(text))
assert len(text) == length
head = struct.pack("<IIQQI", magic, kind, length, position, zlib.crc32(text))
open(path, "wb").write(head + struct.pack("<I", zlib.crc32(head)) + text + data[32 + length :])
PYTHON
resume 8 --yes
says 'was written on host x'
resume 1 --yes --force
holds file "$work/file"

# somebody is at work on it
begun
flock "$journal" "$PMEM_RECOVER" repair --resume --yes "${common[@]}" >"$work/out" 2>"$work/err" </dev/null
status=$?
[ $status = 8 ] || fail "locked: status $status"
says 'a repair is at work on it'
resume 1 --yes
holds file "$work/file"
