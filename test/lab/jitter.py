"""Makes time uneven: a test that takes an order for granted which nothing promises fails now, and not once in a thousand runs.

With SALLYPORT_JITTER=SECONDS in the environment, processes of a gateway stand still now and then for up to so long, and so does a
sink before it greets and before it takes a message. Tests of deadlines may fail for it with right; all others must not.
SALLYPORT_JITTER_ROLES=ledger,relay says which ones: a single role then stands still half of the time.
"""
import contextlib
import os
import pathlib
import random
import signal
import threading
import time

MOST = float(os.environ.get("SALLYPORT_JITTER", "0"))
ROLES = set(filter(None, os.environ.get("SALLYPORT_JITTER_ROLES", "").split(",")))


def wait():
    """What a sink does before it answers."""
    if MOST:
        time.sleep(random.uniform(0, MOST))


def children(pid):
    """The processes of a gateway whose supervisor is this one."""
    with contextlib.suppress(OSError):
        return [int(n) for n in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def name_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


class Jitter:
    """Stops processes below the pid that of() tells, one after another, until stop()."""

    def __init__(self, of):
        self.of, self.over = of, threading.Event()
        self.lock, self.stopped = threading.Lock(), set()  # by the test itself
        self.thread = threading.Thread(target=self.run, daemon=True)
        if MOST:
            self.thread.start()

    def run(self):
        while not self.over.wait(random.uniform(0, MOST)):
            found = [pid for pid in children(self.of()) if pid not in self.stopped and (not ROLES or name_of(pid) in ROLES)]
            if found:
                self.still(random.choice(found))

    def still(self, pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self.over.wait(random.uniform(0, MOST))
        with self.lock, contextlib.suppress(ProcessLookupError):
            if pid not in self.stopped:
                os.kill(pid, signal.SIGCONT)

    def kill(self, pid, number):
        """A signal of the test's: what it stops stays so until it lets it go on."""
        with self.lock:
            if number in (signal.SIGSTOP, signal.SIGCONT):
                (self.stopped.add if number == signal.SIGSTOP else self.stopped.discard)(pid)
            os.kill(pid, number)

    def stop(self):
        self.over.set()
        if self.thread.is_alive():
            self.thread.join()
