#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The small examples do what their first lines say: fib, execs, accepts.
set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$selftests/.." || exit 1
tool=user/costack
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"; unload' EXIT

# clean NAME - unload leaves no coroutine, no stack and no type
clean()
{
	local tries

	"$tool" prog unload "$1" || return
	for ((tries = 0; tries < 100; tries++)); do
		[[ $(stat_of live) -eq 0 && $(wc -l <"$DEBUGFS/coroutines") -eq 3 ]] && return
		sleep 0.1
	done
	cat "$DEBUGFS/coroutines"
	return 1
}

stat_of() { awk -v k="$1:" '$1 == k { print $2 }' "$DEBUGFS/stats"; }

fib()
{
	local got want="0 1 1 2 3 5 8 13 21 34"

	"$tool" prog load bpf/fib.bpf.o dev lo || return
	python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(20):
    s.sendto(b"x", ("127.0.0.1", 9))'
	sleep 0.2
	got=$(bpftool -j map dump name fib.bss | python3 -c '
import json, sys
def find(x):
    if isinstance(x, dict):
        for k, v in x.items():
            if k == "numbers":
                return v
            if find(v):
                return find(v)
    if isinstance(x, list):
        for v in x:
            if find(v):
                return find(v)
print(*find(json.load(sys.stdin))[:10])')
	echo "numbers: $got"
	[[ $got == "$want" ]]
}

execs()
{
	local i

	"$tool" prog load bpf/execs.bpf.o || return
	"$tool" -j prog follow execs >"$tmp/execs" &
	sleep 1
	for i in 3 0 7; do
		bash -c "exec /bin/bash -c 'exit $i'"
	done
	for ((i = 0; i < 100; i++)); do
		[[ $(grep -c '"text":"/bin/bash"' "$tmp/execs") -ge 3 ]] && break
		sleep 0.1
	done
	kill %%
	cat "$tmp/execs"
	# As wait(2) has it: the exit status is in the second byte.
	python3 - "$tmp/execs" <<-'END'
	import json, sys
	got = [json.loads(line) for line in open(sys.argv[1])]
	status = [e["status"] >> 8 for e in got if e["text"] == "/bin/bash"]
	sys.exit(status[:3] != [3, 0, 7] or any(e["duration_ns"] <= 0 for e in got))
	END
}

sleepable() { awk '$1 == "sleepable" && $2 + $3 + $4 > 0 { found = 1 } END { exit !found }' "$DEBUGFS/contexts"; }

accepts()
{
	"$tool" prog load bpf/accepts.bpf.o dev lo || return
	"$tool" -j prog follow accepts >"$tmp/accepts" &
	sleep 1
	python3 - <<-'END'
	import socket, time
	for family, address, listen, port in ((socket.AF_INET, "127.0.0.1", "127.0.0.1", 4242),
	                                      (socket.AF_INET6, "::1", "::1", 4243),
	                                      (socket.AF_INET6, "127.0.0.1", "::", 4244)):
	    server = socket.socket(family)
	    server.bind((listen, port))
	    server.listen()
	    client = socket.create_connection((address, port))
	    time.sleep(0.3)
	    server.accept()[0].close()
	    client.close()
	    server.close()
	    time.sleep(0.1)
	END
	sleep 0.5
	kill %%
	cat "$tmp/accepts"
	# All three, and all waited a fifth of a second and more to be accepted.
	python3 - "$tmp/accepts" <<-'END'
	import json, re, sys
	got = [json.loads(line) for line in open(sys.argv[1])]
	waited = [int(re.search(r"waited (\d+) us", e["text"])[1]) for e in got if e["dport"] // 10 == 424]
	sys.exit(len(waited) != 3 or min(waited) < 200000)
	END
}

ktap_begin
check "the module loads" load
check "fib: a number with each packet" fib
check "fib: unload leaves nothing" clean fib
if grep -qw bpf /sys/kernel/security/lsm 2>/dev/null || { mount -t securityfs s /sys/kernel/security && grep -qw bpf /sys/kernel/security/lsm; }; then
	check "execs: names, status and times of programs" execs
	check "execs: spawned where one may sleep" sleepable
	check "execs: unload leaves nothing" clean execs
else
	skip "execs" "the BPF LSM is not active"
fi
check "accepts: from a softirq to the server's process, IPv4 and IPv6" accepts
check "accepts: unload leaves nothing" clean accepts
ktap_end
