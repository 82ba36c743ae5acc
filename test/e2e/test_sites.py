"""What a place may be asked: throttling, a breaker, rates, lanes, tenants' shares, our addresses, recipients a transaction."""
import collections
import json
import pathlib
import shutil
import socket
import subprocess
import threading
import time

import pytest

from lab import jitter, mail
from lab.browser import Https, code_in, link_in, token_of
from lab.gateway import ROOT
from lab.responder import Responder, Say
from lab.sink import Session

POLICY = {
    "version": 1,
    "settings": {"floor": "plain", "expire": "1d", "portal": {"notify_floor": "plain"}},
    "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"},
                "pickup": {"rungs": ["portal"], "floor": "sealed"}},
    "rules": [{"rule": "pickup", "when": {"recipient.domain": "pickup.example"}, "then": {"protect": "pickup"}},
              {"rule": "news", "when": {"sender.address": "news@tenant.test"}, "then": {"protect": "relay", "lane": "bulk"}},
              {"rule": "code", "when": {"sender.address": "code@tenant.test"}, "then": {"protect": "relay", "lane": "urgent"}}],
    "default": {"protect": "relay"}}


@pytest.fixture
def place(gateways, sinks, tmp_path):
    """make(table, *options, **of the sink): a gateway with one relay and this policies/sites.json, and where its mail goes."""
    policy = tmp_path / "policy.json"

    def make(table, *options, retry="0.5", sink=None, rules=POLICY, **keywords):
        policy.write_text(json.dumps(rules))
        sink = sink or sinks(**keywords)
        host = f"[{sink.address}]" if ":" in sink.address else sink.address
        gateway = gateways("--plain-listener", "--next-hop", f"{host}:{sink.port}", "--policy", policy, "--retry", retry,
                           "--workers", "1", *options)
        (pathlib.Path(gateway.info["policy"]).parent / "sites.json").write_text(json.dumps({"version": 1, **table}))
        done = subprocess.run([gateway.info["program"], "check", "-c", gateway.info["config"]], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        gateway.reload()
        return gateway, sink
    return make


class QuickSession(Session):
    """Answers at once, where the kernel would wait for the acknowledgement of the answer before."""

    def __init__(self, sink, connection):
        super().__init__(sink, connection)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def submit(gateway, count=1, sender="dr@tenant.test", recipients=("a@example.net",)):
    with gateway.client(tls=False) as client:
        for _ in range(count):
            client.sendmail(sender, list(recipients), mail.make("hello\r\n", list(recipients))[0])


def submit_much(gateway, count, sender, clients=8):
    threads = [threading.Thread(target=submit, args=(gateway, count // clients, sender)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def sites(gateway):
    """The relay's sites, those that mail was sent to."""
    return gateway.json("queue", "sites")["relays"][0]["says"]["sites"]


def test_a_peer_that_throttles_gets_half_and_later_all_again(place):
    throttles = [True]
    gateway, sink = place({"default": {"connections": 8}},
                          replies={"DOT": lambda data: "421 4.7.0 slow down" if throttles[0] else "250 2.0.0 taken"})
    submit(gateway, 40)
    until(lambda: '"site.throttled"' in gateway.log)
    site = until(lambda: [s for s in sites(gateway) if s["throttled"] > 0])[0]
    assert site["concurrency"] < site["concurrency_max"] == 8 and site["why"] == "throttled: 421 4.7.0", site
    table = gateway.run("queue", "sites").stdout
    assert "throttled: 421 4.7.0" in table and "BREAKER" in table, table
    throttles[0] = False
    sink.wait_for(40, 120)
    until(lambda: submit(gateway, 10) or '"site.recovered"' in gateway.log)
    site = until(lambda: [s for s in sites(gateway) if s["concurrency"] == 8])[0]
    assert site["why"] == ""
    slowed = gateway.wait_record("transport.throttled", site="127.0.0.1")
    assert slowed["why"] == "throttled: 421 4.7.0" and slowed["reply_code"] == 421
    assert gateway.wait_record("transport.recovered", site="127.0.0.1")["seq"] > slowed["seq"]
    assert len([r for r in gateway.records() if r["event"] == "transport.throttled"]) < 5  # the turn, not each reply


def test_a_table_says_what_a_reply_means(place):
    answers, looked = iter(["450 4.7.1 Greylisted, come again", "451 4.7.500 Server busy"]), threading.Event()

    def dot(data):
        reply = next(answers, "250 2.0.0 taken")
        if reply.startswith("451"):
            looked.wait(60)
        return reply
    gateway, sink = place({"default": {"throttle": [{"text": "greylist", "do": "ignore"}]},
                           "sites": {"big": {"mx": ["127.0.0.1"], "throttle": [
                               {"reply": 451, "status": "4.7.500", "do": "pause", "for": "6s"}]}}}, replies={"DOT": dot})
    submit(gateway)
    first = gateway.wait_record("delivery.attempted", reply="450 4.7.1")
    assert [s["throttled"] for s in sites(gateway)] == [0]
    looked.set()
    gateway.wait_record("delivery.attempted", reply="451 4.7.500", message=first["message"])
    paused = time.monotonic()
    site = sites(gateway)[0]
    assert site["site"] == "big" and site["throttled"] == 1 and 0 < site["next_ms"] <= 6000, site
    assert sink.wait_for(1)[0]["time"] - paused > 1.5  # it is tried again after half a second else


def test_what_a_reply_of_several_lines_says_is_understood(place):
    """As Google says it: what it means in the first line, a link in the last."""
    lines = "421-4.7.0 [192.0.2.1 15] This is an unusual rate of\r\n421-4.7.0 unsolicited mail.\r\n421 4.7.0 go there"
    answers = iter([lines])
    gateway, sink = place({"default": {"throttle": [{"reply": 421, "text": "unusual rate of unsolicited", "do": "pause",
                                                     "for": "6s"}]}},
                          replies={"DOT": lambda data: next(answers, "250 2.0.0 taken")})
    submit(gateway)
    gateway.wait_record("delivery.attempted", reply="421 4.7.0")
    paused, site = time.monotonic(), sites(gateway)[0]
    assert site["throttled"] >= 1 and 0 < site["next_ms"] <= 6000, json.dumps(site)
    assert sink.wait_for(1)[0]["time"] - paused > 1.5


def test_a_dead_host_rests_is_probed_and_comes_back(place, sinks):
    dead = sinks()
    dead.stop()
    gateway, _ = place({}, sink=dead)
    submit(gateway, 3)
    site = until(lambda: [s for s in sites(gateway) if s["breaker"]["state"] == "open"])[0]
    assert site["breaker"]["host"] == dead.address and site["breaker"]["why"] == "hop.unreachable", site
    assert "hop.unreachable" in gateway.run("queue", "sites").stdout
    back = sinks(port=dead.port)
    back.wait_for(3, 60)
    until(lambda: '"hop.recovered"' in gateway.log)
    down = gateway.wait_record("transport.unreachable", host=dead.address)
    assert down["why"] == "hop.unreachable" and down["for_ms"] > 0
    assert gateway.wait_record("transport.recovered", host=dead.address)["seq"] > down["seq"]
    assert len([r for r in gateway.records() if r["event"] == "transport.unreachable"]) == 1
    until(lambda: all(s["breaker"]["state"] == "closed" for s in sites(gateway)))


def test_a_rate_is_kept_and_a_code_overtakes_a_newsletter(place):
    gateway, sink = place({"sites": {"slow": {"mx": ["127.0.0.1"], "messages_per_minute": 300}}})
    submit(gateway, 40, "news@tenant.test")
    submit(gateway, 1, "code@tenant.test")
    before = len(sink.messages)
    site = until(lambda: [s for s in sites(gateway) if s["site"] == "slow"])[0]
    assert site["per_minute"] == 300
    got = sink.wait_for(41, 60)
    place_of_code = [m["from"] for m in got].index("code@tenant.test")
    assert place_of_code <= before + 2, f"{before} were there before it, and it came as number {place_of_code}"
    passed = got[-1]["time"] - got[0]["time"]
    assert passed > 40 * 0.2 * 0.95, f"41 messages in {passed} s"


def test_a_tenant_with_much_does_not_delay_anothers_one(place, tmp_path):
    other = tmp_path / "clinic.json"
    other.write_text(json.dumps({"tenant": "clinic", "domains": ["clinic.test"], "postmaster": "postmaster@clinic.test",
                                 "proofs": {"networks": ["127.0.0.0/8"]}}))
    gateway, sink = place({"default": {"messages_per_minute": 240}, "tenants": {"clinic": {"messages_per_minute": 600}}},
                          "--tenant", other)
    submit(gateway, 40)
    submit(gateway, 1, "dr@clinic.test", ["b@example.net"])
    before = len(sink.messages)
    got = sink.wait_for(before + 12, 60)
    number = [m["from"] for m in got].index("dr@clinic.test")
    assert number <= before + 9, f"{before} were there before it, and it came as number {number}"
    sink.wait_for(41, 60)


def test_a_backlog_of_thousands_is_overtaken_by_anothers_one_and_by_a_code(place, tmp_path):
    """One connection, which takes nothing before all is there: then what arrives says who goes first."""
    count, go, at_dot = 40 if jitter.MOST else 2000, threading.Event(), threading.Event()
    other = tmp_path / "clinic.json"
    other.write_text(json.dumps({"tenant": "clinic", "domains": ["clinic.test"], "postmaster": "postmaster@clinic.test",
                                 "proofs": {"networks": ["127.0.0.0/8"]}}))

    def dot(data):
        at_dot.set()
        go.wait(300)
        return "250 2.0.0 taken"

    gateway, sink = place({"default": {"connections": 1}}, "--tenant", other, replies={"DOT": dot})
    sink.session = QuickSession
    try:
        submit(gateway, 1, "news@tenant.test")
        assert at_dot.wait(60)  # all others come behind it
        submit_much(gateway, count, "news@tenant.test")
        submit_much(gateway, count, "dr@tenant.test")
        crowd = until(lambda: [s["waiting"] for s in sites(gateway) if s["lines_shut"] == 2])[0]
        for sender, to in (("dr@clinic.test", "b@example.net"), ("dr@clinic.test", "b@elsewhere.example"),
                           ("code@tenant.test", "c@example.net"), ("code@tenant.test", "c@elsewhere.example")):
            submit(gateway, 1, sender, [to])
        until(lambda: sites(gateway)[0]["waiting"] == crowd + 4)  # they stand before the site beside those of the backlog
        go.set()
        first = [m["from"] for m in sink.wait_for(8)][:8]
        assert first[0] == "news@tenant.test" and first[1:3] == ["code@tenant.test"] * 2, first
        # then normal mail, a tenant in turn: three of the clinic's and the backlog's at most between its first and its last
        assert [n for n, sender in enumerate(first) if sender == "dr@clinic.test"][-1] <= 6, first
        got = sink.wait_for(2 * count + 5, 300)
    finally:
        go.set()
    numbers = [n for n, m in enumerate(got) if m["from"] == "dr@tenant.test"]
    assert numbers[-1] < len(got) - count // 2, "newsletters went before half of the tenant's own letters"
    assert collections.Counter(m["from"] for m in got) == {
        "news@tenant.test": count + 1, "dr@tenant.test": count, "dr@clinic.test": 2, "code@tenant.test": 2}


def test_a_tenants_rate_binds_him_and_nobody_else(place, tmp_path):
    other = tmp_path / "clinic.json"
    other.write_text(json.dumps({"tenant": "clinic", "domains": ["clinic.test"], "postmaster": "postmaster@clinic.test",
                                 "proofs": {"networks": ["127.0.0.0/8"]}}))
    gateway, sink = place({"tenants": {"clinic": {"messages_per_minute": 120}}}, "--tenant", other)
    submit(gateway, 16, "dr@clinic.test", ["b@example.net"])
    submit(gateway, 16)
    got = sink.wait_for(32, 60)
    clinics, others = ([m["time"] for m in got if (m["from"] == "dr@clinic.test") == is_clinic] for is_clinic in (True, False))
    assert len(clinics) == len(others) == 16
    assert clinics[-1] - clinics[0] > 15 * 0.5 * 0.95, f"16 messages in {clinics[-1] - clinics[0]} s"
    assert others[-1] < clinics[-1] and others[-1] - others[0] < 5, f"the other's 16 took {others[-1] - others[0]} s"


def test_a_rate_is_the_gateways_and_not_each_relays(place, sinks, tmp_path):
    """Two relays have half of it each: what a place may be sent, and what a tenant may send."""
    sink = sinks()
    other = tmp_path / "clinic.json"
    other.write_text(json.dumps({"tenant": "clinic", "domains": ["clinic.test"], "postmaster": "postmaster@clinic.test",
                                 "proofs": {"networks": ["127.0.0.0/8"]}}))
    gateway, sink = place({"sites": {"slow": {"domains": ["slow.example"], "messages_per_minute": 240}},
                           "tenants": {"clinic": {"messages_per_minute": 240}}}, "--tenant", other, "--workers", "2",
                          "--route", f"slow.example=127.0.0.1:{sink.port}", sink=sink)
    for _ in range(20):  # each by a connection of its own, so that both relays get some
        submit(gateway, 1, "dr@clinic.test", ["b@example.net"])
        submit(gateway, 1, recipients=["b@slow.example"])
    got = sink.wait_for(40, 60)
    shards = {r["journal"]["shard"] for r in gateway.records() if r["event"] == "message.accepted"}
    assert len(shards) == 2, "one relay got all"
    for wanted in ("dr@clinic.test", "dr@tenant.test"):
        times = [m["time"] for m in got if m["from"] == wanted]
        # ten a relay at best, half a second between two of them
        assert len(times) == 20 and times[-1] - times[0] > 9 * 0.5 * 0.95, f"{wanted}: 20 in {times[-1] - times[0]} s"


def test_a_code_of_the_portal_overtakes_what_waits(place):
    """Somebody sits before the page and waits for it: no rule has to say so."""
    gateway, sink = place({"default": {"messages_per_minute": 120}})
    submit(gateway, recipients=["pat@pickup.example"])
    notice = sink.wait_for(1)[0]
    submit(gateway, 30)
    asked = Https(gateway).ask("POST", "/code", {"token": token_of(link_in(notice["data"]))})
    assert asked.status == 200
    before = len(sink.messages)
    got = sink.wait_for(before + 4, 60)
    number = next((n for n, m in enumerate(got) if m["to"] == ["pat@pickup.example"] and n > 0), None)
    assert number is not None and number <= before + 2, f"{before} were there before it, and it came as number {number}"
    assert code_in(got[number]["data"]) and len(sink.messages) < 32


def test_mail_leaves_from_the_addresses_of_its_pool(place, tmp_path):
    other = tmp_path / "clinic.json"
    other.write_text(json.dumps({"tenant": "clinic", "domains": ["clinic.test"], "postmaster": "postmaster@clinic.test",
                                 "proofs": {"networks": ["127.0.0.0/8"]}}))
    gateway, sink = place({"sources": {"main": ["127.0.0.5"], "clinic": ["127.0.0.6", "::1"]},
                           "default": {"source": "main"}, "tenants": {"clinic": {"source": "clinic"}}}, "--tenant", other)
    submit(gateway, 3)
    submit(gateway, 3, "dr@clinic.test")
    for message in sink.wait_for(6):
        assert message["peer"] == ("127.0.0.6" if message["from"] == "dr@clinic.test" else "127.0.0.5")
    assert {s["source"] for s in sites(gateway)} == {"main", "clinic"}


def test_an_ipv6_host_is_reached_from_an_ipv6_address_alone(place):
    gateway, sink = place({"sources": {"six": ["192.0.2.77", "::1"]}, "default": {"source": "six"}}, address="::1")
    submit(gateway)
    assert sink.wait_for(1)[0]["peer"] == "::1"


def test_without_an_address_of_that_family_nothing_leaves(place):
    gateway, sink = place({"sources": {"six": ["::1"]}, "default": {"source": "six"}})
    submit(gateway)
    record = gateway.wait_record("delivery.attempted")
    assert record["outcome"] == "deferred" and record["why"] == "hop.unreachable" and sink.sessions == 0


def test_an_address_that_is_not_the_machines_is_passed_over(place):
    """One of the pool's has gone, with an interface say: that is no fault of the host, and the others serve."""
    gateway, sink = place({"sources": {"main": ["192.0.2.77", "127.0.0.5", "192.0.2.78", "127.0.0.6"]},
                           "default": {"source": "main", "messages_per_connection": 1}})
    for _ in range(8):
        submit(gateway)
    assert {m["peer"] for m in sink.wait_for(8)} == {"127.0.0.5", "127.0.0.6"}
    assert [r for r in gateway.records() if r["event"] in ("transport.unreachable", "transport.throttled")] == []
    told = [json.loads(line) for line in gateway.log.splitlines() if '"site.source-unusable"' in line]
    assert {(t["source"], t["address"]) for t in told} == {("main", "192.0.2.77"), ("main", "192.0.2.78")}


def test_recipients_of_a_transaction_are_limited_and_none_is_lost(place):
    gateway, sink = place({"default": {"recipients": 2}})
    everybody = [f"p{i}@example.net" for i in range(5)]
    submit(gateway, recipients=everybody)
    got = sink.wait_for(3)
    assert sorted(len(m["to"]) for m in got) == [1, 2, 2]
    assert sorted(to for m in got for to in m["to"]) == everybody
    settled = gateway.wait_record("message.settled")
    assert [r["final"] for r in settled["recipients"]] == ["delivered"] * 5


def test_a_wrong_table_is_told_and_the_old_one_stays(place):
    gateway, sink = place({"default": {"connections": 3}})
    table = pathlib.Path(gateway.info["policy"]).parent / "sites.json"
    shutil.copy(ROOT / "policies/sites.json", table)  # the shipped one is right
    assert subprocess.run([gateway.info["program"], "check", "-c", gateway.info["config"]]).returncode == 0
    table.write_text('{"version": 1,\n "default": {"conections": 4}}')
    done = subprocess.run([gateway.info["program"], "check", "-c", gateway.info["config"]], capture_output=True, text=True)
    assert done.returncode != 0 and "sites.json:2" in done.stdout + done.stderr
    assert "meant: connections" in done.stdout + done.stderr
    submit(gateway)
    sink.wait_for(1)
    assert sites(gateway)[0]["concurrency_max"] == 3


def test_a_dead_domain_with_much_delays_nobody_elses(place, sinks):
    dead = sinks()
    dead.stop()
    gateway, sink = place({}, "--route", f"dead.test={dead.address}:{dead.port}", retry="2")
    submit(gateway, 300, recipients=["a@dead.test"])
    until(lambda: gateway.json("queue", "sites")["relays"][0]["says"]["sites"])
    submit(gateway, 3, recipients=["b@example.net"])
    sink.wait_for(3)

    def accepted():
        return [r["message"] for r in gateway.records() if r["event"] == "message.accepted" and r["to"] == ["b@example.net"]]

    live = until(lambda: accepted() if len(accepted()) == 3 else None)
    for message in live:
        gateway.wait_record("delivery.attempted", message=message)
    records = gateway.records()
    for message in live:
        events = [(r["event"], r.get("message")) for r in records]
        between = events[events.index(("message.accepted", message)):events.index(("delivery.attempted", message))]
        others = sum(1 for event, of in between if event == "delivery.attempted" and of not in live)
        assert others < 100, f"{others} of 300 went before it"


def test_sites_that_stall_keep_nobody_elses_mail(gateways, sinks, tmp_path):
    """Thirty hosts that take a message and never say so, each with more mail than it has connections; one that answers."""
    until_the_end = threading.Event()

    def stalls(data):
        until_the_end.wait(300)
        return "250 ok"

    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    slow = [sinks(address=f"127.0.1.{n + 1}", replies={"DOT": stalls}) for n in range(30)]
    routes = [word for n, s in enumerate(slow) for word in ("--route", f"d{n}.test={s.address}:{s.port}")]
    good = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{good.address}:{good.port}", "--policy", policy, "--workers", "1",
                       *routes)
    try:
        with gateway.client(tls=False) as client:
            for _ in range(25):
                for n in range(len(slow)):
                    client.sendmail("dr@tenant.test", [f"a@d{n}.test"], mail.make("hello\r\n", [f"a@d{n}.test"])[0])
        until(lambda: sum(s["busy"] > 0 for s in sites(gateway)) == len(slow))
        submit(gateway, 3, recipients=["b@good.test"])
        assert len(good.wait_for(3)) == 3
        assert sum(s["busy"] > 0 for s in sites(gateway)) >= len(slow), "the others stall no more: nothing was shown"
    finally:
        until_the_end.set()


@pytest.mark.parametrize("take_one_first", (False, True), ids=("new", "known"))
def test_more_sites_that_stall_than_there_are_connections_leave_some_to_those_that_take_mail(
        gateways, sinks, tmp_path, take_one_first):
    """Four hundred hosts that take messages and never say so, the first or those behind one. Another has taken mail before."""
    count, until_the_end, stalling, taken = 400, threading.Event(), [], []
    until_all_stall = threading.Event()

    def stalls(data):
        if not until_all_stall.is_set():
            taken.append(data)
            return "250 ok"
        stalling.append(data)
        until_the_end.wait(300)
        return "250 ok"

    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    slow = sinks(address="0.0.0.0", replies={"DOT": stalls})
    routes = [word for n in range(count)
              for word in ("--route", f"d{n}.test=127.0.{n // 200 + 1}.{n % 200 + 1}:{slow.port}")]
    good = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{good.address}:{good.port}", "--policy", policy, "--workers", "1",
                       *routes)

    def send(how_many):
        with gateway.client(tls=False) as client:
            for n in range(how_many):
                to = [f"a@d{n % count}.test"]
                client.sendmail("dr@tenant.test", to, mail.make("hello\r\n", to)[0])

    before = 40 if take_one_first else 1  # proven, and still so if one was waited for and the half was forgotten
    try:
        submit(gateway, before, recipients=["b@good.test"])
        good.wait_for(before)
        if take_one_first:
            send(count)
            until(lambda: len(taken) == count)
        until_all_stall.set()
        send(2 * count)
        until(lambda: len(stalling) >= 150)
        for n in range(before + 1, before + 11):  # one after another: who has been waited for once is not so again
            submit(gateway, recipients=["b@good.test"])
            good.wait_for(n)
        assert sum(s["busy"] > 0 for s in sites(gateway)) >= 150, "the others stall no more: nothing was shown"
    finally:
        until_the_end.set()


def test_strangers_whose_dns_is_silent_leave_places_to_those_who_take_mail(gateways, sinks, tmp_path):
    """More domains than there are places, none of which is answered for; each hears in the end what is answered."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    good, count = sinks(), 380
    responder = Responder(["test"])
    responder.add("mx.good.test", "A", good.address)
    for domain in ("good.test", "fresh.test"):
        responder.add(domain, "MX", "10 mx.good.test")
    responder.always(lambda q: [] if q.name.endswith("silent.test") else [Say(q.truth())])
    responder.start()
    gateway = gateways("--plain-listener", "--resolver", responder.address, "--mx-port", str(good.port), "--policy", policy,
                       "--workers", "1", "--retry", "600", "--set", 'resolver.timeout="60s"')

    def attempted():
        return sum(r["event"] == "delivery.attempted" and r["hop"]["domain"].endswith("silent.test") for r in gateway.records())

    try:
        submit(gateway, 20, recipients=["b@good.test"])
        good.wait_for(20)
        began = time.monotonic()
        with gateway.client(tls=False) as client:
            for n in range(count):
                to = [f"a@d{n}.silent.test"]
                client.sendmail("dr@tenant.test", to, mail.make("hello\r\n", to)[0])
        in_time = time.monotonic() - began < 30  # of the resolver's patience half is left
        submit(gateway, recipients=["b@good.test"])  # its route is a second old, and looked up anew
        submit(gateway, sender="code@tenant.test", recipients=["c@fresh.test"])  # a stranger's, and somebody waits for it
        good.wait_for(22, 120)
        assert attempted() == 0 or not in_time, "it waited for a place to come free"
        responder.be_honest()
        until(lambda: attempted() == count, 180)
    finally:
        responder.stop()


def probes(gateway):
    """How often the log tells that a host can't be reached."""
    return sum(json.loads(line).get("event") == "hop.unreachable" for line in gateway.log.splitlines() if line.startswith("{"))


def test_who_waits_for_a_dead_host_is_put_off_once_and_parked(place, sinks):
    dead = sinks()
    dead.stop()
    gateway, _ = place({}, "--route", f"dead.test={dead.address}:{dead.port}", retry="2")
    submit(gateway, 200, recipients=["a@dead.test"])

    def parked():
        says = gateway.json("queue", "sites")["relays"][0]["says"]
        return sum(row["parked"] for row in says["sites"] + says["destinations"])

    def tried():
        return [r["message"] for r in gateway.records() if r["event"] == "delivery.attempted"]

    until(lambda: parked() > 150)
    before = probes(gateway)
    until(lambda: probes(gateway) > before + 2)
    until(lambda: len(set(tried())) == 200)  # the audit has a word of each
    until(lambda: parked() > 50)
    count = len(tried())
    assert count <= 200 + probes(gateway), "and from then on only of who was tried"
    waits = gateway.json("queue", "list", "--state", "deferred", "--limit", "500")["messages"][-1]["id"]

    def told():  # unless it is tried at this moment
        one = gateway.json("queue", "show", waits)["message"]["recipients"][0]
        return one["why"] == "hop.unreachable" and one["next"]

    until(told)
    until(lambda: "hop.unreachable, next 20" in gateway.run("trace", waits).stdout)
    back = sinks(port=dead.port)
    got = back.wait_for(200, 120)
    assert len({m["data"] for m in got}) == 200 == len(got), "each once"


def test_a_retry_tells_that_the_host_rests_and_asks_it_if_told_to(place, sinks):
    dead = sinks()
    dead.stop()
    gateway, _ = place({}, "--route", f"dead.test={dead.address}:{dead.port}", retry="3600")
    submit(gateway, recipients=["a@dead.test", "b@dead.test"])

    def attempts():
        return [r for r in gateway.records() if r["event"] == "delivery.attempted"]

    message = until(attempts)[0]["message"]
    for count in range(2, 7):  # it rests longer each time: long enough at last for what follows
        assert gateway.json("queue", "retry", message, "--now") == {"message": message, "done": "retry", "n": [0, 1]}
        until(lambda: len(attempts()) >= count)
    assert len(probed := attempts()) == 6
    told = gateway.json("queue", "retry", message)["rests"]
    assert told["recipients"] == 2 and told["until"] > probed[-1]["time"], told
    back = sinks(port=dead.port)
    words = gateway.run("queue", "retry", message, "--n", "1").stdout
    assert "1 of it parked again: the host rests until 20" in words and "--now" in words, words
    assert len(attempts()) == len(probed) and not back.sessions
    gateway.run("queue", "retry", message, "--n", "0", "--now")
    assert {to for m in back.wait_for(2) for to in m["to"]} == {"a@dead.test", "b@dead.test"}  # who was parked follows


def test_who_is_parked_hears_that_the_domain_takes_no_mail_any_more(gateways, sinks, tmp_path):
    dead = sinks()
    dead.stop()
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    responder = Responder(["gone.test"]).start()
    responder.add("gone.test", "MX", "10 mx.gone.test")
    responder.add("mx.gone.test", "A", dead.address)
    try:
        gateway = gateways("--plain-listener", "--policy", policy, "--retry", "1", "--workers", "1",
                           "--resolver", responder.address, "--mx-port", dead.port)
        submit(gateway, 30, recipients=["a@gone.test"])

        def parked():
            says = gateway.json("queue", "sites")["relays"][0]["says"]
            return sum(row["parked"] for row in says["sites"] + says["destinations"])

        until(lambda: parked() > 20)
        responder.add("gone.test", "MX", "0 .")
        until(lambda: gateway.json("queue", "list", "--recipient", "gone.test")["messages"] == [])
        until(lambda: sum(r["event"] == "dsn.sent" and r["action"] == "failed" for r in gateway.records()) == 30)
    finally:
        responder.stop()


def test_who_is_parked_has_its_times(gateways, sinks, tmp_path):
    """All are parked after eight seconds, and the host is asked every eight: that lets one of a domain go, and no more."""
    dead = sinks()
    dead.stop()
    policy = tmp_path / "policy.json"
    rungs = [{"rung": "tls:encrypted", "stay": {"unreachable": "11s"}}, "portal"]
    policy.write_text(json.dumps({
        "version": 1, "settings": {"floor": "plain", "expire": "1d", "portal": {"notify_floor": "plain"}},
        "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"},
                    "pickup": {"rungs": rungs, "floor": "tls:encrypted"}},
        "rules": [{"rule": "pickup", "when": {"recipient.domain": "pickup.example"}, "then": {"protect": "pickup"}},
                  {"rule": "soon", "when": {"recipient.domain": "soon.example"}, "then": {"protect": "relay", "expire": "11s"}}],
        "default": {"protect": "relay"}}))
    gateway = gateways("--plain-listener", "--next-hop", f"{dead.address}:{dead.port}", "--policy", policy, "--retry", "8",
                       "--workers", "1", "--set", 'delivery.dsn_delay="10s"')
    count = 16
    for domain in ("pickup.example", "soon.example", "late.example"):
        submit(gateway, count, recipients=[f"a@{domain}"])

    def of(event, **fields):
        return [r for r in gateway.records() if r["event"] == event and all(r.get(k) == v for k, v in fields.items())]

    until(lambda: len(of("dsn.sent", action="delayed")) >= count)
    until(lambda: len(of("message.expired")) == count)
    until(lambda: len(of("portal.deposited")) == count)
    assert probes(gateway) < count, "somebody was looked at only because a probe was due"


def test_whose_time_ends_before_his_turn_comes_waits_no_longer(place):
    """One message a minute may go: of all others some wait for a connection, the rest in lines that are shut."""
    ladder = {"rungs": [{"rung": "plain", "stay": {"unreachable": "6s"}}, "portal"], "floor": "plain"}
    gateway, sink = place({"default": {"messages_per_minute": 1}}, rules={
        **POLICY, "ladders": {**POLICY["ladders"], "pickup": ladder},
        "rules": [{"rule": "pickup", "when": {"recipient.domain": "pickup.example"}, "then": {"protect": "pickup"}},
                  {"rule": "soon", "when": {"recipient.domain": "soon.example"}, "then": {"protect": "relay", "expire": "6s"}}]})
    count = 40
    for domain in ("soon.example", "pickup.example"):
        submit(gateway, count, recipients=[f"a@{domain}"])

    def of(event):
        return [r for r in gateway.records() if r["event"] == event]

    some = 5  # may go in a minute or few
    until(lambda: len(of("message.expired")) + len(of("portal.deposited")) >= 2 * count - some, 150)
    expired, deposited, tried = of("message.expired"), of("portal.deposited"), of("delivery.attempted")
    early = {r["message"] for r in expired}
    assert count - some <= len(expired) == len(early) <= count, len(expired)
    assert count - some <= len(deposited) == len({r["message"] for r in deposited}) <= count, len(deposited)
    waited = [r for r in tried if r["message"] in early]
    assert len(waited) == len(early)
    assert {(r["outcome"], r["why"]) for r in waited} == {("failed", "delivery.no-turn")}, waited[:3]
    assert {m["to"][0] for m in sink.messages if b"multipart/report" not in m["data"]} <= {"a@soon.example", "a@pickup.example"}


@pytest.mark.parametrize("reply", ["452 4.5.3 too many recipients", "452 too many recipients", "552 too many recipients"])
def test_recipients_that_are_too_many_follow_at_once(place, reply):
    seen = [0]

    def on_mail(line):
        seen[0] = 0
        return "250 2.1.0 ok"

    def on_rcpt(line):
        seen[0] += 1
        return "250 2.1.5 ok" if seen[0] <= 3 else reply
    gateway, sink = place({}, retry="60", replies={"MAIL": on_mail, "RCPT": on_rcpt})
    everybody = [f"p{i}@example.net" for i in range(8)]
    submit(gateway, recipients=everybody)
    got = sink.wait_for(3)  # long before the first retry
    assert sorted(to for m in got for to in m["to"]) == everybody
    settled = gateway.wait_record("message.settled")
    assert [r["final"] for r in settled["recipients"]] == ["delivered"] * 8


def test_a_full_mailbox_among_others_is_refused_as_it_says(place):
    gateway, sink = place({}, replies={"RCPT": lambda line: "552 mailbox full" if b"full@" in line else "250 2.1.5 ok"})
    submit(gateway, recipients=["a@example.net", "full@example.net", "b@example.net"])
    settled = gateway.wait_record("message.settled")
    assert [r["final"] for r in settled["recipients"]] == ["delivered", "returned", "delivered"]
    assert sum(m["from"] != "" for m in sink.messages) == 1
