#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# locate-odd.sh: locate on partitions, at addresses that are none, and in namespaces where nobody can tell.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

base=$((0x40000000))
size=$((512 << 20))

# locate_at ADDRESS: as the kernel prints it
locate_at() { recover locate --address="$(printf %x "$1")"; }

use_pmem fsdax
device_size=$(($(cat "/sys/class/block/${PMEM##*/}/size") * 512))

# Partitions: offsets are theirs, answers the disk's, and so are addresses.
"$TREE" partition 4 "$PMEM" 100 >/tmp/table
start=$(($(cat "/sys/class/block/${PMEM##*/}p1/start") * 512))
make_fs ext4 "${PMEM}p1" $mnt -E nodiscard
make_file f 50000
recover map $mnt/f 8192+1
at=$(jq '.files[0].mappings[0].device_offset' $out)
address=$(jq '.files[0].mappings[0].address' $out)
is_f=".places[0] | .path == \"/mnt/f\" and .file_offset == 8192 and .offset == $at and .address == $address and .device == \"${PMEM##*/}\""
recover locate "${PMEM}p1" $((at - start))
report "a partition's offset" "$is_f"
recover locate "$PMEM" "$at"
report "the disk's" "$is_f"
locate_at "$address"
report "the address" "$is_f"
recover locate "$PMEM" $((start - 512))+512
status_is 0 "ahead of the partition"
report "it is in no partition" '.places[0] | .owner == "namespace" and .base == "device"'
umount $mnt
dd if=/dev/zero of="$PMEM" bs=1M count=1 oflag=direct status=none
blockdev --rereadpt "$PMEM"

# Addresses that are none.
for address in 0 $((base - 1)) $((base + size)); do
	locate_at "$address"
	status_is 8 "address $(printf 0x%x "$address")"
	report "it is in no region" '.places == [] and any(.messages[]; .code == "no-such-address")'
done
chmod -R a+rX /tmp/stage
run setpriv --reuid=65534 --regid=65534 --clear-groups -- "$PMEM_RECOVER" locate --address=40a28400
status_is 8 "an address for nobody"
says "the capability is named" CAP_DAC_READ_SEARCH
recover locate "$PMEM" "$device_size"
status_is 8 "behind the end"

# Ahead of the data, sector mode, device-dax, disabled: only the module's namespace can be made anew.
if [ "$kind" = module ]; then
	locate_at $base
	status_is 0 "the info block"
	report "it is the namespace's" '.places[0] | .owner == "namespace" and .base == "namespace" and .offset == 0 and .device == "pmem0"'
	data=$((size - device_size))
	module_set inject $((data - 4096)),512
	locate_at $((base + data - 4096))
	report "poison in the page map" '.places[0] | .owner == "namespace" and .bad_bytes == 1'

	rm -f /run/pmem-mode
	ndctl create-namespace -f -e namespace0.0 -m sector >/dev/null
	make_fs ext4 /dev/pmem0s $mnt -E nodiscard
	make_file f 50000
	# In blocks that nobody uses: what is written to a bad one clears it, and ext4 makes its tables of inodes at its leisure.
	module_set inject $((400 << 20)),512
	recover map $mnt/f 8192+1
	recover locate /dev/pmem0s "$(jq '.files[0].mappings[0].device_offset' $out)"
	status_is 0 "sector mode: an offset on the device"
	report "sector mode: it leads to the file, and to no address" '.places[0] | .path == "/mnt/f" and .file_offset == 8192 and .address == null and .region_offset == null and .bad_bytes == null'
	locate_at $((base + (100 << 20)))
	status_is 8 "sector mode: an address"
	report "sector mode: which block that is nobody knows" '(.places[0] | .owner == "unknown" and .base == "namespace" and .namespace == "namespace0.0") and any(.messages[]; .code == "sector-namespace")'
	umount $mnt

	ndctl create-namespace -f -e namespace0.0 -m devdax >/dev/null
	recover locate /dev/dax0.0 8192
	status_is 0 "devdax: an offset"
	report "devdax: nobody but the program that uses it" '.places[0] | .owner == "device" and .base == "device" and .device == "dax0.0" and .offset == 8192 and .region_offset > 8192'
	address=$(jq '.places[0].address' $out)
	locate_at "$address"
	report "devdax: the address" '.places[0] | .device == "dax0.0" and .offset == 8192'
	locate_at $base
	report "devdax: the info block" '.places[0] | .owner == "namespace" and .base == "namespace"'

	ndctl disable-namespace namespace0.0 >/dev/null 2>&1
	recover locate namespace0.0 8192
	status_is 8 "disabled"
	report "disabled: it is said" '(.places[0] | .owner == "unknown" and .base == "namespace" and .region_offset == 8192) and any(.messages[]; .code == "namespace-disabled")'
	locate_at $((base + 8192))
	status_is 8 "disabled: an address"
	ndctl enable-namespace namespace0.0 >/dev/null 2>&1
	use_pmem raw
	clear_all
fi
rm -rf ${backup:?}/*
finish
