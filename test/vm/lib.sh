# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# lib.sh: what test scripts inside the guest share; source it. The same words work on both kinds of PMEM.
#
#	pmem_setup fsdax|raw		sets PMEM, the block device. fsdax: a namespace with a data offset, where the
#					test module is there; the e820 device is always raw
#	dax_setup [OPTION]...		sets DAX, the device-dax of a namespace in devdax mode, and dax_offset, where in the
#					region it begins; options are ndctl create-namespace's (module only)
#	pmem_again			sets PMEM to what pmem_setup made, after a reset, or once it was disabled
#	poison DEVICE SECTOR [COUNT]	media errors that are known: 512-byte sectors of a PMEM disk or its partition
#	machine_check DEVICE SECTOR	a media error that was consumed: the sector is listed, its page is gone (module only)
#	latent DEVICE SECTOR [COUNT]	media errors that nobody knows of (module only)
#	module_set NAME VALUE		a control of the test module: see module/pmr_test.c
#	module_get NAME
#	module_again [NAME=VALUE]...	the test module anew, with these parameters; the namespace is raw, its poison forgotten
#	make_fs xfs|ext4 DEVICE DIR [MKFS-OPTION...]	make and mount a filesystem, DAX where it can be
#	mount_dax FS DEVICE DIR		mount one that is there already
#	badblocks DEVICE		the kernel's list of a PMEM disk
#	sector_of FILE OFFSET		the 512-byte sector, on the filesystem's device, that holds that byte of FILE
#	flush_output			returns when all that was written to the guest's stdout is out of the guest
#
# All return non-zero and say why on failure.

pmr_parameters=/sys/module/pmr_test/parameters

lib_error() {
	echo "lib.sh: $*" >&2
	return 1
}

module_set() { printf '%s' "$2" >"$pmr_parameters/$1"; }

module_get() { cat "$pmr_parameters/$1"; }

module_again() {
	# What holds it. A mode that was noted is its no more.
	ndctl disable-region all >/dev/null 2>&1
	ndctl disable-dimm all >/dev/null 2>&1
	rmmod pmr_test || return
	rm -f /run/pmem-mode
	(
		# shellcheck source=/dev/null
		. /run/guest/job
		# shellcheck disable=SC2154 # it comes from there
		insmod "$job_test_module" "$@"
	) || return
	# Its regions and namespaces come to be behind insmod's back.
	cat /sys/bus/nd/drivers/nd_bus/ndbus*/wait_probe >/dev/null
}

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

dax_setup() {
	[ -d "$pmr_parameters" ] || lib_error "dax_setup needs --pmem=module" || return
	ndctl create-namespace -f -e namespace0.0 -m devdax "$@" >/dev/null || return
	modprobe device_dax || return
	DAX=/dev/dax0.0
	[ -c "$DAX" ] || lib_error "no $DAX" || return
	# shellcheck disable=SC2034 # for tests
	dax_offset=$(($(cat /sys/bus/dax/devices/dax0.0/resource) - $(cat /sys/bus/nd/devices/region0/resource)))
}

# Whatever is on the media comes back as it was: nothing is written.
pmem_again() {
	PMEM=/dev/pmem0
	[ -b "$PMEM" ] || ndctl enable-namespace namespace0.0 >/dev/null
	tries=0
	until [ -b "$PMEM" ]; do
		[ $tries -lt 100 ] || lib_error "no $PMEM comes back" || return
		tries=$((tries + 1))
		sleep 0.1
	done
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

# The offset in the test module's memory of sector $1 of $disk. The device below the disk is the namespace or the pfn device
# upon it.
region_offset() {
	below=$(readlink -f "/sys/block/$disk/device")
	echo $(($(cat "$below/resource") - $(module_get start) + $1 * 512))
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

latent() {
	pmem_disk "$1" || return
	[ -d "$pmr_parameters" ] || lib_error "latent needs --pmem=module" || return
	module_set latent "$(region_offset $((first + $2))),$((${3:-1} * 512))"
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
	mount_dax "$fs" "$device" "$dir"
}

mount_dax() {
	mkdir -p "$3"
	mount -t "$1" -o dax "$2" "$3" 2>/dev/null || mount -t "$1" "$2" "$3"
}

# What carries the output away reads a pipe, and sleeps in no read of it while there is something left.
flush_output() {
	tries=0
	until grep -q pipe_read "/proc/$(cat /run/guest/copier)/wchan"; do
		[ $tries -lt 500 ] || lib_error "the output does not get out" || return
		tries=$((tries + 1))
		sleep 0.02
	done
}

sector_of() {
	# The second field of filefrag's extent lines is the range in the file, the third that on the device, in bytes here.
	filefrag -b1 -v "$1" | awk -v byte="$2" -F '[:.]+ *' '
		/^ *[0-9]+:/ && byte >= $2 + 0 && byte <= $3 + 0 { print int(($4 + byte - $2) / 512); found = 1 }
		END { exit !found }' || lib_error "$1 has no extent at byte $2"
}
