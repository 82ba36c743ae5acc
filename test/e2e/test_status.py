"""`sallyport status` as a watchman asks it: the exit code says whether something is wrong, and JSON what and where."""
import json
import signal

from lab.wait import until
from test_refused_reload import gateway, refuse, reload  # noqa: F401 (a fixture)


def look(gateway):  # noqa: F811
    """(exit code, what is wrong); what is said of it on standard error is the same, with and without JSON."""
    done = gateway.run("status", "--json", check=False)
    answer = json.loads(done.stdout)
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(one["error"], one["detail"], one["exit"]) for one in told] == \
        [(one["what"], one["detail"], one["exit"]) for one in answer["wrong"]], done
    codes = {one["exit"] for one in answer["wrong"]}
    assert done.returncode == (75 if 75 in codes else 1 if codes else 0), done
    return done.returncode, answer["wrong"]


def test_all_is_well(gateway):  # noqa: F811
    until(lambda: look(gateway) == (0, []))
    until(lambda: gateway.run("status", check=False).stderr == "")
    gateway.run("queue", "drain", "--reason", "a new disk")
    until(lambda: look(gateway) == (0, []), what="somebody ordered that")


def test_a_relay_that_hangs_is_named(gateway):  # noqa: F811
    until(lambda: look(gateway) == (0, []))
    hung = gateway.pids("relay")[0]
    gateway.jitter.kill(hung, signal.SIGSTOP)
    try:
        code, wrong = look(gateway)
        plain = gateway.run("status", check=False)
    finally:
        gateway.jitter.kill(hung, signal.SIGCONT)
    [silent] = wrong
    assert code == silent["exit"] == 75 and silent["what"] == "silent" and silent["relay"] in (0, 1)
    assert plain.returncode == 75 and plain.stderr == f"sallyport: {silent['detail']}\n", plain
    assert len(plain.stdout.splitlines()) == 3, "the other's figures are there"
    until(lambda: look(gateway) == (0, []))


def test_a_ledger_that_hangs_is_named(gateway):  # noqa: F811
    until(lambda: look(gateway) == (0, []))
    [hung] = gateway.pids("ledger")
    gateway.jitter.kill(hung, signal.SIGSTOP)
    try:
        code, wrong = look(gateway)
    finally:
        gateway.jitter.kill(hung, signal.SIGCONT)
    [silent] = wrong
    assert code == silent["exit"] == 75 and (silent["what"], silent["role"]) == ("silent", "ledger"), wrong
    until(lambda: look(gateway) == (0, []))


def test_a_supervisor_that_hangs_is_named(gateway):  # noqa: F811
    until(lambda: look(gateway) == (0, []))
    hung = gateway.info["pid"]
    gateway.jitter.kill(hung, signal.SIGSTOP)
    try:
        until(lambda: [(one["what"], one.get("role"), one["exit"]) for one in look(gateway)[1]] == [("silent", "supervisor", 75)])
    finally:
        gateway.jitter.kill(hung, signal.SIGCONT)
    until(lambda: look(gateway) == (0, []))


def test_what_stays_until_somebody_acts_is_another_code(gateway):  # noqa: F811
    until(lambda: look(gateway) == (0, []))
    refuse(gateway)

    def refused():
        code, wrong = look(gateway)
        return code == 1 and [(one["what"], one["role"], one["index"] in (0, 1)) for one in wrong] == \
            [("configuration", "relay", True)]
    until(refused)
    assert "refused the configuration on the disk at" in gateway.run("status").stderr
    gateway.file.write_text(gateway.good)
    reload(gateway)
    until(lambda: look(gateway) == (0, []))


def test_relays_that_are_gone_are_named(gateway):  # noqa: F811
    until(lambda: look(gateway) == (0, []))
    supervisor = gateway.info["pid"]
    gateway.jitter.kill(supervisor, signal.SIGSTOP)  # nobody is started anew
    try:
        gateway.kill("relay")
        until(lambda: {(one["what"], one.get("relay")) for one in look(gateway)[1] if one.get("role") != "supervisor"} ==
              {("silent", 0), ("silent", 1)})
        assert gateway.run("status", check=False).returncode == 75
    finally:
        gateway.jitter.kill(supervisor, signal.SIGCONT)
    until(lambda: look(gateway) == (0, []))
