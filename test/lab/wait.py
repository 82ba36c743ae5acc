"""Waiting for what comes about at a time that nothing promises."""
import time


def until(true, seconds=60, what="it did not come about"):
    """What true() returns, once that is something."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.05)
    return found
