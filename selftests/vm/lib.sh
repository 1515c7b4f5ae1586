# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034  # used by those who source this
#
# Common to all parts of the laboratory: messages, the cache, locks, children.

CACHE=${COSTACK_CACHE:-/var/cache/costack}
ROOT=$CACHE/root

# Statuses of the laboratory itself. Those of a command run in a guest are
# passed through, so these lie where commands seldom go.
readonly EX_USAGE=2
readonly EX_LAB=120

say() { printf 'vm: %s\n' "$*" >&2; }

die()
{
	printf 'vm: error: %s\n' "$*" >&2
	exit "$EX_LAB"
}

usage_error()
{
	printf "vm: %s; try '%s help'\n" "$*" "${0##*/}" >&2
	exit "$EX_USAGE"
}

need_root()
{
	[[ $EUID -eq 0 ]] || die "must run as root (chroot, mounts and 9p shares need it): try sudo"
}

need_cache()
{
	[[ $CACHE == /* ]] || die "COSTACK_CACHE must be an absolute path, not '$CACHE'"
	mkdir -p "$CACHE/lock" || die "cannot write to $CACHE: set COSTACK_CACHE to a directory with 6 GB free"
}

# lock NAME FD MODE WHAT - take the lock until the script ends or FD is closed.
# A lock dies with its holders, so an interrupted run never leaves one behind.
lock()
{
	local name=$1 fd=$2 mode=$3 what=$4

	eval "exec $fd>>\"\$CACHE/lock/\$name\""
	if ! flock "$mode" -n "$fd"; then
		say "another run has $what: waiting for it"
		flock "$mode" "$fd"
	fi
}

unlock() { eval "exec $1>&-"; }

# A child with all its descendants in a PID namespace of its own: they end when
# this script ends, by whatever signal, and so never write behind its back.
leashed()
{
	setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL \
		--mount-proc -- "$@"
}

hash_text() { sha256sum | cut -c1-16; }

# Deletes below the cache alone, and never through a mount: rm's own check knows
# a bind mount of the same file system from nothing.
remove_tree()
{
	local path

	for path in "$@"; do
		[[ $path == "$CACHE"/?* ]] || die "will not delete $path: it is not in the cache"
		if cut -d' ' -f5 /proc/self/mountinfo | grep -qF -e "$(realpath -m "$path")/"; then
			die "something is mounted below $path: unmount it, then run this again"
		fi
		rm -rf --one-file-system -- "$path"
	done
}
