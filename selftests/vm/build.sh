# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
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
# came from.
copy_tree()
{
	local dir=$1 list=$1.list tries

	mkdir -p "$dir"
	for tries in 1 2 3; do
		list_tree >"$list.new" || die "$TREE is not a git tree, or git fails there"
		# A file may vanish under rsync while somebody edits.
		if rsync -rlp --checksum --delete-missing-args --from0 \
			--files-from="$list.new" "$TREE/" "$dir/"; then
			break
		fi
		[[ $tries -lt 3 ]] || die "cannot copy $TREE to $dir: see above"
	done
	mv "$list.new" "$list"
}

# What the copy holds: names, modes, contents.
tree_hash()
{
	local dir=$1

	(
		cd "$dir"
		xargs -0r stat -c '%A %n' <"../${dir##*/}.list"
		xargs -0r sh -c 'for f; do [ -L "$f" ] && readlink "$f"; done; :' - <"../${dir##*/}.list"
		xargs -0r sh -c 'for f; do [ -L "$f" ] || [ -d "$f" ] || printf "%s\0" "$f"; done' - \
			<"../${dir##*/}.list" | xargs -0r sha256sum
	) | hash_text
}

# in_root DIRECTORY CMD... - run in the root, read-only but for DIRECTORY,
# which is /costack there, and for temporary directories.
in_root()
{
	local dir=$1
	shift

	leashed bash "$VMDIR/enter" "$ROOT" "$dir" "$@"
}

# Shared by all who use the root; who makes it anew waits for them.
use_root()
{
	setup_root
	lock root 7 -s "the root"
}

# make_clean_start DIRECTORY - true when the objects in it can be trusted
objects_are_good()
{
	local dir=$1

	[[ ! -e $dir.building && -e $dir.inputs ]] || return 1
	[[ $(cat "$dir.inputs") == "$(build_inputs "$dir")" ]]
}

# What no object depends on by make's knowledge, though all do: the rules
# themselves, the names of the sources, the kernel and the root.
build_inputs()
{
	local dir=$1

	{
		echo "$VERSION $(root_stamp)"
		tr '\0' '\n' <"$dir.list"
		(cd "$dir" && find . \( -name Makefile -o -name Kbuild -o -name '*.mk' \) -type f -print0 |
			sort -z | xargs -0r sha256sum)
	} | hash_text
}

# build_kernel NAME - build the tree for the kernel; TREE_BUILT is where. The
# lock on that directory (descriptor 6) is left to the caller to close.
build_kernel()
{
	local name=$1 dir=$CACHE/build/$1 start=$SECONDS stamp log

	VERSION=$(kernel_version "$name")
	[[ -n $VERSION ]] || die "no kernel $name in the root: '${0##*/} list' shows them"
	[[ -e $TREE/Makefile ]] || die "no Makefile at the top of $TREE: nothing to build"
	lock "build-$name" 6 -x "the build for $name"
	mkdir -p "$CACHE/build"
	TREE_BUILT=$dir
	log=$dir.log

	copy_tree "$dir"
	stamp=$(echo "$(tree_hash "$dir") $(build_inputs "$dir")" | hash_text)
	[[ $(cat "$dir.stamp" 2>/dev/null) != "$stamp" ]] || return 0
	rm -f "$dir.stamp"
	if ! objects_are_good "$dir"; then
		remove_tree "$dir"
		copy_tree "$dir"
		stamp=$(echo "$(tree_hash "$dir") $(build_inputs "$dir")" | hash_text)
	fi
	build_inputs "$dir" >"$dir.inputs"
	: >"$dir.building"
	local -a cmd=(make -j2 KDIR="/usr/lib/modules/$VERSION/build")
	[[ -z ${V:-} ]] || cmd+=(V="$V")
	if [[ -n ${V:-} ]]; then
		in_root "$dir" "${cmd[@]}" 2>&1 | tee "$log" >&2 || build_failed "$name" ""
	else
		in_root "$dir" "${cmd[@]}" >"$log" 2>&1 || build_failed "$name" "$log"
		# A warning nobody sees is never mended.
		grep -iE -B1 -A3 'warning:' "$log" >&2 || true
	fi
	rm -f "$dir.building"
	echo "$stamp" >"$dir.stamp"
	say "built for $name ($VERSION) in $((SECONDS - start)) s"
}

build_failed()
{
	# make removed what it was about; a signal may have left half an object
	[[ -z $2 ]] || cat "$2" >&2
	die "the build for $1 failed"
}
