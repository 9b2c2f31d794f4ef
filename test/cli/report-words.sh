#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every state, owner, reason and message code has its line in pmem-recover-report(5), and the page has no other.
set -u
export LC_ALL=C

cd "${top_srcdir:?}" || exit 1
page=man/pmem-recover-report.5.adoc
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# Words that look like a reason or a code and are none: a source of bytes, lines of a list that is remembered.
no_words='page-cache|data-offset|vanished-metadata'
# The same of single words: sources of bytes, methods, a name in JSON.
no_reasons='backup|zero|none|flag|reason'

sources=()
for file in lib/*/*.c cli/*.c; do
	# option names look the same
	[ "$file" = cli/options.c ] || sources+=("$file")
done

# Terms of definition lists that are literal words: `one`, `another`::
grep -E "^[\`].*[\`]::" "$page" | sed 's/::.*//' | tr -cs 'a-z_-' '\n' | sed '/^$/d' | sort -u >"$work/page"

# Joined, so that a call may go on in the next line. Comments do not count.
sed 's,/\*.*\*/,,' "${sources[@]}" | tr '\n\t' '  ' >"$work/text"
# Where rows of tables are of reasons.
sed 's,/\*.*\*/,,' lib/{extent,earlier,journal,repair,resume,salvage,scan}/*.c | tr '\n\t' '  ' >"$work/rooms"
# Codes stand behind a level, or first in a note; literals in kebab case are all of them one or the other.
{
	grep -oE 'PMR_(ERROR|WARNING|INFO|DEBUG), +"[a-z-]+"' "$work/text"
	grep -oE 'cli_note\([a-z]+, +"[a-z-]+"' "$work/text"
	grep -oE '"[a-z]+(-[a-z]+)+"' "$work/text"
	# a reason of one word is assigned, returned, or the first of a row
	{
		grep -oE '(reason|refused|unknown|left)[])]* = [^;=]*;' "$work/text"
		grep -oE 'return [^;{}(]*;' "$work/text"
		grep -oE '\{ +"[a-z]+",' "$work/rooms"
	} | grep -oE '"[a-z]+"' | grep -vxE "\"($no_reasons)\""
} | grep -oE '"[a-z-]+"' | tr -d '"' | grep -vxE "$no_words" | sort -u >"$work/sources"

failed=0
for list in page sources; do
	if [ "$(wc -l <"$work/$list")" -lt 20 ]; then
		echo "$list: next to no words were found, so nothing is proved"
		failed=1
	fi
done
while read -r word; do
	echo "$page: no line for $word, which is in $(grep -lF "\"$word\"" "${sources[@]}" | tr '\n' ' ')"
	failed=1
done < <(comm -13 "$work/page" "$work/sources")
while read -r word; do
	grep -qF "\"$word\"" "${sources[@]}" && continue
	echo "$page: $word is in no source"
	failed=1
done <"$work/page"
exit $failed
