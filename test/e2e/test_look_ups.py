"""Crowds of domains whose look-ups take for ever: nobody else's mail waits for them. The patience with each is a minute here, and
all is delivered meanwhile; each of the crowd hears in the end what is answered."""
import json
import socket
import time

import pytest

from lab import mail
from lab.responder import Responder, Say
from lab.wait import until

HOSTS = 16  # of a domain, each asked for two things
POLICY = {
    "version": 1,
    "settings": {"floor": "plain", "expire": "1d"},
    "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"}},
    "rules": [{"rule": "code", "when": {"sender.address": "code@tenant.test"}, "then": {"protect": "relay", "lane": "urgent"}}],
    "default": {"protect": "relay"}}


def send(gateway, *domains, sender="dr@tenant.test"):
    with gateway.client(tls=False) as client:
        for domain in domains:
            to = [f"a@{domain}"]
            client.sendmail(sender, to, mail.make("hello\r\n", to)[0])


class World:
    """good.test has taken mail; fresh1.test and fresh2.test are strangers whose DNS answers; the crowd is in crowd.test."""

    def __init__(self, gateways, sinks, folder, *options):
        policy = folder / "policy.json"
        policy.write_text(json.dumps(POLICY))
        self.sink = sinks()
        self.responder = Responder(["test"])
        for host in ("good", "fresh", "turned"):  # a site each
            self.responder.add(f"mx.{host}.test", "A", self.sink.address)
        self.responder.add("good.test", "MX", "10 mx.good.test")
        for domain in ("fresh1.test", "fresh2.test"):
            self.responder.add(domain, "MX", "10 mx.fresh.test")
        self.responder.start()
        self.gateway = gateways("--plain-listener", "--resolver", self.responder.address, "--mx-port", str(self.sink.port),
                                "--policy", policy, "--workers", "1", "--retry", "600",
                                "--set", 'resolver.timeout="60s"', *options)
        send(self.gateway, *["good.test"] * 20)
        self.sink.wait_for(20)

    def meet(self, domains):
        """Mail for the crowd, and then for the others, who don't wait."""
        began, before = time.monotonic(), len(self.sink.messages)
        send(self.gateway, *domains)
        in_time = time.monotonic() - began < 30  # of the patience half is left
        send(self.gateway, "good.test")  # its route is a second old, and looked up anew
        send(self.gateway, "fresh1.test", sender="code@tenant.test")
        send(self.gateway, "fresh2.test")
        first = sorted(m["to"][0] for m in self.sink.wait_for(before + 3, 120)[before:before + 3])
        assert first == ["a@fresh1.test", "a@fresh2.test", "a@good.test"] or not in_time, first
        assert self.ended() == 0 or not in_time, "they waited for the crowd"

    def ended(self):
        """Attempts for the crowd."""
        attempts = [r for r in self.gateway.records() if r["event"] == "delivery.attempted"]
        return sum(r["hop"]["domain"].endswith(".crowd.test") for r in attempts)


@pytest.fixture
def world(gateways, sinks, tmp_path):
    made = []

    def make(*options):
        made.append(World(gateways, sinks, tmp_path, *options))
        return made[0]
    yield make
    for one in made:
        one.responder.stop()


def test_hosts_of_policies_that_stall_keep_no_strangers(world):
    """More of them than strangers may look up at a time."""
    domains = [f"d{n}.crowd.test" for n in range(250)]

    def answer(q):
        if q.name.startswith("_mta-sts.") and q.name.endswith(".crowd.test") and q.kind == "TXT":
            return [Say(q.reply([(q.name, "TXT", "v=STSv1; id=1;")]))]
        if q.name.endswith(".crowd.test") and q.kind == "MX":
            return [Say(q.reply([(q.name, "MX", "10 mx.turned.test")]))]
        if q.name.startswith("mta-sts.") and q.kind == "A":
            return [Say(q.reply([(q.name, "A", "127.0.0.1")]))]
        return [Say(q.truth())]

    with socket.create_server(("127.0.0.1", 0), backlog=4096) as mute:  # the kernel takes connections; nobody says a word
        here = world("--set", f"fetcher.sts_port={mute.getsockname()[1]}")
        here.responder.always(answer)
        here.meet(domains)
    until(lambda: here.ended() == len(domains), 180)  # they are broken off, and there is no policy


def test_domains_of_many_silent_hosts_keep_nobody(world):
    domains = [f"d{n}.crowd.test" for n in range(60)]

    def answer(q):
        if not q.name.endswith(".crowd.test"):
            return [Say(q.truth())]
        if q.kind == "MX":
            return [Say(q.reply([(q.name, "MX", f"{n} h{n}.{q.name}") for n in range(HOSTS)]))]
        return [Say(q.reply())] if q.name.startswith("_mta-sts.") else []

    here = world()
    here.responder.always(answer)
    here.meet(domains)
    here.responder.be_honest()
    until(lambda: here.ended() == len(domains), 180)


def test_a_site_that_takes_mail_and_whose_domains_fall_silent_keeps_nobody(world):
    domains = [f"d{n}.crowd.test" for n in range(200)]
    here = world()
    for domain in domains:
        here.responder.add(domain, "MX", "10 mx.turned.test")
    send(here.gateway, *domains)
    here.sink.wait_for(20 + len(domains), 120)
    taken = until(lambda: here.ended() == len(domains) and here.ended())
    settled = time.monotonic()
    until(lambda: time.monotonic() - settled > 2)  # what is known of them lives for a second
    here.responder.always(lambda q: [] if q.name.endswith(".crowd.test") else [Say(q.truth())])
    here.ended = lambda: World.ended(here) - taken
    here.meet(domains)
    here.responder.be_honest()
    until(lambda: here.ended() == len(domains), 180)
