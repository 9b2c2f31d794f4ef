#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What goes where, and what happens when it cannot go there.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

# unwritable ARGUMENT...: a full disk under stdout, then no stdout at all: both are said, and add 8
unwritable() {
	"$PMEM_RECOVER" "$@" >/dev/full 2>"$work/err"
	[ $? -eq 8 ] || fail "$*: a full disk under stdout goes unnoticed"
	says 'No space left on device'
	"$PMEM_RECOVER" "$@" >&- 2>"$work/err"
	[ $? -eq 8 ] || fail "$*: a closed stdout goes unnoticed"
	says 'Bad file descriptor'
}

: >"$work/out"
unwritable list
unwritable list -u
unwritable --version
unwritable --help
unwritable help scan
unwritable --list-cmds
unwritable scan --list-opts

# without stdin, stdout and stderr the report lands in no file that is opened later
echo '# device /nonexistent' >"$work/list"
"$PMEM_RECOVER" health --badblocks="$work/list" <&- >&- 2>&-
[ $? -eq 8 ] || fail "no descriptors: wrong status"
[ "$(cat "$work/list")" = '# device /nonexistent' ] || fail "no descriptors: a file was overwritten"

filesystem ext4 "$work/mnt"
tools write "$work/mnt/file" 16
settle "$work/mnt"
place=$(tools where "$image" "$work/mnt/file" 8192)
echo "$((place / 512)) 3" >"$work/bad"

# quiet: only what is wrong
run 4 scan -q --badblocks="$work/bad" "$work/mnt"
[ ! -s "$work/out" ] || fail "quiet prints a report"
says "pmem-recover: $work/mnt/file: 1.5 KiB lost"
says "pmem-recover: $loop: 1 badblock, 1.5 KiB"
: >"$work/none"
run 0 scan -q --badblocks="$work/none" "$work/mnt"
is_silent

# for people
run 4 scan -u --badblocks="$work/bad" "$work/mnt"
prints "1 file affected on $loop: 1.5 KiB lost"
prints '8192 (8 KiB)'
[ ! -s "$work/err" ] || fail "messages for a plain loss"
run 0 scan -u --badblocks="$work/none" "$work/mnt/file"
prints 'No file is known to have lost data'

# health of a list that names its device
{
	echo "# device $loop"
	cat "$work/bad"
} >"$work/named"
run 4 health --badblocks="$work/named"
json 'd["devices"][0]["badblocks"]["bytes"] == 1536' 'd["summary"]["badblocks"] == 1' \
	'd["devices"][0]["mode"] == "none"' '"filesystem" not in d["devices"][0]' \
	'd["vanished"] is None and d["remembered"] is None'
run 4 health -u --badblocks="$work/named"
[ "$(cat "$work/out")" = "$loop: 1 badblock, 1.5 KiB" ] || fail "health in one line"
run 4 health -q --badblocks="$work/named"
[ "$(cat "$work/err")" = "pmem-recover: $loop: 1 badblock, 1.5 KiB" ] || fail "quiet health in one line"
run 12 health --badblocks=<(
	echo '# incomplete'
	cat "$work/named"
)
json 'd["devices"][0]["badblocks"]["reason"] == "noted"' 'codes == ["badblocks-incomplete"]'
# such a list is a target by itself
run 4 scan --badblocks="$work/named"
json 'd["summary"]["lost_bytes"] == 1536'
# its device may be named without /dev, and is then no file of the working directory
sed "s,/dev/,," "$work/named" >"$work/bare"
mkdir "$work/cwd"
: >"$work/cwd/${loop#/dev/}"
cd "$work/cwd" || fail cd
settle "$work/mnt"
run 4 scan --badblocks="$work/bare"
json 'd["summary"]["lost_bytes"] == 1536' 'd["devices"][0]["path"] == "'"$loop"'"'
run 4 health --badblocks="$work/bare"
json 'd["devices"][0]["path"] == "'"$loop"'"' 'd["summary"]["badblocks"] == 1'
# and so may any device that is asked for, where there is no such file: all who look at the targets mean the same
run 4 scan --badblocks="$work/bad" "$loop"
rm "${loop#/dev/}"
run 4 scan --badblocks="$work/bad" "${loop#/dev/}"
json 'd["summary"]["lost_bytes"] == 1536' 'd["devices"][0]["path"] == "'"$loop"'"'
run 0 repair -n --zero-fill --badblocks=/dev/null "${loop#/dev/}"
for name in no-such-device null shm; do
	run 8 scan --badblocks=/dev/null $name
	says "pmem-recover: $name: is no file"
done
run 8 health --badblocks=<(echo '# device no-such-device')
says '/dev/no-such-device: '
json 'd["summary"]["badblocks"] is None' 'd["summary"]["bad_bytes"] is None'
cd /

# names that would drive a terminal
mv "$work/mnt/file" "$work/mnt/"$'a\e[2Jb\nc'
run 4 scan -u --badblocks="$work/bad" "$work/mnt"
prints 'a\x1b[2Jb\x0ac'
! grep -q $'\e' "$work/out" || fail "an escape sequence reaches the terminal"
run 4 scan --badblocks="$work/bad" "$work/mnt"
json 'd["files"][0]["path"].endswith("/a\x1b[2Jb\nc")'

# a full disk under the report does not hide what was found
"$PMEM_RECOVER" scan --badblocks="$work/bad" "$work/mnt" >/dev/full 2>"$work/err"
[ $? -eq 12 ] || fail "status of a scan with a full disk under stdout"

# a reader that goes away is said like a full disk
{
	sleep 0.5
	"$PMEM_RECOVER" scan --badblocks="$work/bad" "$work/mnt" 2>"$work/err"
	echo $? >"$work/status"
} | true
[ "$(cat "$work/status")" = 12 ] || fail "status of a scan whose reader went away: $(cat "$work/status")"
says 'Broken pipe'

# A signal ends the work with a valid document: sent while the list is still being read, before any file is met.
mkdir "$work/mnt/many"
(cd "$work/mnt/many" && seq 8000 | xargs touch)
for signal in SIGINT SIGTERM SIGHUP; do
	/usr/bin/python3 -B - "$PMEM_RECOVER" "$work" $signal <<'PYTHON' || fail "$signal"
import fcntl, os, signal, subprocess, sys, termios, time
program, work, name = sys.argv[1:]
# The list comes through a pipe: until it is closed the scan has not begun.
r, w = os.pipe()
with open(work + "/out", "w") as out, open(work + "/err", "w") as err:
    p = subprocess.Popen([program, "scan", "--badblocks=-", work + "/mnt"], stdin=r, stdout=out, stderr=err)
    os.close(r)
    os.write(w, open(work + "/bad", "rb").read())
    # once it has read what there is, its signals are in place, whatever started it
    while p.poll() is None and fcntl.ioctl(w, termios.FIONREAD, bytes(4)) != bytes(4):
        time.sleep(0.01)
    p.send_signal(signal.Signals[name])
    os.close(w)
    status = p.wait()
sys.exit(0 if status & 8 and status > 0 else f"status {status}")
PYTHON
	status=$(sed -n 's/.*"exit_status": \([0-9]*\),/\1/p' "$work/out")
	json 'not d["complete"]' 'not d["files"]' '(d["summary"]["files_seen"] or 0) < 8000'
done
