"""sallyport directory: lists of people from tables and from LDAP, and that none of them ever shrinks or vanishes in silence."""
import fcntl
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

import pytest

from lab import mail
from lab.directory import BASE, Directory, READER_DN, READER_PASSWORD, group, group_dn, person, person_dn
from lab.pki import Authority
from lab.ports import open_folder
from lab.sink import Sink
from lab.wait import until

POLICY = {
    "version": 1, "settings": {"floor": "plain", "expire": "1d"},
    "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"}},
    "lists": {"recovery": {"kind": "addresses", "file": "lists/recovery.txt"}},
    "groups": {"recovery-clinic": {"list": "recovery"}},
    "rules": [{"rule": "recovery", "when": {"sender.group": "recovery-clinic"}, "then": {"protect": "relay", "tags": ["part2"]}}],
    "default": {"protect": "relay"}}


class World:
    """A gateway's folder, and a directory that its lists come from."""

    def __init__(self, gateways, folder):
        self.sink = Sink()
        self.gateway = gateways("--plain-listener", "--next-hop", f"{self.sink.address}:{self.sink.port}",
                                "--policy", "test/policies/relay-plain.json")
        self.config = pathlib.Path(self.gateway.info["config"])
        self.home = self.config.parent
        self.policies = self.home / "policies"
        self.lists = self.policies / "lists"
        self.authority = Authority(folder / "pki")
        # libldap takes "localhost" for the host's own name
        self.leaf = self.authority.leaf("directory", ["127.0.0.1"])
        self.directory = Directory(folder / "ldap", self.leaf)
        (self.home / "directories").mkdir()
        self.password = self.home / "directory.password"
        self.password.write_text(READER_PASSWORD + "\n")
        self.password.chmod(0o600)

    def configure(self, lists, **settings):
        """Writes directories/hospital.json."""
        text = {"servers": [f"ldaps://127.0.0.1:{self.directory.tls_port}"], "ca": str(self.authority.certificate),
                "bind_dn": READER_DN, "password": "directory.password", "base": BASE, "timeout": "20s", "lists": lists,
                **settings}
        (self.home / "directories/hospital.json").write_text(json.dumps(text))

    def say(self, *words, env=None):
        done = subprocess.run([self.gateway.info["program"], *words, "-c", self.config], capture_output=True, text=True,
                              timeout=120, env={**os.environ, **(env or {})})
        for secret in (READER_PASSWORD, "Sanitizer"):
            assert secret not in done.stdout + done.stderr, done.stderr
        return done

    def refresh(self, *words, **keywords):
        return self.say("directory", "refresh", *words, **keywords)

    def members(self, name):
        return [line for line in (self.lists / f"{name}.txt").read_text().splitlines() if not line.startswith("#")]

    def decided(self):
        message, message_id = mail.make("Dear Pat\r\n", ["pat@example.net"])
        with self.gateway.client(tls=False) as client:
            client.sendmail("dr@tenant.test", ["pat@example.net"], message)
        self.message = self.gateway.message_of(message_id)
        return self.gateway.wait_record("message.accepted", message=self.message)["decisions"][0]["rule"]

    def wait_changed(self, version):
        """The record that tells that this version of the policy took effect."""
        deadline = time.monotonic() + 60
        while True:
            for record in self.gateway.records():
                if record["event"] == "config.changed" and record["version"]["after"] == version:
                    return record
            assert time.monotonic() < deadline, self.gateway.log[-2000:]
            time.sleep(0.05)

    def wait_decided(self, rule):
        deadline = time.monotonic() + 60
        while self.decided() != rule:
            assert time.monotonic() < deadline, self.gateway.log[-2000:]


@pytest.fixture(scope="module")
def world(module_gateways):
    with open_folder("sp-ldap-") as folder:
        world = World(module_gateways, pathlib.Path(folder))
        world.directory.add(person("ann", "Ann@tenant.test", "SMTP:ann@tenant.test", "smtp:a.n@tenant.test", "X500:/o=h"),
                            person("dr", "dr@tenant.test"), person("bob"),
                            group("recovery", person_dn("ann"), person_dn("dr"), person_dn("bob"), person_dn("gone"),
                                  group_dn("inner")),
                            person("eve", "eve@tenant.test"), group("inner", person_dn("eve"), group_dn("recovery")))
        yield world
        world.directory.stop()
        world.sink.stop()


RECOVERY = [{"name": "recovery", "group": group_dn("recovery")}]
MEMBERS = ["a.n@tenant.test", "ann@tenant.test", "dr@tenant.test", "eve@tenant.test"]


# ---- a group from the directory to a rule ----

def test_a_group_decides_once_it_is_loaded(world):
    world.configure(RECOVERY)
    before = (world.policies / "policy.json").read_text()
    (world.policies / "policy.json").write_text(json.dumps(POLICY))
    never = world.say("check")
    assert never.returncode == 1 and "lists/recovery.txt" in never.stdout + never.stderr
    listed = world.say("directory", "list")
    assert listed.returncode == 1 and "never loaded" in listed.stdout
    try:
        first = world.refresh()
        assert first.returncode == 0, first.stdout + first.stderr
        assert "recovery: 4 members, 4 added, 0 gone" in first.stdout
        assert "of 4 people 1 have no address; 1 members are not to be found" in first.stdout
        assert world.members("recovery") == MEMBERS
        assert world.say("check").returncode == 0
        world.wait_decided("recovery")
        member = world.message
        world.directory.set_members("recovery", person_dn("ann"), group_dn("inner"))
        again = world.refresh("--json")
        assert again.returncode == 0 and json.loads(again.stdout)["ok"]
        world.wait_decided("default")
        changed = world.wait_changed(json.loads(world.say("check", "--json").stdout)["policy"])
        replayed = world.say("policy", "replay", "--message", member)  # by the list of then
        assert replayed.returncode == 0 and "0 otherwise" in replayed.stdout, replayed.stdout + replayed.stderr
        assert changed["files"] == ["lists/recovery.txt"] and "members of lists" in changed["what"]
    finally:
        world.directory.set_members("recovery", *(person_dn(u) for u in ("ann", "dr", "bob", "gone")), group_dn("inner"))
        (world.policies / "policy.json").write_text(before)


def test_the_same_members_are_the_same_file(world):
    world.configure(RECOVERY)
    assert world.refresh("--force").returncode == 0
    path = world.lists / "recovery.txt"
    text = path.read_bytes()
    os.utime(path, (1, 1))
    assert "too old" in world.say("directory", "list").stdout
    assert "refreshed it for too long" in world.say("check").stderr
    told = '"event":"directory.stale","directory":"hospital","list":"recovery"'
    count = world.gateway.log.count(told)
    subprocess.run(["kill", "-HUP", str(world.gateway.info["pid"])], check=True)
    deadline = time.monotonic() + 60
    while world.gateway.log.count(told) == count:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    def settled():  # the roles that read it anew may not be ready yet
        answer = json.loads(world.gateway.run("status", "--json").stdout)
        return [(one["what"], one.get("list"), one["exit"]) for one in answer["wrong"]] == [("list", "recovery", 1)] and answer
    watched = until(settled)
    status = watched["lists"]
    assert [(s["list"], s["directory"], s["stale"]) for s in status] == [("recovery", "hospital", True)]
    assert status[0]["age_ms"] > 365 * 86400 * 1000
    reloads = world.gateway.log.count('"supervisor.reload"')
    done = world.refresh()
    assert done.returncode == 0 and "4 members, unchanged" in done.stdout
    assert path.read_bytes() == text and path.stat().st_mtime > time.time() - 600
    assert world.say("directory", "list").returncode == 0
    shown = world.gateway.run("status").stdout
    assert "recovery  hospital" in shown and "RELAY" in shown, shown
    heads, row = (re.split(r"  +", line.strip()) for line in shown.splitlines()[:2])
    says = world.gateway.json("status")["relays"][0]["says"]
    for head, member in (("MESSAGES", "messages"), ("QUARANTINED", "quarantined"), ("SLOWED", "slowed"), ("MEMORY", "memory")):
        assert row[heads.index(head)] == str(says[member]), (head, shown)
    assert len(row) == len(heads)
    assert world.gateway.log.count('"supervisor.reload"') == reloads


def test_a_kept_list_that_was_edited_is_written_anew(world, tmp_path):
    """A member with a day behind it would end on that day, and count as found right until then and ever after."""
    table = tmp_path / "edited.csv"
    table.write_text("address,group\na@tenant.test,edited\nb@tenant.test,edited\nc@tenant.test,edited\n")
    assert world.say("directory", "import", table).returncode == 0
    path = world.lists / "edited.txt"
    text = path.read_text()
    path.write_text(text.replace("b@tenant.test", "b@tenant.test until=2020-01-01"))
    assert path.stat().st_mode & 0o007 == 0
    path.chmod(0o600)
    check = world.say("directory", "import", table, "--check")
    assert check.returncode == 0 and "unchanged" not in check.stdout, check.stdout
    done = world.say("directory", "import", table)
    assert done.returncode == 0 and "edited: 3 members, written anew as its file was edited" in done.stdout, done.stdout
    assert path.read_text() == text and path.stat().st_mode & 0o777 == 0o600
    assert "3 members, unchanged" in world.say("directory", "import", table).stdout


# ---- what it may not do ----

def kept(world, *words, why, **keywords):
    """A refresh that must leave the list as it is, and say why."""
    path = world.lists / "recovery.txt"
    world.lists.mkdir(exist_ok=True)
    path.write_text("# kept by sallyport directory: directory hospital\n" + "\n".join(MEMBERS) + "\n")
    before = path.read_bytes()
    done = world.refresh(*words, **keywords)
    assert done.returncode == 1 and why in done.stdout, done.stdout + done.stderr
    assert path.read_bytes() == before
    return done


def test_a_list_that_loses_most_is_refused(world):
    world.configure([{"name": "recovery", "group": group_dn("inner")}], depth=0)
    kept(world, why="deeper than 0")
    world.configure([{"name": "recovery", "filter": "(uid=eve)"}])
    kept(world, why="more than half of its members (4 now, 3 would go, 0 come): --force")
    kept(world, "--check", why="more than half")
    assert world.refresh("--force", "--check").returncode == 0 and world.members("recovery") == MEMBERS
    assert world.refresh("--force").returncode == 0 and world.members("recovery") == ["eve@tenant.test"]
    world.configure([{"name": "recovery", "filter": "(uid=nobody)"}])
    kept(world, why="it would be empty")
    world.configure([{"name": "recovery", "group": group_dn("other")}])
    kept(world, why="no such group")


def test_a_group_that_is_hidden_takes_nobody_away(world):
    """To an account that may not see it, a group in a group looks as one that is not there."""
    world.configure([{"name": "wards", "group": group_dn("wards")}])
    people = [f"ward{i}" for i in range(3)]
    world.directory.add(*(person(p, f"{p}@tenant.test") for p in people), group("ward", person_dn("ward2")),
                        group("wards", person_dn("ward0"), person_dn("ward1"), group_dn("ward"), person_dn("left")))
    done = world.refresh()
    assert done.returncode == 0 and "wards: 3 members, 3 added" in done.stdout, done.stdout
    before = (world.lists / "wards.txt").read_bytes()
    assert world.members("wards") == [f"{p}@tenant.test" for p in people]
    world.directory.add(f"dn: {group_dn('ward')}\nchangetype: delete\n")
    done = world.refresh()
    assert done.returncode == 1, done.stdout
    assert "wards: stays as it is: members or groups in it are not to be found that were before" in done.stdout, done.stdout
    assert (world.lists / "wards.txt").read_bytes() == before
    assert world.refresh("--force").returncode == 0 and len(world.members("wards")) == 2
    done = world.refresh()  # as that is known now
    assert done.returncode == 0 and "wards: 2 members, unchanged" in done.stdout, done.stdout


def test_a_part_on_another_server_is_no_whole(world):
    dn = f"ou=elsewhere,{BASE}"
    world.directory.add(f"dn: {dn}\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\n"
                        f"ref: ldap://elsewhere.example/{dn}\n")
    try:
        world.configure([{"name": "recovery", "filter": "(mail=*)"}])
        kept(world, why="stands on another server (referral to ldap://elsewhere.example/")
        world.configure([{"name": "recovery", "filter": "(mail=*)"}], referrals="ignore")
        done = world.refresh("--force")
        assert done.returncode == 0 and "eve@tenant.test" in world.members("recovery"), done.stdout
        assert "1 parts of the directory on other servers were left out" in done.stdout, done.stdout
    finally:
        world.directory.remove(dn)


def test_who_keeps_a_list_keeps_it(world):
    world.configure(RECOVERY)
    path = world.lists / "recovery.txt"
    for mine in ("# by hand\n", "# kept by sallyport directory: import\n"):
        path.write_text(mine + "boss@tenant.test\n")
        done = world.refresh()
        assert done.returncode == 1 and "by hand or from elsewhere" in done.stdout
        assert world.members("recovery") == ["boss@tenant.test"]
    assert world.refresh("--force").returncode == 0 and world.members("recovery") == MEMBERS


@pytest.mark.parametrize("settings, why", [
    ({"ca": "{other}"}, "no TLS that can be trusted"), ({"servers": ["ldaps://127.0.0.2:{tls}"]}, "no TLS that can be trusted"),
    ({"servers": ["ldap://127.0.0.2:{port}"]}, "certificate"), ({"ca": "directory.password"}, "stay"),
    ({"ca": "absent.pem"}, "absent.pem: no file of certificates"),
    ({"bind_dn": "cn=nobody," + BASE}, "Invalid credentials"), ({"base": "dc=elsewhere"}, "No such object"),
    ({"bind_dn": "", "password": ""}, "")])
def test_only_who_is_right_is_asked(world, settings, why, tmp_path):
    other = Authority(tmp_path / "other", "Other CA").certificate
    values = {"other": other, "tls": world.directory.tls_port, "port": world.directory.port}
    settings = {k: [i.format(**values) for i in v] if isinstance(v, list) else v.format(**values) for k, v in settings.items()}
    world.configure([{"name": "recovery", "filter": "(uid=ann)"}], **settings)
    # what libldap would read of its own changes nothing
    kept(world, why=why, env={"LDAPTLS_REQCERT": "never", "LDAPTLS_CACERT": str(world.authority.certificate)})


def test_the_second_server_is_asked_when_the_first_is_down(world):
    world.configure(RECOVERY, servers=["ldaps://127.0.0.1:1", f"ldap://127.0.0.1:{world.directory.port}"])
    done = world.refresh("--force")
    assert done.returncode == 0, done.stdout
    assert world.members("recovery") == MEMBERS


def test_a_wrong_password_is_tried_once(world):
    """Several servers are one account: each try counts against it."""
    second = socket.create_server(("127.0.0.1", 0))
    second.settimeout(0)
    world.configure(RECOVERY, servers=[f"ldaps://127.0.0.1:{world.directory.tls_port}",
                                       f"ldaps://127.0.0.1:{second.getsockname()[1]}"])
    world.password.write_text("wrong\n")
    try:
        kept(world, why="Invalid credentials")
        with pytest.raises(BlockingIOError):
            second.accept()
        world.password.write_text("\n")
        kept(world, why="directory.password holds no password")
    finally:
        world.password.write_text(READER_PASSWORD + "\n")
        second.close()


def test_nothing_is_said_in_the_clear(world):
    """A server without TLS hears the wish for it and no password."""
    listener, heard = socket.create_server(("127.0.0.1", 0)), bytearray()

    def serve():
        connection, _ = listener.accept()
        with connection:
            heard.extend(connection.recv(65536))
            # unsolicited or not: "protocolError" is no TLS
            connection.sendall(bytes.fromhex("300c02010178070a010204000400"))
            connection.settimeout(20)
            while data := connection.recv(65536):
                heard.extend(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    world.configure(RECOVERY, servers=[f"ldap://127.0.0.1:{listener.getsockname()[1]}"])
    kept(world, why="Protocol error")
    thread.join(30)
    listener.close()
    assert b"1.3.6.1.4.1.1466.20037" in heard and READER_PASSWORD.encode() not in heard and b"cn=sallyport" not in heard


def test_a_directory_that_is_down_or_silent_leaves_the_lists(world):
    world.configure(RECOVERY, timeout="1s")
    world.directory.hold()
    try:
        began = time.monotonic()
        kept(world, why="its 1 lists stay as they are")
        assert time.monotonic() - began < 30
    finally:
        world.directory.go_on()
    world.directory.stop()
    try:
        kept(world, why="its 1 lists stay as they are")
        kept(world, "hospital", why="its 1 lists stay as they are")
    finally:
        world.directory.start()


def test_answers_come_in_pages_and_whole(world, tmp_path):
    with open_folder("sp-ldap-") as folder:
        many = Directory(pathlib.Path(folder) / "ldap", world.leaf, total=25)
        try:
            many.add(*(person(f"p{i:02}", f"p{i:02}@tenant.test", employeeType="nurse" if i < 24 else "doctor")
                       for i in range(30)),
                     group("all", *(person_dn(f"p{i:02}") for i in range(30))))
            servers = [f"ldaps://127.0.0.1:{many.tls_port}"]
            world.configure([{"name": "nurses-on-duty", "filter": "(employeeType=nurse)"}], servers=servers, page=7)
            done = world.refresh()
            assert done.returncode == 0, done.stdout
            assert world.members("nurses-on-duty") == [f"p{i:02}@tenant.test" for i in range(24)]
            before = (world.lists / "nurses-on-duty.txt").read_bytes()
            # the server gives 25 and no more: half of an answer is none
            world.configure([{"name": "nurses-on-duty", "filter": "(uid=p*)"}, {"name": "all", "group": group_dn("all")}],
                            servers=servers)
            done = world.refresh()
            assert done.returncode == 1
            assert "nurses-on-duty: stays as it is: the search did not come to its end" in done.stdout, done.stdout
            assert (world.lists / "nurses-on-duty.txt").read_bytes() == before
            assert len(world.members("all")) == 30
        finally:
            many.stop()


@pytest.mark.parametrize("text, why", [
    ("{}", "servers"), ("rubbish", "hospital.json"),
    ('{"servers": ["ldap:x"], "lists": [{"name": "a", "group": "b"}]}', "ldaps://HOST")])
def test_settings_that_are_wrong_are_told(world, text, why):
    (world.home / "directories/hospital.json").write_text(text)
    done = world.refresh()
    assert done.returncode == 2 and why in done.stderr
    assert world.say("check").returncode == 1
    world.configure(RECOVERY)
    assert world.refresh("elsewhere").returncode == 2


# ---- tables ----

def test_a_table_becomes_lists(world, tmp_path):
    table = tmp_path / "staff.csv"
    table.write_text("\ufeffName;E-Mail;Groups\r\nAnn;Ann@tenant.test;Staff|Recovery Staff\r\nBob;bob@tenant.test;Staff\r\n",
                     "utf-8")
    check = world.say("directory", "import", table, "--check")
    assert check.returncode == 0 and "recovery-staff: 1 members to be" in check.stdout
    assert not (world.lists / "recovery-staff.txt").exists()
    done = world.say("directory", "import", table, "--list", "recovery-staff")
    assert done.returncode == 0 and world.members("recovery-staff") == ["ann@tenant.test"], done.stdout
    table.write_text("address,group\nann@tenant.test,recovery-staff\nnobody,recovery-staff\n,x\n")
    wrong = world.say("directory", "import", table, "--json")
    told = [one["detail"] for one in map(json.loads, wrong.stderr.splitlines()) if one["exit"] == wrong.returncode == 2]
    assert told == [f"{table}:3: column 1 (address): no address: \"nobody\"", f"{table}:4: column 1 (address): is empty"]
    table.write_text("address\nzoe@tenant.test\n")
    lost = world.say("directory", "import", table, "--list", "recovery-staff")
    assert lost.returncode == 1 and "more than half" in lost.stdout
    forced = world.say("directory", "import", table, "--list", "recovery-staff", "--force", "--json")
    assert forced.returncode == 0 and json.loads(forced.stdout)["table"] == str(table)
    assert world.members("recovery-staff") == ["zoe@tenant.test"]
    piped = subprocess.run([world.gateway.info["program"], "directory", "import", "-", "--list", "recovery-staff", "-c",
                            world.config],
                           input="mail\nzoe@tenant.test\n", capture_output=True, text=True, timeout=60)
    assert piped.returncode == 0 and "unchanged" in piped.stdout, piped.stderr
    assert world.say("directory", "import", tmp_path / "absent.csv").returncode == 2
    assert world.say("directory", "import", table, "--list", "Not A Name").returncode == 2


def test_an_empty_cell_takes_nobody_out_of_a_list(world, tmp_path):
    table, people = tmp_path / "staff.csv", [f"{name}@tenant.test" for name in "abcd"]
    table.write_text("address,group\n" + "".join(f"{p},clinic\n" for p in people) + "boss@tenant.test,\n")
    first = world.say("directory", "import", table)  # whoever was in no list loses none
    assert first.returncode == 0 and "1 of 5 rows are in no list" in first.stdout, first.stdout
    table.write_text(table.read_text().replace("c@tenant.test,clinic", "c@tenant.test,"))
    for words in ((), ("--check",), ("--list", "clinic")):
        lost = world.say("directory", "import", table, *words)
        assert lost.returncode == 1, lost.stdout
        assert "clinic: stays as it is: members of it stand in the table without a group (4 now, 1 would go" in lost.stdout
        assert world.members("clinic") == people
    assert world.say("directory", "import", table, "--force").returncode == 0
    assert world.members("clinic") == ["a@tenant.test", "b@tenant.test", "d@tenant.test"]
    table.write_text("address,group\na@tenant.test,clinic\nb@tenant.test,clinic\nd@tenant.test,elsewhere\n")
    moved = world.say("directory", "import", table)  # to another group
    assert moved.returncode == 0 and "clinic: 2 members, 0 added, 1 gone" in moved.stdout, moved.stdout


def test_two_at_once_exclude_each_other(world):
    world.configure(RECOVERY)
    world.refresh()
    reader = os.open(world.lists, os.O_RDONLY)
    fcntl.flock(reader, fcntl.LOCK_EX)  # whoever may read it can do that, and keeps nobody out
    assert "at work" not in world.refresh().stdout and (world.lists / "recovery.txt").exists()
    os.close(reader)
    held = os.open(world.lists / ".history/lock", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        kept(world, why="another import or refresh is at work")
    finally:
        os.close(held)
