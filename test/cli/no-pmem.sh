#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A machine without persistent memory: 0, and it is said.

# On a machine that has some it is hidden, in a mount namespace of its own.
if compgen -G '/sys/bus/nd/devices/region*' >/dev/null; then
	# shellcheck disable=SC2016
	exec unshare -m bash -c 'for i in /sys/bus/nd /sys/class/nd; do
		[ ! -d "$i" ] || mount -t tmpfs none "$i" || exit
	done
	exec bash "$0"' "$0"
fi
. "${top_srcdir:?}/test/cli/lib.sh"

# Who may not read the state directory hears that nothing of it is known.
may_read=1
[ ! -d /var/lib/pmem-recover ] || [ -r /var/lib/pmem-recover ] || may_read=0
unknown='("journals-unknown", "zeroed-unreadable", "memory-unreadable")'

for verb in list scan health; do
	run 0 $verb
	json "[c for c in codes if $may_read or c not in $unknown] == ['no-pmem']" 'd["devices"] == [] and d["files"] == []' \
		'd["summary"]["badblocks"] == 0' "d['command'] == '$verb'"
	says 'no persistent memory'
	run 0 $verb --human
	prints 'No persistent memory.'
	run 0 $verb --format=human --format=json
	json 'd["format_version"] == [1, 0]'
	run 0 $verb -q
	[ $may_read = 0 ] || is_silent
done
if [ $may_read = 1 ]; then
	run 0 health
	json 'd["vanished"] == [] and d["remembered"] is True'
	run 8 health --acknowledge=pmem0@4096
	json '"not-vanished" in codes' 'd["vanished"] == []'
fi

# Without sysfs nothing can be known, which is not the same as a machine without.
if [ "$(id -u)" -eq 0 ]; then
	for verb in list scan health; do
		# shellcheck disable=SC2016
		status=0
		unshare -m bash -c 'umount -l /sys && exec "$@"' bash "$PMEM_RECOVER" $verb >"$work/out" 2>"$work/err" || status=$?
		[ $status = 8 ] || fail "$verb without /sys: exit status $status"
		json 'codes == ["no-sysfs"]' 'd["exit_status"] == 8'
	done
fi
