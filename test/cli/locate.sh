#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# locate is the inverse of map: whose each byte of a device is, and no guess where nobody tells.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

# traced ARGUMENT...: the calls of a run go to $work/trace. No checker: none works under strace, and all trace as well.
traced() {
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 strace -f -y -o "$work/trace" "${PMEM_RECOVER%-valgrind}" "$@" \
		>/dev/null 2>&1 || fail "under strace: $*"
}

# places EXPRESSION...: over p, the places, and one, the first of them
places() {
	local expression expressions=()

	for expression in "$@"; do
		expressions+=("(lambda p, one: $expression)(d['places'], d['places'][0])")
	done
	json "${expressions[@]}"
}

# device_offset FILE OFFSET: by FIEMAP, for what carries no tag
device_offset() {
	tools fiemap "$1" | awk -v at="$2" '$1 <= at && at < $1 + $3 { print $2 + at - $1; exit }'
}

for type in ext4 xfs; do
	mnt=$work/$type
	filesystem $type "$mnt"
	mkdir "$mnt/dir"
	tools write "$mnt/shuffled" 60 $((RANDOM)) 1000
	tools write "$mnt/dir/linked" 5
	ln "$mnt/dir/linked" "$mnt/other name"
	ln "$mnt/dir/linked" "$mnt/dir/third"
	tools write "$mnt/holes" 4
	fallocate -p -o 4096 -l 4096 "$mnt/holes"
	fallocate -l 64K "$mnt/unwritten"
	tools write "$mnt/ahead" 1
	fallocate -n -o 64K -l 64K "$mnt/ahead"
	files=("$mnt/shuffled" "$mnt/dir/linked" "$mnt/other name" "$mnt/dir/third" "$mnt/holes" "$mnt/ahead")
	if [ $type = xfs ]; then
		tools write "$mnt/original" 8
		cp --reflink=always "$mnt/original" "$mnt/clone"
		files+=("$mnt/original" "$mnt/clone")
	fi
	settle "$mnt"
	size=$(stat -c %s "$image")

	# all at once: every byte has an owner, and every tagged sector its file
	status=0
	"$PMEM_RECOVER" locate "$loop" 0+$((size)) >"$work/out" 2>"$work/err" || status=$?
	tools located "$image" "$work/out" "${files[@]}" || fail "$type: the whole device"
	if [ $type = xfs ]; then
		[ $status -eq 0 ] || fail "$type: status $status"
		places '{x["owner"] for x in p} == {"file", "free", "metadata", "log"}'
		cp "$work/out" "$work/whole"
		for owner in free metadata log; do
			at=$(/usr/bin/python3 -c 'import json, sys
print(next(p["offset"] for p in json.load(open(sys.argv[1]))["places"] if p["owner"] == sys.argv[2]))' "$work/whole" $owner)
			run 0 locate "$loop" "$at+512"
			places 'len(p) == 1' "one['owner'] == '$owner'" "one['offset'] == $at" \
				'one["path"] is None and one["kind"] is None and one["inode"] is None and one["file_offset"] is None'
		done
	else
		# the extent trees, the log and the lost+found of ext4 are known to its inodes alone
		[ $status -eq 0 ] || fail "$type: status $status"
		places '{x["owner"] for x in p} == {"file", "free", "metadata", "log"}' \
			'any(x["part"] == "directory" and x["path"].endswith("/lost+found") for x in p)'
	fi
	run 0 locate "$loop" 1024
	places 'one["owner"] == "metadata"' 'one["length"] == 1'
	run 0 locate "$loop" $((size - 4096))+4K
	places 'one["owner"] == "free"' "one['filesystem'] == {'type': '$type',
		'uuid': d['devices'][0]['filesystem']['uuid'], 'mountpoint': '$mnt'}"

	# one byte, by each way to name the device
	at=$(($(tools where "$image" "$mnt/shuffled" 8192) + 77))
	ln -sfn "$loop" "$work/link"
	for name in "$loop" "${loop##*/}" "$work/link"; do
		run 0 locate "$name" $at
		places 'len(p) == 1' "one['path'] == '$mnt/shuffled' and one['file_offset'] == 8192 + 77" \
			"one['device'] == '${loop##*/}' and one['base'] == 'device' and one['offset'] == $at" \
			'one["owner"] == "file" and one["kind"] == "data" and one["length"] == 1 and one["links"] == []' \
			'one["namespace"] is None and one["region"] is None and one["address"] is None' \
			'not one["shared"] and not one["past_eof"] and one["bad_bytes"] is None' \
			"one['inode'] == os.stat('$mnt/shuffled').st_ino"
	done
	run 0 locate "$loop" "$(printf 0x%x $at)+0x1"
	places "one['offset'] == $at"

	# further names; which is the first is the walk's to choose
	run 0 locate "$loop" "$(tools where "$image" "$mnt/dir/linked" 512)+512"
	places 'len(p) == 1' "{one['path']} | {x['path'] for x in one['links']} ==
		{'$mnt/dir/linked', '$mnt/other name', '$mnt/dir/third'}"
	run 0 locate -u "$loop" "$(tools where "$image" "$mnt/dir/linked" 512)"
	prints "(and 2 further names)"

	# the last page of a file, half of it behind the end; never written; reserved behind the end
	run 0 locate "$loop" "$(tools where "$image" "$mnt/shuffled" $((59 * 4096)))+4K"
	places '[(x["file_offset"], x["length"], x["past_eof"]) for x in p] ==
		[(59 * 4096, 1000, False), (59 * 4096 + 1000, 3096, True)]'
	run 0 locate "$loop" "$(device_offset "$mnt/unwritten" 8192)+4K"
	places 'len(p) == 1 and one["owner"] == "file" and one["kind"] == "unwritten" and one["file_offset"] == 8192'
	run 0 locate "$loop" "$(device_offset "$mnt/ahead" 65536)"
	places 'one["owner"] == "file" and one["past_eof"] and one["kind"] == "unwritten" and one["file_offset"] == 65536'
	run 0 locate -u "$loop" "$(device_offset "$mnt/ahead" 65536)"
	prints "file, unwritten, past its end"

	if [ $type = xfs ]; then
		run 0 locate "$loop" "$(tools where "$image" "$mnt/original" 4096)+512"
		places 'len(p) == 2 and all(x["shared"] and x["file_offset"] == 4096 and x["length"] == 512 for x in p)' \
			"{x['path'] for x in p} == {'$mnt/original', '$mnt/clone'}"
	fi

	# how many are bad; the list of another device is not taken
	echo "$((at / 512)) 2" >"$work/bad"
	run 0 locate --badblocks="$work/bad" "${loop##*/}" $at+600
	places 'sum(x["bad_bytes"] for x in p) == 600'
	run 0 locate --badblocks=/dev/null "$loop" $at
	places 'one["bad_bytes"] == 0'
	echo '# device pmem77' >"$work/bad"
	run 8 locate --badblocks="$work/bad" "$loop" $at
	json 'd["places"] == []'

	# nothing of what is asked about is read; free space and metadata need no walk. What is walked is a mount of its own
	walked="getdents64\([0-9]*<(/|$mnt)>"
	traced locate "$loop" $at
	grep -qE "$walked" "$work/trace" || fail "no walk was seen, so nothing is proved"
	grep -qE "ioctl\([0-9]*<($mnt)?/shuffled>, FS_IOC_FIEMAP" "$work/trace" || fail "no file was asked, so nothing is proved"
	! grep -E "(read|readv|read64|preadv2?|mmap)\([^)]*<($mnt)?/(shuffled|other name|holes|ahead|original|clone|dir/)" \
		"$work/trace" || fail "a file was read"
	! grep -F O_DIRECT "$work/trace" | grep -v O_DIRECTORY || fail "the device was read"
	traced locate "$loop" $((size - 4096))
	! grep -qE "$walked" "$work/trace" || fail "a walk for free space"

	# a file that no walk can meet: who has it open is named
	exec 9<"$mnt/holes"
	rm "$mnt/holes"
	sync -f "$mnt"
	run 0 locate "$loop" "$(tools fiemap /proc/self/fd/9 9<&9 | awk 'NR == 1 { print $2 }')"
	places "one['owner'] == 'file' and one['path'] == '/proc/$$/fd/9' and one['inode'] > 0"
	json '"deleted-open" in codes'
	run 0 locate -u "$loop" "$(tools fiemap /proc/self/fd/9 9<&9 | awk 'NR == 1 { print $2 }')"
	prints "/proc/$$/fd/9"
	exec 9<&-

	# without rights no names below a closed directory, and no guess
	chmod 700 "$mnt/dir"
	chmod 755 "$work" "$mnt"
	at=$(tools where "$image" "$mnt/ahead" 0)
	setpriv --reuid=65534 --regid=65534 --clear-groups -- "$PMEM_RECOVER" locate "$loop" "$at" >"$work/out" 2>"$work/err"
	status=$?
	[ $status -eq 0 ] || [ $status -eq 8 ] || fail "without rights: $status"
	places "one['owner'] in ('file', 'unknown')" 'one["path"] is not None or one["owner"] == "unknown"'

	unmounted "$mnt"
	run 8 locate "$loop" "$at"
	places 'one["owner"] == "unknown"' "one['filesystem']['type'] == '$type' and one['filesystem']['mountpoint'] is None"
	json '"not-mounted" in codes'
	says "mount it"
done

# partitions: offsets are the partition's, answers the disk's
loop 100M
tools mbr "$image" 2048 100000 105000 90000
losetup -d "$loop"
unset 'loops[-1]'
loop=$(losetup -fP --show "$image") || fail "no loop device"
loops+=("$loop")
[ -b "${loop}p2" ] || partx -a "$loop" 2>/dev/null
for _ in $(seq 50); do
	[ -b "${loop}p2" ] && break
	sleep 0.1
done
[ -b "${loop}p2" ] || fail "no partitions"
mkfs.ext4 -q -F -b 4096 "${loop}p2" || fail mkfs
mounted "${loop}p2" "$work/part"
tools write "$work/part/file" 20 1
settle "$work/part"
at=$(tools where "$image" "$work/part/file" 4096)
run 0 locate "${loop}p2" $((at - 105000 * 512))
places "one['path'] == '$work/part/file' and one['file_offset'] == 4096" \
	"one['device'] == '${loop##*/}' and one['offset'] == $at"
cp "$work/out" "$work/by-partition"
run 0 locate "$loop" "$at"
/usr/bin/python3 -c 'import json, sys
a, b = (json.load(open(f))["places"] for f in sys.argv[1:])
sys.exit(a != b)' "$work/out" "$work/by-partition" || fail "two ways to one place"
run 0 locate "${loop##*/}p2" $((at - 105000 * 512))
places "one['offset'] == $at"
run 0 locate "$loop" 512
places 'one["owner"] == "namespace" and one["base"] == "device" and one["filesystem"] is None'
run 0 locate "$loop" $((102048 * 512))+4K
places 'len(p) == 1 and one["owner"] == "namespace"'
run 8 locate "${loop}p1" 512
places 'one["owner"] == "unknown"' 'one["filesystem"]["type"] is None'
json '"no-filesystem" in codes'
run 8 locate "${loop}p2" $((90000 * 512))
json '"past-end" in codes' 'd["places"] == []'
run 8 locate "${loop}p2" $((90000 * 512 - 1))+2
run 8 locate "$loop" 18446744073709551615+18446744073709551615
json '"past-end" in codes'

# what is not understood; most of it ends before it begins, which is not worth a checker's time
PMEM_RECOVER=${PMEM_RECOVER%-valgrind}
loop 128M
run 8 locate "$loop" 4096
places 'one["owner"] is None'
json '"no-filesystem" in codes'
mkfs.btrfs -q -f "$loop" >/dev/null 2>&1 || fail "mkfs.btrfs"
mounted "$loop" "$work/btrfs"
run 8 locate "$loop" 20M
json '"unsupported-filesystem" in codes' 'd["places"] == []'
run 8 locate "$work/btrfs" 0
json '"not-a-device" in codes' 'd["places"] == []'
: >"$work/file"
run 8 locate "$work/file" 0
says "$work/file: "
run 8 locate /dev/no-such-device 0
says "/dev/no-such-device: "
run 8 locate /dev/null 0
run 8 locate no-such-name 0
run 8 locate --address=0
json '"no-such-address" in codes' 'd["places"] == []' 'd["devices"] == []'
run 8 locate --address=0xffffffffffffffff

# wrong command lines
for arguments in '' one 'one 1 2' 'one x' 'one 1+0' '--address=1 one' '--address=1 one 2' '--address=xyz' '--address=' \
	'--address=1x' '--address=-1' '--address=10000000000000000'; do
	# shellcheck disable=SC2086 # words
	run 16 locate $arguments
	[ ! -s "$work/out" ] || fail "a document for a usage error: $arguments"
done
echo '8 1' >"$work/bad"
run 16 locate --badblocks="$work/bad" --address=1
printf '# device no-such-device\n8 1\n' >"$work/bad"
run 8 locate --badblocks="$work/bad" --address=1
json '"no-device" in codes'
