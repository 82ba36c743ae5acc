"""SMTP hosts and policy hosts that misbehave in the ways that an attacker or a careless postmaster does."""
import http.server
import socket
import ssl
import threading
import time
import warnings

from lab.sink import Session, Sink


class HostileSession(Session):
    """A host whose trouble begins at STARTTLS, or before."""

    def run(self):
        if self.sink.trouble == "silent":
            self.wait_for_the_end()
        super().run()

    def wait_for_the_end(self):
        """Says nothing until the peer goes away."""
        while self.socket.recv(65536):
            pass
        raise EOFError

    def on_ehlo(self, line):
        if self.sink.trouble == "ehlo-changes" and self.tls:
            self.say("250-sink.test\r\n250-SIZE 10\r\n250 STARTTLS")  # no PIPELINING, too small, STARTTLS once more
            return
        if self.sink.trouble == "other-letters" and not self.tls:
            self.say("250-sink.test\r\n250-8bitMIME\r\n250 StartTls")
            return
        super().on_ehlo(line)

    on_helo = on_ehlo

    def on_starttls(self, line):
        trouble = self.sink.trouble
        if trouble == "refuses":
            self.say("454 4.7.0 not now")
        elif trouble == "bytes-behind-220":
            self.socket.sendall(b"220 2.0.0 go\r\n250-sink.test\r\n250 SIZE 1000000\r\n")
            self.wait_for_the_end()
        elif trouble == "nonsense":
            self.socket.sendall(b"220 2.0.0 go\r\n")
            self.socket.recv(65536)
            self.socket.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)
            self.wait_for_the_end()
        elif trouble == "stalls":
            self.socket.sendall(b"220 2.0.0 go\r\n")
            self.wait_for_the_end()
        elif trouble == "closes":
            self.socket.sendall(b"220 2.0.0 go\r\n")
            raise EOFError
        elif trouble == "resets":
            self.socket.sendall(b"220 2.0.0 go\r\n")
            self.socket.recv(1, socket.MSG_PEEK)
            raise EOFError  # closed with something unread: the peer hears a reset
        else:
            super().on_starttls(line)

    def make_context(self):
        if self.sink.trouble == "weak-key":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.load_cert_chain(*self.sink.certificate)
            return context
        context = super().make_context()
        if self.sink.trouble == "old-tls":
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # that they are deprecated is the point
                context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        return context


class HostileSink(Sink):
    """trouble: "", "silent", "refuses", "bytes-behind-220", "nonsense", "stalls", "closes", "resets", "old-tls", "ehlo-changes",
    "weak-key", "other-letters"."""
    session = HostileSession
    trouble = ""


class PolicyHost:
    """
    The HTTPS host of MTA-STS policies for many domains: policies[domain] is a text, or a trouble: "redirect", "oversize",
    "wrong-type", "missing", "stalls". port 0: any. certificates: by domain where it is not the common one (a pair of paths).
    """

    def __init__(self, address, port, certificate):
        self.policies, self.certificates, self.asked = {}, {}, []
        self.common = self.context(certificate)
        self.common.sni_callback = self.choose
        self.stopped = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.serve(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that refuses our certificate

            def finish_request(self, request, client_address):
                request.settimeout(20)
                super().finish_request(outer.common.wrap_socket(request, server_side=True), client_address)

        self.server = Server((address, port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def context(pair):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        return context

    def choose(self, connection, name, _):
        pair = self.certificates.get((name or "").removeprefix("mta-sts."))
        if pair:
            connection.context = self.context(pair)

    def serve(self, request):
        domain = request.headers.get("Host", "").split(":")[0].removeprefix("mta-sts.")
        self.asked.append(domain)
        policy = self.policies.get(domain, "missing")
        status, kind, body = 200, "text/plain; charset=utf-8", policy.encode()
        if policy == "stalls":
            self.stopped.wait(15)
            return
        if policy == "redirect" and request.path == "/.well-known/mta-sts.txt":
            request.send_response(301)
            request.send_header("Location", f"https://mta-sts.{domain}:{self.server.server_address[1]}/elsewhere.txt")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if policy in ("redirect", "wrong-type", "oversize"):
            body = self.policies[domain + " good"].encode()
        if policy == "wrong-type":
            kind = "text/html"
        if policy == "oversize":
            body += b"x-filler: " + b"x" * 70000 + b"\r\n"
        if policy == "missing":
            status, body = 404, b""
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def stop(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()


def wait_past(monotonic):
    """Sleeps until a moment has passed that something else was told to end at."""
    time.sleep(max(0, monotonic - time.monotonic()))
