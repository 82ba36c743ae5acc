"""A recipient's way through the portal: from the link in the notice over the mailbox code to the page and the files. What
is shown is right and in the audit, or there is an error; nothing in between."""
import email.message
import email.policy
import http.client
import re
import time

from lab.browser import Https, code_in, cookie_of, link_in, token_of

FILE = bytes(range(256)) * 600  # three chunks
PARTS = re.compile(rb'action="(/m/[^"/]+/part/\d+)"')
CODE_SECONDS = 15  # a mail that could not be read or sent at first is tried again within ten


class Denied(Exception):
    """The portal said no, or nothing came."""


def letter(message):
    """The bytes of a Message for the portal: text, HTML and a file."""
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m["From"], m["To"], m["Subject"] = "dr@tenant.test", message.recipients[0], "load"
    m["Message-ID"], m["Date"] = f"<{message.id}@load.test>", "Mon, 23 Nov 2026 10:00:00 +0000"
    m.set_content(f"marker-{message.id}\n")
    m.add_alternative(f"<p>marker-{message.id}</p>\n", subtype="html")
    m.add_attachment(FILE, maintype="application", subtype="octet-stream", filename="file.bin")
    return m.as_bytes()


class Visitor:
    """
    message: a Message of ours that was acknowledged and deposited; its recipient's mails are kept by the taker
    logins:  how often a session was given
    files:   how many files came whole
    """

    def __init__(self, bench, message, data):
        self.bench, self.message, self.data = bench, message, data
        number = int(message.id.rsplit("-", 1)[1])  # an address for each: the portal counts what one client asks for
        self.https = Https(bench.gateway, f"127.1.{number // 250}.{number % 250 + 1}")
        self.logins, self.files, self.seen = 0, 0, 0
        self.token = token_of(link_in(self.next_mail(60)))

    def next_mail(self, seconds):
        mails, deadline = self.bench.taker.kept[self.message.recipients[0]], time.monotonic() + seconds
        while len(mails) <= self.seen:
            if time.monotonic() > deadline:
                raise Denied("no mail")
            time.sleep(0.02)
        self.seen += 1
        return mails[self.seen - 1]

    def ask(self, status, *words, **named):
        answer = self.https.ask(*words, **named)
        if answer.status != status:
            raise Denied(f"{words[:2]}: {answer.status}")
        return answer

    def enter(self):
        """(path, cookie) of a session."""
        self.seen = len(self.bench.taker.kept[self.message.recipients[0]])
        asked = self.ask(200, "POST", "/code", {"token": self.token})
        deadline = time.monotonic() + CODE_SECONDS
        while True:  # a code of an earlier try may come late; it does not fit this one
            code = code_in(self.next_mail(deadline - time.monotonic()))
            opened = self.https.ask("POST", "/open", {"code": code}, cookie_of(asked))
            if opened.status == 303:
                self.logins += 1
                return opened.getheader("Location"), cookie_of(opened)
            if opened.status != 403:
                raise Denied(f"/open: {opened.status}")

    def file(self, path, cookie):
        content = self.ask(200, "POST", path, {}, cookie).content
        self.files += 1
        return content

    def read(self):
        """The whole way; an error of the portal or of its connection ends it."""
        marker = f"marker-{self.message.id}".encode()
        self.ask(200, "GET", "/p")
        path, cookie = self.enter()
        page = self.ask(200, "GET", path, cookie=cookie).content
        assert marker in page, f"a page without the message: {page[:2000]}"
        parts = PARTS.findall(page)
        assert len(parts) == 1, f"a page without the file: {page[:2000]}"
        html = self.ask(200, "GET", path + "/html", cookie=cookie).content
        assert marker in html, f"HTML without the message: {html[:2000]}"
        assert self.file(parts[0].decode(), cookie) == FILE, "a file in other bytes"
        assert self.file(path + "/original", cookie).endswith(self.data), "an original in other bytes"
        self.ask(200, "POST", path + "/leave", {}, cookie)
        assert self.https.ask("GET", path, cookie=cookie).status == 403, "read after the session was closed"

    def try_to_read(self):
        """returns: None, or what kept us from it"""
        try:
            self.read()
        except TimeoutError:
            return "hung"
        except (Denied, OSError, http.client.HTTPException) as e:
            return f"denied: {e}"
        return None

    def must_read(self, seconds):
        """Nobody lends a hand."""
        deadline = time.monotonic() + seconds
        while why := self.try_to_read():
            assert why != "hung" and time.monotonic() < deadline, f"the portal does not show {self.message.id}: {why}"
            time.sleep(0.2)

    def is_recorded(self):
        """Whether the audit knows of all that was shown: it may know of more, never of less."""
        found = [r["event"] for r in self.bench.records() if r.get("message") == self.message.queue_id]
        return found.count("portal.opened") >= self.logins and found.count("portal.downloaded") >= self.files
