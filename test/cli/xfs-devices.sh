#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# XFS with its log on a device of its own: the log is found from either side, mounted or not, and told as what it is.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

mnt=$work/mnt
loop 320M
data=$loop
loop 20M
log=$loop
loop 1M
other=$loop
# smaller than its device
# the variables are xfsprogs' own test suite's: they allow logs under 64 MB
TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q -f -l logdev="$log",size=16m "$data" || fail mkfs

# list DEVICE [SECTOR COUNT]...: a list of it, in $work/bad
list() {
	echo "# device $1"
	printf '%s %s\n' "${@:2}"
} >"$work/bad"

# owners: what the bad ranges of the device $1 are, as Python has it; the last run's report
owners="[(r['offset'], r['length'], r['owner']) for r in next(v for v in d['devices'] if v['path'] == '$log')['badblocks']['ranges']]"
codes="[m['code'] for m in d['messages'] if m['level'] != 'info']"

# ---- not mounted: it is known by what is written in it
list "$log" 1000 3
run 4 scan --badblocks="$work/bad" "$log"
json "$owners == [(512000, 1536, 'log')]" "$codes == ['log-lost']"
says "$log: holds the log of an XFS that is not mounted here, and 1536 bytes of it are lost, the first at device offset 512000"
says "xfs_repair -L -l $log DATA-DEVICE"
json "[(f['type'], f['role'], f['belongs_to'], f['mountpoint']) for f in d['devices'][0]['filesystems']] == [
	('xfs_external_log', 'log', None, None)]"
run 0 locate --badblocks="$work/bad" "$log" 511488+2048
json "[(p['offset'], p['length'], p['owner'], p['bad_bytes']) for p in d['places']] == [(511488, 2048, 'log', 1536)]"

# ---- mounted
mounted "$data" "$mnt" -o logdev="$log"
tools write "$mnt/file" 8 || fail write
settle "$mnt"
run 4 scan --badblocks="$work/bad" "$log"
json "$owners == [(512000, 1536, 'log')]" "$codes == ['log-lost']" 'd["files"] == []'
says "$mnt: 1536 bytes of its log on $log are lost, the first at device offset 512000: unmount it cleanly"
says "xfs_repair -L -l $log $data"
json "[(f['role'], f['belongs_to'], f['mountpoint']) for f in d['devices'][0]['filesystems']] == [('log', '$data', '$mnt')]"
run 4 scan -u --badblocks="$work/bad" "$log"
prints log

# to its end, and behind it
list "$log" 32767 2 40000 1
run 4 scan --badblocks="$work/bad" "$log"
json "$owners == [(16776704, 512, 'log'), (16777216, 512, 'free'), (20480000, 512, 'free')]" \
	"$codes == ['log-lost', 'poison-in-free-space']"
says "$log: 1024 bad bytes, the first at device offset 16777216, are behind the end of the log that it holds: nothing is lost"
run 0 locate --badblocks="$work/bad" "$log" 16776704+1024
json "[(p['offset'], p['owner'], p['filesystem']['mountpoint']) for p in d['places']] == [
	(16776704, 'log', '$mnt'), (16777216, 'free', '$mnt')]"
list "$log" 40000 1
run 0 scan --badblocks="$work/bad" "$log"
json "$codes == ['poison-in-free-space']"
list "$log"
run 0 scan --badblocks="$work/bad" "$log"
json "$codes == []"

# ---- all of it: the list is that of one device, and that of the other one stays unknown
list "$log" 1000 3
run 12 scan --badblocks="$work/bad" "$mnt"
json "$owners == [(512000, 1536, 'log')]" "sorted($codes) == ['log-lost', 'not-pmem']" \
	"[v['path'] for v in d['devices'] if v['badblocks']['complete'] is True] == ['$log']"
says "$mnt: lies on $data, which is no persistent memory"
list "$data" "$(($(tools where "$images/image0" "$mnt/file" 4096) / 512))" 1
run 12 scan --badblocks="$work/bad" "$mnt"
json "[(f['path'], [(r['offset'], r['length'], r['state']) for r in f['ranges']]) for f in d['files']] == [
	('$mnt/file', [(4096, 512, 'lost')])]" "$codes == ['not-pmem']"
says "$mnt: lies on $log, which is no persistent memory"
# without a word of which, it is that of the data, as ever
sed -i 1d "$work/bad"
run 12 scan --badblocks="$work/bad" "$mnt"
json "[f['path'] for f in d['files']] == ['$mnt/file']"
# of a directory, or of the data's device, the log is no part
mkdir "$mnt/below"
run 8 scan --badblocks="$work/bad" "$mnt/below"
json 'd["files"] == []' "$codes == ['owner-unknown']"
run 4 scan --badblocks="$work/bad" "$data"
json "[f['path'] for f in d['files']] == ['$mnt/file']" "$codes == []"
# a repair leaves it
list "$log" 1000 3
repair 12 --zero-fill -y "$mnt"
json "'log-lost' in codes" 'd["plan"] == []'
unmounted "$mnt"

# ---- the name that it was mounted by is gone, or has become another's
ln -s "$log" "$work/name"
mounted "$data" "$mnt" -o logdev="$work/name"
list "$data"
rm "$work/name"
run 8 scan --badblocks="$work/bad" "$mnt"
json "$codes == ['external-log']" 'd["summary"]["badblocks"] == 0'
ln -s "$other" "$work/name"
list "$other" 100 1
run 8 scan --badblocks="$work/bad" "$mnt"
json "sorted($codes) == ['external-log', 'not-pmem']"
run 8 scan --badblocks="$work/bad" "$other"
json "$codes == ['external-log']" \
	"[r['owner'] for r in d['devices'][0]['badblocks']['ranges']] == ['unknown']"
says "its mount options or superblock call that $other, which it is not"
run 8 locate --badblocks="$work/bad" "$other" 51200
json "$codes == ['external-log']" "[p['owner'] for p in d['places']] == ['unknown']"
unmounted "$mnt"
exit 0
