#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# How much CPUs get into each other's way: changes of the lists that they share, and those that
# had to be tried again, for a thousand stacks taken and given back; by the number of CPUs, each
# with its own stacks, or giving back what another one took. In a guest of 8 CPUs:
#
#	selftests/vm/vm.sh run -c 8 -- selftests/bench/cpus.sh
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$selftests"
readonly BENCH=/sys/kernel/debug/cos_bench

# counts - stacks taken, changes of lists, tries again
counts()
{
	awk '{ at[$1] = $2 } END { print at["allocs:"], at["exchanges:"], at["retries:"] }' \
		"$DEBUGFS/stats"
}

echo "# Linux $(uname -r), $(nproc) CPUs"
# shellcheck disable=SC2119
load
insmod modules/cos_bench.ko
for n in 1 2 4 8; do
	((n <= $(nproc))) || continue
	echo "$n" >$BENCH/threads
	for what in own other; do
		before=$(counts)
		cat $BENCH/$what >/dev/null
		echo "$before $(counts)" | awk -v what=$what -v n="$n" '{
			printf "cpus %s_exchanges %d %.3f\n", what, n, 1000 * ($5 - $2) / ($4 - $1)
			printf "cpus %s_retries %d %.3f\n", what, n, 1000 * ($6 - $3) / ($4 - $1)
		}'
	done
done
rmmod cos_bench
unload
