# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# bench/lib.sh: what the scripts that measure inside the guest share; source it.
#
#	fail WHY			that, and the end
#	took BEST COMMAND...		run it, its output to /tmp; the variable BEST keeps the least milliseconds so far, and
#					status is the exit status
#	figure WHAT GOAL A B OF		one line: the ratio of A to B, and whether it is at most GOAL
#	inject LIST			poison $PMEM, an e820 device
#	listed				how many records its list has

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=test/vm/lib.sh
. "$here/../vm/lib.sh"

fail() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# shellcheck disable=SC2034 # status is the caller's
took() {
	local best=$1 begin ms
	shift
	begin=${EPOCHREALTIME/./}
	"$@" >/tmp/took.out 2>/tmp/took.err </dev/null
	status=$?
	ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
	[ "${!best:-$((ms + 1))}" -le $ms ] || printf -v "$best" %s $ms
}

figure() {
	awk -v what="$1" -v goal="$2" -v a="$3" -v b="$4" -v of="$5" 'BEGIN {
		printf "figure %s: ratio %.2f (goal at most %s, %s); %d ms against %d ms for: %s\n",
			what, a / b, goal, a / b <= goal ? "met" : "MISSED", a, b, of
	}'
}

inject() {
	local line
	while read -r line; do
		echo "$line" >"/sys/block/${PMEM##*/}/badblocks" || fail "cannot inject $line"
	done <"$1"
}

listed() {
	local lines
	mapfile -t lines <"/sys/block/${PMEM##*/}/badblocks"
	echo ${#lines[@]}
}
