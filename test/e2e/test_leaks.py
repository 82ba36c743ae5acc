"""No word of a message and no secret is where it should not be: not in what the gateway keeps, logs or shows of its
processes, for every rung, while roles crash, and for codes, tokens, passwords and keys."""
import base64
import email.message
import email.policy
import os
import pathlib
import signal
import smtplib
import time
import types

import pytest

from lab import leaks, mail
from lab.browser import Https, code_in, cookie_of, link_in, token_of
from lab.build import build
from lab.sink import make_certificate

CRASHING = ("scanner", "sealer", "keeper", "portal", "ledger", "fetcher", "relay")


def markers():
    """A marker a place, none of which occurs anywhere else."""
    return {place: f"MARKER-{place}-{os.urandom(6).hex()}" for place in ("subject", "body", "html", "name", "attachment")}


def letter(marks, recipients, message_id, protected=False):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"] = "Dr Ann <dr@tenant.test>", ", ".join(recipients)
    message["Subject"], message["Message-ID"] = f"[secure] {marks['subject']}", message_id
    message.set_content(f"{mail.PHI}\r\n{marks['body']}\r\n")
    message.add_alternative(f"<p>{marks['html']}</p>", subtype="html")
    message.add_attachment(marks["attachment"].encode() * 20000, maintype="application", subtype="octet-stream",
                           filename=f"{marks['name']}.bin")  # larger than what lies within a journal record
    return message.as_bytes()


def test_the_search_finds_every_form(tmp_path):
    """What finds nothing must be known to find: each form is planted, in files, in names, in a memfd, in an environment."""
    marker = "MARKER-ö-4815162342"
    raw = marker.encode()
    state = tmp_path / "state"
    (state / "spool").mkdir(parents=True)
    log = tmp_path / "log"
    log.write_bytes(b"nothing\n")
    config = tmp_path / "sallyport.json"
    config.write_text("{}")
    fake = types.SimpleNamespace(folder=tmp_path, info={"pid": os.getpid(), "log": str(log), "config": str(config),
                                                        "spool": str(state / "spool")})
    assert leaks.search(fake, {"m": marker}) == []
    planted = {"plain": raw, "hex": raw.hex().upper().encode(), "utf-16le": marker.encode("utf-16-le"),
               "utf-16be": marker.encode("utf-16-be"), "json": b'"MARKER-\\u00f6-4815162342"',
               "url": b"x=MARKER-%C3%B6-4815162342", "quoted-printable": b"".join(b"=%02X" % c for c in raw),
               "folded": b"x" * 60 + raw[:9] + b"=\r\n" + raw[9:]}
    planted.update((f"base64+{n}", base64.encodebytes(b"z" * (55 + n) + raw + b"yy")) for n in range(3))
    for form, data in planted.items():
        (state / form).write_bytes(os.urandom(100) + data + os.urandom(100))
        found = leaks.search(fake, {"m": marker})
        assert found and {pathlib.Path(f.where).name for f in found} == {form}, form
        (state / form).unlink()
    (state / f"file-{marker}").touch()
    assert leaks.search(fake, {"m": marker})
    (state / f"file-{marker}").unlink()
    (tmp_path / "core.1").write_bytes(raw)
    assert leaks.search(fake, {"m": marker})
    (tmp_path / "core.1").unlink()
    fd = os.memfd_create("x")
    os.write(fd, raw)
    assert [f.form for f in leaks.search(fake, {"m": marker})] == ["plain"]
    os.close(fd)
    assert leaks.search(fake, {"m": marker}) == []
    assert leaks.search(fake, {"path": os.environ["PATH"]})  # this process's environment
    log.write_bytes(b'"time":1764815162342')
    assert leaks.search(fake, {"code": "81516234"}) == []  # within a number
    log.write_bytes(b'"code":81516234,')
    assert leaks.search(fake, {"code": "81516234"})


@pytest.fixture
def person(tmp_path):
    return mail.SmimePerson(tmp_path, "sam@sealed.test")


@pytest.fixture
def pgp_person(tmp_path):
    made = mail.PgpPerson(tmp_path, "pia@sealed.test")
    yield made
    made.close()


def submit(gateway, marks, recipients):
    """Sends a letter full of markers; returns our id of it."""
    message_id = f"<{os.urandom(8).hex()}@tenant.test>"
    gateway.send(letter(marks, recipients, message_id), recipients)
    return gateway.message_of(message_id)


def assert_clean(gateway, marks, *sinks):
    leaks.assert_none(gateway, marks)
    for sink in sinks:
        leaks.assert_not_in(sink.wire, marks, "the wire")


def test_sealed_rungs(gateways, sinks, person, pgp_person):
    """S/MIME, PGP and the portal over a hop without TLS: not on the wire, nor in anything kept."""
    sink, marks = sinks(), markers()
    gateway = gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", "test/policies/leaks.json")
    for path in (person.certificate, pgp_person.key):
        gateway.run("keys", "import", str(path))
    message = submit(gateway, marks, [person.address, pgp_person.address, "pat@plain.test"])
    settled = gateway.wait_record("message.settled", message=message)
    assert sorted(r["rung"] for r in settled["recipients"]) == ["pgp", "portal", "smime"]
    assert_clean(gateway, marks, sink)
    copies = {m["to"][0].strip("<>"): m["data"] for m in sink.messages}
    opened = person.open(copies[person.address])
    assert marks["body"].encode() in opened and marks["subject"].encode() in opened  # they did travel
    assert marks["body"].encode() in pgp_person.open(copies[pgp_person.address])


def test_the_tls_rung(lab, gateways, sinks):
    marks = markers()
    certificate = make_certificate(lab.folder, "mx-old.example.test", (lab.dns.ca, lab.dns.run / "ca.key"))
    sink = sinks(address="127.0.0.13", port=lab.mx_port, certificate=certificate)
    gateway = gateways(*lab.options(), "--policy", "test/policies/tls-verified-only.json")
    message = submit(gateway, marks, ["anna@old.example.test"])
    settled = gateway.wait_record("message.settled", message=message)
    assert settled["recipients"][0]["rung"].startswith("tls:")
    assert marks["body"].encode() in sink.messages[0]["data"]
    assert_clean(gateway, marks, sink)


def test_while_it_waits_and_after_roles_crash(gateways, sinks, person):
    """The release build: a message waits in the queue, every role gets a SIGSEGV in the middle of its work, then it goes."""
    build("release")
    sink, marks = sinks(), markers()
    gateway = gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", "test/policies/leaks.json", "--workers", 1,
                       preset="release")
    gateway.run("keys", "import", str(person.certificate))
    sink.replies["RCPT"] = "451 4.3.0 later"
    message = submit(gateway, marks, [person.address, "pat@plain.test"])
    gateway.wait_record("delivery.attempted", message=message, outcome="deferred")
    assert_clean(gateway, marks, sink)
    for role in CRASHING:
        before = gateway.pids(role)
        gateway.kill(role, signal.SIGSEGV)
        deadline = time.monotonic() + 60
        while not (now := gateway.pids(role)) or set(now) & set(before):
            assert time.monotonic() < deadline, role
            time.sleep(0.02)
    assert_clean(gateway, marks, sink)
    del sink.replies["RCPT"]
    settled = gateway.wait_record("message.settled", 120, message=message)
    assert sorted(r["rung"] for r in settled["recipients"]) == ["portal", "smime"]
    assert_clean(gateway, marks, sink)


def test_secrets(gateways, sinks, person, pgp_person):
    """Keys, passwords (wrong ones too), and the portal's links, codes and cookies."""
    sink = sinks()
    gateway = gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", "test/policies/leaks.json", "--workers", 1)
    gateway.run("keys", "import", str(pgp_person.key))
    given = {"wrong password": os.urandom(12).hex(), "wrong user": f"user-{os.urandom(8).hex()}"}
    with gateway.client(login=False) as client:
        for user, password in ((gateway.info["user"], given["wrong password"]), (given["wrong user"], "x" * 20)):
            client.user, client.password = user, password
            with pytest.raises(smtplib.SMTPAuthenticationError):  # one try each: more of them end the session
                client.ehlo_or_helo_if_needed()
                client.auth("PLAIN", client.auth_plain)
    message = submit(gateway, markers(), [pgp_person.address, "pat@plain.test"])  # the tenant's keys sign
    gateway.wait_record("message.settled", message=message)
    given.update(use_portal(gateway, sink))
    gateway.wait_record("portal.opened", message=message)
    leaks.assert_none(gateway, {**leaks.keys_of(gateway), **given}, leaks.KEY_PLACES)
    password = next(f for f in leaks.forms(gateway.info["password"]) if f[0] == "plain")[1]
    assert password not in sink.wire


def use_portal(gateway, sink):
    """Opens the message that waits for pat@plain.test; returns every secret that it took."""
    def mails():
        return [m["data"] for m in sink.messages if m["to"] == ["pat@plain.test"]]

    def next_mail(count):
        deadline = time.monotonic() + 60
        while len(mails()) < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return mails()[count - 1]

    https = Https(gateway)
    token = token_of(link_in(next_mail(1)))
    asked = https.ask("POST", "/code", {"token": token})
    code = code_in(next_mail(2))
    wrong = "1234 5678" if code != "1234 5678" else "8765 4321"
    assert https.ask("POST", "/open", {"code": wrong}, cookie_of(asked)).status != 303
    opened = https.ask("POST", "/open", {"code": code}, cookie_of(asked))
    assert opened.status == 303
    assert https.ask("GET", opened.getheader("Location"), cookie=cookie_of(opened)).status == 200
    found = {"code": code, "code without its gap": code.replace(" ", ""), "token": token}
    for name, answer in (("waiting cookie", asked), ("session cookie", opened)):
        value = cookie_of(answer).split("=", 1)[1]
        found.update({name: value, f"{name}, its bits": base64.urlsafe_b64decode(value + "=")})
    found["token, its bits"] = base64.urlsafe_b64decode(token + "=")
    return found
