#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# not-fooled-flag.sh: not-fooled.sh where RWF_RECOVERY_DATA is real.
#
# needs: flag own-guest long

exec bash "$(dirname "$0")/not-fooled.sh" "$@"
