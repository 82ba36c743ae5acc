"""A resolver that lies, stammers, cuts and falls silent, at every look-up of a delivery: each mail is delivered where it
belongs, by DANE, or it waits; no forged answer is ever believed. Each case is a domain of its own, all at once."""
import time

import pytest

from lab import leaks, mail
from lab.pki import Authority
from lab.ports import free_port, open_folder
from lab.responder import Responder, make_tricks
from lab.sink import Sink

TRUE, FORGER = "127.0.0.20", "127.0.0.66"
POLICY = "test/policies/tls-verified-only.json"
LOOK_UPS = ["MX", "A", "AAAA", "TLSA", "CNAME", "TXT", "policy host"]
NEEDED = {"MX", "A", "TLSA", "CNAME"}  # without these nothing can be proved; the others only could prove more
PATIENCE = 9  # seconds for one question: what a slow machine needs to answer hundreds at once
MARKER = "MARKER-1618033988"


class Case:
    """One trick at one look-up of a domain of its own."""

    def __init__(self, number, look_up, trick, port, forger):
        self.look_up, self.trick = look_up, trick
        self.domain = f"d{number}.hostile.test"
        self.host = f"mx.{self.domain}"
        self.tlsa = f"_{port}._tcp.{self.host}"
        self.address = f"a@{self.domain}"
        self.question = {"MX": (self.domain, "MX"), "A": (self.host, "A"), "AAAA": (self.host, "AAAA"),
                         "TLSA": (self.tlsa, "TLSA"), "CNAME": (self.host, "CNAME"),
                         "TXT": (f"_mta-sts.{self.domain}", "TXT"), "policy host": (f"mta-sts.{self.domain}", "A")}[look_up]
        lies = {"MX": "1 mx.forger.test", "A": FORGER, "AAAA": "::1", "TLSA": f"3 1 1 {forger.spki}",
                "CNAME": "mx.forger.test", "TXT": "v=STSv1; id=forged;", "policy host": FORGER}
        self.function, self.mends = make_tricks([(*self.question, lies[look_up])])[trick]

    def add_to(self, responder, leaf):
        responder.add(self.domain, "MX", f"10 {self.host}")
        if self.look_up == "CNAME":  # an alias that is signed, for a target that is not: then it is asked for by itself
            responder.add(self.host, "CNAME", f"target.{self.domain}")
            responder.add(f"target.{self.domain}", "A", TRUE, secure=False)
        else:
            responder.add(self.host, "A", TRUE)
        responder.add(self.tlsa, "TLSA", f"3 1 1 {leaf.spki}")
        if self.look_up in ("TXT", "policy host"):
            responder.add(f"_mta-sts.{self.domain}", "TXT", "v=STSv1; id=1;")
            responder.add(f"mta-sts.{self.domain}", "A", TRUE)
        responder.trick(*self.question, self.function)

    @property
    def waits(self):
        return not self.mends and self.look_up in NEEDED


class Run:
    """All cases at once: `first` holds the first record of each recipient, `settled` what became of all in the end."""

    def __init__(self, folder, gateways):
        port = free_port(("127.0.0.1", TRUE, FORGER))
        authority = Authority(f"{folder}/pki")
        true, forger = authority.leaf("true", ["mx.true.test"]), authority.leaf("forger", ["mx.forger.test"])
        self.sinks = [Sink(TRUE, port, true.pair), Sink(FORGER, port, forger.pair)]
        self.responder = Responder(["hostile.test", "forger.test"]).start()
        # the forger owns a domain like anybody: signed, and with a host that keeps its promise
        self.responder.add("mx.forger.test", "A", FORGER)
        self.responder.add(f"_{port}._tcp.mx.forger.test", "TLSA", f"3 1 1 {forger.spki}")
        tricks = list(make_tricks([]))
        pairs = [(look_up, trick) for look_up in LOOK_UPS for trick in tricks]
        self.cases = [Case(n, *pair, port, forger) for n, pair in enumerate(pairs)]
        for case in self.cases:
            case.add_to(self.responder, true)
        self.gateway = gateways("--resolver", self.responder.address, "--mx-port", port, "--trust", authority.certificate,
                                "--policy", POLICY, "--set", f'resolver.timeout="{PATIENCE}s"')

    def send(self):
        text, message_id = mail.make(MARKER + "\r\n")
        self.gateway.send(text, [case.address for case in self.cases])
        self.message = self.gateway.message_of(message_id)
        self.first = self.wait_for("delivery.attempted", lambda r: True)
        self.arrived = {to for message in self.sinks[0].messages for to in message["to"]}
        self.responder.be_honest()
        self.settled = self.wait_for("delivery.attempted", lambda r: r["outcome"] == "delivered")

    def wait_for(self, event, is_wanted, seconds=240):
        """The first wanted record of every recipient, by number."""
        deadline = time.monotonic() + seconds
        while True:
            found = {}
            for record in self.gateway.records():
                if record["event"] == event and record.get("message") == self.message and is_wanted(record):
                    for n in record["n"]:
                        found.setdefault(n, record)
            if len(found) == len(self.cases) or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def stop(self):
        self.responder.stop()
        for sink in self.sinks:
            sink.stop()


@pytest.fixture(scope="module")
def run(module_gateways):
    with open_folder("sp-resolver-") as folder:
        made = Run(folder, module_gateways)
        try:
            made.send()
            yield made
        finally:
            made.stop()


def of(run, look_up):
    return [(n, case) for n, case in enumerate(run.cases) if case.look_up == look_up]


def taken(record):
    return [rung["rung"] for rung in record["rungs"] if rung["taken"]]


@pytest.mark.parametrize("look_up", LOOK_UPS)
def test_it_is_delivered_rightly_or_waits(run, look_up):
    wrong = {}
    for n, case in of(run, look_up):
        record = run.first.get(n)
        if record is None:
            wrong[case.trick] = "no attempt"
        elif case.waits and (record["outcome"] == "delivered" or case.address in run.arrived):
            wrong[case.trick] = "delivered without an answer"
        elif case.waits and not any("dns." in r.get("why", "") for r in record["rungs"]):
            wrong[case.trick] = f"waits, and does not say why: {record['rungs']}"
        elif not case.waits and (record["outcome"] != "delivered" or taken(record) != ["tls:dane"]):
            wrong[case.trick] = f"{record['outcome']}: {record['rungs']}"
    assert not wrong


@pytest.mark.parametrize("look_up", LOOK_UPS)
def test_what_waited_goes_once_the_answers_are_right(run, look_up):
    missing = [case.trick for n, case in of(run, look_up) if n not in run.settled]
    assert not missing
    assert all(taken(run.settled[n]) == ["tls:dane"] for n, _ in of(run, look_up))


def test_no_forged_answer_is_believed(run):
    true, forger = run.sinks
    assert forger.sessions == 0, forger.messages
    assert len(run.cases) == len({to for message in true.messages for to in message["to"]})
    for sink in run.sinks:
        leaks.assert_not_in(bytes(sink.wire), {"body": MARKER})


def test_every_trick_was_played(run):
    """A case whose question is never asked would prove nothing."""
    asked = {(name, kind) for name, kind, _ in run.responder.asked}
    unasked = [(case.look_up, case.trick) for case in run.cases if case.question not in asked]
    assert not unasked
