#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The fuzz targets (fuzz/README.md): the kept files through those of user space; and the
# programs in the kernel, which get these and mutations of them.
#
# Environment: FUZZ_SECONDS (for each program in the kernel; without, some hundred runs),
# FUZZ_OUT (where an input is kept that something is wrong with), FUZZ_SEED.
set -euo pipefail
shopt -s nullglob

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$selftests/.."

costack=user/costack
corpus=selftests/fuzz/corpus
out=${FUZZ_OUT:-/tmp}

cleanup()
{
	local name

	for name in sni resp; do
		[[ ! -e /sys/fs/bpf/costack/$name ]] || "$costack" prog unload "$name" || true
	done
	ip link del fuzz0 2>/dev/null || true
	unload || true
}

# in_kernel PROGRAM - its files and mutations, packet by packet
in_kernel()
{
	local name=$1 log marker bad

	marker=$(mark_klog "fuzz $name")
	"$costack" prog load "bpf/$name.bpf.o" dev fuzz0 >/dev/null
	if log=$("$OUTPUT/fuzz/fuzz_kernel" "$name" "/sys/fs/bpf/costack/$name" \
			"${FUZZ_SEED:-$RANDOM$RANDOM}" 200 "${FUZZ_SECONDS:-0}" \
			"$out/crash-kernel-$name" "$corpus/$name"/*); then
		ok "$name in the kernel"
		echo "# $name in the kernel: ${log//$'\n'/: }"
	else
		mapfile -t lines <<<"$log"
		not_ok "$name in the kernel" "${lines[@]}"
	fi
	check "$name: unload" "$costack" prog unload "$name"
	check "$name: no stack and no coroutine is left" live_is_0
	bad=$(klog_since "$marker" | grep -E "$KLOG_BAD" || true)
	check_eq "$name: the kernel log is clean" "$bad" ""
}

ktap_begin
if [[ ! -x $costack || ! -x $OUTPUT/fuzz/fuzz_kernel ]]; then
	echo "1..0 # SKIP not built: make, then make selftests"
	exit 4
fi
trap cleanup EXIT
export UBSAN_OPTIONS=print_stacktrace=1
for target in sni resp object debugfs klog args; do
	files=("$corpus/$target"/*)
	[[ $target != object ]] || files+=(bpf/*.bpf.o "$OUTPUT"/tool_*.bpf.o)
	check "$target: ${#files[@]} files" "$OUTPUT/fuzz/replay_$target" "${files[@]}"
done
unload
insmod "$KO"
ip link add fuzz0 type dummy
ip link set fuzz0 up
in_kernel sni
in_kernel resp
ktap_end
