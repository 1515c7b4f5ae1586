#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Measures, in a guest or on a machine whose kernel takes the module; run.sh does it in several.
# Each figure is a line: PART NAME SIZE ROUND ROUND ...
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$selftests"

# part NAME CMD... - the lines that CMD prints, as those of a part
part()
{
	local name=$1
	shift
	"$@" | sed "/^#/!s/^/$name /"
}

# c FILE... - parts of the benchmark in C
c()
{
	local file

	insmod modules/cos_bench.ko
	for file; do
		part "$file" cat "/sys/kernel/debug/cos_bench/$file"
	done
	rmmod cos_bench
}

# The kernel's own clearing at each allocation would make all peers look slow, and
# those for whom it matters turn it off: -a init_on_alloc=0.
echo "# Linux $(uname -r), $(nproc) CPUs, $(cat /proc/cmdline)"
# For core.c
[[ ! -d /out ]] || cp ../kmod/costack.ko /out/
load
c burst pairs
part bpf "$OUTPUT/bench_peers"
# Its verdict is make test's; what counts here are its figures.
("$OUTPUT/bench_resume" || true) | sed -n 's/^# rounds /tc /p'
awk '$1 == "coroutine" && $2 == 512 { print "memory class", $2, $2 }' "$DEBUGFS/classes"
echo "memory handle 0 $(cat /sys/kernel/slab/costack_co/slab_size)"
unload
load limit_mb=700
c live
unload
load limit_mb=700
part bpf "$OUTPUT/bench_peers" many
unload
"$OUTPUT/test_progs" -t burst/beside | sed -n \
	's/.*asked for: costack of 16384 bytes: \([0-9]*\); bpf_obj_new of 4088 bytes: \([0-9]*\)$/\1 \2/p' |
	awk '{ print "burst obj_new_failed 4088", 64 - $2; print "burst bpf_costack_failed 16384", 64 - $1 }'
unload
# Three times as often as by default; and never.
for trim in 300 600000; do
	load trim_ms=$trim
	c mixed | sed "s/^mixed /mixed_trim_$trim /"
	awk -v trim=$trim '/^(allocs|hits|trimmed): / {
		sub(":", "", $1)
		print "mixed_trim_" trim, $1, 0, $2
	}' "$DEBUGFS/stats"
	unload
done
bench/sni.sh | awk '
	/^[a-z_]+: instructions/ { name = $1; sub(":", "", name) }
	/^ .*(of no interest|a SYN|in one segment|in five segments|half-way)/ {
		sub("af_packet", "sni_user", name)
		what = /interest/ ? "other" : /SYN/ ? "syn" : /one/ ? "one" : /five/ ? "five" : "bytes"
		print "sni", name "_" what, 0, $1
	}'
