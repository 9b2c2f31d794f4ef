#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# power-cut-xfs.sh: see power-cut.sh.
#
# needs: module own-guest reset
set -u

fs=xfs
# shellcheck source=test/vm/tests/power-cut.sh
. "$(dirname "$0")/power-cut.sh"
