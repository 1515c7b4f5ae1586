# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154  # what test.sh has
#
# The parts of make test on kernels with detectors, for test.sh, whose $vm, $results and
# part() these use. They take long: what passed with the same tree and the same kernel is not
# run again (vm.sh run --reuse), and says so.

# A bug for each detector, and what it says of it. One a boot, since the first report turns
# some of them off: without these nobody would know a net with a hole from a clean catch.
readonly PLANTED=(
	'slab-bounds=KASAN: slab-out-of-bounds in cos_planted'
	'vmalloc-bounds=KASAN: vmalloc-out-of-bounds in cos_planted'
	'use-after-free=KASAN: slab-use-after-free in cos_planted'
	'double-free=KASAN: double-free in cos_planted'
	'atomic-sleep=sleeping function called from invalid context at .*cos_planted'
	'schedule-atomic=BUG: scheduling while atomic: insmod'
	'lock-order=WARNING: possible circular locking dependency detected'
	'lock-softirq=WARNING: inconsistent lock state'
	'lock-kept=WARNING: lock held when returning to user space'
	'rcu-deref=cos_planted.c:[0-9]+ suspicious rcu_dereference_check\(\) usage'
	'rcu-sleep=RCU nest depth: 1, expected: 0'
	'list=list_del corruption'
	'object-freed=ODEBUG: free active .*timer_list'
	'object-work=ODEBUG: init active .*work_struct'
	'object-rcu=ODEBUG: activate active .*rcu_head|call_rcu\(\): Double-freed'
	'preemptible=BUG: using smp_processor_id\(\) in preemptible'
	'refcount=refcount_t: addition on 0; use-after-free'
	'leak=kmemleak: [1-9][0-9]* new suspected memory leaks'
	'race=BUG: KCSAN: data-race in cos_planted_racer'
)

# planted_on BUG KERNEL - the kernel with its detector: races have one of their own
planted_on() { [[ $1 == race ]] && echo 7.3-kcsan || echo "$2"; }

# planted KERNEL - each of them has to be reported
planted()
{
	local bug name pattern status failed=0 n=0 log
	local -a args

	echo "1..${#PLANTED[@]}"
	for bug in "${PLANTED[@]}"; do
		name=${bug%%=*}
		pattern=${bug#*=}
		args=(sh -c "insmod selftests/modules/cos_planted.ko bug=$name")
		case $name in
		leak) args=(-a kmemleak=on -- "${args[@]} && selftests/leaks.sh true") ;;
		race) args=(-- sh -c "selftests/races.sh insmod selftests/modules/cos_planted.ko bug=race") ;;
		*) args=(-- "${args[@]}") ;;
		esac
		status=0
		log=$results/planted-$name.log
		"$vm" run --reuse -k "$(planted_on "$name" "$1")" -c 2 -t 300 \
			-o "$results/planted-$name" --expect-splat "$pattern" "${args[@]}" \
			</dev/null >"$log" 2>&1 || status=$?
		[[ $status -ne $EX_AGAIN ]] || return "$EX_AGAIN"
		n=$((n + 1))
		if [[ $status -eq 0 ]]; then
			echo "ok $n planted: $name is reported"
		else
			failed=1
			tail -n 40 "$log" | sed 's/^/# /'
			echo "not ok $n planted: $name is reported (status $status)"
		fi
	done
	return "$failed"
}

# debug_parts KERNEL - sets off all of it, two at a time
debug_parts()
{
	local k=$1

	part debug-suite "$vm" run --reuse -k "$k" -c 4 -m 4G -t 3000 -o "$results/debug-suite" \
		-- selftests/run.sh &
	part debug-leaks "$vm" run --reuse -k "$k" -c 4 -m 4G -t 1200 -a kmemleak=on \
		-o "$results/debug-leaks" -- selftests/leaks.sh
	part debug-races "$vm" run --reuse -k 7.3-kcsan -c 4 -m 4G -t 1200 \
		-o "$results/debug-races" -- selftests/races.sh
	part debug-planted planted "$k"
	wait
}
