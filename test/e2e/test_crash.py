"""Short forms of what test/crash does at length: processes killed under load, and what must hold after it."""
import random

import pytest

from crash import rounds, storm
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
    figures = rounds.run(benches(5), 20, random.Random(5))
    assert figures["kills"] >= 20 and figures["acknowledged"] >= 100


def test_a_reload_every_second_costs_nothing(benches):
    figures = storm.run(benches(7), 12)
    assert figures["reloads"] >= 10 and figures["acknowledged"] >= 30
    assert all(figures["taken_up"][role] >= 3 for role in ("relay", "ledger", "sealer", "portal", "keeper", "scanner"))
