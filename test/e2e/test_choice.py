"""A recipient chooses in the portal how mail to come is protected: on record, counted at once, and never below a rule's floor."""
import email.message
import email.policy
import json
import os
import pathlib
import signal
import time

import pytest

from crash.board import Board
from lab.browser import Browser, Https, code_in, cookie_of, link_in, token_of
from lab.ports import open_folder
from lab.sink import Sink
from test_roles_die import children

PAT = "pat@example.net"
POLICY = {
    "version": 1,
    "settings": {"floor": "plain", "expire": "1d", "portal": {"notify_floor": "plain"}},
    "ladders": {"relay": {"rungs": ["tls:encrypted", "plain", "portal"], "floor": "plain"},
                "pickup": {"rungs": ["portal"], "floor": "sealed"}},
    "guards": [{"rule": "recipient-asks", "continue": True, "when": {"recipient.preference": ["sealed", "portal"]},
                "then": {"raise": "sealed"}}],
    "rules": [{"rule": "asked", "when": {"subject.tag": "secure"}, "then": {"protect": "pickup"}},
              {"rule": "chosen-tls", "when": {"recipient.preference": "tls", "recipient.preference_by": "recipient"},
               "then": {"protect": "relay"}}],
    "default": {"protect": "relay"}}


def send(gateway, subject, to=PAT):
    """Its id and what was decided."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "dr@tenant.test", to, subject
    message["Message-ID"] = f"<{time.time_ns()}@tenant.test>"
    message.set_content("Dear Pat, the biopsy was benign.\n")
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", [to], message.as_bytes())
    identity = gateway.message_of(message["Message-ID"])
    return identity, gateway.wait_record("message.accepted", message=identity)["decisions"][0]


def until(gateway, wanted, **named):
    """The ledger tells the relays of a choice a moment after it is on record."""
    deadline = time.monotonic() + 60
    while True:
        identity, decision = send(gateway, "hello", **named)
        if (decision["rule"], decision["floor"]) == wanted:
            return identity
        assert time.monotonic() < deadline, decision


def next_mail(sink, seen):
    deadline = time.monotonic() + 60
    while len(sink.messages) <= seen:
        assert time.monotonic() < deadline, "no mail"
        time.sleep(0.02)
    return sink.messages[seen]["data"]


@pytest.fixture
def board(monkeypatch):
    """Fault points of the gateway that this test starts."""
    with open_folder("sp-") as folder:
        made = Board(pathlib.Path(folder) / "board")
        monkeypatch.setenv("SP_FAULT_BOARD", made.path)
        yield made
        made.close()


@pytest.fixture
def house(board, gateways, tmp_path):
    """A gateway in whose portal a message waits, and the sink that has its notice."""
    (tmp_path / "policy.json").write_text(json.dumps(POLICY))
    sink = Sink()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", tmp_path / "policy.json",
                       "--workers", 1)
    assert send(gateway, "[secure] results")[1]["rule"] == "asked"
    yield gateway, sink
    sink.stop()


@pytest.fixture
def reader(house):
    """The message opened: the gateway, a client, the path and the session's cookie."""
    gateway, sink = house
    https = Https(gateway)
    asked = https.ask("POST", "/code", {"token": token_of(link_in(next_mail(sink, 0)))})
    opened = https.ask("POST", "/open", {"code": code_in(next_mail(sink, 1))}, cookie_of(asked))
    return gateway, https, opened.getheader("Location"), cookie_of(opened)


def test_what_is_chosen_counts_until_it_is_taken_back(reader):
    gateway, https, path, cookie = reader
    assert send(gateway, "hello")[1]["rule"] == "default"
    assert b'href="' + path.encode() + b'/choice"' in https.ask("GET", path, cookie=cookie).content
    assert https.ask("POST", path + "/choice", {"choice": "portal"}).status == 403  # nobody's but the reader's
    assert https.ask("POST", path + "/choice", {"choice": "plain"}, cookie).status == 400
    saved = https.ask("POST", path + "/choice", {"choice": "portal"}, cookie)
    assert saved.status == 303
    page = https.ask("GET", saved.getheader("Location"), cookie=cookie).content
    assert b'value="portal" checked' in page and b"It holds until" in page  # as the ledger has it on record
    told = gateway.wait_record("preference.changed", change="set")
    assert told["recipient"] == PAT and told["source"] == "recipient" and told["entry"]["preference"] == "portal"
    assert told["actor"]["type"] == "recipient" and told["actor"]["auth"] == "code" and told["entry"]["until"] > told["time"]

    # it counts, stands in the facts, and is decided again bit for bit
    identity = until(gateway, ("default", "sealed"))
    facts = json.loads(gateway.run("audit", "facts", identity).stdout)["facts"]["recipients"][0]
    assert (facts["recipient.preference"], facts["recipient.preference_by"]) == ("portal", "recipient")
    assert "0 otherwise" in gateway.run("policy", "replay", "--message", identity).stdout
    assert send(gateway, "hello", to="lee@example.net")[1]["floor"] == "plain"  # nobody else's

    # people see it
    shown = json.loads(gateway.run("preference", "show", PAT.upper(), "--json").stdout)
    assert shown["preference"] == "portal" and shown["by"] == "recipient, in the portal" and shown["tenant"] == told["tenant"]
    assert f"for mail of {told['tenant']}" in gateway.run("preference", "list").stdout
    words = ("explain", "--from", "dr@tenant.test", "--to", PAT)
    explained = gateway.run(*words, "--live").stdout
    assert "preference portal, chosen by the recipient in the portal" in explained and "floor sealed" in explained
    assert "preference" not in gateway.run(*words).stdout.split("recipient.preference")[0]

    # it outlives a restart, and the first mail behind it is decided by it
    gateway.again()
    assert send(gateway, "hello")[1]["floor"] == "sealed"
    https = Https(gateway)
    assert https.ask("POST", path + "/choice", {"choice": "none"}, cookie).status == 303
    until(gateway, ("default", "plain"))
    assert b"chosen nothing" in https.ask("GET", path + "/choice", cookie=cookie).content
    assert gateway.run("preference", "show", PAT, check=False).returncode == 1


def test_a_choice_is_no_way_below_a_rules_floor_and_the_house_can_take_it_out(reader):
    gateway, https, path, cookie = reader
    assert https.ask("POST", path + "/choice", {"choice": "tls"}, cookie).status == 303
    until(gateway, ("chosen-tls", "plain"))
    assert send(gateway, "[secure] more")[1]["floor"] == "sealed"  # the sender's wish and the rule's floor stand
    assert gateway.run("preference", "remove", PAT, "--own", check=False).returncode == 2  # not without a reason
    gateway.run("preference", "remove", PAT, "--own", "--reason", "mailbox was taken over")
    gone = gateway.wait_record("preference.changed", change="removed")
    assert gone["reason"] == "mailbox was taken over" and gone["actor"]["id"].startswith("uid:") and gone["source"] == "recipient"
    until(gateway, ("default", "plain"))
    assert gateway.run("preference", "remove", PAT, "--own", "--reason", "again", check=False).returncode != 0


def test_a_person_chooses_in_a_browser(house):
    gateway, sink = house
    browser = Browser()
    try:
        browser.open(link_in(next_mail(sink, 0)))
        browser.submit("form button")
        browser.find("#code").send_keys(code_in(next_mail(sink, 1)))
        browser.submit("form button")
        browser.submit("#choice")
        assert browser.find("#none").is_selected() and "chosen nothing" in browser.find("#now").text
        browser.find("label[for=sealed]").click()  # the words are as good as the button
        browser.submit("form button")
        assert browser.find("#sealed").is_selected() and "my own key" in browser.find("#now").text
        assert len(browser.find_all("fieldset legend")) == 1 and len(browser.find_all("input[aria-describedby]")) == 4
    finally:
        browser.quit()
    assert gateway.wait_record("preference.changed", change="set")["entry"]["preference"] == "sealed"


def test_a_choice_outlives_a_ledger_that_dies_again_and_again(reader):
    gateway, https, path, cookie = reader
    assert https.ask("POST", path + "/choice", {"choice": "portal"}, cookie).status == 303
    until(gateway, ("default", "sealed"))
    for _ in range(3):
        for ledger in children(gateway.info["pid"])["ledger"]:
            os.kill(ledger, signal.SIGKILL)
        assert send(gateway, "hello")[1]["floor"] == "sealed"  # the relay's memory stays, and the list comes anew
    assert https.ask("POST", path + "/choice", {"choice": "none"}, cookie).status == 303
    until(gateway, ("default", "plain"))


def test_facts_that_cannot_be_given_now_are_not_called_unknown(house, board):
    gateway, _ = house
    if not board.users():
        pytest.skip("not a test build")
    identity = send(gateway, "[secure] more results")[0]
    gateway.wait_record("message.accepted", message=identity)
    board.arm("ledger:ledger.facts-write", 1)
    failed = gateway.run("audit", "facts", identity, check=False)
    assert board.struck() and failed.returncode != 0 and "can't be given now" in failed.stderr, failed.stderr
    assert json.loads(gateway.run("audit", "facts", identity).stdout)["facts"]
    unknown = gateway.run("audit", "facts", identity[:-4] + "0000", check=False)
    assert unknown.returncode != 0 and "no facts of it are kept" in unknown.stderr, unknown.stderr


def test_a_relay_that_missed_a_choice_asks_for_all_of_them(reader, board):
    gateway, https, path, cookie = reader
    if not board.users():
        pytest.skip("not a test build")
    board.arm("relay:relay.wish-told", 1)
    assert https.ask("POST", path + "/choice", {"choice": "portal"}, cookie).status == 303
    until(gateway, ("default", "sealed"))  # some seconds later
    assert board.struck()
