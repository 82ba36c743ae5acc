"""A drawn world (test/model): hosts that fail at any stage, ladders, keys that come and go, processes that die. More of them,
and harsher ones, by test/model/run.py."""
import pytest

from model.plan import STEADY, Plan
from model.run import play


@pytest.mark.parametrize("seed", [7])
def test_a_drawn_world_keeps_its_promises(seed):
    complaints, figures = play(Plan(seed, domains=16, messages=24, pace=STEADY), patience=2)
    assert not complaints, "\n".join(complaints)
    assert figures["delivered"] > 10, figures
