# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# User Mode Linux: a kernel that is a program of this machine. No BPF and no interrupts, but it
# runs on the real processor, without KVM: for times of what needs no more.

readonly UML_SECONDS=600

# run_uml - measures there, and prints what was measured
run_uml()
{
	local dir tree

	use_root
	make_kernel "$KERNEL_UML"
	make_rundir
	tree=$RUNDIR/tree
	dir=$RUNDIR/uml
	copy_tree "$tree"
	in_root "$tree" make -s -C "/mnt/$KERNEL_UML" ARCH=um M=/costack/selftests/bench/uml \
		modules >"$RUNDIR/log" 2>&1 </dev/null || {
		cat "$RUNDIR/log" >&2
		die "the modules for $KERNEL_UML cannot be built: see above"
	}
	mkdir -p "$dir"/{bin,proc,debug,dev,sys}
	cp /bin/busybox "$dir/bin/"
	cp "$tree"/selftests/bench/uml/{init,costack_core.ko,cos_bench.ko} "$dir/"
	leashed timeout -k 5 "$UML_SECONDS" "$TREES/$KERNEL_UML/vmlinux" mem=2G ncpus=2 seccomp=on \
		rootfstype=hostfs rootflags="$dir" rw init=/init con=null con0=null,fd:2 quiet \
		>"$RUNDIR/log" 2>&1 </dev/null || true
	[[ -e $dir/results ]] || {
		tail -n 30 "$RUNDIR/log" >&2
		[[ ! -e $dir/results.new ]] || cat "$dir/results.new" >&2
		die "$KERNEL_UML did not measure: see above"
	}
	cat "$dir/results"
}
