#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# salvage-cache.sh: salvage.sh on filesystems that are not mounted DAX, where the page cache may have the only copy.
#
# needs: any
set -u

here=$(cd "$(dirname "$0")" && pwd)
cache=yes
# shellcheck source=test/vm/tests/salvage.sh
. "$here/salvage.sh"
