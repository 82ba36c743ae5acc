"""Addresses that are not tried: who puts them on the list, what becomes of mail to them, and that a restart forgets none."""
import pytest

from lab import mail, wait

PLAIN = "test/policies/relay-plain.json"


@pytest.fixture
def plain(gateways):
    return lambda sink, *options: gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}",
                                           "--policy", PLAIN, "--retry", "0.5", *options)


def submit(gateway, *recipients):
    message, message_id = mail.make("hello\r\n", list(recipients))
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", list(recipients), message)
    return gateway.message_of(message_id)


def finals(gateway, identity):
    return [r["final"] for r in gateway.wait_record("message.settled", message=identity)["recipients"]]


def test_an_address_that_does_not_exist_is_left_alone(plain, sinks):
    asked = []

    def rcpt(line):
        asked.append(line)
        return "550 5.1.1 nobody here" if b"nobody@" in line else "550 5.7.1 not this" if b"policy@" in line else "250 ok"
    sink = sinks(replies={"RCPT": rcpt})
    gateway = plain(sink, "--set", 'delivery.suppress="1h"')
    first = submit(gateway, "nobody@example.net", "policy@example.net")
    assert finals(gateway, first) == ["returned", "returned"]
    added = gateway.wait_record("list.changed", list="suppression", change="added")
    assert added["address"] == "nobody@example.net" and added["reply"] == "550 5.1.1" and added["message"] == first
    assert len([r for r in gateway.records() if r["event"] == "list.changed"]) == 1  # a refusal by policy is another thing
    gateway.restart("relay")  # it is durable: with the outcome, and at the ledger
    gateway.restart("ledger")
    listed = gateway.json("suppression", "list")["addresses"]
    assert [(a["address"], a["reply"], a["until"] is not None) for a in listed] == [("nobody@example.net", "550 5.1.1", True)]
    asked.clear()
    second = submit(gateway, "NOBODY@example.net", "other@example.net")
    assert finals(gateway, second) == ["returned", "delivered"]
    assert not [a for a in asked if b"NOBODY" in a]
    tried = [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == second and r["n"] == [0]]
    assert tried[0]["why"] == "delivery.suppressed" and tried[0]["outcome"] == "failed"
    dsn = sink.wait_for_one(lambda m: b"multipart/report" in m["data"] and b"delivery.suppressed" in m["data"])
    assert b"Status: 5.1.1" in dsn["data"]


def test_an_administrator_adds_and_removes(plain, sinks):
    sink = sinks()
    gateway = plain(sink)
    assert gateway.run("suppression", "add", "a@example.net", check=False).returncode != 0  # a reason is needed
    gateway.run("suppression", "add", "A@example.net", "--reason", "left the company")
    assert finals(gateway, submit(gateway, "a@example.net")) == ["returned"]
    row = gateway.json("suppression", "list", "a@example.net")["addresses"][0]
    assert row["why"] == "administrator" and row["until"] is None
    assert "a@example.net" in gateway.run("suppression", "list").stdout
    gateway.run("suppression", "remove", "a@example.net", "--reason", "back again")
    assert finals(gateway, submit(gateway, "a@example.net")) == ["delivered"]
    assert gateway.json("suppression", "list")["addresses"] == []
    said = [(r["change"], r["reason"], "id" in r["actor"] or "uid" in r["actor"] or bool(r["actor"]))
            for r in gateway.records() if r["event"] == "list.changed"]
    assert said == [("added", "left the company", True), ("removed", "back again", True)]
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def test_its_time_runs_out(plain, sinks):
    sink = sinks(replies={"RCPT": lambda line: "550 5.1.1 no" if b"nobody@" in line else "250 ok"})
    gateway = plain(sink, "--set", 'delivery.suppress="1s"')
    finals(gateway, submit(gateway, "nobody@example.net"))
    until = gateway.wait_record("list.changed", change="added")["until"]
    sink.replies = {}
    wait.until(lambda: not gateway.json("suppression", "list")["addresses"])
    late = submit(gateway, "nobody@example.net")
    assert finals(gateway, late) == ["delivered"]
    assert gateway.wait_record("message.accepted", message=late)["time"] >= until
