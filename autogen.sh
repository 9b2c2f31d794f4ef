#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Generates configure and Makefile.in in a fresh checkout.
set -e
cd "$(dirname "$0")"
exec autoreconf --force --install
