#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Instructions that each version of the TLS example takes for the packets of a
# connection, beyond those of an empty program, in a guest that counts them; and bytes
# for a connection half-way; and what a parser in user space takes (af_packet.c):
#
#	selftests/vm/vm.sh run --icount -k 6.12 -- selftests/bench/sni.sh
#
# sni.sh --lines: lines of code of each version, without blank ones and comments;
# anywhere.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$selftests/.."
versions=(sni sni_frames sni_plain)
empty=/sys/fs/bpf/costack-bench

lines()
{
	awk '{
			gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "")
			if (comment && !sub(/.*\*\//, ""))
				next
			comment = sub(/\/\*.*/, "")
			sub(/\/\/.*/, "")
			if (/[^ \t]/)
				n++
		}
		END { print n }' "$1"
}

if [[ ${1:-} == --lines ]]; then
	for version in "${versions[@]}"; do
		printf '%4d bpf/%s.bpf.c\n' "$(lines "bpf/$version.bpf.c")" "$version"
	done
	printf '%4d bpf/sni.bpf.h and segment.bpf.h, which they share\n' \
		$(($(lines bpf/sni.bpf.h) + $(lines bpf/segment.bpf.h)))
	exit
fi

# shellcheck disable=SC2119
load
bpftool prog loadall selftests/.output/tool_net.bpf.o $empty
for version in "${versions[@]}"; do
	user/costack prog load "bpf/$version.bpf.o" dev lo >/dev/null
done
python3 -B selftests/bench/sni.py $empty/on_tc "${versions[@]}"
for version in "${versions[@]}"; do
	user/costack prog unload "$version"
done
rm -r $empty
unload
frames=$(mktemp)
python3 -B selftests/bench/sni.py --frames "$frames"
"$OUTPUT/af_packet" "$frames"
rm "$frames"
