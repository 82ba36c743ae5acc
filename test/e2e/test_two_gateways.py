"""Two gateways that know nothing of each other, behind one sender with weighted smarthosts: what docs/operations.md recommends
for availability. One is killed under load and comes back: every 250 arrives, and the sender uses the other meanwhile."""
import collections
import os
import pathlib
import random
import signal
import subprocess
import time

from crash.bench import children_of, wait_until
from crash.load import Load, Refused, Session
from crash.taker import Taker

POLICY = pathlib.Path(__file__).resolve().parent.parent / "policies/relay-plain.json"


class Provider(Load):
    """Sends as a mail provider does: a host by its weight, the other one if that fails, and again until somebody says 250.

    took:   (when, host, Message) of every 250
    doubts: Messages that were sent to their end without an answer
    """

    def __init__(self, hosts, **options):
        super().__init__(None, kinds=("plain",), **options)
        self.hosts, self.took, self.doubts = hosts, [], set()

    def run(self, client):
        dice, count = random.Random(f"{self.seed}/{client}"), 0
        while not self.stopped.is_set():
            count += 1
            message = self.make(dice, client, count)
            while not self.stopped.is_set() and not self.offer(message, dice):
                self.stopped.wait(0.1)

    def offer(self, message, dice):
        """returns: whether one of the hosts took it"""
        first = dice.choices(range(len(self.hosts)), [weight for _, weight in self.hosts])[0]
        for host in [first, *(n for n in range(len(self.hosts)) if n != first)]:
            session = None
            try:
                session = Session(self.hosts[host][0], 20)
                self.send(session, message)
                if message.reply.startswith("250"):
                    with self.lock:
                        self.took.append((time.monotonic(), host, message))
                    return True
            except Refused:
                pass
            except (OSError, EOFError):
                if session is not None:
                    with self.lock:
                        self.doubts.add(message)
            finally:
                if session is not None:
                    session.close()
        return False

    def by_host(self, since=0):
        with self.lock:
            return collections.Counter(host for at, host, _ in self.took if at >= since)


def kill(gateway):
    """The machine is gone: the supervisor dies, and with it all that it started."""
    orphans = [pid for pids in children_of(gateway.info["pid"]).values() for pid in pids]
    os.kill(gateway.info["pid"], signal.SIGKILL)
    for pid in orphans:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def arrived(taker):
    found = collections.Counter()
    with taker.lock:
        for t in taker.taken:
            assert t.whole, f"{t.message} came altered"
            found[t.recipient] += 1
    return found


def unexplained(twice, doubts, lost, records):
    """returns: ids of the messages that came twice for no reason that the sender or the audit knows"""
    marked = {r["message"] for r in records if r["event"] == "message.settled" and r["duplicates_possible"]}
    return [m.id for m in twice if m not in doubts and m.queue_id not in lost & marked]


def test_one_of_two_is_killed_under_load(gateways):
    taker = Taker(3)
    options = ("--next-hop", f"127.0.0.1:{taker.port}", "--policy", POLICY, "--plain-listener", "--workers", 1)
    pair = [gateways(*options) for _ in range(2)]
    hosts = [((g.info["smtp"]["host"], g.info["smtp"]["port"]), weight) for g, weight in zip(pair, (70, 30))]
    provider = Provider(hosts, clients=4, largest=500 << 10, pause=0.01).start()
    try:
        wait_until(lambda: min(provider.by_host()[n] for n in (0, 1)) >= 15, 60, "both take mail")
        wait_until(lambda: provider.by_host()[0] > provider.by_host()[1], 60, "the heavier one takes more")

        killed = time.monotonic()
        kill(pair[0])
        time_of_last = [at for at, host, _ in provider.took if host == 0][-1]
        wait_until(lambda: provider.by_host(killed + 1)[1] >= 30, 60, "the other one takes what comes")
        with provider.lock:
            others = sorted(at for at, host, _ in provider.took if host == 1 and at > time_of_last)
        assert others[0] - killed < 5, "senders did not wait"
        assert not provider.by_host(killed + 1)[0]

        pair[0].again()
        wait_until(lambda: provider.by_host(time.monotonic() - 1)[0] >= 3, 60, "the first one has its share again")
    finally:
        provider.stop()
    wanted = [(m, r) for _, _, m in provider.took for r in m.recipients]
    try:
        wait_until(lambda: all(arrived(taker)[r] for _, r in wanted), 90, "every 250 arrives")
        # what came twice: its first answer was lost, or it was on its way out of the one that died
        twice = {m for m, r in wanted if arrived(taker)[r] > 1}
        lost = {m.queue_id for at, host, m in provider.took if host == 0 and at <= killed + 1}
        # the audit tells of an arrival a little after the taker has it
        wait_until(lambda: not unexplained(twice, provider.doubts, lost, pair[0].records()), 30, "each copy is marked")
    finally:
        taker.stop()
    for gateway in pair:
        done = subprocess.run([gateway.info["program"], "audit", "verify", gateway.info["audit"]], capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert {r["node"] for r in gateway.records()}, "each keeps an audit of its own"
