"""TLS reports (RFC 8460): what was counted on a day is told to the domain on the next, by mail and over HTTPS, once."""
import base64
import email
import email.policy
import gzip
import http.server
import json
import pathlib
import re
import signal
import ssl
import subprocess
import threading
import time
import unittest.mock

import dkim
import jsonschema
import pytest

from lab import mail

DAY = 86400 * 1000
JUMPS = 18, 60  # seconds from the start of the gateway until its clock stands a day ahead; the second if it starts slowly
NUMBER, TEXT = {"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}


def struct(required, **optional):
    return {"type": "object", "properties": {**required, **optional}, "required": list(required), "additionalProperties": False}


def array(items):
    return {"type": "array", "items": items}


SCHEMA = struct({  # RFC 8460 4.4
    "organization-name": TEXT,
    "date-range": struct({"start-datetime": TIME, "end-datetime": TIME}),
    "contact-info": TEXT,
    "report-id": TEXT,
    "policies": array(struct({
        "policy": struct({"policy-type": {"enum": ["tlsa", "sts", "no-policy-found"]}, "policy-domain": TEXT},
                         **{"policy-string": array(TEXT), "mx-host": array(TEXT)}),
        "summary": struct({"total-successful-session-count": NUMBER, "total-failure-session-count": NUMBER}),
    }, **{"failure-details": array(struct({
        "result-type": {"enum": [
            "starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted",
            "validation-failure", "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error",
            "sts-policy-invalid", "sts-webpki-invalid"]},
        "receiving-mx-hostname": TEXT, "failed-session-count": NUMBER}, **{"receiving-ip": TEXT}))}))})


class Receiver:
    """HTTPS at mta-sts.example.test that takes reports; the first `refuse` of them it answers with 503. on_taken is called
    when one has been taken, before the answer."""

    def __init__(self, lab, refuse=0):
        self.posts, left, self.on_taken = [], [refuse], lambda: None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(handler):
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.posts.append((handler.path, dict(handler.headers), body))
                left[0] -= 1
                if left[0] < 0:
                    self.on_taken()
                handler.send_response(503 if left[0] >= 0 else 201)
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", lab.dns.report_port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*lab.dns.certificate("mta-sts"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.fixture
def reporter(lab, gateways, tmp_path):
    """make(seconds) starts a gateway that signs as clinic.test and whose clock jumps a day ahead then."""
    tenant = tmp_path / "clinic.json"
    tenant.write_text(json.dumps({"tenant": "clinic", "domains": ["clinic.test"],
                                  "dkim": {"domain": "clinic.test", "selector": "gw1"},
                                  "proofs": {"networks": ["127.0.0.0/8"], "client_certificates": ["clinic.test"]}}))

    def make(jump):
        clock = f"SP_CLOCK_AT={int((time.monotonic() + jump) * 1000)}:{DAY}"
        return gateways(*lab.options(), "--tenant", tenant, "--set", 'tls_reports.delay="1s"', "--set",
                        'tls_reports.retry="1s"', "--set", 'tls_reports.organization="Clinic"', prefix=["env", clock])
    return make


def see_sessions(gateway):
    """One session that is as it should be, and one to a host whose TLSA record does not match."""
    for recipient in ("anna@example.test", "a@wrong.example.test"):
        message, message_id = mail.make("hello\r\n", [recipient])
        gateway.send(message, [recipient])
        record = gateway.wait_record("delivery.attempted", message=gateway.message_of(message_id))
        assert record["sessions"], record
    return record["time"][:10]


def begin_a_day(reporter):
    """A gateway that has seen its sessions before its clock jumped, the day, and how long from then."""
    for jump in JUMPS:
        today = time.strftime("%Y-%m-%d", time.gmtime())
        gateway = reporter(jump)
        day = see_sessions(gateway)
        if day == today:
            return gateway, day, jump
    raise AssertionError("it starts too slowly: its clock had jumped before")


def states(gateway, day):
    return {(r["domain"], r.get("uri", "")[:6]): r["state"] for r in gateway.json("tlsrpt", "show", "--day", day)["sent"]}


def are(gateway, day, wanted):
    try:
        return states(gateway, day) == wanted
    except RuntimeError as error:  # the ledger is away for a moment
        assert "repeat" in str(error)
        return False


def read_mail(data, gateway):
    """Checks a report's mail as a receiver does. returns: the report"""
    public = subprocess.run(["openssl", "rsa", "-in", pathlib.Path(gateway.info["config"]).parent / "keys/dkim.key",
                             "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
    record = b"v=DKIM1; k=rsa; s=tlsrpt; p=" + base64.b64encode(public)
    asked = []
    now = time.time() + DAY / 1000  # the signature is of tomorrow too
    with unittest.mock.patch("dkim.time.time", lambda: now):
        assert dkim.verify(data, dnsfunc=lambda name, timeout=5: asked.append(name) or record, tlsrpt="strict"), data.decode()
    assert asked[0].rstrip(b".") == b"gw1._domainkey.clinic.test"
    m = email.message_from_bytes(data, policy=email.policy.default)
    signed = re.search(r"\bh=([^;]*)", "".join(m["DKIM-Signature"].split())).group(1).lower().split(":")
    assert {"tls-report-domain", "tls-report-submitter", "tls-required", "from", "subject"} <= set(signed), signed
    assert m.get_content_type() == "multipart/report" and m.get_param("report-type") == "tlsrpt"
    domain = m["TLS-Report-Domain"]
    assert m["TLS-Report-Submitter"] == "clinic.test" and m["TLS-Required"] == "No"
    subject = re.fullmatch(r"Report Domain: (\S+) Submitter: (\S+) Report-ID: <(\S+@\S+)>", m["Subject"])
    assert subject.group(1, 2) == (domain, "clinic.test"), m["Subject"]
    text, part = m.iter_parts()
    assert text.get_content_type() == "text/plain" and part.get_content_type() == "application/tlsrpt+gzip"
    assert re.fullmatch(rf"clinic\.test!{re.escape(domain)}!\d+!\d+\.json\.gz", part.get_filename())
    report = json.loads(gzip.decompress(part.get_content()))
    assert report["report-id"] == subject.group(3)
    jsonschema.validate(report, SCHEMA)
    return report


def reports_in(messages):
    found = [data for data in messages if b"TLS-Report-Domain:" in data]
    return [data[data.index(b"\n") + 1:] if data.startswith(b"Return-Path") else data for data in found]


def test_a_days_reports_are_sent_once(lab, reporter, sinks):
    receiver = Receiver(lab, refuse=1)
    sink = sinks(address="127.0.0.12", port=lab.mx_port, certificate=lab.dns.certificate("other"))
    try:
        gateway, day, jump = begin_a_day(reporter)
        receiver.on_taken = lambda: gateway.kill("ledger", signal.SIGKILL)  # it never hears that the report was taken
        assert states(gateway, day) == {}, "the day has not ended"
        wanted = {("example.test", "mailto"): "sent", ("wrong.example.test", "mailto"): "sent",
                  ("wrong.example.test", "https:"): "sent"}
        wait_until(lambda: are(gateway, day, wanted), jump + 60, "the reports are not sent")
        wait_until(lambda: any(b"TLS-Report-Domain" in m["data"] for m in sink.messages), 60, "no mail to the broken host")
        wait_until(lambda: reports_in(lab.postfix.messages()), 60, "no mail to Postfix")
        # by mail to a host whose promise is kept
        good = read_mail(reports_in(lab.postfix.messages())[-1], gateway)
        assert good["organization-name"] == "Clinic" and good["contact-info"] == "postmaster@clinic.test"
        assert good["date-range"] == {"start-datetime": day + "T00:00:00Z", "end-datetime": day + "T23:59:59Z"}
        policy = next(p for p in good["policies"] if p["policy"]["policy-type"] == "tlsa")
        assert policy["summary"] == {"total-successful-session-count": 1, "total-failure-session-count": 0}
        assert any(re.fullmatch(rf"_{lab.mx_port}\._tcp\.mx1\.example\.test\. IN TLSA 3 1 1 [0-9a-f]{{64}}", s)
                   for s in policy["policy"]["policy-string"]), policy
        # by mail through TLS that the report says is broken: nothing else goes there
        bad = read_mail(next(m["data"] for m in sink.messages if b"TLS-Report-Domain" in m["data"]), gateway)
        assert bad["policies"][0]["failure-details"][0]["result-type"] == "validation-failure"
        assert all(b"TLS-Report-Domain" in m["data"] for m in sink.messages)
        # and over HTTPS, the second time, though the ledger that had asked for it was killed meanwhile
        assert len(receiver.posts) == 2
        path, header, body = receiver.posts[1]
        assert path == "/v1/reports?from=us" and header["Content-Type"] == "application/tlsrpt+gzip"
        assert json.loads(gzip.decompress(body)) == bad
        assert re.search(r"wrong\.example\.test +sent +mailto:tlsrpt@wrong", gateway.run("tlsrpt", "show").stdout)
        told = [r for r in gateway.records() if r["event"] == "transport.report-sent"]
        assert {(r["domain"], r["uri"].split(":")[0]) for r in told} == {
            ("example.test", "mailto"), ("wrong.example.test", "mailto"), ("wrong.example.test", "https")}
        check_nothing_twice(lab, gateway, sink, receiver, day, wanted)
    finally:
        receiver.stop()


def check_nothing_twice(lab, gateway, sink, receiver, day, wanted):
    """A ledger that was killed reads what has been sent, and so does one after the relay was killed too."""
    def under_way():  # a relay that dies would send again what it does not know to have arrived
        return [r["address"] for m in gateway.json("queue", "list")["messages"] for r in m["recipients"]
                if r["address"].startswith("tlsrpt@")]
    wait_until(lambda: not under_way(), 60, "reports are under way")
    before = len(reports_in(lab.postfix.messages())), len(sink.messages), len(receiver.posts)
    for role in ("ledger", "relay"):
        gateway.restart(role, signal.SIGKILL)
    message, message_id = mail.make("later\r\n", ["anna@example.test"])
    gateway.send(message, ["anna@example.test"])
    gateway.wait_record("message.settled", message=gateway.message_of(message_id))

    wait_until(lambda: are(gateway, day, wanted), 60, "what was sent is not known any more")
    assert (len(reports_in(lab.postfix.messages())), len(sink.messages), len(receiver.posts)) == before
