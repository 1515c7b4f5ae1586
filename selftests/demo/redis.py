# SPDX-License-Identifier: GPL-2.0
"""redis.py ADDRESSES PORT CONNECTIONS [SEED]: a client that does to Redis what clients do,
and some that they should not.

ADDRESSES are those of the server, separated by commas. Each connection speaks RESP2, RESP3, or both
by turns; sends arrays or lines, pipelined, cut up anywhere; and reads all replies before
it closes, so that the server has counted what it sent."""
import random
import select
import socket
import sys

PIPELINE = 12
BIG = 1 << 20


class Replies:
    """What the server sends: RESP, as it comes."""
    def __init__(self):
        self.data, self.at = bytearray(), 0
        self.parser = self.value()
        next(self.parser)

    def feed(self, data):
        """Yield each value that is complete now, as (type, value)."""
        self.data += data
        while True:
            try:
                next(self.parser)
                return
            except StopIteration as end:
                yield end.value
                del self.data[:self.at]
                self.at = 0
                self.parser = self.value()

    def line(self):
        start = self.at
        while True:
            end = self.data.find(b"\r\n", start)
            if end >= 0:
                break
            start = max(self.at, len(self.data) - 1)
            yield
        text = bytes(self.data[self.at:end])
        self.at = end + 2
        return text

    def value(self):
        line = yield from self.line()
        kind, rest = line[:1], line[1:]
        if kind in b"+-:_#,(":
            return kind, rest
        number = int(rest)
        if kind in b"$=!":
            if number < 0:
                return kind, None
            while len(self.data) < self.at + number + 2:
                yield
            text = bytes(self.data[self.at:self.at + number])
            self.at += number + 2
            return kind, text
        if kind not in b"*~>%|":
            raise ValueError(f"no RESP: {line!r}")
        items = []
        for _ in range(number * (2 if kind in b"%|" else 1)):
            items.append((yield from self.value()))
        if kind == b"|":
            return (yield from self.value())
        return kind, items


MESSAGES = (b"message", b"pmessage", b"smessage")
CONFIRM = tuple(p + w for p in (b"", b"p", b"s") for w in (b"subscribe", b"unsubscribe"))


class Client:
    def __init__(self, rng, address, port):
        self.rng = rng
        self.sock = socket.create_connection((address, port), timeout=60)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = Replies()

    def pieces(self, data):
        """Cut it up: not at all, into halves, or into crumbs where it begins or anywhere."""
        rng, cuts = self.rng, set()
        how = rng.randrange(4)
        if how == 1:
            cuts = {rng.randrange(len(data) + 1)}
        elif how == 2:
            cuts = set(range(1, min(len(data), rng.randrange(2, 40))))
        elif how == 3:
            cuts = {rng.randrange(len(data) + 1) for _ in range(rng.randrange(10))}
        at = [0, *sorted(cuts), len(data)]
        return [data[a:b] for a, b in zip(at, at[1:]) if a < b]

    def is_reply(self, value):
        kind, items = value
        if kind == b">":
            return items[0][1] in CONFIRM
        return not (kind == b"*" and items and items[0][1] in MESSAGES)

    def exchange(self, data, wanted):
        """Send, and read so many replies."""
        todo = self.pieces(data)
        replies = []
        while todo or len(replies) < wanted:
            readable, writable, _ = select.select([self.sock], [self.sock] if todo else [], [], 30)
            if not readable and not writable:
                raise TimeoutError(f"{len(replies)} of {wanted} replies to {data[:2000]!r}")
            if readable:
                got = self.sock.recv(1 << 18)
                if not got:
                    raise ConnectionError(f"closed after {data[:2000]!r}")
                replies += filter(self.is_reply, self.replies.feed(got))
            if writable:
                sent = self.sock.send(todo[0])
                todo[0] = todo[0][sent:]
                if not todo[0]:
                    del todo[0]
        if len(replies) > wanted:
            raise ValueError(f"{len(replies)} replies, not {wanted}, to {data[:2000]!r}")
        return replies


def recase(rng, word):
    return "".join(rng.choice((c.upper(), c.lower())) for c in word)


def quote(rng, word):
    if not word or rng.randrange(6) == 0:
        return rng.choice((f'"{word}"', f"'{word}'"))
    return word


def encode(rng, words):
    """A command as an array, or as a line if it can be one."""
    words = [recase(rng, words[0]), *words[1:]]
    text = all(isinstance(word, str) and not set(word) & set("\"'\\ \r\n") for word in words)
    if text and sum(map(len, words)) < 20000 and rng.randrange(4) == 0:
        space = " " * rng.choice((1, 1, 1, 3))
        return (space.join(quote(rng, word) for word in words) +
                rng.choice(("\r\n", "\n"))).encode()
    words = [word.encode() if isinstance(word, str) else word for word in words]
    head = rng.choice((b"", b"", b"", b"", b"\r\n", b"*0\r\n", b"*-1\r\n"))
    return head + b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def blob(rng, size):
    return rng.randbytes(size) if size < 4096 else rng.randbytes(512) * (size // 512)


PLAIN = [line.split() for line in """
PING
PING hello
ECHO hello
SET n 5
SET s text
GET s
GET missing
INCR n
DECRBY n 3
INCRBYFLOAT f 1.5
APPEND s more
GETRANGE s 0 3
SETEX t 100 x
PTTL t
DEL t
EXISTS s n t
TYPE s
MSET a 1 b 2
MGET a b missing l
LPUSH l 1 2 3
RPUSH l 4
LRANGE l 0 -1
LPOP l
RPOP l 2
HSET h a 1 b 2
HGET h a
HGETALL h
HINCRBY h a 1
SADD set a b c
SMEMBERS set
SISMEMBER set a
ZADD z 1 a 2.5 b
ZRANGE z 0 -1 WITHSCORES
ZSCORE z b
ZRANDMEMBER z 3 WITHSCORES
XADD x * k v
XLEN x
XRANGE x - + COUNT 3
XINFO STREAM x
XGROUP CREATE x g $ MKSTREAM
GEOADD geo 13.3 38.1 Palermo 15.0 37.5 Catania
GEOPOS geo Palermo nobody
BITCOUNT s
SETBIT bits 7 1
PFADD hll a b
PFCOUNT hll
OBJECT ENCODING s
OBJECT HELP
MEMORY USAGE s
CONFIG GET max*
CONFIG SET maxmemory-samples 5
CLIENT ID
CLIENT SETNAME somebody
CLIENT SETINFO LIB-NAME redis.py
CLIENT GETNAME
CLIENT INFO
CLIENT NO-EVICT ON
COMMAND COUNT
COMMAND DOCS GET
COMMAND INFO GET SET
COMMAND GETKEYS GET k
ACL WHOAMI
ACL LIST
SCRIPT EXISTS abc
FUNCTION LIST
LATENCY LATEST
SLOWLOG LEN
PUBSUB CHANNELS
CLUSTER INFO
INFO server
DBSIZE
TIME
SELECT 0
LOLWUT
WAIT 0 0
PUBLISH news hello
PUBLISH news.of.today hello
KEYS *
SCAN 0
BLPOP l nothing 0.01
BLPOP nothing nowhere 0.01
DEBUG PROTOCOL string
DEBUG PROTOCOL integer
DEBUG PROTOCOL double
DEBUG PROTOCOL null
DEBUG PROTOCOL array
DEBUG PROTOCOL set
DEBUG PROTOCOL map
DEBUG PROTOCOL attrib
DEBUG PROTOCOL push
DEBUG PROTOCOL verbatim
DEBUG PROTOCOL true
DEBUG PROTOCOL bignum
HELLO
UNWATCH
""".strip().splitlines()]

# Refused, or run and failed. (No AUTH with a user: once a connection has used CLIENT REPLY,
# Redis 8.0.2 does not answer it.)
ERRORS = [line.split() for line in """
NONSENSE
NONSENSE a b c
A-COMMAND-OF-MORE-THAN-THIRTY-TWO-LETTERS-IN-ITS-NAME
GET
GET a b
SET
PING a b
INCR s
LPUSH s 1
HGET s a
LPOP l 1 2
RPOP l 1 2
MSET a
MSET a 1 b
MSETNX a 1 b
HSET h a
HSET h a 1 b
HMSET h a 1 b
XADD x * k
XADD x * k v k
ZADD z x a
CONFIG
CONFIG NONSENSE
CONFIG GET
CONFIG SET a
CLIENT
CLIENT KILL
CLIENT REPLY
CLIENT REPLY NONSENSE
CLIENT NONSENSE a b
COMMAND NONSENSE
OBJECT ENCODING
DEBUG NONSENSE
DEBUG
XINFO STREAM nothing
XGROUP CREATE s g $
SELECT 1000000
AUTH b
HELLO 9
HELLO x
EXEC
EXEC now
DISCARD
WATCH
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
EVAL return
SETEX t 0 x
RESTORE k 0 x
""".strip().splitlines()]

SCRIPTS = ("return {1,{2,{3,{'four',{}}}},'five'}", "return redis.error_reply('OOPS')",
           "return redis.status_reply('QUEUED')",
           "redis.setresp(3); return {double=3.5}",
           "redis.setresp(3); return {map={a={big_number='12345678901234567890'},"
           "b={set={x=true,y=true}}}}",
           "return {verbatim_string={string='*3',format='txt'}}", "return false", "oops")


def one(rng):
    """A command that gets one reply, wherever it stands."""
    what = rng.randrange(100)
    if what < 60:
        return rng.choice(PLAIN)
    if what < 80:
        return rng.choice(ERRORS)
    if what < 85:
        return ["EVAL", rng.choice(SCRIPTS), "0"]
    if what < 95:
        return ["SET", f"blob{rng.randrange(9)}", blob(rng, rng.randrange(3000))]
    return ["GET", f"blob{rng.randrange(9)}"]


def transaction(rng):
    """MULTI to EXEC or DISCARD, with a WATCH that may say no."""
    # These would change what the rest of the transaction gets as replies.
    left_out = ("EXEC", "DISCARD", "WATCH", "HELLO")
    inside = [one(rng) for _ in range(rng.randrange(6))]
    inside = [words for words in inside if words[0] not in left_out]
    if rng.randrange(8) == 0:
        inside.append(rng.choice((["MULTI"], ["WATCH", "s"])))
    commands = [["MULTI"], *inside, [rng.choice(("EXEC", "EXEC", "EXEC", "DISCARD"))]]
    if rng.randrange(4) == 0:
        commands = [["WATCH", "n"], ["SET", "n", "7"], *commands]
    if rng.randrange(10) == 0:
        commands[-1:-1] = [["EXEC", "now"]]
    return commands


def batch(rng):
    """Bytes to send, and the number of replies to read."""
    data, wanted = b"", 0
    for _ in range(rng.randrange(1, PIPELINE)):
        what = rng.randrange(20)
        if what == 0:
            commands = transaction(rng)
        elif what == 1:
            # No reply to the second and the third, then to none but the last.
            for words in (["CLIENT", "REPLY", "ON"], ["CLIENT", "REPLY", "SKIP"],
                          ["SET", "s", "quiet"], ["PING"], ["CLIENT", "REPLY", "OFF"],
                          ["GET", "s"], ["PING"], ["CLIENT", "REPLY", "ON"]):
                data += encode(rng, words)
            wanted += 3
            continue
        else:
            commands = [one(rng)]
        data += b"".join(encode(rng, words) for words in commands)
        wanted += len(commands)
    return data, wanted


def big_values(client):
    rng = client.rng
    for _ in range(2):
        size = rng.choice((65536, 100000, 300000, BIG))
        client.exchange(encode(rng, ["SET", "big", blob(rng, size)]) +
                        encode(rng, ["STRLEN", "big"]), 2)
        client.exchange(encode(rng, ["GET", "big"]) + encode(rng, ["MGET", "big", "s", "big"]) +
                        encode(rng, ["DEL", "big"]), 3)


def subscriber(client, other, resp3):
    """Subscribe and unsubscribe, while somebody publishes."""
    rng = client.rng
    steps = [(["SUBSCRIBE", "news", "weather"], 2), (["PSUBSCRIBE", "news*"], 1),
             (["PING"], 1), (["SUBSCRIBE", "news"], 1), (["SSUBSCRIBE", "shard"], 1),
             (["UNSUBSCRIBE", "news", "nothing"], 2), (["SUBSCRIBE", "a", "b", "c"], 3),
             (["GET", "s"], 1), (["SUBSCRIBE"], 1), (["PSUBSCRIBE", "x*", "y*"], 2),
             (["UNSUBSCRIBE"], 4), (["PING", "x"], 1), (["SUNSUBSCRIBE"], 1),
             (["PUNSUBSCRIBE"], 3)]
    if resp3:
        steps += [(["CLIENT", "TRACKING", "ON"], 1), (["GET", "s"], 1)]
    steps += [(["UNSUBSCRIBE"], 1), (["PING"], 1)]
    while steps:
        some = [steps.pop(0) for _ in range(min(len(steps), rng.randrange(1, 4)))]
        client.exchange(b"".join(encode(rng, words) for words, _ in some),
                        sum(n for _, n in some))
        other.exchange(encode(rng, ["PUBLISH", "news", "text"]) +
                       encode(rng, ["PUBLISH", "newspaper", blob(rng, 2000)]) +
                       encode(rng, ["SPUBLISH", "shard", "text"]) +
                       encode(rng, ["SET", "s", "text"]), 4)


def session(rng, addresses, port):
    client = Client(rng, rng.choice(addresses), port)
    resp3 = rng.randrange(2)
    if resp3:
        client.exchange(encode(rng, ["HELLO", "3"]), 1)
    what = rng.randrange(6)
    if what == 0:
        big_values(client)
    elif what == 1:
        subscriber(client, Client(rng, rng.choice(addresses), port), resp3)
    else:
        for _ in range(rng.randrange(1, 6)):
            client.exchange(*batch(rng))
            if rng.randrange(5) == 0:
                client.exchange(encode(rng, ["HELLO", rng.choice("23")]), 1)
    if rng.randrange(4) == 0:
        client.exchange(encode(rng, ["RESET"]) + encode(rng, ["QUIT"]), 2)
    client.sock.close()


def main():
    addresses, port, count = sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
    print(f"random client: {count} connections, seed {seed}", flush=True)
    rng = random.Random(seed)
    for _ in range(count):
        session(rng, addresses, port)


main()
