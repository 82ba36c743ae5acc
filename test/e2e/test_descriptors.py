"""No descriptors left, in one role after another: who comes is told 421 and what can't be done is put off; nobody spins, nothing
is lost or sent twice, and all goes on by itself when there are descriptors again."""
import os
import pathlib
import smtplib
import socket
import subprocess
import time

import pytest
from lab import mail
from lab.browser import Https

ROLES = ["scanner", "sealer", "keeper", "ledger", "fetcher", "portal", "admin"]
LARGE = "x" * 76 + "\r\n"


def wait_until(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def limits_of(pid):
    line = next(x for x in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines() if x.startswith("Max open files"))
    return line.split()[3:5]


def limit(pid, soft, hard):
    """As the process's own user, who may: root in a container may not."""
    status = dict(x.split(":\t", 1) for x in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in x)
    uid, gid = (int(status[k].split()[0]) for k in ("Uid", "Gid"))
    who = {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 and uid != 0 else {}
    subprocess.run(["prlimit", "--pid", str(pid), f"--nofile={soft}:{hard}"], check=True, capture_output=True, **who)


class Starved:
    """While it lasts, these processes may open nothing, but in place of what they close: none may have a descriptor above its
    highest of now. (A bound below one that is open would do worse than any system does: to close that one makes no room.)"""

    def __init__(self, pids):
        self.pids, self.before = pids, {}

    def __enter__(self):
        for pid in self.pids:
            self.before[pid] = limits_of(pid)
            taken = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
            limit(pid, max(taken) + 1, self.before[pid][1])
        return self

    def __exit__(self, *_):
        for pid, limits in self.before.items():
            if pathlib.Path(f"/proc/{pid}").exists():  # else the next one has its limits from its start
                limit(pid, *limits)


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send(client, sent, recipient, text):
    """returns: None if it was taken, which is noted in sent; else the reply, which must be a temporary one"""
    message, message_id = mail.make(text, [recipient], subject="[secure] Hello" if "sealed" in recipient else "Hello")
    try:
        client.sendmail("dr@tenant.test", [recipient], message)
        sent.append(message_id)
        return None
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
    except smtplib.SMTPResponseException as error:
        code, words = error.smtp_code, error.smtp_error
    except smtplib.SMTPServerDisconnected:
        code, words = 421, b""
    assert 400 <= code < 500, (code, words)
    return code


def settled(gateway, sent):
    """Whether each of these was taken and has come to its end."""
    lines = gateway.records()
    taken = {r["origin"]["message_id"]: r["message"] for r in lines if r["event"] == "message.accepted" and "origin" in r}
    ended = {r["message"] for r in lines if r["event"] == "message.settled"}
    return all(i in taken and taken[i] in ended for i in sent)


def id_of(message):
    return next(line for line in message["data"].split(b"\r\n") if line.startswith(b"Message-ID: "))[12:].decode()


@pytest.fixture
def plain(gateways, sinks):
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--workers", 1, "--retry", 1,
                       "--policy", "test/policies/relay-plain.json")
    return gateway, sink


def test_a_relay_without_descriptors(plain):
    gateway, sink = plain
    relay, sent = gateway.pids("relay")[0], []
    inside = gateway.client(tls=False)  # of before
    assert send(inside, sent, "a@example.net", LARGE) is None
    wait_until(lambda: len(sink.messages) == 1)
    with Starved([relay]):
        before = cpu_s(relay)
        heard, kept = [], []
        while heard.count(b"421") < 20:  # a session that ends meanwhile leaves its place to another
            assert len(heard) < 60, heard
            kept.append(socket.create_connection((gateway.info["smtp"]["host"], gateway.info["smtp"]["port"]), timeout=20))
            heard.append(kept[-1].makefile("rb").readline()[:3])
        assert set(heard) <= {b"421", b"220"}
        send(inside, sent, "b@example.net", LARGE * 8000)  # wants a file of its own
        for n in range(4):
            send(gateway_client(gateway, inside), sent, f"c{n}@example.net", LARGE)
        time.sleep(1.5)  # long enough for a loop that spins to show
        assert cpu_s(relay) - before < 1.2
        for client in kept:
            client.close()
    assert '"intake.out-of-descriptors"' in gateway.log
    wait_until(lambda: send(gateway_client(gateway, inside), sent, "d@example.net", LARGE * 8000) is None)
    wait_until(lambda: settled(gateway, sent))
    assert sorted(id_of(m) for m in sink.messages) == sorted(sent)
    assert gateway.pids("relay") == [relay]


def gateway_client(gateway, inside):
    """The session of before while it stands."""
    try:
        inside.rset()
        return inside
    except smtplib.SMTPException:
        try:
            return gateway.client(tls=False)
        except smtplib.SMTPConnectError as error:
            assert error.smtp_code == 421
            return inside


@pytest.fixture(scope="module")
def whole(module_gateways, tmp_path_factory):
    from lab.sink import Sink
    sink = Sink()
    gateway = module_gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--workers", 1, "--retry", 1,
                              "--set", 'intake.scan="2s"', "--set", 'roles.job="2s"')
    person = mail.SmimePerson(tmp_path_factory.mktemp("people"), "sam@sealed.test")
    gateway.run("keys", "import", str(person.certificate))
    yield gateway, sink
    sink.stop()


@pytest.mark.parametrize("role", ROLES)
def test_a_helper_without_descriptors(whole, role):
    gateway, sink = whole
    sent, lost = [], gateway.log.count('"supervisor.channel-lost"')
    wait_until(lambda: gateway.pids(role))
    pids = gateway.pids(role)
    with Starved(pids):
        before = {pid: cpu_s(pid) for pid in pids}
        with gateway.client(tls=False) as client:
            for recipient in ("sam@sealed.test", "pat@portal.test", "joe@plain.test"):
                send(client, sent, recipient, mail.PHI if "portal" in recipient else "Hello.\r\n")
        if role == "portal":
            with socket.create_connection(Https(gateway).address):
                pass  # it waits in the kernel's queue
        time.sleep(1)  # a loop that spins would show
        now = [(cpu_s(pid) - before[pid]) for pid in pids if pid in gateway.pids(role)]
        assert all(spent < 1.5 for spent in now), now
        assert gateway.log.count('"supervisor.channel-lost"') - lost < 60
    with gateway.client(tls=False) as client:
        wait_until(lambda: send(client, sent, "ann@plain.test", "Hello.\r\n") is None)
    wait_until(lambda: settled(gateway, sent), 90)
    if role == "portal":
        assert Https(gateway).ask("GET", "/").status < 500
    gateway.run("status")
