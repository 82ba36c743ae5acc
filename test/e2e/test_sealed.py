"""S/MIME and PGP/MIME end to end: keys imported by the command line, mail opened by openssl and gpg, the audit's word."""
import json
import pathlib
import smtplib

import pytest

from lab import mail
from lab.pki import Authority
from lab.sink import Session, Sink

MARKER = "marker-7d41"
TEXT = f"Dear Pat,\r\n.\r\nFrom here on: {MARKER}\r\n"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    found = {"rsa": mail.SmimePerson(folder, "rsa@sealed.test"),
             "ec": mail.SmimePerson(folder, "ec@sealed.test", "P-256"),
             "pgp": mail.PgpPerson(folder, "pgp@sealed.test")}
    yield found
    found["pgp"].close()


@pytest.fixture(scope="module")
def sealing(module_gateways, people):
    """A gateway that knows three people's keys, and the sink that all its mail goes to."""
    sink = Sink()
    gateway = module_gateways("--next-hop", f"{sink.address}:{sink.port}")
    for path in (people["rsa"].certificate, people["ec"].certificate, people["pgp"].key):
        gateway.run("keys", "import", str(path))
    yield gateway, sink
    sink.stop()


def config_of(gateway):
    return pathlib.Path(gateway.info["config"]).parent


def send(gateway, sink, recipient):
    message, message_id = mail.make(TEXT, [recipient], subject="[secure] Referral", extra=f"Bcc: blind-{MARKER}@x.test\r\n")
    gateway.send(message, [recipient])
    record = gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    data = next(m["data"] for m in sink.messages if message_id.encode() in m["data"])
    return data, record["recipients"][0]


@pytest.mark.parametrize("name,kind", [("rsa", b"smime-type=enveloped-data"), ("ec", b"smime-type=authEnveloped-data")])
def test_smime(sealing, people, name, kind):
    gateway, sink = sealing
    data, recipient = send(gateway, sink, people[name].address)
    assert recipient["rung"] == "smime" and recipient["floor_met"]
    assert kind in data and MARKER.encode() not in data
    signed = people[name].open(data)
    assert TEXT.encode() in signed
    people[name].verify(signed, gateway.info["ca"])


def test_a_rule_chooses_the_cipher(module_gateways, people, tmp_path):
    """GCM for somebody whose certificate does not ask for it, CBC for somebody who would get GCM."""
    ladder = {"rungs": ["smime"], "floor": "sealed", "at_end": "return"}
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({
        "version": 1, "settings": {"floor": "sealed", "expire": "10m", "dkim_selector": "gw1"},
        "rules": [{"rule": "gcm", "when": {"recipient.address": "rsa@sealed.test"},
                   "then": {"protect": ladder, "smime": {"cipher": "aes-256-gcm"}}}],
        "default": {"protect": ladder, "smime": {"cipher": "aes-256-cbc"}}}))
    sink = Sink()
    gateway = module_gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", policy)
    for name, kind in (("rsa", b"smime-type=authEnveloped-data"), ("ec", b"smime-type=enveloped-data")):
        gateway.run("keys", "import", str(people[name].certificate))
        data, recipient = send(gateway, sink, people[name].address)
        assert recipient["rung"] == "smime" and kind in data and TEXT.encode() in people[name].open(data)
    sink.stop()


def test_smime_opens_in_gpgsm_too(sealing, people):
    gateway, sink = sealing
    data, _ = send(gateway, sink, people["rsa"].address)
    signed = people["rsa"].open_with_gpgsm(data)
    assert signed == people["rsa"].open(data)
    assert TEXT.encode() in people["rsa"].verify(signed, gateway.info["ca"])


def test_pgp(sealing, people):
    gateway, sink = sealing
    data, recipient = send(gateway, sink, people["pgp"].address)
    assert recipient["rung"] == "pgp" and recipient["floor_met"]
    assert b"multipart/encrypted" in data and MARKER.encode() not in data
    assert TEXT.encode() in people["pgp"].open(data, config_of(gateway) / "keys/pgp.key")


def test_keys_are_listed_and_gone_when_removed(sealing, people):
    gateway, _ = sealing
    keys = gateway.json("keys", "list")["keys"]
    assert sorted(key["kind"] for key in keys) == ["pgp", "smime", "smime"]
    assert all(key["usable"] and key["trust"] == "pinned" for key in keys)
    gateway.run("keys", "remove", keys[0]["id"])
    assert gateway.run("keys", "show", keys[0]["id"], check=False).returncode != 0
    assert gateway.wait_record("key.removed", key=keys[0]["id"])["actor"]["type"]
    assert len([r for r in gateway.records() if r["event"] == "key.imported"]) == 3


def test_a_protected_subject_is_nowhere_outside(module_gateways, people):
    sink = Sink()
    gateway = module_gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", "test/policies/sealed-subject.json")
    gateway.run("keys", "import", str(people["rsa"].certificate))
    message, message_id = mail.make(TEXT, [people["rsa"].address], subject=f"About {MARKER}",
                                    extra=f"Thread-Topic: About {MARKER}\r\n")
    gateway.send(message, [people["rsa"].address])
    gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    data = sink.messages[0]["data"]
    sink.stop()
    assert b"\r\nSubject: Secure message\r\n" in data and MARKER.encode() not in data
    inner = people["rsa"].verify(people["rsa"].open(data), gateway.info["ca"])
    assert f"Subject: About {MARKER}".encode() in inner and b"HP-Outer: Subject: Secure message" in inner
    assert all(MARKER not in str(record) for record in gateway.records()) and MARKER not in gateway.log


def test_no_line_outside_is_longer_than_a_host_must_take(module_gateways, people, tmp_path):
    """Folded where there is white space. A word that can't be folded keeps the sealed rungs from the message."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({
        "version": 1, "settings": {"floor": "sealed", "expire": "10m", "dkim_selector": "gw1",
                                   "portal": {"expires": "30d", "login": ["code"], "notify_floor": "plain"}},
        "rules": [{"rule": "or-portal", "when": {"recipient.address": "ec@sealed.test"},
                   "then": {"protect": {"rungs": ["smime", "portal"], "floor": "sealed", "at_end": "return"}}}],
        "default": {"protect": {"rungs": ["smime"], "floor": "sealed", "at_end": "return"}}}))
    sink = Sink()
    gateway = module_gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", policy)
    for name in ("rsa", "ec"):
        gateway.run("keys", "import", str(people[name].certificate))

    def make(references, recipient):
        return mail.make("z" * 3000 + "\r\n" + TEXT, [recipient], extra=f"References: {references}\r\n")

    ids = [f"<{n}@hospital.example>" for n in range(200)]
    message, message_id = make(" ".join(ids), "rsa@sealed.test")
    gateway.send(message, ["rsa@sealed.test"])
    settled = gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    assert settled["recipients"][0]["rung"] == "smime"
    data = next(m["data"] for m in sink.messages if message_id.encode() in m["data"])
    assert max(map(len, data.split(b"\r\n"))) <= 998
    outside = data.split(b"\r\n\r\n", 1)[0].replace(b"\r\n ", b" ")
    assert b"References: " + " ".join(ids).encode() in outside
    assert TEXT.encode() in people["rsa"].open(data)

    message, _ = make(f"<{'w' * 1500}@x>", "rsa@sealed.test")
    with pytest.raises(smtplib.SMTPDataError) as refused:
        gateway.send(message, ["rsa@sealed.test"])
    assert refused.value.smtp_code == 554 and b"5.6.0" in refused.value.smtp_error
    message, message_id = make(f"<{'w' * 1500}@x>", "ec@sealed.test")
    gateway.send(message, ["ec@sealed.test"])
    gateway.wait_record("portal.deposited", message=gateway.message_of(message_id))
    sink.stop()


@pytest.mark.parametrize("stay", ["0s", "1d"])
def test_a_host_that_puts_a_copy_off_gets_no_other_copy_in_its_place(gateways, sinks, tmp_path, stay):
    """With keys of both kinds, to the end of its time: each attempt sends one copy, and nobody dies of it."""
    both = mail.SmimePerson(tmp_path, "both@sealed.test"), mail.PgpPerson(tmp_path, "both@sealed.test")
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({
        "version": 1, "settings": {"floor": "sealed", "expire": "5s", "dkim_selector": "gw1"},
        "default": {"protect": {"rungs": [{"rung": "smime", "stay": {"unreachable": stay}}, "pgp"], "floor": "sealed",
                                "at_end": "return"}}}))
    sink = sinks(replies={"DOT": lambda data: "250 ok" if b"multipart/report" in data else "451 4.3.0 never"})
    try:
        gateway = gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", policy, "--retry", "1")
        for path in (both[0].certificate, both[1].key):
            gateway.run("keys", "import", str(path))
        message, message_id = mail.make(TEXT, [both[0].address])
        gateway.send(message, [both[0].address])
        identity = gateway.message_of(message_id)
        settled = gateway.wait_record("message.settled", message=identity)
        assert settled["recipients"][0]["final"] == "returned"
        tried = [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == identity]
        assert len([m for m in sink.mails if b"<>" not in m]) == len(tried) > 0
        assert '"supervisor.role-ended"' not in gateway.log
    finally:
        both[1].close()


def place(sinks, people, tmp_path, gateways, ladder, *options):
    """A gateway whose smarthosts these are, the first preferred, and that has keys of a person for S/MIME and of one for PGP."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({
        "version": 1, "settings": {"floor": "tls:encrypted", "expire": "1d", "dkim_selector": "gw1"},
        "default": {"protect": {"rungs": ladder, "floor": "tls:encrypted"}}}))
    hosts = [{"route": "*", "host": f"{s.address}:{s.port}", "priority": 10 * n} for n, s in enumerate(sinks)]
    gateway = gateways("--policy", policy, "--set", "delivery.smarthosts=" + json.dumps(hosts), *options)
    for path in (people["rsa"].certificate, people["pgp"].key):
        gateway.run("keys", "import", str(path))
    return gateway


@pytest.mark.parametrize("name", ["rsa", "pgp"])
def test_a_full_host_keeps_a_copy_from_no_other(gateways, sinks, people, tmp_path, name):
    """Also where the hosts were asked before: for a level that they have not, then for the keys' sake, then with the copy."""
    full = sinks(replies={"MAIL": "452 4.3.1 no room"}), sinks(replies={"DATA": "451 4.3.0 busy"})
    other = sinks()
    gateway = place([*full, other], people, tmp_path, gateways, ["tls:authenticated", "smime", "pgp"], "--retry", "3600")
    data, recipient = send(gateway, other, people[name].address)
    assert recipient["rung"] == {"rsa": "smime", "pgp": "pgp"}[name] and recipient["attempts"] == 1
    assert MARKER.encode() not in data and [len(s.mails) for s in full] == [1, 1]


def test_who_was_never_asked_is_not_told_of(gateways, sinks, people, tmp_path):
    """The first one asks for less, which another would do as well: nobody asks that one, for the next rung either."""
    certificate = Authority(tmp_path / "pki", "CA").leaf("host", ["host.test"]).pair
    first, second = (sinks(certificate=certificate, replies={"MAIL": "451 4.7.1 slower"}) for _ in range(2))
    gateway = place([first, second], people, tmp_path, gateways,
                    [{"rung": "tls:encrypted", "stay": {"unreachable": "0s"}}, "pgp"], "--retry", "3600")
    message, message_id = mail.make(TEXT, [people["pgp"].address])
    gateway.send(message, [people["pgp"].address])
    record = gateway.wait_record("delivery.attempted", message=gateway.message_of(message_id))
    assert record["outcome"] == "deferred" and record["why"] == "hop.deferred" and record["reply"] == "451 4.7.1"
    assert "asked" not in record["hop"]
    assert len(first.mails) == 1 and second.sessions == 0


class Waning(Session):
    """The first one over TLS ends at once; those after it have less."""

    def on_ehlo(self, line):
        super().on_ehlo(line)
        if self.tls:
            self.sink.certificate, self.sink.offer = None, ("8BITMIME",)
            raise EOFError


class WaningSink(Sink):
    session = Waning


def test_a_host_that_shows_less_when_the_keys_have_come_gets_nothing(gateways, sinks, people, tmp_path):
    """It had TLS and SMTPUTF8 when it was asked first, and neither when it is asked for the copy: that it had counts no more."""
    def greet(line):
        waning.wait_idle()
        return "421 4.3.2 down"

    certificate = Authority(tmp_path / "pki", "CA").leaf("host", ["host.test"]).pair
    waning = WaningSink(certificate=certificate, offer=("8BITMIME", "SMTPUTF8"))
    silent = sinks(replies={"CONNECT": greet})
    ladder = [{"rung": "tls:verified", "stay": {"unreachable": "0s", "dropped": "0s"}},
              {"rung": "smime", "stay": {"unreachable": "0s"}}, "tls:encrypted"]
    try:
        gateway = place([waning, silent], people, tmp_path, gateways, ladder, "--retry", "3600")
        message, message_id = mail.make(TEXT, [people["rsa"].address], subject="für dich")
        gateway.send(message, [people["rsa"].address], options=("SMTPUTF8", "BODY=8BITMIME"))
        record = gateway.wait_record("delivery.attempted", message=gateway.message_of(message_id))
        assert record["outcome"] == "deferred" and waning.mails == [] and waning.sessions == 2
        assert '"supervisor.role-ended"' not in gateway.log
    finally:
        waning.stop()
