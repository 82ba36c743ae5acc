#!/usr/bin/python3
"""A reload every second under load: nothing is lost, nothing refused, no session ends.

    test/crash/storm.py --seconds 600 --seed 1 [--preset release]

Every third reload finds another host name and a policy in other bytes, the others find all as it was. One line of JSON at
the end; see docs/testing.md.
"""
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from crash import command  # noqa: E402  (the path comes first)


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
    for line in bench.log.more().splitlines():
        if line.startswith(b"{") and (b'"role.reloaded"' in line or b'"role.started"' in line):
            event = json.loads(line)
            bench.taken_up[event["role"]] += event.get("result", "ok") == "ok"
    return bench.taken_up


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
    arguments = {"--seconds": {"type": float, "default": 600}}
    command.run(__doc__, "storm", arguments, lambda make, options: run(make(), options.seconds))


if __name__ == "__main__":
    main()
