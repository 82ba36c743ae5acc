"""A message that crashes, hangs, spins or swells the scanner or the sealer costs that message, and nobody else waits for it.
Such messages are made by a header field that test builds know (lib/base/strike.h)."""
import concurrent.futures
import os
import threading
import time

import pytest

from lab import mail

SCAN_S = 6  # in all for a message's look, so the first try has half of it
JOB_S = 3  # for one job of a sealer
WAYS = ["crash", "hang", "spin", "swell"]
OTHERS = 24  # messages at a time


def letter(recipient, strike=None):
    extra = f"X-Sallyport-Strike: {strike}\r\n" if strike else ""
    return mail.make(f"Words without harm {os.urandom(4).hex()}.\r\n", [recipient], subject="[secure] Hello", extra=extra)


def timed(gateway, recipient):
    """Seconds until a harmless message is answered with 250; and its Message-ID."""
    message, message_id = letter(recipient)
    with gateway.client(tls=False) as client:
        started = time.monotonic()
        client.sendmail("dr@tenant.test", [recipient], message)
        return time.monotonic() - started, message_id


def crowd(gateway, recipient):
    """OTHERS messages over two sessions at a time: the seconds of each, sorted, and their Message-IDs."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: timed(gateway, recipient), range(OTHERS)))
    return sorted(seconds for seconds, _ in results), [message_id for _, message_id in results]


def accepted(gateway):
    """{Message-ID: record} of all that was taken."""
    return {r["origin"]["message_id"]: r for r in gateway.records() if r["event"] == "message.accepted" and "origin" in r}


def wait_until(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def gateway(module_gateways, tmp_path_factory):
    """Two relays, two scanners, two sealers, as by default; sam has a certificate, all else goes to the portal."""
    from lab.sink import Sink  # here, so that its thread is this fixture's
    sink = Sink()
    made = module_gateways("--next-hop", f"{sink.address}:{sink.port}", "--plain-listener", "--set",
                           f'intake.scan="{SCAN_S}s"', "--set", f'roles.job="{JOB_S}s"', "--workers", 2)
    made.person = mail.SmimePerson(tmp_path_factory.mktemp("people"), "sam@sealed.test")
    made.run("keys", "import", str(made.person.certificate))
    made.sink = sink
    yield made
    sink.stop()


@pytest.mark.parametrize("way", WAYS)
def test_the_scanner(gateway, way):
    wait_until(lambda: len(gateway.pids("scanner")) == 2)
    scanners = gateway.pids("scanner")
    quiet, _ = crowd(gateway, "pat@plain.test")
    hog, hog_id = letter("hog@plain.test", f"scanner-{way}")
    thread = threading.Thread(target=gateway.send, args=(hog, ["hog@plain.test"]))
    thread.start()
    beside, ids = crowd(gateway, "pat@plain.test")
    thread.join()
    assert beside[-1] < SCAN_S / 2, (quiet, beside)  # nobody has waited for a hog's end
    assert beside[int(OTHERS * 0.95)] < 10 * quiet[int(OTHERS * 0.95)] + 1, (quiet, beside)
    wait_until(lambda: {hog_id, *ids} <= set(accepted(gateway)))
    taken = accepted(gateway)
    assert taken[hog_id]["detection"]["scan"] == "failed" and taken[hog_id]["detection"]["why"] in ("role.gone", "job.deadline")
    assert taken[hog_id]["decisions"][0]["floor"] == "sealed"
    assert [taken[i]["detection"]["scan"] for i in ids] == ["complete"] * OTHERS
    wait_until(lambda: len(gateway.pids("scanner")) == 2 and set(gateway.pids("scanner")) != set(scanners))
    assert timed(gateway, "pat@plain.test")[0] < SCAN_S / 2


@pytest.mark.parametrize("way", ["crash", "spin"])
def test_the_sealer(gateway, way):
    """The hog's copy is never made; it waits and takes no other rung. Others get theirs."""
    hog, hog_id = letter(gateway.person.address, f"sealer-{way}")
    gateway.send(hog, [gateway.person.address])
    message = gateway.message_of(hog_id)
    started = time.monotonic()
    _, ids = crowd(gateway, gateway.person.address)
    for message_id in ids:
        settled = gateway.wait_record("message.settled", 60, message=gateway.message_of(message_id))
        assert settled["recipients"][0]["rung"] == "smime"
    assert time.monotonic() - started < 60
    attempt = gateway.wait_record("delivery.attempted", 60, message=message)
    assert attempt["outcome"] != "delivered"
    why = {r["rung"]: (r.get("cause"), r.get("why")) for r in attempt["rungs"]}
    assert why["smime"] in (("unreachable", "role.gone"), ("unreachable", "job.deadline")), why
    assert not any(hog_id.encode() in m["data"] for m in gateway.sink.messages)
    wait_until(lambda: gateway.run("queue", "delete", message, "--reason", "a test's hog", check=False).returncode == 0)
    wait_until(lambda: len(gateway.pids("sealer")) == 2)
