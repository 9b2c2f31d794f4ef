# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What the command-line tests share. Sourced with top_srcdir and PMEM_RECOVER in the environment.
#
# A test calls run and then says what it expects; the first thing that is not so ends it. Whatever was mounted or
# attached goes away with the test.
set -u
export LC_ALL=C.UTF-8 PATH=/usr/sbin:/sbin:$PATH

: "${top_srcdir:?}" "${PMEM_RECOVER:?}"
# What this machine remembers is nobody's business here: a test has a state directory of its own, in a mount namespace.
state=/var/lib/pmem-recover
if [ "$(id -u)" -eq 0 ] && [ -z "${PMR_TEST_STATE:-}" ] && unshare --mount true 2>/dev/null; then
	[ -d $state ] || mkdir -m 700 $state || exit 1
	PMR_TEST_STATE=own exec unshare --mount bash "$0"
fi
# not /tmp, which may be a tmpfs: a journal on one is refused
work=$(mktemp -d -p "${TMPDIR:-/var/tmp}" pmem-recover.XXXXXX) || exit 1
# The images are written with many syncs, and need not survive anything.
images=$(mktemp -d -p /dev/shm pmem-recover.XXXXXX 2>/dev/null) || images=$work
if [ -n "${PMR_TEST_STATE:-}" ]; then
	mkdir -m 700 "$work/state" && mount --bind "$work/state" $state || exit 1
fi
mounts=()
loops=()
# processes that nothing may outlive, stopped ones among them: they hold mounts, and locks
holders=()

kill_holders() {
	[ ${#holders[@]} -gt 0 ] || return 0
	kill -KILL "${holders[@]}" 2>/dev/null
	wait "${holders[@]}" 2>/dev/null
	holders=()
}

cleanup() {
	local status=$? i

	trap - EXIT INT TERM
	cd /
	kill $server 2>/dev/null
	kill_holders
	for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do
		umount "${mounts[i]}" || umount -l "${mounts[i]}"
	done
	for i in "${loops[@]}"; do
		losetup -d "$i"
	done
	[ -z "${PMR_TEST_STATE:-}" ] || umount $state
	chattr -R -ia "$work" 2>/dev/null
	rm -rf "$work" "$images" "$served"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# fail TEXT: the test is over
fail() {
	echo "FAIL: ${BASH_SOURCE[-1]##*/}:${BASH_LINENO[-2]}: $*"
	if [ -e "$work/err" ]; then
		echo "--- stdout"
		head -c 4000 "$work/out"
		echo "--- stderr"
		head -c 4000 "$work/err"
	fi
	exit 1
}

# stopped PID: waits until a process that strace -D traces to $work/trace was stopped by it; false where the process ended
stopped() {
	local i

	for ((i = 0; i < 3000; i++)); do
		grep -q -e '--- stopped by SIGSTOP' "$work/trace" 2>/dev/null && return
		kill -0 "$1" 2>/dev/null || return 1
		sleep 0.01
	done
	fail "process $1 was never stopped"
}

need_root() {
	[ "$(id -u)" -eq 0 ] || fail "needs root, for mount and loop devices"
	losetup -f >/dev/null || fail "needs loop devices"
}

# without_valgrind: of ioctls and system calls that it does not know valgrind talks in $work/err; its errors show in the status
without_valgrind() {
	case $PMEM_RECOVER in
	*valgrind) [ $status -eq 99 ] || sed -i -E '/^(==|--)[0-9]+(==|--) /d' "$work/err" ;;
	esac
}

# run STATUS ARGUMENT...: run pmem-recover; its status has to be STATUS
run() {
	local wanted=$1

	shift
	"$PMEM_RECOVER" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	without_valgrind
	[ "$status" -eq "$wanted" ] || fail "pmem-recover $*: status $status instead of $wanted"
}

# A process does what tools are asked for: it takes longer to start one than to do it.
# Not in $work, which is the test's own.
served=$images.tools
mkdir "$served" && mkfifo "$served/go" "$served/done" || exit 1
/usr/bin/python3 -B "$top_srcdir/test/cli/tools.py" serve "$served" </dev/null >"$served/log" 2>&1 &
server=$!
# "wait" does not wait for it.
disown

# The server has said something in a line: sets served_status.
served_says() {
	local piece

	served_status=
	# The time may be over in the middle of a line.
	until IFS= read -r -t 1 piece; do
		served_status+=$piece
		kill -0 $server 2>/dev/null || fail "the server of tools has ended: $(cat "$served/log")"
	done <>"$served/done"
	served_status+=$piece
}
served_says

# tools COMMAND ARGUMENT...
tools() {
	local served_status turn

	# What is open here is not open there.
	case "$*" in
	*/dev/fd/* | */proc/self/*)
		/usr/bin/python3 -B "$top_srcdir/test/cli/tools.py" "$@"
		return
		;;
	esac
	# one at a time, whatever runs in the background
	exec {turn}>"$served/turn"
	flock "$turn"
	printf '%s\0' "$PWD" "$@" >"$served/request"
	echo 1<>"$served/go"
	served_says
	[ ! -s "$served/output" ] || cat "$served/output"
	[ ! -s "$served/errors" ] || cat "$served/errors" >&2
	exec {turn}>&-
	return "$served_status"
}

# tools_of FILE ARGUMENT...: another of these programs
tools_of() {
	/usr/bin/python3 -B "$top_srcdir/test/cli/$1" "${@:2}"
}

# program: prints the path of the program itself, which may be run by a script that says where its library is; under a tracer
# what the script does, or valgrind, would be among the calls
program() {
	local directory=${PMEM_RECOVER%/*}

	if [ -x "$directory/.libs/pmem-recover" ]; then
		echo "$directory/.libs/pmem-recover"
	else
		echo "${PMEM_RECOVER%-valgrind}"
	fi
}
[ ! -d "${PMEM_RECOVER%/*}/.libs" ] || export LD_LIBRARY_PATH="${PMEM_RECOVER%/*}/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# json EXPRESSION...: the last run's report is valid, and these Python expressions over it are true
json() {
	tools check "$work/out" "$status" "$@" || fail "report"
}

# says TEXT: stderr of the last run has it
says() {
	grep -qF -- "$1" "$work/err" || fail "not said: $1"
}

prints() {
	grep -qF -- "$1" "$work/out" || fail "not printed: $1"
}

# is_silent: the last run printed nothing at all
is_silent() {
	[ ! -s "$work/out" ] && [ ! -s "$work/err" ] || fail "something was printed"
}

# loop SIZE [losetup option]: a new loop device in $loop, over $image
loop() {
	local size=$1

	shift
	image=$images/image${#loops[@]}
	truncate -s "$size" "$image" || fail "no image"
	loop=$(losetup -f --show "$@" "$image") || fail "no loop device"
	loops+=("$loop")
}

# mounted DEVICE DIRECTORY [mount option]
mounted() {
	local device=$1 directory=$2

	shift 2
	mkdir -p "$directory"
	mount "$@" "$device" "$directory" || fail "cannot mount $device"
	mounts+=("$directory")
}

# unmounted DIRECTORY: before the end of the test
unmounted() {
	local i

	umount "$1" || fail "cannot unmount $1"
	for i in "${!mounts[@]}"; do
		[ "${mounts[i]}" != "$1" ] || unset "mounts[$i]"
	done
	mounts=("${mounts[@]}")
}

# filesystem TYPE DIRECTORY [ARGUMENT of mkfs.ext4...]: a fresh filesystem on a new loop device
filesystem() {
	case $1 in
	xfs)
		loop 320M
		# The variables are xfsprogs' own test suite's: they allow a log under 64 MiB, which takes long to make and to read.
		TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q -f -l size=16m -m reflink=1,rmapbt=1 "$loop" >"$work/mkfs" 2>&1 ||
			fail "mkfs: $(cat "$work/mkfs")"
		;;
	ext4)
		loop 64M
		mkfs.ext4 -q -F -b 4096 "${@:3}" "$loop" || fail mkfs
		;;
	esac
	mounted "$loop" "$2"
}

# settle DIRECTORY: what was written below it lies on the device, and nothing in the page cache hides it
settle() {
	tools forget "$1" || fail forget
}

# damaged FILE OFFSET [COUNT]: sectors of a file on $image are lost; they go to $work/bad, and read as garbage
damaged() {
	echo "$(($(tools where "$image" "$1" "$2") / 512)) ${3:-1}" >"$work/bad"
	tools damage "$image" "$work/bad" || fail damage
	settle "$(dirname "$1")"
}

# repair STATUS ARGUMENT...: with the list in $work/bad and a journal of its own
repair() {
	local wanted=$1

	shift
	run "$wanted" repair --badblocks="$work/bad" --trust-badblocks --journal="$work/journal" "$@"
}
