#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# recovery-strace-flag.sh: recovery-strace.sh on the kernel that has RWF_RECOVERY_DATA.
#
# needs: flag
set -u

exec bash "$(dirname "$0")/recovery-strace.sh" xfs
