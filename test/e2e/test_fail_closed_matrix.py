"""Every role dead, hanging or talking nonsense, and a resolver that fails, against each shipped policy, with mail for each of
its rules and hosts of each level: nothing arrives below its floor, nothing is said in clear, and the audit says why.

By default each state of each role meets one of the policies; SALLYPORT_MATRIX=whole runs the product, and makes the table in
docs/fail-closed.md; SALLYPORT_MATRIX=scanner (or another part) runs all that can go wrong with that part."""
import contextlib
import dataclasses
import email.message
import email.policy
import itertools
import json
import os
import pathlib
import signal
import smtplib
import struct
import threading
import time

import pytest

from lab import doc_table, leaks, mail
from lab.browser import link_in, token_of
from lab.hostile import HostileSink, PolicyHost
from lab.pki import Authority
from lab.ports import free_port, open_folder
from lab.responder import SERVFAIL, Responder, Say

PART = os.environ.get("SALLYPORT_MATRIX")
WHOLE = PART == "whole"
MARKER = "MARKER-5772156649"
# Each message has a number behind each of them: whatever case a leak comes from, it is found, and says which case it was.
MARKERS = {"body": MARKER, **{place: f"MARKER-{place}-2718281828" for place in ("subject", "name", "attachment")}}
STRENGTH = {"nothing": -1, "plain": 0, "tls:encrypted": 1, "tls:verified": 2, "tls:authenticated": 3, "tls:dane": 4,
            "sealed": 5}
# road: address of its host, what the host truly proves
ROADS = {"dane": ("127.0.0.41", "tls:dane"), "sts": ("127.0.0.42", "tls:authenticated"),
         "pkix": ("127.0.0.43", "tls:verified"), "any": ("127.0.0.44", "tls:encrypted"), "clear": ("127.0.0.45", "plain"),
         "broken": ("127.0.0.46", "nothing"), "dead": ("127.0.0.47", "nothing")}
KEYED = ["dane", "broken"]  # there somebody has a certificate too
ROLES = ["scanner", "keeper", "sealer", "portal", "ledger", "fetcher"]
NONSENSE = ["noise", "half a reply", "no frame", "an error", "no reply"]  # asked for by SIGRTMIN + 1, + 2, ...
COMES_BACK = ["dead", "hangs", "no frame", "no reply"]  # the role is started anew, and may be right the next time
POLICIES = ["hipaa-default", "small-clinic", "strict"]

MANY = "".join(f"MRN {4815160000 + 7 * n} admitted with diabetes mellitus\r\n" for n in range(30))
# message: text, subject, and by policy the rule that decides and its floor
MESSAGES = {
    "newsletter": ("Our new opening hours.\r\n", "Greetings",
                   {"hipaa-default": "tls:encrypted", "small-clinic": "tls:encrypted", "strict": "tls:authenticated"}),
    "health": (mail.PHI, "Referral",
               {"hipaa-default": "tls:authenticated", "small-clinic": "tls:authenticated", "strict": "sealed"}),
    "asked": ("As you wish.\r\n", "[secure] Note", dict.fromkeys(POLICIES, "sealed")),
    "list": (MANY, "Our patients", {"hipaa-default": "tls:authenticated", "small-clinic": "sealed", "strict": "sealed"}),
}

ROUNDS = 3  # at most, where nothing is wrong
LATE = {"timeout", "job.deadline", "dns.timeout"}
TOKENS = 3  # of each gateway's are looked for


def letter(text, subject, recipient, number):
    """A message with every marker in it, and its Message-ID."""
    marks = {place: f"{marker}-{number}" for place, marker in MARKERS.items()}
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message_id = f"<{os.urandom(8).hex()}@tenant.test>"
    message["From"], message["To"], message["Message-ID"] = "Doctor <dr@tenant.test>", recipient, message_id
    message["Subject"] = f"{subject} {marks['subject']}"
    message.set_content(f"{text}{marks['body']}\r\n")
    message.add_attachment(f"Nothing else: {marks['attachment']}\r\n", filename=f"{marks['name']}.txt", cte="base64")
    return message.as_bytes(), message_id


# ---- what can go wrong ----

def servfail(q):
    return [Say(q.reply(rcode=SERVFAIL, secure=False))]


def noise(q):
    return [Say(struct.pack(">H", q.id) + b"\x80" + b"\x5a" * 50)]


def bogus(q):
    return [Say(q.truth() if q.unchecked else q.reply(rcode=SERVFAIL, secure=False))]


@dataclasses.dataclass
class Trouble:
    """A state of one part: begin(stage) brings it about, end(stage) ends it."""
    part: str
    what: str
    begin: object = lambda stage: None
    end: object = lambda stage: None

    @property
    def name(self):
        return f"{self.part}: {self.what}" if self.what else self.part


def stopped(role):
    return Trouble(role, "hangs", lambda stage: stage.gateway.kill(role, signal.SIGSTOP),
                   lambda stage: stage.gateway.kill(role, signal.SIGCONT))


def killed(role):
    return Trouble(role, "dead", lambda stage: stage.keep_dead(role), lambda stage: stage.let_live())


def talking(role, mode):
    return Trouble(role, NONSENSE[mode], lambda stage: stage.gateway.kill(role, signal.SIGRTMIN + 1 + mode),
                   lambda stage: stage.gateway.kill(role, signal.SIGRTMIN))


def resolving(what, trick):
    return Trouble("resolver", what, lambda stage: stage.responder.always(trick), lambda stage: stage.responder.always(None))


NONE = Trouble("nothing is wrong", "")
AFTERWARDS = Trouble("nothing is wrong any more", "")
TROUBLES = [NONE, *(stopped(role) for role in ROLES), *(talking(role, mode) for role in ROLES for mode in range(len(NONSENSE))),
            resolving("silent", lambda q: []), resolving("SERVFAIL", servfail), resolving("talks nonsense", noise),
            resolving("all is bogus", bogus), *(killed(role) for role in ROLES), AFTERWARDS]


# a minute each, for limits that are no setting: their answer is waited for so long, and that is all
SLOW = ["fetcher: hangs", "fetcher: no reply", "ledger: no reply"]


def troubles_of(policy):
    """All of them, or by default a share: each hangs and dies for one policy, and talks one kind of nonsense to it."""
    if PART:
        return [t for t in TROUBLES if WHOLE or t.part == PART or t in (NONE, AFTERWARDS)]
    shift = POLICIES.index(policy)
    return [NONE, *(t for n, t in enumerate(TROUBLES[1:-1]) if n % len(POLICIES) == shift and t.name not in SLOW and (
        t.what not in NONSENSE or NONSENSE.index(t.what) == (ROLES.index(t.part) + shift) % len(NONSENSE))), AFTERWARDS]


# ---- the world ----

class World:
    def __init__(self, folder):
        self.folder = folder
        self.port = free_port([address for address, _ in ROADS.values()])
        authority = Authority(f"{folder}/pki")
        stranger = Authority(f"{folder}/pki", "Stranger CA")
        names = [f"mx.{road}.matrix.test" for road in ROADS]
        self.leaf, untrusted = authority.leaf("hosts", names), stranger.leaf("untrusted", names)
        self.trust = authority.certificate
        self.policies = PolicyHost("127.0.0.1", free_port(), authority.leaf("policy", ["mta-sts.sts.matrix.test"]).pair)
        self.policies.policies["sts.matrix.test"] = \
            "version: STSv1\r\nmode: enforce\r\nmx: mx.sts.matrix.test\r\nmax_age: 86400\r\n"
        pairs = {"any": untrusted.pair, "clear": None, "broken": untrusted.pair}
        self.sinks = {road: HostileSink(address, self.port, pairs.get(road, self.leaf.pair))
                      for road, (address, _) in ROADS.items() if road != "dead"}
        self.people = [mail.SmimePerson(folder, f"keyed@{road}.matrix.test") for road in KEYED]

    def make_responder(self):
        responder = Responder(["matrix.test"]).start()
        for road, (address, _) in ROADS.items():
            domain, host = f"{road}.matrix.test", f"mx.{road}.matrix.test"
            responder.add(domain, "MX", f"10 {host}")
            responder.add(host, "A", address)
            if road in ("dane", "broken"):
                responder.add(f"_{self.port}._tcp.{host}", "TLSA", f"3 1 1 {self.leaf.spki}")
        responder.add("_mta-sts.sts.matrix.test", "TXT", "v=STSv1; id=1;")
        responder.add("mta-sts.sts.matrix.test", "A", "127.0.0.1")
        return responder

    def stop(self):
        for part in (*self.sinks.values(), self.policies):
            part.stop()


@dataclasses.dataclass
class Case:
    """One recipient of one message under one trouble."""
    policy: str
    trouble: str
    message: str
    recipient: str
    floor: str  # the least that it must have
    id: str
    rungs: list = None
    outcome: str = ""
    late: bool = False  # its scan missed its limit


def age_of(pid):
    """Seconds since a process was started."""
    with open(f"/proc/{pid}/stat") as stat, open("/proc/uptime") as uptime:
        ticks = int(stat.read().rsplit(")", 1)[1].split()[19])
        return float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


class Stage:
    """A gateway with one shipped policy, on a thread of its own."""

    def __init__(self, world, policy, gateways):
        self.world, self.policy, self.cases, self.failure = world, policy, [], None
        self.sts_id, self.number = 1, 0
        self.responder = world.make_responder()
        self.gateway = gateways("--resolver", self.responder.address, "--mx-port", world.port, "--trust", world.trust,
                                "--policy", f"policies/{policy}.json", "--retry", "600", "--workers", "1",
                                "--set", 'resolver.timeout="1s"', "--set", 'intake.scan="1s"', "--set", 'roles.job="1s"',
                                "--set", 'delivery.connect="2s"', "--set", 'fetcher.timeout="1s"',
                                "--set", f"fetcher.sts_port={world.policies.server.server_address[1]}")
        for person in world.people:
            self.gateway.run("keys", "import", str(person.certificate))
        self.recipients = [f"nokey@{road}.matrix.test" for road in ROADS] + [p.address for p in world.people]
        self.hunt, self.peace = None, threading.Event()

    # ---- dying again and again ----

    def keep_dead(self, role):
        self.peace.clear()
        self.hunt = threading.Thread(target=self.kill_all, args=(role,), daemon=True)
        self.hunt.start()

    def kill_all(self, role):
        while not self.peace.wait(0.02):
            with contextlib.suppress(ProcessLookupError):  # between looking and killing
                self.gateway.kill(role)

    def let_live(self):
        self.peace.set()
        self.hunt.join()

    # ---- one trouble ----

    def run(self):
        try:
            for trouble in troubles_of(self.policy):
                tries = ROUNDS if trouble in (NONE, AFTERWARDS) else 1
                while self.meet(trouble, tries == 1):
                    tries -= 1
        except Exception as failure:  # pytest sees no other thread's
            self.failure = failure

    def meet(self, trouble, is_last):
        """returns: whether it is to be met again, as a limit of a second was missed though nothing is wrong"""
        if trouble is AFTERWARDS:
            self.wait_for(self.is_whole, 60)
        self.sts_id += 1
        self.responder.add("_mta-sts.sts.matrix.test", "TXT", f"v=STSv1; id={self.sts_id};")  # to be fetched
        trouble.begin(self)
        try:
            cases = [case for name in MESSAGES for case in self.send(trouble, name)]
            if trouble.part == "ledger":  # it writes what we wait for
                self.wait_for(lambda: self.has_arrived(cases), 10)
            else:
                self.wait_for(lambda: self.is_told(cases), 90)
        finally:
            trouble.end(self)
            self.ended = time.monotonic()
        self.wait_for(lambda: self.is_told(cases), 90)
        self.cases += cases
        assert all(case.rungs is not None for case in cases), \
            f"{self.policy}, {trouble.name}: no word of {[c for c in cases if c.rungs is None]}\n{self.gateway.log[-3000:]}"
        if is_last or not any(case.late or {r.get("why") for r in case.rungs} & LATE for case in cases):
            return False
        for case in cases:  # they count for what must never be, and not for what is as before
            case.trouble += ", a busy machine"
        return True

    def is_whole(self):
        """Whether each role runs, and all for long enough that nothing can be in the way: failed look-ups are kept for 2 s."""
        if time.monotonic() < self.ended + 6:
            return False
        with contextlib.suppress(OSError):  # one that ends while we look
            ages = [[age_of(pid) for pid in self.gateway.pids(role)] for role in ROLES]
            return all(found and min(found) > 2 for found in ages)
        return False

    def send(self, trouble, name):
        text, subject, floors = MESSAGES[name]
        self.number += 1
        message, message_id = letter(text, subject, self.recipients[0], f"{self.policy}-{self.number}")
        try:
            self.gateway.send(message, self.recipients)
        except smtplib.SMTPResponseException as refused:  # put off: it stays with the client, and that is safe
            assert 400 <= refused.smtp_code < 500, refused
            return []
        floor = "sealed" if trouble.part == "scanner" and trouble.what not in COMES_BACK else floors[self.policy]
        return [Case(self.policy, trouble.name, name, to, floor, message_id) for to in self.recipients]

    def has_arrived(self, cases):
        wanted = {(c.id, c.recipient) for c in cases if c.message == "newsletter" and c.recipient == "keyed@dane.matrix.test"}
        return wanted <= {(i, to) for i, to, _, _ in arrivals(self.world)}

    def is_told(self, cases):
        """Whether the audit has a word of each; it is kept in the case."""
        records = self.gateway.records()
        ids = {r["message"]: r["origin"].get("message_id") for r in records if r["event"] == "message.accepted" and "origin" in r}
        by = {(c.id, c.recipient): c for c in cases}
        for record in records:
            message_id = ids.get(record.get("message"))
            if record["event"] == "message.accepted":
                for case in cases:
                    case.late = case.late or case.id == message_id and record["detection"].get("why") in LATE
                for decision in record["decisions"]:
                    self.take_decision(by, message_id, decision)
            elif record["event"] == "delivery.attempted":
                for n in record["n"]:
                    case = by.get((message_id, self.recipients[n]))
                    if case and case.rungs is None:
                        case.rungs, case.outcome = record["rungs"], record["outcome"]
        return all(case.rungs is not None for case in cases)

    def take_decision(self, by, message_id, decision):
        for n in decision["n"]:
            case = by.get((message_id, self.recipients[n]))
            if case is None:
                continue
            if decision["do"] != "protect":
                case.rungs, case.outcome = [], decision["do"]
            elif STRENGTH[decision["floor"]] < STRENGTH[case.floor]:
                case.outcome = f"decided for {decision['floor']}"

    @staticmethod
    def wait_for(condition, seconds):
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.1)


def arrivals(world):
    """(Message-ID, recipient, what protected it on the wire, the message) of all that arrived."""
    for road, sink in world.sinks.items():
        for message in list(sink.messages):
            truth = ROADS[road][1] if message["tls"] else min("plain", ROADS[road][1], key=STRENGTH.get)
            message_id = next((line[12:].strip().decode() for line in message["data"].split(b"\r\n")
                               if line.lower().startswith(b"message-id: ")), "")
            for to in message["to"]:
                yield message_id, to, truth, message


@pytest.fixture(scope="module")
def world():
    with open_folder("sp-matrix-") as folder:
        made = World(folder)
        yield made
        made.stop()


@pytest.fixture(scope="module")
def stages(world, module_gateways):
    made = [Stage(world, policy, module_gateways) for policy in POLICIES]
    threads = [threading.Thread(target=stage.run) for stage in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield made
    for stage in made:
        stage.responder.stop()


def below_floor(world, cases, otherwise="sealed"):
    """What arrived readable with less than its floor, by the hosts' own records. otherwise: the floor of what is no case."""
    floors = {(case.id, case.recipient): case.floor for case in cases}
    return [(message_id, to, truth) for message_id, to, truth, message in arrivals(world)
            if MARKER.encode() in message["data"] and STRENGTH[truth] < STRENGTH[floors.get((message_id, to), otherwise)]]


def cases_of(stages):
    return list(itertools.chain(*(stage.cases for stage in stages)))


def test_every_case_was_played(stages):
    for stage in stages:
        if stage.failure:
            raise stage.failure
    played = {(case.policy, case.trouble) for case in cases_of(stages)}
    assert played >= {(stage.policy, t.name) for stage in stages for t in troubles_of(stage.policy) if t.part != "ledger"}


def test_nothing_arrived_below_its_floor(world, stages):
    below = below_floor(world, cases_of(stages))
    by = {(case.id, case.recipient): (case.policy, case.trouble, case.message, case.floor) for case in cases_of(stages)}
    assert not below, "\n".join(f"{to} got it by {truth}: {by.get((i, to), 'no case')}" for i, to, truth in below)
    assert [case for case in cases_of(stages) if case.outcome.startswith("decided")] == []


def test_no_byte_was_said_in_clear(world, stages):
    for sink in world.sinks.values():
        leaks.assert_not_in(bytes(sink.wire), MARKERS)
        for stage in stages:
            leaks.assert_not_in(bytes(sink.wire), leaks.keys_of(stage.gateway))
    assert world.sinks["broken"].messages == []


def tokens_of(world, gateway):
    """The secrets of some links to this gateway's portal."""
    url = json.loads(pathlib.Path(gateway.info["config"]).read_text())["portal"]["url"]
    links = {link_in(message["data"]) for _, _, _, message in arrivals(world) if b"/p#" in message["data"]}
    found = sorted(token_of(link) for link in links if link.startswith(url))
    return {f"token {n}": token for n, token in enumerate(found[::max(1, len(found) // TOKENS)])}


def test_no_gateway_keeps_a_word_or_a_secret_in_clear(world, stages):
    """No marker of any case, no key, no password, no link is in spool, packages, stores, logs, audit, core files or processes,
    after all that went wrong."""
    for stage in stages:
        tokens = tokens_of(world, stage.gateway)
        assert tokens, stage.policy
        found = leaks.search(stage.gateway, {**MARKERS, **tokens, **leaks.keys_of(stage.gateway)})
        found = [f for f in found if f.marker in MARKERS or not leaks.KEY_PLACES.search(f.where)]
        assert not found, (stage.policy, found[:20])


def test_something_arrived_where_nothing_was_wrong(world, stages):
    """The proof of zero must not be an idle gateway."""
    fine = {case.id for case in cases_of(stages) if case.trouble == NONE.name}
    arrived = {(i, to.split("@")[1].split(".")[0]) for i, to, _, _ in arrivals(world) if i in fine}
    assert len({i for i, _ in arrived}) >= len(POLICIES) * 2
    assert {road for _, road in arrived} >= {"dane", "sts", "pkix", "any"}


def test_afterwards_all_is_as_before(stages):
    """No role stays away: what came of each message at the end is what came of its like at the start."""
    before = {(c.policy, c.message, c.recipient): c for c in cases_of(stages) if c.trouble == NONE.name}
    after = {(c.policy, c.message, c.recipient): c for c in cases_of(stages) if c.trouble == AFTERWARDS.name}
    assert before.keys() == after.keys()
    changed = {key: (before[key].rungs, after[key].rungs) for key in before if before[key].outcome != after[key].outcome}
    assert not changed, "\n".join(map(repr, changed.items()))


def test_the_audit_says_why(stages):
    """Whatever was not delivered names a cause for every rung that was passed."""
    for case in cases_of(stages):
        for rung in case.rungs or []:
            if not rung["taken"]:
                assert rung["cause"] in ("unavailable", "unreachable", "broken", "dropped", "floor") and rung.get("why"), case


def test_the_table_is_what_this_run_made(world, stages):
    if not WHOLE:
        return
    rows = []
    cases = cases_of(stages)
    for trouble in TROUBLES:
        row = [trouble.name]
        for policy in POLICIES:
            mine = [case for case in cases if (case.policy, case.trouble) == (policy, trouble.name)]
            row += [len(mine), len(below_floor(world, mine, "plain"))]
        rows.append(row)
    head = ["what is wrong", *itertools.chain(*([f"{policy}: cases", "below"] for policy in POLICIES))]
    doc_table.check("docs/fail-closed.md", "end to end", doc_table.markdown(head, rows))
