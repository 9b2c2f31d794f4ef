# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# lib.sh: what test scripts inside the guest share; source it. The same words work on both kinds of PMEM.
#
#	pmem_setup fsdax|raw		sets PMEM, the block device. fsdax: a namespace with a data offset, where the
#					test module is there; the e820 device is always raw
#	poison DEVICE SECTOR [COUNT]	media errors that are known: 512-byte sectors of a PMEM disk or its partition
#	machine_check DEVICE SECTOR	a media error that was consumed: the sector is listed, its page is gone (module only)
#	module_set NAME VALUE		a control of the test module: see module/pmr_test.c
#	module_get NAME
#	make_fs xfs|ext4 DEVICE DIR [MKFS-OPTION...]	make and mount a filesystem, DAX where it can be
#	badblocks DEVICE		the kernel's list of a PMEM disk
#	sector_of FILE OFFSET		the 512-byte sector, on the filesystem's device, that holds that byte of FILE
#
# All return non-zero and say why on failure.

pmr_parameters=/sys/module/pmr_test/parameters

lib_error() {
	echo "lib.sh: $*" >&2
	return 1
}

module_set() { printf '%s' "$2" >"$pmr_parameters/$1"; }

module_get() { cat "$pmr_parameters/$1"; }

pmem_setup() {
	PMEM=/dev/pmem0
	if [ -d "$pmr_parameters" ]; then
		case $1 in
		fsdax) ndctl create-namespace -f -e namespace0.0 -m fsdax --map=dev >/dev/null || return ;;
		raw) ndctl create-namespace -f -e namespace0.0 -m raw >/dev/null || return ;;
		*) lib_error "pmem_setup: $1 is neither fsdax nor raw" || return ;;
		esac
	fi
	[ -b "$PMEM" ] || lib_error "no $PMEM"
}

# The disk that a PMEM block device is, or is a partition of, and the sector of the disk at which it starts.
pmem_disk() {
	disk=${1##*/}
	first=0
	if [ -e "/sys/class/block/$disk/partition" ]; then
		first=$(cat "/sys/class/block/$disk/start")
		disk=$(basename "$(dirname "$(readlink -f "/sys/class/block/$disk")")")
	fi
	[ -e "/sys/block/$disk/badblocks" ] || lib_error "$1 is no PMEM disk"
}

badblocks() {
	pmem_disk "$1" && cat "/sys/block/$disk/badblocks"
}

# The offset in its region of sector $1 of $disk. The device below the disk is the namespace or the pfn device upon it.
region_offset() {
	below=$(readlink -f "/sys/block/$disk/device")
	echo $(($(cat "$below/resource") - $(cat "$below/../resource") + $1 * 512))
}

poison() {
	pmem_disk "$1" || return
	at=$((first + $2))
	left=${3:-1}
	if [ -d "$pmr_parameters" ]; then
		module_set inject "$(region_offset $at),$((left * 512))"
		return
	fi
	# Kernels before 6.7 get ranges above 512 sectors wrong.
	while [ "$left" -gt 0 ]; do
		piece=$((left < 512 ? left : 512))
		echo "$at $piece" >"/sys/block/$disk/badblocks" || return
		at=$((at + piece))
		left=$((left - piece))
	done
}

machine_check() {
	pmem_disk "$1" || return
	[ -d "$pmr_parameters" ] || lib_error "machine_check needs --pmem=module" || return
	module_set machine_check "$(region_offset $((first + $2)))"
}

make_fs() {
	fs=$1 device=$2 dir=$3
	shift 3
	case $fs in
	# The variables are xfsprogs' own test suite's: they allow filesystems under 300 MB.
	xfs) TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 mkfs.xfs -q -f "$@" "$device" >/dev/null || return ;;
	# A block of 4096, whatever the size, since DAX wants the block to be the page.
	ext4) mkfs.ext4 -q -F -b 4096 "$@" "$device" || return ;;
	*) lib_error "make_fs: no $fs here" || return ;;
	esac
	mkdir -p "$dir"
	mount -t "$fs" -o dax "$device" "$dir" 2>/dev/null || mount -t "$fs" "$device" "$dir"
}

sector_of() {
	# The second field of filefrag's extent lines is the range in the file, the third that on the device, in bytes here.
	filefrag -b1 -v "$1" | awk -v byte="$2" -F '[:.]+ *' '
		/^ *[0-9]+:/ && byte >= $2 + 0 && byte <= $3 + 0 { print int(($4 + byte - $2) / 512); found = 1 }
		END { exit !found }' || lib_error "$1 has no extent at byte $2"
}
