# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2016  # the small scripts in quotes are for other shells
#
# Kernels that Debian does not build: from Debian's source of the same version, with the
# detectors of one of the fragments beside this file. An object tree is a kernel's KDIR: it
# lies in the cache, and where builds run it is at /mnt, as it was when it was built.

# BASE-FRAGMENT
readonly KERNELS_BUILT=(7.3-debug 7.3-kcsan 6.12-debug)
# A program of this machine, not a guest: see uml.sh. Its fragment is all of its configuration.
readonly KERNEL_UML=7.3-uml

readonly TREES=$CACHE/kernel
readonly KERNEL_MB=8192

is_built()
{
	[[ " ${KERNELS_BUILT[*]} $KERNEL_UML " == *" $1 "* ]]
}

# base_version NAME - upstream's version of the Debian kernel in the root, like 7.3.4
base_version()
{
	local version

	version=$(awk -v k="${1%%-*}" '$1 == k { print $2 }' "$ROOT/etc/costack/kernels")
	echo "${version%%[+-]*}"
}

# What a built kernel depends on. Not the whole root: of that only what compiles it.
kernel_key()
{
	{
		base_version "$1"
		dpkg-query --admindir="$ROOT/var/lib/dpkg" -W gcc-14 binutils pahole
		fragments "$1"
		declare -f compile_kernel
	} | hash_text
}

# fragments NAME - the lines of its configuration, the last of the same name being good
fragments()
{
	local files=("$VMDIR/kernel.config" "$VMDIR/${1#*-}.config")

	[[ ! -e $VMDIR/${1%%-*}.config ]] || files+=("$VMDIR/${1%%-*}.config")
	[[ $1 != "$KERNEL_UML" ]] || files=("$VMDIR/uml.config")
	grep -hE '^(CONFIG_|# CONFIG_[A-Z0-9_]+ is not set)' "${files[@]}" |
		tac | awk '{ n = $0; sub("^# ", "", n); sub("[ =].*", "", n) } !seen[n]++' | tac
}

# Which of the archive's linux-source is the root's kernel; nothing if it went on meanwhile.
source_version()
{
	apt_of_root madison "linux-source-$1" |
		awk -F'|' -v v="$2" '{ gsub(" ", "", $2) } $2 ~ "^" v "[-+~]" { print $2; exit }'
}

# apt_of_root madison|update|download ARGS... - this machine's apt with the root's sources
apt_of_root()
{
	local apt=$TREES/apt command=$1
	local -a program=(apt-get)
	shift

	[[ $command != madison ]] || program=(apt-cache)
	"${program[@]}" -qq -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State="$apt" -o Dir::State::status=/dev/null -o Dir::Cache="$apt" \
		-o APT::Architecture=amd64 -o APT::Architectures=amd64 \
		-o APT::Sandbox::User=root "$command" "$@"
}

# fetch_source BASE VERSION - $TREES/source-BASE, of that version
fetch_source()
{
	local base=$1 version=$2 dir=$TREES/source-$1 exact log=$TREES/source-$1.log

	[[ $(cat "$dir/.costack" 2>/dev/null) != "$version" ]] || return 0
	say "fetching the source of $version"
	remove_tree "$dir" "$dir.new" "$TREES/apt"
	mkdir -p "$dir.new" "$TREES/apt/lists/partial" "$TREES/apt/archives/partial"
	root_sources "$(mirror_of Debian)" "$(mirror_of Debian-Security)" >"$TREES/apt/sources.list"
	apt_of_root update >"$log" 2>&1 ||
		die "cannot read the package lists: check the network (or http_proxy); log: $log"
	exact=$(source_version "$base" "$version")
	[[ -n $exact ]] ||
		die "the archive has no linux-source-$base of $version any more: '${0##*/} setup --fresh' takes newer kernels"
	(
		cd "$dir.new"
		apt_of_root download "linux-source-$base=$exact"
		dpkg-deb --fsys-tarfile ./*.deb | tar -xO --wildcards "./usr/src/linux-source-$base.tar.xz" |
			tar -xJ --strip-components=1
		rm -f ./*.deb
	) >>"$log" 2>&1 || {
		tail -n 5 "$log" >&2
		die "cannot unpack linux-source-$base $exact: log: $log"
	}
	echo "$version" >"$dir.new/.costack"
	mv "$dir.new" "$dir"
	remove_tree "$TREES/apt"
}

# compile_kernel NAME - in the root; what is left is what building modules and booting takes
compile_kernel()
{
	local source=/mnt/source-${1%%-*} out=/mnt/$1
	local -a targets=(ARCH=x86 vmlinux bzImage)

	set -e
	[[ ${1#*-} != uml ]] || targets=(ARCH=um vmlinux)
	# The release shall tell it from every other; whether a tree is git's does not matter.
	export KCONFIG_ALLCONFIG=$out/fragment KBUILD_BUILD_TIMESTAMP='' LOCALVERSION=
	make -s -C "$source" O="$out" "${targets[0]}" allnoconfig
	while IFS= read -r line; do
		grep -qxF -e "$line" "$out/.config" || [[ $line == *'is not set' ]] || {
			echo "not honoured: $line" >&2
			missing=y
		}
	done <"$out/fragment"
	[[ -z ${missing:-} ]]
	make -s -C "$source" O="$out" -j"$(nproc)" WERROR=0 "${targets[@]}" modules
	make -s -C "$source" O="$out" "${targets[0]}" INSTALL_MOD_PATH="$out/install" modules_install
	# 2 GB that nobody reads again.
	find "$out" -name '*.[oa]' -not -path "$out/scripts/*" -not -path "$out/tools/*" -delete
	rm -f "$out"/.tmp_* "$out/vmlinux.unstripped"
}

# make_kernel NAME - nothing when there is one
make_kernel()
{
	local name=$1 dir=$TREES/$1 base=${1%%-*} start=$SECONDS key free on

	key=$(kernel_key "$name")
	[[ $(cat "$dir/key" 2>/dev/null) != "$key" ]] || return 0
	mkdir -p "$TREES"
	lock "kernel-$base" 10 -x "the making of a kernel $base"
	if [[ $(cat "$dir/key" 2>/dev/null) == "$key" ]]; then
		unlock 10
		return
	fi
	free=$(df --output=avail -m "$TREES" | tail -n 1)
	((free >= KERNEL_MB)) ||
		die "only $free MB free in $TREES: a kernel needs $KERNEL_MB; free some or set COSTACK_CACHE to another disk"
	fetch_source "$base" "$(base_version "$name")"
	say "building kernel $name (7 to 10 minutes on two idle CPUs)"
	# Its paths are in it: it is made where it will be, and good when it has a key.
	remove_tree "$dir"
	mkdir "$dir"
	fragments "$name" >"$dir/fragment"
	in_root --kernels-rw "$dir" bash -c "$(declare -f compile_kernel); compile_kernel $name" \
		>"$dir.log" 2>&1 </dev/null || {
		grep -E 'not honoured|error|Error' "$dir.log" | tail -n 15 >&2
		die "kernel $name cannot be built: see $dir.log"
	}
	# What is to be off is absent or off; the rest was seen to before.
	on=$(sed -n 's/^# \(CONFIG_[A-Z0-9_]*\) is not set$/^\1=/p' "$dir/fragment" |
		grep -f - "$dir/.config") && die "kernel $name has what it should not: $on"
	echo "$key" >"$dir/key"
	unlock 10
	say "kernel $name built in $((SECONDS - start)) s"
}

# kernel_version NAME - the full version of a kernel
kernel_version()
{
	if is_built "$1"; then
		cat "$TREES/$1/include/config/kernel.release"
	else
		awk -v k="$1" '$1 == k { print $2 }' "$ROOT/etc/costack/kernels"
	fi
}

# need_kernel NAME - sets VERSION; a kernel that is built here is built now
need_kernel()
{
	! is_built "$1" || make_kernel "$1"
	VERSION=$(kernel_version "$1")
	[[ -n $VERSION ]] || die "no kernel $1 in the root: '${0##*/} list' shows them"
}

# kernel_image NAME
kernel_image()
{
	local version f

	version=$(kernel_version "$1")
	for f in "$ROOT/usr/lib/modules/$version/vmlinuz" "$ROOT/boot/vmlinuz-$version" \
		"$TREES/$1/arch/x86/boot/bzImage"; do
		if [[ -e $f ]]; then
			echo "$f"
			return
		fi
	done
	die "no image of kernel $1 ($version): run '${0##*/} setup --fresh'"
}

# kernel_kdir NAME - where modules are built against it, as builds see it
kernel_kdir()
{
	if is_built "$1"; then
		echo "/mnt/$1"
	else
		echo "/usr/lib/modules/$(kernel_version "$1")/build"
	fi
}
