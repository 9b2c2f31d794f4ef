#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The popt tables, the help, the manual and the completion name the same commands, options and values.
. "${top_srcdir:?}/test/cli/lib.sh"

# Many short runs that only print a table: not worth a checker's time.
PMEM_RECOVER=${PMEM_RECOVER%-valgrind}

failed=0
complain() {
	echo "$*"
	failed=1
}

# A page with what it includes.
page() {
	local line

	while IFS= read -r line; do
		case $line in
		include::*)
			line=${line#include::}
			cat "$top_srcdir/man/${line%%\[*}"
			;;
		*) printf '%s\n' "$line" ;;
		esac
	done <"$top_srcdir/man/pmem-recover-$1.1.adoc"
}

# The terms of the OPTIONS section: "*-y*, *--yes*::", "*--journal*=_DIR_::"
documented() {
	page "$1" | sed -n '/^== OPTIONS/,/^== EXIT STATUS/p' | grep -E '^\*-.*::$' | sed 's/::$//' | tr -d '* ' |
		tr ',' '\n' | sed 's/=.*/=/' | sort
}

# What the completion offers for a word.
. /usr/share/bash-completion/bash_completion
. "$top_srcdir/bash-completion/pmem-recover"
complete_line() {
	local line=${1/#pmem-recover/$PMEM_RECOVER} IFS=' '

	COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
	read -ra COMP_WORDS <<<"${line//=/ = }"
	case $line in
	*' ' | *=) COMP_WORDS+=('') ;;
	esac
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	IFS=$' \t\n'
	# readline is not there, which compopt says
	_pmem_recover 2>/dev/null
	printf '%s\n' "${COMPREPLY[@]}"
}

cmds=$("$PMEM_RECOVER" --list-cmds)
for cmd in $cmds; do
	"$PMEM_RECOVER" "$cmd" --list-opts >"$work/list" || fail "$cmd --list-opts"
	sed 's/=.*/=/' "$work/list" | sort >"$work/popt"
	[ "$(wc -l <"$work/popt")" -ge 8 ] || complain "$cmd: too few options"

	[ -e "$top_srcdir/man/pmem-recover-$cmd.1.adoc" ] || {
		complain "$cmd: no manual page"
		continue
	}
	documented "$cmd" >"$work/man"
	diff -u "$work/popt" "$work/man" || complain "$cmd: the manual differs from the program"

	{
		complete_line "pmem-recover $cmd --"
		complete_line "pmem-recover $cmd -" | grep -v '^--'
	} | sort -u >"$work/completion"
	diff -u "$work/popt" "$work/completion" || complain "$cmd: the completion differs from the program"

	"$PMEM_RECOVER" help "$cmd" | sed -nE 's/^  (-[a-z], |    )(--[a-z-]+=?).*/\1\n\2/p' |
		tr -d ', ' | sed '/^$/d' | sort >"$work/help"
	diff -u "$work/popt" "$work/help" || complain "$cmd: the help differs from the program"

	# values
	while IFS='=' read -r name values; do
		case $values in
		*'|'*) ;;
		*) continue ;;
		esac
		# a word in capitals stands for a value
		echo "${values//|/ }" | tr ' ' '\n' | grep -vx '[A-Z]*' | sort >"$work/values"
		complete_line "pmem-recover $cmd $name=" | sort >"$work/completed"
		diff -u "$work/values" "$work/completed" || complain "$cmd $name: completion of its values"
		while read -r value; do
			page "$cmd" | sed -n '/^== OPTIONS/,/^== EXIT STATUS/p' | grep -q "\`$value\`" ||
				complain "$cmd $name: the manual does not know $value"
			"$PMEM_RECOVER" "$cmd" "$name=$value" --help >/dev/null || complain "$cmd $name=$value: refused"
		done <"$work/values"
	done < <(grep '=' "$work/list")
done

# commands
complete_line "pmem-recover " | grep -v '^-' | sort >"$work/completed"
printf '%s\n' $cmds help | sort | diff -u - "$work/completed" || complain "completion of commands"
complete_line "pmem-recover help " | sort >"$work/completed"
printf '%s\n' $cmds | sort | diff -u - "$work/completed" || complain "completion of help"
# journal wants journals
mkdir "$work/journals"
touch "$work/journals"/{1.journal,2.done,3.aside,4.txt}
printf "$work/journals/%s\n" 1.journal 2.done 3.aside | sort >"$work/wanted"
complete_line "pmem-recover journal $work/journals/" | sort | diff -u "$work/wanted" - || complain "completion of journals"
# and a bare name is one in their directory, not in the working directory; to be resumed is what was interrupted
mkdir "$work/other"
touch "$work/other"/{5.journal,6.done} "$work/here.journal"
cd "$work" || fail cd
complete_line "pmem-recover journal --journal=$work/other " | sort | diff -u <(printf '%s\n' 5.journal 6.done) - ||
	complain "completion of names of journals"
complete_line "pmem-recover repair --resume --journal $work/other " | diff -u <(echo 5.journal) - ||
	complain "completion of what is to be resumed"
complete_line "pmem-recover journal $work/other/6" | diff -u <(echo "$work/other/6.done") - || complain "completion of a path"
if [ -n "${PMR_TEST_STATE:-}" ]; then
	touch "$state/7.journal"
	complete_line "pmem-recover journal " | diff -u <(echo 7.journal) - || complain "completion of the state directory"
fi
# what is no file has no file's name
for values in "salvage --fill=" "locate --address=" "scan --threads=" "scan --read-rate="; do
	[ -z "$(complete_line "pmem-recover $values")" ] || complain "$values: files are offered"
done
[ -n "$(complete_line "pmem-recover salvage --mapfile=")" ] || complain "no files are offered for a mapfile"
# ids: health says which there are
cat >"$work/health" <<'PROGRAM'
#!/bin/sh
case $* in
*--list-opts) echo --acknowledge=ID ;;
*) printf '%s\n' "pmem0: 512 B at byte 4096 vanished from its list, last seen 2026-01-01T00:00:00Z: pmem0@4096" \
	"/mnt/a: b: 1 KiB at byte 0 overwritten with zeros 2026-01-01T00:00:00Z, the file changed since: pmem1@8192" ;;
esac
PROGRAM
chmod +x "$work/health"
PMEM_RECOVER=$work/health complete_line "pmem-recover health --acknowledge=" |
	diff -u <(printf '%s\n' pmem0@4096 pmem1@8192) - || complain "completion of ids"
cd / || fail cd
# locate wants a device, and then a number
printf '/dev/%s\n' $(ls /sys/class/block) | tr '!' / | sort >"$work/devices"
complete_line "pmem-recover locate -u /dev/" | sort | diff -u "$work/devices" - || complain "completion of devices"
[ -z "$(complete_line "pmem-recover locate /dev/x ")" ] || complain "completion behind a device"
sed -n '/^== COMMANDS/,/^== EXAMPLES/p' "$top_srcdir/man/pmem-recover.1.adoc" | sed -n 's/^\*\([a-z]*\)\*.*::$/\1/p' |
	sort >"$work/man"
printf '%s\n' $cmds help | sort | diff -u - "$work/man" || complain "pmem-recover(1) lists other commands"
[ $failed -eq 0 ] || exit 1
