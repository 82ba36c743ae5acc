"""A configuration that a role refuses: all go on with the one before, also who dies meanwhile, and the administrator sees why."""
import json
import os
import pathlib
import signal

import pytest

from lab import mail
from lab.wait import until
from test_metrics import PLAIN, figures

WRONG = '{"version": 1, "settings": {"floor": "plain"}, "defaults": {}}'


@pytest.fixture
def gateway(gateways, sinks):
    gateway = gateways("--plain-listener", "--workers", 2, "--next-hop", f"127.0.0.1:{sinks().port}", "--policy", PLAIN)
    gateway.file = pathlib.Path(gateway.info["policy"])
    gateway.good = gateway.file.read_text()
    return gateway


def said(gateway, event, **fields):
    lines = [json.loads(line) for line in gateway.log.splitlines() if f'"{event}"' in line and line.endswith("}")]
    return [line for line in lines if all(line.get(k) == v for k, v in fields.items())]


def refuse(gateway, returned=1):
    gateway.file.write_text(WRONG)
    os.kill(gateway.info["pid"], signal.SIGHUP)
    until(lambda: len(said(gateway, "supervisor.returned")) == returned, what=lambda: gateway.log[-3000:])
    return said(gateway, "supervisor.returned")[-1]


def reload(gateway):
    """Whose files are as they were is not started anew for it: no record tells."""
    before = len(said(gateway, "supervisor.accepted"))
    os.kill(gateway.info["pid"], signal.SIGHUP)
    until(lambda: len(said(gateway, "supervisor.accepted")) > before, what=lambda: gateway.log[-3000:])


def passes(gateway):
    message, message_id = mail.make("Hello", ["b@example.net"])

    def taken():
        try:
            with gateway.client(tls=False) as client:
                return client.sendmail("a@tenant.test", ["b@example.net"], message) == {}
        except OSError:  # its relay has just been killed
            return False
    until(taken, what=lambda: gateway.log[-3000:])
    settled = gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    assert [r["final"] for r in settled["recipients"]] == ["delivered"]


def has(gateway, **wanted):
    """Whether the configuration that runs is so, in every process."""
    now = gateway.json("status").get("configuration")  # not while it is being written
    return (now and all(now[k] == v for k, v in wanted.items()) and now["accepted"] and
            all(r["generation"] == now["generation"] and r["state"] == "ready" for r in now["roles"]) and now)


def test_relays_that_die_after_a_refused_reload_go_on_with_the_policy_before(gateway):
    until(lambda: has(gateway, generation=1, newest=1, refused=[]))
    assert "configuration" not in gateway.run("status").stdout
    assert refuse(gateway)["refused"] == 2
    refused = gateway.wait_record("config.refused", generation=2)  # a relay that is killed first says nothing
    for _ in range(2):
        gateway.restart("relay")
        passes(gateway)
    gateway.restart("ledger")
    passes(gateway)
    now = until(lambda: has(gateway, generation=1, newest=2))
    [told] = now["refused"]
    assert (told["what"], told["role"], told["generation"]) == ("configuration", "relay", 2)
    assert (refused["role"], refused["reason"]) == ("relay", told["why"])
    assert "policies/policy.json" in told["detail"] and "defaults" in told["detail"]
    text = gateway.run("status").stdout
    assert "was refused at" in text and "policies/policy.json" in text and "Number 1 runs" in text
    page = figures(gateway)
    assert (page["sallyport_configuration_refused"], page["sallyport_configuration_newest"]) == (1, 2)
    assert page['sallyport_configuration{role="relay",index="1"}'] == 1
    # nobody was started anew for it: the audit knows of no policy that did not take effect
    assert {r["generation"] for r in gateway.records() if r["event"] == "audit.started"} == {1}
    assert not said(gateway, "role.failed")
    upgrade = gateway.run("upgrade", check=False)
    assert upgrade.returncode == 1 and "mend it and reload first" in gateway.log
    gateway.file.write_text(gateway.good)
    reload(gateway)
    until(lambda: has(gateway, generation=3, newest=3, refused=[]))
    assert figures(gateway)["sallyport_configuration_refused"] == 0
    assert "was refused" not in gateway.run("status").stdout
    gateway.restart("relay")
    passes(gateway)


def test_files_that_are_no_configuration_are_told_too(gateway):
    config = pathlib.Path(gateway.info["config"])
    good = config.read_text()
    config.write_text(good.replace('"hostname"', '"hostnam"'))
    os.kill(gateway.info["pid"], signal.SIGHUP)
    socket = gateway.folder / "state/admin/admin.sock"  # what it is called, those files don't tell now
    [refused] = until(lambda: gateway.json("status", "--socket", socket)["configuration"]["refused"])
    assert refused["role"] == "supervisor" and "generation" not in refused and "hostname" in refused["detail"]
    config.write_text(good)
    reload(gateway)
    until(lambda: has(gateway, generation=2, refused=[]))


@pytest.mark.parametrize("whose", ["policies/policy.json", "detection/tenant.json"])
def test_keys_that_came_with_a_refused_configuration_are_kept(gateway, whose):
    """A relay may have rewritten its shard under them (it has, if only a scanner refuses the rest): who starts must have them."""
    until(lambda: has(gateway, generation=1))
    passes(gateway)
    wrong = pathlib.Path(gateway.info["config"]).parent / whose
    wrong.parent.mkdir(exist_ok=True)
    wrong.write_text(WRONG)
    assert "kek-1 is destroyed" in gateway.run("keys", "rotate").stdout
    until(lambda: said(gateway, "supervisor.returned"), what=lambda: gateway.log[-3000:])
    assert said(gateway, "supervisor.reload-refused", role="relay" if "policy" in whose else "scanner")
    gateway.restart("relay")
    passes(gateway)
    gateway.file.write_text(gateway.good)
    if "policy" not in whose:
        wrong.unlink()
    reload(gateway)
    gateway.restart("relay")
    passes(gateway)
