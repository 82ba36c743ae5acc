"""Return paths of our own: each recipient has one, only what we made is taken back, and what comes back is known, recorded and
passed on to the sender. Reports are written by hand and by a real Postfix."""
import json
import os
import pathlib
import re
import smtplib
import subprocess
import time

import pytest

from lab import mail
from lab.ports import free_port, open_folder
from lab.postfix import Postfix

PLAIN = "test/policies/relay-plain.json"
DOMAIN = "bounce.tenant.test"
REPORT = """From: MAILER-DAEMON@mx.example.net\r
To: {to}\r
Subject: Undelivered Mail Returned to Sender\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="==b"\r
\r
--==b\r
Content-Type: text/plain\r
\r
I'm sorry.\r
--==b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example.net\r
\r
Final-Recipient: rfc822; {final}\r
Action: {action}\r
Status: {status}\r
Diagnostic-Code: smtp; {code} {status} no such user here\r
\r
--==b--\r
"""


class Place:
    def __init__(self, gateways, sink, *options, policy=PLAIN):
        self.sink, self.port = sink, free_port()
        self.gateway = gateways(
            "--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", policy, "--retry", "1", "--listen",
            json.dumps({"address": f"127.0.0.1:{self.port}", "tls": "starttls", "bounces": True}), "--tenant-set",
            "bounces=" + json.dumps({"domain": DOMAIN}), "--set", 'delivery.suppress="1h"', *options)

    def submit(self, *recipients, sender="dr@tenant.test"):
        message, message_id = mail.make("hello\r\n", recipients)
        with self.gateway.client(tls=False) as client:
            client.sendmail(sender, recipients, message)
        return self.gateway.message_of(message_id)

    def paths(self, count):
        """(recipient, envelope sender) of what went out to others."""
        return [(m["to"][0], m["from"]) for m in self.sink.wait_for(count) if "tenant.test" not in m["to"][0]]

    def bounce(self, to, text, sender=""):
        with smtplib.SMTP("127.0.0.1", self.port, local_hostname="mx.example.net", timeout=60) as client:
            return client.sendmail(sender, [to] if isinstance(to, str) else to, text)

    def refused(self, to, sender=""):
        with pytest.raises((smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused)) as caught:
            self.bounce(to, "Subject: x\r\n\r\nx\r\n", sender)
        error = caught.value
        return (error.smtp_code, error.smtp_error) if hasattr(error, "smtp_code") else list(error.recipients.values())[0]

    def received(self, **fields):
        return self.gateway.wait_record("dsn.received", **fields)

    def suppressed(self):
        return [a["address"] for a in self.gateway.json("suppression", "list")["addresses"]]


@pytest.fixture
def place(gateways, sinks):
    return Place(gateways, sinks())


def test_a_report_is_known_recorded_and_passed_on(place):
    identity = place.submit("a@example.net", "b@example.net", "c@elsewhere.example")
    paths = dict(place.paths(3))
    assert len(set(paths.values())) == 3  # one a recipient, each in a transaction of its own
    assert all(re.fullmatch(r"b-[a-z2-7]{48}@bounce\.tenant\.test", p) for p in paths.values())
    gone = place.gateway.wait_record("message.settled", message=identity)
    assert [r["final"] for r in gone["recipients"]] == ["delivered"] * 3
    sent = [r["sent"] for r in place.gateway.records() if r["event"] == "delivery.attempted" and r["message"] == identity]
    assert all(s["own_return_path"] and s["unchanged"] for s in sent)
    place.gateway.restart("relay")  # long after it has left the queue
    report = REPORT.format(to=paths["b@example.net"], final="b@example.net", action="failed", status="5.1.1", code=550)
    place.bounce(paths["b@example.net"].upper(), report)
    told = place.sink.wait_for(4)[3]
    assert told["to"] == ["dr@tenant.test"] and told["from"] == "" and told["data"].endswith(report.encode())
    record = place.received(message=identity)
    assert (record["n"], record["kind"], record["action"], record["status"], record["reply_code"], record["to"]) \
        == ([1], "report", "failed", "5.1.1", 550, "dr@tenant.test")
    accepted = place.gateway.wait_record("message.accepted", message=record["dsn"])
    assert accepted["parent"] == identity and accepted["from"] == "" and accepted["content"]["kind"] == "dsn"
    added = place.gateway.wait_record("list.changed", change="added")
    assert (added["address"], added["why"], added["reply"], added["message"]) \
        == ("b@example.net", "hop.bounced-later", "550 5.1.1", identity)
    place.gateway.wait_record("message.settled", message=record["dsn"])
    assert place.suppressed() == ["b@example.net"]
    next_one = place.submit("b@example.net")
    assert place.gateway.wait_record("message.settled", message=next_one)["recipients"][0]["final"] == "returned"
    assert place.gateway.run("audit", "verify", place.gateway.info["audit"]).returncode == 0


def test_a_report_finds_its_sender_where_the_audit_has_no_addresses(gateways, sinks):
    place = Place(gateways, sinks(), "--set", 'audit.addresses="hmac"')
    gateway, everybody = place.gateway, ["a@example.net", "b@example.net"]
    identity = place.submit(*everybody)
    paths = dict(place.paths(2))
    gateway.wait_record("message.settled", message=identity)
    place.bounce(paths["b@example.net"], REPORT.format(to=paths["b@example.net"], final="b@example.net", action="failed",
                                                       status="5.1.1", code=550))
    assert place.sink.wait_for(3)[2]["to"] == ["dr@tenant.test"]
    place.received(message=identity)
    gateway.wait_record("list.changed", change="added")
    assert place.suppressed() == ["b@example.net"]
    lines = pathlib.Path(gateway.info["audit"]).read_text().rpartition("\n")[0]  # without one that is half written
    # our own Message-IDs and the test's have an @, and nothing else has
    rest = re.sub(r'"message_id":"[^"]*"', "", lines)
    plain = re.sub(r"k[0-9a-f]{8}:[0-9a-f]{32}@", "", rest)
    assert "@" not in plain, re.findall(r".{30}@.{30}", plain)
    assert not [w for w in ("dr@", "a@example", "b@example") if w in rest]
    # who has the right follows an address, and learns who is meant; that is on record first
    pseudonym = gateway.run("audit", "address", "B@Example.net").stdout.strip()
    accepted = gateway.wait_record("message.accepted", message=identity)
    assert {"domain": "example.net", "h": pseudonym} in accepted["to"]
    found = gateway.run("audit", "find", "b@example.net").stdout
    assert identity in found and "list.changed" in found and "message.settled" not in found
    assert gateway.run("audit", "reveal", pseudonym, check=False).returncode == 64  # no reason
    told = gateway.json("audit", "reveal", f"{pseudonym}@example.net", "--reason", "incident 7, b@example.net asked")
    assert told == {"addresses": [{"address": "b@example.net", "pseudonym": pseudonym}]}
    record = gateway.wait_record("audit.revealed", about=pseudonym)
    assert record["reason"] == f"incident 7, {pseudonym}@example.net asked" and record["actor"]["type"] == "admin"
    told = {a["address"] for a in gateway.json("audit", "reveal", identity, "--reason", "incident 7")["addresses"]}
    assert told >= {"dr@tenant.test", "a@example.net", "b@example.net"}
    [message] = gateway.json("trace", identity)["messages"]
    assert message["sender"].endswith("@tenant.test") and "dr@" not in json.dumps(message)
    assert pseudonym + "@example.net" in [r["address"] for r in message["recipients"]]
    assert gateway.run("audit", "verify").returncode == 0
    log = pathlib.Path(gateway.info["log"]).read_text()
    assert not [w for w in ("dr@tenant", "a@example", "b@example") if w in log]


def test_a_report_finds_its_sender_in_a_file_that_has_ended(gateways, sinks):
    place = Place(gateways, sinks(), "--set", 'audit.rotate_size="4KiB"', "--set", 'audit.checkpoint="100ms"')
    gateway = place.gateway
    identity = place.submit("a@example.net", "b@example.net")
    path = dict(place.paths(2))["b@example.net"]
    gateway.wait_record("message.settled", message=identity)
    deadline = time.monotonic() + 90
    while len(gateway.audit_files()) < 3:
        assert time.monotonic() < deadline, gateway.log[-3000:]
        gateway.wait_record("message.settled", message=place.submit("c@example.net"))
    for ended in gateway.audit_files()[:-1]:
        subprocess.run(["gzip", ended], check=True)
    place.bounce(path, REPORT.format(to=path, final="b@example.net", action="failed", status="5.1.1", code=550))
    place.received(message=identity)
    gateway.wait_record("list.changed", change="added")
    [added] = [r for r in gateway.records() if r["event"] == "list.changed" and r["change"] == "added"]
    assert (added["address"], added["message"]) == ("b@example.net", identity)
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def test_nobody_else_is_answered(place):
    place.submit("a@example.net")
    (_, path), = place.paths(1)
    local, domain = path.split("@")
    forged = [f"{local[:-1]}{'a' if local[-1] != 'a' else 'b'}@{domain}", f"{local}@tenant.test", f"dr@{domain}",
              "dr@tenant.test", f"{local}x@{domain}", "postmaster@tenant.test"]
    for address in forged:
        assert place.refused(address) == (550, b"5.1.1 no such address"), address
    assert place.refused(path, "someone@example.net") == (550, b"5.7.1 only delivery reports are taken here")
    place.gateway.wait_record("intake.refused", why="intake.no-return-path")
    place.gateway.wait_record("intake.refused", why="intake.reports-only")
    loop = "".join(f"Received: from h{n}.example by h{n + 1}.example\r\n" for n in range(101)) + "Subject: x\r\n\r\nx\r\n"
    with pytest.raises(smtplib.SMTPDataError) as caught:
        place.bounce(path, loop)
    assert caught.value.smtp_code == 554
    assert len(place.sink.messages) == 1
    refused = place.bounce([path, path.upper()], "Subject: x\r\n\r\nx\r\n")
    assert [code for code, _ in refused.values()] == [452]
    assert place.sink.wait_for(2)[1]["to"] == ["dr@tenant.test"]


def test_what_is_no_report_goes_on_and_leaves_no_address_alone(place):
    identity = place.submit("a@example.net")
    (_, path), = place.paths(1)
    away = f"From: a@example.net\r\nTo: {path}\r\nSubject: I am away\r\nAuto-Submitted: auto-replied\r\n\r\nBack on Monday.\r\n"
    odd = "From: a@example.net\r\nSubject: Mail failure\r\n\r\n550 5.1.1 a@example.net: no such user\r\n"
    later = REPORT.format(to=path, final="a@example.net", action="delayed", status="4.4.1", code=451)
    other = REPORT.format(to=path, final="inner@forwarded.example", action="failed", status="5.1.1", code=550)
    full = REPORT.format(to=path, final="a@example.net", action="failed", status="5.2.2", code=552)
    for n, (text, kind) in enumerate([(away, "auto-reply"), (odd, "other"), (later, "report"), (other, "report"),
                                      (full, "report")]):
        place.bounce(path, text)
        got = place.sink.wait_for(n + 2)[n + 1]
        assert got["to"] == ["dr@tenant.test"] and got["from"] == "" and got["data"].endswith(text.encode())
        while len(said := [r for r in place.gateway.records() if r["event"] == "dsn.received"]) <= n:
            pass  # the ledger follows; the test's time limit ends this
        assert said[-1]["kind"] == kind and said[-1]["message"] == identity
    assert place.suppressed() == []
    assert [r.get("names_recipient") for r in said] == [None, None, True, False, True]


def test_where_mail_was_sent_on_in_vain_its_first_address_is_tried_again(place):
    identity = place.submit("a@example.net")
    path = dict(place.paths(1))["a@example.net"]
    report = REPORT.format(to=path, final="gone@elsewhere.example", action="failed", status="5.1.1", code=550)
    place.bounce(path, report.replace("Final-", "Original-Recipient: rfc822; a@example.net\r\nFinal-"))
    record = place.received(message=identity)
    assert record["names_recipient"] and record["status"] == "5.1.1"
    place.gateway.wait_record("message.settled", message=record["dsn"])
    assert place.suppressed() == []


def test_only_a_senders_own_mail_has_one(place):
    null = place.submit("a@example.net", sender="")
    place.gateway.wait_record("message.settled", message=null)
    assert place.paths(1) == [("a@example.net", "")]
    place.gateway.run("suppression", "add", "gone@example.net", "--reason", "left")
    failed = place.submit("gone@example.net")
    sent = place.gateway.wait_record("dsn.sent", message=failed)
    place.gateway.wait_record("message.settled", message=sent["dsn"])
    assert place.sink.messages[-1]["from"] == "" and place.sink.messages[-1]["to"] == ["dr@tenant.test"]


def test_a_scanner_that_dies_costs_no_bounce(place):
    place.submit("a@example.net")
    (_, path), = place.paths(1)
    place.gateway.kill("scanner")
    place.bounce(path, REPORT.format(to=path, final="a@example.net", action="failed", status="5.1.1", code=550))
    assert place.sink.wait_for(2)[1]["to"] == ["dr@tenant.test"]
    assert place.received()["kind"] in ("report", "other")


def test_what_a_stranger_wrote_is_never_signed(gateways, sinks):
    sink = sinks(replies={"RCPT": lambda line: "550 5.1.1 nobody" if b"<nobody@" in line else "250 2.1.5 ok"})
    place = Place(gateways, sink)
    tenant = pathlib.Path(place.gateway.info["config"]).parent / "tenants/test.json"
    tenant.write_text(json.dumps({**json.loads(tenant.read_text()), "dkim": {
        "domain": "tenant.test", "selector": "gw1", "key": "keys/rsa.key"}}))
    place.gateway.run("dkim", "keygen")
    place.gateway.again()
    place.submit("a@example.net")
    (_, path), = place.paths(1)
    place.submit("nobody@example.net")
    ours = place.sink.wait_for(2)[1]["data"]
    assert b"multipart/report" in ours and b"d=tenant.test" in ours  # what we wrote ourselves is
    forged = f"From: ceo@tenant.test\r\nTo: {path}\r\nSubject: Pay this\r\n\r\nToday, please.\r\n"
    report = REPORT.format(to=path, final="a@example.net", action="failed", status="5.2.2", code=552)
    for n, text in enumerate([forged, report]):
        place.bounce(path, text)
        told = place.sink.wait_for(n + 3)[n + 2]
        assert told["to"] == ["dr@tenant.test"] and told["data"].endswith(text.encode())
        assert b"dkim-signature" not in told["data"].lower()


def test_bounces_and_mail_are_counted_apart(gateways, sinks):
    place = Place(gateways, sinks(), "--workers", 1, "--tenant-set", 'limits={"messages": 2}')  # relays share a limit
    place.submit("a@example.net")
    (_, path), = place.paths(1)
    for _ in range(4):
        place.bounce(path, REPORT.format(to=path, final="a@example.net", action="failed", status="5.2.2", code=552))
    place.submit("b@example.net")
    assert len(place.sink.wait_for(6)) == 6


def test_no_host_is_too_narrow_for_a_bounce(gateways, sinks):
    place = Place(gateways, sinks(offer=("PIPELINING",)))
    place.submit("a@example.net")
    (_, path), = place.paths(1)
    report = REPORT.format(to=path, final="a@example.net", action="failed", status="5.2.2", code=552).encode()
    wide = report.replace(b"I'm sorry.", "Grüße ".encode() + b"x" * 3000)
    place.bounce(path, wide)
    told = place.sink.wait_for(2)[1]
    assert told["to"] == ["dr@tenant.test"] and told["data"].endswith(wide) and "BODY" not in str(place.sink.mails[-1])


@pytest.mark.skipif(os.geteuid() != 0, reason="Postfix starts as root")
def test_what_postfix_sends_back(gateways, sinks, lab):
    inner = sinks(replies={"RCPT": "550 5.1.1 unknown user"})
    home = sinks()
    port, bounce = free_port(), free_port()
    routes = f"inline:{{example.net=smtp:[127.0.0.1]:{inner.port}, {DOMAIN}=smtp:[127.0.0.1]:{bounce}}}"
    gateway = gateways("--plain-listener", "--next-hop", f"127.0.0.1:{port}", "--policy", PLAIN, "--retry", "1", "--route",
                       f"tenant.test=127.0.0.1:{home.port}", "--listen",
                       json.dumps({"address": f"127.0.0.1:{bounce}", "tls": "starttls", "bounces": True}), "--tenant-set",
                       "bounces=" + json.dumps({"domain": DOMAIN}), "--set", 'delivery.suppress="1h"')
    with open_folder("sp-bounces-") as folder:
        postfix = Postfix(folder, port, lab.dns.certificate("mx1"), main=f"transport_maps = {routes}\n").start()
        try:
            message, message_id = mail.make("hello\r\n", ["gone@example.net"])
            with gateway.client(tls=False) as client:
                client.sendmail("dr@tenant.test", ["gone@example.net"], message)
            received = gateway.wait_record("dsn.received", message=gateway.message_of(message_id))
            assert (received["kind"], received["action"], received["status"]) == ("report", "failed", "5.1.1")
            assert gateway.wait_record("list.changed", change="added")["address"] == "gone@example.net"
            told = home.wait_for(1)[0]
            assert told["to"] == ["dr@tenant.test"] and told["from"] == "" and b"multipart/report" in told["data"]
        finally:
            postfix.stop()


def test_a_notice_that_comes_back_later_is_told_to_its_sender_once(gateways, sinks):
    """Not as it came: it holds the recipient's link."""
    place = Place(gateways, sinks(), policy="test/policies/portal-only.json")
    identity = place.submit("gone@example.net", "here@example.net")
    notices = {m["to"][0]: m for m in place.sink.wait_for(2)}
    path = notices["gone@example.net"]["from"]
    assert re.fullmatch(r"b-[a-z2-7]{48}@bounce\.tenant\.test", path)
    place.gateway.wait_record("message.settled", message=identity)
    deposited = {r["n"][0]: r for r in place.gateway.records() if r["event"] == "portal.deposited"}
    late = REPORT.format(to=path, final="gone@example.net", action="delayed", status="4.4.1", code=451)
    place.bounce(path, late)  # that goes on as it came, like any other: not below the message's floor, so nowhere here
    assert "dsn" in place.received(message=identity, action="delayed")
    report = REPORT.format(to=path, final="gone@example.net", action="failed", status="5.1.1", code=550)
    link = re.search(r"https://\S+/p#(\S+)", notices["gone@example.net"]["data"].decode())[1]
    for _ in range(2):  # whoever lost our answer repeats it
        place.bounce(path, report.replace("I'm sorry.", f"I'm sorry. It was: {link}"))
    told = place.sink.wait_for(3)[2]
    assert told["to"] == ["dr@tenant.test"] and told["from"] == ""
    assert b"Action: failed" in told["data"] and b"Status: 5.1.1" in told["data"] and b"gone@example.net" in told["data"]
    assert link.encode() not in told["data"] and b"hello" not in told["data"]
    received = place.received(message=identity, action="failed")
    assert (received["n"], received["status"], received["package"], received["notice"]) \
        == ([0], "5.1.1", deposited[0]["package"], deposited[0]["notice"])
    sent = place.gateway.wait_record("dsn.sent", message=identity)
    assert (sent["action"], sent["why"], sent["package"]) == ("failed", "hop.bounced-later", deposited[0]["package"])
    place.gateway.wait_record("message.settled", message=sent["dsn"])
    assert place.suppressed() == ["gone@example.net"]
    assert len([r for r in place.gateway.records() if r["event"] == "dsn.sent"]) == 1 and len(place.sink.messages) == 3
    place.refused(path, sender="someone@example.net")
    assert place.gateway.run("audit", "verify", place.gateway.info["audit"]).returncode == 0
