"""What we write above a message, and how loops end: by count, by our mark, and between two gateways."""
import contextlib
import pathlib
import re
import smtplib
import ssl
import time

import pytest

from lab import mail
from lab.ports import free_port
from lab.sink import Sink
from lab.wait import until

CIPHERS = {"1.3": r"TLS_(AES_256_GCM_SHA384|CHACHA20_POLY1305_SHA256|AES_128_GCM_SHA256)", "1.2": r"ECDHE-(RSA|ECDSA)-[A-Z0-9-]+"}


@pytest.fixture(scope="module")
def sink():
    made = Sink(offer=("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 104857600", "ENHANCEDSTATUSCODES"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(module_gateways, sink):
    plain, six = free_port(), free_port(("::1",))
    made = module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                           "--tenant-set", "normalise_newlines=true",
                           "--listen", f'{{"address": "127.0.0.1:{plain}", "tls": "starttls", "plain_ok": true}}',
                           "--listen", f'{{"address": "[::1]:{six}", "tls": "starttls", "plain_ok": true}}')
    made.plain, made.six = ("127.0.0.1", plain), ("::1", six)
    return made


def joined(gateway, address=None, tls=None, certificate=False):
    client = smtplib.SMTP(*(address or (gateway.info["smtp"]["host"], gateway.info["smtp"]["port"])),
                          local_hostname="client.tenant.test", timeout=60)
    if tls:
        context = ssl.create_default_context(cafile=gateway.info["ca"])
        context.minimum_version = context.maximum_version = tls
        if certificate:
            context.load_cert_chain(gateway.info["client_cert"], gateway.info["client_key"])
        client._host = "localhost"
        client.starttls(context=context)
    return client


def received(sink, message_id):
    """The topmost Received of what arrived, on one line."""
    data = sink.wait_for_one(lambda m: message_id.encode() in m["data"])["data"].decode()
    return " ".join(re.match(r"Received: (?:[^\r]|\r\n[ \t])*", data[data.index("Received:"):]).group().split())


ROWS = {
    "HELO": (dict(address="plain"), None, None, "SMTP", "127.0.0.1"),
    "EHLO": (dict(address="plain"), None, None, "ESMTP", "127.0.0.1"),
    "EHLO over IPv6": (dict(address="six"), None, None, "ESMTP", "IPv6:::1"),
    "UTF8": (dict(address="plain"), None, ["SMTPUTF8"], "UTF8SMTP", "127.0.0.1"),
    "certificate": (dict(certificate=True), "1.3", None, "ESMTPS", "127.0.0.1"),
    "certificate, TLS 1.2": (dict(certificate=True), "1.2", None, "ESMTPS", "127.0.0.1"),
    "certificate, UTF8": (dict(certificate=True), "1.3", ["SMTPUTF8"], "UTF8SMTPS", "127.0.0.1"),
    "login": (dict(), "1.3", None, "ESMTPSA", "127.0.0.1"),
    "login over IPv6, TLS 1.2": (dict(address="six"), "1.2", None, "ESMTPSA", "IPv6:::1"),
    "login, UTF8": (dict(), "1.3", ["SMTPUTF8"], "UTF8SMTPSA", "127.0.0.1"),
}


@pytest.mark.parametrize("row", ROWS)
def test_received_says_how_it_came(gateway, sink, row):
    how, version, options, keyword, ip = ROWS[row]
    message, message_id = mail.make("hello\r\n")
    tls = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3, None: None}[version]
    how = {**how, **({"address": getattr(gateway, how["address"])} if "address" in how else {})}
    with joined(gateway, tls=tls, **how) as client:
        if row == "HELO":
            client.helo("client.tenant.test")
        else:
            client.ehlo("client.tenant.test")
        if keyword.endswith("A"):
            client.login(gateway.info["user"], gateway.info["password"])
        client.sendmail("dr@tenant.test", ["a@example.test"], message, mail_options=options or [])
    said = received(sink, message_id)
    shown = rf" \(version={version} cipher={CIPHERS[version]}\)" if version else ""
    wanted = (rf"Received: from client\.tenant\.test \(\[{re.escape(ip)}\]\) by \S+ with {keyword}{shown} id [0-9A-Z]{{26}}; "
              r"\w{3}, \d+ \w{3} \d{4} \d\d:\d\d:\d\d \+0000")
    assert re.fullmatch(wanted, said), said


@pytest.mark.parametrize("count, code", [(100, 250), (101, 554)])
def test_a_hundred_received_pass_and_one_more_is_a_loop(gateway, count, code):
    message, _ = mail.make("hello\r\n")
    with gateway.client() as client:
        client.mail("dr@tenant.test")
        client.rcpt("a@example.test")
        said = client.data(b"Received: by a.test; x\r\n" * count + message)
        assert said[0] == code and (code == 250 or said[1].startswith(b"5.4.6")), said


def test_our_mark_is_a_loop_only_as_it_stands(gateway, sink):
    message, message_id = mail.make("hello\r\n")
    gateway.send(message, ["a@example.test"])
    there = sink.wait_for_one(lambda m: message_id.encode() in m["data"])["data"]
    mark = re.search(rb"X-Sallyport-Hop: ([0-9a-f]+)\r\n", there).group(1)
    for field, code in ((mark, 554), (mark[:-1] + (b"0" if mark[-1:] != b"0" else b"1"), 250), (b"x", 250)):
        with gateway.client() as client:
            client.mail("dr@tenant.test")
            client.rcpt("a@example.test")
            assert client.data(b"X-Sallyport-Hop: " + field + b"\r\n" + message)[0] == code, field
    other, _ = mail.make("hello\r\n")  # another message under the same mark
    with gateway.client() as client:
        client.mail("dr@tenant.test")
        client.rcpt("a@example.test")
        assert client.data(b"X-Sallyport-Hop: " + mark + b"\r\n" + other)[0] == 250


def test_two_gateways_do_not_play_ping_pong(gateways):
    """Each is the other's next hop: a message is taken once by each, and the first then knows it."""
    ports = free_port(), free_port()
    made = [gateways("--next-hop", f"127.0.0.1:{there}", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                     "--listen", f'{{"address": "127.0.0.1:{here}", "tls": "starttls", "plain_ok": true}}')
            for here, there in (ports, ports[::-1])]
    message, message_id = mail.make("hello\r\n")
    made[0].send(message, ["a@example.test"])
    second = made[1].message_of(message_id)
    settled = made[1].wait_record("message.settled", message=second)
    assert settled["recipients"][0]["final"] == "returned"
    tried = [r for r in made[1].records() if r.get("message") == second and "5.4.6" in str(r)]
    assert tried, made[1].records()
    first = made[0].message_of(message_id)
    assert made[0].wait_record("message.settled", message=first)["recipients"][0]["final"] == "delivered"
    for one in made:
        taken = [r for r in one.records()
                 if r["event"] == "message.accepted" and r.get("origin", {}).get("message_id") == message_id]
        assert len(taken) == 1


def test_a_bare_postmaster_is_the_tenants(gateway, sink):
    message, message_id = mail.make("hello\r\n")
    with gateway.client() as client:
        client.mail("dr@tenant.test")
        assert client.docmd("RCPT TO:<Postmaster>")[0] == 250
        assert client.docmd("RCPT TO:<dr>")[0] >= 500
        assert client.data(message)[0] == 250
    assert sink.wait_for_one(lambda m: message_id.encode() in m["data"])["to"] == ["postmaster@tenant.test"]


def test_bare_newlines_are_normalised_and_delivered(gateway, sink):
    message, message_id = mail.make("one\r\n.two\r\nthree\r\n")
    spoiled = message.replace(b"one\r\n.two\r\nthree\r\n", b"one\n..two\rthree\n.\nfour\r\r\nfive\r\n")
    with gateway.client() as client:
        client.mail("dr@tenant.test")
        client.rcpt("a@example.test")
        assert client.docmd("DATA")[0] == 354
        client.sock.sendall(spoiled + b".\r\n")
        assert client.getreply()[0] == 250
    data = sink.wait_for_one(lambda m: message_id.encode() in m["data"])["data"]
    body = data[data.index(b"\r\n\r\n") + 4:]
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", data)
    assert body == b"one\r\n..two\r\nthree\r\n.\r\nfour\r\n\r\nfive\r\n", body


def test_a_full_queue_takes_no_more_and_then_again(gateways):
    """452 4.3.1 before MAIL, and mail again as soon as some has gone."""
    hop = Sink(replies={"RCPT": "451 4.3.0 later"})
    gateway = gateways("--next-hop", f"127.0.0.1:{hop.port}", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                       "--set", "intake.max_queue=2", "--set", 'delivery.retry_first="1s"', "--set", 'delivery.retry_max="2s"')
    with gateway.client() as client:
        for _ in range(2):
            message, message_id = mail.make("hello\r\n")
            client.sendmail("dr@tenant.test", ["a@example.test"], message)
        refused = client.mail("dr@tenant.test")
        assert refused[0] == 452 and refused[1].startswith(b"4.3.1"), refused
        assert client.noop()[0] == 250  # the session goes on
        hop.replies.clear()
        hop.wait_for(2)
        gateway.wait_record("message.settled", message=gateway.message_of(message_id))
        deadline = time.monotonic() + 60
        while client.mail("dr@tenant.test")[0] != 250:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    hop.stop()


def test_sessions_of_the_gateway_are_limited(gateways, sink):
    gateway = gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                       "--set", "intake.max_sessions=3")
    address = gateway.info["smtp"]["host"], gateway.info["smtp"]["port"]
    inside = [smtplib.SMTP(*address, timeout=60) for _ in range(3)]
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        smtplib.SMTP(*address, timeout=60)
    assert refused.value.smtp_code == 421 and refused.value.smtp_error.startswith(b"4.3.2")
    for client in inside:
        client.quit()

    def welcome():  # a session may end a moment behind its last word
        with contextlib.suppress(smtplib.SMTPConnectError):
            return smtplib.SMTP(*address, timeout=60).ehlo("c.test")[0] == 250
    until(welcome)


def test_control_characters_of_a_stranger_reach_nobodys_terminal(gateway, sink):
    """ESC in EHLO, paths, fields and what the next server says: in no log, no audit record and nothing that a command prints."""
    before, sink.replies["RCPT"] = len(gateway.records()), "451 4.2.0 \x1b[31mlater\x07"
    evil = "\x1b]0;owned\x07\x1b[31mred\x9b2J"
    message, message_id = mail.make("hello\r\n", subject=evil, extra=f"To: {evil} <u@example.test>\r\n")
    message = message.replace(message_id.encode(), b"<\x1b[2J\x07\x08" + message_id[1:].encode())
    with contextlib.closing(smtplib.SMTP(*gateway.plain, local_hostname="\x1b[31mclient\x07.test", timeout=60)) as client:
        client.command_encoding = "latin-1"
        for line in ("EHLO \x1b[31mclient\x07.test", 'MAIL FROM:<"\x1b[2J"@tenant.test>'):
            said = client.docmd(line)
        assert said[0] >= 500, said
        client.docmd("RSET")
        assert client.docmd("MAIL FROM:<dr@tenant.test> ENVID=\x1b[31m")[0] == 501
        assert client.docmd("MAIL FROM:<dr@tenant.test>")[0] == 250
        assert client.docmd("RCPT TO:<u\x1b[31m@example.test>")[0] == 501
        assert client.docmd("RCPT TO:<u@example.test>")[0] == 250
        code, text = client.data(message)
        assert code == 250, text
        client.sock.sendall(b"\x1b]0;owned\x07\r\nQUIT\r\n")
        assert client.file.readline().startswith(b"500 ")
    identity = until(lambda: next((r["message"] for r in gateway.records()[before:] if r["event"] == "message.accepted"), None))
    until(lambda: any(r["event"] == "delivery.attempted" for r in gateway.records()[before:]))
    shown = [gateway.run(*words, check=False) for words in (
        ("trace", identity), ("queue", "show", identity), ("queue", "list"), ("trace", identity, "--json"),
        ("queue", "show", identity, "--json"), ("audit", "show", identity))]
    assert all(d.returncode == 0 and d.stdout for d in shown), shown
    del sink.replies["RCPT"]
    gateway.run("queue", "retry", identity, check=False)  # it may have gone by itself
    sink.wait_for_one(lambda m: b"\x1b]0;owned" in m["data"])  # what is mail is carried as it is
    raw = pathlib.Path(gateway.info["log"]).read_bytes() + b"".join(f.read_bytes() for f in gateway.audit_files())
    assert b"client" in raw and b"u001b" in raw.lower()  # it is there, in a form that does nothing
    for text in (raw, *((d.stdout + d.stderr).encode() for d in shown)):
        assert not set(text) & (set(range(0x20)) - set(b"\t\n") | {0x7f}), text[-3000:]
        assert "\x9b" not in text.decode()
