#!/usr/bin/python3
"""The n-th fault of one role at a time: memory, files, descriptors, fork, sockets and frames (SP_FAULT in the code).

    test/crash/faults.py [--seed 1] [--only TURN|POINT|ROLE:POINT|TURN/ROLE:POINT]... [--roles ROLE,...]
        [--dense 40] [--preset dev]

A turn is a small piece of a gateway's life: mail of every kind, a reload, a role that died, a start, questions of the
command line. A first run of each turn counts who passes which point. Then the first passage fails, the second, and so on,
until a turn ends without the fault, because there is no such passage left; points that are passed very often (memory) are
struck densely first and then in growing steps. After each: the service goes on without a hand, all that was answered with
250 arrives, nothing below its floor, nothing twice without its mark, the audit verifies and tells every end, no role stays
down. One line of JSON a point; see docs/testing.md.
"""
import json
import pathlib
import random
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from crash import command  # noqa: E402  (the path comes first)
from crash.bench import RESTART_LIMIT, Bench, is_alive, wait_until  # noqa: E402
from crash.board import Board  # noqa: E402
from crash.load import Load, Message, Refused, Session  # noqa: E402
from crash.storm import change, reloads_of  # noqa: E402
from lab.ports import open_folder  # noqa: E402

LETTERS = (("plain", 3 << 10, 3), ("plain", 300 << 10, 1), ("sealed", 6 << 10, "s0@sealed.test"),
           ("sealed", 6 << 10, "p0@sealed.test"), ("portal", 4 << 10, 1))
QUESTIONS = (("queue", "list"), ("keys", "list"), ("status",))
STRIKES = 150  # on one gateway; then a new one, so that audit and accounts stay small
PATIENCE = 90  # seconds for all to arrive; a message that could not be read waits longest
AUDITED = 8  # strikes between two looks at the whole audit
FAILURES = 2  # of a point, after which it is left
GROWTH = 1.35  # of the steps behind the dense part


class TlsSession(Session):
    """The same behind STARTTLS."""

    def __init__(self, address, timeout, authority):
        super().__init__(address, timeout)
        self.ask("STARTTLS", "220")
        self.socket = ssl.create_default_context(cafile=authority).wrap_socket(self.socket, server_hostname="localhost")
        self.ask("EHLO client.load.test", "250")


class Stage:
    """A gateway with a board, and its account over many strikes."""

    def __init__(self, folder, seed):
        self.board = Board(pathlib.Path(folder) / "board")
        self.bench = Bench(folder, seed, relays=1, environment=self.board.environment)
        self.bench.load = Load((self.bench.info["smtp"]["host"], self.bench.info["smtp"]["port"]), seed, timeout=30)
        self.count, self.strikes, self.reloads = 0, 0, 0

    def close(self):
        self.board.disarm()
        self.bench.close()
        self.board.close()

    # ---- turns ----

    def play(self, turn):
        name, _, role = turn.partition("-")
        getattr(self, name)(*([role] if role else []))

    def letter(self, kind, size, whom, tls=False):
        """returns: whether it was answered with 250"""
        several = whom if isinstance(whom, int) else 1
        load, session = self.bench.load, None
        with load.lock:
            self.count += 1
            message = Message(f"f{self.bench.seed}-{self.count}", kind, several, size, whom)
            load.sent.append(message)
        try:
            session = TlsSession(load.address, load.timeout, self.bench.info["ca"]) if tls \
                else Session(load.address, load.timeout)
            load.send(session, message)
            session.ask("QUIT", "221")
        except TimeoutError:
            load.ended("hung")
        except (Refused, OSError, EOFError) as e:
            load.ended(str(e) or "closed")
        finally:
            if session:
                session.close()
        return (message.reply or "").startswith("250")

    def mail(self):
        senders = [threading.Thread(target=self.letter, args=letter) for letter in LETTERS]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()

    def tls(self):
        self.letter("plain", 30 << 10, 1, tls=True)

    def reload(self):
        wanted = sum(reloads_of(self.bench).values()) + sum(self.bench.wanted.values())
        self.reloads += 1
        change(self.bench, self.reloads)
        if self.bench.is_up():
            self.bench.reload()
        try:
            wait_until(lambda: sum(reloads_of(self.bench).values()) >= wanted, 3, "all roles take it up")
        except AssertionError:
            pass  # the fault may have kept one from it; what must hold is looked at afterwards
        self.letter(*LETTERS[0])

    def death(self, role):
        self.bench.kill(role)
        self.recover()
        self.letter(*LETTERS[0])

    def start(self):
        if self.bench.is_up():
            self.bench.stop_supervisor()
        self.bench.start_supervisor(must_start=False)
        self.letter(*LETTERS[0])

    def questions(self):
        for words in QUESTIONS:
            self.bench.gateway.run(*words, check=False)  # an answer or an error, but an end
        subprocess.run(["curl", "-s", "-o", "/dev/null", "-m", "20",
                        f"http://127.0.0.1:{self.bench.info['admin']['port']}/metrics"],
                       check=False)
        subprocess.run(["curl", "-sk", "-o", "/dev/null", "-m", "20", f"https://localhost:{self.bench.info['portal']['port']}/"],
                       check=False)

    # ---- after each ----

    def recover(self):
        """Nobody lends a hand, but systemd to the supervisor."""
        if not self.bench.is_up():
            orphans = [pid for pids in self.bench.children().values() for pid in pids if is_alive(pid)]
            self.bench.await_end(orphans)
            self.bench.start_supervisor()
        wait_until(lambda: not self.bench.missing(), RESTART_LIMIT, f"all roles run ({self.bench.missing()})")

    def accepts(self):
        deadline = time.monotonic() + 30
        while not self.letter(*LETTERS[0]):
            assert time.monotonic() < deadline, f"no mail is taken: {self.bench.load.ends[-1:]}"
            time.sleep(0.2)

    def check(self, whole=True):
        self.recover()
        self.accepts()
        self.bench.settle(PATIENCE)
        self.bench.check_bodies()
        self.bench.check_refusals()
        if whole:
            self.bench.check_audit()
        self.bench.gateway.check_log()
        return self.bench.check_marks()

    def strike(self, turn, name, number):
        """returns: whether there was such a passage"""
        self.board.arm(name, number)
        try:
            self.play(turn)
            self.recover()
            self.bench.settle(PATIENCE)
            struck = self.board.struck()
            self.board.disarm()
            self.check(whole=self.strikes % AUDITED == 0)
        except AssertionError as e:
            kept = pathlib.Path(f"/tmp/sallyport-fault-{turn}-{name}-{number}.log")
            kept.write_text(self.bench.gateway.log)
            raise AssertionError(f"{turn}, {name}, passage {number}: {e}; the log is in {kept}") from None
        self.strikes += struck
        return struck


ROLES = ("relay", "ledger", "sealer", "scanner", "keeper", "portal", "admin", "fetcher")
TURNS = ("mail", "tls", "reload", "start", "questions", *(f"death-{role}" for role in ROLES))


def survey(stage, turn):
    """{"role:point": passages in this turn}"""
    before = stage.board.passed()
    stage.play(turn)
    stage.check()
    return {name: count - before.get(name, 0) for name, count in stage.board.passed().items() if count > before.get(name, 0)}


def next_number(number, dense):
    return number + 1 if number < dense else max(number + 1, int(number * GROWTH))


class Walk:
    """All passages of all points, on as many gateways as it takes."""

    def __init__(self, seed, dense, say):
        self.seed, self.dense, self.say = seed, dense, say
        self.struck, self.failed = 0, 0

    def tracks(self, only, roles, first=1):
        found = []
        with open_folder("sp-fault-") as folder:
            stage = Stage(folder, self.seed)
            try:
                stage.check()
                for turn in TURNS:
                    for name, count in sorted(survey(stage, turn).items()):
                        role, _, point = name.partition(":")
                        if turn.startswith("death") and point == "memory.small":
                            continue  # as in the other turns, and many
                        if (not only or {turn, name, point, f"{turn}/{name}"} & set(only)) and (not roles or role in roles):
                            found.append({"turn": turn, "name": name, "passed": count, "n": first, "struck": 0})
            finally:
                stage.close()
        return found

    def run(self, tracks):
        """One strike of each track after the other: a role that ends again and again would be held back."""
        left = list(tracks)
        while left:
            with open_folder("sp-fault-") as folder:
                stage = Stage(folder, self.seed)
                try:
                    left = self.on_stage(stage, left)
                finally:
                    stage.close()
        return self.struck

    def on_stage(self, stage, left):
        while left and stage.strikes < STRIKES:
            track = left.pop(0)
            try:
                went_on = stage.strike(track["turn"], track["name"], track["n"])
            except AssertionError as e:
                self.say({**track, "failed": str(e)})
                self.failed += 1
                if track.setdefault("failures", 0) < FAILURES:
                    left.append({**track, "n": track["n"] + 1, "failures": track["failures"] + 1})
                return left  # what it has broken stays with its gateway
            if went_on:
                self.struck += 1
                track["struck"] += 1
                track["n"] = next_number(track["n"], self.dense)
                left.append(track)
            else:
                self.say(track)
        self.last_look(stage)
        return left

    def last_look(self, stage):
        try:
            stage.check()
        except AssertionError as e:
            self.failed += 1
            self.say({"turn": "end", "failed": str(e)})


def sample(seed, count, turns=("mail", "start")):
    """Some strikes at chosen passages of chosen points. returns: how many were passages, and what did not hold"""
    dice, failures, struck = random.Random(seed), [], 0
    with open_folder("sp-fault-") as folder:
        stage = Stage(folder, seed)
        try:
            stage.check()
            found = [(turn, name, passed) for turn in turns for name, passed in sorted(survey(stage, turn).items())]
            for turn, name, passed in dice.sample(found, count):
                try:
                    struck += stage.strike(turn, name, dice.randrange(1, passed + 1))
                except AssertionError as e:
                    failures.append(str(e))
                    break
        finally:
            stage.close()
    return struck, failures


def main():
    options = command.parse(__doc__, {
        "--dense": {"type": int, "default": 40}, "--first": {"type": int, "default": 1, "help": "passage to begin with"},
        "--only": {"action": "append", "default": []}, "--roles": {"default": ""},
        "--survey": {"action": "store_true", "help": "only count who passes what"}})

    def say(line):
        print(json.dumps(line), flush=True)
    walk, started = Walk(options.seed, options.dense, say), time.monotonic()
    tracks = walk.tracks(options.only, [role for role in options.roles.split(",") if role], options.first)
    if options.survey:
        for track in tracks:
            say(track)
        return
    walk.run(tracks)
    say({"preset": options.preset, "seed": options.seed, "points": len({track["name"] for track in tracks}),
         "tracks": len(tracks), "strikes": walk.struck, "failed": walk.failed, "seconds": round(time.monotonic() - started)})
    sys.exit(1 if walk.failed else 0)


if __name__ == "__main__":
    main()
