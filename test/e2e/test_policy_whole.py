"""A rule with whole_message speaks for everybody: nobody gets more by it than alone, nobody less protection after a release."""
import email.message
import email.policy
import json
import smtplib
import time

import pytest

from lab.sink import Sink

POLICY = {
    "version": 1,
    "settings": {"floor": "plain", "expire": "1d", "portal": {"notify_floor": "plain"}},
    "texts": {"no": "Not to them.", "never": "Never with that in it."},
    "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"},
                "pickup": {"rungs": ["portal"], "floor": "sealed"}},
    "rules": [
        {"rule": "nobody-at-bad", "when": {"recipient.domain": "bad.example"}, "then": {"reject": "no"}, "whole_message": True},
        {"rule": "look-first", "when": {"recipient.domain": "look.example"}, "whole_message": True,
         "then": {"hold": {"for": "approval", "within": "8h", "protect": "relay"}}},
        {"rule": "held-and-copied", "when": {"recipient.domain": "copied.example"},
         "then": {"hold": {"for": "approval", "within": "8h", "protect": "relay"}, "copy": "archive@sealed.example"}},
        {"rule": "sealed-here", "when": {"recipient.domain": "sealed.example"}, "then": {"protect": "pickup"}},
        {"rule": "stop-the-word", "when": {"subject.tag": "stop", "recipient.domain": "word.example"},
         "then": {"reject": "never"}, "whole_message": True},
        {"rule": "not-the-word", "when": {"subject.tag": "stop", "recipient.domain": "not.example"},
         "then": {"reject": "never"}}],
    "default": {"protect": "relay"}}


@pytest.fixture
def house(gateways, tmp_path):
    (tmp_path / "policy.json").write_text(json.dumps(POLICY))
    sink = Sink()
    yield gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", tmp_path / "policy.json"), sink
    sink.stop()


def send(gateway, recipients, subject="hello"):
    """What smtplib says of refused recipients, and the accepted record, if there is one."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "dr@tenant.test", ", ".join(recipients), subject
    message["Message-ID"] = f"<{time.time_ns()}@tenant.test>"
    message.set_content("The list.\n")
    with gateway.client(tls=False) as client:
        refused = client.sendmail("dr@tenant.test", recipients, message.as_bytes())
    identity = gateway.message_of(message["Message-ID"])
    return refused, gateway.wait_record("message.accepted", message=identity)


def decided(record):
    """Rule, verb and floor by recipient index."""
    return {n: (d["rule"], d["do"], d.get("floor")) for d in record["decisions"] for n in d["n"]}


def test_one_refusal_is_everybodys(house):
    gateway, sink = house
    for order in (["a@ok.example", "b@bad.example"], ["b@bad.example", "a@ok.example"]):
        with pytest.raises(smtplib.SMTPDataError) as refused:  # known at RCPT, answered for all at DATA
            send(gateway, order)
        assert refused.value.smtp_code == 550 and b"Not to them" in refused.value.smtp_error
    with pytest.raises(smtplib.SMTPDataError) as refused:  # known once the header is there
        send(gateway, ["a@ok.example", "b@word.example", "c@look.example"], "[stop] list")
    assert refused.value.smtp_code == 550 and b"Never with that" in refused.value.smtp_error
    assert not sink.messages


def test_a_hold_of_all_lowers_nobodys_floor_and_lets_nobody_in(house):
    gateway, sink = house
    people = ["a@ok.example", "b@look.example", "c@sealed.example", "d@not.example"]
    _, record = send(gateway, people, "[stop] list")
    said = decided(record)
    assert said[0] == ("look-first", "hold", "plain") and said[1] == ("look-first", "hold", "plain")
    assert said[2][1:] == ("hold", "sealed")  # held with the others, and sealed once it is released
    assert said[3][:2] == ("not-the-word", "reject")  # refused is refused, whoever releases the rest
    gateway.run("queue", "release", record["message"], "--reason", "read, it is all right")
    deadline = time.monotonic() + 60
    while sum(record["message"] == r.get("message") and r["event"] == "portal.deposited" for r in gateway.records()) < 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    gateway.wait_record("message.settled", message=record["message"])
    readable = {to.strip("<>") for m in sink.messages if b"The list." in m["data"] and b"From: dr@tenant.test" in m["data"]
                for to in m["to"]}
    assert readable == {"a@ok.example", "b@look.example"}


def test_a_copy_of_what_is_held_keeps_its_own_floor(house):
    gateway, sink = house
    _, record = send(gateway, ["a@copied.example"])
    said = decided(record)
    assert said[0] == ("held-and-copied", "hold", "plain") and said[1][1:] == ("hold", "sealed")
    gateway.run("queue", "release", record["message"], "--reason", "read, it is all right")
    gateway.wait_record("portal.deposited", message=record["message"])
    gateway.wait_record("message.settled", message=record["message"])
    readable = {to.strip("<>") for m in sink.messages if b"The list." in m["data"] for to in m["to"]}
    assert readable == {"a@copied.example"}
