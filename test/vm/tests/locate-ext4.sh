#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# locate-ext4.sh: locate.sh on ext4, in a test of its own for the time it takes.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
fs=ext4
# shellcheck source=test/vm/tests/locate.sh
. "$here/locate.sh"
