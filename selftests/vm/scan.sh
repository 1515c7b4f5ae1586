# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What in a kernel's log fails a run, in one place.

readonly SPLATS=(
	'WARNING:'
	'(^|[^A-Za-z])BUG:|kernel BUG at'
	'Oops'
	'[Gg]eneral protection'
	'possible (recursive|circular|irq lock inversion|deadlock)'
	'(inconsistent|suspicious) (lock state|RCU usage)'
	'(lock|RCU)[a-zA-Z -]* dependency detected'
	'bad unlock balance'
	'held lock freed|lock held (when|at)|still has locks held'
	'INFO: rcu|rcu.*(stall|self-detected)'
	'INFO: task .* blocked'
	'(soft|hard) (lockup|LOCKUP)'
	'KASAN|KCSAN|KFENCE|KMSAN|UBSAN'
	'Kernel panic'
	'Call Trace:'
	'unregister_netdevice: waiting'
	'scheduling while atomic'
	'sleeping function called'
	'list_(add|del) corruption'
	'[Cc]orrupted (list|low memory|stack|page table)'
	'kmemleak: [1-9][0-9]* new suspected'
	'refcount_t:'
	'double fault|stack guard page|stack-protector'
	'kernel tried to execute NX-protected'
	'percpu ref|ODEBUG:'
	'Unable to handle|unable to handle'
	# not that of a memory cgroup, which is a limit at work
	'Out of memory:'
)

# Lines that match a pattern above and are no fault, each with its reason.
readonly SPLATS_ALLOWED=(
	# RCU names the settings of its stall detector at boot
	'rcu: .*(RCU CPU stall warnings|RCU lockdep checking is enabled)'
	# an injected NMI that nobody claims is what a test asked for
	'Uhhuh[.] NMI received|Dazed and confused'
	# said at boot of a processor with a known flaw, when tests lift the limit
	'WARNING: Unprivileged eBPF is enabled'
)

# A trace that follows such a line within three is not a fault's: whoever asks for memory
# is told so when there is none, which tests see to.
readonly SPLATS_EXCUSED='__kmem_cache_create_args.* failed with error -(12|22)|vmalloc error: size'

# Taints that a module built outside the kernel, and not signed, brings.
readonly TAINT_ALLOWED=$((4096 | 8192))

join_patterns() { local IFS='|'; echo "$*"; }

# What KCSAN says between two lines of ===== is left out when the module is in none of the two
# stacks: the kernel has races of its own.
own_races()
{
	awk '
		/=====+$/ && held == "" { held = $0; next }
		held != "" {
			held = held "\n" $0
			if (held ~ /\n.*\n/ && held !~ /BUG: KCSAN/) { print held; held = ""; next }
			if (/=====+$/) {
				if (held ~ /\[costack\]|cos_planted/)
					print held
				held = ""
			}
			next
		}
		{ print }
		END { if (held != "") print held }'
}

# scan_logs OUT - false when something in the logs, the taint or lockdep is a fault
scan_logs()
{
	local out=$1 bad taint faults=0 log
	local splats allowed

	splats=$(join_patterns "${SPLATS[@]}")
	allowed=$(join_patterns "${SPLATS_ALLOWED[@]}")
	for log in "$out/dmesg" "$out/console.log"; do
		[[ -s $log ]] || continue
		bad=$(tr -d '\r' <"$log" | own_races | splats=$splats allowed=$allowed excused=$SPLATS_EXCUSED awk '
			{ line[NR] = $0 }
			$0 ~ ENVIRON["excused"] { excused = NR + 3 }
			/Call Trace:/ && NR <= excused { next }
			$0 ~ ENVIRON["splats"] && $0 !~ ENVIRON["allowed"] { hit[NR] = 1 }
			END {
				for (i = 1; i <= NR; i++)
					if (hit[i]) {
						for (j = i - 3; j <= i + 12; j++)
							show[j] = 1
					}
				shown = 0
				for (i = 1; i <= NR && shown < 120; i++)
					if (show[i]) {
						print (hit[i] ? "! " : "  ") line[i]
						shown++
					}
			}')
		if [[ -n $bad ]]; then
			say "${log##*/} of the guest shows a fault:"
			printf '%s\n' "$bad" >&2
			faults=1
			# The console repeats what dmesg has.
			break
		fi
	done
	if [[ -s $out/tainted ]]; then
		taint=$(cat "$out/tainted")
		if ((taint & ~TAINT_ALLOWED)); then
			say "the guest's kernel is tainted: $taint has bits other than $TAINT_ALLOWED"
			faults=1
		fi
	fi
	# Lockdep turns itself off at its first report, or when it runs out of memory.
	if [[ -s $out/debug_locks ]] && ! grep -qE 'debug_locks: *1' "$out/debug_locks"; then
		say "lockdep turned itself off in the guest: $(cat "$out/debug_locks")"
		faults=1
	fi
	return "$faults"
}

# expected_seen OUT REGEX - in the saved log, or the console's, which alone has
# a panic
expected_seen()
{
	cat "$1/dmesg" "$1/console.log" 2>/dev/null | tr -d '\r' | grep -E -- "$2" >/dev/null
}

# stale_code OUT - did the guest die of an instruction that was no longer there? An emulator whose
# machine is busy may run a breakpoint which the kernel has replaced and waited for all CPUs since
# (smp_text_poke_batch_finish()): an oops by int3 whose code shows none.
stale_code()
{
	tr -d '\r' <"$1/console.log" | awk '
		/Oops: / && !oops { oops = /Oops: int3/ ? 1 : 2 }
		oops == 1 && /Code: / {
			exit !/ [0-9a-f][0-9a-f] <[0-9a-f][0-9a-f]>/ || / cc </
		}
		oops == 2 { exit 1 }
		END { if (!oops) exit 1 }'
}
