"""What the benchmarks share: a gateway of a source tree, sink and load on free ports, CPU and memory of its roles."""
import collections
import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BENCH = pathlib.Path(os.environ.get("BENCH_DIR", "/var/tmp/mtabench"))
BIN = pathlib.Path(os.environ.get("BIN", BENCH / "bin"))
LIMIT = 300


def build_programs():
    BENCH.mkdir(parents=True, exist_ok=True)
    subprocess.run(["make", "-s", f"BIN={BIN}"], cwd=HERE, check=True)


@contextlib.contextmanager
def machine():
    """One timed run on the machine at a time."""
    with open(os.environ.get("BENCH_LOCK", "/tmp/bench.lock"), "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def spent(roles):
    """(role, thread) -> CPU seconds so far"""
    used = collections.Counter()
    for pid, role in roles.items():
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                seconds = int((task / "schedstat").read_text().split()[0]) / 1e9
            except OSError:
                continue
            used[role, "loop" if int(task.name) == pid else name] += seconds
    return used


def pss(roles):
    """role -> MiB of its processes, pages that they share counted in part"""
    held = collections.Counter()
    for pid, role in roles.items():
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        held[role] += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1]) / 1024
    return held


class Sink:
    """Takes and counts what the gateway relays."""

    def __init__(self, folder, tls, delay_ms=0):
        self.port = free_port()
        self.stats = folder / "sink.json"
        self.process = subprocess.Popen([BIN / "smtpsink", "-p", str(self.port), *(["-t"] if tls else []), "-l", str(delay_ms),
                                         "-o", self.stats])

    def seen(self, name="unique"):
        """Different messages so far; or another of its figures. Two loads use the same ids."""
        try:
            return json.loads(self.stats.read_text()).get(name, 0)
        except (OSError, ValueError):
            return 0

    def wait(self, count, limit=LIMIT):
        deadline = time.monotonic() + limit
        while self.seen() < count:
            if time.monotonic() > deadline:
                sys.exit(f"{self.seen()} of {count} messages arrived")
            time.sleep(0.05)

    def times(self):
        """Milliseconds from the times that messages carry to their arrival: the half and 99 of a hundred took no longer."""
        final = self.stats.with_name(self.stats.name + ".final")
        final.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            try:
                told = json.loads(final.read_text())
                return told["e2e_p50_ms"], told["e2e_p99_ms"]
            except (OSError, ValueError):
                time.sleep(0.05)
        sys.exit("the sink says nothing")

    def forget(self):
        self.process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + LIMIT
        while self.seen() != 0 and time.monotonic() < deadline:
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Gateway:
    """An instance of a tree's release build that sends everything to the sink."""

    def __init__(self, folder, sink, tree=ROOT, options=()):
        self.folder = folder / "instance"
        self.tree = tree
        command = [tree / "scripts/instance", "start", self.folder, "--json", "--plain-listener", "--next-hop",
                   f"127.0.0.1:{sink.port}", "--policy", ROOT / "test/policies/relay-plain.json", *map(str, options)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        told = json.loads(done.stdout)
        self.port = told["smtp"]["port"]
        self.pid = told["pid"]

    def roles(self):
        """pid -> name of the role's program"""
        roles = {self.pid: "supervisor"}
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                if int(path.read_text().rsplit(")", 1)[1].split()[1]) == self.pid:
                    roles[int(path.parent.name)] = pathlib.Path(os.readlink(path.parent / "exe")).name
            except OSError:
                continue
        return roles

    def wait_folded(self):
        """Until the ledger has told all that came: its CPU stands still for a second."""
        ledger = {pid: role for pid, role in self.roles().items() if role == "ledger"}
        quiet, last = 0, -1.0
        while ledger and quiet < 10:
            now = sum(spent(ledger).values())
            quiet = quiet + 1 if now - last < 0.003 else 0
            last = now
            time.sleep(0.1)

    def stop(self):
        subprocess.run([self.tree / "scripts/instance", "stop", self.folder], stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def scratch():
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=BENCH) as folder:
        yield pathlib.Path(folder)


@contextlib.contextmanager
def running(tree=ROOT, tls=False, options=()):
    """A folder on the disk, a sink and a gateway, all gone afterwards."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gateway.", dir=BENCH))
    folder.chmod(0o755)
    sink = Sink(folder, tls)
    gateway = None
    try:
        gateway = Gateway(folder, sink, tree, options)
        yield folder, sink, gateway
    finally:
        if gateway is not None:
            gateway.stop()
        sink.stop()
        shutil.rmtree(folder, ignore_errors=True)


def load_command(port, size, count, sessions, tls=False):
    return [BIN / "smtpload", "-p", str(port), "-c", str(min(sessions, count)), "-n", str(count), "-s", str(size), "-d",
            "20"] + (["-t"] if tls else [])


def load(port, size, count, sessions, tls=False):
    """Sends and returns what the load generator says of it."""
    done = subprocess.run(load_command(port, size, count, sessions, tls), check=True, capture_output=True, text=True,
                          timeout=LIMIT)
    return json.loads(done.stdout)
