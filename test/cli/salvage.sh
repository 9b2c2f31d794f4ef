#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# salvage copies every byte that is not lost, and says of the others that they are; ddrescue understands its mapfile.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

# salvage STATUS ARGUMENT...: with the list in $work/bad
salvage() {
	local wanted=$1

	shift
	run "$wanted" salvage --badblocks="$work/bad" "$@"
}

# holds FILE [FILL [UNIT]]: $work/copy is the file but for what is lost
holds() {
	tools salvaged "$images/before" "$work/bad" "$work/original/${1##*/}" "$work/copy" "$work/out" "${2:--}" \
		"${map:--}" "${3:-512}" || fail "copy of $1"
}

status_of() { ddrescuelog --show-status "$1" | sed -nE "s/^ *$2: *([0-9]+) ([kMG]?B),.*/\1 \2/p"; }

command -v ddrescuelog >/dev/null || fail "needs ddrescuelog"
mkdir "$work/original"
map=$work/map

for type in ext4 xfs; do
	mnt=$work/$type
	filesystem $type "$mnt"
	tools write "$mnt/plain" 600
	tools write "$mnt/shuffled" 60 $((RANDOM))
	tools write "$mnt/tail" 5 - 700
	tools write "$mnt/sparse" 8
	fallocate -p -o 8192 -l 8192 "$mnt/sparse"
	truncate -s 40M "$mnt/sparse"
	fallocate -o 40M -l 16K "$mnt/sparse"
	chmod 640 "$mnt/plain"
	cp --sparse=always "$mnt"/{plain,shuffled,tail,sparse} "$work/original/"
	tools pick "$image" $RANDOM 25 "$mnt/plain" >"$work/bad"
	tools pick "$image" $RANDOM 6 "$mnt/shuffled" >>"$work/bad"
	{
		echo "$(($(tools where "$image" "$mnt/tail" 16384) / 512 + 1)) 1"
		echo "$(($(tools where "$image" "$mnt/tail" 0) / 512)) 8"
		echo "$(($(tools where "$image" "$mnt/sparse" 4096) / 512 + 7)) 1"
		# never written: nothing is lost
		echo "$(($(tools fiemap "$mnt/sparse" | awk '$4 == "0x801" { print $2 }') / 512)) 1"
	} >>"$work/bad"
	# which sector lies where is known by what it says, as long as it does
	settle "$mnt"
	cp --sparse=always "$image" "$images/before"
	tools damage "$image" "$work/bad"
	settle "$mnt"

	for file in plain shuffled tail sparse; do
		rm -f "$work/copy" "$map"
		salvage 4 "$mnt/$file" -o "$work/copy" --mapfile="$map"
		holds $file
		json 'd["complete"]' 'not d["salvage"]["resumed"]' "d['salvage']['path'] == '$mnt/$file'" \
			"d['salvage']['output'] == '$work/copy'" "d['salvage']['mapfile'] == '$map'" \
			'{r["state"] for f in d["files"] for r in f["ranges"]} <= {"lost", "unwritten", "past_eof"}'
		[ $file = tail ] || [ $file = sparse ] || [ ! -s "$work/err" ] || fail "something was said"
		# ddrescue's own tool reads it, and agrees
		ddrescuelog -t "$map" >/dev/null 2>&1 || fail "ddrescuelog: $map"
		[ "$(status_of "$map" non-tried)" = "0 B" ] || fail "ddrescuelog: something was not tried"
		ddrescuelog --list-blocks=- -b512 "$map" >"$work/blocks"
		lost=$(($(wc -l <"$work/blocks") * 512))
		json "d['salvage']['lost_bytes'] <= $lost < d['salvage']['lost_bytes'] + 512"
		ddrescuelog --complete-mapfile='?' "$map" >/dev/null || fail "ddrescuelog: complement"

		# again: nothing is read that is there
		cp "$work/copy" "$work/first"
		salvage 4 "$mnt/$file" -o "$work/copy" --mapfile="$map"
		holds $file
		json 'd["salvage"]["resumed"]'
		cmp "$work/first" "$work/copy" || fail "a second run changed something"

		# a byte in the place of what is lost
		salvage 4 --fill=0xee --force "$mnt/$file" -o "$work/copy" --mapfile="$map.$file"
		map=$map.$file holds $file 238
		rm -f "$map.$file"
	done
	rm -f "$work/copy" "$map"
	salvage 4 "$mnt/plain" -o "$work/copy"
	map='' holds plain
	[ "$(stat -c %a "$work/copy")" = 640 ] || fail "mode $(stat -c %a "$work/copy")"
	(umask 077 && salvage 4 --force "$mnt/plain" -o "$work/copy") || exit 1
	[ "$(stat -c %a "$work/copy")" = 600 ] || fail "mode under a umask"

	# holes are holes
	rm "$work/copy"
	salvage 4 "$mnt/sparse" -o "$work/copy"
	[ "$(stat -c %s "$work/copy")" = "$(stat -c %s "$mnt/sparse")" ] || fail "size"
	[ $(($(stat -c %b "$work/copy") * 512)) -le 65536 ] || fail "$(stat -c %b "$work/copy") blocks"
	json 'd["salvage"]["rescued_bytes"] == 24 * 1024 - 512'

	# for people
	salvage 4 -u --force "$mnt/tail" -o "$work/copy"
	prints "$mnt/tail -> $work/copy: 12.5 KiB rescued, 4.1 KiB lost (holes in the copy)"
	prints ' lost  '
	# more than is lost is missing where the device may not be read
	chmod 755 "$work" "$mnt"
	chmod 644 "$mnt/plain" "$work/bad"
	mkdir -m 777 "$work/free"
	status=0
	setpriv --reuid=65534 --regid=65534 --clear-groups -- "$PMEM_RECOVER" salvage --badblocks="$work/bad" \
		"$mnt/plain" -o "$work/free/copy" --mapfile="$work/free/map" >"$work/out" 2>"$work/err" || status=$?
	# nor is it known then whether a repair was interrupted
	[ $status = 12 ] || fail "without rights: $status"
	mv "$work/free/copy" "$work/copy"
	map=$work/free/map holds plain - 4096
	says 'all is lost'
	json 'codes.count("no-device-access") == 1' \
		'{r.get("reason") for f in d["files"] for r in f["ranges"]} == {None, "no-device-access"}'
	# and root gets the rest of it
	chown root "$work/copy" "$work/free/map"
	map=$work/free/map
	salvage 4 "$mnt/plain" -o "$work/copy" --mapfile="$map"
	holds plain
	rm -r "$work/free"
	map=$work/map

	# nothing is lost in it
	echo "0 1" >"$work/bad"
	salvage 0 --force "$mnt/tail" -o "$work/copy"
	json 'd["files"] == []' 'd["salvage"]["lost_bytes"] == 0'
	cmp "$mnt/tail" "$work/copy" || fail "not the same"
	salvage 0 --force -u "$mnt/tail" -o "$work/copy"
	prints ', nothing lost'
	salvage 0 --force -q "$mnt/tail" -o "$work/copy"
	is_silent

	# an empty file, and one that is nothing but hole
	: >"$mnt/empty"
	salvage 0 --force "$mnt/empty" -o "$work/copy" --mapfile="$map"
	json 'd["salvage"]["size"] == 0'
	[ -e "$work/copy" ] && [ ! -s "$work/copy" ] || fail "not empty"
	ddrescuelog -t "$map" >/dev/null 2>&1 || fail "ddrescuelog: of an empty file"
	salvage 0 "$mnt/empty" -o "$work/copy" --mapfile="$map"
	json 'd["salvage"]["resumed"]'
	rm "$map"
	truncate -s 1T "$mnt/hole"
	salvage 0 --force "$mnt/hole" -o "$work/copy" --mapfile="$map"
	json 'd["salvage"]["size"] == 1 << 40' 'd["salvage"]["rescued_bytes"] == 0'
	[ "$(stat -c '%s %b' "$work/copy")" = "$((1 << 40)) 0" ] || fail "a hole became $(stat -c '%s %b' "$work/copy")"
	rm "$map"
done

# the largest file there is, on filesystems that can have one
/usr/bin/python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644)
os.ftruncate(fd, 2**63 - 1)
os.pwrite(fd, b"x" * 100, 2**62)
os.pwrite(fd, b"y" * 10, 2**63 - 11)' "$work/xfs/huge" || fail "no huge file"
filesystem xfs "$work/other"
other=$image
settle "$work/xfs"
salvage 0 "$work/xfs/huge" -o "$work/other/huge" --mapfile="$map"
json 'd["salvage"]["size"] == 2**63 - 1' 'd["salvage"]["rescued_bytes"] > 110'
cmp <(tail -c 4096 "$work/xfs/huge") <(tail -c 4096 "$work/other/huge") || fail "the end of the largest file"
[ "$(dd if="$work/other/huge" bs=100 count=1 iflag=skip_bytes skip=$((1 << 62)) status=none)" = "$(printf 'x%.0s' {1..100})" ] ||
	fail "the middle of the largest file"
ddrescuelog -t "$map" >/dev/null 2>&1 || fail "ddrescuelog: of the largest file"
[ "$(tail -n 1 "$map")" = "0x00000000  0x7FFFFFFFFFFFFFFF  +" ] || fail "mapfile of the largest file"
rm "$map" "$work/other/huge"
# where the output cannot be as large, it is said and nothing is left behind
filesystem ext4 "$work/small"
salvage 8 "$work/xfs/huge" -o "$work/small/huge"
says "pmem-recover: $work/small/huge: cannot be made as large as the file"
[ ! -e "$work/small/huge" ] || fail "something was left behind"
