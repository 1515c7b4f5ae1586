#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make stress: runs selftests/stress/ for SECONDS in a guest with each kernel, one after the
# other, and prints what they say. The last line on standard output is "stress: N kernels
# passed, N failed"; exit 0 only when all passed.
#
# Environment: KERNELS (default "6.12 7.3"), SECONDS_EACH (default 60), SEED (default: a random
# one, which is printed), COSTACK_CACHE.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
read -r -a kernels <<<"${KERNELS:-6.12 7.3}"
seconds=${SECONDS_EACH:-60}
seed=${SEED:-$((RANDOM << 15 | RANDOM))}
out=${COSTACK_CACHE:-/var/cache/costack}/results/stress
passed=0
failed=()

for k in "${kernels[@]}"; do
	status=123
	# 123: the emulator's fault, not the guest's.
	for ((tries = 0; tries < 3 && status == 123; tries++)); do
		echo "# kernel $k: stress for $seconds s; again: make stress KERNELS=$k SECONDS=$seconds SEED=$seed"
		status=0
		# What the slowest kernel needs to begin, and to come to an end.
		"$here/vm/vm.sh" run -k "$k" -c 4 -m 4G -t $((4 * seconds + 1200)) -o "$out-$k" -- \
			selftests/.output/costack_stress "$seconds" "$seed" </dev/null || status=$?
	done
	if [[ $status -eq 0 ]]; then
		passed=$((passed + 1))
	else
		failed+=("$k (status $status, see $out-$k)")
	fi
done
[[ ${#failed[@]} -eq 0 ]] || printf '# failed: %s\n' "${failed[@]}"
echo "stress: $passed kernels passed, ${#failed[@]} failed"
[[ ${#failed[@]} -eq 0 && $passed -gt 0 ]]
