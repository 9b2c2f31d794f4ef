#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# scan on loop devices: the log is found where the filesystem's reverse map does not tell, and each owner has its message.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

mnt=$work/mnt

# made MKFS...: a filesystem by that command on a new loop device
made() {
	loop 320M
	"$@" "$loop" >/dev/null || fail "$1"
	mounted "$loop" "$mnt"
	tools write "$mnt/file" 8 || fail write
	sync -f "$mnt"
}

# owner STATUS OWNER CODE SECTOR COUNT: what the bad sectors are called, and that a repair leaves them
owner() {
	echo "$4 $5" >"$work/bad"
	run "$1" scan --badblocks="$work/bad" "$mnt"
	json "[(r['offset'], r['length'], r['owner']) for r in d['devices'][0]['badblocks']['ranges']] == [
			($4 * 512, $5 * 512, '$2')]" \
		"[m['code'] for m in d['messages'] if m['level'] != 'info'] == ['$3']" 'd["files"] == []'
	repair "$1" --zero-fill -y "$mnt"
	json "'$3' in codes" 'd["journal"] is None and d["plan"] == []'
}

# journal_runs SECTORS: "sector count" of each run of blocks of an ext4 journal, whose blocks have so many sectors
journal_runs() {
	debugfs -R 'blocks <8>' "$loop" 2>/dev/null | tr ' ' '\n' | awk -v n="$1" '
		NF && $1 != last + 1 { if (run) print first * n, run * n; first = $1; run = 0 }
		NF { last = $1; run++ }
		END { print first * n, run * n }'
}

for size in 4096 1024; do
	made mkfs.ext4 -q -F -b $size -J size=16
	journal_runs $((size / 512)) >"$work/runs"
	[ -s "$work/runs" ] || fail "no journal"
	while read -r sector count; do
		owner 4 log log-lost "$sector" 1
		end=$((sector + count))
		owner 4 log log-lost $((end - 1)) 1
	done <"$work/runs"
	# behind the last run lies something else
	echo "$end 1" >"$work/bad"
	run 0 scan --badblocks="$work/bad" "$mnt"
	json 'd["devices"][0]["badblocks"]["ranges"][0]["owner"] == "free"' 'codes == ["poison-in-free-space"]'
	owner 4 metadata metadata-lost $(($(dumpe2fs "$loop" 2>/dev/null |
		sed -n 's/.*Inode table at \([0-9]*\).*/\1/p' | head -n 1) * size / 512 + 2)) 1
	# the sentence does not deny what the status says
	run 4 scan -u --badblocks="$work/bad" "$mnt"
	prints '); 512 B of metadata lost'
	# what ext4 tells by GETFSMAP is no reverse map
	run 0 locate -u "$loop" 8K
	prints 'metadata'
	prints "Looked up by: map of blocks ($mnt)"
	# ahead of the first block, where blocks are so small that the superblock is not in that
	if [ $size -eq 1024 ]; then
		owner 4 metadata boot-block-lost 0 2
		json 'd["devices"][0]["badblocks"]["ranges"][0]["part"] == "boot-block"'
		run 0 locate "$loop" 1
		json '[(x["owner"], x["part"]) for x in d["places"]] == [("metadata", "boot-block")]'
	fi
	unmounted "$mnt"
done

# a journal in so many pieces that they are listed in blocks of their own
loop 64M
mkfs.ext4 -q -F -b 1024 -O ^has_journal,^bigalloc -N 8192 "$loop" >/dev/null || fail mkfs
mounted "$loop" "$mnt"
for ((i = 0; i < 4000; i++)); do
	head -c 16384 /dev/zero >"$mnt/$i" 2>/dev/null || break
done
rm "$mnt"/*[02468]
sync -f "$mnt"
unmounted "$mnt"
tune2fs -j -J size=4 "$loop" >/dev/null || fail tune2fs
mounted "$loop" "$mnt"
journal_runs 2 >"$work/runs"
[ "$(wc -l <"$work/runs")" -gt 8 ] || fail "the journal is in $(wc -l <"$work/runs") pieces"
while read -r sector count; do
	owner 4 log log-lost "$sector" "$count"
done < <(sed -n '2p;$p' "$work/runs")
unmounted "$mnt"

# no extents, as of ext3
made mkfs.ext4 -q -F -b 4096 -O ^extent,^64bit -J size=16
read -r sector _ < <(journal_runs 8)
owner 4 log log-lost "$sector" 1
unmounted "$mnt"

for map in 0 1; do
	made mkfs.xfs -q -f -m rmapbt=$map
	log=$(xfs_db -r -c "convert fsblock $(xfs_db -r -c 'sb 0' -c 'p logstart' "$loop" | sed 's/.*= //') daddr" "$loop" |
		sed 's/.*(\([0-9]*\))/\1/')
	blocks=$(xfs_db -r -c 'sb 0' -c 'p logblocks' "$loop" | sed 's/.*= //')
	group=$(xfs_db -r -c 'sb 0' -c 'p agblocks' "$loop" | sed 's/.*= //')
	owner 4 log log-lost "$log" 1
	owner 4 log log-lost $((log + blocks * 8 - 1)) 1
	owner 4 metadata metadata-lost $((group * 8 + 1)) 2
	unmounted "$mnt"
done

# of an allocated cluster, the blocks that no file has; and what is behind the end of a filesystem that is smaller than its device
loop 320M
mkfs.ext4 -q -F -b 4096 -O bigalloc -C 65536 "$loop" 60000 >/dev/null 2>&1 || fail mkfs
mounted "$loop" "$mnt"
tools write "$mnt/file" 1 || fail write
sync -f "$mnt"
echo "$(($(tools where "$image" "$mnt/file" 0) / 512 + 64)) 1" >"$work/bad"
run 0 scan --badblocks="$work/bad" "$mnt"
json '[r["owner"] for r in d["devices"][0]["badblocks"]["ranges"]] == ["unwritten"]' 'd["complete"]'
echo "$((60000 * 8 + 64)) 1" >"$work/bad"
run 0 scan --badblocks="$work/bad" "$mnt"
json '[r["owner"] for r in d["devices"][0]["badblocks"]["ranges"]] == ["free"]' 'd["complete"]'
# both at once
echo "$(($(tools where "$image" "$mnt/file" 0) / 512 + 1)) 64" >"$work/bad"
run 4 scan --badblocks="$work/bad" "$mnt"
json '[(r["length"], r["owner"]) for r in d["devices"][0]["badblocks"]["ranges"]] == [(7 * 512, "file"), (57 * 512, "unwritten")]'
unmounted "$mnt"

# ---- what a file has besides its data is lost with it, whether all, its directory or the file itself is asked about

# pieces FILE: in 400 extents, with attributes that have a block of their own
pieces() {
	/usr/bin/python3 - "$1" <<-'END' || fail pieces
		import os, sys
		fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
		for i in range(400):
		    os.pwrite(fd, b"x" * 4096, i * 8192)
		os.setxattr(fd, "user.a", b"a" * 3000)
		os.fsync(fd)
	END
	sync -f "$mnt"
}

# itself PART CODE SECTOR: of d/f alone
itself() {
	local target lookup

	echo "$3 1" >"$work/bad"
	for target in "" /d /d/f; do
		run 4 scan --badblocks="$work/bad" "$mnt$target"
		# of a sector of inodes one is its
		json "[(r['owner'], r['part'], r['path']) for r in d['devices'][0]['badblocks']['ranges'] if 'path' in r] == [
				('metadata', '$1', '$mnt/d/f')]" "any(m['code'] == '$2' and m['object'] == '$mnt/d/f' for m in d['messages'])" \
			'd["files"] == []' 'd["complete"]'
	done
	for target in /d /d/f; do
		run 4 scan --lookup=walk --badblocks="$work/bad" "$mnt$target"
	done
	# in whatever order it is named with another
	for lookup in auto walk; do
		for target in "$mnt/d $mnt/e" "$mnt/e $mnt/d"; do
			# shellcheck disable=SC2086 # two directories
			run 4 scan --lookup=$lookup --badblocks="$work/bad" $target
			json "[m['object'] for m in d['messages'] if m['code'] == '$2'] == ['$mnt/d/f']" 'd["complete"]'
		done
	done
	run 0 scan --badblocks="$work/bad" "$mnt/file"
	json 'codes == []'
}

# field COMMAND EXPRESSION: of what debugfs tells of d/f
field() { debugfs -R "$1 <$inode>" "$loop" 2>/dev/null | sed -n "$2"; }

made mkfs.ext4 -q -F -b 4096
mkdir "$mnt/d" "$mnt/e"
pieces "$mnt/d/f"
inode=$(stat -c %i "$mnt/d/f")
tree=$(field ex '2s/.*- *[0-9]* *\([0-9][0-9]*\) *[0-9]* *$/\1/p')
itself extents extents-lost $((tree * 8 + 2))
itself attributes attributes-lost $(($(field stat 's/.*File ACL: \([0-9]*\).*/\1/p') * 8))
read -r block offset < <(field imap 's/.*located at block \([0-9]*\), offset 0x\(.*\)/\1 \2/p')
itself inode inode-lost $((block * 8 + 0x$offset / 512))
# who may not read the inodes is not told that nothing is lost, unless the file has nothing but its data
echo "$((tree * 8 + 2)) 1" >"$work/bad"
chmod 0 "$loop"
for target in "8 d/f" "8 d" "0 file"; do
	setpriv --bounding-set=-dac_override,-dac_read_search "$PMEM_RECOVER" scan --badblocks="$work/bad" "$mnt/${target#* }" \
		>"$work/out" 2>"$work/err"
	status=$?
	[ $status -eq "${target% *}" ] || fail "$target, by who may not read the device: $status"
	json "('owner-unknown' in codes) == ($status == 8)"
done
# nor is who names a directory that has files whose inodes may lie there
echo "$((block * 8 + 0x$offset / 512)) 1" >"$work/bad"
setpriv --bounding-set=-dac_override,-dac_read_search "$PMEM_RECOVER" scan --badblocks="$work/bad" "$mnt/d" >"$work/out" 2>"$work/err"
status=$?
[ $status -eq 8 ] || fail "an inode, by who may not read the device: $status"
json "'owner-unknown' in codes"
chmod 660 "$loop"
unmounted "$mnt"

for map in 1 0; do
	made mkfs.xfs -q -f -m rmapbt=$map
	mkdir "$mnt/d" "$mnt/e"
	pieces "$mnt/d/f"
	inode=$(stat -c %i "$mnt/d/f")
	mkdir -m 0 "$mnt/d/closed"
	tools write "$mnt/e/data" 8 || fail write
	data=$(($(tools where "$image" "$mnt/e/data" 4096) / 512))
	tools write "$mnt/e/gone" 8 || fail write
	free=$(($(tools where "$image" "$mnt/e/gone" 4096) / 512))
	rm "$mnt/e/gone"
	# what is in the log alone is not where it is looked for
	unmounted "$mnt"
	mounted "$loop" "$mnt"
	# the root of the map is in the inode
	tree=$(xfs_db -r -c "inode $inode" -c 'p u3.bmbt.ptrs' "$loop" | sed 's/.*1://; s/ .*//')
	daddr() { xfs_db -r -c "convert $1 $2 daddr" "$loop" | sed 's/.*(\([0-9]*\))/\1/'; }
	if [ $map = 1 ]; then
		itself extents extents-lost $(($(daddr fsblock "$tree") + 1))
	fi
	# inodes are read many at a time
	echo "$(daddr ino "$inode") 1" >"$work/bad"
	for target in /d /d/f; do
		run 4 scan --badblocks="$work/bad" "$mnt$target"
		json "any(m['code'] == 'inode-lost' and m['object'] == '$mnt/d/f' for m in d['messages'])" 'd["complete"]'
	done
	# data of one is nothing untold of the other, whichever comes first
	echo "$data 1" >"$work/bad"
	for target in "$mnt/d $mnt/e" "$mnt/e $mnt/d" "$mnt/d/f $mnt/e" "$mnt/e $mnt/d/f"; do
		# shellcheck disable=SC2086 # two of them
		run 4 scan --badblocks="$work/bad" $target
		json "[f['path'] for f in d['files']] == ['$mnt/e/data']" 'd["complete"]'
	done
	if [ $map = 1 ]; then
		# where no inode can be, none is looked for: there is no walk, which could not read all
		echo "$free 1" >"$work/bad"
		setpriv --bounding-set=-dac_override,-dac_read_search "$PMEM_RECOVER" scan --badblocks="$work/bad" "$mnt/d" \
			>"$work/out" 2>"$work/err"
		status=$?
		[ $status -eq 0 ] || fail "free space: $status"
		json 'codes == []'
	fi
	if [ $map = 0 ]; then
		echo "$(($(daddr fsblock "$tree") + 1)) 1" >"$work/bad"
		for target in /d /d/f; do
			run 8 scan --badblocks="$work/bad" "$mnt$target"
			json 'codes == ["owner-unknown"]' 'd["files"] == []'
			says 'XFS made with rmapbt=1 would tell'
		done
		run 0 scan --badblocks="$work/bad" "$mnt/file"
	fi
	unmounted "$mnt"
done

# ---- the log of an ext4 on a device of its own, which no mount option tells of
loop 20M
log=$loop
mke2fs -q -F -b 4096 -O journal_dev "$log" >/dev/null || fail mke2fs
made mkfs.ext4 -q -F -b 4096 -J device="$log"
data=$loop
logs="[(r['offset'], r['length'], r['owner']) for r in next(v for v in d['devices'] if v['path'] == '$log')['badblocks']['ranges']]"
codes="sorted(m['code'] for m in d['messages'] if m['level'] != 'info')"
printf '# device %s\n1000 3\n' "$log" >"$work/bad"
run 12 scan --badblocks="$work/bad" "$mnt"
json "$logs == [(512000, 1536, 'log')]" "$codes == ['log-lost', 'not-pmem']"
says "$mnt: 1536 bytes of its log on $log are lost, the first at device offset 512000: unmount it cleanly"
says "tune2fs -J device=$log $data"
repair 12 --zero-fill -y "$mnt"
json "'log-lost' in codes" 'd["plan"] == []'
run 4 scan --badblocks="$work/bad" "$log"
json "$logs == [(512000, 1536, 'log')]" "$codes == ['log-lost']" \
	"[(f['type'], f['role'], f['belongs_to'], f['mountpoint']) for f in d['devices'][0]['filesystems']] == [
		('jbd', 'log', '$data', '$mnt')]"
run 0 locate --badblocks="$work/bad" "$log" 512000
json "[p['owner'] for p in d['places']] == ['log']"
# of a directory the log is no part; of all it is, and its list is not known
echo "$(($(tools where "$image" "$mnt/file" 4096) / 512)) 1" >"$work/bad"
run 12 scan --badblocks="$work/bad" "$mnt"
json "[f['path'] for f in d['files']] == ['$mnt/file']" "$codes == ['not-pmem']"
says "$mnt: lies on $log, which is no persistent memory"
run 4 scan --badblocks="$work/bad" "$mnt/file"
unmounted "$mnt"
printf '# device %s\n1000 3\n' "$log" >"$work/bad"
run 4 scan --badblocks="$work/bad" "$log"
json "$logs == [(512000, 1536, 'log')]" "$codes == ['log-lost']"
