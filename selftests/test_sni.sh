#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bpf/sni.bpf.o, sni_frames.bpf.o and sni_plain.bpf.o against what a network can do to
# them: demo/adverse.py sends it.
set -euo pipefail
shopt -s lastpipe

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

top=$selftests/..
costack=$top/user/costack
pins=/sys/fs/bpf/costack
swap=/sys/fs/bpf/costack-sni-swap
tmp=
follower=

cleanup()
{
	[[ -z $follower ]] || kill -CONT "$follower" 2>/dev/null || true
	[[ -z $follower ]] || kill "$follower" 2>/dev/null || true
	rm -rf "$swap"
	for version in sni sni_frames sni_plain; do
		[[ ! -e $pins/$version ]] || "$costack" prog unload "$version" || true
	done
	ip link del sni0 2>/dev/null || true
	ip tuntap del snitun mode tun 2>/dev/null || true
	[[ -z $tmp ]] || rm -rf "$tmp"
	unload || true
}

ktap_begin
if [[ ! -x $costack || ! -e $top/bpf/sni.bpf.o || ! -e $OUTPUT/sni_swap.bpf.o ]]; then
	echo "1..0 # SKIP not built: make, then make selftests"
	exit 4
fi
trap cleanup EXIT
tmp=$(mktemp -d)

# play VERSION PARAMETER... [-- MODE] - the module with these parameters, the program at
# work, and what adverse.py has against it
play()
{
	local version=$1 line mode=()
	shift

	if [[ ${*: -2:1} == -- ]]; then
		mode=("${*: -1}")
		set -- "${@:1:$#-2}"
	fi
	unload
	load "$@"
	"$costack" prog load "$top/bpf/$version.bpf.o" dev sni0 dev snitun dev lo >/dev/null
	[[ $version == sni_plain ]] ||
		bpftool prog loadall "$OUTPUT/sni_swap.bpf.o" $swap \
			map name "${version}_flows" pinned "$pins/$version/maps/flows"
	: >"$tmp/events"
	"$costack" -j prog follow "$version" >"$tmp/events" &
	follower=$!
	python3 -B "$selftests/demo/adverse.py" "$version" sni1 snitun "$pins/$version" $swap \
		"$tmp/events" $follower "${mode[@]}" 2>&1 | while IFS= read -r line; do
		case $line in
		"ok "*) ok "$version: ${line#ok }" ;;
		"not ok "*) not_ok "$version: ${line#not ok }" ;;
		*) echo "# ${line#\# }" ;;
		esac
	done || not_ok "$version: adverse.py ${mode[*]} was run to its end"
	kill "$follower"
	wait "$follower" || true
	follower=
	rm -rf "$swap"
	check "$version: unload" "$costack" prog unload "$version"
	check "$version: no stack is left" live_is_0
}

# IPv6 off: what the kernel says of itself there is not for us.
ip link add sni0 type veth peer name sni1
ip link set sni0 mtu 65535 addrgenmode none
ip link set sni1 mtu 65535 addrgenmode none
ip link set sni0 up
ip link set sni1 up
modprobe tun
ip tuntap add snitun mode tun

# 1 MB, all of it for what the program takes.
scarce=(limit_mb=1 guard_reserve=0 co_reserve=0 "reserve=0,0,0,0,0,0,0,0" -- scarce)
play sni
play sni "${scarce[@]}"
play sni_frames
play sni_frames "${scarce[@]}"
play sni_plain
ktap_end
