"""What the long forms have in common: options, a folder, a gateway that ends whatever happens, its log if something did not
hold, one line of JSON."""
import argparse
import json
import os
import pathlib
import sys

from crash.bench import Bench
from lab.ports import open_folder


def parse(doc, arguments):
    """arguments: {"--name": keywords of add_argument} beside --seed and --preset."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preset", default=os.environ.get("SALLYPORT_PRESET", "asan"))
    for name, keywords in arguments.items():
        parser.add_argument(name, **keywords)
    options = parser.parse_args()
    os.environ["SALLYPORT_PRESET"] = options.preset
    return options


def run(doc, name, arguments, act):
    """act: takes a function that makes the Bench, and the options; returns figures."""
    options = parse(doc, arguments)
    made = []

    def make(**keywords):
        made.append(Bench(folder, options.seed, **keywords))
        return made[-1]

    with open_folder(f"sp-{name}-") as folder:
        try:
            figures = act(make, options)
        except AssertionError:
            for bench in made:
                kept = pathlib.Path(f"/tmp/sallyport-{name}-{options.seed}.log")
                kept.write_text(bench.gateway.log)
                print(f"seed {options.seed}; the gateway's log is in {kept}", file=sys.stderr)
            raise
        finally:
            for bench in made:
                bench.close()
        print(json.dumps({"preset": options.preset, **figures}))
