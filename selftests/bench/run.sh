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

# guest NAME SCRIPT OPTIONS... - 123 is a fault of the emulator: selftests/vm/README.md.
guest()
{
	local name=$1 script=$2 status=123 tries
	shift 2

	echo "bench: $name" >&2
	for ((tries = 0; tries < 3 && status == 123; tries++)); do
		status=0
		"$vm" run -m 3G -t 1200 -a init_on_alloc=0 -o "$out/$name" "$@" \
			-- "selftests/bench/$script" >"$out/$name.txt" || status=$?
	done
	return "$status"
}

# processor WHAT - what it ran on, and what else ran there
processor()
{
	echo "# $1 on $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sort -u), load $(cut -d' ' -f1 /proc/loadavg)"
}

# First, while the machine has nothing else to do.
echo "bench: User Mode Linux" >&2
{
	processor "Linux of 7.3, User Mode Linux, 2 CPUs,"
	"$vm" uml
} >"$out/uml.txt"
# On this machine itself: as root, with its tree built (make && make selftests).
if [[ ${BENCH:-} == here ]]; then
	"$here/guest.sh" >"$out/here.txt"
fi
for k in "${kernels[@]}"; do
	guest "instructions-$k" guest.sh -k "$k" --icount
done
guest "cpus" cpus.sh -k "${kernels[-1]}" -c 8
# With KVM a guest has times.
if "$vm" probe kvm >/dev/null; then
	guest here guest.sh -k "${kernels[-1]}" -c 2
fi
echo "bench: this processor" >&2
{
	processor "user space"
	"$vm" chroot sh -c 'gcc-14 -O2 -o /tmp/native selftests/bench/native.c -lboost_context -lpthread &&
		/tmp/native'
	for k in "${kernels[@]}"; do
		"$vm" chroot gcc-14 -O2 -static -no-pie -Wl,--unresolved-symbols=ignore-all \
			-o selftests/.output/bench/core selftests/bench/core.c \
			"selftests/.output/bench/instructions-$k/costack.ko"
		"$here/../.output/bench/core" "$k"
	done
} >"$out/native.txt"
"$here/sni.sh" --lines | sed -n 's,^ *\([0-9]*\) bpf/\(sni[a-z_]*\).bpf.c$,lines \2 0 \1,p' >"$out/lines.txt"
"$vm" chroot python3 -B selftests/bench/report.py selftests/.output/bench
echo "bench: raw results in $out, the page is ${here#"$PWD/"}/RESULTS.md"
