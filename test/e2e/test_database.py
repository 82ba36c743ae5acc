"""A damaged database of SQLite: found by a check, copied as it is by a backup, named by who can't open it; mail flows or is put
off, and goes on when the file was moved away."""
import json
import os
import shutil
import socket
import sqlite3
import subprocess

import pytest
from lab import mail
from lab.wait import until

PLAIN = "test/policies/relay-plain.json"
DATABASES = ["ledger/state.db", "keeper/keys.db", "portal/portal.db"]


@pytest.fixture
def plain(gateways, sinks):
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN, "--retry", "1",
                       "--workers", "1")
    return gateway, sink


def submit(gateway):
    message, message_id = mail.make(("x" * 70 + "\r\n") * 40, ["a@example.net"])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["a@example.net"], message)
    return message, message_id


def spoil(path, how):
    database = sqlite3.connect(path)  # who was killed when its time to stop was over has left a log, which would mend it
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    if how == "emptied":
        os.truncate(path, 0)
    else:
        with open(path, "r+b") as file:
            file.write(b"this was a database" * 3)


def start(gateway, notify):
    """Starts it, whatever comes of it; returns when it tells the service manager that it is up."""
    with open(gateway.info["log"], "ab") as log:
        gateway.process = subprocess.Popen([gateway.info["program"], "serve", "-c", gateway.info["config"]],
                                           stdout=log, stderr=log, start_new_session=True,
                                           env={**gateway.environment, "NOTIFY_SOCKET": notify.getsockname()})
    gateway.info["pid"] = gateway.process.pid
    (gateway.folder / "pid").write_text(str(gateway.process.pid))
    while b"READY=1" not in notify.recv(4096):
        pass


def refusal(gateway):
    """Why new mail was not taken; empty: it was."""
    try:
        submit(gateway)
    except OSError as error:  # of smtplib, too
        return str(error) or repr(error)
    return ""


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("how", ["scribbled", "emptied"])
def test_a_damaged_database_costs_its_role_and_no_mail(plain, tmp_path, database, how):
    gateway, sink = plain
    texts = [submit(gateway)[0] for _ in range(3)]
    until(lambda: gateway.run("queue", "check", check=False).returncode == 0)
    gateway.stop()
    path = gateway.folder / "state" / database
    spoil(path, how)

    found = gateway.run("queue", "check", check=False)
    assert found.returncode == 1 and f"{database}: DAMAGED" in found.stdout and "all whole" in found.stdout, found
    report = json.loads(gateway.run("queue", "check", "--json", check=False).stdout)
    assert not report["whole"] and [d["file"] for d in report["databases"] if not d["whole"]] == [database], report
    assert {d["file"] for d in report["databases"]} == set(DATABASES), report
    assert not list(path.parent.glob("*-wal")) + list(path.parent.glob("*-shm"))  # nothing is laid beside it
    copy = gateway.run("queue", "backup", str(tmp_path / "b"), check=False)
    assert copy.returncode == 1 and database in copy.stdout + copy.stderr, copy
    assert (tmp_path / "b/backup.json").exists() and (tmp_path / "b" / database).read_bytes() == path.read_bytes()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(gateway.folder / "notify"))
        notify.settimeout(60)
        mark = len(gateway.log)
        start(gateway, notify)  # or a service manager would end all of it after a while
        if how == "scribbled":
            until(lambda: f"{database}: " in gateway.log[mark:] and "is not a database" in gateway.log[mark:])
            until(lambda: "is not a database" in gateway.run("status").stdout)
            shown = gateway.run("status", check=False)  # as what it is: the configuration is all right
            assert "can't open its database" in shown.stdout and "configuration on the disk" not in shown.stdout, shown.stdout
            told = json.loads(gateway.run("status", "--json", check=False).stdout)
            wrong = [one for one in told["wrong"] if one["what"] in ("database", "configuration")]
            assert [(one["what"], one["role"], one["exit"]) for one in wrong] == [("database", database.split("/")[0], 1)], told
            assert f"state/{database}: " in wrong[0]["detail"], wrong
            if database.startswith("ledger"):  # what can't be put on record is not taken
                assert any(code in refusal(gateway) for code in ("451", "421"))
                status = gateway.run("status", "--json", check=False)  # and nobody is told that it would be
                answer = json.loads(status.stdout)
                assert [relay["says"]["accepts"] for relay in answer["relays"]] == ["role.gone"], answer
                assert status.returncode == 75 and "refuses" in [one["what"] for one in answer["wrong"]], status
                sink.replies.clear()
            else:
                texts.append(submit(gateway)[0])
                sink.replies.clear()
                assert len(sink.wait_for(4)) == 4
            gateway.stop()
            for name in path.parent.glob(path.name + "*"):
                shutil.move(name, tmp_path)
            start(gateway, notify)
        sink.replies.clear()
        until(lambda: not refusal(gateway))
        got = sink.wait_for(len(texts) + 1)
        assert all(sum(m["data"].endswith(text) for m in got) == 1 for text in texts)
        until(lambda: not gateway.json("queue", "list")["messages"])
        until(lambda: gateway.run("queue", "check", check=False).returncode == 0)
        assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0
