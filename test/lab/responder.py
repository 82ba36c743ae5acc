"""A resolver that answers from a table, with the AD bit where the table says so, and passes on what it does not know; and
that can be made to lie, stammer and fall silent, name by name.

A trick is a function of a Question that returns what is said: a list of Say, in order. `question.truth()` is the right
answer. Without a trick the truth is said once."""
import dataclasses
import ipaddress
import random
import socket
import struct
import threading
import time

TYPES = {"A": 1, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "TLSA": 52}
NAMES = {number: name for name, number in TYPES.items()}
AD, TC, QR = 0x0020, 0x0200, 0x8000
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
ROOM = 4 << 20  # bytes for datagrams that wait: hundreds come at once, and with the usual 200 KiB a slow machine loses some


def wire_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def wire_data(kind, text):
    if kind == "A":
        return ipaddress.IPv4Address(text).packed
    if kind == "AAAA":
        return ipaddress.IPv6Address(text).packed
    if kind == "CNAME":
        return wire_name(text)
    if kind == "MX":
        preference, host = text.split()
        return struct.pack(">H", int(preference)) + wire_name(host)
    if kind == "TXT":
        data = text.encode()
        return b"".join(bytes([len(part)]) + part for part in (data[i:i + 255] for i in range(0, len(data), 255)))
    usage, selector, matching, data = text.split()
    return bytes([int(usage), int(selector), int(matching)]) + bytes.fromhex(data)


def wire_record(owner, kind, text, ttl):
    data = wire_data(kind, text)
    return wire_name(owner) + struct.pack(">HHIH", TYPES[kind], 1, ttl, len(data)) + data


@dataclasses.dataclass
class Say:
    """One packet. after: seconds since the one before; source: None, or "port" or "address" for a sender who is not us."""
    packet: bytes
    after: float = 0.0
    source: str | None = None


class Question:
    """What was asked: name (lower case), kind ("MX"), tcp, nth (how often this was asked so far, from 1), packet."""

    def __init__(self, responder, packet, tcp):
        self.responder, self.packet, self.tcp, self.nth = responder, packet, tcp, 0
        self.id, self.flags = struct.unpack(">HH", packet[:4])
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
            at += 1 + packet[at]
        self.section = packet[12:at + 5]  # as the asker wrote it, letter case and all
        self.kind = NAMES.get(struct.unpack(">H", packet[at + 1:at + 3])[0], "?")
        self.name = ".".join(labels).lower()
        self.unchecked = bool(self.flags & 0x0010)

    def reply(self, records=(), rcode=NOERROR, secure=True, section=None, flags=0, number=None, extra=(), authority=()):
        """A packet. records, extra (additional), authority: (owner, kind, text)."""
        ttl = self.responder.ttl
        head = struct.pack(">HHHHHH", self.id if number is None else number,
                           QR | 0x0100 | 0x0080 | (AD if secure else 0) | flags | rcode,
                           1, len(records), len(authority), len(extra) + 1)
        body = b"".join(wire_record(*record, ttl) for record in (*records, *authority, *extra))
        opt = b"\0" + struct.pack(">HHIH", 41, 1232, 0x8000, 0)
        return head + (self.section if section is None else section) + body + opt

    def truth(self):
        return self.responder.answer(self)


class Responder:
    """start() listens on UDP and TCP at one free port of 127.0.0.1. zones: all that is in them is answered from the table;
    upstream: "address:port" of whom to ask else."""

    def __init__(self, zones, upstream=None, ttl=1):
        self.zones, self.upstream, self.ttl = list(zones), upstream, ttl
        self.table, self.tricks, self.counts = {}, {}, {}
        self.common = None  # a trick for every question that has none of its own
        self.asked = []  # (name, kind, tcp), in order
        self.lock = threading.Lock()
        self.closed = False

    # ---- what is true ----

    def add(self, name, kind, *texts, secure=True):
        """Sets the records of a name, in place of what was there; no texts: the name has none of this type."""
        with self.lock:
            self.table[name.lower(), kind] = (texts, secure)

    def remove(self, name, kind):
        with self.lock:
            self.table.pop((name.lower(), kind), None)

    def trick(self, name, kind, function):
        with self.lock:
            self.tricks[name.lower(), kind] = function

    def always(self, function):
        """The same trick for every question; None: no more."""
        with self.lock:
            self.common = function

    def be_honest(self):
        with self.lock:
            self.tricks.clear()
            self.common = None

    def is_mine(self, name):
        return any(name == zone or name.endswith("." + zone) for zone in self.zones)

    def exists(self, name):
        return any(known == name or known.endswith("." + name) for known, _ in self.table)

    def answer(self, question):
        name, kind = question.name, question.kind
        if not self.is_mine(name):
            return self.ask_upstream(question) if self.upstream else question.reply(rcode=NXDOMAIN, secure=False)
        if not self.exists(name):
            return question.reply(rcode=NXDOMAIN)
        records, secure, chain = [], True, set()
        while True:
            texts, is_secure = self.table.get((name, kind), ((), True))
            alias = self.table.get((name, "CNAME"))
            if kind != "CNAME" and alias and alias[0] and name not in chain:
                chain.add(name)
                records.append((name, "CNAME", alias[0][0]))
                secure, name = secure and alias[1], alias[0][0]
                continue
            records += [(name, kind, text) for text in texts]
            return question.reply(records, secure=secure and is_secure)

    def ask_upstream(self, question):
        host, port = self.upstream.rsplit(":", 1)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if question.tcp else socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            s.connect((host, int(port)))
            if not question.tcp:
                s.send(question.packet)
                return s.recv(65535)
            s.sendall(struct.pack(">H", len(question.packet)) + question.packet)
            return read_exactly(s, struct.unpack(">H", read_exactly(s, 2))[0])

    # ---- serving ----

    def start(self):
        for _ in range(50):
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            try:
                self.tcp = socket.create_server(("127.0.0.1", self.port), backlog=128)
                break
            except OSError:
                self.udp.close()
        self.address = f"127.0.0.1:{self.port}"
        for loop in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=loop, daemon=True).start()
        return self

    def stop(self):
        self.closed = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # wakes the thread in recvfrom
            s.sendto(b"", ("127.0.0.1", self.port))
        try:
            self.tcp.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.tcp.close()
        self.udp.close()

    def think(self, packet, tcp):
        """returns: what is to be said"""
        question = Question(self, packet, tcp)
        key = question.name, question.kind
        with self.lock:
            self.asked.append((*key, tcp))
            if not tcp:
                self.counts[key] = self.counts.get(key, 0) + 1
            question.nth = self.counts.get(key, 0)
            trick = self.tricks.get(key, self.common)
        if trick is None:
            return [Say(question.truth())]
        return trick(question)

    def serve_udp(self):
        while not self.closed:
            try:
                packet, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if len(packet) >= 17:
                threading.Thread(target=self.say_udp, args=(packet, peer), daemon=True).start()

    def say_udp(self, packet, peer):
        try:
            for say in self.think(packet, False):
                time.sleep(say.after)
                if say.source is None:
                    self.udp.sendto(say.packet, peer)
                    continue
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.bind(("127.0.0.1" if say.source == "port" else "127.0.0.2",
                                0 if say.source == "port" else self.port))
                    other.sendto(say.packet, peer)
        except OSError:
            pass  # nobody upstream, or the asker is gone: silence

    def serve_tcp(self):
        while not self.closed:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.say_tcp, args=(connection,), daemon=True).start()

    def say_tcp(self, connection):
        with connection:
            connection.settimeout(10)
            try:
                packet = read_exactly(connection, struct.unpack(">H", read_exactly(connection, 2))[0])
                for say in self.think(packet, True):
                    time.sleep(say.after)
                    connection.sendall(struct.pack(">H", len(say.packet)) + say.packet)
                connection.settimeout(10)
                connection.recv(1)
            except (OSError, EOFError):
                pass


def read_exactly(s, count):
    data = b""
    while len(data) < count:
        part = s.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


# ---- tricks ----

def lie(records, **how):
    """A forged answer, as somebody would make it who has seen the question."""
    return lambda q: q.reply(records, **how)


def spoil_case(section):
    return bytes(c ^ 0x20 if chr(c).isalpha() else c for c in section[:-4]) + section[-4:]


def behind(*forged):
    """The forged packets come first, then the truth."""
    return lambda q: [*(say(q) for say in forged), Say(q.truth(), after=0.05)]


def make_tricks(forged):
    """
    Every trick, by name, against one look-up. forged: (owner, kind, text) records that lead to the forger.

    value: (function, mends): whether the right answer can still be had
    """
    def udp(first, tcp=None):
        """One behaviour for datagrams and another for connections; None: the truth there."""
        return lambda q: (tcp(q) if tcp else [Say(q.truth())]) if q.tcp else first(q)

    def both(say):
        return lambda q: say(q)

    def noise(q, size=60):
        return struct.pack(">H", q.id) + random.Random(q.id).randbytes(size)

    def other_section(q):
        return wire_name("other." + q.name) + q.section[-4:]

    def other_type(q):
        return q.section[:-4] + struct.pack(">HH", 99, 1)

    def cut(q):
        return q.truth()[:-len(q.truth()) // 3]

    def overcounted(q):
        truth = bytearray(q.truth())
        truth[6:8] = b"\xff\xff"
        return bytes(truth)

    def circle(q):
        return q.reply()[:12 + len(q.section)] + b"\xc0" + bytes([12 + len(q.section)]) + struct.pack(">HHIH", 1, 1, 1, 4)

    def failing(rcode):
        return both(lambda q: [Say(q.reply(rcode=rcode, secure=False))])

    return {
        # lost, late, too often, out of order
        "first datagram lost": (udp(lambda q: [] if q.nth == 1 else [Say(q.truth())]), True),
        "silent": (both(lambda q: []), False),
        "later than the first patience": (udp(lambda q: [Say(q.truth(), after=1.0)] if q.nth == 1 else [Say(q.truth())]), True),
        "said three times": (udp(lambda q: [Say(q.truth())] * 3), True),
        "another question's answer first": (udp(behind(lambda q: Say(q.reply(forged, section=other_section(q))))), True),
        "an answer of the other type first": (udp(behind(lambda q: Say(q.reply(forged, section=other_type(q))))), True),
        # forged by somebody who is faster
        "forged: wrong id":
            (udp(behind(*[lambda q, n=n: Say(q.reply(forged, number=q.id ^ n)) for n in (1, 0x8000, 0xffff)])), True),
        "forged: from another port": (udp(behind(lambda q: Say(q.reply(forged), source="port"))), True),
        "forged: from another address": (udp(behind(lambda q: Say(q.reply(forged), source="address"))), True),
        "forged: other letter case": (udp(behind(lambda q: Say(q.reply(forged, section=spoil_case(q.section))))), True),
        "forged: a query, not an answer": (udp(behind(lambda q: Say(q.packet))), True),
        "forged: says the name does not exist, wrong id":
            (udp(behind(lambda q: Say(q.reply(rcode=NXDOMAIN, number=q.id ^ 7)))), True),
        "forged: extra records": (both(lambda q: [Say(add_extra(q, forged))]), True),
        # cut and broken
        "cut, whole over TCP": (udp(lambda q: [Say(q.reply(flags=TC))]), True),
        "cut with a lie inside, whole over TCP": (udp(lambda q: [Say(q.reply(forged, flags=TC))]), True),
        "cut, TCP closes": (udp(lambda q: [Say(q.reply(flags=TC))], lambda q: []), False),
        "cut, TCP answers another question":
            (udp(lambda q: [Say(q.reply(flags=TC))],
                 lambda q: [Say(q.reply(forged, section=other_section(q)))]), False),
        "cut, TCP talks nonsense": (udp(lambda q: [Say(q.reply(flags=TC))], lambda q: [Say(noise(q))]), False),
        "too large a datagram": (udp(lambda q: [Say(q.truth() + bytes(5000))]), True),
        "nonsense": (both(lambda q: [Say(noise(q))]), False),
        "a few bytes": (both(lambda q: [Say(q.truth()[:7])]), False),
        "ends inside a record": (both(lambda q: [Say(cut(q))]), False),
        "more records promised than there": (both(lambda q: [Say(overcounted(q))]), False),
        "a name that points at itself": (both(lambda q: [Say(circle(q))]), False),
        # refusals
        "SERVFAIL": (failing(SERVFAIL), False),
        "REFUSED": (failing(REFUSED), False),
        "FORMERR": (failing(FORMERR), False),
        "NOTIMP": (failing(NOTIMP), False),
        "bogus": (both(lambda q: [Say(q.truth() if q.unchecked else q.reply(rcode=SERVFAIL, secure=False))]), False),
    }


def add_extra(q, forged):
    """The truth, with records beside it that nobody asked for: in the answer, the authority and the additional section."""
    texts, _ = q.responder.table.get((q.name, q.kind), ((), True))
    records = [(q.name, q.kind, text) for text in texts]
    strangers = [("elsewhere.test", kind, text) for _, kind, text in forged]
    return q.reply(records + strangers, authority=strangers, extra=list(forged) + strangers)
