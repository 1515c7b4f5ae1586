#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The laboratory: builds the tree for each kernel and runs commands in throw-away
# guests, on any Debian machine. See README.md beside this file.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

VMDIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TREE=$(cd "$VMDIR/../.." && pwd)
export VMDIR

# shellcheck source=lib.sh
. "$VMDIR/lib.sh"
# shellcheck source=root.sh
. "$VMDIR/root.sh"
# shellcheck source=kernel.sh
. "$VMDIR/kernel.sh"
# shellcheck source=build.sh
. "$VMDIR/build.sh"
# shellcheck source=scan.sh
. "$VMDIR/scan.sh"
# shellcheck source=guest.sh
. "$VMDIR/guest.sh"
# shellcheck source=uml.sh
. "$VMDIR/uml.sh"

usage()
{
	cat <<-EOF_USAGE
	Usage: ${0##*/} COMMAND [OPTIONS] [-- CMD...]

	  setup [--fresh]      install what the machine lacks, make the root and kernels
	  build [-k K]         build the tree for kernel K (default: every kernel)
	  chroot CMD...        run CMD in the root, with the tree as /costack
	  run [OPTIONS] -- CMD...
	                       build, boot a guest, run CMD in the built tree
	  shell [-k K] [-c CPUS] [-m MEM] [-e NAME=VALUE] [--no-build]
	                       an interactive guest; leaving the shell ends it
	  uml                  measure the module's core as a program of this machine
	                       (User Mode Linux, built when there is none)
	  version [-k K]       full version of kernel K
	  probe kvm|tcg        does a guest come up with that accelerator?
	  list                 kernels, and what the cache holds
	  clean                delete the cache
	  help                 this text

	Options of run:
	  -k K                 kernel: ${KERNELS_KNOWN[*]} (default ${KERNELS_KNOWN[0]}), or one that
	                       is built here the first time: ${KERNELS_BUILT[*]}
	  -c CPUS              1 to 8 CPUs (default 2)
	  -m MEM               memory, like 512M or 2G (default 1G)
	  -t SECONDS           time limit of the whole guest (default 600)
	  -o DIR               where results go: /out in the guest (default: thrown away,
	                       but $CACHE/failed-K after a failure)
	  -e NAME=VALUE        a variable in CMD's environment (may be repeated)
	  -a ARGUMENTS         more arguments of the guest's kernel
	  --expect-splat REGEX pass only if the kernel's log has a line like this; for a
	                       test that plants a bug
	  --no-build           the tree as it is, not built
	  --reuse              what passed before, with this tree, kernel and command, is not
	                       run again: what it said then is said again, with its date
	  --icount             one CPU, emulated, whose clock counts instructions: a
	                       nanosecond is one

	Status: that of CMD; $EX_STALE the emulator's own fault, to be run again, $EX_TIME time limit,
	$EX_NO_STATUS panic or hang (no status came back), $EX_SPLAT a fault in the kernel's log, $EX_LAB the laboratory or the build failed, $EX_USAGE usage.

	Environment: COSTACK_CACHE (default /var/cache/costack), V=1 (show the build),
	COSTACK_ACCEL=kvm|tcg (default: what a probe finds to work).
	EOF_USAGE
}

known_kernel()
{
	local k

	for k in "${KERNELS_KNOWN[@]}" "${KERNELS_BUILT[@]}"; do
		[[ $k != "$1" ]] || return 0
	done
	usage_error "no kernel '$1'; there are: ${KERNELS_KNOWN[*]} ${KERNELS_BUILT[*]}"
}

# Options shared by run, shell and build; ALLOWED lists those of the command.
parse_options()
{
	local allowed=$1 opt
	shift

	KERNEL='' CPUS=2 MEM=1G SECONDS_LIMIT=600 OUT='' EXPECT='' BUILD=y ICOUNT=n REUSE=n KERNEL_ARGS=''
	GUEST_ENV=() CMD=()
	while [[ $# -gt 0 ]]; do
		opt=$1
		[[ $opt != -- ]] || break
		[[ $opt == -* ]] || usage_error "unexpected '$opt'"
		[[ " $allowed " == *" $opt "* ]] || usage_error "unknown option '$opt'"
		case $opt in
		--no-build) BUILD=n; shift; continue ;;
		--icount) ICOUNT=y; shift; continue ;;
		--reuse) REUSE=y; shift; continue ;;
		esac
		[[ $# -ge 2 ]] || usage_error "option '$opt' needs a value"
		case $opt in
		-k) KERNEL=$2; known_kernel "$2" ;;
		-c) CPUS=$2; [[ $2 =~ ^[1-8]$ ]] || usage_error "-c is 1 to 8, not '$2'" ;;
		-m) MEM=$2; [[ $2 =~ ^[1-9][0-9]*[MG]$ ]] || usage_error "-m is like 512M or 2G, not '$2'" ;;
		-t) SECONDS_LIMIT=$2; [[ $2 =~ ^[1-9][0-9]*$ ]] || usage_error "-t is a number of seconds, not '$2'" ;;
		-o) OUT=$2; [[ -n $2 ]] || usage_error "-o needs a directory" ;;
		-e)
			[[ $2 =~ ^[A-Za-z_][A-Za-z_0-9]*= ]] || usage_error "-e is NAME=VALUE, not '$2'"
			GUEST_ENV+=("${2%%=*}=$(printf '%q' "${2#*=}")")
			;;
		-a) KERNEL_ARGS=$2; [[ -n $2 ]] || usage_error "-a needs arguments" ;;
		--expect-splat) EXPECT=$2; [[ -n $2 ]] || usage_error "--expect-splat needs a pattern" ;;
		esac
		shift 2
	done
	if [[ $# -gt 0 ]]; then
		shift
		CMD=("$@")
	fi
}

cmd_build()
{
	local k

	parse_options "-k" "$@"
	[[ ${#CMD[@]} -eq 0 ]] || usage_error "build takes no command"
	use_root
	for k in ${KERNEL:-"${KERNELS_KNOWN[@]}"}; do
		build_kernel "$k"
		unlock 6
	done
}

cmd_version()
{
	local k

	parse_options "-k" "$@"
	[[ ${#CMD[@]} -eq 0 ]] || usage_error "version takes no command"
	use_root
	for k in ${KERNEL:-"${KERNELS_KNOWN[@]}"}; do
		need_kernel "$k"
		echo "$VERSION"
	done
}

cmd_run()
{
	local status=0 kept

	parse_options "-k -c -m -t -o -e -a --expect-splat --no-build --icount --reuse" "$@"
	[[ $REUSE$BUILD != yn ]] || usage_error "--reuse is of a tree that is built"
	[[ $ICOUNT == n ]] || CPUS=1
	[[ ${#CMD[@]} -gt 0 ]] || usage_error "run needs '-- CMD...'"
	KERNEL=${KERNEL:-${KERNELS_KNOWN[0]}}
	if [[ -n $OUT ]]; then
		mkdir -p "$OUT" || die "cannot make the directory $OUT"
		OUT=$(cd "$OUT" && pwd)
	fi
	if [[ $REUSE == y ]] && reuse_verdict; then
		return
	fi
	prepare_guest "$KERNEL" "$BUILD"
	if [[ -z $OUT ]]; then
		OUT=$RUNDIR/out
		mkdir "$OUT"
	fi
	run_guest "$OUT" "$EXPECT" "${CMD[@]}" || status=$?
	if [[ $status -ne 0 && $OUT == "$RUNDIR/out" ]]; then
		kept=$CACHE/failed-$KERNEL
		remove_tree "$kept"
		cp -a "$OUT" "$kept" || true
		say "status $status; results are in $kept"
	fi
	if [[ $REUSE == y && $status -eq 0 ]]; then
		keep_verdict
	fi
	return "$status"
}

cmd_shell()
{
	parse_options "-k -c -m -e --no-build" "$@"
	[[ ${#CMD[@]} -eq 0 ]] || usage_error "shell takes no command"
	KERNEL=${KERNEL:-${KERNELS_KNOWN[0]}}
	prepare_guest "$KERNEL" "$BUILD"
	shell_guest
}

cmd_list()
{
	local f

	if [[ -e $ROOT/etc/costack/kernels ]]; then
		awk '{ printf "kernel %-6s %s\n", $1, $2 }' "$ROOT/etc/costack/kernels"
		root_is_good || echo "the root is of another version of the laboratory: the next run makes it anew"
	else
		echo "no root yet: run '${0##*/} setup'"
	fi
	for f in "$CACHE"/*; do
		[[ ! -d $f || -L $f ]] || du -sh "$f" 2>/dev/null || true
	done
}

cmd_clean()
{
	need_root
	need_cache
	lock setup 8 -x "the setup"
	lock root 7 -x "the root"
	# Only what is ours: the cache may have been put into a directory of
	# somebody else.
	remove_tree "$CACHE"/{root,root.new.*,root.old.*,build,initramfs,kernel,run,results,verdicts,failed-*} \
		"$CACHE"/{accelerator,kernels,setup.log,lock}
	rmdir "$CACHE" 2>/dev/null || true
}

main()
{
	local command=${1:-}

	[[ $# -eq 0 ]] || shift
	case $command in
	setup)
		[[ $# -eq 0 || ( $# -eq 1 && $1 == --fresh ) ]] || usage_error "setup takes only --fresh"
		setup_root "$@"
		;;
	build) cmd_build "$@" ;;
	chroot)
		[[ $# -gt 0 ]] || usage_error "chroot needs a command"
		use_root
		in_root "$TREE" "$@"
		;;
	run) cmd_run "$@" ;;
	shell) cmd_shell "$@" ;;
	uml)
		[[ $# -eq 0 ]] || usage_error "uml takes no arguments"
		run_uml
		;;
	version) cmd_version "$@" ;;
	probe)
		[[ $# -eq 1 && ( $1 == kvm || $1 == tcg ) ]] || usage_error "probe takes kvm or tcg"
		KERNEL=${KERNELS_KNOWN[0]}
		prepare_kernel "$KERNEL"
		if (probe "$1") 2>/dev/null; then
			echo yes
		else
			echo no
			return 1
		fi
		;;
	list) cmd_list ;;
	clean) cmd_clean ;;
	help | -h | --help) usage ;;
	'') usage >&2; exit "$EX_USAGE" ;;
	*) usage_error "unknown command '$command'" ;;
	esac
}

main "$@"
