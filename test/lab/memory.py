"""What a gateway's processes take together: PSS, and shared memory that none of them has mapped. And one large message
through every way of protection, with a meter running."""
import base64
import os
import pathlib
import re
import socket
import threading

from lab import leaks, mail
from lab.browser import Https, code_in, cookie_of, link_in, token_of

MIB = 1024 * 1024
EVERY_S = 0.01
PDF_MAX = 8 * MIB  # as in lib/detect/message.c


def pss_of(pid):
    """Bytes; 0 of a process that has gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1)) * 1024


def memfds_of(pids):
    """Bytes in memfds, each counted once, however many hold it."""
    seen = {}
    for pid in pids:
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for name in names:
            path = f"/proc/{pid}/fd/{name}"
            try:
                if os.readlink(path).startswith("/memfd:"):
                    stat = os.stat(path)
                    seen[stat.st_ino] = stat.st_blocks * 512
            except OSError:
                continue
    return sum(seen.values())


def names_of(pids):
    found = {}
    for pid in pids:
        try:
            found[pid] = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue
    return found


def total(gateway):
    """Bytes of all processes together: the supervisor, the roles, gpg and its agent."""
    pids = leaks.processes_of(gateway)
    return sum(map(pss_of, pids)) + memfds_of(pids)


def table(gateway):
    """{name of program: bytes}, and "memfd"."""
    pids = leaks.processes_of(gateway)
    found = {"memfd": memfds_of(pids)}
    for pid, name in names_of(pids).items():
        found[name] = found.get(name, 0) + pss_of(pid)
    return found


class Meter:
    """The highest total while it runs, and who had how much of it then."""

    def __init__(self, gateway):
        self.gateway, self.peak, self.at_peak, self.samples = gateway, 0, {}, 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while True:
            found = table(self.gateway)
            self.samples += 1
            if sum(found.values()) > self.peak:
                self.peak, self.at_peak = sum(found.values()), found
            if self.stopped.wait(EVERY_S):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()


class DrainSink:
    """An SMTP server that counts what it gets and keeps only small messages: a large one is no burden on the machine."""

    KEEP = 64 * 1024

    def __init__(self, address="127.0.0.1"):
        self.listener = socket.create_server((address, 0))
        self.address, self.port = self.listener.getsockname()
        self.messages = []  # to, size, data (the first bytes)
        self.changed = threading.Condition()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def serve(self, connection):
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 drain.test\r\n")
            recipients = []
            for line in lines:
                verb = line[:4].upper()
                if verb == b"QUIT":
                    return
                if verb == b"EHLO":
                    reply = b"250-drain.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000000000"
                elif verb == b"RCPT":
                    recipients.append(line.split(b"<")[1].split(b">")[0].decode())
                    reply = b"250 2.1.5 ok"
                elif verb == b"DATA":
                    connection.sendall(b"354 go\r\n")
                    self.add(recipients, *self.drain(lines))
                    recipients, reply = [], b"250 2.0.0 taken"
                else:
                    reply = b"250 2.0.0 ok"
                connection.sendall(reply + b"\r\n")

    def drain(self, lines):
        size, kept = 0, b""
        for line in lines:
            if line == b".\r\n":
                break
            size += len(line)
            if len(kept) < self.KEEP:
                kept += line
        return size, kept

    def add(self, recipients, size, kept):
        with self.changed:
            self.messages.append({"to": recipients, "size": size, "data": kept})
            self.changed.notify_all()

    def wait_for(self, recipient, size=0, count=1, seconds=600):
        """The count-th message to a recipient of at least this size."""
        def found():
            return [m for m in self.messages if recipient in m["to"] and m["size"] >= size]
        with self.changed:
            assert self.changed.wait_for(lambda: len(found()) >= count, seconds), f"nothing for {recipient}"
            return found()[count - 1]


LINE = b"The scan of the thorax shows nothing that has changed since the last visit, see above."


def pdf(size):
    """A document of about size bytes: pages of text, no picture."""
    pages, stream = 1900, b"BT /F1 9 Tf 40 750 Td 11 TL\n"
    lines = (size // pages - 250) // (len(LINE) + 8)
    stream += b"".join(b"(%s) Tj T*\n" % LINE for _ in range(lines)) + b"ET\n"
    objects = [b"<</Type/Catalog/Pages 2 0 R>>",
               b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, b" ".join(b"%d 0 R" % (4 + 2 * i) for i in range(pages))),
               b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    for i in range(pages):
        objects.append(b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
                       % (5 + 2 * i))
        objects.append(b"<</Length %d>>stream\n%sendstream" % (len(stream), stream))
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(out) + (b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
                         % (len(objects) + 1, table, len(objects) + 1, len(out)))


def rtf(size):
    """A document of about size bytes, half of it a picture."""
    text = (LINE + b"\\par\n") * (size // 2 // (len(LINE) + 5))
    return b"{\\rtf1\\ansi{\\pict\\pngblip\n" + (b"89504e470d0a1a0a" * 8 + b"\n") * (size // 2 // 129) + b"}\n" + text + b"}"


def page(size):
    """A page of about size bytes, half of it a picture in an address."""
    picture = base64.b64encode(bytes(range(256))).rstrip(b"=")
    return (b'<html><body><img src="data:image/png;base64,' + picture * (size // 2 // len(picture)) + b'">'
            + (b"<p>" + LINE + b"</p>\n") * (size // 2 // (len(LINE) + 8)) + b"</body></html>")


def part(content_type, name, data):
    body = base64.encodebytes(data).replace(b"\n", b"\r\n")
    return (b"--b\r\nContent-Type: %s\r\nContent-Disposition: attachment; filename=%s\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n%s" % (content_type, name, body))


def large(size, recipients, kind):
    """A message of about size bytes with health data in it: "text", an "attachment" in base-64, or "documents": the largest
    PDF that is read, and RTF and HTML for the rest."""
    head, message_id = mail.make("", recipients, subject="[secure] Images")
    fields = head.split(b"MIME-Version")[0]
    if kind == "text":
        return (fields + b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + mail.PHI.encode()
                + (LINE + b"\r\n") * (size // (len(LINE) + 2))), message_id
    fields += (b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
               b"Content-Type: text/plain\r\n\r\n" + mail.PHI.encode() + b"\r\n")
    if kind == "documents":
        rest = (size * 57 // 78 - PDF_MAX) // 2
        return (fields + part(b"application/pdf", b"a.pdf", pdf(PDF_MAX - 100000)) + part(b"application/rtf", b"b.rtf", rtf(rest))
                + part(b"text/html", b"c.html", page(rest)) + b"--b--\r\n"), message_id
    data = base64.encodebytes(os.urandom(57 * 1000)).replace(b"\n", b"\r\n")
    return (fields + b"--b\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Disposition: attachment; filename=scan.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + data * (size // len(data)) + b"--b--\r\n"), message_id


def send(gateway, recipients, size, kind):
    """Submits a large message; returns our id of it, once it is accepted."""
    message, message_id = large(size, recipients, kind)
    with gateway.client(tls=False) as client:
        client.ehlo("client.tenant.test")
        client.mail("dr@tenant.test")
        for recipient in recipients:
            client.rcpt(recipient)
        client.putcmd("data")
        assert client.getreply()[0] == 354
        client.sock.sendall(message)
        client.sock.sendall(b".\r\n")
        code, text = client.getreply()
        assert code == 250, text
    return gateway.message_of(message_id, 120)


class Portal:
    """A recipient's way into a message in the portal."""

    def __init__(self, gateway, sink, recipient):
        self.https = Https(gateway)
        asked = self.https.ask("POST", "/code", {"token": token_of(link_in(sink.wait_for(recipient)["data"]))})
        code = code_in(sink.wait_for(recipient, count=2)["data"])
        opened = self.https.ask("POST", "/open", {"code": code}, cookie_of(asked))
        self.path, self.cookie = opened.getheader("Location"), cookie_of(opened)

    def page(self):
        return self.https.ask("GET", self.path, cookie=self.cookie)

    def download(self, what):
        """Size of what came, read at once and thrown away."""
        return self.https.drain("POST", f"{self.path}/{what}", {}, self.cookie)
