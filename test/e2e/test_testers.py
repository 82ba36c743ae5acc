"""Scanners that nobody here wrote look for weak TLS and an open relay, on the STARTTLS port and on the implicit one.

SALLYPORT_TESTSSL=1 runs testssl.sh whole, too: about two minutes a port on a quiet machine."""
import json
import os
import re
import subprocess
import xml.etree.ElementTree

import pytest

from lab.pki import Authority

# what testssl.sh says of the laboratory and not of us: it knows no revocation, no CAA record stands in its DNS, SMTP is not HTTP
OF_THE_LAB = {"engine_problem", "cert_revocation", "DNS_CAArecord", "cert_chain_of_trust", "cert_trust", "OCSP_stapling",
              "scanTime", "service"}
PORTS = pytest.mark.parametrize("way", ["smtp", "smtps"], ids=["starttls", "implicit"])


@pytest.fixture(scope="module")
def gateway(module_gateways, tmp_path_factory):
    names = ["localhost", "gateway.tenant.test"]
    rsa = Authority(tmp_path_factory.mktemp("authority")).leaf("rsa", names, days=300, rsa_bits=2048)
    return module_gateways("--next-hop", "127.0.0.1:1", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                           "--set", f'tls.certificates=[{{"certificate": "{rsa.certificate}", "key": "{rsa.key}"}}]')


def run(*words, seconds=120):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=seconds)


@PORTS
def test_sslscan_finds_nothing_weak(gateway, way):
    done = run("sslscan", "--xml=-", *(["--starttls-smtp"] if way == "smtp" else []), f"localhost:{gateway.info[way]['port']}")
    found = xml.etree.ElementTree.fromstring(done.stdout).find("ssltest")
    on = {(p.get("type"), p.get("version")) for p in found.findall("protocol") if p.get("enabled") == "1"}
    assert on == {("tls", "1.2"), ("tls", "1.3")}
    ciphers = {c.get("cipher") for c in found.findall("cipher")}
    assert ciphers == {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                       "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"}
    assert found.find("renegotiation").get("supported") == "0"
    assert all(h.get("vulnerable") == "0" for h in found.findall("heartbleed"))
    groups = {g.get("name") for g in found.findall("group")}
    assert groups <= {"secp256r1 (NIST P-256)", "secp384r1 (NIST P-384)", "secp521r1 (NIST P-521)", "x25519"} and len(groups) == 4


@PORTS
def test_nmap_finds_no_open_relay_and_no_weak_suite(gateway, way):
    port = gateway.info[way]["port"]
    done = run("nmap", "-Pn", "-n", "-sT", "-p", port, "-oX", "-", "--script", "+smtp-open-relay,+ssl-enum-ciphers",
               "--script-args", "smtp-open-relay.domain=elsewhere.test,smtp-open-relay.from=dr@tenant.test", "127.0.0.1",
               seconds=300)
    said = {s.get("id"): s.get("output") for s in xml.etree.ElementTree.fromstring(done.stdout).iter("script")}
    assert "isn't an open relay" in said["smtp-open-relay"] or "all tests failed" in said["smtp-open-relay"], said
    if way == "smtps":  # over STARTTLS the script looks at known port numbers only
        assert re.findall(r"least strength: (\S)", said["ssl-enum-ciphers"]) == ["A"]
        assert "TLSv1.1" not in said["ssl-enum-ciphers"] and "CBC" not in said["ssl-enum-ciphers"]


def no_finding_of_testssl(gateway, tmp_path, way):
    out = tmp_path / "testssl.json"
    done = run("testssl", "--quiet", "--color", "0", "--warnings", "batch", "--ip", "one", "--add-ca", gateway.info["ca"],
               "--jsonfile", out, *(["--starttls", "smtp"] if way == "smtp" else []), f"localhost:{gateway.info[way]['port']}",
               seconds=1700)
    found = json.loads(out.read_text())
    assert len(found) > 100, done.stdout[-2000:]
    bad = [f for f in found if f["severity"] not in ("OK", "INFO") and f["id"].split(" ")[0] not in OF_THE_LAB]
    assert not bad, bad


if "SALLYPORT_TESTSSL" in os.environ:  # minutes long: no test of every run
    test_testssl_finds_nothing = pytest.mark.timeout(1800)(PORTS(no_finding_of_testssl))
