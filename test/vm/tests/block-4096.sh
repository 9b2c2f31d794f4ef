#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# block-4096.sh: a device with logical blocks of 4096 bytes: a bad sector takes its whole block.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem raw
rm -f /run/pmem-mode
# The info block says how large logical blocks are.
if ! ndctl create-namespace -f -e namespace0.0 -m fsdax --map=dev --sector-size=4096 >/tmp/why 2>&1; then
	not_ok "ndctl create-namespace --sector-size=4096: $(tail -n 1 /tmp/why)"
	finish
fi
PMEM=/dev/pmem0
check "the logical block is 4096" [ "$(cat "/sys/block/${PMEM##*/}/queue/logical_block_size")" = 4096 ]
recover list
report "list knows it" '.devices[0].logical_block_size == 4096'
finish
