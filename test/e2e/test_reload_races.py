"""What comes between a new configuration and its end: roles that start or stand still meanwhile, other reloads, an upgrade,
a lack of descriptors. A role is held where it is by SIGSTOP."""
import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import time

import pytest

from crash.board import Board
from lab.jitter import children, name_of
from lab.ports import open_folder
from lab.wait import until
from test_metrics import PLAIN
from test_refused_reload import WRONG, has, passes, reload, said

SIGNING_KEY = "--set", 'audit.signing_key="keys/audit.key"'


@pytest.fixture
def make(gateways, sinks):
    def start(*options):
        gateway = gateways("--plain-listener", "--workers", 2, "--next-hop", f"127.0.0.1:{sinks().port}", "--policy", PLAIN,
                           *options)
        gateway.file = pathlib.Path(gateway.info["policy"])
        gateway.good = gateway.file.read_text()
        gateway.config = pathlib.Path(gateway.info["config"]).parent
        return gateway
    return start


@pytest.fixture
def gateway(make):
    return make()


def state(gateway):
    """What the supervisor shows, asked of admin alone: who stands still is not waited for."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(60)
        asked.connect(str(gateway.folder / "state/admin/admin.sock"))
        asked.sendall(b'{"command":"gateway.state"}\n')
        return json.loads(b"".join(iter(lambda: asked.recv(65536), b"")))["result"]


def of_role(gateway, role):
    return [r for r in state(gateway)["roles"] if r["role"] == role]


def hup(gateway):
    """Has the files read anew; returns when the supervisor has told the roles."""
    newest = state(gateway)["newest"]
    os.kill(gateway.info["pid"], signal.SIGHUP)
    until(lambda: state(gateway)["newest"] > newest, what=lambda: gateway.log[-3000:])


def refusals(gateway):
    return [(r["what"], r["role"], r.get("generation")) for r in state(gateway)["refused"]]


def hold(gateway, pid):
    gateway.jitter.kill(pid, signal.SIGSTOP)
    until(lambda: pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T")


def go_on(gateway, pid):
    gateway.jitter.kill(pid, signal.SIGCONT)


def next_process(gateway, role, before):
    """The first one of that role that was not there before; looked for without a pause, since it is ready soon."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for pid in set(children(gateway.info["pid"])) - before:
            if name_of(pid) == role:
                return pid
    raise TimeoutError(gateway.log[-3000:])


def hold_starting(gateway, role, begin):
    """Calls begin(), which has a process of that role started, and holds this one before it says whether it is ready. One that
    was quicker has its end, and the next is tried."""
    def ends():  # they are written before the supervisor is told
        return [event for event in ("role.started", "role.failed") for _ in said(gateway, event, role=role)]

    while True:
        before, ended = set(children(gateway.info["pid"])), ends()
        begin()
        pid = next_process(gateway, role, before)
        with contextlib.suppress(OSError):  # it is gone
            hold(gateway, pid)
            if ends() == ended:
                return pid
            go_on(gateway, pid)
        until(lambda: state(gateway)["accepted"] and len(ends()) > len(ended) and
              all(r["state"] == "ready" for r in of_role(gateway, role)), what=lambda: gateway.log[-3000:])


def kill_one(gateway, role):
    gateway.jitter.kill(gateway.pids(role)[0], signal.SIGKILL)


# ---- a role is starting ----

def test_a_reload_while_a_relay_starts(gateway):
    pid = hold_starting(gateway, "relay", lambda: kill_one(gateway, "relay"))
    hup(gateway)
    assert not state(gateway)["accepted"]  # it is asked, too
    go_on(gateway, pid)
    until(lambda: has(gateway, generation=2, newest=2, refused=[]))
    passes(gateway)


def test_a_refused_reload_while_a_relay_starts(gateway):
    pid = hold_starting(gateway, "relay", lambda: kill_one(gateway, "relay"))
    gateway.file.write_text(WRONG)
    hup(gateway)
    until(lambda: said(gateway, "supervisor.returned", refused=2), what=lambda: gateway.log[-3000:])
    go_on(gateway, pid)
    until(lambda: has(gateway, generation=1, newest=2))
    assert refusals(gateway) == [("configuration", "relay", 2)]
    passes(gateway)


# ---- two reloads ----

@pytest.mark.parametrize("last", ["good", "wrong"])
def test_reloads_while_one_is_under_way(gateway, last):
    """Who stands still is told of the newest alone, when it has answered; what is the newest, the others have said meanwhile."""
    pid = gateway.pids("relay")[0]
    hold(gateway, pid)
    hup(gateway)
    hup(gateway)
    if last == "wrong":
        gateway.file.write_text(WRONG)
    hup(gateway)
    if last == "wrong":
        until(lambda: said(gateway, "supervisor.returned", refused=4), what=lambda: gateway.log[-3000:])
    go_on(gateway, pid)
    wanted = {"generation": 4, "refused": []} if last == "good" else {"generation": 1}
    until(lambda: has(gateway, newest=4, **wanted), what=lambda: gateway.log[-3000:])
    taken = [r["generation"] for r in said(gateway, "role.reloaded", role="relay", result="ok")]
    assert taken.count(3) < 2, taken
    passes(gateway)


def test_a_mend_while_a_role_starts_with_what_it_will_refuse(make):
    gateway = make(*SIGNING_KEY)
    mend = break_ledger(gateway)
    pid = hold_starting(gateway, "ledger", lambda: os.kill(gateway.info["pid"], signal.SIGHUP))
    returned = len(said(gateway, "supervisor.returned"))
    mend()
    hup(gateway)
    go_on(gateway, pid)
    newest = state(gateway)["newest"]
    until(lambda: has(gateway, generation=newest, newest=newest, refused=[]), what=lambda: gateway.log[-3000:])
    assert len(said(gateway, "supervisor.returned")) == returned
    passes(gateway)


# ---- who refuses ----

def break_ledger(gateway):
    """Only the ledger reads that file, and only when it starts. returns: how to mend it"""
    key = gateway.config / "keys/audit.key"
    good = key.read_bytes()
    key.write_bytes(b"no key")
    return lambda: key.write_bytes(good)


def test_what_a_role_refuses_when_it_starts_is_taken_back(make):
    gateway = make(*SIGNING_KEY)
    mend = break_ledger(gateway)
    hup(gateway)
    until(lambda: has(gateway, generation=1, newest=2), what=lambda: gateway.log[-3000:])
    assert refusals(gateway) == [("configuration", "ledger", 2)]
    mend()
    reload(gateway)
    until(lambda: has(gateway, generation=3, newest=3, refused=[]))
    passes(gateway)


def test_who_could_not_start_before_keeps_no_configuration_out(make):
    """The ledger of another start of the program finds no key: the others go on without it, and the administrator sees it."""
    gateway = make(*SIGNING_KEY)
    mend = break_ledger(gateway)
    os.kill(gateway.info["pid"], signal.SIGUSR2)

    def runs():
        with contextlib.suppress(OSError):  # the old one's admin ends, the new one's begins
            return "supervisor.handed-over" in gateway.log and state(gateway)["accepted"] and refusals(gateway)
    assert until(runs, what=lambda: gateway.log[-3000:]) == [("configuration", "ledger", 1)]
    pid = gateway.pids("relay")[0]
    hold(gateway, pid)
    hup(gateway)
    until(lambda: refusals(gateway) == [("configuration", "ledger", 2)], what=lambda: gateway.log[-3000:])
    assert not state(gateway)["accepted"]
    go_on(gateway, pid)
    until(lambda: state(gateway)["accepted"], what=lambda: gateway.log[-3000:])
    now = state(gateway)
    assert now["generation"] == 2 and not said(gateway, "supervisor.returned")
    assert refusals(gateway) == [("configuration", "ledger", 2)]
    mend()
    hup(gateway)
    until(lambda: has(gateway, generation=3, newest=3, refused=[]), what=lambda: gateway.log[-3000:])
    passes(gateway)


@pytest.fixture
def board(monkeypatch):
    """Fault points of the gateway that this test starts."""
    with open_folder("sp-") as folder:
        made = Board(pathlib.Path(folder) / "board")
        monkeypatch.setenv("SP_FAULT_BOARD", made.path)
        yield made
        made.close()


def test_each_refusal_that_stands_is_told(board, make):
    gateway = make("--set", 'tls.watch="100ms"')
    certificate = gateway.config / "tls/server.pem"

    def renew(event):
        before = len(said(gateway, event))
        fresh = certificate.with_suffix(".new")
        fresh.write_bytes(certificate.read_bytes() + b"\n")  # the same certificate in another file
        fresh.replace(certificate)
        until(lambda: len(said(gateway, event)) > before, what=lambda: gateway.log[-3000:])

    gateway.file.write_text(WRONG)
    hup(gateway)
    until(lambda: said(gateway, "supervisor.returned", refused=2), what=lambda: gateway.log[-3000:])
    until(lambda: has(gateway, generation=1))
    # each has had the one before again: the fault below is to strike at the next
    until(lambda: len(said(gateway, "role.reloaded", role="relay", generation=1, result="ok")) == 2)
    policy = ("configuration", "relay", 2)
    board.arm("relay:role.bundle-map", 1)
    renew("supervisor.returned")
    assert refusals(gateway) == [policy, ("certificates", "relay", 3)]
    until(lambda: has(gateway, generation=1))
    text = gateway.run("status").stdout
    assert "policies/policy.json" in text and "The renewal of certificates was refused" in text
    renew("supervisor.accepted")
    until(lambda: refusals(gateway) == [policy])
    config = pathlib.Path(gateway.info["config"])
    good = config.read_text()
    config.write_text(good + "nothing")
    os.kill(gateway.info["pid"], signal.SIGHUP)
    until(lambda: len(refusals(gateway)) == 2)
    assert refusals(gateway) == [("configuration", "supervisor", None), policy]
    config.write_text(good)
    gateway.file.write_text(gateway.good)
    reload(gateway)
    until(lambda: has(gateway, refused=[]))
    board.arm("relay:role.bundle-map", 1)
    renew("supervisor.returned")
    os.kill(gateway.info["pid"], signal.SIGUSR2)
    why = until(lambda: said(gateway, "supervisor.upgrade-refused"), what=lambda: gateway.log[-3000:])[0]["why"]
    assert why.startswith("relay ") and " refused renewed certificates (" in why and "mend their files" in why


# ---- an upgrade meanwhile ----

@pytest.mark.parametrize("whose, why", [
    ("scanner", " refused the configuration on the disk (detection/tenant.json:1: "),
    ("supervisor", "no configuration meanwhile"),
    ("restart", "sallyport.json: workers has changed, which only a restart takes up: restart instead, or put it back")])
def test_an_upgrade_is_refused_when_a_refusal_comes_while_it_is_tried(gateway, whose, why):
    """The program that is tried stands still where it reads a file that is a pipe; the settings it has read."""
    authority = gateway.config / "tls/ca.pem"
    good = authority.rename(authority.with_suffix(".good"))
    os.mkfifo(authority)
    os.kill(gateway.info["pid"], signal.SIGUSR2)

    def reader():
        with contextlib.suppress(OSError):  # there is none yet
            return os.open(authority, os.O_WRONLY | os.O_NONBLOCK)
    pipe = until(reader)
    content = good.read_bytes()
    good.rename(authority)
    if whose == "scanner":
        (gateway.config / "detection").mkdir(exist_ok=True)
        (gateway.config / "detection/tenant.json").write_text(WRONG)
        hup(gateway)
        until(lambda: said(gateway, "supervisor.returned", refused=2), what=lambda: gateway.log[-3000:])
    else:
        settings = pathlib.Path(gateway.info["config"])
        text = settings.read_text()
        settings.write_text(text + "nothing" if whose == "supervisor" else json.dumps({**json.loads(text), "workers": 3}))
        os.kill(gateway.info["pid"], signal.SIGHUP)
        until(lambda: refusals(gateway) == [("configuration", "supervisor", None)])
    os.write(pipe, content)
    os.close(pipe)
    refused = until(lambda: said(gateway, "supervisor.upgrade-refused"), what=lambda: gateway.log[-3000:])
    assert why in refused[0]["why"]
    assert state(gateway)["generation"] == 1 and not said(gateway, "supervisor.handing-over")


@pytest.mark.parametrize("ends", ["accepted", "refused"])
def test_an_upgrade_waits_until_a_reload_is_accepted_or_refused(gateway, ends):
    """The successor knows only what lies on the disk: it must not begin with what the roles have not taken yet."""
    scanners = gateway.pids("scanner")
    for pid in scanners:
        hold(gateway, pid)
    if ends == "refused":
        (gateway.config / "detection").mkdir(exist_ok=True)
        (gateway.config / "detection/tenant.json").write_text(WRONG)
    else:  # else they need not be asked
        config = pathlib.Path(gateway.info["config"])
        config.write_text(config.read_text() + "\n")
    hup(gateway)
    os.kill(gateway.info["pid"], signal.SIGUSR2)
    until(lambda: " tried " in (gateway.folder / "state/supervisor.lock").read_text(), what=lambda: gateway.log[-3000:])
    for pid in scanners:
        go_on(gateway, pid)
    if ends == "accepted":
        until(lambda: said(gateway, "supervisor.handed-over"), what=lambda: gateway.log[-3000:])
        until(lambda: gateway.log.count('"supervisor.ready"') == 2, what=lambda: gateway.log[-3000:])
        passes(gateway)
    else:
        refused = until(lambda: said(gateway, "supervisor.upgrade-refused"), what=lambda: gateway.log[-3000:])
        assert "mend it and reload first" in refused[0]["why"]
        assert not said(gateway, "supervisor.handing-over")


# ---- what going back needs ----

@pytest.mark.parametrize("whose", ["relay", "ledger"])
def test_going_back_waits_for_descriptors(make, whose):
    """It is said once, the role is not asked again and again, mail passes, and it needs nobody when there are some."""
    gateway = make(*SIGNING_KEY)
    if whose == "relay":
        gateway.file.write_text(WRONG)
        held = gateway.pids("relay")
        for pid in held:
            hold(gateway, pid)
        hup(gateway)
    else:
        break_ledger(gateway)
        held = [hold_starting(gateway, "ledger", lambda: os.kill(gateway.info["pid"], signal.SIGHUP))]
    newest, refused = state(gateway)["newest"], len(said(gateway, "supervisor.reload-refused"))
    limits = resource.prlimit(gateway.info["pid"], resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.info["pid"], resource.RLIMIT_NOFILE, (0, limits[1]))
    for pid in held:
        go_on(gateway, pid)
    until(lambda: said(gateway, "supervisor.not-returned"), what=lambda: gateway.log[-3000:])
    if whose == "relay":  # without a ledger nothing is on record
        passes(gateway)
    assert len(said(gateway, "supervisor.not-returned")) == 1
    now = state(gateway)
    assert (now["generation"], now["accepted"], len(now["refused"])) == (newest, False, 1)
    resource.prlimit(gateway.info["pid"], resource.RLIMIT_NOFILE, limits)
    until(lambda: has(gateway, generation=1, newest=newest), what=lambda: gateway.log[-3000:])
    assert len(said(gateway, "supervisor.not-returned")) == 1
    assert len(said(gateway, "supervisor.reload-refused")) - refused <= 2  # a relay each
    passes(gateway)


def test_nobody_is_told_of_what_cannot_be_left_yet(gateway):
    """Who takes it after the refusal makes nobody else's turn come: a role that is started anew needs descriptors, too."""
    relays, scanners = gateway.pids("relay"), gateway.pids("scanner")
    for pid in relays + scanners:
        hold(gateway, pid)
    config = pathlib.Path(gateway.info["config"])
    config.write_text(config.read_text() + "\n")  # which each role has
    gateway.file.write_text(WRONG)
    hup(gateway)
    limits = resource.prlimit(gateway.info["pid"], resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.info["pid"], resource.RLIMIT_NOFILE, (0, limits[1]))
    for pid in relays:
        go_on(gateway, pid)
    until(lambda: len(said(gateway, "supervisor.reload-refused", role="relay")) == 2, what=lambda: gateway.log[-3000:])
    for pid in scanners:
        go_on(gateway, pid)
    until(lambda: all(r["generation"] == 2 for r in of_role(gateway, "scanner")), what=lambda: gateway.log[-3000:])
    passes(gateway)
    assert len(said(gateway, "supervisor.not-returned")) == 1
    resource.prlimit(gateway.info["pid"], resource.RLIMIT_NOFILE, limits)
    until(lambda: has(gateway, generation=1, newest=2), what=lambda: gateway.log[-3000:])
    assert not said(gateway, "supervisor.role-anew") and not said(gateway, "supervisor.no-pair")
    passes(gateway)


# ---- keys of bodies ----

def test_another_content_key_beside_a_refused_policy_shuts_no_shard(gateway):
    """A key that somebody has put in the place of the one in use: who was told too late has its shard under the other."""
    until(lambda: has(gateway, generation=1))
    passes(gateway)
    pid = gateway.pids("relay")[0]
    hold(gateway, pid)
    (gateway.config / "keys/master.key.content").write_bytes(os.urandom(32))
    gateway.file.write_text(WRONG)
    hup(gateway)
    until(lambda: said(gateway, "supervisor.returned", refused=2), what=lambda: gateway.log[-3000:])
    gateway.jitter.kill(pid, signal.SIGKILL)
    until(lambda: has(gateway, generation=1, newest=2), what=lambda: gateway.log[-3000:])
    until(lambda: [r.get("says", {}).get("accepts") for r in gateway.json("status")["relays"]] == ["yes", "yes"],
          what=lambda: gateway.log[-3000:])
    gateway.restart("relay")
    until(lambda: has(gateway, generation=1, newest=2), what=lambda: gateway.log[-3000:])
    passes(gateway)
