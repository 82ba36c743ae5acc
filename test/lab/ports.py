"""Free ports on loopback, and folders that roles with uids of their own can walk to."""
import contextlib
import os
import socket
import tempfile


def free_port(addresses=("127.0.0.1",)):
    """A port that is free on all these addresses at once."""
    for _ in range(100):
        sockets = []
        try:
            port = 0
            for address in addresses:
                s = socket.socket()
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
