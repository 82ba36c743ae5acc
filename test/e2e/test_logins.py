"""Logging in by every mechanism, a submission port, and what one source or tenant may take of the gateway."""
import base64
import hashlib
import hmac
import json
import secrets
import smtplib
import socket
import ssl
import time

import pytest

from lab import mail
from lab.ports import free_port
from lab.sink import Sink

PASSWORD = "pencil-of-the-ward"


def verifier(password):
    salt, rounds = secrets.token_bytes(16), 4096
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return "SCRAM-SHA-256$%d:%s$%s:%s" % (rounds, *(base64.b64encode(b).decode() for b in (salt, stored, server)))


@pytest.fixture(scope="module")
def sink():
    made = Sink()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(module_gateways, sink, tmp_path_factory):
    folder = tmp_path_factory.mktemp("logins")
    (folder / "ward.json").write_text(json.dumps({
        "tenant": "ward", "domains": ["ward.test"],
        "proofs": {"users": {"scram": verifier(PASSWORD), "device": "certificate:client.tenant.test"}}}))
    (folder / "busy.json").write_text(json.dumps({
        "tenant": "busy", "domains": ["busy.test"], "limits": {"messages": 3, "bytes": "100KiB"},
        "proofs": {"users": {"busy": verifier(PASSWORD)}}}))
    (folder / "few.json").write_text(json.dumps({
        "tenant": "few", "domains": ["few.test"], "limits": {"sessions": 2}, "proofs": {"users": {"few": verifier(PASSWORD)}}}))
    port, proxied, implicit = free_port(), free_port(), free_port()
    made = module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                           "--tenant", folder / "ward.json", "--tenant", folder / "busy.json", "--tenant", folder / "few.json",
                           "--listen", json.dumps({"address": f"127.0.0.1:{port}", "tls": "starttls", "auth": "required"}),
                           "--listen", json.dumps({"address": f"127.0.0.1:{proxied}", "proxies": ["127.0.0.95/32"]}),
                           "--listen", json.dumps({"address": f"127.0.0.1:{implicit}", "tls": "implicit", "auth": "required",
                                                   "proxies": ["127.0.0.95/32"]}),
                           "--set", "intake.max_source=40")
    made.submission, made.proxied, made.implicit = port, proxied, implicit
    return made


def scram(client, user, password, spoil=lambda final: final, check=True):
    """The client's side of RFC 7677; returns the last code."""
    nonce = secrets.token_hex(8)
    bare = f"n={user},r={nonce}"
    code, text = client.docmd("AUTH", "SCRAM-SHA-256 " + base64.b64encode(b"n,," + bare.encode()).decode())
    if code != 334:
        return code
    challenge = base64.b64decode(text).decode()
    parts = dict(p.split("=", 1) for p in challenge.split(","))
    assert parts["r"].startswith(nonce) and len(parts["r"]) > len(nonce) + 16
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    without = f"c=biws,r={parts['r']}"
    said = f"{bare},{challenge},{without}".encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), said, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
    code, text = client.docmd(base64.b64encode(spoil(f"{without},p={proof}").encode()).decode())
    if code != 334:
        return code
    if check:
        wanted = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), said, "sha256")
        assert base64.b64decode(text) == b"v=" + base64.b64encode(wanted)
    return client.docmd("")[0]


def joined(gateway, certificate=False, port=None, source="127.0.0.1"):
    client = smtplib.SMTP("127.0.0.1", port or gateway.info["smtp"]["port"], local_hostname="client.test", timeout=60,
                          source_address=(source, 0))
    context = ssl.create_default_context(cafile=gateway.info["ca"])
    if certificate:
        context.load_cert_chain(gateway.info["client_cert"], gateway.info["client_key"])
    client._host = "localhost"
    client.starttls(context=context)
    client.ehlo()
    return client


def submit(client, sender):
    message, message_id = mail.make("hello\r\n")
    message = message.replace(b"dr@tenant.test", sender.encode())
    return client.sendmail(sender, ["a@example.test"], message), message_id


def test_mechanisms_are_offered_in_tls_only(gateway):
    with joined(gateway) as client:
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN", "EXTERNAL", "SCRAM-SHA-256"]


def test_login(gateway):
    with joined(gateway) as client:
        client.user, client.password = gateway.info["user"], gateway.info["password"]
        client.auth("LOGIN", client.auth_login)
        _, message_id = submit(client, "dr@tenant.test")
    record = gateway.wait_record("message.accepted", message=gateway.message_of(message_id))
    assert record["actor"]["auth"] == "auth-login"


def test_scram(gateway):
    with joined(gateway) as client:
        assert scram(client, "scram", PASSWORD) == 235
        _, message_id = submit(client, "dr@ward.test")
    record = gateway.wait_record("message.accepted", message=gateway.message_of(message_id))
    assert record["actor"]["auth"] == "auth-scram-sha-256" and record["tenant"] == "ward"


def test_external(gateway):
    with joined(gateway, certificate=True) as client:
        assert client.docmd("AUTH", "EXTERNAL " + base64.b64encode(b"device").decode())[0] == 235
        _, message_id = submit(client, "dr@ward.test")
    record = gateway.wait_record("message.accepted", message=gateway.message_of(message_id))
    assert record["actor"]["auth"] == "auth-external"


def test_external_where_nothing_but_a_user_asks_for_a_certificate(gateways, sink):
    proofs = {"networks": ["127.0.0.0/8"], "users": {"device": "certificate:client.tenant.test"}}
    gateway = gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                       "--tenant-set", "proofs=" + json.dumps(proofs))
    with joined(gateway, certificate=True) as client:
        assert client.esmtp_features["auth"].split() == ["EXTERNAL"]
        assert client.docmd("AUTH", "EXTERNAL =")[0] == 235
        submit(client, "dr@tenant.test")
    with joined(gateway) as client:
        assert client.docmd("AUTH", "EXTERNAL =")[0] == 535


@pytest.mark.parametrize("source, attempt", [
    ("127.0.0.71", lambda c: scram(c, "scram", "wrong")),
    ("127.0.0.72", lambda c: scram(c, "nobody", PASSWORD)),
    ("127.0.0.73", lambda c: scram(c, "gateway", PASSWORD)),  # has a password, but nothing stored for SCRAM
    ("127.0.0.74", lambda c: scram(c, "scram", PASSWORD, lambda f: f.replace("c=biws", "c=eSws"))),
    ("127.0.0.75", lambda c: scram(c, "scram", PASSWORD, lambda f: f.replace(",r=", ",r=x"))),
    ("127.0.0.76", lambda c: c.docmd("AUTH", "EXTERNAL =")[0]),
    ("127.0.0.77", lambda c: c.docmd("AUTH", "PLAIN " + base64.b64encode(b"\0scram\0" + PASSWORD.encode()).decode())[0]),
])
def test_what_is_not_right_is_refused(gateway, source, attempt):
    with joined(gateway, source=source) as client:
        assert attempt(client) == 535
        assert client.mail("dr@ward.test")[0] == 550


def test_an_identity_that_is_not_the_certificates_is_refused(gateway):
    with joined(gateway, certificate=True, source="127.0.0.78") as client:
        assert client.docmd("AUTH", "EXTERNAL " + base64.b64encode(b"gateway").decode())[0] == 535


def test_failures_are_slowed_then_ended_then_not_listened_to(gateway):
    source = "127.0.0.80"
    wrong = "PLAIN " + base64.b64encode(b"\0gateway\0wrong").decode()
    client, times, codes = joined(gateway, source=source), [], []
    for _ in range(3):
        start = time.monotonic()
        codes.append(client.docmd("AUTH", wrong)[0])
        times.append(time.monotonic() - start)
    assert codes == [535, 535, 421]
    assert times[0] >= 0.5 and times[1] >= 1 and times[2] >= 2
    client.close()
    # the rest of the patience with this source, all at once
    clients = [joined(gateway, source=source) for _ in range(17)]
    for each in clients:
        each.putcmd("AUTH", wrong)
    assert {each.getreply()[0] for each in clients} == {535}
    right = base64.b64encode(f"\0{gateway.info['user']}\0{gateway.info['password']}".encode()).decode()
    assert clients[0].docmd("AUTH", "PLAIN " + right)[0] == 454
    for each in clients:
        each.close()
    with joined(gateway) as other:  # another source is not concerned
        assert other.docmd("AUTH", "PLAIN " + right)[0] == 235


def test_a_submission_port_wants_a_login_first(gateway):
    with joined(gateway, certificate=True, port=gateway.submission) as client:
        assert client.mail("dr@tenant.test")[0] == 530
        client.login(gateway.info["user"], gateway.info["password"])
        submit(client, "dr@tenant.test")


# ---- limits ----

def test_one_source_has_so_many_sessions(gateway):
    address = "127.0.0.1", gateway.info["smtp"]["port"]
    mine = [socket.create_connection(address, 60, source_address=("127.0.0.90", 0)) for _ in range(60)]
    heard = [s.recv(100)[:3] for s in mine]
    assert heard.count(b"220") == 41 and heard.count(b"421") == 19
    other = socket.create_connection(address, 60, source_address=("127.0.0.91", 0))
    assert other.recv(100).startswith(b"220")
    for s in (*mine, other):
        s.close()
    deadline = time.monotonic() + 60
    while True:  # and they count no longer once they are gone
        with socket.create_connection(address, 60, source_address=("127.0.0.90", 0)) as again:
            if again.recv(100).startswith(b"220"):
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_tenant_has_so_many_sessions_that_send(gateway):
    inside = [joined(gateway) for _ in range(3)]
    for client in inside:
        assert scram(client, "few", PASSWORD) == 235  # idle ones don't count
    with joined(gateway) as other:
        said = [c.mail("dr@few.test") for c in inside]
        assert [code for code, _ in said] == [250, 250, 450] and said[2][1].startswith(b"4.7.1")
        assert scram(other, "scram", PASSWORD) == 235 and other.mail("dr@ward.test")[0] == 250
    inside[0].rset()  # makes room
    assert inside[2].mail("dr@few.test")[0] == 250
    assert inside[0].mail("dr@few.test")[0] == 450
    inside[1].sock.close()  # so does one that is cut
    inside[1].file.close()
    deadline = time.monotonic() + 60
    while inside[0].mail("dr@few.test")[0] != 250:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    inside[0].rset()
    submit(inside[0], "dr@few.test")  # and one whose message is taken
    assert inside[0].mail("dr@few.test")[0] == 250
    assert inside[0].rcpt("a@example.test")[0] == 250 and inside[0].docmd("DATA")[0] == 354
    inside[0].send(b"From: dr@few.test\r\n\r\nhello\r\n.\r\nMAIL FROM:<dr@few.test>\r\n")  # the next at once (RFC 2920 3.1)
    assert [inside[0].getreply()[0] for _ in range(2)] == [250, 250]
    for client in inside:
        client.close()


def test_a_tenant_has_its_rate_and_the_others_theirs(gateway):
    with joined(gateway) as client, joined(gateway) as other:
        assert scram(client, "busy", PASSWORD) == 235
        assert scram(other, "scram", PASSWORD) == 235
        start = time.monotonic()
        message = b"From: dr@busy.test\r\nSubject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 28000  # 500 KB at 100 KiB/s
        client.sendmail("dr@busy.test", ["a@example.test"], message)
        assert time.monotonic() - start >= 1.5
        for _ in range(2):
            submit(client, "dr@busy.test")
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            submit(client, "dr@busy.test")
        assert refused.value.smtp_code == 450 and b"4.7.1" in refused.value.smtp_error
        start = time.monotonic()
        for _ in range(10):
            submit(other, "dr@ward.test")
        assert time.monotonic() - start < 10


# ---- behind a load balancer ----

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def proxied(gateway, data, source="127.0.0.95"):
    s = socket.create_connection(("127.0.0.1", gateway.proxied), 60, source_address=(source, 0))
    s.sendall(data)
    return s


def header(client, command=0x21, family=0x11):
    body = socket.inet_aton(client) + socket.inet_aton("127.0.0.1") + (1234).to_bytes(2, "big") + (25).to_bytes(2, "big")
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


def heard(s):
    with s:
        return s.makefile("rb").read()


def test_the_client_behind_a_load_balancer_is_the_peer(gateway):
    said = heard(proxied(gateway, header("127.0.0.96") + b"EHLO proxied.test\r\nMAIL FROM:<x@evil.test>\r\nQUIT\r\n"))
    assert said.startswith(b"220 ") and b"530 5.7.0" in said
    # cut into bytes, and a health check of the balancer's own
    s = proxied(gateway, b"")
    for i in range(28):
        s.sendall(header("127.0.0.96")[i:i + 1])
    s.sendall(b"QUIT\r\n")
    assert heard(s).startswith(b"220 ")
    assert heard(proxied(gateway, SIGNATURE + b"\x20\0\0\0QUIT\r\n")).startswith(b"220 ")
    # its sessions are counted by the client's address
    mine = [proxied(gateway, header("127.0.0.97")) for _ in range(60)]
    greeted = [s.recv(100)[:3] for s in mine]
    assert greeted.count(b"220") == 41 and greeted.count(b"") == 19
    for s in mine:
        s.close()


@pytest.mark.parametrize("data", [
    b"EHLO x.test\r\n", b"PROXY TCP4 127.0.0.96 127.0.0.1 1 25\r\n", header("127.0.0.96", command=0x31),
    header("127.0.0.96", family=0x12), header("127.0.0.96", family=0x00), SIGNATURE + b"\x21\x11\xff\xff"])
def test_a_load_balancer_without_a_header_hears_nothing(gateway, data):
    try:
        assert heard(proxied(gateway, data)) == b""
    except ConnectionResetError:
        pass


def test_a_header_of_anybody_else_is_a_command_that_nobody_knows(gateway):
    said = heard(proxied(gateway, header("127.0.0.50") + b"\r\nQUIT\r\n", source="127.0.0.98"))
    assert said.startswith(b"220 ") and b"500 5.5.2" in said


def client_hello(context, incoming, outgoing):
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return tls


def talk(s, tls, incoming, outgoing, do):
    """Runs do on a connection whose TLS is ours to feed."""
    while True:
        try:
            done = do()
            s.sendall(outgoing.read())
            return done
        except ssl.SSLWantReadError:
            s.sendall(outgoing.read())
            data = s.recv(65536)
            if not data:
                raise EOFError from None
            incoming.write(data)


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 27, 28, 29, 60])
def test_implicit_tls_behind_a_load_balancer(gateway, cut):
    """The header and the client's first flight in one segment, and cut apart at every kind of place."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_hello(ssl.create_default_context(cafile=gateway.info["ca"]), incoming, outgoing)
    data = header("127.0.0.96") + outgoing.read()
    with socket.create_connection(("127.0.0.1", gateway.implicit), 60, source_address=("127.0.0.95", 0)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(data[:cut])
        s.sendall(data[cut:])
        talk(s, tls, incoming, outgoing, tls.do_handshake)
        assert talk(s, tls, incoming, outgoing, lambda: tls.read(4)) == b"220 "
        talk(s, tls, incoming, outgoing, lambda: tls.write(b"EHLO proxied.test\r\nMAIL FROM:<dr@ward.test>\r\nQUIT\r\n"))
        said = b""
        while b"221 " not in said:
            said += talk(s, tls, incoming, outgoing, lambda: tls.read(4096))
        assert b"AUTH " in said and b"530 5.7.0" in said


def test_implicit_tls_hears_no_client_without_a_header_from_a_balancer(gateway):
    """A balancer that forgets the header is not taken for a client, and nobody else may speak for one."""
    context = ssl.create_default_context(cafile=gateway.info["ca"])
    with socket.create_connection(("127.0.0.1", gateway.implicit), 60, source_address=("127.0.0.95", 0)) as s:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(s, server_hostname="localhost")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_hello(context, incoming, outgoing)
    with socket.create_connection(("127.0.0.1", gateway.implicit), 60, source_address=("127.0.0.98", 0)) as s:
        s.sendall(header("127.0.0.96") + outgoing.read())
        with pytest.raises((ssl.SSLError, EOFError, ConnectionError)):
            talk(s, tls, incoming, outgoing, tls.do_handshake)
    with smtplib.SMTP_SSL("localhost", gateway.implicit, timeout=60, context=context, source_address=("127.0.0.98", 0)) as client:
        assert client.ehlo()[0] == 250
