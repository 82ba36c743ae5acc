"""Short forms of what test/crash does at length: processes killed under load, and what must hold after it."""
import random

import pytest

from crash import clock, faults, rounds, soak, storm
from crash.bench import Bench
from lab.ports import open_folder


@pytest.fixture
def benches():
    made = []

    def make(seed, *options, **keywords):
        made.append(Bench(folder, seed, *options, **keywords))
        return made[-1]

    with open_folder("sp-crash-") as folder:
        yield make
        for bench in made:
            bench.close()


def test_killed_under_load_nothing_is_lost(benches):
    figures = rounds.run(benches(5), 14, random.Random(5))
    assert figures["kills"] >= 14 and figures["acknowledged"] >= 70


def test_a_reload_every_second_costs_nothing(benches):
    figures = storm.run(benches(7), 8)
    assert figures["reloads"] >= 5 and figures["acknowledged"] >= 20
    assert all(figures["taken_up"][role] >= 2 for role in ("relay", "ledger", "sealer", "portal", "keeper", "scanner"))


def test_a_soak_in_short():
    """Next hops that are well, slow, moody, throttling and dead; messages live for four seconds at most."""
    with open_folder("sp-soak-") as folder:
        figures = soak.soak(folder, 10, every=0.5, expire=4)
    assert not figures["faults"], figures
    ends = figures["ends"]
    assert figures["messages"] >= 60 and ends["dead returned"] >= 3 and ends["well delivered"] >= 10
    assert all(ends[f"{kind} deposited-and-notified"] for kind in ("portal", "phi"))
    assert ends["sealed delivered"] and ends["tls delivered"]


def faults_of(own, fds=lambda at: 30):
    """What is said of a role that has this much at second `at` of half an hour, a supervisor beside."""
    times = range(0, 1800, 3)
    samples = {"ledger": [(at, own(at), fds(at), 1) for at in times], "supervisor": [(at, 2 << 20, 37, 1) for at in times]}
    return soak.Judge(samples, 0, 1800).verdict()[1]


def test_a_soak_tells_a_leak_from_noise_and_peaks():
    dice = random.Random(3)
    noise = [dice.randrange(-1 << 19, 1 << 19) for _ in range(1800)]
    level = 8 << 20
    assert not faults_of(lambda at: level + noise[at])
    assert not faults_of(lambda at: level + (4 << 20) * (at % 40 < 8))  # peaks
    assert not faults_of(lambda at: level * min(1, at / 500))  # warming up
    assert not faults_of(lambda at: level, lambda at: 30 + at * 7919 % 9)
    assert "goes on growing" in faults_of(lambda at: level + noise[at] + at * 1000)[0]
    assert "grows" in faults_of(lambda at: level + at * 20000)[0]
    assert "descriptors" in faults_of(lambda at: level, lambda at: 30 + at // 120)[0]


def test_a_clock_that_jumps_by_days_moves_no_mail(benches):
    figures = clock.run(lambda **keywords: benches(9, **keywords))
    assert figures["acknowledged"] >= 50 and figures["deferred"] >= 5


# What faults have cost before: a channel that failed on one side was never made anew; records were passed over.
STRIKES = (("mail", "keeper:ipc.receive", 1), ("mail", "ledger:ipc.receive", 1), ("mail", "relay:ipc.receive", 5),
           ("mail", "ledger:store.begin", 1), ("mail", "ledger:store.step", 3), ("mail", "ledger:store.commit", 1),
           ("mail", "ledger:journal.read", 5), ("portal", "portal:tls.write", 20))


def test_a_fault_in_one_role_costs_no_mail():
    """Single faults; test/crash/faults.py walks all of them."""
    with open_folder("sp-fault-") as folder:
        stage = faults.Stage(folder, 3)
        try:
            for turn, name, number in STRIKES:
                assert stage.strike(turn, name, number), f"{name}: nothing passed there"
            stage.check()
        finally:
            stage.close()


# A disk that can't be read for a moment, and no room for something large: put off, refused for now or looked at again.
UNREADABLE = (("mail", "relay:journal.read", 3), ("mail", "relay:content.read", 2), ("mail", "sealer:content.read", 1),
              ("mail", "scanner:content.read", 2), ("mail", "portal:content.read", 1), ("mail", "relay:memory.large", 1),
              ("mail", "relay:memory.large", 4), ("mail", "ledger:memory.large", 3), ("mail", "scanner:memory.large", 1),
              ("mail", "sealer:memory.large", 2))


def test_what_cannot_be_read_or_held_costs_no_mail():
    with open_folder("sp-fault-") as folder:
        stage = faults.Stage(folder, 4)
        try:
            struck = [stage.strike(turn, name, number) for turn, name, number in UNREADABLE]
            assert sum(struck) >= len(UNREADABLE) - 2, struck
            stage.check()
        finally:
            stage.close()


# A write or a sync that fails, wherever something becomes durable: refused for now, or done anew elsewhere.
UNWRITABLE = (("mail", "relay:journal.write", 1), ("mail", "relay:journal.write", 4), ("mail", "relay:journal.sync", 1),
              ("mail", "relay:journal.sync", 3), ("mail", "relay:content.write", 1), ("mail", "relay:content.write", 3),
              ("mail", "ledger:audit.append", 1), ("mail", "ledger:audit.sync", 1), ("mail", "ledger:store.commit", 2),
              ("mail", "portal:portal.sync", 1), ("mail", "portal:store.commit", 1))
# The same of a gateway that starts: what can't be read, held, locked or synced then is tried again.
AT_START = (("start", "relay:journal.read", 2), ("start", "relay:journal.open-read", 1), ("start", "relay:journal.list", 1),
            ("start", "relay:journal.sync", 1), ("start", "relay:journal.lock", 1), ("start", "ledger:journal.read", 2),
            ("start", "ledger:store.step", 2), ("start", "relay:memory.large", 1))


@pytest.mark.parametrize("strikes", (UNWRITABLE, AT_START), ids=("written", "started"))
def test_what_fails_where_it_becomes_durable_or_starts_costs_no_mail(strikes):
    with open_folder("sp-fault-") as folder:
        stage = faults.Stage(folder, 6)
        try:
            struck = [stage.strike(turn, name, number) for turn, name, number in strikes]
            assert sum(struck) >= len(strikes) - 3, struck
            stage.check()
        finally:
            stage.close()


def test_faults_here_and_there_cost_no_mail():
    """A few of the walk's strikes, others with each seed."""
    struck, failures = faults.sample(11, 10)
    assert not failures, failures
    assert struck >= 5
