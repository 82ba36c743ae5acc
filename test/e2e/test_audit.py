"""The audit of a running gateway: complete through crashes, verified offline, every tampering found; and the queue's
commands, which leave their own records."""
import contextlib
import gzip
import json
import pathlib
import shutil
import smtplib
import subprocess
import tempfile
import threading
import time

import pytest

from crash.board import Board
from lab import mail
from lab.gateway import Gateway
from lab.ports import open_folder
from lab.wait import until

PLAIN = "test/policies/relay-plain.json"


@pytest.fixture(scope="module")
def sink_of_module():
    from lab.sink import Sink
    sink = Sink()
    yield sink
    sink.stop()


@pytest.fixture(scope="module")
def settled(sink_of_module, module_gateways):
    """A gateway with one settled message, and that message's id."""
    gateway = module_gateways("--next-hop", f"127.0.0.1:{sink_of_module.port}", "--policy", PLAIN)
    text, message_id = mail.make("hello\r\n", ["a@example.net", "b@example.org"])
    gateway.send(text, ["a@example.net", "b@example.org"])
    message = gateway.message_of(message_id)
    gateway.wait_record("message.settled", message=message)
    return gateway, message


def test_a_ledgers_own_key_is_whole_or_not_there(sinks):
    """Where no key is configured it makes one. No half of it is left, by a power cut or a full disk, which no start could use."""
    points = ("key-make", "key-write", "key-sync", "sync-folder")
    with open_folder("sp-key-") as folder, contextlib.closing(Board(f"{folder}/board")) as board:
        gateway = Gateway(f"{folder}/g", "--plain-listener", "--workers", 1, "--next-hop", f"127.0.0.1:{sinks().port}",
                          "--policy", PLAIN, "--set", 'audit.signing_key="keys/none.key"')
        gateway.environment |= board.environment
        gateway.start()
        try:
            for point in points:
                key = gateway.folder / "state/ledger/audit.key"
                key.unlink()
                (key.parent / "audit.key.new").write_bytes(b"half")
                board.arm(f"ledger:ledger.{point}", 1)
                made = gateway.log.count('"ledger.key-made"')
                gateway.again()
                until(lambda: gateway.log.count('"ledger.key-made"') > made or (point == "sync-folder" and board.struck()))
                assert board.struck()
                until(lambda: gateway.run("status", check=False).returncode == 0)
                assert len(key.read_bytes()) == 32 and not (key.parent / "audit.key.new").exists()
        finally:
            gateway.stop()


def verify(gateway, *words):
    done = subprocess.run([gateway.info["program"], "audit", "verify", *map(str, words), "--json"], capture_output=True,
                          text=True, timeout=60)
    report = json.loads(done.stdout)
    assert report["code"] == done.returncode, done
    return report


def test_message_settled_says_what_became_of_each(settled):
    gateway, message = settled
    record = gateway.wait_record("message.settled", message=message)
    assert [r["final"] for r in record["recipients"]] == ["delivered", "delivered"]
    assert all(r["floor_met"] for r in record["recipients"])
    by_seq = {r["seq"]: r for r in gateway.records()}
    assert by_seq[record["accepted_seq"]]["event"] == "message.accepted"
    for recipient in record["recipients"]:
        attempt = by_seq[recipient["seq"]]
        assert attempt["event"] == "delivery.attempted" and recipient["n"] in attempt["n"]


def test_the_running_file_is_proved_with_its_head(settled):
    gateway, _ = settled
    report = verify(gateway, gateway.info["audit"])
    assert report["verdict"] == "proved", report
    assert report["key_from"] == "a trusted key"
    assert gateway.run("audit", "verify").stdout.startswith("proved: ")


def test_a_proof_holds_offline_and_for_the_right_key_only(settled):
    gateway, message = settled
    with open_folder("sp-proof-") as folder:
        proof = pathlib.Path(folder) / "proof.json"
        gateway.run("audit", "prove", message, "--output", str(proof))
        strange = proof.with_name('a "proof"\n.json')
        told = gateway.json("audit", "prove", message, "--output", str(strange))
        assert told["file"] == str(strange) and verify(gateway, strange)["verdict"] == "proved"
        report = verify(gateway, proof)
        assert (report["verdict"], report["message"], report["settled"]) == ("proved", message, True)
        assert verify(gateway, proof, "--key", gateway.info["audit"] + ".pub")["verdict"] == "proved"
        other = pathlib.Path(folder) / "other.pub"
        other.write_text("sallyport-audit-key ed25519:66687aadf862bd776c8fc18b8e9f8e20 " + "A" * 43 + "=\n")
        assert verify(gateway, proof, "--key", other)["code"] == 3
        content = json.loads(proof.read_text())
        content["records"].pop(1)
        proof.write_text(json.dumps(content))
        assert verify(gateway, proof)["code"] == 2
        content["records"][0]["record"]["from"] = "someone@else.test"
        proof.write_text(json.dumps(content))
        assert verify(gateway, proof)["code"] == 1


def test_a_proof_of_an_unknown_message_is_refused(settled):
    gateway, _ = settled
    done = gateway.run("audit", "prove", "01M84EZ1QY6Q2N8W4M5T7R3HBC", check=False)
    assert done.returncode == 1 and "not-found" in done.stderr


def change(lines):
    lines[2] = lines[2].replace(b'"outcome":"delivered"', b'"outcome":"deferred"') \
        if b'"outcome":"delivered"' in lines[2] else lines[2].replace(b'"v":1', b'"v":1 ')
    return lines


TAMPERINGS = {
    "changed": (change, 1),
    "dropped": (lambda lines: lines[:2] + lines[3:], 1),
    "swapped": (lambda lines: lines[:1] + [lines[2], lines[1]] + lines[3:], 1),
    "added": (lambda lines: lines[:2] + [lines[1]] + lines[2:], 1),
    "cut at the end": (lambda lines: lines[:-1], 2),
    "cut at the beginning": (lambda lines: lines[1:], 2),
    "cut in the last line": (lambda lines: lines[:-1] + [lines[-1][:-9]], 2),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found(settled, name):
    gateway, _ = settled
    tamper, code = TAMPERINGS[name]
    with open_folder("sp-tamper-") as folder:
        audit = pathlib.Path(gateway.info["audit"])
        copy = pathlib.Path(folder) / "audit.jsonl"
        while True:  # of one moment: a line behind the head would be one that may be missing
            for suffix in (".head", ".pub", ""):
                shutil.copy(str(audit) + suffix, str(copy) + suffix)
            if all(pathlib.Path(str(audit) + s).read_bytes() == pathlib.Path(str(copy) + s).read_bytes() for s in ("", ".head")):
                break
        lines = copy.read_bytes().split(b"\n")[:-1]
        newline = b"" if name == "cut in the last line" else b"\n"
        copy.write_bytes(b"\n".join(tamper(lines)) + newline)
        report = verify(gateway, copy)
        assert report["code"] == code, report


class Load:
    """Clients that send as fast as the gateway answers, and remember what it has answered with 250."""

    def __init__(self, gateway, clients=3):
        self.gateway, self.acknowledged, self.stopped = gateway, [], False
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, client_number):
        count = 0
        while not self.stopped:
            try:
                with self.gateway.client(tls=False, login=False) as client:
                    for _ in range(10):
                        count += 1
                        message_id = f"<load-{client_number}-{count}@tenant.test>"
                        client.sendmail("dr@tenant.test", ["a@example.net"], f"Message-ID: {message_id}\r\n\r\nhi\r\n")
                        self.acknowledged.append(message_id)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)

    def stop(self):
        self.stopped = True
        for thread in self.threads:
            thread.join()


def message_ids(gateway, event):
    return [r["origin"]["message_id"] for r in gateway.records() if r["event"] == event]


def wait_settled(gateway, wanted, seconds=120):
    deadline = time.monotonic() + seconds
    while not set(wanted) <= set(message_ids(gateway, "message.settled")):
        assert time.monotonic() < deadline, len(set(wanted) - set(message_ids(gateway, "message.settled")))
        time.sleep(0.2)


@pytest.mark.parametrize("role", ["ledger", "relay"])
def test_nothing_is_missing_or_doubled_after_crashes(sinks, gateways, role):
    sink = sinks()
    gateway = gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", PLAIN, "--plain-listener", "--retry", "1")
    load = Load(gateway)
    try:
        for _ in range(4):
            before = len(load.acknowledged)
            deadline = time.monotonic() + 90
            while len(load.acknowledged) < before + 20:
                assert time.monotonic() < deadline, "no mail was taken"
                time.sleep(0.02)
            gateway.kill(role)
    finally:
        load.stop()
    wait_settled(gateway, load.acknowledged)
    for event in ("message.accepted", "message.settled"):
        seen = message_ids(gateway, event)
        assert len(seen) == len(set(seen))
    assert verify(gateway, gateway.info["audit"])["verdict"] == "proved"
    assert not [r for r in gateway.records() if r["event"] == "audit.gap"]


def test_queue_commands_and_their_records(gateways):
    gateway = gateways("--next-hop", "127.0.0.1:1", "--policy", PLAIN, "--retry", "60")
    text, message_id = mail.make("hello\r\n", ["a@example.net", "b@example.org"])
    gateway.send(text, ["a@example.net", "b@example.org"])
    message = gateway.message_of(message_id)
    for n in range(2):
        gateway.wait_record("delivery.attempted", message=message, n=[n])

    listed = gateway.json("queue", "list")
    assert listed["complete"] and [m["id"] for m in listed["messages"]] == [message]
    assert gateway.json("queue", "list", "--recipient", "nobody@example.net")["messages"] == []
    shown = gateway.json("queue", "show", message)["message"]
    assert [r["address"] for r in shown["recipients"]] == ["a@example.net", "b@example.org"]
    assert message in gateway.run("queue", "list").stdout

    assert gateway.run("queue", "hold", message, check=False).returncode == 64  # no reason
    gateway.run("queue", "hold", message, "--n", "0", "--reason", "asked by the sender")
    gateway.run("queue", "hold", message, "--n", "0", "--reason", "asked by the sender")  # repeating is harmless
    held = gateway.wait_record("message.held", message=message)
    assert held["n"] == [0] and held["reason"] == "asked by the sender"
    assert held["actor"]["type"] == "admin" and held["actor"]["id"].startswith("uid:") and held["actor"]["auth"]
    states = [r["state"] for r in gateway.json("queue", "show", message)["message"]["recipients"]]
    assert states[0] == "held" and states[1] != "held"

    gateway.run("queue", "release", message, "--reason", "cleared")
    gateway.wait_record("message.released", message=message, reason="cleared")
    gateway.run("queue", "retry", message)
    deadline = time.monotonic() + 60
    while gateway.run("queue", "delete", message, "--reason", "withdrawn", check=False).returncode != 0:
        assert time.monotonic() < deadline  # an attempt may be under way
        time.sleep(0.1)
    record = gateway.wait_record("message.settled", message=message)
    assert [r["final"] for r in record["recipients"]] == ["deleted", "deleted"]
    assert gateway.json("queue", "list")["messages"] == []
    assert gateway.run("queue", "show", message, check=False).returncode == 1


def test_a_stopped_gateway_ends_its_audit_with_a_checkpoint(gateways):
    gateway = gateways("--policy", PLAIN)
    gateway.stop()
    assert [r["event"] for r in gateway.records()][-2:] == ["audit.stopped", "audit.checkpoint"]
    alone = pathlib.Path(gateway.info["audit"])
    pathlib.Path(str(alone) + ".head").unlink()
    assert verify(gateway, alone)["verdict"] == "proved"
    assert gateway.run("queue", "list", check=False).returncode == 69


def test_files_give_way_to_the_next_and_are_kept_for_a_time(gateways, sinks):
    """Rotation with the ledger killed, files compressed and taken away, a backup of it all."""
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN,
                       "--set", 'audit.rotate_size="4KiB"', "--set", 'audit.checkpoint="100ms"')
    audit = pathlib.Path(gateway.info["audit"])
    identities = []

    def send(count):
        for _ in range(count):
            message, message_id = mail.make("text\r\n", ["a@example.net"])
            with gateway.client(tls=False) as client:
                client.sendmail("dr@tenant.test", ["a@example.net"], message)
            identities.append(gateway.message_of(message_id))

    def wait_files(count):
        deadline = time.monotonic() + 90
        while len(gateway.audit_files()) < count:
            assert time.monotonic() < deadline, gateway.log[-3000:]
            send(1)

    wait_files(3)
    gateway.restart("ledger")
    wait_files(5)
    for identity in identities:
        gateway.wait_record("message.settled", message=identity)
    seqs = [r["seq"] for r in gateway.records()]
    assert seqs == list(range(1, len(seqs) + 1))
    report = verify(gateway, audit)
    assert report["verdict"] == "proved" and report["files"] >= 5 and report["first_seq"] == 1
    oldest = gateway.audit_files()[0]
    final = oldest.read_bytes()
    assert verify(gateway, gateway.audit_files()[1])["verdict"] == "proved"  # a part, by itself
    subprocess.run(["gzip", oldest], check=True)
    assert verify(gateway, audit)["verdict"] == "proved"
    with tempfile.TemporaryDirectory() as folder:
        proof = pathlib.Path(folder) / "proof.json"
        for identity in (identities[0], identities[-1]):  # of the compressed file, and of the newest
            shown = [r["event"] for r in gateway.json("audit", "show", identity)["records"]]
            assert shown[0] == "message.accepted" and "message.settled" in shown
            [told] = gateway.json("trace", identity)["messages"]
            assert told["recipients"][0]["address"] == "a@example.net"
            gateway.run("audit", "prove", identity, "--output", str(proof))
            assert verify(gateway, proof)["verdict"] == "proved"
        away = pathlib.Path(folder) / f"{oldest.name}.gz"
        pathlib.Path(f"{oldest}.gz").rename(away)
        report = verify(gateway, audit)
        assert report["verdict"] == "incomplete" and report["code"] == 2
        assert verify(gateway, away, *gateway.audit_files())["verdict"] == "proved"
        assert final == gzip.decompress(away.read_bytes())
        assert gateway.run("audit", "prove", identities[0], "--output", str(proof), check=False).returncode != 0
        away.rename(f"{oldest}.gz")
        backup = pathlib.Path(folder) / "backup"
        gateway.run("queue", "backup", str(backup))
        assert verify(gateway, backup / "ledger" / audit.name)["verdict"] == "proved"


def test_an_audit_file_whose_time_is_over_is_removed_on_record(gateways, sinks):
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN,
                       "--set", 'audit.rotate_size="4KiB"', "--set", 'audit.checkpoint="100ms"', "--set", 'audit.keep="1s"')
    deadline = time.monotonic() + 60
    while (report := verify(gateway, gateway.info["audit"]))["first_seq"] == 1:
        assert time.monotonic() < deadline, gateway.log[-3000:]
        message, _ = mail.make("text\r\n", ["a@example.net"])
        with gateway.client(tls=False) as client:
            client.sendmail("dr@tenant.test", ["a@example.net"], message)
        time.sleep(0.05)
    assert report["verdict"] == "proved" and report["purged_to"] >= report["first_seq"] - 1
    purged = gateway.wait_record("audit.purged")
    assert purged["reason"] == "audit.keep" and purged["first_seq"] >= 1
