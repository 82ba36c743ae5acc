"""An SMTP server that records every byte and misbehaves on demand: what Postfix can't be made to do."""
import datetime
import errno
import pathlib
import socket
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from . import jitter, ports


def make_certificate(folder, name, ca, days=30):
    """A certificate for a host name signed by the CA (pair of paths); negative days make one that has expired."""
    now = datetime.datetime.utcnow()
    key = ec.generate_private_key(ec.SECP256R1())
    ca_certificate = x509.load_pem_x509_certificate(pathlib.Path(ca[0]).read_bytes())
    ca_key = serialization.load_pem_private_key(pathlib.Path(ca[1]).read_bytes(), None)
    certificate = (x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
                   .issuer_name(ca_certificate.subject).public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=60)).not_valid_after(now + datetime.timedelta(days=days))
                   .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
                   .sign(ca_key, hashes.SHA256()))
    base = pathlib.Path(folder) / name
    pem = certificate.public_bytes(serialization.Encoding.PEM) + pathlib.Path(ca[0]).read_bytes()
    base.with_suffix(".crt").write_bytes(pem)
    base.with_suffix(".priv").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return base.with_suffix(".crt"), base.with_suffix(".priv")


def listen(address, port, family):
    """At a port that nobody's outgoing connection takes meanwhile, where none is named: a sink may come back to it."""
    while True:
        try:
            return socket.create_server((address, port or ports.candidate()), family=family, backlog=256)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE:
                raise


class Sink:
    """
    messages: list of dicts: from, to, data (bytes as received, dots unstuffed), tls (version or None), sni (name or None), time,
              peer (address)
    mails:    all MAIL commands
    wire:     every byte that came in clear, before or without TLS
    replies:  overrides by verb, {"RCPT": "451 4.3.0 later", "DOT": "550 5.7.1 no"}; a callable gets the line
    offer:    extensions beside STARTTLS
    """
    session = None  # the class of its sessions, Session if None

    def __init__(self, address="127.0.0.1", port=0, certificate=None, replies=None,
                 offer=("PIPELINING", "8BITMIME", "SIZE 104857600", "ENHANCEDSTATUSCODES")):
        self.certificate, self.replies, self.offer = certificate, replies or {}, offer
        self.messages, self.mails, self.wire, self.sessions, self.closed = [], [], bytearray(), 0, 0
        self.changed = threading.Condition()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = listen(address, port, family)
        self.address, self.port = self.listener.getsockname()[:2]
        self.stopped = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.sessions += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def stop(self):
        self.stopped = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept, which else keeps the port
        except OSError:
            pass
        self.listener.close()

    def reply_to(self, verb, line, default):
        reply = self.replies.get(verb, default)
        return reply(line) if callable(reply) else reply

    def serve(self, connection):
        connection.settimeout(60)
        session = (self.session or Session)(self, connection)
        try:
            session.run()
        except (OSError, EOFError):
            pass
        finally:
            session.socket.close()  # after STARTTLS another one than the connection
            connection.close()
            with self.changed:
                self.closed += 1
                self.changed.notify_all()

    def wait_idle(self, seconds=60):
        """Until every session so far has ended."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.closed >= self.sessions, seconds):
                raise TimeoutError(f"{self.sessions - self.closed} sessions are still open")

    def add(self, message):
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def wait_for(self, count=1, seconds=60):
        """The messages, once there are so many."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.messages) >= count, seconds):
                raise TimeoutError(f"{len(self.messages)} of {count} messages arrived in {seconds} s")
            return list(self.messages)

    def wait_for_one(self, wanted, seconds=60):
        """The newest message for which wanted(message), once there is one."""
        def newest():
            return next((m for m in reversed(self.messages) if wanted(m)), None)
        with self.changed:
            if not self.changed.wait_for(newest, seconds):
                raise TimeoutError(f"none of {len(self.messages)} messages is the one, after {seconds} s")
            return newest()


class Session:
    def __init__(self, sink, connection):
        self.sink, self.socket, self.buffer, self.tls = sink, connection, b"", None
        self.sender, self.recipients, self.peer, self.sni = None, [], connection.getpeername()[0], None

    def say(self, text):
        if text == "close":
            raise EOFError
        self.socket.sendall((text + "\r\n").encode())

    def read_until(self, end):
        while end not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            if self.tls is None:
                self.sink.wire += data
            self.buffer += data
        line, self.buffer = self.buffer.split(end, 1)
        return line

    def run(self):
        jitter.wait()
        self.say(self.sink.reply_to("CONNECT", b"", "220 sink.test ESMTP"))
        while True:
            line = self.read_until(b"\r\n")
            verb = line.split(b" ")[0].upper().decode("latin-1")
            if verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            handler = getattr(self, "on_" + verb.lower(), None)
            if handler is None:
                self.say("500 5.5.2 what")
            else:
                handler(line)

    def on_ehlo(self, line):
        offer = list(self.sink.offer)
        if self.sink.certificate and not self.tls:
            offer.append("STARTTLS")
        lines = ["sink.test", *offer]
        reply = "\r\n".join(f"250{'-' if i < len(lines) - 1 else ' '}{text}" for i, text in enumerate(lines))
        self.say(self.sink.reply_to("EHLO", line, reply))

    on_helo = on_ehlo

    def make_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.sink.certificate)
        return context

    def on_starttls(self, line):
        reply = self.sink.reply_to("STARTTLS", line, "220 2.0.0 go")
        self.say(reply)
        if not reply.startswith("220"):
            return
        context = self.make_context()
        context.sni_callback = lambda connection, name, _: setattr(self, "sni", name)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.tls, self.buffer = self.socket.version(), b""

    def on_mail(self, line):
        self.sink.mails.append(line)
        reply = self.sink.reply_to("MAIL", line, "250 2.1.0 ok")
        self.sender, self.recipients = line.split(b"<", 1)[1].split(b">")[0].decode() if reply.startswith("2") else None, []
        self.say(reply)

    def on_rcpt(self, line):
        reply = self.sink.reply_to("RCPT", line, "250 2.1.5 ok" if self.sender is not None else "503 5.5.1 MAIL first")
        if reply.startswith("2"):
            self.recipients.append(line.split(b"<", 1)[1].split(b">")[0].decode())
        self.say(reply)

    def on_data(self, line):
        reply = self.sink.reply_to("DATA", line, "354 go")
        if reply.startswith("3") and not self.recipients:
            reply = "554 5.5.1 no recipients"
        self.say(reply)
        if not reply.startswith("3"):
            return
        self.buffer = b"\r\n" + self.buffer  # a dot may be all that comes
        body = (self.read_until(b"\r\n.\r\n") + b"\r\n")[2:]
        data = b"\r\n".join(part[1:] if part.startswith(b".") else part for part in body.split(b"\r\n"))
        jitter.wait()
        reply = self.sink.reply_to("DOT", data, "250 2.0.0 taken")
        if reply.startswith("2"):
            self.sink.add({"from": self.sender, "to": self.recipients, "data": data, "tls": self.tls, "sni": self.sni,
                           "time": time.monotonic(), "peer": self.peer})
        self.say(reply)

    def on_rset(self, line):
        self.recipients = []
        self.say("250 2.0.0 ok")

    def on_noop(self, line):
        self.say("250 2.0.0 ok")
