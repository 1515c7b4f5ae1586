#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make test: builds the tree for each kernel, runs selftests/run.sh in a guest
# with it, and adds up. Each line of KTAP counts once a kernel; a guest that
# dies, hangs or logs a fault is one more failure. The last line on standard
# output is "N passed, N failed", with ", N skipped" where there are any; exit 0
# only when something passed and nothing failed.
#
# Environment: KERNELS (default "6.12 7.3"), TEST_SECONDS (limit of one guest,
# default 2400), COSTACK_CACHE.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm=$here/vm/vm.sh
cache=${COSTACK_CACHE:-/var/cache/costack}
read -r -a kernels <<<"${KERNELS:-6.12 7.3}"
seconds=${TEST_SECONDS:-2400}

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
	echo "1..1"
	if [[ $status -eq 0 ]] && grep -q 'Kernel panic' "$out/console.log"; then
		echo "ok 1 $name"
		return
	fi
	sed 's/^/# /' "$out.log"
	echo "not ok 1 $name (status $status)"
	return 1
}

# part KERNEL PART CMD... - run CMD, whose output is KTAP, and note its status
part()
{
	local k=$1 part=$2 status=0
	shift 2

	"$@" </dev/null >"$results/$k-$part.ktap" 2>"$results/$k-$part.err" || status=$?
	echo "$status" >"$results/$k-$part.status"
}

# test_kernel KERNEL - all guests of a kernel
test_kernel()
{
	local k=$1

	part "$k" suite "$vm" run -k "$k" -c 4 -m 4G -t "$seconds" -o "$results/$k" -- \
		selftests/run.sh
	part "$k" instructions "$vm" run --icount -k "$k" -t 300 -o "$results/$k-icount" -- \
		selftests/bench/resume.sh
	part "$k" overflow-dense overflow "$k" dense 32768
	part "$k" overflow-private overflow "$k" private 16384
}

# show KERNEL - what its guests said, added up
show()
{
	local k=$1 part

	echo "# kernel $("$vm" version -k "$k")"
	for part in suite instructions overflow-dense overflow-private; do
		cat "$results/$k-$part.ktap"
		cat "$results/$k-$part.err" >&2
		add_up "$results/$k-$part.ktap" "$k, $part" "$(cat "$results/$k-$part.status")"
	done
}

results=$cache/results/$(date -u +%Y%m%dT%H%M%SZ).$$
mkdir -p "$results" || exit 1
ln -sfn "${results##*/}" "$cache/results/latest"
# The last few say whether something is new.
find "$cache/results" -mindepth 1 -maxdepth 1 -type d | sort | head -n -10 |
	while IFS= read -r old; do rm -rf "$old"; done

if "$vm" setup; then
	status=0
	echo "# the laboratory itself, kernel ${kernels[0]}"
	"$here/vm/check.sh" -k "${kernels[0]}" </dev/null | tee "$results/check.ktap" || status=$?
	add_up "$results/check.ktap" "laboratory" "$status"
	running=()
	for k in "${kernels[@]}"; do
		if ! "$vm" build -k "$k" </dev/null; then
			note_failure "$k: the build"
			continue
		fi
		# At once: tests wait more than they work.
		echo "# kernel $k: its tests begin; what they say comes when they are over"
		test_kernel "$k" &
		running+=("$k" $!)
	done
	for ((i = 0; i < ${#running[@]}; i += 2)); do
		wait "${running[i + 1]}"
		show "${running[i]}"
	done
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
