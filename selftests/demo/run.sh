#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What `make run` starts in the guest, in the built tree: loads the module and the
# TLS example, bpf/sni.bpf.o, on one end of a veth pair, lets real clients connect from
# the other end with their ClientHello cut up in many ways, and compares the names that
# the example's coroutines report with those asked for: all of them, once each, and
# nothing else. Then the module's figures. Exit 0 when all is as it should be.
set -uo pipefail

readonly PORT=443 STEADY=100
readonly V4=10.42.0.1 V6=fd42::1
tmp=$(mktemp -d)
tool=user/costack
ok=1

wrong() {
	echo "WRONG: $*"
	ok=0
}

die() {
	echo "demo: $*" >&2
	exit 1
}

stat_of() { awk -v k="$1:" '$1 == k { print $2 }' /sys/kernel/debug/costack/stats; }

client() { ip netns exec client timeout 60 "$@"; }

# The server announces this segment size to its clients.
set_mss() {
	ip route replace 10.42.0.2/32 dev tls0 advmss "$1"
	ip -6 route replace fd42::2/128 dev tls0 advmss "$1"
}

# ask WHAT NAME ADDRESS ARGUMENTS...: one connection, noted as expected
ask() {
	local what=$1 name=$2 address=$3 bracketed=$3
	shift 3

	[[ $address != *:* ]] || bracketed="[$address]"
	case $what in
	curl)
		client curl -sk -o /dev/null --resolve "$name:$PORT:$bracketed" "$@" \
			"https://$name:$PORT/"
		;;
	openssl)
		client openssl s_client -connect "$bracketed:$PORT" -servername "$name" "$@" \
			</dev/null >/dev/null 2>&1
		;;
	esac || wrong "$what cannot connect to $name at $address"
	printf '%s %s\n' "$name" "$what" >>"$tmp/asked"
}

# split ADDRESS NAME PIECES [NAME PIECES]...: the same for many, by one process
split() {
	local address=$1
	shift

	client python3 selftests/demo/split.py "$address" "$PORT" "$@" ||
		wrong "python cannot connect to all of $* at $address"
	while (($#)); do
		printf '%s python\n' "$1" >>"$tmp/asked"
		shift 2
	done
}

wait_for_events() {
	local tries

	for ((tries = 0; tries < 100; tries++)); do
		[[ $(wc -l <"$tmp/events") -ge $1 ]] && return
		sleep 0.1
	done
}

network() {
	ip netns add client
	ip link add tls0 type veth peer name tls1 netns client
	ip addr add $V4/24 dev tls0
	ip addr add $V6/64 dev tls0 nodad
	ip link set tls0 up
	ip -n client addr add 10.42.0.2/24 dev tls1
	ip -n client addr add fd42::2/64 dev tls1 nodad
	ip -n client link set tls1 up
	ip -n client link set lo up
	# Segments on the wire, not the large ones that hardware would cut up.
	ethtool -K tls0 tso off gso off gro off >/dev/null
	ip netns exec client ethtool -K tls1 tso off gso off gro off >/dev/null
}

server() {
	local tries v

	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=demo \
		-days 2 -keyout "$tmp/key" -out "$tmp/cert" 2>/dev/null || die "no certificate"
	for v in 4 6; do
		openssl s_server "-$v" -accept $PORT -key "$tmp/key" -cert "$tmp/cert" -www \
			-quiet >"$tmp/server.log" 2>&1 &
	done
	for ((tries = 0; tries < 100; tries++)); do
		[[ $(ss -Hltn "sport = :$PORT" | wc -l) -eq 2 ]] && return
		sleep 0.1
	done
	die "the TLS server does not listen: $(cat "$tmp/server.log")"
}

connections() {
	local address v pieces words

	for v in 4 6; do
		address=$V4
		[[ $v == 4 ]] || address=$V6
		set_mss 1400
		ask curl "curl-whole-v$v.example" $address --curves X25519
		ask openssl "openssl-whole-v$v.example" $address -groups X25519
		# The default of today: a post-quantum key share.
		ask curl "curl-postquantum-v$v.example" $address
		set_mss 600
		ask curl "curl-mss600-v$v.example" $address
		ask openssl "openssl-mss600-v$v.example" $address
		set_mss 250
		ask curl "curl-mss250-v$v.example" $address
		set_mss 120
		ask openssl "openssl-mss120-v$v.example" $address
		set_mss 1400
		words=()
		for pieces in 1 2 3 5 17 60; do
			words+=("python-$pieces-pieces-v$v.example" "$pieces")
		done
		split $address "${words[@]}"
	done
}

report() {
	python3 selftests/demo/segments.py "$tmp/capture" $PORT >"$tmp/segments"
	python3 - "$tmp/asked" "$tmp/events" "$tmp/segments" <<'END'
import json, sys

asked = [line.split() for line in open(sys.argv[1])]
events = [json.loads(line) for line in open(sys.argv[2])]
segments = {tuple(line.split()[:2]): int(line.split()[2]) for line in open(sys.argv[3])}
found = {}
ok = True
for event in events:
    if event["text"] in found:
        print("WRONG: reported twice:", event["text"])
        ok = False
    found[event["text"]] = event
print("%-8s %-4s %8s %6s  %s" % ("client", "IP", "segments", "needed", "server name found"))
cut = {4: set(), 6: set()}
for name, what in asked:
    event = found.pop(name, None)
    version = 6 if "-v6" in name else 4
    if not event:
        print("%-8s v%d   WRONG: not found: %s" % (what, version, name))
        ok = False
        continue
    count = segments.get((event["src"], str(event["sport"])), 0)
    cut[version].add(min(count, 5))
    print("%-8s v%d   %8d %6d  %s" % (what, version, count, event["packets"], event["text"]))
for name in found:
    print("WRONG: reported, but never asked for:", name)
    ok = False
for version, segments in cut.items():
    if not {1, 2, 3, 5} <= segments:
        print("WRONG: over IPv%d no ClientHello in 1, 2, 3 and 5+ segments: %s"
              % (version, sorted(segments)))
        ok = False
print("%d connections, %d names. segments: of the ClientHello, by a capture; needed: until "
      "the name was there" % (len(asked), len(events)))
sys.exit(not ok)
END
}

# The same thing over and over: how much of the memory is used again?
steady() {
	local hits misses number missing=0 words=()

	hits=$(stat_of hits)
	misses=$(stat_of misses)
	# So many pieces that the name comes in two, and the coroutine waits between them.
	for ((number = 0; number < STEADY; number++)); do
		words+=("steady-$number.example" 10)
	done
	split $V4 "${words[@]}"
	wait_for_events "$(wc -l <"$tmp/asked")"
	for ((number = 0; number < STEADY; number++)); do
		grep -q "\"steady-$number.example\"" "$tmp/events" || missing=$((missing + 1))
	done
	((!missing)) || wrong "$missing names of the steady connections were not found"
	hits=$(($(stat_of hits) - hits))
	misses=$(($(stat_of misses) - misses))
	echo "$STEADY more connections: $hits coroutines from the pool, $misses not," \
		"reuse $((100 * hits / (hits + misses + !(hits + misses)))) %"
	((hits >= STEADY && 100 * hits > 95 * (hits + misses))) || wrong "reuse is not over 95 %"
}

insmod kmod/costack.ko || die "cannot load the module"
$tool status >"$tmp/status" || die "$(cat "$tmp/status")"
network
server
$tool prog load bpf/sni.bpf.o dev tls0 || die "cannot load the example"
: >"$tmp/events"
$tool -j prog follow sni >"$tmp/events" &
follower=$!

tcpdump -q -i tls0 -U --immediate-mode -w "$tmp/capture" tcp >/dev/null 2>"$tmp/tcpdump.log" &
capture=$!
until [[ -s $tmp/capture ]]; do
	kill -0 $capture 2>/dev/null || die "tcpdump: $(cat "$tmp/tcpdump.log")"
	sleep 0.1
done
: >"$tmp/asked"
connections
wait_for_events "$(wc -l <"$tmp/asked")"
kill "$capture"
wait "$capture"
echo
report || ok=0
echo
steady
sleep 0.3
[[ $(wc -l <"$tmp/events") -eq $(wc -l <"$tmp/asked") ]] ||
	wrong "$(wc -l <"$tmp/events") events for $(wc -l <"$tmp/asked") connections"
kill "$follower"
wait "$follower"
echo
echo "# $tool prog list"
$tool prog list
for file in stats classes contexts depth; do
	printf '\n# /sys/kernel/debug/costack/%s\n' $file
	column -t -s ' ' "/sys/kernel/debug/costack/$file" 2>/dev/null ||
		cat "/sys/kernel/debug/costack/$file"
done
$tool prog unload sni || wrong "cannot unload the example"
for ((tries = 0; tries < 50; tries++)); do
	[[ $(stat_of live) -eq 0 ]] && break
	sleep 0.1
done
echo
[[ $(stat_of live) -eq 0 ]] || wrong "$(stat_of live) stacks are still held after unload"
(($(stat_of live) + $(stat_of cached) == $(stat_of obtained) - $(stat_of returned))) ||
	wrong "live + cached is not obtained - returned"
rmmod costack || wrong "cannot unload the module"
rm -rf "$tmp"
if ((ok)); then
	echo "All server names found, each once, and nothing else."
	exit 0
fi
echo "Something is wrong, see above."
exit 1
