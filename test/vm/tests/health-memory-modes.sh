#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# health-memory-modes.sh: health remembers lists that are their region's: devdax, sector, and a namespace's info block.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

lists=$journals/lists
rm -rf $lists
region=$((0x40000000))

# clear_error OFFSET: as ndctl clear-errors does it on buses that can tell how far a scrub has come; of an idle namespace.
clear_error() {
	python3 -c 'import fcntl, struct, sys
with open("/dev/ndctl0", "r+b", buffering=0) as bus:
	fcntl.ioctl(bus, 0xC0204E04, bytearray(struct.pack("=QQI4xQ", int(sys.argv[1]), 512, 0, 0)))' $((region + $1))
}

# while_idle COMMAND...
while_idle() {
	ndctl disable-namespace namespace0.0 >/dev/null 2>&1
	"$@"
	ndctl enable-namespace namespace0.0 >/dev/null 2>&1
}

# vanishes MODE OFFSET ID: a record at that offset of the region
vanishes() {
	rm -rf $lists /run/pmem-mode
	ndctl create-namespace -f -e namespace0.0 -m $1 >/dev/null 2>&1
	module_set inject "$2,512"
	recover health
	check "$1: badblocks ($status)" [ $((status & 4)) = 4 ]
	check "$1: remembered" grep -Eq '^(# metadata )?[0-9]+ 1$' $lists/*
	while_idle clear_error "$2"
	check "$1: cleared" [ -z "$(cat /sys/bus/nd/devices/region0/badblocks)" ]
	recover health
	status_is 8 "$1: vanished"
	report "$1: vanished" "(.vanished | length) == 1 and .vanished[0].length == 512 and (.vanished[0].id | startswith(\"$3\"))"
	id=$(jq -r '.vanished[0].id' $out)
	recover health --acknowledge="$id"
	status_is 0 "$1: acknowledged ($id)"
	check "$1: nothing is remembered" [ -z "$(ls $lists)" ]
}

vanishes devdax 299892736 dax0.0@
vanishes sector 299892736 namespace0.0@
vanishes fsdax 512 namespace0.0@512
report "fsdax: it is the namespace's" '.devices[0].data_offset > 1048576'

# The kernel clears a page map when it makes it anew, which loses nothing.
module_set inject 1048576,512
recover health
status_is 4 "page map: badblocks"
report "page map: badblocks" '.devices[0].metadata_badblocks.count == 1'
while_idle :
recover health
status_is 0 "page map: made anew"
report "page map: made anew" '.vanished == [] and .devices[0].metadata_badblocks.count == 0'
check "page map: nothing is remembered" [ -z "$(ls $lists)" ]
use_pmem raw
clear_all
rm -rf $lists
finish
