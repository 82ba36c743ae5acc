"""The hosts of a plan: each takes mail, or does what its trouble says, and keeps account of what it showed and what it got."""
import contextlib
import http.server
import random
import re
import socket
import ssl
import struct
import threading
import time

from lab.pki import Authority
from lab.ports import free_port
from lab.sink import Session, Sink

HASTE = 0.05
HANG = 3.0  # longer than delivery.connect and delivery.command
MESSAGE = re.compile(rb"^Message-ID: <([\w.-]+)@[\w.]+>\r?$", re.M | re.I)


class Account:
    """
    copies: [{host, shown, from, to, data, end, time, requires, offered}], end is "taken", "lost" behind the dot, "refused", "cut"
    asked:  [(time, host name, what, detail)] all that was said to a host: connect, mail, rcpt
    shown:  {host name: {what its connections were to show}}
    """

    def __init__(self):
        self.lock, self.copies, self.asked, self.shown = threading.Lock(), [], [], {}
        self.began = time.monotonic()

    def now(self):
        return time.monotonic() - self.began

    def note(self, host, what, detail=""):
        with self.lock:
            self.asked.append((self.now(), host.name, what, detail))

    def copy(self, host, session, data, end):
        found = MESSAGE.search(data.partition(b"\r\n\r\n")[0])
        with self.lock:
            self.copies.append({"host": host, "shown": session.shown if session.tls else "none", "from": session.sender,
                                "to": list(session.recipients), "data": data, "end": end, "time": self.now(),
                                "requires": session.requires, "offered": session.shown,
                                "key": found.group(1).decode() if found else None})


class Talk(Session):
    """One connection: its trouble and what it shows are drawn when it begins."""

    def __init__(self, sink, connection):
        super().__init__(sink, connection)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.shown, self.trouble = sink.draw()
        self.requires = self.is_greeted = False
        sink.account.note(sink.host, "connect", f"{self.shown}, {self.trouble}")
        sink.account.shown.setdefault(sink.host.name, set()).add(self.shown)

    def is_now(self, stage):
        """Whether the trouble is of this stage. A closed connection does not come back from here."""
        trouble = self.trouble
        if trouble is None or trouble.stage != stage:
            return False
        if trouble.what == "hang":
            time.sleep(HANG)
        if trouble.what in ("hang", "close"):
            if stage == "connect":
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise EOFError
        return True

    def refuse(self, stage):
        """returns: whether it said its trouble instead of going on"""
        if self.sink.host.slow and stage in ("mail", "rcpt", "data", "dot"):
            time.sleep(self.sink.host.slow * random.random())
        if not self.is_now(stage) or self.trouble.what == "lost":
            return False
        if stage == "rcpt" and self.sink.dice_for_rcpt():
            return False
        if stage == "starttls" and self.tls:
            return False
        self.say(self.trouble.what)
        if self.trouble.what.startswith("421"):
            raise EOFError
        return True

    def run(self):
        self.is_now("connect")
        if self.refuse("greeting"):
            self.read_until(b"\r\n")
            return
        super().run()

    def read_until(self, end):
        self.socket.settimeout(HASTE if self.sink.host.hasty and self.is_greeted and end == b"\r\n" else 60)
        return super().read_until(end)

    def on_ehlo(self, line):
        if self.refuse("ehlo"):
            return
        self.is_greeted = True
        offer = ["PIPELINING", "SIZE 104857600", "ENHANCEDSTATUSCODES", *["8BITMIME"] * self.sink.host.eight_bit,
                 *["SMTPUTF8"] * self.sink.host.utf8, *["REQUIRETLS"] * (self.sink.host.requiretls and bool(self.tls)),
                 *["STARTTLS"] * (self.shown != "none" and not self.tls)]
        self.say("\r\n".join([f"250-{self.sink.host.name}", *(f"250-{o}" for o in offer[:-1]), f"250 {offer[-1]}"]))

    def on_helo(self, line):
        """Who is refused EHLO comes so: there are no extensions then, and no TLS."""
        self.shown = "none"
        self.sink.account.shown[self.sink.host.name].add("none")
        self.say(f"250 {self.sink.host.name}")

    def on_starttls(self, line):
        if self.refuse("starttls"):
            return
        self.socket.settimeout(60)
        self.is_greeted = False
        self.say("220 2.0.0 go")
        self.is_now("handshake")
        if self.shown == "breaks":
            self.socket.recv(65536)  # what comes before the client's first word is no broken handshake, but an injection
            self.socket.sendall(b"no\r\n" * 20)
            raise EOFError
        self.socket = self.sink.context(self.shown).wrap_socket(self.socket, server_side=True)
        self.tls, self.buffer = self.socket.version(), b""

    def on_mail(self, line):
        self.sender, self.recipients = None, []
        sender = line.split(b"<", 1)[1].split(b">")[0].decode()
        self.sink.account.note(self.sink.host, "mail", sender)
        if not self.refuse("mail"):
            self.sender, self.requires = sender, b" REQUIRETLS" in line.upper()
            self.say("250 2.1.0 ok")

    def on_rcpt(self, line):
        address = line.split(b"<", 1)[1].split(b">")[0].decode()
        self.sink.account.note(self.sink.host, "rcpt", address)
        if self.sender is None:
            self.say("503 5.5.1 no MAIL")
        elif not self.refuse("rcpt"):
            self.recipients.append(address)
            self.say("250 2.1.5 ok")

    def on_data(self, line):
        if self.refuse("data"):
            return
        if not self.recipients:
            self.say("554 5.5.1 no recipients")
            return
        self.say("354 go")
        end = "cut"
        if self.trouble is not None and self.trouble.stage == "body":
            with contextlib.suppress(EOFError, OSError):
                self.buffer += self.socket.recv(1000)
            self.sink.account.copy(self.sink.host, self, self.buffer, end)
            raise EOFError
        try:
            body = self.read_until(b"\r\n.\r\n") + b"\r\n"
        except (EOFError, OSError):
            self.sink.account.copy(self.sink.host, self, self.buffer, end)
            raise
        data = b"\r\n".join(part[1:] if part.startswith(b".") else part for part in body.split(b"\r\n"))
        mine = self.trouble is not None and self.trouble.stage == "dot"
        end = "taken" if not mine else "lost" if self.trouble.what in ("lost", "close", "hang") else "refused"
        self.sink.account.copy(self.sink.host, self, data, end)
        if end == "lost":
            raise EOFError
        if not self.refuse("dot"):
            self.say("250 2.0.0 taken")


class FakeHost(Sink):
    session = Talk

    def __init__(self, host, port, world, address=None):
        self.host, self.world, self.account = host, world, world.account
        self.dice, self.dice_lock = world.dice_of(host), threading.Lock()
        super().__init__(address=address or host.address, port=port)

    def is_well(self):
        if self.host.spells:
            return not any(start <= self.account.now() < end for start, end in self.host.spells)
        return self.host.well_from is not None and self.account.now() >= self.host.well_from

    def draw(self):
        """(what the next connection shows, its trouble or None)"""
        with self.dice_lock:
            shown, trouble = self.host.shown, None
            if shown == "mixed":
                shown = "good" if self.is_well() else self.dice.choice(self.world.mixed)
            if not self.is_well() and self.host.troubles and self.dice.random() < self.host.rate:
                trouble = self.dice.choice(self.host.troubles)
            return shown, trouble

    def dice_for_rcpt(self):
        with self.dice_lock:
            return self.dice.random() < 0.4

    def context(self, shown):
        return self.world.context(self.host, shown)


class PolicyHost:
    """HTTPS for the MTA-STS policies (RFC 8461) of all domains; served: {domain: when its policy was first asked for and told}"""

    def __init__(self, pair, now):
        self.port, self.texts, self.served = free_port(), {}, {}
        parent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                domain = (self.headers["Host"] or "").partition(":")[0].removeprefix("mta-sts.")
                text = parent.texts.get(domain)
                if text is None:
                    return self.close_at_once()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                parent.served.setdefault(domain, now())

            def close_at_once(self):
                self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Certificates:
    """What hosts show: "good" is each host's own; the others prove nothing, to whomever they are shown."""

    def __init__(self, folder, pin_of):
        self.ours, theirs = Authority(folder, "Good CA"), Authority(folder, "Other CA")
        self.pin_of, self.contexts, self.lock = pin_of, {}, threading.Lock()
        self.leaves = {"stranger": theirs.leaf("stranger", ["stranger.test"]), "wrong": self.ours.leaf("wrong", ["wrong.test"])}

    def leaf(self, host, shown="good"):
        if shown != "good":
            return self.leaves[shown]
        if host.name not in self.leaves:
            self.leaves[host.name] = self.ours.leaf(host.name, [host.name, *self.pin_of(host)])
        return self.leaves[host.name]

    def context(self, host, shown):
        with self.lock:
            if (host.name, shown) not in self.contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.leaf(host, shown).pair)
                self.contexts[host.name, shown] = context
            return self.contexts[host.name, shown]
