"""Fixtures: one laboratory (DNS, Postfix) a worker, gateways as tests ask for them; nothing is left behind."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from lab.dns import Dns  # noqa: E402  (the path comes first)
from lab.gateway import Gateway  # noqa: E402
from lab.ports import free_port, open_folder  # noqa: E402
from lab.postfix import Postfix  # noqa: E402
from lab.sink import Sink  # noqa: E402

os.environ.setdefault("SALLYPORT_PRESET", "asan")  # what scripts/test builds

HOSTS = ["127.0.0.1", *(f"127.0.0.{n}" for n in range(11, 20))]


class Lab:
    """DNS with signed zones, and Postfix as mx1.example.test, whose certificate its TLSA record names."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.mx_port = free_port(HOSTS)
        self.dns = Dns(folder, self.mx_port).start()
        self.postfix = Postfix(folder, self.mx_port, self.dns.certificate("mx1"),
                               ("127.0.0.1", "127.0.0.17"), ("127.0.0.11",)).start()

    def options(self):
        """What a gateway needs to find its way here."""
        return ["--resolver", self.dns.resolver, "--mx-port", self.mx_port, "--trust", self.dns.ca]

    def stop(self):
        self.postfix.stop()
        self.dns.stop()


@pytest.fixture(scope="session")
def lab():
    with open_folder("sp-lab-") as folder:
        made = Lab(folder)
        yield made
        made.stop()


def make_gateways(folder, started):
    def make(*options, **keywords):
        gateway = Gateway(os.path.join(folder, f"g{len(started)}"), *options, **keywords).start()
        started.append(gateway)
        return gateway
    return make


@pytest.fixture
def gateways():
    """make(*options) starts a gateway of this test's own."""
    started = []
    with open_folder("sp-") as folder:
        yield make_gateways(folder, started)
        for gateway in started:
            gateway.stop()


@pytest.fixture(scope="module")
def module_gateways():
    """The same for all tests of a module."""
    started = []
    with open_folder("sp-") as folder:
        yield make_gateways(folder, started)
        for gateway in started:
            gateway.stop()


@pytest.fixture
def sinks():
    """make(**options) starts a recording SMTP server of this test's own."""
    started = []

    def make(**options):
        started.append(Sink(**options))
        return started[-1]
    yield make
    for sink in started:
        sink.stop()
