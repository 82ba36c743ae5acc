"""The commands of `queue` against mail that waits: filters, a retry that brings it forward, and JSON from every one of them."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess

import pytest

from lab import mail
from lab.responder import Responder
from lab.wait import until

POLICY = {"version": 1, "settings": {"floor": "plain", "expire": "1d"},
          "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"}},
          "rules": [{"rule": "watched", "when": {"recipient.domain": "watched.example"}, "then": {
              "hold": {"for": "approval", "within": "8h", "otherwise": "return", "protect": "relay"}}}],
          "default": {"protect": "relay"}}


@pytest.fixture
def waiting(gateways, sinks, tmp_path):
    """(gateway, sink): the next hop puts everything off, and the next attempt is an hour away."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", policy, "--retry", "3600",
                       "--workers", 2)
    return gateway, sink


def submit(gateway, sender, *recipients):
    message, message_id = mail.make("hello\r\n", recipients)
    with gateway.client(tls=False) as client:
        client.sendmail(sender, list(recipients), message)
    return gateway.message_of(message_id)


def deferred(gateway, identity):
    gateway.wait_record("delivery.attempted", message=identity, outcome="deferred")
    until(lambda: {r["state"] for r in gateway.json("queue", "show", identity)["message"]["recipients"]} == {"deferred"})
    return identity


def listed(gateway, *words):
    return {m["id"] for m in gateway.json("queue", "list", *words)["messages"]}


def test_a_list_is_filtered_by_sender_and_by_all_at_once(waiting):
    gateway, _ = waiting
    ann = deferred(gateway, submit(gateway, "ann@tenant.test", "a@one.example"))
    both = deferred(gateway, submit(gateway, "ann@tenant.test", "a@one.example", "b@two.example"))
    bob = deferred(gateway, submit(gateway, "bob@bench.test", "a@one.example"))
    assert listed(gateway) == {ann, both, bob}
    assert listed(gateway, "--sender", "ann@tenant.test") == {ann, both}
    assert listed(gateway, "--sender", "bench.test") == listed(gateway, "--sender=bench.test") == {bob}
    assert listed(gateway, "--sender", "carl@tenant.test") == set()
    assert listed(gateway, "--sender", "ann@tenant.test", "--recipient", "b@two.example") == {both}
    assert listed(gateway, "--sender", "bob@bench.test", "--recipient", "b@two.example") == set()
    assert listed(gateway, "--sender", "ann@tenant.test", "--state", "deferred", "--tenant", "test", "--rule", "default") == \
        {ann, both}
    table = gateway.run("queue", "list", "--sender", "bob@bench.test").stdout
    assert bob in table and ann not in table


def test_a_retry_brings_forward_what_waits_for_an_hour(waiting):
    gateway, sink = waiting
    other = deferred(gateway, submit(gateway, "dr@tenant.test", "a@one.example"))
    identity = deferred(gateway, submit(gateway, "dr@tenant.test", "a@one.example", "b@one.example"))
    attempts = [r for r in gateway.records() if r["event"] == "delivery.attempted"]
    assert all("next_at" in r for r in attempts)
    sink.replies.clear()
    gateway.run("queue", "retry", identity, "--n", "1", "--reason", "they are there again")
    assert sink.wait_for(1)[0]["to"] == ["b@one.example"]
    gateway.run("queue", "retry", identity)
    assert sink.wait_for(2)[1]["to"] == ["a@one.example"]
    settled = gateway.wait_record("message.settled", message=identity)
    assert [r["final"] for r in settled["recipients"]] == ["delivered"] * 2
    assert listed(gateway) == {other} and len(sink.messages) == 2  # nobody asked for that one


def commands(gateway, waits, held):
    """Every command of the family, in an order in which each has something to do."""
    copy = str(pathlib.Path(gateway.folder) / "copy")
    reason = ("--reason", "a test")
    yield from (("list",), ("list", "--state", "deferred", "--limit", "1"), ("sites",), ("show", waits[0]), ("orders",))
    yield from (("count", "--by", by) for by in ("domain", "tenant", "reason", "state"))
    for what in (("--tenant", "test"), ("--site", "one.example"), ("--host", "127.0.0.1")):
        yield from (("freeze", *what, *reason), ("orders",), ("thaw", *what, *reason))
    yield from (("drain", *reason), ("resume", *reason))
    yield from (("hold", waits[0], *reason), ("show", waits[0]), ("release", waits[0], *reason), ("retry", waits[2], *reason))
    yield from (("redirect", waits[1], "--to", "c@one.example", *reason), ("delete", waits[3], *reason))
    yield from (("recall", held, *reason), ("check",), ("backup", copy))


def test_every_command_speaks_json(waiting):
    gateway, _ = waiting
    waits = [deferred(gateway, submit(gateway, "dr@tenant.test", "a@one.example")) for _ in range(4)]
    held = submit(gateway, "dr@tenant.test", "a@watched.example")
    gateway.wait_record("message.held", message=held)
    for words in commands(gateway, waits, held):
        done = gateway.run("queue", *words, "--json", check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        assert done.stdout.startswith("{") and isinstance(json.loads(done.stdout), dict), (words, done.stdout)
    unknown = gateway.run("queue", "show", "01M84EZ1QY6Q2N8W4M5T7R3HBC", "--json", check=False)
    assert unknown.returncode == 1
    gateway.stop()
    repaired = json.loads(gateway.run("queue", "repair", "--json").stdout)
    assert repaired == {"damaged_messages": [], "given_up": 0, "read_from_copy": 0, "missing": []}
    other = pathlib.Path(gateway.info["config"]).with_name("restored.json")
    settings = json.loads(pathlib.Path(gateway.info["config"]).read_text())
    other.write_text(json.dumps({**settings, "state_dir": f"{gateway.folder}/restored"}))
    done = subprocess.run([gateway.info["program"], "queue", "restore", f"{gateway.folder}/copy", "--json", "--config", other],
                          capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["whole"]


def test_help_is_about_what_was_asked_and_a_wrong_word_is_named(waiting):
    gateway, _ = waiting
    helped = gateway.run("queue", "thaw", "--help")
    assert helped.stdout.startswith("usage: sallyport queue freeze|thaw --tenant NAME") and helped.stderr == ""
    assert "queue list" not in helped.stdout and "keys" not in helped.stdout
    family = gateway.run("queue", "-h").stdout
    assert "queue list" in family and "queue check|repair|backup|restore" in family and "keys" not in family
    for words, told in ((("list", "--bogus"), "--bogus: no option of this command"),
                        (("show", "a", "b", "c"), "c: one word too many"),
                        (("delete", "a", "b", "--reason", "x"), "b: one word too many"), (("list", "a"), "a: one word too many"),
                        (("orders", "a"), "a: one word too many"), (("drain", "now", "--reason", "x"), "now: one word too many"),
                        (("list", "--limit", "0"), "--limit: a number, 1 at least"),
                        (("list", "--state", "foo"), "state: pending, deferred, held,"),
                        (("count", "--by", "foo"), "by: site, tenant, reason or state"),
                        (("count", "--state", "foo"), "state: pending, deferred, held,"),
                        (("delete", "--sender=", "--reason=x"), "a filter is empty: it would mean everybody"),
                        (("freeze", "--site", "a b", "--reason", "x"), "a name has no spaces"),
                        (("freeze", "--site", "mün chen.example", "--reason", "x"), "no name that a domain may have")):
        done = gateway.run("queue", *words, check=False)
        assert done.returncode == 64 and told in done.stderr and done.stdout == "", (words, done.stdout, done.stderr)
    last = subprocess.run([gateway.info["program"], "queue", "list", "--state"], capture_output=True, text=True, check=False)
    assert last.returncode == 64 and last.stderr.startswith("sallyport: --state: wants a value\n")
    assert not [r for r in gateway.records() if r["event"] == "admin.acted"], "what is refused is not done"
    for words, code, told in ((("queue", "backup", gateway.folder), 64, "can't be made: File exists"),
                              (("queue", "backup", f"{gateway.folder}/no/such"), 64, "can't be made: No such file or directory"),
                              (("keys", "import", f"{gateway.folder}/none.pem"), 66, "can't be read: No such file or directory"),
                              (("keys", "import", "/dev/zero"), 66, "can't be read: File too large")):
        done = gateway.run(*map(str, words), check=False)
        assert done.returncode == code and told in done.stderr, (words, done.stderr)


def test_an_answer_tells_how_many_were_changed(waiting):
    gateway, sink = waiting
    identity = deferred(gateway, submit(gateway, "dr@tenant.test", "a@one.example", "b@one.example"))
    past = gateway.run("queue", "hold", identity, "--until", "2020-01-01T00:00:00Z", "--reason", "a wrong year", check=False)
    assert past.returncode == 64 and "that time is past" in past.stderr
    assert {r["state"] for r in gateway.json("queue", "show", identity)["message"]["recipients"]} == {"deferred"}
    assert gateway.run("queue", "release", identity, "--reason", "x").stdout == \
        f"{identity}: release: nothing was changed, nobody of it is on hold\n"
    assert gateway.json("queue", "hold", identity, "--n", "1", "--reason", "x") == {"message": identity, "done": "hold", "n": [1]}
    assert gateway.run("queue", "release", identity, "--reason", "x").stdout == f"{identity}: release, 1 recipient\n"
    until(lambda: {r["state"] for r in gateway.json("queue", "show", identity)["message"]["recipients"]} == {"deferred"})
    assert gateway.run("queue", "hold", identity, "--reason", "x").stdout == f"{identity}: hold, 2 recipients\n"
    assert "nothing was changed" in gateway.run("queue", "retry", identity).stdout
    sink.replies.clear()
    assert gateway.run("queue", "delete", identity, "--reason", "x").stdout == f"{identity}: delete, 2 recipients\n"
    assert not sink.messages


def test_what_an_order_keeps_is_shown_as_frozen(waiting):
    gateway, _ = waiting
    identity = deferred(gateway, submit(gateway, "dr@tenant.test", "a@one.example", "b@two.example"))
    done = gateway.run("queue", "freeze", "--tenant", "tset", "--reason", "a slip")
    assert done.stdout == "freeze: done\n" and "there is no tenant tset" in done.stderr
    assert [r["frozen"] for r in gateway.json("queue", "show", identity)["message"]["recipients"]] == [False, False]
    assert gateway.run("queue", "thaw", "--tenant", "tset", "--reason", "mended").stderr == ""
    assert gateway.run("queue", "freeze", "--site", "two.example", "--reason", "x").stderr == ""
    assert [r["frozen"] for r in gateway.json("queue", "list")["messages"][0]["recipients"]] == [False, True]
    assert gateway.run("queue", "show", identity).stdout.count("deferred, frozen") == 1
    assert gateway.run("queue", "list").stdout.count("deferred, frozen") == 1
    assert gateway.run("trace", identity).stdout.count("deferred, frozen") == 1


def test_a_name_in_other_letters_than_ascii_is_found_by_them(waiting):
    gateway, _ = waiting
    identity = deferred(gateway, submit(gateway, "dr@tenant.test", "a@xn--mnchen-3ya.example"))
    assert listed(gateway, "--recipient", "a@münchen.example") == {identity}
    assert listed(gateway, "--recipient", "zürich.example") == set()
    gateway.run("queue", "freeze", "--site", "münchen.example", "--reason", "x")
    assert gateway.json("queue", "show", identity)["message"]["recipients"][0]["frozen"]
    assert gateway.json("queue", "count", "--by", "site")["groups"] == [{"key": "xn--mnchen-3ya.example", "count": 1}]
    gateway.run("queue", "thaw", "--site", "münchen.example", "--reason", "x")
    assert gateway.run("suppression", "add", "a@münchen.example", "--reason", "x").stdout.startswith("a@xn--mnchen-3ya.example: ")
    [told] = gateway.json("suppression", "list", "a@münchen.example")["addresses"]
    assert told["address"] == "a@xn--mnchen-3ya.example"


def test_filters_change_all_that_a_list_shows_and_nobody_else(waiting):
    gateway, sink = waiting
    ours = [deferred(gateway, submit(gateway, "ann@tenant.test", "a@one.example", "b@two.example")) for _ in range(3)]
    other = deferred(gateway, submit(gateway, "bob@bench.test", "a@one.example"))
    held = submit(gateway, "bob@bench.test", "a@watched.example")
    gateway.wait_record("message.held", message=held)
    why = ("--reason", "a stolen mailbox")
    gateway.run("queue", "freeze", "--tenant", "test", *why)  # what is released stays

    def states():
        return {m["id"]: "".join(r["state"][0] for r in m["recipients"]) for m in gateway.json("queue", "list")["messages"]}

    for words in (("hold", *why), ("delete", ours[0], "--sender", "ann", *why), ("delete", "--sender", "ann"),
                  ("delete", "--sender", "ann", "--n", "0", *why), ("show", "--sender", "ann"),
                  ("recall", "--sender", "ann", *why), ("delete", "--sender", "", *why), ("delete", "--tenant", "", *why),
                  ("delete", "--tenant", "test", "--site", "", *why), ("delete", "--tenant", "test", "--until", "x", *why),
                  ("delete", "--tenant", "test", "--limit", "1", *why),
                  ("delete", "--state", "quarantined", "--tenant", "test", *why)):
        assert gateway.run("queue", *words, check=False).returncode == 64, words
    past = gateway.run("queue", "hold", "--sender", "ann", "--until", "2020-01-01T00:00:00Z", *why, check=False)
    assert past.returncode == 64 and past.stderr.count("that time is past") == 1 and past.stdout == ""
    assert states() == {**dict.fromkeys(ours, "dd"), other: "d", held: "h"}, "what is refused is not done"

    done = gateway.run("queue", "hold", "--sender", "ann@", "--recipient", "B@two", *why)
    assert done.stdout == "hold: 3 messages, 3 recipients\n"
    assert states() == {**dict.fromkeys(ours, "dh"), other: "d", held: "h"}
    assert gateway.json("queue", "release", "--state", "held", "--tenant", "test", "--rule", "default", *why) == \
        {"done": "release", "messages": 3, "recipients": 3, "in_delivery": 0, "refused": 0}
    assert states() == {**dict.fromkeys(ours, "dd"), other: "d", held: "h"}
    assert gateway.run("queue", "delete", "--sender", "ann@tenant.test", *why).stdout == "delete: 3 messages, 6 recipients\n"
    assert gateway.run("queue", "delete", "--sender", "ann@tenant.test", *why).stdout == "delete: 0 messages, 0 recipients\n"
    sink.replies.clear()
    gateway.run("queue", "thaw", "--tenant", "test", *why)
    assert gateway.run("queue", "retry", "--recipient", "@one.example").stdout == "retry: 1 message, 1 recipient\n"
    gateway.wait_record("message.settled", message=other)
    assert states() == {held: "h"} and [m["from"] for m in sink.messages] == ["bob@bench.test"]
    acted = [r for r in gateway.records() if r["event"] == "admin.acted" and r["act"] == "queue.delete"]
    assert sorted(r["message"] for r in acted) == sorted(ours) and {r["reason"] for r in acted} == {why[1]}


# ---- where mail goes, what would be done, who ordered what ----

ROUTE = {name: POLICY[name] for name in ("version", "settings", "ladders", "default")}


@pytest.fixture
def spread(gateways, sinks, tmp_path):
    """(gateway, sinks of 127.0.0.1 and 127.0.0.2): all put everything off; routed.test goes to the second."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(ROUTE))
    first, second, spare = (sinks(address=f"127.0.0.{n}", replies={"RCPT": "451 4.3.0 later"}) for n in (1, 2, 3))
    gateway = gateways("--plain-listener", "--next-hop", f"{first.address}:{first.port}", "--policy", policy, "--retry", "3600",
                       "--workers", 2, "--route", f"routed.test={second.address}:{second.port}", "--route",
                       f"spare={spare.address}:{spare.port}")
    return gateway, first, second


def words_of(gateway, *words, code=0):
    done = gateway.run("queue", *words, check=False)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done


def test_site_and_host_limit_lists_counts_and_acts_alike(spread):
    gateway, _, _ = spread
    both = [deferred(gateway, submit(gateway, "ann@tenant.test", "a@one.example", "b@routed.test")) for _ in range(3)]
    other = deferred(gateway, submit(gateway, "bob@tenant.test", "c@two.example"))
    recipients = gateway.json("queue", "show", both[0])["message"]["recipients"]
    assert [(r["site"], r["hosts"]) for r in recipients] == [("one.example", ["127.0.0.1"]), ("routed.test", ["127.0.0.2"])]
    for words, found in ((("--site", "ONE.example"), {*both}), (("--site", "one"), set()), (("--host", "127.0.0.2"), {*both}),
                         (("--host", "127.0.0.1"), {*both, other}), (("--host", "*.0.0.2"), {*both}),
                         (("--host", "127.0.0.1", "--site", "routed.test"), set()), (("--host", "mx.nowhere.example"), set()),
                         (("--site", "two.example", "--state", "deferred", "--tenant", "test"), {other})):
        assert listed(gateway, *words) == found, words

    def count(*words):
        told = gateway.json("queue", "count", *words)
        return {g["key"]: g["count"] for g in told["groups"]}, told["total"]

    assert count("--host", "127.0.0.1") == ({"one.example": 3, "two.example": 1}, 4)
    assert count("--site", "routed.test", "--by", "state") == ({"deferred": 3}, 3)
    assert count("--site", "routed.test", "--by", "reason", "--state", "held") == ({}, 0)
    assert count("--sender", "bob@", "--by", "tenant") == ({"test": 1}, 1)
    assert count("--recipient", "@routed.test", "--host", "127.0.0.2", "--by", "site") == ({"routed.test": 3}, 3)
    assert count("--rule", "default", "--host", "127.0.0.1", "--by", "reason") == ({"hop.deferred": 4}, 4)
    assert gateway.run("queue", "count", "--site", "no.example").stdout == "0 recipients, 0 groups\n"

    def held():
        return {(m["id"], r["n"]) for m in gateway.json("queue", "list", "--state", "held")["messages"]
                for r in m["recipients"] if r["state"] == "held"}

    why = ("--reason", "their second line is down")
    assert words_of(gateway, "hold", "--host", "127.0.0.2", *why).stdout == "hold: 3 messages, 3 recipients\n"
    assert held() == {(identity, 1) for identity in both}
    assert gateway.json("queue", "release", "--site", "routed.test", "--sender", "ann", *why)["recipients"] == 3
    assert held() == set()
    assert words_of(gateway, "delete", "--site", "two.example", "--host", "127.0.0.2", *why).stdout.startswith("delete: 0 m")
    assert words_of(gateway, "delete", "--site", "two.example", *why).stdout == "delete: 1 message, 1 recipient\n"
    assert listed(gateway) == {*both}


def test_redirect_takes_filters(spread):
    gateway, _, second = spread
    ours = [deferred(gateway, submit(gateway, "ann@tenant.test", "a@one.example")) for _ in range(2)]
    pair = deferred(gateway, submit(gateway, "ann@tenant.test", "a@one.example", "b@one.example"))
    other = deferred(gateway, submit(gateway, "bob@tenant.test", "c@two.example"))
    why = ("--reason", "the mailbox is gone")
    for words in (("redirect", "--sender", "ann", *why), ("redirect", "--to", "x@one.example", *why),
                  ("redirect", "--sender", "ann", "--to", "x@one.example"),
                  ("redirect", "--sender", "ann", "--route", "spare", "--n", "0", *why)):
        words_of(gateway, *words, code=64)
    wrong = words_of(gateway, "redirect", "--sender", "ann", "--route", "nowhere", *why, code=64)
    assert wrong.stderr.count("route: neither delivery.routes") == 3 and "3 refused" in wrong.stdout
    done = words_of(gateway, "redirect", "--site", "one.example", "--recipient", "a@one.example", "--route", "spare", *why)
    assert done.stdout == "redirect: 3 messages, 3 recipients\n"
    sites = {m["id"]: [r["site"] for r in m["recipients"]] for m in gateway.json("queue", "list")["messages"]}
    assert sites == {**{identity: ["spare"] for identity in ours}, pair: ["spare", "one.example"], other: ["two.example"]}
    until(lambda: {r["state"] for m in gateway.json("queue", "list")["messages"] for r in m["recipients"]} == {"deferred"})
    # one of them has that address already: the others go there
    done = words_of(gateway, "redirect", "--sender", "ann", "--recipient", "a@", "--to", "b@one.example", *why, code=1)
    assert done.stdout == "redirect: 2 messages, 2 recipients\n  1 refused\n" and "has the message already" in done.stderr
    until(lambda: {r["message"] for r in gateway.records() if r["event"] == "delivery.redirected"
                   and r["ways"][0]["way"] == "redirect"} == {*ours})
    assert not second.messages


def test_a_redirect_goes_on_behind_messages_that_it_does_not_fit(spread):
    """However many of them come first: it ends early only where every message would be refused."""
    gateway, _, _ = spread
    gateway.run("queue", "freeze", "--tenant", "test", "--reason", "to gather")
    to = ["a@one.example", "b@one.example"]
    with gateway.client(tls=False) as client:
        for _ in range(21):
            client.sendmail("ann@tenant.test", to, mail.make("hello\r\n", to)[0])
    last = submit(gateway, "ann@tenant.test", "a@one.example")
    words = ("redirect", "--recipient", "a@one.example", "--to", "b@one.example", "--reason", "the mailbox is gone")
    for more, told in ((("--dry-run",), "would redirect: 1 message, 1 recipient; nothing was changed\n  21 refused\n"),
                       ((), "redirect: 1 message, 1 recipient\n  21 refused\n")):
        done = words_of(gateway, *words, *more, code=1)
        assert done.stdout.endswith(told) and done.stderr.count("has the message already") == 10, done
    assert listed(gateway, "--recipient", "b@one.example") >= {last}


def test_a_dry_run_tells_and_changes_nothing(spread):
    gateway, _, _ = spread
    ours = [deferred(gateway, submit(gateway, "ann@tenant.test", "a@one.example", "b@routed.test")) for _ in range(3)]
    kept = deferred(gateway, submit(gateway, "bob@tenant.test", "c@two.example"))
    gateway.run("queue", "hold", kept, "--reason", "x")
    gateway.wait_record("message.held", message=kept)
    before = gateway.json("queue", "list"), sum(r["event"] in ("admin.acted", "message.held") for r in gateway.records())
    told = gateway.json("queue", "delete", "--site", "routed.test", "--dry-run", "--limit", "2")
    assert {k: told[k] for k in ("would", "messages", "recipients", "in_delivery", "refused")} == \
        {"would": "delete", "messages": 3, "recipients": 3, "in_delivery": 0, "refused": 0}
    assert len(told["list"]) == 2 and all(m["message"] in ours and m["recipients"] == ["b@routed.test"] for m in told["list"])
    out = words_of(gateway, "hold", "--sender", "ann", "--dry-run", "--limit", "1").stdout
    assert "and 2 messages more" in out and out.endswith("would hold: 3 messages, 6 recipients; nothing was changed\n")
    assert words_of(gateway, "release", "--tenant", "test", "--dry-run").stdout.endswith(
        "would release: 1 message, 1 recipient; nothing was changed\n")
    assert words_of(gateway, "retry", "--sender", "ann", "--dry-run").returncode == 0
    assert words_of(gateway, "redirect", "--sender", "bob", "--route", "spare", "--dry-run").stdout.endswith(
        "would redirect: 1 message, 1 recipient; nothing was changed\n")
    words_of(gateway, "redirect", "--sender", "bob", "--route", "nowhere", "--dry-run", code=64)
    words_of(gateway, "hold", "--sender", "ann", "--until", "2020-01-01T00:00:00Z", "--dry-run", code=64)
    assert words_of(gateway, "delete", ours[0], "--n", "1", "--dry-run").stdout == f"{ours[0]}: would delete, 1 recipient\n"
    assert gateway.json("queue", "redirect", kept, "--to", "d@two.example", "--dry-run")["would"] == "redirect"
    assert gateway.json("queue", "recall", kept, "--dry-run") == {"message": kept, "would": "recall", "n": [0]}
    for words in (("drain", "--reason", "x"), ("freeze", "--tenant", "test", "--reason", "x"), ("list",), ("orders",)):
        assert "--dry-run: no option of queue" in words_of(gateway, *words, "--dry-run", code=64).stderr
    assert "--dry-run: no option of status" in gateway.run("status", "--dry-run", check=False).stderr
    after = gateway.json("queue", "list"), sum(r["event"] in ("admin.acted", "message.held") for r in gateway.records())
    assert after == before, "nothing is changed, and nothing on record"


def test_orders_tell_who_gave_them_when_and_why(spread):
    gateway, _, _ = spread
    assert gateway.run("queue", "orders").stdout.endswith("nothing is frozen\n")
    identity = deferred(gateway, submit(gateway, "ann@tenant.test", "a@one.example"))
    gateway.run("queue", "freeze", "--site", "one.example", "--reason", "their certificate is wrong")
    gateway.run("queue", "drain", "--reason", "a new disk")
    gateway.run("queue", "hold", identity, "--reason", "x")
    again = gateway.run("queue", "freeze", "--site", "One.example", "--reason", "another reason").stdout
    assert again.startswith("freeze: it was so already\n  since 2") and again.endswith(": their certificate is wrong\n")
    actor = gateway.wait_record("admin.acted", act="queue.freeze")["actor"]
    gateway.again()
    for relay in gateway.json("queue", "orders")["relays"]:
        orders = {o["order"]: o for o in relay["says"]["orders"]}
        assert {k: (o["name"], o["actor"], o["reason"]) for k, o in orders.items()} == {
            "site": ("one.example", actor, "their certificate is wrong"), "drain": ("", actor, "a new disk")}
        assert all(o["time"].startswith("2") for o in orders.values())
    asked = gateway.run("queue", "list", "--host", "127.0.0.1")  # nobody looked it up since the start
    assert asked.stdout == "0 messages\n" and asked.stderr.startswith("sallyport: 1 recipient more wait where no host")
    assert json.loads(gateway.run("queue", "count", "--host", "127.0.0.1", "--json").stderr)["error"] == "host-unknown"
    out = gateway.run("queue", "orders").stdout
    assert out.startswith("draining: no mail is taken, 1 message in the queue\n1 recipient on hold by hand")
    row = next(line for line in out.splitlines() if line.startswith("site "))
    assert "one.example" in row and "(uid " in row and "  all  " in row and row.endswith("their certificate is wrong")
    slip = gateway.run("queue", "thaw", "--site", "one.exmaple", "--reason", "x").stdout
    assert slip.startswith("thaw: nothing was: no such order")
    gateway.run("queue", "thaw", "--site", "one.example", "--reason", "mended")
    assert "certificate" not in gateway.run("queue", "orders").stdout


def test_what_other_relays_know_is_told_while_one_hangs(spread):
    gateway, _, _ = spread
    for _ in range(4):
        deferred(gateway, submit(gateway, "ann@tenant.test", "a@one.example"))
    hung = gateway.pids("relay")[0]
    gateway.jitter.kill(hung, signal.SIGSTOP)
    try:
        listing, counting, sites = (gateway.run("queue", word, "--json", check=False) for word in ("list", "count", "sites"))
    finally:
        gateway.jitter.kill(hung, signal.SIGCONT)
    for done, what in ((listing, "did not answer: the list is not complete"), (counting, "what it knows is left out"),
                       (sites, "what it knows is left out")):
        told = json.loads(done.stderr)
        assert done.returncode == told["exit"] == 75 and told["error"] == "unknown" and what in told["detail"], done
        assert re.match("relay [01](:| did)", told["detail"]), told
    assert not json.loads(listing.stdout)["complete"]
    assert counting.stdout == "" or not json.loads(counting.stdout)["complete"]
    whole = {"by": "site", "groups": [{"key": "one.example", "count": 4}], "total": 4, "complete": True}
    assert gateway.json("queue", "count") == whole


def test_a_state_means_the_same_in_lists_counts_and_acts(waiting):
    gateway, _ = waiting
    held = submit(gateway, "ann@tenant.test", "a@watched.example")
    slow = [deferred(gateway, submit(gateway, "ann@tenant.test", "a@one.example")) for _ in range(3)]
    other = deferred(gateway, submit(gateway, "bob@tenant.test", "a@two.example"))

    def agree(state, messages, *words):
        assert listed(gateway, "--state", state, *words) == {*messages}, state
        assert gateway.json("queue", "count", "--state", state, *words)["total"] == len(messages), state
        assert gateway.json("queue", "count", "--state", state, "--sender", "tenant", *words)["total"] == len(messages), state
        done = gateway.json("queue", "hold", "--state", state, "--dry-run", "--limit", "100", *words)
        assert {m["message"] for m in done["list"]} == {*messages}, state

    agree("deferred", [*slow, other])
    agree("held", [held])
    agree("frozen", [])
    agree("in-delivery", [])
    gateway.run("queue", "freeze", "--site", "one.example", "--reason", "x")
    gateway.run("queue", "freeze", "--site", "watched.example", "--reason", "x")
    agree("frozen", [*slow, held])
    agree("frozen", slow, "--site", "one.example")
    agree("deferred", [*slow, other])  # the state in which they would go on
    agree("held", [held])
    assert {g["key"]: g["count"] for g in gateway.json("queue", "count", "--by", "state")["groups"]} == \
        {"frozen": 4, "deferred": 1}
    assert gateway.run("queue", "count", "--state", "quarantined").stdout == "0 messages, 0 groups\n"
    gateway.run("queue", "release", "--state", "frozen", "--site", "watched.example", "--reason", "x")
    agree("held", [])


def test_an_act_on_many_waits_once_for_a_relay_that_hangs(spread):
    gateway, _, _ = spread
    many = [deferred(gateway, submit(gateway, "ann@tenant.test", "a@one.example")) for _ in range(30)]
    hung = gateway.pids("relay")[0]
    gateway.jitter.kill(hung, signal.SIGSTOP)

    def waits():
        return sum('"role":"admin"' in line and '"jobs.deadline"' in line for line in gateway.log.splitlines())
    before = waits()
    try:
        done = gateway.run("queue", "hold", "--site", "one.example", "--reason", "x", "--json", check=False)
    finally:
        gateway.jitter.kill(hung, signal.SIGCONT)
    told, result = json.loads(done.stderr), json.loads(done.stdout)
    assert done.returncode == told["exit"] == 75, done
    assert re.match("relay [01] did not answer: nothing of what waits there was changed", told["detail"]), told
    assert result["in_delivery"] == result["refused"] == 0
    assert waits() == before + 1, "the hung one is waited for once"
    assert len(listed(gateway, "--state", "held")) == result["messages"] < len(many)
    assert gateway.json("queue", "hold", "--site", "one.example", "--reason", "x")["messages"] == len(many)
    assert listed(gateway, "--state", "held") == set(many)


def test_refusals_are_json_with_json(spread, tmp_path):
    gateway, _, _ = spread
    absent = ("--socket", f"{tmp_path}/none")
    for words, code, error in ((("queue", "show", "01M84EZ1QY6Q2N8W4M5T7R3HBC"), 1, "not-found"),
                               (("queue", "show", "what"), 64, "usage"), (("queue", "list", "--state", "foo"), 64, "usage"),
                               (("queue", "list", "--bogus"), 64, "usage"), (("queue", "frob"), 64, "usage"),
                               (("queue",), 64, "usage"), (("queue", "release", "x", "--until", "y"), 64, "usage"),
                               (("queue", "list", *absent), 69, "absent"),
                               (("queue", "drain", "--reason", "x", *absent), 69, "absent"),
                               (("trace", "<nobody@nowhere.test>"), 1, "not-found"), (("trace",), 64, "usage"),
                               (("keys", "import", f"{tmp_path}/none.pem"), 66, "input"),
                               (("queue", "check", "--bogus"), 64, "usage"), (("queue", "backup"), 64, "usage"),
                               (("queue", "check", "--state", f"{tmp_path}/none"), 66, "input")):
        done = gateway.run(*words, "--json", check=False)
        told = [json.loads(line) for line in done.stderr.splitlines()]
        assert done.returncode == code and done.stdout == "", (words, done.stdout, done.stderr)
        assert told[-1]["error"] == error and told[-1]["exit"] == code and told[-1]["detail"], (words, told)
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([gateway.info["program"], "queue", "list", "--json", "--config", gateway.info["config"]],
                              stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 73 and json.loads(done.stderr)["error"] == "output"


def test_one_wrong_argument_is_named_with_the_usage_of_its_command(spread, tmp_path):
    gateway, _, _ = spread
    for words, told, usage in ((("queue", "check", "--bogus"), "--bogus: no option of this command", "queue check [--state DIR]"),
                               (("queue", "check", "--yes"), "--yes: no option of this command", "queue check [--state DIR]"),
                               (("queue", "repair", "--reason"), "--reason: wants a value", "queue repair [--yes"),
                               (("queue", "backup"), "which folder?", "queue backup DIR"),
                               (("queue", "backup", "a", "b"), "b: one folder is enough", "queue backup DIR"),
                               (("keys", "rotate", "x"), "x: one word too many", "keys rotate [--master"),
                               (("queue", "release", "x", "--now"), "--now: no option of queue release", "queue release|delete"),
                               (("queue", "list", "--until", "x"), "--until: no option of queue list", "queue list [FILTERS]")):
        done = subprocess.run([gateway.info["program"], *words], capture_output=True, text=True, check=False, cwd=tmp_path)
        lines = done.stderr.splitlines()
        assert done.returncode == 64 and done.stdout == "" and len(lines) == 2, (words, done.stderr)
        assert lines[0] == f"sallyport: {told}" and lines[1].startswith(f"usage: sallyport {usage}"), (words, done.stderr)
    assert not list(tmp_path.glob("[ab]"))


def read_until(terminal, is_all):
    """What came to a terminal, once that is all."""
    text = b""
    while not is_all(text):
        assert select.select([terminal], [], [], 60)[0], text
        text += os.read(terminal, 4096)
    return text


def test_a_long_list_comes_page_by_page_and_a_closed_pipe_ends_it(gateways, sinks, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(ROUTE))
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", policy, "--workers", 1)
    gateway.run("queue", "freeze", "--tenant", "test", "--reason", "to gather")
    many = 1100  # more than a page
    with gateway.client(tls=False) as client:
        for n in range(many):
            to = ["a@one.example" if n else "a-much-longer-address-than-others@one.example"]
            client.sendmail("ann@tenant.test", to, mail.make("hello\r\n", to)[0])
    lines = gateway.run("queue", "list").stdout.splitlines()
    assert len(lines) == many + 2 and lines[-1] == f"{many} messages" and sum(line.startswith("MESSAGE ") for line in lines) == 1
    assert len(gateway.json("queue", "list")["messages"]) == many
    assert [gateway.run("queue", "list", "--limit", str(n)).stdout.splitlines()[-1] for n in (5, many)] == \
        ["5 messages, and more", f"{many} messages"]
    words = [gateway.info["program"], "queue", "list", "--config", gateway.info["config"]]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listing:
        assert listing.stdout.readline().startswith("MESSAGE ")
        listing.stdout.close()
        assert listing.stderr.read() in ("", "sallyport: standard output: Broken pipe\n")
    for where, told in ((("--route", "nowhere"), "route: neither delivery.routes"), (("--to", "nobody"), "to: no address that"),
                        (("--to=",), "to or route: where shall it go")):
        vain = gateway.run("queue", "redirect", "--site", "one.example", *where, "--reason", "x", check=False)
        assert vain.returncode == 64 and vain.stderr.count(told) == 10, vain
        assert vain.stdout == "redirect: 0 messages, 0 recipients\n  20 refused, and no other was asked\n"
    dry = gateway.run("queue", "delete", "--site", "one.example", "--dry-run").stdout.splitlines()
    assert len(dry) == 23 and dry[-1] == f"would delete: {many} messages, {many} recipients; nothing was changed"
    ours, theirs = pty.openpty()  # who watches sees that it goes on
    try:
        words = [gateway.info["program"], "queue", "delete", "--site", "one.example", "--dry-run", "--config",
                 gateway.info["config"]]
        assert subprocess.run(words, stdout=subprocess.PIPE, stderr=theirs, check=True).stdout
        at_a_page = b"would delete: 1000 messages so far"  # more often where it takes long
        assert read_until(ours, lambda text: at_a_page in text and text.endswith(b" \r"))  # the line is free again
        words[2] = "redirect"
        words[5:5] = ["--to", "nobody"]  # what is refused stands on lines of its own
        subprocess.run(words, stdout=subprocess.PIPE, stderr=theirs, check=False)
        lines = read_until(ours, lambda text: text.count(b"\n") == 10).split(b"\r\n")[:-1]
        assert [line.rpartition(b"\r")[2][:11] for line in lines] == [b"sallyport: "] * 10, lines
    finally:
        os.close(theirs)
        os.close(ours)
    assert gateway.json("queue", "delete", "--site", "one.example", "--reason", "enough")["messages"] == many
    assert gateway.run("queue", "list").stdout == "0 messages\n"


def test_many_recipients_where_many_hosts_have_long_names_are_listed(gateways, sinks, tmp_path):
    """What a domain's owner writes into its DNS makes no answer too long to be told."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(ROUTE))
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    responder = Responder(["test"])
    hosts = [f"m{n:02}." + ".".join(["x" * 63] * 3 + ["x" * 46]) + ".many.test" for n in range(16)]
    for host in hosts:
        responder.add(host, "A", sink.address)
    responder.add("many.test", "MX", *(f"10 {host}" for host in hosts))
    responder.start()
    try:
        gateway = gateways("--plain-listener", "--resolver", responder.address, "--mx-port", str(sink.port), "--policy", policy,
                           "--retry", "3600", "--workers", 1)
        to = [f"r{n}@many.test" for n in range(1000)]
        message, message_id = mail.make("hello\r\n", to[:1])
        with gateway.client(tls=False) as client:
            client.sendmail("ann@tenant.test", to, message)
        identity = deferred(gateway, gateway.message_of(message_id))
        for host in (hosts[0], hosts[-1], "*.many.test"):
            count = gateway.json("queue", "count", "--host", host)["total"]
            held = gateway.json("queue", "hold", "--host", host, "--dry-run")["recipients"]
            assert (count, held) == (1000, 1000), host
        assert listed(gateway) == {identity}
    finally:
        responder.stop()
