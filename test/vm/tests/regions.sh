#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# regions.sh: regions over DIMMs, one of them interleaved; poison in each part of a namespace and in no namespace; what
# another user than root is told; and that the manual's ways out of a lost info block and page map are ways out.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

sysfs=/sys/bus/nd/devices
M=$((1 << 20))

chmod 755 /tmp/stage
as_nobody() { run setpriv --reuid=65534 --clear-groups "$PMEM_RECOVER" "$@"; }

# region0 on nmem0 alone: 96 MiB fsdax, 64 MiB raw, the rest in no namespace. region1 over nmem1 and nmem2: 64 MiB devdax.
check "regions, DIMMs and labels" module_again regions=2 dimms=3 labels=1 dimm_health=0,0,2 scrub_count=5
for make in "-r region0 -s 96M -m fsdax --map=dev" "-r region0 -s 64M -m raw" "-r region1 -s 64M -m devdax --map=mem"; do
	# shellcheck disable=SC2086 # words are wanted
	check "namespace: $make" ndctl create-namespace $make
done
PMEM=/dev/pmem0
mount_fs ext4
make_file f 100000

recover list
status_is 0 "list: no poison"
report "list: regions" '[.regions[] | [.name, .type, .size, .address, .read_only, .persistence, .ways, .dimms, .unallocated]] ==
	[["region0", "pmem", 268435456, 1073741824, false, "memory_controller", 1, ["nmem0"], 100663296],
	["region1", "pmem", 268435456, 1342177280, false, "memory_controller", 2, ["nmem1", "nmem2"], 201326592]]'
report "list: DIMMs" '[.dimms[] | [.name, .bus, .id, .handle, .enabled, .security, .frozen, .health]] ==
	[["nmem0", "ndbus0", "8089-a2-2026-00000011", 17, true, "disabled", false, "ok"],
	["nmem1", "ndbus0", "8089-a2-2026-00000021", 33, true, "unlocked", false, "ok"],
	["nmem2", "ndbus0", "8089-a2-2026-00000031", 49, true, "locked", false, "critical"]]'
report "list: scrubs" '.buses == [.buses[0]] and (.buses[0] | .scrubs == 5 and .scrubbing == false)'
report "list: a DIMM that is not well, and one that is locked" '[.messages[] | select(.code == "dimm-health" or .code == "dimm-locked") | .object] == ["nmem2", "nmem2"]'
report "list: page maps" '[.devices[] | [.namespace, .map]] == [["namespace0.0", "dev"], ["namespace0.1", null], ["namespace1.0", "mem"]]'
recover health
status_is 0 "health: no poison"

echo freeze >$sysfs/nmem1/security
module_set scrub_runs 1
echo 1 >$sysfs/region1/read_only
recover health -u
check "health: read-only" grep -qx 'region1: read-only' "$out"
check "health: DIMMs" grep -qx 'nmem2: enabled, security locked, health critical' "$out"
check "health: a scrub" grep -qx 'ndbus0: a scrub is running' "$out"
echo 0 >$sysfs/region1/read_only

# Nothing but what no namespace has: today's poison, another day's bad block. Lines of 4096 bytes take turns on DIMMs.
module_set inject $((200 * M)),1024
module_set inject $((256 * M + 100 * M)),8192
recover list
status_is 0 "list: poison in no namespace"
report "list: it has no owner, and lies on the region's DIMM" '.regions[0].badblocks.ranges == [{offset: 209715200, length: 1024, owner: "free", part: "unallocated", namespace: null, dimm: "nmem0"}]'
report "list: of an interleaved region, on one after the other" '.regions[1].badblocks | .count == 1 and [.ranges[] | [.offset, .length, .dimm]] == [[104857600, 4096, "nmem1"], [104861696, 4096, "nmem2"]]'
report "list: it is said" '[.messages[] | select(.code == "poison-unallocated") | .object] == ["region0", "region1"]'
recover health
status_is 4 "health: poison in no namespace"
report "health: no device has it" '.summary.badblocks == 0 and ([.regions[].badblocks.bytes] == [1024, 8192])'
report "health: security is frozen, a scrub runs" '.dimms[1].frozen and .buses[0].scrubbing'
recover health -q
check "health -q: a line for each" grep -qx 'pmem-recover: region0: 1 KiB of badblocks in no namespace' "$err"
recover locate "--address=$(printf %x $((0x40000000 + 200 * M)))"
report "locate: no namespace" '.places[0] | .base == "region" and .part == "unallocated" and .bad_bytes == 1'
as_nobody list
status_is 8 "nobody: list"
report "nobody: where regions lie is unknown" '[.regions[].address] == [null, null]'
report "nobody: whose it is and where is unknown, but on a single DIMM" '[.regions[].badblocks.ranges[] | [.owner, .part, .namespace, .dimm]] == [["unknown", null, null, "nmem0"], ["unknown", null, null, null]]'
report "nobody: how DIMMs are is unknown" '[.dimms[].health] == [null, null, null] and .dimms[2].security == "locked"'
as_nobody health
status_is 12 "nobody: health"
as_nobody scan
check "nobody: scan is never clean: $status" [ $((status & 8)) = 8 ]

# Each part of a namespace; the raw one has but data.
recover list
data_offset=$(jq '.devices[0].data_offset' "$out")
module_set inject 0,512
module_set inject 7680,512
module_set inject 16384,512
module_set inject $((data_offset + 50 * M)),512
module_set inject $((96 * M)),512
recover list
report "parts: of the region" '[.regions[0].badblocks.ranges[] | [.namespace, .owner, .part]] == [
	["namespace0.0", "namespace", "padding"], ["namespace0.0", "namespace", "info-block"], ["namespace0.0", "namespace", "page-map"],
	["namespace0.0", null, null], ["namespace0.1", null, null], [null, "free", "unallocated"]]'
report "parts: of the device" '[.devices[0].metadata_badblocks.ranges[] | [.offset, .owner, .part]] == [[0, "namespace", "padding"], [7680, "namespace", "info-block"], [16384, "namespace", "page-map"]]'
recover list -u
check "parts: for people" grep -Eq '^region0 +512 B +namespace0.0 +info block +nmem0$' "$out"
recover scan "$PMEM"
status_is 4 "scan: info block and page map"
report "scan: each is said" '[.messages[] | select(.object == "namespace0.0") | .code] | sort == ["namespace-metadata", "namespace-metadata", "namespace-padding"]'
recover scan $mnt
check "scan of the tree: 0" [ $status = 0 ]
recover locate --address=40001e00
report "locate: the info block" '.places[0] | .owner == "namespace" and .part == "info-block" and .bad_bytes == 1'

# The info block: it comes up raw, and what is written there makes it whole; then the same again makes the same namespace.
umount $mnt
check "disabled" ndctl disable-namespace namespace0.0
check "without an info block it comes up" ndctl enable-namespace namespace0.0
recover list
report "as another device" '.devices[0] | .data_offset == 0 and .map == null'
check "zeros over the info block" dd if=/dev/zero of="$PMEM" bs=4096 seek=1 count=1 oflag=direct conv=notrunc status=none
check "made anew" ndctl create-namespace -f -e namespace0.0 -m fsdax --map=dev -a 2M
recover list
report "the info block is whole, its data where it was" ".devices[0] | .data_offset == $data_offset and ([.metadata_badblocks.ranges[].part] | index(\"info-block\") | not)"
check "mounted" mount_dax ext4 "$PMEM" $mnt
check "the file is as it was" same f

# The page map of a namespace that begins with its region: enabled once more.
umount $mnt
module_set inject 16384,512
ndctl disable-namespace namespace0.0 >/dev/null 2>&1
check "page map: enabled" ndctl enable-namespace namespace0.0
recover list
report "page map: cleared" '[.devices[0].metadata_badblocks.ranges[].part] | index("page-map") | not'

# Of another one the kernel clears none, so that it is done by hand.
check "fsdax behind another" ndctl create-namespace -f -e namespace0.1 -m fsdax --map=dev
module_set inject $((96 * M + 16384)),512
{
	ndctl disable-namespace namespace0.1
	echo 1 >$sysfs/namespace0.1/force_raw
	ndctl enable-namespace namespace0.1
	dd if=/dev/zero of=/dev/pmem0.1 bs=4096 seek=4 count=1 oflag=direct conv=notrunc
	ndctl disable-namespace namespace0.1
	echo 0 >$sysfs/namespace0.1/force_raw
	ndctl enable-namespace namespace0.1
} >/dev/null 2>&1
recover list
report "page map behind another: cleared, and fsdax again" '.devices[1] | .map == "dev" and ([.metadata_badblocks.ranges[].part] | index("page-map") | not)'

# A region that is disabled shows neither its namespaces nor its list.
check "disabled" ndctl disable-region region0
recover scan
report "a disabled region is never clean" '.exit_status >= 8 and any(.messages[]; .code == "badblocks-unknown" and .object == "region0")'
check "enabled" ndctl enable-region region0

check "as it was" module_again
finish
