"""One source that takes more than its share: connections a minute, commands in a turn, and what was sent before a half-close."""
import socket
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
    deadline = time.monotonic() + 10
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
