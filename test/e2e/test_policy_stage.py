"""A draft's way to the live policy: in shadow, for a share of the mail, with a second person's approval; and the reports."""
import json
import os
import pathlib
import subprocess
import threading
import time

import pytest

from lab import mail
from lab.sink import Sink
from lab.synced import syncs
from lab.wait import until

LIVE = {
    "version": 1,
    "settings": {"floor": "plain", "expire": "1d", "dkim_selector": "gw1", "portal": {"notify_floor": "plain"}},
    "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"},
                "pickup": {"rungs": ["portal"], "floor": "sealed"}},
    "rules": [{"rule": "office", "when": {"recipient.address": "office@example.net"}, "then": {"protect": "relay"}}],
    "default": {"protect": "relay"}}
DRAFT = {**LIVE, "rules": [
    {"rule": "severe", "when": {"phi.class": "severe"}, "then": {"protect": "pickup"}},
    {"rule": "strangers", "when": {"recipient.domain": "example.net"}, "then": {"protect": "pickup"}}]}
TESTS = {"version": 1, "policy": "draft.json", "given": {"sender.address": "dr@tenant.test"},
         "cases": [{"name": "a stranger", "when": {"recipient.address": "a@example.net"}, "expect": {"rule": "strangers"}}]}


def gateway_with(start, folder, **settings):
    policy = folder / "policy.json"
    policy.write_text(json.dumps(LIVE))
    sink = Sink()
    gateway = start("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", policy)
    if settings:
        gateway.again(**settings)
    home = pathlib.Path(gateway.info["config"]).parent / "policies"
    (home / "draft.json").write_text(json.dumps(DRAFT))
    (home / "draft.test.json").write_text(json.dumps(TESTS))
    return gateway, sink, home


def submit(gateway, to="a@example.net"):
    message, message_id = mail.make("Dear Pat\r\n", [to])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", [to], message)
    return message, gateway.wait_record("message.accepted", message=gateway.message_of(message_id))


def submit_until(gateway, holds):
    """Relays take a new generation one by one: mail is sent until one of them shows it."""
    deadline = time.monotonic() + 60
    while True:
        _, accepted = submit(gateway)
        if holds(accepted):
            return accepted
        assert time.monotonic() < deadline, accepted


@pytest.fixture(scope="module")
def staged(module_gateways, tmp_path_factory):
    gateway, sink, home = gateway_with(module_gateways, tmp_path_factory.mktemp("stage"))
    yield gateway, sink, home
    sink.stop()


def test_a_draft_goes_from_shadow_to_a_share_to_all(staged):
    gateway, _, home = staged
    words = ("policy", "publish", str(home / "draft.json"), "--reason", "strangers get the portal", "--stage")
    assert gateway.run(*words, "0%", check=False).returncode == 2
    live = gateway.json("policy", "status")["live"]
    assert "beside" in gateway.run(*words, "shadow").stdout
    status = gateway.json("policy", "status")
    assert status["live"] == live and status["staged"]["mode"] == "shadow" and status["asked"]
    draft = status["staged"]["after"]
    gateway.reload()
    told = gateway.wait_record("policy.staged", mode="shadow")
    assert told["version"] == {"live": live, "draft": draft} and told["reason"] == "strangers get the portal"

    accepted = submit_until(gateway, lambda a: "stage" in a)  # the live one decides, the draft is on record
    assert accepted["policy"] == live and accepted["decisions"][0]["rule"] == "default"
    assert accepted["stage"] == {"decided_by": "live", "other": draft, "otherwise": 1, "percent": 0}
    assert "0 otherwise" in gateway.run("policy", "replay", "--message", accepted["message"]).stdout
    rows = {(r["by"], r["rule"]): r for r in gateway.json("policy", "report", "--days", "1")["rows"]}
    assert rows[("draft", "strangers")]["where"] == {"portal": 1} and rows[("draft", "strangers")]["recipients"] == 1
    assert rows[("draft", "strangers")]["portals_nobody_needed"] == 1  # the draft asks what is in it: nothing
    assert rows[("live", "default")]["recipients"] >= 1 and "portal" not in rows[("live", "default")]["where"]
    assert "draft     strangers" in gateway.run("policy", "report").stdout

    gateway.run("policy", "promote", "--stage", "60%", "--reason", "shadow looks well")
    gateway.reload()
    gateway.wait_record("policy.staged", percent=60)
    submit_until(gateway, lambda a: a.get("stage", {}).get("percent") == 60)
    sides = {}
    for _ in range(24):
        message, accepted = submit(gateway)
        stage = accepted["stage"]
        assert (accepted["policy"], stage["other"]) == ((draft, live) if stage["decided_by"] == "draft" else (live, draft))
        assert accepted["decisions"][0]["rule"] == ("strangers" if stage["decided_by"] == "draft" else "default")
        sides.setdefault(stage["decided_by"], (message, accepted))
        if len(sides) == 2:
            break
    assert len(sides) == 2
    for side, (message, accepted) in sides.items():  # the same message, sent again, never flips
        for _ in range(2):
            with gateway.client(tls=False) as client:
                client.sendmail("dr@tenant.test", ["a@example.net"], message)
        deadline = time.monotonic() + 60
        while True:
            again = [r for r in gateway.records() if r["event"] == "message.accepted" and r.get("origin") == accepted["origin"]]
            if len(again) == 3:
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert {r["stage"]["decided_by"] for r in again} == {side}
    assert "0 otherwise" in gateway.run("policy", "replay", "--message", sides["draft"][1]["message"]).stdout

    gateway.run("policy", "promote", "--reason", "all of it")
    status = gateway.json("policy", "status")
    assert status["live"] == draft and status["staged"] is None and not (home / "staged.json").exists()
    gateway.reload()
    assert gateway.wait_record("policy.published")["version"] == {"before": live, "after": draft}
    gateway.wait_record("policy.unstaged")
    accepted = submit_until(gateway, lambda a: "stage" not in a)
    assert accepted["decisions"][0]["rule"] == "strangers"
    history = [json.loads(line)["event"] for line in gateway.run("policy", "history", "--json").stdout.splitlines()]
    assert history == ["policy.staged", "policy.staged", "policy.published"]


def test_a_stage_is_left_and_counts_only_for_what_was_staged(gateways, tmp_path):
    gateway, sink, home = gateway_with(gateways, tmp_path)
    live = gateway.json("policy", "status")["live"]
    assert gateway.run("policy", "promote", "--reason", "of what?", check=False).returncode == 1
    gateway.run("policy", "publish", str(home / "draft.json"), "--reason", "try this one", "--stage", "99%")
    draft = gateway.json("policy", "status")["staged"]["after"]
    (home / "staged.json").write_text(json.dumps({**DRAFT, "default": {"protect": "pickup"}}))  # not what was tested
    assert gateway.run("policy", "status", check=False).returncode == 1
    assert gateway.run("policy", "promote", "--reason", "in spite of it", check=False).returncode == 1
    gateway.reload()
    _, accepted = submit(gateway)
    assert accepted["policy"] == live and "stage" not in accepted
    until(lambda: "relay.stage-refused" in gateway.log)
    done = syncs(tmp_path / "trace", gateway.info["program"], "policy", "abort", "--reason", "somebody touched it",
                 "--config", gateway.info["config"])
    assert home.resolve() in done  # the power must not bring it back
    assert gateway.json("policy", "status")["staged"] is None
    assert gateway.run("policy", "rollback", draft[:12], "--reason", "never live", check=False).returncode == 1
    sink.stop()


ASK = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("admin.sock")
s.sendall(sys.argv[1].encode() + b"\\n")
print(s.makefile().readline())
"""


def ask_as(gateway, user, **question):
    """Asks over the control socket as another user: who asks is the kernel's word."""
    folder = pathlib.Path(json.loads(pathlib.Path(gateway.info["config"]).read_text())["state_dir"]) / "admin"
    done = subprocess.run(["/usr/bin/python3", "-c", ASK, json.dumps(question)], cwd=folder, user=user, group=user,
                          extra_groups=[], capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout.strip() or "null")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become two persons")
def test_a_second_person_must_approve(gateways, tmp_path):
    gateway, sink, home = gateway_with(gateways, tmp_path, publishing={"second_person": True, "approvers": ["4711"]})
    words = ("policy", "publish", str(home / "draft.json"), "--reason", "strangers get the portal")
    live = gateway.json("policy", "status")["live"]
    assert gateway.run(*words, "--approved-by", "Privacy Officer", check=False).returncode == 1  # saying so is not enough
    done = gateway.run(*words, check=False)
    assert done.returncode == 3 and "waits for a second person" in done.stdout
    assert gateway.json("policy", "status")["live"] == live
    proposed = gateway.wait_record("policy.proposed")
    draft = proposed["policy"]
    assert gateway.json("policy", "proposals")["proposals"][0]["approved_by"] == ""

    mine = gateway.run("policy", "approve", draft[:16], "--reason", "I like it", check=False)
    assert mine.returncode == 1 and "can't approve it" in mine.stderr
    assert ask_as(gateway, 4712, command="policy.approve", policy=draft, reason="a stranger") is None
    assert ask_as(gateway, 4711, command="queue.list")["error"] == "denied"
    assert ask_as(gateway, 4711, command="policy.propose", policy=draft, reason="myself")["error"] == "denied"
    assert ask_as(gateway, 4711, command="policy.approve", policy="f" * 64, reason="unknown one")["error"] == "not-found"
    assert gateway.run(*words, check=False).returncode == 3
    answer = ask_as(gateway, 4711, command="policy.approve", policy=draft, reason="read it twice")
    assert answer["ok"] and answer["result"]["approved_by"] == "uid:4711"
    approved = gateway.wait_record("policy.approved", policy=draft)
    assert approved["actor"]["id"] == "uid:4711" and approved["reason"] == "read it twice"

    gateway.run(*words)
    gateway.reload()
    published = gateway.wait_record("policy.published")
    assert published["approver"] == "uid:4711" and published["version"] == {"before": live, "after": draft}
    # who goes round it is on record
    (home / "policy.json").write_text(json.dumps({**DRAFT, "default": {"protect": "pickup"}}))
    gateway.reload()
    unapproved = gateway.wait_record("config.changed")["version"]
    assert unapproved["before"] == draft
    # what was live before needs no second person; a share of the mail does, whatever the file says
    gateway.run("policy", "rollback", live[:12], "--reason", "labs complained")
    gateway.reload()
    back = gateway.wait_record("policy.rolled-back")
    assert back["version"] == {"before": unapproved["after"], "after": live} and "approver" not in back
    (home / "staged.json").write_text(json.dumps({**DRAFT, "default": {"protect": "pickup"}}))
    (home / "staging.json").write_text(json.dumps(
        {"event": "policy.staged", "who": "uid 0", "approver": "Privacy Officer", "reason": "by hand", "before": live,
         "after": unapproved["after"], "mode": "percent", "percent": 100}))
    gateway.reload()
    by_hand = gateway.wait_record("config.changed", percent=100)
    assert by_hand["what"] == "policy stage, not approved by a second person" and "approver" not in by_hand
    assert by_hand["version"] == {"live": live, "draft": unapproved["after"]}
    submit_until(gateway, lambda a: "stage" in a)  # it decides mail all the same: the record is what tells
    sink.stop()


GROUPS = {"version": 1, "extends": "hipaa-default",
          "groups": {"privacy-office": {"addresses": ["privacy@tenant.test"]}, "board": {"addresses": ["board@tenant.test"]}},
          "rules": [{"rule": f"for-{name}", "when": {"subject": name},
                     "then": {"hold": {"for": "approval", "by": name, "within": "8h", "protect": "everyday"}}}
                    for name in ("privacy-office", "board")] + [
              {"rule": f"of-{name}", "when": {"subject": "both", "recipient.domain": domain},
               "then": {"hold": {"for": "approval", "by": name, "within": "8h", "protect": "everyday"}}}
              for name, domain in (("privacy-office", "example.net"), ("board", "example.org"))]}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_hold_for_a_group_is_released_by_the_group(gateways, sinks, tmp_path):
    """Who may release is the group's people by the kernel's word, and what is held for others they don't even see."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(GROUPS))
    gateway = gateways("--next-hop", f"127.0.0.1:{sinks().port}", "--policy", str(policy),
                       "--set", 'holds.approvers=["privacy-office:4711", "privacy-office:4712"]')
    told = json.loads(gateway.run("check", "--json", check=False).stdout)
    warned = [p["text"] for p in told["problems"] if "holds.approvers" in p["text"]]
    assert len(warned) == 1 and '"board"' in warned[0]
    held = {}
    for subject in ("privacy-office", "board", "other"):
        message, message_id = mail.make("Dear Pat\r\n", ["pat@example.net"], subject)
        gateway.send(message, ["pat@example.net"])
        held[subject] = gateway.message_of(message_id)
    gateway.wait_record("message.accepted", message=held["other"])

    def ask(user, command, **more):
        return ask_as(gateway, user, command=command, **more)
    assert [m["id"] for m in ask(4711, "queue.list")["result"]["messages"]] == [held["privacy-office"]]
    for state, seen in (("held", [held["privacy-office"]]), ("delivered", []), ("quarantined", [])):
        assert [m["id"] for m in ask(4711, "queue.list", state=state)["result"]["messages"]] == seen, state
    assert ask(4711, "queue.list", state="none")["error"] == "usage"
    shown = ask(4711, "queue.list")["result"]["messages"][0]["recipients"]
    for words, seen in (({"recipient": shown[0]["address"][:4]}, [held["privacy-office"]]), ({"recipient": "nobody@"}, []),
                        ({"rule": "no rule of theirs"}, [])):
        assert [m["id"] for m in ask(4711, "queue.list", **words)["result"]["messages"]] == seen, words
    assert ask(4713, "queue.list") is None and ask(4713, "queue.release", message=held["privacy-office"], reason="me") is None
    for command in ("queue.retry", "queue.hold", "queue.recall", "audit.facts", "policy.approve", "message.show", "status"):
        assert ask(4711, command, message=held["privacy-office"], reason="let me")["error"] == "denied", command
    for subject in ("board", "other"):
        for command in ("queue.release", "queue.delete"):
            answer = ask(4711, command, message=held[subject], reason="not ours", approver_of={"board": True})
            assert answer["error"] in ("denied", "not-found"), answer
    assert ask(4711, "queue.release", message=held["privacy-office"])["error"] == "usage"  # a reason stands in the audit
    assert ask(4712, "queue.release", message=held["privacy-office"], reason="asked the ward")["ok"]
    released = gateway.wait_record("message.released", message=held["privacy-office"])
    assert released["actor"]["id"] == "uid:4712" and released["reason"] == "asked the ward"
    assert gateway.wait_record("message.settled", message=held["privacy-office"])["recipients"][0]["floor_met"]
    assert ask(4711, "queue.list")["result"]["messages"] == []
    assert ask(0, "queue.delete", message=held["board"], reason="nobody may")["ok"]


def hold_many(gateway, group, count, clients=8):
    """So many messages on hold for a group, the n-th of a client's to a recipient of its own."""
    def talk(client):
        with gateway.client(tls=False) as session:
            for n in range(count // clients):
                to = f"pat{n}of{client}@example.net"
                session.sendmail(f"{group}@tenant.test", [to], mail.make("hello\r\n", [to])[0])
    threads = [threading.Thread(target=talk, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_thousands_on_hold_for_others_cost_a_list_a_thousand_a_page(gateways, sinks, tmp_path):
    """What is held for others is gone through in pages that may be empty, not in one turn of the relay's loop."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"version": 1, "groups": GROUPS["groups"], "default": {"protect": "everyday"},
                                  "settings": {"floor": "plain", "expire": "1d"},
                                  "ladders": {"everyday": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"}},
                                  "rules": [{**rule, "when": {"sender.address": f"{name}@tenant.test"}}
                                            for rule, name in zip(GROUPS["rules"], GROUPS["groups"])]}))
    gateway = gateways("--next-hop", f"127.0.0.1:{sinks().port}", "--policy", str(policy), "--workers", "1", "--plain-listener",
                       "--set", 'holds.approvers=["privacy-office:4711", "board:4712"]')
    for _ in range(2):
        hold_many(gateway, "board", 1600)
        hold_many(gateway, "privacy-office", 1, 1)

    def walk(user, **words):
        pages, after = [], {}
        while True:
            result = ask_as(gateway, user, command="queue.list", **words, **after)["result"]
            pages.append([m["id"] for m in result["messages"]])
            if result["next"] is None:
                return pages
            after = {"after": result["next"]}

    def ids(pages):
        return [i for page in pages for i in page]
    ours = walk(4711, limit=1)
    assert ours[0] == [] and 4 <= len(ours) <= 6, ours  # 3,202 records are looked at, a thousand a page at most
    assert len(set(ids(ours))) == 2 == len(ids(ours)) and ids(walk(4711)) == ids(ours)
    theirs = ids(walk(4712))
    assert theirs == sorted(theirs) and len(set(theirs)) == 3200 and not set(theirs) & set(ids(ours))
    assert len(ids(walk(4712, recipient="pat7of3@"))) == 2 and ids(walk(4711, recipient="pat7of3@")) == []
    assert len(ids(walk(4712, rule="for-board"))) == 3200 and ids(walk(4712, rule="for-privacy-office")) == []
    assert ids(walk(4711, sender="board@tenant.test")) == []
    listed = json.loads(gateway.run("queue", "list", "--state", "held", "--json").stdout)["messages"]
    assert {m["id"] for m in listed} == {*theirs, *ids(ours)} and len(listed) == 3202
    assert len(json.loads(gateway.run("queue", "list", "--rule", "for-privacy-office", "--json").stdout)["messages"]) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_an_administrator_holds_no_group_releases(gateways, sinks, tmp_path):
    """Of a message a group sees its own recipients; of those the ones that an administrator holds are not its any more."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(GROUPS))
    gateway = gateways("--next-hop", f"127.0.0.1:{sinks().port}", "--policy", str(policy),
                       "--set", 'holds.approvers=["privacy-office:4711", "board:4712"]')
    people = ["pat@example.net", "sam@example.net", "lee@example.org"]
    message, message_id = mail.make("Dear all\r\n", people, "both")
    gateway.send(message, people)
    held = gateway.message_of(message_id)

    def seen(user):
        messages = ask_as(gateway, user, command="queue.list")["result"]["messages"]
        return [[r["address"] for r in m["recipients"]] for m in messages]

    def asked(user, **words):
        return bool(ask_as(gateway, user, command="queue.list", **words)["result"]["messages"])
    assert asked(4711, recipient="PAT@") and asked(4711, rule="of-privacy-office")
    assert not asked(4711, recipient="lee@") and not asked(4711, rule="of-board")  # a filter tells no more than the list

    def act(user, what, **more):
        return ask_as(gateway, user, command=f"queue.{what}", message=held, reason="for the test", **more)
    assert seen(4711) == [people[:2]] and seen(4712) == [people[2:]] and seen(0) == [people]
    assert act(0, "hold", n=[0], until="2099-01-01T00:00:00Z")["ok"] and act(0, "hold", n=[2])["ok"]
    for again in range(3):  # as it stands, after a restart, and written anew
        assert seen(4711) == [people[1:2]] and seen(4712) == [] and seen(0) == [people], again
        for user, n in ((4711, 0), (4712, 2)):
            for what in ("release", "delete"):
                assert act(user, what, n=[n])["error"] == "denied", (again, user, what)
        if again == 0:
            gateway.restart("relay")
            until(lambda: "result" in (ask_as(gateway, 0, command="queue.list") or ()) and seen(0))  # it has its shard open
        elif again == 1:
            answer = act(0, "redirect", n=[1], to="kim@example.net")
            assert answer["ok"], answer
            people[1] = "kim@example.net"
    assert act(4711, "release")["ok"]  # what is its own, and nothing else
    gateway.wait_record("message.released", message=held)
    first, second, third = ask_as(gateway, 0, command="queue.list")["result"]["messages"][0]["recipients"]
    assert first["state"] == third["state"] == "held" != second["state"] and first["next"].startswith("2099-01-01")
    assert act(0, "release")["ok"]
    gateway.wait_record("message.settled", message=held)
