# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2016,SC2054  # the commas belong to QEMU's options
# shellcheck disable=SC2153  # VERSION and EXPECT are those of other files
#
# The host's side of a guest: its initramfs, QEMU, the time limit and the
# verdict.

readonly EX_STALE=123
# A kernel boots in 5 s, and on a machine with ten times the load that it has CPUs in 60.
readonly BOOT_SECONDS=150
readonly EX_TIME=124
readonly EX_NO_STATUS=125
readonly EX_SPLAT=126

# What it takes to mount the root; all else is loaded from there.
readonly INITRAMFS_MODULES=(virtio_pci 9pnet_virtio 9p overlay virtio_console)

# module_files VERSION MODULE... - files to load, each after what it needs
module_files()
{
	local version=$1
	shift

	awk -v names="$*" '
		FNR == 1 { file++ }
		file == 1 { sub(":", "", $1); needs[$1] = $0; at[name($1)] = $1 }
		file == 2 { builtin[name($1)] = 1 }
		function name(path) {
			sub(".*/", "", path)
			sub("[.]ko.*", "", path)
			gsub("-", "_", path)
			return path
		}
		END {
			n = split(names, want, " ")
			for (i = 1; i <= n; i++) {
				if (builtin[want[i]])
					continue
				if (!at[want[i]]) {
					print "no module " want[i] > "/dev/stderr"
					exit 1
				}
				# modules.dep has the deepest need last
				m = split(needs[at[want[i]]], path, " ")
				for (j = m; j >= 1; j--)
					if (!seen[path[j]]++)
						print path[j]
			}
		}' "$ROOT/usr/lib/modules/$version/modules.dep" \
		"$ROOT/usr/lib/modules/$version/modules.builtin"
}

# initramfs NAME - of kernel VERSION; sets INITRAMFS; made only when the cache has none like it
initramfs()
{
	local version=$VERSION key dir f base=$ROOT/usr/lib/modules files=''

	# What is built here has no modules, but lists of what is built in.
	if is_built "$1"; then
		base=$TREES/$1/install/lib/modules
	else
		files=$(module_files "$version" "${INITRAMFS_MODULES[@]}") ||
			die "kernel $version lacks a module that the guest needs: see above"
	fi
	base+=/$version
	key=$({
		echo "$version $(root_stamp) $(cat "$TREES/$1/key" 2>/dev/null) $files"
		declare -f initramfs
		cat "$VMDIR/init" "$VMDIR/guest-init" /bin/busybox
	} | hash_text)
	INITRAMFS=$RUNDIR/initramfs
	# A link of our own, lest a run of another version removes it.
	mkdir -p "$CACHE/initramfs"
	! ln "$CACHE/initramfs/$version-$key" "$INITRAMFS" 2>/dev/null || return 0

	dir=$(mktemp -d "$RUNDIR/tmp.XXXXXX")
	mkdir -p "$dir"/{bin,modules,proc,sys,dev,root,upper,lower}
	cp /bin/busybox "$dir/bin/busybox"
	cp "$VMDIR/init" "$dir/init"
	cp "$VMDIR/guest-init" "$dir/guest-init"
	: >"$dir/modules/order"
	for f in $files; do
		case $f in
		*.xz) xz -dc "$base/$f" ;;
		*.zst) zstd -qdc "$base/$f" ;;
		*) cat "$base/$f" ;;
		esac >"$dir/modules/$(basename "${f%%.ko*}").ko"
		basename "${f%%.ko*}" >>"$dir/modules/order"
	done
	if is_built "$1"; then
		mkdir "$dir/lists"
		cp "$base"/modules.* "$dir/lists"
	fi
	(cd "$dir" && find . -print0 | LC_ALL=C sort -z |
		cpio --null -o --quiet -H newc -R 0:0) >"$INITRAMFS"
	# Other versions of the same kernel's are of no more use.
	rm -f "$CACHE/initramfs/$version-"*
	ln -f "$INITRAMFS" "$CACHE/initramfs/$version-$key"
	rm -rf "$dir"
}

# qemu ARGS... - that of the root, with the root's libraries, but not in it: the
# paths it is given are those of this machine. Replaces this process.
qemu()
{
	local libs=$ROOT/usr/lib/x86_64-linux-gnu

	QEMU_MODULE_DIR=$libs/qemu exec setpriv --pdeathsig KILL \
		"$ROOT/usr/lib64/ld-linux-x86-64.so.2" --library-path "$libs" \
		"$ROOT/usr/bin/qemu-system-x86_64" \
		-L "$ROOT/usr/share/qemu" -L "$ROOT/usr/share/seabios" "$@"
}
export -f qemu
export ROOT

# processor ACCEL - the options that choose it; icount: a clock that counts instructions.
# Without "fast" string instructions, which make the kernel clear and copy memory byte by byte,
# and a fifth level of page tables, emulation is a tenth faster.
processor()
{
	case $1 in
	kvm) echo "-accel kvm -cpu host" ;;
	tcg) echo "-accel tcg,thread=multi -cpu max,-erms,-fsrm,-la57" ;;
	icount) echo "-accel tcg,thread=single -cpu max -icount shift=0,sleep=off" ;;
	esac
}

# probe ACCEL - does it boot the kernel? /dev/kvm may open, and even run a few
# instructions, on a machine where no guest ever comes up.
probe()
{
	local -a options

	read -r -a options <<<"$(processor "$1")"
	timeout -s KILL 30 bash -c 'qemu "$@"' - -machine q35 "${options[@]}" -smp 2 -m 512M \
		-nodefaults -no-user-config -display none -no-reboot \
		-kernel "$(kernel_image "$KERNEL")" -initrd "$INITRAMFS" \
		-append "console=ttyS0 quiet panic=-1 no_timer_check vm.probe=1" \
		-serial "file:$RUNDIR/probe" </dev/null >"$RUNDIR/probe.err" 2>&1 || true
	grep -q 'vm: alive' "$RUNDIR/probe"
}

# accelerator - sets ACCEL, asked once per boot of this machine
accelerator()
{
	local key cached=$CACHE/accelerator

	if [[ -n ${COSTACK_ACCEL:-} ]]; then
		[[ $COSTACK_ACCEL == kvm || $COSTACK_ACCEL == tcg ]] ||
			usage_error "COSTACK_ACCEL is kvm or tcg, not '$COSTACK_ACCEL'"
		ACCEL=$COSTACK_ACCEL
		return
	fi
	key=$(cat /proc/sys/kernel/random/boot_id)
	if [[ $(cut -d' ' -f1 "$cached" 2>/dev/null) == "$key" ]]; then
		ACCEL=$(cut -d' ' -f2 "$cached")
		return
	fi
	ACCEL=tcg
	# In a shell of its own, whose word on an aborted QEMU nobody needs.
	if [[ -c /dev/kvm ]] && (probe kvm) 2>/dev/null; then
		ACCEL=kvm
	fi
	echo "$key $ACCEL" >"$RUNDIR/accelerator"
	mv "$RUNDIR/accelerator" "$cached"
}

# A directory of this run alone. Its lock dies with the run, so that a later one
# can tell what an interrupted run left and remove it.
make_rundir()
{
	local d

	mkdir -p "$CACHE/run"
	lock run 4 -x "the list of runs"
	for d in "$CACHE"/run/*; do
		[[ ! -d $d ]] || { flock -n 3 && remove_tree "$d"; } 3>>"$d/lock" || true
	done 2>/dev/null
	RUNDIR=$(mktemp -d "$CACHE/run/XXXXXX")
	exec 5>>"$RUNDIR/lock"
	flock 5
	unlock 4
	trap end_run EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

end_run()
{
	if [[ -n ${QEMU_PID:-} ]] && kill "$QEMU_PID" 2>/dev/null; then
		wait "$QEMU_PID" 2>/dev/null || true
	fi
	[[ -z ${TERMINAL:-} ]] || stty "$TERMINAL"
	remove_tree "$RUNDIR"
}

# The tree as the guest sees it is a copy, so that no build for somebody else
# changes it under the guest.
guest_tree()
{
	local name=$1 build=$2

	if [[ $build == y ]]; then
		build_kernel "$name"
		cp -a --reflink=auto "$TREE_BUILT" "$RUNDIR/tree"
		unlock 6
	else
		copy_tree "$RUNDIR/tree"
	fi
}

# quoted WORD... - for bash in the guest, whatever the words hold
quoted() { printf '%q ' "$@"; }

# boot OUT CONSOLE - start QEMU; uses ACCEL CPUS MEM SECONDS_LIMIT KERNEL VERSION KERNEL_ARGS.
# CONSOLE is the serial console: "stdio", or a file.
boot()
{
	local out=$1 console=$2 append
	local -a args options

	read -r -a options <<<"$(processor "$ACCEL")"
	# The check of the timer at boot takes a busy machine for a broken one.
	append="console=ttyS0 quiet panic=-1 no_timer_check oops=panic log_buf_len=4M apic_extnmi=all"
	[[ $console != stdio ]] || append+=" vm.shell=1"
	append+=" $KERNEL_ARGS"
	args=(
		-name "costack-${VERSION%%-*}" -machine q35 "${options[@]}"
		-smp "$CPUS" -m "$MEM" -nodefaults -no-user-config -display none
		-no-reboot -rtc base=utc,clock=host
		-kernel "$(kernel_image "$KERNEL")" -initrd "$INITRAMFS" -append "$append"
		-fsdev "local,id=root,path=$ROOT,security_model=passthrough,readonly=on,multidevs=remap"
		-device virtio-9p-pci,fsdev=root,mount_tag=root
		-fsdev "local,id=tree,path=$RUNDIR/tree,security_model=passthrough,multidevs=remap"
		-device virtio-9p-pci,fsdev=tree,mount_tag=tree
		-fsdev "local,id=out,path=$out,security_model=passthrough,multidevs=remap"
		-device virtio-9p-pci,fsdev=out,mount_tag=out
		-device virtio-serial-pci,max_ports=4
		# The guest talks to this machine's monitor: QEMU is both ends.
		-chardev socket,id=monitor,path=monitor,server=on,wait=off
		-mon chardev=monitor,mode=readline
		-chardev socket,id=guest,path=monitor
		-device virtserialport,nr=1,chardev=guest,name=costack.monitor
	)
	if [[ $console == stdio ]]; then
		args+=(-chardev stdio,id=console,signal=off)
	else
		args+=(
			-chardev "file,id=console,path=$console"
			-add-fd fd=9,set=1 -chardev file,id=output,path=/dev/fdset/1,append=on
			-device virtserialport,nr=2,chardev=output,name=costack.output
		)
	fi
	args+=(-serial chardev:console)

	# The socket's path is relative: the absolute one may be too long for one.
	cd "$RUNDIR" || exit
	if [[ $console == stdio ]]; then
		qemu "${args[@]}"
	fi
	# Should this script die by any signal, timeout dies, and then QEMU.
	exec setpriv --pdeathsig KILL timeout -k 5 "$SECONDS_LIMIT" \
		bash -c 'qemu "$@"' - "${args[@]}" </dev/null
}

# prepare_kernel NAME - sets VERSION, RUNDIR, INITRAMFS
prepare_kernel()
{
	use_root
	need_kernel "$1"
	make_rundir
	initramfs "$1"
}

# prepare_guest NAME BUILD - sets ACCEL besides, and makes the tree
prepare_guest()
{
	prepare_kernel "$1"
	if [[ $ICOUNT == y ]]; then
		ACCEL=icount
	else
		accelerator
	fi
	guest_tree "$1" "$2"
}

# wait_for_boot OUT - until the guest runs its own programs, or has ended. On a busy machine an
# emulated one was seen to hang before its kernel had said a word: it is killed, and that is false.
wait_for_boot()
{
	local end=$((SECONDS + BOOT_SECONDS))

	while [[ ! -e $1/booted ]] && kill -0 "$QEMU_PID" 2>/dev/null; do
		if ((SECONDS >= end)); then
			kill "$QEMU_PID"
			return 1
		fi
		sleep 0.5
	done
}

# run_guest OUT EXPECT CMD... - returns the status of the run
run_guest()
{
	local out=$1 expect=$2 reader status=0 verdict='' stuck=n
	shift 2

	rm -f "$out"/{status,booted,dmesg,tainted,debug_locks,console.log,command}
	: >"$out/console.log"
	: >"$out/dmesg"
	{
		printf '#!/bin/bash\n# as the guest ran it\n'
		[[ ${#GUEST_ENV[@]} -eq 0 ]] || printf 'export %s\n' "${GUEST_ENV[@]}"
		printf 'exec %s\n' "$(quoted "$@")"
	} >"$out/command"

	# Through a pipe of our own: QEMU would truncate what stdout is.
	mkfifo "$RUNDIR/output"
	tee "$RUNDIR/said" <"$RUNDIR/output" &
	reader=$!
	(
		exec 9>"$RUNDIR/output"
		boot "$out" "$out/console.log"
	) 2>"$RUNDIR/qemu.err" &
	QEMU_PID=$!
	wait_for_boot "$out" || stuck=y
	wait "$QEMU_PID" || status=$?
	QEMU_PID=
	wait "$reader" || true
	grep -v 'terminating on signal' "$RUNDIR/qemu.err" >&2 || true

	if [[ $stuck == y ]]; then
		say "the guest did not come up in $BOOT_SECONDS s, before anything was tested: run it again"
		return "$EX_STALE"
	fi
	if [[ -r $out/status ]]; then
		verdict=$(cat "$out/status")
	fi
	judge "$out" "$expect" "$status" "$verdict"
}

# The verdict on a command depends on the tree, the kernel, the machine that is emulated, and
# the command.
verdict_key()
{
	{
		echo "$TREE_INPUTS $ICOUNT $CPUS $MEM $KERNEL_ARGS $EXPECT"
		# Nothing reads what is for readers.
		grep -zv '[.]md$' "$TREE_BUILT.list" | hash_files "$TREE_BUILT"
		quoted "${GUEST_ENV[@]}" -- "${CMD[@]}"
	} | hash_text
}

# reuse_verdict - says what the command said when it passed; false when it is to be run. Builds
# the tree for KERNEL, or nobody knows.
reuse_verdict()
{
	local said

	use_root
	build_kernel "$KERNEL"
	VERDICT=$CACHE/verdicts/$KERNEL-$(verdict_key)
	unlock 6
	[[ -e $VERDICT ]] || return
	touch "$VERDICT"
	said=$(head -n 1 "$VERDICT")
	echo "# not run again: it passed ${said#passed } with the same tree and kernel"
	tail -n +2 "$VERDICT"
}

# keep_verdict - of a command that passed; the oldest go
keep_verdict()
{
	mkdir -p "$CACHE/verdicts"
	{
		echo "passed on $(date -u '+%F at %T') UTC"
		cat "$RUNDIR/said"
	} >"$RUNDIR/verdict"
	mv "$RUNDIR/verdict" "$VERDICT"
	find "$CACHE/verdicts" -type f -printf '%T@ %p\n' | sort -rn | tail -n +201 | cut -d' ' -f2- |
		while IFS= read -r said; do rm -f "$said"; done
}

# judge OUT EXPECT QEMU-STATUS VERDICT
judge()
{
	local out=$1 expect=$2 qemu=$3 verdict=$4 hits=0

	scan_logs "$out" || hits=1
	if [[ $qemu -eq 124 || $qemu -eq 137 ]]; then
		[[ -z $verdict ]] || say "the command ended with status $verdict, but the guest did not power off"
		say "time limit: killed after $SECONDS_LIMIT s; end of the console:"
		tail -n 20 "$out/console.log" | sed 's/^/  /' >&2
		return "$EX_TIME"
	fi
	if [[ ! $verdict =~ ^[0-9]+$ ]] && stale_code "$out"; then
		say "the emulator ran an instruction that the kernel had replaced, a fault of its own on a busy machine: run it again"
		return "$EX_STALE"
	fi
	if [[ -n $expect ]]; then
		if expected_seen "$out" "$expect"; then
			return "${verdict:-0}"
		fi
		say "expected to see '$expect' in the kernel's log: it is not there"
		return "$EX_SPLAT"
	fi
	if [[ ! $verdict =~ ^[0-9]+$ ]]; then
		say "the guest ended without a status (panic or reset, QEMU's status $qemu); end of the console:"
		tail -n 40 "$out/console.log" | sed 's/^/  /' >&2
		return "$EX_NO_STATUS"
	fi
	if [[ $hits -ne 0 ]]; then
		return "$EX_SPLAT"
	fi
	return "$verdict"
}

# shell_guest - an interactive console; nothing is judged
shell_guest()
{
	[[ -t 0 ]] || die "shell needs a terminal on its standard input"
	mkdir -p "$RUNDIR/out"
	{
		[[ ${#GUEST_ENV[@]} -eq 0 ]] || printf 'export %s\n' "${GUEST_ENV[@]}"
		printf 'export TERM=%q\n' "${TERM:-vt100}"
		stty size | awk '$1 > 0 { print "stty rows " $1 " cols " $2 }'
	} >"$RUNDIR/out/command"
	# Keys, Ctrl-C among them, belong to the guest.
	TERMINAL=$(stty -g)
	stty raw -echo
	boot "$RUNDIR/out" stdio <&0 &
	QEMU_PID=$!
	wait "$QEMU_PID" || true
	QEMU_PID=
}
