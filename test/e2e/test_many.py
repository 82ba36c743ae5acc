"""A restart with many in the queue, killed amid opening and amid delivery: each arrives, once or marked."""
import collections
import contextlib
import os
import re
import signal
import socket
import threading
import time

from lab import mail
from lab.wait import until

COUNT = int(os.environ.get("SALLYPORT_MANY", "5000"))
TRIES = 20
CLIENTS = 8
PLAIN = "test/policies/relay-plain.json"


def talk(address, numbers, answers):
    """One client: each body goes out together with the envelope of the next message. Puts each reply to a body down."""
    envelope = b"MAIL FROM:<dr@tenant.test>\r\nRCPT TO:<a@example.net>\r\nDATA\r\n"
    with socket.create_connection(address, 120) as connection, connection.makefile("rb") as replies:
        def reply():
            while (line := replies.readline())[3:4] == b"-":
                pass
            return line

        reply()
        connection.sendall(b"EHLO client.tenant.test\r\n")
        assert reply().startswith(b"250")
        connection.sendall(envelope)
        for i, number in enumerate(numbers):
            assert [reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
            text, _ = mail.make(f"number {number}.\r\n", ["a@example.net"])
            connection.sendall(text + b".\r\n" + (envelope if i + 1 < len(numbers) else b"QUIT\r\n"))
            answers[number] = reply()


def fill(gateway, count):
    answers = {}
    address = gateway.info["smtp"]["host"], gateway.info["smtp"]["port"]
    clients = [threading.Thread(target=talk, args=(address, range(i, count, CLIENTS), answers)) for i in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert len(answers) == count and all(a.startswith(b"250") for a in answers.values())


def reads_its_shard(pid):
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(entry.path).endswith(".seg"):
                    return True
    return False


def kill_while_opening(gateway, before):
    """Ends the relay that comes in place of those, as soon as it has a segment open. returns: its process id"""
    deadline = time.monotonic() + 90
    while True:
        for pid in set(gateway.pids("relay")) - before:
            while not reads_its_shard(pid) and time.monotonic() < deadline:
                assert os.path.exists(f"/proc/{pid}"), gateway.log[-3000:]
            os.kill(pid, signal.SIGKILL)
            return pid
        assert time.monotonic() < deadline, gateway.log[-3000:]
        time.sleep(0.002)


def opened(gateway):
    """How many messages each opening that came to its end has found."""
    return [int(n) for n in re.findall(r'"queue\.opened".*?"messages":(\d+)', gateway.log)]


def kill_and_again(gateway, times):
    """Kills the relay, then those that come in its place while they open, so many times. returns: how many had not opened yet"""
    killed, before = set(gateway.pids("relay")), len(opened(gateway))
    gateway.kill("relay")
    for _ in range(times):
        killed.add(kill_while_opening(gateway, killed))
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in killed), 90, what=lambda: gateway.log[-3000:])
    seen = len(opened(gateway))  # by those that are dead, which say nothing more
    until(lambda: len(opened(gateway)) > seen, 90, what=lambda: gateway.log[-3000:])
    return times + 1 - (len(opened(gateway)) - before)


def kill_until(gateway, hits):
    """Kills relays while they open until so many had not opened yet: on a busy machine one may have when it is hit."""
    hit, tries = kill_and_again(gateway, hits + 1), hits + 1
    while hit < hits and tries < TRIES:
        hit, tries = hit + kill_and_again(gateway, 1), tries + 1
    assert hit >= hits, f"{hit} of {tries} had not opened yet"


def wait_settled(gateway):
    """The audit records, once each message's end is among them."""
    deadline = time.monotonic() + 120
    while True:
        records = gateway.records()
        if sum(r["event"] == "message.settled" for r in records) == COUNT:
            return records
        assert time.monotonic() < deadline, collections.Counter(r["event"] for r in records)
        time.sleep(0.2)


def test_many_survive_a_relay_that_is_killed_while_it_opens(gateways, sinks):
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN, "--retry", "1",
                       "--workers", "1")
    gateway.run("queue", "freeze", "--tenant", "test", "--reason", "to gather")
    fill(gateway, COUNT)
    assert gateway.json("status")["relays"][0]["says"]["messages"] == COUNT
    kill_until(gateway, 2)
    assert opened(gateway)[-1] == COUNT and not sink.messages
    gateway.run("queue", "thaw", "--tenant", "test", "--reason", "all there")
    sink.wait_for(COUNT // 10, 120)
    kill_and_again(gateway, 2)
    deadline = time.monotonic() + 120
    while gateway.json("status")["relays"][0]["says"]["messages"]:
        assert time.monotonic() < deadline, gateway.log[-3000:]
        time.sleep(0.2)
    came = collections.Counter(re.search(rb"(?i)message-id: (<.*?>)", m["data"])[1].decode() for m in sink.messages)
    records = wait_settled(gateway)
    ids = {r["origin"]["message_id"]: r["message"] for r in records if r["event"] == "message.accepted"}
    doubtful = {r["message"] for r in records if r["event"] == "message.settled" and r["duplicates_possible"]}
    assert set(came) == set(ids) and len(ids) == COUNT
    twice = {ids[name] for name, count in came.items() if count > 1}
    assert twice <= doubtful, twice - doubtful
    assert gateway.run("queue", "check").returncode == 0
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0
