#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a scan of a whole filesystem finds where it has to look at every name: what lies 4,000 levels down, with few
# descriptors; and the directories that it may not read are named.
. "${top_srcdir:?}/test/cli/lib.sh"
need_root

# Go down so many directories, none of which has a path short enough to be opened by it in the end, and write a file here
# and there; print the sectors that are to be lost.
descend='import os, sys
sys.path.insert(0, sys.argv[1])
import tools
image, top, depth = sys.argv[2], sys.argv[3], int(sys.argv[4])
os.chdir(top)
for level in range(1, depth + 1):
    if level % 100 == 7:
        os.mkdir("aside")
    os.mkdir("dir")
    os.chdir("dir")
    if level in (depth // 2, depth):
        tools.write(f"lost{level}", 4)
        os.sync()
        assert tools.where(image, f"lost{level}", 4096)'

# bad FILE...: the second page of each begins with a bad sector
bad() {
	local file

	for file in "$@"; do
		echo "$(($(tools where "$image" "$file" 4096) / 512)) 1"
	done
}

deep() {
	local depth=4000 place lookup threads

	mkdir "$mnt/deep"
	/usr/bin/python3 -B -c "$descend" "$top_srcdir/test/cli" "$image" "$mnt/deep" $depth >"$work/places" ||
		fail "no deep tree"
	while read -r place; do
		echo "$((place / 512)) 1"
	done <"$work/places" >"$work/bad"
	[ "$(wc -l <"$work/bad")" -eq 2 ] || fail "no places"
	# forgets what was written, which takes no path
	unmounted "$mnt"
	mounted "$loop" "$mnt"
	for lookup in auto walk; do
		for threads in 1 2 8; do
			(ulimit -n 64 && exec "$PMEM_RECOVER" scan --badblocks="$work/bad" --lookup=$lookup \
				--threads=$threads "$mnt") >"$work/out" 2>"$work/err"
			status=$?
			[ $status -eq 4 ] || fail "$lookup, $threads threads: status $status"
			json 'sorted(len(f["path"]) for f in d["files"]) == '"[$((${#mnt} + 5 + depth * 2 + 9)), $((${#mnt} + 5 + depth * 4 + 9))]" \
				'all("/dir/dir/lost" in f["path"] for f in d["files"])' 'codes == []'
		done
	done
	# which rm can do, and a glob cannot
	rm -rf "$mnt/deep"
}

# Some of it may be read, some not: what can be is told, what cannot be is named.
forbidden() {
	setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$PMEM_RECOVER" || return 0
	mkdir -p "$mnt/a/closed" "$mnt/a/open" "$mnt/searched/below"
	for file in a/closed/lost a/open/lost searched/below/lost; do
		tools write "$mnt/$file" 4 || fail write
	done
	settle "$mnt"
	bad "$mnt/a/closed/lost" "$mnt/a/open/lost" >"$work/bad"
	chmod 0 "$mnt/a/closed"
	chmod 711 "$mnt/searched"
	chmod 755 "$work" "$mnt"
	settle "$mnt"
	setpriv --reuid=65534 --regid=65534 --clear-groups "$PMEM_RECOVER" scan --badblocks="$work/bad" "$mnt" \
		>"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ $status -eq 12 ] || fail "as nobody: status $status"
	json '[f["path"] for f in d["files"]] == ["'"$mnt"'/a/open/lost"]' \
		'sorted(m["object"] for m in d["messages"] if m["code"] == "cannot-read-directory" and
			not m["object"].endswith("/lost+found")) == ["'"$mnt"'/a/closed", "'"$mnt"'/searched"]'
	says "$mnt/a/closed: "
	says CAP_DAC_READ_SEARCH
	run 4 scan --badblocks="$work/bad" "$mnt"
	json 'len(d["files"]) == 2'
}

# XFS names the inode, and the tree that was asked about has a name for it that may only be read.
listed() {
	setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$PMEM_RECOVER" || return 0
	mkdir -p "$mnt/tree/listed"
	tools write "$mnt/tree/listed/lost" 4
	settle "$mnt"
	bad "$mnt/tree/listed/lost" >"$work/bad"
	chmod 744 "$mnt/tree/listed"
	chmod 755 "$work" "$mnt" $state
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+sys_admin --ambient-caps=+sys_admin \
		"$PMEM_RECOVER" scan --badblocks="$work/bad" "$mnt/tree" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	chmod 700 $state
	[ $status -eq 8 ] || fail "as nobody: status $status"
	json '"cannot-stat" in codes' 'not d["complete"]'
	says "$mnt/tree/listed/lost: "
}

# The reverse map ends in the middle of a block's owners: every file is asked.
broken() {
	local calls=$work/calls call
	# leaks cannot be looked for under a tracer
	local -x ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0

	tools write "$mnt/one" 4
	/usr/bin/python3 -c 'import fcntl, sys
with open(sys.argv[1], "rb") as one:
    for i in range(1500):
        with open(f"{sys.argv[1]}{i}", "wb") as copy:
            fcntl.ioctl(copy.fileno(), 0x40049409, one.fileno())' "$mnt/one" || fail reflink
	settle "$mnt"
	bad "$mnt/one" >"$work/bad"
	strace -o "$calls" -e trace=ioctl "$(program)" scan --badblocks="$work/bad" "$mnt" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	json 'len(d["files"]) == 1501' 'd["devices"][0]["filesystem"]["lookup"] == "reverse-map"'
	while read -r call; do
		strace -o "$work/trace" -e trace=ioctl -e inject=ioctl:error=EIO:when="$call" \
			"$(program)" scan --badblocks="$work/bad" "$mnt" >"$work/out" 2>"$work/err" </dev/null
		status=$?
		grep -q 'GETFSMAP.*INJECTED' "$work/trace" || fail "call $call is another"
		json 'len(d["files"]) == 1501' 'd["devices"][0]["filesystem"]["lookup"] == "walk"'
	done < <(grep -n GETFSMAP "$calls" | cut -d: -f1)
}

for type in ext4 xfs; do
	mnt=$work/$type
	filesystem $type "$mnt"
	deep
	forbidden
	[ $type = ext4 ] || listed
	[ $type = ext4 ] || broken
	unmounted "$mnt"
done

# whose directories do not say what their entries are
mnt=$work/untyped
loop 64M
mkfs.ext4 -q -F -b 4096 -O ^filetype "$loop" || fail mkfs
mounted "$loop" "$mnt"
forbidden
unmounted "$mnt"
