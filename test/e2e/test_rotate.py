"""A new generation of the content key while mail comes in and goes out: nothing stops, nothing is lost, the keyring opens under
the new key alone, and the old one's secret is gone. A rotation that was cut off is ended by the next."""
import pathlib
import subprocess
import threading

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from lab import mail, spool

PLAIN = "test/policies/relay-plain.json"


@pytest.fixture
def plain(gateways, sinks):
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN, "--retry", "1")
    return gateway, sink


def submit(gateway):
    message, message_id = mail.make(("y" * 76 + "\r\n") * 40, ["a@example.net"])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["a@example.net"], message)
    return message_id, message


def keys_folder(gateway):
    return next(pathlib.Path(gateway.folder).glob("config/keys"))


def derive(secret, info):
    return HKDF(hashes.SHA256(), 32, None, info.encode()).derive(secret)


def rings(gateway):
    return [spool.keyring(shard) for shard in spool.shards(gateway)]


def opens(kek, salt, wrapped):
    try:
        return len(AESGCM(kek).decrypt(wrapped[:12], wrapped[12:], salt)) == 32
    except InvalidTag:
        return False


def test_a_rotation_under_load(plain):
    gateway, sink = plain
    keys = keys_folder(gateway)
    master = (keys / "master.key").read_bytes()
    first = derive(master, "sallyport content kek 1")
    assert all(generation == "kek-1" and all(opens(first, s, w) for s, w in ring.items()) for generation, ring in rings(gateway))
    sent, stop, pids = dict([submit(gateway)]), threading.Event(), gateway.pids("relay")

    def load():
        while not stop.is_set():
            sent.update([submit(gateway)])

    thread = threading.Thread(target=load)
    thread.start()
    try:
        done = gateway.run("keys", "rotate", check=False)
    finally:
        stop.set()
        thread.join()
    assert done.returncode == 0, done.stderr
    assert "kek-1 is destroyed" in done.stdout and gateway.pids("relay") == pids  # no restart
    secret = (keys / "master.key.content").read_bytes()
    second = derive(master + secret, "sallyport content kek 2")
    for generation, ring in rings(gateway):
        assert generation in done.stdout and ring
        assert all(opens(second, s, w) and not opens(first, s, w) for s, w in ring.items())
    assert not (keys / "master.key.content.old").exists()
    gateway.wait_record("key.rotated", key="content", **{"from": "kek-1"})
    gateway.restart("relay")  # what is on disk is enough
    assert gateway.run("queue", "check").returncode == 0
    sink.replies.clear()
    got = [m["data"] for m in sink.wait_for(len(sent), 60)]
    counts = [sum(b.endswith(message) for b in got) for message in sent.values()]
    assert counts == [1] * len(sent), (counts, len(got))


def test_a_rotation_that_was_cut_off(plain):
    gateway, sink = plain
    keys = keys_folder(gateway)
    _, message = submit(gateway)
    # as after a crash behind its second rename: both secrets are there, no keyring is rewritten
    (keys / "master.key.content.old").write_bytes(b"")
    (keys / "master.key.content").write_bytes(b"n" * 32)
    gateway.restart("relay")  # of the generation of files that the supervisor has
    assert gateway.run("queue", "check").returncode == 0
    subprocess.run(["kill", "-HUP", str(gateway.info["pid"])], check=True)
    done = gateway.run("keys", "rotate")
    assert "kek-1 is destroyed" in done.stdout
    assert (keys / "master.key.content").read_bytes() == b"n" * 32
    again = gateway.json("keys", "rotate")
    assert again["destroyed"] != "kek-1" and again["in_use"] != again["destroyed"]
    assert (keys / "master.key.content").read_bytes() != b"n" * 32
    assert gateway.run("queue", "check").returncode == 0
    sink.replies.clear()
    assert sink.wait_for(1)[0]["data"].endswith(message)


def test_a_rotation_that_a_start_completes_is_on_record(plain):
    gateway, sink = plain
    keys = keys_folder(gateway)
    _, message = submit(gateway)
    gateway.again()  # stopped and started, with nothing else
    assert not [r for r in gateway.records() if r["event"] == "key.rotated"]
    gateway.stop()
    (keys / "master.key.content.old").write_bytes(b"")
    (keys / "master.key.content").write_bytes(b"n" * 32)
    gateway.again()
    rotated = gateway.wait_record("key.rotated", key="content", **{"from": "kek-1"})
    assert {rotated["to"]} == {generation for generation, _ in rings(gateway)}
    sink.replies.clear()
    assert sink.wait_for(1)[0]["data"].endswith(message)
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0
