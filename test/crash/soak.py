#!/usr/bin/python3
"""Mixed load for a long time: mail that goes on as it is, behind TLS, sealed by S/MIME and PGP, to the portal because it is
asked for and because PHI is found in it, from clients in clear and behind STARTTLS, to next hops that are well, slow, moody,
throttling and dead. Memory and descriptors stay flat, no message is older than its schedule allows, every 250 ends as delivered,
deposited or returned, nothing goes out below its floor, and the audit is whole.

    test/crash/soak.py --seconds 1800 --seed 1 [--preset release] [--clients 6]

One line of JSON at the end, and exit code 1 if something grows or is late. The first third of the time is for warming up: pools,
caches and segments of the journal grow to their size. From twenty minutes on, the slope of what comes behind it is judged: of
memory that is each process's own, and of descriptors, for every role, the supervisor and what roles start. All recipients are new
addresses, so `contacts.max` is set to what the warming up fills. Under ASan and TSan memory is told, not judged: they keep what
was freed. See docs/testing.md.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from crash.bench import children_of, wait_until  # noqa: E402  (the path comes first)
from crash.load import Load  # noqa: E402
from crash.taker import Taker  # noqa: E402
from lab import mail  # noqa: E402
from lab.gateway import Gateway  # noqa: E402
from lab.pki import Authority  # noqa: E402
from lab.ports import free_port, open_folder  # noqa: E402

POLICY = pathlib.Path(__file__).resolve().parent / "soak_policy.json"
EXPIRE = 20  # seconds
KINDS = ("well", "well", "well", "tls", "tls", "sealed", "portal", "phi", "slow", "moody", "throttle", "dead")
FINAL = {"sealed": {"delivered"}, "tls": {"delivered"}, "well": {"delivered"}, "portal": {"deposited-and-notified"},
         "phi": {"deposited-and-notified"}, "dead": {"returned"}}  # of the others: delivered, or returned in the end
AS = {"sealed": "sealed", "portal": "other", "phi": "other"}  # how it arrives; all else as it was
MEMORY_SHARE, MEMORY_SLACK = 0.10, 6 << 20  # of growth after the warming up, per role, in a run that is too short for a slope
FD_SLACK = 24  # connections come and go
SLOPE_SECONDS, SLOPE_PARTS = 1200, 20  # of the shortest run whose slope is judged, and the medians that it goes through
MEMORY_SLOPE = 640 << 10  # bytes that a process may have more at the end: 11 a message in half an hour with 50 a second
FD_SLOPE = 4, 0.10  # and descriptors; and of what it has
CONTACTS = 5000  # recipients that are remembered


class Slow(Taker):
    def delay(self):
        return self.random.random() * 3


class Moody(Taker):
    """Well and ill by turns of four seconds."""

    def __init__(self, seed):
        self.began = time.monotonic()
        super().__init__(seed)

    @property
    def refusing(self):
        return int((time.monotonic() - self.began) / 4) % 2 == 1

    @refusing.setter
    def refusing(self, value):
        pass


class Throttle(Taker):
    """Takes some sessions a second, tells the others to come later, and some recipients too."""

    def __init__(self, seed, sessions=5):
        self.each, self.second, self.count = sessions, 0, 0
        self.chance = random.Random(seed)
        super().__init__(seed)

    @property
    def refusing(self):
        return self.chance.random() < 0.3

    @refusing.setter
    def refusing(self, value):
        pass

    def serve(self, connection):
        now = int(time.monotonic())
        self.count = self.count + 1 if now == self.second else 1
        self.second = now
        if self.count <= self.each:
            super().serve(connection)
            return
        with connection:
            try:
                connection.sendall(b"421 4.7.0 too many connections, slow down\r\n")
            except OSError:
                pass


def rollup(pid):
    """(memory of its own in bytes, descriptors) of a process; None if it has gone. Pages of files are not counted: how many of
    them are its share hangs on what else runs."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    own = sum(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
    return own, descriptors


def processes(supervisor):
    """{role: [pid]}: of the supervisor, its roles, and what they have started."""
    found = collections.defaultdict(list, {"supervisor": [supervisor]})
    left = [supervisor]
    while left:
        for name, pids in children_of(left.pop()).items():
            found[name] += pids
            left += pids
    return found


def slope(points):
    """Theil and Sen's: the median of the slopes between all pairs of points, which a few peaks do not move."""
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1:])


class Judge:
    """
    What was seen of processes, and whether it is flat behind the warming up.

    samples:   {role: [(when, memory, descriptors, processes)]}, each the sum over its processes; of the supervisor there are all
    sanitized: memory is told, not judged
    """

    def __init__(self, samples, began, ended, sanitized=False):
        self.samples, self.sanitized, self.third = samples, sanitized, (ended - began) / 3
        self.warm = began + self.third

    def judged(self, role):
        return [s for s in self.samples[role] if s[0] >= self.warm]

    def through(self, judged, at):
        """How much a process has more at the end by the line through the medians."""
        length = 2 * self.third / SLOPE_PARTS
        parts = [[s for s in judged if i * length <= s[0] - self.warm < (i + 1) * length] for i in range(SLOPE_PARTS)]
        points = [(statistics.fmean(s[0] for s in p), statistics.median(s[at] / s[3] for s in p)) for p in parts if p]
        return slope(points) * 2 * self.third if len(points) > 1 else 0

    def growth(self, role):
        """Memory and descriptors after the warming up and at the end, and how they go on; None if it was not always there."""
        judged = self.judged(role)
        if len(judged) < 0.9 * len(self.judged("supervisor")):
            return None
        middle, last = [[s for s in judged if (s[0] >= self.warm + self.third) == late] for late in (False, True)]
        return {"own": [int(statistics.median(s[1] for s in part)) for part in (middle, last)],
                "fds": [max(s[2] for s in part) for part in (middle, last)],
                "processes": max(s[3] for s in last),
                "own_more": int(self.through(judged, 1)), "fds_more": round(self.through(judged, 2), 1)}

    def faults(self, role, g):
        (before, after), (fds_before, fds_after) = g["own"], g["fds"]
        sloped = 3 * self.third >= SLOPE_SECONDS
        if not self.sanitized and after > before * (1 + MEMORY_SHARE) + MEMORY_SLACK:
            yield f"{role} grows: {before} to {after} bytes"
        if not self.sanitized and sloped and g["own_more"] > MEMORY_SLOPE:
            yield f"{role} goes on growing: {g['own_more']} bytes more in each process"
        if fds_after > fds_before + FD_SLACK:
            yield f"{role} keeps descriptors: {fds_before}, then {fds_after}"
        if sloped and g["fds_more"] > FD_SLOPE[0] + FD_SLOPE[1] * fds_before / g["processes"]:
            yield f"{role} goes on keeping descriptors: {g['fds_more']} more in each process"

    def verdict(self):
        """returns: {role: growth}, and what is wrong with it"""
        found = {role: g for role in sorted(self.samples) if (g := self.growth(role))}
        return found, [fault for role, g in found.items() for fault in self.faults(role, g)]


class Soak:
    def __init__(self, folder, seed, expire):
        policy = pathlib.Path(folder) / "policy.json"
        policy.write_text(POLICY.read_text().replace("EXPIRE", f"{expire}s"))
        self.expire = expire
        certificate = Authority(pathlib.Path(folder) / "pki").leaf("tls.test", ["tls.test"]).pair
        self.takers = {"well": Taker(seed), "slow": Slow(seed), "moody": Moody(seed), "throttle": Throttle(seed),
                       "tls": Taker(seed, certificate=certificate)}
        ports = {kind: taker.port for kind, taker in self.takers.items()}
        routes = [f"{kind}.test=127.0.0.1:{port}" for kind, port in {**ports, "dead": free_port()}.items()]
        self.gateway = Gateway(pathlib.Path(folder) / "gateway", "--plain-listener", "--workers", 2, "--policy", policy,
                               "--next-hop", f"127.0.0.1:{ports['well']}", "--retry", 1, "--domain", "load.test",
                               "--set", f"contacts.max={CONTACTS}",
                               "--set", 'audit.rotate_every="0s"', "--set", 'audit.rotate_size="0B"',  # it is read as it grows
                               *(word for route in routes for word in ("--route", route)))
        self.gateway.start()
        self.people = [mail.SmimePerson(folder, "s0@sealed.test"), mail.PgpPerson(folder, "p0@sealed.test")]
        for path in (self.people[0].certificate, self.people[1].key):
            self.gateway.run("keys", "import", str(path))
        self.seed, self.load, self.samples, self.oldest = seed, None, collections.defaultdict(list), 0
        self.accepted, self.settled, self.gaps, self.read_to = {}, {}, 0, 0

    def figures(self):
        page = self.gateway.info["admin"]
        with urllib.request.urlopen(f"http://{page['host']}:{page['port']}/metrics", timeout=60) as answer:
            lines = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def sample(self):
        for role, pids in processes(self.gateway.info["pid"]).items():
            found = [at for at in map(rollup, pids) if at]
            if found:
                sums = map(sum, zip(*found))
                self.samples[role].append((time.monotonic(), *sums, len(found)))
        now = self.figures()
        self.oldest = max(self.oldest, max(v for k, v in now.items() if k.startswith("sallyport_queue_oldest_seconds")))

    def run(self, seconds, clients, every):
        began = time.monotonic()
        self.load = Load((self.gateway.info["smtp"]["host"], self.gateway.info["smtp"]["port"]), self.seed, clients=clients,
                         largest=2 << 20, kinds=KINDS, pause=0.02, authority=self.gateway.info["ca"]).start()
        while time.monotonic() < began + seconds:
            self.sample()
            self.load.stopped.wait(every)
        self.load.stop()
        self.began, self.ended = began, time.monotonic()

    # ---- what must hold ----

    def read_audit(self):
        """What has been written since the last time: the whole file, again and again, would take longer than the soak."""
        with open(self.gateway.info["audit"], "rb") as file:
            file.seek(self.read_to)
            whole = file.read().rpartition(b"\n")[0]
        self.read_to += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            record = json.loads(line)
            if record["event"] == "message.accepted":
                self.accepted[record["message"]] = record["time"]
            elif record["event"] == "message.settled":
                self.settled[record["message"]] = record
            self.gaps += record["event"] == "audit.gap"

    def unsettled(self):
        self.read_audit()
        return [m for m in self.load.acknowledged() if m.queue_id not in self.settled]

    def check_ends(self):
        """Every 250 has its end, at its time, and what the audit calls delivered is there."""
        wanted = {m.queue_id: m for m in self.load.acknowledged()}
        there, ends, longest = set(), collections.Counter(), 0
        for taker in self.takers.values():
            with taker.lock:
                there |= set(taker.index)
                assert all(t.whole for t in taker.taken), "a copy came altered, or below its floor"
                assert all(t.kind == AS.get(kind_of(t), t.kind) for t in taker.taken), "a copy came as what it must not be"
        assert self.takers["tls"].behind_tls > 0
        for queue_id, message in wanted.items():
            record = self.settled[queue_id]
            longest = max(longest, stamp(record["time"]) - stamp(self.accepted[queue_id]))
            for r in record["recipients"]:
                kind = message.kind
                ends[f"{kind} {r['final']}"] += 1
                assert r["final"] in FINAL.get(kind, {"delivered", "returned"}), json.dumps(record)
                assert r["floor_met"] and (kind != "tls" or r["rung"] == "tls:encrypted"), json.dumps(record)
                assert r["final"] == "returned" or (message.id, message.recipients[r["n"]]) in there, message.id
        return ends, longest

    def check(self):
        sanitized = os.environ.get("SALLYPORT_PRESET", "asan") in ("asan", "tsan")  # they keep freed memory back
        flat, faults = Judge(self.samples, self.began, self.ended, sanitized).verdict()
        wait_until(lambda: not self.unsettled(), self.expire + 90, "every message has its end")
        ends, longest = self.check_ends()
        done = subprocess.run([self.gateway.info["program"], "audit", "verify", self.gateway.info["audit"]],
                              capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not self.gaps, "audit.gap"
        for _, why in self.load.ends:
            raise AssertionError(f"a session ended without cause: {why}")
        assert '"supervisor.role-ended"' not in self.gateway.log, "a role ended"
        self.gateway.check_log()
        limit = self.expire + 15  # the last attempt's time, and the minute's grain of what the page tells
        if longest > limit:
            faults.append(f"a message had no end for {longest:.0f} s, {self.expire} s are allowed")
        if self.oldest > limit + 60:
            faults.append(f"the queue held a message of {self.oldest:.0f} s")
        return {"messages": len(self.load.acknowledged()), "replies": self.load.replies, "ends": dict(sorted(ends.items())),
                "longest_life_s": round(longest, 1), "oldest_told_s": self.oldest, "roles": flat, "faults": faults}

    def close(self):
        if self.load is not None:
            self.load.stopped.set()
        try:
            self.people[1].close()
            self.gateway.stop()
        finally:
            for taker in self.takers.values():
                taker.stop()


def kind_of(taken):
    """What kind of message it is a copy of."""
    return taken.recipient.rsplit("@", 1)[1].removesuffix(".test")


def stamp(text):
    seconds, rest = text.rstrip("Z").split(".")
    return time.mktime(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{rest}")


def soak(folder, seconds, seed=1, clients=6, every=1.0, expire=EXPIRE):
    bench = Soak(folder, seed, expire)
    try:
        bench.run(seconds, clients, every)
        return {"seconds": round(seconds), "seed": seed, **bench.check()}
    finally:
        bench.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--preset", default=os.environ.get("SALLYPORT_PRESET", "asan"))
    options = parser.parse_args()
    os.environ["SALLYPORT_PRESET"] = options.preset
    with open_folder("sp-soak-") as folder:
        figures = soak(folder, options.seconds, options.seed, options.clients, every=max(0.5, options.seconds / 600))
    print(json.dumps({"preset": options.preset, **figures}))
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
