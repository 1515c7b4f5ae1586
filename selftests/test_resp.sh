#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bpf/resp.bpf.c: against connections that demo/resp_adverse.py makes up, and against what
# a real server counts itself, which is the demonstration.
set -euo pipefail
shopt -s lastpipe

# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$selftests/.."

costack=user/costack
pins=/sys/fs/bpf/costack/resp

cleanup()
{
	[[ ! -e $pins ]] || "$costack" prog unload resp || true
	ip link del resp0 2>/dev/null || true
	unload || true
}

ktap_begin
if [[ ! -x $costack || ! -e bpf/resp.bpf.o ]]; then
	echo "1..0 # SKIP not built: make"
	exit 4
fi
trap cleanup EXIT
unload
insmod "$KO"
# IPv6 off: what the kernel says of itself there is not for us.
ip link add resp0 type veth peer name resp1
ip link set resp0 mtu 65535 addrgenmode none
ip link set resp1 mtu 65535 addrgenmode none
ip link set resp0 up
ip link set resp1 up
"$costack" prog load bpf/resp.bpf.o dev resp0 >/dev/null
python3 -B selftests/demo/resp_adverse.py resp1 $pins 2>&1 | while IFS= read -r line; do
	case $line in
	"ok "*) ok "${line#ok }" ;;
	"not ok "*) not_ok "${line#not ok }" ;;
	*) echo "# ${line#\# }" ;;
	esac
done || not_ok "resp_adverse.py was run to its end"
check "unload" "$costack" prog unload resp
check "no stack is left" live_is_0
ip link del resp0
unload
name="a server's INFO commandstats is the same for each command"
if command -v redis-server redis-benchmark >/dev/null; then
	check "$name" selftests/demo/redis.sh
else
	skip "$name" "no redis-server"
fi
ktap_end
