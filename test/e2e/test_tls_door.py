"""TLS at the door: certificates by name and algorithm, renewals that need nobody, staples, tickets over relays and rotations."""
import datetime
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from lab.pki import Authority
from lab.sink import Sink


@pytest.fixture(scope="module")
def sink():
    made = Sink()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "Door CA")


def install(leaf, folder, name):
    """Puts a pair in its place as renewing programs do: one file, then the other, each by a rename."""
    for source, end in (leaf.certificate, "pem"), (leaf.key, "key"):
        fresh = folder / f".{name}.{end}"
        shutil.copy(source, fresh)
        os.rename(fresh, folder / f"{name}.{end}")


@pytest.fixture(scope="module")
def gateway(module_gateways, sink, authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    install(authority.leaf("first", ["localhost"]), folder, "first")
    install(authority.leaf("rsa", ["localhost"], rsa_bits=2048), folder, "rsa")
    install(authority.leaf("other", ["other.test", "*.wild.test"]), folder, "other")
    more = ", ".join(f'{{"certificate": "{folder}/{name}.pem", "key": "{folder}/{name}.key"}}' for name in ("rsa", "other"))
    made = module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json", "--workers", 2,
                           "--set", f'tls.certificate="{folder}/first.pem"', "--set", f'tls.key="{folder}/first.key"',
                           "--set", f'tls.staple="{folder}/first.ocsp"', "--set", f"tls.certificates=[{more}]",
                           "--set", 'tls.watch="100ms"', "--set", 'tls.tickets="1s"')
    made.pairs, made.info["ca"] = folder, str(authority.certificate)
    return made


def handshake(gateway, *options, implicit=False):
    """What openssl s_client says of one handshake."""
    way = "smtps" if implicit else "smtp"
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.info[way]['port']}",
                           *(() if implicit else ("-starttls", "smtp")), "-CAfile", gateway.info["ca"], "-ign_eof", *options],
                          input="QUIT\r\n", capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def shown(gateway, *options, **more):
    said = handshake(gateway, *options, **more)
    return x509.load_pem_x509_certificate(re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", said, re.S)
                                          .group().encode())


def loaded(path):
    return x509.load_pem_x509_certificate(pathlib.Path(path).read_bytes())


def until(look, seconds=20):
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.1)


RSA = "-sigalgs", "rsa_pss_rsae_sha256:RSA+SHA256"


@pytest.mark.parametrize("options, name", [
    (("-noservername",), "first"), (("-servername", "localhost"), "first"), (("-servername", "localhost", *RSA), "rsa"),
    (("-noservername", *RSA), "rsa"), (("-servername", "Other.TEST"), "other"), (("-servername", "a.wild.test"), "other"),
    (("-servername", "a.b.wild.test"), "first"), (("-servername", "nobody.test"), "first"),
    (("-servername", "other.test", "-tls1_2"), "other"),
    (("-servername", "localhost", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), "rsa")])
def test_the_certificate_of_the_name(gateway, options, name):
    for implicit in False, True:
        assert shown(gateway, *options, implicit=implicit) == loaded(gateway.pairs / f"{name}.pem")


def test_a_renewed_certificate_is_shown_without_a_word(gateway, authority):
    before = loaded(gateway.pairs / "other.pem")
    with gateway.client() as client:  # goes on under the old one
        install(authority.leaf("other-2", ["other.test", "fresh.test"]), gateway.pairs, "other")
        after = loaded(gateway.pairs / "other.pem")
        record = gateway.wait_record("key.rotated", key="tls.certificates.1")
        assert record["certificate"] == after.fingerprint(hashes.SHA256()).hex() and record["not_after"].endswith("Z")
        until(lambda: {shown(gateway, "-servername", "fresh.test") for _ in range(6)} == {after})  # of both relays
        assert before != after and client.noop()[0] == 250
    assert shown(gateway, "-servername", "localhost") == loaded(gateway.pairs / "first.pem")


def test_a_renewal_ahead_of_its_time_is_taken_when_it_holds(gateway, authority):
    before = shown(gateway, "-servername", "other.test")
    seen = len(gateway.records())
    install(authority.leaf("ahead", ["other.test"], begins=datetime.timedelta(seconds=8)), gateway.pairs, "other")
    after = loaded(gateway.pairs / "other.pem")
    until(lambda: [r for r in gateway.records()[seen:] if r["event"] == "key.refused"])
    assert shown(gateway, "-servername", "other.test") == before
    gateway.wait_record("key.rotated", key="tls.certificates.1", certificate=after.fingerprint(hashes.SHA256()).hex())
    assert datetime.datetime.utcnow() >= after.not_valid_before
    refused = [r for r in gateway.records()[seen:] if r["event"] == "key.refused" and "does not hold yet" in r["reason"]]
    assert len(refused) == 1, refused  # it was looked at many times
    until(lambda: {shown(gateway, "-servername", "other.test") for _ in range(6)} == {after})


@pytest.mark.parametrize("kind, reason", [
    ("another's key", "does not belong to the certificate"), ("expired", "expired"), ("no certificate", "no certificate"),
    ("weak", "too weak"), ("gone", "No such file"), ("no chain", "not signed by")])
def test_a_bad_renewal_leaves_the_old_one(gateway, authority, kind, reason):
    before = shown(gateway, "-servername", "other.test")
    seen = len(gateway.records())
    good = gateway.pairs / "good"
    good.mkdir(exist_ok=True)
    for end in "pem", "key":
        shutil.copy(gateway.pairs / f"other.{end}", good / f"other.{end}")
    bad = authority.leaf("bad", ["other.test"], days=-1 if kind == "expired" else 30, rsa_bits=1024 if kind == "weak" else 0)
    install(bad, gateway.pairs, "other")
    if kind == "another's key":
        shutil.copy(good / "other.key", gateway.pairs / "other.key")
    elif kind == "no certificate":
        (gateway.pairs / "other.pem").write_text("nothing\n")
    elif kind == "gone":
        (gateway.pairs / "other.key").unlink()
    elif kind == "no chain":
        with (gateway.pairs / "other.pem").open("ab") as chain:
            chain.write((gateway.pairs / "first.pem").read_bytes())
    until(lambda: [r for r in gateway.records()[seen:] if r["event"] == "key.refused"])
    record = [r for r in gateway.records()[seen:] if r["event"] == "key.refused"][0]
    assert record["key"] == "tls.certificates.1" and reason in record["reason"], record
    assert "PRIVATE" not in str(record) and "supervisor.certificate-refused" in gateway.log
    assert shown(gateway, "-servername", "other.test") == before
    if kind == "gone":  # who starts anew starts with what was good
        gateway.restart("relay")
        until(lambda: shown(gateway, "-servername", "other.test") == before)
    # what was there before is no news
    for end in "pem", "key":
        shutil.copy(good / f"other.{end}", gateway.pairs / f".{end}")
        os.rename(gateway.pairs / f".{end}", gateway.pairs / f"other.{end}")
    assert shown(gateway, "-servername", "other.test") == before


# ---- staples ----

def staple(authority, certificate, status=ocsp.OCSPCertStatus.GOOD, hours=24):
    now = datetime.datetime.utcnow()
    revoked = status == ocsp.OCSPCertStatus.REVOKED
    response = ocsp.OCSPResponseBuilder().add_response(
        cert=certificate, issuer=authority.own, algorithm=hashes.SHA1(), cert_status=status,
        this_update=now - datetime.timedelta(hours=48), next_update=now + datetime.timedelta(hours=hours),
        revocation_time=now if revoked else None, revocation_reason=None)
    return response.responder_id(ocsp.OCSPResponderEncoding.HASH, authority.own).sign(
        authority.private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def put_staple(gateway, der):
    fresh = gateway.pairs / ".first.ocsp"
    fresh.write_bytes(der)
    os.rename(fresh, gateway.pairs / "first.ocsp")


def is_stapled(gateway, *options):
    said = handshake(gateway, "-status", *options)
    assert "OCSP response: no response sent" in said or "OCSP Response Status: successful" in said
    return "OCSP Response Status: successful" in said


def test_a_staple_from_a_file_that_is_refreshed(gateway, authority):
    first = loaded(gateway.pairs / "first.pem")
    assert not is_stapled(gateway)
    put_staple(gateway, staple(authority, first))
    until(lambda: all(is_stapled(gateway) for _ in range(4)))
    assert is_stapled(gateway, "-tls1_2") and not is_stapled(gateway, "-servername", "other.test")
    for bad in (staple(authority, first, ocsp.OCSPCertStatus.REVOKED), staple(authority, loaded(gateway.pairs / "rsa.pem")),
                staple(authority, first, hours=-24), b"nonsense"):
        put_staple(gateway, bad)
        until(lambda: not any(is_stapled(gateway) for _ in range(4)))
        put_staple(gateway, staple(authority, first))
        until(lambda: all(is_stapled(gateway) for _ in range(4)))
    for why in "the certificate is revoked", "it is about another certificate", "it is no OCSP response":
        assert why in gateway.log


# ---- tickets ----

def rotations(gateway):
    return gateway.log.count('"supervisor.tickets-rotated"')


def test_tickets_go_from_relay_to_relay_and_over_rotations(gateway, tmp_path):
    sessions = {version: tmp_path / version for version in ("-tls1_2", "-tls1_3")}
    begin = rotations(gateway)
    for version, session in sessions.items():
        handshake(gateway, version, "-sess_out", str(session))
        for _ in range(4):  # of two relays, who share keys
            assert "\nReused, " in handshake(gateway, version, "-sess_in", str(session))
    until(lambda: rotations(gateway) > begin)
    for version, session in sessions.items():
        assert "\nReused, " in handshake(gateway, version, "-sess_in", str(session))
    begin = rotations(gateway)
    until(lambda: rotations(gateway) > begin + 3)  # their keys have gone
    for version, session in sessions.items():
        until(lambda v=version, s=session: "\nNew, " in handshake(gateway, v, "-sess_in", str(s)))
