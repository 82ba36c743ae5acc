"""A backup of a gateway that goes on, and what comes of it in another, empty one: nothing lost, and what may have been sent
before says so."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from lab import mail, spool
from lab.synced import syncs
from lab.wait import until

PLAIN = "test/policies/relay-plain.json"
SIZES = [200, 3000, 600000]


@pytest.fixture
def plain(gateways, sinks):
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN, "--retry", "1")
    return gateway, sink


def submit(gateway, size):
    message, message_id = mail.make("x" * 70 + "\r\n" + ("y" * 76 + "\r\n") * (size // 78), ["a@example.net"])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["a@example.net"], message)
    return message_id, message


def stop_roles(gateway):
    """Ends the gateway's processes, its folder stays."""
    subprocess.run(["kill", str(gateway.info["pid"])], check=True)
    deadline = time.monotonic() + 60
    while pathlib.Path(f"/proc/{gateway.info['pid']}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def serve_again(gateway):
    """The same configuration once more; returns the process."""
    log = open(gateway.info["log"], "ab")
    process = subprocess.Popen([gateway.info["program"], "serve", "-c", gateway.info["config"]], stderr=log, stdout=log)
    deadline = time.monotonic() + 60
    while gateway.run("status", check=False).returncode != 0:
        assert time.monotonic() < deadline and process.poll() is None, gateway.log[-3000:]
        time.sleep(0.1)
    return process


def test_a_backup_while_it_runs_and_its_restore(plain, tmp_path):
    gateway, sink = plain
    before = dict(submit(gateway, size) for size in SIZES)
    during, stop = {}, threading.Event()

    def load():
        while not stop.is_set():
            for size in SIZES:
                key, message = submit(gateway, size)
                during[key] = message

    thread = threading.Thread(target=load)
    thread.start()
    try:
        done = gateway.run("queue", "backup", str(tmp_path / "b"), check=False)
    finally:
        stop.set()
        thread.join()
    assert done.returncode == 0, done.stdout + done.stderr
    taken = int(done.stdout.split(":")[1].split()[0])
    assert len(before) <= taken <= len(before) + len(during)
    audit = tmp_path / "b/ledger" / pathlib.Path(gateway.info["audit"]).name
    verified = gateway.run("audit", "verify", str(audit), check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr  # its head knows no line that was written behind the copy
    assert not (pathlib.Path(gateway.folder) / "state/backup-staging").exists()
    made = gateway.wait_record("backup.made", folder=str(tmp_path / "b"))
    assert made["messages"] == taken and made["actor"]["type"] == "admin"
    again = gateway.run("queue", "backup", str(tmp_path / "b"), check=False)
    assert again.returncode == 64  # never over another
    refused = gateway.run("queue", "restore", str(tmp_path / "b"), check=False)
    assert refused.returncode == 64 and "runs" in refused.stderr
    stop_roles(gateway)
    assert gateway.run("queue", "check").returncode == 0
    refused = gateway.run("queue", "restore", str(tmp_path / "b"), check=False)
    assert refused.returncode == 64 and "holds mail" in refused.stderr

    # the machine is lost: an empty state folder, the same configuration and key
    state = pathlib.Path(gateway.folder) / "state"
    for entry in list(state.iterdir()):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    restored = gateway.run("queue", "restore", str(tmp_path / "b"))
    assert "all whole" in restored.stdout
    sink.replies.clear()
    process = serve_again(gateway)
    try:
        got = sink.wait_for(taken, 120)
        bodies = [m["data"] for m in got]
        for message in before.values():
            assert sum(b.endswith(message) for b in bodies) == 1
        known = list(before.values()) + list(during.values())
        assert all(any(b.endswith(k) for k in known) for b in bodies)
        deadline = time.monotonic() + 60
        while gateway.json("queue", "list")["messages"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        deadline = time.monotonic() + 60
        while len([r for r in gateway.records() if r["event"] == "message.settled"]) < taken:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        sent = [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["outcome"] == "delivered"]
        assert len(sent) == taken and all(r.get("possibly_attempted") for r in sent), sent[0]
        assert not [r for r in gateway.records() if r["event"] == "audit.gap"]
        assert {r["reason"] for r in gateway.records() if r["event"] == "backup.restored"} == {"queue restore"}
        assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_a_backup_while_segments_are_carried_and_go(plain, tmp_path):
    """Mail that waits is carried out of old segments, which go, while they are copied: the copy has each message once."""
    gateway, sink = plain
    sink.replies["RCPT"] = lambda line: "451 4.3.0 later" if "slow" in str(line) else "250 2.1.5 ok"
    waiting, stop, rounds = [], threading.Event(), []

    def put(to, lines):
        message, _ = mail.make(("y" * 76 + "\r\n") * lines, [to])
        while True:
            try:
                with gateway.client(tls=False) as client:
                    client.sendmail("dr@tenant.test", [to], message)
                return message
            except OSError:  # of smtplib, too: it has just been started
                assert not stop.wait(0.05)

    def load():
        while not stop.is_set():  # a few that wait in each segment, and more that goes at once
            waiting.extend(put("a@slow.example.net", 40) for _ in range(2))
            for _ in range(2):
                put("b@example.net", 2500)
            gateway.again()  # goes on in another segment
            rounds.append(len(waiting))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        until(lambda: len(rounds) > 9 and '"queue.carried"' in gateway.log, seconds=300)
        for number in range(40):
            before, carried = list(waiting), gateway.log.count('"queue.carried"')
            copy = tmp_path / f"b{number}"
            done = gateway.run("queue", "backup", str(copy), check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            if gateway.log.count('"queue.carried"') > carried:
                break
        else:
            pytest.fail("nothing was carried while a backup was made")
    finally:
        stop.set()
        thread.join()
    gateway.stop()
    assert gateway.run("queue", "check", "--state", str(copy)).returncode == 0
    taken = int(done.stdout.split(":")[1].split()[0])
    shutil.move(gateway.folder / "state", gateway.folder / "before")
    gateway.run("queue", "restore", str(copy))
    sink.messages.clear()
    sink.replies.clear()
    gateway.again()
    got = [m["data"] for m in sink.wait_for(taken, 120)]
    assert all(sum(data.endswith(text) for data in got) == 1 for text in before)
    until(lambda: not gateway.json("queue", "list")["messages"])
    assert len(sink.messages) == taken
    assert gateway.run("queue", "check").returncode == 0


def test_repair_gives_up_what_is_damaged_and_nothing_else(plain):
    gateway, sink = plain
    damaged = [gateway.message_of(submit(gateway, size)[0]) for size in (3000, 600000)]
    _, whole = submit(gateway, 3000)
    refused = gateway.run("queue", "repair", check=False)
    assert refused.returncode == 64 and "runs" in refused.stderr
    stop_roles(gateway)
    assert "nothing to repair" in gateway.run("queue", "repair").stdout
    spool.damage_row(gateway, damaged[0])
    spool.damage_body(gateway, damaged[1])
    told = gateway.run("queue", "repair", check=False)
    assert told.returncode == 1 and all(d in told.stdout for d in damaged) and "2 messages" in told.stdout
    done = gateway.run("queue", "repair", "--yes", "--reason", "disk 3 is sick")
    assert "2 messages given up" in done.stdout
    sink.replies.clear()
    process = serve_again(gateway)
    try:
        assert [m["data"].endswith(whole) for m in sink.wait_for(1, 60)] == [True]
        for message in damaged:
            acted = gateway.wait_record("admin.acted", message=message, act="queue.repair")
            assert acted["reason"] == "disk 3 is sick"
        deadline = time.monotonic() + 60
        while gateway.json("queue", "list")["messages"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(sink.messages) == 1
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_a_backup_while_the_content_key_is_changed(plain, tmp_path):
    """Again and again: the backup is of one generation, and one that was made behind the last change can be restored."""
    gateway, sink = plain
    sent, stop = {}, threading.Event()

    def change():
        while not stop.is_set():
            gateway.run("keys", "rotate", check=False)  # 75: a relay takes its time

    def load():
        while not stop.is_set():
            for size in SIZES:
                key, message = submit(gateway, size)
                sent[key] = message

    threads = [threading.Thread(target=load), threading.Thread(target=change)]
    for thread in threads:
        thread.start()
    try:
        for name in "abc":
            done = gateway.run("queue", "backup", str(tmp_path / name), check=False)
            assert (done.returncode == 0 and "all whole" in done.stdout) or (
                done.returncode == 75 and "content key is being changed" in done.stderr), done.stdout + done.stderr
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    until(lambda: gateway.run("keys", "rotate", check=False).returncode == 0)
    gateway.run("queue", "backup", str(tmp_path / "last"))
    gateway.stop()
    shutil.move(gateway.folder / "state", gateway.folder / "before")
    gateway.run("queue", "restore", str(tmp_path / "last"))
    sink.replies.clear()
    gateway.again()
    got = sink.wait_for(len(sent), 120)
    assert all(sum(m["data"].endswith(text) for m in got) == 1 for text in sent.values())
    assert gateway.run("queue", "check").returncode == 0


def test_a_backup_that_no_audit_is_told_of_says_so(plain, tmp_path):
    gateway, _ = plain
    gateway.stop()
    done = gateway.run("queue", "backup", str(tmp_path / "plain"))
    assert "no gateway answers" in done.stderr and "the audit was not told of this backup" in done.stderr, done
    done = gateway.run("queue", "backup", str(tmp_path / "json"), "--json")
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(one["detail"], one["exit"]) for one in told] == [("the audit was not told of this backup", 0)], done


def test_the_last_message_before_a_silence_is_in_the_backup(gateways, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing: no outcome is written
        gateway = gateways("--plain-listener", "--next-hop", f"127.0.0.1:{silent.getsockname()[1]}", "--policy", PLAIN)
        submit(gateway, 200)
        done = gateway.run("queue", "backup", str(tmp_path / "b"))
        assert done.stdout.split(":")[1].split()[0] == "1", done.stdout


def test_what_is_copied_is_synced(plain, tmp_path):
    """Each file of a backup, and each folder that names one: else the power may take them behind the manifest."""
    gateway, _ = plain
    for size in SIZES:
        submit(gateway, size)
    for words, target in ((["queue", "backup", str(tmp_path / "copy")], tmp_path / "copy"),
                          (["queue", "restore", str(tmp_path / "copy")], gateway.folder / "state")):
        if words[1] == "restore":
            gateway.stop()
            shutil.move(gateway.folder / "state", gateway.folder / "before")
        found = syncs(tmp_path / "trace", gateway.info["program"], *words, "--config", gateway.info["config"])
        here = [p for p in target.rglob("*") if p.name != "supervisor.lock"]
        assert len(here) > 15
        missing = [p for p in [target, target.parent, *here] if p.resolve() not in found
                   and not (p.is_file() and p.stat().st_size == 0)]
        assert not missing, missing
    gateway.again()


def test_an_audit_file_in_a_folder_of_its_own_is_in_the_backup(plain, tmp_path):
    gateway, _ = plain
    gateway.stop()
    (gateway.folder / "state/ledger/logs").mkdir()
    owner = (gateway.folder / "state/ledger").stat()
    os.chown(gateway.folder / "state/ledger/logs", owner.st_uid, owner.st_gid)
    config = pathlib.Path(gateway.info["config"])
    settings = json.loads(config.read_text())
    shutil.move(gateway.folder / "state/ledger/audit.jsonl", gateway.folder / "state/ledger/logs/audit.jsonl")
    settings.setdefault("audit", {})["file"] = "logs/audit.jsonl"
    config.write_text(json.dumps(settings))
    original = (gateway.folder / "state/ledger/logs/audit.jsonl").read_bytes()
    ended = gateway.folder / "state/ledger/logs/audit.jsonl.000000999999"  # behind what the copied database knows
    ended.write_bytes(b"{}\n")
    done = gateway.run("queue", "backup", str(tmp_path / "b"))
    assert done.returncode == 0, done.stderr
    copy = tmp_path / "b/ledger/logs"
    assert (copy / "audit.jsonl").read_bytes() == original
    assert [p.name for p in copy.iterdir()] == ["audit.jsonl"] and ended.exists()


def test_a_full_disk_is_named(plain, tmp_path):
    gateway, _ = plain
    for _ in range(6):
        submit(gateway, 250000)
    gateway.run("queue", "backup", str(tmp_path / "whole"))
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        done = gateway.run("queue", "backup", str(small / "b"), check=False)
        assert done.returncode == 74 and "no space left" in done.stderr, done
        assert not (gateway.folder / "state/backup-staging").exists()
        refused = gateway.run("queue", "restore", str(small / "b"), check=False)
        assert refused.returncode == 66 and "was not finished" in refused.stderr, refused
    finally:
        subprocess.run(["umount", small], check=True)
    assert gateway.run("queue", "check").returncode == 0


def test_a_keyring_that_may_not_be_read_is_told_as_that(plain):
    gateway, sink = plain
    _, text = submit(gateway, 3000)
    gateway.stop()
    keyring = spool.shards(gateway)[0] / "keyring"
    owner = keyring.stat()
    os.chown(keyring, 0, 0)
    sink.replies.clear()
    gateway.again()
    until(lambda: '"relay.shard-closed"' in gateway.log)
    assert "the keyring can't be read: look at its owner and mode" in gateway.log
    gateway.stop()
    os.chown(keyring, owner.st_uid, owner.st_gid)
    gateway.again()
    assert [m["data"].endswith(text) for m in sink.wait_for(1)] == [True]


def test_a_shard_that_was_copied_beside_itself_is_found(gateways, sinks):
    """Somebody has put a backup beside what was there: each message would go out twice."""
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN, "--retry", "1",
                       "--workers", "1")
    texts = [submit(gateway, 3000)[1] for _ in range(3)]
    gateway.stop()
    shard = spool.shards(gateway)[0]
    shutil.copytree(shard, shard.parent / "7")
    done = gateway.run("queue", "check", check=False)
    assert done.returncode == 1 and "3 messages wait in two shards" in done.stdout, done
    assert done.stdout.count(" waits in shard 0 and in shard 7") == 3, done.stdout
    report = json.loads(gateway.run("queue", "check", "--json", check=False).stdout)
    assert not report["whole"] and [m["shards"] for m in report["in_two_shards"]] == [[0, 7]] * 3, report
    shutil.rmtree(shard.parent / "7")
    assert gateway.run("queue", "check").returncode == 0
    sink.replies.clear()
    gateway.again()
    got = sink.wait_for(3)
    assert all(sum(m["data"].endswith(text) for m in got) == 1 for text in texts)


def state_of(process):
    return pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_what_ended_while_it_was_made_has_ended_in_the_backup(gateways, sinks, tmp_path):
    """Whole segments come and go between the ledger's database and the end of the log: the copied ledger knows what they told."""
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN, "--retry", "1",
                       "--workers", "1")
    messages = [gateway.message_of(submit(gateway, 3000)[0])]
    with open(gateway.folder / "state/keeper/large", "wb") as large:  # comes behind the ledger, and takes a moment
        large.truncate(128 << 20)
    for number in range(40):
        copy = tmp_path / f"b{number}"
        backup = subprocess.Popen([gateway.info["program"], "queue", "backup", str(copy), "--config", gateway.info["config"]])
        while not (copy / "keeper").exists() and state_of(backup) != "Z":
            time.sleep(0.001)
        backup.send_signal(signal.SIGSTOP)
        until(lambda: state_of(backup) in "TZ")
        if not (copy / "spool/0").exists():
            break
        backup.send_signal(signal.SIGCONT)
        assert backup.wait(120) == 0
    else:
        pytest.fail("no backup could be held up")
    try:
        sink.replies.clear()
        for _ in range(2):  # the second in a segment that nobody holds
            gateway.wait_record("message.settled", message=messages[-1])
            gateway.again()
            messages.append(gateway.message_of(submit(gateway, 3000)[0]))
        until(lambda: int(spool.segments(gateway)[0].stem) > 2)
    finally:
        backup.send_signal(signal.SIGCONT)
        assert backup.wait(120) == 0
    check = gateway.run("queue", "check", "--state", str(copy), check=False)
    assert check.returncode == 0, check.stdout
