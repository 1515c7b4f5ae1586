# SPDX-License-Identifier: GPL-2.0
"""A TLS client that sends its ClientHello in pieces, each a segment of its own.

split.py ADDRESS PORT NAME PIECES [NAME PIECES]...: connections, one after another."""
import socket
import ssl
import sys
import time

INITIAL_WINDOW = 10


def connect(context, address, port, name, pieces):
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
                        # More at once than may be under way would be put together.
                        if pieces > INITIAL_WINDOW:
                            time.sleep(0.005)
                elif data:
                    sock.sendall(data)
                first = first and not data
                answer = sock.recv(65536)
                if not answer:
                    raise ConnectionError("the server closed the connection")
                incoming.write(answer)


def main():
    address, port, words = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, pieces in zip(words[::2], words[1::2]):
        connect(context, address, port, name, int(pieces))


main()
