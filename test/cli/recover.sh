#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# pmr_recover_at(): from an address in a mapping to all that can be read of the file there, and to what cannot.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

program=${PMEM_RECOVER%/*}/test/cli/recover-at

# recover STATUS FILE FROM OFFSET LSB [gone]
recover() {
	local wanted=$1
	shift
	"$program" "${@:1:4}" "${list:-$work/bad}" "$work/got" "${@:5}" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ $status -eq "$wanted" ] || fail "recover-at $*: status $status instead of $wanted"
}

# holds NAME: what came is what $work/expected/NAME has in the range that was told
holds() {
	local offset length
	read -r offset length < <(sed -nE 's/.* range ([0-9]+)\+([0-9]+) .*/\1 \2/p' "$work/out")
	[ "$(stat -c %s "$work/got")" = "$length" ] || fail "not $length bytes of $1"
	cmp -n "$length" -i "0:$offset" "$work/got" "$work/expected/$1" || fail "bytes of $1"
}

# lose NAME OFFSET COUNT
lose() {
	echo "$(($(tools where "$image" "$mnt/$1" "$2") / 512)) $3" >>"$work/bad"
	dd if=/dev/zero of="$work/expected/$1" bs=512 seek=$(($2 / 512)) count="$3" conv=notrunc status=none
}

mkdir "$work/expected"
for type in ext4 xfs; do
	mnt=$work/$type
	filesystem $type "$mnt"
	tools write "$mnt/f" 300
	tools write "$mnt/tail" 5 - 700
	truncate -s 2M "$mnt/f"
	cp "$mnt"/{f,tail} "$work/expected/"
	settle "$mnt"
	: >"$work/bad"
	lose f $((4096 * 10 + 512 * 3)) 1
	lose f $((4096 * 10 + 512 * 5)) 2
	lose f $((4096 * 11)) 8
	lose tail $((4096 * 4 + 512)) 1
	truncate -s $((4096 * 4 + 700)) "$work/expected/tail"
	tools damage "$image" "$work/bad"
	settle "$mnt"

	# a page of a mapping that begins at the file's first byte, and of one that does not
	for from in 0 $((4096 * 8)); do
		recover 0 "$mnt/f" $from $((4096 * 10 + 5)) 0
		prints "$mnt/f: fault 40965 range 40960+4096 lost 1536 error 0 device 0"
		prints "lost 42496+512 -"
		prints "lost 43520+1024 -"
		[ "$(wc -l <"$work/out")" = 3 ] || fail "more is lost"
		holds f
	done
	recover 0 "$mnt/f" 0 $((4096 * 12 - 1)) 12
	prints "range 45056+4096 lost 4096 error 0"
	holds f
	recover 0 "$mnt/f" 0 $((4096 * 9)) 0
	prints "range 36864+4096 lost 0 error 0"
	holds f
	# a hole
	recover 0 "$mnt/f" 0 $((4096 * 400)) 0
	prints "lost 0 error 0"
	holds f
	# more than a page: as much as lies around it in memory, which is not known here
	recover 0 "$mnt/f" 0 $((4096 * 10)) 20
	holds f
	recover 0 "$mnt/f" 0 $((4096 * 10)) 26
	prints "error 0"
	holds f
	# to the end, and past it
	recover 0 "$mnt/tail" 0 $((4096 * 4)) 0
	prints "range 16384+700 lost 188 error 0"
	prints "lost 16896+188 -"
	holds tail
	recover 1 "$mnt/tail" 0 $((4096 * 4 + 700)) 0
	prints "failed: Numerical result out of range"
	# a device that has no list: reading tells
	list=none recover 0 "$mnt/f" 0 $((4096 * 9)) 0
	prints "range 36864+4096 lost 0 error 0 device 0"
	holds f
	# without a name
	recover 0 "$mnt/f" 0 $((4096 * 10)) 0 gone
	prints "$mnt/f (deleted): fault 40960 range 40960+4096 lost 1536 error 0"
	holds f
done
