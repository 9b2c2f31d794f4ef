#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# map tells where each byte of a file lies, holes included.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

for type in ext4 xfs; do
	mnt=$work/$type
	filesystem $type "$mnt"
	tools write "$mnt/file" 12 $((RANDOM))
	# a hole, and blocks that were never written
	truncate -s 80K "$mnt/file"
	fallocate -o 96K -l 16K "$mnt/file"
	settle "$mnt"

	run 0 map --badblocks=/dev/null "$mnt/file"
	json 'sum(m["length"] for m in d["files"][0]["mappings"]) == d["files"][0]["size"] == 112 * 1024' \
		'all(a["offset"] + a["length"] == b["offset"]
			for a, b in zip(d["files"][0]["mappings"], d["files"][0]["mappings"][1:]))' \
		'{m["kind"] for m in d["files"][0]["mappings"]} == {"data", "hole", "unwritten"}' \
		'sum(m["length"] for m in d["files"][0]["mappings"] if m["kind"] == "data") == 48 * 1024' \
		'all((m["device_offset"] is None) == (m["kind"] == "hole") for m in d["files"][0]["mappings"])' \
		'all(m["address"] is None and m["region_offset"] is None for m in d["files"][0]["mappings"])'

	for range in 0+4K 0x3000+0x1000 45056+4096; do
		offset=$((${range%+*}))
		place=$(tools where "$image" "$mnt/file" $offset)
		run 0 map --badblocks=/dev/null "$mnt/file" $range
		json 'len(d["files"][0]["mappings"]) == 1' "d['files'][0]['mappings'][0]['offset'] == $offset" \
			"d['files'][0]['mappings'][0]['device_offset'] == $place"
	done

	# bad bytes, in data and where nothing was ever written
	place=$(tools where "$image" "$mnt/file" 8192)
	run 4 map --badblocks=<(echo "$((place / 512 + 1)) 2") "$mnt/file"
	json 'sum(m["bad_bytes"] for m in d["files"][0]["mappings"]) == 1024'
	run 0 map --badblocks=<(echo "$((place / 512 + 1)) 2") "$mnt/file" 0+4K
	run 0 map --badblocks=<(echo "$((place / 512)) 1") "$mnt/file" 60K
	place=$(tools fiemap "$mnt/file" | awk '$1 == 98304 { print $2 }')
	run 0 map --badblocks=<(echo "$((place / 512)) 1") "$mnt/file"
	json 'sum(m["bad_bytes"] for m in d["files"][0]["mappings"]) == 512'

	# the last page of a file: poison inside it, and behind its end
	tools write "$mnt/tail" 2 $((RANDOM))
	settle "$mnt"
	place=$(tools where "$image" "$mnt/tail" 4096)
	truncate -s 5000 "$mnt/tail"
	run 4 map --badblocks=<(echo "$((place / 512 + 1)) 1") "$mnt/tail"
	run 0 map --badblocks=<(echo "$((place / 512 + 4)) 1") "$mnt/tail"
	json '[m["offset"] for m in d["files"][0]["mappings"] if m["bad_bytes"]] == [5000]'

	run 0 map -u --badblocks=/dev/null "$mnt/file"
	prints "$mnt/file: inode "
	prints hole
	: >"$mnt/empty"
	run 0 map --badblocks=/dev/null "$mnt/empty"
	json 'd["files"][0]["mappings"] == []'

	# what is behind the end of a file is nowhere, and no answer; blocks that were allocated there are
	for range in 2M 114688 112K+1 100K+16K 0xffffffffffffffff 1+0xfffffffffffffffe; do
		run 8 map --badblocks=/dev/null "$mnt/file" $range
		json 'codes == ["past-end"]' 'not d["complete"]'
		says "pmem-recover: $mnt/file: ends after 114688 bytes"
	done
	run 8 map -u --badblocks=/dev/null "$mnt/file" 2M
	run 8 map --badblocks=/dev/null "$mnt/empty" 0+1
	fallocate -n -o 112K -l 4K "$mnt/file"
	run 0 map --badblocks=/dev/null "$mnt/file" 112K+4K
	run 8 map --badblocks=/dev/null "$mnt/file" 116K
	unmounted "$mnt"
done

# many extents, and holes between them, take no memory each
loop 64M
mkfs.ext4 -q -F -b 1024 "$loop" || fail mkfs
mounted "$loop" "$work/small"
/usr/bin/python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644)
for i in range(20000):
    os.pwrite(fd, b"x", i * 2048)' "$work/small/file" || fail "no file"
settle "$work/small"
run 0 map --badblocks=/dev/null "$work/small/file"
json 'len(d["files"][0]["mappings"]) >= 39999'
case $PMEM_RECOVER in
*valgrind) ;;
*)
	# what a sanitizer keeps of freed memory is not the program's
	memory=$(ASAN_OPTIONS=${ASAN_OPTIONS-}:quarantine_size_mb=1 /usr/bin/python3 -c 'import resource, subprocess, sys
subprocess.check_call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$PMEM_RECOVER" map --badblocks=/dev/null "$work/small/file")
	[ "$memory" -lt 65536 ] || fail "40,000 mappings took $memory KiB"
	;;
esac
