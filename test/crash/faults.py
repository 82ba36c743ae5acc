#!/usr/bin/python3
"""The n-th fault of one role at a time: memory, files, descriptors, fork, sockets and frames (SP_FAULT in the code).

    test/crash/faults.py [--seed 1] [--only TURN|POINT|ROLE:POINT|TURN/ROLE:POINT]... [--roles ROLE,...]
        [--dense 40] [--jobs 1] [--preset dev]

A turn is a small piece of a gateway's life: mail of every kind, mail that is put off and then returned, a recipient in the
portal, a reload, other keys and a backup, a role that died, a start, questions of the command line. A first run of each turn
counts who passes which point. Then the first passage fails, the second, and so on, until a turn ends without the fault,
because there is no such passage left; points that are passed very often (memory) are struck densely first and then in
growing steps. What a turn passes no more often than a simpler one (PLAINER) is left to that one. After each: the service
goes on without a hand, all that was answered with 250 arrives, nothing below its floor, nothing twice without its mark, the
portal shows the message and the audit all that was shown, the audit verifies and tells every end, no role stays down. One
line of JSON a point; see docs/testing.md.
"""
import itertools
import json
import multiprocessing
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from crash import command  # noqa: E402  (the path comes first)
from crash.bench import RESTART_LIMIT, Bench, wait_until  # noqa: E402
from crash.board import Board  # noqa: E402
from crash.load import Load, Message, Refused, Session, TlsSession  # noqa: E402
from crash.pickup import Denied, Visitor, letter  # noqa: E402
from crash.storm import change, reloads_of  # noqa: E402
from lab.ports import open_folder  # noqa: E402

LETTERS = (("plain", 3 << 10, 3), ("plain", 300 << 10, 1), ("sealed", 6 << 10, "s0@sealed.test"),
           ("sealed", 6 << 10, "p0@sealed.test"), ("portal", 4 << 10, 1))
RETURNED = (("late", 3 << 10, 2), ("mixed", 300 << 10, 1))
SPOOL = (("keys", "rotate"), ("keys", "rotate", "--master"), ("queue", "backup"))
QUESTIONS = (("queue", "list"), ("keys", "list"), ("status",))
STRIKES = 150  # on one gateway; then a new one, so that audit and accounts stay small
PATIENCE = 90  # seconds for all to arrive; a message that could not be read waits longest
AUDITED = 8  # strikes between two looks at the whole audit
FAILURES = 2  # of a point, after which it is left
GROWTH = 1.35  # of the steps behind the dense part


class Stage:
    """A gateway with a board, and its account over many strikes."""

    def __init__(self, folder, seed):
        self.board = Board(pathlib.Path(folder) / "board")
        self.bench = Bench(folder, seed, relays=1, environment=self.board.environment)
        self.bench.all_run = self.runs  # whenever it is waited for: the fault may end the supervisor late
        self.bench.load = Load((self.bench.info["smtp"]["host"], self.bench.info["smtp"]["port"]), seed, timeout=30)
        self.count, self.strikes, self.reloads, self.visitor = 0, 0, 0, None

    def close(self):
        self.board.disarm()
        self.bench.close()
        self.board.close()

    # ---- turns ----

    def play(self, turn):
        name, _, role = turn.partition("-")
        getattr(self, name)(*([role] if role else []))

    def prepare(self, turn):
        """What must be there before a turn, and is not part of it."""
        getattr(self, f"before_{turn}", lambda: None)()

    def afterwards(self, turn):
        """What must hold after a turn beside what holds after each."""
        getattr(self, f"after_{turn}", lambda: None)()

    def message(self, kind, size, whom):
        self.count += 1
        return Message(f"f{self.bench.seed}-{self.count}", kind, whom if isinstance(whom, int) else 1, size, whom)

    def letter(self, kind, size, whom, tls=False):
        """returns: whether it was answered with 250"""
        with self.bench.load.lock:
            message = self.message(kind, size, whom)
        return self.send(message, tls=tls)

    def send(self, message, data=None, tls=False):
        """returns: whether it was answered with 250"""
        load, session = self.bench.load, None
        with load.lock:
            load.sent.append(message)
        try:
            session = TlsSession(load.address, load.timeout, self.bench.info["ca"]) if tls \
                else Session(load.address, load.timeout)
            load.send(session, message, data)
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
        self.letters(LETTERS)

    def returned(self):
        self.letters(RETURNED)

    def letters(self, letters):
        senders = [threading.Thread(target=self.letter, args=letter) for letter in letters]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()

    def tls(self):
        self.letter("plain", 30 << 10, 1, tls=True)

    def before_portal(self):
        message = self.message("portal", 0, 1)
        data = letter(message)
        self.bench.taker.kept = {message.recipients[0]: []}
        assert self.send(message, data), f"no deposit: {message.reply}"
        self.visitor = Visitor(self.bench, message, data)
        self.bench.settle(PATIENCE)

    def portal(self):
        assert self.visitor.try_to_read() != "hung", "the portal gave no answer and no end"

    def after_portal(self):
        self.visitor.must_read(90)
        wait_until(self.visitor.is_recorded, 90, "the audit tells all that was shown")

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

    def before_rotate(self):
        self.failed = []

    def rotate(self):
        """Two keys are changed and all is copied, while mail is under way; the command may die, and is not waited for long."""
        sender = threading.Thread(target=self.letters, args=(RETURNED,))
        sender.start()
        self.failed = [words for words in SPOOL if not self.spool(*words, limit=10, environment=self.bench.gateway.environment)]
        sender.join()

    def after_rotate(self):
        for words in self.failed:  # what failed is repeated, as the manual says
            wait_until(lambda words=words: self.spool(*words, limit=90), 90, f"{words} ends")

    def spool(self, *words, limit, environment=None):
        """A command on the files. returns: whether it ended well; a backup is then whole"""
        program = pathlib.Path(self.bench.info["program"]).parent.parent / "libexec/sallyport/cli-spool"
        copy = pathlib.Path(self.bench.folder) / "backup"
        shutil.rmtree(copy, ignore_errors=True)
        folder = [copy] if words[-1] == "backup" else []
        try:
            done = subprocess.run([program, *words, *folder, "--config", self.bench.info["config"]], env=environment,
                                  timeout=limit, capture_output=True, check=False)
        except subprocess.TimeoutExpired:
            return False
        if done.returncode == 0 and folder:
            self.bench.gateway.run("queue", "check", "--state", copy)
        return done.returncode == 0

    def one(self):
        self.letter(*LETTERS[0])

    def death(self, role):
        self.bench.kill(role)
        self.recover()
        self.one()

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

    def runs(self):
        """Whether all roles run. Nobody lends a hand, but systemd to the supervisor."""
        if not self.bench.is_up():
            self.bench.await_end(self.board.users())
            self.bench.start_supervisor()
        return not self.bench.missing()

    def recover(self):
        wait_until(self.runs, RESTART_LIMIT, "all roles run")

    def accepts(self):
        deadline = time.monotonic() + 60
        while not self.letter(*LETTERS[0]):
            assert time.monotonic() < deadline, f"no mail is taken: {self.bench.load.ends[-1:]}"
            time.sleep(0.2)
            self.recover()

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
        try:
            self.prepare(turn)
            self.board.arm(name, number)
            self.play(turn)
            self.recover()
            self.bench.settle(PATIENCE)
            struck = self.board.struck()
            self.board.disarm()
            self.afterwards(turn)
            self.check(whole=self.strikes % AUDITED == 0)
        except (AssertionError, Denied, subprocess.SubprocessError) as e:
            kept = pathlib.Path(f"/tmp/sallyport-fault-{turn}-{name}-{number}.log")
            kept.write_text(self.bench.gateway.log)
            raise AssertionError(f"{turn}, {name}, passage {number}: {e}; the log is in {kept}") from None
        self.strikes += struck
        return struck


ROLES = ("relay", "ledger", "sealer", "scanner", "keeper", "portal", "admin", "fetcher")
TURNS = ("mail", "tls", "returned", "portal", "reload", "rotate", "start", "questions", *(f"death-{role}" for role in ROLES))
PLAINER = {"returned": "mail", "rotate": "reload", **{f"death-{role}": "one" for role in ROLES}}


def is_asked_for(turn, name, only, roles):
    role, _, point = name.partition(":")
    return (not only or {turn, name, point, f"{turn}/{name}"} & set(only)) and (not roles or role in roles)


def survey(stage, turn):
    """{"role:point": passages in this turn}"""
    stage.prepare(turn)
    before = stage.board.passed()
    stage.play(turn)
    stage.recover()
    stage.bench.settle(PATIENCE)
    passed = stage.board.passed()
    stage.afterwards(turn)
    stage.check()
    return {name: count - before.get(name, 0) for name, count in passed.items() if count > before.get(name, 0)}


def turns_of(only):
    """The turns that --only leaves."""
    named = {word.split("/")[0] for word in only}
    return TURNS if named - set(TURNS) else [turn for turn in TURNS if not named or turn in named]


def next_number(number, dense):
    return number + 1 if number < dense else max(number + 1, int(number * GROWTH))


class Walk:
    """All passages of all points, on as many gateways as it takes."""

    def __init__(self, seed, dense, say):
        self.seed, self.dense, self.say = seed, dense, say
        self.struck, self.failed = 0, 0

    def tracks(self, only, roles, first=1):
        """What is to be walked, turns in turns: a role that ends again and again would be held back."""
        found = {}
        with open_folder("sp-fault-") as folder:
            stage = Stage(folder, self.seed)
            try:
                stage.check()
                usual = {None: {}}
                for turn in turns_of(only):
                    plainer = PLAINER.get(turn)
                    if plainer not in usual:
                        usual[plainer] = survey(stage, plainer)
                    passed = {name: count for name, count in sorted(survey(stage, turn).items())
                              if count > usual[plainer].get(name, 0)}
                    found[turn] = [{"turn": turn, "name": name, "passed": count, "n": first, "struck": 0}
                                   for name, count in passed.items() if is_asked_for(turn, name, only, roles)]
            finally:
                stage.close()
        return [track for row in itertools.zip_longest(*found.values()) for track in row if track]

    def run(self, tracks):
        """One strike of each track after the other. returns: (strikes, failures)"""
        left = list(tracks)
        while left:
            with open_folder("sp-fault-") as folder:
                stage = Stage(folder, self.seed)
                try:
                    left = self.on_stage(stage, left)
                finally:
                    stage.close()
        return self.struck, self.failed

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


def run_share(arguments):
    seed, dense, tracks = arguments
    return Walk(seed, dense, say).run(tracks)


def say(line):
    print(json.dumps(line), flush=True)


def main():
    options = command.parse(__doc__, {
        "--dense": {"type": int, "default": 40}, "--first": {"type": int, "default": 1, "help": "passage to begin with"},
        "--only": {"action": "append", "default": []}, "--roles": {"default": ""},
        "--jobs": {"type": int, "default": 1, "help": "gateways at a time"},
        "--survey": {"action": "store_true", "help": "only count who passes what"}})
    started = time.monotonic()
    tracks = Walk(options.seed, options.dense, say).tracks(options.only, [r for r in options.roles.split(",") if r],
                                                           options.first)
    if options.survey:
        for track in tracks:
            say(track)
        return
    shares = [(options.seed + job, options.dense, tracks[job::options.jobs]) for job in range(options.jobs)]
    with multiprocessing.Pool(options.jobs) as pool:
        done = pool.map(run_share, shares, chunksize=1)
    failed = sum(failures for _, failures in done)
    say({"preset": options.preset, "seed": options.seed, "points": len({track["name"] for track in tracks}),
         "tracks": len(tracks), "strikes": sum(struck for struck, _ in done), "failed": failed,
         "seconds": round(time.monotonic() - started)})
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
