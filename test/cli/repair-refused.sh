#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What repair must not do: each case ends in a reason, and with the file as it was.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

mnt=$work/mnt
filesystem xfs "$mnt"
tools write "$mnt/file" 64
cp "$mnt/file" "$work/backup"
damaged "$mnt/file" 131072 2
damage=$(sha256sum <"$mnt/file")
settle "$mnt"

unchanged() {
	settle "$mnt"
	[ "$(sha256sum <"$mnt/file")" = "$damage" ] || fail "the file was changed"
	settle "$mnt"
}

# refused REASON [ARGUMENT...]: the loss is left for this reason
refused() {
	local reason=$1

	shift
	repair 4 --yes "$@" "$mnt/file"
	json "[r['state'] for r in d['files'][0]['ranges']] == ['skipped']" \
		"d['files'][0]['ranges'][0]['reason'] == '$reason'" 'd["summary"]["lost_bytes"] == 1024'
	says "$mnt/file"
	unchanged
	# a dry run knows it too
	repair 4 --dry-run "$@" "$mnt/file"
	unchanged
}

# ---- backups
ln "$mnt/file" "$mnt/link"
ln -s file "$mnt/symlink"
refused backup-is-target --from-backup="$mnt/file"
refused backup-is-target --from-backup="$mnt/link"
refused backup-is-target --from-backup="$mnt/symlink"
refused backup-is-target --from-backup="$mnt"
mkdir "$work/empty"
refused no-backup --from-backup="$work/empty"
mkdir -p "$work/odd/file"
refused backup-unreadable --from-backup="$work/odd"
head -c 131072 "$work/backup" >"$work/short"
refused backup-short --from-backup="$work/short"
head -c 132000 "$work/backup" >"$work/short"
refused backup-short --from-backup="$work/short"
# another byte nearby; far away only a full comparison sees it
cp "$work/backup" "$work/stale"
printf 'x' | dd of="$work/stale" bs=1 seek=130000 conv=notrunc status=none
refused stale-backup --from-backup="$work/stale"
cp "$work/backup" "$work/far"
printf 'x' | dd of="$work/far" bs=1 seek=10 conv=notrunc status=none
refused stale-backup --from-backup="$work/far" --verify-backup=full
# copies that were salvaged, and still lack what is lost, by a mapfile under several names; and a copy of one
mkdir "$work/copies"
for fill in "" --fill=0xee; do
	run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copies/file" --mapfile="$work/copies/map" $fill
	refused backup-unmended --from-backup="$work/copies/file"
	refused backup-unmended --from-backup="$work/copies"
	says "by map beside it"
	mv "$work/copies/map" "$work/copies/file.areas"
	cp "$work/copies/file" "$work/copies/copy" && mv "$work/copies/copy" "$work/copies/file"
	refused backup-unmended --from-backup="$work/copies/file"
	repair 0 -n --from-backup="$work/copies/file" --force "$mnt/file"
	# mended
	mv "$work/copies/file" "$work/kept"
	cp "$work/backup" "$work/copies/file"
	repair 0 -n --from-backup="$work/copies/file" "$mnt/file"
	json 'codes == ["dry-run"]'
	mv "$work/kept" "$work/copies/file"
	rm "$work/copies/file.areas"
	# without one there is but a question
	repair 0 -n --from-backup="$work/copies/file" "$mnt/file"
	json '"backup-zeros" in codes'
	rm "$work/copies/file"
done
# a copy whose name goes on is another, with a map of its own; but for its name that map would be this one's. What is
# no older than that copy may be one of it, with its times or without
for other in 1 .1; do
	run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copies/file$other" --mapfile="$work/copies/file$other.areas"
	cp "$work/copies/file$other" "$work/copies/file"
	touch -d '1 hour ago' "$work/copies/file"
	repair 0 -n --from-backup="$work/copies/file" "$mnt/file"
	json '"backup-zeros" in codes'
	refused backup-unmended --from-backup="$work/copies/file$other"
done
for keep in "" -p; do
	cp $keep "$work/copies/file.1" "$work/copies/file"
	refused backup-unmended --from-backup="$work/copies/file"
done
touch -d '1 hour ago' "$work/copies/file"
rm "$work/copies/file.1"
refused backup-unmended --from-backup="$work/copies/file"
says "by file.1.areas beside it"
rm -r "$work/copies"
mkdir "$work/copies"
# the loss has grown since: what the copy lacks is a part of it
read -r sector _ <"$work/bad"
echo "$sector 1" >"$work/fewer"
run 4 salvage --badblocks="$work/fewer" "$mnt/file" -o "$work/copies/file" --mapfile="$work/copies/map"
dd if="$work/backup" of="$work/copies/file" bs=512 seek=257 skip=257 count=1 conv=notrunc status=none
refused backup-unmended --from-backup="$work/copies/file"
says "lacks byte 131072 and more"
cp "$work/backup" "$work/copies/file"
repair 0 -n --from-backup="$work/copies/file" "$mnt/file"
json 'codes == ["dry-run"]'
# mended, with bytes that are rightly zeros for one of the two sectors
run 4 salvage --badblocks="$work/bad" "$mnt/file" -o "$work/copies/mended" --mapfile="$work/copies/mended.map"
refused backup-unmended --from-backup="$work/copies/mended"
dd if="$work/backup" of="$work/copies/mended" bs=512 seek=257 skip=257 count=1 conv=notrunc status=none
repair 0 -n --from-backup="$work/copies/mended" "$mnt/file"
json 'codes == ["dry-run"]'
rm -r "$work/copies"
# what can be told of it at once is told before anything is read, and where nothing is lost
for target in "$mnt/file" "$mnt" "$loop"; do
	for lost in "$work/bad" /dev/null; do
		run 8 repair --badblocks="$lost" --read --read-rate=1 -y --from-backup="$work/no-such-backup" "$target"
		says "pmem-recover: $work/no-such-backup: "
		json 'codes == ["no-backup"]' 'd["files"] == []' '"read" not in str(d["devices"])'
	done
done
for target in "$mnt" "$loop"; do
	run 8 repair --badblocks=/dev/null --read --read-rate=1 -y --from-backup="$work/backup" "$target"
	json 'codes == ["backup-not-directory"]'
done
unchanged

# a clone is no second copy, nor is a clone of a clone
cp --reflink=always "$mnt/file" "$mnt/clone"
cp --reflink=always "$mnt/clone" "$mnt/third"
sync -f "$mnt"
for backup in clone third; do
	refused shared --from-backup="$mnt/$backup"
	says "is not mounted DAX"
	run 4 scan -u --badblocks="$work/bad" "$mnt/file"
	prints '(shared)'
	! grep -q 'the method' "$work/err" || fail "another method is offered, and would not do"
done
rm "$mnt/clone" "$mnt/third"
sync -f "$mnt"

# ---- files
chattr +i "$mnt/file"
refused immutable --from-backup="$work/backup"
chattr -i "$mnt/file"
chattr +a "$mnt/file"
refused append-only --from-backup="$work/backup"
chattr -a "$mnt/file"

# open elsewhere: refused, and it is said by whom; nobody is called who has it not open
for mode in r+ r; do
	/usr/bin/python3 -c 'import sys, time; f = open(sys.argv[1], sys.argv[2]); print(flush=True); time.sleep(60)' \
		"$mnt/file" $mode >"$work/ready" &
	holder=$!
	until [ -s "$work/ready" ]; do sleep 0.05; done
	repair 4 -y --from-backup="$work/backup" "$mnt/file"
	json "d['files'][0]['ranges'][0]['reason'] == 'in-use'"
	grep -qE "(^|[^0-9])$holder([^0-9]|\$)" "$work/err" || fail "the program that has it open is not named"
	# nothing is offered that would be refused
	! grep -q -e --online "$work/err" || fail "--online is offered without DAX"
	repair 4 -n --online --from-backup="$work/backup" "$mnt/file"
	json "d['files'][0]['ranges'][0]['reason'] == 'not-dax'"
	says "repair it without --online"
	kill $holder
	wait $holder 2>/dev/null
	: >"$work/ready"
	unchanged
done
/usr/bin/python3 -c 'import mmap, sys, time
f = open(sys.argv[1], "r+"); m = mmap.mmap(f.fileno(), 4096); f.close(); print(flush=True); time.sleep(60)' \
	"$mnt/file" >"$work/ready" &
holder=$!
until [ -s "$work/ready" ]; do sleep 0.05; done
refused in-use --from-backup="$work/backup"
kill $holder
wait $holder 2>/dev/null
: >"$work/ready"

# leased by somebody else, as a file server does
/usr/bin/python3 -c 'import fcntl, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
f = open(sys.argv[1]); fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_RDLCK); print(flush=True); time.sleep(60)' \
	"$mnt/file" >"$work/ready" &
holder=$!
until [ -s "$work/ready" ]; do sleep 0.05; done
repair 4 -y --from-backup="$work/backup" "$mnt/file"
json "d['files'][0]['ranges'][0]['reason'] == 'in-use'"
says 'leased'
kill $holder
wait $holder 2>/dev/null
: >"$work/ready"
unchanged

# blocks that two files share
cp --reflink=always "$mnt/file" "$mnt/copy"
sync -f "$mnt"
refused shared --from-backup="$work/backup"
rm "$mnt/copy"
sync -f "$mnt"

# the kernel's list says bad, the device reads well: not without --trust-badblocks, which a dry run knows
run 4 repair --badblocks="$work/bad" -n --journal="$work/journal" --from-backup="$work/backup" "$mnt/file"
json "d['files'][0]['ranges'][0]['reason'] == 'readable'" 'codes == ["readable", "dry-run"]'
run 4 repair --badblocks="$work/bad" -y --journal="$work/journal" --from-backup="$work/backup" "$mnt/file"
json "d['files'][0]['ranges'][0]['reason'] == 'readable'"
unchanged
# also of a sector that the end of the file cuts
head -c 1000 "$work/backup" >"$mnt/short"
sync -f "$mnt"
tools fiemap "$mnt/short" | while read -r _ physical _; do echo $((physical / 512 + 1)) 1; done >"$work/cut"
run 4 repair --badblocks="$work/cut" -n --journal="$work/journal" --from-backup="$work/backup" "$mnt/short"
json "d['files'][0]['ranges'][0]['reason'] == 'readable'" '"device-error" not in codes'
rm "$mnt/short"
sync -f "$mnt"

mount -o remount,ro "$mnt" || fail "remount"
refused read-only-filesystem --from-backup="$work/backup"
mount -o remount,rw "$mnt" || fail "remount"

# ---- the journal, and a second run
mounted none "$work/tmpfs" -t tmpfs
run 12 repair --badblocks="$work/bad" --trust-badblocks -y --from-backup="$work/backup" --journal="$work/tmpfs" "$mnt/file"
says "$work/tmpfs"
unchanged
run 12 repair --badblocks="$work/bad" --trust-badblocks -y --from-backup="$work/backup" --journal="$mnt/journal" "$mnt/file"
says "$mnt/journal"
unchanged
# one that is to be made is not made there; a dry run knows
for place in "$work/tmpfs" "$work/tmpfs/journal" "$mnt/journal" "$work/nowhere/journal"; do
	repair 12 -y --from-backup="$work/backup" --journal="$place" "$mnt/file"
	says "$place: "
	repair 8 -n --from-backup="$work/backup" --journal="$place" "$mnt/file"
	says "$place: "
done
[ ! -e "$work/tmpfs/journal" ] && [ ! -e "$mnt/journal" ] || fail "a directory was made where no journal may lie"
unchanged
# a full disk under it
mkdir "$work/small"
truncate -s 4M "$work/small.img"
mkfs.ext4 -q -F -m 0 "$work/small.img" || fail mkfs
mounted "$work/small.img" "$work/small" -o loop
mkdir "$work/small/journal"
dd if=/dev/zero of="$work/small/fill" bs=4k status=none 2>/dev/null
sync -f "$work/small"
repair 12 -y --from-backup="$work/backup" --journal="$work/small/journal" "$mnt/file"
says "$work/small/journal"
says 'No space left on device'
json '"journal" in codes' 'd["summary"]["repaired_bytes"] == 0'
unchanged
mkdir -p /run/pmem-recover
(
	flock -n 9 || exit 1
	exec sleep 60
) 9>"/run/pmem-recover/${loop##*/}.lock" &
holder=$!
sleep 0.5
repair 12 -y --from-backup="$work/backup" "$mnt/file"
json '"device-locked" in codes'
kill $holder
wait $holder 2>/dev/null
unchanged

# what was refused was sound: without the obstacles the same command repairs, and --force overrides the comparison
repair 1 -y --from-backup="$work/far" "$mnt/file"
settle "$mnt"
cmp "$mnt/file" "$work/backup" || fail "not repaired"
damaged "$mnt/file" 131072 2
repair 1 -y --from-backup="$work/stale" --verify-backup=none --force "$mnt/file"
settle "$mnt"
cmp "$mnt/file" "$work/backup" || fail "not repaired with --force"

# ---- running programs and swap files
cp /bin/sleep "$mnt/program"
"$mnt/program" 60 &
holder=$!
cp /bin/sleep "$work/program"
sync -f "$mnt"
extent=$(tools fiemap "$mnt/program" | head -1)
set -- $extent
echo "$(($2 / 512)) 1" >"$work/bad"
repair 4 -y --from-backup="$work/program" "$mnt/program"
json "d['files'][0]['ranges'][0]['state'] in ('skipped', 'cached')" \
	"d['files'][0]['ranges'][0]['reason'] in ('running', 'in-use')"
kill $holder
wait $holder 2>/dev/null

dd if=/dev/zero of="$mnt/swap" bs=1M count=4 status=none
chmod 600 "$mnt/swap"
cp "$mnt/swap" "$work/swap"
mkswap -q "$mnt/swap" || fail mkswap
sync -f "$mnt"
extent=$(tools fiemap "$mnt/swap" | head -1)
set -- $extent
echo "$(($2 / 512 + 4096)) 1" >"$work/bad"
swapon "$mnt/swap" || fail swapon
run 4 repair --badblocks="$work/bad" --trust-badblocks -y --journal="$work/journal" --from-backup="$work/swap" "$mnt/swap"
swapoff "$mnt/swap"
json "d['files'][0]['ranges'][0]['reason'] in ('running', 'in-use')"

# ---- data that goes to the log of an ext4 first: the device may have older bytes
mnt=$work/journalled
filesystem ext4 "$mnt"
tools write "$mnt/file" 64
cp "$mnt/file" "$work/backup"
damaged "$mnt/file" 131072 2
damage=$(sha256sum <"$mnt/file")
unmounted "$mnt"
mounted "$loop" "$mnt" -o data=journal
settle "$mnt"
refused data-journal --from-backup="$work/backup"
# where that is the superblock's default, no mount table has it
unmounted "$mnt"
tune2fs -o journal_data "$loop" >"$work/mkfs" || fail tune2fs
mounted "$loop" "$mnt"
settle "$mnt"
refused data-journal --from-backup="$work/backup"
unmounted "$mnt"
mounted "$loop" "$mnt" -o data=ordered
settle "$mnt"
repair 1 -y --from-backup="$work/backup" "$mnt/file"
settle "$mnt"
cmp "$mnt/file" "$work/backup" || fail "not repaired with data=ordered"
