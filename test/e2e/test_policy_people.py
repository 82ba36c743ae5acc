"""What the policy knows of people: whom a tenant has written to before, and what recipients have said about mail."""
import json
import os
import pathlib
import signal
import time

from lab import mail
from lab.sink import Sink

POLICY = {
    "version": 1, "preferences": {"file": "preferences.json"},
    "settings": {"floor": "plain", "expire": "1d", "dkim_selector": "gw1", "portal": {"notify_floor": "plain"}},
    "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"}},
    "texts": {"no": "This person asked not to be mailed."},
    "rules": [{"rule": "no-mail", "when": {"recipient.preference": "no-mail"}, "then": {"reject": "no"}},
              {"rule": "stranger", "when": {"recipient.first_contact": True},
               "then": {"hold": {"for": "delay", "within": "1s", "protect": "relay"}}}],
    "default": {"protect": "relay"}}


def begin(start, folder, **settings):
    (folder / "policy.json").write_text(json.dumps({k: v for k, v in POLICY.items() if k != "preferences"}))
    sink = Sink()
    gateway = start("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", folder / "policy.json")
    home = pathlib.Path(gateway.info["config"]).parent / "policies"
    (home / "policy.json").write_text(json.dumps(POLICY))
    (home / "preferences.json").write_text(json.dumps({"version": 1, "preferences": []}))
    gateway.again(**settings)
    return gateway, sink


def submit(gateway, to):
    message, message_id = mail.make("Dear Pat\r\n", [to])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", [to], message)
    identity = gateway.message_of(message_id)
    return gateway.wait_record("message.accepted", message=identity)["decisions"][0], identity


def decided_until(gateway, to, rule):
    """The ledger tells the relays of new contacts one after the other, behind what is delivered."""
    deadline = time.monotonic() + 60
    while True:
        decision, identity = submit(gateway, to)
        if decision["rule"] == rule:
            return identity
        gateway.wait_record("message.settled", message=identity)
        assert time.monotonic() < deadline, decision


def test_the_first_mail_to_somebody_is_told_from_later_ones(gateways, tmp_path):
    gateway, sink = begin(gateways, tmp_path, contacts={"learn": "0s"})
    decision, identity = submit(gateway, "Pat@example.net")
    assert decision["rule"] == "stranger" and decision["do"] == "hold"
    gateway.wait_record("message.settled", message=identity)  # the delay is over, and it was delivered
    again = decided_until(gateway, "pat@EXAMPLE.net", "default")
    assert "0 otherwise" in gateway.run("policy", "replay", "--message", again).stdout
    assert submit(gateway, "other@example.net")[0]["rule"] == "stranger"
    gateway.again()  # it is remembered across restarts, and who was held only is not
    decided_until(gateway, "pat@example.net", "default")  # once the relay has the list again: until then the safer way
    sink.stop()


def test_nobody_is_new_while_the_gateway_is_still_learning(gateways, tmp_path):
    gateway, sink = begin(gateways, tmp_path)
    decision, identity = submit(gateway, "pat@example.net")
    assert decision["rule"] == "stranger"  # in doubt the safer way
    facts = json.loads(gateway.run("audit", "facts", identity).stdout)["facts"]
    assert "recipient.first_contact" in facts["recipients"][0]["unknown"]
    gateway.wait_record("message.settled", message=identity)
    decided_until(gateway, "pat@example.net", "default")  # who was written to is known at once

    # ---- preferences ----
    home = pathlib.Path(gateway.info["config"]).parent / "policies"
    before = (home / "preferences.json").read_text()
    words = ("preference", "set", "pat@example.net", "no-mail", "--by", "phone, nurse Kim", "--given", "2026-05-01")
    bad = gateway.run("preference", "set", "pat@example.net", "plain", "--by", "phone, nurse Kim", check=False)
    assert bad.returncode == 1 and "warning" in bad.stderr and (home / "preferences.json").read_text() == before
    gateway.run(*words)
    told = gateway.wait_record("preference.changed", change="set")
    assert told["recipient"] == "pat@example.net" and told["entry"]["preference"] == "no-mail"
    assert told["actor"]["id"].startswith("uid:")
    assert "no-mail" in gateway.run("preference", "show", "PAT@example.net").stdout
    gateway.run("preference", "set", "lee@example.net", "portal", "--by", "form 12", "--until", "2099-01-01")
    listed = [json.loads(line) for line in gateway.run("preference", "list", "--json").stdout.splitlines()]
    assert [e["recipient"] for e in listed] == ["pat@example.net", "lee@example.net"]
    os.kill(gateway.info["pid"], signal.SIGHUP)
    deadline = time.monotonic() + 60
    while True:
        message, _ = mail.make("x\r\n", ["pat@example.net"])
        with gateway.client(tls=False) as client:
            client.helo()
            client.mail("dr@tenant.test")
            code, text = client.rcpt("pat@example.net")
        if code == 550:
            break
        assert time.monotonic() < deadline
    assert b"asked not to be mailed" in text
    gateway.run("preference", "remove", "pat@example.net", "--reason", "she changed her mind")
    assert gateway.wait_record("preference.changed", change="removed")["reason"] == "she changed her mind"
    assert gateway.run("preference", "show", "pat@example.net", check=False).returncode == 1
    gateway.stop()
    assert gateway.run(*words, check=False).returncode == 1  # not on record, not done
    gateway.run(*words, "--offline")
    assert "no-mail" in gateway.run("preference", "show", "pat@example.net").stdout
    sink.stop()


def test_what_a_domain_has_proved_before_is_a_fact_for_rules(gateways, lab, tmp_path):
    """A domain that nobody has sent to is told from one whose proof is remembered, also by a relay that has just started."""
    (tmp_path / "policy.json").write_text(json.dumps({
        **{k: v for k, v in POLICY.items() if k != "preferences"},
        "ladders": {"relay": {"rungs": ["tls:dane", "tls:encrypted"], "floor": "tls:encrypted"}},
        "rules": [{"rule": "stranger", "when": {"domain.remembered": "never-seen"}, "then": {"protect": "relay"}},
                  {"rule": "proved", "when": {"domain.remembered": {"at_least": "tls:verified"}},
                   "then": {"protect": "relay"}}]}))
    gateway = gateways("--plain-listener", *lab.options(), "--policy", tmp_path / "policy.json")
    decision, identity = submit(gateway, "pat@example.test")
    assert decision["rule"] == "stranger"
    assert gateway.wait_record("message.settled", message=identity)["recipients"][0]["rung"] == "tls:dane"
    later = decided_until(gateway, "lee@example.test", "proved")
    assert "0 otherwise" in gateway.run("policy", "replay", "--message", later).stdout
    gateway.again()
    decided_until(gateway, "kim@example.test", "proved")
