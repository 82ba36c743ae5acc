"""A delay in which a sender takes mail back, by answering the word that it waits, or an administrator does."""
import email
import email.policy
import json
import smtplib
import time

import pytest

from lab import mail
from lab.sink import Sink

POLICY = {
    "version": 1, "settings": {"floor": "plain", "expire": "1d", "dkim_selector": "gw1"},
    "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"}},
    "rules": [{"rule": "second-thoughts", "when": {"recipient.domain": "example.net"},
               "then": {"hold": {"for": "delay", "within": "10m", "protect": "relay"}, "notify": {"sender": ["late"]}}}],
    "default": {"protect": "relay"}}


@pytest.fixture(scope="module")
def slow(module_gateways, tmp_path_factory):
    policy = tmp_path_factory.mktemp("recall") / "policy.json"
    policy.write_text(json.dumps(POLICY))
    sink = Sink()
    gateway = module_gateways("--plain-listener", "--workers", "2", "--next-hop", f"{sink.address}:{sink.port}",
                              "--policy", policy)
    yield gateway, sink
    sink.stop()


def submit(gateway, to, sender="dr@tenant.test", extra=""):
    message, message_id = mail.make("x\r\n", [to], extra=extra)
    with gateway.client(tls=False) as client:
        client.sendmail(sender, [to], message.replace(b"From: Doctor <dr@tenant.test>", f"From: <{sender}>".encode()))
    return message_id


def word_of(gateway, sink, message_id):
    """The mail that tells the sender of the hold."""
    identity = gateway.message_of(message_id)
    deadline = time.monotonic() + 30
    while True:
        for m in sink.messages:
            if m["to"] == ["dr@tenant.test"] and message_id.encode() in m["data"]:
                return identity, email.message_from_bytes(m["data"], policy=email.policy.default)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def refusal(gateway, to, **options):
    with pytest.raises(smtplib.SMTPException) as error:
        submit(gateway, to, **options)
    e = error.value
    return next(iter(e.recipients.values())) if hasattr(e, "recipients") else (e.smtp_code, e.smtp_error)


def test_an_answer_takes_the_message_back(slow):
    gateway, sink = slow
    for turn in range(4):  # whichever relay has the message, and whichever the answer comes to
        identity, word = word_of(gateway, sink, submit(gateway, "pat@example.net"))
        back = word["Reply-To"]
        assert back.startswith("recall+") and "answer this mail" in word.get_body().get_content()
        if turn == 0:
            assert refusal(gateway, back, sender="other@tenant.test")[0] == 550  # not the one who sent it
            assert refusal(gateway, back, extra="Auto-Submitted: auto-replied\r\n")[0] == 550  # nobody who thought about it
            assert refusal(gateway, back[:-30] + ("0" if back[-30] != "0" else "1") + back[-29:])[0] == 550
            assert not [r for r in gateway.records() if r["event"] == "message.recalled"]
        submit(gateway, back, sender="DR@tenant.test" if turn == 1 else "dr@tenant.test")
        record = gateway.wait_record("message.recalled", message=identity)
        assert record["actor"]["type"] == "sender" and record["actor"]["id"].lower() == "dr@tenant.test" and record["n"] == [0]
        settled = gateway.wait_record("message.settled", message=identity)
        assert [r["final"] for r in settled["recipients"]] == ["deleted"]
        code, text = refusal(gateway, back)
        assert code == 550 and b"too late" in text
    assert not [m for m in sink.messages if m["to"] == ["pat@example.net"]]


def test_an_administrator_takes_it_back_and_only_what_waits(slow):
    gateway, _ = slow
    identity = gateway.message_of(submit(gateway, "lee@example.net"))
    gateway.run("queue", "recall", identity, "--reason", "the sender called")
    assert gateway.wait_record("message.recalled", message=identity)["reason"] == "the sender called"
    gone = gateway.message_of(submit(gateway, "somebody@elsewhere.test"))
    gateway.wait_record("message.settled", message=gone)
    assert gateway.run("queue", "recall", gone, "--reason", "too late", check=False).returncode == 1
