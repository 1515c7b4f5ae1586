# SPDX-License-Identifier: GPL-2.0
"""
sni.py EMPTY VERSION... - instructions per packet, and bytes per connection, for sni.sh
sni.py --frames FILE - the packets of the same connections, for af_packet.c

Runs the program sni_ingress of each version, pinned by costack, on the same packets
with BPF_PROG_TEST_RUN, and the empty program, pinned at EMPTY, for what that takes
itself. The clock counts instructions. A packet that changes something cannot be
repeated, so each figure is the median over many connections; the packet of a
connection that is of no interest is repeated.

The bytes are those of connections that are half-way: what they hold of the module, with
its handles, and elements of the maps that have one for each.
"""
import ctypes
import os
import statistics
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../demo"))
import tls  # noqa: E402  pylint: disable=wrong-import-position
from wire import ACK, PSH, SYN, Flow  # noqa: E402  pylint: disable=wrong-import-position

SYS_BPF, BPF_OBJ_GET, BPF_PROG_TEST_RUN = 321, 7, 10
DURATION_AT = 36
ETHERNET = b"\x02\x00\x00\x00\x00\x77\x02\x00\x00\x00\x00\x78\x08\x00"
CONNECTIONS, WARM_UP, REPEAT = 200, 20, 10000
FLOWS_MAX = 1024
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attr):
    attr = ctypes.create_string_buffer(attr, 128)
    result = libc.syscall(SYS_BPF, command, attr, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result, attr.raw


def open_pin(path):
    path = ctypes.create_string_buffer(path.encode())
    return bpf(BPF_OBJ_GET, struct.pack("=Q", ctypes.addressof(path)))[0]


def instructions(prog, packet, repeat=1):
    frame = ctypes.create_string_buffer(ETHERNET + packet.ljust(46, b"\0"))
    attr = struct.pack("=IIIIQQI", prog, 0, len(frame) - 1, 0, ctypes.addressof(frame), 0, repeat)
    return struct.unpack_from("=I", bpf(BPF_PROG_TEST_RUN, attr)[1], DURATION_AT)[0]


def connections(pieces):
    """Packets of each: a SYN, and the pieces of the ClientHello."""
    for number in range(CONNECTIONS):
        flow = Flow(None)
        stream = tls.records(tls.handshake(tls.typical(f"host{number:03}.example")))
        yield [flow.packet(flow.isn, SYN)] + [
            flow.packet(flow.isn + 1 + at, ACK | PSH, data)
            for at, data in flow.segments(stream, -(-len(stream) // pieces))]


def measure(prog, pieces):
    counts = [[instructions(prog, packet) for packet in packets]
              for packets in connections(pieces)]
    return [statistics.median(column) for column in zip(*counts[WARM_UP:])]


def write_frames(path):
    with open(path, "wb") as out:
        for packets in [*connections(1), *connections(5)]:
            for packet in packets:
                frame = ETHERNET + packet.ljust(46, b"\0")
                out.write(struct.pack("=I", len(frame)) + frame)
            out.write(struct.pack("=I", 0))


def repeated(prog):
    flow = Flow(None)
    return instructions(prog, flow.packet(flow.isn, ACK | PSH, b"x" * 1000), REPEAT)


def live():
    """What is held of each class of memory: {(kind, bytes): how many}"""
    with open("/sys/kernel/debug/costack/classes", encoding="ascii") as classes:
        rows = [line.split() for line in classes]
    return {(row[0], int(row[1])): int(row[2]) for row in rows[2:]}


def handle_size(kind):
    cache = "costack_co" if kind == "coroutine" else "costack"
    with open(f"/sys/kernel/slab/{cache}/slab_size", encoding="ascii") as size:
        return int(size.read())


def elements(version):
    """Bytes of an element of all maps that have one for each connection."""
    total = 0
    pins = f"/sys/fs/bpf/costack/{version}/maps"
    for name in os.listdir(pins):
        fd = open_pin(f"{pins}/{name}")
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
            info = dict(line.split(":\t") for line in info.read().splitlines())
        os.close(fd)
        if int(info["max_entries"]) == FLOWS_MAX:
            total += int(info["memlock"])
    return round(total / FLOWS_MAX)


def memory(version, prog):
    """Bytes of a connection half-way: memory of the module, handles, map elements."""
    before = live()
    for number in range(CONNECTIONS):
        flow = Flow(None)
        stream = tls.records(tls.handshake(tls.typical(f"half{number:03}.example")))
        instructions(prog, flow.packet(flow.isn, SYN))
        instructions(prog, flow.packet(flow.isn + 1, ACK | PSH, stream[:len(stream) // 2]))
    more = {key: count - before[key] for key, count in live().items()}
    return (round(sum(size * n for (_, size), n in more.items()) / CONNECTIONS),
            round(sum(handle_size(kind) * n for (kind, _), n in more.items()) / CONNECTIONS),
            elements(version))


if sys.argv[1] == "--frames":
    write_frames(sys.argv[2])
    sys.exit()
empty = open_pin(sys.argv[1])
none, other = measure(empty, 1)[0], repeated(empty)
print(f"# the empty program, subtracted: {none:.0f}, or {other} when it is repeated")
for version in sys.argv[2:]:
    program = open_pin(f"/sys/fs/bpf/costack/{version}/progs/sni_ingress")
    one, five = [[count - none for count in measure(program, pieces)] for pieces in (1, 5)]
    print(f"{version}: instructions")
    print(f"  {repeated(program) - other:6} a packet of a connection that is of no interest")
    print(f"  {five[0]:6.0f} a SYN")
    print(f"  {one[1]:6.0f} a ClientHello in one segment")
    print(f"  {sum(five[1:]):6.0f} a ClientHello in five segments: "
          + " + ".join(f"{count:.0f}" for count in five[1:]))
    parts = memory(version, program)
    print(f"  {sum(parts):6} bytes for a connection half-way: "
          f"memory {parts[0]} + handles {parts[1]} + elements of maps {parts[2]}")
