# SPDX-License-Identifier: GPL-2.0
"""
resp_adverse.py IFACE PINS [SEED] - Redis connections as no kernel and no server would have
them

Sends both directions of connections, packet by packet, to the other end of IFACE, where
resp.bpf.o is at work, pinned below the directory PINS. For test_resp.sh: prints "ok CASE"
or "not ok CASE" and, above it, "# what was wrong".

Every case says what must be counted: commands as {name: (calls, failed, rejected)}, and the
program's own counters, of which only those that it names may have changed, but that
it is one connection with two directions that are closed.
"""
import json
import os
import random
import struct
import subprocess
import sys
import time

from wire import ACK, FIN, FRAGMENT, MASK, RST, SYN, Flow, Link

IFACE, PINS = sys.argv[1:3]
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
DEADLINE = 20
EARLY_MAX = 16

# Two CPUs could swap packets.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
link = Link(IFACE)
rng = random.Random(SEED)
cases = []


def dump(name):
    text = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", f"{PINS}/maps/{name}"],
                          check=True, capture_output=True).stdout
    return json.loads(text)


def raw(values):
    return bytes(int(value, 16) for value in values)


def commands():
    return {raw(entry["key"]).rstrip(b"\0").decode(): struct.unpack("=3Q", raw(entry["value"]))
            for entry in dump("commands")}


def counters():
    data = dump("bss")[0]["formatted"]["value"][".bss"]
    variables = {name: value for variable in data for name, value in variable.items()}
    return {**variables["tcp_counters"], **variables["resp_counters"]}


class Connection:
    """Both directions; offsets count from the first byte of each."""
    def __init__(self, client_isn=1000, server_isn=5000, **options):
        self.flow = Flow(link, isn=client_isn, **options)
        self.flow.dport = 6379
        self.isn = server_isn
        self.at = {False: 0, True: 0}
        self.accept()

    def accept(self):
        self.flow.link.send(self.flow.packet(self.isn, SYN | ACK, reverse=True,
                                             ack=self.flow.isn + 1))

    def send(self, server, at, data, flags=ACK):
        isn = self.isn if server else self.flow.isn
        self.flow.link.send(self.flow.packet(isn + 1 + at, flags, data, reverse=server))

    def say(self, server, data, size=0, order=None, flags=ACK):
        """The next bytes, in segments of that size, in the order that a function gives them."""
        at = self.at[server]
        size = size or max(len(data), 1)
        segments = [(at + i, data[i:i + size]) for i in range(0, len(data), size)]
        for begin, part in order(segments) if order else segments:
            self.send(server, begin, part, flags)
        self.at[server] += len(data)

    def client(self, data, **how):
        self.say(False, data, **how)

    def server(self, data, **how):
        self.say(True, data, **how)

    def end(self):
        for server in False, True:
            self.send(server, self.at[server], b"", ACK | FIN)


def case(wanted, **counted):
    def register(play):
        play.wanted, play.counted = wanted, counted
        cases.append(play)
        return play
    return register


def difference(after, before, zero):
    return {name: (tuple(a - b for a, b in zip(n, before.get(name, zero)))
                   if isinstance(n, tuple) else n - before[name])
            for name, n in after.items() if n != before.get(name, zero)}


def run(play):
    before = commands(), counters()
    play()
    wanted = {"connections": 1, "closed": 2, **play.counted}
    ignored = {name for name, n in wanted.items() if n is None}
    wanted = {name: n for name, n in wanted.items() if n}
    end = time.monotonic() + DEADLINE
    while True:
        after = commands(), counters()
        got = difference(after[0], before[0], (0, 0, 0)), {
            name: n for name, n in difference(after[1], before[1], 0).items()
            if name not in ignored}
        if got == (play.wanted, wanted) or time.monotonic() > end:
            break
    for has, should in zip(got, (play.wanted, wanted)):
        if has != should:
            print(f"# counted {has}, not {should}")
    print("ok" if got == (play.wanted, wanted) else "not ok", play.__doc__, flush=True)


def array(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


GET = array(b"GET", b"key")
VALUE = b"$5\r\nvalue\r\n"


# Segments

@case({"get": (1, 0, 0)})
def whole():
    "a command and its reply"
    c = Connection()
    c.client(GET)
    c.server(VALUE)
    c.end()


@case({"get": (2, 0, 0)})
def crumbs():
    "a byte in each segment, IPv6"
    c = Connection(version=6)
    c.client(2 * GET, size=1)
    c.server(2 * VALUE, size=1)
    c.end()


@case({"get": (9, 0, 0)}, early=18)
def backwards():
    "the last segment first"
    c = Connection()
    c.client(9 * GET, size=len(GET) - 1, order=reversed)
    c.server(9 * VALUE, size=len(VALUE) - 1, order=reversed)
    c.end()


@case({"get": (40, 0, 0)}, early=2 * 39)
def first_missing():
    "more segments than there is room for gaps, but one gap: they follow each other"
    def late(segments):
        return segments[1:] + segments[:1]
    c = Connection()
    c.client(40 * GET, size=len(GET), order=late)
    c.server(40 * VALUE, size=len(VALUE), order=late)
    c.end()


@case({"get": (20, 0, 0)}, repeated=40)
def each_twice():
    "each segment twice"
    def twice(segments):
        return [s for s in segments for _ in range(2)]
    c = Connection()
    c.client(20 * GET, size=len(GET), order=twice)
    c.server(20 * VALUE, size=len(VALUE), order=twice)
    c.end()


@case({"get": (3, 0, 0)}, repeated=1, early=2)
def overlaps():
    "segments that overlap, what came first stays"
    c, stream = Connection(), 3 * GET
    c.send(False, 0, stream[:10])
    c.send(False, 5, b"xxxxx" + stream[10:20])
    c.send(False, 40, stream[40:50])
    c.send(False, 40, stream[40:50])
    c.send(False, 12, b"yyy")
    c.send(False, 0, b"z" * 20 + stream[20:45])
    c.at[False] = 50
    c.client(stream[50:])
    c.server(3 * VALUE)
    c.end()


@case({"get": (2, 0, 0)}, early=2)
def wrap():
    "sequence numbers wrap in the middle of both directions, segments backwards"
    c = Connection(client_isn=MASK - len(GET), server_isn=MASK - len(VALUE))
    c.client(2 * GET, size=len(GET), order=reversed)
    c.server(2 * VALUE, size=len(VALUE), order=reversed)
    c.end()


@case({"get": (1, 0, 0)}, early=2)
def wrap_at_first():
    "sequence numbers wrap with the first byte"
    c = Connection(client_isn=MASK, server_isn=MASK - 1)
    c.client(GET, size=len(GET) - 1, order=reversed)
    c.server(VALUE, size=len(VALUE) - 1, order=reversed)
    c.end()


@case({"get": (1, 0, 0)}, early=1)
def early_end():
    "FIN comes before what is in front of it"
    c = Connection()
    c.client(GET)
    c.send(True, 3, VALUE[3:], ACK | FIN)
    c.send(True, 0, VALUE[:3])
    c.send(False, len(GET), b"", ACK | FIN)


@case({}, early=EARLY_MAX + 1, lost=1, closed=1)
def too_many_gaps():
    "more gaps than there is room for: not followed any more"
    c = Connection()
    for i in range(EARLY_MAX + 1):
        c.send(False, 2 + 2 * i, b"x")
    c.client(GET)
    c.server(VALUE)


@case({"get": (1, 0, 0)})
def reset():
    "RST ends both directions, commands without a reply are none"
    c = Connection()
    c.client(2 * GET + GET[:7])
    c.server(VALUE + VALUE[:4])
    c.send(True, c.at[True], b"", RST)
    c.client(GET)
    c.server(VALUE)


@case({"get": (2, 0, 0)})
def half_closed():
    "the client's FIN, then the reply"
    c = Connection()
    c.client(2 * GET, flags=ACK | FIN)
    c.server(VALUE, size=2)
    c.server(VALUE, flags=ACK | FIN)


@case({"get": (1, 0, 0)})
def accepted_twice():
    "the server's SYN, again in the middle"
    c = Connection()
    c.client(GET[:5])
    c.accept()
    c.client(GET[5:])
    c.accept()
    c.server(VALUE)
    c.end()


@case({"get": (2, 0, 0)}, connections=2, restarted=1, closed=4)
def restarted():
    "a new connection of the same ports before the last one's end"
    c = Connection()
    c.client(GET + GET[:9])
    c.server(VALUE)
    c.isn, c.flow.isn, c.at = 777, 888, {False: 0, True: 0}
    c.accept()
    c.client(GET)
    c.server(VALUE)
    c.end()


@case({}, connections=0, closed=0)
def unknown_begin():
    "a connection whose begin was not seen"
    c = Connection.__new__(Connection)
    c.flow, c.isn, c.at = Flow(link, isn=1), 1, {False: 0, True: 0}
    c.flow.dport = 6379
    c.client(GET)
    c.server(VALUE)
    c.end()


@case({}, connections=0, closed=0, fragments=1, bad_packets=2)
def bad():
    "a fragment, an IP packet longer than its frame, a TCP header shorter than one"
    flow = Flow(link, version=6)
    link.send(flow.packet(1, ACK, GET, headers=[(FRAGMENT, bytes(7))]))
    flow = Flow(link)
    link.send(flow.packet(1, ACK, GET, length=2000))
    link.send(flow.packet(1, ACK, GET, doff=4))


# Protocol

@case({"get": (1, 0, 0), "config|get": (1, 0, 0), "set": (1, 0, 0), "mget": (1, 0, 0),
       "client|setinfo": (1, 0, 0)})
def lines():
    "commands as lines: spaces, quotes, backslashes, letters of any case, empty ones"
    c = Connection()
    c.client(b"\r\n\n  GeT  \t key \nconfig 'GET' \"a b\"\r\n \r\n"
             b"\"SET\" \"k\\\"\\\\\" 'it\\'s'\r\n"
             b"'mget' a \"'\" '\"' b\nCLIENT setINFO lib-name x\n", size=3)
    c.server(VALUE + b"*0\r\n+OK\r\n*1\r\n_\r\n+OK\r\n")
    c.end()


@case({"get": (5, 0, 0)})
def streamed():
    "strings, arrays, maps and sets that do not say how long they are"
    c = Connection()
    c.client(5 * GET)
    c.server(b"$?\r\n;4\r\nHell\r\n;5\r\no\r\n*2\r\n;0\r\n", size=2)
    c.server(b"*?\r\n:1\r\n*2\r\n:1\r\n*?\r\n.\r\n~?\r\n#t\r\n,1.5\r\n.\r\n_\r\n.\r\n", size=5)
    c.server(b"%?\r\n+a\r\n*1\r\n%?\r\n.\r\n+b\r\n$?\r\n;0\r\n.\r\n")
    c.server(b"*3\r\n*?\r\n*1\r\n+x\r\n.\r\n$?\r\n;1\r\n.\r\n;0\r\n%1\r\n+k\r\n$?\r\n;0\r\n")
    c.server(VALUE)
    c.end()


@case({"get": (6, 0, 0)}, messages=2)
def aggregates():
    "nested ones, empty ones, nulls, attributes, and pushes between replies"
    c = Connection()
    c.client(6 * GET)
    c.server(b"*-1\r\n" b"*0\r\n" b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n"
             b"|1\r\n+ttl\r\n*2\r\n:1\r\n|1\r\n+x\r\n+y\r\n:2\r\n"
             b"%2\r\n$1\r\na\r\n*2\r\n*0\r\n~1\r\n(123456789012345678901234567890\r\n#f\r\n_\r\n"
             b">1\r\n+hello\r\n" b"=7\r\ntxt:a\r\n\r\n"
             b"*2\r\n$-1\r\n|1\r\n+k\r\n%0\r\n$0\r\n\r\n" b",inf\r\n", size=4)
    c.end()


@case({"get": (2, 2, 0), "ping": (0, 0, 1), "mset": (1, 1, 1), "eval": (1, 1, 1)}, unknown=2)
def errors():
    "errors of the server and of commands, short and long ones"
    c = Connection()
    c.client(2 * GET + array(b"PING") + array(b"MSET") + array(b"mset", b"a", b"1", b"b") +
             array(b"nonsense") + array(b"config", b"nonsense") + 2 * array(b"eval", b"", b"0"))
    c.server(b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
             b"!21\r\nSYNTAX invalid syntax\r\n"
             b"-NOAUTH Authentication required.\r\n"
             b"-ERR wrong number of arguments for 'mset' command\r\n"
             b"-ERR wrong number of arguments for 'mset' command\r\n"
             b"-ERR unknown command 'nonsense', with args beginning with: \r\n"
             b"-ERR unknown subcommand 'nonsense'. Try CONFIG HELP.\r\n"
             b"-BUSY Redis is busy running a script.\r\n"
             b"-ERR " + b"x" * 5000 + b"\r\n", size=333)
    c.end()


@case({"multi": (4, 0, 0), "exec": (3, 1, 0), "discard": (1, 0, 0), "get": (3, 1, 1),
       "ping": (1, 0, 0), "watch": (1, 0, 0)})
def transactions():
    "what was queued counts with the reply to EXEC, or not at all"
    c = Connection()
    multi, execute, ping = array(b"multi"), array(b"EXEC"), array(b"ping")
    c.client(multi + 2 * GET + ping + execute + GET, size=50)
    c.server(b"+OK\r\n" + 3 * b"+QUEUED\r\n" +
             b"*3\r\n$1\r\na\r\n-WRONGTYPE no\r\n+PONG\r\n" + b"+QUEUED\r\n")
    c.client(multi + array(b"GET") + ping + execute)
    c.server(b"+OK\r\n-ERR wrong number of arguments for 'get' command\r\n+QUEUED\r\n"
             b"-EXECABORT Transaction discarded because of previous errors.\r\n")
    c.client(array(b"watch", b"k") + multi + ping + execute)
    c.server(b"+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n")
    c.client(multi + ping + array(b"discard"))
    c.server(b"+OK\r\n+QUEUED\r\n+OK\r\n")
    c.end()


@case({"subscribe": (1, 0, 0), "psubscribe": (1, 0, 0), "unsubscribe": (1, 0, 0),
       "punsubscribe": (2, 0, 0), "ping": (1, 0, 0), "lrange": (1, 0, 0)}, messages=3)
def subscriptions():
    "messages that reply, and messages that do not, as arrays"
    c = Connection()
    c.client(array(b"SUBSCRIBE", b"a", b"b"))
    c.server(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", size=7)
    c.server(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\n*1\r\n\r\n", size=7)
    c.server(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n")
    c.client(array(b"psubscribe", b"p*") + array(b"ping") + array(b"unsubscribe"))
    c.server(b"*3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:3\r\n" b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"
             b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n"
             b"*4\r\n$8\r\npmessage\r\n$2\r\np*\r\n$1\r\np\r\n$1\r\nx\r\n"
             b"*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\nx\r\n"
             b"*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n")
    c.client(2 * array(b"punsubscribe") + array(b"lrange", b"l", b"0", b"-1"))
    c.server(b"*3\r\n$12\r\npunsubscribe\r\n$2\r\np*\r\n:0\r\n"
             b"*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n"
             b"*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n")
    c.end()


@case({"client|reply": (4, 0, 0), "get": (5, 0, 0), "reset": (1, 0, 0)})
def quiet():
    "CLIENT REPLY, and RESET that ends it"
    def reply(how):
        return array(b"CLIENT", b"REPLY", how)
    c = Connection()
    c.client(reply(b"skip") + 2 * GET + reply(b"OFF") + GET + reply(b"on") + GET +
             b"client REPLY off\n" + GET + array(b"RESET"))
    c.server(VALUE + b"+OK\r\n" + VALUE + b"+RESET\r\n")
    c.end()


@case({"monitor": (1, 0, 0)}, left=1, closed=1)
def monitor():
    "MONITOR: not followed any more"
    c = Connection()
    c.client(array(b"MONITOR"))
    c.server(b"+OK\r\n")
    c.server(b'+1700000000.123456 [0 127.0.0.1:1234] "GET" "key"\r\n')
    c.end()


@case({"get": (1, 0, 0)}, unasked=1, closed=1)
def unasked():
    "a reply to nothing"
    c = Connection()
    c.client(GET)
    c.server(VALUE + b"-ERR Protocol error: unbalanced quotes in request\r\n")


@case({}, malformed=8, connections=8, closed=8)
def malformed():
    "what is no RESP, of either side"
    for client, server in ((b"*1\r\n:3\r\nGET\r\n", b""), (GET, b"HTTP/1.1 400 no\r\n"),
                           (b"*1\r\n$999999999\r\n", b""), (b"*1\r\n$3x\r\nGET\r\n", b""),
                           (b"*1x\r\n$3\r\nGET\r\n", b""),
                           # To the server that line has no end; and after quotes, a word ends.
                           (b"get \0a\r\n", b""), (b'get "a"b\r\n', b""),
                           (GET, b"$9999999999999999999\r\n")):
        c = Connection()
        c.client(client)
        c.server(server)


def value(depth=0):
    """Any value, with any in it."""
    kind = rng.randrange(12 if depth < 6 else 6)
    text = rng.randbytes(rng.randrange(40)).replace(b"\r", b"x").replace(b"\n", b"y")
    if kind == 0:
        return rng.choice((b"_", b"#t", b",-1.5", b"(-123", b":-1", b"*-1", b"$-1")) + b"\r\n"
    if kind == 1:
        return b"+" + text + b"\r\n"
    if kind == 2:
        parts = [text[i:i + 7] for i in range(0, len(text), 7)]
        return b"$?\r\n" + b"".join(b";%d\r\n%s\r\n" % (len(p), p) for p in parts) + b";0\r\n"
    if kind < 6:
        text += bytes(rng.choice((0, 0, 0, 3000)))
        return b"%c%d\r\n%s\r\n" % (rng.choice(b"$=$"), len(text), text)
    inside = [value(depth + 1) for _ in range(rng.randrange(5))]
    if kind == 6:
        return b"|1\r\n" + value(depth + 1) + value(depth + 1) + value(depth + 1)
    if kind < 9:
        return b"%c?\r\n%s.\r\n" % (rng.choice(b"*~"), b"".join(inside))
    if kind == 9:
        inside = inside + inside
        return b"%%%d\r\n%s" % (len(inside) // 2, b"".join(inside))
    return b"%c%d\r\n%s" % (rng.choice(b"*~"), len(inside), b"".join(inside))


def shuffled(segments):
    """Out of order by a few, some twice."""
    segments = [s for s in segments for _ in range(1 + (rng.randrange(8) == 0))]
    keys = [(i + rng.uniform(0, EARLY_MAX - 2), s) for i, s in enumerate(segments)]
    return [s for _, s in sorted(keys)]


def shuffle_case(number):
    commands_, replies = b"", b""
    count = rng.randrange(20, 60)
    for _ in range(count):
        words = [b"get", rng.randbytes(rng.choice((0, 1, 10, 100, 5000)))]
        commands_ += array(*words)
        replies += value()

    def play():
        c = Connection(version=rng.choice((4, 6)), client_isn=rng.randrange(MASK),
                       server_isn=rng.randrange(MASK))
        c.client(commands_, size=rng.randrange(20, 1400), order=shuffled)
        c.server(replies, size=rng.randrange(20, 1400), order=shuffled)
        c.end()
    play.__doc__ = f"random commands and values in random order, {number}"
    # How many of them come early, or for nothing, is the random order's business.
    play.wanted, play.counted = {"get": (count, 0, 0)}, {"early": None, "repeated": None}
    cases.append(play)


def main():
    print("# random seed", SEED)
    for number in range(6):
        shuffle_case(number)
    for play in cases:
        run(play)
    end = time.monotonic() + DEADLINE
    left = None
    while left != [] and time.monotonic() < end:
        left = [name for name in ("streams", "pending", "early") if dump(name)]
    if left:
        print("# not empty:", left)
    print("not ok" if left else "ok", "nothing is left in the maps", flush=True)


main()
