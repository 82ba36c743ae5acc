"""The supervisor with roles that do nothing but live: start, restart, reload, stop. The roles are the role module's test
program, which behaves as one when it is started under a role's name."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

from crash.board import Board
from lab.ports import free_port, open_folder
from lab.standin import ROLES, StandIns

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / os.environ.get("SALLYPORT_PRESET", "asan")


class Supervisor(StandIns):
    def __init__(self, folder, **settings):
        super().__init__(folder, BUILD, "test/unit_role_test_role", **settings)

    def events(self, event, **fields):
        return [e for e in self.lines() if e.get("event") == event and all(e.get(k) == v for k, v in fields.items())]

    def wait(self, event, count=1, **fields):
        deadline = time.monotonic() + 90
        while len(self.events(event, **fields)) < count:
            assert time.monotonic() < deadline, f"no {event} {fields}: {self.log.read_text()[-3000:]}"
            assert self.process.poll() is None or event == "supervisor.stopped", self.log.read_text()[-3000:]
            time.sleep(0.02)


@pytest.fixture
def supervisor():
    made = []

    def make(**settings):
        made.append(Supervisor(folder, **settings))
        return made[-1]

    with open_folder("sp-sup-") as folder:
        yield make
        for s in made:
            if s.process is not None:
                s.stop()


def test_all_roles_start_and_stop_cleanly(supervisor):
    s = supervisor().start()
    s.wait("supervisor.ready")
    children = s.children()
    assert sorted(children) == sorted(r for r in ROLES if r != "portal")
    assert len(children["relay"]) == 2
    assert s.stop() == 0
    assert len(s.events("supervisor.role-ended", code=0)) == 10
    assert not s.events("supervisor.role-killed")
    # the ledger is the last to go
    assert s.events("supervisor.role-ended")[-1]["role"] == "ledger"


def test_a_killed_role_is_back_and_the_others_stay(supervisor):
    s = supervisor().start()
    s.wait("supervisor.ready")
    before = s.children()
    for role in before:
        os.kill(before[role][0], signal.SIGKILL)
    for role in before:
        s.wait("supervisor.role-ended", role=role, signal=9)
        s.wait("role.started", len(before[role]) + 1, role=role)
    after = s.children()
    assert before["relay"][1] in after["relay"]
    assert {r: len(p) for r, p in before.items()} == {r: len(p) for r, p in after.items()}
    assert s.stop() == 0


def test_children_end_with_a_killed_supervisor(supervisor):
    s = supervisor().start()
    s.wait("supervisor.ready")
    pids = [pid for pids in s.children().values() for pid in pids]
    s.process.kill()
    s.process.wait()
    deadline = time.monotonic() + 60
    while any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_reload_takes_a_good_configuration_and_refuses_a_bad_one(supervisor):
    s = supervisor().start()
    s.wait("supervisor.ready")
    s.settings["hostname"] = "other.test"
    s.write()
    s.process.send_signal(signal.SIGHUP)
    s.wait("role.reloaded", 10, generation=2, result="ok")
    s.settings["hostnam"] = "typo.test"
    s.write()
    s.process.send_signal(signal.SIGHUP)
    s.wait("supervisor.reload-invalid")
    assert "hostname" in s.log.read_text()  # the nearest setting is offered
    del s.settings["hostnam"]
    s.settings["workers"] = 3
    s.write()
    s.process.send_signal(signal.SIGHUP)
    s.wait("supervisor.reload-needs-restart")
    assert s.stop() == 0


def test_a_reload_that_changes_nothing_disturbs_only_who_reads_the_systems_trust(supervisor):
    s = supervisor().start()
    s.wait("supervisor.ready")
    s.process.send_signal(signal.SIGHUP)
    s.wait("role.reloaded", 3, generation=2)
    s.settings["hostname"] = "other.test"  # and the next one reaches everybody
    s.write()
    s.process.send_signal(signal.SIGHUP)
    s.wait("role.reloaded", 10, generation=3)
    assert sorted(e["role"] for e in s.events("role.reloaded", generation=2)) == ["fetcher", "relay", "relay"]
    assert s.stop() == 0


def test_a_storm_of_reloads_ends_with_the_newest(supervisor):
    s = supervisor().start()
    s.wait("supervisor.ready")
    for number in range(30):
        s.settings["hostname"] = f"h{number}.test"
        s.write()
        s.process.send_signal(signal.SIGHUP)
        s.wait("supervisor.reload", number + 1)
    s.wait("role.reloaded", 10, generation=31, result="ok")
    for role, pids in s.children().items():  # one at a time, each newer than the last
        seen = [e["generation"] for e in s.events("role.reloaded", role=role)]
        assert seen and all(seen.count(number) <= len(pids) for number in seen), (role, seen)
        assert len(pids) > 1 or seen == sorted(set(seen)), (role, seen)
    assert s.stop() == 0


def order(s, text):
    """What the roles' stand-ins are to do with the next configuration: lines of a word and a role."""
    (s.config / "policies/policy.json").write_text(text)
    s.process.send_signal(signal.SIGHUP)


def restart(s, role, **fields):
    """Kills one process of a role, and waits for the next."""
    count = len(s.events("role.started", role=role))
    os.kill(s.children()[role][0], signal.SIGKILL)
    s.wait("role.started", count + 1, role=role)
    assert all(s.events("role.started", role=role)[-1].get(k) == v for k, v in fields.items())


def test_who_dies_after_a_refused_reload_starts_with_what_was_accepted(supervisor):
    s = supervisor().start()
    s.wait("supervisor.ready")
    order(s, "refuse relay\n")
    s.wait("supervisor.reload-refused", role="relay", generation=2, detail="told to fail")
    s.wait("supervisor.returned", generation=1, refused=2)
    for role in ("relay", "ledger", "scanner"):
        restart(s, role, generation=1)
    assert not s.events("role.failed")
    order(s, "none\n")
    s.wait("role.reloaded", 2, role="relay", generation=3, result="ok")
    s.wait("role.reloaded", 1, role="ledger", generation=3, result="ok")
    restart(s, "relay", generation=3)
    assert len(s.events("supervisor.returned")) == 1
    assert s.stop() == 0


def test_a_refusal_by_one_takes_it_from_all(supervisor):
    """The admin role has it as soon as the relays; what follows at once is not for those who are started anew."""
    s = supervisor(workers=3).start()
    s.wait("supervisor.ready")
    (s.config / "detection").mkdir()
    (s.config / "detection/order").write_text("refuse scanner\n")
    order(s, "anew ledger\n")
    s.wait("supervisor.reload-refused", role="scanner", generation=2)
    s.wait("supervisor.returned", generation=1)
    for relay in s.events("role.reloaded", role="relay", generation=2):
        assert relay["result"] == "ok"
    s.wait("role.reloaded", 3, role="relay", generation=1, result="ok")
    assert not s.events("supervisor.role-anew")
    restart(s, "relay", generation=1)
    (s.config / "detection/order").write_text("")
    order(s, "anew ledger\n")
    s.wait("supervisor.role-anew", role="ledger")
    s.wait("role.started", role="ledger", generation=3)
    assert s.stop() == 0


def test_a_refusal_at_the_start_of_who_is_started_anew_is_one(supervisor):
    s = supervisor().start()
    s.wait("supervisor.ready")
    order(s, "anew ledger\nrefuse ledger\n")
    s.wait("supervisor.reload-refused", role="ledger", generation=2)
    s.wait("role.started", 2, role="ledger")
    assert s.events("role.started", role="ledger")[-1]["generation"] == 1
    s.wait("role.reloaded", 2, role="relay", generation=1, result="ok")
    assert s.stop() == 0


def test_who_ends_over_a_new_configuration_twice_has_refused_it(supervisor):
    s = supervisor().start()
    s.wait("supervisor.ready")
    order(s, "die ledger\n")
    s.wait("supervisor.reload-refused", role="ledger", generation=2, why="role.gone")
    s.wait("supervisor.returned", generation=1)
    s.wait("role.started", 2, role="ledger")
    assert s.events("role.started", role="ledger")[-1]["generation"] == 1
    assert s.stop() == 0


def test_one_end_over_a_new_configuration_is_no_refusal(supervisor):
    """It may have been the same moment by chance. A relay that is held up has it still to come when it is killed."""
    s = supervisor(workers=1).start()
    s.wait("supervisor.ready")
    relay = s.children()["relay"][0]
    os.kill(relay, signal.SIGSTOP)
    order(s, "none\n")
    s.wait("supervisor.reload")
    os.kill(relay, signal.SIGKILL)
    s.wait("role.started", role="relay", generation=2)
    order(s, "none at all\n")
    s.wait("role.reloaded", role="relay", generation=3, result="ok")
    assert not s.events("supervisor.returned") and not s.events("supervisor.reload-refused")
    assert s.stop() == 0


def test_a_start_that_is_refused_is_mended_by_a_reload(supervisor):
    """Nothing else is known: each start says what is wrong, and goes on until it is right."""
    s = supervisor()
    (s.config / "policies/policy.json").write_text("refuse relay\n")
    s.start()
    s.wait("role.failed", 3, role="relay", detail="told to fail")
    order(s, "refuse admin\n")
    s.wait("role.started", 2, role="relay", generation=2)
    s.wait("supervisor.reload-refused", role="admin", generation=2)
    order(s, "none\n")
    s.wait("supervisor.ready")
    s.wait("supervisor.accepted", generation=3)
    order(s, "refuse relay\n")
    s.wait("supervisor.returned", generation=3)
    assert s.stop() == 0


def test_a_storm_of_refused_reloads_ends_with_what_was_accepted(supervisor):
    s = supervisor().start()
    s.wait("supervisor.ready")
    for number in range(20):
        order(s, f"refuse {('relay', 'admin', 'ledger')[number % 3]}\n{number}\n")
        s.wait("supervisor.reload", number + 1)
    s.wait("supervisor.returned", generation=1, refused=21)
    restart(s, "relay", generation=1)
    order(s, "none\n")
    s.wait("role.reloaded", 2, role="relay", generation=22, result="ok")
    restart(s, "ledger", generation=22)
    assert s.stop() == 0


@pytest.mark.parametrize("whose", ["another gateway's", "its own"])
def test_an_address_that_is_listened_on_is_not_shared(supervisor, whose):
    """Else each would get a part of the other's connections, and nobody would notice."""
    s = supervisor()
    taken = s.settings["listen"][0]
    if whose == "its own":
        s.settings["listen"] = [taken, taken]
        s.write()
        s.start()
        assert s.process.wait(60) != 0
    else:
        s.start()
        s.wait("supervisor.ready")
        with open_folder("sp-sup-") as folder:
            other = Supervisor(folder, listen=[taken]).start()
            assert other.process.wait(60) != 0
            assert f"can't listen on {taken['address']}: Address already in use" in other.log.read_text()
        assert s.stop() == 0
    assert whose != "its own" or f"can't listen on {taken['address']}: Address already in use" in s.log.read_text()


def test_both_families_have_listeners_of_the_same_port(supervisor):
    port = free_port(("0.0.0.0", "::"))
    s = supervisor(listen=[{"address": f"0.0.0.0:{port}", "tls": "none"}, {"address": f"[::]:{port}", "tls": "none"}]).start()
    s.wait("supervisor.ready")
    for host in "127.0.0.1", "::1":
        socket.create_connection((host, port), 10).close()
    assert s.stop() == 0


def test_ipv4_that_nobody_serves_is_told_at_the_start(supervisor):
    port = free_port(("0.0.0.0", "::"))
    s = supervisor(listen=[{"address": f"127.0.0.1:{port}", "tls": "none"}, {"address": f"[::]:{port}", "tls": "none"}]).start()
    s.wait("supervisor.ready")
    assert f"[::]:{port} takes IPv6 alone, since 127.0.0.1:{port} has the same port" in s.log.read_text()
    for host in "127.0.0.1", "::1":
        socket.create_connection((host, port), 10).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), 10)
    assert s.stop() == 0


def test_the_service_manager_is_told(supervisor, monkeypatch):
    s = supervisor()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(s.folder / "notify"))
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(s.folder / "notify"))
        s.start()
        assert manager.recv(4096) == b"READY=1"
        assert s.events("supervisor.ready")  # all roles had come up
        for hostname in ("other.test", "not a name"):  # a configuration that is refused ends the reload as well
            s.settings["hostname"] = hostname
            s.write()
            s.process.send_signal(signal.SIGHUP)
            assert manager.recv(4096).splitlines()[0] == b"RELOADING=1"
            assert manager.recv(4096) == b"READY=1"
        assert len(s.events("supervisor.reload-invalid")) == 1
        s.process.send_signal(signal.SIGTERM)
        assert manager.recv(4096) == b"STOPPING=1"
        assert s.stop() == 0


def test_one_gateway_a_state_folder(supervisor):
    s = supervisor().start()
    s.wait("supervisor.ready")
    second = subprocess.run([s.folder / "bin/sallyport", "serve", "-c", s.config / "sallyport.json"], capture_output=True,
                            text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "another gateway runs" in second.stderr


@pytest.mark.parametrize("break_it, said", [
    (lambda s: (s.config / "keys/master.key").unlink(), "master.key"),
    (lambda s: (s.config / "keys/master.key").write_bytes(b"short"), "32 random bytes"),
    (lambda s: s.settings.update(policy="policy.json"), "folder of its own"),
    (lambda s: (s.folder / "libexec/sallyport/sealer").unlink(), "libexec/sallyport/sealer"),
    (lambda s: s.settings.update(listen=[{"address": "127.0.0.1:x"}]), "listen"),
])
def test_what_is_wrong_is_said_at_once(supervisor, break_it, said):
    s = supervisor()
    break_it(s)
    s.write()
    s.start()
    assert s.process.wait(60) == 1
    assert said in s.log.read_text()


@pytest.mark.parametrize("point, said", [("list-shards", "state/spool: Too many open files"),
                                         ("sync-folder", "state/sealer: Input/output error")])
def test_no_shard_is_overlooked_and_no_folder_is_left_to_chance(supervisor, tmp_path, point, said):
    """Of three relays' shards, at a start with two: whoever can't count them does not start, or mail in the third would lie."""
    s = supervisor()
    (s.folder / "state/spool/2").mkdir(parents=True)
    with contextlib.closing(Board(tmp_path / "board")) as board:
        board.arm(f"supervisor:supervisor.{point}", 1)
        s.start(env={**os.environ, **board.environment})
        assert s.process.wait(60) == 1 and board.struck()
        assert said in s.log.read_text()
        s.start(env={**os.environ, **board.environment})
        s.wait("supervisor.ready")
        assert s.stop() == 0


def test_a_parent_whose_file_system_can_not_sync_folders_is_no_reason_to_stand_still(supervisor, tmp_path):
    """As of a state folder that is mounted into a read-only image: fsync() of the folder above says EINVAL."""
    s = supervisor()
    with contextlib.closing(Board(tmp_path / "board")) as board:
        board.arm("supervisor:supervisor.sync-unknown", 1)
        s.start(env={**os.environ, **board.environment})
        s.wait("supervisor.ready")
        assert board.struck()
        assert s.stop() == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change uids")
def test_each_role_has_a_uid_of_its_own_and_closed_folders(supervisor):
    base = 310000
    s = supervisor(uid_base=base)
    for path in [s.folder, *s.folder.parents]:
        if path.stat().st_uid == os.getuid() and path == s.folder:
            path.chmod(0o711)
    s.start()
    s.wait("supervisor.ready")
    uids = {}
    for role, pids in s.children().items():
        status = pathlib.Path(f"/proc/{pids[0]}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        assert set(lines["Uid"].split()) == set(lines["Gid"].split())
        assert lines["Groups"].split() == lines["Uid"].split()[:1]
        assert lines["NoNewPrivs"].strip() == "1" and lines["Seccomp"].strip() == "2"
        uids[role] = int(lines["Uid"].split()[0])
    assert len(set(uids.values())) == len(uids) and 0 not in uids.values()
    shard = (s.folder / "state/spool/1").stat()
    assert (shard.st_uid, shard.st_gid, shard.st_mode & 0o7777) == (uids["relay"], uids["ledger"], 0o2750)
    assert (s.folder / "state/keeper").stat().st_mode & 0o077 == 0
    assert s.stop() == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become an ordinary user")
def test_an_ordinary_user_can_run_it_all(supervisor):
    uid = 310100
    s = supervisor(uid_base=310000)  # asked for, but not to be had without root
    for path in [s.folder, *s.folder.rglob("*")]:
        os.chown(path, uid, uid)
    s.start("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    s.wait("supervisor.ready")
    for pids in s.children().values():
        status = pathlib.Path(f"/proc/{pids[0]}/status").read_text()
        assert f"Uid:\t{uid}" in status and "Seccomp:\t2" in status
    assert s.stop() == 0


def test_the_command_line_names_its_commands(supervisor):
    s = supervisor()
    program = s.folder / "bin/sallyport"
    helped = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    assert "serve" in helped.stdout and "audit verify" in helped.stdout
    assert subprocess.run([program, "nonsense"], capture_output=True, check=False).returncode == 64
    absent = subprocess.run([program, "queue", "list"], capture_output=True, text=True, check=False)
    assert absent.returncode == 1 and "not installed" in absent.stderr
