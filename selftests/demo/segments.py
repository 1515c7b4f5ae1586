# SPDX-License-Identifier: GPL-2.0
"""segments.py CAPTURE PORT: how many segments each client's first flight really took, as
lines "ADDRESS PORT COUNT", by a capture of tcpdump: those with data before the server's
first data."""
import ipaddress
import struct
import sys


def packets(data):
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        yield data[at + 16:at + 16 + length]
        at += 16 + length


def parse(frame):
    """Addresses, ports and number of data bytes of a TCP packet, or None."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0800 and frame[23] == 6:
        tcp = 14 + (frame[14] & 15) * 4
        end = 14 + struct.unpack_from("!H", frame, 16)[0]
        source, target = frame[26:30], frame[30:34]
    elif kind == 0x86DD and frame[20] == 6:
        tcp, end = 54, 54 + struct.unpack_from("!H", frame, 18)[0]
        source, target = frame[22:38], frame[38:54]
    else:
        return None
    sport, dport = struct.unpack_from("!HH", frame, tcp)
    return source, sport, target, dport, end - tcp - (frame[tcp + 12] >> 4) * 4


def main():
    port, counts, answered = int(sys.argv[2]), {}, set()
    with open(sys.argv[1], "rb") as capture:
        data = capture.read()
    for frame in packets(data):
        found = parse(frame)
        if not found or found[4] <= 0:
            continue
        source, sport, target, dport, _ = found
        if dport == port and (source, sport) not in answered:
            counts[source, sport] = counts.get((source, sport), 0) + 1
        elif sport == port:
            answered.add((target, dport))
    for (address, number), count in counts.items():
        print(ipaddress.ip_address(address), number, count)


main()
