# SPDX-License-Identifier: GPL-2.0
"""ClientHellos: those that OpenSSL makes, and those that it never would."""
import ssl
import struct

HANDSHAKE = 22
SERVER_NAME = 0
PADDING = 21
GREASE = 0x0A0A
KEY_SHARE = 51


def openssl_hello(name, setup=None):
    """The first flight of a real client: one record with a ClientHello."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if setup:
        setup(context)
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def extension(number, body):
    return struct.pack("!HH", number, len(body)) + body


def server_name(name, kind=0, name_len=None):
    """The extension; name_len is what it says where that is not the truth."""
    name = name if isinstance(name, bytes) else name.encode()
    length = len(name) if name_len is None else name_len
    entry = struct.pack("!BH", kind, length) + name
    return extension(SERVER_NAME, struct.pack("!H", len(entry)) + entry)


def handshake(extensions, session=bytes(range(32)), ciphers=b"\x13\x01\x13\x02\xc0\x2b",
              kind=1, slack=0):
    """A handshake message; extensions None leaves the whole block out. slack is added
    to the length that the block of extensions says it has."""
    body = b"\x03\x03" + b"r" * 32
    body += bytes([len(session)]) + session
    body += struct.pack("!H", len(ciphers)) + ciphers
    body += b"\x01\x00"
    if extensions is not None:
        block = b"".join(extensions)
        body += struct.pack("!H", len(block) + slack) + block
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def typical(name):
    """What browsers put around the name, a post-quantum key share included."""
    share = struct.pack("!HH", 0x11EC, 1216) + b"k" * 1216
    share += struct.pack("!HH", 29, 32) + b"x" * 32
    return [extension(GREASE, b""), extension(KEY_SHARE, struct.pack("!H", len(share)) + share),
            extension(16, b"\x00\x0c\x02h2\x08http/1.1"), server_name(name)]


def sized_handshake(name, size):
    """A message of exactly so many bytes, header included, with the name at its end."""
    fixed = len(handshake([extension(PADDING, b""), server_name(name)]))
    return handshake([extension(PADDING, bytes(size - fixed)), server_name(name)])


def records(message, sizes=(), version=b"\x03\x01"):
    """Cut a message into records of these sizes; what is left is one more."""
    out, at = b"", 0
    for size in list(sizes) + [len(message)]:
        part = message[at:at + size]
        at += size
        if part:
            out += bytes([HANDSHAKE]) + version + struct.pack("!H", len(part)) + part
    return out
