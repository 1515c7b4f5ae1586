#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make test: builds the tree for each kernel, runs selftests/run.sh in a guest
# with it, and adds up. Each line of KTAP counts once a kernel; a guest that
# dies, hangs or logs a fault is one more failure. The last line on standard
# output is "N passed, N failed", with ", N skipped" where there are any; exit 0
# only when something passed and nothing failed.
#
# After that the kernel DEBUG, which is built for it, with its detectors. What passed there, or
# in a guest of a special kind, with the same tree and kernel is not run again, and says so.
#
# Environment: KERNELS (default "6.12 7.3"), TEST_SECONDS (limit of one guest,
# default 2400), DEBUG (default 7.3-debug; no: without), COSTACK_CACHE.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm=$here/vm/vm.sh
cache=${COSTACK_CACHE:-/var/cache/costack}
read -r -a kernels <<<"${KERNELS:-6.12 7.3}"
seconds=${TEST_SECONDS:-2400}
debug=${DEBUG:-7.3-debug}
readonly EX_AGAIN=123	# of vm.sh: the emulator's fault
# shellcheck source=debug.sh
. "$here/debug.sh"

passed=0
failed=0
skipped=0
notes=()

note_failure()
{
	failed=$((failed + 1))
	notes+=("failed: $1")
}

# add_up FILE WHERE STATUS - counts the top-level lines of a KTAP file; STATUS is
# that of the program that wrote it
add_up()
{
	local file=$1 where=$2 status=$3 line planned='' seen=0 bad=0 good=0

	while IFS= read -r line; do
		case $line in
		'ok '*'# SKIP'* | 'ok '*'# skip'*)
			skipped=$((skipped + 1))
			seen=$((seen + 1))
			notes+=("skipped: $where: ${line#ok }")
			;;
		'ok '*)
			passed=$((passed + 1))
			good=$((good + 1))
			seen=$((seen + 1))
			;;
		'not ok '*)
			bad=$((bad + 1))
			seen=$((seen + 1))
			note_failure "$where: ${line#not ok }"
			;;
		'1..0 # '[Ss][Kk][Ii][Pp]*)
			skipped=$((skipped + 1))
			planned=0
			notes+=("skipped: $where: all, ${line#1..0 # }")
			;;
		'1..'*)
			planned=${line#1..}
			planned=${planned%% *}
			;;
		esac
	done <"$file"

	case $status in
	0 | 4) ;;
	1) [[ $bad -gt 0 ]] || note_failure "$where: status 1 without a test that failed" ;;
	2) note_failure "$where: the laboratory refused its options (status 2)" ;;
	120) note_failure "$where: the laboratory failed, see above" ;;
	"$EX_AGAIN") note_failure "$where: the emulator failed, three times" ;;
	124) note_failure "$where: time limit" ;;
	125) note_failure "$where: the guest died (panic or hang)" ;;
	126) note_failure "$where: fault in the kernel's log, or it could not start (status 126)" ;;
	*) note_failure "$where: ended with status $status" ;;
	esac
	# A run that ended by itself, and yet not with all it meant to do.
	[[ $status =~ ^[014]$ ]] || return 0
	if [[ -z $planned ]]; then
		note_failure "$where: no plan (1..N) seen"
	elif [[ $planned != "$seen" ]]; then
		note_failure "$where: $seen of $planned planned tests were reported"
	elif [[ $good -eq 0 && $bad -eq 0 ]]; then
		note_failure "$where: no test ran"
	fi
}

# overflow KERNEL KIND BYTES - a coroutine of the kind runs over its stack, which the guest
# must not survive, and must have a name for; one test
overflow()
{
	local k=$1 kind=$2 out=$results/$1-overflow-$2 status=0
	local name="a stack overflow of a $kind coroutine is named, and dies at the guard page"

	"$vm" run -k "$k" -c 2 -t 120 -o "$out" --expect-splat \
		"costack: stack overflow: coroutine [0-9]+ of ops 'over_$kind' ran over .* of $3 bytes" \
		-- selftests/.output/test_progs -t "cos_overflow_$kind" \
		</dev/null >"$out.log" 2>&1 || status=$?
	[[ $status -ne $EX_AGAIN ]] || return "$EX_AGAIN"
	echo "1..1"
	if [[ $status -eq 0 ]] && grep -q 'Kernel panic' "$out/console.log"; then
		echo "ok 1 $name"
		return
	fi
	sed 's/^/# /' "$out.log"
	echo "not ok 1 $name (status $status)"
	return 1
}

# poisoned KERNEL - in memory that is fresh from the kernel there is a pattern, for what looks
# for memory that was not cleared
# shellcheck disable=SC2016  # the script is the guest's
poisoned()
{
	"$vm" run --reuse -k "$1" -c 2 -t 300 -o "$results/$1-poisoned" \
		-a "init_on_alloc=0 page_poison=1 slub_debug=P,kmalloc-*" \
		-- sh -c 'read -r p </sys/kernel/slab/kmalloc-4k/poison && [ "$p" = 1 ] &&
			exec selftests/.output/test_progs -t leak -t zeroing'
}

# goes_down KERNEL - the machine is switched off while programs run and coroutines wait in all
# contexts; a guest that does not get there dies, or runs into its time limit
# shellcheck disable=SC2016  # the script is the guest's
goes_down()
{
	"$vm" run --reuse -k "$1" -c 4 -m 2G -t 120 -o "$results/$1-goes-down" -- sh -c '
		selftests/.output/costack_stress 100 >/out/stress 2>&1 &
		sleep 10
		kill -0 $! && grep -q "round with" /out/stress || exit
		echo 1..1
		echo ok 1 switched off under load'
}

# part NAME CMD... - run CMD, whose output is KTAP, and note its status
part()
{
	local name=$1 status=$EX_AGAIN tries
	shift

	for ((tries = 0; tries < 3 && status == EX_AGAIN; tries++)); do
		status=0
		"$@" </dev/null >"$results/$name.ktap" 2>>"$results/$name.err" || status=$?
	done
	echo "$status" >"$results/$name.status"
}

# suites KERNEL - what takes long
suites()
{
	part "$1-suite" "$vm" run -k "$1" -c 4 -m 4G -t "$seconds" -o "$results/$1" -- \
		selftests/run.sh
}

# others KERNEL... - what does not, and is one test after the other
others()
{
	local k

	for k; do
		part "$k-instructions" "$vm" run --reuse --icount -k "$k" -t 300 \
			-o "$results/$k-icount" -- selftests/bench/resume.sh
		part "$k-overflow-dense" overflow "$k" dense 32768
		part "$k-overflow-private" overflow "$k" private 16384
		part "$k-poisoned" poisoned "$k"
		part "$k-oom" "$vm" run --reuse -k "$k" -c 2 -m 512M -t 200 -o "$results/$k-oom" \
			--expect-splat 'Out of memory: Killed process [0-9]+ \(test_progs\)' -- \
			selftests/.output/test_progs -t oom
		part "$k-goes-down" goes_down "$k"
	done
	part laboratory "$here/vm/check.sh" -k "$1"
}

# show PART... - what it said, added up
show()
{
	local part

	for part; do
		echo "# $part"
		cat "$results/$part.ktap"
		cat "$results/$part.err" >&2
		add_up "$results/$part.ktap" "$part" "$(cat "$results/$part.status")"
	done
}

results=$cache/results/$(date -u +%Y%m%dT%H%M%SZ).$$
mkdir -p "$results" || exit 1
ln -sfn "${results##*/}" "$cache/results/latest"
# The last few say whether something is new.
find "$cache/results" -mindepth 1 -maxdepth 1 -type d | sort | head -n -10 |
	while IFS= read -r old; do rm -rf "$old"; done

if "$vm" setup; then
	built=()
	for k in "${kernels[@]}"; do
		if "$vm" build -k "$k" </dev/null; then
			echo "# kernel $("$vm" version -k "$k"): its tests begin; what they say comes when they are over"
			built+=("$k")
		else
			note_failure "$k: the build"
		fi
	done
	# All at once: tests wait as much as they work.
	running=()
	for k in "${built[@]}"; do
		suites "$k" &
		running+=($!)
	done
	if [[ ${#built[@]} -gt 0 ]]; then
		others "${built[@]}" &
		running+=($!)
	fi
	wait "${running[@]}"
	for k in "${built[@]}"; do
		show "$k"-{suite,instructions,overflow-dense,overflow-private,poisoned,oom,goes-down}
	done
	[[ ${#built[@]} -eq 0 ]] || show laboratory
	if [[ $debug == no ]]; then
		skipped=$((skipped + 1))
		notes+=("skipped: kernels with detectors: DEBUG=no")
	elif "$vm" build -k "$debug" </dev/null; then
		debug_parts "$debug"
		show debug-{suite,leaks,races,planted}
	else
		note_failure "$debug: the build"
	fi
else
	note_failure "the setup of the laboratory"
fi

echo "# results: $results"
[[ ${#notes[@]} -eq 0 ]] || printf '# %s\n' "${notes[@]}"
if [[ $skipped -gt 0 ]]; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
[[ $failed -eq 0 && $passed -gt 0 ]]
