#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# topology.sh: what list says of buses, regions, namespaces and devices, and whether its offsets are true.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"


# The bytes of a file are looked for in a raw namespace, whose byte 0 is the region's: no other arithmetic than this.
check_offsets() {
	local at address region_at region
	mount_fs ext4
	make_file f 50000
	recover map $mnt/f 8192+4096
	status_is 0 "map"
	at=$(jq .files[0].mappings[0].device_offset $out)
	region_at=$(jq .files[0].mappings[0].region_offset $out)
	address=$(jq .files[0].mappings[0].address $out)
	region=$((0x40000000))
	report "the address is the region's and the offset in it" ".files[0].mappings[0] | .address - .region_offset == $region"
	check "the device offset is where the bytes are" cmp -n 4096 -i "$at:8192" "$PMEM" $backup/f
	report "the file's kind is data" '.files[0].mappings == [.files[0].mappings[0]] and .files[0].mappings[0].kind == "data"'
	umount $mnt
	[ "$kind" = module ] || return
	use_pmem raw
	check "the region offset is where the bytes are (address $address)" cmp -n 4096 -i "$region_at:8192" "$PMEM" $backup/f
}

mode_is() {
	recover list
	status_is 0 "list: $1"
	report "list: mode $1" ".devices[0].mode == \"$1\""
	report "list: $1: namespace, region and bus" '.devices[0] | .namespace == "namespace0.0" and .region == "region0" and (.bus | startswith("ndbus"))'
}

use_pmem fsdax
recover list
if [ "$kind" = module ]; then
	mode_is fsdax
	report "fsdax: an info block and a page map ahead of the data" '.devices[0] | .data_offset > 0 and .size + .data_offset <= .namespace_size and .region_offset == .data_offset'
	report "the bus can scrub and clear" '.buses[0] | .provider == "pmr_test.0" and .can_scrub and .can_clear'
else
	# As ndctl has it, with "map": "mem".
	mode_is fsdax
	report "no data offset" '.devices[0] | .data_offset == 0 and .region_offset == 0'
	report "the bus can neither scrub nor clear" '.buses[0] | .provider == "e820" and (.can_scrub | not) and (.can_clear | not)'
fi
report "the size is the kernel's" ".devices[0].size == $(($(cat "/sys/block/${PMEM##*/}/size") * 512)) and .devices[0].path == \"$PMEM\""
mount_fs xfs
recover list
report "the filesystem, and where it is mounted" '.devices[0].filesystem | .type == "xfs" and .mountpoint == "/mnt" and .dax == true and (.uuid | length) == 36'
recover list --human
check "for people: one line has it all" grep -Eq "pmem0.*(fsdax|raw).*$mnt" $out
umount $mnt
check_offsets

if [ "$kind" = module ]; then
	# As ndctl has it, with "map": "mem".
	mode_is fsdax
	report "raw: no data offset" '.devices[0].data_offset == 0'
	at=299892736
	module_set inject $at,512
	recover list
	report "raw: the list of the device" ".devices[0].badblocks | .complete and .count == 1 and .ranges[0].offset == $at"
	rm -f /run/pmem-mode
	check "sector mode" ndctl create-namespace -f -e namespace0.0 -m sector
	module_set inject $at,512
	recover list
	report "list: mode sector" '.devices[0].mode == "sector" and (.devices[0].name | endswith("s"))'
	report "sector: what is lost is not known, and never said to be nothing" '.devices[0].badblocks.complete == false and (.exit_status >= 8)'
	check "devdax mode" ndctl create-namespace -f -e namespace0.0 -m devdax
	module_set inject $at,512
	recover list
	report "list: mode devdax" '.devices[0].mode == "devdax" and (.devices[0].name | startswith("dax")) and (.devices[0].path | startswith("/dev/dax"))'
	report "devdax: its list is in its own offsets" ".devices[0] | .badblocks.count == 1 and .badblocks.ranges[0].offset == $at - .data_offset"
	ndctl disable-namespace namespace0.0 >/dev/null 2>&1
	recover list
	report "a disabled namespace is listed" '.devices[0] | .namespace == "namespace0.0" and .enabled == false'
	ndctl enable-namespace namespace0.0 >/dev/null 2>&1
	use_pmem raw
	clear_all
fi
rm -rf ${backup:?}/*
finish
