#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The systemd units are understood, run the program as it is, and leave to it no more than they did.
set -u
export LC_ALL=C

units=${top_srcdir:?}/systemd
program=${PMEM_RECOVER:?}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

failed=0
complain() {
	echo "$*"
	failed=1
}

n=0
for unit in "$units"/*.service "$units"/*.timer; do
	# found by its path only where it is installed
	sed "s,^ExecStart=pmem-recover ,ExecStart=$program ," "$unit" >"$work/${unit##*/}"
	n=$((n + 1))
done
[ "$n" -ge 5 ] || complain "only $n units were found"

# What it does not know it ignores, says so, and is content.
said=$(systemd-analyze verify --man=no "$work"/*.service "$work"/*.timer 2>&1) || complain "verify: status $?"
[ -z "$said" ] || complain "verify: $said"

while read -r unit most; do
	systemd-analyze security --offline=true --threshold="$most" "$work/$unit" >/dev/null 2>&1 ||
		complain "$unit is more exposed than $most tenths"
done <<'UNITS'
pmem-recover-health.service 15
pmem-recover-journal.service 15
pmem-recover-scan.service 25
UNITS

# No more devices than these, and no fewer: what it may not open it cannot tell of.
while read -r unit devices; do
	allowed=$(sed -n 's/^DeviceAllow=//p' "$units/$unit" | sort | paste -sd,)
	[ "$allowed" = "$devices" ] || complain "$unit may open $allowed"
	[ -z "$devices" ] || grep -qx DevicePolicy=closed "$units/$unit" || complain "$unit may open all devices"
done <<'UNITS'
pmem-recover-health.service char-dimmctl rw,char-ndctl rw
pmem-recover-journal.service
pmem-recover-scan.service /dev/mapper/control rw,block-blkext r,block-device-mapper r,char-dax r,char-ndctl rw
UNITS

for unit in "$units"/*.service; do
	read -ra command < <(sed -n 's/^ExecStart=pmem-recover //p' "$unit")
	[ -n "${command-}" ] && "$program" "${command[@]}" --help >"$work/help" 2>&1 && [ -s "$work/help" ] ||
		complain "${unit##*/} runs what the program does not know: ${command[*]-}"
done
exit "$failed"
