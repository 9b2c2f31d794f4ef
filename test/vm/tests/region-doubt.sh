#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# region-doubt.sh: the list of a region without a namespace that was full is in doubt in later runs, until a scrub.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

scrub=/sys/bus/nd/devices/ndbus0/nfit/scrub

rm -rf "${journals:?}"/*
# A block translation table that another script left there would come up in the place of a raw namespace.
use_pmem fsdax
check "a region without a namespace" module_again dimms=1 labels=1
for ((n = 0; n < 600; n++)); do
	echo "$((2048 + 24 * n)) 1"
done >/tmp/list
check "poison" "$TREE" inject /tmp/list $pmr_parameters/inject 0
recover health
status_is 12 "full"
report "full: its list is incomplete" '.devices == [] and (.regions[0].badblocks | .trust == "incomplete" and .count > 400)'
# Whoever takes the place writes over it.
check "a raw namespace" ndctl create-namespace -r region0 -s 32M -m raw
PMEM=/dev/pmem0
until clean; do dd if=/dev/zero of=$PMEM bs=1M count=16 oflag=direct status=none; done
recover health
status_is 8 "empty"
report "empty: it is in doubt" '.regions[0].badblocks | .trust == "incomplete" and .reason == "was-full" and .count == 0'
report "empty: the namespace, which begins anew, is not" '.devices[0].badblocks.complete'
says "empty: it is said" 'region0: its list of badblocks may not have all of them'
recover list
status_is 8 "empty: list"
recover scan $PMEM
status_is 0 "empty: what is in the namespace its own list tells"
check "a device-dax" ndctl create-namespace -r region0 -s 32M -m devdax
recover scan /dev/dax*
status_is 8 "a device-dax has no list but the region's"
report "a device-dax has no list but the region's" '.devices[0].badblocks | .trust == "incomplete" and .reason == "was-full" and .count == 0'
echo 1 >$scrub
until grep -qx 1 $scrub; do sleep 0.1; done
recover health
status_is 4 "after a scrub"
report "after a scrub: no doubt, and what the kernel had dropped" '(.regions[0].badblocks | .complete and .count == 88) and .devices[0].badblocks.count == 88'
rm -rf "${journals:?}"/*
check "as it was" module_again
finish
