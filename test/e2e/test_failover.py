"""Several hosts for one route: who is tried when, who we are to each, and that no fallback is a weaker one."""
import json
import pathlib
import socket
import ssl
import threading
import time

import pytest

from crash.board import Board
from lab import mail
from lab.pki import Authority
from lab.ports import free_port, open_folder
from lab.responder import Responder
from lab.sink import Session, Sink
from lab.wait import until

NAME = "smarthost.test"
POLICY = {"version": 1, "settings": {"floor": "tls:encrypted", "expire": "1d"},
          "ladders": {"relay": {"rungs": ["tls:authenticated", "tls:verified", "tls:encrypted"], "floor": "tls:encrypted"},
                      "open": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"}},
          "rules": [{"rule": "first-tenant", "when": {"recipient.domain": "one.example"},
                     "then": {"protect": "relay", "route": "first-return"}},
                    {"rule": "second-tenant", "when": {"recipient.domain": "two.example"},
                     "then": {"protect": "relay", "route": "second-return"}},
                    {"rule": "open", "when": {"recipient.domain": "open.example"},
                     "then": {"protect": "open", "lowers": "a test asks for it"}}],
          "default": {"protect": "relay"}}


class Asking(Session):
    """A session that asks for a certificate and notes whose it was, and the name in EHLO."""

    def on_ehlo(self, line):
        self.helo = line.split(b" ", 1)[1].decode()
        super().on_ehlo(line)

    def make_context(self):
        context = super().make_context()
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(self.sink.client_ca)
        return context

    def on_data(self, line):
        names = [v for k, v in (self.socket.getpeercert() or {}).get("subjectAltName", ()) if k == "DNS"] if self.tls else []
        self.sink.shown.append((self.recipients[0], self.helo, names))
        super().on_data(line)


class AskingSink(Sink):
    session = Asking

    def __init__(self, client_ca, **options):
        self.client_ca, self.shown = client_ca, []
        super().__init__(**options)


@pytest.fixture
def world(gateways, tmp_path):
    """make(smarthosts, *options) with .good and .stranger, certificates of the smarthosts' name from a trusted and another CA."""
    authority, other = Authority(tmp_path / "pki", "Good CA"), Authority(tmp_path / "pki", "Other CA")
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))

    class World:
        folder = tmp_path
        good, stranger = authority.leaf("good", [NAME]), other.leaf("stranger", [NAME])
        elsewhere = authority.leaf("elsewhere", ["elsewhere.test"])
        ca = authority.certificate
        leaf = staticmethod(authority.leaf)

        @staticmethod
        def gateway(smarthosts, *options):
            for route in {"first-return", "second-return"} - {s["route"] for s in smarthosts}:  # the rules name them
                smarthosts = [*smarthosts, {"route": route, "host": "127.0.0.1:9"}]
            return gateways("--plain-listener", "--policy", str(policy), "--retry", "0.4", "--trust", str(authority.certificate),
                            "--set", "delivery.smarthosts=" + json.dumps(smarthosts), *options)
    return World


@pytest.fixture
def board(monkeypatch):
    """Fault points of the gateway that this test starts."""
    with open_folder("sp-") as folder:
        made = Board(pathlib.Path(folder) / "board")
        monkeypatch.setenv("SP_FAULT_BOARD", made.path)
        yield made
        made.close()


def host(sink, priority=10, route="*", **more):
    return {"route": route, "host": f"{sink.address}:{sink.port}", "priority": priority, "name": NAME, **more}


def submit(gateway, recipient, sender="dr@tenant.test"):
    message, message_id = mail.make("SECRETWORD\r\n", [recipient])
    with gateway.client(tls=False) as client:
        client.sendmail(sender, [recipient], message)
    return gateway.message_of(message_id)


def final(gateway, identity):
    return gateway.wait_record("message.settled", message=identity)["recipients"][0]


def test_the_second_takes_over_and_gives_back(world, sinks):
    first, second = sinks(certificate=world.good.pair), sinks(certificate=world.good.pair)
    gateway = world.gateway([host(first, 10), host(second, 20)])
    final(gateway, submit(gateway, "a@example.net"))
    assert len(first.messages) == 1 and second.sessions == 0
    first.stop()
    gateway.restart("relay")  # ends idle connections to it
    taken = final(gateway, submit(gateway, "a@example.net"))
    assert taken["rung"] == "tls:authenticated" and len(second.messages) == 1
    again = sinks(port=first.port, certificate=world.good.pair)
    deadline = time.monotonic() + 60
    while not again.messages:
        assert time.monotonic() < deadline
        final(gateway, submit(gateway, "a@example.net"))


@pytest.mark.parametrize("weaker", ["stranger", "elsewhere", None])
def test_a_fallback_is_never_weaker(world, sinks, weaker):
    """The good host proves itself and goes; the other one is there, and offers less: another CA, another name, no TLS."""
    good = sinks(certificate=world.good.pair)
    bad = sinks(certificate=getattr(world, weaker).pair if weaker else None)
    gateway = world.gateway([host(good, 10), host(bad, 20)])
    assert final(gateway, submit(gateway, "a@example.net"))["rung"] == "tls:authenticated"
    good.stop()
    gateway.restart("relay")
    waiting = [submit(gateway, "a@example.net")]
    if weaker is None:  # even where the ladder ends with plain: the better host is away, that opens no lower rung
        waiting.append(submit(gateway, "a@open.example"))
    for identity in waiting:
        first = gateway.wait_record("delivery.attempted", message=identity)
        assert first["outcome"] == "deferred" and first["next_at"]
    assert bad.sessions > 0 and bad.messages == [] and b"SECRETWORD" not in bytes(bad.wire)
    again = sinks(port=good.port, certificate=world.good.pair)
    assert [final(gateway, w)["rung"] for w in waiting] == ["tls:authenticated", "tls:encrypted"][:len(waiting)]
    assert len(again.messages) == len(waiting) and bad.messages == []


def test_each_tenant_has_its_own_certificate_and_name(world):
    """The return leg: one host for both, recognised by certificate alone; connections and sessions are not shared."""
    one, two = world.leaf("first", ["first.gateway.test"]), world.leaf("second", ["second.gateway.test"])
    sink = AskingSink(world.ca, certificate=world.good.pair)
    try:
        gateway = world.gateway([
            host(sink, route="first-return", certificate=str(one.certificate), key=str(one.key), helo="first.helo.test"),
            host(sink, route="second-return", certificate=str(two.certificate), key=str(two.key)),
            host(sink)])
        for _ in range(2):
            for recipient in ("a@one.example", "a@two.example", "a@other.example"):
                final(gateway, submit(gateway, recipient))
        expected = {("a@one.example", "first.helo.test", ("first.gateway.test",)),
                    ("a@two.example", "gateway.tenant.test", ("second.gateway.test",)),
                    ("a@other.example", "gateway.tenant.test", ())}
        assert {(a, b, tuple(c)) for a, b, c in sink.shown} == expected and len(sink.shown) == 6
        shown = {r["hop"].get("client_certificate") for r in gateway.records() if r["event"] == "delivery.attempted"}
        assert shown == {str(one.certificate), str(two.certificate), None}
    finally:
        sink.stop()


def test_a_silent_host_is_left_for_the_next(world, sinks):
    """It takes connections and says nothing: its greeting is waited for no longer than delivery.command."""
    second = sinks(certificate=world.good.pair)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        gateway = world.gateway([{**host(second, 10), "host": address}, host(second, 20)], "--set", 'delivery.command="1s"')
        assert final(gateway, submit(gateway, "a@example.net"))["rung"] == "tls:authenticated"


def test_an_equal_smarthost_takes_what_the_other_has_no_room_for(world, sinks):
    """One of two has a connection and keeps it: what was drawn for it goes to the other."""
    stuck = threading.Event()
    first = sinks(certificate=world.good.pair, replies={"DOT": lambda data: stuck.wait(300) and "250 2.0.0 taken"})
    second = sinks(certificate=world.good.pair)
    gateway = world.gateway([host(first), host(second)], "--workers", "1")
    (pathlib.Path(gateway.info["policy"]).parent / "sites.json").write_text(
        json.dumps({"version": 1, "default": {"connections": 1}}))
    gateway.reload()
    try:
        identities = [submit(gateway, "a@example.net") for _ in range(80)]
        until(lambda: len(second.messages) >= 60, 120)
        assert len(first.messages) <= 1
    finally:
        stuck.set()
    assert all(final(gateway, identity)["final"] == "delivered" for identity in identities)
    assert len(first.messages) + len(second.messages) == 80


def test_mx_hosts_are_tried_by_preference_and_a_dead_one_costs_nothing(gateways, sinks, world):
    """Two of preference 10, one of them dead, one of 20. The certificates prove nothing: what the domain has never proved is
    not waited for once that is known; and an IPv6 address where nobody listens harms nothing."""
    port = free_port(["127.0.0.41", "127.0.0.42", "127.0.0.43"])
    responder = Responder(["mx.test"]).start()
    try:
        responder.add("mx.test", "MX", "20 last.mx.test", "10 dead.mx.test", "10 good.mx.test")
        for name, kind, address in (("dead", "A", "127.0.0.41"), ("good", "A", "127.0.0.42"), ("last", "A", "127.0.0.43"),
                                    ("last", "AAAA", "::1")):
            responder.add(f"{name}.mx.test", kind, address)
        good = sinks(address="127.0.0.42", port=port, certificate=world.stranger.pair)
        last = sinks(address="127.0.0.43", port=port, certificate=world.stranger.pair)
        policy = json.dumps({**POLICY, "rules": []})
        path = world.folder / "mx.json"
        path.write_text(policy)
        gateway = gateways("--plain-listener", "--policy", str(path), "--retry", "0.4", "--resolver", responder.address,
                           "--mx-port", port, "--workers", 1)  # others hear of a domain's proof a moment later
        final(gateway, submit(gateway, "a@mx.test"))  # what the domain proves is known from now on
        sent = [submit(gateway, "a@mx.test") for _ in range(8)]
        assert [final(gateway, i)["attempts"] for i in sent] == [1] * 8
        assert len(good.messages) == 9 and last.messages == []
        good.stop()
        gateway.restart("relay")
        assert final(gateway, submit(gateway, "a@mx.test"))["rung"] == "tls:encrypted"
        assert len(last.messages) == 1
    finally:
        responder.stop()


@pytest.mark.parametrize("verb, reply", [("MAIL", "452 4.3.1 no room"), ("MAIL", "close"), ("RCPT", "451 4.3.0 look-up failed"),
                                         ("DATA", "451 4.3.0 busy"), ("DOT", "452 4.3.1 no room")])
def test_a_host_that_can_take_no_mail_now_is_left_for_the_next(world, sinks, verb, reply):
    """It greets, talks TLS and proves itself, and takes no mail: it is its own trouble, and another host has not."""
    first, second = sinks(certificate=world.good.pair, replies={verb: reply}), sinks(certificate=world.good.pair)
    gateway = world.gateway([host(first, 10), host(second, 20)], "--retry", "3600")
    settled = final(gateway, submit(gateway, "a@example.net"))
    assert settled["rung"] == "tls:authenticated" and settled["attempts"] == 1
    assert len(second.messages) == 1 and len(first.mails) == 1


@pytest.mark.parametrize("verb, reply", [("RCPT", "450 4.2.1 mailbox busy"), ("RCPT", "451 4.7.1 greylisted"),
                                         ("DOT", "451 4.7.0 slower"), ("DOT", "close")])
def test_what_is_no_trouble_of_the_host_itself_waits(world, sinks, verb, reply):
    """Another host would say the same of a mailbox or of us; and behind the dot it may have the mail."""
    first, second = sinks(certificate=world.good.pair, replies={verb: reply}), sinks(certificate=world.good.pair)
    gateway = world.gateway([host(first, 10), host(second, 20)], "--retry", "3600")
    identity = submit(gateway, "a@example.net")
    record = gateway.wait_record("delivery.attempted", message=identity)
    assert record["outcome"] == "deferred" and record.get("reply", reply).split()[0] in reply
    assert len(first.mails) == 1 and second.mails == []


def test_who_was_taken_stays_with_the_host_that_took_him(world, sinks):
    """Of three recipients the first host takes one, refuses one, and has no room for the third: the other host takes that one."""
    def answer(line):
        return next((r for name, r in (("two", "452 4.3.1 no room"), ("three", "550 5.1.1 who")) if name.encode() in line),
                    "250 2.1.5 ok")
    first, second = sinks(certificate=world.good.pair, replies={"RCPT": answer}), sinks(certificate=world.good.pair)
    gateway = world.gateway([host(first, 10), host(second, 20)], "--retry", "3600")
    recipients = [f"{name}@example.net" for name in ("one", "two", "three")]
    message, message_id = mail.make("SECRETWORD\r\n", recipients)
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", recipients, message)
    settled = gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    assert [r["final"] for r in settled["recipients"]] == ["delivered", "delivered", "returned"]
    assert [m["to"] for m in first.messages if b"SECRETWORD" in m["data"]] == [["one@example.net"]]
    assert [m["to"] for m in second.messages] == [["two@example.net"]]


def test_where_no_host_has_room_each_is_asked_once(world, sinks):
    full = {"replies": {"MAIL": "452 4.3.1 no room"}, "certificate": world.good.pair}
    first, second, third = sinks(**full), sinks(**full), sinks(certificate=world.good.pair)
    third.stop()
    gateway = world.gateway([host(first, 10), host(second, 20), host(third, 30)], "--retry", "3600")
    identity = submit(gateway, "a@example.net")
    record = gateway.wait_record("delivery.attempted", message=identity)
    assert record["outcome"] == "deferred" and record["why"] == "hop.deferred" and record["reply"] == "452 4.3.1"
    shown = [h["shown"] for h in record["hop"]["asked"]]
    assert shown == ["hop.deferred", "hop.deferred", "hop.unreachable"]
    assert len(first.mails) == 1 and len(second.mails) == 1


def test_of_hosts_without_room_three_are_asked(world, sinks):
    full = {"replies": {"MAIL": "452 4.3.1 no room"}, "certificate": world.good.pair}
    hosts = [sinks(**full) for _ in range(3)] + [sinks(certificate=world.good.pair)]
    gateway = world.gateway([host(h, 10 * (n + 1)) for n, h in enumerate(hosts)], "--retry", "3600")
    record = gateway.wait_record("delivery.attempted", message=submit(gateway, "a@example.net"))
    assert record["outcome"] == "deferred" and record["why"] == "hop.deferred"
    assert [len(h.mails) for h in hosts] == [1, 1, 1, 0]


def test_a_body_that_cannot_be_read_now_is_no_host_s_trouble(world, sinks, board):
    """The disk gives an error in the midst of a transaction: no other host is asked, and nobody is slowed down for it. The
    first attempt, which reads nothing, is put off."""
    def go(line):
        if len(first.mails) == 2:
            board.arm("relay:content.read", 2)
        return "354 go"

    first = sinks(certificate=world.good.pair, replies={
        "MAIL": lambda line: "451 4.7.1 later" if len(first.mails) == 1 else "250 2.1.0 ok", "DATA": go})
    second = sinks(certificate=world.good.pair)
    gateway = world.gateway([host(first, 10), host(second, 20)], "--retry", "1", "--workers", 1)
    message, message_id = mail.make("SECRETWORD\r\n" * 80000, ["a@example.net"])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["a@example.net"], message)
    identity = gateway.message_of(message_id)
    settled = final(gateway, identity)
    assert settled["final"] == "delivered" and settled["attempts"] == 3 and board.struck()
    records = [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == identity]
    assert [r.get("why") for r in records] == ["hop.deferred", "io", None] and "reply" not in records[1]
    assert len(first.messages) == 1 and second.sessions == 0
    assert "connection lost" not in gateway.log


def test_what_a_host_said_is_told_beside_its_own_facts(world, sinks):
    """The full one is waited for. The other is asked, and offers less: the record is about its certificate, and has no reply."""
    full = sinks(certificate=world.good.pair, replies={"MAIL": "452 4.3.1 no room"})
    weaker = sinks(certificate=world.stranger.pair)
    gateway = world.gateway([host(full, 10), host(weaker, 20)], "--retry", "3600")
    record = gateway.wait_record("delivery.attempted", message=submit(gateway, "a@example.net"))
    assert record["outcome"] == "deferred" and record["why"] == "hop.deferred" and weaker.mails == []
    assert record["hop"]["port"] == weaker.port and "reply" not in record
    assert [h["shown"] for h in record["hop"]["asked"]] == ["hop.deferred", "tls:encrypted"]


def test_who_put_mail_off_is_known_in_a_new_route(two_hosts, sinks):
    """It takes longer than what the DNS said is good for; its hosts are looked up anew, and none is asked again."""
    def busy(line):
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 2.5)
        return "451 4.3.0 busy"

    port = free_port(["127.0.0.54", "127.0.0.55"])
    full = sinks(address="127.0.0.54", port=port, replies={"DATA": busy})
    other = sinks(address="127.0.0.55", port=port)
    gateway = two_hosts([full, other], {"unreachable": "1d"}, "--retry", "3600")
    assert final(gateway, submit(gateway, "a@mx.test"))["attempts"] == 1
    assert len(full.mails) == 1 and len(other.messages) == 1


def test_hosts_without_tls_take_over_from_each_other(two_hosts, sinks):
    """What the full one has not shown is not waited for."""
    port = free_port(["127.0.0.49", "127.0.0.50"])
    full = sinks(address="127.0.0.49", port=port, replies={"MAIL": "452 4.3.1 no room"})
    other = sinks(address="127.0.0.50", port=port)
    gateway = two_hosts([full, other], {"unreachable": "1d"}, "--retry", "3600")
    settled = final(gateway, submit(gateway, "a@mx.test"))
    assert settled["rung"] == "plain" and settled["attempts"] == 1
    assert len(full.mails) == 1 and len(other.messages) == 1


def test_who_has_no_other_host_waits_for_a_probe(two_hosts, sinks):
    """The other one has no address. The first comes back while it is probed for one message, and the next one goes there, too."""
    asked, late = threading.Event(), threading.Event()
    port = free_port(["127.0.0.48"])

    def greet(line):
        if sink.sessions == 1:
            return "421 4.3.2 down"
        asked.set()
        late.wait(60)
        return "220 sink.test ESMTP"

    sink = sinks(address="127.0.0.48", port=port, replies={"CONNECT": greet})
    gateway = two_hosts([sink, None], {"unreachable": "1d"}, "--retry", "4")  # it rests for 2 s
    first = submit(gateway, "a@mx.test")
    assert asked.wait(60)  # its second attempt
    second = submit(gateway, "a@mx.test")
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1)  # it has got there, or waits still
    late.set()
    assert [final(gateway, i)["attempts"] for i in (first, second)] == [2, 1]


def test_a_host_that_rests_is_no_other_host(two_hosts, sinks):
    """While one is probed and the other rests, mail waits for what becomes of the probe."""
    asked, late = threading.Event(), threading.Event()
    port = free_port(["127.0.0.60", "127.0.0.61"])

    def greet(line):
        if first.sessions == 1:
            return "421 4.3.2 down"
        asked.set()
        late.wait(60)
        return "220 sink.test ESMTP"

    first = sinks(address="127.0.0.60", port=port, replies={"CONNECT": greet})
    second = sinks(address="127.0.0.61", port=port, replies={"CONNECT": "421 4.3.2 down"})
    gateway = two_hosts([first, second], {"unreachable": "1d"}, "--retry", "3600")  # who is down rests for 15 s, then for 30
    probes = submit(gateway, "a@mx.test")
    gateway.wait_record("delivery.attempted", message=probes)
    gateway.run("queue", "retry", probes, "--now")  # both may be asked again
    assert asked.wait(60)
    gateway.wait_record("delivery.attempted", message=submit(gateway, "a@mx.test"))  # it has met the other one
    waits = submit(gateway, "a@mx.test")
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1)  # it has got there, or waits still
    late.set()
    assert final(gateway, waits)["attempts"] == 1 and second.mails == []


class Broken(Session):
    """Offers TLS, and none comes about."""

    def on_starttls(self, line):
        self.say("220 2.0.0 go")
        self.read_until(b"\x16")  # a record of the handshake begins
        self.say("500 5.5.1 not today")
        raise EOFError


class BrokenSink(Sink):
    session = Broken


@pytest.fixture
def two_hosts(gateways, world):
    """make(sinks, stay): a gateway that finds these as hosts of mx.test, the first preferred; rungs tls:encrypted and last, and
    those between. None: a host without an address."""
    responder = Responder(["mx.test"]).start()

    def make(sinks, stay, *options, best="tls:encrypted", between=(), last="plain"):
        if sinks:
            responder.add("mx.test", "MX", *[f"{n} mx{n}.mx.test" for n in range(len(sinks))])
        for n, sink in enumerate(sinks):
            if sink:
                responder.add(f"mx{n}.mx.test", "A", sink.address)
        path = world.folder / "mx.json"
        path.write_text(json.dumps({
            "version": 1, "settings": {"floor": "plain", "expire": "1d", "portal": {"expires": "30d", "login": ["code"]}},
            "default": {"protect": {"rungs": [{"rung": best, "stay": stay}, *between, last], "floor": "plain"}}}))
        return gateways("--plain-listener", "--policy", path, "--resolver", responder.address, "--workers", 1,
                        "--mx-port", sinks[0].port if sinks else 25, *options)
    yield make
    responder.stop()


def test_a_host_with_tls_that_puts_mail_off_opens_no_lower_rung(two_hosts, sinks, world):
    """The preferred one has no TLS, so the other is asked, and takes no mail now: that is no reason to go in the clear."""
    port = free_port(["127.0.0.44", "127.0.0.45"])
    bare = sinks(address="127.0.0.44", port=port)
    safe = sinks(address="127.0.0.45", port=port, certificate=world.stranger.pair, replies={"DATA": "451 4.3.0 busy"})
    gateway = two_hosts([bare, safe], {"dropped": "0s"}, "--retry", "3600")
    record = gateway.wait_record("delivery.attempted", message=submit(gateway, "a@mx.test"))
    assert record["outcome"] == "deferred" and record["why"] == "hop.deferred"
    assert len(safe.mails) == 1 and bare.mails == []
    assert not [r for r in gateway.records() if r["event"] == "transport.posture-dropped"]


def test_that_a_domain_dropped_its_protection_is_told_whoever_takes_the_mail(two_hosts, sinks, world):
    """Its host has no TLS any more, and puts two recipients off for two reasons: each goes on to the other host by himself."""
    port = free_port(["127.0.0.62", "127.0.0.63"])
    first = sinks(address="127.0.0.62", port=port, certificate=world.stranger.pair)
    second = sinks(address="127.0.0.63", port=port)
    gateway = two_hosts([first, second], {"dropped": "0s"})
    assert final(gateway, submit(gateway, "a@mx.test"))["rung"] == "tls:encrypted"
    first.stop()
    gateway.restart("relay")
    bare = sinks(address="127.0.0.62", port=port,
                 replies={"RCPT": lambda line: "452 4.3.1 no room" if b"one@" in line else "451 4.3.0 busy"})
    message, message_id = mail.make("SECRETWORD\r\n", ["one@mx.test", "two@mx.test"])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["one@mx.test", "two@mx.test"], message)
    settled = gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    assert [r["rung"] for r in settled["recipients"]] == ["plain"] * 2
    assert len(bare.mails) == 1 and len(second.messages) == 2
    gateway.wait_record("transport.posture-dropped", domain="mx.test")


def test_that_a_domain_dropped_its_protection_is_told_of_packages_for_two(two_hosts, sinks, world):
    """Its host has no TLS any more. Each of the two gets a package of his own, and the audit hears of it."""
    port = free_port(["127.0.0.64"])
    first = sinks(address="127.0.0.64", port=port, certificate=world.stranger.pair)
    gateway = two_hosts([first], {"dropped": "0s"}, last="portal")
    assert final(gateway, submit(gateway, "a@mx.test"))["rung"] == "tls:encrypted"
    first.stop()
    gateway.restart("relay")
    bare = sinks(address="127.0.0.64", port=port)
    message, message_id = mail.make("SECRETWORD\r\n", ["one@mx.test", "two@mx.test"])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["one@mx.test", "two@mx.test"], message)
    identity = gateway.message_of(message_id)

    def of_this(event):
        return [r for r in gateway.records() if r["event"] == event and r["message"] == identity]

    until(lambda: len(of_this("portal.deposited")) == 2)  # each with what else is on record of that attempt
    assert {r["domain"] for r in of_this("transport.posture-dropped")} == {"mx.test"} and bare.messages == []


def test_what_a_domain_dropped_is_told_of_the_host_that_has_less(two_hosts, sinks, world):
    """One of two has no TLS any more. The other has, and puts the mail off: it is not what it showed that is told."""
    port = free_port(["127.0.0.65", "127.0.0.66"])
    first = sinks(address="127.0.0.65", port=port, certificate=world.stranger.pair)
    second = sinks(address="127.0.0.66", port=port, certificate=world.stranger.pair, replies={"MAIL": "451 4.7.1 later"})
    gateway = two_hosts([first, second], {"dropped": "0s", "unreachable": "0s"}, last="portal")
    assert final(gateway, submit(gateway, "a@mx.test"))["rung"] == "tls:encrypted"
    first.stop()
    gateway.restart("relay")
    bare = sinks(address="127.0.0.65", port=port)
    identity = submit(gateway, "a@mx.test")
    gateway.wait_record("portal.deposited", message=identity)
    told = gateway.wait_record("transport.posture-dropped", message=identity)
    assert told["posture"] == {"before": "tls:encrypted", "now": "plain"}
    assert [any(b"<dr@" in m for m in s.mails) for s in (bare, second)] == [False, True]  # notices come, too


def test_a_host_that_comes_back_takes_no_mail_that_a_better_one_put_off(two_hosts, sinks, world):
    """Of two smarthosts the preferred one has no TLS and is down; it is up again when the other has put the mail off."""
    up = threading.Event()

    def busy(line):
        up.set()
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 3)  # the other one is left alone for half a second
        return "451 4.3.0 busy"

    bare = sinks(replies={"CONNECT": lambda line: "220 sink.test ESMTP" if up.is_set() else "421 4.3.2 down"})
    safe = sinks(certificate=world.good.pair, replies={"DATA": busy})
    gateway = two_hosts([], {"dropped": "0s"}, "--retry", "1", "--trust", world.ca, "--set",
                        "delivery.smarthosts=" + json.dumps([host(bare, 10), host(safe, 20)]))
    record = gateway.wait_record("delivery.attempted", message=submit(gateway, "a@mx.test"))
    assert record["outcome"] == "deferred" and record["why"] == "hop.deferred"
    assert [h["shown"] for h in record["hop"]["asked"]] == ["plain", "hop.deferred"]
    assert bare.mails == []


def test_who_is_asked_after_a_host_without_tls_is_asked_for_tls(two_hosts, sinks, world):
    """One is down, with the other no TLS comes about: it goes there in the clear, is put off, and the first one is up again."""
    port = free_port(["127.0.0.46", "127.0.0.47"])
    up = threading.Event()

    def busy(line):
        up.set()
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 3)  # the first one is left alone for half a second
        return "451 4.3.0 busy"

    first = sinks(address="127.0.0.46", port=port, certificate=world.stranger.pair,
                  replies={"CONNECT": lambda line: "220 sink.test ESMTP" if up.is_set() else "421 4.3.2 down"})
    second = BrokenSink("127.0.0.47", port, certificate=world.stranger.pair, replies={"DATA": busy})
    try:
        gateway = two_hosts([first, second], {"unreachable": "0s"}, "--retry", "1")
        settled = final(gateway, submit(gateway, "a@mx.test"))
        assert len(second.mails) == 1
        assert settled["rung"] == "tls:encrypted" and settled["attempts"] == 1
        assert first.messages[0]["tls"] and b"SECRETWORD" not in bytes(first.wire)
    finally:
        second.stop()


def test_who_is_probed_is_waited_for_where_another_host_would_be_weaker(two_hosts, sinks, world):
    """The one with TLS comes back while it is probed for one message; the other, without TLS, gets none of the next one."""
    asked, late = threading.Event(), threading.Event()
    port = free_port(["127.0.0.56", "127.0.0.57"])

    def greet(line):
        if safe.sessions == 1:
            return "421 4.3.2 down"
        asked.set()
        late.wait(60)
        return "220 sink.test ESMTP"

    safe = sinks(address="127.0.0.56", port=port, certificate=world.stranger.pair, replies={"CONNECT": greet})
    bare = sinks(address="127.0.0.57", port=port)
    gateway = two_hosts([safe, bare], {"unreachable": "0s", "dropped": "0s"}, "--retry", "1")
    assert final(gateway, submit(gateway, "a@mx.test"))["rung"] == "plain"  # it rests for half a second
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 2)
    first = submit(gateway, "a@mx.test")
    assert asked.wait(60)
    second = submit(gateway, "a@mx.test")
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1)  # it has got there, or waits still
    late.set()
    assert [final(gateway, i)["rung"] for i in (first, second)] == ["tls:encrypted"] * 2
    assert len(bare.messages) == 1


def test_a_host_is_asked_without_tls_only_if_its_own_fails(two_hosts, sinks, world):
    """One has TLS that proves nothing, which will do where nothing better is; with the other none comes about."""
    port = free_port(["127.0.0.58", "127.0.0.59"])
    first = sinks(address="127.0.0.58", port=port, certificate=world.stranger.pair)
    second = BrokenSink("127.0.0.59", port, certificate=world.stranger.pair)
    try:
        gateway = two_hosts([first, second], {"dropped": "0s"}, best="tls:verified")
        assert final(gateway, submit(gateway, "a@mx.test"))["attempts"] == 1
        assert first.messages[0]["tls"] and b"SECRETWORD" not in bytes(first.wire)
    finally:
        second.stop()


@pytest.mark.parametrize("beside", [False, True])
def test_a_sealed_copy_goes_to_a_host_whose_tls_breaks(two_hosts, sinks, world, beside):
    """It needs no TLS, so it goes without, as to a host that offers none; but rather to one that has it."""
    port = free_port(["127.0.0.70", "127.0.0.71"])
    hosts = [BrokenSink("127.0.0.70", port, certificate=world.stranger.pair)]
    if beside:
        hosts.append(sinks(address="127.0.0.71", port=port, certificate=world.stranger.pair))
    try:
        person = mail.SmimePerson(world.folder, "sealed@mx.test")
        gateway = two_hosts(hosts, {"unreachable": "4h"}, best="smime")
        gateway.run("keys", "import", str(person.certificate))
        settled = final(gateway, submit(gateway, person.address))
        assert settled["rung"] == "smime" and settled["attempts"] == 1
        assert len(hosts[-1].messages) == 1 and bool(hosts[-1].messages[0]["tls"]) == beside
        assert b"SECRETWORD" in person.open(hosts[-1].messages[0]["data"])
    finally:
        hosts[0].stop()


def test_nothing_goes_without_tls_where_another_host_has_it(two_hosts, sinks, world):
    """Even if the ladder asks for none that its hosts can have."""
    port = free_port(["127.0.0.70", "127.0.0.71"])
    broken = BrokenSink("127.0.0.70", port, certificate=world.stranger.pair)
    try:
        second = sinks(address="127.0.0.71", port=port, certificate=world.stranger.pair)
        gateway = two_hosts([broken, second], {"unreachable": "4h"}, best="tls:dane")
        assert final(gateway, submit(gateway, "a@mx.test"))["rung"] == "plain"
        assert second.messages[0]["tls"] and broken.messages == []
    finally:
        broken.stop()


SMALL = ("PIPELINING", "8BITMIME", "SIZE 45000", "ENHANCEDSTATUSCODES")  # a message fits, a sealed copy of it does not


def submit_large(gateway, recipient):
    message, message_id = mail.make("SECRETWORD\r\n" * 3000, [recipient])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", [recipient], message)
    return gateway.message_of(message_id)


def test_who_can_not_take_the_copy_is_not_the_only_one_asked_for_the_next_rung(two_hosts, sinks, world):
    """A host without TLS would do for a sealed copy, which is too large for it. The mail itself goes to the one with TLS."""
    port = free_port(["127.0.0.72", "127.0.0.73"])
    bare = sinks(address="127.0.0.72", port=port, offer=SMALL)
    safe = sinks(address="127.0.0.73", port=port, certificate=world.stranger.pair)
    person = mail.SmimePerson(world.folder, "sealed@mx.test")
    gateway = two_hosts([bare, safe], {"unreachable": "4h"}, best="smime", between=["tls:encrypted"])
    gateway.run("keys", "import", str(person.certificate))
    settled = final(gateway, submit_large(gateway, person.address))
    assert bare.messages == [] and b"SECRETWORD" not in bytes(bare.wire)
    assert settled["rung"] == "tls:encrypted" and safe.messages[0]["tls"]


def test_who_can_not_take_the_copy_opens_no_lower_rung_for_the_mail(two_hosts, sinks, world):
    """A host whose handshakes fail would do for a sealed copy, too large for it; the other is down. That one is waited for."""
    port = free_port(["127.0.0.74", "127.0.0.75"])
    broken = BrokenSink("127.0.0.74", port, certificate=world.stranger.pair, offer=SMALL)
    try:
        down = sinks(address="127.0.0.75", port=port, replies={"CONNECT": "421 4.3.2 down"})
        person = mail.SmimePerson(world.folder, "sealed@mx.test")
        gateway = two_hosts([broken, down], {"unreachable": "4h"}, "--retry", "3600", best="smime", between=["tls:encrypted"])
        gateway.run("keys", "import", str(person.certificate))
        record = gateway.wait_record("delivery.attempted", message=submit_large(gateway, person.address))
        assert record["outcome"] == "deferred" and record["why"] == "hop.deferred"
        assert broken.mails == [] and b"SECRETWORD" not in bytes(broken.wire)
    finally:
        broken.stop()


@pytest.mark.parametrize("best, reply", [("smime", None), ("tls:encrypted", None), ("smime", "451 4.7.1 later")])
def test_who_can_not_take_it_without_tls_speaks_for_no_silent_host(two_hosts, sinks, world, best, reply):
    """One breaks its handshakes; asked without TLS, the mail is too large for it, or comes too soon. The other is down."""
    port = free_port(["127.0.0.77", "127.0.0.78"])
    size = "SIZE 20000" if reply is None else "SIZE 1000000"
    broken = BrokenSink("127.0.0.77", port, certificate=world.stranger.pair, offer=("PIPELINING", size),
                        replies={"MAIL": reply} if reply else {})
    try:
        down = sinks(address="127.0.0.78", port=port, replies={"CONNECT": "421 4.3.2 down"})
        between = [{"rung": "tls:encrypted", "stay": {"unreachable": "4h"}}] * bool(reply)
        gateway = two_hosts([broken, down], {"unreachable": "0s"}, "--retry", "3600", best=best, between=between,
                            last={"rung": "plain", "stay": {"unreachable": "0s" if reply else "4h"}})
        if reply:
            person = mail.SmimePerson(world.folder, "a@mx.test")
            gateway.run("keys", "import", str(person.certificate))
        record = gateway.wait_record("delivery.attempted", message=submit_large(gateway, "a@mx.test"))
        assert record["outcome"] == "deferred" and record["why"] == "hop.deferred" and broken.messages == []
        assert len(broken.mails) == bool(reply)
    finally:
        broken.stop()


@pytest.mark.parametrize("order", [1, -1])
def test_who_puts_a_copy_off_speaks_for_no_other_host(two_hosts, sinks, world, order):
    """A host without TLS puts the sealed copy off. Another was not asked, or is down: it may have TLS for the mail itself."""
    port = free_port(["127.0.0.79", "127.0.0.80"])
    bare = sinks(address="127.0.0.79", port=port, replies={"MAIL": "450 4.7.1 later"})
    other = sinks(address="127.0.0.80", port=port, certificate=world.stranger.pair,
                  replies={} if order > 0 else {"CONNECT": "421 4.3.2 down"})
    person = mail.SmimePerson(world.folder, "sealed@mx.test")
    gateway = two_hosts([bare, other][::order], {"unreachable": "0s"}, "--retry", "3600", best="smime",
                        between=[{"rung": "tls:encrypted", "stay": {"unreachable": "4h"}}],
                        last={"rung": "plain", "stay": {"unreachable": "0s"}})
    gateway.run("keys", "import", str(person.certificate))
    record = gateway.wait_record("delivery.attempted", message=submit(gateway, person.address))
    assert record["outcome"] == "deferred" and record["why"] == "hop.deferred"
    assert len(bare.mails) == 1 and bare.messages == other.messages == []


class Strict(Broken):
    """Takes nothing without TLS, and has it once its sink is well."""

    def on_starttls(self, line):
        if self.sink.well:
            Session.on_starttls(self, line)
        else:
            super().on_starttls(line)

    def on_mail(self, line):
        if self.tls:
            super().on_mail(line)
        else:
            self.say("530 5.7.0 Must issue a STARTTLS command first")


class StrictSink(Sink):
    session, well = Strict, False


@pytest.mark.parametrize("rung", ["smime", "tls:encrypted"])
def test_who_wants_tls_and_has_none_now_is_waited_for(two_hosts, world, rung):
    """Its handshake fails, and it takes nothing without: that is no word about the mail. It goes when the handshake is well."""
    person = mail.SmimePerson(world.folder, "sealed@mx.test")
    sink = StrictSink("127.0.0.76", free_port(["127.0.0.76"]), certificate=world.stranger.pair)
    try:
        gateway = two_hosts([sink], {"unreachable": "4h"}, "--retry", "1", best=rung)
        gateway.run("keys", "import", str(person.certificate))
        identity = submit(gateway, person.address)
        record = gateway.wait_record("delivery.attempted", message=identity)
        assert record["outcome"] == "deferred" and record["why"] == "tls.handshake" and record["reply"] == "530 5.7.0"
        sink.well = True
        assert final(gateway, identity)["rung"] == rung and sink.messages[0]["tls"]
    finally:
        sink.stop()
