#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make lint: checkpatch --strict, kernel-doc, sparse, W=1 on every kernel, SPDX
# lines, shell scripts, spelling. Prints what each complains of; exit 0 when none
# does.
#
# KSRC=DIR names a kernel source tree with scripts/; otherwise Debian's
# linux-source package is fetched and its scripts are kept in the cache.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${COSTACK_CACHE:-/var/cache/costack}
vm=$top/selftests/vm/vm.sh
read -r -a kernels <<<"${KERNELS:-6.12 7.3}"
bad=0
cd "$top"

die() {
	echo "lint: $*" >&2
	exit 1
}

check() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1) && [ -z "$out" ]; then
		printf '  %-10s ok\n' "$name"
		return
	fi
	printf '%s\n' "$out"
	printf '  %-10s FAILED\n' "$name"
	bad=1
}

need() {
	command -v "$1" >/dev/null && return
	apt-get -qq install -y --no-install-recommends "$2" >/dev/null ||
		die "cannot install $2: run apt-get update and try again"
}

fetch_ksrc() {
	local tmp
	KSRC=$cache/ksrc
	[ -e "$KSRC/scripts/checkpatch.pl" ] && return
	tmp=$(mktemp -d "$cache/ksrc.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$tmp'" EXIT
	(cd "$tmp" && chmod 755 . && apt-get -qq download linux-source-6.12 &&
		dpkg-deb -x linux-source-6.12*.deb . && mkdir out &&
		tar -C out --strip-components=1 -xf usr/src/linux-source-6.12.tar.xz \
			--wildcards 'linux-source-6.12/scripts/*') >/dev/null 2>&1 ||
		die "cannot fetch linux-source-6.12: run apt-get update, or give KSRC="
	rm -rf "$KSRC"
	mv "$tmp/out" "$KSRC"
}

# checkpatch's wrong complaints, by file. Everything else is clean.
ignored() {
	case $1 in
	# The one place that is for versions.
	kmod/compat.h) echo LINUX_VERSION_CODE,CONSTANT_COMPARISON ;;
	# The layout that TRACE_EVENT has all over the kernel.
	kmod/trace.h) echo PARENTHESIS_ALIGNMENT,OPEN_ENDED_LINE ;;
	# CFI_NOSEAL() belongs to the function above it.
	kmod/kfunc.c) echo LINE_SPACING ;;
	# So does NOKPROBE_SYMBOL(); and the trampoline's section of RCU Tasks Trace, which
	# is BPF's, has to be left and entered for it.
	kmod/body.c) echo LINE_SPACING,RCU_TASKS_TRACE ;;
	kmod/coroutine.c) echo RCU_TASKS_TRACE ;;
	# An array of no pointers is there for the verifier, not for an index.
	kmod/coroutine.h) echo FLEXIBLE_ARRAY ;;
	# kfuncs are extern symbols, and the frame macros are a switch statement
	# in parts: they must open, close and leave it. user space has no __section.
	# A constant that the loader sets is const volatile, as libbpf wants it: the
	# compiler must not take it for what it is at first.
	bpf/costack.bpf.h) echo AVOID_EXTERNS,COMPLEX_MACRO,MULTISTATEMENT_MACRO_USE_DO_WHILE,MACRO_ARG_UNUSED,MACRO_WITH_FLOW_CONTROL,TRAILING_STATEMENTS,INDENTED_LABEL,MACRO_ARG_REUSE,RETURN_PARENTHESES,PREFER_DEFINED_ATTRIBUTE_MACRO,VOLATILE ;;
	# kfuncs of the kernel are extern symbols, too.
	bpf/sni.bpf.h) echo AVOID_EXTERNS ;;
	# "__kptr *" is taken for a product.
	bpf/segment.bpf.h | bpf/tcp.bpf.h) echo AVOID_EXTERNS,SPACING ;;
	# Types that the kernel has by other means; here they are made.
	vmlinux.h) echo NEW_TYPEDEFS,PREFER_DEFINED_ATTRIBUTE_MACRO,CAMELCASE,EMBEDDED_FILENAME ;;
	# Tests: designated initialisers in an assertion are taken for assignments in a
	# condition, attributes and members in macros for values, a shell command in
	# parts for a message; a pointer is compared with NULL where a result of
	# 0 or 1 is meant; and a macro takes statements after its other arguments.
	selftests/progs/*.bpf.c | selftests/progs/*.h) echo MACRO_ARG_REUSE,AVOID_EXTERNS,GLOBAL_INITIALISERS,FUNCTION_ARGUMENTS,PARENTHESIS_ALIGNMENT,MACRO_WITH_FLOW_CONTROL,SPACING,VOLATILE,LONG_LINE,COMPLEX_MACRO,MACRO_ARG_PRECEDENCE,COMPARISON_TO_NULL,LINE_SPACING ;;
	selftests/*) echo PREFER_KERNEL_TYPES,ARRAY_SIZE,BIT_MACRO,MACRO_ARG_REUSE,VOLATILE,LONG_LINE,LONG_LINE_STRING,OPEN_ENDED_LINE,CAMELCASE,STRCPY,STRLCPY,SSCANF_TO_KSTRTO,NAKED_SSCANF,AVOID_EXTERNS,PREFER_DEFINED_ATTRIBUTE_MACRO,ENOSYS,GLOBAL_INITIALISERS,ASSIGN_IN_IF,MACRO_ARG_PRECEDENCE,SPLIT_STRING,EMBEDDED_FUNCTION_NAME,COMPARISON_TO_NULL,LINE_SPACING,COMPLEX_MACRO,SUSPECT_COMMA_SEMICOLON ;;
	# libbpf's conventions: SEC() and map definitions are macros (and COSTACK_OPS()
	# belongs to the body above it), events and
	# licences are globals, and externs come from weak symbols. "__kptr *" is taken for
	# a product, macros that wait return, the verifier's messages are long, and
	# volatile keeps the compiler from removing what a test is about.
	*.bpf.c) echo MACRO_ARG_REUSE,AVOID_EXTERNS,GLOBAL_INITIALISERS,FUNCTION_ARGUMENTS,PARENTHESIS_ALIGNMENT,MACRO_WITH_FLOW_CONTROL,SPACING,VOLATILE,LONG_LINE,LINE_SPACING ;;
	# User space: no kernel helpers to prefer, names that libc and libbpf made, and
	# messages, which are not cut.
	user/*) echo PREFER_KERNEL_TYPES,ARRAY_SIZE,BIT_MACRO,MACRO_ARG_REUSE,VOLATILE,LONG_LINE_STRING,OPEN_ENDED_LINE,CAMELCASE,STRCPY,STRLCPY,SSCANF_TO_KSTRTO,NAKED_SSCANF,AVOID_EXTERNS,PREFER_DEFINED_ATTRIBUTE_MACRO,ENOSYS,GLOBAL_INITIALISERS,CAMELCASE ;;
	esac
}

checkpatch() {
	local f types
	for f in "$@"; do
		types=$(ignored "$f")
		"$KSRC/scripts/checkpatch.pl" --no-tree --strict --quiet --show-types \
			${types:+--ignore "$types"} -f "$f" || true
	done
}

spdx() {
	local f
	for f in "$@"; do
		head -n 3 "$f" | grep -q SPDX-License-Identifier || echo "$f: no SPDX line"
	done
}

# W=1 and sparse, on a copy: the tree stays clean.
build() {
	# shellcheck disable=SC2016
	"$vm" chroot bash -c '
		cp -r . /tmp/tree && cd /tmp/tree && rm -f kmod/*.o
		dir=/usr/lib/modules/$1/build
		# Newer kernels ask a script whether sparse is fit, which Debian does not ship.
		grep -qs checker-valid.sh /usr/src/linux-headers-${1%-*}-common/Makefile ||
			sparse=2
		exec make -s -C $dir M=/tmp/tree W=1 C=${sparse:-0} CF=-D__CHECK_ENDIAN__ \
			modules' - "$1" 2>&1 |
		# kfuncs are global and declared in BTF alone (kfuncs.rst, 2.1).
		grep -v "symbol 'bpf_costack_[a-z_]*' was not declared" || true
}

need perl perl
need shellcheck shellcheck
need codespell codespell
mkdir -p "$cache"
[ -n "${KSRC:-}" ] || fetch_ksrc

mapfile -t c_files < <(git ls-files -co --exclude-standard '*.c' '*.h' '*.S')
mapfile -t sh_files < <(git ls-files -co --exclude-standard '*.sh' .ci/run)
mapfile -t all_files < <(git ls-files -co --exclude-standard | grep -v -e COPYING -e '\.md$' -e '\.svg$' -e '/config$' -e '/settings$' -e /fuzz/corpus/)
mapfile -t doc_files < <(git ls-files -co --exclude-standard 'kmod/*.[ch]' bpf/costack_types.h)

check checkpatch checkpatch "${c_files[@]}"
check spdx spdx "${all_files[@]}"
check kernel-doc "$KSRC/scripts/kernel-doc" -none -Wall "${doc_files[@]}"
# SC2317: functions that are called through a variable, as check() does.
check shellcheck shellcheck -x -P SCRIPTDIR -e SC2317 "${sh_files[@]}"
check codespell codespell --ignore-words-list=fpr,ot,ser,uncontended "${all_files[@]}" README.md
"$vm" setup
for k in "${kernels[@]}"; do
	check "W=1 $k" build "$(awk -v k="$k" '$1 == k { print $2 }' "$cache/kernels")"
done
exit $bad
