"""A gateway under load with everything that keeps account of it, and what must hold at the end whatever was done to it."""
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from crash.load import Load
from crash.taker import Taker
from lab import mail
from lab.gateway import Gateway
from lab.ports import free_port

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
POLICY = HERE / "policy.json"
RESTART_LIMIT = 25  # ten seconds of patience in the supervisor, the start itself, a busy machine
SETTLING = re.compile(rb'"event":"message.(accepted|settled)",.*?"message":"([0-9A-Z]{26})"')  # keys are in order
FINAL = {"delivered", "deposited-and-notified"}
# as what a copy or a report may come, by the recipient's domain
TAKEN = {"plain.test": {"plain", "other"}, "told.test": {"plain", "relayed"}, "routed.test": {"plain"},
         "refused.test": {"failed"}, "late.test": {"failed"}, "sealed.test": {"sealed"}, "portal.test": {"other", "code"}}


def wait_until(true, seconds, what):
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def children_of(pid):
    """{program: [pid]} of the processes that run under this one."""
    found = collections.defaultdict(list)
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return found
    for child in children:
        try:
            name, rest = pathlib.Path(f"/proc/{child}/stat").read_text().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        if rest.split()[0] != "Z":
            found[name].append(int(child))
    return found


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def start_gateway(gateway, tries=3):
    """Its ports were free when it chose them, and may not be when it binds them: many do this at a time."""
    for left in range(tries - 1, -1, -1):
        try:
            gateway.start()
            return
        except RuntimeError as e:
            if left == 0 or "Address already in use" not in str(e):
                raise
            shutil.rmtree(gateway.folder)


class Tail:
    """A file that grows: what was added since the last look, in whole lines. All of it again if its end was cut off."""

    def __init__(self, path):
        self.path, self.at, self.last = pathlib.Path(path), 0, b""

    def more(self):
        """b"" if there is nothing new"""
        if not self.path.exists():
            return b""
        with open(self.path, "rb") as file:
            file.seek(self.at - len(self.last))
            if file.read(len(self.last)) != self.last:
                self.at, self.last = 0, b""
                file.seek(0)
            text = file.read()
        text = text[:text.rfind(b"\n") + 1]
        self.at += len(text)
        self.last = text[-200:] or self.last
        return text


class Bench:
    """
    folder:  of the instance; open to other users
    kills:   (when, role) of what was killed
    """

    def __init__(self, folder, seed, *options, relays=2, environment=None):
        self.folder, self.seed = pathlib.Path(folder), seed
        self.taker, self.kills, self.load = Taker(seed), [], None
        self.second = Taker(seed, "second", beside=self.taker)
        self.people = [mail.SmimePerson(folder, "s0@sealed.test"), mail.PgpPerson(folder, "p0@sealed.test")]
        self.gateway = Gateway(self.folder / "gateway", "--plain-listener", "--workers", relays, "--next-hop",
                               f"127.0.0.1:{self.taker.port}", "--policy", POLICY, "--retry", "1", "--domain", "load.test",
                               "--set", 'audit.rotate_every="0s"',  # one file, which is read as it grows
                               "--set", f"delivery.smarthosts={json.dumps(self.smarthosts())}", *options)
        self.gateway.environment.update(environment or {})
        start_gateway(self.gateway)
        self.info = self.gateway.info
        self.audit, self.ends = Tail(self.info["audit"]), {"accepted": set(), "settled": set()}
        self.log, self.taken_up = Tail(self.info["log"]), collections.Counter()
        self.there = set()  # ids of messages that have arrived
        self.supervisor = None  # one that we started ourselves
        try:
            self.import_keys()
        except BaseException:
            self.close()
            raise
        self.wanted = {role: len(pids) for role, pids in self.children().items()}

    def smarthosts(self):
        """A route of its own, one of whose two hosts has died."""
        return [{"route": "routed.test", "host": f"127.0.0.1:{port}", "priority": 10, "weight": weight}
                for port, weight in ((self.second.port, 3), (free_port(), 1))]

    def import_keys(self):
        for path in (self.people[0].certificate, self.people[1].key):
            wait_until(lambda path=path: self.gateway.run("keys", "import", str(path), check=False).returncode == 0, 60,
                       "keys are imported")

    def start_load(self, seed=None, **options):
        address = self.info["smtp"]["host"], self.info["smtp"]["port"]
        self.load = Load(address, self.seed if seed is None else seed, **options).start()
        return self.load

    def children(self):
        return children_of(self.info["pid"])

    def missing(self):
        running = self.children()
        return [role for role, count in self.wanted.items() if len(running[role]) < count]

    def all_run(self):
        return not self.missing()

    # ---- killing ----

    def kill(self, role, number=signal.SIGKILL, index=0):
        """returns: whether there was one"""
        pids = sorted(self.children()[role])
        if not pids:
            return False
        self.kills.append((time.monotonic(), role))
        os.kill(pids[index % len(pids)], number)
        return True

    def kill_supervisor(self):
        """Its children must end by themselves; then it is started anew, as systemd does."""
        orphans = [pid for pids in self.children().values() for pid in pids]
        self.kills.append((time.monotonic(), "supervisor"))
        os.kill(self.info["pid"], signal.SIGKILL)
        self.await_end(orphans)
        self.start_supervisor()

    def is_up(self):
        """Whether the supervisor runs."""
        return is_alive(self.info["pid"])

    def await_end(self, orphans):
        """The supervisor has ended, or will at once: its children must end by themselves."""
        if self.supervisor is not None:
            self.supervisor.wait(60)
        wait_until(lambda: not self.is_up() and not any(is_alive(pid) for pid in orphans), 60,
                   "children end with their supervisor")
        self.kills.append((time.monotonic(), "supervisor"))  # sessions end until here

    def stop_supervisor(self):
        """As systemd stops it."""
        orphans = [pid for pids in self.children().values() for pid in pids]
        self.kills.append((time.monotonic(), "supervisor"))
        os.kill(self.info["pid"], signal.SIGTERM)
        self.await_end(orphans)

    def start_supervisor(self, must_start=True):
        """returns: whether all roles run; False: it ended instead"""
        with open(self.info["log"], "ab") as log:
            self.supervisor = subprocess.Popen([self.info["program"], "serve", "-c", self.info["config"]],
                                               stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                               env=self.gateway.environment, start_new_session=True)
        self.info["pid"] = self.supervisor.pid
        (self.gateway.folder / "pid").write_text(str(self.supervisor.pid))
        wait_until(lambda: not self.missing() or self.supervisor.poll() is not None, RESTART_LIMIT, "all roles start")
        assert self.supervisor.poll() is None or not must_start, self.gateway.log[-2000:]
        return self.supervisor.poll() is None

    def reload(self):
        os.kill(self.info["pid"], signal.SIGHUP)

    # ---- what must hold ----

    def arrived(self):
        """{(message or recipient's message, recipient): [Taken]}"""
        with self.taker.lock:
            return {key: list(copies) for key, copies in self.taker.index.items()}

    def not_arrived(self):
        missing = []
        for message in self.load.acknowledged():
            if message.id in self.there:
                continue
            lost = [key for key in message.keys() if not self.taker.has(*key)]
            missing += lost
            if not lost:
                self.there.add(message.id)
        return missing

    def records(self):
        return self.gateway.records()

    def unsettled(self):
        """What was acknowledged or is in the audit, and has no end there yet."""
        for event, message in SETTLING.findall(self.audit.more()):
            self.ends[event.decode()].add(message.decode())
        return ({m.queue_id for m in self.load.acknowledged()} | self.ends["accepted"]) - self.ends["settled"]

    def settle(self, seconds=120):
        """The load has ended: waits for all that was acknowledged to arrive and the audit to say so."""
        wait_until(self.all_run, RESTART_LIMIT, "all roles run again")
        try:
            wait_until(lambda: not self.not_arrived(), seconds, "every 250 arrives")
            wait_until(lambda: not self.unsettled(), seconds, "the audit tells every message's end")
        except AssertionError as e:
            lost = self.not_arrived()
            raise AssertionError(f"{e}; {len(lost)} not arrived, as {lost[:3]}; unsettled {sorted(self.unsettled())[:3]}; "
                                 f"queue {self.gateway.run('queue', 'list', check=False).stdout[:600]}") from None

    def check(self):
        """All that must hold. returns: figures as a dict"""
        self.check_bodies()
        duplicates = self.check_duplicates()
        self.check_refusals()
        self.check_ends()
        self.check_audit()
        self.check_spool()
        self.gateway.check_log()
        return {"seed": self.seed, "kills": len(self.kills), "sent": len(self.load.sent), "replies": self.load.replies,
                "acknowledged": len(self.load.acknowledged()), "copies": self.taker.count(), "duplicates": duplicates,
                "reports": self.reports(), "sessions_ended": len(self.load.ends)}

    def reports(self):
        """How many recipients a report told of."""
        with self.taker.lock:
            return sum(t.kind in ("failed", "relayed") for t in self.taker.taken)

    def check_bodies(self):
        with self.taker.lock:
            for t in self.taker.taken:
                domain = t.recipient.rsplit("@", 1)[1]
                assert t.whole, f"altered or below its floor: {t.message} for {t.recipient} as {t.kind}"
                assert t.kind in TAKEN[domain], f"{t.message} for {t.recipient} came as {t.kind}"
                second = domain == "routed.test"
                assert t.by == ("second" if second else "first"), f"{t.message} for {t.recipient} went to the {t.by} next hop"

    def check_duplicates(self):
        """A copy is taken twice only if its sender died, and died while it was under way."""
        killed = [at for at, role in self.kills if role in ("relay", "supervisor")]
        for message, recipient, first, second in self.twice():
            assert any(first.began - 1 <= at <= second.at and at - first.at < 5 for at in killed), \
                f"{message} came twice for {recipient}: {first.at:.2f} and {second.at:.2f}"
        return self.check_marks()

    def twice(self):
        """(message, recipient, one copy, the next) of what came more than once."""
        for (message, recipient), copies in self.arrived().items():
            for first, second in zip(copies, copies[1:]):
                yield message, recipient, first, second

    def check_marks(self):
        """What came twice has a record that says that it may have. returns: how much did"""
        doubtful = {r["message"] for r in self.records() if r["event"] == "message.settled" and r["duplicates_possible"]}
        ids, count = self.ids(), 0
        for message, recipient, first, second in self.twice():
            count += 1
            assert first.message == second.message, f"{message}: two mails of our own for {recipient}, not one twice"
            if first.message is not None and first.kind != "code":  # a code names another id than the queue's
                assert ids.get(first.message, first.message) in doubtful, \
                    f"{message} came twice for {recipient} and its record does not say that it might have"
        return count

    def ids(self):
        """{our name of a message: the gateway's}, also of those whose answer was lost"""
        named = {m.id for m in self.load.sent}
        found = {}
        for r in self.records():
            if r["event"] == "message.accepted":
                name = r.get("origin", {}).get("message_id", "")[1:].partition("@")[0]
                if name in named:
                    found[name] = r["message"]
        return found

    def check_refusals(self):
        """What was refused did not go out, and nothing is refused for good."""
        there = self.arrived()
        for m in self.load.sent:
            if m.reply and not m.reply.startswith("250"):
                assert m.reply[0] == "4", f"{m.id}: {m.reply}"
                assert not any((m.id, r) in there for r in m.recipients), f"{m.id} got {m.reply} and went out"
            elif m.reply:
                assert m.queue_id, f"{m.id}: no id in {m.reply}"
        for _, why in self.load.ends:
            assert why != "hung", "a session got no answer and no end"
            assert not why.startswith("5"), f"refused for good: {why}"

    def check_ends(self):
        """Sessions ended only where their relay did."""
        killed = [at for at, role in self.kills if role in ("relay", "supervisor")]
        for at, why in self.load.ends:
            assert any(-1 < at - k < 20 for k in killed), f"a session ended without cause: {why}"

    def check_audit(self):
        records = self.records()
        done = subprocess.run([self.info["program"], "audit", "verify", self.info["audit"]], capture_output=True, text=True,
                              timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        events = collections.Counter(r["event"] for r in records)
        assert not events["audit.gap"], "audit.gap"
        for event in ("message.accepted", "message.settled"):
            seen = [r["message"] for r in records if r["event"] == event]
            assert len(seen) == len(set(seen)), f"{event} twice"
        accepted = {r["message"] for r in records if r["event"] == "message.accepted"}
        for m in self.load.acknowledged():
            assert m.queue_id in accepted, f"{m.id} was acknowledged as {m.queue_id}, which the audit does not know"
        self.check_finals(records)

    def check_finals(self, records):
        """Each recipient had the end that is his."""
        to = {r["message"]: r["to"] for r in records if r["event"] == "message.accepted"}
        for r in records:
            if r["event"] == "message.settled":
                for recipient in r["recipients"]:
                    ends = FINAL
                    if to[r["message"]][recipient["n"]].endswith(("@refused.test", "@late.test")):
                        # what could not be scanned lies in the portal, and its notice is refused
                        ends = {"deposited"} if recipient["rule"] == "not-scanned" else {"returned"}
                    assert recipient["final"] in ends and recipient["floor_met"], json.dumps(r)

    def check_spool(self):
        """All has its end: every shard is whole, and no body lies there that no message names."""
        wait_until(lambda: not self.bodies() or self.gateway.json("queue", "list")["messages"], 60,
                   "bodies go with their messages")
        found = self.gateway.json("queue", "check")
        assert found["whole"] and not any(s["damaged_records"] or s["damaged_messages"] for s in found["shards"]), found
        held = {m["id"] for m in self.gateway.json("queue", "list")["messages"]}
        assert not (left := [path for path in self.bodies() if path.name not in held]), f"bodies without a message: {left}"

    def bodies(self):
        return list(pathlib.Path(self.info["spool"]).glob("*/body-*/*"))

    def close(self):
        if self.load is not None:
            self.load.stopped.set()
        for person in self.people:
            if isinstance(person, mail.PgpPerson):
                person.close()
        try:
            self.gateway.stop()
            if self.supervisor is not None:
                self.supervisor.wait(60)
        finally:
            self.taker.stop()
            self.second.stop()
