"""A plan, played: hosts, DNS and a gateway of its own, the plan's messages and blows, until every message has its end."""
import collections
import datetime
import hashlib
import heapq
import json
import os
import pathlib
import random
import signal
import smtplib
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from crash.bench import start_gateway
from lab import mail
from lab.gateway import Gateway
from lab.ports import free_port
from lab.responder import SERVFAIL, Responder, Say
from model.hosts import HANG, Account, Certificates, FakeHost, PolicyHost
from model.plan import MIXED, ms

RETRY, RETRY_MAX = 0.4, 1.5


class Keys:
    """
    Certificates and keys of a plan's people. All certificates have one RSA key.

    marks: {address: bytes}: by which a sealed copy names whom it is for: a certificate's serial number, a key's id
    """

    def __init__(self, folder):
        self.folder, self.private = pathlib.Path(folder), rsa.generate_private_key(65537, 2048)
        self.gpg, self.files, self.marks = {}, {}, {}

    def certificate(self, address):
        name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)]), datetime.datetime.utcnow()
        usage = dict.fromkeys(("content_commitment", "data_encipherment", "key_cert_sign", "crl_sign", "encipher_only",
                               "decipher_only", "key_agreement"), False)
        made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.private.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                .not_valid_after(now + datetime.timedelta(days=30))
                .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), False)
                .add_extension(x509.KeyUsage(digital_signature=True, key_encipherment=True, **usage), True)
                .sign(self.private, hashes.SHA256()))
        self.marks[address, "smime"] = made.serial_number.to_bytes(20, "big").lstrip(b"\0")
        path = self.folder / f"{address}.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return path

    def of(self, person):
        """[paths] to import"""
        if person.address not in self.files:
            paths = [self.certificate(person.address)] if "smime" in person.keys else []
            if "pgp" in person.keys:
                self.gpg[person.address] = mail.PgpPerson(self.folder, person.address)
                paths.append(self.gpg[person.address].key)
                listed = self.gpg[person.address].gpg("--list-keys", "--with-colons").decode().splitlines()
                self.marks[person.address, "pgp"] = bytes.fromhex(
                    next(line.split(":")[4] for line in listed if line.startswith("sub")))
            self.files[person.address] = paths
        return self.files[person.address]

    def close(self):
        for person in self.gpg.values():
            person.close()


class World:
    """
    accepted: {message key: when it was taken}
    lag:      the longest time for which this process stood still: hosts were not quicker
    """
    mixed = MIXED

    def __init__(self, plan, folder, say=lambda text: None):
        self.plan, self.folder, self.say = plan, pathlib.Path(folder), say
        self.account, self.port = Account(), free_port()
        self.pins = {d.name: f"pin.{d.name}" for d in plan.domains if d.mode == "pinned"}
        self.certificates = Certificates(self.folder / "pki", self.names_of)
        self.keys, self.fakes, self.accepted, self.kills, self.failed = Keys(self.folder), {}, {}, [], []
        self.dice, self.held, self.frozen = random.Random(f"orders {plan.seed}"), collections.Counter(), []
        self.stopped, self.began, self.lag = False, 0.0, 0.0

    def names_of(self, host):
        return [self.pins[d.name] for d in self.plan.domains if d.mode == "pinned" and host in d.all_hosts()]

    def dice_of(self, host):
        return random.Random(f"{self.plan.seed} {host.name}")

    def context(self, host, shown):
        return self.certificates.context(host, shown)

    # ---- beginning ----

    def start(self):
        self.responder = Responder(["test"]).start()
        self.publish()
        for host in [self.plan.home, *self.plan.hosts]:
            if not host.deaf:
                self.listen(host)
        self.policies = PolicyHost(self.certificates.ours.leaf("sts", [f"mta-sts.{d.name}" for d in self.plan.domains]).pair,
                                   self.account.now)
        policy = self.folder / "policy.json"
        policy.write_text(json.dumps(self.plan.policy(), indent=1))
        settings = {"delivery.retry_max": ms(RETRY_MAX), "delivery.expire": ms(self.plan.pace.own),
                    "delivery.dsn_delay": "3s", "delivery.pins": self.pins,
                    "delivery.smarthosts": self.smarthosts(), "delivery.max_connections": self.plan.connections,
                    "fetcher.sts_port": self.policies.port, "audit.rotate_every": "0s", "audit.rotate_size": "0B"}
        settings |= self.plan.settings
        if self.plan.pace.hangs:
            settings |= {"delivery.connect": ms(HANG / 2), "delivery.command": ms(HANG / 2)}
        self.gateway = Gateway(self.folder / "gateway", "--plain-listener", "--workers", self.plan.relays, "--policy", policy,
                               "--retry", RETRY, "--resolver", self.responder.address, "--mx-port", self.port,
                               "--trust", self.certificates.ours.certificate,
                               *(f"--set={name}={json.dumps(value)}" for name, value in settings.items()))
        for domain in self.plan.domains:
            for when, text in domain.sts[:1]:
                self.do_promise((domain, text))
        start_gateway(self.gateway)
        table = {"version": 1, "default": self.plan.sites()}
        (pathlib.Path(self.gateway.info["policy"]).parent / "sites.json").write_text(json.dumps(table))
        self.gateway.reload()
        self.import_keys(self.plan.people)
        return self

    def publish(self):
        add, dane = self.responder.add, {h.name for d in self.plan.domains if d.mode == "dane" for h in d.all_hosts()}
        for host in [self.plan.home, *self.plan.hosts]:
            secure = host.name in dane
            addresses = [a for a in (host.elsewhere, None if host.only_six else host.address) if a is not None]
            if addresses:
                add(host.name, "A", *addresses, secure=secure)
            if host.six is not None:
                add(host.name, "AAAA", host.six, secure=secure)
            if secure:
                add(f"_{self.port}._tcp.{host.name}", "TLSA", f"3 1 1 {self.certificates.leaf(host).spki}")
        add("tenant.test", "MX", f"10 {self.plan.home.name}", secure=False)
        for domain in self.plan.domains:
            if domain.mode != "smarthost":
                self.name_hosts(domain, domain.hosts)
            if domain.sts:
                add(f"mta-sts.{domain.name}", "A", "127.0.0.1", secure=False)
            if domain.dns is not None:
                self.trouble_dns(*domain.dns, domain)

    def name_hosts(self, domain, hosts):
        self.responder.add(domain.name, "MX", *(f"{preference} {host.name}" for preference, host in hosts),
                           secure=domain.mode == "dane")

    def trouble_dns(self, until, kind, how, domain):
        def trick(question):
            if until is not None and self.account.now() > until:
                return [Say(question.truth())]
            return [] if how == "silent" else [Say(question.reply(rcode=SERVFAIL, secure=False))]
        self.responder.trick(domain.name if kind == "MX" else domain.hosts[0][1].name, kind, trick)

    def smarthosts(self):
        return [{"route": d.name, "host": f"{h.address}:{self.port}", "priority": preference, "name": h.name}
                for d in self.plan.domains if d.mode == "smarthost" for preference, h in d.hosts]

    def listen(self, host):
        for address in host.addresses():
            self.fakes[address] = FakeHost(host, self.port, self, address)

    def import_keys(self, people):
        """All at a time: a command a file would take most of a run."""
        files = [path for person in people for path in self.keys.of(person)]
        info = self.gateway.info
        running = [subprocess.Popen([info["program"], "keys", "import", str(path), "--config", info["config"]], text=True,
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for path in files]
        for path, process in zip(files, running):
            process.communicate(timeout=120)
            if process.returncode != 0:  # a keeper that has much to do may answer late
                self.keys_command("import", str(path))

    # ---- what happens ----

    def play(self):
        """Until all that was planned has happened and every message has its end."""
        events, plan = [], self.plan
        for message in plan.messages:
            events.append((message.at, "send", message))
        for host in plan.hosts:
            if host.deaf and host.well_from is not None:
                events.append((host.well_from, "listen", host))
        for domain in plan.domains:
            if domain.later is not None:
                events.append((domain.later[0], "name", domain))
            events += [(when, "promise", (domain, text)) for when, text in domain.sts[1:]]
        events += plan.blows
        queue = [(at, n, what, whom) for n, (at, what, whom) in enumerate(events)]
        heapq.heapify(queue)
        self.account.began, self.began = time.monotonic(), time.time()
        threading.Thread(target=self.watch, daemon=True).start()
        while queue:
            at, _, what, whom = heapq.heappop(queue)
            time.sleep(max(0, at - self.account.now()))
            getattr(self, "do_" + what)(whom)

    def watch(self):
        while not self.stopped:
            before = time.monotonic()
            time.sleep(0.05)
            self.lag = max(self.lag, time.monotonic() - before - 0.05)

    def do_send(self, message):
        data = self.bytes_of(message)
        options = ["BODY=8BITMIME"] * message.eight_bit + ["REQUIRETLS"] * (message.asks == "REQUIRETLS")
        options += ["SMTPUTF8"] * message.utf8
        for _ in range(100):
            try:
                with self.gateway.client(tls=message.asks == "REQUIRETLS") as client:
                    refused = client.sendmail("dr@tenant.test", [p.address for p in message.people], data, options,
                                              [f"NOTIFY={message.notify}"] * bool(message.notify))
                    assert not refused, refused
                    self.accepted[message.key] = self.account.now()
                    return
            except (OSError, smtplib.SMTPException) as error:  # its relay died, or is starting: a client comes again
                self.failed.append((message.key, repr(error)))
                time.sleep(0.1)
        raise AssertionError(f"{message.key} is not taken: {self.failed[-3:]}")

    def bytes_of(self, message):
        text = f"{message.marker}\r\n" + "Grüße\r\n" * message.eight_bit
        text += "all is well here, and we hope that it is so with you\r\n" * (message.size // 54)
        made, _ = mail.make(text, [p.address for p in message.people[:3] if p.address.isascii()] or ["nobody@tenant.test"])
        head, _, body = made.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Message-ID:")]
        lines += [b"TLS-Required: No"] * message.lifted
        return b"\r\n".join([*lines, f"Message-ID: {message.message_id}".encode(), b"", body])

    def do_listen(self, host):
        self.listen(host)

    def do_name(self, domain):
        self.name_hosts(domain, domain.later[1])

    def do_promise(self, what):
        """A domain has another MTA-STS policy, or none that anybody could read."""
        domain, text = what
        self.policies.texts[domain.name] = text
        said = [f"v=STSv1; id={hashlib.sha256(text).hexdigest()[:20]};"] if text is not None else []
        self.responder.add(f"_mta-sts.{domain.name}", "TXT", *said, secure=False)

    def do_kill(self, role):
        self.gateway.kill(role, signal.SIGSTOP)  # so that it has something to do when it dies
        time.sleep(self.dice.choice([0, 0.2, 0.5]))
        self.kills.append((self.account.now(), role))
        self.gateway.kill(role)

    def do_stop(self, role):
        """Others go on, and want something of it."""
        self.gateway.kill(role, signal.SIGSTOP)

    def do_go(self, role):
        self.gateway.kill(role, signal.SIGCONT)

    def do_end(self, role):
        self.kills.append((self.account.now(), role))
        self.gateway.kill(role)

    def do_reload(self, _):
        os.kill(self.gateway.info["pid"], signal.SIGHUP)

    def keys_command(self, *words):
        deadline = time.monotonic() + 60
        while (done := self.gateway.run("keys", *words, check=False)).returncode != 0:  # the keeper may be dead for a moment
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.1)
        return done.stdout

    def do_take(self, person):
        for entry in json.loads(self.keys_command("list", "--json")):
            if person.address in json.dumps(entry):
                self.keys_command("remove", entry["fingerprint"])

    def do_give(self, person):
        for path in self.keys.of(person):
            self.keys_command("import", str(path))

    # ---- orders ----

    def queue(self, *words):
        """What an order says; one that finds nothing, or something that is in delivery, is no trouble."""
        return self.gateway.run("queue", *words, "--reason", "the plan says so", check=False).stdout

    def waiting(self, *states):
        listed = self.gateway.run("queue", "list", "--json", check=False)
        entries = json.loads(listed.stdout)["messages"] if listed.returncode == 0 else []
        return [e for e in entries if not states or any(r["state"] in states for r in e["recipients"])]

    def do_order(self, kind):
        if kind == "freeze":
            self.frozen.append(self.dice.choice(self.plan.hosts).name)
            self.queue("freeze", "--host", self.frozen[-1])
            return
        if kind == "redirect":
            self.redirect()
        elif kind == "release":
            for entry in self.waiting("held")[:3]:
                self.queue("release", entry["id"])
        elif found := self.waiting("pending", "deferred", *["held"] * (kind == "recall")):
            for entry in self.dice.sample(found, min(self.plan.orders, len(found))):
                self.queue(kind, entry["id"], *["--now"] * (kind == "retry"))

    def redirect(self):
        spares = {p.address: p.spare.address for p in self.plan.people if p.spare is not None}
        found = [(e["id"], r) for e in self.waiting() for r in e["recipients"] if r["address"] in spares
                 and r["state"] in ("pending", "deferred", "held")]
        for identity, recipient in self.dice.sample(found, min(3, len(found))):
            self.queue("redirect", identity, "--n", str(recipient["n"]), "--to", spares[recipient["address"]])

    def lift_orders(self):
        """What a person would do: what is on hold goes on once, and is deleted when it comes back; nothing stays frozen."""
        while self.frozen:
            self.queue("thaw", "--host", self.frozen.pop())
        for entry in self.waiting("held"):
            self.held[entry["id"]] += 1
            self.queue("release" if self.held[entry["id"]] < 4 else "delete", entry["id"])

    # ---- the end ----

    def records(self):
        return self.gateway.records()

    def left(self):
        """Messages that have no end yet."""
        ends = {"message.accepted": set(), "message.settled": set()}
        for record in self.records():
            if record["event"] in ends:
                ends[record["event"]].add(record["message"])
        return ends["message.accepted"] - ends["message.settled"]

    def wait_for_ends(self, seconds):
        deadline = time.monotonic() + seconds
        while (left := self.left()) and time.monotonic() < deadline:
            self.lift_orders()
            time.sleep(0.5)
        return left

    def stop(self):
        """returns: what was wrong at the end of the gateway: sanitizers' reports, assertions"""
        wrong = []
        if not self.stopped:
            self.stopped = True
            try:
                if hasattr(self.gateway, "info"):
                    self.gateway.stop()
            except (AssertionError, RuntimeError) as error:
                wrong.append(f"the end of the gateway: {error}")
            for fake in list(self.fakes.values()):
                fake.stop()
            self.responder.stop()
            self.policies.stop()
            self.keys.close()
        return wrong
