#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What salvage must not write over, must not believe, and must not call poison.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

mnt=$work/mnt
filesystem ext4 "$mnt"
tools write "$mnt/file" 40
cp "$mnt/file" "$work/original"
chmod 755 "$work" "$mnt"
damaged "$mnt/file" 8192
ln -s "$mnt/file" "$work/link"
ln "$mnt/file" "$mnt/hard"

# refused WHAT SAID ARGUMENT...: 8, said, nothing copied, and file and directory as they were
refused() {
	local what=$1 said=$2 before after

	shift 2
	before=$(cd "$work" && find . -not -name err -not -name out -printf '%p %i %s %l\n' | sort)
	run 8 salvage --badblocks="$work/bad" "$@"
	says "$said"
	json 'd["salvage"]["size"] is None' 'd["salvage"]["rescued_bytes"] is None' 'not d["complete"]' 'd["files"] == []'
	after=$(cd "$work" && find . -not -name err -not -name out -printf '%p %i %s %l\n' | sort)
	[ "$before" = "$after" ] || fail "$what: $(diff <(echo "$before") <(echo "$after"))"
}

# ---- the command line
run 16 salvage "$mnt/file" -o -
says "pmem-recover: -: standard output is the report's"
run 16 salvage "$mnt/file" -o x --mapfile=-
[ ! -e - ] && [ ! -e x ] || fail "a file was made"
for arguments in "" "$mnt/file" "-o x" "$mnt/file $mnt/file -o x" "$mnt/file -o x --fill=256" "$mnt/file -o x --fill=a" \
	"$mnt/file -o x --fill=-1" "$mnt/file -o x --fill=010" "$mnt/file -o="; do
	# shellcheck disable=SC2086 # words are wanted
	run 16 salvage $arguments
done

# ---- what is copied
refused "no file" "$work/nothing: is no file" "$work/nothing" -o "$work/copy"
refused "a directory" "$mnt: is not a regular file" "$mnt" -o "$work/copy"
refused "a device" "$loop: is not a regular file" "$loop" -o "$work/copy"
# a link is followed, as cp does it
run 4 salvage --badblocks="$work/bad" "$work/link" -o "$work/copy"
rm "$work/copy"

# ---- what is written
echo precious >"$work/other"
ln -s "$work/other" "$work/symlink"
mkfifo "$work/fifo"
for force in --force -v; do
	refused "the file itself" "is the damaged file itself" $force "$mnt/file" -o "$mnt/file"
	refused "by another name" "is the damaged file itself" $force "$mnt/file" -o "$mnt/hard"
	refused "by a link" "is a symbolic link" $force "$mnt/file" -o "$work/link"
	refused "as the mapfile" "is the damaged file itself" $force "$mnt/file" -o "$work/copy" --mapfile="$mnt/hard"
	refused "a directory" "is a directory" $force "$mnt/file" -o "$work"
	refused "a directory with a slash" "is a directory" $force "$mnt/file" -o "$work/"
	refused "a link" "is a symbolic link" $force "$mnt/file" -o "$work/symlink"
	refused "a FIFO" "is no regular file" $force "$mnt/file" -o "$work/fifo"
	refused "a device" "is no regular file" $force "$mnt/file" -o /dev/null
	refused "no directory" "its directory cannot be opened" $force "$mnt/file" -o "$work/nowhere/copy"
	refused "twice the same" "at once" $force "$mnt/file" -o "$work/copy" --mapfile="$work/./copy"
	refused "a mapfile that is none" "line 1: " $force "$mnt/file" -o "$work/copy" --mapfile="$work/other"
done
refused "a file that exists" "exists: name another file, or replace it with --force" "$mnt/file" -o "$work/other"
# before anything is read
refused "a file that exists" "exists: name another file" --read --read-rate=1 "$mnt/file" -o "$work/other"
refused "on the damaged device" "lies on the damaged device" "$mnt/file" -o "$mnt/copy"
refused "the mapfile on the damaged device" "lies on the damaged device" "$mnt/file" -o "$work/copy" --mapfile="$mnt/map"
# an image on the damaged filesystem is the damaged device too
fallocate -l 8M "$mnt/image"
stacked=$(losetup -f --show "$mnt/image") || fail "no loop device"
loops+=("$stacked")
mkfs.ext4 -q -F "$stacked" || fail mkfs
mounted "$stacked" "$work/stacked"
refused "stacked on the damaged device" "lies on the damaged device" "$mnt/file" -o "$work/stacked/copy"
mkdir "$mnt/upper" "$mnt/work" "$work/lower"
mounted none "$work/overlay" -t overlay -o "lowerdir=$work/lower,upperdir=$mnt/upper,workdir=$mnt/work"
refused "over the damaged filesystem" "lies on the damaged device" "$mnt/file" -o "$work/overlay/copy"
unmounted "$work/overlay"
unmounted "$work/stacked"
losetup -d "$stacked"
# a part of the damaged device itself is, too; the image's, as nothing else needs it
stacked=$(losetup -f --show -o "$(tools fiemap "$mnt/image" | awk 'NR == 1 { print $2 }')" --sizelimit 4M "$loop") || fail "no loop device"
loops[-1]=$stacked
mkfs.ext2 -q -F "$stacked" || fail mkfs
mounted "$stacked" "$work/stacked"
refused "in a part of the damaged device" "lies on the damaged device" "$mnt/file" -o "$work/stacked/copy"
unmounted "$work/stacked"
losetup -d "$stacked"
unset 'loops[-1]'
[ "$(cat "$work/other")" = precious ] || fail "an unrelated file was changed"
settle "$mnt"

# with --force: the other names of what is replaced keep what they have
ln "$work/other" "$work/kept"
run 4 salvage --badblocks="$work/bad" --force "$mnt/file" -o "$work/other"
[ "$(cat "$work/kept")" = precious ] || fail "another name of the output was written to"
run 4 salvage --badblocks="$work/bad" --force "$mnt/file" -o "$mnt/copy" --mapfile="$mnt/map"
cmp "$mnt/copy" "$work/other" || fail "the copy on the damaged filesystem is another"
rm "$work/other" "$work/kept" "$mnt/copy" "$mnt/map"

# ---- mapfiles
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
cp "$work/copy" "$work/copy.good"
cp "$work/map" "$work/map.good"
lost=$(ddrescuelog --list-blocks=- "$work/map")

# of_another SAID FILE: a run with the mapfile as it is now is refused
of_another() {
	refused "$1" "$1" "$2" -o "$work/copy" --mapfile="$work/map"
	refused "$1" "$1" --force "$2" -o "$work/copy" --mapfile="$work/map"
}
tools write "$mnt/second" 40
settle "$mnt"
of_another "another file" "$mnt/second"
sed -i 's/^# pmem-recover filesystem: .*/# pmem-recover filesystem: 0-0/' "$work/map"
of_another "a file of another filesystem" "$mnt/file"
sed 's/^# pmem-recover change time: 1/# pmem-recover change time: 2/' "$work/map.good" >"$work/map"
of_another "the file before it was changed" "$mnt/file"
printf '0 ? 1\n0 4096 +\n' >"$work/map"
of_another "a file of another size" "$mnt/file"
printf '0 ? 1\n0 4096 +\n8192 4096 +\n' >"$work/map"
of_another "line 3: " "$mnt/file"
grep -v 'inode' "$work/map.good" >"$work/map"
of_another "does not say in full which file it is of" "$mnt/file"
truncate -s 0 "$work/map"
of_another "line 1: " "$mnt/file"
head -c 100000 /dev/urandom >"$work/map"
of_another "is no mapfile, or damaged: line " "$mnt/file"
rm "$work/map"
mkdir "$work/map"
of_another "is a directory" "$mnt/file"
rmdir "$work/map"
# without what was rescued it claims too much
cp "$work/map.good" "$work/map"
# Not removed: its inode would be free for one of the others.
mv "$work/copy" "$work/copy.first"
of_another "is not there, but the mapfile says" "$mnt/file"
head -c 8192 "$work/copy.good" >"$work/copy"
of_another "does not fit the mapfile" "$mnt/file"
cat "$work/copy.good" "$work/copy.good" >"$work/copy"
of_another "does not fit the mapfile" "$mnt/file"
# nor is any file of the right size the one: what is in it would be overwritten
cp "$work/copy.good" "$work/copy"
cp "$work/copy.good" "$work/precious"
cp "$work/map.good" "$work/map"
refused "another output" "is not the file that bytes were rescued to" "$mnt/file" -o "$work/precious" --mapfile="$work/map"
rm "$work/precious"
run 4 salvage --badblocks="$work/bad" --force "$mnt/file" -o "$work/copy" --mapfile="$work/map"
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
cmp <(grep -v ' output ' "$work/map") <(grep -v ' output ' "$work/map.good") || fail "the mapfile changed"
touch "$mnt/file"
of_another "the file before it was changed" "$mnt/file"

# Another file may have the inode's number: the first one of every new ext4 has the same, and what was removed leaves its own.
for i in 1 2; do
	loop 4M
	mkfs.ext4 -q -F "$loop" || fail mkfs
	mounted "$loop" "$work/disk$i"
done
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/disk1/copy" --mapfile="$work/map.disk"
head -c "$(stat -c %s "$mnt/file")" /dev/urandom >"$work/disk2/copy"
[ "$(stat -c '%i %s' "$work/disk1/copy")" = "$(stat -c '%i %s' "$work/disk2/copy")" ] ||
	fail "the files differ where they should not: nothing is proved"
refused "another disk's file" "is not the file that bytes were rescued to" "$mnt/file" -o "$work/disk2/copy" --mapfile="$work/map.disk"
# likewise where there is only one of both to tell by
sed '/output generation/d' "$work/map.disk" >"$work/map.birth"
refused "by its birth" "is not the file that bytes were rescued to" "$mnt/file" -o "$work/disk2/copy" --mapfile="$work/map.birth"
sed '/output birth/d' "$work/map.disk" >"$work/map.generation"
refused "by its generation" "is not the file that bytes were rescued to" "$mnt/file" -o "$work/disk2/copy" --mapfile="$work/map.generation"
# what is said by older ones is all that they say
sed '/output generation/d; /output birth/d' "$work/map.disk" >"$work/map.older"
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/disk1/copy" --mapfile="$work/map.older"
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/disk1/copy" --mapfile="$work/map.disk"
cmp "$work/disk1/copy" "$work/copy.good" || fail "the right disk's file"

# ---- ddrescue's own: no word of which file, the right size
grep -v '^# pmem-recover' "$work/map.good" | sed 's/pmem-recover/GNU ddrescue/' >"$work/map"
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copy" --mapfile="$work/map"
json '"mapfile-unchecked" in codes' 'd["salvage"]["resumed"]'
cmp "$work/copy" "$work/copy.good" || fail "a mapfile of ddrescue"
[ "$(ddrescuelog --list-blocks=- "$work/map")" = "$lost" ] || fail "not the same blocks"

# ---- no room
loop 4M
mkfs.ext4 -q -F "$loop" || fail mkfs
mounted "$loop" "$work/full"
head -c 6000000 /dev/urandom >"$mnt/big"
settle "$mnt"
echo '8 1' >"$work/bad"
run 8 salvage --badblocks="$work/bad" "$mnt/big" -o "$work/full/copy" --mapfile="$work/map.big"
says "pmem-recover: $work/full/copy: cannot be written: No space left on device: make room"
json 'codes == ["output-full"]' 'd["salvage"]["remaining_bytes"] > 0' 'd["salvage"]["rescued_bytes"] > 0' \
	'd["salvage"]["remaining_bytes"] + d["salvage"]["rescued_bytes"] == 6000000'
rescued=$(tools rescued "$work/map.big" "$mnt/big" "$work/full/copy") || fail "the mapfile claims what is not in the copy"
json "d['salvage']['rescued_bytes'] == $rescued"
settle "$mnt"
# with room it goes on, elsewhere
cp --sparse=always "$work/full/copy" "$work/big"
run 0 salvage --badblocks="$work/bad" --force "$mnt/big" -o "$work/big" --mapfile="$work/map.big"
cmp "$work/big" "$mnt/big" || fail "resumed on another disk"
rm -f "$work/full/copy"
# there need not be room for an old copy and a new one at once
head -c 2000000 /dev/urandom >"$mnt/half"
cp "$mnt/half" "$work/full/copy"
settle "$mnt"
run 0 salvage --badblocks="$work/bad" --force "$mnt/half" -o "$work/full/copy"
cmp "$work/full/copy" "$mnt/half" || fail "a new copy in the room of the old one"
rm -f "$work/full/copy"
# no room for the mapfile alone: the copy is made, and it is said
head -c 3000000 /dev/urandom >"$mnt/medium"
dd if=/dev/zero of="$work/full/filler" bs=4096 status=none 2>/dev/null
settle "$mnt"
run 8 salvage --badblocks="$work/bad" "$mnt/medium" -o "$work/medium" --mapfile="$work/full/map"
says "$work/full/map: cannot be "
cmp "$work/medium" "$mnt/medium" || fail "not copied without a mapfile"
# a limit is an error, and no death
(
	ulimit -f 1000
	run 8 salvage --force --badblocks="$work/bad" "$mnt/big" -o "$work/big" &&
		says "File too large"
) || exit 1
# and what was there is there: nothing takes its place before it can
cmp "$work/big" "$mnt/big" || fail "what was to be replaced is gone"
# nor while another run is writing to it
exec {held}<"$work/big"
flock -n $held || fail "flock"
run 8 salvage --force --badblocks="$work/bad" "$mnt/big" -o "$work/big"
says "$work/big: another run is writing to it"
[ "$(stat -L -c %i /proc/self/fd/$held)" = "$(stat -c %i "$work/big")" ] || fail "what another run writes to has lost its name"
exec {held}<&-
run 0 salvage --force --badblocks="$work/bad" "$mnt/big" -o "$work/big"
cmp "$work/big" "$mnt/big" || fail "replaced"
[ -z "$(find "$work" -maxdepth 1 -name '.pmem-recover-*')" ] || fail "something was left behind"

# ---- what is not known
run 8 salvage "$mnt/medium" -o "$work/unlisted"
says "is no persistent memory"
cmp "$work/unlisted" "$mnt/medium" || fail "not copied without a list"
json 'd["salvage"]["lost_bytes"] == 0'
