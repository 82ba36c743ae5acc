"""What an administrator does and what the audit says of it agree, also where a file can't be written, and of two at once."""
import json
import os
import pathlib
import socket
import subprocess
import threading

import pytest

from lab.wait import until
from test_command_line import PROGRAM, home, registry_of, run  # noqa: F401 (a fixture)

POLICY = {"version": 1, "extends": "hipaa-default", "preferences": {"file": "preferences.json"}}


@pytest.fixture
def gateway(gateways, tmp_path):
    """Its policy names a registry, in which nobody is yet."""
    (tmp_path / "policy.json").write_text(json.dumps({"version": 1, "extends": "hipaa-default"}))
    gateway = gateways("--policy", tmp_path / "policy.json")
    gateway.home = pathlib.Path(gateway.info["config"]).parent / "policies"
    (gateway.home / "policy.json").write_text(json.dumps(POLICY))
    gateway.registry = gateway.home / "preferences.json"
    gateway.registry.write_text('{"version": 1, "preferences": []}')
    return gateway


def told(gateway):
    """(event, recipient, what became of it) of each act on preferences, up to one that is done now."""
    gateway.run("preference", "set", "last@example.net", "tls", "--by", "form 1")
    gateway.wait_record("preference.changed", recipient="last@example.net")
    return [(r["event"], r["recipient"], r.get("change") or r.get("failed")) for r in gateway.records()
            if r["event"] in ("preference.changed", "admin.acted") and r["recipient"] != "last@example.net"]


def test_what_could_not_be_written_is_not_on_record(gateway):
    beside = pathlib.Path(f"{gateway.registry}.new~")
    beside.mkdir()
    before = gateway.registry.read_text()
    done = gateway.run("preference", "set", "ann@example.net", "tls", "--by", "phone", "--json", check=False)
    assert done.returncode == 1 and "can't be written" in json.loads(done.stderr)["detail"] and done.stdout == "", done
    assert "nothing was changed" in done.stderr and gateway.registry.read_text() == before
    beside.rmdir()
    assert told(gateway) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a file is put under another by root alone")
def test_what_fails_behind_its_record_is_on_record_too(gateway):
    """A file that is a mount, as a container's settings are, can be written beside and not be replaced."""
    act = [gateway.info["program"], "preference", "set", "ann@example.net", "tls", "--by", "phone", "--json", "--config",
           gateway.info["config"]]
    done = subprocess.run(["unshare", "--mount", "/bin/sh", "-c", 'mount --bind "$0" "$0" && exec "$@"', gateway.registry, *act],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "nothing was changed" in json.loads(done.stderr)["detail"] and done.stdout == "", done
    assert told(gateway) == [("preference.changed", "ann@example.net", "set"), ("admin.acted", "ann@example.net", "output")]
    assert "admin.acted" in gateway.run("audit", "find", "ann@example.net").stdout
    assert [json.loads(line)["recipient"] for line in gateway.run("preference", "list", "--json").stdout.splitlines()] == \
        ["last@example.net"]
    assert not list(gateway.home.glob("*.new~"))
    assert gateway.run("audit", "verify", gateway.info["audit"], check=False).returncode == 0


def unanswered(home):  # noqa: F811
    """What a change of a preference asks of a gateway that never knows, and how it ends."""
    config = registry_of(home, "preferences.json")[1:]
    settings = json.loads((home / "sallyport.json").read_text())
    (home / "sallyport.json").write_text(json.dumps({**settings, "admin": {"socket": str(home / "admin.sock")}}))
    asked = []

    def answer():
        while True:
            with listening.accept()[0] as one:
                asked.append(one.makefile().readline())
                if not asked[-1]:
                    return
                one.sendall(b'{"ok":false,"error":"unknown","detail":"the ledger did not answer"}\n')

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(home / "admin.sock"))
        listening.listen()
        listening.settimeout(60)
        gateway = threading.Thread(target=answer)
        gateway.start()
        done = run("preference", "set", "ann@example.net", "tls", "--by", "phone", *config)
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(home / "admin.sock"))
        gateway.join()
    return asked, done


def test_what_nobody_knows_to_be_on_record_is_told_so(home):  # noqa: F811
    asked, done = unanswered(home)
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1 and [one["error"] for one in told] == ["unknown", "unknown"], done
    assert "whether it is on record is unknown; nothing was changed" in told[-1]["detail"] and len(asked) > 2, done
    assert not (home / "policies/preferences.json").exists() and not list((home / "policies").glob("*.new~"))


def test_an_act_that_is_asked_for_again_is_on_record_once(gateway):
    """As where the answer was late, or lost."""
    def ask(**members):
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(60)
            asked.connect(gateway.info["admin"]["socket"])
            asked.sendall(json.dumps({"command": "preference.set", "address": "ann@example.net", "reason": "phone",
                                      "entry": '{"preference":"tls"}', **members}).encode() + b"\n")
            with asked.makefile() as answer:
                return json.loads(answer.readline())["ok"]
    one, two = "01J9Z3Q7ZC4T8W6M5K2N1P0R9S", "01J9Z3Q7ZC4T8W6M5K2N1P0R9T"
    assert [ask(request=one), ask(request=one), ask(request=two), ask(request=one), ask(), ask()] == [True] * 6
    assert len(told(gateway)) == 4, "two of one that has no id are two"
    assert [r.get("request") for r in gateway.records() if r["event"] == "preference.changed"][:4] == [one, two, None, None]
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def test_what_the_command_asks_again_bears_one_id(home):  # noqa: F811
    asked, done = unanswered(home)
    assert len(asked) > 2 and len({json.loads(line)["request"] for line in asked if line}) == 1, asked


def test_of_many_at_once_each_change_counts(home):  # noqa: F811
    config = registry_of(home, "preferences.json")
    people = {f"p{n}@c.example" for n in range(6)}
    acts = [subprocess.Popen([PROGRAM, "preference", "set", who, "tls", "--by", "phone", *config], stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True) for who in people]
    assert [(act.communicate(timeout=120)[1], act.returncode) for act in acts] == [("", 0)] * len(people)
    listed = run("preference", "list", *config).stdout.splitlines()
    assert {json.loads(line)["recipient"] for line in listed} == people


def test_who_waits_for_another_too_long_is_told(home):  # noqa: F811
    config = registry_of(home, "preferences.json")
    (home / "policies/.history").mkdir()
    before = ("flock", home / "policies/.history/lock")
    for words in (("preference", "set", "a@c.example", "tls", "--by", "phone", *config),
                  ("policy", "abort", "--reason", "no more", *config[1:])):
        done = run(*words, before=before)
        [refusal] = [json.loads(line) for line in done.stderr.splitlines()]
        assert done.returncode == refusal["exit"] == 1 and "somebody else is changing" in refusal["detail"], done


def test_who_may_only_read_keeps_nobody_from_changing(home):  # noqa: F811
    config = registry_of(home, "preferences.json")
    done = run("preference", "set", "a@c.example", "tls", "--by", "phone", *config, before=("flock", home / "policies"))
    assert done.returncode == 0, done
    lock = (home / "policies/.history/lock").stat()
    assert lock.st_mode & 0o777 == 0o600 and lock.st_uid == (home / "policies/live.json").stat().st_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="files are given to others by root alone")
def test_whose_files_it_is_may_hold_the_lock(home):  # noqa: F811
    config = registry_of(home, "preferences.json")
    policies = home / "policies"
    os.chown(policies / "live.json", 4321, 4321)
    done = run("preference", "set", "a@c.example", "tls", "--by", "phone", *config)
    assert done.returncode == 0, done
    made = [path.stat() for path in (policies / ".history", policies / ".history/lock")]
    assert [(one.st_uid, one.st_gid) for one in made] == [(4321, 4321)] * 2
    (policies / ".history/lock").unlink()
    (policies / ".history/lock").symlink_to(home / "elsewhere")
    done = run("preference", "set", "b@c.example", "tls", "--by", "phone", *config)
    assert done.returncode == 1 and ".history/lock: can't be locked" in json.loads(done.stderr)["detail"], done
    assert not (home / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="files are given to others by root alone")
def test_whose_lists_they_are_gets_no_hold_of_the_history(home):  # noqa: F811
    """An account that keeps the lists may lock them, and not write what was published, or when."""
    config = registry_of(home, "preferences.json")[1:]
    lists, table = home / "policies/lists", home / "staff.csv"
    lists.mkdir(exist_ok=True)
    os.chown(lists, 4321, 4321)
    table.write_text("address,group\na@c.example,recovery\n")
    done = run("directory", "import", table, *config)
    assert "1 added" in done.stdout and (lists / "recovery.txt").exists(), done
    assert [path.stat().st_uid for path in (lists / ".history", lists / ".history/lock")] == [4321] * 2
    history = home / "policies/.history"
    assert not history.exists() or history.stat().st_uid == 0


def test_a_link_is_neither_replaced_nor_followed(home):  # noqa: F811
    config = registry_of(home, "preferences.json")
    registry, elsewhere = home / "policies/preferences.json", home / "elsewhere.json"
    elsewhere.write_text('{"version": 1, "preferences": []}')
    registry.symlink_to(elsewhere)
    done = run("preference", "set", "ann@example.net", "tls", "--by", "phone", *config)
    assert done.returncode == 1 and "it is a symbolic link" in json.loads(done.stderr)["detail"], done
    assert registry.is_symlink() and elsewhere.read_text() == '{"version": 1, "preferences": []}'
    assert not list((home / "policies").glob("*.new~"))
    elsewhere.unlink()  # one that points at nothing
    done = run("preference", "set", "ann@example.net", "tls", "--by", "phone", *config)
    assert done.returncode == 1 and registry.is_symlink() and not elsewhere.exists(), done


def test_a_history_tells_of_what_was_put_in_place(home):  # noqa: F811
    config = registry_of(home, "preferences.json")[1:]
    (home / "policies/preferences.json").write_text('{"version": 1, "preferences": []}')
    (home / "policies/draft.json").write_text(json.dumps(
        {"version": 1, "extends": "hipaa-default", "preferences": {"file": "preferences.json"}, "texts": {"no": "No."},
         "rules": [{"rule": "none", "when": {"recipient.domain": "a.example"}, "then": {"reject": "no"}}]}))
    (home / "policies/draft.test.json").write_text(json.dumps({"version": 1, "policy": "draft.json", "cases": [
        {"name": "x", "when": {"recipient.address": "a@a.example"}, "expect": {"rule": "none"}}]}))
    beside = home / "policies/live.json.new~"
    beside.mkdir()
    publish = ("policy", "publish", home / "policies/draft.json", "--reason", "strangers are refused", *config)
    failed = run(*publish)
    assert failed.returncode == 1 and failed.stdout == "" and json.loads(failed.stderr)["error"] == "io", failed
    assert run("policy", "history", *config).stdout == ""
    beside.rmdir()

    def history():
        return [(act["event"], act["after"] == act["before"]) for act in
                map(json.loads, run("policy", "history", *config).stdout.splitlines())]
    half = home / "policies/published.json.new~"  # the second of the two places where an act is told
    half.mkdir()
    live = (home / "policies/live.json").read_text()
    assert run(*publish).returncode == 1 and (home / "policies/live.json").read_text() == live
    assert history() == [("policy.published", False), ("policy.failed", True)] and not beside.exists()
    half.rmdir()
    assert json.loads(run(*publish).stdout)["done"] == "published"
    assert history()[2:] == [("policy.published", False)]


@pytest.mark.skipif(os.geteuid() != 0, reason="a file is put under another by root alone")
def test_a_history_tells_of_what_could_not_be_put_in_place(home):  # noqa: F811
    config = registry_of(home, "preferences.json")[1:]
    live = home / "policies/live.json"
    live.write_text(json.dumps({"version": 1, "extends": "hipaa-default"}))
    (home / "policies/draft.json").write_text(json.dumps(
        {"version": 1, "extends": "hipaa-default", "texts": {"no": "No."},
         "rules": [{"rule": "none", "when": {"recipient.domain": "a.example"}, "then": {"reject": "no"}}]}))
    (home / "policies/draft.test.json").write_text(json.dumps({"version": 1, "policy": "draft.json", "cases": [
        {"name": "x", "when": {"recipient.address": "a@a.example"}, "expect": {"rule": "none"}}]}))
    failed = run("policy", "publish", home / "policies/draft.json", "--reason", "strangers are refused", *config,
                 before=("unshare", "--mount", "/bin/sh", "-c", 'mount --bind "$0" "$0" && exec "$@"', live))
    assert failed.returncode == 1 and json.loads(failed.stderr)["error"] == "io", failed
    acts = [json.loads(line) for line in run("policy", "history", *config).stdout.splitlines()]
    assert [act["event"] for act in acts] == ["policy.published", "policy.failed"]
    assert acts[1]["after"] == acts[0]["before"] and not list(live.parent.glob("*.new~"))
    assert "failed: not changed" in run("policy", "history", *config[:-1]).stdout


def test_of_two_who_remove_a_key_one_has_done_it(gateway, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "k.key", "-out",
                    tmp_path / "k.pem", "-days", "30", "-subj", "/CN=Pat", "-addext", "subjectAltName=email:pat@example.net"],
                   check=True, capture_output=True)
    gateway.run("keys", "import", str(tmp_path / "k.pem"), "--reason", "by phone")
    [key] = gateway.json("keys", "list")["keys"]
    acts = [subprocess.Popen([gateway.info["program"], "keys", "remove", key["id"], "--reason", "moved", "--config",
                              gateway.info["config"]], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)]
    ended = [(act.communicate(timeout=120), act.returncode)[1] for act in acts]
    assert ended.count(0) == 1 and ended.count(1) == 7, ended

    def balance():
        removed = [r for r in gateway.records() if r["event"] == "key.removed"]
        failed = [r for r in gateway.records() if r["event"] == "admin.acted" and r["act"] == "keys.remove"]
        assert all(r["failed"] == "not-found" and r["key"] == key["id"] for r in failed)
        return len(removed) - len(failed) == 1
    until(balance)
