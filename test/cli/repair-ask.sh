#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The question that repair asks on a terminal.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

mnt=$work/mnt
filesystem ext4 "$mnt"
tools write "$mnt/file" 16
cp "$mnt/file" "$work/backup"
damaged "$mnt/file" 8192
damage=$(sha256sum <"$mnt/file")
settle "$mnt"

# on_terminal STATUS ANSWER [COMMAND]: with a terminal on stdin and stderr; the command runs while the question waits
on_terminal() {
	/usr/bin/python3 -B - "$work" "$1" "$2" "${3-}" "$PMEM_RECOVER" repair --badblocks="$work/bad" --trust-badblocks \
		--journal="$work/journal" --from-backup="$work/backup" "$mnt/file" <<'PYTHON' || fail "answer '$2'"
import os, pty, select, signal, subprocess, sys
work, status, answer, meanwhile, *command = sys.argv[1:]
leader, follower = pty.openpty()
with open(work + "/out", "w") as out:
    p = subprocess.Popen(command, stdin=follower, stdout=out, stderr=follower, start_new_session=True)
os.close(follower)
seen = b""
asked = False
while True:
    try:
        if not select.select([leader], [], [], 30)[0]:
            p.kill()
            sys.exit(f"nothing more was said after {seen!r}")
        chunk = os.read(leader, 4096)
    except OSError:
        chunk = b""
    if not chunk:
        break
    seen += chunk
    if b"[y/N]" in seen and not asked:
        asked = True
        subprocess.check_call(["bash", "-c", meanwhile])
        if answer == "SIGINT":
            p.send_signal(signal.SIGINT)
        else:
            os.write(leader, answer.encode().decode("unicode_escape").encode())
with open(work + "/err", "wb") as err:
    err.write(seen)
got = p.wait()
if not asked or got != int(status):
    sys.exit(f"asked: {asked}, status {got} instead of {status}: {seen!r}")
PYTHON
	status=$1
}

for answer in 'n\n' '\n' 'maybe\n' '\x04' SIGINT; do
	on_terminal 12 "$answer"
	says 'nothing was written'
	says 'file <- '
	json 'codes == ["not-confirmed"]'
	[ "$(sha256sum <"$mnt/file")" = "$damage" ] || fail "written after '$answer'"
	settle "$mnt"
done
for answer in 'y\n' 'Yes\n'; do
	on_terminal 1 "$answer"
	settle "$mnt"
	cmp "$mnt/file" "$work/backup" || fail "not repaired after '$answer'"
	tools damage "$image" "$work/bad"
	settle "$mnt"
done

# What changes while the question waits is left with a reason, and nothing is written.
meanwhile() {
	local reasons=$1 sector before

	tools write "$mnt/file" 16
	cp "$mnt/file" "$work/backup"
	damaged "$mnt/file" 8192
	read -r sector _ <"$work/bad"
	before=$(dd if="$image" bs=512 skip="$sector" count=1 status=none | sha256sum)
	on_terminal 4 'y\n' "$2"
	json 'all(r["state"] == "skipped" for f in d["files"] for r in f["ranges"])' \
		"[r['reason'] for f in d['files'] for r in f['ranges']] in ([x] for x in '$reasons'.split())" \
		'd["summary"]["lost_bytes"] == 512' 'd["summary"]["repaired_bytes"] == 0'
	says 'pmem-recover: '
	sync -f "$mnt"
	[ "$(dd if="$image" bs=512 skip="$sector" count=1 status=none | sha256sum)" = "$before" ] ||
		fail "written although: $2"
	rm -rf "${mnt:?}"/*
}
meanwhile changed "truncate -s 60000 '$mnt/file'"
meanwhile changed "printf x >>'$mnt/file'"
meanwhile changed "printf x | dd of='$mnt/file' bs=1 conv=notrunc status=none"
meanwhile changed "cp '$mnt/file' '$mnt/new' && mv '$mnt/new' '$mnt/file'"
meanwhile gone "mv '$mnt/file' '$mnt/elsewhere'"
meanwhile changed "mv '$mnt/file' '$mnt/elsewhere' && ln -s elsewhere '$mnt/file'"
meanwhile 'backup-changed stale-backup' "printf x | dd of='$work/backup' bs=1 seek=8000 conv=notrunc status=none"
meanwhile 'backup-changed stale-backup' "cp '$work/backup' '$work/new' && mv '$work/new' '$work/backup'"
meanwhile 'backup-short backup-changed' "truncate -s 4096 '$work/backup'"
meanwhile 'no-backup backup-changed' "rm '$work/backup'"
