"""An instance of Sallyport as an object, brought up by scripts/instance like everywhere else."""
import contextlib
import json
import os
import pathlib
import signal
import smtplib
import ssl
import subprocess
import time

from . import ports
from .jitter import Jitter
from .wait import until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Gateway:
    def __init__(self, folder, *options, preset=None, prefix=()):
        self.folder = pathlib.Path(folder)
        self.options, self.prefix = [str(o) for o in options], list(prefix)
        self.environment = dict(os.environ)
        self.process = None  # one that was started without scripts/instance
        if preset:
            self.environment["SALLYPORT_PRESET"] = preset

    def start(self):
        done = subprocess.run([*self.prefix, ROOT / "scripts/instance", "start", self.folder, "--json", *self.options],
                              env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        self.info = json.loads(done.stdout)
        for name in ("smtp", "smtps", "portal", "admin"):  # also while it is started anew
            ports.mark(self.info[name]["port"])
        self.jitter = Jitter(lambda: self.info["pid"])
        return self

    def stop(self):
        self.jitter.stop()
        done = subprocess.run([*self.prefix, ROOT / "scripts/instance", "stop", self.folder], env=self.environment,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        if self.process is not None:
            self.process.wait(60)
        self.check_log()

    def check_log(self):
        """Sanitizer reports and failed assertions end up in the log: none may be there."""
        for sign in ("AddressSanitizer", "runtime error:", "this must hold and does not", "LeakSanitizer", "ThreadSanitizer"):
            assert sign not in self.log, self.log[max(0, self.log.index(sign) - 1000):][:6000]

    def again(self, **settings):
        """Stops the processes and starts them anew on the same folder, with these settings changed."""
        config = pathlib.Path(self.info["config"])
        self.stop()
        config.write_text(json.dumps({**json.loads(config.read_text()), **settings}))
        ready = self.log.count('"supervisor.ready"')
        with open(self.info["log"], "ab") as log:
            self.process = subprocess.Popen([self.info["program"], "serve", "-c", config], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment, start_new_session=True)
        self.info["pid"] = self.process.pid
        (self.folder / "pid").write_text(str(self.process.pid))
        self.jitter = Jitter(lambda: self.info["pid"])
        deadline = time.monotonic() + 60
        while self.log.count('"supervisor.ready"') == ready:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log[-3000:]
            time.sleep(0.02)

    @property
    def log(self):
        return pathlib.Path(self.info["log"]).read_text(errors="replace")

    # ---- sending ----

    def client(self, tls=True, login=True, certificate=False):
        """A connected smtplib client: STARTTLS, then AUTH, as asked."""
        address = self.info["smtp"]["host"], self.info["smtp"]["port"]
        client = smtplib.SMTP(*address, local_hostname="client.tenant.test", timeout=60)
        if tls:
            context = ssl.create_default_context(cafile=self.info["ca"])
            if certificate:
                context.load_cert_chain(self.info["client_cert"], self.info["client_key"])
            client._host = "localhost"
            client.starttls(context=context)
            if login:
                client.login(self.info["user"], self.info["password"])
        return client

    def send(self, message, recipients, sender="dr@tenant.test", options=()):
        """Submits bytes as an authenticated client; returns what smtplib says of refused recipients."""
        with self.client() as client:
            return client.sendmail(sender, recipients, message, mail_options=list(options))

    # ---- looking ----

    def records(self):
        """All audit records written so far, but a line that is being written now."""
        while True:
            files = self.audit_files()
            with contextlib.suppress(FileNotFoundError):  # one whose time is over
                lines = [line for path in files for line in path.read_bytes().split(b"\n")[:-1]]
                if self.audit_files() == files:  # none has given way meanwhile
                    return [json.loads(line) for line in lines]

    def audit_files(self):
        """The audit file behind those that have ended (and were not compressed)."""
        path = pathlib.Path(self.info["audit"])
        ended = sorted(f for f in path.parent.glob(f"{path.name}.*") if f.suffix[1:].isdigit())
        return ended + [path] * path.exists()

    def wait_record(self, event, seconds=60, **fields):
        """The first record of this event that has these fields."""
        deadline = time.monotonic() + seconds
        while True:
            for record in self.records():
                if record["event"] == event and all(record.get(k) == v for k, v in fields.items()):
                    return record
            if time.monotonic() > deadline:
                seen = [r["event"] for r in self.records()]
                raise TimeoutError(f"no {event} {fields}; records: {seen}; log ends:\n{self.log[-3000:]}")
            time.sleep(0.05)

    def message_of(self, message_id, seconds=60):
        """Our id of the message with this Message-ID."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for record in self.records():
                if record["event"] == "message.accepted" and record.get("origin", {}).get("message_id") == message_id:
                    return record["message"]
            time.sleep(0.05)
        raise TimeoutError(f"{message_id} was not accepted; log ends:\n{self.log[-3000:]}")

    def run(self, *words, check=True):
        """The command line against this instance: completed process with text output. With check, an order that is refused
        because its message is in delivery at that moment is repeated, as its words ask; a status that tells what is wrong is
        an answer."""
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run([self.info["program"], *words, "--config", self.info["config"]], capture_output=True,
                                  text=True, timeout=120)
            if not (check and "is in delivery now: repeat in a moment" in done.stderr and time.monotonic() < deadline):
                break
            time.sleep(0.05)
        if check and done.returncode != 0 and not (words[0] == "status" and done.stdout):
            raise RuntimeError(f"sallyport {' '.join(words)}: {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def json(self, *words):
        return json.loads(self.run(*words, "--json").stdout)

    # ---- reloading ----

    def generations(self):
        """Each configuration that a relay has taken, by its number, since the last start."""
        lines = [json.loads(line) for line in self.log.rpartition('"supervisor.ready"')[2].splitlines()[1:]
                 if '"role.reloaded"' in line and '"relay"' in line and line.endswith("}")]
        return [line["generation"] for line in lines]

    def reload(self):
        """Has its files read anew, and waits until the ledger and each relay have taken what lies in them."""
        started, relays = sum(r["event"] == "audit.started" for r in self.records()), len(self.pids("relay"))
        before = max(self.generations(), default=1)

        def all_have_it():
            newest = max(taken := self.generations(), default=1)
            return newest > before and taken.count(newest) == relays
        os.kill(self.info["pid"], signal.SIGHUP)
        until(lambda: sum(r["event"] == "audit.started" for r in self.records()) > started, what=lambda: self.log[-3000:])
        until(all_have_it, what=lambda: self.log[-3000:])

    # ---- breaking ----

    def pids(self, role):
        """The process ids of a role."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                program = os.path.basename(os.readlink(entry / "exe"))
            except (OSError, ValueError, IndexError):
                continue
            if parent == self.info["pid"] and program == role:
                found.append(int(entry.name))
        return found

    def kill(self, role, number=signal.SIGKILL):
        for pid in self.pids(role):
            with contextlib.suppress(ProcessLookupError):  # one that was just ending when it was listed
                self.jitter.kill(pid, number)

    def restart(self, role, number=signal.SIGKILL, seconds=60):
        """Kills a role and waits until others run in the place of those killed."""
        before = set(self.pids(role))
        self.kill(role, number)
        deadline = time.monotonic() + seconds
        while len(set(self.pids(role)) - before) < len(before):
            assert time.monotonic() < deadline, f"{role} did not come back; log ends:\n{self.log[-2000:]}"
            time.sleep(0.02)
