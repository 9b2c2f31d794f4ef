#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files that no name leads to, and filesystems that are not where they seem: deleted and still open, mapped, held by a loop
# device, below other mounts, mounted in part, mounted in another mount namespace, layers of an overlay, unmounted meanwhile.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

other=

let_go() {
	kill_holders
	[ -z "$other" ] || losetup -d "$other"
	other=
}
leave() {
	local status=$?

	let_go
	(exit $status)
	cleanup
}
trap leave EXIT

# held COMMAND...: run it until let_go; it has to print a line when it is ready
held() {
	local pipe=$work/pipe line=

	rm -f "$pipe"
	mkfifo "$pipe"
	"$@" >"$pipe" 2>/dev/null </dev/null &
	holders+=($!)
	holder=$!
	IFS= read -r line <"$pipe"
	[ "$line" = ready ] || fail "not ready: $*"
}

# bad FILE...: page 1 of each begins with a bad sector
bad() {
	local file

	echo "# device $loop" >"$work/bad"
	for file in "$@"; do
		echo "$(($(tools where "$image" "$file" 4096) / 512)) 1" >>"$work/bad"
	done
	tools damage "$image" "$work/bad" || fail damage
}

forget() {
	echo 1 >/proc/sys/vm/drop_caches
}

# stays open, and opens or maps one file
open_it='import sys, time; f = open(sys.argv[1], "rb"); print("ready", flush=True); time.sleep(3600)'
# mmap(2) itself: what Python has of it keeps a descriptor
map_it='import ctypes, sys, time; f = open(sys.argv[1], "rb"); libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
assert libc.mmap(None, ctypes.c_size_t(4096), 1, 1, f.fileno(), ctypes.c_long(0)) != ctypes.c_void_p(-1).value
f.close(); print("ready", flush=True); time.sleep(3600)'

deleted() {
	tools write "$mnt/open" 4
	tools write "$mnt/mapped" 4
	tools write "$mnt/looped" 4
	tools write "$mnt/kept" 4
	settle "$mnt"
	bad "$mnt/open" "$mnt/mapped" "$mnt/looped" "$mnt/kept"
	cp "$work/bad" "$work/all"
	local inode_open inode_looped

	inode_open=$(stat -c %i "$mnt/open") inode_looped=$(stat -c %i "$mnt/looped")
	held /usr/bin/python3 -c "$open_it" "$mnt/open"
	local opener=$holder
	held /usr/bin/python3 -c "$map_it" "$mnt/mapped"
	local mapper=$holder
	other=$(losetup -r -f --show "$mnt/looped") || fail losetup
	rm "$mnt/open" "$mnt/mapped" "$mnt/looped"
	sync -f "$mnt"
	forget
	run 12 scan --badblocks="$work/bad" "$mnt"
	json "'/proc/$opener/fd/3' in losses(d, 'lost')" "'$mnt/kept' in losses(d, 'lost')" \
		"losses(d)['/proc/$opener/fd/3'] == [(4096, 512, 'lost')]" \
		"[f['inode'] for f in d['files'] if f['path'] == '/proc/$opener/fd/3'] == [$inode_open]" \
		"any(p.startswith('/proc/$mapper/map_files/') for p in losses(d, 'lost'))" \
		"sorted(m['object'] for m in d['messages'] if m['code'] == 'deleted-open')[:3:2] == [
			'/proc/$opener/fd/3', 'inode $inode_looped']" 'codes.count("deleted-open") == 3'
	says "held open by PID $opener (python3)"
	says "held open by $other"

	rm -f "$work/out-file"
	# the only copy: what can be read of it is, by the path that was told
	echo "# device $loop" >"$work/bad"
	sed -n 2p "$work/all" >>"$work/bad"
	run 4 salvage --badblocks="$work/bad" "/proc/$opener/fd/3" -o "$work/out-file"
	json 'd["salvage"]["rescued_bytes"] == 15872 and d["salvage"]["lost_bytes"] == 512'
	run 4 scan --badblocks="$work/bad" "/proc/$opener/fd/3"
	json "losses(d) == {'/proc/$opener/fd/3': [(4096, 512, 'lost')]}"
	run 4 map --badblocks="$work/bad" "/proc/$opener/fd/3" 4096+512
	run 0 locate --badblocks="$work/bad" "$loop" $(($(sed -n 2p "$work/all" | cut -d' ' -f1) * 512))+512
	json "d['places'][0]['path'] == '/proc/$opener/fd/3' and d['places'][0]['file_offset'] == 4096"
	# nothing is written to it
	repair 4 --zero-fill -y "$mnt"
	json 'd["plan"][0]["refused"] == "deleted-open"'
	# a file of the name that /proc shows is another one
	tools write "$mnt/open (deleted)" 4
	settle "$mnt"
	run 4 scan --badblocks="$work/bad" "/proc/$opener/fd/3"
	json "[f['inode'] for f in d['files']] == [$inode_open]"
	let_go
	rm "$mnt/open (deleted)"
}

# where the filesystem tells of no owners, or is not asked: who has it open does
opened() {
	tools write "$mnt/open" 4
	tools write "$mnt/mapped" 4
	settle "$mnt"
	bad "$mnt/open" "$mnt/mapped"
	held /usr/bin/python3 -c "$open_it" "$mnt/open"
	local opener=$holder
	held /usr/bin/python3 -c "$map_it" "$mnt/mapped"
	local mapper=$holder
	rm "$mnt/open" "$mnt/mapped"
	sync -f "$mnt"
	forget
	run 4 scan --lookup=walk --badblocks="$work/bad" "$mnt"
	json "losses(d)['/proc/$opener/fd/3'] == [(4096, 512, 'lost')]" 'len(d["files"]) == 2' \
		"any(p.startswith('/proc/$mapper/map_files/') for p in losses(d, 'lost'))" 'codes == ["deleted-open"] * 2'
	# of one directory they are none of the files
	mkdir -p "$mnt/directory"
	# without a reverse map it is not known that the poison is none of its metadata
	run $([ "$mnt" = "$work/plain" ] && echo 8 || echo 0) scan --lookup=walk --badblocks="$work/bad" "$mnt/directory"
	json 'd["files"] == []'
	let_go
	settle "$mnt"
	run 0 scan --lookup=walk --badblocks="$work/bad" "$mnt"
}

hidden() {
	mkdir -p "$mnt/sub/deep" "$mnt/other/deep"
	tools write "$mnt/sub/deep/file" 4
	tools write "$mnt/other/deep/file" 4
	settle "$mnt"
	bad "$mnt/sub/deep/file"
	local inode before

	inode=$(stat -c %i "$mnt/sub/deep/file")
	before=$(sha256sum <"$mnt/other/deep/file")
	forget
	# another filesystem with a file of that name, or with none; a part of the same filesystem
	for cover in full empty same; do
		case $cover in
		full)
			mounted none "$mnt/sub" -t tmpfs
			mkdir "$mnt/sub/deep"
			cp "$mnt/other/deep/file" "$mnt/sub/deep/file"
			;;
		empty) mounted none "$mnt/sub" -t tmpfs ;;
		same) mounted "$mnt/other" "$mnt/sub" --bind ;;
		esac
		run 4 scan --badblocks="$work/bad" "$mnt"
		json "losses(d) == {'$mnt/sub/deep/file': [(4096, 512, 'lost')]}" \
			"d['files'][0]['inode'] == $inode" 'codes == ["hidden-below-mount"]'
		says "hidden by the mount at $mnt/sub,"
		run 4 scan --lookup=walk --badblocks="$work/bad" "$mnt"
		json "losses(d) == {'$mnt/sub/deep/file': [(4096, 512, 'lost')]}" 'codes == ["hidden-below-mount"]'
		# who may not look below it says that something is missing
		for lookup in auto walk; do
			setpriv --bounding-set=-sys_admin "$PMEM_RECOVER" scan --lookup=$lookup --badblocks="$work/bad" "$mnt" \
				>"$work/out" 2>"$work/err"
			status=$?
			[ $((status & 8)) -ne 0 ] || fail "status $status without the right to look below"
			json 'not d["complete"]' 'losses(d) == {}' '"unnamed-file" in codes or "owner-unknown" in codes'
		done
		repair 4 --zero-fill -y "$mnt"
		json 'd["plan"][0]["refused"] == "hidden-below-mount"' 'd["plan"][0]["steps"] == []'
		[ $cover = empty ] || [ "$(sha256sum <"$mnt/sub/deep/file")" = "$before" ] ||
			fail "the file that hides it was written"
		[ "$(sha256sum <"$mnt/other/deep/file")" = "$before" ] || fail "another file was written"
		# a second name that nothing hides is as good as any
		mounted "$mnt" "$work/elsewhere" --bind
		ln "$work/elsewhere/sub/deep/file" "$work/elsewhere/zzz"
		unmounted "$work/elsewhere"
		run 4 scan --badblocks="$work/bad" "$mnt"
		json "losses(d) == {'$mnt/zzz': [(4096, 512, 'lost')]}" 'codes == []' \
			"d['files'][0]['links'][0]['path'] == '$mnt/sub/deep/file'"
		rm "$mnt/zzz"
		# as is advised
		mounted "$mnt" "$work/elsewhere" --bind
		run 4 scan --badblocks="$work/bad" "$work/elsewhere/sub"
		json "losses(d) == {'$work/elsewhere/sub/deep/file': [(4096, 512, 'lost')]}" 'codes == []'
		unmounted "$work/elsewhere"
		unmounted "$mnt/sub"
	done
	# nothing of ours keeps it busy
	run 4 scan --badblocks="$work/bad" "$mnt"
	json 'codes == []'
	umount "$mnt" || fail "busy after a scan"
	mount "$loop" "$mnt" || fail mount
}

in_part() {
	tools write "$mnt/outside" 4
	mkdir -p "$mnt/part"
	tools write "$mnt/part/inside" 4
	settle "$mnt"
	bad "$mnt/part/inside" "$mnt/outside"
	local inode

	inode=$(stat -c %i "$mnt/outside")
	mounted "$mnt/part" "$work/part" --bind
	# both are there: the whole one is taken, whatever their order
	run 4 scan --badblocks="$work/bad" "$loop"
	json "set(losses(d)) == {'$mnt/part/inside', '$mnt/outside'}" 'codes == []'
	umount "$mnt" || fail umount
	forget
	run 12 scan --badblocks="$work/bad" "$loop"
	json "'$work/part/inside' in losses(d, 'lost')" '"mounted-in-part" in codes' \
		"d['devices'][0]['filesystem']['mountpoint'] == '$work/part'" 'not d["complete"]'
	says "inode $inode "
	run 12 scan --badblocks="$work/bad" "$work/part"
	json '"mounted-in-part" in codes'
	mount "$loop" "$mnt" || fail mount
	# the part alone was asked for, and is all that is told of
	run 4 scan --badblocks="$work/bad" "$work/part"
	json "set(losses(d)) == {'$work/part/inside'}" 'codes == []'
	unmounted "$work/part"
}

# A block has two owners, and only one of them can be met.
shared() {
	tools write "$mnt/outside" 4
	mkdir -p "$mnt/part"
	cp --reflink=always "$mnt/outside" "$mnt/part/inside" || fail reflink
	settle "$mnt"
	bad "$mnt/outside"
	local inode

	inode=$(stat -c %i "$mnt/outside")
	mounted "$mnt/part" "$work/part" --bind
	run 4 scan --badblocks="$work/bad" "$loop"
	json "set(losses(d)) == {'$mnt/part/inside', '$mnt/outside'}" 'codes == []'
	umount "$mnt" || fail umount
	forget
	run 12 scan --badblocks="$work/bad" "$loop"
	json "set(losses(d)) == {'$work/part/inside'}" '"unnamed-file" in codes' 'not d["complete"]'
	says "inode $inode "
	run 8 locate "$loop" $(($(sed -n 's/ .*//; $p' "$work/bad") * 512))
	says "inode $inode "
	prints '/part/inside"'
	mount "$loop" "$mnt" || fail mount
	unmounted "$work/part"
}

elsewhere() {
	tools write "$mnt/file" 4
	settle "$mnt"
	bad "$mnt/file"
	# shellcheck disable=SC2016 # for the shell there
	held unshare --mount bash -c 'umount "$1" && mkdir -p "$2" && mount "$0" "$2" && echo ready && exec sleep 3600' \
		"$loop" "$mnt" "$work/there"
	umount "$mnt" || fail umount
	run 8 scan --badblocks="$work/bad" "$loop"
	json 'codes == ["mounted-elsewhere"]' 'd["files"] == []'
	says "at $work/there in the mount namespace of PID $holder (sleep)"
	says "nsenter --target $holder --mount pmem-recover scan $work/there"
	run 8 locate --badblocks="$work/bad" "$loop" 1M
	json '"mounted-elsewhere" in codes' 'd["places"][0]["owner"] == "unknown"'
	# as is advised
	nsenter --target "$holder" --mount "$PMEM_RECOVER" scan --badblocks="$work/bad" "$work/there" >"$work/out" 2>"$work/err"
	status=$?
	[ $status -eq 4 ] || fail "status $status there"
	json "set(losses(d)) == {'$work/there/file'}"
	# by a path into it
	run 4 scan --badblocks="$work/bad" "/proc/$holder/root$work/there/file"
	json "set(losses(d)) == {'/proc/$holder/root$work/there/file'}"
	let_go
	run 8 scan --badblocks="$work/bad" "$loop"
	json 'codes == ["not-mounted"]'
	mount "$loop" "$mnt" || fail mount
}

overlay() {
	local upper="$mnt/up,per" lower="$mnt/lo:wer" bottom="$mnt/bottom" o=$work/overlay

	mkdir -p "$upper/dir" "$lower/dir" "$lower/opaque" "$bottom/dir" "$bottom/opaque" "$mnt/work"
	tools write "$bottom/dir/bottom" 4
	tools write "$lower/dir/lower" 4
	tools write "$bottom/both" 4
	tools write "$lower/both" 4
	tools write "$bottom/opaque/gone" 4
	mounted none "$o" -t overlay \
		-o "lowerdir=$mnt/lo\\:wer:$bottom,upperdir=$mnt/up\\,per,workdir=$mnt/work"
	tools write "$o/new" 4
	mkdir "$o/dir/made"
	rm -r "$o/opaque"
	mkdir "$o/opaque"
	tools write "$o/opaque/new" 4
	settle "$mnt"
	bad "$upper/new"
	# what, and where it is: each place has to be told, and nothing else
	while read -r what where; do
		run 8 scan --badblocks="$work/bad" "$o$what"
		json 'codes == ["overlay"]' 'd["files"] == []'
		for layer in upper lower bottom; do
			directory=${!layer}
			case " $where " in
			*" $layer "*) grep -qE "(it is|lies in|, )[^:]*$directory$what" "$work/err" || fail "$what: not $layer" ;;
			*) ! sed 's/([^)]*)//' "$work/err" | grep -qF "$directory" || fail "$what: not in $layer" ;;
			esac
		done
	done <<-END
		/new upper
		/dir/bottom bottom
		/dir/lower lower
		/both lower
		/dir upper lower bottom
		/dir/made upper
		/opaque upper
		/opaque/new upper
	END
	run 8 scan --badblocks="$work/bad" "$o"
	json 'codes == ["overlay"]'
	says "upper $upper, lower $lower, lower $bottom"
	says "lies in $upper, $lower, $bottom, name each of them"
	run 4 scan --badblocks="$work/bad" "$upper/new"
	unmounted "$o"
}

# calls_of DIRECTORY [option]...: the calls of a scan by which it opens, asks and reads, from where it looks at the directory to
# where it is done with it, as "NAME NUMBER": of one thread, so that they have an order
calls_of() {
	local directory=$1

	shift
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 strace -o "$work/trace" -e "trace=$stops" "$(program)" scan --threads=1 "$@" --badblocks="$work/bad" "$directory" >/dev/null 2>&1
	awk -v opened="openat(AT_FDCWD, \"$directory\"" -v looked="\"$directory\"" '
		{ name = $0; sub(/\(.*/, "", name); n[name]++ }
		index($0, looked) && !begun++ { print name, n[name] }
		index($0, opened) == 1 { inside = 1 }
		index($0, "\"/var/lib/pmem-recover\"") { exit }
		inside && name ~ /^(openat|open_tree|getdents64|ioctl|open_by_handle_at)$/ { print name, n[name] }' "$work/trace"
}
stops=openat,open_tree,getdents64,ioctl,open_by_handle_at,newfstatat

# disturbed NAME NUMBER DISTURB UNDO [option]...: a scan that is stopped behind this call, while that is done
disturbed() {
	local name=$1 number=$2 do=$3 undo=$4 pid

	shift 4
	rm -f "$work/trace"
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 strace -D -o "$work/trace" -e "trace=$stops" -e "inject=$name:signal=SIGSTOP:when=$number" \
		"$(program)" scan --threads=1 "$@" --badblocks="$work/bad" "$mnt" >"$work/out" 2>"$work/err" </dev/null &
	pid=$!
	holders=("$pid")
	if ! stopped $pid; then
		# one call less than the time before
		missed=$((missed + 1))
		holders=()
		return
	fi
	$do || fail "$do at $name $number"
	kill -CONT $pid
	wait $pid
	status=$?
	holders=()
	$undo || fail "$undo at $name $number"
	# what it tells of files is true, and what it does not know is not clean
	json "all(f['inode'] in ($inodes) for f in d['files'])" 'd["exit_status"] in (4, 8, 12)' \
		"d['exit_status'] != 4 or set(losses(d)) == {'$mnt/sub/one', '$mnt/two'}" \
		'"mount-changed" not in codes or not d["complete"]' || fail "$do at $name $number"
	[ $status -eq 4 ] || told=$((told + 1))
}

busy() { ! umount "$mnt" 2>/dev/null; }
over() { mount "$decoy" "$mnt"; }
not_over() { umount "$mnt"; }
lazily() { umount -l "$mnt"; }
again() { mount "$device" "$mnt"; }

# meanwhile TYPE DISTURB UNDO [option]...: unmounted lazily, or hidden by another filesystem that has other files in the same
# blocks, at any time
meanwhile() {
	local call number decoy_mnt=$work/decoy type=$1 do=$2 undo=$3 device

	shift 3
	device=$loop
	mkdir "$mnt/sub"
	tools write "$mnt/sub/one" 4
	tools write "$mnt/two" 4
	settle "$mnt"
	bad "$mnt/sub/one" "$mnt/two"
	local inodes of=$image

	inodes="$(stat -c %i, "$mnt/sub/one")$(stat -c %i "$mnt/two")"
	filesystem "$type" "$decoy_mnt"
	decoy=$loop
	# other numbers, and in the way of the bad sectors
	mkdir "$decoy_mnt/sub" "$decoy_mnt/more"
	touch "$decoy_mnt/more/"{1..40}
	head -c 20M /dev/zero >"$decoy_mnt/sub/one"
	cp "$decoy_mnt/sub/one" "$decoy_mnt/not"
	unmounted "$decoy_mnt"
	image=$of loop=$device
	forget
	# not all of /proc
	calls_of "$mnt" "$@" | head -n 45 >"$work/calls"
	[ "$(wc -l <"$work/calls")" -gt 10 ] || fail "next to no calls"
	told=0 missed=0
	while read -r call number; do
		disturbed "$call" "$number" "$do" "$undo" "$@"
	done <"$work/calls"
	echo "  $(wc -l <"$work/calls") calls, $told disturbances told, $missed missed"
	((missed < 5)) || fail "missed"
	# the last of the calls may be past the point where it matters
	((told > $(wc -l <"$work/calls") * 2 / 3)) || fail "not noticed"
	# with the copy of its mount alone it would not be
	read -r call number < <(grep getdents64 "$work/calls" | tail -n 1)
	disturbed "$call" "$number" busy true "$@"
	[ $status -eq 4 ] || fail "status $status"
}

# without rmapbt
plain() {
	loop 320M
	mkfs.xfs -q -f -m reflink=1,rmapbt=0 "$loop" || fail mkfs
	mounted "$loop" "$mnt"
}

for type in ext4 xfs; do
	mnt=$work/$type
	for part in deleted opened hidden in_part elsewhere overlay; do
		echo "$type: $part"
		filesystem $type "$mnt"
		$part
		unmounted "$mnt"
	done
done
echo "xfs: shared"
filesystem xfs "$mnt"
shared
unmounted "$mnt"
mnt=$work/plain
for part in opened hidden; do
	echo "XFS without rmapbt: $part"
	plain
	$part
	unmounted "$mnt"
done
mnt=$work/ext4
filesystem ext4 "$mnt"
echo "ext4: meanwhile"
meanwhile ext4 over not_over
unmounted "$mnt"
mnt=$work/xfs
filesystem xfs "$mnt"
echo "xfs: meanwhile, by walking"
meanwhile xfs lazily again --lookup=walk
unmounted "$mnt"
