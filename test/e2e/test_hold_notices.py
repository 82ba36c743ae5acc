"""Who decides about mail on hold is told that something waits, and nothing of what it is."""
import email
import email.policy
import fcntl
import json
import os

from lab import mail
from lab.wait import until

RULES = {"version": 1, "extends": "hipaa-default", "settings": {"floor": "plain"},
         "groups": {"privacy-office": {"addresses": ["privacy@tenant.test"]}, "board": {"addresses": ["board@tenant.test"]}},
         "rules": [{"rule": f"for-{name}", "when": {"subject": {"like": f"{name}*"}},
                    "then": {"hold": {"for": "approval", "by": name, "within": "8h", "protect": "everyday"}}}
                   for name in ("privacy-office", "board")]}
EVERY_S = 3
OTHERS = 130  # more than a page of the walk


def held(gateway, group, to="pat@example.net"):
    message, message_id = mail.make("Dear Pat, the viral load\r\n", [to], f"{group} about Quincy")
    gateway.send(message, [to])
    return gateway.message_of(message_id)


def notices(sink, text=b""):
    """All that the privacy office was told so far."""
    return [m for m in sink.messages if m["to"] == ["privacy@tenant.test"] and text in m["data"]]


def wait_settled(gateway, count):
    """Until so many notices have their end on record: one that is under way as the relay stops comes twice."""
    def ended():
        records = gateway.records()
        ours = {r["message"] for r in records if r["event"] == "message.accepted" and r["to"] == ["privacy@tenant.test"]}
        return len(ours & {r["message"] for r in records if r["event"] == "message.settled"})
    until(lambda: ended() >= count)


def wait_notice(sink, text):
    return sink.wait_for_one(lambda m: m["to"] == ["privacy@tenant.test"] and text.encode() in m["data"])


def test_a_group_hears_that_mail_waits_for_it(gateways, sinks, tmp_path):
    policy, sink = tmp_path / "policy.json", sinks()
    policy.write_text(json.dumps(RULES))
    gateway = gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", str(policy), "--workers", "1",
                       "--set", 'holds.notify=["privacy-office:privacy@tenant.test", "privcy-office:slip@tenant.test"]',
                       "--set", f'holds.notify_every="{EVERY_S}s"')
    told = [p["text"] for p in json.loads(gateway.run("check", "--json", check=False).stdout)["problems"]]
    assert [t for t in told if 'holds.notify names the group "privcy-office"' in t] and not [
        t for t in told if 'holds.notify names the group "privacy-office"' in t]

    board, first = held(gateway, "board"), held(gateway, "privacy-office")
    notice = wait_notice(sink, first)
    text = email.message_from_bytes(notice["data"], policy=email.policy.default)
    assert notice["from"] == "" and text["Subject"] == "Mail waits for privacy-office: 1" and text["Auto-Submitted"]
    body = text.get_content()
    assert "rule for-privacy-office" in body and "until 20" in body
    for word in (board, "Quincy", "viral", "pat@", "dr@", "example.net"):  # nothing of the messages, and of no other group's
        assert word not in notice["data"].decode(), word
    record = gateway.wait_record("message.accepted", to=["privacy@tenant.test"])
    assert record["content"]["kind"] == "dsn" and gateway.wait_record("message.settled", message=record["message"])

    second, third = held(gateway, "privacy-office"), held(gateway, "privacy-office")  # told together, when it is time
    both = wait_notice(sink, third)
    assert all(i.encode() in both["data"] for i in (first, second, third)) and b"privacy-office: 3" in both["data"]
    assert both["time"] - notice["time"] > EVERY_S - 1 and len(notices(sink)) == 2

    gateway.run("queue", "release", first, "--reason", "asked the ward")
    gateway.run("queue", "delete", second, "--reason", "sent in error")
    wait_settled(gateway, 2)
    gateway.again()  # what still waits is told after a start, what was decided is not
    until(lambda: len(notices(sink)) >= 3)
    last = notices(sink)[-1]["data"]
    assert third.encode() in last and first.encode() not in last and second.encode() not in last
    gateway.run("queue", "delete", third, "--reason", "sent in error")
    wait_settled(gateway, 3)
    gateway.again()
    fourth = held(gateway, "privacy-office")
    assert b"privacy-office: 1" in wait_notice(sink, fourth)["data"] and len(notices(sink)) == 4


def fill(gateway, group, count):
    """So many messages for a group over one connection; returns the greatest id, which need not be the last one's."""
    with gateway.client() as client:
        for _ in range(count):
            message, message_id = mail.make("Dear Pat\r\n", ["pat@example.net"], f"{group} about Quincy")
            client.sendmail("dr@tenant.test", ["pat@example.net"], message)
    gateway.message_of(message_id)
    words = ("queue", "list", "--state", "held", "--rule", f"for-{group}", "--json")
    return max(m["id"] for m in json.loads(gateway.run(*words).stdout)["messages"])


def test_older_holds_of_another_group_silence_nobody(gateways, sinks, tmp_path):
    """More than a page of others' mail lies before ours, and more of ours than a notice names."""
    policy, sink = tmp_path / "policy.json", sinks()
    policy.write_text(json.dumps(RULES))
    gateway = gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", str(policy), "--workers", "1")
    fill(gateway, "board", OTHERS)
    last = fill(gateway, "privacy-office", 51)
    gateway.again(holds={"notify": ["privacy-office:privacy@tenant.test"], "notify_every": "1s"})
    notice = wait_notice(sink, "privacy-office: 50 or more")["data"]
    text = email.message_from_bytes(notice, policy=email.policy.default).get_content()
    assert text.count("rule for-privacy-office") == 50 and "At least 50" in text and "and more" in text and last not in text
    for line in [line for line in text.splitlines() if "rule for-" in line][:2]:
        gateway.run("queue", "delete", line.split()[0], "--reason", "sent in error")
    newest = held(gateway, "privacy-office")  # the notice of it finds that there is room, and the walk then who had none
    assert wait_notice(sink, newest) and wait_notice(sink, last)


def test_a_notice_goes_at_the_floor_of_the_settings(gateways, sinks, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({**RULES, "settings": {"floor": "tls:verified"}}))
    gateway = gateways("--next-hop", f"127.0.0.1:{sinks().port}", "--policy", str(policy), "--workers", "1",
                       "--set", 'holds.notify=["privacy-office:privacy@tenant.test"]')
    held(gateway, "privacy-office")
    record = gateway.wait_record("message.accepted", to=["privacy@tenant.test"])
    assert [d["floor"] for d in record["decisions"]] == ["tls:verified"]


def test_a_shard_that_opens_late_is_looked_through(gateways, sinks, tmp_path):
    """One of two relays is gone, and its shard's folder is in use when the other one starts."""
    policy, sink = tmp_path / "policy.json", sinks()
    policy.write_text(json.dumps(RULES))
    gateway = gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", str(policy), "--workers", "2")
    left = None
    while left is None:
        message = held(gateway, "privacy-office")
        if gateway.wait_record("message.accepted", message=message)["journal"]["shard"] == "1":
            left = message
    gateway.stop()
    folder = gateway.folder / "state/spool/1"
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        gateway.again(workers=1, holds={"notify": ["privacy-office:privacy@tenant.test"], "notify_every": "1s"})
        assert left.encode() not in wait_notice(sink, held(gateway, "privacy-office"))["data"]
        until(lambda: "relay.left-closed" in gateway.log)
    finally:
        os.close(lock)
    assert wait_notice(sink, left)
