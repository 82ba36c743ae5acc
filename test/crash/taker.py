"""A next hop that takes everything and remembers what: which message, for whom, when, and whether it came whole. Bodies are
kept for chosen recipients only. A fifth of the messages is taken slowly, so that there is always something on its way; who is
at refused.test is refused for good, at late.test at the second try, and where it is asked to be, it is unwell now and then."""
import hashlib
import random
import re
import socket
import ssl
import threading
import time

NAME, OFFER = b"250-sink.test\r\n", b"250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 104857600\r\n250 ENHANCEDSTATUSCODES\r\n"
KEY = re.compile(rb"^Message-ID: <([\w.-]+)@load\.test>\r?$", re.M | re.I)
OWN = re.compile(rb"^Message-ID: <([0-9A-Z]{26})@[\w.]+>\r?$", re.M | re.I)
TOLD = re.compile(rb"^Final-Recipient: rfc822; (\S+)\r?\nAction: (\w+)\r?$", re.M)
CODE = re.compile(rb"^Subject: Your code for a secure message\r?$", re.M | re.I)
DIGEST = re.compile(rb"^X-Digest: ([0-9a-f]{64})\r?$", re.M | re.I)
MARKER = re.compile(rb"marker-[\w.-]+")


class Taken:
    """
    One recipient of one message, taken once; or told of once, in a report to the sender.

    message: as its sender named it; of mail of the gateway's own, the gateway's id
    kind:    plain, sealed, code, other, or what a report says of the recipient: failed, relayed
    by:      the name of the taker
    """
    __slots__ = ("recipient", "message", "began", "at", "kind", "whole", "by")

    def __init__(self, recipient, message, began, kind, whole, by):
        self.recipient, self.message, self.began, self.kind, self.whole = recipient, message, began, kind, whole
        self.at, self.by = time.monotonic(), by


def look_at(data):
    """(id or None, kind, whole) of a message as it came: kind is plain, sealed, code or other (a notice, a DSN)."""
    head, _, body = data.partition(b"\r\n\r\n")
    key, digest = KEY.search(head) or OWN.search(head), DIGEST.search(head)
    message = key.group(1).decode() if key else None
    if b"enveloped-data" in head or b"authEnveloped-data" in head or b"multipart/encrypted" in head:
        return message, "sealed", MARKER.search(body) is None
    if digest:
        return message, "plain", hashlib.sha256(body).hexdigest().encode() == digest.group(1)
    return message, "code" if CODE.search(head) else "other", MARKER.search(data) is None


def key_of(taken):
    """A notice of the portal and a report are known by the recipient, all else by itself: who asks again gets another code."""
    local, domain = taken.recipient.rsplit("@", 1)
    if taken.kind == "code":
        return f"code {taken.message}", taken.recipient
    message = taken.message if domain == "sealed.test" else local.rsplit(".", 1)[0]
    return f"{taken.kind} {message}" if taken.kind in ("failed", "relayed", "delayed") else message, taken.recipient


def told(data):
    """[(recipient, what became of it)] of a report"""
    head, _, body = data.partition(b"\r\n\r\n")
    if b"report-type=delivery-status" not in head:
        return []
    return [(recipient.decode(), action.decode()) for recipient, action in TOLD.findall(body)]


class Taker:
    """
    index:  {(message or recipient's message, recipient): [Taken]}
    kept:   {recipient: [message]} of those whose mail someone wants to read; put an empty list there before it comes
    unwell: share of recipients, and of messages behind their last dot, that are told to come later
    """

    def __init__(self, seed=0, name="first", beside=None, certificate=None):
        """beside: a taker with which it keeps one account; certificate: (chain, key), then it offers STARTTLS"""
        self.context, self.behind_tls = None, 0
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.random, self.name = random.Random(f"{name}{seed}"), name
        self.lock, self.taken, self.index = (beside.lock, beside.taken, beside.index) if beside else (threading.Lock(), [], {})
        self.sessions, self.slow, self.unwell = 0, 0.2, 0
        self.refusing, self.kept, self.late = False, {}, set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.sessions += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.settimeout(600)
        with connection:
            try:
                Talk(self, connection).run()
            except (OSError, EOFError):
                pass

    def add(self, recipients, data, began):
        message, kind, whole = look_at(data)
        reported = told(data)
        with self.lock:
            for taken in [Taken(r, message, began, action, whole, self.name) for r, action in reported] or \
                    [Taken(r, message, began, kind, whole, self.name) for r in recipients]:
                self.taken.append(taken)
                self.index.setdefault(key_of(taken), []).append(taken)
            for recipient in self.kept.keys() & set(recipients):
                self.kept[recipient].append(data)

    def is_unwell(self):
        with self.lock:
            return self.random.random() < self.unwell

    def has(self, message, recipient):
        with self.lock:
            return (message, recipient) in self.index

    def delay(self):
        with self.lock:
            return self.random.random() * 0.3 if self.random.random() < self.slow else 0

    def count(self):
        with self.lock:
            return len(self.taken)


class Talk:
    def __init__(self, taker, connection):
        self.taker, self.socket, self.buffer = taker, connection, bytearray()
        self.recipients, self.context = [], taker.context

    def start_tls(self):
        self.socket.sendall(b"220 2.0.0 go\r\n")
        self.socket = self.context.wrap_socket(self.socket, server_side=True)
        self.context, self.buffer = None, bytearray()
        self.taker.behind_tls += 1

    def until(self, end):
        at = 0
        while True:
            found = self.buffer.find(end, at)
            if found >= 0:
                data = bytes(self.buffer[:found])
                del self.buffer[:found + len(end)]
                return data
            at = max(0, len(self.buffer) - len(end))
            more = self.socket.recv(262144)
            if not more:
                raise EOFError
            self.buffer += more

    def run(self):
        self.socket.sendall(b"220 sink.test ESMTP\r\n")
        while True:
            line = self.until(b"\r\n")
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.socket.sendall(NAME + (b"250-STARTTLS\r\n" if self.context else b"") + OFFER)
            elif verb == b"STAR" and self.context:
                self.start_tls()
            elif verb == b"RCPT":
                self.recipient(line.split(b"<", 1)[1].split(b">")[0].decode())
            elif verb == b"DATA":
                self.data()
            elif verb == b"QUIT":
                self.socket.sendall(b"221 2.0.0 bye\r\n")
                return
            else:
                self.recipients = [] if verb in (b"RSET", b"MAIL") else self.recipients
                self.socket.sendall(b"250 2.0.0 ok\r\n")

    def recipient(self, address):
        if address.endswith("@late.test") and address not in self.taker.late:
            self.taker.late.add(address)
            self.socket.sendall(b"451 4.7.0 too much mail, slow down\r\n")
        elif address.endswith(("@refused.test", "@late.test")):
            self.socket.sendall(b"550 5.1.1 nobody of that name\r\n")
        elif self.taker.refusing or self.taker.is_unwell():
            self.socket.sendall(b"451 4.3.0 later\r\n")
        else:
            self.recipients.append(address)
            self.socket.sendall(b"250 2.1.5 ok\r\n")

    def data(self):
        if not self.recipients:
            self.socket.sendall(b"554 5.5.1 no recipients\r\n")
            return
        self.socket.sendall(b"354 go\r\n")
        began = time.monotonic()
        body = self.until(b"\r\n.\r\n") + b"\r\n"
        body = body[1:] if body.startswith(b".") else body
        pause = self.taker.delay()
        if pause:
            time.sleep(pause)
        if self.taker.is_unwell():
            self.recipients = []
            self.socket.sendall(b"451 4.3.0 later\r\n")
            return
        self.taker.add(self.recipients, body.replace(b"\r\n.", b"\r\n"), began)
        self.recipients = []
        self.socket.sendall(b"250 2.0.0 taken\r\n")
