"""Short forms of what test/crash does at length: processes killed under load, and what must hold after it."""
import random

import pytest

from crash import clock, faults, rounds, storm
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


def test_a_clock_that_jumps_by_days_moves_no_mail(benches):
    figures = clock.run(lambda **keywords: benches(9, **keywords))
    assert figures["acknowledged"] >= 50 and figures["deferred"] >= 5


def test_a_failed_descriptor_or_frame_costs_no_mail():
    """One passage of two points; test/crash/faults.py walks all of them."""
    for point, number in (("ipc.send", 40), ("io.socket", 2)):
        with open_folder("sp-fault-") as folder:
            struck, figures = faults.one(folder, point, number, 3)
        assert struck and figures["acknowledged"] >= faults.MESSAGES
