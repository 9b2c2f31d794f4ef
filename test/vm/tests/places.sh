#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# places.sh: on DAX, poison in a deleted file that is open, in one below another mount, in a layer of an overlay, and in a
# filesystem that is mounted in another mount namespace alone.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/tests/lib.sh
. "$here/lib.sh"

use_pmem raw
for fs in ext4 xfs; do
	name="places $kernel $kind $fs"
	mount_fs $fs
	make_file open 20000
	mkdir -p $backup/sub $backup/low
	mkdir $mnt/sub $mnt/up $mnt/work $mnt/low /tmp/over
	make_file sub/hidden 20000
	make_file low/layered 20000
	poison_file open 4096
	poison_file sub/hidden 8192
	poison_file low/layered 12288
	sleep 3600 9<$mnt/open &
	holder=$!
	has_open $holder 9
	rm $mnt/open
	mount -t tmpfs none $mnt/sub
	cp $backup/sub/hidden $mnt/sub/hidden
	mount -t overlay none /tmp/over -o lowerdir=$mnt/low,upperdir=$mnt/up,workdir=$mnt/work

	recover scan $mnt
	status_is 4 "all three"
	report "each by its path" '[.files[].path] | sort == ["'$mnt'/low/layered", "'$mnt'/sub/hidden", "/proc/'$holder'/fd/9"]'
	report "what is lost of each" '[.files[].ranges[] | select(.state == "lost") | .length] == [512, 512, 512] or ([.files[].ranges[].length] | add) >= 1536'
	report "what is in the way of two" '[.messages[].code] | sort == ["deleted-open", "hidden-below-mount"]'
	says "who has it open" "held open by PID $holder \(sleep\)"
	recover scan --lookup=walk $mnt
	report "by walking: the same" '[.files[].path] | sort == ["'$mnt'/low/layered", "'$mnt'/sub/hidden", "/proc/'$holder'/fd/9"]'

	recover salvage /proc/$holder/fd/9 -o /tmp/saved
	status_is 4 "the deleted one is salvaged"
	head -c 20000 /tmp/saved | cmp -l - $backup/open | wc -l >/tmp/differ
	check "all but a sector of it" test "$(cat /tmp/differ)" -le 512
	rm -f /tmp/saved

	recover scan /tmp/over/layered
	status_is 8 "by the overlay"
	says "its layer is named" "it is $mnt/low/layered there"

	recover repair --zero-fill -y $mnt
	report "what has no path here is left alone" '[.plan[] | select(.refused) | .refused] | sort == ["deleted-open", "hidden-below-mount"]'
	report "the third is not" 'any(.files[]; .path == "'$mnt'/low/layered" and all(.ranges[]; .state == "zeroed"))'
	check "what hides the second is as it was" cmp $mnt/sub/hidden $backup/sub/hidden
	kill $holder
	wait $holder 2>/dev/null
	umount /tmp/over
	umount $mnt/sub
	recover repair --zero-fill -y $mnt
	report "seen again, it is repaired" 'any(.files[]; .path == "'$mnt'/sub/hidden" and all(.ranges[]; .state == "zeroed"))'

	recover health --acknowledge="${PMEM##*/}"

	poison_file low/layered 0
	rm -f /tmp/ready
	# shellcheck disable=SC2016 # for the shell there
	unshare --mount bash -c 'touch /tmp/ready && exec sleep 3600' &
	holder=$!
	for ((i = 0; i < 600; i++)); do
		[ -e /tmp/ready ] && break
		sleep 0.1
	done
	check "a namespace of its own" test -e /tmp/ready
	umount $mnt
	recover scan "$PMEM"
	status_is 8 "mounted elsewhere"
	report "where" '[.messages[].code] == ["mounted-elsewhere"] and .files == []'
	says "what to do" "nsenter --target $holder --mount pmem-recover scan $mnt"
	run nsenter --target $holder --mount "$PMEM_RECOVER" scan $mnt
	status_is 4 "there"
	kill $holder
	wait $holder 2>/dev/null
	mount "$PMEM" $mnt
	unmount
	rm -rf ${backup:?}/* /tmp/over
done
finish
