"""Observe mode: a tenant's rules are recorded and not enforced; its mail goes on by TLS, until a day that is set."""
import datetime
import json
import os
import signal
import smtplib
import subprocess
import time

import pytest

from lab.gateway import ROOT
from lab.sink import Sink

TODAY = datetime.datetime.now(datetime.timezone.utc).date()


def day(ahead):
    return (TODAY + datetime.timedelta(days=ahead)).isoformat()


POLICY = """{ "version": 1, "scope": {"tenant": "test"}, "settings": {"floor": "tls:encrypted"},
  "lists": {"typos": {"kind": "domains", "entries": ["gmial.test"]}, "odd": {"kind": "domains", "entries": ["odd.test"]}},
  "texts": {"typo": "Address looks mistyped."}, "groups": {"office": {"addresses": ["office@tenant.test"]}},
  "ladders": {"tls": {"rungs": ["tls:dane", "tls:authenticated", "tls:encrypted"], "floor": "tls:encrypted"},
              "pickup": {"rungs": ["portal"], "floor": "sealed"}},
  "guards": [{"rule": "typo", "when": {"recipient.domain": {"in": "typos"}}, "then": {"reject": "typo"}}],
  "rules": [{"rule": "asks", "when": {"subject.tag": "secure"}, "then": {"protect": "pickup", "subject": {"strip_tag": true}}},
            {"rule": "odd", "when": {"recipient.domain": {"in": "odd"}},
             "then": {"hold": {"for": "quarantine", "by": "office", "within": "8h", "otherwise": "return", "protect": "tls"},
                      "redirect": "x@tenant.test"}}],
  "default": {"protect": "tls"} }"""


@pytest.fixture(scope="module")
def world(module_gateways, tmp_path_factory):
    folder = tmp_path_factory.mktemp("observe")
    policies = folder / "policies"
    policies.mkdir()
    (policies / "policy.json").write_text(POLICY)
    certificate = folder / "mx.pem", folder / "mx.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", "/CN=mx.test", "-out", certificate[0], "-keyout", certificate[1]], check=True, capture_output=True)
    sink = Sink(certificate=certificate)
    gateway = module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", policies / "policy.json", "--workers", 1)
    yield gateway, sink, next((gateway.folder / "config/tenants").glob("*.json"))
    sink.stop()


def reloads(gateway):
    """How often the relay has taken a new configuration."""
    return sum('"role.reloaded"' in line and '"relay"' in line for line in gateway.log.splitlines())


def set_until(world, until, **more):
    gateway, _, path = world
    tenant = json.loads(path.read_text())
    tenant.pop("observe", None)
    tenant.update(more)
    if until is not None:
        tenant["observe"] = {"until": until}
    if path.read_text() == json.dumps(tenant):
        return
    path.write_text(json.dumps(tenant))
    before = reloads(gateway)
    os.kill(gateway.info["pid"], signal.SIGHUP)
    deadline = time.monotonic() + 60
    while reloads(gateway) == before:
        assert time.monotonic() < deadline, gateway.log[-3000:]
        time.sleep(0.02)


def send(world, recipients, subject="hello"):
    gateway = world[0]
    with gateway.client() as client:
        try:
            refused = client.sendmail("dr@tenant.test", recipients, f"From: dr@tenant.test\r\nSubject: {subject}\r\n\r\nx\r\n")
            return {to: code for to, (code, _) in refused.items()}
        except smtplib.SMTPRecipientsRefused as error:
            return {to: code for to, (code, _) in error.recipients.items()}


def accepted(world, recipient):
    return [r for r in world[0].records() if r["event"] == "message.accepted" and recipient in r["to"]][-1]


def test_rules_are_enforced_without_it(world):
    set_until(world, None)
    assert send(world, ["a@gmial.test"]) == {"a@gmial.test": 550}


def test_rules_are_observed(world):
    gateway, sink, path = world
    set_until(world, day(14))
    assert '"intake.observes"' in gateway.log
    recipients = ["b@gmial.test", "b@odd.test", "b@fine.test"]
    assert send(world, recipients, "[secure] hello") == {}
    gateway.wait_record("message.accepted", to=recipients)
    record = accepted(world, "b@fine.test")
    gateway.wait_record("message.settled", message=record["message"])
    assert {d["rule"] for d in record["decisions"]} == {"observe"}
    assert all((d["do"], d["floor"], d["ladder"][0]) == ("protect", "tls:encrypted", "tls:dane") for d in record["decisions"])
    assert record["observed"]["until"] == day(14)
    would = {d["rule"]: (d["do"], d["n"]) for d in record["observed"]["decisions"]}
    rows = gateway.json("policy", "report", "--days", "1")["rows"]  # counted by what the rules said
    assert set(would) <= {r["rule"] for r in rows if r["by"] == "observed"}
    assert would == {"typo": ("reject", [0]), "asks": ("protect", [1, 2])}
    got = sorted({to for m in sink.messages for to in m["to"]})
    assert got == sorted(recipients)
    assert all(m["tls"] for m in sink.messages) and all(b"[secure]" in m["data"] for m in sink.messages)


def test_holds_and_redirections_are_observed_too(world):
    gateway, sink, _ = world
    set_until(world, day(3))
    assert send(world, ["c@odd.test"]) == {}
    first = gateway.wait_record("message.accepted", to=["c@odd.test"])
    gateway.wait_record("message.settled", message=first["message"])
    assert any("c@odd.test" in str(m["to"]) for m in sink.messages)
    record = gateway.wait_record("message.accepted", to=["c@odd.test"])
    assert [d["do"] for d in record["observed"]["decisions"]] == ["hold"]
    assert not any("x@tenant.test" in m["to"] for m in sink.messages)


def test_a_portal_that_was_not_needed_is_reported(world):
    gateway = world[0]
    set_until(world, day(3))
    assert send(world, ["d@fine.test"], "[secure] again") == {}
    gateway.wait_record("message.accepted", to=["d@fine.test"])
    gateway.wait_record("message.settled", message=accepted(world, "d@fine.test")["message"])
    done = gateway.run("policy", "report", "--days", "1", check=False)
    assert done.returncode == 0 and "asks" in done.stdout and "portal" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("until", [day(-1), day(63 + 10)])
def test_a_day_that_is_over_or_too_far_off_enforces(world, until):
    set_until(world, until)
    assert send(world, ["e@gmial.test"]) == {"e@gmial.test": 550}


def test_check_is_loud(world):
    gateway = world[0]
    for until, code, word in ((day(14), 0, "OBSERVED ONLY until"), (day(400), 1, "more than 62 days"), (day(-2), 0, "is over"),
                              ("soon", 1, "expected a day"), ("2026-02-31", 1, "expected a day")):
        tenant = json.loads(world[2].read_text())
        tenant["observe"] = {"until": until}
        world[2].write_text(json.dumps(tenant))
        done = subprocess.run([gateway.info["program"], "check", "-c", gateway.info["config"]], capture_output=True, text=True)
        assert done.returncode == code and word in done.stdout + done.stderr, (until, done.stdout, done.stderr)
    set_until(world, day(14))
    done = gateway.run("tenant", "check", "test", check=False)
    assert done.returncode == 1 and "\u2717 OBSERVED ONLY until" in done.stdout
    assert "OBSERVED ONLY" in gateway.run("tenant", "show", "test").stdout
    set_until(world, None)


def test_who_may_send_is_enforced_all_the_same(world):
    set_until(world, day(14))
    with world[0].client() as client:
        assert client.mail("dr@stranger.test")[0] == 550
    set_until(world, None)


def test_a_tenants_name_stands_in_its_notices(world):
    gateway, sink, _ = world
    set_until(world, None, display_name="The Clinic")
    assert send(world, ["f@fine.test"], "[secure] for the portal") == {}
    record = gateway.wait_record("message.accepted", to=["f@fine.test"])
    assert record["decisions"][0]["rule"] == "asks" and "observed" not in record
    gateway.wait_record("message.settled", message=record["message"], seconds=60)
    sink.wait_for_one(lambda m: "f@fine.test" in str(m["to"]))
    notice = [m["data"] for m in sink.messages if "f@fine.test" in str(m["to"])]
    assert len(notice) == 1 and b"The Clinic" in notice[0] and b"secure message" in notice[0]


def test_the_reference_says_so():
    assert "observe.until" in (ROOT / "docs/settings.md").read_text()
