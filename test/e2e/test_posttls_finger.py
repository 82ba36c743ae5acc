"""`sallyport probe` and Postfix's posttls-finger look at the same hosts and must see the same: what the TLS is, whose key was
shown, and whether it is proved. posttls-finger asks the system's resolver, so it gets a resolv.conf of its own in a mount
namespace, which leads to a forwarder on port 53 of a loopback address. Needs root, as Postfix does."""
import json
import os
import re
import select
import socket
import subprocess
import threading

import pytest

from lab.pki import Authority
from lab.postfix import OWNER, POSTDROP, unpack

RESOLVER = "127.0.0.77"
MAIN = f"""compatibility_level = 3.6
myhostname = finger.test
mail_owner = {OWNER}
setgid_group = {POSTDROP}
smtp_dns_support_level = dnssec
inet_protocols = ipv4
"""


class Forwarder:
    """Port 53 of a loopback address, passed on to the lab's resolver, over UDP and TCP."""

    def __init__(self, upstream):
        host, port = upstream.rsplit(":", 1)
        self.upstream, self.stopped = (host, int(port)), threading.Event()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((RESOLVER, 53))
        self.tcp = socket.create_server((RESOLVER, 53))
        self.runner = threading.Thread(target=self.run, daemon=True)
        self.runner.start()

    def run(self):
        while not self.stopped.is_set():
            for ready in select.select([self.udp, self.tcp], [], [], 0.1)[0]:
                if self.stopped.is_set():
                    return
                threading.Thread(target=self.pass_udp if ready is self.udp else self.pass_tcp,
                                 args=ready.recvfrom(4096) if ready is self.udp else ready.accept(), daemon=True).start()

    def pass_udp(self, packet, client):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.sendto(packet, self.upstream)
            self.udp.sendto(s.recv(65535), client)

    def pass_tcp(self, client, _):
        with client, socket.create_connection(self.upstream, timeout=5) as s:
            s.sendall(client.recv(65535))
            client.sendall(s.recv(65535))

    def stop(self):
        self.stopped.set()
        self.runner.join()
        self.udp.close()
        self.tcp.close()


@pytest.fixture(scope="module")
def finger(lab, tmp_path_factory):
    """finger(domain, level) runs posttls-finger and returns what it says."""
    if os.geteuid() != 0:
        pytest.skip("posttls-finger's resolver needs a mount namespace, and port 53")
    folder = tmp_path_factory.mktemp("finger")
    (folder / "resolv.conf").write_text(f"nameserver {RESOLVER}\noptions edns0 trust-ad\n")
    (folder / "main.cf").write_text(MAIN)
    root = unpack()
    forwarder = Forwarder(lab.dns.resolver)

    def run(domain, level, trust, *more):
        command = ["unshare", "-m", "sh", "-c", 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"', "sh",
                   folder / "resolv.conf", root / "usr/sbin/posttls-finger", "-c", "-d", "sha256", "-l", level, "-F", trust,
                   "-L", "summary,certmatch,verbose", "-o", "smtp_tls_note_starttls_offer=yes", *more, f"{domain}:{lab.mx_port}"]
        done = subprocess.run(command, env={**os.environ, "LD_LIBRARY_PATH": f"{root}/usr/lib/postfix",
                                            "MAIL_CONFIG": str(folder)}, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr
    yield run
    forwarder.stop()


@pytest.fixture(scope="module")
def hosts(lab, tmp_path_factory, module_gateways):
    """Sinks with certificates of all sorts, and a gateway that may look at them."""
    from lab.sink import Sink
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "Stranger CA")
    own = stranger.leaf("own", ["mx-dead.example.test"])
    chain = tmp_path_factory.mktemp("chain") / "chain.pem"
    chain.write_text(lab.dns.certificate("hosts")[0].read_text() + lab.dns.ca.read_text())
    started = [Sink(address=address, port=lab.mx_port, certificate=certificate) for address, certificate in (
        ("127.0.0.12", lab.dns.certificate("other")), ("127.0.0.13", lab.dns.certificate("other")),
        ("127.0.0.14", own.pair), ("127.0.0.15", lab.dns.certificate("hosts")),
        ("127.0.0.16", (chain, lab.dns.certificate("hosts")[1])))]
    yield module_gateways(*lab.options())
    for sink in started:
        sink.stop()


def look(gateway, domain):
    seen = json.loads(gateway.run("probe", domain, "--json", check=False).stdout)
    return next(h for h in seen["hosts"] if h["talks"])


# domain; posttls-finger's level; its word for the connection; ours; our reason against the next better level
CASES = [
    ("example.test", "dane", "Verified", "tls:dane", None),
    ("ta.example.test", "dane", "Verified", "tls:dane", None),
    ("wrong.example.test", "dane", "Untrusted", "broken", ("tls:dane", "tls.dane-mismatch")),
    ("sts.example.test", "verify", "Verified", "tls:verified", None),
    ("old.example.test", "encrypt", "Trusted", "tls:encrypted", ("tls:verified", "tls.name-mismatch")),
    ("dead.example.test", "encrypt", "Untrusted", "tls:encrypted", ("tls:verified", "tls.untrusted")),
]


@pytest.mark.parametrize("domain,level,word,ours,why", CASES, ids=[c[0] for c in CASES])
def test_both_see_the_same(lab, finger, hosts, domain, level, word, ours, why):
    said = finger(domain, level, lab.dns.ca)
    established = re.search(r": (\w+) TLS connection established to \S+: TLSv(\S+) with cipher (\S+)", said)
    assert established, said
    host = look(hosts, domain)
    assert established.group(1) == word and host["level"] == ours, (said, host)
    assert established.group(2) == host["tls"]["version"] and established.group(3) == host["tls"]["cipher"], (said, host)
    key = re.search(r"pkey_fingerprint=([0-9A-F:]{95})", said)
    assert key, said
    assert key.group(1).replace(":", "").lower() == host["tls"]["spki_sha256"], (said, host)
    if why:
        assert host["why_not"][why[0]] == why[1], host


def test_both_see_that_there_is_no_tls(lab, finger, hosts):
    said = finger("plain.example.test", "encrypt", lab.dns.ca, "-v")
    assert "connect_addr: trying: mx-plain.example.test[127.0.0.11]" in said, said
    assert "fatal" not in said and "TLS connection" not in said, said
    host = look(hosts, "plain.example.test")
    assert host["level"] == "plain" and host["why_not"]["tls:encrypted"] == "tls.not-offered", host
