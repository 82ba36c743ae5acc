"""Builds with ASan and UBSan and runs everything: unit tests and fuzz corpora (ctest), end to end (pytest), the
quickstart. Ends with one line `N passed, N failed, N skipped`; a skip that is not listed in test/skips.txt fails.

    scripts/test [--tsan] [--only unit|e2e|quickstart]... [-k EXPRESSION]

With --tsan the same under ThreadSanitizer, without the quickstart: a report fails the test in which it came. It takes much
longer, and is for a machine that has nothing else to do (or nice -n 10).
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORES = os.cpu_count() or 2
FEW_FILES = 3  # whose failures are looked at once more


def step(text):
    print(f"== {text}", flush=True)


class Build:
    """What is built and run, where its results lie, and how much longer than usual a test may take."""

    def __init__(self, preset, slower):
        self.preset, self.slower = preset, slower
        self.out = ROOT / ("build/test-results" if preset == "asan" else f"build/test-results-{preset}")
        self.out.mkdir(parents=True, exist_ok=True)


def must(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout[-6000:], done.stderr[-6000:])
        sys.exit(f"test: {' '.join(command)} failed")


class Totals:
    def __init__(self):
        self.passed = self.failed = 0
        self.skipped = []

    def add(self, name, passed, failed, skipped=()):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        print(f"== {name}: {passed} passed, {failed} failed, {len(skipped)} skipped", flush=True)


def listed_skips():
    path = ROOT / "test/skips.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return {line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()}


def run_units(totals, build):
    """Each ctest entry counts the checks that Check reports, or as one test."""
    done = subprocess.run(["ctest", "--test-dir", f"build/{build.preset}", "-j", str(CORES), "-V", "--timeout",
                           str(300 * build.slower)], cwd=ROOT, capture_output=True, text=True)
    (build.out / "ctest.log").write_text(done.stdout + done.stderr)
    passed = failed = 0
    results = re.findall(r"^ *\d+/\d+ Test +#(\d+): (\S+) \.+\**\s*(\S.*?)\s+[\d.]+ sec", done.stdout, re.M)
    for number, name, result in results:
        output = "\n".join(re.findall(rf"^{number}: (.*)$", done.stdout, re.M))
        checks = re.findall(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)", output)
        bad = sum(int(f) + int(e) for _, f, e in checks)
        good = sum(int(c) for c, _, _ in checks) - bad if checks else 1
        if result != "Passed":
            bad = max(bad, 1)
            good = good if checks else 0
            print(f"-- {name}: {result}\n{output[-4000:]}")
        passed += good
        failed += bad
    if not results or (done.returncode != 0 and failed == 0):
        print(done.stdout[-3000:], done.stderr[-2000:])
        failed += 1
    totals.add("unit tests and fuzz corpora", passed, failed)


class EndToEnd:
    """One run of end-to-end tests: what passed, the node ids of what failed, and what was skipped."""

    def __init__(self, build, name, words):
        junit = build.out / f"{name}.xml"
        junit.unlink(missing_ok=True)
        done = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "--timeout", str(300 * build.slower), "-p",
                               "no:cacheprovider", "--junitxml", str(junit), *words], cwd=ROOT, text=True,
                              env={**os.environ, "SALLYPORT_PRESET": build.preset}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        (build.out / f"{name}.log").write_text(done.stdout)
        self.output, self.passed, self.failed, self.skipped = done.stdout, 0, [], []
        for case in ElementTree.parse(junit).iter("testcase") if junit.exists() else []:
            kinds = {child.tag for child in case}
            where, test = case.get("classname"), case.get("name")
            if "skipped" in kinds:
                self.skipped.append(f"{where}.{test}")
            elif kinds & {"failure", "error"}:
                self.failed.append(f"{where.replace('.', '/')}.py::{test}")
            else:
                self.passed += 1
        self.broken = done.returncode not in (0, 1, 5) or (done.returncode == 1 and not self.failed)


def run_pytest(totals, build, expression):
    """A few tests that fail beside others run once more, alone, to tell a race from a fault. They have failed all the same."""
    # waiting for servers, not computing, is what these tests do: more workers than cores
    first = EndToEnd(build, "e2e", ["-n", str(2 * CORES), "--dist", "loadfile", "test/e2e"] +
                     (["-k", expression] if expression else []))
    failed = sorted(set(first.failed))
    if failed or first.broken:
        print(first.output[-12000:])
    if failed and len({test.split("::")[0] for test in failed}) <= FEW_FILES and not first.broken:
        step(f"alone, once more: {' '.join(failed)}")
        again = EndToEnd(build, "e2e-again", failed)
        for test in failed:
            print(f"== {'fails alone, too' if again.broken or test in again.failed else 'UNSTEADY, passes alone'}: {test}")
    totals.add("end to end", first.passed, max(len(failed), int(first.broken)), first.skipped)


def run_quickstart(totals, build):
    done = subprocess.run(["scripts/quickstart", "--once"], cwd=ROOT, capture_output=True, text=True, timeout=1200)
    (build.out / "quickstart.log").write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        print(done.stdout[-6000:], done.stderr[-3000:])
    totals.add("quickstart --once", int(done.returncode == 0), int(done.returncode != 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=["unit", "e2e", "quickstart"])
    parser.add_argument("-k", metavar="EXPRESSION", help="only the end-to-end tests that match")
    parser.add_argument("--tsan", action="store_true", help="under ThreadSanitizer instead of ASan and UBSan")
    options = parser.parse_args()
    parts = options.only or ["unit", "e2e"] + ["quickstart"] * (not options.tsan)
    started = time.monotonic()
    build = Build("tsan", 4) if options.tsan else Build("asan", 1)
    step("build with ThreadSanitizer" if options.tsan else "build with ASan and UBSan")
    must("cmake", "--preset", build.preset)
    must("cmake", "--build", "--preset", build.preset)
    totals = Totals()
    if "unit" in parts:
        run_units(totals, build)
    if "e2e" in parts:
        run_pytest(totals, build, options.k)
    if "quickstart" in parts:
        run_quickstart(totals, build)
    unlisted = [name for name in totals.skipped if name not in listed_skips()]
    for name in unlisted:
        print(f"-- skipped without a reason in test/skips.txt: {name}")
    totals.failed += len(unlisted)
    print(f"== {time.monotonic() - started:.0f} s; logs in {build.out.relative_to(ROOT)}/")
    print(f"{totals.passed} passed, {totals.failed} failed, {len(totals.skipped)} skipped")
    sys.exit(1 if totals.failed or not totals.passed else 0)


if __name__ == "__main__":
    main()
