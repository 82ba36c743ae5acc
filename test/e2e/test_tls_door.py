"""TLS at the door: certificates by name and algorithm, renewals that need nobody, staples, tickets over relays and rotations."""
import datetime
import json
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
from lab.ports import free_port
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


def handshake(gateway, *options, implicit=False, listener=None):
    """What openssl s_client says of one handshake."""
    way = listener or ("smtps" if implicit else "smtp")
    implicit = way in ("smtps", "west")
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


def until(look, seconds=60):
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


@pytest.fixture(scope="module")
def houses(module_gateways, sink, authority, tmp_path_factory):
    """Two houses behind two listeners, each with certificates of its own, and a third that says nothing."""
    folder, ports = tmp_path_factory.mktemp("houses"), [free_port() for _ in range(2)]
    for name, host, bits in ("first", "localhost", 0), ("east", "mx.house.test", 0), ("east-rsa", "mx.house.test", 2048), \
            ("west", "mx.house.test", 0):
        install(authority.leaf("house-" + name, [host], rsa_bits=bits), folder, name)
    more = [{"name": name.split("-")[0], "certificate": f"{folder}/{name}.pem", "key": f"{folder}/{name}.key"}
            for name in ("east", "east-rsa", "west")]
    listens = [{"address": f"127.0.0.1:{ports[0]}", "tls": "starttls", "certificates": ["east"]},
               {"address": f"127.0.0.1:{ports[1]}", "tls": "implicit", "certificates": ["west"]}]
    made = module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json", "--workers", 2,
                           "--set", f'tls.certificate="{folder}/first.pem"', "--set", f'tls.key="{folder}/first.key"',
                           "--set", "tls.certificates=" + json.dumps(more), "--set", 'tls.watch="100ms"',
                           *(word for one in listens for word in ("--listen", json.dumps(one))))
    made.pairs, made.info["ca"] = folder, str(authority.certificate)
    made.info["east"], made.info["west"] = {"port": ports[0]}, {"port": ports[1]}
    return made


HOUSES = [("smtp", (), "first"), ("smtp", ("-servername", "mx.house.test"), "east"), ("east", (), "east"),
          ("east", RSA, "east-rsa"), ("east", ("-servername", "localhost"), "east"), ("west", (), "west"),
          ("west", ("-servername", "mx.house.test"), "west"),
          ("west", ("-servername", "localhost"), "west")]


@pytest.mark.parametrize("listener, options, name", HOUSES)
def test_a_listener_shows_its_own_certificates(houses, listener, options, name):
    options = options if "-servername" in options else ("-noservername", *options)
    assert shown(houses, *options, listener=listener) == loaded(houses.pairs / f"{name}.pem")


def test_a_listeners_certificate_is_renewed_and_others_stay(houses, authority):
    east = loaded(houses.pairs / "east.pem")
    install(authority.leaf("house-west-2", ["mx.house.test"]), houses.pairs, "west")
    houses.wait_record("key.rotated", key="tls.certificates.2")
    until(lambda: {shown(houses, "-noservername", listener="west") for _ in range(6)} == {loaded(houses.pairs / "west.pem")})
    assert shown(houses, "-noservername", listener="east") == east
    installed = loaded(houses.pairs / "west.pem")
    (houses.pairs / "west.pem").write_text("nothing\n")
    houses.wait_record("key.refused", key="tls.certificates.2")
    assert shown(houses, "-noservername", listener="west") == installed


@pytest.mark.parametrize("change, wanted", [
    ({"certificates": ["nobody"]}, 'no certificate of tls.certificates has the name "nobody"'),
    ({"certificates": ["west"], "tls": "none"}, "has no TLS, and certificates")])
def test_a_listener_of_names_that_are_not_there_is_an_error(houses, tmp_path, change, wanted):
    config = json.loads(pathlib.Path(houses.info["config"]).read_text())
    config["listen"][0].update(change)
    (tmp_path / "sallyport.json").write_text(json.dumps(config))
    done = subprocess.run([houses.info["program"], "check", "-c", tmp_path / "sallyport.json"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1 and wanted in done.stderr, done.stderr


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
    install(authority.leaf("ahead", ["other.test"], begins=datetime.timedelta(seconds=14)), gateway.pairs, "other")
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
    if kind == "another's key":  # bad before it is in its place: it must not be good for a moment
        shutil.copy(good / "other.key", bad.key)
    elif kind == "no certificate":
        pathlib.Path(bad.certificate).write_text("nothing\n")
    elif kind == "no chain":
        with open(bad.certificate, "ab") as chain:
            chain.write((gateway.pairs / "first.pem").read_bytes())
    if kind == "gone":
        (gateway.pairs / "other.key").unlink()
    else:
        install(bad, gateway.pairs, "other")
    # a look between the two renames meets the new certificate with the old key, and says so first
    until(lambda: [r for r in gateway.records()[seen:] if r["event"] == "key.refused" and reason in r["reason"]])
    refused = [r for r in gateway.records()[seen:] if r["event"] == "key.refused"]
    record = [r for r in refused if reason in r["reason"]][0]
    assert all(r["key"] == "tls.certificates.1" for r in refused), refused
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

    def is_reused(version, session):
        """False where its key may have gone meanwhile, as on a machine with much to do: then with a fresh one."""
        begin = rotations(gateway)
        handshake(gateway, version, "-sess_out", str(session))
        said = [handshake(gateway, version, "-sess_in", str(session)) for _ in range(4)]  # of two relays, who share keys
        until(lambda: rotations(gateway) > begin)
        said.append(handshake(gateway, version, "-sess_in", str(session)))
        good, late = all("\nReused, " in s for s in said), rotations(gateway) > begin + 2
        assert good or late, said
        return good
    for version, session in sessions.items():
        until(lambda v=version, s=session: is_reused(v, s))
    begin = rotations(gateway)
    until(lambda: rotations(gateway) > begin + 3)  # their keys have gone
    for version, session in sessions.items():
        until(lambda v=version, s=session: "\nNew, " in handshake(gateway, v, "-sess_in", str(s)))
