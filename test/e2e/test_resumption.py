"""Sessions under TLS to next hops: a second one to the same host resumes the first, and proves as much."""
import ssl

import pytest

from lab import mail
from lab.sink import Session, Sink


class Remembering(Session):
    """One context for all sessions, whose tickets open in the next."""

    def make_context(self):
        return self.sink.context


class RememberingSink(Sink):
    session = Remembering

    def __init__(self, version, **options):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*options["certificate"])
        self.context.minimum_version = self.context.maximum_version = version
        super().__init__(**options)


@pytest.fixture
def hop(lab, gateways):
    """make(version): a gateway whose connections are closed at once, and the host that its mail goes to, proved by DANE."""
    started = []

    def make(version):
        chain = lab.folder / "ta-resumed.pem"
        chain.write_text(lab.dns.certificate("hosts")[0].read_text() + lab.dns.ca.read_text())
        sink = RememberingSink(version, address="127.0.0.16", port=lab.mx_port,
                               certificate=(chain, lab.dns.certificate("hosts")[1]))
        started.append(sink)
        return gateways("--workers", 1, *lab.options(), "--set", 'delivery.reuse="0s"'), sink
    yield make
    for sink in started:
        sink.stop()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_second_session_resumes_the_first(hop, version):
    gateway, sink = hop(version)
    attempts = []
    for number in range(1, 4):
        message, message_id = mail.make("hello\r\n")
        gateway.send(message, ["t@ta.example.test"])
        sink.wait_for(number)
        sink.wait_idle()
        attempts.append(gateway.wait_record("delivery.attempted", message=gateway.message_of(message_id)))
    assert sink.sessions == 3 and sink.context.session_stats()["hits"] == 2
    assert [a["tls"]["resumed"] for a in attempts] == [False, True, True]
    assert all(a["outcome"] == "delivered" for a in attempts) and all(m["tls"] for m in sink.messages)
    first, *others = [{k: v for k, v in a["tls"].items() if k != "resumed"} for a in attempts]
    assert first["verified_by"] == "dane-ta" and all(other == first for other in others), attempts
