#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# salvage-offlined.sh: of a page that a machine check took nothing can be had, and no other byte is missing.
#
# needs: module own-guest
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
mount_fs xfs
make_file f 3000000
cp $backup/f /tmp/expected
machine_check "$PMEM" "$(file_sector f $((131072 + 512)))"
dd if=/dev/zero of=/tmp/expected bs=4096 seek=32 count=1 conv=notrunc status=none
recover salvage $mnt/f -o /tmp/copy --mapfile=/tmp/map
status_is 4 "a page that was offlined"
report "the page is lost" '[.files[].ranges[] | select(.state == "lost") | .length] | add == 4096'
report "and it is said why" 'all(.files[].ranges[]; .reason == "page-offlined")'
check "all else is in the copy" cmp /tmp/copy /tmp/expected
# the same without a list
: >/tmp/nothing
recover salvage --badblocks=/tmp/nothing $mnt/f -o /tmp/copy2 --mapfile=/tmp/map2
status_is 4 "a page that was offlined, in no list"
report "unlisted: the page is lost" '[.files[].ranges[] | select(.state == "lost") | .length] | add == 4096'
report "unlisted: and it is said why" 'all(.files[].ranges[]; .reason == "page-offlined")'
check "unlisted: all else is in the copy" cmp /tmp/copy2 /tmp/expected
check "the same map" diff <(grep -v '^#' /tmp/map) <(grep -v '^#' /tmp/map2)
umount $mnt
finish
