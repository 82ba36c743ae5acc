"""A recipient that waits gets another address or another route: decided anew, never below what was decided, on record."""
import json

import pytest

from lab import mail
from lab.wait import until

POLICY = {
    "version": 1, "settings": {"floor": "plain", "expire": "1d", "portal": {"notify_floor": "plain"}},
    "texts": {"no": "Not there."},
    "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"},
                "tls": {"rungs": ["tls:encrypted"], "floor": "tls:encrypted"},
                "pickup": {"rungs": ["portal"], "floor": "sealed"}},
    "rules": [{"rule": "never", "when": {"recipient.domain": "never.example"}, "then": {"reject": "no"}},
              {"rule": "looked-at", "when": {"recipient.domain": "held.example"}, "then": {
                  "hold": {"for": "approval", "otherwise": "return", "protect": "relay"}}},
              {"rule": "careful", "when": {"recipient.domain": "careful.example"}, "then": {"protect": "tls"}},
              {"rule": "subject", "when": {"all": [{"recipient.domain": "portal.example"}, {"subject": {"like": "*secret*"}}]},
               "then": {"protect": "pickup"}}],
    "default": {"protect": "relay"}}
WHY = ("--reason", "the address was mistyped")


@pytest.fixture
def place(gateways, sinks, tmp_path):
    """(gateway, sink that puts off who is called slow, sink of the route spare-line)."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    sink = sinks(replies={"RCPT": lambda line: "451 4.3.0 later" if b"slow" in line else "250 ok"})
    line = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", policy, "--retry", "60",
                       "--route", f"spare-line={line.address}:{line.port}")
    return gateway, sink, line


def submit(gateway, *recipients, text="hello\r\n", subject="Greetings", waits=True):
    message, message_id = mail.make(text, recipients, subject)
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", recipients, message)
    identity = gateway.message_of(message_id)
    for n in [n for n, recipient in enumerate(recipients) if waits and "slow" in recipient]:
        until(lambda: [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == identity
                       and n in r["n"] and r["outcome"] == "deferred"])
    return identity, message


def redirected(gateway, identity):
    return gateway.wait_record("delivery.redirected", message=identity)


def test_another_address(place):
    gateway, sink, _ = place
    big = ("y" * 76 + "\r\n") * 6000  # a body in a file of its own
    identity, message = submit(gateway, "slow@example.net", "slow@other.example", "fine@example.net", text=big)
    out = gateway.run("queue", "redirect", identity, "--to", "right@example.net", *WHY, check=False)
    assert out.returncode == 64 and "which one" in out.stderr
    out = gateway.run("queue", "redirect", identity, "--to", "fine@example.net", "--n", "0", *WHY, check=False)
    assert out.returncode == 64 and "has the message already" in out.stderr
    assert gateway.run("queue", "redirect", identity, "--to", "x@example.net", "--n", "0", check=False).returncode == 64
    out = gateway.run("queue", "redirect", identity, "--to", "right@example.net", "--n", "0", *WHY).stdout
    assert "0 right@example.net: pending by default, floor plain" in out
    assert [m["to"] for m in sink.wait_for(2)] == [["fine@example.net"], ["right@example.net"]]
    assert sink.messages[1]["data"].endswith(message)
    told = redirected(gateway, identity)
    way, = told["ways"]
    assert way["was"] == "slow@example.net" and way["to"] == "right@example.net" and way["way"] == "redirect"
    assert told["actor"]["type"] == "admin" and told["reason"] == WHY[1] and told["n"] == [0]
    gateway.wait_record("delivery.attempted", message=identity, n=[0], outcome="delivered")  # else it may come twice
    gateway.restart("relay")
    until(lambda: gateway.run("queue", "show", identity, check=False).returncode == 0)  # it has its shard open
    shown = gateway.json("queue", "show", identity)["message"]["recipients"]
    assert [(r["address"], r["state"]) for r in shown] == [
        ("right@example.net", "delivered"), ("slow@other.example", "deferred"), ("fine@example.net", "delivered")]
    gateway.run("queue", "delete", identity, *WHY)
    settled = gateway.wait_record("message.settled", message=identity)
    assert [r["final"] for r in settled["recipients"]] == ["delivered", "deleted", "delivered"]
    assert gateway.run("queue", "check").returncode == 0
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0
    assert "redirected" in gateway.run("audit", "show", identity).stdout


def test_not_to_an_address_that_is_not_tried(place):
    gateway, sink, _ = place
    identity, _ = submit(gateway, "slow@example.net")
    gateway.run("suppression", "add", "Gone@example.net", *WHY)
    words = ("queue", "redirect", identity, "--to", "gone@example.net", *WHY)
    for more in (["--dry-run"], []):
        out = gateway.run(*words, *more, check=False)
        assert out.returncode == 64 and "not tried" in out.stderr
    gateway.run("suppression", "remove", "gone@example.net", *WHY)
    assert "0 gone@example.net: pending" in gateway.run(*words).stdout
    assert sink.wait_for(1)[0]["to"] == ["gone@example.net"]


def test_decided_anew_and_never_below(place):
    gateway, sink, _ = place
    identity, _ = submit(gateway, "slow@example.net", subject="a secret")
    out = gateway.run("queue", "redirect", identity, "--to", "a@never.example", *WHY, check=False)
    assert out.returncode == 1 and "rule never" in out.stderr
    out = gateway.run("queue", "redirect", identity, "--to", "a@held.example", *WHY).stdout
    assert "held by looked-at" in out
    out = gateway.run("queue", "redirect", identity, "--to", "a@portal.example", *WHY).stdout
    assert "held by subject, floor sealed" in out  # by the facts of then; a redirection releases nobody
    out = gateway.run("queue", "redirect", identity, "--to", "b@example.net", *WHY, check=False)
    assert out.returncode == 1 and "no way that meets sealed" in out.stderr  # what was decided stays the least
    gateway.run("queue", "release", identity, *WHY)
    deposited = gateway.wait_record("portal.deposited", message=identity)
    assert deposited["n"] == [0]
    assert [m["to"] for m in sink.wait_for(1)] == [["a@portal.example"]]
    settled = gateway.wait_record("message.settled", message=identity)["recipients"][0]
    assert settled["final"] == "deposited-and-notified" and settled["rule"] == "subject" and settled["floor"] == "sealed"


def test_another_route(place):
    gateway, sink, line = place
    identity, message = submit(gateway, "slow@example.net", "slow@other.example")
    out = gateway.run("queue", "redirect", identity, "--route", "no-line", *WHY, check=False)
    assert out.returncode == 64 and "delivery.routes" in out.stderr
    gateway.run("queue", "redirect", identity, "--route", "spare-line", *WHY)
    got = line.wait_for(2)
    assert sorted(m["to"][0] for m in got) == ["slow@example.net", "slow@other.example"] and not sink.messages
    assert {w["route"] for w in redirected(gateway, identity)["ways"]} == {"spare-line"}
    gateway.wait_record("message.settled", message=identity)
    gateway.run("queue", "freeze", "--site", "careful.example", *WHY)
    again, _ = submit(gateway, "a@careful.example", waits=False)
    gateway.run("queue", "redirect", again, "--route", "spare-line", *WHY)
    settled = gateway.wait_record("message.settled", message=again)["recipients"][0]
    assert settled["final"] == "returned" and settled["floor"] == "tls:encrypted"  # what it must prove stays as decided
    assert len([m for m in line.messages if m["from"]]) == 2
