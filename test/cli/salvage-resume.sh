#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A salvage that is stopped, killed or disturbed: its mapfile claims no more than there is, and going on gives what an
# undisturbed run gives, also where ddrescue goes on.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root
command -v ddrescue strace >/dev/null || fail "needs ddrescue and strace"
# the leak checker cannot run beside a tracer
export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 LSAN_OPTIONS=detect_leaks=0
# not the checker's calls but the program's
PMEM_RECOVER=${PMEM_RECOVER%-valgrind}

mnt=$work/mnt
filesystem ext4 "$mnt"
tools write "$mnt/file" 3000
cp "$mnt/file" "$work/original"
tools pick "$image" $RANDOM 30 "$mnt/file" >"$work/bad"
settle "$mnt"
cp --sparse=always "$image" "$images/before"
tools damage "$image" "$work/bad"
settle "$mnt"
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/reference" --mapfile="$work/map.reference"
json 'd["complete"]'

holds() {
	tools salvaged "$images/before" "$work/bad" "$work/original" "$work/copy" "$work/out" - "$work/map" ||
		fail "$1: not what it should be"
	cmp "$work/copy" "$work/reference" || fail "$1: not what an undisturbed run gives"
}

# disturbed WHEN HOW: a run in which every write takes a while; once the copy has WHEN bytes, HOW is called with the
# program's number. Its exit status is in $status.
disturbed() {
	local tracer i

	# what runs in the background of a script ignores SIGINT
	env --default-signal=INT strace -f -qq -o /dev/null -e trace=pwritev2 -e inject=pwritev2:delay_exit=30000 \
		"$PMEM_RECOVER" salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map" \
		>"$work/out" 2>"$work/err" </dev/null &
	tracer=$!
	for ((i = 0; i < 3000; i++)); do
		[ "$(($(stat -c %b "$work/copy" 2>/dev/null || echo 0) * 512))" -lt "$1" ] || break
		kill -0 $tracer 2>/dev/null || fail "it was over before it could be disturbed"
		sleep 0.01
	done
	$2 "$(pgrep -P $tracer | head -n 1)"
	wait $tracer 2>/dev/null
	status=$?
}

interrupt() { kill -INT "$1"; }
terminate() { kill -TERM "$1"; }
murder() { kill -KILL "$1"; }
touch_it() { touch "$mnt/file"; }
append_to_it() { echo more >>"$mnt/file"; }

for how in interrupt terminate; do
	for when in 1 3000000; do
		rm -f "$work/copy" "$work/map"
		disturbed $when $how
		case $status in
		8 | 12) ;;
		*) fail "$how: status $status" ;;
		esac
		json 'codes == ["interrupted"]' 'not d["complete"]' 'd["salvage"]["remaining_bytes"] > 0' \
			'd["salvage"]["rescued_bytes"] + d["salvage"]["lost_bytes"] + d["salvage"]["remaining_bytes"] == 3000 * 4096'
		rescued=$(tools rescued "$work/map" "$work/original" "$work/copy") || fail "$how: the mapfile claims too much"
		json "d['salvage']['rescued_bytes'] == $rescued" \
			"sum(r['length'] for f in d['files'] for r in f['ranges'] if r['state'] == 'lost') == d['salvage']['lost_bytes']"
		ddrescuelog -t "$work/map" >/dev/null || fail "$how: ddrescuelog"
		[ "$(stat -c %s "$work/copy")" = $((3000 * 4096)) ] || fail "$how: size of the copy"
		run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
		json 'd["salvage"]["resumed"]'
		holds $how
	done
done

# killed: the last mapfile is as true as it was, and what was half made is found by nobody
rm -f "$work/copy" "$work/map"
disturbed 5000000 murder
[ $status -ge 128 ] || fail "killed: status $status"
tools rescued "$work/map" "$work/original" "$work/copy" >/dev/null || fail "killed: the mapfile claims too much"
[ "$(stat -c %a "$work/copy")" = 600 ] || fail "killed: what was not done could be read by others"
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
holds killed

# the bytes are on stable storage before the mapfile claims them
rm -f "$work/copy" "$work/map"
strace -f -y -o "$work/trace" -e trace=pwritev2,fsync,rename,renameat,renameat2 \
	"$PMEM_RECOVER" salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map" >/dev/null 2>&1
/usr/bin/python3 - "$work/trace" <<'PYTHON' || fail "the order of writes and syncs"
import re, sys
unsynced, renames, synced = set(), 0, 0
for line in open(sys.argv[1]):
    m = re.match(r"\d+ +(\w+)\((\d+)<([^>]*)>", line)
    if not m or m.group(3).startswith("/memfd:"):
        continue
    call, path = m.group(1), m.group(3)
    if call == "pwritev2":
        unsynced.add(path)
    elif call == "fsync":
        unsynced.discard(path)
        synced += path.endswith("/copy")
    elif call.startswith("rename"):
        renames += 1
        if unsynced:
            sys.exit(f"renamed while {unsynced} was not synced")
sys.exit(0 if renames >= 2 and synced >= 2 else f"{renames} renames, {synced} syncs: nothing is proved")
PYTHON

# bytes that could not be written are told of by one fsync(2), and the next one succeeds: none of them is claimed
rm -f "$work/copy" "$work/map"
strace -f -qq -o /dev/null -P "$work/copy" -e trace=pwritev2,fsync -e inject=pwritev2:delay_exit=6000000:when=5 \
	-e inject=fsync:error=EIO:when=2 "$PMEM_RECOVER" salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" \
	--mapfile="$work/map" >"$work/out" 2>"$work/err"
[ $(($? & 8)) = 8 ] || fail "a sync that failed: status"
says "cannot be synced"
[ "$(tools rescued "$work/map" "$work/original" "$work/copy")" = 0 ] || fail "claimed although it could not be synced"

# Records that vanish meanwhile (a reboot, a clear): what they lost may be zeros now, and stays lost, come to before or not.
: >"$work/none"
cp "$work/reference" "$work/copy"
areas() { grep -v '^#' "$1"; }
areas "$work/map.reference" >"$work/areas"
for _ in 1 2; do
	run 4 salvage --badblocks="$work/none" "$mnt/file" -o "$work/reference" --mapfile="$work/map.reference"
	json 'codes == ["mapfile-vanished"]' 'd["complete"]' 'd["salvage"]["lost_bytes"] > 0' \
		'all(r["vanished"] and r["state"] == "lost" and r["device_offset"] for r in d["files"][0]["ranges"])'
	cmp "$work/reference" "$work/copy" || fail "vanished: the copy changed"
	areas "$work/map.reference" | cmp - "$work/areas" || fail "vanished: the mapfile changed"
done
rm -f "$work/copy" "$work/map"
disturbed 1 interrupt
run 4 salvage --badblocks="$work/none" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
cmp "$work/copy" "$work/reference" || fail "vanished before it was come to"
areas "$work/map" | cmp - "$work/areas" || fail "vanished before it was come to: the mapfile"
ddrescuelog -t "$work/map" >/dev/null || fail "ddrescuelog: what was listed"
# without what was listed (ddrescue drops comments) it is read, and not believed: this time and the next
sed -i '/^# pmem-recover listed/d' "$work/map"
for _ in 1 2; do
	run 8 salvage --badblocks="$work/none" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
	json 'codes == ["mapfile-doubt"]' 'not d["complete"]' 'd["salvage"]["remaining_bytes"] > 0' \
		'all(r["state"] == "unknown" and r["reason"] == "readable-again" for r in d["files"][0]["ranges"])'
	areas "$work/map" | cmp - "$work/areas" || fail "in doubt: the mapfile"
done
cmp "$work/copy" "$mnt/file" || fail "in doubt, and not in the copy"
settle "$mnt"
# where they are listed again, they are as they were
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
json 'codes == []' 'd["complete"]'

# while somebody writes to it
for how in touch_it append_to_it; do
	rm -f "$work/copy" "$work/map"
	disturbed 3000000 $how
	[ $((status & 8)) = 8 ] || fail "$how: status $status"
	json 'any(c == "changed" for c in codes)' 'not d["complete"]'
	run 8 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
	says "the file "
	truncate -s $((3000 * 4096)) "$mnt/file"
done

# ddrescue goes on where we were stopped, and we where ddrescue was
settle "$mnt"
rm -f "$work/copy" "$work/map"
disturbed 4000000 interrupt
cp "$work/map" "$work/map.ours"
# (it can read what is listed: damaged sectors of a loop device give bytes)
ddrescue -q "$mnt/file" "$work/copy" "$work/map" || fail "ddrescue"
# what was rescued or lost before is as it was
/usr/bin/python3 - "$work" "$mnt/file" <<'PYTHON' || fail "what ddrescue made of it"
import os, sys
sys.path.insert(0, os.environ["top_srcdir"] + "/test/cli")
sys.dont_write_bytecode = True
import tools
work, path = sys.argv[1:]
ours, now = tools.areas(work + "/map.ours"), tools.areas(work + "/map")
copy, file, original = (open(p, "rb").read() for p in (work + "/copy", path, work + "/original"))
assert set(now) <= {"+", "-"} and "?" in ours
for first, end in ours["+"]:
    assert copy[first:end] == original[first:end]
for first, end in ours["?"]:
    assert copy[first:end] == file[first:end]
PYTHON
settle "$mnt"
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
json '"mapfile-unchecked" in codes'
rm -f "$work/copy" "$work/map"
ddrescue -q --size=6000000 "$mnt/file" "$work/copy" "$work/map" || fail "ddrescue"
settle "$mnt"
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
json 'd["salvage"]["resumed"]' 'd["complete"]'
[ "$(stat -c %s "$work/copy")" = $((3000 * 4096)) ] || fail "size of what ddrescue began"
cmp <(tail -c +6000001 "$work/copy") <(tail -c +6000001 "$work/reference") || fail "what ddrescue had left"
cmp <(head -c 6000000 "$work/copy") <(head -c 6000000 "$mnt/file") || fail "what ddrescue had"
settle "$mnt"

# what only the page cache has
tools write "$mnt/cached" 200
cp "$mnt/cached" "$work/original"
settle "$mnt"
echo "$(($(tools where "$image" "$mnt/cached" 40960) / 512 + 1)) 1" >"$work/bad"
echo "$(($(tools where "$image" "$mnt/cached" 409600) / 512 + 1)) 1" >>"$work/bad"
settle "$mnt"
cat "$mnt/cached" >/dev/null
tools damage "$image" "$work/bad"
run 0 salvage --badblocks="$work/bad" "$mnt/cached" -o "$work/cached"
json 'd["salvage"]["lost_bytes"] == 0' \
	'[(r["state"], r["source"], r["length"]) for f in d["files"] for r in f["ranges"]] == [("cached", "page-cache", 512)] * 2'
cmp "$work/cached" "$work/original" || fail "not what the page cache had"
# nothing of it was dropped
run 0 salvage --badblocks="$work/bad" --force "$mnt/cached" -o "$work/cached"
settle "$mnt"
run 4 salvage --badblocks="$work/bad" --force "$mnt/cached" -o "$work/cached"
json 'd["salvage"]["lost_bytes"] == 1024'

# mended, it is a backup
cp "$mnt/cached" "$work/damaged"
for offset in $((40960 + 512)) $((409600 + 512)); do
	dd if="$work/original" of="$work/cached" bs=512 count=1 skip=$((offset / 512)) seek=$((offset / 512)) conv=notrunc status=none
done
settle "$mnt"
repair 1 --yes --from-backup="$work/cached" "$mnt/cached"
settle "$mnt"
cmp "$mnt/cached" "$work/original" || fail "repaired with the mended copy"
