"""What each recipient's domain can prove decides how mail leaves: DANE, MTA-STS, PKIX; and the copy is byte-exact."""
import base64
import http.server
import pathlib
import ssl
import subprocess
import threading

import dkim
import pytest

from lab import mail
from lab.ports import free_port


@pytest.fixture(scope="module")
def policy_server(lab):
    """The HTTPS host of MTA-STS policies for sts.example.test."""
    body = b"version: STSv1\r\nmode: enforce\r\nmx: mx-sts.example.test\r\nmax_age: 86400\r\n"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            good = self.path == "/.well-known/mta-sts.txt"
            self.send_response(200 if good else 404)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*lab.dns.certificate("mta-sts"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def gateway(lab, policy_server, module_gateways):
    return module_gateways(*lab.options(), "--set", f"fetcher.sts_port={policy_server.server_address[1]}")


def settle(gateway, message_id):
    message = gateway.message_of(message_id)
    return message, gateway.wait_record("message.settled", message=message)


def attempt(gateway, message, n=0):
    return [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == message and n in r["n"]]


def test_a_tlsa_record_of_the_host_is_matched(lab, gateway):
    message, message_id = mail.make("quarterly newsletter\r\n")
    gateway.send(message, ["anna@example.test"])
    got = lab.postfix.wait_for(message_id.encode())
    assert got.endswith(message)
    identity, settled = settle(gateway, message_id)
    assert settled["recipients"][0]["rung"] == "tls:dane"
    assert settled["recipients"][0]["floor_met"] is True
    last = attempt(gateway, identity)[-1]
    assert last["tls"]["verified_by"] == "dane-ee"
    assert last["dns"]["tlsa"] == "secure"
    assert last["dns"]["tlsa_matched"].startswith("3 1 1 ")
    recorded = {r["digest"] for r in gateway.records() if r["event"] == "evidence.recorded"}
    assert len(last["evidence"]) >= 2 and set(last["evidence"]) <= recorded
    assert last["sent"]["unchanged"] is True


def lines_of(gateway, identity):
    """The audit lines that name a message, as bytes, without evidence that others may cite too."""
    return [line for line in pathlib.Path(gateway.info["audit"]).read_bytes().splitlines(keepends=True)
            if identity.encode() in line and b'"evidence.recorded"' not in line]


def test_the_audit_of_a_message_takes_4_kib_and_cites_its_evidence(lab, gateway):
    sizes = []
    for _ in range(4):
        message, message_id = mail.make("the quarterly newsletter\r\n")
        gateway.send(message, ["anna@example.test"])
        identity, _ = settle(gateway, message_id)
        sizes.append(sum(map(len, lines_of(gateway, identity))))
    # what DNS and certificates said is on record once a relay, and an STS policy once more when it is fetched
    recorded = [r["digest"] for r in gateway.records() if r["event"] == "evidence.recorded"]
    assert set(attempt(gateway, identity)[-1]["evidence"]) <= set(recorded)
    relays = len(gateway.pids("relay"))
    assert all(recorded.count(d) <= relays + d.startswith("sts:") for d in recorded), recorded
    assert max(sizes) <= 4096, sizes


def test_a_tlsa_record_of_the_authority_is_matched(lab, gateway, sinks):
    chain = lab.folder / "ta-chain.pem"
    chain.write_text(lab.dns.certificate("hosts")[0].read_text() + lab.dns.ca.read_text())
    sink = sinks(address="127.0.0.16", port=lab.mx_port, certificate=(chain, lab.dns.certificate("hosts")[1]))
    message, message_id = mail.make("hello\r\n")
    gateway.send(message, ["t@ta.example.test"])
    assert sink.wait_for(1)[0]["data"].endswith(message)
    identity, settled = settle(gateway, message_id)
    assert settled["recipients"][0]["rung"] == "tls:dane"
    assert attempt(gateway, identity)[-1]["tls"]["verified_by"] == "dane-ta"


def test_an_enforced_sts_policy_authenticates(lab, gateway, sinks):
    sink = sinks(address="127.0.0.15", port=lab.mx_port, certificate=lab.dns.certificate("hosts"))
    message, message_id = mail.make("hello\r\n")
    gateway.send(message, ["s@sts.example.test"])
    assert sink.wait_for(1)[0]["data"].endswith(message)
    identity, settled = settle(gateway, message_id)
    assert settled["recipients"][0]["rung"] == "tls:authenticated"
    assert attempt(gateway, identity)[-1]["sts"]["mode"] == "enforce"


def test_a_dkim_signature_survives(lab, gateway, tmp_path):
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    public = subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True)
    message, message_id = mail.make("signed text\r\n.with a dot\r\n")
    signature = dkim.sign(message, b"sel", b"tenant.test", key.read_bytes(), canonicalize=(b"simple", b"simple"))
    message = signature + message
    gateway.send(message, ["anna@example.test"])
    got = lab.postfix.wait_for(message_id.encode())
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public.stdout)
    assert dkim.verify(got, dnsfunc=lambda name, timeout=5: record)


def test_null_mx_is_returned_at_once(lab, gateway):
    message, message_id = mail.make("hello\r\n")
    gateway.send(message, ["x@nullmx.example.test"])
    identity, settled = settle(gateway, message_id)
    assert settled["recipients"][0]["final"] == "returned"
