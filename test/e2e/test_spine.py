"""The thinnest message: a client submits, the next hop gets every byte, the audit tells of it."""
from lab import mail


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
