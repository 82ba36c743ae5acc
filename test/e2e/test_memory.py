"""A large message costs no memory: the release build, one of 20 MiB through scan, S/MIME, PGP and the portal, all at once.
test/bench/memory does the same with 100 MiB, a step at a time."""
import re

import pytest

from lab import mail, memory
from lab.build import build

SIZE = 20 * memory.MIB
MORE = 12 * memory.MIB  # than idle; the goal is 24 MiB whatever the size, but this says that no message is held whole
DOCUMENTS, GOAL = 24 * memory.MIB, 24 * memory.MIB
IDLE = 64 * memory.MIB


@pytest.fixture(scope="module")
def built():
    build("release")


def test_documents_are_read_within_the_goal(built, gateways):
    """The largest PDF that is read, and RTF and HTML of as much."""
    sink = memory.DrainSink()
    gateway = gateways("--next-hop", f"{sink.address}:{sink.port}", "--plain-listener", "--set", 'intake.scan="300s"',
                       "--size-limit", DOCUMENTS + 2 * memory.MIB, preset="release")
    try:
        idle = memory.total(gateway)
        with memory.Meter(gateway) as meter:
            message = memory.send(gateway, ["pat@plain.test"], DOCUMENTS, "documents")
        accepted = gateway.wait_record("message.accepted", message=message)
        assert accepted["detection"]["scan"] == "complete", accepted["detection"]  # nothing was too large to be read
        assert meter.samples > 20
        assert meter.peak - idle <= GOAL, (idle, meter.peak, meter.at_peak)
    finally:
        sink.stop()


def test_a_large_message_is_never_held_whole(built, gateways, tmp_path):
    sink = memory.DrainSink()
    people = [mail.SmimePerson(tmp_path, "sam@sealed.test"), mail.PgpPerson(tmp_path, "pia@sealed.test")]
    gateway = gateways("--next-hop", f"{sink.address}:{sink.port}", "--plain-listener", "--set", 'intake.scan="300s"',
                       "--set", 'roles.job="300s"', preset="release")
    try:
        for path in (people[0].certificate, people[1].key):
            gateway.run("keys", "import", str(path))
        idle = memory.total(gateway)
        assert idle <= IDLE, memory.table(gateway)
        with memory.Meter(gateway) as meter:
            message = memory.send(gateway, [people[0].address, people[1].address, "pat@plain.test"], SIZE, "attachment")
            settled = gateway.wait_record("message.settled", 200, message=message)
            assert {r["rung"] for r in settled["recipients"]} == {"smime", "pgp", "portal"}
            assert sink.wait_for(people[0].address)["size"] > SIZE and sink.wait_for(people[1].address)["size"] > SIZE // 2
            portal = memory.Portal(gateway, sink, "pat@plain.test")
            part = re.search(rb"part/\d+", portal.page().content).group(0).decode()
            assert portal.download("original") > SIZE * 0.9 and portal.download(part) > SIZE * 0.6
        assert meter.samples > 20
        assert meter.peak - idle <= MORE, (idle, meter.peak, meter.at_peak)
    finally:
        people[1].close()
        sink.stop()
