#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A --badblocks file that cannot be believed is refused with the line's number, and nothing is called clean.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

filesystem ext4 "$work/mnt"
tools write "$work/mnt/file" 16
settle "$work/mnt"
place=$(tools where "$image" "$work/mnt/file" 0)
first=$((place / 512))

# faulty LINE TEXT: refused, with the line's number
faulty() {
	printf '%b' "$2" >"$work/list"
	run 8 scan --badblocks="$work/list" "$work/mnt"
	json 'd["files"] == []' 'any(m["level"] == "error" and m["object"] == "'"$work/list"'" for m in d["messages"])'
	says "pmem-recover: $work/list: "
	grep -qE "line $1([^0-9]|\$)" "$work/err" || fail "not line $1: $2"
}
faulty 1 'eight 1\n'
faulty 1 '8\n'
faulty 2 '8 1\n8 1 1\n'
faulty 3 '# comment\n\n-8 1\n'
faulty 1 '8 -1\n'
faulty 1 '8 0\n'
faulty 1 '0x8 1\n'
faulty 2 '8 1\n36028797018963968 1\n'
faulty 1 '18446744073709551616 1\n'
faulty 1 '36028797018963967 2\n'
faulty 2 '# size 4096\n8 1\n'
faulty 1 '8 1\0\n'

# foreign TEXT: well formed, but not this device's
foreign() {
	printf '%b' "$1" >"$work/list"
	run 8 scan --badblocks="$work/list" "$work/mnt"
	json 'd["files"] == []'
	run 8 map --badblocks="$work/list" "$work/mnt/file"
	json 'd["files"] == []'
	run 8 repair --zero-fill --yes --badblocks="$work/list" "$work/mnt/file"
	json 'd["files"] == []' 'd["plan"] == []'
}
foreign '131071 2\n'
foreign '131072 1\n'
foreign '# size 4096\n1 1\n'
foreign '# device /dev/null\n8 1\n'
foreign '# device pmem77\n8 1\n'

for missing in "$work/no-such-list" "$work"; do
	run 8 scan --badblocks="$missing" "$work/mnt"
	json 'd["files"] == []'
	says "pmem-recover: $missing: "
done
run 8 health --badblocks=<(echo '# device /dev/no-such-device')
says '/dev/no-such-device: '
json 'd["devices"] == []'
run 8 health --badblocks=<(echo '# device /dev/null')
says '/dev/null: '

# good ones: any order, overlaps, comments, no newline at the end, from standard input
printf '# made by hand\n# device %s\n# size 67108864\n\n%d 2\n%d 1\n%d 1' "$loop" $((first + 4)) "$first" \
	$((first + 4)) >"$work/list"
settle "$work/mnt"
run 4 scan --badblocks="$work/list" "$work/mnt"
json 'd["devices"][0]["badblocks"]["count"] == 2' 'd["devices"][0]["badblocks"]["complete"]' \
	'd["devices"][0]["badblocks"]["source"] == "'"$work/list"'"' \
	'[(r["offset"], r["length"]) for r in d["files"][0]["ranges"] if r["state"] == "lost"] == [(0, 512), (2048, 1024)]'
settle "$work/mnt"
"$PMEM_RECOVER" scan --badblocks=- "$work/mnt" <"$work/list" >"$work/out" 2>"$work/err"
status=$?
[ $status -eq 4 ] || fail "a list from standard input"
json 'd["summary"]["lost_bytes"] == 1536'
: >"$work/list"
for list in "$work/list" /dev/null; do
	run 0 scan --badblocks="$list" "$work/mnt"
	json 'd["files"] == []' 'd["devices"][0]["badblocks"]["trust"] == "complete"' 'codes == []'
done
# what came from a program that failed looks the same, so that is said
run 0 scan --badblocks=- "$work/mnt"
json 'codes == ["badblocks-empty"]' 'd["devices"][0]["badblocks"]["trust"] == "complete"'
says 'pmem-recover: standard input: gave nothing'
echo '# nothing is bad' >"$work/list"
"$PMEM_RECOVER" scan -q --badblocks=- "$work/mnt" <"$work/list" >"$work/out" 2>"$work/err"
status=$?
without_valgrind
[ $status -eq 0 ] || fail "a list without records"
is_silent

# a copy of a full list of the kernel's is no more complete than that was, and what it has is still lost
# full REASON
full() {
	settle "$work/mnt"
	run 12 scan --badblocks="$work/list" "$work/mnt/file"
	json 'd["devices"][0]["badblocks"]["trust"] == "incomplete"' \
		"d['devices'][0]['badblocks']['reason'] == '$1'" '"badblocks-incomplete" in codes' \
		'd["summary"]["lost_bytes"] == 512'
	says "pmem-recover: $work/list: "
	run 12 health --badblocks=<(
		echo "# device $loop"
		cat "$work/list"
	)
	json 'not d["devices"][0]["badblocks"]["complete"]'
}
[ "$first" -lt 100000 ] || fail "the file lies where it is not expected"
{
	printf '%06d 1\n' "$first"
	seq -f '%.0f 1' 100001 2 101001
} >"$work/long"
# all 4095 bytes that a page shows, cut in a number; exactly at a line's end; a longer page, cut; all records there are
sed '1s/$/ /' "$work/long" | head -c 4095 >"$work/list"
full page-full
head -c 4095 "$work/long" >"$work/list"
full page-full
head -c 4102 "$work/long" >"$work/list"
full cut-line
{
	printf '%06d 1\n' "$first"
	seq -f '%.0f 1' 100001 2 101021
} >"$work/list"
[ "$(wc -l <"$work/list")" -eq 512 ] || fail "not as many as meant"
full record-limit

# without one, a loop device has no list, and that is not "clean"
run 8 scan "$work/mnt"
json 'd["devices"][0]["badblocks"]["trust"] == "unknown"' 'd["summary"]["badblocks"] is None'
run 8 scan "$work/mnt/file"
run 8 map "$work/mnt/file"
json 'd["files"][0]["mappings"][0]["bad_bytes"] is None'

# targets on two devices cannot share one list
filesystem ext4 "$work/second"
run 8 scan --badblocks="$work/list" "$work/mnt" "$work/second"
