"""What docs/policy.md shows of history, status, report and replay is what these print: but for numbers, days, ids and names."""
import json
import pathlib
import re
import time

import pytest

from lab import mail
from lab.sink import Sink
from test_policy_tools import printed

PHI = "Patient John Miller, MRN 00918273, was seen for type 2 diabetes.\r\n"
LIVE = {"version": 1, "extends": "hipaa-default"}
DRAFT = {**LIVE, "rules": [
    {"rule": "many-patients", "when": {"subject": "list"},
     "then": {"hold": {"for": "approval", "within": "8h", "protect": "sealed"}}},
    {"rule": "phi", "when": {"phi.class": {"at_least": "phi"}}, "then": {"protect": "sealed"}},
    {"rule": "strangers", "when": {"recipient.domain": "example.net"}, "then": {"protect": "sealed"}}]}
TESTS = {"version": 1, "policy": "draft.json", "cases": [
    {"name": "a stranger", "when": {"recipient.address": "a@example.net"}, "expect": {"rule": "strangers"}}]}


def submit(gateway, text="See you at the meeting.\r\n", subject="x", to="pat@example.net"):
    message, message_id = mail.make(text, [to], subject)
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", [to], message)
    return gateway.wait_record("message.accepted", message=gateway.message_of(message_id))


def shape(line):
    """A line without what is another one in every house."""
    for pattern, word in ((r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "ID"), (r"\b\d{4}-\d\d-\d\d(T[\d:]+Z?)?", "DAY"),
                          (r"\b[0-9a-f]{16}\b", "HASH"), (r"\b\d+\.\d+\.\d+-\S+?(?=[,;])", "DETECTOR"),
                          (r"uid \d+ \(\w+\)", "WHO"), (r" *\b\d+\b", " N"),
                          (r" N [a-z:-]+(, N [a-z:-]+)*(?=( \(|$))", " N WHERE")):
        line = re.sub(pattern, word, line)
    return line


def compare(gateway, command, **instead):
    words, shown = printed(f"policy {command}")
    words = [instead.get(w, w) for w in words]
    done = gateway.run("policy", *words[1:], check=False)
    said = [shape(line) for line in done.stdout.splitlines()]
    rest = iter(said)
    for line in shown:
        assert line == "..." or any(s == shape(line) for s in rest), (shape(line), said)
    assert shown
    return done


@pytest.fixture(scope="module")
def clinic(module_gateways, tmp_path_factory):
    policy = tmp_path_factory.mktemp("printed") / "policy.json"
    policy.write_text(json.dumps(LIVE))
    sink = Sink()
    gateway = module_gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", policy, "--workers", 1)
    home = pathlib.Path(gateway.info["config"]).parent / "policies"
    (home / "draft.json").write_text(json.dumps(DRAFT))
    (home / "draft.test.json").write_text(json.dumps(TESTS))
    yield gateway, str(home / "draft.json")
    sink.stop()


def test_the_guide_shows_what_replay_and_reports_print(clinic, monkeypatch):
    gateway, draft = clinic
    monkeypatch.setenv("SUDO_USER", "ann")  # who it is that has become root
    first = submit(gateway, PHI)["message"]
    submit(gateway, PHI, "list")
    submit(gateway, PHI)
    submit(gateway)
    assert compare(gateway, "replay --message", **{"01M84EZ1QY6Q2N8W4M5T7R3HBC": first}).returncode == 0
    done = compare(gateway, "replay --days", **{"policies/draft.json": draft})
    assert done.returncode == 1 and done.stdout.splitlines()[1].split()[0] == "2"  # the most frequent first

    gateway.run("policy", "publish", draft, "--reason", "strangers get the portal", "--stage", "shadow")
    gateway.reload()
    deadline = time.monotonic() + 60
    while "stage" not in submit(gateway):
        assert time.monotonic() < deadline
    compare(gateway, "report")
    gateway.run("policy", "promote", "--reason", "a week at 10% without a call")
    compare(gateway, "status")

    document = json.loads(pathlib.Path(draft).read_text())
    pathlib.Path(draft).write_text(json.dumps({**document, "note": "again"}))
    gateway.run("policy", "publish", draft, "--reason", "labs get sealed mail", "--approved-by", "Privacy Officer")
    compare(gateway, "history")
