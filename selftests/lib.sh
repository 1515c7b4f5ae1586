# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For test_*.sh: KTAP output, the module, its counters. A test begins with
# ktap_begin, reports each case once, and ends with ktap_end.

selftests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # for those who source this
OUTPUT=$selftests/.output
KO=$selftests/../kmod/costack.ko
DEBUGFS=/sys/kernel/debug/costack

# What of the kernel log no test may cause; as in test_progs.c.
# shellcheck disable=SC2034
KLOG_BAD='WARNING:|BUG:|Oops|general protection fault|refcount_t:|UBSAN:|INFO: (rcu|task)|soft lockup|still has objects|Objects remaining'

ktap_count=0
ktap_failed=0
ktap_skipped=0

ktap_begin()
{
	echo "TAP version 13"
	if [[ $EUID -ne 0 ]]; then
		echo "1..0 # SKIP must be run as root"
		exit 4
	fi
}

ok()
{
	ktap_count=$((ktap_count + 1))
	echo "ok $ktap_count $1"
}

# not_ok NAME [LINES...] - the lines say what was seen
not_ok()
{
	local name=$1
	shift
	[[ $# -eq 0 ]] || printf '# %s\n' "$@"
	ktap_count=$((ktap_count + 1))
	ktap_failed=$((ktap_failed + 1))
	echo "not ok $ktap_count $name"
}

skip()
{
	ktap_count=$((ktap_count + 1))
	ktap_skipped=$((ktap_skipped + 1))
	echo "ok $ktap_count $1 # SKIP $2"
}

# check NAME CMD... - passes when the command does; its output is shown if not
check()
{
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		ok "$name"
	else
		mapfile -t lines <<<"$out"
		not_ok "$name" "'$*' failed:" "${lines[@]}"
	fi
}

# check_eq NAME ACTUAL WANTED
check_eq()
{
	if [[ $2 == "$3" ]]; then
		ok "$1"
	else
		not_ok "$1" "is '$2', not '$3'"
	fi
}

ktap_end()
{
	echo "1..$ktap_count"
	if [[ $ktap_failed -gt 0 ]]; then
		exit 1
	elif [[ $ktap_count -eq $ktap_skipped ]]; then
		exit 4
	fi
	exit 0
}

module_loaded() { [[ -e /sys/module/costack ]]; }

load() { insmod "$KO" "$@"; }

# Programs and maps of a loader that has ended hold the module a little longer.
unload()
{
	local i

	for ((i = 0; i < 250; i++)); do
		module_loaded || return 0
		rmmod costack 2>/dev/null && return 0
		sleep 0.02
	done
	rmmod costack
}

# stat_of KEY - from debugfs' stats
stat_of() { awk -v key="$1:" '$1 == key { print $2 }' "$DEBUGFS/stats"; }

# live_is_0 - what is in a map that is gone is released, or cancelled, a moment later
live_is_0()
{
	local i

	for ((i = 0; i < 500; i++)); do
		[[ $(stat_of live) != 0 ]] || return 0
		sleep 0.02
	done
	cat "$DEBUGFS/stats" "$DEBUGFS/coroutines"
	return 1
}

# Lines of the kernel log since the marker; the marker is what mark_klog printed.
mark_klog()
{
	local marker="costack selftest $1 $RANDOM$RANDOM"

	echo "$marker" >/dev/kmsg
	echo "$marker"
}

klog_since() { dmesg | awk -v marker="$1" 'seen; index($0, marker) { seen = 1 }'; }
