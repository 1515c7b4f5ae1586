#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh SECONDS [TARGET...] - make fuzz: each target for so long, one after the other: those of
# user space with libFuzzer, in the laboratory's root, and the programs in a guest of each
# kernel (kernel). Status 1 if there was a crash; its input is kept, and named.
#
# Environment: KERNELS (default "6.12 7.3").
set -euo pipefail
shopt -s nullglob

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$here/../..
vm=$top/selftests/vm/vm.sh
out=$top/selftests/.output/fuzz
each=${1:?seconds}
shift
read -r -a kernels <<<"${KERNELS:-6.12 7.3}"
targets=("$@")
[[ ${#targets[@]} -gt 0 ]] || targets=(sni resp object debugfs klog args kernel)

all_runs=0
all_seconds=0
all_crashes=0
line='%-12s %12s %9s %9s %8s\n'

# report TARGET RUNS SECONDS COVERAGE CRASHES
report()
{
	# shellcheck disable=SC2059 # the same for all lines
	printf "$line" "$@"
	all_runs=$((all_runs + $2))
	all_seconds=$((all_seconds + $3))
	all_crashes=$((all_crashes + $5))
}

# number LOG PATTERN - the last number behind it
number() { sed -nE "s/.*$2 *([0-9]+).*/\1/p" "$1" | tail -n 1 | grep . || echo 0; }

in_user_space()
{
	local target=$1 log=$out/$1.log start=$SECONDS found size=4096 options=() seeds=()

	rm -f "$out/crash-$target"-*
	mkdir -p "$out/work/$target"
	case $target in
	sni | resp) ;;
	object)
		size=30000
		seeds=(selftests/.output/fuzz/objects)
		# libbpf asks for as much as a type in BTF is large, and looks at it then.
		options=(-close_fd_mask=3 -malloc_limit_mb=8192)
		;;
	*) options=(-close_fd_mask=3) ;;
	esac
	seeds+=("selftests/fuzz/corpus/$target")
	"$vm" chroot nice -n 10 "selftests/.output/fuzz/fuzz_$target" -max_total_time="$each" \
		-max_len=$size -timeout=120 -report_slow_units=1000 -rss_limit_mb=3000 -print_final_stats=1 \
		-artifact_prefix="selftests/.output/fuzz/crash-$target-" "${options[@]}" \
		"selftests/.output/fuzz/work/$target" "${seeds[@]}" >"$log" 2>&1 </dev/null || true
	found=("$out/crash-$target"-*)
	# One that ends without a word of how much it did has failed, too.
	if [[ ${#found[@]} -eq 0 ]] && ! grep -q 'stat::number_of_executed_units' "$log"; then
		found=("$log")
	fi
	report "$target" "$(number "$log" 'number_of_executed_units:')" $((SECONDS - start)) \
		"$(number "$log" ' cov:')" ${#found[@]}
	[[ ${#found[@]} -eq 0 ]] || printf '  kept: %s\n' "${found[@]}" "$log"
}

in_kernel()
{
	local k=$1 dir=$out/kernel-$1 log=$out/kernel-$1.log status=0 tries name runs seconds

	for tries in 1 2 3; do
		rm -rf "$dir"
		status=0
		nice -n 10 "$vm" run -k "$k" -c 2 -m 2G -t $((2 * each + 300)) -o "$dir" \
			-e FUZZ_SECONDS="$each" -e FUZZ_OUT=/out -- \
			selftests/run.sh test_fuzz.sh >"$log" 2>&1 </dev/null || status=$?
		# The emulator's own fault.
		[[ $status -eq 123 && $tries -lt 3 ]] || break
	done
	for name in sni resp; do
		runs=$(sed -nE "s/^# $name in the kernel: .*: ([0-9]+) runs.*/\1/p" "$log")
		seconds=$(sed -nE "s/^# $name in the kernel: .*, ([0-9]+) seconds.*/\1/p" "$log")
		report "$name-$k" "${runs:-0}" "${seconds:-0}" - $((runs > 0 ? 0 : 1))
	done
	if [[ $status -ne 0 ]]; then
		[[ $all_crashes -gt 0 ]] || all_crashes=1
		printf '  kept: %s\n' "$log" "$dir"/crash-*
	fi
}

mkdir -p "$out"
"$vm" chroot make fuzz-targets >"$out.log" 2>&1 </dev/null || {
	cat "$out.log" >&2
	exit 2
}
# shellcheck disable=SC2059
printf "$line" target executions seconds coverage crashes
for target in "${targets[@]}"; do
	if [[ $target == kernel ]]; then
		for k in "${kernels[@]}"; do
			in_kernel "$k"
		done
	else
		in_user_space "$target"
	fi
done
awk -v runs=$all_runs -v s=$all_seconds -v crashes=$all_crashes 'BEGIN {
	printf "%d executions in %.2f hours, %d crashes\n", runs, s / 3600, crashes }'
[[ $all_crashes -eq 0 ]]
