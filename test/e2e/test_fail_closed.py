"""Whatever breaks, no byte of a message leaves below its floor, and the audit says why. Every listener here records all
that came in clear; the marker must never be among it."""
import signal

import pytest

from lab import mail
from lab.sink import make_certificate

MARKER = "MARKER-4815162342"
STRICT = "test/policies/tls-verified-only.json"  # everything to everyone: verified TLS or nothing


@pytest.fixture
def strict(lab, gateways):
    """make(*options): a gateway whose only rungs are tls:dane, tls:authenticated and tls:verified."""
    return lambda *options: gateways(*lab.options(), "--policy", STRICT, *options)


def send(gateway, recipient, text=f"{MARKER}\r\n"):
    message, message_id = mail.make(text, [recipient])
    gateway.send(message, [recipient])
    return gateway.message_of(message_id)


def not_taken(gateway, message):
    """Why rungs were not taken: the first attempt's rungs, name -> (cause, why)."""
    record = gateway.wait_record("delivery.attempted", message=message)
    assert record["outcome"] != "delivered"
    return {r["rung"]: (r.get("cause"), r.get("why", "")) for r in record["rungs"] if not r["taken"]}


def assert_nothing_left(sink):
    assert MARKER.encode() not in bytes(sink.wire)
    assert sink.messages == []


def test_no_starttls(lab, strict, sinks):
    sink = sinks(address="127.0.0.13", port=lab.mx_port)  # no certificate: offers no STARTTLS
    gateway = strict()
    message = send(gateway, "a@old.example.test")
    assert not_taken(gateway, message)["tls:verified"] == ("unavailable", "tls.not-offered")
    assert_nothing_left(sink)


def test_a_tlsa_mismatch_is_broken(lab, strict, sinks):
    sink = sinks(address="127.0.0.12", port=lab.mx_port, certificate=lab.dns.certificate("other"))
    gateway = strict()
    message = send(gateway, "a@wrong.example.test")
    causes = not_taken(gateway, message)
    assert any(cause == "broken" and "dane" in why for cause, why in causes.values()), causes
    assert_nothing_left(sink)


def test_an_expired_certificate(lab, strict, sinks):
    certificate = make_certificate(lab.folder, "mx-old.example.test", (lab.dns.ca, lab.dns.run / "ca.key"), days=-5)
    sink = sinks(address="127.0.0.13", port=lab.mx_port, certificate=certificate)
    gateway = strict()
    message = send(gateway, "a@old.example.test")
    causes = not_taken(gateway, message)
    assert "expired" in causes["tls:verified"][1], causes
    assert_nothing_left(sink)


def test_a_certificate_of_another_name(lab, strict, sinks):
    sink = sinks(address="127.0.0.13", port=lab.mx_port, certificate=lab.dns.certificate("hosts"))
    gateway = strict()
    message = send(gateway, "a@old.example.test")
    assert "name" in not_taken(gateway, message)["tls:verified"][1]
    assert_nothing_left(sink)


def test_bogus_dnssec_defers(lab, strict, sinks):
    sink = sinks(address="127.0.0.19", port=lab.mx_port)
    gateway = strict()
    message = send(gateway, "a@bogus.test")
    causes = not_taken(gateway, message)
    assert all(cause in ("unreachable", "broken") for cause, _ in causes.values()), causes
    assert any("dns" in why for _, why in causes.values()), causes
    assert_nothing_left(sink)


def test_a_dead_resolver_defers(lab, gateways, sinks):
    sink = sinks(address="127.0.0.13", port=lab.mx_port)  # where the domain's mail would go, were it known
    gateway = gateways("--resolver", "127.0.0.1:1", "--mx-port", lab.mx_port, "--policy", STRICT,
                       "--set", 'resolver.timeout="500ms"')
    message = send(gateway, "a@old.example.test")
    causes = not_taken(gateway, message)
    assert causes and all(cause == "unreachable" for cause, _ in causes.values()), causes
    assert_nothing_left(sink)


def test_a_missing_key_falls_to_the_portal(lab, gateways):
    gateway = gateways(*lab.options(), "--policy", "policies/strict.json")
    message = send(gateway, "nokey@plain.example.test", mail.PHI + MARKER + "\r\n")
    settled = gateway.wait_record("message.settled", message=message)
    assert settled["recipients"][0]["rung"] == "portal"
    record = gateway.wait_record("delivery.attempted", message=message)
    whys = {r["rung"]: r.get("why") for r in record["rungs"]}
    assert whys["smime"] == whys["pgp"] == "keys.none-found"
    notice = lab.postfix.wait_for(lambda m: b"nokey@plain.example.test" in m)
    assert MARKER.encode() not in notice and b"Miller" not in notice


def test_a_dead_scanner(lab, gateways):
    """It hangs, so that starting it anew does not mend it: what nobody has looked at counts as most sensitive."""
    gateway = gateways(*lab.options(), "--policy", "policies/hipaa-default.json", "--set", 'intake.scan="3s"')
    gateway.kill("scanner", signal.SIGSTOP)
    try:
        message = send(gateway, "anna@example.test", "harmless words " + MARKER + "\r\n")
        accepted = gateway.wait_record("message.accepted", message=message)
        assert accepted["detection"]["scan"] == "failed"
        assert accepted["detection"]["why"] == "job.deadline"
        assert accepted["decisions"][0]["floor"] == "sealed"
        settled = gateway.wait_record("message.settled", 60, message=message)
        assert settled["recipients"][0]["rung"] == "portal" and settled["recipients"][0]["floor_met"] is True
        assert not any(MARKER.encode() in seen for seen in lab.postfix.messages())  # tls:dane was there to be had
    finally:
        gateway.kill("scanner", signal.SIGCONT)


def test_a_dead_sealer(lab, gateways, tmp_path):
    """The recipient has a certificate: the mail waits for the sealer, and neither TLS nor the portal takes its place."""
    person = mail.SmimePerson(tmp_path, "carla@example.test")
    gateway = gateways(*lab.options(), "--policy", "policies/hipaa-default.json", "--set", 'roles.job="2s"')
    gateway.run("keys", "import", str(person.certificate))
    text, message_id = mail.make(MARKER + "\r\n", [person.address], subject="[secure] Referral")
    gateway.kill("sealer", signal.SIGSTOP)
    try:
        gateway.send(text, [person.address])
        message = gateway.message_of(message_id)
        assert not_taken(gateway, message)["smime"] == ("unreachable", "job.deadline")
        assert not any(message_id.encode() in seen or MARKER.encode() in seen for seen in lab.postfix.messages())
    finally:
        gateway.kill("sealer", signal.SIGCONT)
    settled = gateway.wait_record("message.settled", 60, message=message)
    assert settled["recipients"][0]["rung"] == "smime"
    assert MARKER.encode() in person.open(lab.postfix.wait_for(lambda seen: message_id.encode() in seen))
