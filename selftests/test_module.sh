#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The module itself: loading, parameters, who may unload it when.
set -euo pipefail

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# refused PARAMETER=VALUE LINE - insmod fails, and one line, no more, says what to give
refused()
{
	local marker lines

	marker=$(mark_klog "$1")
	if load "$1" 2>/dev/null; then
		unload
		not_ok "$1 is refused" "it was taken"
		return
	fi
	# The kernel adds that the value is invalid.
	lines=$(klog_since "$marker" | grep 'costack: ' | grep -v "invalid for parameter" || true)
	if [[ ${lines#*costack: } == "$2" ]]; then
		ok "$1 is refused"
	else
		mapfile -t lines <<<"$lines"
		not_ok "$1 is refused" "not one line '$2' but:" "${lines[@]}"
	fi
}

taken()
{
	local marker

	marker=$(mark_klog "$1")
	if ! load "$@" 2>/dev/null; then
		not_ok "$* is taken" "$(klog_since "$marker")"
	elif ! [[ $(stat_of live) == 0 ]]; then
		not_ok "$* is taken" "live is not 0"
		unload
	else
		unload
		ok "$* is taken"
	fi
}

ktap_begin
unload

load
check_eq "module is named and versioned" "$(cat /sys/module/costack/version)" \
	"$(modinfo -F version "$KO")"
check "it has BTF" test -s /sys/kernel/btf/costack
for file in stats classes contexts coroutines depth latency; do
	check_eq "debugfs $file names its format" "$(head -n 1 "$DEBUGFS/$file")" "costack-$file: 1"
	check_eq "debugfs $file is read-only" "$(stat -c %a "$DEBUGFS/$file")" 444
done
check_eq "debugfs latency_enable is root's" "$(stat -c %a "$DEBUGFS/latency_enable")" 600
check_eq "debugfs depth_all is root's" "$(stat -c %a "$DEBUGFS/depth_all")" 600
unload
check "nothing is left in debugfs" test ! -e "$DEBUGFS"

# Both ends of each range, and just outside.
refused reserve=4097 "parameter reserve=4097 is out of range 0..4096"
refused reserve=64,64,64,64,64,64,64,4097 "parameter reserve=4097 is out of range 0..4096"
refused guard_reserve=1025 "parameter guard_reserve=1025 is out of range 0..1024"
refused co_reserve=65537 "parameter co_reserve=65537 is out of range 0..65536"
refused limit_mb=1048577 "parameter limit_mb=1048577 is out of range 0..1048576"
refused trim_ms=99 "parameter trim_ms=99 is out of range 100..600000"
refused trim_ms=0 "parameter trim_ms=0 is out of range 100..600000"
refused trim_ms=600001 "parameter trim_ms=600001 is out of range 100..600000"
refused limit_mb=1 "reserve, guard_reserve and co_reserve take 5668864 bytes, more than the limit of 1048576: lower them or set limit_mb in the range 6..1048576"
taken reserve=0,0,0,0,0,0,0,0 guard_reserve=0 limit_mb=1
taken reserve=4096,0,0,0,0,0,0,0
taken limit_mb=1048576
taken trim_ms=100
taken trim_ms=600000

available_kb() { awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo; }

# The reserves are 5 MB, 1 MB of it guarded; what CPUs keep of free pages varies by 20 MB.
before=$(available_kb)
i=0
while [[ $i -lt 50 ]] && load && unload; do
	i=$((i + 1))
done
check_eq "loaded and unloaded 50 times" $i 50
after=$(available_kb)
echo "# memory available: $before KB before, $after KB after"
check "all memory came back" test $((before - after)) -lt 30000

ktap_end
