#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bpf/sni.bpf.o against what a network can do to it: demo/adverse.py sends it.
set -euo pipefail
shopt -s lastpipe

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

top=$selftests/..
costack=$top/user/costack
pins=/sys/fs/bpf/costack/sni
swap=/sys/fs/bpf/costack-sni-swap
tmp=
follower=

cleanup()
{
	[[ -z $follower ]] || kill -CONT "$follower" 2>/dev/null || true
	[[ -z $follower ]] || kill "$follower" 2>/dev/null || true
	rm -f "$swap"
	[[ ! -e $pins ]] || "$costack" prog unload sni || true
	ip link del sni0 2>/dev/null || true
	ip tuntap del snitun mode tun 2>/dev/null || true
	[[ -z $tmp ]] || rm -rf "$tmp"
	unload || true
}

# live_is_0 - stacks in a map that is gone are released a moment later
live_is_0()
{
	local i

	for ((i = 0; i < 500; i++)); do
		[[ $(stat_of live) != 0 ]] || return 0
		sleep 0.02
	done
	cat "$DEBUGFS/stats"
	return 1
}

ktap_begin
if [[ ! -x $costack || ! -e $top/bpf/sni.bpf.o || ! -e $OUTPUT/sni_swap.bpf.o ]]; then
	echo "1..0 # SKIP not built: make, then make selftests"
	exit 4
fi
trap cleanup EXIT
tmp=$(mktemp -d)

# play PARAMETER... [-- MODE] - the module with these parameters, the program at work,
# and what adverse.py has against it
play()
{
	local line mode=()

	if [[ ${*: -2:1} == -- ]]; then
		mode=("${*: -1}")
		set -- "${@:1:$#-2}"
	fi
	unload
	load "$@"
	"$costack" prog load "$top/bpf/sni.bpf.o" dev sni0 dev snitun dev lo >/dev/null
	bpftool prog load "$OUTPUT/sni_swap.bpf.o" $swap map name flows pinned $pins/maps/flows
	: >"$tmp/events"
	"$costack" -j prog follow sni >"$tmp/events" &
	follower=$!
	python3 -B "$selftests/demo/adverse.py" sni1 snitun $pins $swap "$tmp/events" $follower \
		"${mode[@]}" 2>&1 | while IFS= read -r line; do
		case $line in
		"ok "*) ok "${line#ok }" ;;
		"not ok "*) not_ok "${line#not ok }" ;;
		*) echo "# ${line#\# }" ;;
		esac
	done || not_ok "adverse.py ${mode[*]} was run to its end"
	kill "$follower"
	wait "$follower" || true
	follower=
	rm "$swap"
	check "unload" "$costack" prog unload sni
	check "no stack is left" live_is_0
}

# IPv6 off: what the kernel says of itself there is not for us.
ip link add sni0 type veth peer name sni1
ip link set sni0 mtu 65535 addrgenmode none
ip link set sni1 mtu 65535 addrgenmode none
ip link set sni0 up
ip link set sni1 up
modprobe tun
ip tuntap add snitun mode tun

play
# 1 MB, all of it for stacks of 32 KB.
play limit_mb=1 guard_reserve=0 reserve=0,0,0,0,0,0,0,0 -- scarce
ktap_end
