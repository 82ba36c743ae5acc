#!/usr/bin/python3
"""Kills processes of a gateway under load, round after round, and accounts for every message.

    test/crash/rounds.py --rounds 500 --seed 1 [--preset release]

A round waits until mail has gone on since the last one, and ends one process by SIGKILL: each role in turn, then at random,
now and then two at once, and the supervisor, after whose death its children must end by themselves; in some rounds amid a
rotation of the content key or of the master key, or the command that rotates. The next hop is unwell now and then, refuses some
for good, of whom the sender hears, and a domain has two smarthosts of its own, one of which is dead. Every batch of rounds ends
with a pause of the load in which everything acknowledged must arrive. One line of JSON at the end; see docs/testing.md.
"""
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from crash import command  # noqa: E402  (the path comes first)
from crash.bench import RESTART_LIMIT  # noqa: E402
from crash.load import KINDS  # noqa: E402

PROGRESS = 6  # messages taken and copies delivered between two kills
BATCH = 50
EVERY = (*KINDS, "routed", "refused", "mixed", "told")
UNWELL = 0.03  # of recipients and messages, at the next hop
ROTATIONS = {3: (), 9: ("--master",)}  # the rounds of each twelve in which a key is rotated


class Down:
    """Since when each role has been missing: none may be for longer than the supervisor's patience."""

    def __init__(self, bench):
        self.bench, self.since = bench, {}

    def look(self):
        missing, now = self.bench.missing(), time.monotonic()
        self.since = {role: self.since.get(role, now) for role in missing}
        for role, since in self.since.items():
            assert now - since < RESTART_LIMIT, f"{role} stays down"


def victims(dice, roles, number):
    """Each in turn, then at random; every eighth time two."""
    if number < len(roles):
        return [roles[number]]
    return dice.sample(roles, 2 if number % 8 == 0 else 1)


class Rotation:
    """`keys rotate`, begun a moment before something dies. Cut off, it is repeated until it ends, as its manual says."""

    def __init__(self, bench, words):
        self.bench, self.command = bench, ("keys", "rotate", *words)
        self.process = subprocess.Popen([bench.info["program"], *self.command, "--config", bench.info["config"]],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def kill(self):
        self.process.kill()

    def end(self):
        """returns: how often it was begun"""
        said, begun = [self.process.communicate(timeout=90)[0]], 1
        if self.process.returncode == 0:
            return begun
        deadline = time.monotonic() + 60
        while (done := self.bench.gateway.run(*self.command, check=False)).returncode != 0:
            said.append(done.stdout + done.stderr)
            assert time.monotonic() < deadline, f"{self.command} does not end: {said[-3:]}"
            begun += 1
            time.sleep(0.2)
        return begun + 1


def one_round(bench, dice, down, names, limit, rotates=None):
    """rotates: words of `keys rotate`, amid which they die; None: no key is rotated"""
    taken, passed = bench.load.count(), bench.taker.count()
    deadline = time.monotonic() + limit
    while bench.load.count() < taken + PROGRESS or bench.taker.count() < passed + PROGRESS:
        down.look()
        assert time.monotonic() < deadline, f"no mail goes on: {bench.load.replies}, missing {bench.missing()}"
        time.sleep(0.02)
    rotation = None if rotates is None else Rotation(bench, rotates)
    time.sleep(dice.random() * (0.1 if rotation is None else 0.4))  # anywhere in the life of a message
    for name in names:
        if name == "rotation":
            rotation.kill()
        elif name == "supervisor":
            bench.kill_supervisor()
            down.since = {}
        else:
            bench.kill(name, index=dice.randrange(8))
    if rotation is not None:
        bench.rotations.append(rotation.end())


def next_round(bench, dice, down, roles, number, limit):
    rotates, names = ROTATIONS.get(number % 12), victims(dice, roles, number)
    if rotates is not None and dice.random() < 0.3:
        names = ["rotation", *names]
    one_round(bench, dice, down, names, limit, rotates)


def run(bench, rounds, dice, batch=BATCH, limit=60, say=lambda text: None, kinds=EVERY, **load):
    roles = [*sorted(bench.wanted), "supervisor"]
    down, number = Down(bench), 0
    bench.rotations = []
    bench.taker.unwell = bench.second.unwell = UNWELL
    while number < rounds:
        previous, started = bench.load, time.monotonic()
        bench.start_load(seed=f"{bench.seed}.{number}", kinds=kinds, **load)
        if previous is not None:
            adopt(bench.load, previous)
        for _ in range(min(batch, rounds - number)):
            next_round(bench, dice, down, roles, number, limit)
            number += 1
        bench.load.stop()
        bench.settle()
        say(f"{number} rounds, {time.monotonic() - started:.0f} s, {len(bench.load.acknowledged())} acknowledged, "
            f"{bench.taker.count()} copies")
    figures = bench.check()
    records = [r for r in bench.records() if r["event"] == "key.rotated"]
    assert len(records) >= len(bench.rotations), f"{len(bench.rotations)} rotations, {len(records)} in the audit"
    return {**figures, "rotations": len(bench.rotations), "begun_again": sum(bench.rotations) - len(bench.rotations)}


def adopt(load, previous):
    """One account of all batches."""
    with load.lock:
        load.sent[:0] = previous.sent
        load.ends[:0] = previous.ends
        for code, count in previous.replies.items():
            load.replies[code] = load.replies.get(code, 0) + count


def main():
    arguments = {"--rounds": {"type": int, "default": 500},
                 "--patience": {"type": float, "default": 60, "help": "seconds in which mail must go on; more on a busy machine"}}
    command.run(__doc__, "crash", arguments, lambda make, options: {"rounds": options.rounds, **run(
        make(), options.rounds, random.Random(options.seed), limit=options.patience, say=lambda text: print(text, flush=True))})


if __name__ == "__main__":
    main()
