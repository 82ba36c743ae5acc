#!/usr/bin/python3
"""A reload every second under load: nothing is lost, nothing refused, no session ends.

    test/crash/storm.py --seconds 600 --seed 1 [--preset release]

Every third reload finds another host name and a policy in other bytes, the others find all as it was. One line of JSON at
the end; see docs/testing.md.
"""
import argparse
import collections
import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from crash.bench import Bench  # noqa: E402  (the path comes first)
from lab.ports import open_folder  # noqa: E402


def change(bench, number):
    """Something that each role gets to see: a name, and a policy that says the same in other bytes."""
    config = pathlib.Path(bench.info["config"])
    settings = json.loads(config.read_text())
    settings["hostname"] = f"gateway{number % 2}.tenant.test"
    config.with_suffix(".new").write_text(json.dumps(settings))
    config.with_suffix(".new").replace(config)
    policy = pathlib.Path(bench.info["policy"])
    text = policy.read_text().split("\n// reload", maxsplit=1)[0]
    policy.with_suffix(".new").write_text(f"{text}\n// reload {number}\n")
    policy.with_suffix(".new").replace(policy)


def reloads_of(bench):
    """{role: times it took a new generation, by reloading or starting anew}"""
    found = collections.Counter()
    for line in bench.gateway.log.splitlines():
        if line.startswith("{") and ('"role.reloaded"' in line or '"role.started"' in line):
            event = json.loads(line)
            found[event["role"]] += event.get("result", "ok") == "ok"
    return found


def run(bench, seconds, every=1.0, **load):
    bench.start_load(**load)
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        number += 1
        if number % 3 == 0:
            change(bench, number)
        bench.reload()
        bench.load.stopped.wait(every)
        assert not bench.load.ends, f"a session ended: {bench.load.ends[0][1]}"
    bench.load.stop()
    bench.settle()
    figures = bench.check()
    assert not bench.load.ends and set(bench.load.replies) == {"250"}, bench.load.replies
    assert "supervisor.role-killed" not in bench.gateway.log and '"signal":14' not in bench.gateway.log
    return {"reloads": number, **figures, "taken_up": dict(reloads_of(bench))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preset", default=os.environ.get("SALLYPORT_PRESET", "asan"))
    options = parser.parse_args()
    os.environ["SALLYPORT_PRESET"] = options.preset
    with open_folder("sp-storm-") as folder:
        bench = Bench(folder, options.seed)
        try:
            print(json.dumps({"preset": options.preset, **run(bench, options.seconds)}))
        except AssertionError:
            kept = pathlib.Path(f"/tmp/sallyport-storm-{options.seed}.log")
            kept.write_text(bench.gateway.log)
            print(f"seed {options.seed}; the gateway's log is in {kept}", file=sys.stderr)
            raise
        finally:
            bench.close()


if __name__ == "__main__":
    main()
