#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# no-recovery.sh: repair on kernels where plain writes do not recover: by the flag, or not at all, or with a flag that is
# accepted and does nothing.
#
# needs: flag own-guest
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

mode=/sys/module/dax/parameters/recovery_flag

all_are() { echo "[.files[].ranges[] | [.state, .reason, .method]] | length > 0 and all(. == [$1])"; }

same_list() { [ "$(badblocks "$PMEM")" = "$list" ]; }

damage() {
	poison_file big 8704
	poison_file big 102400 16
	poison_file big 300000
	poison_file big 400000
	poison_file big 500000
	poison_file tail 9999
	list=$(badblocks "$PMEM")
}

check_files() {
	check "$1: big is as it was" same big
	check "$1: tail is as it was" same tail
}

set_mode() {
	echo "$1" >$mode
	name="$name_of_test $fs $1"
}

check_flag() {
	set_mode "$1"
	damage
	repair --from-backup=$backup $mnt
	status_is 1 "auto"
	report "by the flag" "$(all_are '"repaired", null, "flag"')"
	report "as planned" '[.plan[].method] == ["flag", "flag"]'
	report "the kernel has it" '.recovery.capability == "flag" and .recovery.flag == 32 and .recovery.evidence == "tried"'
	check "the list is empty" clean
	check_files auto
	damage
	repair --method=write --from-backup=$backup $mnt
	status_is 4 "a plain write"
	report "nothing was written" "$(all_are '"skipped", "no-recovery-write", null')"
	report "which is no reason to give the flag up" '.recovery.capability == "flag"'
	check "the list is as it was" same_list
	says "the punch is named" "big: .*--method=punch"
	repair --method=flag --from-backup=$backup/tail $mnt/tail
	status_is 1 "the flag, by name"
	report "by the flag" "$(all_are '"repaired", null, "flag"')"
	check "tail is as it was" same tail
	clear_all
}

# A write that says EIO has tried; three pages of it are enough.
check_refused() {
	local attempts
	next_run
	strace -f -e trace=pwritev2 -o /tmp/trace "$PMEM_RECOVER" repair --yes --journal=$journals "${@:3}" >"$out" 2>"$err" </dev/null
	status=$?
	last=$*
	status_is 4 "$1"
	attempts=$(grep -c 'EIO' /tmp/trace)
	check "$1: $2 attempts, not $attempts" [ "$attempts" = "$2" ]
	report "$1: nothing was written" "$(all_are '"skipped", "no-recovery-write", null')"
	report "$1: nothing counts as repaired" '.summary.repaired_bytes == 0'
	says "$1: the punch is named" "--method=punch"
	check "$1: the list is as it was" same_list
}

check_none() {
	set_mode none
	damage
	check_refused "auto" 3 --from-backup=$backup $mnt
	report "it is known that there is no way" '.recovery == {"capability": "none", "flag": null, "evidence": "tried"}'
	repair --method=flag --from-backup=$backup $mnt
	status_is 4 "the flag, by name"
	report "refused" "$(all_are '"skipped", "no-flag", null')"
	repair --method=device --from-backup=$backup/tail $mnt/tail
	status_is 1 "device"
	report "through the device it goes" "$(all_are '"repaired", null, "device"')"
	repair --method=punch --from-backup=$backup $mnt
	status_is 1 "punch"
	report "punched" "$(all_are '"repaired", null, "punch"')"
	# blocks that were given back may already be metadata, and their poison goes when that is written
	umount $mnt
	mount -t $fs -o dax $PMEM $mnt
	check_files punch
	recover scan $mnt
	status_is 0 "then nothing is lost"
	clear_all
}

check_stubborn() {
	set_mode stubborn
	damage
	check_refused "auto" 6 --from-backup=$backup $mnt
	report "it is known that there is no way" '.recovery == {"capability": "none", "flag": null, "evidence": "tried"}'
	check_refused "the flag, by name" 3 --method=flag --from-backup=$backup $mnt
	clear_all
	cp $backup/big $backup/tail $mnt
	sync -f $mnt
}

# A device that cannot clear says EIO too.
check_clear_fails() {
	[ "$kind" = module ] || return 0
	set_mode flag
	damage
	module_set clear_mode fail
	repair --from-backup=$backup/tail $mnt/tail
	status_is 4 "a device that does not clear"
	report "nothing was written" "$(all_are '"skipped", "no-recovery-write", null')"
	check "the list is as it was" same_list
	module_set clear_mode ok
	repair --from-backup=$backup $mnt
	status_is 1 "and then does"
	check_files "cleared"
}

# Files without DAX have no need of any of it.
check_not_dax() {
	set_mode none
	umount $mnt
	mount -t $fs $PMEM $mnt
	poison_file tail 9999
	poison_file big 300000
	repair --from-backup=$backup $mnt
	status_is 1 "without DAX"
	report "by a plain write" "$(all_are '"repaired", null, "write"')"
	echo 3 >/proc/sys/vm/drop_caches
	check_files "without DAX"
}

use_pmem fsdax
name_of_test=$name
for fs in ext4 xfs; do
	mount_fs $fs
	make_file big 600000 1
	make_file tail 10000 2
	check_flag flag
	check_none
	check_stubborn
	# of these one filesystem tells as much as two
	case $fs in
	ext4) check_not_dax ;;
	xfs) check_clear_fails ;;
	esac
	unmount
done
finish
