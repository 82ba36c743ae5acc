"""A next hop that takes everything and remembers what: which message, for whom, when, and whether it came whole. Bodies are
kept for chosen recipients only. A fifth of the messages is taken slowly, so that there is always something on its way."""
import hashlib
import random
import re
import socket
import threading
import time

OFFER = b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 104857600\r\n250 ENHANCEDSTATUSCODES\r\n"
KEY = re.compile(rb"^Message-ID: <([\w.-]+)@load\.test>\r?$", re.M | re.I)
DIGEST = re.compile(rb"^X-Digest: ([0-9a-f]{64})\r?$", re.M | re.I)
MARKER = re.compile(rb"marker-[\w.-]+")


class Taken:
    """One recipient of one message, taken once."""
    __slots__ = ("recipient", "message", "began", "at", "kind", "whole")

    def __init__(self, recipient, message, began, kind, whole):
        self.recipient, self.message, self.began, self.kind, self.whole = recipient, message, began, kind, whole
        self.at = time.monotonic()


def look_at(data):
    """(our id or None, kind, whole) of a message as it came: kind is plain, sealed or other (a notice, a DSN)."""
    head, _, body = data.partition(b"\r\n\r\n")
    key, digest = KEY.search(head), DIGEST.search(head)
    message = key.group(1).decode() if key else None
    if b"enveloped-data" in head or b"authEnveloped-data" in head or b"multipart/encrypted" in head:
        return message, "sealed", MARKER.search(body) is None
    if digest:
        return message, "plain", hashlib.sha256(body).hexdigest().encode() == digest.group(1)
    return message, "other", MARKER.search(data) is None


def key_of(taken):
    """A notice of the portal is known by its recipient, all else by itself."""
    local, domain = taken.recipient.rsplit("@", 1)
    return taken.message if domain == "sealed.test" else local.rsplit(".", 1)[0], taken.recipient


class Taker:
    """
    index: {(message or recipient's message, recipient): [Taken]}
    kept:  {recipient: [message]} of those whose mail someone wants to read; put an empty list there before it comes
    """

    def __init__(self, seed=0):
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.taken, self.index, self.sessions, self.slow = [], {}, 0, 0.2
        self.refusing, self.kept = False, {}
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
        with self.lock:
            for taken in (Taken(r, message, began, kind, whole) for r in recipients):
                self.taken.append(taken)
                self.index.setdefault(key_of(taken), []).append(taken)
            for recipient in self.kept.keys() & set(recipients):
                self.kept[recipient].append(data)

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
        self.recipients = []

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
                self.socket.sendall(OFFER)
            elif verb == b"RCPT":
                if self.taker.refusing:
                    self.socket.sendall(b"451 4.3.0 later\r\n")
                    continue
                self.recipients.append(line.split(b"<", 1)[1].split(b">")[0].decode())
                self.socket.sendall(b"250 2.1.5 ok\r\n")
            elif verb == b"DATA":
                self.data()
            elif verb == b"QUIT":
                self.socket.sendall(b"221 2.0.0 bye\r\n")
                return
            else:
                self.recipients = [] if verb in (b"RSET", b"MAIL") else self.recipients
                self.socket.sendall(b"250 2.0.0 ok\r\n")

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
        self.taker.add(self.recipients, body.replace(b"\r\n.", b"\r\n"), began)
        self.recipients = []
        self.socket.sendall(b"250 2.0.0 taken\r\n")
