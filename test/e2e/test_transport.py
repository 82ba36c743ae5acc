"""What a domain has promised and proved outlives its DNS, its web server and our own processes."""
import hashlib
import http.server
import json
import pathlib
import signal
import ssl
import subprocess
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from lab import mail
from lab.ports import free_port
from lab.sink import make_certificate

POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mx-sts.example.test\r\nmax_age: 86400\r\n"


class PolicyHost:
    """HTTPS for mta-sts.sts.example.test; stop() refuses connections from then on."""

    def __init__(self, lab):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(POLICY)))
                self.end_headers()
                self.wfile.write(POLICY)

            def log_message(self, *_):
                pass

        self.port = free_port()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*lab.dns.certificate("mta-sts"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def promised(lab, gateways, sinks):
    """A gateway that has seen sts.example.test keep its enforced policy; then its web server and its host are gone."""
    host = PolicyHost(lab)
    gateway = gateways(*lab.options(), "--set", f"fetcher.sts_port={host.port}", "--set", 'delivery.reuse="1s"')
    sink = sinks(address="127.0.0.15", port=lab.mx_port, certificate=lab.dns.certificate("hosts"))
    deliver(gateway, "tls:authenticated")
    sink.wait_idle()
    sink.stop()
    host.stop()
    return gateway


def send(gateway):
    message, message_id = mail.make("hello\r\n", ["s@sts.example.test"])
    gateway.send(message, ["s@sts.example.test"])
    return gateway.message_of(message_id)


def deliver(gateway, rung):
    settled = gateway.wait_record("message.settled", message=send(gateway))
    assert settled["recipients"][0]["rung"] == rung, settled


def shown(gateway):
    return gateway.json("posture", "show", "sts.example.test")["domains"][0]


def test_a_policy_binds_after_all_roles_were_killed(lab, promised, sinks):
    """Nobody answers for the policy any more, and the host shows another's certificate: nothing goes there."""
    gateway = promised
    assert gateway.wait_record("evidence.recorded", kind="sts")["sts"]["domain"] == "sts.example.test"
    for role in ("ledger", "relay", "fetcher"):
        gateway.kill(role, signal.SIGKILL)
    sink = sinks(address="127.0.0.15", port=lab.mx_port, certificate=lab.dns.certificate("other"))
    record = gateway.wait_record("delivery.attempted", 60, message=send(gateway))
    assert record["outcome"] == "deferred" and record["sts"]["mode"] == "enforce", record
    assert record["sts"]["txt"] == "present" and record["sts"]["fetched"] < record["sts"]["as_of"] < record["sts"]["until"]
    assert {r["cause"] for r in record["rungs"] if not r["taken"]} == {"broken"}, record
    assert sink.messages == []
    told = gateway.wait_record("dsn.sent", message=record["message"])  # the sender hears of a broken promise at once
    assert (told["action"], told["why"]) == ("delayed", "tls.name-mismatch"), told
    posture = shown(gateway)
    assert posture["best"] == "tls:authenticated" and posture["host"] == "mx-sts.example.test"
    assert posture["sts"]["policy"].encode() == POLICY


def test_an_administrator_forgets_a_domain(lab, promised, sinks):
    gateway = promised
    sink = sinks(address="127.0.0.15", port=lab.mx_port, certificate=lab.dns.certificate("other"))
    message = send(gateway)
    assert gateway.wait_record("delivery.attempted", message=message)["outcome"] == "deferred"
    assert gateway.run("posture", "forget", "sts.example.test", check=False).returncode == 64  # a reason is needed
    gateway.run("posture", "forget", "sts.example.test", "--reason", "they moved, ticket 7")
    record = gateway.wait_record("transport.posture-accepted", domain="sts.example.test")
    assert record["posture"] == {"before": "tls:authenticated", "now": "never-seen", "sts_forgotten": "20260101T000000"}
    assert record["actor"]["type"] == "admin" and record["reason"] == "they moved, ticket 7"
    gateway.run("queue", "retry", message)
    assert gateway.wait_record("message.settled", message=message)["recipients"][0]["rung"] == "tls:encrypted"
    assert len(sink.messages) == 1


@pytest.fixture(scope="module")
def gateway(lab, module_gateways):
    return module_gateways(*lab.options())


def probe(gateway, domain):
    done = gateway.run("probe", domain, "--json", check=False)
    return done.returncode, json.loads(done.stdout)


def test_a_probe_shows_what_mail_would_meet(lab, gateway):
    code, seen = probe(gateway, "example.test")
    assert code == 0 and seen["mx"]["state"] == "secure"
    host = seen["hosts"][0]
    assert host["talks"] and host["level"] == "tls:dane" and host["tlsa"]["state"] == "secure"
    assert host["tlsa_matched"] in host["tlsa"]["records"] and host["tls"]["verified_by"] == "dane-ee"
    assert {r["rung"]: r["open"] for r in seen["rungs"]}["tls:dane"] is True
    assert seen["policy"]["does"] == "take" and seen["policy"]["rung"] == "tls:dane"
    page = gateway.run("probe", "example.test").stdout
    assert "<- matched" in page and "worth    tls:dane" in page and len(page.splitlines()) < 60
    assert not any(b"MAIL FROM" in seen for seen in lab.postfix.messages())


def test_a_probe_tells_below_its_floor_from_unknown(lab, gateway, sinks):
    sinks(address="127.0.0.12", port=lab.mx_port, certificate=lab.dns.certificate("other"))
    code, seen = probe(gateway, "wrong.example.test")
    assert code == 1 and seen["hosts"][0]["level"] == "broken"
    assert seen["hosts"][0]["why_not"]["tls:dane"] == "tls.dane-mismatch"
    assert {r["cause"] for r in seen["rungs"]} == {"broken"}
    code, seen = probe(gateway, "bogus.test")
    assert code == 2 and seen["why"] == "dns.bogus", seen
    code, seen = probe(gateway, "nullmx.example.test")
    assert code == 1 and seen["why"] == "dns.null-mx"


def send_requiring(gateway, recipient):
    message, message_id = mail.make("hello\r\n", [recipient])
    gateway.send(message, [recipient], options=["REQUIRETLS"])
    return gateway.message_of(message_id)


def test_requiretls_goes_only_to_who_passes_it_on(lab, gateway, sinks):
    chain = lab.folder / "requiretls-chain.pem"
    chain.write_text(lab.dns.certificate("hosts")[0].read_text() + lab.dns.ca.read_text())
    sink = sinks(address="127.0.0.16", port=lab.mx_port, certificate=(chain, lab.dns.certificate("hosts")[1]),
                 offer=("PIPELINING", "8BITMIME", "REQUIRETLS", "ENHANCEDSTATUSCODES"))
    settled = gateway.wait_record("message.settled", message=send_requiring(gateway, "t@ta.example.test"))
    assert settled["recipients"][0]["rung"] == "tls:dane"
    assert sink.mails[0].endswith(b" REQUIRETLS")
    message = send_requiring(gateway, "a@sealed.example.test")  # Postfix does not offer it
    record = gateway.wait_record("delivery.attempted", message=message)
    assert record["outcome"] == "failed" and record["why"] == "hop.lacks-requiretls"
    assert gateway.wait_record("message.returned", message=message)["why"] == "hop.lacks-requiretls"
    assert gateway.wait_record("message.settled", message=message)["recipients"][0]["final"] == "returned"


def test_the_bounce_of_requiretls_asks_for_it_and_is_not_lost_without(lab, gateways, sinks):
    """RFC 8689 5. The sender's own host proves itself; at first it offers REQUIRETLS, and then no more."""
    home = f"mx-ta.example.test:{lab.mx_port}"
    gateway = gateways(*lab.options(), "--set", f'delivery.routes={{"tenant.test": "{home}"}}')
    chain = lab.folder / "bounce-chain.pem"
    chain.write_text(lab.dns.certificate("hosts")[0].read_text() + lab.dns.ca.read_text())
    for offered, ending in ((["REQUIRETLS"], b" REQUIRETLS"), ([], b"<>")):
        sink = sinks(address="127.0.0.16", port=lab.mx_port, certificate=(chain, lab.dns.certificate("hosts")[1]),
                     offer=("ENHANCEDSTATUSCODES", *offered))
        message = send_requiring(gateway, "a@sealed.example.test")
        dsn = sink.wait_for(1)[0]
        assert sink.mails[0].startswith(b"MAIL FROM:<>") and sink.mails[0].rstrip().endswith(ending), sink.mails
        assert dsn["tls"] and b"Status: 5.7.30" in dsn["data"] and b"hello" not in dsn["data"], dsn
        sent = gateway.wait_record("dsn.sent", message=message)
        assert gateway.wait_record("message.settled", message=sent["dsn"])["recipients"][0]["final"] == "delivered"
        sink.stop()
        gateway.restart("relay")


def test_tls_required_no_lifts_the_receivers_promise_and_no_floor(lab, gateway, sinks):
    sink = sinks(address="127.0.0.12", port=lab.mx_port, certificate=lab.dns.certificate("other"))
    message, message_id = mail.make("hello\r\n", ["a@wrong.example.test"], extra="TLS-Required: No\r\n")
    gateway.send(message, ["a@wrong.example.test"])
    settled = gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    assert settled["recipients"][0]["rung"] == "tls:encrypted" and settled["recipients"][0]["floor_met"] is True
    assert sink.messages[0]["tls"] is not None
    # it counts alone and as "No", and REQUIRETLS outranks it (RFC 8689 4.1, 3)
    for extra, options, why in (("TLS-Required: Yes\r\n", (), "tls.dane-mismatch"),
                                ("TLS-Required: No\r\n" * 2, (), "tls.dane-mismatch"),
                                ("TLS-Required: No\r\n", ("REQUIRETLS",), "tls.dane-mismatch")):
        message, message_id = mail.make("hello\r\n", ["a@wrong.example.test"], extra=extra)
        gateway.send(message, ["a@wrong.example.test"], options=options)
        record = gateway.wait_record("delivery.attempted", message=gateway.message_of(message_id))
        assert record["outcome"] == "deferred" and record["why"] == why, record
    assert len(sink.messages) == 1


def key_of(certificate):
    """SHA-256 of the public key of a certificate's file, the first in it."""
    public = x509.load_pem_x509_certificate(pathlib.Path(certificate).read_bytes()).public_key()
    return hashlib.sha256(public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
                          ).hexdigest()


def pin(gateway, partners):
    """Gives the gateway these partners."""
    file = pathlib.Path(gateway.info["policy"]).parent / "partners.json"
    file.write_text(json.dumps({"version": 1, "partners": partners}))
    assert subprocess.run([gateway.info["program"], "check", "-c", gateway.info["config"]], capture_output=True).returncode == 0
    gateway.reload()


def test_a_partner_is_what_its_entry_says(lab, gateways, sinks):
    """Each entry sends its domain, which no DNS knows, to a host without TLSA (sts) or with one (ta)."""
    sts, ta = (f"mx-{name}.example.test:{lab.mx_port}" for name in ("sts", "ta"))
    chain = lab.folder / "partner-chain.pem"
    chain.write_text(lab.dns.certificate("hosts")[0].read_text() + lab.dns.ca.read_text())
    cases = {  # entry, rung or None
        "named.example": ({"next_hop": sts, "names": ["mx-sts.example.test"]}, "tls:authenticated"),
        "misnamed.example": ({"next_hop": sts, "names": ["elsewhere.example.test"]}, None),
        "authority.example": ({"next_hop": sts, "ca_keys": [key_of(lab.dns.ca)]}, "tls:authenticated"),
        "stranger.example": ({"next_hop": sts, "ca_keys": ["ab" * 32]}, None),
        "dane.example": ({"next_hop": ta, "level": "tls:dane"}, "tls:dane"),
        "no-dane.example": ({"next_hop": sts, "level": "tls:dane"}, None)}
    gateway = gateways(*lab.options())
    pin(gateway, {domain: entry for domain, (entry, _) in cases.items()})
    hosts = [sinks(address=address, port=lab.mx_port, certificate=(chain, lab.dns.certificate("hosts")[1]))
             for address in ("127.0.0.15", "127.0.0.16")]
    text, message_id = mail.make("hello\r\n")
    gateway.send(text, [f"a@{domain}" for domain in cases])
    for n, (domain, (_, rung)) in enumerate(cases.items()):
        code, seen = probe(gateway, domain)
        assert code == (0 if rung else 1) and seen["hosts"][0]["level"] == (rung or "broken"), (domain, seen)
        record = gateway.wait_record("delivery.attempted", message=gateway.message_of(message_id), n=[n])
        assert record["outcome"] == ("delivered" if rung else "deferred"), record
    assert sorted(to for host in hosts for m in host.messages for to in m["to"]) == sorted(
        f"a@{domain}" for domain, (_, rung) in cases.items() if rung)
    # who demands DANE and does not get it says so in the reports
    assert record["hop"]["domain"] == "no-dane.example" and record["sessions"], record
    assert {(s["policy"], s["result"]) for s in record["sessions"]} == {("tlsa", "dane-required")}, record["sessions"]


def test_a_pinned_partner_must_show_its_key(lab, gateways, sinks):
    """old.example.test promises nothing by itself; the operator knows the key of its host."""
    certificate = lab.dns.certificate("other")
    gateway = gateways(*lab.options())
    pin(gateway, {"old.example.test": {"keys": [key_of(certificate[0])]}})
    sink = sinks(address="127.0.0.13", port=lab.mx_port, certificate=lab.dns.certificate("hosts"))
    code, seen = probe(gateway, "old.example.test")
    assert code == 1 and seen["hosts"][0]["level"] == "broken", seen
    assert seen["hosts"][0]["why_not"]["tls:authenticated"] == "partner.key-mismatch"
    # what an administrator demands is no promise of the receiver's: no sender's header field lifts it
    message, message_id = mail.make("hello\r\n", ["a@old.example.test"], extra="TLS-Required: No\r\n")
    gateway.send(message, ["a@old.example.test"])
    record = gateway.wait_record("delivery.attempted", message=gateway.message_of(message_id))
    assert record["outcome"] == "deferred", record
    assert sink.messages == []
    sink.stop()
    sinks(address="127.0.0.13", port=lab.mx_port, certificate=certificate)
    code, seen = probe(gateway, "old.example.test")
    assert code == 0 and seen["policy"]["rung"] == "tls:authenticated", seen


def test_sessions_are_counted_for_tls_reports(lab, gateways, sinks):
    gateway = gateways(*lab.options())
    sinks(address="127.0.0.12", port=lab.mx_port, certificate=lab.dns.certificate("other"))
    for recipient in ("anna@example.test", "a@wrong.example.test"):
        message, message_id = mail.make("hello\r\n", [recipient])
        gateway.send(message, [recipient])
        record = gateway.wait_record("delivery.attempted", message=gateway.message_of(message_id))
        assert record["sessions"], record
    day = record["time"][:10]
    sums = {d["domain"]: (d["successful"], d["failed"]) for d in gateway.json("tlsrpt", "show", "--day", day)["domains"]}
    assert sums["example.test"][0] == 1 and sums["wrong.example.test"][1] >= 1, sums
    report = json.loads(gateway.run("tlsrpt", "show", "wrong.example.test", "--day", day).stdout)
    policy = report["policies"][0]
    assert policy["policy"]["policy-type"] == "tlsa" and policy["summary"]["total-successful-session-count"] == 0
    assert policy["failure-details"][0]["result-type"] == "validation-failure"
    assert policy["failure-details"][0]["receiving-mx-hostname"] == "mx-wrong.example.test"
    assert gateway.run("tlsrpt", "show", "nobody.test", check=False).returncode == 1


def send_to(gateway, recipient):
    message, message_id = mail.make("hello\r\n", [recipient])
    gateway.send(message, [recipient])
    return gateway.message_of(message_id)


def test_a_drop_waits_until_its_time_is_over_or_somebody_takes_it_as_right(lab, gateways, sinks, tmp_path):
    """old.example.test promises nothing; its host has shown a good certificate, and then shows that of another name."""
    text = pathlib.Path("test/policies/every-tls.json").read_text()
    policy = json.loads(text[text.index("{"):])
    (ladder,) = policy["ladders"].values()
    ladder["rungs"] = [{"rung": rung, "stay": {"dropped": "10s"}} for rung in ladder["rungs"]]
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    gateway = gateways(*lab.options(), "--policy", tmp_path / "policy.json", "--set", 'delivery.reuse="1s"')
    good = make_certificate(lab.folder, "mx-old.example.test", (lab.dns.ca, lab.dns.run / "ca.key"))
    sink = sinks(address="127.0.0.13", port=lab.mx_port, certificate=good)
    settled = gateway.wait_record("message.settled", message=send_to(gateway, "a@old.example.test"))
    assert settled["recipients"][0]["rung"] == "tls:verified", settled
    sink.wait_idle()
    sink.stop()
    sink = sinks(address="127.0.0.13", port=lab.mx_port, certificate=lab.dns.certificate("other"))
    message = send_to(gateway, "a@old.example.test")
    dropped = gateway.wait_record("transport.posture-dropped", message=message)
    assert dropped["domain"] == "old.example.test"
    assert dropped["posture"] == {"before": "tls:verified", "now": "tls:encrypted"}
    record = gateway.wait_record("delivery.attempted", message=message)
    assert record["outcome"] == "deferred" and sink.messages == [], record
    assert {r["rung"]: r["cause"] for r in record["rungs"]}["tls:verified"] == "dropped", record
    # past its stay the next rung is taken
    settled = gateway.wait_record("message.settled", 40, message=message)
    assert settled["recipients"][0]["rung"] == "tls:encrypted" and settled["recipients"][0]["floor_met"], settled
    domain = gateway.json("posture", "show", "old.example.test")["domains"][0]
    (host,) = domain["hosts"]
    assert (host["host"], host["best"], host["now"]) == (domain["host"], "tls:verified", "tls:encrypted"), domain
    assert host["evidence"] == domain["evidence"] and host["proved"] == domain["proved"] < host["now_since"], domain
    page = gateway.run("posture", "show", "old.example.test").stdout
    assert "EVIDENCE" in page and host["evidence"][0] in page.split("EVIDENCE")[1], page
    # and taken as right it is no drop any more
    gateway.run("posture", "accept", "old.example.test", "--reason", "their postmaster confirmed it")
    accepted = gateway.wait_record("transport.posture-accepted", domain="old.example.test")
    assert accepted["posture"] == {"before": "tls:verified", "now": "tls:encrypted"}
    assert accepted["actor"]["type"] == "admin" and accepted["reason"] == "their postmaster confirmed it"
    settled = gateway.wait_record("message.settled", message=send_to(gateway, "a@old.example.test"))
    assert settled["recipients"][0]["rung"] == "tls:encrypted" and settled["recipients"][0]["attempts"] == 1, settled


def test_a_lost_database_is_told_again_by_the_journals(lab, promised, sinks):
    """state.db is gone, the policy's web server too, and somebody strips STARTTLS: level and policy bind as before."""
    gateway = promised
    for file in pathlib.Path(gateway.info["audit"]).parent.glob("state.db*"):
        file.unlink()
    for role in ("ledger", "relay"):
        gateway.restart(role, signal.SIGKILL)
    sink = sinks(address="127.0.0.15", port=lab.mx_port)
    record = gateway.wait_record("delivery.attempted", 60, message=send(gateway))
    assert record["outcome"] == "deferred" and sink.messages == [], record
    assert {rung["cause"] for rung in record["rungs"]} == {"broken"} and record["sts"]["mode"] == "enforce", record
    assert record["posture"] == {"before": "tls:authenticated", "now": "broken"}, record
