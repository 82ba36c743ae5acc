"""SMTPUTF8 end to end: addresses that are not ASCII through the door, the rules, the journal and DNS to Postfix; what becomes of
them at a host that takes none; reports of type utf-8; every rung."""
import email
import email.policy
import json
import pathlib
import smtplib

import pytest

from lab import mail
from lab.sink import Sink

GREEN, GREEK = "grün@tenant.test", "δοκιμή@example.net"
OPTIONS = ("SMTPUTF8", "BODY=8BITMIME")
OFFER = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN")
POLICY = {"version": 1, "settings": {"floor": "plain", "portal": {"notify_floor": "plain"}},
          "lists": {"friends": {"kind": "domains", "entries": [".müller.example"]}},
          "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"},
                      "dane": {"rungs": ["tls:dane"], "floor": "tls:dane"},
                      "sealed": {"rungs": ["pgp"], "floor": "sealed"},
                      "cms": {"rungs": ["smime"], "floor": "sealed", "at_end": "return"},
                      "pickup": {"rungs": ["portal"], "floor": "sealed"}},
          "rules": [{"rule": "books", "when": {"recipient.domain": "BÜCHER.example.test"}, "then": {"protect": "dane"}},
                    {"rule": "glob", "when": {"recipient.domain": {"like": "*.straße.example"}}, "then": {"protect": "relay"}},
                    {"rule": "list", "when": {"recipient.domain": {"in": "friends"}}, "then": {"protect": "relay"}},
                    {"rule": "one", "when": {"recipient.address": "α@ελ.example"}, "then": {"protect": "relay"}},
                    {"rule": "box", "when": {"recipient.domain": "box.example"}, "then": {"protect": "pickup"}},
                    {"rule": "left", "continue": True, "when": {"recipient.domain": "left.example"},
                     "then": {"redirect": "heir@example.net"}},
                    {"rule": "cms", "when": {"recipient.domain": "müller.test"}, "then": {"protect": "cms"}},
                    {"rule": "seal", "when": {"recipient.domain": "sealed.test"}, "then": {"protect": "sealed"}}],
          "default": {"protect": "relay"}}


def letter(sender, to, subject="Greetings"):
    message, message_id = mail.make("hello\r\n", [to], subject=subject)
    return message.replace(b"<dr@tenant.test>", f"<{sender}>".encode()), message_id


def send(gateway, to, sender="dr@tenant.test", options=OPTIONS, **keywords):
    """Submits one message to each of to; returns its Message-ID."""
    message, message_id = letter(sender, to[0])
    with gateway.client() as client:
        client.sendmail(sender, to, message, mail_options=options, **keywords)
    return message_id


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    path = tmp_path_factory.mktemp("utf8") / "policy.json"
    path.write_text(json.dumps(POLICY))
    return path


@pytest.fixture
def hop(module_hops):
    """take(offer): the gateway whose next hop offers so much, and that hop; its messages forgotten."""
    def take(offer=OFFER):
        gateway, sink = module_hops[0]
        sink.offer, sink.replies, sink.mails = offer, {}, []
        return gateway, sink
    return take


@pytest.fixture(scope="module")
def module_hops(module_gateways, policy):
    sink = Sink(offer=OFFER)
    gateway = module_gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", policy, "--retry", "0.5", "--set",
                              'delivery.reuse="1ms"')
    yield [(gateway, sink)]
    sink.stop()


def settle(gateway, message_id):
    message = gateway.message_of(message_id)
    return message, gateway.wait_record("message.settled", message=message)


def got(sink, message_id):
    return {to: m for m in sink.messages for to in m["to"] if message_id.encode() in m["data"]}


def test_postfix_takes_it_by_dane_under_its_a_labels(lab, gateways, policy):
    gateway = gateways(*lab.options(), "--policy", policy)
    to = "δοκιμή@Bücher.example.test"
    message_id = send(gateway, [to], sender=GREEN)
    message, settled = settle(gateway, message_id)
    assert settled["recipients"][0]["final"] == "delivered" and settled["recipients"][0]["rung"] == "tls:dane"
    data = lab.postfix.wait_for(message_id.encode())
    trace = " ".join(email.message_from_bytes(data).get_all("Received")[1].split())
    assert " with UTF8SMTPSA (version=1.3 " in trace
    assert f"To: {to}".encode() in data  # the header went as it came
    assert "δοκιμή@xn--bcher-kva.example.test".encode() in data  # Delivered-To or X-Original-To: the envelope's
    accepted = gateway.wait_record("message.accepted", message=message)
    text = json.dumps(accepted, ensure_ascii=False)
    assert GREEN in text and "δοκιμή@xn--bcher-kva.example.test" in text and '"books"' in text


@pytest.mark.parametrize("to,rule", [("a@x.straße.example", "glob"), ("a@deep.MÜLLER.example", "list"), ("α@ΕΛ.example", "one"),
                                     ("a@b.xn--mller-kva.example", "list")])
def test_rules_know_a_domain_by_either_name(hop, to, rule):
    gateway, sink = hop()
    message, _ = settle(gateway, send(gateway, [to]))
    accepted = gateway.wait_record("message.accepted", message=message)
    assert f'"{rule}"' in json.dumps(accepted)


def test_a_domain_alone_asks_for_no_extension(hop):
    gateway, sink = hop(("PIPELINING", "8BITMIME"))
    message_id = send(gateway, ["a@bücher.example"])
    _, settled = settle(gateway, message_id)
    # its header is not ASCII, since it names whom it goes to
    assert settled["recipients"][0]["final"] != "delivered"
    message, message_id = mail.make("hello\r\n", ["someone@example.net"])
    with gateway.client() as client:
        client.sendmail("dr@tenant.test", ["a@bücher.example"], message, mail_options=OPTIONS)
    _, settled = settle(gateway, message_id)
    assert settled["recipients"][0]["final"] == "delivered"
    assert "a@xn--bcher-kva.example" in got(sink, message_id)


def test_a_host_without_the_extension_gets_what_it_can_take(hop):
    gateway, sink = hop(("PIPELINING", "8BITMIME"))
    message, message_id = mail.make("hello\r\n", ["someone@example.net"])
    with gateway.client() as client:
        client.sendmail("dr@tenant.test", ["plain@example.net", GREEK], message, mail_options=OPTIONS,
                        rcpt_options=["NOTIFY=FAILURE"])
    identity, settled = settle(gateway, message_id)
    assert [r["final"] for r in settled["recipients"]] == ["delivered", "returned"]
    heard = got(sink, message_id)
    assert "plain@example.net" in heard and GREEK not in heard and not any("SMTPUTF8" in m.decode() for m in sink.mails)
    gateway.wait_record("dsn.sent", message=identity)
    report = sink.wait_for_one(lambda m: m["to"] == ["dr@tenant.test"] and b"/report" in m["data"]
                               and message_id.encode() in m["data"])["data"]
    assert report.isascii()  # it goes to an address that is, by any host
    status = next(p for p in email.message_from_bytes(report).walk() if p.get_content_type() == "message/delivery-status")
    text = " ".join(status.as_string().split())
    assert r"Final-Recipient: utf-8; \x{3B4}\x{3BF}\x{3BA}\x{3B9}\x{3BC}\x{3AE}@example.net" in text and "Status: 5.6.7" in text


def test_a_report_to_a_sender_who_is_not_ascii(hop):
    gateway, sink = hop()
    sink.replies = {"RCPT": lambda line: "250 ok" if b"tenant.test" in line else "550 5.1.1 nobody"}
    message_id = send(gateway, [GREEK], sender=GREEN, rcpt_options=["NOTIFY=FAILURE", "ORCPT=utf-8;π@example.net"])
    identity, settled = settle(gateway, message_id)
    gateway.wait_record("dsn.sent", message=identity)
    report = sink.wait_for_one(lambda m: m["to"] == [GREEN] and message_id.encode() in m["data"])["data"]
    assert any(line.startswith(b"MAIL FROM:<>") and b" SMTPUTF8" in line for line in sink.mails)
    parsed = email.message_from_bytes(report, policy=email.policy.SMTPUTF8)
    assert parsed["Content-Transfer-Encoding"] == "8bit"
    kinds = [p.get_content_type() for p in parsed.walk()]
    assert "message/global-delivery-status" in kinds and "message/global-headers" in kinds
    text = " ".join(report.decode().split())
    for line in (f"To: <{GREEN}>", f"Final-Recipient: utf-8; {GREEK}", "Original-Recipient: utf-8; π@example.net",
                 f"From: Doctor <{GREEN}>"):
        assert line in text, line


def test_original_recipients_go_on_in_ascii(hop):
    gateway, sink = hop()
    seen = []
    sink.replies = {"RCPT": lambda line: (b"@example.net" in line and seen.append(line)) or "250 ok"}
    message_id = send(gateway, [GREEK], rcpt_options=["ORCPT=utf-8;π@example.net"])
    settle(gateway, message_id)
    assert len(seen) == 1 and seen[0].startswith(f"RCPT TO:<{GREEK}> ".encode())
    assert seen[0].endswith(rb" ORCPT=utf-8;\x{3C0}@example.net")


@pytest.mark.parametrize("by_hand", [True, False])
def test_who_was_meant_is_told_of_one_whom_another_stands_in_for(hop, by_hand):
    gateway, sink = hop()
    seen = []
    sink.replies = {"RCPT": lambda line: "250 ok" if b"tenant.test" in line else
                    b"heir" in line and seen.append(line) or "550 5.1.1 nobody"}
    to = "α+β@example.net" if by_hand else "α+β@left.example"
    if by_hand:
        gateway.run("queue", "freeze", "--site", "example.net", "--reason", "it is to wait")
    message_id = send(gateway, [to], rcpt_options=["NOTIFY=FAILURE"])
    if by_hand:
        gateway.run("queue", "redirect", gateway.message_of(message_id), "--to", "heir@example.net", "--reason", "she left")
        gateway.run("queue", "thaw", "--site", "example.net", "--reason", "it has waited")
    _, settled = settle(gateway, message_id)
    assert settled["recipients"][0]["final"] == "returned"
    domain = to.split("@")[1]
    assert seen[0].endswith(rb" ORCPT=utf-8;\x{3B1}\x{2B}\x{3B2}@" + domain.encode())
    report = sink.wait_for_one(lambda m: m["to"] == ["dr@tenant.test"] and message_id.encode() in m["data"])["data"]
    text = " ".join(report.decode().split())
    assert rf"Original-Recipient: utf-8; \x{{3B1}}\x{{2B}}\x{{3B2}}@{domain} Final-Recipient: rfc822; heir@example.net" in text


def test_it_outlives_a_restart(gateways, policy, sinks):
    sink = sinks(offer=OFFER, replies={"RCPT": "451 4.2.0 later"})
    gateway = gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", policy, "--retry", "0.5")
    message_id = send(gateway, [GREEK], sender=GREEN)
    identity = gateway.message_of(message_id)
    gateway.wait_record("delivery.attempted", message=identity)
    listed = gateway.run("queue", "list", "--json").stdout
    assert GREEK in listed or json.dumps(GREEK)[1:-1] in listed
    gateway.again()
    sink.replies = {}
    _, settled = settle(gateway, message_id)
    assert settled["recipients"][0]["final"] == "delivered"
    last = sink.messages[-1]
    assert last["from"] == GREEN and last["to"] == [GREEK]
    gateway.run("audit", "verify", gateway.info["audit"])


def test_a_notice_of_the_portal_finds_the_recipient(hop):
    gateway, sink = hop()
    message_id = send(gateway, ["grün@box.example"])
    settle(gateway, message_id)
    notice = sink.wait_for_one(lambda m: m["to"] == ["grün@box.example"])["data"]
    assert b"To: <gr\xc3\xbcn@box.example>" in notice and any(b" SMTPUTF8" in line for line in sink.mails)


def test_pgp_for_a_recipient_who_is_not_ascii(hop, tmp_path):
    gateway, sink = hop()
    person = mail.PgpPerson(tmp_path, "jörg@sealed.test")
    try:
        gateway.run("keys", "import", str(person.key))
        message_id = send(gateway, [person.address])
        _, settled = settle(gateway, message_id)
        assert settled["recipients"][0]["rung"] == "pgp", settled
        data = next(m["data"] for m in reversed(sink.messages) if m["to"] == [person.address])
        assert b"hello" in person.open(data) and b"hello" not in data
    finally:
        person.close()


def test_smime_for_a_recipient_who_is_not_ascii(hop, tmp_path):
    """The certificate names the mailbox in an otherName, its domain in A-labels (RFC 9598)."""
    gateway, sink = hop()
    person = mail.SmimePerson(tmp_path, "jörg@xn--mller-kva.test")
    gateway.run("keys", "import", str(person.certificate))
    assert [k["addresses"] for k in gateway.json("keys", "list", "jörg@müller.test")["keys"]] == [[person.address]]
    message_id = send(gateway, ["jörg@müller.test", "joerg@müller.test"])
    _, settled = settle(gateway, message_id)
    assert [(r["final"], r["rung"]) for r in settled["recipients"]] == [("delivered", "smime"), ("returned", None)], settled
    data = next(m["data"] for m in reversed(sink.messages) if m["to"] == [person.address])
    assert b"hello" in person.open(data) and b"hello" not in data


@pytest.mark.parametrize("sender,to,options,code", [
    ("dr@tenant.test", GREEK, (), 553), (GREEN, "a@example.net", (), 553), ("dr@tenant.test", "a@bücher.example", (), 553),
    ("gru\u0308n@tenant.test", "a@example.net", OPTIONS, 501), ("dr@tenant.test", "a@bü_cher.example", OPTIONS, 501),
    ("grün@other.test", "a@example.net", OPTIONS, 550), ("a@tenant.tést", "a@example.net", OPTIONS, 550)])
def test_what_is_refused(hop, sender, to, options, code):
    gateway, sink = hop()
    with gateway.client() as client:
        client.ehlo_or_helo_if_needed()
        client.command_encoding = "utf-8"
        said = client.docmd(f"MAIL FROM:<{sender}> {' '.join(options)}".strip())
        if said[0] == 250:
            said = client.docmd(f"RCPT TO:<{to}>")
    assert said[0] == code, said


def test_a_header_of_another_domain_that_looks_like_ours_is_refused(hop):
    gateway, sink = hop()
    message, message_id = letter("dr@tenant.test", "a@example.net")
    for domain in ("tenant.tést", "tеnant.test", "xn--tenant-9za.test"):  # the second has a Cyrillic letter
        with gateway.client() as client, pytest.raises(smtplib.SMTPDataError):
            client.sendmail("dr@tenant.test", ["a@example.net"], message.replace(b"<dr@tenant.test>", f"<dr@{domain}>".encode()),
                            mail_options=OPTIONS)


def test_a_tenant_whose_domain_is_not_ascii(gateways, policy, sinks):
    sink = sinks(offer=OFFER)
    gateway = gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", policy)
    tenant = pathlib.Path(gateway.info["config"]).parent / "tenants/test.json"
    tenant.write_text(json.dumps({**json.loads(tenant.read_text()), "domains": ["Klinik-Süd.test"]}))
    gateway.again()
    for sender in ("dr@klinik-süd.test", "dr@xn--klinik-sd-x9a.test", "jörg@KLINIK-SÜD.test"):
        message_id = send(gateway, ["a@example.net"], sender=sender)
        _, settled = settle(gateway, message_id)
        assert settled["recipients"][0]["final"] == "delivered"
        assert got(sink, message_id)["a@example.net"]["from"].endswith("@xn--klinik-sd-x9a.test")
