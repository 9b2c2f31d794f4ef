#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# journal-place.sh: a journal that a crash would take, or that lies on the damage: refused, nothing written.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem fsdax
mount_fs ext4
make_file f 100000
poison_file f 50000
sector=$(file_sector f 50000)

# refused WHAT DIR CODE
refused() {
	recover repair --yes --from-backup=$backup --journal="$2" $mnt
	check "$1: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
	says "$1: the directory's name first" "pmem-recover: $2"
	report "$1: $3" "any(.messages[]; .code == \"$3\" and .level == \"error\")"
	report "$1: nothing is repaired" 'all(.files[].ranges[]; .state != "repaired")'
	check "$1: the list is as it was" listed "$sector 1"
}

mkdir -p /tmp/journal $mnt/journal
refused "on tmpfs" /tmp/journal journal-volatile
refused "on the damaged device" $mnt/journal journal-on-target
refused "not there" /var/lib/pmem-recover/none/such journal
mkdir -p /var/lib/pmem-recover/small
modprobe loop
dd if=/dev/zero of=/var/lib/pmem-recover/image bs=1M count=2 status=none
mkfs.ext4 -q -F /var/lib/pmem-recover/image && mount -o loop /var/lib/pmem-recover/image /var/lib/pmem-recover/small && {
	dd if=/dev/zero of=/var/lib/pmem-recover/small/fill bs=4096 status=none 2>/dev/null
	recover repair --yes --from-backup=$backup --journal=/var/lib/pmem-recover/small $mnt
	check "a full disk: exit status has 8 ($status)" [ $((status & 8)) = 8 ]
	check "a full disk: the list is as it was" listed "$sector 1"
	umount /var/lib/pmem-recover/small
}

mkdir -p /var/lib/pmem-recover/other
recover repair --yes --from-backup=$backup --journal=/var/lib/pmem-recover/other $mnt
status_is 1 "another directory"
report "the journal is named" '.journal | startswith("/var/lib/pmem-recover/other/")'
journal=$(jq -r .journal $out)
check "only root may read it" [ "$(stat -c %a "$journal" 2>/dev/null || echo gone)" = 600 ]
check "the file is whole" same f
unmount
finish
