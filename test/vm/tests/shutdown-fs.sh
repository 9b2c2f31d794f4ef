#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shutdown-fs.sh: a filesystem that has shut down answers EIO to everything: that is no poison, and no answer.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
mount_fs xfs
make_file f 100000
make_file g 100000 2
poison_file f 50000
xfs_io -x -c shutdown $mnt

recover scan $mnt
check "scan of the mountpoint: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
report "it is not complete" '.complete == false'
report "nothing of another file is lost" 'all(.files[]; (.path | endswith("/g") | not) or (.ranges == []))'
report "it is said" 'any(.messages[]; .level == "error")'
recover scan $mnt/g
check "scan of a file: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
report "no byte of it is lost" 'all(.files[]; .ranges == [])'
repair --from-backup=$backup $mnt
check "repair: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
report "repair: nothing is repaired" 'all(.files[].ranges[]; .state != "repaired")'
unmount
finish
