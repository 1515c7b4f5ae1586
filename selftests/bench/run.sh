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

# processor WHAT - what it ran on, and what else ran there
processor()
{
	echo "# $1 on $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sort -u), load $(cut -d' ' -f1 /proc/loadavg)"
}

# On this machine itself: as root, with its tree built (make && make selftests).
if [[ ${BENCH:-} == here ]]; then
	"$here/guest.sh" >"$out/here.txt"
fi
for k in "${kernels[@]}"; do
	guest "instructions-$k" -k "$k" --icount
done
# With KVM a guest has times.
if "$vm" probe kvm >/dev/null; then
	guest here -k "${kernels[-1]}" -c 2
fi
{
	processor "Linux of 7.3, User Mode Linux, 2 CPUs,"
	"$vm" uml
} >"$out/uml.txt"
{
	processor "user space"
	"$vm" chroot sh -c 'gcc-14 -O2 -o /tmp/native selftests/bench/native.c -lboost_context -lpthread &&
		exec /tmp/native'
} >"$out/native.txt"
"$vm" chroot python3 -B selftests/bench/report.py selftests/.output/bench
echo "bench: raw results in $out, the page is ${here#"$PWD/"}/RESULTS.md"
