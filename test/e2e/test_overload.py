"""One source that takes more than its share: connections a minute, commands in a turn, what was sent before a half-close, and
handshakes and commands that never come to an end."""
import http.client
import re
import select
import smtplib
import socket
import ssl
import time

import pytest

from lab import mail
from lab.sink import Sink


@pytest.fixture(scope="module")
def sink():
    made = Sink()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(module_gateways, sink):
    return module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                           "--plain-listener", "--set", "intake.max_connects=120")


def connect(gateway, source):
    return socket.create_connection(("127.0.0.1", gateway.info["smtp"]["port"]), 20, source_address=(source, 0))


def greeted(gateway, source):
    with connect(gateway, source) as s:
        return s.makefile("rb").readline()


def test_connections_a_minute_of_one_source(gateway):
    """A minute's worth at once, then two a second; nobody else waits for it."""
    begin = time.monotonic()
    said = [greeted(gateway, "127.0.0.77") for _ in range(160)]
    took = time.monotonic() - begin
    good = sum(line.startswith(b"220 ") for line in said)
    assert 120 <= good <= 120 + 2 * took + 1
    assert all(line.startswith((b"220 ", b"421 4.3.2 ")) for line in said) and said[0].startswith(b"220 ")
    assert greeted(gateway, "127.0.0.78").startswith(b"220 ")
    deadline = time.monotonic() + 60
    while not greeted(gateway, "127.0.0.77").startswith(b"220 "):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def pipelined(end):
    """Three transactions of 150 recipients each, more commands than a session has in a turn."""
    return b"EHLO client.test\r\n" + b"".join(
        b"MAIL FROM:<dr@tenant.test>\r\n" + b"".join(b"RCPT TO:<u%d@example.test>\r\n" % n for n in range(150)) + end(k)
        for k in range(3)) + b"QUIT\r\n"


def test_all_that_was_pipelined_is_answered_behind_a_half_close(gateway):
    with connect(gateway, "127.0.0.79") as s:
        s.sendall(pipelined(lambda k: b"RSET\r\n"))
        s.shutdown(socket.SHUT_WR)
        said = s.makefile("rb").read()
    assert said.count(b"250 2.1.5 ") == 450 and b"\r\n221 " in said, said[-500:]


def test_transactions_in_one_segment(gateway, sink):
    before = len(sink.messages)
    made = [mail.make(f"number {n}\r\n")[0] for n in range(3)]
    with connect(gateway, "127.0.0.79") as s:
        s.sendall(pipelined(lambda k: b"BDAT %d LAST\r\n" % len(made[k]) + made[k]))
        said = s.makefile("rb").read()
    assert said.count(b"250 2.1.5 ") == 450 and said.count(b"queued as ") == 3 and b"\r\n221 " in said, said[-500:]
    assert gateway.wait_record("message.settled")
    with sink.changed:
        assert sink.changed.wait_for(lambda: sum(len(m["to"]) for m in sink.messages[before:]) == 450, 60), gateway.log[-3000:]


IDLE, HANDSHAKE = 2, 1


@pytest.fixture(scope="module")
def patient(module_gateways, sink):
    """A gateway whose patience is short."""
    return module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                           "--plain-listener", "--set", f'intake.idle="{IDLE}s"', "--set", f'intake.handshake="{HANDSHAKE}s"')


def counted(gateway, name):
    host, port = gateway.info["admin"]["host"], gateway.info["admin"]["port"]
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    connection.close()
    return int(re.search(rf"^sallyport_{name}(?:{{[^}}]*}})? (\d+)$", page, re.M)[1])


def hello():
    """The first flight of a client, as OpenSSL makes it."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    shake = ssl.create_default_context().wrap_bio(into, out, server_hostname="gw.test")
    with pytest.raises(ssl.SSLWantReadError):
        shake.do_handshake()
    return out.read()


class Slow:
    """A client that sends these bytes one by one, and then nothing more, or begins anew."""

    def __init__(self, gateway, door, text=b"", upgrade=False, again=False):
        self.socket = socket.create_connection(("127.0.0.1", gateway.info[door]["port"]), 20, source_address=("127.0.0.80", 0))
        if upgrade:
            with self.socket.makefile("rwb", buffering=0) as file:
                assert file.readline().startswith(b"220 ")
                file.write(b"EHLO slow.test\r\n")
                while file.readline()[3:4] == b"-":
                    pass
                file.write(b"STARTTLS\r\n")
                assert file.readline().startswith(b"220 ")
        self.begun, self.ended, self.said, self.again = time.monotonic(), None, b"", again
        self.text, self.at = text, 0

    def turn(self):
        """Sends what is due, reads what is there."""
        if self.again and self.at == len(self.text):
            self.at = 0
        try:
            if self.at < len(self.text):
                self.socket.send(self.text[self.at:self.at + 1])
                self.at += 1
            while self.ended is None and select.select([self.socket], [], [], 0)[0]:
                got = self.socket.recv(65536)
                self.said += got
                if not got:
                    self.end()
        except OSError:
            self.end()

    def end(self):
        self.ended = time.monotonic()
        self.socket.close()


def test_half_open_sessions_end_at_a_time_that_no_byte_moves(patient):
    """Silence and single bytes, on both doors, before TLS and in it: all end, and a client beside them is served."""
    flight = hello()
    doors = {
        "silent before EHLO": (Slow(patient, "smtp"), IDLE, b"421 4.4.2"),
        "a command byte by byte": (Slow(patient, "smtp", b"EHLO" + b"x" * 400), IDLE, b"421 4.4.2"),
        "commands that move nothing": (Slow(patient, "smtp", b"NOOP\r\n", again=True), 3 * IDLE, b"421 4.4.2"),
        "silent behind STARTTLS": (Slow(patient, "smtp", upgrade=True), HANDSHAKE, b""),
        "a ClientHello byte by byte": (Slow(patient, "smtp", flight, upgrade=True), HANDSHAKE, b""),
        "a ClientHello and no more": (Slow(patient, "smtps", flight[:200]), HANDSHAKE, b""),
        "silent where TLS comes first": (Slow(patient, "smtps"), HANDSHAKE, b""),
        "byte by byte where TLS comes first": (Slow(patient, "smtps", flight), HANDSHAKE, b""),
        "what is no TLS, byte by byte": (Slow(patient, "smtps", b"\x16\x03\x01\x40\x00\x01" + b"\0" * 400), HANDSHAKE, b""),
    }
    names = ("handshakes_timed_out_total", "handshakes_failed_total", "sessions_timed_out_total")
    before = [counted(patient, name) for name in names]
    crowd = [Slow(patient, "smtps") for _ in range(100)]
    slowest, last = 0.0, time.monotonic() + 3 * IDLE + 10
    while any(d[0].ended is None for d in doors.values()) or any(c.ended is None for c in crowd):
        assert time.monotonic() < last, [name for name, d in doors.items() if d[0].ended is None]
        for slow in [d[0] for d in doors.values()] + crowd:
            if slow.ended is None:
                slow.turn()
        begin = time.monotonic()
        with smtplib.SMTP("127.0.0.1", patient.info["smtp"]["port"], timeout=20) as client:
            assert client.noop()[0] == 250
        slowest = max(slowest, time.monotonic() - begin)
        select.select([], [], [], 0.03)
    for name, (slow, due, words) in doors.items():
        took = slow.ended - slow.begun
        assert due - 0.2 <= took <= due + 1.5 + slowest, (name, took, due)
        assert words in slow.said and (words or b"421" not in slow.said), (name, slow.said)
    assert slowest < 5, slowest
    assert [counted(patient, name) - old for name, old in zip(names, before)] == [106, 106, 3]
    with patient.client() as client:
        assert client.noop()[0] == 250  # under TLS
    deadline = time.monotonic() + 60
    while counted(patient, "sessions") > 0:
        assert time.monotonic() < deadline
        select.select([], [], [], 0.05)
