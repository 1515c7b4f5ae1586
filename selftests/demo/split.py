# SPDX-License-Identifier: GPL-2.0
"""A TLS client that sends its ClientHello in pieces, each a segment of its own.

split.py ADDRESS PORT NAME PIECES [COUNT]: with COUNT, so many connections one after
another, to names NAME with %d replaced by their number."""
import socket
import ssl
import sys
import time


def connect(address, port, name, pieces):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with socket.create_connection((address, port), timeout=20) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        first = True
        while True:
            try:
                tls.do_handshake()
                sock.sendall(outgoing.read())
                return
            except ssl.SSLWantReadError:
                data = outgoing.read()
                if data and first:
                    size = -(-len(data) // pieces)
                    for at in range(0, len(data), size):
                        sock.sendall(data[at:at + size])
                        if pieces > 1:
                            time.sleep(0.01)
                elif data:
                    sock.sendall(data)
                first = first and not data
                answer = sock.recv(65536)
                if not answer:
                    raise ConnectionError("the server closed the connection")
                incoming.write(answer)


def main():
    address, port, name, pieces = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    if len(sys.argv) > 5:
        for number in range(int(sys.argv[5])):
            connect(address, port, name.replace("%d", str(number)), pieces)
    else:
        connect(address, port, name, pieces)


main()
