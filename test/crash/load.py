"""Clients that send all the time and keep account of every answer: what got its 250, what was put off, what ended without an
answer, and how sessions ended. Every message is a new one, so that nothing is sent twice by the clients."""
import hashlib
import random
import re
import socket
import ssl
import threading
import time

from lab import mail

KINDS = ("plain", "plain", "plain", "sealed", "portal")
# what the sender hears of a recipient there; who is put off first and refused then, is at late.test
REPORTED = {"refused.test": "failed", "late.test": "failed", "told.test": "relayed"}
QUEUED = re.compile(r"queued as ([0-9A-Z]{26})")
SEALED = ("s0@sealed.test", "p0@sealed.test")


class Message:
    __slots__ = ("id", "recipients", "size", "reply", "queue_id", "at", "kind")

    def __init__(self, name, kind, count, size, chosen):
        self.id, self.kind, self.size, self.reply, self.queue_id, self.at = name, kind, size, None, None, None
        if kind == "sealed":
            self.recipients = [chosen]
        elif kind == "mixed":
            self.recipients = [f"{name}.0@plain.test", f"{name}.1@refused.test"]
        else:
            self.recipients = [f"{name}.{n}@{kind}.test" for n in range(count)]

    def keys(self):
        """What has to arrive, as the taker files it: copies, and reports to the sender."""
        for recipient in self.recipients:
            domain = recipient.rsplit("@", 1)[1]
            if REPORTED.get(domain) != "failed":
                yield self.id, recipient
            if domain in REPORTED:
                yield f"{REPORTED[domain]} {self.id}", recipient


def text_of(message, seed):
    """Lines of words that no detector knows, a marker in the first."""
    words = random.Random(seed)
    line = "".join(words.choice("bcdfgklmnprstv") + words.choice("aeou") for _ in range(30))
    lines, length = [f"marker-{message.id}"], 0
    if message.kind == "phi":
        lines += mail.PHI.splitlines()
    while length < message.size:
        lines.append(line)
        length += len(line) + 2
    return ("\r\n".join(lines) + "\r\n").encode()


class Refused(Exception):
    """The other side said 421 or an answer that ends this attempt."""


class Session:
    """One SMTP session, no library between us and the answers."""

    def __init__(self, address, timeout):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.buffer = b""
        self.expect("220")
        self.ask("EHLO client.load.test", "250")

    def reply(self):
        while True:
            while b"\n" not in self.buffer:
                data = self.socket.recv(4096)
                if not data:
                    raise EOFError("closed")
                self.buffer += data
            line, self.buffer = self.buffer.split(b"\n", 1)
            if line[3:4] != b"-":
                return line.decode().rstrip("\r")

    def expect(self, code):
        reply = self.reply()
        if not reply.startswith(code):
            raise Refused(reply)
        return reply

    def ask(self, line, code):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.expect(code)

    def close(self):
        self.socket.close()


class TlsSession(Session):
    """The same behind STARTTLS."""

    def __init__(self, address, timeout, authority):
        super().__init__(address, timeout)
        self.ask("STARTTLS", "220")
        self.socket = ssl.create_default_context(cafile=authority).wrap_socket(self.socket, server_hostname="localhost")
        self.ask("EHLO client.load.test", "250")


class Load:
    """
    sent:     every Message that was begun
    replies:  {reply's first three characters or "lost": count} of ends of data and refusals
    ends:     (when, why) of sessions that did not end by QUIT
    """

    def __init__(self, address, seed=0, clients=4, largest=5 << 20, timeout=90, kinds=KINDS, pause=0.0, authority=None):
        """authority: whose certificate the gateway has; then every second client sends behind STARTTLS"""
        self.address, self.seed, self.largest, self.timeout, self.authority = address, seed, largest, timeout, authority
        self.kinds, self.pause = kinds, pause
        self.sent, self.replies, self.ends, self.lock = [], {}, [], threading.Lock()
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(clients)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(self.timeout + 30)
            assert not thread.is_alive(), "a client hangs"

    def acknowledged(self):
        with self.lock:
            return [m for m in self.sent if m.reply and m.reply.startswith("250")]

    def count(self):
        with self.lock:
            return sum(n for code, n in self.replies.items() if code == "250")

    def note(self, code):
        with self.lock:
            self.replies[code] = self.replies.get(code, 0) + 1

    def size(self, dice):
        kind = dice.random()
        if kind < 0.75:
            return dice.randrange(1 << 10, 16 << 10)
        if kind < 0.96:
            return dice.randrange(16 << 10, 400 << 10)
        return dice.randrange(400 << 10, self.largest)

    def make(self, dice, client, count):
        kind = dice.choice(self.kinds)
        size = min(self.size(dice), self.largest)
        if kind != "plain":
            size = min(size, 300 << 10)
        return Message(f"m{self.seed}-{client}-{count}", kind, dice.choice((1, 1, 1, 3)), size, dice.choice(SEALED))

    def run(self, client):
        dice, count = random.Random(f"{self.seed}/{client}"), 0
        while not self.stopped.is_set():
            session = None
            try:
                session = TlsSession(self.address, self.timeout, self.authority) if self.authority and client % 2 \
                    else Session(self.address, self.timeout)
                for _ in range(dice.randrange(1, 20)):
                    if self.stopped.is_set():
                        break
                    count += 1
                    message = self.make(dice, client, count)
                    with self.lock:
                        self.sent.append(message)
                    self.send(session, message)
                    self.stopped.wait(self.pause)
                session.ask("QUIT", "221")
            except TimeoutError:
                self.ended("hung")
            except Refused as e:
                self.ended(str(e))
                self.note(str(e)[:3])
                self.stopped.wait(0.05)
            except (OSError, EOFError) as e:
                self.ended(f"closed: {e}")
                self.note("lost")
                self.stopped.wait(0.05)
            finally:
                if session:
                    session.close()

    def ended(self, why):
        with self.lock:
            self.ends.append((time.monotonic(), why))

    @staticmethod
    def data_of(message):
        body = text_of(message, message.id)
        head = (f"From: dr@tenant.test\r\nTo: {', '.join(message.recipients)}\r\nSubject: load\r\n"
                f"Message-ID: <{message.id}@load.test>\r\nX-Digest: {hashlib.sha256(body).hexdigest()}\r\n"
                "Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\n").encode()
        return head + body

    def send(self, session, message, data=None):
        """data: the message, if not one made for it"""
        data = data or self.data_of(message)
        session.ask("MAIL FROM:<dr@tenant.test>", "250")
        for recipient in message.recipients:
            session.ask(f"RCPT TO:<{recipient}>{' NOTIFY=SUCCESS' if recipient.endswith('@told.test') else ''}", "250")
        session.ask("DATA", "354")
        session.socket.sendall(data)
        session.socket.sendall(b".\r\n")
        reply = session.reply()
        message.at, message.reply = time.monotonic(), reply
        self.note(reply[:3])
        found = QUEUED.search(reply)
        if reply.startswith("250"):
            message.queue_id = found.group(1) if found else ""
