"""The commands of `queue` against mail that waits: filters, a retry that brings it forward, and JSON from every one of them."""
import json
import pathlib
import subprocess

import pytest

from lab import mail
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
    assert listed(gateway, "--sender", "bench.test") == {bob}
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
    assert json.loads(gateway.run("queue", "repair", "--json").stdout) == {"damaged_messages": [], "given_up": 0}
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
    for words, told in ((("list", "--bogus"), "--bogus: no such option"), (("show", "a", "b", "c"), "c: one word too many"),
                        (("list", "--limit", "0"), "--limit: a number, 1 at least"),
                        (("list", "--state", "foo"), "state: pending, deferred, held,"),
                        (("count", "--by", "foo"), "by: site, tenant, reason or state"),
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
                  ("delete", "--tenant", "test", "--site", "x.example", *why),
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
