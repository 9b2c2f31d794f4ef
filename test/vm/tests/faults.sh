#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# faults.sh: the test module's faults, held against plain reads and writes: each does what its head says, and no more.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
page=40960

# reads OFFSET LENGTH EXPECTED: what a pread of f gives: bytes, or the error.
reads() {
	local said
	said=$(xfs_io -r -c "pread -b 1m $1 $2" $mnt/f 2>&1)
	echo "$said"
	case $3 in
	*[!0-9]*) grep -qx "pread: $3" <<<"$said" ;;
	*) grep -q "^read $3/$2 bytes at offset $1\$" <<<"$said" ;;
	esac
}

# Writes the right bytes of a page of f back, which is what a repair does, in one call.
heal() { dd if=$backup/f of=$mnt/f bs=4096 count=1 skip=$(($1 / 4096)) seek=$(($1 / 4096)) conv=notrunc status=none; }

# A sector of f's page, read past all caches, is that of the backup.
sector_right() { device_sector $((sector + $1)) | cmp -n 512 -i 0:$(($1 * 512)) - /tmp/page; }

sector_error() {
	device_sector $((sector + $1)) 2>&1 >/dev/null | grep 'Input/output error'
}

# list_is [SECTOR COUNT]: all that the disk lists, and the region.
list_is() {
	local disk_lists region_lists expected=
	disk_lists=$(</sys/block/pmem0/badblocks)
	region_lists=$(</sys/bus/nd/devices/region0/badblocks)
	[ $# = 0 ] || expected="$((data_start + $1)) $2"
	echo "the disk lists $disk_lists, the region $region_lists"
	[ "$disk_lists" = "$*" ] && [ "$region_lists" = "$expected" ]
}

none_listed() { list_is; }

check_latent() {
	check "latent: no list has it" eval 'latent $PMEM $((sector + 3)) && none_listed'
	check "latent: a pread of the page stops where it begins" reads $page 4096 1536
	check "latent: a large pread does" reads 0 1000000 $((page + 1536))
	check "latent: a pread that begins there is EFAULT" reads $((page + 1536)) 512 'Bad address'
	check "latent: a pread that ends before it works" reads $page 1536 1536
	check "latent: a pread that begins behind it works" reads $((page + 2048)) 2048 2048
	check "latent: the sector of the device is EIO" sector_error 3
	check "latent: its neighbours are right" eval 'sector_right 2 && sector_right 4'
	check "latent: it is in no list, even so" none_listed
	check "latent: a write of the page works" heal $page
	check "latent: and heals nothing" eval 'sector_error 3 && none_listed'
	check "latent: a scrub lists it" eval 'module_set scrub 1 && list_is $((sector + 3)) 1'
	check "latent: then a read of the page is EIO" reads $page 4096 'Input/output error'
	check "latent: then a write heals" eval 'heal $page && none_listed && same f'
}

check_touch() {
	module_set touch record
	check "touch=record: latent" eval 'latent $PMEM $((sector + 5)) && none_listed'
	check "touch=record: a write lists nothing" eval 'heal $page && none_listed'
	check "touch=record: a read of a neighbour lists nothing" eval 'sector_right 4 && none_listed'
	check "touch=record: the read of the device's sector is EIO" sector_error 5
	check "touch=record: and lists it" list_is $((sector + 5)) 1
	check "touch=record: the neighbours are right" eval 'sector_right 4 && sector_right 6'
	check "touch=record: a write heals" eval 'heal $page && none_listed && same f'
	latent "$PMEM" $((sector + 5))
	check "touch=record: a pread stops" reads $page 4096 2560
	check "touch=record: and lists it, too" list_is $((sector + 5)) 1
	module_set touch nothing
	# The command clears the whole page, so that what nobody knew of goes with it.
	latent "$PMEM" $((sector + 1)) 2
	check "a write clears latent poison of the same page" eval 'heal $page && module_set scrub 1 && none_listed && same f'
}

check_returns() {
	poison "$PMEM" $((sector + 3))
	module_set returns 1
	check "returns: the write works" heal $page
	check "returns: what it cleared is listed when it is back" list_is $sector 8
	check "returns: and is EIO" eval 'reads $page 4096 "Input/output error" && sector_error 0'
	check "returns: that was all" [ "$(module_get returns)" = 0 ]
	check "returns: the next write heals" eval 'heal $page && none_listed && same f'

	poison "$PMEM" $((sector + 3))
	module_set returns_latent 2
	check "returns_latent: the write works" heal $page
	check "returns_latent: nothing is listed" none_listed
	check "returns_latent: nothing of the page can be read" eval 'reads $page 4096 "Bad address" && sector_error 0 && sector_error 7'
	check "returns_latent: nothing is listed, even so" none_listed
	check "returns_latent: the next page can be read" reads $((page + 4096)) 4096 4096
	check "returns_latent: a scrub lists it" eval 'module_set scrub 1 && list_is $sector 8'
	check "returns_latent: it was to return twice" eval 'heal $page && none_listed && sector_error 7'
	module_set scrub 1
	check "returns_latent: and not thrice" eval 'heal $page && none_listed && same f'
}

check_delay() {
	local begin before count writer tries=0
	poison "$PMEM" $((sector + 3))
	count=$(module_get clear_count)
	module_set clear_delay_ms 3000
	before=$(</proc/uptime)
	heal $page &
	writer=$!
	while [ "$(module_get clear_count)" = "$count" ] && [ $tries -lt 500 ]; do
		tries=$((tries + 1))
		sleep 0.02
	done
	check "clear_delay_ms: the record stays while the command is under way" list_is $((sector + 3)) 1
	wait $writer
	check "clear_delay_ms: the write works" [ $? = 0 ]
	begin=${before%%.*}
	check "clear_delay_ms: and took that long" [ $(($(cut -d. -f1 /proc/uptime) - begin)) -ge 3 ]
	module_set clear_delay_ms 0
	check "clear_delay_ms: and healed" eval 'none_listed && same f'
}

check "numbers that make no sense are refused" eval '! module_set latent 512,x &&
	! module_set latent 0,0 && ! module_set latent 536870912 && ! module_set inject 512 && ! module_set touch often'
for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	make_file f 1000000
	sector=$(file_sector f $page)
	pmem_disk "$PMEM"
	data_start=$(($(region_offset 0) / 512))
	dd if=$backup/f of=/tmp/page bs=4096 skip=$((page / 4096)) count=1 status=none
	check_latent
	check_touch
	check_returns
	check_delay
	unmount
	name=$name_of_test
done
finish
