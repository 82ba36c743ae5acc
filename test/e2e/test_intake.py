"""The door: ordinary clients come in, strangers and tricksters do not."""
import base64
import contextlib
import smtplib
import socket
import ssl
import subprocess

import pytest

from lab import mail
from lab.ports import free_port


@pytest.fixture(scope="module")
def sink():
    from lab.sink import Sink
    made = Sink()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(module_gateways, sink):
    clear = free_port()
    made = module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json",
                           "--size-limit", 1000000,
                           "--listen", f'{{"address": "127.0.0.1:{clear}", "tls": "none", "plain_ok": true}}')
    made.clear = clear
    return made


def arrived(sink, message_id, seconds=60):
    with sink.changed:
        def find():
            return next((m for m in sink.messages if message_id.encode() in m["data"]), None)
        assert sink.changed.wait_for(find, seconds), message_id
        return find()


# ---- ordinary clients ----

def test_smtplib_with_auth(gateway, sink):
    message, message_id = mail.make("hello\r\n")
    gateway.send(message, ["a@example.test"])
    assert arrived(sink, message_id)["data"].endswith(message)
    record = gateway.wait_record("message.accepted", message=gateway.message_of(message_id))
    assert record["tls"]["version"] in ("1.2", "1.3")


def test_a_client_certificate_proves_the_tenant(gateway, sink):
    message, message_id = mail.make("hello\r\n")
    with gateway.client(login=False, certificate=True) as client:
        client.sendmail("dr@tenant.test", ["a@example.test"], message)
    arrived(sink, message_id)


def test_implicit_tls(gateway, sink):
    message, message_id = mail.make("hello\r\n")
    context = ssl.create_default_context(cafile=gateway.info["ca"])
    with smtplib.SMTP_SSL("localhost", gateway.info["smtps"]["port"], context=context, timeout=60) as client:
        client.login(gateway.info["user"], gateway.info["password"])
        client.sendmail("dr@tenant.test", ["a@example.test"], message)
    arrived(sink, message_id)


def run(*words, data=None):
    done = subprocess.run([str(w) for w in words], input=data, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done


WAYS = ["starttls", "implicit", "clear"]


def way_to(gateway, way):
    """The port, and whether one logs in there: in clear nobody can, and the network is the proof."""
    return {"starttls": (gateway.info["smtp"]["port"], True), "implicit": (gateway.info["smtps"]["port"], True),
            "clear": (gateway.clear, False)}[way]


@pytest.mark.parametrize("way", WAYS)
def test_swaks(gateway, sink, way):
    message, message_id = mail.make("by swaks\r\n")
    port, logs_in = way_to(gateway, way)
    login = ["--auth", "PLAIN", "--auth-user", gateway.info["user"], "--auth-password", gateway.info["password"]]
    tls = {"starttls": ["--tls"], "implicit": ["--tls-on-connect"], "clear": []}[way]
    run("swaks", "--server", "127.0.0.1", "--port", port, *tls,
        *(login if logs_in else ()), "--from", "dr@tenant.test", "--to", "a@example.test", "--data",
        message.decode().rstrip("\r\n"), "--pipeline")
    arrived(sink, message_id)


@pytest.mark.parametrize("way", WAYS)
def test_curl(gateway, sink, tmp_path, way):
    message, message_id = mail.make("by curl\r\n")
    file = tmp_path / "message"
    file.write_bytes(message)
    port, logs_in = way_to(gateway, way)
    run("curl", "--silent", "--show-error", *{"starttls": ["--ssl-reqd"], "implicit": [], "clear": []}[way],
        "--cacert", gateway.info["ca"], "--url", f"{'smtps' if way == 'implicit' else 'smtp'}://localhost:{port}",
        *(("--user", f"{gateway.info['user']}:{gateway.info['password']}") if logs_in else ()),
        "--mail-from", "dr@tenant.test", "--mail-rcpt", "a@example.test", "--upload-file", file)
    arrived(sink, message_id)


@pytest.mark.parametrize("way", WAYS)
def test_msmtp(gateway, sink, way):
    message, message_id = mail.make("by msmtp\r\n")
    port, logs_in = way_to(gateway, way)
    login = ("--auth=plain", f"--user={gateway.info['user']}", f"--passwordeval=echo {gateway.info['password']}") if logs_in \
        else ("--auth=off",)
    tls = {"starttls": ["--tls=on", "--tls-starttls=on"], "implicit": ["--tls=on", "--tls-starttls=off"],
           "clear": ["--tls=off"]}[way]
    run("msmtp", "--host=localhost", f"--port={port}", *tls, f"--tls-trust-file={gateway.info['ca']}", *login,
        "--from=dr@tenant.test", "a@example.test", data=message.replace(b"\r\n", b"\n"))
    arrived(sink, message_id)


# ---- strangers ----

def test_without_proof_nothing_is_relayed(gateway, sink):
    before = len(sink.messages)
    with gateway.client(login=False) as client:
        with pytest.raises(smtplib.SMTPException) as refused:
            client.sendmail("dr@tenant.test", ["a@example.test"], b"Subject: x\r\n\r\nx\r\n")
        assert b"5.7." in str(refused.value).encode()
    assert len(sink.messages) == before
    assert gateway.wait_record("intake.refused")


def test_a_wrong_password_is_refused(gateway):
    with gateway.client(login=False) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(gateway.info["user"], "wrong")
        assert refused.value.smtp_code == 535


def test_auth_is_not_offered_in_clear(gateway):
    with gateway.client(tls=False) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("AUTH", "PLAIN AGEAYg==")[0] >= 500


def test_a_foreign_sender_is_refused(gateway):
    with gateway.client() as client:
        with pytest.raises(smtplib.SMTPException):
            client.sendmail("dr@elsewhere.test", ["a@example.test"], b"Subject: x\r\n\r\nx\r\n")


def test_a_message_over_the_limit_is_refused_early_and_late(gateway):
    with gateway.client() as client:
        client.ehlo()
        code, text = client.docmd("MAIL", "FROM:<dr@tenant.test> SIZE=2000000")
        assert code == 552 and b"5.3.4" in text
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.mail("dr@tenant.test")
            client.rcpt("a@example.test")
            code, text = client.data(b"Subject: big\r\n\r\n" + b"0123456789\r\n" * 150000)
            raise smtplib.SMTPDataError(code, text)
        assert refused.value.smtp_code == 552


# ---- tricksters ----

class Raw:
    """A bare connection, in TLS and logged in."""

    def __init__(self, gateway):
        client = gateway.client()
        self.client, self.socket, self.file = client, client.sock, client.sock.makefile("rb")

    def say(self, data):
        self.socket.sendall(data)

    def reply(self):
        line = self.file.readline()
        while line[3:4] == b"-":
            line = self.file.readline()
        return line


@pytest.mark.parametrize("end", [b"\n.\r\n", b"\r\n.\n", b"\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r.\r"])
def test_only_crlf_dot_crlf_ends_data(gateway, sink, end):
    """SMTP smuggling: what follows such an end must never become a second message."""
    before = len(sink.messages)
    raw = Raw(gateway)
    raw.say(b"MAIL FROM:<dr@tenant.test>\r\nRCPT TO:<a@example.test>\r\nDATA\r\n")
    assert [raw.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
    smuggled = b"MAIL FROM:<evil@tenant.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
    raw.say(b"Subject: one\r\n\r\ntext" + end + smuggled)
    assert raw.reply().startswith(b"550 5.6.0")
    assert raw.reply() == b""  # and closed
    assert len(sink.messages) == before


def test_what_comes_behind_starttls_ends_the_session(gateway):
    with socket.create_connection(("127.0.0.1", gateway.info["smtp"]["port"]), timeout=60) as s:
        file = s.makefile("rb")
        assert file.readline().startswith(b"220")
        s.sendall(b"EHLO x.test\r\n")
        while not file.readline().startswith(b"250 "):
            pass
        s.sendall(b"STARTTLS\r\nMAIL FROM:<dr@tenant.test>\r\n")
        rest = file.read()
        assert b"250" not in rest


def test_old_tls_is_refused(gateway):
    done = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-connect",
                           f"127.0.0.1:{gateway.info['smtp']['port']}", "-tls1_1", "-cipher", "ALL@SECLEVEL=0"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert b"Cipher is (NONE)" in done.stdout or done.returncode != 0


def test_a_silent_flood_of_sessions_does_not_stop_others(gateway, sink):
    idle = [socket.create_connection(("127.0.0.1", gateway.info["smtp"]["port"]), timeout=60) for _ in range(200)]
    message, message_id = mail.make("hello\r\n")
    gateway.send(message, ["a@example.test"])
    arrived(sink, message_id)
    for s in idle:
        s.close()


class Layered:
    """A TLS client whose records and plain bytes can be mixed at will."""

    def __init__(self, gateway, door="smtps"):
        self.socket = socket.create_connection(("127.0.0.1", gateway.info[door]["port"]), 60)
        context = ssl.create_default_context(cafile=gateway.info["ca"])
        context.check_hostname = False
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.into, self.out)
        self.drive(self.tls.do_handshake)

    def drive(self, act, *arguments):
        while True:
            try:
                return act(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                self.into.write(self.socket.recv(65536) or b"")
            finally:
                self.flush()

    def flush(self):
        self.socket.sendall(self.out.read())

    def say(self, text, code):
        self.tls.write(text)
        self.flush()
        said = b""
        while not said.endswith(b"\r\n"):
            said += self.drive(self.tls.read, 65536)
        assert said.startswith(code), said
        return said

    def to_the_end(self):
        """What comes in clear until the peer closes."""
        got = b""
        try:
            while chunk := self.socket.recv(65536):
                got += chunk
        except ConnectionResetError:
            pass
        self.socket.close()
        return got


@pytest.mark.parametrize("behind", [b"x", b"x" * 4000, b"\r\nMAIL FROM:<dr@tenant.test>\r\n", b""],
                         ids=["a byte", "many", "a command", "nothing"])
@pytest.mark.parametrize("amid", ["a chunk", "data", "commands"])
def test_a_session_that_had_tls_never_reads_plain_text(gateway, sink, amid, behind):
    """The client ends TLS in the middle, and goes on in clear: the session is over, and nothing of it counts."""
    before, relays = len(sink.messages), gateway.pids("relay")
    client = Layered(gateway)
    assert client.drive(client.tls.read, 65536).startswith(b"220 ")
    client.say(b"EHLO client.test\r\n", b"250-")
    password = f"\0{gateway.info['user']}\0{gateway.info['password']}"
    client.say(b"AUTH PLAIN " + base64.b64encode(password.encode()) + b"\r\n", b"235 ")
    if amid != "commands":
        client.say(b"MAIL FROM:<dr@tenant.test>\r\n", b"250 ")
        client.say(b"RCPT TO:<a@example.test>\r\n", b"250 ")
    if amid == "data":
        client.say(b"DATA\r\n", b"354 ")
    client.tls.write({"a chunk": b"BDAT 5000 LAST\r\nFrom: <dr@tenant.test>\r\n\r\nhello\r\n",
                      "data": b"From: <dr@tenant.test>\r\n\r\nhello\r\n", "commands": b"NO"}[amid])
    client.flush()
    try:
        client.tls.unwrap()
    except ssl.SSLWantReadError:
        pass  # our close_notify is written, the peer's need not come
    client.flush()
    with contextlib.suppress(ConnectionError):  # it is over already
        client.socket.sendall(behind)
    said = client.to_the_end()
    assert b"250 " not in said and b"MAIL" not in said and b"503" not in said and b"500" not in said
    assert len(sink.messages) == before and gateway.pids("relay") == relays
    with gateway.client() as other:
        assert other.noop()[0] == 250
