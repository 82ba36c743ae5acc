#!/usr/bin/python3
"""The wall clock jumps a day ahead and two back while mail is taken, refused for a while, and delivered.

    test/crash/clock.py --seed 1

The clock is that of the roles' test build (SP_CLOCK_AT): it jumps for all of them at the same moment of the monotonic clock.
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

DAY = 86400 * 1000
KINDS = ("plain", "plain", "portal")
START = 35  # seconds from here until the first jump: the gateway starts before it
STEPS = ((0, DAY), (5, -DAY), (10, 0))  # seconds after START, and how far the clock is off from then on


def steps(first):
    return ",".join(f"{int((first + at) * 1000)}:{offset}" for at, offset in STEPS)


def run(make, **load):
    first = time.monotonic() + START
    bench = make(environment={"SP_CLOCK_AT": steps(first)})
    assert time.monotonic() < first, "the gateway took too long to start"
    bench.start_load(kinds=KINDS, **load)  # nothing sealed: the keys are of today, and not valid yesterday
    offsets = set()
    for at, offset in STEPS:  # over each jump some of the mail waits for its next try
        wait_until(lambda at=at: time.monotonic() > first + at - 2, START + 2, "time goes on")
        bench.taker.refusing = True
        wait_until(lambda at=at: time.monotonic() > first + at + 1, 10, "time goes on")
        bench.taker.refusing = False
        with contextlib.suppress(AssertionError):  # what it is then is told below
            wait_until(lambda offset=offset: days_off(bench) == round(offset / DAY), 3, "a line of log is written")
        offsets.add(days_off(bench))
    bench.load.stop()
    bench.settle(120)  # a retry is due in seconds; none has moved by a day
    figures = bench.check()
    assert not bench.load.ends and set(bench.load.replies) == {"250"}, bench.load.ends[:3]
    assert offsets == {1, -1, 0}, f"the roles' clock did not jump: {offsets}"
    changed = [r["offset_ms"] for r in bench.records() if r["event"] == "clock.changed"]
    assert [round(ms / DAY) for ms in changed] == [1, -2, 1], changed
    events = collections.Counter(r["event"] for r in bench.records())
    assert not events["dsn.sent"] and not events["message.expired"]
    return {**figures, "deferred": sum(r.get("outcome") == "deferred" for r in bench.records())}


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
