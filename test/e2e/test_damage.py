"""Flipped bytes in the store: the message is found out, kept back and reported, all others flow, and it can be deleted."""
import json
import time

import pytest

from lab import mail, spool
from lab.wait import until

PLAIN = "test/policies/relay-plain.json"
SIZES = {"in-record": 3000, "in-file": 600000}


@pytest.fixture
def plain(gateways, sinks):
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN, "--retry", "1",
                       "--workers", "1")
    return gateway, sink


def submit(gateway, size=200):
    message, message_id = mail.make("x" * 70 + "\r\n" * 2 + ("y" * 76 + "\r\n") * (size // 78), ["a@example.net"])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["a@example.net"], message)
    return gateway.message_of(message_id), message


def wait_empty(gateway, seconds=60):
    deadline = time.monotonic() + seconds
    while gateway.json("queue", "list")["messages"]:
        assert time.monotonic() < deadline, gateway.json("queue", "list")
        time.sleep(0.05)


def test_a_damaged_body_is_held_and_the_rest_flows(plain):
    gateway, sink = plain
    damaged = [submit(gateway, size)[0] for size in SIZES.values()]
    whole = submit(gateway, 3000)
    report = gateway.json("queue", "check")  # while it runs
    assert report["whole"] and sum(s["messages"] for s in report["shards"]) == 3, report
    for message in damaged:
        spool.damage_body(gateway, message)
    report = gateway.run("queue", "check", "--json", check=False)
    assert report.returncode == 1
    found = [m for s in json.loads(report.stdout)["shards"] for m in s["damaged_messages"]]
    assert {m["message"] for m in found} == set(damaged)
    assert damaged[0] in gateway.run("queue", "check", check=False).stdout
    sink.replies.clear()
    for message in damaged:
        held = gateway.wait_record("message.held", message=message)
        assert held["reason"] == "content.damaged"
    gateway.wait_record("message.settled", message=whole[0])
    assert [m["data"].endswith(whole[1]) for m in sink.wait_for(1)] == [True]
    rows = gateway.json("queue", "list", "--state", "held")["messages"]
    assert {(m["id"], m["recipients"][0]["why"]) for m in rows} == {(d, "content.damaged") for d in damaged}
    until(lambda: gateway.log.count('"queue.quarantined"') >= 2)
    assert gateway.log.count('"queue.quarantined"') == 2
    # released, it is tried again, and found out again
    gateway.run("queue", "release", damaged[0], "--reason", "once more")
    deadline = time.monotonic() + 60
    while gateway.log.count('"queue.quarantined"') < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for message in damaged:
        deadline = time.monotonic() + 60
        while gateway.run("queue", "delete", message, "--reason", "unreadable", check=False).returncode != 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        gateway.wait_record("message.settled", message=message)
    wait_empty(gateway)
    assert len(sink.messages) == 1
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def test_a_damaged_row_is_quarantined_and_can_be_deleted(plain):
    gateway, sink = plain
    damaged, _ = submit(gateway, 3000)
    whole, text = submit(gateway, 3000)
    spool.damage_row(gateway, damaged)
    gateway.restart("relay")
    sink.replies.clear()
    gateway.wait_record("message.settled", message=whole)
    assert [m["data"].endswith(text) for m in sink.wait_for(1)] == [True]
    assert gateway.json("queue", "list", "--state", "quarantined")["messages"] == [{"id": damaged, "quarantined": True}]
    held = gateway.wait_record("message.held", message=damaged)
    assert held["reason"] == "content.damaged" and held["actor"] == {"type": "system", "id": "queue"}, held
    assert "quarantined" in gateway.run("queue", "list").stdout
    assert "damaged" in gateway.run("queue", "show", damaged).stdout
    refused = gateway.run("queue", "release", damaged, "--reason", "try", check=False)
    assert refused.returncode == 64 and "deleted" in refused.stdout + refused.stderr
    gateway.run("queue", "delete", damaged, "--reason", "unreadable")
    gateway.wait_record("admin.acted", message=damaged, act="queue.delete")
    gateway.wait_record("message.settled", message=damaged)
    wait_empty(gateway)
    gateway.restart("relay")
    assert gateway.json("queue", "list")["messages"] == []
    assert len(sink.messages) == 1
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0
