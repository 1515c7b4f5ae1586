# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2016  # apt and mmdebstrap expand these, not this shell
#
# Makes the root: a plain directory with Debian trixie, the compilers and the
# kernels. Builds run in it by chroot and every guest has it as its read-only
# root, so that one compiler, libbpf and bpftool serve all kernels and the
# machine's own packages matter nowhere.

readonly SUITE=trixie
readonly ROOT_MB=6144
readonly HOST_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# What the machine itself must have; dpkg-dev and perl are for mmdebstrap's hook.
readonly HOST_PACKAGES=(
	busybox-static ca-certificates cpio debian-archive-keyring dpkg-dev git kmod
	make mmdebstrap perl rsync util-linux xz-utils
)

# Of each the newest package that the suites have is taken.
readonly KERNELS_KNOWN=(6.12 7.3)

readonly ROOT_PACKAGES=(
	# the module
	make gcc-14 gcc libc6-dev binutils flex bison bc lz4 cpio gawk xz-utils
	zstd perl kmod pahole
	# BPF and the tool
	clang-19 llvm-19 libclang-rt-19-dev libbpf-dev libelf-dev zlib1g-dev libjson-c-dev pkgconf
	bpftool/trixie-backports
	# tests
	bash bash-completion busybox-static ca-certificates curl ethtool
	groff-base iproute2 netcat-openbsd openssl procps python3 redis-server
	tcpdump
	# the guests: Debian 12's own QEMU 7.2 may go on running code that the
	# kernel has patched meanwhile (int3 oopses at boot, on a busy machine)
	qemu-system-x86 seabios
	# what costack is measured against, and its plots
	gnuplot-nox libboost-context-dev
	# checks of the source
	clang-format codespell rsync sparse
)

# Neither read nor needed by a test, and a third of the time to unpack.
readonly ROOT_EXCLUDE=(
	'/usr/share/doc/*' '/usr/share/info/*' '/usr/share/locale/*'
	'/usr/share/lintian/*'
)

# What the root depends on; comments and layout of this file are no part of it.
root_key()
{
	{
		printf '%s\n' "$SUITE" "${KERNELS_KNOWN[@]}" "${ROOT_PACKAGES[@]}" \
			"${ROOT_EXCLUDE[@]}"
		declare -f make_root
		cat "$VMDIR/kernels.hook"
	} | hash_text
}

root_stamp() { cat "$ROOT/etc/costack/key" 2>/dev/null || true; }

root_is_good() { [[ $(root_stamp) == "$(root_key)" ]]; }

need_debian()
{
	local id=

	[[ -r /etc/os-release ]] && id=$(. /etc/os-release && echo "${ID:-}")
	[[ $id == debian ]] ||
		die "this machine is not Debian (ID=${id:-unknown}): the laboratory takes its packages from the machine's Debian mirror"
	[[ $(dpkg --print-architecture) == amd64 ]] ||
		die "this machine is not amd64: the guests and the module are x86-64 only"
}

missing_host_packages()
{
	local p

	for p in "${HOST_PACKAGES[@]}"; do
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) == installed ]] ||
			echo "$p"
	done
	# Older keyrings of Debian 12 cannot verify trixie.
	[[ -e ${HOST_KEYRING%keyring.gpg}trixie-stable.gpg ]] || [[ -e ${HOST_KEYRING%.gpg}.pgp ]] ||
		echo debian-archive-keyring
}

# The archives of the machine's own apt sources, as apt itself understands
# them: $1 is the label (Debian or Debian-Security).
mirror_of()
{
	local uri

	uri=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' \
			'Created-By: Packages' 2>/dev/null |
		awk -F'|' -v l="$1" '$1 == "Debian" && $2 == l { print $3; exit }')
	# A list of mirrors is a file of the machine; its first line will do.
	if [[ $uri == mirror+file:* ]]; then
		uri=${uri#mirror+file:}
		uri=/${uri#"${uri%%[!/]*}"}
		uri=$(awk '!/^#/ && NF { print $1; exit }' "${uri%/}")
	fi
	printf '%s\n' "${uri%/}"
}

install_host_packages()
{
	local missing log=$CACHE/setup.log

	mapfile -t missing < <(missing_host_packages | sort -u)
	if [[ ${#missing[@]} -eq 0 && -n $(mirror_of Debian) ]]; then
		return
	fi
	say "reading the machine's package lists"
	# A source of somebody else that fails is none of our business.
	apt-get update >"$log" 2>&1 || true
	[[ -n $(mirror_of Debian) ]] ||
		die "no Debian mirror of this machine's apt sources can be reached: check the network (or http_proxy), then 'apt-get update'; log: $log"
	[[ ${#missing[@]} -gt 0 ]] || return 0
	say "installing ${missing[*]}"
	DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
		"${missing[@]}" >>"$log" 2>&1 </dev/null || {
		tail -n 5 "$log" >&2
		die "cannot install ${missing[*]}: see $log; 'apt-get install ${missing[*]}' must work on this machine"
	}
	[[ -z $(missing_host_packages) ]] ||
		die "still missing after installing: $(missing_host_packages | xargs): 'apt-get install' them by hand"
}

# root_sources MIRROR SECURITY-MIRROR - the lines for apt
root_sources()
{
	local key="[signed-by=$HOST_KEYRING]"

	echo "deb $key $1 $SUITE main"
	echo "deb $key $1 $SUITE-updates main"
	echo "deb $key $1 $SUITE-backports main"
	[[ -z $2 ]] || echo "deb $key $2 $SUITE-security main"
}

# make_root DIRECTORY MIRROR SECURITY-MIRROR
make_root()
{
	local dir=$1 mirror=$2 security=$3 p
	local proxy=
	local -a args=(
		--mode=root --variant=minbase --format=directory --architectures=amd64
		--hook-dir=/usr/share/mmdebstrap/hooks/eatmydata
		--dpkgopt=force-unsafe-io --dpkgopt=force-confold
		--aptopt='Apt::Install-Recommends "false"'
		# An initramfs of the root's kernels is never used and takes a minute.
		--essential-hook='mkdir -p "$1/etc/initramfs-tools" && echo update_initramfs=no >"$1/etc/initramfs-tools/update-initramfs.conf"'
		--customize-hook="$VMDIR/kernels.hook"
		--customize-hook='mkdir -p "$1/costack" "$1/out" && rm -f "$1/etc/resolv.conf" "$1/etc/apt/sources.list" && echo costack >"$1/etc/hostname"'
		--include="$(IFS=,; echo "${ROOT_PACKAGES[*]}")"
	)

	for p in "${ROOT_EXCLUDE[@]}"; do
		args+=(--dpkgopt="path-exclude=$p")
	done
	while IFS= read -r p; do
		args+=(--aptopt="$p")
	done < <(apt-config dump |
		grep -E '^Acquire::(https?::.*|Retries|Check-Valid-Until|Check-Date|ForceIPv[46]) "..*";$')

	# mmdebstrap's own downloads know of a proxy by the environment alone.
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	[[ -z $proxy || $proxy == DIRECT ]] || export http_proxy=$proxy

	root_sources "$mirror" "$security" | VM_KERNELS="${KERNELS_KNOWN[*]}" SOURCE_DATE_EPOCH=0 \
		mmdebstrap "${args[@]}" "$SUITE" "$dir" -
}

explain_setup_failure()
{
	local log=$1 mirror=$2

	if grep -q 'No space left' "$log"; then
		die "the disk of $CACHE is full: free $((ROOT_MB / 1024)) GB or set COSTACK_CACHE to another disk; log: $log"
	elif grep -qE 'Failed to fetch|Could not (resolve|connect)|Unable to connect|Temporary failure|Connection (refused|timed out|failed)' "$log"; then
		die "cannot fetch packages from $mirror: check the network (or http_proxy) and that this mirror has $SUITE; log: $log"
	fi
	tail -n 15 "$log" >&2
	die "making the root failed: see $log, then run setup again"
}

# setup_root [--fresh]
setup_root()
{
	local new mirror security free log=$CACHE/setup.log start=$SECONDS

	need_root
	need_cache
	if [[ ${1:-} != --fresh ]] && root_is_good && [[ -z $(missing_host_packages) ]]; then
		return
	fi
	need_debian
	lock setup 8 -x "the setup"
	install_host_packages
	# What an interrupted run left: never taken for good, only in the way.
	remove_tree "$CACHE"/root.new.* "$CACHE"/root.old.*
	# Another run may have made it while this one waited.
	if [[ ${1:-} != --fresh ]] && root_is_good; then
		unlock 8
		return
	fi
	free=$(df --output=avail -m "$CACHE" | tail -n 1)
	((free >= ROOT_MB)) ||
		die "only $((free)) MB free in $CACHE: the root and its builds need $ROOT_MB; free some or set COSTACK_CACHE to another disk"
	mirror=$(mirror_of Debian)
	security=$(mirror_of Debian-Security)
	[[ -n $security ]] ||
		say "note: this machine has no source of security updates, nor will the root"

	say "making the $SUITE root with kernels ${KERNELS_KNOWN[*]} (one to three minutes)"
	new=$(mktemp -d "$CACHE/root.new.XXXXXX")
	leashed bash -c 'set -euo pipefail; . "$1/lib.sh"; . "$1/root.sh"; make_root "$2" "$3" "$4"' \
		- "$VMDIR" "$new" "$mirror" "$security" >"$log" 2>&1 </dev/null ||
		explain_setup_failure "$log" "$mirror"
	root_key >"$new/etc/costack/key"
	chmod 755 "$new"

	# Guests and builds hold this lock shared while they use the root.
	lock root 7 -x "the root"
	if [[ -e $ROOT ]]; then
		mv -T "$ROOT" "$CACHE/root.old.$$"
	fi
	mv -T "$new" "$ROOT"
	ln -sfn root/etc/costack/kernels "$CACHE/kernels"
	unlock 7
	remove_tree "$CACHE/root.old.$$"
	unlock 8
	say "root made in $((SECONDS - start)) s: $(tr '\n' ' ' <"$ROOT/etc/costack/kernels")"
}
