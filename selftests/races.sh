#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# races.sh [CMD...] - run CMD (default: the tests in which CPUs meet) while the kernel looks for
# data races. What it finds is in its log; the laboratory leaves out races of which the module
# is no party (selftests/vm/scan.sh). Needs a kernel with KCSAN.
set -euo pipefail

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kcsan=/sys/kernel/debug/kcsan

if ! echo on >"$kcsan"; then
	echo "races.sh: this kernel does not look for races: it has no CONFIG_KCSAN" >&2
	exit 1
fi
if [[ $# -eq 0 ]]; then
	set -- "$OUTPUT/test_progs" -t storm -t refs -t aba -t burst -t pool -t co_busy -t co_end \
		-t co_unregister -t co_interrupted -t co_stacked -t cos_scale -t cos_kill_resuming \
		-t contexts -t observe -t cos_depth -t timer
fi
status=0
"$@" || status=$?
echo off >"$kcsan"
sed 's/^/# /' "$kcsan"
exit "$status"
