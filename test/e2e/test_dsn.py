"""What a sender hears: delays, success where it was asked for, mixed outcomes; and to whom nothing is ever sent."""
import datetime
import email
import email.utils
import json
import re

import pytest

from lab import mail
from lab.wait import until

# It names no expiry: delivery.expire is the time.
POLICY = {"version": 1, "settings": {"floor": "plain", "portal": {"notify_floor": "plain"}},
          "texts": {"list": "No lists of patients to them. " * 8},
          "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"},
                      "pickup": {"rungs": ["portal"], "floor": "sealed"}},
          "rules": [{"rule": "list", "when": {"subject.tag": "list", "recipient.domain": "strangers.example"},
                     "then": {"reject": "list"}},
                    {"rule": "pickup", "when": {"recipient.domain": "pickup.example"}, "then": {"protect": "pickup"}},
                    {"rule": "longer", "when": {"recipient.domain": "long.example"},
                     "then": {"protect": "relay", "expire": "1d"}},
                    {"rule": "watched", "when": {"recipient.domain": "watched.example"}, "then": {
                        "hold": {"for": "approval", "within": "8h", "otherwise": "return", "protect": "relay"},
                        "notify": {"sender": ["late"]}}},
                    {"rule": "hasty", "when": {"recipient.domain": "hasty.example"},
                     "then": {"protect": "relay", "notify": {"sender": ["late"]}}}],
          "default": {"protect": "relay"}}
DSN_OFFER = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN")


@pytest.fixture
def plain(gateways, tmp_path):
    """make(sink, *options): a gateway that takes mail without proof and hands all of it to the sink, TLS or not."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    return lambda sink, *options: gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}",
                                           "--policy", str(policy), "--retry", "0.5", *options)


def submit(gateway, recipients, text="hello\r\n", sender="dr@tenant.test", **options):
    message, message_id = mail.make(text, recipients)
    with gateway.client(tls=False) as client:
        client.sendmail(sender, recipients, message, **options)
    return gateway.message_of(message_id)


def submit_frozen(gateway, *words, **options):
    """The same, not tried at once: a quick machine does so in the millisecond in which it is taken, and then no time of a
    millisecond is over."""
    gateway.run("queue", "freeze", "--tenant", "test", "--reason", "it is to be older")
    identity = submit(gateway, *words, **options)
    gateway.run("queue", "thaw", "--tenant", "test", "--reason", "it is older")
    return identity


def is_report(data):
    return b"multipart/report" in data


def fields(dsn):
    """The groups of the status part: the message's, then one for each recipient, as dicts in lower case."""
    part = next(p for p in email.message_from_bytes(dsn["data"]).walk()
                if p.get_content_type() in ("message/delivery-status", "message/global-delivery-status"))
    return [{k.lower(): v for k, v in group.items()} for group in part.get_payload()]


def kinds(gateway, identity):
    return [r["action"] for r in gateway.records() if r["event"] == "dsn.sent" and r["message"] == identity]


def test_a_delay_is_told_once_and_again_never(plain, sinks):
    sink = sinks(replies={"DOT": lambda data: "250 ok" if is_report(data) else "451 4.2.1 later"})
    gateway = plain(sink, "--set", 'delivery.dsn_delay="1s"')
    identity = submit(gateway, ["a@example.net"], "SECRETWORD\r\n", mail_options=["ENVID=e-1"],
                      rcpt_options=["ORCPT=rfc822;a@example.net"])
    dsn = sink.wait_for(1)[0]
    whole, one = fields(dsn)
    assert dsn["from"] == "" and dsn["to"] == ["dr@tenant.test"] and b"SECRETWORD" not in dsn["data"]
    assert whole["original-envelope-id"] == "e-1"
    assert one["action"] == "delayed" and one["status"] == "4.2.1" and "will-retry-until" in one
    assert one["original-recipient"] == "rfc822; a@example.net"
    assert gateway.wait_record("dsn.sent", message=identity)["action"] == "delayed"
    before = len([r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == identity])
    gateway.restart("relay")  # that it was told is on the disk
    sink.replies = {}
    gateway.wait_record("message.settled", message=identity)
    after = [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == identity]
    assert len(after) > before and kinds(gateway, identity) == ["delayed"]


def test_no_delay_is_told_to_those_who_did_not_ask(plain, sinks):
    sink = sinks(replies={"DOT": lambda data: "250 ok" if is_report(data) else "451 4.2.1 later"})
    gateway = plain(sink, "--set", 'delivery.dsn_delay="500ms"', "--set", 'delivery.expire="4s"')
    failure = submit(gateway, ["a@example.net"], rcpt_options=["NOTIFY=FAILURE"])
    never = submit(gateway, ["a@example.net"], rcpt_options=["NOTIFY=NEVER"])
    null = submit(gateway, ["a@example.net"], sender="")
    for identity in (failure, never, null):
        gateway.wait_record("message.settled", message=identity)
    assert kinds(gateway, failure) == ["failed"]
    assert kinds(gateway, never) == [] and kinds(gateway, null) == []
    finals = {i: gateway.wait_record("message.settled", message=i)["recipients"][0]["final"] for i in (failure, never, null)}
    assert list(finals.values()) == ["returned", "failed", "failed"]
    assert len(sink.wait_for(1)) == 1


def test_success_is_told_where_the_next_hop_will_not(plain, sinks):
    sink = sinks()
    gateway = plain(sink)
    identity = submit(gateway, ["a@example.net", "b@example.net"], mail_options=["RET=HDRS", "ENVID=e-2"],
                      rcpt_options=["NOTIFY=SUCCESS,FAILURE"])
    dsn = sink.wait_for(2)[1]
    whole, one, two = fields(dsn)
    assert dsn["from"] == "" and dsn["to"] == ["dr@tenant.test"] and whole["original-envelope-id"] == "e-2"
    assert [one["action"], two["action"]] == ["relayed"] * 2 and one["status"] == "2.0.0"
    assert one["diagnostic-code"] == "smtp; 250 2.0.0"
    assert "Auto-Submitted: auto-replied" in dsn["data"].decode()
    sent = gateway.wait_record("dsn.sent", message=identity)
    assert sent["action"] == "relayed" and sent["n"] == [0, 1]
    gateway.wait_record("message.settled", message=sent["dsn"])
    assert len([r for r in gateway.records() if r["event"] == "dsn.sent"]) == 1


@pytest.mark.parametrize("ret", ["RET=FULL", "RET=HDRS", None])
def test_how_much_comes_back_is_said_as_it_came(plain, sinks, ret):
    sink = sinks(offer=DSN_OFFER)
    gateway = plain(sink)
    submit(gateway, ["a@example.net"], mail_options=[ret] if ret else [])
    sink.wait_for(1)
    assert [word for word in sink.mails[0].decode().split() if word.startswith("RET=")] == ([ret] if ret else [])


def test_success_is_left_to_a_next_hop_that_knows_dsn(plain, sinks):
    sink = sinks(offer=DSN_OFFER)
    lines = []
    sink.replies = {"RCPT": lambda line: lines.append(line) or "250 2.1.5 ok"}
    gateway = plain(sink)
    identity = submit(gateway, ["a@example.net"], mail_options=["ENVID=e-3"],
                      rcpt_options=["NOTIFY=SUCCESS", "ORCPT=rfc822;a@example.net"])
    gateway.wait_record("message.settled", message=identity)
    assert b" NOTIFY=SUCCESS" in lines[0] and b"ORCPT=rfc822;a@example.net" in lines[0] and b"ENVID=e-3" in sink.mails[0]
    assert kinds(gateway, identity) == []


def test_one_dsn_tells_all_that_a_transaction_came_to(plain, sinks):
    replies = {b"gone": "550 5.1.1 no", b"full": "452 4.2.2 full"}
    sink = sinks(replies={"RCPT": lambda line: next((r for k, r in replies.items() if k in line), "250 2.1.5 ok")})
    gateway = plain(sink, "--set", 'delivery.dsn_delay="1ms"', "--set", 'delivery.expire="3s"')
    identity = submit_frozen(gateway, ["ok@example.net", "gone@example.net", "full@example.net"],
                             rcpt_options=["NOTIFY=SUCCESS,FAILURE,DELAY"])
    groups = {g["final-recipient"]: (g["action"], g["status"]) for g in fields(
        sink.wait_for_one(lambda m: is_report(m["data"]) and b"rfc822; ok@example.net" in m["data"]))[1:]}
    assert groups == {"rfc822; ok@example.net": ("relayed", "2.0.0"), "rfc822; gone@example.net": ("failed", "5.1.1"),
                      "rfc822; full@example.net": ("delayed", "4.2.2")}
    settled = gateway.wait_record("message.settled", message=identity)
    assert [r["final"] for r in settled["recipients"]] == ["delivered", "returned", "returned"]
    assert sorted(kinds(gateway, identity)) == ["delayed", "failed", "failed", "relayed"]
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def test_who_is_named_twice_gets_one_copy(plain, sinks):
    """Unless a report would tell the two apart; the local part is the receiver's to read, the domain is not."""
    sink = sinks()
    gateway = plain(sink, "--workers", "1")
    never, success = ["NOTIFY=NEVER"], ["NOTIFY=SUCCESS", "ORCPT=rfc822;list@tenant.test"]
    named = [("a@example.net", []), ("b@example.net", []), ("a@EXAMPLE.net", []), ("A@example.net", []), ("a@example.net", []),
             ("b@example.net", never), ("c@other.example", success), ("b@Example.Net", never), ("c@other.example", success),
             ("c@other.example", [success[0]])]
    message, message_id = mail.make("hello\r\n", ["a@example.net"])
    with gateway.client(tls=False) as client:
        client.ehlo()
        assert client.mail("dr@tenant.test")[0] == 250
        assert [client.rcpt(*words)[0] for words in named] == [250] * len(named)
        assert client.data(message)[0] == 250
    wanted = ["a@example.net", "b@example.net", "A@example.net", "b@example.net", "c@other.example", "c@other.example"]
    identity = gateway.message_of(message_id)
    assert gateway.wait_record("message.accepted", message=identity)["to"] == wanted
    settled = gateway.wait_record("message.settled", message=identity)
    assert [r["final"] for r in settled["recipients"]] == ["delivered"] * len(wanted)
    assert sorted(to for m in sink.messages if not is_report(m["data"]) for to in m["to"]) == sorted(wanted)
    told = [r["to"] for r in gateway.records() if r["event"] == "message.accepted" and r["message"] == identity]
    assert told == [wanted]


def test_thousands_of_refused_are_told_in_one_report(plain, sinks):
    """Whom content refuses is known at the end of data: the report outgrows what other bodies in a record may be."""
    sink = sinks()
    gateway = plain(sink, "--set", "intake.max_recipients=3000")
    strangers = [f"list-member-{n}@strangers.example" for n in range(1500)]
    message, message_id = mail.make("hello\r\n", ["ok@example.net"], subject="[list] all of them")
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["ok@example.net", *strangers], message)
    identity = gateway.message_of(message_id)
    report = next(m for m in sink.wait_for(2) if is_report(m["data"]))
    assert len(report["data"]) > 256 * 1024
    told = fields(report)[1:]
    assert {g["final-recipient"] for g in told} == {f"rfc822; {s}" for s in strangers} and len(told) == 1500
    settled = gateway.wait_record("message.settled", message=identity)
    assert [r["final"] for r in settled["recipients"]].count("returned") == 1500
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0
    assert gateway.run("queue", "check").returncode == 0


def test_reports_are_sent_where_no_body_lies_in_a_record(plain, sinks):
    """`intake.inline_limit` is for mail: reports stay in the records of what they tell of."""
    sink = sinks(replies={"RCPT": lambda line: "550 5.1.1 no" if b"gone" in line else "250 2.1.5 ok"})
    gateway = plain(sink, "--set", 'intake.inline_limit="1KiB"')
    relays = gateway.pids("relay")
    identity = submit(gateway, ["ok@example.net", "gone@example.net"])
    reports = [m for m in sink.wait_for(2) if is_report(m["data"])]
    assert sorted(g["final-recipient"] for r in reports for g in fields(r)[1:]) == [
        "rfc822; gone@example.net"]
    gateway.wait_record("message.settled", message=identity)
    assert gateway.pids("relay") == relays


def test_a_dsn_of_any_kind_makes_no_other(plain, sinks):
    """Delays and refusals of our own reports are told to nobody, whatever the settings."""
    sink = sinks(replies={"DOT": lambda data: "451 4.3.0 later" if is_report(data) else "250 2.0.0 ok"})
    gateway = plain(sink, "--set", 'delivery.dsn_delay="1ms"', "--set", 'delivery.expire="2s"')
    identity = submit(gateway, ["a@example.net"], rcpt_options=["NOTIFY=SUCCESS"])
    dsn = gateway.wait_record("dsn.sent", message=identity)["dsn"]
    assert gateway.wait_record("message.settled", message=dsn)["recipients"][0]["final"] == "failed"
    assert len([r for r in gateway.records() if r["event"] == "dsn.sent"]) == 1


def test_an_age_of_the_settings_gives_up_where_the_policy_names_none(plain, sinks):
    sink = sinks(replies={"DOT": lambda data: "250 ok" if is_report(data) else "451 4.3.0 never"})
    gateway = plain(sink, "--set", 'delivery.expire="2s"')
    identity = submit(gateway, ["a@example.net", "b@long.example"])
    expired = gateway.wait_record("message.expired", message=identity)
    assert expired["n"] == [0]

    def listed():
        return {r["address"]: r["state"] for m in gateway.json("queue", "list")["messages"] for r in m["recipients"]
                if m["id"] == identity}
    # b is in delivery now and then
    until(lambda: listed() == {"a@example.net": "returned", "b@long.example": "deferred"}, what=listed)


def test_lost_behind_the_dot_is_tried_again_and_marked(plain, sinks):
    """The peer has taken it and could not say so: RFC 1047. The copies are the same, and the records tell of it."""
    sink = sinks()
    copies = []

    def lose(data):
        copies.append(data)
        return "close" if len(copies) == 1 else "250 2.0.0 taken"
    sink.replies = {"DOT": lose}
    gateway = plain(sink)
    identity = submit(gateway, ["a@example.net"])
    settled = gateway.wait_record("message.settled", message=identity)
    assert settled["duplicates_possible"] is True and settled["recipients"][0]["attempts"] == 2
    first, second = [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == identity]
    assert first["possibly_delivered"] is True and first["why"] == "hop.connection-lost"
    assert "possibly_delivered" not in second
    assert len(copies) == 2 and copies[0] == copies[1] and re.search(rb"\r\nMessage-ID: ", copies[0], re.I)


def test_lost_before_the_dot_is_no_duplicate(plain, sinks):
    answers = iter(["close", "250 2.1.5 ok"])
    sink = sinks(replies={"RCPT": lambda line: next(answers)})
    gateway = plain(sink)
    identity = submit(gateway, ["a@example.net"])
    assert gateway.wait_record("message.settled", message=identity)["duplicates_possible"] is False
    assert len(sink.wait_for(1)) == 1


def test_a_rule_lets_the_sender_hear_early(plain, sinks):
    """`late`: of a hold in the record that accepts it, of any other delay after the second attempt."""
    sink = sinks(replies={"DOT": lambda data: "250 ok" if is_report(data) else "451 4.3.0 later"})
    gateway = plain(sink)
    held = submit(gateway, ["a@watched.example"])
    whole, one = fields(sink.wait_for(1)[0])
    assert one["action"] == "delayed" and one["status"] == "4.7.1" and "will-retry-until" in one
    gateway.wait_record("message.accepted", parent=held)
    told = [r for r in gateway.records() if r["event"] == "message.accepted" and r.get("parent") == held]
    assert len(told) == 1
    hasty = submit(gateway, ["a@hasty.example"])
    assert gateway.wait_record("dsn.sent", message=hasty)["action"] == "delayed"
    before = [r["attempt"] for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == hasty]
    assert before[:2] == [1, 2]


def test_a_kind_of_failure_has_its_own_time(plain, sinks):
    """Per status code: when it comes again, and when it is given up though other mail may wait longer."""
    replies = {b"full": "452 4.2.2 full", b"grey": "450 4.2.0 later"}
    sink = sinks(replies={"RCPT": lambda line: next((r for k, r in replies.items() if k in line), "250 2.1.5 ok")})
    gateway = plain(sink, "--set", 'delivery.retries=' + json.dumps(
        [{"match": "4.2.2", "first": "1h", "expire": "2s"}, {"match": "4.2", "first": "3h"}]))
    full, grey = submit(gateway, ["full@example.net"]), submit(gateway, ["grey@example.net"])
    one = gateway.wait_record("delivery.attempted", message=grey)
    began, next_at = (datetime.datetime.fromisoformat(one[k].replace("Z", "+00:00")) for k in ("time", "next_at"))
    assert 2.6 * 3600 < (next_at - began).total_seconds() < 3.4 * 3600
    settled = gateway.wait_record("message.settled", message=full)
    assert settled["recipients"][0]["final"] == "returned" and settled["recipients"][0]["attempts"] == 2
    assert gateway.wait_record("message.expired", message=full)["n"] == [0]


def test_a_delay_says_how_long_its_kind_is_tried(plain, sinks):
    replies = {b"full": "452 4.2.2 full", b"grey": "450 4.2.0 later"}
    sink = sinks(replies={"RCPT": lambda line: next((r for k, r in replies.items() if k in line), "250 2.1.5 ok")})
    gateway = plain(sink, "--set", 'delivery.dsn_delay="1ms"', "--set", 'delivery.expire="1d"', "--set", 'delivery.retries='
                    + json.dumps([{"match": "4.2.2", "first": "1h", "expire": "4h"}, {"match": "4.2", "first": "3h"}]))
    submit_frozen(gateway, ["full@example.net", "grey@example.net"])
    whole, *both = fields(sink.wait_for(1)[0])
    arrived = email.utils.parsedate_to_datetime(whole["arrival-date"])
    until = {g["final-recipient"]: email.utils.parsedate_to_datetime(g["will-retry-until"]) - arrived for g in both}
    hours = {who: round(time.total_seconds() / 3600) for who, time in until.items()}
    assert hours == {"rfc822; full@example.net": 4, "rfc822; grey@example.net": 24}


def test_kinds_of_one_transaction_have_their_own_times(plain, sinks):
    """The last one's reply does not decide for all that were put off together."""
    replies = {b"full": "452 4.2.2 full", b"soon": "450 4.3.0 later", b"never": "451 4.7.1 no"}
    sink = sinks(replies={"RCPT": lambda line: next((r for k, r in replies.items() if k in line), "250 2.1.5 ok")})
    gateway = plain(sink, "--set", 'delivery.retries=' + json.dumps(
        [{"match": "4.2.2", "first": "1h"}, {"match": "4.3.0", "first": "1s"}, {"match": "4.7.1", "expire": "1ms"}]))
    names = ["soon", "never", "soon2", "full", "ok"]
    identity = submit_frozen(gateway, [f"{name}@example.net" for name in names])
    gateway.wait_record("message.expired", message=identity)
    replies.pop(b"soon")
    sink.wait_for_one(lambda m: "soon@example.net" in m["to"])  # the report may come before
    got = [m["to"] for m in sink.messages if not is_report(m["data"])]
    assert got == [["ok@example.net"], ["soon@example.net", "soon2@example.net"]]  # those alike come together again
    tried = [r for r in gateway.records() if r["event"] == "delivery.attempted" and r["message"] == identity]
    late = {tuple(r["n"]): (datetime.datetime.fromisoformat(r["next_at"].replace("Z", "+00:00"))
                            - datetime.datetime.fromisoformat(r["time"].replace("Z", "+00:00"))).total_seconds()
            for r in reversed(tried) if r["outcome"] == "deferred"}  # the first of each: a machine that is busy tries twice
    assert set(late) == {(0, 2), (3,)} and late[0, 2] < 2 and 3200 < late[3,] < 4000
    assert [r["n"] for r in tried if r["outcome"] == "failed"] == [[1]]


def test_refused_at_mail_with_a_go_ahead_for_data_keeps_nobody(plain, sinks):
    """354 to the DATA that was pipelined, and no answer to what must follow: the recipients are put off at once."""
    sink = sinks(replies={"MAIL": "451 4.3.0 later"})
    gateway = plain(sink, "--retry", "60")
    identity = submit(gateway, ["a@example.net"])
    tried = gateway.wait_record("delivery.attempted", message=identity)
    assert tried["outcome"] == "deferred" and tried["reply"] == "451 4.3.0"


@pytest.mark.parametrize("option", [{"mail_options": ["ENVID=e+E2+82+AC"]},
                                    {"rcpt_options": ["ORCPT=rfc822;m+C3+BCller@example.net"]}])
def test_what_may_not_stand_in_a_report_keeps_none_back(plain, sinks, option):
    sink = sinks(replies={"RCPT": lambda line: "250 ok" if b"tenant.test" in line else "550 5.1.1 nobody"})
    gateway = plain(sink)
    identity = submit(gateway, ["a@example.net"], **option)
    _, one = fields(sink.wait_for(1)[0])
    assert one["final-recipient"] == "rfc822; a@example.net" and "original-recipient" not in one
    assert gateway.wait_record("message.settled", message=identity)["recipients"][0]["final"] == "returned"


def test_nobody_hears_of_a_notice_who_did_not_want_to(plain, sinks):
    """A portal notice that comes back: the sender's NOTIFY, ENVID and ORCPT are those of the message it tells of."""
    sink = sinks(replies={"RCPT": lambda line: "550 5.1.1 gone" if b"pickup.example" in line else "250 2.1.5 ok"})
    gateway = plain(sink)
    quiet = submit(gateway, ["a@pickup.example"], rcpt_options=["NOTIFY=NEVER"])
    loud = submit(gateway, ["b@pickup.example"], mail_options=["ENVID=e-9"],
                  rcpt_options=["NOTIFY=FAILURE", "ORCPT=rfc822;bee@pickup.example"])
    notices = {identity: gateway.wait_record("portal.deposited", message=identity)["notice"] for identity in (quiet, loud)}
    for notice in notices.values():
        gateway.wait_record("message.settled", message=notice)
    assert kinds(gateway, notices[quiet]) == [] and kinds(gateway, notices[loud]) == ["failed"]
    whole, one = fields(sink.wait_for(1)[0])
    assert whole["original-envelope-id"] == "e-9" and one["original-recipient"] == "rfc822; bee@pickup.example"
    assert len(sink.messages) == 1


def test_a_real_mta_is_asked_and_tells_of_success_itself(gateways, lab, tmp_path):
    """Postfix offers DSN: what the sender asked for arrives there whole, and its report names envelope and recipient."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    gateway = gateways("--plain-listener", *lab.options(), "--policy", str(policy))
    identity = submit(gateway, ["asked@example.test"], mail_options=["RET=HDRS", "ENVID=real-1"],
                      rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Asked+2Bfirst@example.test"])
    assert gateway.wait_record("message.settled", message=identity)["recipients"][0]["final"] == "delivered"
    report = lab.postfix.wait_for(lambda m: b"Original-Envelope-Id: real-1" in m)
    assert b"Action: delivered" in report and b"Original-Recipient: rfc822;Asked+first@example.test" in report
    assert kinds(gateway, identity) == []
