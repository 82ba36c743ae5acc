#!/usr/bin/python3
"""Plays drawn worlds: hosts that fail at any stage, ladders, keys that come and go, DNS that fails, processes that die.

    test/model/run.py --seeds 1-20 [--jobs 4] [--preset asan] [--keep FOLDER]

Each seed is a world (plan.py) with a gateway of its own (world.py), judged by what its hosts saw (judge.py). One line a seed,
and what did not hold; log and records of such a seed are kept. The same seed draws the same world, but not the same order of
events in it."""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from lab.ports import open_folder  # noqa: E402
from model.acts import Acts, Crowded  # noqa: E402  (the path comes first)
from model.corners import Corners  # noqa: E402
from model.judge import Judge  # noqa: E402
from model.plan import Plan  # noqa: E402
from model.world import World  # noqa: E402

PATIENCE = 300  # seconds: much more than lives are, also where a report follows a notice, and that a message
ACTS = {"message.held", "message.released", "message.recalled", "delivery.redirected"}
WORLDS = {"wide": Plan, "corners": Corners, "acts": Acts, "crowded": Crowded}


def verify(world):
    info = world.gateway.info
    done = world.gateway.run("audit", "verify", info["audit"], check=False)
    return [] if done.returncode == 0 else [f"audit verify: {done.stdout}{done.stderr}"]


def keep(world, complaints, folder):
    """What is needed to understand it, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "complaints").write_text("\n".join(complaints) + "\n")
    (folder / "log").write_text(world.gateway.log)
    (folder / "audit").write_text("\n".join(json.dumps(r) for r in world.records()))
    plan = world.plan
    (folder / "plan").write_text("\n".join(map(str, [*plan.domains, *plan.ladders, *plan.people, *plan.messages, *plan.blows,
                                                     f"kills {world.kills}", f"began {world.began}"])))
    lines = [(at, f"{host} {what} {detail}") for at, host, what, detail in world.account.asked]
    lines += [(c["time"], f"{c['host'].name} COPY {c['key']} {c['to']} {c['shown']} {c['end']} {len(c['data'])} bytes")
              for c in world.account.copies]
    (folder / "hosts").write_text("\n".join(f"{at:8.3f} {text}" for at, text in sorted(lines)))


def play(plan, patience=1.0, kept=None):
    """returns: (complaints, figures)"""
    with open_folder("sp-model-") as folder:
        world = World(plan, folder)
        try:
            world.start()
            world.play()
            complaints = [f"no end: {identity}" for identity in world.wait_for_ends(PATIENCE * patience)]
            complaints += [f"still in the queue: {entry}" for entry in world.gateway.json("queue", "list")["messages"]]
            complaints += world.stop()
            judge = Judge(world, world.records(), world.gateway.log)
            complaints += [*judge.complaints(), *verify(world)]
        finally:
            world.stop()
        if complaints and kept is not None:
            keep(world, complaints, kept)
        finals = collections.Counter(r["final"] for _, _, r, _ in judge.ends())
        acts = collections.Counter(r["event"].partition(".")[2] for r in judge.records if r["event"] in ACTS)
        seen = {"copies": len(world.account.copies), "asked": len(world.account.asked), "policies": len(world.policies.served)}
        return complaints, {**seen, **finals, **acts}


def one(seed, options):
    began = time.monotonic()
    try:
        wished = {name: n for name in ("domains", "messages") if (n := getattr(options, name)) is not None}
        plan = WORLDS[options.worlds](seed, **wished)
        complaints, figures = play(plan, options.patience, pathlib.Path(options.keep) / str(seed))
    except Exception:  # the other seeds go on
        complaints, figures = [traceback.format_exc()], {}
    return seed, complaints, {"seconds": round(time.monotonic() - began), **figures}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1-4")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--worlds", choices=WORLDS, default="wide")
    parser.add_argument("--domains", type=int)
    parser.add_argument("--messages", type=int)
    parser.add_argument("--patience", type=float, default=1.0, help="more on a busy machine")
    parser.add_argument("--preset", default=os.environ.get("SALLYPORT_PRESET", "asan"))
    parser.add_argument("--keep", default="/tmp/sallyport-model")
    options = parser.parse_args()
    os.environ["SALLYPORT_PRESET"] = options.preset
    first, _, last = options.seeds.partition("-")
    seeds, bad, sums = range(int(first), int(last or first) + 1), [], collections.Counter()
    with concurrent.futures.ProcessPoolExecutor(options.jobs, max_tasks_per_child=1) as pool:
        for seed, complaints, figures in pool.map(one, seeds, [options] * len(seeds)):
            print(f"seed {seed}: {len(complaints)} complaints, {figures}", flush=True)
            for complaint in complaints:
                print(f"    {complaint}", flush=True)
            sums.update(figures)
            bad += [seed] * bool(complaints)
    print(json.dumps({"preset": options.preset, "seeds": len(seeds), "bad": bad, **sums}))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
