"""Drawn worlds (test/model): hosts that fail at any stage, ladders, keys that come and go, processes that die. More of them,
and harsher ones, by test/model/run.py."""
import pytest

from model.corners import Corners
from model.plan import STEADY, Pace, Plan
from model.run import play

BRISK = Pace(4.0, (6.0, 8.0), 6.0, False)
WORLDS = {"wide": lambda: Plan(7, domains=16, messages=24, pace=STEADY),
          "corners": lambda: Corners(3, messages=50, pace=BRISK)}


@pytest.mark.parametrize("world", WORLDS)
def test_a_drawn_world_keeps_its_promises(world):
    complaints, figures = play(WORLDS[world](), patience=2)
    assert not complaints, "\n".join(complaints)
    assert figures["delivered"] > 10, figures
