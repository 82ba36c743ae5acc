"""
Decisions of the past by versions that today's program would refuse or understand otherwise. What the gateway would give, a script
gives in its place: records as earlier versions wrote them, byte for byte, and the texts of their policies.
"""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIBEXEC = ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "libexec/sallyport"
LADDERS = {"usual": {"rungs": ["tls:encrypted", "portal"], "floor": "tls:encrypted"},
           "best": {"rungs": ["portal"], "floor": "sealed"}}
POLICY = {"version": 1, "settings": {"timezone": "America/Chicago"}, "ladders": LADDERS,
          "rules": [{"rule": "year", "when": {"recipient.domain": "example.net"}, "until": "2026-06-30",
                     "then": {"protect": "best"}}],
          "default": {"protect": "usual"}}
TONIGHT = 1782784800000  # 2026-06-30T02:00:00Z: in Chicago the day before
LATER = TONIGHT + 4 * 3600 * 1000
END = '"at_end":"return","text":"","lowers":null,"whole":false,"expire_ms":172800000,"redirect":"","copies":[],' \
    '"raised_by":[],"continued":[],"tags":[]}'
DECIDED = {"year": '{"do":"protect","rule":"year","floor":"sealed","ladder":[["portal",-1,14400000]],' + END,
           "default": '{"do":"protect","rule":"default","floor":"tls:encrypted","ladder":[["tls:encrypted",-1,14400000],'
                      '["portal",-1,14400000]],' + END}
FACTS = '{"message":"01M83NCS9N0EHWEMEPAW67XFPC","time_ms":%(time)d,"facts":{"tenant":"test","sender.address":' \
    '"dr@tenant.test","sender.domain":"tenant.test","recipient.count":1,"time.hour":21,"time.weekday":"monday",' \
    '"from.address":"dr@tenant.test","subject":"Greetings","label":[],"message.kind":"mail","message.size":224,' \
    '"phi.class":"severe","scan":"failed",%(language)s"unknown":["message.sealed","phi.score","phi.special"],' \
    '"time_ms":%(time)d,"policy":"%(policy)s","types":{},"recipients":[{"recipient.address":"pat@example.net",' \
    '"domain.remembered":"never-seen","unknown":["recipient.first_contact"],"decided":%(decided)s}]}}\n'


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class Past:
    """A gateway's folder, and what the gateway would answer."""

    def __init__(self, folder):
        self.folder = folder
        self.policies = folder / "policies"
        self.answers = folder / "answers"
        for made in (self.policies, self.answers, folder / "libexec"):
            made.mkdir()
        shutil.copy(LIBEXEC / "cli-policy", folder / "libexec/cli-policy")
        control = folder / "libexec/cli-control"
        control.write_text(f"#!{sys.executable}\nimport pathlib, sys\nf = pathlib.Path({str(self.answers)!r}) / sys.argv[3]\n"
                           "sys.stdout.write(f.read_text()) if f.exists() else sys.exit(1)\n")
        control.chmod(0o755)
        (folder / "sallyport.json").write_text(json.dumps({
            "node": "gw1", "hostname": "gw1.example", "policy": "policies/policy.json",
            "listen": [{"address": "127.0.0.1:2525", "tls": "none"}]}))
        (self.policies / "policy.json").write_text(json.dumps({"version": 1, "ladders": LADDERS,
                                                               "default": {"protect": "usual"}}))

    def version(self, policy, zone="CST6CDT,M3.2.0,M11.1.0", kept=False):
        """The version's text in the books, or its files in the history. returns: its hash"""
        text = canonical({"layer0": policy, **({"timezone-rule": zone} if zone else {})})
        version = hashlib.sha256(text.encode()).hexdigest()
        if kept:
            (self.policies / ".history").mkdir(exist_ok=True)
            (self.policies / ".history" / f"{version}.json").write_text(json.dumps(
                {"files": {"policy.json": json.dumps(policy)}}))
        else:
            (self.answers / version).write_text(text)
        return version

    def record(self, version, decided, time=TONIGHT, language='"language":2,'):
        (self.answers / "MESSAGE").write_text(FACTS % {"time": time, "language": language, "policy": version, "decided": decided})

    def replay(self, *words, code):
        done = subprocess.run([self.folder / "libexec/cli-policy", "policy", "replay", "--message", "MESSAGE", "-c",
                               self.folder / "sallyport.json", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}{done.stderr}"
        return done


@pytest.fixture
def past(tmp_path):
    return Past(tmp_path)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("language,time,rule", [
    ("", TONIGHT, "default"), ('"language":2,', TONIGHT, "default"), ('"language":3,', TONIGHT, "year"),
    ('"language":2,', LATER, "default"), ('"language":3,', LATER, "default")])
def test_a_day_is_what_it_was_then(past, kept, language, time, rule):
    past.record(past.version(POLICY, kept=kept), DECIDED[rule], time, language)
    assert "the same, byte for byte" in past.replay(code=0).stdout


@pytest.mark.parametrize("known", ["0", "1", "true"])
def test_what_was_known_of_a_recipient_is_read_as_it_was_written(past, known):
    """A truth stands in records as a number."""
    rules = [{"rule": "year", "when": {"recipient.first_contact": True}, "then": {"protect": "best"}}]
    past.record(past.version({**POLICY, "rules": rules, "settings": {}}, zone=None),
                DECIDED["default" if known == "0" else "year"], language='"language":3,')
    answer = past.answers / "MESSAGE"
    text = answer.read_text().replace('"unknown":["recipient.first_contact"],', f'"recipient.first_contact":{known},')
    answer.write_text(text)
    assert f'"recipient.first_contact":{known}' in text
    assert "the same, byte for byte" in past.replay(code=0).stdout


IDLE = [{"fixed": ["flor"]},
        {"guards": [{"rule": "g", "then": {"reject": "no", "expire": "1h"}, "when": {"subject": "x"}}], "texts": {"no": "No."}},
        {"rules": [{"rule": "never", "when": {"time.hour": 24}, "then": {"protect": "best"}}]},
        {"rules": [{"rule": "slip", "when": {"phi.count.MNR": {"at_least": 1}, "scan": "complete"},
                    "then": {"protect": "best"}}]}]


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("words", IDLE)
def test_words_that_did_nothing_hinder_nothing(past, words, kept):
    version = past.version({**POLICY, "rules": [], "settings": {}, **words}, zone=None, kept=kept)
    past.record(version, DECIDED["default"])
    assert "the same, byte for byte" in past.replay(code=0).stdout
    told = json.loads(past.replay("--json", code=0).stdout)
    assert told["policy"] == version and told["changed"] == 0 and "not_replayed" not in told


def test_what_lies_there_now_may_be_refused(past):
    """The live policy has nothing to do with what another one decided."""
    (past.policies / "policy.json").write_text("{")
    past.record(past.version(POLICY), DECIDED["default"])
    assert "the same, byte for byte" in past.replay(code=0).stdout


def test_what_is_no_policy_any_more_is_told_with_its_line(past):
    version = past.version({**POLICY, "default": {"protect": "gone"}}, kept=True)
    past.record(version, DECIDED["default"])
    done = past.replay(code=3)
    assert 'policy.json:1: default.protect: "gone" is not in "ladders" of any layer' in done.stderr and done.stdout == ""
    assert f"version {version} decided then, and this program can't load it" in done.stderr
    lost = json.loads(past.replay("--json", code=3).stdout)["not_replayed"]
    assert lost["policy"] == version and lost["why"] == "not-loaded"
    assert [p["path"] for p in lost["problems"] if p["severity"] == "error"] == ["default.protect"]


def test_what_became_another_version_is_told_by_its_part(past):
    """The zone had other rules then."""
    version = past.version(POLICY, zone="CST6")
    past.record(version, DECIDED["default"])
    done = past.replay(code=3)
    assert "otherwise now than in the version of then: timezone-rule\n" in done.stderr
    assert f"version {version} decided then, and this program makes " in done.stderr and "not kept" not in done.stderr
    lost = json.loads(past.replay("--json", code=3).stdout)["not_replayed"]
    assert lost["why"] == "other-version" and lost["differs"] == ["timezone-rule"] and len(lost["made"]) == 64


def test_what_nobody_kept_is_told_with_where_it_would_lie(past):
    past.record("0" * 64, DECIDED["default"])
    done = past.replay(code=3)
    assert f"its text is neither in {past.policies}/.history nor given by the gateway's books" in done.stderr
    assert json.loads(past.replay("--json", code=3).stdout)["not_replayed"]["why"] == "not-kept"


def test_what_came_out_otherwise_is_no_lost_version(past):
    past.record(past.version(POLICY), DECIDED["year"])
    assert "1 otherwise than recorded" in past.replay(code=1).stdout
