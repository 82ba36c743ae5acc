"""What a tenant adds to the detector: exact data and patterns in detection/TENANT.json, by the command line and the gateway."""
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from lab import mail

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SALLYPORT = ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "bin/sallyport"
OWN = {"version": 1, "patterns": [{"name": "chart", "type": "MRN", "pattern": "CH-[0-9]{4}", "near": ["ref"]}],
       "terms": {"health": ["Bluebird program"]}}
PATIENTS = "\ufefflast_name,first_name,MRN,Favourite colour\r\nRiver,Sunny,88-1234-5,blue\r\n\"Field, the\",May,12,red\r\n,,,\r\n"


def run(*words):
    return subprocess.run([SALLYPORT, *map(str, words)], capture_output=True, text=True, timeout=120)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own.json").write_text(json.dumps(OWN))
    (tmp_path / "patients.csv").write_text(PATIENTS)
    return tmp_path


def judge(folder, *texts):
    lines = "".join(json.dumps({"id": n, "text": t}) + "\n" for n, t in enumerate(texts))
    done = subprocess.run([SALLYPORT, "detect", "--lines", "--own", folder / "own.json"], input=lines, capture_output=True,
                          text=True, timeout=120)
    return [json.loads(line)["phi"] for line in done.stdout.splitlines()], done


def test_an_index_is_made_and_judges(folder):
    texts = ("Sunny River starts the Bluebird program", "ref CH-4471: lupus", "8812345 has lupus", "CH-4471: lupus")
    assert judge(folder, *texts)[0] == [False, True, False, False]
    done = run("detect", "index", folder / "own.json", folder / "patients.csv")
    assert done.returncode == 0 and "2 names and 1 numbers of 3 rows; 1 rows gave nothing" in done.stdout, done
    assert 'column "favourite colour" is left out' in done.stderr
    assert judge(folder, *texts)[0] == [True, True, True, False]
    for name in ("own.index", "own.key"):
        assert (folder / name).stat().st_mode & 0o077 == 0
        data = (folder / name).read_bytes().lower()
        assert b"sunny" not in data and b"8812345" not in data
    # made anew with the same key, it is the same
    index, key = (folder / "own.index").read_bytes(), (folder / "own.key").read_bytes()
    run("detect", "index", folder / "own.json", folder / "patients.csv")
    assert (folder / "own.index").read_bytes() == index and (folder / "own.key").read_bytes() == key


@pytest.mark.parametrize("text,says", [("a,b\n1,2\n", "names no column that is known"), ('name,mrn\n"x', "row"),
                                       ("first_name\nAnn\n", "names no column that is known")])
def test_a_list_that_is_none_is_refused(folder, text, says):
    (folder / "patients.csv").write_text(text)
    done = run("detect", "index", folder / "own.json", folder / "patients.csv")
    assert done.returncode == 66 and says in done.stderr, done
    assert not (folder / "own.index").exists()


def test_what_cannot_be_used_is_told(folder):
    run("detect", "index", folder / "own.json", folder / "patients.csv")
    (folder / "own.key").write_bytes(os.urandom(32))
    answers, done = judge(folder, "x")
    assert not answers and done.returncode == 66 and "another key" in done.stderr
    (folder / "own.key").unlink()
    assert "can't read" in judge(folder, "x")[1].stderr
    (folder / "own.index").unlink()
    (folder / "own.json").write_text(json.dumps({**OWN, "patterns": [{"pattern": "CH-[0-9"}]}))
    assert "own.json:1: patterns[0].pattern:" in judge(folder, "x")[1].stderr


def verdict(gateway, number, text):
    head = f"From: dr@tenant.test\r\nTo: b@example.test\r\nMessage-ID: <own-{number}@tenant.test>\r\nSubject: s\r\n"
    message = f"{head}\r\n{text}\r\n"
    gateway.send(message.encode(), ["b@example.test"])
    identity = gateway.message_of(f"<own-{number}@tenant.test>")
    return gateway.wait_record("message.accepted", message=identity)["detection"]


def test_mail_of_the_tenant_is_judged_by_what_it_adds(gateways, sinks, folder):
    gateway = gateways("--next-hop", f"127.0.0.1:{sinks().port}", "--policy", ROOT / "policies/hipaa-default.json")
    config = pathlib.Path(gateway.info["config"]).parent
    before = verdict(gateway, 1, "Sunny River starts the Bluebird program.")
    assert before["class"] == "none"
    run("detect", "index", folder / "own.json", folder / "patients.csv")
    (config / "detection").mkdir()
    for name in ("json", "index", "key"):
        (config / f"detection/test.{name}").write_bytes((folder / f"own.{name}").read_bytes())
    assert run("check", gateway.info["config"]).returncode == 0

    def reload(event):
        seen = gateway.log.count(event)
        os.kill(gateway.info["pid"], signal.SIGHUP)
        deadline = time.monotonic() + 60
        while gateway.log.count(event) == seen:
            assert time.monotonic() < deadline, gateway.log[-3000:]
            time.sleep(0.05)

    def told(number, text, seconds=60):
        """Relays and scanners take the new configuration one behind the other."""
        deadline = time.monotonic() + seconds
        while True:
            found = verdict(gateway, number, text)
            if found["version"] != before["version"] or time.monotonic() > deadline:
                return found
            number += 100

    reload('"supervisor.reload"')
    after = told(2, "Sunny River starts the Bluebird program.")
    assert after["class"] == "phi"
    assert after["version"].startswith(before["version"] + "+")

    # a file that can't be used changes nothing
    (config / "detection/test.json").write_text('{"version": 1, "patterns": [{"pattern": "CH-[0-9"}]}')
    done = run("check", gateway.info["config"])
    assert done.returncode != 0 and "patterns[0].pattern" in done.stdout + done.stderr
    reload('"supervisor.reload-')
    for number in range(3, 9):  # but for one who takes the first change only now
        version = verdict(gateway, number, "Sunny River starts the Bluebird program.")["version"]
        assert version in (before["version"], after["version"])
    assert told(900, "Sunny River starts the Bluebird program.")["version"] == after["version"]
    assert "sunny" not in gateway.log.lower()


def test_a_class_of_ones_own_decides(gateways, sinks, tmp_path):
    """Found by the tenant's terms, declared by its policy, asked for by a rule, and in the audit."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"version": 1, "extends": "hipaa-default", "special": {"abuse": "people in shelters"}, "rules": [
        {"rule": "abuse", "certain": True, "when": {"phi.special": {"has": "abuse"}},
         "then": {"protect": "pickup", "tags": ["shelter"]}}]}))
    gateway = gateways("--next-hop", f"127.0.0.1:{sinks().port}", "--policy", str(policy))
    folder = pathlib.Path(gateway.info["config"]).parent / "detection"
    folder.mkdir()
    (folder / "test.json").write_text(json.dumps({"version": 1, "terms": {"special": {"abuse": ["Harbor House"]}}}))
    os.kill(gateway.info["pid"], signal.SIGHUP)
    deadline, text = time.monotonic() + 60, "Patient John Miller, MRN 00918273, stays at Harbor House.\r\n"
    while True:
        message, message_id = mail.make(text, ["pat@example.net"])
        gateway.send(message, ["pat@example.net"])
        accepted = gateway.wait_record("message.accepted", message=gateway.message_of(message_id))
        if accepted["detection"]["special"]:
            break
        assert time.monotonic() < deadline, accepted
    assert accepted["detection"]["special"] == ["abuse"] and accepted["detection"]["class"] == "severe"
    assert accepted["decisions"][0]["rule"] == "abuse" and "shelter" in json.dumps(accepted["decisions"][0])
