# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# tests/lib.sh: what the scripts that run inside the guest share; source it. STAGE is a directory with the programs.
#
#	use_pmem fsdax|raw		sets PMEM, see pmem_setup
#	check WHAT COMMAND...		one line: ok or not ok, and then why
#	run COMMAND...			sets status; stdout goes to $out, stderr to $err
#	status_is N WHAT		the last run's exit status; also the report's own exit_status
#	says WHAT TEXT			the last run's stderr has this text (an extended regular expression)
#	report WHAT FILTER		jq's filter is true of the last run's report; asked at the end
#	next_run			new $out and $err, for what writes to them by itself
#	recover VERB [ARGUMENT]...	run pmem-recover
#	mount_fs [FS] [MKFS-OPTION...]	make a filesystem on $PMEM and mount it at $mnt
#	make_file NAME BYTES [SEED]	a file of reproducible bytes in $mnt, with a copy in $backup
#	poison_file NAME OFFSET [COUNT]	poison the sectors under that byte of a file in $mnt; what they held is gone
#	inject FILE			poison a list of sectors and counts, at once
#	same NAME			the file is the copy again
#	hold_device NODE		have a device-dax mapped by another program; sets holder, its number
#	device_sector SECTOR		a sector of $PMEM, read past the cache
#	pause PID			stop a process, and wait until it is
#	has_open PID FD			wait until a process has that descriptor
#	thawed				the filesystem takes writes, within seconds
#	unmount				the filesystem, and take all badblocks away where that is possible
#	finish				the exit status of the script

here=${here:-$(cd "$(dirname "$0")" && pwd)}
# shellcheck source=test/vm/lib.sh
. "$here/../lib.sh"

# Programs once read need no trip to the host again.
[ -d /tmp/stage ] || cp -r "${STAGE:?}" /tmp/stage || exit 99
PMEM_RECOVER=/tmp/stage/pmem-recover
TREE=/tmp/stage/tree
# shellcheck disable=SC2034 # for tests that source this
WRITER=/tmp/stage/writer
FROZEN_LIBRARY=/tmp/stage/frozen.so
export LD_LIBRARY_PATH=/tmp/stage
name=$(basename "$0" .sh)
kind=e820
[ -d "$pmr_parameters" ] && kind=module
kernel=$(uname -r)
kernel=${kernel%"${kernel#*.*.}"}
kernel=${kernel%.}
case $(uname -r) in *-flag) kernel=flag ;; esac
name="$name $kernel $kind"
mnt=/mnt
backup=/tmp/backup
runs=0
status=0
failures=0
pending_what=()
pending_filter=()
pending_name=()
pending_last=()
pending_status=()
pending_out=()
pending_err=()
journals=/var/lib/pmem-recover
run_files=/tmp/runs.$$
# What other scripts saw full is no matter of this one, but what it saw before a reset is.
[ "${PMR_BOOT:-1}" -gt 1 ] || rm -rf "$journals/doubts"
out=$run_files/0.json
err=$run_files/0.err
last=
mkdir -p $mnt $backup $run_files

# use_pmem fsdax|raw: sets PMEM; quick where the namespace is of that kind already.
use_pmem() {
	if [ "$kind" = module ] && [ "$(cat /run/pmem-mode 2>/dev/null)" = "$1" ] && [ -b /dev/pmem0 ]; then
		PMEM=/dev/pmem0
		return
	fi
	pmem_setup "$1" || exit 99
	echo "$1" >/run/pmem-mode
}

ok() { echo "ok - $name: $*"; }

not_ok() {
	failures=$((failures + 1))
	echo "not ok - $name: $*"
}

check() {
	local what=$1
	shift
	if "$@" >/tmp/why 2>&1; then
		ok "$what"
	else
		not_ok "$what"
		printf '    failed: %s\n' "$*"
		sed 's/^/    /' /tmp/why | head -n 30
	fi
}

show_run() {
	echo "    ran: $last"
	echo "    exit status: $status"
	head -n 20 "$err" | sed 's/^/    stderr: /'
}

next_run() {
	runs=$((runs + 1))
	out=$run_files/$runs.json
	err=$run_files/$runs.err
}

run() {
	next_run
	last=$*
	"$@" >"$out" 2>"$err" </dev/null
	status=$?
}

recover() { run "$PMEM_RECOVER" "$@"; }

show_report() {
	show_run
	jq -c '.devices[]?, .messages[]?, (.files[]? | {path, error, complete, ranges})' "$out" 2>&1 | head -n 20 | cut -c1-600 | sed 's/^/    /'
}

# status_in REPORT: sets inside, the exit status that the report tells of.
status_in() {
	inside=none
	[[ $(<"$1") =~ \"exit_status\":\ *([0-9]+) ]] && inside=${BASH_REMATCH[1]}
}

status_is() {
	local inside
	status_in "$out"
	if [ "$status" = "$1" ] && [ "$inside" = "$1" ]; then
		ok "$2: exit status $1"
	else
		not_ok "$2: exit status $status, in the report $inside, expected $1"
		show_report
	fi
}

says() {
	if grep -Eq -- "$2" "$err"; then
		ok "$1"
	else
		not_ok "$1: stderr has no /$2/"
		show_run
	fi
}

# jq takes long to start on an emulated CPU: what is to be true of reports is asked at once, by finish.
report() {
	pending_what+=("$1")
	pending_filter+=("$2")
	pending_name+=("$name")
	pending_last+=("$last")
	pending_status+=("$status")
	pending_out+=("$out")
	pending_err+=("$err")
}

# ask_jq N...: of these that are pending, one line an answer.
ask_jq() {
	local n program='' file='' files=()
	for n in "$@"; do
		# What is asked of one report follows each other.
		[ "${pending_out[n]}" = "$file" ] || files+=("${pending_out[n]}")
		file=${pending_out[n]}
		program+="(.[\"$file\"] | if . then [try (${pending_filter[n]}) catch false] else [] end |"
		program+=" if length == 1 then .[0] else \"not one answer\" end),"
	done
	jq -nc "reduce inputs as \$report ({}; .[input_filename] = \$report) | ${program%,}" "${files[@]}" 2>&1
}

ask_reports() {
	local answers answer n shown=
	[ ${#pending_what[@]} -gt 0 ] || return 0
	mapfile -t answers < <(ask_jq "${!pending_what[@]}")
	for n in "${!pending_what[@]}"; do
		answer=${answers[n]:-nothing}
		# A report that is no JSON, or a filter that is none, spoils all of them.
		[ ${#answers[@]} = ${#pending_what[@]} ] || answer=$(ask_jq "$n")
		name=${pending_name[n]}
		if [ "$answer" = true ]; then
			ok "${pending_what[n]}"
			continue
		fi
		not_ok "${pending_what[n]}: $answer, not true: ${pending_filter[n]}"
		last=${pending_last[n]} status=${pending_status[n]} out=${pending_out[n]} err=${pending_err[n]}
		[ "$shown" = "$out" ] || show_report
		shown=$out
	done
	pending_what=()
}

repair() {
	recover repair --yes --journal="$journals" "$@"
}

mount_fs() {
	local fs=${1:-ext4}
	[ $# = 0 ] || shift
	# 128 MiB are enough, and quicker to make.
	case $fs in
	ext4) make_fs ext4 "$PMEM" $mnt -E nodiscard "$@" ;;
	xfs) make_fs xfs "$PMEM" $mnt -K "$@" ;;
	esac || exit 99
}

make_file() {
	"$TREE" bytes "${3:-1}" "$2" >"$backup/$1"
	rm -f "$mnt/$1"
	cp "$backup/$1" "$mnt/$1"
	sync -f "$mnt/$1"
}

file_sector() { sector_of "$mnt/$1" "$2"; }

poison_file() {
	local sector
	sector=$(file_sector "$1" "$2") || return
	"$TREE" scramble "$PMEM" "$sector" "${3:-1}" || return
	poison "$PMEM" "$sector" "${3:-1}"
}

# A list of "sector count" lines at once.
inject() {
	if [ "$kind" = module ]; then
		pmem_disk "$PMEM" || return
		"$TREE" inject "$1" $pmr_parameters/inject "$(region_offset 0)"
	else
		"$TREE" inject "$1" "/sys/block/${PMEM##*/}/badblocks"
	fi
}

same() { cmp "$mnt/$1" "$backup/$1"; }

listed() { badblocks "$PMEM" | grep -qx "$1"; }

clean() { [ -z "$(badblocks "$PMEM")" ]; }

# A 512-byte write through the device clears what is listed; a page that was offlined cannot be had back so.
clear_all() { "$TREE" clear "$PMEM"; }

# The signal alone is not waited for, and finds a process in the middle of a call that it still finishes.
pause() {
	local stat
	kill -STOP "$1" || return
	while read -r stat 2>/dev/null <"/proc/$1/stat" && stat=${stat##*) } && [ "${stat%% *}" != T ]; do
		sleep 0.01
	done
}

# A process that was just begun may not have opened what its command line says.
has_open() {
	until [ -e "/proc/$1/fd/$2" ]; do
		kill -0 "$1" || return
		sleep 0.01
	done
}

# Who writes to a frozen filesystem cannot be killed, so it is not waited for.
thawed() {
	local writer n
	(echo x >$mnt/thawed && sync -f $mnt/thawed && rm $mnt/thawed) &
	writer=$!
	for ((n = 0; n < 200; n++)); do
		kill -0 $writer 2>/dev/null || { wait $writer; return; }
		sleep 0.1
	done
	return 1
}

unmount() {
	umount $mnt
	clear_all
	rm -rf "${backup:?}"/* "${journals:?}"/*.journal "$journals/zeroed"
}

# shellcheck disable=SC2034 # holder, for tests that source this
hold_device() {
	local line
	exec {held}< <("$TREE" hold "$1" & echo $!; wait)
	# Its number, and its word that it holds it, in either order.
	for _ in 1 2; do
		read -r line <&"$held"
		case $line in [0-9]*) holder=$line ;; esac
	done
}

device_sector() { dd if="$PMEM" bs=512 skip="$1" count=1 iflag=direct status=none; }

finish() {
	ask_reports
	[ $failures = 0 ] || exit 1
	exit 0
}

# little_endian NUMBER: for printf
little_endian() {
	printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24))
}

# partitions MIB...: an MBR with these on $PMEM
partitions() {
	local start=2048 table='' size
	for size; do
		table+="\\0\\0\\0\\0\\x83\\0\\0\\0$(little_endian $start)$(little_endian $((size * 2048)))"
		start=$((start + size * 2048))
	done
	dd if=/dev/zero of="$PMEM" bs=1M count=1 oflag=direct status=none
	# shellcheck disable=SC2059
	printf "$table" | dd of="$PMEM" bs=1 seek=446 status=none
	printf '\x55\xaa' | dd of="$PMEM" bs=1 seek=510 status=none
	blockdev --rereadpt "$PMEM"
}
