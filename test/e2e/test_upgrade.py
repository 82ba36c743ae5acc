"""Another build of the program takes over under load: nobody's connection is refused, nothing is lost, nothing comes twice."""
import json
import os
import pathlib
import shutil
import socket
import threading
import time

import pytest

from crash.bench import Bench, wait_until
from lab.ports import open_folder

TOO_LONG = 20  # seconds for a greeting, on a machine that does much else


class Door:
    """Connects all the time, as somebody who has never been here: each time there must be a greeting that says welcome."""

    def __init__(self, address):
        self.address, self.waits, self.wrong, self.stopped = address, [], [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped.is_set():
            began = time.monotonic()
            try:
                with socket.create_connection(self.address, timeout=60) as connection:
                    greeting = connection.recv(512)
                    if not greeting.startswith(b"220 "):
                        self.wrong.append(greeting)
                    connection.sendall(b"QUIT\r\n")
            except OSError as e:
                self.wrong.append(repr(e))
            self.waits.append(time.monotonic() - began)
            self.stopped.wait(0.02)

    def close(self):
        self.stopped.set()
        self.thread.join(90)


class Installed:
    """A copy of the build in a folder of its own, whose programs can be replaced."""

    def __init__(self, folder, program):
        build = pathlib.Path(program).resolve().parent.parent
        self.program = pathlib.Path(folder) / "prefix/bin/sallyport"
        self.program.parent.mkdir(parents=True)
        shutil.copytree(build / "libexec", self.program.parent.parent / "libexec", copy_function=os.link)
        shutil.copy(program, self.program)
        self.good = self.program.read_bytes()

    def replace(self, content):
        """As a package does: the old file goes, the new one has its name."""
        fresh = self.program.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.chmod(0o755)
        fresh.replace(self.program)


@pytest.fixture(scope="module")
def bench():
    with open_folder("sp-upgrade-") as folder:
        made = Bench(folder, 7)
        try:
            installed = Installed(folder, made.info["program"])
            made.info["program"] = str(installed.program)
            made.gateway.again()
            yield made, installed
        finally:
            made.close()


def running(bench):
    """What the supervisor is: an inode, since names can be given anew."""
    return os.stat(f"/proc/{bench.info['pid']}/exe").st_ino


def grow(bench, count):
    wanted = bench.load.count() + count
    wait_until(lambda: bench.load.count() >= wanted, 60, "mail is taken")


def test_nobody_is_refused_while_the_program_is_replaced(bench):
    bench, installed = bench
    door = Door((bench.info["smtp"]["host"], bench.info["smtp"]["port"]))
    bench.start_load(clients=4, largest=800 << 10, pause=0.005)
    grow(bench, 30)
    for number in range(2):
        installed.replace(installed.good + b"build %d" % number)
        before = running(bench)
        bench.kills.append((time.monotonic(), "supervisor"))  # sessions may end with 421
        assert bench.gateway.json("upgrade")["state"] == "ready"
        assert running(bench) == installed.program.stat().st_ino != before
        grow(bench, 30)
    bench.load.stop()
    door.close()
    bench.settle()
    figures = bench.check()
    assert not door.wrong and max(door.waits) < TOO_LONG, (door.wrong[:3], max(door.waits))
    assert figures["duplicates"] == 0 and set(figures["replies"]) <= {"250", "421"}, figures
    assert bench.gateway.log.count('"supervisor.handed-over"') == 2
    assert [r["actor"]["type"] for r in bench.gateway.records() if r.get("act") == "upgrade"] == ["admin"] * 2
    assert '"supervisor.role-killed"' not in bench.gateway.log
    print(json.dumps({**figures, "connections": len(door.waits), "longest_wait_s": round(max(door.waits), 2)}))


def test_what_cannot_start_does_not_take_over(bench):
    bench, installed = bench
    before, roles = running(bench), bench.children()
    installed.replace(b"#!/bin/sh\nexit 1\n")
    done = bench.gateway.run("queue", "list", check=False)  # the command itself is broken now
    assert done.returncode == 1
    installed.program.with_suffix(".good").write_bytes(installed.good)
    installed.program.with_suffix(".good").chmod(0o755)
    bench.info["program"] = str(installed.program.with_suffix(".good"))
    assert bench.gateway.run("upgrade", check=False).returncode == 1

    config = pathlib.Path(bench.info["config"])
    settings = json.loads(config.read_text())
    installed.replace(installed.good)
    for change in ({"workers": 1}, {"listen": settings["listen"][1:]}, {"no_such_setting": 1}):
        config.write_text(json.dumps({**settings, **change}))
        done = bench.gateway.run("upgrade", check=False)
        assert done.returncode in (1, 66), (change, done)
    config.write_text(json.dumps(settings))
    policy = config.parent / settings["policy"]
    taken = policy.read_text()
    policy.write_text(json.dumps({  # an older program may have taken it: the entry matched nothing
        "version": 1, "lists": {"partners": {"kind": "domains", "entries": ["*.example.org"]}},
        "rules": [{"rule": "partner", "when": {"recipient.domain": {"in": "partners"}}, "then": {"protect": "usual"}}],
        "ladders": {"usual": {"rungs": ["tls:encrypted", "portal"], "floor": "tls:encrypted"}}, "default": {"protect": "usual"}}))
    assert bench.gateway.run("upgrade", check=False).returncode == 1
    assert "lists.partners.entries[0]: expected a domain" in bench.gateway.log
    policy.write_text(taken)
    assert running(bench) == before and bench.children() == roles, "all goes on as it was"
    assert bench.gateway.run("upgrade").returncode == 0
