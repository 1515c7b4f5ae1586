#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh [TEST...] - run all tests, or those named (test_progs, test_module.sh, ...), on
# this machine, as root, from a tree that is built. KTAP on standard output: one
# line a case, "FILE: CASE"; exit status 0 when all passed, 1 when one failed,
# 4 when all were skipped.
#
# Each test has the time that the file settings gives it, and must leave nothing in
# the kernel log that speaks of a bug.
set -euo pipefail
shopt -s lastpipe

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$selftests"

timeout=$(sed -n 's/^timeout=//p' settings)
count=0
failed=0
skipped=0

# result "ok"|"not ok" NAME [# SKIP REASON]
result()
{
	count=$((count + 1))
	echo "$1 $count $2"
	case $1$2 in
	not*) failed=$((failed + 1)) ;;
	*"# SKIP"*) skipped=$((skipped + 1)) ;;
	esac
}

# Test output to lines of ours. What a test says of itself beside KTAP is a comment.
merge()
{
	local file=$1 line seen=0 plan='' re='^(ok|not ok) [0-9]+ ?(- )?(.*)$'

	while IFS= read -r line || [[ -n $line ]]; do
		line=${line%$'\r'}
		if [[ $line =~ $re ]]; then
			seen=$((seen + 1))
			result "${BASH_REMATCH[1]}" "$file: ${BASH_REMATCH[3]}"
		elif [[ $line =~ ^1\.\.([0-9]+)(.*)$ ]]; then
			plan=${BASH_REMATCH[1]}
			if [[ $plan == 0 ]]; then
				result ok "$file${BASH_REMATCH[2]}"
			fi
		elif [[ $line != "TAP version "* && $line != "KTAP version "* ]]; then
			echo "# ${line#\# }"
		fi
	done
	if [[ $plan != "$seen" ]]; then
		echo "# $file: planned '${plan:-nothing}', reported $seen"
		merge_failed=1
	fi
}

run_one()
{
	local path=$1 file=${1##*/} marker status bad failed_before=$failed merge_failed=0 start=$SECONDS line

	marker=$(mark_klog "$file")
	echo "# $file"
	set +e
	# lastpipe: merge counts in this shell
	timeout --kill-after=10 "$timeout" "$path" 2>&1 </dev/null | merge "$file"
	status=${PIPESTATUS[0]}
	set -e
	case $status in
	0 | 4) ;;
	1) [[ $failed -gt $failed_before ]] || merge_failed=1 ;;
	124 | 137) merge_failed=1 && echo "# $file: not done within $timeout s" ;;
	*) merge_failed=1 ;;
	esac
	bad=$(klog_since "$marker" | grep -E "$KLOG_BAD" || true)
	if [[ -n $bad ]]; then
		while IFS= read -r line; do
			echo "# $file: kernel log: $line"
		done <<<"$bad"
		merge_failed=1
	fi
	if [[ $merge_failed -ne 0 ]]; then
		echo "# $file: exit status $status"
		result "not ok" "$file: ends well and the kernel log is clean"
	else
		result ok "$file: ends well and the kernel log is clean"
	fi
	echo "# $file: $((SECONDS - start)) s"
}

echo "TAP version 13"
if [[ $EUID -ne 0 ]]; then
	echo "1..0 # SKIP must be run as root"
	exit 4
fi
if [[ ! -x $OUTPUT/test_progs || ! -e $KO ]]; then
	echo "1..0 # SKIP not built: make, then make selftests"
	exit 4
fi
tests=("$@")
if [[ ${#tests[@]} -eq 0 ]]; then
	tests=(test_progs test_*.sh)
fi
for test in "${tests[@]}"; do
	unload || echo "# $test: the module stays loaded"
	case $test in
	test_progs) run_one "$OUTPUT/test_progs" ;;
	*) run_one "./$test" ;;
	esac
done
unload || true
echo "1..$count"
echo "# pass:$((count - failed - skipped)) fail:$failed skip:$skipped"
if [[ $failed -gt 0 ]]; then
	exit 1
elif [[ $count -eq $skipped ]]; then
	exit 4
fi
