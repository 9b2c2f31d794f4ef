#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Wrong command lines: 16, one line that begins with what is wrong, and no document.
. "${top_srcdir:?}/test/cli/lib.sh"

# refused OBJECT ARGUMENT...
refused() {
	local object=$1

	shift
	run 16 "$@"
	[ ! -s "$work/out" ] || fail "a document for a usage error: $*"
	says "pmem-recover: $object: "
	[ "$(wc -l <"$work/err")" -eq 1 ] || fail "more than one line: $*"
}

refused frobnicate frobnicate
says 'no such command, see'
refused scann scann
says "(is it 'scan'?)"
refused scna scna
says "(is it 'scan'?)"
refused repiar help repiar
says "(is it 'repair'?)"
refused hepl hepl
says "(is it 'help'?)"
refused mpa mpa
says "(is it 'map'?)"
refused salv salv
says "(is it 'salvage'?)"
refused version version
says "(is it '--version'?)"
# what is far from all of them is not guessed
for word in ls fix x '' "$(printf 'x%.0s' {1..80})"; do
	run 16 "$word"
	! grep -q 'is it' "$work/err" || fail "a guess at '$word'"
done
refused recover help recover
refused heal help heal
says "(is it 'health'?)"
refused -u -u scan
says 'behind its name'
refused --frobnicate --frobnicate
refused -x -x
refused frobnicate help frobnicate
refused list help scan list
refused --frobnicate scan --frobnicate
! grep -q 'is it' "$work/err" || fail "a guess at an option like no other"
for option in --thread --thread=4 --thraeds=4 --treads; do
	refused "$option" scan "$option"
	says "(is it '--threads'?)"
done
refused --dryrun repair --dryrun
says "(is it '--dry-run'?)"
# of another command
refused --fil=1 scan --fil=1
! grep -q 'is it' "$work/err" || fail "an option of another command is offered"
refused -z scan -z
refused '\x1b[2J' scan --format=$'\e[2J'
refused csv scan --format=csv
refused --format scan --format
refused option scan --badblocks=
refused --human=1 scan --human=1
refused some list some
refused some health some
refused --badblocks=x list --badblocks=x
refused --yes scan --yes
refused map map
says 'needs FILE'
refused salvage salvage
says 'needs FILE -o OUT'
refused repair repair --zero-fill
says 'needs a TARGET'
refused three map one 2 three
# what a number is, is a unit test's matter
for range in 1+0 1+ +1 -1 1x 18446744073709551616; do
	refused "$range" map -- one "$range"
done
refused repair repair target
refused --zero-fill repair --zero-fill --from-backup=a b
refused --backup-root repair --zero-fill --backup-root=a b
refused --verify-backup=none repair --from-backup=a --verify-backup=none b
refused some repair --from-backup=a --verify-backup=some b

for threads in 0 -1 1x 0x10 '' some 18446744073709551616; do
	refused "$threads" scan --threads="$threads"
done
refused some locate --lookup=some /dev/null 0
refused --lookup=auto list --lookup=auto
refused --threads=1 map --threads=1 a
refused some repair --zero-fill --keep=some b
refused -1 repair --zero-fill --keep=-1 b
refused --export journal --export=a
refused --set-aside journal --set-aside
refused --keep=1 journal --keep=1
refused --all health --all

refused --acknowledge health --acknowledge=pmem0 --badblocks=/dev/null

# a list that names no device leaves health, and a scan of nothing, without one
echo '8 1' >"$work/list"
refused "$work/list" health --badblocks="$work/list"
refused "$work/list" scan --badblocks="$work/list"

# nothing at all: the help, but not as an answer
run 16
[ ! -s "$work/out" ] || fail "help on stdout though nobody asked"
says 'Usage: pmem-recover COMMAND'

for command in help --help -h; do
	run 0 $command
	prints 'Usage: pmem-recover COMMAND'
	prints 'Exit status'
	[ ! -s "$work/err" ] || fail "help talks on stderr"
done
for option in --version -V; do
	run 0 $option
	grep -qE '^pmem-recover [0-9]+\.[0-9]+' "$work/out" || fail "version"
	refused extra $option extra
done
cmds=$("$PMEM_RECOVER" --list-cmds)
[ "$(echo "$cmds" | wc -l)" -ge 5 ] || fail "too few commands"
run 0 scan -h
refused list --help scan list
for cmd in $cmds; do
	run 0 --help "$cmd"
	run 0 help "$cmd"
	prints "Usage: pmem-recover $cmd [OPTION...]"
	cp "$work/out" "$work/help"
	run 0 "$cmd" --help
	cmp -s "$work/out" "$work/help" || fail "help $cmd and $cmd --help differ"
done
