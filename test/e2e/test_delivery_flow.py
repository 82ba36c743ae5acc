"""What becomes of mail that is not taken at once: retries, DSNs, several recipients, lost connections, shared ones."""
import json
import pathlib
import re

import pytest

from lab import mail
from lab.pki import Authority
from lab.sink import Session

PLAIN = "test/policies/relay-plain.json"


@pytest.fixture
def plain(gateways, sinks):
    """make(sink, *options): a gateway that takes mail without proof and hands all of it to the sink, TLS or not."""
    return lambda sink, *options: gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}",
                                           "--policy", PLAIN, "--retry", "1", *options)


def submit(gateway, recipients, text="hello\r\n", sender="dr@tenant.test", **options):
    message, message_id = mail.make(text, recipients)
    with gateway.client(tls=False) as client:
        client.sendmail(sender, recipients, message, **options)
    return message, gateway.message_of(message_id)


def attempts(gateway, message):
    return [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == message]


def test_a_refused_recipient_is_returned_to_the_sender_alone(plain, sinks):
    sink = sinks(replies={"RCPT": lambda line: "550 5.1.1 nobody here" if b"nobody" in line else "250 ok"})
    gateway = plain(sink)
    message, identity = submit(gateway, ["a@example.net", "nobody@example.net"], "SECRETWORD\r\n")
    settled = gateway.wait_record("message.settled", message=identity)
    assert [r["final"] for r in settled["recipients"]] == ["delivered", "returned"]
    dsn = sink.wait_for_one(lambda m: b"multipart/report" in m["data"])
    got = sink.wait_for_one(lambda m: m["data"].endswith(message))
    assert got["to"] == ["a@example.net"] and len(sink.wait_for(2)) == 2
    assert dsn["from"] == "" and dsn["to"] == ["dr@tenant.test"]
    assert b"multipart/report" in dsn["data"] and b"Status: 5.1.1" in dsn["data"]
    assert re.search(rb"Final-Recipient: rfc822; ?nobody@example.net", dsn["data"])
    assert b"SECRETWORD" not in dsn["data"] and b"Greetings" not in dsn["data"]
    sent = gateway.wait_record("dsn.sent", message=identity)
    assert sent["n"] == [1] and sent["to"] == "dr@tenant.test"
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def test_a_dsn_that_fails_makes_no_other(plain, sinks):
    sink = sinks(replies={"RCPT": "550 5.1.1 nobody here"})
    gateway = plain(sink)
    _, identity = submit(gateway, ["nobody@example.net"])
    dsn = gateway.wait_record("dsn.sent", message=identity)["dsn"]
    settled = gateway.wait_record("message.settled", message=dsn)
    assert settled["recipients"][0]["final"] == "failed"
    assert len([r for r in gateway.records() if r["event"] == "dsn.sent"]) == 1


def test_what_is_put_off_comes_later(plain, sinks):
    answers = iter(["451 4.3.0 later", "450 4.2.0 later", "250 2.0.0 taken"])
    sink = sinks(replies={"DOT": lambda data: next(answers)})
    gateway = plain(sink)
    message, identity = submit(gateway, ["a@example.net"])
    assert sink.wait_for(1)[0]["data"].endswith(message)
    settled = gateway.wait_record("message.settled", message=identity)
    assert settled["recipients"][0]["attempts"] == 3
    seen = attempts(gateway, identity)
    assert [r["outcome"] for r in seen] == ["deferred", "deferred", "delivered"]
    assert [r["reply"] for r in seen] == ["451 4.3.0", "450 4.2.0", "250 2.0.0"]
    assert [r.get("why") for r in seen[:2]] == ["hop.deferred"] * 2
    assert seen[0]["next_at"] > seen[0]["time"]


def test_a_connection_that_is_lost_loses_no_mail(plain, sinks):
    answers = iter(["close", "close", "250 2.0.0 taken"])
    sink = sinks(replies={"DOT": lambda data: next(answers)})
    gateway = plain(sink)
    message, identity = submit(gateway, ["a@example.net"])
    assert sink.wait_for(1)[0]["data"].endswith(message)
    gateway.wait_record("message.settled", message=identity)
    assert [r.get("why") for r in attempts(gateway, identity)[:2]] == ["hop.connection-lost"] * 2


def test_nobody_listens_then_somebody_does(gateways, sinks):
    sink = sinks()
    sink.stop()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN, "--retry", "1")
    message, identity = submit(gateway, ["a@example.net"])
    first = gateway.wait_record("delivery.attempted", message=identity)
    assert first["outcome"] == "deferred" and first["why"] == "hop.unreachable"
    assert first["hop"]["connected"] is False
    again = sinks(port=sink.port)
    assert again.wait_for(1)[0]["data"].endswith(message)


def test_time_runs_out(gateways, sinks, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text('{"version": 1, "settings": {"floor": "plain", "expire": "2s"},\n'
                      ' "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"}},\n'
                      ' "default": {"protect": "relay"}}\n')
    sink = sinks(replies={"DOT": lambda data: "250 ok" if b"multipart/report" in data else "451 4.3.0 never"})
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", str(policy),
                       "--retry", "1")
    _, identity = submit(gateway, ["a@example.net"])
    gateway.wait_record("message.expired", message=identity)
    settled = gateway.wait_record("message.settled", message=identity)
    assert settled["recipients"][0]["final"] == "returned"
    dsn = sink.wait_for(1)[0]
    assert dsn["to"] == ["dr@tenant.test"] and b"Status: 5.4.7" in dsn["data"]


def test_time_runs_out_at_a_host_that_two_rungs_lead_to(gateways, sinks, tmp_path):
    """It puts the mail off each time, and is asked once each time: what one rung was told there, the next one is told, too."""
    policy = tmp_path / "policy.json"
    policy.write_text('{"version": 1, "settings": {"floor": "plain", "expire": "4s"},\n'
                      ' "ladders": {"relay": {"rungs": [{"rung": "tls:encrypted", "stay": {"unreachable": "1s"}}, "plain"],\n'
                      '                       "floor": "plain"}},\n'
                      ' "default": {"protect": "relay"}}\n')
    certificate = Authority(tmp_path / "pki", "CA").leaf("sink", ["sink.test"]).pair
    sink = sinks(certificate=certificate,
                 replies={"DOT": lambda data: "250 ok" if b"multipart/report" in data else "451 4.3.0 never"})
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", str(policy),
                       "--retry", "1")
    _, identity = submit(gateway, ["a@example.net"])
    settled = gateway.wait_record("message.settled", message=identity)
    assert settled["recipients"][0]["final"] == "returned"
    dsn = sink.wait_for(1)[0]["data"]
    assert b"Status: 5.4.7" in dsn and b"Diagnostic-Code: smtp; 451 4.3.0" in dsn
    assert b"the receiving system said last: 451 4.3.0" in dsn
    tried = [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == identity]
    assert len([m for m in sink.mails if b"<>" not in m]) == len(tried)
    assert tried[-1]["outcome"] == "failed" and tried[-1]["reply"] == "451 4.3.0"


def holding(tmp_path, hold):
    """A policy that holds everything."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({
        "version": 1, "settings": {"floor": "plain", "expire": "1d"},
        "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"}},
        "rules": [{"rule": "held", "when": {"sender.address": {"exists": True}}, "then": {"hold": {**hold, "protect": "relay"}}}],
        "default": {"protect": "relay"}}))
    return policy


def test_a_delay_waits_for_nobody(gateways, sinks, tmp_path):
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy",
                       holding(tmp_path, {"for": "delay", "within": "2s"}))
    message, identity = submit(gateway, ["a@example.net"])
    assert sink.wait_for(1)[0]["data"].endswith(message)
    assert gateway.wait_record("message.settled", message=identity)["recipients"][0]["final"] == "delivered"


def test_what_is_released_goes_out_and_the_rest_does_not(gateways, sinks, tmp_path):
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy",
                       holding(tmp_path, {"for": "approval", "within": "15s", "otherwise": "return"}))
    _, identity = submit(gateway, ["a@example.net", "b@example.net"])
    gateway.run("queue", "release", identity, "--n", "1", "--reason", "asked by the sender")
    assert sink.wait_for(1)[0]["to"] == ["b@example.net"]
    assert gateway.wait_record("message.released", message=identity)["n"] == [1]
    settled = gateway.wait_record("message.settled", message=identity)
    assert [r["final"] for r in settled["recipients"]] == ["returned", "delivered"]


def test_an_act_names_only_those_that_it_changes(gateways, sinks, tmp_path):
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy",
                       holding(tmp_path, {"for": "quarantine"}))
    sink.replies = {"DOT": "451 4.3.0 later"}
    _, identity = submit(gateway, ["a@example.net", "b@example.net"])
    gateway.run("queue", "release", identity, "--n", "0", "--reason", "this one is right")
    gateway.wait_record("delivery.attempted", message=identity, n=[0])
    gateway.run("queue", "release", identity, "--reason", "the other too")
    gateway.wait_record("message.released", message=identity, n=[1])


def test_each_of_many_refusals_is_on_record(plain, sinks):
    sink = sinks(replies={"RCPT": lambda line: "550 5.1.1 nobody here" if b"example.net" in line else "250 ok"})
    gateway = plain(sink)
    _, identity = submit(gateway, [f"user{i}@example.net" for i in range(40)])
    settled = gateway.wait_record("message.settled", message=identity)
    assert {r["final"] for r in settled["recipients"]} == {"returned"}
    assert sorted(n for r in attempts(gateway, identity) for n in r["n"]) == list(range(40))
    assert gateway.wait_record("message.returned", message=identity)["n"] == list(range(40))


def test_recipients_of_one_domain_share_a_transaction_and_others_do_not(plain, sinks):
    sink = sinks()
    gateway = plain(sink)
    submit(gateway, ["a@one.example", "b@one.example", "c@two.example"])
    got = sorted(sorted(m["to"]) for m in sink.wait_for(2))
    assert got == [["a@one.example", "b@one.example"], ["c@two.example"]]


def test_connections_are_shared(plain, sinks):
    sink = sinks()
    gateway = plain(sink, "--workers", "1")
    message, _ = mail.make("hello\r\n")
    with gateway.client(tls=False) as client:
        for _ in range(60):
            client.sendmail("dr@tenant.test", ["a@example.net"], message)
    sink.wait_for(60)
    assert sink.sessions <= 20


class Ending(Session):
    """Takes three messages, and then hangs up, or says so at the fourth."""
    taken, says = 0, None

    def on_mail(self, line):
        if self.taken == 3:
            self.say(self.says)
            raise EOFError
        super().on_mail(line)

    def on_data(self, line):
        super().on_data(line)
        self.taken += 1
        if self.taken == 3 and self.says is None:
            raise EOFError


@pytest.mark.parametrize("says", [None, "421 that was all"])
def test_a_connection_that_ends_between_two_messages_costs_none_its_turn(plain, sinks, says):
    sink = sinks()
    sink.session = type("Session", (Ending,), {"says": says})
    gateway = plain(sink, "--workers", "1", "--set", "delivery.max_connections=1", "--set", 'delivery.retry_first="1h"')
    gateway.run("queue", "freeze", "--tenant", "test", "--reason", "they are to come together")
    messages = [submit(gateway, ["a@example.net"])[1] for _ in range(9)]
    gateway.run("queue", "thaw", "--tenant", "test", "--reason", "now they may")
    sink.wait_for(9)
    for message in messages:
        gateway.wait_record("message.settled", message=message)
        assert [r["outcome"] for r in attempts(gateway, message)] == ["delivered"]
    assert sink.sessions >= 3
    if says is None:
        assert '"site.throttled"' not in gateway.log


def test_a_new_connection_that_is_lost_at_once_is_no_such(plain, sinks):
    sink = sinks(replies={"MAIL": "close"})
    gateway = plain(sink, "--workers", "1", "--set", 'delivery.retry_first="1h"')
    _, message = submit(gateway, ["a@example.net"])
    assert gateway.wait_record("delivery.attempted", message=message)["outcome"] == "deferred"
    assert sink.sessions == 1


def test_eight_bit_is_not_given_to_who_cannot_take_it(plain, sinks):
    sink = sinks(offer=("PIPELINING",))
    gateway = plain(sink)
    _, identity = submit(gateway, ["a@example.net"], "Grüße\r\n", mail_options=["BODY=8BITMIME"])
    settled = gateway.wait_record("message.settled", message=identity)
    assert settled["recipients"][0]["final"] == "returned"
    first = attempts(gateway, identity)[0]
    assert {r["why"] for r in first["rungs"]} >= {"hop.lacks-extension"}


def test_large_and_dotted_bodies_arrive_whole(plain, sinks):
    sink = sinks()
    gateway = plain(sink)
    text = "".join(f"{'.' * (i % 4)}line {i} {'x' * (i % 900)}\r\n" for i in range(6000))
    message, identity = submit(gateway, ["a@example.net"], text)
    assert sink.wait_for(1, 60)[0]["data"].endswith(message)
    assert gateway.wait_record("message.settled", message=identity)["recipients"][0]["final"] == "delivered"


def test_bodies_past_the_inline_limit_lie_in_files(plain, sinks):
    """`intake.inline_limit` divides: records hold what is below it, files what is above, and both outlive a restart."""
    sink = sinks(replies={"DOT": "451 4.3.0 later"})
    gateway = plain(sink, "--set", 'intake.inline_limit="8KiB"', "--workers", "1")
    state = pathlib.Path(json.loads(pathlib.Path(gateway.info["config"]).read_text())["state_dir"])

    def files():
        return list(state.rglob("body-?/*"))
    small = submit(gateway, ["a@example.net"], "small\r\n" * 800)
    gateway.wait_record("delivery.attempted", message=small[1])
    assert len(small[0]) < 8192 and files() == []
    large = submit(gateway, ["b@example.net"], "large\r\n" * 2000)
    gateway.wait_record("delivery.attempted", message=large[1])
    [file] = files()
    assert len(large[0]) > 8192 and file.stat().st_size >= len(large[0]) and b"large" not in file.read_bytes()
    gateway.restart("relay")
    sink.replies = {}
    got = {m["to"][0]: m["data"] for m in sink.wait_for(2, 60)}
    assert got["a@example.net"].endswith(small[0]) and got["b@example.net"].endswith(large[0])
    gateway.wait_record("message.settled", message=large[1])


def test_a_restart_leaves_nothing_undone(plain, sinks):
    sink = sinks(replies={"DOT": "451 4.3.0 later"})
    gateway = plain(sink)
    message, identity = submit(gateway, ["a@example.net"])
    gateway.wait_record("delivery.attempted", message=identity)
    gateway.restart("relay")
    sink.replies = {}
    assert sink.wait_for(1, 60)[0]["data"].endswith(message)
    settled = gateway.wait_record("message.settled", message=identity)
    assert settled["recipients"][0]["final"] == "delivered"


@pytest.mark.parametrize("otherwise,final", [("return", "returned"), ("protect", "delivered")])
def test_a_hold_that_nobody_lifts_ends_as_the_rule_says(gateways, sinks, tmp_path, otherwise, final):
    policy = tmp_path / "policy.json"
    policy.write_text('{"version": 1, "settings": {"floor": "plain", "expire": "1d"},\n'
                      ' "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"}},\n'
                      ' "groups": {"office": {"addresses": ["office@tenant.test"]}},\n'
                      ' "default": {"hold": {"for": "approval", "by": "office", "within": "2s", '
                      f'"otherwise": "{otherwise}", "protect": "relay"}}}}}}\n')
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", str(policy))
    message, identity = submit(gateway, ["a@example.net"])
    settled = gateway.wait_record("message.settled", message=identity)
    assert settled["recipients"][0]["final"] == final
    got = sink.wait_for(1)[0]
    assert got["data"].endswith(message) == (final == "delivered")
