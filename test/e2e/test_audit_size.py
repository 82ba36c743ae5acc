"""How much the audit takes for a message with one recipient, until its end, by the way it goes: sealed, in the
portal, with findings."""
import json
import pathlib

import pytest

from lab import mail
from lab.sink import Sink

LIMIT = 4096  # to its end
DESTROYED = 384  # the line that tells, days or years later, that what was kept of it can't be read any more
FINDINGS = mail.PHI + "Patient Mary Jones, MRN 8675309421, phone (212) 555-0147, policy number W123456789, mary@home.example.\r\n"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    found = [mail.SmimePerson(folder, "rsa@sealed.test"), mail.PgpPerson(folder, "pgp@sealed.test")]
    yield found
    found[1].close()


@pytest.fixture(scope="module")
def gateway(module_gateways, people):
    sink = Sink()
    made = module_gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", "test/crash/policy.json")
    for path in (people[0].certificate, people[1].key):
        made.run("keys", "import", str(path))
    yield made
    sink.stop()


def lines_of(gateway, identity):
    """The audit lines about a message and those about its content's end, without evidence that others may cite too."""
    return [line for line in pathlib.Path(gateway.info["audit"]).read_bytes().splitlines(keepends=True)
            if json.loads(line).get("message") == identity and b'"evidence.recorded"' not in line]


CASES = (("rsa@sealed.test", "hello\r\n", "smime"), ("pgp@sealed.test", "hello\r\n", "pgp"), ("pgp@sealed.test", FINDINGS, "pgp"),
         ("pat@portal.test", "hello\r\n", "portal"), ("pat@plain.test", FINDINGS, "portal"),
         ("pat@plain.test", "hello\r\n", "plain"))


def settle(gateway, recipient, text, rung):
    message, message_id = mail.make(text, [recipient])
    gateway.send(message, [recipient])
    identity = gateway.message_of(message_id)
    settled = gateway.wait_record("message.settled", message=identity)
    assert settled["recipients"][0]["rung"] == rung
    return identity


def test_a_message_takes_4_kib_whatever_becomes_of_it(gateway):
    of = {settle(gateway, *case): case for case in CASES}
    notices = {gateway.wait_record("portal.deposited", message=identity)["notice"]: case
               for identity, case in of.items() if case[2] == "portal"}
    assert len(notices) == 2
    for notice in notices:
        gateway.wait_record("message.settled", message=notice)
    gateway.restart("relay")  # begins other segments: those before go, which is the last that is said of a message
    for identity in [*of, *notices]:
        gateway.wait_record("content.destroyed", 90, message=identity)
    for identity, case in [*of.items(), *notices.items()]:
        sizes = [(json.loads(line)["event"], len(line)) for line in lines_of(gateway, identity)]
        assert sizes[-2][0] == "message.settled" and sizes[-1][0] == "content.destroyed", (case, sizes)
        assert sum(size for _, size in sizes[:-1]) <= LIMIT, (case, sizes)
        assert sizes[-1][1] <= DESTROYED, (case, sizes)
    accepted = [r for r in gateway.records() if r["event"] == "message.accepted"]
    found = [r["detection"] for r in accepted if r["message"] in of and r["to"] == ["pat@plain.test"]]
    assert [len(f["types"]) >= 5 and f["score"] > 50 for f in found] == [True, False], found
