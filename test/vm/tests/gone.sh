#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# gone.sh: a namespace that is disabled under its filesystem, in the middle of a run and before it, and one that is not there
# any more: named, and never clean.
#
# needs: module
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

drivers=/sys/bus/nd/drivers

# Stops the program when it reads the device's list, takes the device away, and lets it go on.
stopped_scan() {
	local tracer traced n
	next_run
	last="scan $* while its namespace is disabled"
	rm -f /tmp/stopped
	strace -o /tmp/stopped -P "/sys/block/${PMEM##*/}/badblocks" -e trace=openat -e inject=openat:signal=SIGSTOP:when=1 \
		"$PMEM_RECOVER" scan "$@" >"$out" 2>"$err" </dev/null &
	tracer=$!
	for ((n = 0; n < 100; n++)); do
		grep -qs 'stopped by SIGSTOP' /tmp/stopped && break
		sleep 0.1
	done
	read -r traced _ <"/proc/$tracer/task/$tracer/children"
	echo "$holder" >$drivers/nd_pmem/unbind
	kill -CONT "$traced"
	wait $tracer
	status=$?
}

use_pmem fsdax
mount_fs ext4
make_file f 100000
poison_file f 50000
holder=$(basename "$(readlink -f "/sys/block/${PMEM##*/}/device")")

stopped_scan $mnt
status_is 8 "disabled in the middle of a scan"
report "disabled in the middle of a scan: its list is unknown" 'any(.messages[]; .code == "badblocks-unknown") and .files == []'
check "and it is disabled now" [ ! -e "$PMEM" ]

recover scan
status_is 8 "disabled before a scan of everything"
report "both are named" '[.messages[].code] | index("device-gone") and index("namespace-disabled")'
recover scan $mnt
status_is 8 "disabled before a scan of it"
recover health
status_is 4 "health: what is bad in it is known from its region"
umount $mnt
recover scan
status_is 8 "disabled, and not mounted: nobody knows whose its bad blocks are"
report "the mount is not named any more" '[.messages[].code] | (index("device-gone") | not) and index("namespace-disabled")'

check "enabled again" eval 'echo "$holder" >$drivers/nd_pmem/bind; mount_dax ext4 "$PMEM" $mnt'
recover scan
report "all as before" '[.files[].ranges[] | [.offset, .length, .state]] == [[49664, 512, "lost"]]'

# Under a volume, whatever its target.
umount $mnt
clear_all
modprobe dm_mod
modprobe dm_crypt
modprobe xts
modprobe aes_generic
under_volume() {
	dmsetup create volume --table "0 65536 $1"
	dmsetup mknodes
	mkfs.ext4 -q -F /dev/mapper/volume
	mount /dev/mapper/volume $mnt
	echo "$holder" >$drivers/nd_pmem/unbind
	recover scan
	status_is 8 "disabled under ${1%% *}"
	report "the mount of ${1%% *} is named" '[.messages[] | select(.code == "device-gone") | .object] == ["/mnt"]'
	umount $mnt
	dmsetup remove volume
}
under_volume "linear $PMEM 0"
recover scan
report "and not any more" '[.messages[].code] | index("device-gone") | not'
check "enabled" eval 'echo "$holder" >$drivers/nd_pmem/bind'
under_volume "crypt aes-xts-plain64 $(printf '%064d' 7) 0 $PMEM 0"
check "enabled, and the volume is not there any more" eval 'echo "$holder" >$drivers/nd_pmem/bind; clear_all; mount_fs ext4; make_file f 100000; poison_file f 50000'

# As good as destroyed: there is no namespace at all.
echo region0 >$drivers/nd_region/unbind
recover scan
status_is 8 "without a namespace"
report "the mount is named" '[.messages[] | select(.code == "device-gone") | .object] == ["/mnt"]'
umount $mnt
echo region0 >$drivers/nd_region/bind
rm -f /run/pmem-mode
use_pmem raw
clear_all
rm -rf "${backup:?}"/*
finish
