#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# methods.sh: repair --method= on kernels that recover with a plain write: that one, the flag refused, and files without DAX.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

if [ -e /sys/module/dax/parameters/recovery_flag ]; then
	ok "the kernel with the flag is for no-recovery.sh"
	finish
fi
use_pmem fsdax

all_methods() { echo "[.files[].ranges[].method] | length > 0 and all(. == \"$1\")"; }

same_list() { [ "$(badblocks "$PMEM")" = "$list" ]; }

make_set() {
	make_file plain 600000 1
	make_file tail 10000 2
}

# Two sectors of a page, two pages with all of theirs, the last page.
damage_set() {
	poison_file plain 409600 16
	poison_file plain 4608
	poison_file plain 6144
	poison_file tail 9999
	list=$(badblocks "$PMEM")
}

check_set() {
	for file in plain tail; do
		check "$1: $file is as it was" same $file
	done
}

# A bit that means nothing to this kernel must show what it does, and is then not used.
check_candidate() {
	poison_file tail 9999
	poison_file plain 204800
	repair --recovery-flag=0x200 --from-backup=$backup $mnt
	status_is 1 "a bit that may be the flag"
	report "did not show it" 'any(.messages[]; .code == "flag-not-shown") and .recovery.flag == null'
	report "and a plain write does as well" "$(all_methods write)"
}

check_named() {
	damage_set
	repair --method=flag --from-backup=$backup $mnt
	status_is 4 "the flag, on a kernel without it"
	report "refused by name" '[.files[].ranges[].reason] | all(. == "no-flag")'
	report "and no step is planned" '[.plan[] | .method == null and .steps == []] | all'
	check "the list is as it was" same_list

	recover repair --dry-run --method=punch --from-backup=$backup $mnt
	status_is 0 "a dry run of the punch"
	report "the plan has the method" '[.plan[].method] | length == 2 and all(. == "punch")'
	report "the cost is told" 'any(.messages[]; .code == "punch-cost")'
	says "and shown with each file" "tail.*method punch: moves its blocks"
	check "nothing was written" same_list

	repair --from-backup=$backup $mnt
	status_is 1 "auto"
	report "it is a plain write" "$(all_methods write)"
	report "as planned" '[.plan[].method] | length == 2 and all(. == "write")'
	check "the list is empty" clean
	check_set auto
	poison_file tail 9999
	repair --method=write --from-backup=$backup/tail $mnt/tail
	status_is 1 "a plain write, by name"
	report "written so" "$(all_methods write)"
	check "tail is as it was" same tail
}

# Without DAX the block layer clears on every kernel, and the punch works as well.
check_not_dax() {
	umount $mnt
	mount -t $fs $PMEM $mnt
	make_file cold 100000 6
	make_file cold2 9000 7
	echo 3 >/proc/sys/vm/drop_caches
	poison_file cold 50000
	poison_file cold2 8999
	repair --method=flag --from-backup=$backup/cold $mnt/cold
	status_is 4 "the flag without DAX"
	report "refused by name" '[.files[].ranges[].reason] == ["no-flag"]'
	repair --from-backup=$backup/cold $mnt/cold
	status_is 1 "auto without DAX"
	report "is a plain write" "$(all_methods write)"
	poison_file cold 50000
	repair --method=punch --from-backup=$backup $mnt
	status_is 1 "punch without DAX"
	report "is a punch" "$(all_methods punch)"
	echo 3 >/proc/sys/vm/drop_caches
	check "cold is as it was" same cold
	check "cold2 is as it was" same cold2
}

for fs in ext4 xfs; do
	name_of_test=$name
	name="$name_of_test $fs"
	mount_fs $fs
	make_set
	[ $fs = xfs ] || check_candidate
	check_named
	check_not_dax
	unmount
	name=$name_of_test
done
finish
