#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The laboratory's own tests: does a verdict come back, and does each kind of
# fault fail a run? A laboratory that passes everything would look the same as
# one that works. KTAP; exit 0 when all pass, 1 otherwise.
#
# Usage: check.sh [-k KERNEL]
# shellcheck source-path=SCRIPTDIR
set -uo pipefail

VMDIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm=$VMDIR/vm.sh
# shellcheck source=lib.sh
. "$VMDIR/lib.sh"
# shellcheck source=scan.sh
. "$VMDIR/scan.sh"

kernel=(-k 6.12)
case $#:${1:-} in
0:) ;;
2:-k) kernel=(-k "$2") ;;
*) usage_error "usage: check.sh [-k KERNEL]" ;;
esac

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
count=0
failed=0

# result STATUS NAME - one line of KTAP; what was seen follows a failure
result()
{
	count=$((count + 1))
	if [[ $1 -eq 0 ]]; then
		echo "ok $count $2"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $count $2"
	tail -n 30 "$tmp"/stdout "$tmp"/stderr 2>/dev/null | sed 's/^/# /'
}

is() { [[ $1 == "$2" ]]; result $? "$3"; }

# A log of one line is read the same way as that of a guest.
scans()
{
	local out=$tmp/scan

	mkdir -p "$out"
	printf '[    1.000000] %s\n' "$2" >"$out/$1"
	if scan_logs "$out" 2>/dev/null; then
		echo "clean"
	else
		echo "fault"
	fi
	rm -rf "$out"
}

check_scan()
{
	local line bad='' seen
	local -a faults=(
		'WARNING: CPU: 0 PID: 1 at kernel/x.c:1 f+0x1/0x2'
		'BUG: unable to handle page fault for address: 0000000000001000'
		'kernel BUG at mm/slub.c:1!'
		'Oops: 0000 [#1] PREEMPT SMP'
		'general protection fault, probably for non-canonical address'
		'WARNING: possible recursive locking detected'
		'WARNING: suspicious RCU usage'
		'INFO: rcu_preempt detected stalls on CPUs/tasks:'
		'rcu: INFO: rcu_preempt self-detected stall on CPU'
		'INFO: task rmmod:100 blocked for more than 120 seconds.'
		'watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [x:1]'
		'BUG: KASAN: slab-out-of-bounds in f+0x1/0x2'
		'BUG: KCSAN: data-race in f / g'
		'UBSAN: array-index-out-of-bounds in x.c:1:2'
		'Kernel panic - not syncing: Fatal exception'
		'Call Trace:'
		'unregister_netdevice: waiting for lo to become free. Usage count = 2'
		'BUG: scheduling while atomic: x/1/0x00000002'
		'BUG: sleeping function called from invalid context at x.c:1'
		'list_add corruption. prev->next should be next'
		'kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)'
		'refcount_t: underflow; use-after-free.'
	)
	local -a harmless=(
		'rcu: RCU lockdep checking is enabled.'
		'rcu: 	RCU CPU stall warnings timeout set to 60 (rcu_cpu_stall_timeout).'
		'Uhhuh. NMI received for unknown reason 00 on CPU 0.'
		'Dazed and confused, but trying to continue'
		'costack: loading out-of-tree module taints kernel.'
		'x86/mm: Checked W+X mappings: passed, no W+X pages found.'
		'PM: DEBUG: hibernation'
		'kmemleak: 0 new suspected memory leaks'
		'clocksource: timekeeping watchdog on CPU1'
		'Memory cgroup out of memory: Killed process 1 (x)'
	)

	for seen in dmesg console.log; do
		for line in "${faults[@]}"; do
			[[ $(scans "$seen" "$line") == fault ]] || bad+="passed in $seen: $line"$'\n'
		done
	done
	for line in "${harmless[@]}"; do
		[[ $(scans dmesg "$line") == clean ]] || bad+="failed: $line"$'\n'
	done
	line=$'kmem_cache_create_args(x) failed with error -12\nCPU: 1\nTainted: O\nCall Trace:'
	[[ $(scans dmesg "__$line") == clean ]] || bad+="failed: $line"$'\n'
	[[ $(scans dmesg "__$line"$'\n\nCall Trace:') == fault ]] || bad+="passed: another trace"$'\n'
	# Races of others are left out; nothing else that stands between such lines is.
	line=$'=====\nBUG: KCSAN: data-race in f / g\n f+0x1/0x2\n====='
	[[ $(scans dmesg "$line") == clean ]] || bad+="failed: a race of others"$'\n'
	[[ $(scans dmesg "$line"$'\nWARNING: x') == fault ]] || bad+="passed: behind it"$'\n'
	[[ $(scans dmesg "${line/0x2/0x2 [costack]}") == fault ]] || bad+="passed: our race"$'\n'
	[[ $(scans dmesg "${line/KCSAN/KASAN}") == fault ]] || bad+="passed: KASAN"$'\n'
	printf '%s' "$bad" | sed 's/^/# /'
	is "$bad" "" "the scan knows ${#faults[@]} faults from ${#harmless[@]} harmless lines"
}

# Whose fault was it? As above, of the lines that follow NAME.
check_stale()
{
	local out=$tmp/stale
	local oops='Oops: int3: 0000 [#1] SMP NOPTI' here='Code: 90 0f 1f 40 d6 e8 <f7> 75 00'

	mkdir -p "$out"
	printf '%s\n' "$oops" "$here" >"$out/console.log"
	stale_code "$out"
	result $? "a breakpoint that is not there is the emulator's"
	printf '%s\n' "$oops" "${here/e8 </cc <}" >"$out/console.log"
	! stale_code "$out"
	result $? "one that is there is the kernel's"
	printf '%s\n' "${oops/int3/0000}" "$oops" "$here" >"$out/console.log"
	! stale_code "$out"
	result $? "and so is all that comes after another fault"
	rm -rf "$out"
}

# guest STATUS NAME OPTIONS... - a run in a guest has to end with the status
guest()
{
	local want=$1 name=$2 status=0
	shift 2

	"$vm" run "${kernel[@]}" --no-build -t 120 "$@" >"$tmp/stdout" 2>"$tmp/stderr" </dev/null ||
		status=$?
	[[ $status -eq $want ]] || echo "# status $status, not $want"
	is "$status" "$want" "$name"
}

says() { grep -qE -- "$1" "$tmp/$2"; result $? "$3"; }

# In the guest: what a test may count on, each told in a line of its own.
inside()
{
	local fs before
	local -A where=(
		[debugfs]=/sys/kernel/debug [tracefs]=/sys/kernel/tracing [bpf]=/sys/fs/bpf
		[cgroup2]=/sys/fs/cgroup [devpts]=/dev/pts [tmpfs]=/tmp [9p]=/costack
	)

	printf 'arguments'
	printf ' <%s>' "$@"
	echo
	echo "variable <$CHECK_VALUE>"
	echo "here $PWD $(nproc) $(hostname)"
	for fs in "${!where[@]}"; do
		[[ $(stat -f -c %T "${where[$fs]}") != UNKNOWN* ]] &&
			grep -q " ${where[$fs]} $fs " /proc/mounts && echo "mounted $fs"
	done
	echo "clock $(date +%s)"
	echo "to the reopened stderr" >/dev/stderr
	touch /usr/in-memory && echo "root can be written"
	ping_lo=$(ip -o addr show lo)
	[[ $ping_lo == *127.0.0.1* ]] && echo "lo is up"
	echo kept >/out/kept
	nmis() { awk '/NMI:/ { for (i = 2; $i ~ /^[0-9]+$/; i++) printf "%s ", $i }' /proc/interrupts; }
	before=$(nmis)
	echo nmi >/dev/virtio-ports/costack.monitor
	for _ in {1..50}; do
		[[ $(nmis) == "$before" ]] || break
		sleep 0.2
	done
	sleep 1
	echo "nmi from <$before> to <$(nmis)>"
	head -c 3000000 /dev/zero | tr '\0' x
	echo
	exit 3
}

check_inside()
{
	local now skew large
	# shellcheck disable=SC2016
	local arguments=('two words' "it's" '"quoted"' '$HOME `id` \n' $'new\nline' '' '*')

	now=$(date +%s)
	guest 3 "the status of the command comes back" -c 3 -o "$tmp/out" \
		-e "CHECK_VALUE=a 'b' \"c\" \$d" -- \
		bash -c "$(declare -f inside); inside \"\$@\"" - "${arguments[@]}"
	is "$(awk '/^arguments/ { on = 1 } /^variable/ { on = 0 } on' "$tmp/stdout")" \
		"arguments$(printf ' <%s>' "${arguments[@]}")" "arguments arrive intact"
	is "$(grep ^variable "$tmp/stdout")" "variable <a 'b' \"c\" \$d>" "variables arrive intact"
	is "$(grep ^here "$tmp/stdout")" "here /costack 3 costack" "directory, CPUs and name are set"
	is "$(grep -c ^mounted "$tmp/stdout")" 7 "seven file systems are mounted"
	skew=$(($(sed -n 's/^clock //p' "$tmp/stdout") - now))
	[[ $skew -ge -5 && $skew -le 120 ]]
	result $? "the clock is right"
	says '^to the reopened stderr' stdout "stderr can be opened again"
	says '^root can be written' stdout "the root can be written"
	[[ ! -e $ROOT/usr/in-memory ]]
	result $? "and what is written stays in the guest"
	says '^lo is up' stdout "the loopback device is up"
	is "$(cat "$tmp/out/kept" 2>/dev/null)" kept "results come back"
	awk '/^nmi from/ {
			split($0, part, /[<>]/)
			n = split(part[2], before, " ")
			split(part[4], after, " ")
			for (i = 1; i <= n; i++)
				if (after[i] <= before[i])
					exit 1
			exit n != 3
		}' "$tmp/stdout" && grep -q '^nmi from' "$tmp/stdout"
	result $? "an NMI from the monitor arrives on each CPU"
	large=$(awk 'length($0) == 3000000' "$tmp/stdout" | wc -l)
	is "$large" 1 "3 MB of output come through whole"
}

# What kill -9 leaves: no machine, and nothing that a later run trips over.
check_killed()
{
	local pid qemu='' status=0

	"$vm" run "${kernel[@]}" --no-build -o "$tmp/killed" -- sleep 1000 >/dev/null 2>&1 </dev/null &
	pid=$!
	for _ in {1..300}; do
		qemu=$(pgrep -f "qemu-system.*$tmp/killed" | tail -n 1)
		[[ -z $qemu ]] || break
		sleep 0.1
	done
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	for _ in {1..50}; do
		pgrep -f "qemu-system.*$tmp/killed" >/dev/null || break
		sleep 0.1
	done
	[[ -n $qemu ]] && ! pgrep -f "qemu-system.*$tmp/killed" >/dev/null || status=1
	result "$status" "a killed run takes its guest along"
}

check_usage()
{
	local status=0

	"$vm" run --no-such-option -- true >/dev/null 2>&1 || status=$?
	is "$status" 2 "an unknown option is refused"
	status=0
	"$vm" run -k 1.0 -- true >/dev/null 2>&1 || status=$?
	is "$status" 2 "an unknown kernel is refused"
}

# What picks the accelerator must be able to say yes.
check_probe() { is "$("$vm" probe tcg)" yes "a guest is seen to come up"; }

echo "KTAP version 1"
check_usage
check_probe
check_scan
check_stale
check_inside
guest 0 "a clean run passes" -- true
# shellcheck disable=SC2016
guest 0 "with a clock of instructions an idle guest does not wait" --icount -t 180 -- \
	sh -c '[ $(nproc) -eq 1 ] && sleep 3600'
guest 124 "the time limit ends a run" -t 15 -- sleep 1000
says 'time limit' stderr "and says so"
guest 126 "a warning of the kernel fails a run" -- sh -c 'echo "WARNING: planted" >/dev/kmsg'
says '! .*WARNING: planted' stderr "and is shown"
guest 126 "a foreign taint fails a run" -- sh -c 'echo 64 >/proc/sys/kernel/tainted'
guest 5 "an expected fault passes with the command's status" --expect-splat 'WARNING: plan.ed' -- \
	sh -c 'echo "WARNING: planted" >/dev/kmsg; exit 5'
guest 126 "an expected fault that is not seen fails" --expect-splat 'WARNING: planted' -- true
guest 125 "a panic fails a run" -- sh -c 'echo c >/proc/sysrq-trigger'
says 'Kernel panic' stderr "and is shown"
guest 0 "an expected panic passes" --expect-splat 'Kernel panic.*sysrq' -- \
	sh -c 'echo c >/proc/sysrq-trigger'
check_killed
guest 7 "the run after a killed one works" -- sh -c 'exit 7'
echo "1..$count"
[[ $failed -eq 0 ]]
