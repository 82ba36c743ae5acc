"""Domains that break each clause of DANE, MTA-STS, PKIX and STARTTLS, by malice or by mistake: for a message (least:
tls:encrypted) and for a portal notice (least: plain), what is delivered, on which rung, and what the audit says. The table
in docs/transport.md is made here.

Each case is a domain; all run at once. A case with `before` gets a mail in that state first, so that the gateway remembers
what the domain has proved; then the trouble begins."""
import dataclasses
import pathlib
import time

import pytest

from lab import doc_table, leaks, mail
from lab.dns import Dns
from lab.hostile import HostileSink, PolicyHost, wait_past
from lab.pki import Authority
from lab.ports import free_port, open_folder
from lab.responder import SERVFAIL, Responder, Say
from lab.sink import Sink

MARKER = "MARKER-2718281828"
TTL = 1
LEVELS = ["plain", "tls:encrypted", "tls:verified", "tls:authenticated", "tls:dane"]
UNTOUCHED = ["127.0.0.1", "127.0.0.19", "127.0.0.66"]  # where only a believed lie leads
NOBODY = "127.0.0.40"
# host: address, certificate, trouble
HOSTS = {
    "good": ("127.0.0.20", "good", ""), "new key": ("127.0.0.21", "new", ""), "expired": ("127.0.0.22", "expired", ""),
    "other name": ("127.0.0.23", "other", ""), "untrusted": ("127.0.0.24", "untrusted", ""),
    "no STARTTLS": ("127.0.0.25", None, ""), "refuses": ("127.0.0.26", "good", "refuses"),
    "bytes behind 220": ("127.0.0.27", "good", "bytes-behind-220"), "TLS 1.1": ("127.0.0.28", "good", "old-tls"),
    "stalls": ("127.0.0.29", "good", "stalls"), "nonsense": ("127.0.0.30", "good", "nonsense"),
    "closes": ("127.0.0.31", "good", "closes"), "EHLO changes": ("127.0.0.32", "good", "ehlo-changes"),
    "weak": ("127.0.0.33", "weak", "weak-key"), "unstapled": ("127.0.0.34", "unstapled", ""),
    "other letters": ("127.0.0.35", "good", "other-letters"), "fixture": ("127.0.0.18", "fixture", ""),
    "resets": ("127.0.0.36", "good", "resets"),
    "nobody": (NOBODY, None, None),
}


@dataclasses.dataclass
class State:
    """What a domain shows. tlsa: names of certificates, or "unusable"; sts: mode; policy: what the policy host does."""
    host: str = "good"
    tlsa: tuple = ()
    secure: bool = True
    sts: str | None = None
    id: str = "1"
    txt: bool = True
    policy: str = "good"
    sts_host: str = "good"
    max_age: int = 86400
    mx: str | None = None  # in the STS policy, instead of the host
    servfail: str | None = None
    shape: str = ""  # of the MX: null, implicit, address, ourselves, alias
    second: str | None = None  # another host, of lower preference and without TLSA
    copies: int = 1  # of the STS record, each with an id of its own


DANE = State(tlsa=("good",))
STS = State(sts="enforce")


def but(state, **changes):
    return dataclasses.replace(state, **changes)


@dataclasses.dataclass
class Case:
    """message, notice: the rung, "waits" or "returned"."""
    name: str
    message: str
    notice: str
    state: State | None = None
    before: State | None = None
    restart: bool = False  # the gateway forgets what it has in memory before the trouble begins
    domain: str = ""


def both(name, what, state, **more):
    return Case(name, what, what, state, **more)


CASES = [
    both("DANE, all good", "tls:dane", DANE),
    both("signature of the address does not hold", "waits", None, domain="bogus.test"),
    both("signatures have expired", "waits", None, domain="expired.test"),
    both("signatures stripped from a signed zone", "waits", None, domain="stripped.test"),
    both("TLSA denied without proof", "waits", None, domain="denied.test"),
    both("TLSA denied with proof", "tls:verified", State()),
    both("TLSA denied with proof, STS enforced", "tls:authenticated", STS),
    both("zone not signed, TLSA there", "tls:verified", None, domain="insecure.test"),
    both("SERVFAIL for MX", "waits", but(DANE, servfail="MX")),
    both("SERVFAIL for the address", "waits", but(DANE, servfail="A")),
    both("SERVFAIL for TLSA", "waits", but(DANE, servfail="TLSA")),
    both("SERVFAIL for the STS record", "waits", but(STS, servfail="TXT")),
    both("SERVFAIL for the STS record, STS enforced before", "tls:authenticated", but(STS, servfail="TXT"), before=STS),
    both("SERVFAIL for the policy host", "tls:verified", but(STS, servfail="policy host")),
    both("the AD bit is gone, DANE was proved", "waits", but(DANE, secure=False), before=DANE),
    both("null MX", "returned", but(DANE, shape="null")),
    both("MX is an address", "returned", but(DANE, shape="address")),
    both("MX is ourselves", "returned", but(DANE, shape="ourselves")),
    both("no MX, the domain is its own host with DANE", "tls:dane", but(DANE, shape="implicit")),
    both("MX is an alias of a host with DANE", "tls:dane", but(DANE, shape="alias")),
    both("two hosts, the one with DANE is blocked", "waits", State("nobody", ("good",), second="good")),
    both("two hosts, the one with DANE shows another key", "waits", State("new key", ("good",), second="good")),
    both("two hosts, the first without STARTTLS", "tls:verified", State("no STARTTLS", second="good")),
    Case("two hosts, both without STARTTLS", "returned", "plain", State("no STARTTLS", second="no STARTTLS")),
    Case("two hosts, one without STARTTLS, one dead", "waits", "plain", State("no STARTTLS", second="nobody")),
    both("TLSA rollover, old and new published", "tls:dane", State("new key", ("good", "new")), before=DANE),
    both("TLSA rollover, new key not published", "waits", State("new key", ("good",)), before=DANE),
    both("TLSA matches nothing, never seen before", "waits", State("new key", ("good",))),
    both("TLSA withdrawn with proof, DANE was proved", "waits", State(), before=DANE),
    both("TLSA unusable", "tls:verified", State(tlsa=("unusable",))),
    both("TLSA unusable, STARTTLS stripped", "waits", State("no STARTTLS", ("unusable",))),
    both("expired chain, TLSA 3 1 1 matches", "tls:dane", State("expired", ("expired",))),
    both("another name, TLSA 3 1 1 matches", "tls:dane", State("other name", ("other",))),
    both("expired chain, nothing promised", "tls:encrypted", State("expired")),
    both("another name, nothing promised", "tls:encrypted", State("other name")),
    both("untrusted chain, nothing promised", "tls:encrypted", State("untrusted")),
    both("RSA key of 1024 bits, nothing promised", "tls:encrypted", State("weak")),
    both("RSA key of 1024 bits, TLSA 3 1 1 matches", "waits", State("weak", ("weak",))),
    both("must-staple and no staple, nothing promised", "tls:encrypted", State("unstapled")),
    both("must-staple and no staple, STS enforced", "waits", but(STS, host="unstapled")),
    both("must-staple and no staple, TLSA 3 1 1 matches", "tls:dane", State("unstapled", ("unstapled",))),
    both("expired chain, verified before", "waits", State("expired"), before=State()),
    Case("no STARTTLS, nothing promised", "returned", "plain", State("no STARTTLS")),
    both("STARTTLS stripped, DANE promised", "waits", State("no STARTTLS", ("good",))),
    both("STARTTLS stripped, STS enforced", "waits", but(STS, host="no STARTTLS")),
    both("STARTTLS stripped, TLS was there before", "waits", State("no STARTTLS"), before=State("untrusted")),
    Case("STARTTLS refused, nothing promised", "waits", "waits", State("refuses")),
    both("STARTTLS offered in other letters", "tls:verified", State("other letters")),
    both("STARTTLS refused, DANE promised", "waits", State("refuses", ("good",))),
    both("bytes behind 220", "waits", State("bytes behind 220")),
    Case("TLS 1.1 only, nothing promised", "returned", "plain", State("TLS 1.1")),
    both("TLS 1.1 only, DANE promised", "waits", State("TLS 1.1", ("good",))),
    both("handshake stalls", "waits", State("stalls")),
    both("handshake stalls, DANE promised", "waits", State("stalls", ("good",))),
    Case("nonsense in the handshake, nothing promised", "returned", "plain", State("nonsense")),
    both("nonsense in the handshake, DANE promised", "waits", State("nonsense", ("good",))),
    both("connection closed in the handshake", "waits", State("closes")),
    both("connection reset in the handshake", "waits", State("resets")),
    both("EHLO changed after TLS: too small now", "returned", State("EHLO changes", ("good",))),
    both("STS enforced, all good", "tls:authenticated", STS),
    both("STS enforced, expired chain", "waits", but(STS, host="expired")),
    both("STS enforced, another name", "waits", but(STS, host="other name")),
    both("STS enforced, host not in the policy", "waits", but(STS, mx="elsewhere.hostile.test")),
    both("STS testing, another name", "tls:encrypted", but(STS, sts="testing", host="other name")),
    both("STS record twice", "tls:verified", but(STS, copies=2)),
    both("STS policy: redirect", "tls:verified", but(STS, policy="redirect")),
    both("STS policy: too large", "tls:verified", but(STS, policy="oversize")),
    both("STS policy: wrong media type", "tls:verified", but(STS, policy="wrong-type")),
    both("STS policy: not there", "tls:verified", but(STS, policy="missing")),
    both("STS policy: policy host stalls", "tls:verified", but(STS, policy="stalls")),
    both("STS policy: certificate of another name", "tls:verified", but(STS, sts_host="other name")),
    both("STS policy: HTTPS refused", "tls:verified", but(STS, sts_host="nobody")),
    both("STS id flipped while HTTPS refuses", "tls:authenticated", but(STS, id="2", sts_host="nobody"), before=STS),
    both("STS id flipped while HTTPS refuses, another name", "waits",
         but(STS, id="2", sts_host="nobody", host="other name"), before=STS),
    both("STS record removed", "tls:authenticated", but(STS, txt=False), before=STS),
    both("STS record removed, another name", "waits", but(STS, txt=False, host="other name"), before=STS),
    both("STS record removed, STARTTLS stripped", "waits", but(STS, txt=False, host="no STARTTLS"), before=STS),
    both("STS policy past its max_age, record removed", "waits", but(STS, txt=False), before=but(STS, max_age=2)),
    both("STS policy now says none", "waits", but(STS, id="2", sts="none"), before=STS),
    both("restarted, STS record removed, another name", "waits", but(STS, txt=False, host="other name"), before=STS,
         restart=True),
    both("restarted, TLSA withdrawn, DANE was proved", "waits", State(), before=DANE, restart=True),
    both("restarted, STARTTLS stripped, TLS was there before", "waits", State("no STARTTLS"), before=State("untrusted"),
         restart=True),
]
for number, one in enumerate(CASES):
    one.domain = one.domain or f"c{number}.hostile.test"


class World:
    """The names, hosts and policies of all cases, on loopback."""

    def __init__(self, folder):
        self.port = free_port(["127.0.0.1", *UNTOUCHED, *(address for address, _, _ in HOSTS.values())])
        self.dns = Dns(folder, self.port).start()
        self.responder = Responder(["hostile.test"], upstream=self.dns.resolver, ttl=TTL).start()
        self.make_certificates(folder)
        self.trust = pathlib.Path(folder) / "trust.pem"
        self.trust.write_text(self.authority.certificate.read_text() + self.dns.ca.read_text())
        self.policies = PolicyHost("127.0.0.1", 0, self.leaves["policy"].pair)
        self.sinks = {}
        for name, (address, certificate, trouble) in HOSTS.items():
            if trouble is not None:
                self.sinks[name] = HostileSink(address, self.port, self.pair(certificate))
                self.sinks[name].trouble = trouble
        self.untouched = [Sink(address, self.port, self.leaves["untrusted"].pair) for address in UNTOUCHED]

    def make_certificates(self, folder):
        self.authority = Authority(f"{folder}/pki")
        stranger = Authority(f"{folder}/pki", "Stranger CA")
        mine = ["*.hostile.test"]
        self.leaves = {"good": self.authority.leaf("good", mine), "new": self.authority.leaf("new", mine),
                       "expired": self.authority.leaf("expired", mine, days=-5),
                       "other": self.authority.leaf("other", ["mx.elsewhere.test"]),
                       "weak": self.authority.leaf("weak", mine, rsa_bits=1024),
                       "unstapled": self.authority.leaf("unstapled", mine, must_staple=True),
                       "untrusted": stranger.leaf("untrusted", mine),
                       "policy": self.authority.leaf("policy", [f"mta-sts.{case.domain}" for case in CASES])}

    def pair(self, certificate):
        if certificate == "fixture":
            return self.dns.certificate("hosts")
        return certificate and self.leaves[certificate].pair

    def tlsa(self, name):
        return "0 0 1 " + "00" * 32 if name == "unusable" else f"3 1 1 {self.leaves[name].spki}"

    def publish(self, case, state):
        """Makes the case's domain show a state."""
        if state is None:
            return  # a zone of the fixture
        domain, host, add = case.domain, "mx-" + case.domain, self.responder.add
        host = domain if state.shape == "implicit" else host
        owners = {"MX": (domain, "MX"), "A": (host, "A"), "TLSA": (f"_{self.port}._tcp.{host}", "TLSA"),
                  "TXT": (f"_mta-sts.{domain}", "TXT"), "policy host": (f"mta-sts.{domain}", "A")}
        target = {"": host, "null": ".", "address": HOSTS[state.host][0], "ourselves": "gateway.tenant.test",
                  "alias": "alias-" + domain}.get(state.shape)
        others = [f"20 mx2-{domain}"] if state.second else []
        add(*owners["MX"], *([f"{0 if target == '.' else 10} {target}"] if target else []), *others, secure=state.secure)
        if state.second:
            add(f"mx2-{domain}", "A", HOSTS[state.second][0])
        if state.shape == "alias":
            add(target, "CNAME", host)
        add(*owners["A"], HOSTS[state.host][0], secure=state.secure)
        add(*owners["TLSA"], *(self.tlsa(name) for name in state.tlsa), secure=state.secure)
        add(*owners["TXT"], *(f"v=STSv1; id={state.id}{n or ''};" for n in range(state.copies) if state.sts and state.txt))
        if state.sts:
            add(*owners["policy host"], NOBODY if state.sts_host == "nobody" else "127.0.0.1")
            self.publish_policy(case, state, host)
        if state.servfail:
            self.responder.trick(*owners[state.servfail], lambda q: [Say(q.reply(rcode=SERVFAIL, secure=False))])

    def publish_policy(self, case, state, host):
        text = f"version: STSv1\r\nmode: {state.sts}\r\nmx: {state.mx or host}\r\nmax_age: {state.max_age}\r\n"
        self.policies.policies[case.domain] = text if state.policy == "good" else state.policy
        self.policies.policies[case.domain + " good"] = text
        if state.sts_host == "other name":
            self.policies.certificates[case.domain] = self.leaves["other"].pair

    def options(self, policy):
        return ["--resolver", self.responder.address, "--mx-port", self.port, "--trust", self.trust, "--policy", policy,
                "--set", 'resolver.timeout="5s"', "--set", 'delivery.connect="4s"', "--set", 'fetcher.timeout="8s"',
                "--set", f"fetcher.sts_port={self.policies.port}", "--retry", "600"]

    def arrived(self):
        return {to for sink in (*self.sinks.values(), *self.untouched) for m in sink.messages for to in m["to"]}

    def stop(self):
        for part in (*self.sinks.values(), *self.untouched, self.responder, self.policies, self.dns):
            part.stop()


class Sender:
    """One gateway, and what came of the mail that it was given. kind: message or notice."""

    def __init__(self, kind, world, gateways):
        self.kind, self.world = kind, world
        self.attempts = []  # (case, the record of its attempt)
        policy = "test/policies/every-tls.json" if kind == "message" else "test/policies/portal-only.json"
        self.gateway = gateways(*world.options(policy))

    def send(self, cases, prefix):
        """returns: for each case the first record of the attempt to reach its host"""
        text, message_id = mail.make(MARKER + "\r\n")
        self.gateway.send(text, [self.address(case, prefix) for case in cases])
        return self.gateway.message_of(message_id)

    def address(self, case, prefix):
        return f"{self.kind}-{prefix}@{case.domain}"

    def first_attempts(self, message, count, seconds=90):
        """The first attempt for each recipient by number: its own, or its notice's."""
        deadline = time.monotonic() + seconds
        while True:
            records = self.gateway.records()
            of = {(message, n): n for n in range(count)}
            if self.kind == "notice":
                of = {(r["notice"], 0): r["n"][0] for r in records
                      if r["event"] == "portal.deposited" and r["message"] == message}
            found = {}
            for record in records:
                if record["event"] == "delivery.attempted":
                    for n in record["n"]:
                        if (record["message"], n) in of:
                            found.setdefault(of[record["message"], n], record)
            if len(found) == count:
                return [found[n] for n in range(count)]
            assert time.monotonic() < deadline, f"{count - len(found)} of {count} had no attempt; {self.gateway.log[-3000:]}"
            time.sleep(0.1)


def outcome(record):
    """What came of an attempt, and why nothing better did, in the words of the audit."""
    rungs = record["rungs"]
    what = {"delivered": next((r["rung"] for r in rungs if r["taken"]), "?"), "deferred": "waits",
            "failed": "returned"}.get(record["outcome"], record["outcome"])
    passed = [r for r in rungs if not r["taken"]]
    strong = [r for r in passed if r.get("cause") != "unavailable"]
    why = strong[0] if strong else passed[-1] if passed else None
    return what, f"{why.get('cause')}: {why.get('why', '')}" if why else ""


@pytest.fixture(scope="module")
def world():
    with open_folder("sp-hostile-") as folder:
        made = World(folder)
        yield made
        made.stop()


@pytest.fixture(scope="module")
def results(world, module_gateways):
    """{kind: {case name: (what, why)}}"""
    senders = [Sender(kind, world, module_gateways) for kind in ("message", "notice")]
    world.senders = senders
    remembered = [case for case in CASES if case.before]
    for case in CASES:
        world.publish(case, case.before or case.state)
    play(world, senders, remembered, "before", lambda case, what: "waits" not in what)
    wait_past(time.monotonic() + TTL + 2)  # routes live as long as the answers, and one policy for 2 s
    made = {sender.kind: {} for sender in senders}
    for restart in (False, True):
        cases = [case for case in CASES if case.restart == restart]
        if restart:
            for sender in senders:
                sender.gateway.restart("relay")
        for case in cases:
            world.publish(case, case.state)
        for sender, found in zip(senders, play(world, senders, cases, "after", lambda *_: True)):
            made[sender.kind].update(found)
    yield made
    leaks.assert_not_in(b"".join(bytes(s.wire) for s in (*world.sinks.values(), *world.untouched)), {"body": MARKER})


def play(world, senders, cases, prefix, is_good):
    messages = [sender.send(cases, prefix) for sender in senders]
    made = []
    for sender, message in zip(senders, messages):
        records = sender.first_attempts(message, len(cases))
        made.append({case.name: outcome(record) for case, record in zip(cases, records)})
        sender.attempts += zip(cases, records)
        bad = {name: found for name, found in made[-1].items() if not is_good(name, found[0])}
        assert not bad, f"{prefix}: {bad}"
    return made


@pytest.mark.parametrize("kind", ["message", "notice"])
def test_each_case_ends_as_it_must(results, kind):
    wrong = {case.name: (getattr(case, kind), results[kind][case.name]) for case in CASES
             if results[kind][case.name][0] != getattr(case, kind)}
    assert not wrong, "\n".join(f"{name}: expected {want}, found {found}" for name, (want, found) in wrong.items())


@pytest.mark.parametrize("kind", ["message", "notice"])
def test_nothing_arrives_that_was_to_wait(world, results, kind):
    late = [case.name for case in CASES if getattr(case, kind) in ("waits", "returned")
            and f"{kind}-after@{case.domain}" in world.arrived()]
    assert not late
    missing = [case.name for case in CASES if getattr(case, kind) in LEVELS
               and f"{kind}-after@{case.domain}" not in world.arrived()]
    assert not missing


def test_nobody_was_led_astray(world, results):
    assert [sink.address for sink in world.untouched if sink.sessions] == []


def test_messages_met_their_floor_on_the_wire(world, results):
    """What the hosts saw, not what the gateway says: a message only over TLS; a notice without a word of it."""
    for sink in world.sinks.values():
        for message in sink.messages:
            if message["to"][0].startswith("message-"):
                assert message["tls"] in ("TLSv1.2", "TLSv1.3"), message["to"]
            else:
                assert MARKER.encode() not in message["data"]


def test_each_host_was_asked_by_its_own_name(world, results):
    """SNI is the TLSA base domain (RFC 7672 8.1): the host that the MX names, or what it is an alias of; or the domain itself."""
    seen = set()
    for sink in world.sinks.values():
        for message in sink.messages:
            domain = message["to"][0].split("@")[1]
            state = next(case.state for case in CASES if case.domain == domain) or State()
            shape, mx = state.shape, "mx2-" if state.second else "mx-"
            if not message["tls"]:
                assert message["sni"] is None
                seen.add((shape, False))
                continue
            host = domain if shape == "implicit" else mx + domain if domain.endswith(".hostile.test") else "mx1." + domain
            assert message["sni"] == host, message["to"]
            seen.add((shape, True))
    assert {("", True), ("", False), ("implicit", True), ("alias", True)} <= seen


def check_rungs(record):
    """Each rung above the one that was taken, or is waited for, has its cause and reason."""
    rungs, taken = record["rungs"], [r["rung"] for r in record["rungs"] if r["taken"]]
    assert [r["rung"] for r in rungs] == LEVELS[::-1][:len(rungs)] and len(taken) == (record["outcome"] == "delivered")
    assert not taken or rungs[-1]["rung"] == taken[0]
    for rung in rungs[:-1] if taken else rungs:
        assert rung["cause"] in ("unavailable", "unreachable", "broken", "dropped") and rung["why"], rung


def check_tls(record, recorded):
    tls = record["tls"]
    assert tls["version"] in ("1.2", "1.3") and tls["cipher"] and tls["group"] and tls["profile"] == "sp800-52r2"
    assert len(bytes.fromhex(tls["spki_sha256"])) == 32 and tls["not_after"].endswith("Z") and tls["verified_by"]
    cited = set(record["evidence"])
    assert cited <= recorded and any(e.startswith("chain:") for e in cited), cited
    if record["sts"]["mode"] != "none":
        assert any(e.startswith("sts:") for e in cited), cited


@pytest.mark.parametrize("kind", ["message", "notice"])
def test_every_attempt_has_its_evidence(world, results, kind):
    sender = next(s for s in world.senders if s.kind == kind)
    recorded = {r["digest"] for r in sender.gateway.records() if r["event"] == "evidence.recorded"}
    seen = set()
    for case, record in sender.attempts:
        hop, dns, sts = record["hop"], record["dns"], record["sts"]
        check_rungs(record)
        assert record["rule"] and record["floor"] and len(record["policy"]) == 64
        assert hop["domain"] == case.domain and hop["via"] in ("mx", "implicit")
        assert dns["mx"] and dns["resolver"] == world.responder.address.split(":")[0]
        assert sts["mode"] and sts["txt"] and sts["as_of"]
        assert "mx" not in hop or (dns["address"] and dns["tlsa"] and hop["port"] == world.port), (case.name, record)
        assert "ip" in hop or hop["connected"] is False
        assert [h["mx"] for h in hop.get("asked", [])] == (
            [f"mx-{case.domain}", f"mx2-{case.domain}"] if case.state and case.state.second else []), (case.name, hop)
        assert all(h["shown"] in (*LEVELS, "broken") or "." in h["shown"] for h in hop.get("asked", [])), hop
        if sts["mode"] != "none":
            assert sts["id"] and sts["fetched"] <= sts["as_of"] and sts["fetched"] < sts["until"], (case.name, sts)
        if "posture" in record:
            assert record["posture"]["before"] in (*LEVELS, "never-seen") and record["posture"]["now"] in (*LEVELS, "broken")
        if "tls" in record:
            check_tls(record, recorded)
        if record["rungs"][-1]["rung"] == "tls:dane" and record["rungs"][-1]["taken"]:
            assert dns["mx"] in ("secure", "none-secure") and dns["address"] == dns["tlsa"] == "secure" and hop["ip"]
            assert dns["tlsa_matched"] == "3 1 1 " + record["tls"]["spki_sha256"], (case.name, record)
            assert record["tls"]["spki_sha256"] in {leaf.spki for leaf in world.leaves.values()}
            assert any(e.startswith("tlsa:") for e in record["evidence"])
        seen |= {key for key in ("tls", "posture", "evidence") if key in record} | {f"sts {sts['mode']}", f"mx {dns['mx']}"}
    assert {"tls", "posture", "evidence", "sts none", "sts enforce", "sts testing", "mx secure", "mx insecure"} <= seen, seen


@pytest.mark.parametrize("kind", ["message", "notice"])
def test_reports_hear_of_dns_that_does_not_hold(world, results, kind):
    """RFC 8460 4.3.2.1: of the host whose address is bogus, and of a domain whose MX is; not of what could not be asked."""
    sender = next(s for s in world.senders if s.kind == kind)
    sessions = {case.name: record.get("sessions", []) for case, record in sender.attempts}
    invalid = {"policy": "tlsa", "result": "dnssec-invalid"}
    assert sessions["signature of the address does not hold"] == [{**invalid, "mx": "mx1.bogus.test"}]
    assert sessions["signatures have expired"] == sessions["signatures stripped from a signed zone"] == [invalid]
    assert [sessions[name] for name in sessions if name.startswith("SERVFAIL for") and "STS" not in name
            and "policy" not in name] == [[], [], []]


def test_the_table_is_what_this_run_made(results):
    rows = [(case.name, *results["message"][case.name], *results["notice"][case.name]) for case in CASES]
    doc_table.check("docs/transport.md", "hostile domains",
                    doc_table.markdown(("domain", "message", "why nothing better", "portal notice", "why nothing better"), rows))
