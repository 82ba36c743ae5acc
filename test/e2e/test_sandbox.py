"""Each role's sandbox, tried: the supervisor and the sandbox of the release build (SALLYPORT_SANDBOX_PRESET says another),
a probe in the place of each role, and the table of docs/sandbox.md as what must come out."""
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time

import pytest

from lab.build import build
from lab.ports import free_port, open_folder
from lab.standin import ROLES, StandIns

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PRESET = os.environ.get("SALLYPORT_SANDBOX_PRESET", "release")
BUILD = ROOT / "build" / PRESET
REFUSED = {"EPERM", "EACCES", "ENOSYS", "ENOMEM"}
UID_BASE, USER = 311000, 311900
SECONDS = 60


def table():
    """{try: {role: cell}} of docs/sandbox.md."""
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")]
            for line in open(ROOT / "docs/sandbox.md", encoding="utf-8") if line.startswith("|")]
    assert rows[0] == ["try", *ROLES]
    return {row[0]: dict(zip(ROLES, row[1:])) for row in rows[2:]}


@pytest.fixture(scope="module", autouse=True)
def built():
    build(PRESET, "sallyport", "role_probe")


class Probes(StandIns):
    """A supervisor whose roles are probes."""

    def __init__(self, folder, uid_base):
        pathlib.Path(folder, "config").mkdir()
        certificate, key = (pathlib.Path(folder, "config", name) for name in ("cert.pem", "key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", certificate, "-subj", "/CN=gw.test"], check=True, capture_output=True)
        super().__init__(folder, BUILD, "test/role_probe", workers=1, roles={"scanners": 1, "sealers": 1}, uid_base=uid_base,
                         tls={"certificate": certificate.name, "key": key.name},
                         portal={"listen": f"127.0.0.1:{free_port()}", "url": "https://localhost"})
        for path in [self.config, *self.config.rglob("*")]:  # as an installation has it
            path.chmod(0o700 if path.is_dir() else 0o600)
        self.folder.chmod(0o711)

    def start(self, *prefix, **options):
        super().start(*prefix, **options)
        self.wait(lambda lines: any(line.get("event") == "supervisor.ready" for line in lines))

    def wait(self, condition):
        deadline = time.monotonic() + SECONDS
        while not condition(lines := self.lines()):
            assert time.monotonic() < deadline and self.process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.02)
        return lines

    def children(self):
        """{role: pid}: there is one of each."""
        return {role: pid for role, [pid] in super().children().items()}

    def try_all(self, port):
        """{role: {try: result}}, one role after the other's pid is known to all."""
        children = self.children()
        assert sorted(children) == sorted(ROLES)
        segment = self.folder / "state/spool/0/probe-segment"
        segment.write_bytes(b"x")
        owner = segment.parent.stat()
        os.chown(segment, owner.st_uid, owner.st_gid)
        segment.chmod(0o640)
        results = {}
        for other in ("scanner", "keeper"):  # nobody is tried on itself
            self.write(f"// probe supervisor={self.process.pid} other={children[other]} port={port}")
            count = len([line for line in self.lines() if line.get("try") == "all tried"])
            self.process.send_signal(signal.SIGHUP)
            lines = self.wait(lambda seen: len([s for s in seen if s.get("try") == "all tried"]) >= count + len(ROLES))
            for line in lines:
                if "probe" in line and line["probe"] != other and line["try"] != "all tried":
                    results.setdefault(line["probe"], {})[line["try"]] = line["result"]
        return results

    def stop(self):
        assert self.process is None or super().stop() == 0, self.log.read_text()[-3000:]


@pytest.fixture
def probes():
    made = []

    def make(uid_base):
        made.append(Probes(folder, uid_base))
        return made[-1]

    with open_folder("sp-probe-") as folder:
        yield make
        for p in made:
            p.stop()


def compare(results, uids):
    """Every difference between the table and what came out."""
    wanted, wrong = table(), []
    for role in ROLES:
        assert set(results[role]) == set(wanted), set(results[role]) ^ set(wanted)
        for name, got in results[role].items():
            cell = wanted[name][role]
            if cell == "uid":
                cell = "no" if uids else "yes"
            good = {"yes": got == "yes", "no": got in REFUSED, "-": got == "ENOENT"}[cell]
            wrong += [] if good else [f"{role}: {name}: {got}, not {cell}"]
    return wrong


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


def capabilities(pid):
    return {kind: int(status_of(pid)[kind][0], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made.getsockname()[1]


def test_as_root_each_role_may_what_the_table_says(probes, listener):
    p = probes(UID_BASE)
    p.start()
    assert not (wrong := compare(p.try_all(listener), uids=True)), "\n".join(wrong)


def test_as_an_ordinary_user_too(probes, listener):
    p = probes(0)
    for path in [p.folder, *p.folder.rglob("*")]:
        os.chown(path, USER, USER)
    p.start("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
    assert not (wrong := compare(p.try_all(listener), uids=False)), "\n".join(wrong)


def test_as_root_without_uids_too(probes, listener):
    """All roles are root's then, but without a single privilege of root."""
    p = probes(0)
    p.start()
    assert not (wrong := compare(p.try_all(listener), uids=False)), "\n".join(wrong)


SUPERVISOR_KEEPS = sum(1 << number for number in (7, 6, 8, 5, 2, 14))  # SETUID SETGID SETPCAP KILL DAC_READ_SEARCH IPC_LOCK
ENVIRONMENT = {"PATH", "LANG", "LC_ALL", "TZ", "SP_FAULT_BOARD", "UBSAN_OPTIONS", "TSAN_OPTIONS", "ASAN_OPTIONS"}


def test_nothing_is_inherited_and_nothing_left(probes, tmp_path):
    """What a role has from its supervisor, and that from who started it."""
    planted = tmp_path / "planted"
    planted.touch()
    p = probes(UID_BASE)
    with open(planted, encoding="ascii") as file:
        p.start(pass_fds=[file.fileno()], env={**os.environ, "SECRET_TOKEN": "planted-4815162342"})
    children = p.children()
    assert sorted(children) == sorted(ROLES)
    for role, pid in children.items():
        status = status_of(pid)
        assert status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"], role
        assert not any(capabilities(pid).values()), (role, capabilities(pid))
        assert len(set(status["Uid"] + status["Gid"] + status["Groups"])) == 1 and status["Uid"][0] != "0", role
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert "Max core file size        0                    0" in limits, role
        names = {part.split(b"=")[0].decode() for part in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                 if part}
        assert names <= ENVIRONMENT, (role, names - ENVIRONMENT)
        links = {int(link.name): os.readlink(link) for link in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
        assert not any("planted" in target or str(p.config) in target for target in links.values()), (role, links)
        files = [target for target in links.values() if target.startswith("/") and target not in ("/dev/null", str(p.log))]
        pages = [fd for fd, target in links.items() if target.startswith("/memfd:sallyport-state")]
        assert len(files) == len(pages) == (role == "admin"), (role, links)  # a probe opens none of its own
        for fd in pages:  # what the supervisor shows there can be read alone
            flags = re.search(r"^flags:\s*([0-7]+)$", pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text(), re.M)[1]
            assert int(flags, 8) & os.O_ACCMODE == os.O_RDONLY
        assert sum("memfd" in target for target in links.values()) == len(pages), (role, links)
    kept = capabilities(p.process.pid)
    assert kept["CapPrm"] == kept["CapEff"] == kept["CapBnd"] == SUPERVISOR_KEEPS and not kept["CapInh"] + kept["CapAmb"]
    assert status_of(p.process.pid)["NoNewPrivs"] == ["1"]


def is_locked(pid):
    maps = pathlib.Path(f"/proc/{pid}/smaps").read_text()
    heap = maps[maps.index("[heap]"):].split("VmFlags:", 1)[1].split("\n")[0].split()
    return "lo" in heap and int(status_of(pid)["VmLck"][0]) > 0


def test_memory_is_kept_out_of_swap(probes):
    p = probes(UID_BASE)
    p.start()
    assert is_locked(p.process.pid)
    maps = pathlib.Path(f"/proc/{p.process.pid}/smaps").read_text()
    bundles = [part for part in maps.split("VmFlags:") if "memfd:sallyport-bundle" in part]
    assert len(bundles) >= len(ROLES) and not any("Locked:                0 kB" in part for part in bundles)
    # a container may keep from root what raises limits: then the roles say that they are not locked
    may_raise = capabilities(os.getpid())["CapEff"] & 1 << 24 or resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] == -1
    for role, pid in p.children().items():
        assert is_locked(pid) == bool(may_raise), role
    assert all(line["locked"] == bool(may_raise) for line in p.lines() if line.get("event") == "role.started")


def test_a_supervisor_without_root_s_powers_still_restarts_and_reloads(probes):
    p = probes(UID_BASE)
    os.chown(p.config, 311950, 311950)  # a configuration that root may read, but does not own
    os.chown(p.config / "keys/master.key", 311950, 311950)
    p.start()
    before = p.children()
    os.kill(before["keeper"], signal.SIGKILL)
    p.wait(lambda lines: len([s for s in lines if s.get("event") == "role.started" and s["role"] == "keeper"]) == 2)
    assert set(status_of(p.children()["keeper"])["Uid"]) == {str((p.folder / "state/keeper").stat().st_uid)}
    p.process.send_signal(signal.SIGHUP)
    p.wait(lambda lines: any(s.get("event") == "role.reloaded" and s["role"] == "relay" for s in lines))
    os.kill(p.children()["ledger"], signal.SIGSEGV)  # whatever core_pattern says, it leaves none
    p.wait(lambda lines: any(s.get("event") == "supervisor.role-ended" and s["signal"] == 11 for s in lines))
    assert not list(p.folder.rglob("core*"))
