"""Sensitivity labels decide, up to where the record of the decision has no room for the header: then nothing is taken."""
import json
import smtplib

import pytest

from lab import mail

WANTED = "1f0c8a52-0000-4000-8000-000000000001"
POLICY = {"version": 1, "extends": "hipaa-default", "labels": {"internal": WANTED},
          "rules": [{"rule": "labelled", "when": {"label": "internal"}, "then": {"protect": "sealed"}}]}
TOO_MUCH = 552, b"5.3.4 too much header, or too many recipients, to be put on record"


def labelled(count):
    """The label that counts stands last."""
    others = "".join(f"MSIP_Label_1f0c8a52-0000-4000-9000-{i:012d}_Enabled=true;\r\n " for i in range(count))
    message, message_id = mail.make("See you on Monday.\r\n", ["pat@example.net"])
    return f"msip_labels: {others}MSIP_Label_{WANTED}_Enabled=true\r\n".encode() + message, message_id


def test_labels_decide_or_the_message_is_refused_on_record(gateways, sinks, tmp_path):
    (tmp_path / "policy.json").write_text(json.dumps(POLICY))
    gateway = gateways("--next-hop", f"127.0.0.1:{sinks().port}", "--policy", str(tmp_path / "policy.json"))
    message, message_id = labelled(2000)  # 128 KB
    gateway.send(message, ["pat@example.net"])
    accepted = gateway.wait_record("message.accepted", message=gateway.message_of(message_id))
    assert accepted["decisions"][0]["rule"] == "labelled"

    message, refused_id = labelled(3500)  # 224 KB, and the labels once more
    with pytest.raises(smtplib.SMTPDataError) as refused:
        gateway.send(message, ["pat@example.net"])
    assert (refused.value.smtp_code, refused.value.smtp_error) == TOO_MUCH
    record = gateway.wait_record("message.refused", why="intake.record-too-large")
    assert record["from"] == "dr@tenant.test" and record["tenant"] == "test"

    message, message_id = labelled(1)  # and the next one is heard
    gateway.send(message, ["pat@example.net"])
    assert gateway.message_of(message_id)
    assert not [r for r in gateway.records() if r["event"] == "message.accepted"
                and r.get("origin", {}).get("message_id") == refused_id]


def test_a_refusal_is_on_record_however_long_its_recipients_are(gateways, sinks, tmp_path):
    """A thousand, whose addresses are twice as long in JSON: more than an event may be."""
    (tmp_path / "policy.json").write_text(json.dumps(POLICY))
    gateway = gateways("--next-hop", f"127.0.0.1:{sinks().port}", "--policy", str(tmp_path / "policy.json"))
    quotes, domain = '\\"' * 28, ".".join(["d" * 60] * 3)
    to = [f'"{i:04d}{quotes}"@{domain}' for i in range(1000)]
    with gateway.client() as client:
        client.ehlo()
        assert client.mail("dr@tenant.test")[0] == 250
        assert {client.docmd("RCPT", f"TO:<{address}>")[0] for address in to} == {250}
        assert client.data(labelled(1)[0]) == TOO_MUCH
    record = gateway.wait_record("message.refused", why="intake.record-too-large")
    told = record["to"]
    assert told == to[:len(told)] and len(told) > 100 and record["to_untold"] == len(to) - len(told)
