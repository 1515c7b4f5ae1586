#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# leaks.sh [CMD...] - run CMD (default: the tests that allocate in every way, and fail to), unload
# the module, and have the kernel look for memory that nothing points to any more. What it finds
# is in the kernel's log. Needs a kernel that was booted with kmemleak=on.
set -euo pipefail

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kmemleak=/sys/kernel/debug/kmemleak
status=0

if ! echo scan=off >"$kmemleak"; then
	echo "leaks.sh: this kernel does not look for leaks: boot it with kmemleak=on" >&2
	exit 1
fi
if [[ $# -eq 0 ]]; then
	set -- "$OUTPUT/test_progs" -t fault_ -t refs -t co_cancel -t co_unregister -t co_memory \
		-t co_stacked -t struct_ops -t pool -t module_reload -t cos_kill_anytime
fi
"$@" || status=$?
unload
# An object is suspect from its sixth second on, and when two scans saw the same of it.
for _ in 1 2 3; do
	sleep 6
	echo scan >"$kmemleak"
done
head -n 200 "$kmemleak" | sed 's/^/# /'
exit "$status"
