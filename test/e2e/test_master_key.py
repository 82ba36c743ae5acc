"""Another master key while mail comes in: nothing else is rewritten, nothing stops, and the old key opens nothing any more.
Without the key nothing of a message can be read from the disk. The key may come as a systemd credential."""
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from lab import mail, spool
from lab.wait import until

PLAIN = "test/policies/relay-plain.json"
MAGIC = b"sallyport root 1\n"
WRAPPED = 60


def root_of(master, file):
    """The root secret that this master key gives, None if it opens none."""
    assert file.startswith(MAGIC) and len(file) % WRAPPED == len(MAGIC)
    key = AESGCM(HKDF(hashes.SHA256(), 32, None, b"sallyport root kek 1").derive(master))
    for at in range(len(MAGIC), len(file), WRAPPED):
        entry = file[at:at + WRAPPED]
        try:
            return key.decrypt(entry[:12], entry[12:], b"sallyport root 1")
        except InvalidTag:
            pass
    return None


@pytest.fixture
def plain(gateways, sinks):
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN, "--retry", "1")
    return gateway, sink, pathlib.Path(gateway.info["config"]).parent / "keys"


def submit(gateway, text="y" * 76 + "\r\n"):
    message, message_id = mail.make(text * 40, ["a@example.net"])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["a@example.net"], message)
    return message_id, message


def test_another_master_key_under_load(plain):
    gateway, sink, keys = plain
    first = (keys / "master.key").read_bytes()
    sent, stop = dict([submit(gateway)]), threading.Event()
    pids = {role: gateway.pids(role) for role in ("relay", "ledger", "portal", "keeper")}

    def load():
        while not stop.is_set():
            sent.update([submit(gateway)])

    thread = threading.Thread(target=load)
    thread.start()
    try:
        assert gateway.json("keys", "rotate", "--master") == {"opens": str(keys / "master.key"), "alone": True}
        second = (keys / "master.key").read_bytes()
        gateway.run("keys", "rotate")  # the key of bodies goes on from there
        gateway.run("keys", "rotate", "--master")
    finally:
        stop.set()
        thread.join()
    third = (keys / "master.key").read_bytes()
    root = (keys / "master.key.root").read_bytes()
    assert len({first, second, third}) == 3 and len(third) == 32
    assert root_of(third, root) == first and root_of(second, root) is None and root_of(first, root) is None
    assert sorted(p.name for p in keys.iterdir() if p.name.startswith("master")) == [
        "master.key", "master.key.content", "master.key.root"]
    assert {p.stat().st_mode & 0o777 for p in keys.glob("master.key*")} == {0o600}
    assert {role: gateway.pids(role) for role in pids} == pids and '"supervisor.reload-invalid"' not in gateway.log
    assert gateway.run("queue", "check").returncode == 0

    def changes():
        return [r for r in gateway.records() if r["event"] == "key.rotated" and r["key"] == "master"]
    rotated = until(lambda: len(changes()) >= 2 and changes())
    assert [r["step"] for r in rotated] == ["replaced"] * 2 and rotated[0]["actor"]["id"] == f"uid:{os.getuid()}"
    gateway.again()  # what is on disk is enough
    sink.replies.clear()
    got = [m["data"] for m in sink.wait_for(len(sent), 60)]
    assert [sum(b.endswith(message) for b in got) for message in sent.values()] == [1] * len(sent)

    (keys / "master.key").write_bytes(first)
    assert gateway.run("queue", "check", check=False).returncode == 66
    (keys / "master.key").write_bytes(third)


def test_without_the_key_nothing_can_be_read(plain):
    gateway, _, keys = plain
    marker = "Zwerchfell"
    text = (f"{marker} " * 8 + "\r\n") * 20
    submit(gateway, text)
    submit(gateway, text * 40)  # in a file of its own
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["kidney@example.net"], mail.make(text, ["kidney@example.net"], subject=marker)[0])
    gateway.run("keys", "rotate", "--master")
    gateway.stop()
    files = [p for p in (gateway.folder / "state").rglob("*") if p.is_file()]
    assert sum(p.suffix == ".seg" for p in files) >= 1
    for path in files:
        data = path.read_bytes()
        assert marker.encode() not in data, path
        if "spool" in path.parts:  # the envelope, too
            assert b"kidney" not in data and b"tenant.test" not in data, path
    good = (keys / "master.key").read_bytes()
    (keys / "master.key").write_bytes(bytes(32))
    done = gateway.run("queue", "check", check=False)
    assert done.returncode == 66 and marker not in done.stdout + done.stderr
    (keys / "master.key").write_bytes(good)
    root = (keys / "master.key.root").read_bytes()
    (keys / "master.key.root").unlink()  # the key without what it wraps is not enough either
    done = gateway.run("queue", "check", check=False)
    assert done.returncode != 0 and "0 damaged" not in done.stdout
    (keys / "master.key.root").write_bytes(root)
    assert gateway.run("queue", "check").returncode == 0


def reload(gateway, event):
    """Tells it to read its files anew, and waits for one more of this event."""
    before = gateway.log.count(f'"{event}"')
    os.kill(gateway.info["pid"], signal.SIGHUP)
    deadline = time.monotonic() + 60
    while gateway.log.count(f'"{event}"') == before:
        assert time.monotonic() < deadline, gateway.log[-3000:]
        time.sleep(0.02)


def opens(gateway, root):
    """Whether every keyring is under this root's content key, entry by entry."""
    key = AESGCM(HKDF(hashes.SHA256(), 32, None, b"sallyport content kek 1").derive(root))
    for shard in spool.shards(gateway):
        for salt, wrapped in spool.keyring(shard)[1].items():
            try:
                key.decrypt(wrapped[:12], wrapped[12:], salt)
            except InvalidTag:
                return False
    return True


def test_a_lost_root_is_refused_by_name(plain):
    gateway, sink, keys = plain
    sent = dict([submit(gateway)])
    first = (keys / "master.key").read_bytes()
    (keys / "master.key").write_bytes(bytes(range(32)))  # another by hand, never let in
    reload(gateway, "supervisor.reload-invalid")
    assert "the master key is another" in gateway.log and opens(gateway, first)
    (keys / "master.key").write_bytes(first)
    assert not (gateway.folder / "state/root.mark").exists()
    assert not [r for r in gateway.records() if r["event"] == "key.rotated"]

    gateway.run("keys", "rotate", "--master")
    reload(gateway, "supervisor.reload")
    mark = (gateway.folder / "state/root.mark").read_bytes()
    assert mark == HKDF(hashes.SHA256(), 32, None, b"sallyport root mark 1").derive(first)
    (keys / "master.key.root").rename(keys / "aside")
    reload(gateway, "supervisor.reload-invalid")
    # at least: the rotation's own word to reload may come in between
    assert gateway.log.count("master.key.root is missing") >= 2
    assert opens(gateway, first)
    sent.update([submit(gateway)])  # with the keys it has

    gateway.stop()
    done = subprocess.run([gateway.info["program"], "serve", "-c", gateway.info["config"]], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1 and "master.key.root is missing" in done.stderr
    (keys / "aside").rename(keys / "master.key.root")
    gateway.again()
    gateway.run("keys", "rotate", "--master")  # the mark stays through each change
    reload(gateway, "supervisor.reload")
    assert (gateway.folder / "state/root.mark").read_bytes() == mark
    sink.replies.clear()
    got = [m["data"] for m in sink.wait_for(len(sent), 60)]
    assert [sum(b.endswith(message) for b in got) for message in sent.values()] == [1] * len(sent)


def test_a_change_while_it_sleeps_is_on_record_at_the_next_start(plain):
    gateway, _, keys = plain
    gateway.stop()
    gateway.run("keys", "rotate", "--master")
    gateway.run("keys", "rotate", "--master")
    note = gateway.folder / "state/ledger/note"
    assert note.stat().st_uid == note.parent.stat().st_uid
    gateway.again()
    record = gateway.wait_record("key.rotated", key="master", step="replaced")
    assert record["actor"] == {"type": "admin", "id": f"uid:{os.getuid()}", "auth": "command-line"}
    assert record["done"] < record["time"]
    gateway.again()
    assert not note.exists()
    assert len([r for r in gateway.records() if r["event"] == "key.rotated"]) == 2
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def test_a_note_that_is_too_long_is_kept_for_a_person(plain):
    gateway, _, _ = plain
    gateway.stop()
    note = gateway.folder / "state/ledger/note"
    text = b"master-key-replaced 0 1795359845118\n" * 8000
    note.write_bytes(text)
    shutil.chown(note, note.parent.stat().st_uid, note.parent.stat().st_gid)
    gateway.again()
    assert not note.exists() and note.with_name("note.unread").read_bytes() == text
    assert "ledger.note-unread" in (pathlib.Path(gateway.info["log"])).read_text()
    assert not [r for r in gateway.records() if r["event"] == "key.rotated"]


def test_a_change_that_would_destroy_the_key_is_refused(plain):
    gateway, _, keys = plain
    (gateway.folder / "next").write_bytes(os.urandom(32))
    before = {p.name: p.read_bytes() for p in keys.iterdir()}
    done = gateway.run("keys", "rotate", "--master", "--next", str(gateway.folder / "next"), check=False)
    assert done.returncode == 64 and "--next is for a master key that comes from elsewhere" in done.stderr
    assert {p.name: p.read_bytes() for p in keys.iterdir()} == before

    folder = os.open(keys, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # as another rotation has it
        for words in (["--master"], []):
            done = gateway.run("keys", "rotate", *words, check=False)
            assert done.returncode == 75 and "another rotation is under way" in done.stderr
    finally:
        os.close(folder)
    assert {p.name: p.read_bytes() for p in keys.iterdir()} == before
    gateway.run("keys", "rotate", "--master")
    assert (keys / "master.key").read_bytes() != before["master.key"]


def test_the_key_as_a_credential(plain):
    """As systemd gives it: a folder named in the environment, in which nobody writes."""
    gateway, sink, keys = plain
    given = gateway.folder / "credentials"
    given.mkdir(mode=0o700)
    (keys / "master.key").rename(given / "gw")
    gateway.environment["CREDENTIALS_DIRECTORY"] = str(given)
    gateway.again(master_key="credential:gw")
    sent = dict([submit(gateway)])
    without = gateway.run("queue", "check", check=False)
    assert without.returncode == 66 and "CREDENTIALS_DIRECTORY" in without.stderr
    checked = subprocess.run([gateway.info["program"], "check", "-c", gateway.info["config"]], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr

    os.environ["CREDENTIALS_DIRECTORY"] = str(given)
    try:
        assert gateway.run("queue", "check").returncode == 0
        first, second = (given / "gw").read_bytes(), os.urandom(32)
        (gateway.folder / "next").write_bytes(second)
        gateway.run("keys", "rotate", "--master", "--next", str(gateway.folder / "next"))
        assert {root_of(key, (keys / "gw.root").read_bytes()) for key in (first, second)} == {first}
        sent.update([submit(gateway)])
        gateway.restart("relay")
        (given / "gw").write_bytes(second)
        gateway.again()
        sent.update([submit(gateway)])
        gateway.run("keys", "rotate", "--master")
        assert root_of(first, (keys / "gw.root").read_bytes()) is None
        assert gateway.run("queue", "check").returncode == 0
    finally:
        del os.environ["CREDENTIALS_DIRECTORY"]
    sink.replies.clear()
    got = [m["data"] for m in sink.wait_for(len(sent), 60)]
    assert [sum(b.endswith(message) for b in got) for message in sent.values()] == [1] * len(sent)
