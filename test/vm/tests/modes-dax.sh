# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# tests/modes-dax.sh: modes.sh's row of device-dax: every byte of it is known, so that each answer can be compared to what was done.

begin_dax() {
	rm -f /run/pmem-mode
	module_again size=$((32 << 20)) && mkdir -p $tmp/backup
}

# By the seed: where the page map is, and what is mapped at once.
make_dax() {
	local options=("--map=dev --align=4096" "--map=mem --align=2M" "--map=dev --align=2M" "--map=mem --align=4096")
	table=${options[seed % 4]}
	# shellcheck disable=SC2086 # words
	dax_setup $table || return
	table=${table//[^a-zA-Z0-9]/}
	whole=$tmp/backup/${DAX##*/}
	$TREE bytes "$seed" "$(cat "/sys/bus/dax/devices/${DAX##*/}/size")" >"$whole" && $TREE store "$DAX" "$whole"
}

poison_dax() {
	$TREE poison-dax "$seed" "$DAX" $tmp/expect >$tmp/list && $TREE inject $tmp/list $pmr_parameters/inject "$dax_offset" &&
		$TREE spoil "$DAX" $tmp/list || return
	count_hits ""
}

holds() {
	$TREE load "$DAX" >$tmp/now && cmp $tmp/now "$1"
}

repair_dax() {
	run_to repair "$PMEM_RECOVER" repair --from-backup="$whole" --yes "$DAX" || return
	$TREE check-outcome $tmp/expect $tmp/repair.json "$@" || { head -n 20 $tmp/repair.err | sed 's/^/    /'; return 1; }
}

# A bus that clears nothing: all is left, and as it was.
refuse_dax() {
	hits[refused]=$((${hits[refused]:-0} + 1))
	$TREE load "$DAX" >$tmp/before || return
	module_set clear_mode fail
	repair_dax failed clear-failed
	status=$?
	module_set clear_mode ok
	mv $tmp/repair.json $tmp/refused.json
	[ $status = 0 ] && holds $tmp/before
}

seed_dax() {
	local seed=$2 targets=(/dev/dax0.0 dax0.0 namespace0.0) whole unit=512
	method=clear
	make_dax || { echo "cannot make it"; return 1; }
	poison_dax || { echo "cannot poison"; return 1; }
	target=${targets[RANDOM % 3]}
	scan || return
	salvaged=1 salvage "$seed" || return
	[ $((seed % 2)) = 1 ] || refuse_dax || return
	[ $((RANDOM % 2)) = 0 ] || unit=4096
	hits[unit$unit]=$((${hits[unit$unit]:-0} + 1))
	module_set clear_unit $unit
	repair_dax repaired clear || return
	holds "$whole" || return
	[ -z "$(cat /sys/bus/nd/devices/region0/badblocks)" ] || { echo "there is still something listed"; return 1; }
	: >$tmp/expect
	scan_again
}

clear_away_dax() {
	module_set clear_mode ok
	module_set clear_unit 512
	[ -n "$(cat /sys/bus/nd/devices/region0/badblocks)" ] || return
	use_pmem raw
	clear_all
	rm -f /run/pmem-mode
}

end_dax() { module_again; }
