"""A replay says which version of the detector found what a decision came from, and whether it is the present one."""
import json
import os
import pathlib
import signal
import time

from lab import mail
from lab.wait import until

OWN = {"version": 1, "patterns": [{"name": "chart", "type": "MRN", "pattern": "CH-[0-9]{4}", "near": ["ref"]}]}


def submit(gateway):
    message, message_id = mail.make("The biopsy of MRN 00918273 was malignant, melanoma.\r\n", ["pat@example.net"])
    gateway.send(message, ["pat@example.net"])
    identity = gateway.message_of(message_id)
    return identity, gateway.wait_record("message.accepted", message=identity)["detection"]["version"]


def decided_by(gateway, message):
    return json.loads(gateway.run("audit", "facts", message).stdout)["facts"]["policy"]


def test_a_replay_notices_another_detector(gateways, sinks):
    gateway = gateways("--next-hop", f"127.0.0.1:{sinks().port}", "--policy", "policies/hipaa-default.json")
    detection = pathlib.Path(gateway.info["config"]).parent / "detection"
    first, version = submit(gateway)
    facts = json.loads(gateway.run("audit", "facts", first).stdout)["facts"]
    assert facts["detector"] == version and facts["phi.class"] in ("phi", "severe")
    text = gateway.run("policy", "replay", "--message", first).stdout
    assert f"found by detector {version}, the present one" in text and "byte for byte" in text

    # what a tenant adds makes another detector; what was decided then stays what it was
    detection.mkdir()
    (detection / "test.json").write_text(json.dumps(OWN))
    text = gateway.run("policy", "replay", "--message", first).stdout
    assert f"found by detector {version}; the present one is {version}+" in text and "byte for byte" in text
    told = json.loads(gateway.run("policy", "replay", "--days", "1", "--json").stdout)
    assert told["changed"] == 0 and told["other_detector"] == 1
    assert "1 messages were examined by another version" in gateway.run("policy", "replay", "--days", "1").stdout

    # and what the scanners say of themselves is what the command line works out from the files
    os.kill(gateway.info["pid"], signal.SIGHUP)
    deadline = time.monotonic() + 60
    while True:
        second, now = submit(gateway)
        if now != version:
            break
        assert time.monotonic() < deadline, now
    assert f"found by detector {now}, the present one" in gateway.run("policy", "replay", "--message", second).stdout


CSV = "name,MRN,diagnosis\r\n" + "".join(f"Jo Miller{n},MRN 009182{n:02},type 2 diabetes\r\n" for n in range(30))
ROWS = [("Patient John Miller, MRN 00918273, is in methadone maintenance for opioid use disorder.\r\n", "part2"),
        (CSV, "many-patients"), ("Patient John Miller, MRN 00918273: type 2 diabetes.\r\n", "unscanned")]
MANY = {"version": 1, "extends": "hipaa-default", "rules": [
    {"rule": "many-patients", "certain": True, "when": {"phi.distinct.MRN": {"at_least": 20}},
     "then": {"hold": {"for": "approval", "within": "8h", "otherwise": "return", "protect": "sealed"}}}]}


def beside_what_nobody_reads(text):
    """A message with a part that is no format that anybody here knows."""
    message, message_id = mail.make("", ["pat@example.net"])
    head, _, _ = message.decode().partition("MIME-Version")
    return (head + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            f"--b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--b\r\nContent-Type: application/vnd.rar; name=more.rar\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\nUmFyIRoHAQAzkrXlCgEFBgAFAQGAgACgZ9Zs\r\n--b--\r\n").encode(), message_id


def test_what_is_found_beside_an_unread_part_decides_and_can_be_shown_again(gateways, sinks, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(MANY))
    gateway = gateways("--next-hop", f"127.0.0.1:{sinks().port}", "--policy", str(policy))
    for text, rule in ROWS:
        message, message_id = beside_what_nobody_reads(text)
        gateway.send(message, ["pat@example.net"])
        accepted = gateway.wait_record("message.accepted", message=gateway.message_of(message_id))
        assert accepted["detection"]["scan"] == "partial", accepted["detection"]
        [unread] = accepted["detection"]["not_scanned"]
        assert unread["why"] == "encrypted" and unread["part"]
        facts = json.loads(gateway.run("audit", "facts", accepted["message"]).stdout)["facts"]
        assert facts["language"] == 3 and facts["recipients"][0]["decided"]["rule"] == rule
        told = gateway.run("policy", "replay", "--message", accepted["message"]).stdout
        assert "byte for byte" in told, told


def test_a_version_that_nobody_kept_is_replayed_from_the_books(gateways, sinks, tmp_path):
    """Files changed by hand, and a reload: the version of before lies nowhere but in the gateway's books."""
    first_of_all = tmp_path / "policy.json"
    first_of_all.write_text(json.dumps(MANY))
    gateway = gateways("--next-hop", f"127.0.0.1:{sinks().port}", "--policy", str(first_of_all))
    home, live = pathlib.Path(gateway.info["policy"]).parent, gateway.json("policy", "status")["live"]
    (home / "lists").mkdir(exist_ok=True)
    (home / "layers").mkdir(exist_ok=True)
    (home / "lists/labs.txt").write_text("# ours\nexample.net\n")
    (home / "lists/notice.txt").write_text("Confidential.\n")
    (home / "preferences.json").write_text(json.dumps({"version": 1, "preferences": [
        {"recipient": "sam@example.net", "preference": "portal", "given": "2026-01-01", "by": "desk"}]}))
    (home / "layers/t.json").write_text(json.dumps({"version": 1, "scope": {"tenant": "test"}, "rules": [
        {"rule": "mine", "when": {"subject": "other"}, "then": {"protect": "pickup"}}]}))
    (home / "policy.json").write_text("// by hand\n" + json.dumps({
        **MANY, "settings": {"timezone": "America/Chicago"}, "preferences": {"file": "preferences.json"},
        "lists": {"labs": {"kind": "domains", "file": "lists/labs.txt"}}, "texts": {"n": {"file": "lists/notice.txt"}},
        "rules": [{"rule": "labs", "when": {"recipient.domain": {"in": "labs"}, "time.hour": {"at_least": 0}},
                   "then": {"protect": "careful", "tags": ["lab"]}}]}))
    os.kill(gateway.info["pid"], signal.SIGHUP)
    then = gateway.wait_record("config.changed")["version"]["after"]
    message = until(lambda: next((m for m, _ in [submit(gateway)] if decided_by(gateway, m) == then), None))  # relays follow
    for name in ("layers/t.json", "lists/labs.txt", "preferences.json"):
        (home / name).unlink()
    (home / "policy.json").write_text(json.dumps(MANY))
    os.kill(gateway.info["pid"], signal.SIGHUP)
    gateway.wait_record("config.changed", version={"before": then, "after": live})
    assert not (home / ".history").exists()
    told = json.loads(gateway.run("policy", "replay", "--message", message, "--json").stdout)
    assert told["policy"] == then and told["recipients"] == 1 and told["changed"] == 0
    assert gateway.wait_record("audit.exported", what="policy")["policy"] == then
    assert gateway.run("audit", "facts", "0" * 64, check=False).returncode != 0
