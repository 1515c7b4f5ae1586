#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make bench: measures costack and what else one could take, on each kernel of KERNELS, and
# writes the page of results, RESULTS.md, and its plots beside this file.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm=$here/../vm/vm.sh
read -r -a kernels <<<"${KERNELS:-6.12 7.3}"
out=$here/../.output/bench
mkdir -p "$out"

# guest NAME OPTIONS... - 123 is a fault of the emulator: selftests/vm/README.md.
guest()
{
	local name=$1 status=123 tries
	shift

	for ((tries = 0; tries < 3 && status == 123; tries++)); do
		status=0
		"$vm" run -m 2G -t 1200 -a init_on_alloc=0 "$@" -- selftests/bench/guest.sh \
			>"$out/$name.txt" || status=$?
	done
	return "$status"
}

for k in "${kernels[@]}"; do
	guest "instructions-$k" -k "$k" --icount
done
