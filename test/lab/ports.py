"""Ports on loopback that nobody else takes, and folders that roles with uids of their own can walk to."""
import collections
import contextlib
import os
import pathlib
import random
import socket
import tempfile

KEPT = collections.deque()  # the newest ports of this process, each with its mark
KEPT_MAX = 256


def mark(port):
    """
    Tells every other process that this port is taken, though nobody may listen there yet, or for a moment: a name that only one
    process can have, until this one ends or has taken many others. False: it is somebody's.
    """
    s = socket.socket(socket.AF_UNIX)
    try:
        s.bind(f"\0sallyport-port-{port}")
    except OSError:
        s.close()
        return any(port == kept for kept, _ in KEPT)
    KEPT.append((port, s))
    if len(KEPT) > KEPT_MAX:
        KEPT.popleft()[1].close()
    return True


def candidate():
    """Below the ports that the kernel gives to who connects: one of these could be taken before whom it is for comes to it."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if low <= 12000:
        return 0
    while True:
        port = random.randrange(10000, low)
        if all(port != kept for kept, _ in KEPT) and mark(port):
            return port


def free_port(addresses=("127.0.0.1",)):
    """A port that is free on all these addresses at once."""
    for _ in range(100):
        sockets = []
        try:
            port = candidate()
            for address in addresses:
                s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
                sockets.append(s)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((address, port))
                port = s.getsockname()[1]
            return port
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise RuntimeError("no port is free on all of " + ", ".join(addresses))


@contextlib.contextmanager
def open_folder(prefix):
    """A temporary folder with a short name (unix sockets!) that others may walk through; removed at the end."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir="/tmp", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)
        yield folder
