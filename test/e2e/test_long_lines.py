"""Lines of more than 998 bytes: refused at the door where no rung takes them, sent byte for byte where that is allowed, and
taken where a portal package can hold them."""
import base64
import json
import smtplib
import subprocess

import dkim
import pytest

from lab import mail
from lab.ports import free_port
from lab.sink import Sink

LONG = "x" * 998 + " and ..more than a line may hold, " * 40


@pytest.fixture(scope="module")
def sink():
    made = Sink()
    yield made
    made.stop()


def gateway_of(module_gateways, sink, policy="relay-plain", *options):
    return module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", f"test/policies/{policy}.json", "--workers", 1,
                           *options)


@pytest.fixture(scope="module")
def careful(module_gateways, sink):
    return gateway_of(module_gateways, sink)


@pytest.fixture(scope="module")
def easy(module_gateways, sink):
    return gateway_of(module_gateways, sink, "relay-plain", "--set", "delivery.long_lines=true")


@pytest.fixture(scope="module")
def portal(module_gateways, sink):
    return gateway_of(module_gateways, sink, "portal-only")


def long_message():
    return mail.make(f"{LONG}\r\n.\r\n.{LONG}\r\nthe end\r\n")


def test_refused_while_the_client_still_has_it(careful, sink):
    message, _ = long_message()
    before = len(sink.messages)
    with pytest.raises(smtplib.SMTPDataError) as refused:
        careful.send(message, ["a@example.test", "b@example.test"])
    assert refused.value.smtp_code == 554 and b"5.6.0" in refused.value.smtp_error and b"998" in refused.value.smtp_error
    record = careful.wait_record("message.refused", why="intake.long-lines")
    assert record["to"] == ["a@example.test", "b@example.test"]
    # at the limit it goes: 998 bytes and CRLF
    message, message_id = mail.make("y" * 998 + "\r\n")
    careful.send(message, ["a@example.test"])
    assert message_id.encode() in sink.wait_for(before + 1)[-1]["data"] and len(sink.messages) == before + 1


def test_a_portal_package_holds_them(portal):
    message, message_id = long_message()
    assert portal.send(message, ["a@example.test"]) == {}
    deposited = portal.wait_record("portal.deposited", message=portal.message_of(message_id))
    portal.wait_record("message.settled", message=deposited["notice"])  # before the next test lets the sink refuse


def test_sent_as_they_came_and_the_signature_holds(easy, sink, tmp_path):
    message, message_id = long_message()
    key = tmp_path / "dkim.pem"
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", key, "2048"], check=True, capture_output=True)
    public = subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
    signed = dkim.sign(message, b"sel", b"tenant.test", key.read_bytes(), canonicalize=(b"simple", b"simple")) + message
    easy.send(signed, ["a@example.test"])
    data = sink.wait_for_one(lambda m: message_id.encode() in m["data"])["data"]
    assert data.endswith(message.split(b"\r\n\r\n", 1)[1])
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    assert dkim.verify(data, dnsfunc=lambda name, timeout=5: record)


def test_a_host_that_does_not_take_them_says_so_to_the_sender(easy, sink):
    message, message_id = long_message()
    sink.replies["DOT"] = lambda data: ("250 2.0.0 taken" if b"multipart/report" in data else "500 5.6.0 line too long")
    try:
        easy.send(message, ["a@example.test"])
        record = easy.wait_record("dsn.sent", message=easy.message_of(message_id))
        easy.wait_record("message.settled", message=record["dsn"])
    finally:
        del sink.replies["DOT"]


MIXED = {
    "version": 1,
    "settings": {"floor": "plain", "expire": "1d", "portal": {"expires": "30d", "login": ["code"], "notify_floor": "plain"}},
    "ladders": {"mixed": {"rungs": ["plain", "portal"], "floor": "plain"}, "wire": {"rungs": ["plain"], "floor": "plain"}},
    "rules": [{"rule": "wire", "when": {"recipient.domain": "wire.test"}, "then": {"protect": "wire"}}],
    "default": {"protect": "mixed"},
}


def test_a_rung_that_cant_carry_them_gives_way_to_the_next(module_gateways, sink, tmp_path):
    """The road can't take the lines, the portal can; who has no portal hears why, and nobody else does."""
    policy = tmp_path / "mixed.json"
    policy.write_text(json.dumps(MIXED))
    gateway = module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", str(policy), "--workers", 1)
    message, message_id = long_message()
    assert gateway.send(message, ["a@example.test", "b@wire.test"]) == {}
    identity = gateway.message_of(message_id)
    attempt = gateway.wait_record("delivery.attempted", message=identity, n=[0])
    assert [(r["rung"], r["taken"], r.get("why")) for r in attempt["rungs"]] \
        == [("plain", False, "hop.lacks-extension"), ("portal", True, None)]
    settled = gateway.wait_record("message.settled", message=identity)
    assert [(r["final"], r["rung"]) for r in settled["recipients"]] \
        == [("deposited-and-notified", "portal"), ("returned", None)]
    returned = gateway.wait_record("dsn.sent", message=identity)
    assert returned["n"] == [1] and returned["action"] == "failed"
    sink.wait_for_one(lambda m: m["to"] == ["dr@tenant.test"] and b"b@wire.test" in m["data"])
    [report] = [m["data"] for m in sink.messages if m["to"] == ["dr@tenant.test"] and b"b@wire.test" in m["data"]]
    assert b"Status: 5.6.3" in report and b"a@example.test" not in report
    # at the limit the road takes it
    message, message_id = mail.make("y" * 998 + "\r\n")
    gateway.send(message, ["a@example.test"])
    settled = gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    assert settled["recipients"][0]["rung"] == "plain"


def test_no_host_is_waited_for_that_would_not_be_asked(module_gateways, tmp_path):
    """The next hop is dead; what could not go there anyway goes to the portal at once."""
    policy = tmp_path / "mixed.json"
    policy.write_text(json.dumps(MIXED))
    gateway = module_gateways("--next-hop", f"127.0.0.1:{free_port()}", "--policy", str(policy), "--workers", 1)
    message, message_id = long_message()
    gateway.send(message, ["a@example.test"])
    deposited = gateway.wait_record("portal.deposited", message=gateway.message_of(message_id))
    gateway.wait_record("delivery.attempted", message=deposited["message"])
    attempts = [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == deposited["message"]]
    assert [[(r["rung"], r["taken"]) for r in a["rungs"]] for a in attempts] == [[("plain", False), ("portal", True)]]
    assert attempts[0]["rungs"][0]["why"] == "hop.lacks-extension"
