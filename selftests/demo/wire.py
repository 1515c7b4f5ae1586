# SPDX-License-Identifier: GPL-2.0
"""TCP segments as no kernel would send them, by hand onto an interface."""
import ipaddress
import socket
import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TCP, FRAGMENT = 6, 44
MASK = 0xFFFFFFFF
ADDRESSES = {version: [ipaddress.ip_address(a).packed for a in pair] for version, pair in
             ((4, ("192.0.2.1", "192.0.2.2")), (6, ("2001:db8::1", "2001:db8::2")))}


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def ipv4(src, dst, payload, options=b"", frag=0, length=None, ihl=None):
    ihl = 5 + len(options) // 4 if ihl is None else ihl
    length = 20 + len(options) + len(payload) if length is None else length
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | ihl, 0, length, 1, frag, 64, TCP, 0, src, dst)
    head += options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(src, dst, payload, headers=(), length=None):
    """headers: (number, bytes) of each extension header, without its first byte."""
    numbers = [number for number, _ in headers] + [TCP]
    chain = b"".join(bytes([numbers[i + 1]]) + body for i, (_, body) in enumerate(headers))
    length = len(chain) + len(payload) if length is None else length
    return struct.pack("!IHBB16s16s", 0x60000000, length, numbers[0], 64, src, dst) + \
        chain + payload


class Link:
    """An interface to send on: Ethernet to nobody's address, so that the receiving
    stack leaves the packets alone after the program saw them."""
    def __init__(self, ifname):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.bind((ifname, 0))

    def send(self, packet, pad=0):
        ethertype = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
        self.sock.send(b"\x02\x00\x00\x00\x00\x77\x02\x00\x00\x00\x00\x78" + ethertype +
                       packet + b"\xaa" * pad)


class Flow:
    """A TCP connection, one side of it. Offsets count from the first byte of data."""
    next_port = 1024

    def __init__(self, link, version=4, isn=1000, **ip_options):
        Flow.next_port += 1
        self.link, self.version, self.isn, self.ip_options = link, version, isn, ip_options
        self.sport, self.dport = Flow.next_port, 443
        self.src, self.dst = ADDRESSES[version]

    def key(self):
        """As struct flow_key in bpf/segment.bpf.h."""
        return self.src.ljust(16, b"\0") + self.dst.ljust(16, b"\0") + \
            struct.pack("!HH", self.sport, self.dport) + \
            struct.pack("=I", 2 if self.version == 4 else 10)

    def packet(self, seq, flags, data=b"", tcp_options=b"", doff=None, reverse=False,
               ack=1, **ip_options):
        doff = 5 + len(tcp_options) // 4 if doff is None else doff
        src, dst, sport, dport = self.src, self.dst, self.sport, self.dport
        if reverse:
            src, dst, sport, dport = dst, src, dport, sport
        segment = struct.pack("!HHIIBBHHH", sport, dport, seq & MASK, ack & MASK, doff << 4,
                              flags, 0xFFFF, 0, 0) + tcp_options + data
        build = ipv4 if self.version == 4 else ipv6
        return build(src, dst, segment, **{**self.ip_options, **ip_options})

    def syn(self, data=b"", isn=None, **options):
        self.isn = self.isn if isn is None else isn
        self.link.send(self.packet(self.isn, SYN, data, **options))

    def data(self, at, data, flags=ACK | PSH, pad=0, **options):
        self.link.send(self.packet(self.isn + 1 + at, flags, data, **options), pad)

    def end(self, flags, at=0, **options):
        self.link.send(self.packet(self.isn + 1 + at, flags, **options))

    def server(self, flags):
        self.link.send(self.packet(1, flags, reverse=True))

    def segments(self, stream, size):
        """(offset, bytes) of each segment of so many bytes."""
        return [(at, stream[at:at + size]) for at in range(0, len(stream), size)]

    def play(self, segments):
        for at, data in segments:
            self.data(at, data)
