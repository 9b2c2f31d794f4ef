#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# recovery-flag-kernel.sh: what the kernel of test/vm/kernel makes of RWF_RECOVERY_DATA, in each of its modes.
#
# needs: flag own-guest
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"
name="recovery-flag-kernel $kind"

mode=/sys/module/dax/parameters/recovery_flag
flag=32
page=4096

# Answers questions about one file, a line each:
#
#	read FILE OFFSET LENGTH FLAGS	an error's name, or the count and a letter for each page that it reaches into: = as in
#					the backup, 0 zeroes, ! neither
#	write FILE OFFSET LENGTH FLAGS	of the backup's bytes: an error's name, or the count
#	probe FLAGS			what a memfd with O_APPEND holds after "AB" and an "x" written at 0
cat >/tmp/ask.py <<'END'
import errno, fcntl, os, sys

def letters(offset, data, truth):
    for start in range(offset - offset % 4096, offset + len(data), 4096):
        low, high = max(start, offset), min(start + 4096, offset + len(data))
        piece = data[low - offset:high - offset]
        yield "=" if piece == truth[low:high] else "0" if not any(piece) else "!"

def ask(word, *arguments):
    if word == "probe":
        fd = os.memfd_create("probe")
        os.write(fd, b"AB")
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
        os.pwritev(fd, [b"x"], 0, int(arguments[0]))
        return os.pread(fd, 9, 0).decode()
    path, offset, length, flags = arguments[0], *map(int, arguments[1:])
    with open("/tmp/backup/" + os.path.basename(path), "rb") as file:
        truth = file.read()
    fd = os.open(path, os.O_RDWR)
    try:
        if word == "write":
            return str(os.pwritev(fd, [truth[offset:offset + length]], offset, flags))
        data = bytearray(b"?" * length)
        got = os.preadv(fd, [data], offset, flags)
        return f"{got} {''.join(letters(offset, data[:got], truth))}"
    finally:
        os.close(fd)

for line in sys.stdin:
    try:
        answer = ask(*line.split())
    except OSError as error:
        # One number, two names.
        answer = errno.errorcode[error.errno].replace("ENOTSUP", "EOPNOTSUPP")
    print(answer, flush=True)
END
coproc asked { python3 -u /tmp/ask.py; }

# is WHAT EXPECTED QUESTION...
is() {
	local what=$1 expected=$2 answer=nothing
	shift 2
	echo "$*" >&"${asked[1]}"
	read -r -t 60 answer <&"${asked[0]}"
	if [ "$answer" = "$expected" ]; then
		ok "$what: $answer"
	else
		not_ok "$what: $answer, not $expected"
	fi
}

# The same of the file f: WHAT EXPECTED OFFSET LENGTH [FLAGS]
reads() { is "$1" "$2" read $mnt/f "$3" "$4" "${5:-0}"; }

writes() { is "$1" "$2" write $mnt/f "$3" "$4" "${5:-0}"; }

set_mode() {
	name="recovery-flag-kernel $kind $fs $1"
	check "the mode is set" eval "echo $1 >$mode && [ \$(<$mode) = $1 ]"
}

list_is() { [ "$(badblocks "$PMEM" | tr '\n' ';')" = "$1" ]; }

# Pages 5 and 9 of 16, one by its fourth sector, one by its first.
poison_two() {
	bad5=$(file_sector f $((5 * page + 1536)))
	bad9=$(file_sector f $((9 * page)))
	poison_file f $((5 * page + 1536)) && poison_file f $((9 * page))
}

# Poison is EIO to whoever does not use the flag, in every mode.
check_plain() {
	reads "a plain read of all" EIO 0 65536
	reads "a plain read of good pages" "20480 =====" 0 20480
	reads "a plain read of a bad page" EIO 20480 512
	writes "a plain write of a bad page" EIO 20480 4096
	writes "a plain write of a good page and a bad one" EIO 16384 8192
	writes "a plain write of a good page" 4096 16384 4096
	check "the records are as they were" list_is "$bad5 1;$bad9 1;"
}

check_recovery_writes() {
	writes "a flagged write of a sector" EIO 20480 512 $flag
	writes "a flagged write that is not aligned" EIO 20481 4096 $flag
	writes "a flagged write whose tail is not aligned" EIO 16384 8292 $flag
	writes "a flagged write of some good bytes" 50 100 50 $flag
	check "the records are as they were" list_is "$bad5 1;$bad9 1;"
	writes "a flagged write of a bad page among good ones" 12288 16384 12288 $flag
	check "its record is gone" list_is "$bad9 1;"
	if [ "$kind" = module ]; then
		module_set clear_mode fail
		writes "a flagged write that cannot clear" EIO 36864 4096 $flag
		check "its record is there" list_is "$bad9 1;"
		module_set clear_mode partial
		poison_file f $((9 * page + 3584))
		writes "a flagged write that can clear a half" EIO 36864 4096 $flag
		check "the other half's record is there" list_is "$((bad9 + 7)) 1;"
		module_set clear_mode ok
	fi
	writes "a flagged write of the other bad page" 4096 36864 4096 $flag
	check "no record is left" clean
	check "the file is what it was" same f
	reads "a flagged read of all" "65536 ================" 0 65536 $flag
}

# A hole makes extents of it: what was written before the one with poison counts.
check_short_write() {
	make_file gap 32768 2
	fallocate -p -o 16384 -l 4096 $mnt/gap && sync -f $mnt/gap
	poison_file gap 20480
	is "a flagged write, not aligned behind the third extent" 20480 write $mnt/gap 0 24676 $flag
	is "a flagged read up to the third extent" "20480 =====" read $mnt/gap 0 32768 $flag
	is "a flagged write, aligned" 32768 write $mnt/gap 0 32768 $flag
	check "no record is left" clean
	check "the file is what it was" same gap
	rm $mnt/gap
}

check_flag() {
	set_mode flag
	poison_two
	check_plain
	reads "a flagged read of all stops at the first bad page" "20480 =====" 0 65536 $flag
	reads "a flagged read from within a page" "20380 =====" 100 65000 $flag
	reads "a flagged read that ends before it" "8192 ==" 8192 8192 $flag
	reads "a flagged read of the bad page" EIO 20480 4096 $flag
	reads "a flagged read of its good first sector" EIO 20480 512 $flag
	reads "a flagged read from behind its bad sector" EIO 23000 20000 $flag
	reads "a flagged read stops at the second bad page" "12288 ===" 24576 65536 $flag
	reads "a flagged read up to the end of the file" "24576 ======" 40960 65536 $flag
	reads "a flagged read at the end of the file" "0" 65536 4096 $flag
	check_recovery_writes
	check_short_write
	# Sixteen sectors over two pages, the first of them in the middle.
	poison_file f $((5 * page + 2048)) 16
	reads "poison over three pages: a flagged read stops before it" "20480 =====" 0 65536 $flag
	reads "poison over three pages: the page in the middle" EIO 24576 4096 $flag
	reads "poison over three pages: the last of them" EIO 28672 4096 $flag
	reads "poison over three pages: what is behind" "32768 ========" 32768 32768 $flag
	writes "poison over three pages: a flagged write of all" 12288 20480 12288 $flag
	check "no record is left" clean
	check "the file is what it was" same f
	is "a memfd with O_APPEND appends" ABx probe $flag
	is "a file on tmpfs" "8192 ==" read /tmp/backup/f 0 8192 $flag
	cp $backup/f $journals/f
	is "a file on a disk, read" "8192 ==" read $journals/f 0 8192 $flag
	is "a file on a disk, written" 100 write $journals/f 100 100 $flag
	rm $journals/f
}

check_zero() {
	set_mode zero
	poison_two
	check_plain
	reads "a flagged read of all has zeroes" "65536 =====0===0======" 0 65536 $flag
	reads "a flagged read of the bad page" "4096 0" 20480 4096 $flag
	reads "a flagged read of its good first sector" "512 0" 20480 512 $flag
	reads "a flagged read from within a bad page" "4996 0=" 23000 4996 $flag
	check_recovery_writes
	is "a memfd with O_APPEND appends" ABx probe $flag
}

check_none() {
	set_mode none
	poison_two
	check_plain
	reads "a flagged read of good pages" EOPNOTSUPP 0 8192 $flag
	writes "a flagged write of a good page" EOPNOTSUPP 0 4096 $flag
	writes "a flagged write of a bad page" EOPNOTSUPP 20480 4096 $flag
	is "a memfd" EOPNOTSUPP probe $flag
	is "a file on tmpfs" EOPNOTSUPP read /tmp/backup/f 0 8192 $flag
	fallocate -p -o 20480 -l 4096 $mnt/f && sync -f $mnt/f
	reads "the bad page is a hole after a punch" "4096 0" 20480 4096
	check "its record stays" list_is "$bad5 1;$bad9 1;"
	writes "a plain write of the hole" 4096 20480 4096
	reads "the page is what it was" "4096 =" 20480 4096
	fallocate -p -o 36864 -l 4096 $mnt/f && sync -f $mnt/f
	writes "a plain write of the other" 4096 36864 4096
	check "punched and written again, the file is what it was" same f
	clear_all
}

check_stubborn() {
	set_mode stubborn
	rm $mnt/f
	make_file f 65536
	poison_two
	check_plain
	reads "a flagged read of all" EIO 0 65536 $flag
	reads "a flagged read of good pages" "20480 =====" 0 20480 $flag
	writes "a flagged write of a bad page" EIO 20480 4096 $flag
	writes "a flagged write of a good page" 4096 0 4096 $flag
	check "the records are as they were" list_is "$bad5 1;$bad9 1;"
	is "a memfd with O_APPEND appends" ABx probe $flag
	clear_all
}

# Last, as nothing may write to such a page in sectors.
check_machine_check() {
	set_mode flag
	rm $mnt/f
	make_file f 65536
	xfs_io -c 'mmap -rw 0 65536' -c 'mread 20480 1' $mnt/f >/dev/null
	check "a machine check" machine_check "$PMEM" "$(file_sector f 20992)"
	reads "after a machine check: a plain read of the page" EIO 20480 4096
	reads "after a machine check: a plain read of what precedes it" "20480 =====" 0 20480
	reads "after a machine check: a flagged read stops at it" "20480 =====" 0 65536 $flag
	reads "after a machine check: a flagged read of it" EIO 20480 4096 $flag
	check "after a machine check: no sector can be read" eval "! device_sector $(file_sector f 20480) >/dev/null"
}

use_pmem fsdax
for fs in ext4 xfs; do
	case $fs in
	ext4) mount_fs ext4 ;;
	xfs) mount_fs xfs -m rmapbt=1 -d size=100m ;;
	esac
	name="recovery-flag-kernel $kind $fs"
	check "mounted with DAX" grep -q " $mnt .*dax=always" /proc/mounts
	make_file f 65536
	check_flag
	check_zero
	check_none
	check_stubborn
	if [ "$kind" = module ] && [ $fs = xfs ]; then
		check_machine_check
		umount $mnt
	else
		unmount
	fi
done
finish
