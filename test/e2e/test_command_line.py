"""Every command that the help names: what goes wrong is told as JSON with --json, and options are read alike by all."""
import itertools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading

import pytest

from lab.wait import until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "bin/sallyport"
MANUAL = (ROOT / "docs/sallyport.8").read_text()

# What stands for a value in a synopsis; a file is one that is not there.
VALUES = {
    "MESSAGE": "01M80NF8T465DCBEPD7YD4N9T9", "MESSAGE-ID": "<a@b.example>", "TEXT": "because of it", "N,N": "0,1", "N": "3",
    "TIME": "2036-11-23T15:04:05Z", "NAME": "clinic", "DOMAIN": "example.net", "ADDRESS": "ann@example.net", "ID": "00ff00ff00ff",
    "LEVEL": "plain", "DATE": "2026-11-22", "YYYY-MM-DD": "2026-11-22", "WHO-AND-HOW": "by phone", "DURATION": "1s",
    "HOST:PORT": "127.0.0.1:1", "VERSION": "0123456789abcdef", "PSEUDONYM": "p:00ff00ff", "N%": "10%", "TENANT": "clinic",
    "GUID": "00000000-0000-0000-0000-000000000000", "'NAME: VALUE'": "X-A: b", "NAME=VALUE": "subject=x", "CLASS": "phi",
    "WORD": "plain", "RESULT": "good", "KIND": "none", "BYTES": "1000", "DAYS": "3", "PATH": "none.sock", "DIR": "none",
    "PATIENTS.csv": "none.csv", "DETECTION.json": "none.json", "FILE.csv": "none.csv", "FILE.test.json": "none.test.json",
    "FILE": "none.json", "DRAFT": "none.json", "sallyport.json": "none.json"}
OF_FILES = {"queue check", "queue repair", "queue backup", "queue restore", "keys rotate", "audit verify", "keys import"}
OF_GATEWAY = {"queue", "trace", "keys", "posture", "suppression", "probe", "tlsrpt", "audit", "status"}
WITHOUT_SETTINGS = {"detect", "detect index", "settings", "policy check", "policy test", "policy describe", "policy list",
                    "policy diff", "policy format"}


def run(*words, folder=None, before=()):
    return subprocess.run([*before, PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=120, cwd=folder,
                          stdin=subprocess.DEVNULL)


def test_a_command_leaves_no_core(tmp_path):
    """What it reads, keys and mail, lies in its memory: not even a program that cores are piped to gets it."""
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(["bash", "-c", 'ulimit -c unlimited; exec "$@"', "-", PROGRAM, "detect", "-"], stdin=reader,
                                   cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        name = pathlib.Path(f"/proc/{process.pid}/comm")
        until(lambda: name.read_text().strip() == "cli-detect")
        limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
        said = re.search(r"Max core file size +([01]) +([01]) ", limits)  # of its own accord ASan makes it 0 and 1
        assert said and (said[1] == said[2] or "asan" in os.environ["SALLYPORT_PRESET"]), limits
    finally:
        os.close(writer)
        os.close(reader)
        process.wait(60)


def helped(*words):
    done = run(*words, "--help")
    assert done.returncode == 0 and done.stderr == "", (words, done)
    return done.stdout


def synopses(text):
    """The lines of a usage, with those that go on with them."""
    lines = []
    for line in text.splitlines():
        begins = re.match(r"(?:usage:)?\s+(?:sallyport )(.*)|usage: sallyport (.*)", line)
        if begins:
            lines.append(begins[1] or begins[2])
        elif lines and line.startswith("        ") and line.strip().startswith(("[", "-")):
            lines[-1] += " " + line.strip()
        elif lines:
            break
    return [line for line in lines if not line.endswith(" --help")]


class Command:
    def __init__(self, words, synopsis):
        self.words = words
        self.rest = synopsis
        self.synopsis = rest = synopsis.replace("|--", " | --")
        self.options = re.findall(r"(?<![\w-])(--?[a-z0-9][a-z0-9-]*)(?: ((?!--)'[^']*'|[A-Za-z][\w.:%,|=-]*))?", rest)
        while "[" in rest:
            rest = re.sub(r"\s*\[[^\[\]]*\](\.\.\.)?", "", rest)
        rest = re.sub(r" ?\| ?--[a-z0-9-]+( [A-Z]+)?", "", rest).replace("...", "")
        self.needed = [VALUES.get(word.split("|")[0], word.split("|")[0]) for word in rest.split()]

    def __str__(self):
        return " ".join(self.words)

    def usage_code(self):
        """As the manual has it."""
        return 2 if self.words[0] in ("check", "policy", "preference", "explain", "settings", "tenant", "dkim", "providers",
                                      "directory") and self.words[1:] not in (["approve"], ["proposals"]) else 64


def commands():
    rows = re.findall(r"^  ([a-z]+) (\S+) ", helped(), re.M)
    found = {}
    for first, second in rows:
        if first == "serve":
            continue
        lines = synopses(helped(first) if second == "..." else helped(first, second))
        assert any(line.split()[0] == first for line in lines), (first, second, lines)
        for line in lines:
            names = list(itertools.takewhile(lambda word: re.fullmatch(r"[a-z|]+", word), line.split()))
            rest = line.split(" ", len(names))[len(names):]
            for words in itertools.product(*(name.split("|") for name in names)):
                found.setdefault((words, rest[0] if rest else ""), Command(list(words), rest[0] if rest else ""))
    for (first, second), words in itertools.product(rows, [{c.words[0] for c in found.values()}]):
        assert first == "serve" or first in words, (first, second)
    return list(found.values())


COMMANDS = commands()


def refusals(done, code=None):
    """What was said on standard error, each line an object; the process ended with what one of them says."""
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(set(one) == {"error", "detail", "exit"} and one["error"] and one["detail"] for one in told), done
    assert done.returncode in {one["exit"] for one in told} - {0}, done
    assert code is None or done.returncode == code, done
    return told


def answers(done):
    """Standard output holds an answer or nothing; where that says what is wrong, nothing else must."""
    if done.stdout:
        try:
            json.loads(done.stdout)
        except ValueError:
            assert all(json.loads(line) for line in done.stdout.splitlines()), done


def test_the_help_names_every_command():
    assert len(COMMANDS) > 70
    for words in (("queue", "check"), ("keys", "rotate"), ("audit", "verify"), ("tenant", "check"), ("policy", "approve"),
                  ("detect", "index"), ("trace",), ("upgrade",)):
        assert words in {tuple(c.words) for c in COMMANDS}, words


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_wrong_arguments_are_refused_alike(command, tmp_path):
    words = [*command.words, *command.needed]
    for wrong in ("--no-such-option=x", "-Z", "--json=yes"):
        done = run(*words, wrong, "--json", folder=tmp_path)
        told = refusals(done, command.usage_code())
        assert done.stdout == "" and told[-1]["error"] == "usage" and told[-1]["detail"].startswith(wrong), done
    for option in {name for name, value in command.options if value}:
        done = run(*words, "--json", option, folder=tmp_path)
        assert f"{option}: wants a value" in refusals(done, command.usage_code())[-1]["detail"], done
    if command.needed:
        done = run(*command.words, "--json", folder=tmp_path)
        assert refusals(done, command.usage_code())[-1]["error"] == "usage" and done.stdout == "", done


def config_of(command):
    return () if str(command) in WITHOUT_SETTINGS else ("--config", "none/sallyport.json")


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_what_is_not_there_is_told_as_json(command, tmp_path):
    done = run(*command.words, *command.needed, *config_of(command), "--json", folder=tmp_path)
    answers(done)
    if str(command) == "settings" or (command.words == ["detect"] and "--lines" in command.needed):
        assert done.returncode == 0 and done.stderr == "", done  # it reads the standard input
    elif done.stdout:
        for line in done.stderr.splitlines():
            assert json.loads(line)["exit"] in (0, done.returncode), done
        assert done.returncode == 1, done
    else:
        assert "none" in refusals(done)[-1]["detail"], done


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_value_may_stand_behind_a_sign(command, tmp_path):
    words = [*command.words, *command.needed, *config_of(command)]
    for option, value in command.options:
        if not option.startswith("--") or not value:
            continue
        value = VALUES.get(value.split("|")[0], value.split("|")[0])
        apart, joined = (run(*words, *form, folder=tmp_path) for form in ((option, value), (f"{option}={value}",)))
        assert (apart.returncode, apart.stdout, apart.stderr) == (joined.returncode, joined.stdout, joined.stderr), joined
        assert "no option" not in joined.stderr and "no such option" not in joined.stderr, joined


@pytest.fixture
def home(tmp_path):
    """Settings of a gateway that does not run, with a tenant, a policy and a draft."""
    for name in ("tenants", "keys", "state"):
        (tmp_path / name).mkdir()
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    (tmp_path / "keys/master.key").write_bytes(os.urandom(32))
    (tmp_path / "sallyport.json").write_text(json.dumps({
        "node": "gw1", "hostname": "gw1.example.org", "policy": "policies/hipaa-default.json",
        "state_dir": str(tmp_path / "state"), "listen": [{"address": "127.0.0.1:0", "tls": "none"}],
        "resolver": {"servers": ["127.0.0.1:1"], "timeout": "1s"}}))
    (tmp_path / "tenants/clinic.json").write_text(json.dumps({
        "tenant": "clinic", "domains": ["clinic.test"], "proofs": {"networks": ["127.0.0.0/8"]}}))
    return tmp_path


def test_no_gateway_is_told_as_json(home):
    of_gateway = [c for c in COMMANDS if c.words[0] in OF_GATEWAY and str(c) not in OF_FILES]
    assert len(of_gateway) > 30
    for command in of_gateway:
        done = run(*command.words, *command.needed, "--config", home / "sallyport.json", "--json", folder=home)
        if "FILTERS" not in command.needed:
            assert refusals(done, 69)[-1]["error"] == "absent" and done.stdout == "", done
    for words, code in ((("policy", "report"), 2), (("policy", "replay", "--days", "3"), 2),
                        (("policy", "replay", "--message", "01M80NF8T465DCBEPD7YD4N9T9"), 2), (("policy", "proposals"), 69),
                        (("policy", "approve", "0123456789abcdef", "--reason", "looked at"), 69),
                        (("preference", "remove", "a@b.example", "--own", "--reason", "by phone"), 1),
                        (("upgrade",), 66)):
        done = run(*words, "--config", home / "sallyport.json", "--json", folder=home)
        told = refusals(done, code)
        assert done.stdout == "" and told[0]["error"] in ("absent", "input"), done
        plain = run(*words, "--config", home / "sallyport.json", folder=home)
        assert plain.returncode == code and plain.stdout == "" and "{" not in plain.stderr and plain.stderr, plain


def test_a_wrong_key_is_told_as_json(home):
    (home / "state/spool/0").mkdir(parents=True)
    (home / "keys/master.key").write_bytes(b"short")
    for words in (("queue", "check"), ("queue", "repair"), ("queue", "backup", home / "copy"),
                  ("queue", "restore", home / "copy"), ("keys", "rotate")):
        done = run(*words, "--config", home / "sallyport.json", "--json")
        assert "master key" in refusals(done, 66)[-1]["detail"] and done.stdout == "", done
    (home / "none.key").write_text("no key")
    (home / "none.jsonl").write_text("{}\n")
    done = run("audit", "verify", home / "none.jsonl", "--key", home / "none.key", "--json")
    assert refusals(done, 3)[-1]["error"] == "key", done
    (home / "keys/dkim.key").write_text("no key")
    settings = json.loads((home / "sallyport.json").read_text())
    (home / "sallyport.json").write_text(json.dumps({**settings, "sealer": {"dkim_key": "keys/dkim.key"}}))
    (home / "tenants/clinic.json").write_text(json.dumps({
        "tenant": "clinic", "domains": ["clinic.test"], "proofs": {"networks": ["127.0.0.0/8"]},
        "dkim": {"domain": "clinic.test", "selector": "gw1"}}))
    for words in (("dkim", "keygen"), ("dkim", "dns")):
        done = run(*words, "--config", home / "sallyport.json", "--json")
        assert "dkim.key" in refusals(done, 1)[-1]["detail"], done


def test_settings_that_may_not_be_read_are_told_as_json(home):
    """Root without its capabilities is anybody to a file of somebody else's."""
    (home / "sallyport.json").chmod(0)
    plain = ()
    if os.geteuid() == 0:
        os.chown(home / "sallyport.json", 65534, 65534)
        plain = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    for command in COMMANDS:
        if not config_of(command) or command.needed:
            continue
        done = run(*command.words, "--config", home / "sallyport.json", "--json", before=plain)
        answers(done)
        assert done.returncode in (1, 2, 66), done
        if not done.stdout:
            assert "Permission denied" in refusals(done)[-1]["detail"], done
        elif done.stderr:
            refusals(done)


COMMON = {"-c", "--config", "--json", "--socket", "-o", "--output"}


def of_manual():
    """What the manual's synopsis has: the words of a command to its options."""
    synopsis = MANUAL.split(".Sh SYNOPSIS\n")[1].split(".Sh DESCRIPTION")[0]
    found = {}
    for block in re.split(r"^\.Nm\n", synopsis, flags=re.M)[1:]:
        lines = block.splitlines()
        if not lines[0].startswith(".Cm "):
            continue
        names = []
        for word in lines[0].split()[1:]:
            if word == "Ar":
                break
            if names and names[-1][-1] == "|":
                names[-1] = [*names[-1][:-1], word]
            elif word == "|":
                names[-1].append("|")
            else:
                names.append([word])
        options = {f"-{name}" for name in re.findall(r"\bFl (-?[a-z][a-z0-9-]*)", block)}
        if "Ar filters" in block or "| filters" in block:
            options.add("FILTERS")
        for words in itertools.product(*names):
            found[words] = found.get(words, set()) | options
    return found


def test_the_manual_has_every_command_and_option():
    manual, helps = of_manual(), {}
    for command in COMMANDS:
        options = {name for name, _ in command.options} | ({"FILTERS"} if "FILTERS" in command.synopsis else set())
        helps[tuple(command.words)] = helps.get(tuple(command.words), set()) | options
    manual["policy", "explain"] = manual["explain",]  # another name of it
    assert set(helps) == set(manual) - {("serve",)}
    for words, options in helps.items():
        assert options - COMMON == manual[words] - COMMON, words


def test_the_last_of_many_options_is_looked_at_like_the_first(home):
    act = ("queue", "delete", VALUES["MESSAGE"], "--reason", "because of it", "--config", home / "sallyport.json")
    for wrong in (("--by", "site"), ("--now",), ("--until=2036-11-23T15:04:05Z",)):
        done = run(*act, *["--json"] * 50, *wrong)
        assert f'{wrong[0].split("=")[0]}: no option of queue delete' in refusals(done, 64)[-1]["detail"], done
    for words in (("status", "--limit", "3"), ("trace", "x", "--rule=y"), ("keys", "list", "--now")):
        assert refusals(run(*words, "--json"), 64)[-1]["error"] == "usage", words
    for wrong, meant in (("--stat=held", "--state"), ("--jsno", "--json"), ("--folders", None), ("--by", None)):
        told = refusals(run("queue", "list", wrong, "x", "--json"), 64)[-1]["detail"]  # --by is not of this command
        assert told.endswith(f"did you mean {meant}?") if meant else "did you mean" not in told, told
    for words, wrong in ((("set", "a@b.example", "tls", "--by", "phone"), ("--own", "--reason=x")),
                         (("remove", "a@b.example", "--reason", "moved"), ("--until=2036-11-23", "--by=x")),
                         (("list",), ("--own", "--given=2026-11-22"))):
        for option in wrong:
            done = run("preference", *words, option, "--json", "--config", home / "sallyport.json")
            assert f"{option}: no option of this command" in refusals(done, 2)[-1]["detail"], done
    many = [word for n in range(101) for word in ("--to", f"a{n}@b.example")]
    assert "--to: given too often" in refusals(run("explain", "--from", "a@b.example", *many, "--json"), 2)[-1]["detail"]


def test_publish_tells_what_is_worth_a_look_of_a_good_draft(home):
    rules = [{"rule": name, "when": {"recipient.domain": "a.example"}, "then": {"reject": "no"}} for name in ("all", "never")]
    (home / "policies/draft.json").write_text(json.dumps(
        {"version": 1, "extends": "hipaa-default", "texts": {"no": "No."}, "rules": rules}))
    (home / "policies/draft.test.json").write_text(json.dumps({"version": 1, "policy": "draft.json", "cases": [
        {"name": "x", "when": {"recipient.address": "a@a.example"}, "expect": {"rule": "all"}}]}))
    words = ("policy", "publish", home / "policies/draft.json", "--reason", "strangers are refused",
             "--config", home / "sallyport.json")
    done = run(*words, "--dry-run")
    assert done.returncode == 0 and done.stderr.count("never decides") == 1 and done.stderr.startswith("warning: "), done
    done = run(*words, "--json")
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(one["error"], one["exit"]) for one in told] == [("warning", 0)], done
    assert json.loads(done.stdout)["done"] == "published", done


def test_why_publish_refuses_is_told_as_json(home):
    (home / "policies/draft.json").write_text(json.dumps({"version": 1, "extends": "hipaa-default"}))
    (home / "policies/draft.test.json").write_text(json.dumps({"version": 1, "policy": "draft.json", "cases": [
        {"name": "x", "when": {"recipient.address": "a@a.example"}, "expect": {"rule": "all"}}]}))
    done = run("policy", "publish", home / "policies/draft.json", "--reason", "strangers", "--config", home / "sallyport.json",
               "--json")
    assert "0 passed, 1 failed" in refusals(done, 1)[-1]["detail"] and done.stdout == "", done


def test_what_is_made_is_told_as_json(home):
    config = ("--config", home / "sallyport.json", "--json")
    added = json.loads(run("tenant", "add", "lab", "--m365", "lab.test", *config).stdout)
    assert added["tenant"] == "lab" and added["secret"] and [r["name"] for r in added["dkim"]] == [
        "sallyport._domainkey.lab.test", "sallyport-ed25519._domainkey.lab.test"]
    made = [json.loads(line) for line in run("dkim", "keygen", "lab", *config).stdout.splitlines()]
    assert len(made) == 2 and not any(one["made"] for one in made), made
    (home / "own.json").write_text('{"version": 1}')
    (home / "people.csv").write_text("name,mrn\nAnn Lee,4482910\n")
    made = json.loads(run("detect", "index", home / "own.json", home / "people.csv", "--json").stdout)
    assert made == {"file": str(home / "own.index"), "names": 1, "numbers": 1, "rows": 1, "useless": 0}
    settings = json.loads(run("settings", "--json").stdout)["settings"]
    listed = {(s["list"], s["setting"]) for s in settings}
    assert {(None, "delivery.expire"), ("listen", "address")} <= listed and all(s["text"] and s["type"] for s in settings)


def test_what_is_named_in_an_answer_may_have_any_letter(home):
    settings = json.loads((home / "sallyport.json").read_text())
    (home / "sallyport.json").write_text(json.dumps({**settings, "policy": "policies/own.json"}))
    (home / "policies/own.json").write_text(json.dumps({
        "version": 1, "extends": "hipaa-default", "preferences": {"file": "preferences.json"}}))
    (home / "policies/preferences.json").write_text('{"version": 1, "preferences": []}')
    address, config = '"ann\\"lee"@example.net', ("--offline", "--json", "--config", home / "sallyport.json")
    for words in (("set", "portal", "--by", "phone"), ("remove", "--reason", "moved")):
        done = run("preference", words[0], address, *words[1:], *config)
        assert done.returncode == 0 and json.loads(done.stdout)["recipient"] == address, done


def test_a_list_that_breaks_off_is_json_and_says_so(home):
    """Of keys, whose second page the gateway does not give."""
    page = {"ok": True, "result": {"keys": [{"id": "00ff", "address": "ann@example.net"}], "next": "00ff"}, "file_len": 0}

    def answer():
        for line in (json.dumps(page), '{"ok":false,"error":"unknown","detail":"the keeper did not answer"}'):
            with listening.accept()[0] as asked:
                asked.makefile().readline()
                asked.sendall(line.encode() + b"\n")

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(home / "admin.sock"))
        listening.listen()
        listening.settimeout(60)
        gateway = threading.Thread(target=answer)
        gateway.start()
        done = run("keys", "list", "--json", "--socket", home / "admin.sock")
        gateway.join()
    assert json.loads(done.stdout) == {"complete": False, "keys": page["result"]["keys"]}, done
    assert refusals(done, 75)[-1]["error"] == "unknown"


def status_of(home, *states):
    """What `status` says where one relay is well and this is said of the roles, in turns, the last for ever. None: the connection
    is cut. Returns (what the command did, how often each was asked)."""
    left, asked = list(states), {"queue.stats": 0, "gateway.state": 0, "audit.status": 0}

    def answer(of):
        asked[of] += 1
        if of == "queue.stats":
            return {"relays": [{"relay": 0, "error": None, "says": {"accepts": "yes"}}]}
        if of == "audit.status":
            return {"records": 9}
        state = left.pop(0) if len(left) > 1 else left[0]
        return state and {"generation": 2, "refused": [], "roles": [{"role": "ledger", "index": 0, "state": state}]}

    def serve():
        while True:
            with listening.accept()[0] as one:
                question = one.makefile().readline()
                if not question:
                    return
                result = answer(json.loads(question)["command"])
                if result:
                    one.sendall(json.dumps({"ok": True, "result": result, "file_len": 0}).encode() + b"\n")

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(home / "admin.sock"))
        listening.listen()
        listening.settimeout(60)
        gateway = threading.Thread(target=serve)
        gateway.start()
        done = run("status", "--json", "--socket", home / "admin.sock")
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(home / "admin.sock"))
        gateway.join()
    return done, asked


def test_a_status_of_which_half_was_heard_is_not_well(home):
    done, asked = status_of(home, None)
    [silent] = json.loads(done.stdout)["wrong"]
    assert (silent["what"], silent["role"], silent["exit"]) == ("silent", "admin", 75), done
    assert [told["detail"] for told in refusals(done, 75)] == [silent["detail"]], done


def test_roles_that_are_ready_in_a_moment_wake_nobody(home):
    """As those that read their configuration anew."""
    def look():  # again, if this process stood still for longer than the two seconds that it asks on
        (home / "admin.sock").unlink(missing_ok=True)
        done, asked = status_of(home, "starting", "ready")
        return done.returncode == 0 and (done, asked)
    done, asked = until(look)
    assert (done.stderr, json.loads(done.stdout)["wrong"]) == ("", []), done
    assert asked == {"queue.stats": 2, "gateway.state": 2, "audit.status": 1}, "who is not ready is not asked"


def test_a_role_that_does_not_become_ready_is_told(home):
    done, asked = status_of(home, "starting")
    [role] = json.loads(done.stdout)["wrong"]
    assert (role["what"], role["role"], role["exit"]) == ("role", "ledger", 75), done
    assert [told["detail"] for told in refusals(done, 75)] == [role["detail"]], done
    assert asked["gateway.state"] > 1


def test_a_gateway_that_ends_while_it_is_asked_is_absent(home):
    relays = {"relays": [{"relay": 0, "error": None, "says": {"accepts": "yes"}}]}

    def answer():
        with listening.accept()[0] as asked:
            asked.makefile().readline()
            listening.close()
            asked.sendall(json.dumps({"ok": True, "result": relays, "file_len": 0}).encode() + b"\n")

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(home / "admin.sock"))
        listening.listen()
        listening.settimeout(60)
        gateway = threading.Thread(target=answer)
        gateway.start()
        done = run("status", "--json", "--socket", home / "admin.sock")
        gateway.join()
    assert refusals(done, 69) and done.stdout == "", done


def registry_of(home, file):
    (home / "policies/live.json").write_text(json.dumps(
        {"version": 1, "extends": "hipaa-default", "preferences": {"file": file}}))
    settings = json.loads((home / "sallyport.json").read_text())
    (home / "sallyport.json").write_text(json.dumps({**settings, "policy": "policies/live.json"}))
    return ("--offline", "--config", home / "sallyport.json", "--json")


def test_what_can_not_be_written_is_told(home):
    config = registry_of(home, "none/preferences.json")
    done = run("preference", "set", "a@c.example", "tls", "--by", "phone", *config)
    assert "none/preferences.json: can't be written" in refusals(done, 1)[-1]["detail"] and done.stdout == "", done
    done = run("preference", "set", "a@c.example", "tls", "--by", "phone" * 2000, *config)
    assert "too long" in refusals(done, 1)[-1]["detail"] and done.stdout == "", done


def test_of_two_names_for_one_thing_none_is_passed_over(home):
    done = run("check", "--config", home / "none.json", home / "sallyport.json", "--json")
    assert "one word too many" in refusals(done, 2)[-1]["detail"] and done.stdout == "", done
    assert "audit.key" in run("check", home / "sallyport.json").stderr
    for length in (200, 5000):
        done = run("status", "--socket", "s" * length, "--json")
        assert refusals(done, 69)[-1]["detail"].endswith("too long for a socket's name"), done


def test_a_full_disk_is_no_answer(home):
    config = ("-c", home / "sallyport.json")
    with open("/dev/full", "w", encoding="ascii") as full:
        for words in (("settings",), ("check", *config), ("tenant", "list", *config), ("providers", "list", "a.test", *config)):
            done = subprocess.run([PROGRAM, *map(str, words), "--json"], stdout=full, stderr=subprocess.PIPE, text=True,
                                  check=False, timeout=120)
            assert json.loads(done.stderr.splitlines()[-1])["error"] == "output" and done.returncode == 2, done


def test_serve_reads_its_arguments_as_all_do(home):
    assert helped("serve").startswith("usage: sallyport serve [-c FILE]\n")
    for wrong, why in ((("--no-such=x",), "--no-such=x: no option"), (("--confg", "x"), "did you mean --config?"),
                       (("-c",), "-c: wants a value"), (("more",), "more: one word too many"),
                       (("--try=1",), "it takes no value")):
        done = run("serve", *wrong)
        assert done.returncode == 64 and why in done.stderr and "usage: sallyport serve" in done.stderr, done
        if wrong != ("-c",):  # what follows is its value
            assert why in refusals(run("serve", *wrong, "--json"), 64)[-1]["detail"], wrong
    told = {run("serve", *form).stderr for form in (("-c", home / "none.json"), ("--config", home / "none.json"),
                                                    (f"--config={home}/none.json",))}
    assert len(told) == 1 and "none.json" in told.pop()


def test_an_option_in_the_place_of_a_value_is_the_value(home):
    """No command may take its --json out of what was said."""
    for words in (("policy", "abort"), ("preference", "remove", "a@b.example"), ("queue", "drain")):
        words = (*words, "--config", home / "none.json", "--reason", "--json")
        assert run(*words).stderr.startswith(("sallyport: ", "error: ")), words
        assert "none.json" in refusals(run(*words, "--json"))[-1]["detail"]


def to_nowhere(words, how, folder):
    """With a standard output that is full, or closed."""
    return run(*words, folder=folder, before=("/bin/sh", "-c", f'exec "$@" {how}', "sh"))


@pytest.mark.parametrize("how", [">/dev/full", ">&-"])
def test_help_that_could_not_be_written_was_not_told(how, tmp_path):
    for words in ((), ("serve",), ("check",), ("queue", "list"), ("queue", "check"), ("tenant", "check"), ("detect",),
                  ("dkim",), ("audit", "verify")):
        done = to_nowhere((*words, "--help"), how, tmp_path)
        assert done.returncode in (2, 73, 74) and "standard output: " in done.stderr, (words, done)
    assert to_nowhere(("--version",), how, tmp_path).returncode == 73


def test_what_is_printed_goes_into_no_file_that_is_opened(home):
    """A descriptor that is closed is the next file's, were it not filled."""
    said, answer = [], json.dumps({"ok": True, "result": {"relays": []}, "file_len": 0}).encode() + b"\n"

    def answers():
        listening.settimeout(60)
        with listening.accept()[0] as first, first.makefile("rb") as figures:  # it stays until all is told
            said.append(figures.readline())
            first.sendall(answer)
            with listening.accept()[0] as second, second.makefile("rb") as state:
                said.append(state.readline())
                second.sendall(answer)
                said.extend((state.read(), figures.read()))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(home / "admin.sock"))
        listening.listen()
        gateway = threading.Thread(target=answers)
        gateway.start()
        done = to_nowhere(("status", "--socket", home / "admin.sock"), ">&-", home)
        gateway.join()
    assert done.returncode == 73 and "standard output: Bad file descriptor" in done.stderr, done
    assert b"RELAY" not in b"".join(said), said


def test_a_command_that_is_none_names_the_nearest(tmp_path):
    for word, meant in (("queu", "queue"), ("satus", "status"), ("tenants", "tenant"), ("serv", "serve")):
        done = run(word, "list", folder=tmp_path)
        assert done.returncode == 64, done
        assert done.stderr == f'sallyport: there is no command "{word}"; did you mean "{meant}"?\n', done
        assert refusals(run(word, "--json"), 64)[-1]["detail"].endswith(f'did you mean "{meant}"?')
    assert "usage: sallyport COMMAND" in run("nonsense").stderr
