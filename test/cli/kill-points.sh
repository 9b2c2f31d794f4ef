#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL at each of the calls of a repair that write, in turn, and then --resume: the file is whole every time, without the
# backup; or nothing was begun, and it can be repaired as ever. So it is where the resume is killed, too.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root
command -v strace >/dev/null || fail "needs strace"

# many runs: what valgrind has to say is said in other tests
PMEM_RECOVER=$(program)
mnt=$work/mnt
points=0
resumed=0
# What the sanitizers' own calls are is not ours to count.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

calls=(pwritev2 pwrite64 fsync ftruncate renameat fchmod fsetxattr fallocate)

# damaged_file FS PAGES TAIL [ARGUMENT of mkfs...]: a file that has lost some sectors, its last page among them, with a set-id bit and a
# capability, which writes drop
damaged_file() {
	filesystem "$1" "$mnt" "${@:4}"
	tools write "$mnt/file" "$2" - "$3"
	chown 1:1 "$mnt/file"
	chmod 6755 "$mnt/file"
	setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 "$mnt/file" || fail "no capability"
	cp "$mnt/file" "$work/whole"
	{
		for page in 1 2 5 $(($2 - 1)); do
			echo "$(($(tools where "$image" "$mnt/file" $((page * 4096))) / 512)) 1"
		done
	} >"$work/bad"
	tools damage "$image" "$work/bad"
	settle "$mnt"
	cp "$mnt/file" "$work/damaged"
	umount "$mnt" || fail "cannot unmount"
	cp --sparse=always "$image" "$images/saved"
}

# The image, and with it the change time, is what it was before any repair.
again() {
	! mountpoint -q "$mnt" || umount "$mnt" || fail "cannot unmount"
	cp --sparse=always "$images/saved" "$image"
	blockdev --flushbufs "$loop"
	mount "$loop" "$mnt" || fail "cannot mount"
	rm -rf "$work/journal"
	cp "$work/whole" "$work/backup"
}

# killed CALL K ARGUMENT...: pmem-recover with SIGKILL at the K-th such call; fails where there are not so many
killed() {
	local call=$1 k=$2

	shift 2
	# bash says who was killed, unless that was somebody else's child
	(timeout 60 strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=SIGKILL:when=$k" "$PMEM_RECOVER" "$@" \
		>"$work/out" 2>"$work/err" </dev/null; exit $?) 2>/dev/null
	status=$?
	[ $status = 137 ]
}

arguments() {
	args=(repair --yes --badblocks="$work/bad" --trust-badblocks --journal="$work/journal")
}

is_as_it_was() {
	settle "$mnt"
	cmp "$1" "$mnt/file" || return
	# what was read is in the page cache, and would be taken for a good copy
	settle "$mnt"
	[ "$(stat -c '%a %s' "$mnt/file")" = "6755 $(stat -c %s "$work/whole")" ] || { stat "$mnt/file"; return 1; }
	getfattr -n security.capability "$mnt/file" >/dev/null 2>&1 || { echo "no capability"; return 1; }
}

# finished WHAT: after a kill; resume, or begin anew where nothing was begun
finished() {
	local journal

	rm -f "$work/backup"
	journal=$(echo "$work"/journal/*.journal)
	"$PMEM_RECOVER" "${args[@]}" --resume >"$work/out" 2>"$work/err" </dev/null
	status=$?
	! [ -e "$journal" ] || [ "$status" = 12 ] || fail "$1: the journal is still there, status $status"
	if is_as_it_was "$work/whole" >"$work/why"; then
		[ "$status" -le 1 ] || fail "$1: status $status, and all is well"
		[ "$status" = 0 ] || resumed=$((resumed + 1))
	else
		# nothing of it was in the journal yet
		case $status in
		0 | 4 | 8) ;;
		*) fail "$1: status $status: $(cat "$work/why")" ;;
		esac
		is_as_it_was "$work/damaged" || fail "$1: neither repaired nor left alone: $(cat "$work/why")"
		cp "$work/whole" "$work/backup"
		"$PMEM_RECOVER" "${args[@]}" --from-backup="$work/backup" "$mnt/file" >"$work/out" 2>"$work/err" </dev/null ||
			[ $? = 1 ] || fail "$1: no repair after it"
		is_as_it_was "$work/whole" || fail "$1: not repaired after it"
	fi
	# and that is that
	"$PMEM_RECOVER" "${args[@]}" --resume >"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ $status = 0 ] || fail "$1: a second resume has status $status"
	json 'codes == ["nothing-to-resume"]'
	points=$((points + 1))
}

# each_kill WHAT FIRST-KILL ARGUMENT...: of the repair with these arguments, or, of FIRST-KILL "CALL K", of the resume after it
each_kill() {
	local what=$1 first=$2 call k command

	shift 2
	for call in "${calls[@]}"; do
		for ((k = 1; ; k++)); do
			again
			arguments
			command=("${args[@]}" "$@")
			if [ -n "$first" ]; then
				# shellcheck disable=SC2086 # a call and a number
				killed $first "${command[@]}" || fail "$what: not killed at $first"
				command=("${args[@]}" --resume)
			fi
			killed "$call" $k "${command[@]}" || break
			finished "$what, killed at $call $k"
		done
		case $status in
		1) ;;
		*) fail "$what: status $status of the one that is not killed" ;;
		esac
	done
}

damaged_file ext4 30 1000
each_kill write "" --from-backup="$work/backup" "$mnt/file"
# the second write to the file, which grows with the last one, and its truncation
each_kill "resume after a write" "pwritev2 6" --from-backup="$work/backup" "$mnt/file"
each_kill "resume after the last write" "ftruncate 1" --from-backup="$work/backup" "$mnt/file"
each_kill punch "" --method=punch --from-backup="$work/backup" "$mnt/file"
each_kill "resume of a punch" "pwritev2 6" --method=punch --from-backup="$work/backup" "$mnt/file"

# where blocks are smaller than pages, the last one's write makes the file end elsewhere
unmounted "$mnt"
damaged_file ext4 30 700 -b 1024
calls=(ftruncate fsetxattr)
each_kill "small blocks" "" --from-backup="$work/backup" "$mnt/file"
calls=(ftruncate)
each_kill "resume with small blocks" "ftruncate 1" --from-backup="$work/backup" "$mnt/file"
echo "figure kill-points: $points of $points, $resumed of them after something was begun"
if [ $points -lt 60 ] || [ $resumed -lt 30 ]; then
	fail "too few points: $points, $resumed"
fi
