#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# reset.sh: the power goes between a clear and the write that follows, again and again. What is on the PMEM and on the disk
# outlives it, what was only known does not.
#
# needs: module own-guest reset
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

# Each filesystem on one kernel: a boot takes its time.
fs=ext4
[ $kernel = 6.1 ] || fs=xfs
name="$name $fs boot $PMR_BOOT"
state=$journals/state
page=40960

heal() { dd if=$backup/f of=$mnt/f bs=4096 count=1 skip=$(($1 / 4096)) seek=$(($1 / 4096)) conv=notrunc status=none; }

# lose_power N: heal pages until the power goes, which it does at the N-th.
lose_power() {
	local n
	module_set reset_on_clear "$1"
	sync
	flush_output
	for ((n = 0; n < 4; n++)); do
		heal $((page + n * 4096))
	done
	not_ok "the power went at clear $1"
	finish
}

# page_is N right|other|cleared|EIO: what is in the N-th page from $page on.
page_is() {
	local at=$((page / 4096 + $1))
	dd if=$mnt/f bs=4096 skip=$at count=1 status=none >/tmp/page 2>/tmp/error || { [ "$2" = EIO ] && grep 'Input/output error' /tmp/error; return; }
	case $2 in
	right) cmp /tmp/page <(dd if=$backup/f bs=4096 skip=$at count=1 status=none) ;;
	cleared) cmp /tmp/page <(head -c 4096 /dev/zero | tr '\0' '\301') ;;
	esac
}

sector_error() { device_sector "$1" 2>&1 >/dev/null | grep 'Input/output error'; }

# no_sector_readable SECTOR: of its page.
no_sector_readable() {
	local n
	for ((n = $1; n < $1 + 8; n++)); do
		sector_error $n || return
	done
}

sector_right() { cmp <(device_sector "$1") <(dd if=$backup/f bs=512 skip=$(($2 / 512)) count=1 status=none); }

# Pages that leave the kernel's map when they are touched. One is listed then, one is not.
take_pages() {
	module_set touch machine_check
	latent "$PMEM" $((taken + 2))
	check "touch=machine_check: the touch is EIO" sector_error $((taken + 2))
	check "touch=machine_check: the sector is listed" listed "$((taken + 2)) 1"
	check "touch=machine_check: the page is gone" no_sector_readable $taken
	module_set touch offline
	latent "$PMEM" $((unlisted + 2))
	check "touch=offline: the touch is EIO" sector_error $((unlisted + 2))
	check "touch=offline: the page is gone" no_sector_readable $unlisted
	check "touch=offline: nothing is listed" eval '! badblocks $PMEM | grep "^$((unlisted + 2)) "'
	module_set touch nothing
}

again() {
	check "the PMEM is back" pmem_again
	check "its namespace is, too" [ "$(cat /sys/block/pmem0/size)" = "$(<$journals/size)" ]
	check "the journal of the filesystem is replayed" mount_dax $fs "$PMEM" $mnt
	check "it is mounted with DAX" grep -q " $mnt .*dax=always" /proc/mounts
	cp $journals/f $backup/f
	read -r sector taken unlisted <$state
}

begin() {
	cat /sys/block/pmem0/size >$journals/size
	make_file f 1000000
	cp $backup/f $journals/f
	sector=$(file_sector f $page)
	taken=$(file_sector f $((40 * 4096)))
	unlisted=$(file_sector f $((50 * 4096)))
	echo "$sector $taken $unlisted" >$state
	poison_file f $((page + 512))
	poison_file f $((page + 4096 + 1024)) 2
	poison_file f $((page + 2 * 4096 + 1536))
	poison_file f $((page + 3 * 4096)) 8
}

# A list that is full for a while, and seen so.
fill() {
	local n begin
	make_file g 2048000
	begin=$(file_sector g 0)
	for ((n = 0; n < 500; n++)); do
		echo "$((begin + 8 * n)) 1"
	done >/tmp/list
	inject /tmp/list
	recover health
	until clean; do clear_all; done
	rm $mnt/g
	recover health
	status_is 8 "a list that was full"
}

case $PMR_BOOT in
1)
	use_pmem fsdax
	mount_fs $fs
	fill
	begin
	take_pages
	echo lost >/tmp/of-this-boot
	lose_power 1
	;;
2)
	again
	check "/tmp was of the other boot" [ ! -e /tmp/of-this-boot ]
	recover health
	check "a list that was full: health, exit status 12 ($status)" [ "$status" = 12 ]
	report "a list that was full is in doubt after a reboot" '.devices[0].badblocks | .trust == "incomplete" and .reason == "was-full" and .count > 0 and .count < 100'
	check "page 0 was cleared and not written" page_is 0 cleared
	check "pages 1 to 3 are bad still" eval 'page_is 1 EIO && page_is 2 EIO && page_is 3 EIO'
	check "their sectors are listed" eval 'listed "$((sector + 10)) 2" && listed "$((sector + 19)) 1" && listed "$((sector + 24)) 8"'
	check "that of page 0 is not" eval '! badblocks $PMEM | grep "^$((sector + 1)) "'
	check "the page that a machine check took is back, but for its sector" \
		eval 'listed "$((taken + 2)) 1" && sector_right $((taken + 3)) $((40 * 4096 + 3 * 512)) && sector_error $((taken + 2))'
	check "so is the unlisted one, and it is listed" \
		eval 'listed "$((unlisted + 2)) 1" && sector_right $((unlisted + 3)) $((50 * 4096 + 3 * 512))'
	# Page 0 has no poison any more: the second clear is that of page 2.
	lose_power 2
	;;
3)
	again
	check "pages 0 and 1 were written" eval 'page_is 0 right && page_is 1 right'
	check "page 2 was cleared and not written" page_is 2 cleared
	check "page 3 is bad still" page_is 3 EIO
	for at in $((page + 2 * 4096)) $((page + 3 * 4096)) $((40 * 4096)) $((50 * 4096)); do
		heal $at
	done
	check "all can be healed" eval 'clean && same f'
	;;
esac
finish
