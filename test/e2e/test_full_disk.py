"""A disk that is really full, under a running gateway: clients hear 452, what was taken is delivered, and when there is room
again everything goes on by itself."""
import json
import os
import pathlib
import signal
import smtplib
import socket
import subprocess
import time

import pytest
from lab.gateway import Gateway
from lab.ports import open_folder

POLICY = pathlib.Path(__file__).resolve().parent.parent / "policies/relay-plain.json"
SIZE = 160 << 20
LARGE = 1 << 20
SMALL = 200 << 10  # lies in its record, not in a file of its own


def run(*words):
    subprocess.run([str(w) for w in words], check=True, capture_output=True)


@pytest.fixture(params=[4096])
def small_disk(request):
    """A folder for a gateway whose state lies on a small file system of its own: ext4, or tmpfs where there are no loops."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    with open_folder("sp-full-") as folder:
        state = pathlib.Path(folder) / "g/state"
        state.mkdir(parents=True)
        image = pathlib.Path(folder) / "image"
        with image.open("wb") as file:
            file.truncate(SIZE)
        try:
            run("mkfs.ext4", "-q", "-F", "-m", "0", "-b", request.param, image)
            run("mount", "-o", "loop", image, state)
        except (OSError, subprocess.CalledProcessError):
            run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "sallyport-test", state)
        try:
            yield pathlib.Path(folder) / "g", state
        finally:
            run("umount", state)


def fill(path):
    """Takes all the room there is."""
    with open(path, "wb", buffering=0) as file:
        block = 1 << 20
        while block >= 512:
            try:
                if file.write(b"\0" * block) < block:
                    block //= 2
            except OSError:
                block //= 2
        try:
            os.fsync(file.fileno())
        except OSError:
            pass


def submit(gateway, number, size):
    """returns: the reply to the end of data or before, None if it was taken"""
    line = b"x" * 76 + b"\r\n"
    text = f"From: a@tenant.test\r\nSubject: full-{number}\r\n\r\n".encode() + line * (size // len(line))
    try:
        with gateway.client(tls=False) as client:
            client.sendmail("a@tenant.test", ["b@example.test"], text)
        return None
    except smtplib.SMTPResponseException as error:
        return error.smtp_code, error.smtp_error.decode()
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        return code, text.decode()


def wait_until(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def subjects(sink):
    return sorted(line.split(b": ")[1].decode() for m in list(sink.messages) for line in m["data"].split(b"\r\n")[:20]
                  if line.startswith(b"Subject: "))


def test_a_full_disk_and_room_again(small_disk, sinks):
    folder, state = small_disk
    sink = sinks(replies={"MAIL": "451 4.3.0 later"})
    gateway = Gateway(folder, "--plain-listener", "--workers", 1, "--next-hop", f"127.0.0.1:{sink.port}",
                      "--policy", POLICY, "--set", 'delivery.retry_max="2s"').start()
    try:
        relays = gateway.pids("relay")
        taken = [n for n in range(3) if submit(gateway, n, SMALL) is None]
        assert len(taken) == 3
        fill(state / "filler")

        # a message with a file of its own finds no room at once; small ones when the segment is full. A segment that was being
        # made in advance when the disk filled up gives its room back: then there is some for a while
        number, refused = 1000, submit(gateway, 1000, LARGE)
        while refused is None:
            taken.append(number)
            assert number < 1010
            fill(state / f"filler-{number}")
            number += 1
            refused = submit(gateway, number, LARGE)
        assert (refused[0], "4.3.1" in refused[1]) == (452, True), refused
        number, refused = 3, None
        while refused is None:
            refused = submit(gateway, number, SMALL)
            if refused is None:
                taken.append(number)
            number += 1
            assert number < 800
        assert refused[0] == 452 and "4.3.1" in refused[1], refused

        # full as it is, it delivers what it has
        waiting = len(taken)
        sink.replies.clear()
        wait_until(lambda: len(subjects(sink)) >= waiting, 120)

        for filler in state.glob("filler*"):
            filler.unlink()
        wait_until(lambda: submit(gateway, 2000, SMALL) is None)
        taken.append(2000)
        wait_until(lambda: submit(gateway, 2001, LARGE) is None)
        taken.append(2001)
        assert gateway.pids("relay") == relays  # nobody had to start it anew
        expected = sorted(f"full-{n}" for n in taken)
        wait_until(lambda: len(subjects(sink)) >= len(expected), 120)
        assert subjects(sink) == expected  # each once

        def settled():
            lines = gateway.records()
            accepted = {e["message"] for e in lines if e["event"] == "message.accepted"}
            return len(accepted) == len(expected) and accepted == {e["message"] for e in lines if e["event"] == "message.settled"}
        wait_until(settled)
        verified = subprocess.run([gateway.info["program"], "audit", "verify", gateway.info["audit"]], capture_output=True,
                                  text=True, check=False)
        assert verified.returncode == 0, verified.stdout + verified.stderr
    finally:
        gateway.stop()


def test_only_the_audits_disk_is_full(folder_on_the_machine, sinks):
    """Mail goes on, its records wait in the log; a ledger that dies is back with the room, and nothing is missing."""
    folder = folder_on_the_machine
    ledger = folder / "state/ledger"
    ledger.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", "size=40m", "sallyport-test", ledger)
    try:
        sink = sinks()
        gateway = Gateway(folder, "--plain-listener", "--workers", 1, "--next-hop", f"127.0.0.1:{sink.port}",
                          "--policy", POLICY).start()
        try:
            assert submit(gateway, 0, SMALL) is None
            gateway.wait_record("message.settled")
            fill(ledger / "filler")
            taken = 1
            while '"role.failed"' not in gateway.log:  # the ledger's: its database has no room
                assert submit(gateway, taken, 2000) is None
                taken += 1
                assert taken < 5000
            for _ in range(10):
                assert submit(gateway, taken, 2000) is None
                taken += 1
            wait_until(lambda: len(subjects(sink)) >= taken, 120)
            ended = gateway.log.count('"supervisor.role-ended"')
            gateway.kill("ledger")  # if it has not ended by itself
            wait_until(lambda: gateway.log.count('"supervisor.role-ended"') > ended)
            assert submit(gateway, taken, 2000) is None
            (ledger / "filler").unlink()

            def told():
                lines = gateway.records()
                accepted = {e["message"] for e in lines if e["event"] == "message.accepted"}
                settled = {e["message"] for e in lines if e["event"] == "message.settled"}
                return len(accepted) == taken + 1 and accepted == settled
            wait_until(told, 120)
            assert not [e for e in gateway.records() if e["event"] == "audit.gap"]
            assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0
            assert len(subjects(sink)) == taken + 1  # each once
        finally:
            gateway.stop()
    finally:
        run("umount", ledger)


@pytest.fixture
def folder_on_the_machine():
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    with open_folder("sp-ro-") as folder:
        yield pathlib.Path(folder) / "g"


def greeting(gateway):
    """returns: the first line that a client hears, and after how long"""
    began = time.monotonic()
    with socket.create_connection((gateway.info["smtp"]["host"], gateway.info["smtp"]["port"]), timeout=20) as client:
        line = client.makefile("rb").readline()
    return line, time.monotonic() - began


def read_only(folder, flag):
    run("mount", "-o", f"remount,{flag},bind", folder)


def test_a_spool_that_is_read_only_at_start(folder_on_the_machine, sinks):
    """The relay says what is wrong, clients hear 421 at once, nothing is lost or sent unrecorded, and it goes on by itself, in
    the same process, when it can write."""
    folder = folder_on_the_machine
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    gateway = Gateway(folder, "--plain-listener", "--workers", 1, "--next-hop", f"127.0.0.1:{sink.port}",
                      "--policy", POLICY, "--retry", 1).start()
    spool = folder / "state/spool"
    try:
        taken = [n for n in range(3) if submit(gateway, n, SMALL) is None]
        assert len(taken) == 3
        run("mount", "--bind", spool, spool)
        try:
            read_only(spool, "ro")
            gateway.again()
            wait_until(lambda: '"relay.shard-closed"' in gateway.log and "can't be read or synced" in gateway.log)
            sink.replies.clear()
            for _ in range(20):
                line, took = greeting(gateway)
                assert line.startswith(b"421 4.3.0 ") and took < 5, (line, took)
            status = json.loads(gateway.run("status", "--json").stdout)
            assert "journal.failed" in json.dumps(status) or '"io"' in json.dumps(status), status
            assert gateway.run("queue", "list", check=False).returncode == 1
            os.kill(gateway.info["pid"], signal.SIGHUP)  # changes nothing here
            wait_until(lambda: '"role.reloaded"' in gateway.log)
            assert not sink.messages  # what could not be put on record is not sent
            relays = gateway.pids("relay")
            assert '"role.failed"' not in gateway.log
            read_only(spool, "rw")
            wait_until(lambda: len(subjects(sink)) >= len(taken), 120)
            assert submit(gateway, 200, SMALL) is None
            expected = sorted(f"full-{n}" for n in [*taken, 200])
            wait_until(lambda: len(subjects(sink)) >= len(expected), 60)
            assert subjects(sink) == expected  # each once
            assert gateway.pids("relay") == relays and '"relay.shard-opened"' in gateway.log
        finally:
            gateway.stop()
    finally:
        subprocess.run(["umount", str(spool)], check=False, capture_output=True)


def test_a_state_folder_that_is_read_only_at_start(folder_on_the_machine, sinks):
    """The start says what is wrong and ends; whoever starts it anew once it can be written to has all that there was."""
    folder = folder_on_the_machine
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    gateway = Gateway(folder, "--plain-listener", "--workers", 1, "--next-hop", f"127.0.0.1:{sink.port}",
                      "--policy", POLICY, "--retry", 1).start()
    state = folder / "state"
    try:
        assert [submit(gateway, n, SMALL) for n in range(3)] == [None] * 3
        gateway.stop()
        run("mount", "--bind", state, state)
        read_only(state, "ro")
        done = subprocess.run([gateway.info["program"], "serve", "-c", gateway.info["config"]], capture_output=True, text=True,
                              timeout=120, env=gateway.environment, check=False)
        assert done.returncode == 1 and str(state) in done.stderr and "Read-only file system" in done.stderr, done
        read_only(state, "rw")
        sink.replies.clear()
        gateway.again()
        wait_until(lambda: len(subjects(sink)) >= 3, 120)
        assert subjects(sink) == [f"full-{n}" for n in range(3)]  # each once
    finally:
        gateway.stop()
        subprocess.run(["umount", str(state)], check=False, capture_output=True)


@pytest.mark.parametrize("small_disk", [1024, 4096], indirect=True)
def test_blocks_below_a_page_are_warned_of(small_disk):
    folder, state = small_disk
    gateway = Gateway(folder, "--plain-listener", "--workers", 1).start()
    gateway.stop()
    assert ("supervisor.small-blocks" in gateway.log) == (os.statvfs(state).f_frsize < 4096)
