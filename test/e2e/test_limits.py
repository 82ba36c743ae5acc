"""Bytes a second: read more slowly, taken all the same, and nobody else waits. Memory: who holds much comes later."""
import http.client
import json
import re
import socket
import threading
import time

import pytest

from lab import mail
from lab.sink import Sink
from lab.wait import until

RATE = 256 * 1024
SLOW, QUICK = "127.0.0.81", "127.0.0.82"


@pytest.fixture(scope="module")
def sink():
    made = Sink()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(module_gateways, sink):
    """One with little patience, too: a message must come with 1 MiB a second, which the allowed rate would not let it."""
    return module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                           "--plain-listener", "--set", f"intake.max_source_bytes={RATE}", "--set", 'intake.idle="4s"',
                           "--set", 'intake.least_rate="1MiB"')


class Client:
    def __init__(self, gateway, source):
        self.socket = socket.create_connection(("127.0.0.1", gateway.info["smtp"]["port"]), 60, source_address=(source, 0))
        self.file = self.socket.makefile("rb")
        assert self.reply().startswith(b"220 ")
        self.ask(b"EHLO client.test\r\n", b"250 ")

    def reply(self):
        while True:
            line = self.file.readline()
            if line[3:4] != b"-":
                return line

    def ask(self, text, code):
        self.socket.sendall(text)
        said = self.reply()
        assert said.startswith(code), said

    def send(self, message):
        """Seconds from MAIL to 250."""
        begin = time.monotonic()
        self.ask(b"MAIL FROM:<dr@tenant.test>\r\n", b"250 ")
        self.ask(b"RCPT TO:<u@example.test>\r\n", b"250 ")
        self.ask(b"DATA\r\n", b"354 ")
        self.ask(message + b".\r\n", b"250 2.0.0 ")
        return time.monotonic() - begin

    def close(self):
        self.file.close()
        self.socket.close()


def counted(gateway, name):
    host, port = gateway.info["admin"]["host"], gateway.info["admin"]["port"]
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    connection.close()
    return int(re.search(rf"^sallyport_{name}(?:{{[^}}]*}})? (\d+)$", page, re.M)[1])


def test_a_source_has_its_rate_and_the_others_theirs(gateway):
    size = 1536 * 1024
    big = mail.make("x" * 70 + "\r\n")[0] + b"0123456789abcdef\r\n" * (size // 18)
    took = {}
    slow = [Client(gateway, SLOW) for _ in range(2)]

    def run(n):
        took[n] = slow[n].send(big)
    threads = [threading.Thread(target=run, args=(n,)) for n in range(2)]
    begin = time.monotonic()
    for t in threads:
        t.start()
    quick, beside = Client(gateway, QUICK), []
    while any(t.is_alive() for t in threads):
        assert time.monotonic() < begin + 60
        beside.append(quick.send(mail.make("beside\r\n")[0]))
        threads[0].join(0.05)
    assert len(took) == 2, gateway.log[-3000:]  # both were taken: the deadline is not cut short by our own waiting
    least = (2 * size - 2 * RATE - 4 * 65536) / RATE  # two seconds' worth at once, and a piece of each that is ahead
    assert least <= time.monotonic() - begin, took
    assert len(beside) >= 3 and sorted(beside)[len(beside) // 2] < 2, beside
    until(lambda: counted(gateway, "sessions_slowed") == 0)
    assert counted(gateway, "sessions_slowings_total") >= 10
    told = [line for line in gateway.log.splitlines() if '"intake.slowed"' in line]
    assert len(told) == 1 and SLOW in told[0] and "intake.max_source_bytes" in told[0], told
    quick.close()
    for client in slow:
        client.close()


def test_who_left_and_comes_back_is_not_ahead_anew(gateway):
    """The bucket is the source's, not the connection's."""
    message = mail.make("again\r\n")[0] + b"0123456789abcdef\r\n" * (200 * 1024 // 18)
    begin = time.monotonic()
    for _ in range(6):
        client = Client(gateway, "127.0.0.83")
        client.send(message)
        client.close()
    # two seconds' worth at once; at the end a piece that is paid for, and what one more read may bring
    assert time.monotonic() - begin >= (6 * 200 * 1024 - 2 * RATE - 2 * 65536) / RATE


HOG = "127.0.0.84"


@pytest.fixture(scope="module")
def narrow(module_gateways, sink):
    """A source may hold 4 MiB."""
    return module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                           "--plain-listener", "--set", 'intake.max_source_memory="4MiB"')


def test_a_source_that_holds_much_is_asked_to_come_later(narrow):
    """Thirty headers without an end: some wait, and are refused at their end; who comes then is told so; nobody else is."""
    field = b"X-Long: " + b"a" * 900 + b"\r\n"
    head = b"From: Doctor <dr@tenant.test>\r\n" + field * (200 * 1024 // len(field))
    begin, refused = time.monotonic(), counted(narrow, "intake_memory_refused_total")
    hogs = [Client(narrow, HOG) for _ in range(30)]
    for hog in hogs:
        hog.ask(b"MAIL FROM:<dr@tenant.test>\r\n", b"250 ")
        hog.ask(b"RCPT TO:<u@example.test>\r\n", b"250 ")
        hog.ask(b"DATA\r\n", b"354 ")
    late = Client(narrow, HOG)
    for hog in hogs:
        hog.socket.sendall(head)
    until(lambda: counted(narrow, "intake_memory_bytes") >= 4 << 20)
    late.ask(b"MAIL FROM:<dr@tenant.test>\r\n", b"452 4.3.1 ")  # first: in five seconds some are given up
    with socket.create_connection(("127.0.0.1", narrow.info["smtp"]["port"]), 20, source_address=(HOG, 0)) as s:
        assert s.makefile("rb").readline().startswith(b"421 4.3.2 ")
    quick = Client(narrow, QUICK)
    assert quick.send(mail.make("beside\r\n")[0]) < 5
    until(lambda: counted(narrow, "intake_memory_refused_total") >= refused + 2 + 5)  # none has ended that made room for them
    for hog in hogs:
        hog.socket.sendall(b"\r\nhello\r\n.\r\n")
    said = [hog.reply()[:9] for hog in hogs]
    assert set(said) == {b"250 2.0.0", b"452 4.3.1"}, said  # how many of each is a matter of time
    until(lambda: counted(narrow, "intake_memory_bytes") < 2 << 20)
    assert late.send(mail.make("later\r\n")[0]) < 20  # and all is well again
    assert counted(narrow, "intake_memory_refused_total") >= said.count(b"452 4.3.1") + 2
    told = [line for line in narrow.log.splitlines() if '"intake.memory-full"' in line]
    minutes = int((time.monotonic() - begin) // 60)  # it is told once in each
    assert 1 <= len(told) <= 1 + minutes and all(HOG in line and "intake.max_source_memory" in line for line in told), told
    for client in (*hogs, late, quick):
        client.close()


def test_who_reads_no_reply_is_not_read_from(narrow):
    """Replies without end that nobody takes: the relay keeps few of them, reads no more, and loses none."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.bind(("127.0.0.85", 0))
    s.settimeout(60)
    s.connect(("127.0.0.1", narrow.info["smtp"]["port"]))
    rounds, words = 150, b"MAIL FROM:<dr@tenant.test>\r\n" + b"RCPT TO:<u@example.test>\r\n" * 400 + b"RSET\r\n"

    def send():
        s.sendall(b"EHLO client.test\r\n" + words * rounds + b"QUIT\r\n")
    sender = threading.Thread(target=send)
    sender.start()
    peak = 0
    for _ in range(10):
        peak = max(peak, counted(narrow, "intake_memory_bytes"))
        sender.join(0.1)
    assert peak < 3 << 20, peak  # most of it are the recipients of one message; all replies would be 2 MiB
    with s.makefile("rb") as file:
        said = file.read()
    sender.join()
    assert said.count(b"250 2.1.5 ") == 400 * rounds and b"\r\n221 " in said, said[-300:]
    s.close()


def told(gateway, event):
    """The limits that the log says were reached."""
    lines = (json.loads(line) for line in gateway.log.splitlines() if f'"{event}"' in line)
    return {line["limit"] for line in lines}


def test_the_gateway_has_its_rate(module_gateways, sink):
    gateway = module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json",
                              "--workers", 1,
                              "--plain-listener", "--set", f"intake.max_bytes={RATE}")
    client = Client(gateway, SLOW)
    took = client.send(mail.make("all\r\n")[0] + b"0123456789abcdef\r\n" * (1024 * 1024 // 18))
    assert took >= (1024 * 1024 - 2 * RATE - 2 * 65536) / RATE
    assert told(gateway, "intake.slowed") == {"intake.max_bytes"}
    client.close()


@pytest.mark.parametrize("limit, options", [
    ("intake.max_memory", ("--set", 'intake.max_memory="4MiB"')),
    ("limits.memory", ("--tenant-set", 'limits={"memory": "4MiB"}'))])
def test_what_all_and_what_a_tenant_hold_has_its_limit(module_gateways, sink, limit, options):
    """Headers without an end, from a source each, until who comes next is told to come later."""
    gateway = module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json",
                              "--workers", 1,
                              "--plain-listener", "--set", "intake.max_errors=1000", *options)
    late, hogs = Client(gateway, QUICK), [Client(gateway, f"127.0.0.{100 + n}") for n in range(30)]
    for hog in hogs:
        hog.ask(b"MAIL FROM:<dr@tenant.test>\r\n", b"250 ")
        hog.ask(b"RCPT TO:<u@example.test>\r\n", b"250 ")
        hog.ask(b"DATA\r\n", b"354 ")
    for hog in hogs:
        hog.socket.sendall(b"From: Doctor <dr@tenant.test>\r\n" + (b"X-Long: " + b"a" * 900 + b"\r\n") * 225)

    def is_refused():
        late.socket.sendall(b"MAIL FROM:<dr@tenant.test>\r\n")
        said = late.reply()
        if said.startswith(b"250 "):
            late.ask(b"RSET\r\n", b"250 ")
        return said.startswith(b"452 4.3.1 ")
    until(lambda: counted(gateway, "intake_memory_bytes") >= 4 << 20 and is_refused())
    assert told(gateway, "intake.memory-full") == {limit}
    for hog in hogs:
        hog.close()
    until(lambda: counted(gateway, "intake_memory_bytes") < 2 << 20)
    assert not is_refused()
    late.close()
