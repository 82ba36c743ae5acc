"""A DNS server for TXT records, and for others where a test names them, on UDP, as a resolver that a test fills while it runs."""
import socketserver
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class Txt:
    """records: name (with its last dot, lower case) to text; others: (name, type) to a list of texts; broken: names that are
    answered SERVFAIL; mute: names that get no answer at all."""

    def __init__(self):
        self.records, self.others, self.broken, self.mute, self.asked = {}, {}, set(), set(), []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                data, sock = self.request
                reply = outer.answer(data)
                if reply is not None:
                    sock.sendto(reply, self.client_address)

        self.server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.server.server_address[1]

    def answer(self, data):
        query = dns.message.from_wire(data)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        name = query.question[0].name.to_text().lower()
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked.append(name)
        if name in self.mute:
            return None
        if name in self.broken:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif (name, kind) in self.others:
            reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", kind, *self.others[name, kind]))
        elif name not in self.records:
            if not any(name == known for known, _ in self.others):
                reply.set_rcode(dns.rcode.NXDOMAIN)
        elif kind == "TXT":
            text = self.records[name]
            strings = " ".join('"%s"' % text[i:i + 200].replace('"', '\\"') for i in range(0, len(text), 200))
            reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "TXT", strings))
        return reply.to_wire()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
