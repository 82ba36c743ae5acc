"""The portal: a notice without content, link and mailbox code, reading and downloading, and what scanners can't do."""
import contextlib
import email
import email.message
import email.policy
import itertools
import json
import pathlib
import signal
import sqlite3
import ssl
import time

import pytest
from selenium.webdriver.common.by import By

from lab.browser import Browser, Https, code_in, cookie_of, link_in, token_of
from lab.sink import Sink

SECRET = "the biopsy was benign"
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 1000


COUNT = itertools.count(1)


def letter(to):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"] = "Dr Ann Example <dr@tenant.test>"
    message["To"] = to
    message["Subject"] = "Results of <Monday>"
    message["Message-ID"] = f"<{time.time_ns()}@tenant.test>"
    message.set_content(f"Dear Pat,\n\n{SECRET}.\n")
    message.add_alternative(f"<p id=x onclick='document.title=1'>Dear <b>Pat</b>, {SECRET}</p>"
                            "<script>document.title='script ran'</script><img src='https://localhost:1/track.png'>",
                            subtype="html")
    message.add_attachment(PDF, maintype="application", subtype="pdf", filename="lab report.pdf")
    return message.as_bytes()


def start(gateways, sink, policy="test/policies/portal-only.json", *options):
    return gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", policy,
                    "--workers", 1, *options)


class Deposited:
    """A message of its own in the portal of a gateway whose mail goes to a sink."""

    def __init__(self, gateway, sink, *rcpt_options):
        self.gateway, self.sink, self.seen = gateway, sink, 0
        self.to = f"pat{next(COUNT)}@example.net"
        self.message = letter(self.to)
        with gateway.client(tls=False) as client:
            client.sendmail("dr@tenant.test", [self.to], self.message, rcpt_options=list(rcpt_options))
        self.link = link_in(self.next_mail())
        self.token = token_of(self.link)
        self.id = gateway.message_of(email.message_from_bytes(self.message)["Message-ID"])

    def mails(self):
        """What has been sent to this recipient so far."""
        return [m["data"] for m in self.sink.messages if [to.strip("<>") for to in m["to"]] == [self.to]]

    def next_mail(self):
        deadline = time.monotonic() + 60
        while len(self.mails()) <= self.seen:
            assert time.monotonic() < deadline, f"no mail; log ends:\n{self.gateway.log[-2000:]}"
            time.sleep(0.02)
        self.seen += 1
        return self.mails()[self.seen - 1]

    def codes_sent(self):
        """How many codes the portal has sent for this message; it logs each before it answers the next request."""
        lines = [line for line in self.gateway.log.splitlines() if '"portal.code-sent"' in line]
        return sum(json.loads(line)["message"] == self.id for line in lines)

    def skip_codes(self):
        """Waits for all codes that were sent, which nobody will use."""
        deadline = time.monotonic() + 60
        while len(self.mails()) < 1 + self.codes_sent():
            assert time.monotonic() < deadline, f"no mail; log ends:\n{self.gateway.log[-2000:]}"
            time.sleep(0.02)
        self.seen = len(self.mails())

    def reports(self):
        """The fields of each report to the sender: RFC 3464."""
        return [dict(part.get_payload()[1].items())
                for m in self.sink.messages if [to.strip("<>") for to in m["to"]] == ["dr@tenant.test"]
                for part in email.message_from_bytes(m["data"]).walk()
                if part.get_content_type() == "message/delivery-status"]

    def wait_report(self, count):
        deadline = time.monotonic() + 60
        while len(self.reports()) < count:
            assert time.monotonic() < deadline, f"{self.reports()}; log ends:\n{self.gateway.log[-2000:]}"
            time.sleep(0.05)
        return self.reports()[count - 1]

    def code(self):
        return code_in(self.next_mail())

    def enter(self, https):
        """The whole way in without a browser; the session's path and cookie."""
        asked = https.ask("POST", "/code", {"token": self.token})
        opened = https.ask("POST", "/open", {"code": self.code()}, cookie_of(asked))
        assert opened.status == 303, opened.content
        return opened.getheader("Location"), cookie_of(opened)

    def events(self, name):
        return [r for r in self.gateway.records() if r["event"] == name and r.get("message") == self.id]

    def wait_events(self, name, count):
        """The ledger writes an access down before the page is answered, and its line a moment later."""
        deadline = time.monotonic() + 60
        while len(self.events(name)) < count:
            assert time.monotonic() < deadline, self.events(name)
            time.sleep(0.02)


@pytest.fixture(scope="module")
def shared(module_gateways):
    sink = Sink()
    yield start(module_gateways, sink), sink
    sink.stop()


@pytest.fixture
def deposited(shared):
    """A new message in the gateway that all tests here share."""
    return Deposited(*shared)


@pytest.fixture
def alone(gateways, sinks):
    """A message in a gateway of this test's own, for breaking things."""
    sink = sinks()
    return Deposited(start(gateways, sink), sink)


@pytest.fixture
def browsers():
    started = []

    def make(**options):
        started.append(Browser(**options))
        return started[-1]
    yield make
    for browser in started:
        browser.quit()


def test_a_person_reads_and_downloads(deposited, browsers):
    browser = browsers()
    browser.open(deposited.link)
    assert browser.find("#known").is_displayed() and not browser.find("#paste").is_displayed()
    browser.submit("form button")
    browser.find("#code").send_keys(deposited.code())
    browser.submit("form button")
    assert browser.find("h1").text == "Results of <Monday>"
    assert SECRET in browser.find("pre.text").text
    browser.find("summary").click()
    frame = browser.find("iframe")
    browser.driver.switch_to.frame(frame)
    browser.wait(lambda d: SECRET in d.find_element(By.TAG_NAME, "body").text)
    assert not browser.find_all("img") and not browser.find_all("script")
    browser.driver.switch_to.default_content()
    assert browser.driver.title == "Your secure message"
    browser.find_all("ul.files button")[0].click()
    assert browser.downloaded("lab report.pdf") == PDF
    browser.find_all("ul.files button")[1].click()
    original = browser.downloaded("message.eml")
    assert original.endswith(deposited.message)  # our Received may stand above
    opened = deposited.gateway.wait_record("portal.opened", message=deposited.id)
    assert opened["access"]["proof"] == "code" and opened["access"]["agent_class"] == "person"
    assert opened["actor"]["id"] == deposited.to and opened["n"] == [0]
    deposited.gateway.wait_record("portal.downloaded", message=deposited.id, what="part")
    deposited.gateway.wait_record("portal.downloaded", message=deposited.id, what="original")
    settled = deposited.gateway.wait_record("message.settled", message=deposited.id)
    assert settled["recipients"][0]["rung"] == "portal" and settled["recipients"][0]["floor_met"]
    browser.find_all("ul.files button")[2].click()
    browser.wait(lambda d: d.find_element(By.TAG_NAME, "h1").text == "Closed")


def test_it_works_without_javascript(deposited, browsers):
    browser = browsers(javascript=False)
    browser.open(deposited.link)
    assert browser.find("#paste").is_displayed()
    browser.find("#token").send_keys(deposited.link)
    browser.submit("form button")
    browser.find("#code").send_keys(deposited.code())
    browser.submit("form button")
    assert SECRET in browser.find("pre.text").text


def test_notice_and_code_mail_hold_no_word_of_the_message(deposited):
    Https(deposited.gateway).ask("POST", "/code", {"token": deposited.token})
    deposited.code()
    assert len(deposited.mails()) == 2
    for mail in deposited.mails():
        for word in (SECRET, "Results", "Monday", "lab report", "Ann Example"):
            assert word.encode() not in mail
    assert deposited.token.encode() not in deposited.mails()[1]
    log = deposited.gateway.log
    for word in (SECRET, "Monday", deposited.token, deposited.to):
        assert word not in log


def test_get_and_head_change_nothing(deposited):
    https = Https(deposited.gateway)
    for _ in range(3):
        for path in ("/", "/p", "/code", "/open", "/m/x", "/m/x/original", "/style.css", "/script.js", "/robots.txt"):
            for method in ("GET", "HEAD"):
                answer = https.ask(method, path)
                assert answer.getheader("Referrer-Policy") == "no-referrer"
                assert answer.getheader("Cache-Control") == "no-store"
                assert answer.getheader("X-Content-Type-Options") == "nosniff"
                assert answer.getheader("X-Robots-Tag").startswith("noindex")
                assert "default-src 'none'" in answer.getheader("Content-Security-Policy")
    assert len(deposited.mails()) == 1
    assert not deposited.events("portal.opened") and not deposited.events("portal.login-failed")


def test_a_scanner_that_submits_everything_neither_opens_nor_burns(deposited):
    """From two addresses, ten times each: pages, forms, nonsense codes. Then the person comes and reads."""
    for source in ("127.0.0.21", "127.0.0.22"):
        https = Https(deposited.gateway, source)
        for _ in range(10):
            assert https.ask("GET", "/p").status == 200
            asked = https.ask("POST", "/code", {"token": deposited.token})
            assert asked.status == 200
            for code in ("", "12345678", "test@example.net"):
                assert https.ask("POST", "/open", {"code": code}, cookie_of(asked)).status in (403, 429)
    failed = deposited.gateway.wait_record("portal.login-failed", message=deposited.id)
    assert failed["access"]["agent_class"] == "scanner"
    assert not deposited.events("portal.opened")
    deposited.skip_codes()
    path, cookie = deposited.enter(Https(deposited.gateway, "127.0.0.23"))
    assert SECRET.encode() in Https(deposited.gateway).ask("GET", path, cookie=cookie).content


def test_known_and_unknown_tokens_look_alike(deposited):
    https = Https(deposited.gateway)
    unknown = "A" * 43
    answers = [https.ask("POST", "/code", {"token": token}) for token in (deposited.token, unknown)]
    assert [a.status for a in answers] == [200, 200]
    pages = [a.content.replace(token.encode(), b"") for a, token in zip(answers, (deposited.token, unknown))]
    assert pages[0] == pages[1]
    assert {k for k, _ in answers[0].getheaders()} == {k for k, _ in answers[1].getheaders()}


def test_a_session_opens_its_own_package_only(deposited):
    https = Https(deposited.gateway)
    path, cookie = deposited.enter(https)
    assert https.ask("GET", path, cookie=cookie).status == 200
    assert https.ask("GET", path).status == 403
    for _ in range(2):
        assert https.ask("GET", path, cookie=cookie).status == 200
    deposited.wait_events("portal.opened", 3)
    assert [e["access"]["opens"] for e in deposited.events("portal.opened")] == [1, 2, 3]
    assert https.ask("GET", path, cookie=cookie[:-1] + ("A" if cookie[-1] != "A" else "B")).status == 403
    other = path[:-1] + ("0" if path[-1] != "0" else "1")
    for method, tail in (("GET", ""), ("GET", "/html"), ("POST", "/original"), ("POST", "/part/2")):
        assert https.ask(method, other + tail, {} if method == "POST" else None, cookie).status == 403
    assert https.ask("POST", path + "/original", {}, cookie, {"Sec-Fetch-Site": "cross-site"}).status == 403


def test_limits_and_sessions_outlive_a_restart(gateways, sinks):
    sink = sinks()
    deposited = Deposited(start(gateways, sink, "test/policies/portal-only.json", "--set", "portal.max_codes=2"), sink)
    https = Https(deposited.gateway)
    path, cookie = deposited.enter(https)
    https.ask("POST", "/code", {"token": deposited.token})
    deposited.code()
    before = deposited.gateway.pids("portal")
    deposited.gateway.kill("portal")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if deposited.gateway.pids("portal") not in ([], before) and https.ask("GET", path, cookie=cookie).status == 200:
                break
        except (OSError, ssl.SSLError):
            pass
        time.sleep(0.1)
    assert SECRET.encode() in https.ask("GET", path, cookie=cookie).content
    https.ask("POST", "/code", {"token": deposited.token})
    https.ask("GET", path, cookie=cookie)
    assert deposited.codes_sent() == 2
    deposited.skip_codes()
    assert len(deposited.mails()) == 3  # the notice and two codes


def test_no_record_no_access(alone):
    """While the ledger hangs, nobody reads: an access that can't be recorded is refused."""
    deposited = alone
    https = Https(deposited.gateway)
    asked = https.ask("POST", "/code", {"token": deposited.token})
    code = deposited.code()
    deposited.gateway.kill("ledger", signal.SIGSTOP)
    try:
        assert https.ask("POST", "/open", {"code": code}, cookie_of(asked)).status == 503
    finally:
        deposited.gateway.kill("ledger", signal.SIGCONT)
    assert https.ask("POST", "/open", {"code": code}, cookie_of(asked)).status == 303


def test_who_asked_hears_that_it_was_opened_once(gateways, sinks):
    """`relayed` when the notice is accepted, `delivered` at the first opening, and nothing behind that; the portal dies
    between the opening and the report."""
    sink = sinks()
    deposited = Deposited(start(gateways, sink), sink, "NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;first@example.test")
    gateway = deposited.gateway
    assert deposited.wait_report(1)["Action"] == "relayed"
    assert b"waits in the secure portal" in sink.messages[-1]["data"]
    https = Https(gateway)
    asked = https.ask("POST", "/code", {"token": deposited.token})
    code = deposited.code()
    gateway.kill("relay", signal.SIGSTOP)  # which takes no report until it goes on
    try:
        assert https.ask("POST", "/open", {"code": code}, cookie_of(asked)).status == 303
        gateway.restart("portal")
    finally:
        gateway.kill("relay", signal.SIGCONT)
    told = deposited.wait_report(2)
    assert (told["Action"], told["Status"]) == ("delivered", "2.0.0")
    assert told["Original-Recipient"] == "rfc822; first@example.test" and deposited.to in told["Final-Recipient"]
    report = sink.messages[-1]["data"]
    assert b"have opened your message" in report and SECRET.encode() not in report and b"Monday" not in report
    deposited.skip_codes()
    deposited.enter(Https(gateway))
    gateway.restart("portal")
    deposited.wait_events("portal.opened", 2)
    gateway.wait_record("dsn.sent", message=deposited.id, action="delivered")
    sent = [r for r in gateway.records() if r["event"] == "dsn.sent" and r["message"] == deposited.id]
    notices = [r for r in gateway.records() if r["event"] == "dsn.sent" and r["action"] == "relayed"]
    assert len(notices) == 1 and [r["action"] for r in sent if r["action"] != "relayed"] == ["delivered"]
    assert len(deposited.reports()) == 2
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def rows(gateway, sql):
    store = pathlib.Path(gateway.info["config"]).parent.parent / "state/portal/portal.db"
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def test_a_report_that_may_be_the_second_says_so(gateways, sinks):
    """The relay has queued the report and dies, and the portal with it, before that has heard of it: the next one
    asks again, of a relay that knows nothing. Both mails are one to the sender's program; the audit tells which may be the
    second."""
    sink = sinks()
    deposited = Deposited(start(gateways, sink), sink, "NOTIFY=SUCCESS,FAILURE")
    gateway, https = deposited.gateway, Https(deposited.gateway)
    deposited.wait_report(1)
    asked = https.ask("POST", "/code", {"token": deposited.token})
    code = deposited.code()
    gateway.kill("relay", signal.SIGSTOP)
    assert https.ask("POST", "/open", {"code": code}, cookie_of(asked)).status == 303
    deadline = time.monotonic() + 60
    while rows(gateway, "SELECT count(*) FROM dues WHERE asked") != [(1,)]:
        assert time.monotonic() < deadline, "the portal asks for no report"
        time.sleep(0.02)
    https.ask("GET", "/p")  # a turn of its loop later it has asked
    gateway.kill("portal", signal.SIGSTOP)  # and will not hear the answer
    gateway.kill("relay", signal.SIGCONT)
    first = deposited.wait_report(2)
    gateway.restart("relay")  # first: else the next portal asks one that remembers
    gateway.kill("portal", signal.SIGKILL)
    second = deposited.wait_report(3)
    assert first["Action"] == second["Action"] == "delivered"
    told = [m["data"] for m in sink.messages if [to.strip("<>") for to in m["to"]] == ["dr@tenant.test"]][1:]
    assert len({email.message_from_bytes(data)["Message-ID"] for data in told}) == 1
    marked = gateway.wait_record("message.accepted", possibly_repeated=True)
    sent = [r["message"] for r in gateway.records() if r["event"] == "message.accepted" and r["to"] == ["dr@tenant.test"]]
    assert len(sent) == 3 and sent[2] == marked["message"] and marked["parent"] == deposited.id
    settled = [gateway.wait_record("message.settled", message=message) for message in sent]
    assert settled[2]["duplicates_possible"] and not settled[0]["duplicates_possible"]
    gateway.wait_record("dsn.sent", message=deposited.id, action="delivered")
    recorded = [r for r in gateway.records() if r["event"] == "dsn.sent" and r["message"] == deposited.id
                and r["action"] == "delivered"]
    assert len(recorded) == 1


def test_a_notice_that_came_back_is_the_last_word(gateways, sinks):
    """The sender has heard `failed`: the portal owes no second report of the package."""
    sink = sinks(replies={"RCPT": lambda line: "550 5.1.1 no" if b"example.net" in line else "250 2.1.5 ok"})
    gateway = start(gateways, sink)
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["gone@example.net"], letter("gone@example.net"),
                        rcpt_options=["NOTIFY=SUCCESS,FAILURE"])
    returned = gateway.wait_record("dsn.sent")
    assert returned["action"] == "failed"
    deadline = time.monotonic() + 60
    while (found := rows(gateway, "SELECT (SELECT count(*) FROM packages), (SELECT count(*) FROM reports)")) != [(1, 0)]:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_an_expired_package_is_gone(gateways, sinks, tmp_path):
    policy = tmp_path / "short.json"
    source = pathlib.Path(__file__).parent.parent / "policies/portal-only.json"
    policy.write_text(source.read_text().replace('"expires": "30d"', '"expires": "6s"'))
    sink = sinks()
    deposited = Deposited(start(gateways, sink, policy), sink)
    gateway, token = deposited.gateway, deposited.token
    deadline = time.monotonic() + 60
    while Https(gateway).ask("POST", "/code", {"token": token}).status != 410:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert b"expired" in Https(gateway).ask("POST", "/code", {"token": token}).content
    told = deposited.wait_report(1)  # without NOTIFY a sender hears of failures: RFC 3461 4.1
    assert (told["Action"], told["Status"]) == ("failed", "5.4.7") and deposited.to in told["Final-Recipient"]
    unread = gateway.wait_record("portal.expired-unread", 90)
    # the queue's own copy goes, too, when its segment does: its record says nothing of copies elsewhere
    destroyed = gateway.wait_record("content.destroyed", 60, message=unread["message"], copies_left=[])
    assert destroyed["how"] == "key-destroyed"
    packages = pathlib.Path(gateway.info["config"]).parent.parent / "state/portal/packages"
    assert list(packages.iterdir()) == []
