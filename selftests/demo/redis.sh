#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# redis.sh [SEED] - loads the module and the Redis example on one end of a veth pair,
# where an unmodified redis-server listens, and lets clients work from the other end:
# redis-benchmark with and without pipelining, with large values, in RESP2 and RESP3, and
# redis.py, which does what clients do and what they should not. Then compares what the
# example counted with what the server counted itself (INFO commandstats): equal for every
# command. Exit 0 when all is as it should be.
set -uo pipefail

readonly PORT=6379
readonly V4=10.43.0.1 V6=fd43::1
readonly PINS=/sys/fs/bpf/costack/resp
readonly CONNECTIONS=${CONNECTIONS:-30}
tmp=$(mktemp -d)
tool=user/costack
ok=1
server=

wrong() {
	echo "WRONG: $*"
	ok=0
}

die() {
	echo "redis: $*" >&2
	exit 1
}

cleanup() {
	[[ -z $server ]] || kill "$server" 2>/dev/null
	[[ ! -e $PINS ]] || $tool prog unload resp
	ip link del redis0 2>/dev/null
	ip netns del redis 2>/dev/null
	rm -rf "$tmp"
}

stat_of() { awk -v k="$1:" '$1 == k { print $2 }' /sys/kernel/debug/costack/stats; }

entries() { bpftool -j map dump pinned $PINS/maps/"$1" | python3 -c 'import json, sys
print(len(json.load(sys.stdin)))'; }

network() {
	ip netns add redis
	ip link add redis0 type veth peer name redis1 netns redis
	ip addr add $V4/24 dev redis0
	ip addr add $V6/64 dev redis0 nodad
	ip link set redis0 up
	ip -n redis addr add 10.43.0.2/24 dev redis1
	ip -n redis addr add 10.43.0.3/24 dev redis1
	ip -n redis addr add fd43::2/64 dev redis1 nodad
	ip -n redis link set redis1 up
	ip -n redis link set lo up
}

# Segmentation offload: packets of 64 KB, or each as on a wire.
offload() {
	ethtool -K redis0 tso "$1" gso "$1" >/dev/null
	ip netns exec redis ethtool -K redis1 tso "$1" gso "$1" >/dev/null
}

server() {
	local tries

	redis-server --port $PORT --bind $V4 $V6 --protected-mode no --save '' \
		--unixsocket "$tmp/socket" --enable-debug-command yes --dir "$tmp" \
		>"$tmp/server.log" 2>&1 &
	server=$!
	for ((tries = 0; tries < 100; tries++)); do
		grep -q 'Ready to accept' "$tmp/server.log" && return
		sleep 0.1
	done
	die "redis-server does not listen: $(cat "$tmp/server.log")"
}

# benchmark ADDRESS ARGUMENTS... - counts are multiples of what is in the pipeline, so
# that no reply is left unread
benchmark() {
	echo "redis-benchmark -h $*"
	ip netns exec redis timeout 120 redis-benchmark -p $PORT -q --csv -h "$@" \
		>"$tmp/benchmark" 2>&1 || wrong "redis-benchmark: $(cat "$tmp/benchmark")"
}

random_client() {
	ip netns exec redis timeout 120 python3 -B selftests/demo/redis.py $V4,$V6 $PORT "$@" ||
		wrong "the random client failed"
}

# A coroutine whose connection has ended is cancelled a moment later.
wait_for_none() {
	local tries

	for ((tries = 0; tries < 50; tries++)); do
		[[ $(entries streams) -eq 0 && $(entries pending) -eq 0 ]] && return
		sleep 0.1
	done
	wrong "$(entries streams) streams and $(entries pending) commands are left"
}

trap cleanup EXIT
insmod kmod/costack.ko || die "cannot load the module"
network
server
$tool prog load bpf/resp.bpf.o dev redis0 || die "cannot load the example"
python3 -B selftests/demo/resp.py reset "$tmp/socket" >/dev/null ||
	die "no answer from redis-server"

benchmark $V4 -c 10 -n 100
benchmark $V6 -c 10 -n 160 -P 16 -t set,get,incr,lpush,lpop,sadd,hset,mset -3
benchmark $V4 -c 4 -n 40 -d 100000 -t set,get,lpush,rpop
offload off
benchmark $V6 -c 4 -n 32 -d 100000 -P 4 -t set,get -3
random_client "$CONNECTIONS" "$@"
offload on
random_client "$CONNECTIONS" "$@"
wait_for_none
echo
python3 -B selftests/demo/resp.py compare "$tmp/socket" $PINS || ok=0
echo
grep ^co_ /sys/kernel/debug/costack/stats
$tool prog unload resp || wrong "cannot unload the example"
for ((tries = 0; tries < 50; tries++)); do
	[[ $(stat_of live) -eq 0 ]] && break
	sleep 0.1
done
[[ $(stat_of live) -eq 0 ]] || wrong "$(stat_of live) stacks are still held after unload"
rmmod costack || wrong "cannot unload the module"
if ((ok)); then
	echo "Every command is counted as the server counts it."
	exit 0
fi
echo "Something is wrong, see above."
exit 1
