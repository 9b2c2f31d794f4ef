#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --read on media that never fails: what is read of what, how fast, what that makes of a list, and an interrupt. Media that fails
# needs a device mapper, and so a guest: test/vm/tests/any-storage.sh.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

filesystem ext4 "$work/mnt"
size=$(blockdev --getsize64 "$loop")
tools write "$work/mnt/file" 16
mkdir "$work/mnt/dir"
settle "$work/mnt"
place=$(tools where "$image" "$work/mnt/file" 0)
first=$((place / 512))

# a device without a list has one then
run 0 scan --read "$loop"
json 'd["devices"][0]["read"] == {"complete": True, "bytes": '"$size"', "found_by_reading": 0, "ranges": []}' \
	'd["devices"][0]["badblocks"]["trust"] == "complete"' 'd["devices"][0]["badblocks"]["source"] == "read"'
for target in "$work/mnt" "$work/mnt/dir"; do
	run 0 scan --read "$target"
	json "d['devices'][0]['read']['bytes'] == $size"
done
# of a file its extents: the list stays incomplete, and the answer is known
run 0 scan --read "$work/mnt/file"
json 'd["devices"][0]["read"]["complete"]' 'd["devices"][0]["read"]["bytes"] == 65536' \
	'd["devices"][0]["badblocks"]["trust"] == "incomplete"' 'd["devices"][0]["badblocks"]["reason"] == "read-in-part"' \
	'd["complete"]'
run 0 scan -u --read "$work/mnt/file"
prints "$loop: read 64 KiB; nothing in it failed that was in no list"
run 8 scan "$work/mnt/file"
says 'see --badblocks, and --read'
json '"read" not in d["devices"][0]'

# what a file lists is not read, and what it leaves open is closed
printf '# incomplete\n%d 1\n' "$first" >"$work/bad"
run 12 scan --badblocks="$work/bad" "$work/mnt"
run 4 scan --read --badblocks="$work/bad" "$work/mnt"
json 'd["devices"][0]["badblocks"]["trust"] == "complete"' 'd["summary"]["lost_bytes"] == 512' \
	"d['devices'][0]['read']['bytes'] == $size" 'd["devices"][0]["read"]["found_by_reading"] == 0' \
	"d['devices'][0]['badblocks']['source'] == '$work/bad'"
if command -v strace >/dev/null && [[ $PMEM_RECOVER != *valgrind ]]; then
	ASAN_OPTIONS=detect_leaks=0 strace -f -o "$work/trace" -e trace=pread64 "$(program)" scan --read --badblocks="$work/bad" \
		"$loop" >/dev/null 2>&1
	# offsets that are read of the device: none in the listed sector, and all others
	/usr/bin/python3 - "$work/trace" $((first * 512)) "$size" <<'PYTHON' || fail "what was read"
import re, sys
path, listed, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
calls = re.findall(r"pread64\(\d+, .*, (\d+), (\d+)\) = \1$", open(path).read(), re.M)
spans = sorted((int(o), int(o) + int(n)) for n, o in calls if int(n) >= 512)
assert not any(a <= listed < b for a, b in spans), "the listed sector was read"
edge = 0
for a, b in spans:
    if edge == listed:
        edge += 512
    assert a <= edge, (a, edge)
    edge = max(edge, b)
assert edge == size, edge
PYTHON
fi

# a repair writes nothing where there was nothing to find
run 0 repair --read --yes --zero-fill --journal="$work/journal" "$work/mnt/file"
json 'd["plan"] == []' '"nothing-to-repair" in codes'
run 0 salvage --read -o "$work/copy" "$work/mnt/file"
cmp "$work/copy" "$work/mnt/file" || fail "the copy"

# the command line
for rate in 0 -1 x 1X ''; do
	run 16 scan --read --read-rate=$rate "$loop"
done
run 16 scan --read-rate=1M "$loop"
says 'means nothing without --read'
run 16 repair --resume --read

# no faster than was asked for, and not much slower
begin=${EPOCHREALTIME/./}
run 0 scan --read --read-rate=128M "$loop"
took=$(((${EPOCHREALTIME/./} - begin) / 1000))
[ $took -ge 450 ] || fail "64 MiB at 128 MiB a second took $took ms"

# an interrupt in the middle: what was read so far, and no more; what was known by then has its files
# interrupted STATUS TIMES COMMAND OPTION...: what a script starts in the background ignores it; TIMES it is said
interrupted() {
	local n expected=$1 times=$2
	shift 2
	env --default-signal=INT "$(program)" "$1" --read --read-rate=1M "${@:2}" >"$work/out" 2>"$work/err" </dev/null &
	for ((n = 0; n < 300; n++)); do
		readlink "/proc/$!/fd/"* 2>/dev/null | grep -qx "$loop" && break
		sleep 0.1
	done
	sleep 0.5
	kill -INT $!
	wait $!
	status=$?
	[ $status -eq "$expected" ] || fail "status $status after an interrupt"
	json 'not d["complete"]' 'not d["devices"][0]["read"]["complete"]' "codes.count('interrupted') == $times" \
		"0 < d['devices'][0]['read']['bytes'] < $size"
}
interrupted 8 1 scan "$loop"
says "pmem-recover: $loop: was not read to the end"
interrupted 12 1 scan --badblocks="$work/bad" "$work/mnt"
json '[(f["path"], [(r["offset"], r["length"]) for r in f["ranges"]]) for f in d["files"]] == [("'"$work"'/mnt/file", [(0, 512)])]' \
	'd["devices"][0]["badblocks"]["ranges"][0]["owner"] == "file"'

# of a copy nothing is made then, and what is said of going on is so
tools write "$work/mnt/large" 512
settle "$work/mnt"
interrupted 8 2 salvage "$work/mnt/large" -o "$work/half" --mapfile="$work/map"
says "pmem-recover: $loop: was not read to the end"
says "pmem-recover: $work/mnt/large: stopped early: go on with the same output and mapfile"
json 'd["salvage"]["remaining_bytes"] == 512 * 4096' 'd["salvage"]["rescued_bytes"] == 0'
run 0 salvage --read "$work/mnt/large" -o "$work/half" --mapfile="$work/map"
cmp "$work/half" "$work/mnt/large" || fail "the copy that went on"

# on a terminal
if [[ $PMEM_RECOVER != *valgrind ]]; then
	tools_of walks.py terminal "$work" pread64 20000 0 \
		"reading media: [0-9.]+ MiB of 64 MiB \([0-9.]+ MiB/s\)(, about [0-9]+ s left)?, $loop" -- \
		"$(program)" scan --read "$loop" || fail "progress"
fi

# a partition is read, and not what lies beside it
loop 32M
tools mbr "$image" 2048 16384
losetup -d "$loop"
unset 'loops[-1]'
loop=$(losetup -fP --show "$image") || fail "no loop device"
loops+=("$loop")
# a kernel that reads no partition tables lets itself be told
[ -b "${loop}p1" ] || partx -a "$loop" 2>/dev/null
for _ in $(seq 50); do
	[ -b "${loop}p1" ] && break
	sleep 0.1
done
[ -b "${loop}p1" ] || fail "no partition"
run 0 scan --read "${loop}p1"
json 'd["devices"][0]["read"]["bytes"] == 8388608' 'd["devices"][0]["badblocks"]["reason"] == "read-in-part"'
