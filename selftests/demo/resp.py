# SPDX-License-Identifier: GPL-2.0
"""What Redis counts, what resp.bpf.o counts, and whether that is the same.

resp.py reset SOCKET: clear the counters of the server that listens there.
resp.py compare SOCKET PINS: print both side by side; PINS is the directory below which
the program is pinned. Exit status 0 if they are equal.

The server is asked over a Unix socket, where nobody listens in."""
import ipaddress
import json
import re
import socket
import struct
import subprocess
import sys
import time

FIELDS = ("calls", "rejected_calls", "failed_calls")
# What "reset" leaves behind, which resp.bpf.o cannot have seen.
OWN = {"config|resetstat": (1, 0, 0)}


def ask(path, *words):
    """The reply to one command, a status or a bulk string."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(" ".join(words).encode() + b"\r\n")
        data = b""
        while True:
            data += sock.recv(1 << 16)
            head, end, rest = data.partition(b"\r\n")
            if end and head[:1] in b"+-":
                return head[1:].decode()
            if end and len(rest) >= int(head[1:]) + 2:
                return rest[:int(head[1:])].decode()


def server_counts(path):
    counts = {}
    for line in ask(path, "INFO", "commandstats").splitlines():
        match = re.match(r"cmdstat_([^:]+):(.*)", line)
        if match:
            fields = dict(field.split("=") for field in match.group(2).split(","))
            own = OWN.get(match.group(1), (0, 0, 0))
            counts[match.group(1)] = tuple(int(fields[f]) - n for f, n in zip(FIELDS, own))
    return {name: n for name, n in counts.items() if any(n)}


def dump(pins, name):
    text = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", f"{pins}/maps/{name}"],
                          check=True, capture_output=True).stdout
    return json.loads(text)


def raw(values):
    return bytes(int(value, 16) for value in values)


def calls(entry):
    """As struct calls: calls, failed, rejected; in the order of FIELDS."""
    called, failed, rejected = struct.unpack("=3Q", raw(entry["value"]))
    return called, rejected, failed


def watcher_counts(pins):
    return {raw(entry["key"]).rstrip(b"\0").decode(errors="replace"): calls(entry)
            for entry in dump(pins, "commands")}


def print_clients(pins, total):
    print("client            calls rejected failed")
    sums = (0, 0, 0)
    for entry in dump(pins, "clients"):
        key, counts = raw(entry["key"]), calls(entry)
        size = 4 if struct.unpack_from("=I", key, 16)[0] == 2 else 16
        print("%-16s %6d %8d %6d" % (ipaddress.ip_address(key[:size]), *counts))
        sums = tuple(a + b for a, b in zip(sums, counts))
    if sums != total:
        print("WRONG: these are", sums, "and not", total)
    return sums == total


def print_latency(histogram):
    used = [n for n, count in enumerate(histogram) if count]
    print("latency      replies")
    for n in range(used[0], used[-1] + 1) if used else ():
        print("from %4d us %7d %s" % (2 ** n // 1000, histogram[n],
                                      "#" * (50 * histogram[n] // max(histogram))))


def compare(path, pins):
    # The last replies were read by the clients, which may be a moment before their
    # acknowledgement, but not before they passed the program.
    server, watcher = server_counts(path), watcher_counts(pins)
    ok = True
    print("%-26s%24s    %-s" % ("", "resp.bpf.o", "     INFO commandstats"))
    print("%-26s%8s%8s%8s    %8s%8s%8s" % ("command", *("calls", "reject", "failed") * 2))
    for name in sorted(set(server) | set(watcher)):
        ours, theirs = watcher.get(name, (0, 0, 0)), server.get(name, (0, 0, 0))
        equal = ours == theirs
        ok = ok and equal
        print("%-26s%8d%8d%8d    %8d%8d%8d%s" % (name, *ours, *theirs,
                                                "" if equal else "  WRONG"))
    total = tuple(sum(counts[i] for counts in watcher.values()) for i in range(3))
    print("%-26s%8d%8d%8d    %8d%8d%8d\n" %
          ("all", *total, *(sum(counts[i] for counts in server.values()) for i in range(3))))
    if not server:
        print("WRONG: the server counted nothing")
        ok = False
    ok = print_clients(pins, total) and ok
    data = dump(pins, "bss")[0]["formatted"]["value"][".bss"]
    variables = {name: value for variable in data for name, value in variable.items()}
    print()
    print_latency(variables["latency"])
    counters = {**variables["tcp_counters"], **variables["resp_counters"]}
    print("\n" + ", ".join(f"{name} {n}" for name, n in counters.items()))
    for name in ("lost", "busy", "fragments", "bad_packets", "left", "unasked", "malformed",
                 "no_memory"):
        if counters[name]:
            print("WRONG:", name, "is", counters[name])
            ok = False
    return ok


def main():
    if sys.argv[1] == "reset":
        print(ask(sys.argv[2], "CONFIG", "RESETSTAT"))
    elif not compare(sys.argv[2], sys.argv[3]):
        sys.exit(1)


main()
