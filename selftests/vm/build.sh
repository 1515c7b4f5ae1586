# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2016  # the small scripts in quotes are for other shells
#
# Commands in the root, and the build of the tree for one kernel in a directory
# of its own, so that the tree itself stays clean and any kernel's objects are
# at hand.

# The files of the tree as git sees them: those added and those not ignored.
list_tree()
{
	local f

	git -c safe.directory='*' -C "$TREE" ls-files -z -co --exclude-standard |
		while IFS= read -r -d '' f; do
			if [[ -e $TREE/$f || -L $TREE/$f ]]; then
				printf '%s\0' "$f"
			fi
		done | LC_ALL=C sort -zu
}

# copy_tree DIRECTORY - bring a copy up to date. Only what has other contents
# is written and then has today's date, so that make sees it whichever clone it
# came from. DIRECTORY.list is what it holds.
copy_tree()
{
	local dir=$1 list=$1.list tries

	for tries in 1 2 3; do
		list_tree >"$list.new" || die "$TREE is not a git tree, or git fails there"
		# What a file that is gone led to would stay behind.
		cmp -s "$list.new" "$list" || remove_tree "$dir"
		mkdir -p "$dir"
		# A file may vanish under rsync while somebody edits.
		if rsync -rlp --checksum --from0 --files-from="$list.new" "$TREE/" "$dir/"; then
			mv "$list.new" "$list"
			return
		fi
	done
	die "cannot copy $TREE to $dir in $tries attempts: see above"
}

# hash_files DIRECTORY - names, modes and contents of the files whose names are
# on standard input, each ended by a zero byte
hash_files()
{
	local list=$1.hash

	cat >"$list"
	(
		cd "$1" || exit
		xargs -0r stat -c '%A %N' <"$list"
		# Links are told by stat.
		xargs -0r sh -c 'for f; do [ -L "$f" ] || [ -d "$f" ] || printf "%s\0" "$f"; done' - \
			<"$list" | xargs -0r sha256sum
	) | hash_text
	rm -f "$list"
}

# in_root [--kernels-rw] DIRECTORY CMD... - run in the root, read-only but for DIRECTORY,
# which is /costack there, and for temporary directories. Built kernels are at /mnt.
in_root()
{
	local kernels=ro dir

	if [[ $1 == --kernels-rw ]]; then
		kernels=rw
		shift
	fi
	dir=$1
	shift
	mkdir -p "$TREES"
	leashed bash "$VMDIR/enter" "$ROOT" "$dir" "$TREES" "$kernels" "$@"
}

# Shared by all who use the root; who makes it anew waits for them.
use_root()
{
	setup_root
	lock root 7 -s "the root"
}

# build_inputs DIRECTORY NAME - what every object depends on though make does not know it: the
# kernel, the root and the rules themselves.
build_inputs()
{
	local dir=$1

	{
		echo "$VERSION $(root_stamp) $(cat "$TREES/$2/key" 2>/dev/null)"
		grep -zE '(^|/)(Makefile|Kbuild|[^/]*\.mk)$' "$dir.list" | hash_files "$dir"
	} | hash_text
}

# build_kernel NAME - build the tree for the kernel; TREE_BUILT is where, and TREE_INPUTS what it
# was made with. The lock on that directory (descriptor 6) is left to the caller to close.
build_kernel()
{
	local name=$1 dir=$CACHE/build/$1 start=$SECONDS stamp log inputs
	local -a cmd

	need_kernel "$name"
	[[ -e $TREE/Makefile ]] || die "no Makefile at the top of $TREE: nothing to build"
	mkdir -p "$CACHE/build"
	lock "build-$name" 6 -x "the build for $name"
	# shellcheck disable=SC2034
	TREE_BUILT=$dir
	log=$dir.log

	copy_tree "$dir"
	inputs=$(build_inputs "$dir" "$name")
	stamp="$inputs $(hash_files "$dir" <"$dir.list")"
	# shellcheck disable=SC2034
	TREE_INPUTS=$inputs
	if [[ $(cat "$dir.stamp" 2>/dev/null) == "$stamp" ]]; then
		return
	fi
	rm -f "$dir.stamp"
	# A build that was killed may have left half an object.
	if [[ -e $dir.building || $(cat "$dir.inputs" 2>/dev/null) != "$inputs" ]]; then
		remove_tree "$dir"
		copy_tree "$dir"
		inputs=$(build_inputs "$dir" "$name")
		stamp="$inputs $(hash_files "$dir" <"$dir.list")"
		# shellcheck disable=SC2034
		TREE_INPUTS=$inputs
	fi
	: >"$dir.building"
	echo "$inputs" >"$dir.inputs"
	cmd=(make -j2 KDIR="$(kernel_kdir "$name")")
	if [[ ${V:-0} != 0 ]]; then
		in_root "$dir" "${cmd[@]}" V="$V" all selftests >&2 ||
			die "the build for $name failed: see above"
	elif in_root "$dir" "${cmd[@]}" all selftests >"$log" 2>&1 </dev/null; then
		# A warning nobody sees is never mended.
		grep -iE -A4 'warning:' "$log" >&2 || true
	else
		cat "$log" >&2
		die "the build for $name failed: see above"
	fi
	rm -f "$dir.building"
	echo "$stamp" >"$dir.stamp"
	say "built for $name ($VERSION) in $((SECONDS - start)) s"
}
