"""The thinnest message: a client submits, the next hop gets every byte, the audit tells of it."""
import os
import pathlib

import pytest

from lab import mail
from lab.gateway import Gateway
from lab.ports import open_folder
from lab.wait import until


def plain_gateway(gateways, sink, *options):
    return gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}",
                    "--policy", "test/policies/relay-plain.json", *options)


def test_a_message_crosses_the_gateway_unchanged(gateways, sinks):
    sink = sinks()
    gateway = plain_gateway(gateways, sink)
    message, message_id = mail.make(".leading dot\r\n..two\r\nlast line\r\n")
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["a@example.test", "b@example.test"], message)
    got = sink.wait_for(1)[0]
    assert got["from"] == "dr@tenant.test"
    assert sorted(got["to"]) == ["a@example.test", "b@example.test"]
    assert got["data"].endswith(message)  # below our Received
    assert got["data"][:len(got["data"]) - len(message)].startswith(b"Received: ")
    accepted = gateway.wait_record("message.accepted")
    assert accepted["origin"]["message_id"] == message_id
    assert accepted["content"]["size"] == len(message)
    settled = gateway.wait_record("message.settled")
    assert [r["final"] for r in settled["recipients"]] == ["delivered", "delivered"]
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def test_many_messages_arrive_once_each(gateways, sinks):
    sink = sinks()
    gateway = plain_gateway(gateways, sink, "--workers", 2)
    sent = set()
    with gateway.client(tls=False) as client:
        for _ in range(200):
            message, message_id = mail.make("hello\r\n" * 100)
            client.sendmail("dr@tenant.test", ["a@example.test"], message)
            sent.add(message_id.encode())
    got = sink.wait_for(200)
    ids = [next(line for line in m["data"].split(b"\r\n") if line.startswith(b"Message-ID:"))[12:] for m in got]
    assert len(ids) == 200 and set(ids) == sent


def test_a_large_message_crosses_whole(gateways, sinks):
    sink = sinks()
    gateway = plain_gateway(gateways, sink)
    message, _ = mail.make("0123456789abcdef" * 60 + "\r\n" + "x" * 70 + "\r\n" + ("line of text\r\n" * 400000))
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["a@example.test"], message)
    assert sink.wait_for(1)[0]["data"].endswith(message)
    tasks = [pathlib.Path(f"/proc/{pid}/task") for pid in gateway.pids("relay")]
    until(lambda: {"queue-body", "queue-sync"} <= {(t / "comm").read_text().strip() for task in tasks for t in task.iterdir()})


def test_microsofts_id_of_a_message_is_in_the_audit(gateways, sinks):
    sink = sinks()
    gateway = plain_gateway(gateways, sink)
    known = "3f2a9c1e-5b7d-4e80-9a61-08dd0c5e7f12"
    for extra, want in ((f"X-MS-Exchange-Organization-Network-Message-Id: {known}\r\n", known), ("", None)):
        message, message_id = mail.make("hello\r\n", extra=extra)
        with gateway.client(tls=False) as client:
            client.sendmail("dr@tenant.test", ["a@example.test"], message)
        message = gateway.message_of(message_id)
        for event in ("message.accepted", "message.settled"):
            origin = gateway.wait_record(event, message=message)["origin"]
            assert (origin["message_id"], origin.get("network_message_id")) == (message_id, want)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become an ordinary user")
def test_an_ordinary_user_runs_a_gateway_that_delivers(sinks):
    sink, user = sinks(), 65534
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    with open_folder("sp-user-") as folder:
        os.chown(folder, user, user)
        gateway = Gateway(os.path.join(folder, "g"), "--next-hop", f"{sink.address}:{sink.port}",
                          "--policy", "test/policies/relay-plain.json", prefix=prefix).start()
        try:
            assert os.stat(f"/proc/{gateway.info['pid']}").st_uid == user
            message, message_id = mail.make("hello\r\n")
            gateway.send(message, ["a@example.test"])
            assert sink.wait_for(1)[0]["data"].endswith(message)
            settled = gateway.wait_record("message.settled", message=gateway.message_of(message_id))
            assert [r["final"] for r in settled["recipients"]] == ["delivered"]
        finally:
            gateway.stop()
