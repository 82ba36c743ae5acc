#!/usr/bin/python3
"""The n-th passage of a fault point fails, in the first process of every role at once, under a small load; what must hold
after kills must hold after it too.

    test/crash/faults.py [--seed 1] [--most 12] [--only POINT]...

Each point is walked from its first passage to the last that the load reaches, or to --most. The points of the storage have
walks of their own in test/unit. One line a passage; see docs/testing.md.
"""
import argparse
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from crash.bench import Bench, wait_until  # noqa: E402  (the path comes first)
from lab.ports import open_folder  # noqa: E402

POINTS = ("ipc.pair", "ipc.send", "ipc.receive", "ipc.dup", "jobs.dup", "role.pipe", "role.fork", "io.accept", "io.socket",
          "memfd.new", "store.commit", "audit.append", "audit.sync", "portal.sync", "portal.sync-dir")
MESSAGES = 25


class NotStarted(Exception):
    """The fault struck before the gateway was up, and it said so and ended: that is clean."""


def one(folder, point, number, seed):
    """returns: (whether the point was passed so often, figures)"""
    try:
        bench = Bench(folder, seed, environment={"SP_FAULT_AT": f"{point}:{number}"})
    except RuntimeError as e:
        raise NotStarted(str(e)[-200:]) from None
    try:
        bench.start_load(clients=3, largest=1 << 20)
        wait_until(lambda: bench.load.count() >= MESSAGES, 60, "mail goes on")
        bench.load.stop()
        bench.settle()
        bench.check_bodies()
        bench.check_audit()
        bench.check_refusals()
        bench.gateway.check_log()
        struck = bench.gateway.log.count(f"fault: {point}\n")
        twice = sum(len(copies) - 1 for copies in bench.arrived().values())
        assert twice <= 8 * struck, f"{twice} copies came twice"
        return struck, {"acknowledged": len(bench.load.acknowledged()), "twice": twice, "ends": len(bench.load.ends)}
    except AssertionError:
        pathlib.Path(f"/tmp/sallyport-fault-{point}-{number}.log").write_text(bench.gateway.log)
        raise
    finally:
        bench.close()


def walk(point, most, seed, say):
    for number in range(1, most + 1):
        with open_folder("sp-fault-") as folder:
            try:
                struck, figures = one(folder, point, number, seed)
            except NotStarted as e:
                say({"point": point, "n": number, "not_started": str(e)})
                continue
        if not struck:
            return
        say({"point": point, "n": number, "struck": struck, **figures})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=12)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--preset", default=os.environ.get("SALLYPORT_PRESET", "asan"))
    options = parser.parse_args()
    os.environ["SALLYPORT_PRESET"] = options.preset
    for point in options.only or POINTS:
        walk(point, options.most, options.seed, lambda line: print(json.dumps(line), flush=True))


if __name__ == "__main__":
    main()
