#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# whole-trees-ext4.sh: whole-trees.sh on ext4, in a test of its own for the time it takes.
#
# needs: any own-guest long
set -u

here=$(cd "$(dirname "$0")" && pwd)
fs=ext4
# shellcheck source=test/vm/tests/whole-trees.sh
. "$here/whole-trees.sh"
