#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Arrows never turn back: what was compiled of each room of the library calls rooms before it, in the order of
# pmem-recover.h's first comment, and calls of some functions stay in one room, or are nowhere. README's map has each file.
set -uo pipefail
export LC_ALL=C

makefile=${top_srcdir:?}/Makefile.am
header=$top_srcdir/lib/pmem-recover.h
objects=()
while read -r source; do
	object=${source%.c}.o
	shared=${object%/*}/.libs/${object##*/}
	[ -e "$shared" ] && object=$shared
	objects+=("$object")
done < <(grep -oE '^	lib/[a-z]+/[a-z0-9-]+\.c' "$makefile")
rooms=$(sed -n 's/^ \*   rooms: //p' "$header")

# shellcheck disable=SC2086 # the rooms are words
if [ "$(printf '%s\n' $rooms | sort)" != "$(printf '%s\n' "${objects[@]}" | cut -d/ -f2 | sort -u)" ]; then
	echo "pmem-recover.h's rooms are not those of Makefile.am: $rooms"
	exit 1
fi
nm -A "${objects[@]}" | awk -v rooms="$rooms" '
	BEGIN {
		n_rooms = split(rooms, names, " ")
		for (i = 1; i <= n_rooms; i++)
			place[names[i]] = i
		# an expression for whole names, and the rooms that may call such functions
		only["v?d?printf|__v?d?printf_chk|puts|putchar|perror|v?warnx?|v?errx?|error|v?syslog|stdout|stderr"] = " "
		only["fork|vfork|clone|posix_spawnp?|system|popen|exec[a-z]+"] = " "
		only["exit|_exit|_Exit|quick_exit|abort"] = " "
		only["signal|sigaction|sigqueue"] = " nofault "
		only["n?daxctl_.*|ndctl_.*"] = " device "
		only["preadv2|pwritev2?"] = " media "
	}
	{
		file = $1
		sub(/:.*/, "", file)
		sub(/\.libs\//, "", file)
		sub(/^lib\//, "", file)
		room = file
		sub(/\/.*/, "", room)
		sub(/\.o$/, ".c", file)
		symbol = $NF
		sub(/@.*/, "", symbol)
		if ($(NF - 1) ~ /^[TDBRV]$/) {
			home[symbol] = file
			at[symbol] = place[room]
		} else if ($(NF - 1) == "U") {
			n++
			caller[n] = file
			from[n] = place[room]
			callee[n] = symbol
			for (expression in only)
				if (symbol ~ "^(" expression ")$" && !index(only[expression], " " room " ")) {
					print file " calls " symbol "(), which is not for its room"
					failed = 1
				}
		}
	}
	END {
		for (i = 1; i <= n; i++) {
			if (!(callee[i] in at) || at[callee[i]] == from[i])
				continue
			calls++
			if (at[callee[i]] > from[i]) {
				print caller[i] " calls " callee[i] "() of " home[callee[i]] ", a room behind its own"
				failed = 1
			}
		}
		if (calls < 400) {
			print "only " calls + 0 " calls from room to room were found, so nothing is proved"
			failed = 1
		}
		exit failed
	}' || exit 1

# By its name, or as one of several of a kind, in the part of its directory.
failed=0
cd "$top_srcdir" || exit 1
mapfile -t map < <(awk '/^## / { tree = /^## The tree/ } tree && /^    [^ ]/ { room = $1 }
	tree { gsub(/[,:;()]/, " "); for (i = 1; i <= NF; i++) if ($i ~ /^[a-z0-9*-]+\.c$/) print room $i }' README.md)
for file in lib/*/*.c cli/*.c; do
	for pattern in "${map[@]}"; do
		# shellcheck disable=SC2053 # it is one
		[[ $file == $pattern ]] && continue 2
	done
	echo "README.md: $file has no place in the map of the tree"
	failed=1
done
exit $failed
