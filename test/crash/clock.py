#!/usr/bin/python3
"""The wall clock jumps a day ahead and two back while mail is taken, refused for a while, and delivered.

    test/crash/clock.py --seed 1

The clock is that of the roles' test build: the board says how far it is off, for all of them from the same moment on. It jumps
once mail waits and the jump before was seen, however long that takes.
"""
import collections
import contextlib
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from crash import command  # noqa: E402  (the path comes first)
from crash.bench import wait_until  # noqa: E402
from crash.board import Board  # noqa: E402
from lab.ports import open_folder  # noqa: E402

DAY = 86400 * 1000
KINDS = ("plain", "plain", "portal")
STEPS = (DAY, -DAY, 0)  # how far the clock is off, one after another
EACH = 15  # messages that are taken before each jump, and behind the last
PATIENCE = 120  # seconds for what a quiet machine does in two


def run(make, **load):
    with open_folder("sp-clock-board-") as folder, contextlib.closing(Board(f"{folder}/board")) as board:
        bench = make(environment=board.environment)
        bench.start_load(kinds=KINDS, **load)  # nothing sealed: the keys are of today, and not valid yesterday
        for offset in STEPS:
            take_some(bench)
            jump(bench, board, offset)
        take_some(bench)
        bench.load.stop()
        bench.settle(PATIENCE)  # a retry is due in seconds; none has moved by a day
        figures = bench.check()
    assert not bench.load.ends and set(bench.load.replies) == {"250"}, bench.load.ends[:3]
    assert changes(bench) == [1, -2, 1]
    events = collections.Counter(r["event"] for r in bench.records())
    assert not events["dsn.sent"] and not events["message.expired"]
    return {**figures, "deferred": deferred(bench)}


def take_some(bench):
    enough = bench.load.count() + EACH
    wait_until(lambda: bench.load.count() >= enough, PATIENCE, "mail is taken")


def jump(bench, board, offset):
    """Over the jump some of the mail waits for its next try."""
    said, enough = len(changes(bench)) + 1, deferred(bench) + 2
    bench.taker.refusing = True
    wait_until(lambda: deferred(bench) >= enough, PATIENCE, "mail is put off")
    board.set_clock(offset)
    wait_until(lambda: len(changes(bench)) >= said, PATIENCE, "the ledger sees that the clock has jumped")
    wait_until(lambda: days_off(bench) == round(offset / DAY), PATIENCE, "a line of log has the roles' new time")
    enough = deferred(bench) + 1
    wait_until(lambda: deferred(bench) >= enough, PATIENCE, "mail is put off behind the jump")
    bench.taker.refusing = False


def changes(bench):
    return [round(r["offset_ms"] / DAY) for r in bench.records() if r["event"] == "clock.changed"]


def deferred(bench):
    return sum(r.get("outcome") == "deferred" for r in bench.records())


def days_off(bench):
    return round((log_time(bench) - time.time()) / 86400)


def log_time(bench):
    """The gateway's idea of now: a line of log is written for each message that waits."""
    whole = bench.gateway.log.rpartition("\n")[0]  # without a line that is half written
    last = json.loads([line for line in whole.splitlines() if line.startswith("{")][-1])
    return time.mktime(time.strptime(last["time"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone


def main():
    command.run(__doc__, "clock", {}, lambda make, options: run(make))


if __name__ == "__main__":
    main()
