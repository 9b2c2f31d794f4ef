#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Signals in the middle of a repair: no number of them kills it between a write and looking at what became of it.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

mnt=$work/mnt
filesystem ext4 "$mnt"
tools write "$mnt/file" 1500
cp "$mnt/file" "$work/backup"
tools pick "$image" $RANDOM 250 "$mnt/file" >"$work/bad"
# the first page is the first to be written
first=$(($(tools where "$image" "$mnt/file" 0) / 512))
echo "$first 1" >>"$work/bad"
tools damage "$image" "$work/bad"
settle "$mnt"
cp "$mnt/file" "$work/damaged"
settle "$mnt"

/usr/bin/python3 -B - "$work" "$image" $first "$PMEM_RECOVER" repair --badblocks="$work/bad" --trust-badblocks -y \
	--journal="$work/journal" --from-backup="$work/backup" "$mnt/file" <<'PYTHON' || fail "interrupted repair"
import os, signal, subprocess, sys, time
work, image, first, *command = sys.argv[1:]
disk = os.open(image, os.O_RDONLY)
def sector():
    return os.pread(disk, 512, int(first) * 512)
before = sector()
with open(work + "/out", "w") as out, open(work + "/err", "w") as err:
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
while sector() == before and p.poll() is None:
    time.sleep(0.001)
for number in signal.SIGHUP, signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
    p.send_signal(number)
    time.sleep(0.002)
status = p.wait()
sys.exit(0 if status == 12 else f"status {status} instead of 12")
PYTHON
status=12
json '{s for r in losses(d).values() for _, _, s in r} == {"repaired", "skipped"}' \
	'all(r["reason"] == "interrupted" for f in d["files"] for r in f["ranges"] if r["state"] == "skipped")' \
	'd["journal"]'
says "finish what it had begun with 'pmem-recover repair --resume --journal=$work/journal', then repair again"
json '"interrupted" in codes'
settle "$mnt"
# each range is what the report says, and nothing else was touched
/usr/bin/python3 -B - "$work" "$mnt/file" <<'PYTHON' || fail "the report does not say what was written"
import json, sys
work, path = sys.argv[1:]
now, good, bad = (open(p, "rb").read() for p in (path, work + "/backup", work + "/damaged"))
wanted = bytearray(bad)
for f in json.load(open(work + "/out"))["files"]:
    for r in f["ranges"]:
        if r["state"] == "repaired":
            wanted[r["offset"] : r["offset"] + r["length"]] = good[r["offset"] : r["offset"] + r["length"]]
sys.exit(0 if now == wanted else 1)
PYTHON
settle "$mnt"

# the rest, with a reader of the report that goes away
rm -r "$work/journal"
{
	sleep 0.5
	"$PMEM_RECOVER" repair --badblocks="$work/bad" --trust-badblocks --journal="$work/journal" -y \
		--from-backup="$work/backup" "$mnt/file" 2>"$work/err"
	echo $? >"$work/status"
} | true
[ "$(cat "$work/status")" = 9 ] || fail "a closed pipe under stdout: status $(cat "$work/status")"
says 'Broken pipe'
says ' repaired'
says 'Journal: '
settle "$mnt"
cmp "$mnt/file" "$work/backup" || fail "not repaired"
