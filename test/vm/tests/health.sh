#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# health.sh: health: counts, exit status, one line a device, and no file or directory is opened.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
mount_fs ext4
make_file f 100000

recover health
status_is 0 "no bad blocks"
report "no bad blocks: counted" '.summary.badblocks == 0 and .summary.bad_bytes == 0 and .devices[0].badblocks.complete'
recover health -q
check "no bad blocks: silent with -q" eval '[ $status = 0 ] && [ ! -s $out ] && [ ! -s $err ]'
recover health -u
check "no bad blocks: one line" [ "$(wc -l <$out)" = 1 ]

poison_file f 50000
poison_file f 90000 2
recover health
status_is 4 "bad blocks"
report "bad blocks: counted" '.summary.badblocks == 2 and .summary.bad_bytes == 1536 and .devices[0].badblocks.count == 2'
recover health -u
check "bad blocks: one line, with the device's name" eval '[ "$(wc -l <$out)" = 1 ] && grep -q "${PMEM##*/}" $out'
strace -f -e trace=open,openat,openat2 -o /tmp/trace "$PMEM_RECOVER" health >/dev/null 2>&1
check "nothing of the filesystem is opened" eval 'grep -q badblocks /tmp/trace && ! grep -q "\"$mnt" /tmp/trace'

# A list that cannot be read is unknown, never clean.
chmod 755 /tmp/stage
chmod 0600 "/sys/block/${PMEM##*/}/badblocks"
run setpriv --reuid=65534 --clear-groups "$PMEM_RECOVER" health
check "a list that may not be read: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
report "a list that may not be read: unknown" '.devices[0].badblocks | .trust == "unknown" and .count == null'
chmod 0644 "/sys/block/${PMEM##*/}/badblocks"
unmount
finish
