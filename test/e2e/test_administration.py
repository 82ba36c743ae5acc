"""An administrator's commands against a gateway that works: what they show, what they change, and what the audit says of it."""
import contextlib
import json
import pathlib
import smtplib
import socket

import pytest

from lab import mail
from lab.wait import until

PLAIN = "test/policies/relay-plain.json"


def send(gateway, *recipients, extra=""):
    """returns: (Message-ID, our id)"""
    message, message_id = mail.make("Hello", recipients, extra=extra)
    gateway.send(message, list(recipients))
    return message_id, gateway.message_of(message_id)


def later(line):
    """A next hop's answer to RCPT by the recipient's name."""
    if b"slow" in line:
        return "451 4.3.0 later"
    return "550 5.1.1 nobody here" if b"bad" in line else "250 2.1.5 ok"


@pytest.fixture
def place(gateways, sinks):
    """(gateway, sink) of two relays."""
    sink = sinks(replies={"RCPT": later})
    gateway = gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", PLAIN, "--plain-listener", "--workers", 2,
                       "--retry", 60)
    return gateway, sink


def rows(text):
    """A table's lines as lists of cells, by its head's columns."""
    lines = text.splitlines()
    starts = [i for i, c in enumerate(lines[0]) if c != " " and (i == 0 or lines[0][i - 2:i] == "  ")]
    return [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None])] for line in lines[1:]]


def test_trace_tells_each_recipient_of_open_and_settled_messages(place):
    gateway, _ = place
    open_name, open_id = send(gateway, "good@a.test", "slow@b.test", "bad@b.test")
    network = "X-MS-Exchange-Organization-Network-Message-Id: 5d2b0a3e-1111-2222-3333-0123456789ab\r\n"
    _, settled_id = send(gateway, "good@c.test", extra=network)
    gateway.wait_record("message.settled", message=settled_id)
    for n in range(3):
        gateway.wait_record("delivery.attempted", message=open_id, n=[n])

    text = gateway.run("trace", open_name).stdout
    assert open_id in text.splitlines()[0] and "(not settled)" in text
    good, slow, bad = rows(text.split("\n", 1)[1])
    assert good[:5] == ["good@a.test", "delivered", "plain", "default", "127.0.0.1"] and good[5].startswith("20")
    assert slow[:3] == ["slow@b.test", "deferred", "-"] and "hop.deferred (451 4.3.0), next 20" in slow[6]
    assert bad[:5] == ["bad@b.test", "returned", "-", "default", "127.0.0.1"] and bad[6] == "hop.refused (550 5.1.1)"
    assert gateway.run("trace", open_name.strip("<>")).stdout == text, "angle brackets may be left out"
    assert gateway.run("trace", open_id).stdout == text, "our own id does as well"

    [found] = gateway.json("trace", "--network-message-id", "5d2b0a3e-1111-2222-3333-0123456789ab")["messages"]
    assert found["id"] == settled_id and found["settled"] and "queue" not in found
    assert found["recipients"][0]["rung"] == "plain" and found["recipients"][0]["hop"]["mx"] == "127.0.0.1"
    assert gateway.run("trace", "<nobody@nowhere.test>", check=False).returncode == 1
    assert gateway.run("trace", check=False).returncode == 64
    assert gateway.run("trace", open_name, "--network-message-id", "x", check=False).returncode == 64


def test_two_messages_of_one_name_are_both_told(place):
    gateway, _ = place
    message, name = mail.make("Hello", ["good@a.test"])
    for _ in range(2):
        gateway.send(message, ["good@a.test"])

    def taken():
        return {r["message"] for r in gateway.records() if r["event"] == "message.accepted"}
    accepted = until(lambda: len(taken()) >= 2 and taken())
    assert {m["id"] for m in gateway.json("trace", name)["messages"]} == accepted


def test_a_list_has_the_mail_of_shards_left_behind(place):
    gateway, _ = place
    ids = [send(gateway, f"slow{n}@b.test")[1] for n in range(8)]
    shards = {r["journal"]["shard"] for r in gateway.records() if r["event"] == "message.accepted"}
    while shards != {"0", "1"}:
        ids.append(send(gateway, f"slow{len(ids)}@b.test")[1])
        shards = {r["journal"]["shard"] for r in gateway.records() if r["event"] == "message.accepted"}
    gateway.again(workers=1)
    assert [m["id"] for m in gateway.json("queue", "list")["messages"]] == sorted(ids)
    assert [m["id"] for m in gateway.json("queue", "list", "--limit", "3")["messages"]] == sorted(ids)[:3]

    def counted():  # who is being tried at this moment is not among those who wait
        [relay] = gateway.json("status")["relays"]
        return relay["says"]["messages"], relay["says"]["pending"]
    until(lambda: counted() == (len(ids), len(ids)), what=counted)
    gateway.run("queue", "delete", ids[0], "--reason", "nobody wants it")
    gateway.run("queue", "delete", ids[-1], "--reason", "nobody wants it")
    assert [m["id"] for m in gateway.json("queue", "list")["messages"]] == sorted(ids)[1:-1]
    assert json.loads(gateway.run("queue", "show", ids[3], "--json").stdout)["message"]["id"] == ids[3]


def test_what_waits_is_counted(place):
    gateway, _ = place
    for n in range(3):
        send(gateway, f"slow{n}@b.test", f"slow{n}@d.test")
    name = send(gateway, "slow@d.test")[1]
    gateway.wait_record("delivery.attempted", message=name)
    count = {"b.test": 3, "d.test": 4}

    def groups(*words):
        return {g["key"]: g["count"] for g in gateway.json("queue", "count", *words)["groups"]}
    until(lambda: groups("--by", "reason").get("hop.deferred", 0) == 7)  # those last sent are on their way
    assert groups() == groups("--by", "domain") == count
    assert groups("--by", "tenant") == {"test": 7} and groups("--by", "state") == {"deferred": 7}
    assert groups("--limit", "1") == {"d.test": 4}
    assert rows(gateway.run("queue", "count").stdout)[0] == ["4", "d.test"]
    assert gateway.run("queue", "count", "--by", "weather", check=False).returncode == 64


def test_many_long_questions_at_a_time_are_all_answered(place):
    gateway, _ = place
    identities = {send(gateway, "slow@b.test")[1] for _ in range(3)}
    words = ('"queue.list"', '"queue.count","by":"site"', '"queue.stats"', '"queue.list","state":"held"')
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(8)]
        for asked in sessions:
            asked.settimeout(60)
            asked.connect(str(pathlib.Path(gateway.folder) / "state/admin/admin.sock"))
        for asked in sessions:  # 16 in each, and none is read before all are sent
            asked.sendall(b"".join(b'{"keep":true,"command":%b}\n' % word.encode() for word in words * 4))
        for asked in sessions:
            with asked.makefile() as lines:
                answers = [json.loads(lines.readline()) for _ in range(16)]
            assert all(answer["ok"] and answer["keep"] for answer in answers), answers
            for listed in answers[::4]:
                assert {message["id"] for message in listed["result"]["messages"]} == identities
            assert all("groups" in relay["says"] for counted in answers[1::4] for relay in counted["result"]["relays"])
            assert not any(held["result"]["messages"] for held in answers[3::4])


def test_of_many_groups_those_with_most_are_told_and_how_many_there_are(gateways, sinks):
    sink = sinks(replies={"RCPT": later})
    gateway = gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", PLAIN, "--plain-listener", "--workers", 1,
                       "--retry", 60)
    for n in range(12):
        send(gateway, *[f"slow{k}@d{n:02}.test" for k in range(n * 7 % 12 + 1)])
    expected = sorted(((n * 7 % 12 + 1, f"d{n:02}.test") for n in range(12)), reverse=True)
    for limit in (1, 2, 5, 11, 12, 100):
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(str(pathlib.Path(gateway.folder) / "state/admin/admin.sock"))
            asked.sendall(json.dumps({"command": "queue.count", "by": "site", "limit": limit}).encode() + b"\n")
            with asked.makefile() as answer:
                says = json.loads(answer.readline())["result"]["relays"][0]["says"]
        assert [(g["count"], g["key"]) for g in says["groups"]] == expected[:limit]
        assert (says["total"], says["group_count"]) == (78, 12)
        assert says["others"] == 78 - sum(count for count, _ in expected[:limit])


def states(gateway):
    return {g["key"]: g["count"] for g in gateway.json("queue", "count", "--by", "state")["groups"]}


def acts(gateway, act):
    return [r for r in gateway.records() if r["event"] == "admin.acted" and r.get("act") == act]


def test_a_frozen_site_waits_through_restarts_and_others_go(place):
    gateway, sink = place
    assert gateway.run("queue", "freeze", "--site", "B.test", check=False).returncode == 64, "a reason is asked for"
    why = ("--reason", "their server loses mail")
    assert gateway.run("queue", "freeze", "--site", "B.test", *why).stdout == "freeze: done\n"
    again = gateway.run("queue", "freeze", "--site", "b.test", *why).stdout  # who did it, and why, may be news to this one
    assert again.startswith("freeze: it was so already\n  since 2") and again.endswith(": their server loses mail\n")
    ids = [send(gateway, f"good{n}@b.test")[1] for n in range(4)]
    _, first = send(gateway, "good@c.test")
    assert sink.wait_for(1)[0]["to"] == ["good@c.test"]
    gateway.wait_record("message.settled", message=first)  # else it may come twice, as the relay dies
    gateway.restart("relay")
    gateway.again()
    _, other = send(gateway, "good2@c.test")
    gateway.wait_record("message.settled", message=other)
    assert [m["to"] for m in sink.messages] == [["good@c.test"], ["good2@c.test"]], "nothing went to the frozen site"
    until(lambda: states(gateway) == {"frozen": 4}, what=lambda: states(gateway))  # each line is looked at once
    assert any(line.split()[:2] == ["site", "b.test"] for line in gateway.run("queue", "orders").stdout.splitlines())
    gateway.run("queue", "thaw", "--site", "b.test", *why)
    assert sorted(m["to"][0] for m in sink.wait_for(6)[2:]) == [f"good{n}@b.test" for n in range(4)]
    for message in ids:
        gateway.wait_record("message.settled", message=message)
    until(lambda: len(acts(gateway, "queue.thaw")) >= 2)  # the messages may be all of one relay
    frozen, thawed = acts(gateway, "queue.freeze"), acts(gateway, "queue.thaw")
    assert len(frozen) == len(thawed) == 2, "one a relay, none for what stood already"
    assert all(r["site"] in ("B.test", "b.test") and r["reason"] == why[1] and r["actor"]["type"] == "admin" for r in frozen)


def test_a_frozen_tenant_sends_nothing(place):
    gateway, sink = place
    gateway.run("queue", "freeze", "--tenant", "test", "--reason", "its mailbox was stolen")
    _, message = send(gateway, "good@a.test")
    assert gateway.json("queue", "show", message)["message"]["recipients"][0]["state"] == "pending"
    gateway.run("queue", "retry", message)  # an order stands above a retry
    gateway.run("queue", "hold", message, "--reason", "look at it")
    gateway.run("queue", "delete", message, "--reason", "it was not theirs")
    _, other = send(gateway, "good@a.test")
    assert not sink.messages
    gateway.run("queue", "thaw", "--tenant", "test", "--reason", "new password")
    gateway.wait_record("message.settled", message=other)
    assert len(sink.messages) == 1


def test_a_frozen_host_stops_all_that_would_go_there_first(gateways, sinks):
    """Whatever domain it is, by a route or not; and a relay that comes later knows it."""
    first, second = sinks(), sinks(address="127.0.0.2")
    gateway = gateways("--next-hop", f"127.0.0.1:{first.port}", "--policy", PLAIN, "--workers", 1, "--retry", 60, "--set",
                       "delivery.routes=" + json.dumps({"routed.test": f"127.0.0.2:{second.port}"}))
    why = ("--reason", "their provider asks for it")
    gateway.run("queue", "freeze", "--host", "127.0.0.1", *why)
    assert gateway.run("queue", "freeze", "--host", "a", "--site", "b", *why, check=False).returncode == 64
    ids = [send(gateway, f"good{n}@{name}.test")[1] for n, name in enumerate(("a", "b", "a"))]
    _, routed = send(gateway, "good@routed.test")
    assert second.wait_for(1)[0]["to"] == ["good@routed.test"]
    gateway.wait_record("message.settled", message=routed)  # else it may come twice
    gateway.run("queue", "freeze", "--site", "routed.test", *why)
    gateway.again(workers=3)  # two relays more
    assert {r["relay"]: (r["says"]["hosts"], r["says"]["sites"]) for r in gateway.json("queue", "orders")["relays"]} \
        == {n: (["127.0.0.1"], ["routed.test"]) for n in range(3)}
    ids += [send(gateway, f"good{n}@{name}.test")[1] for n in range(6) for name in ("c", "routed")]
    until(lambda: states(gateway) == {"frozen": len(ids)}, what=lambda: states(gateway))
    assert not first.messages and len(second.messages) == 1
    gateway.run("queue", "thaw", "--host", "127.0.0.1", *why)
    assert len(first.wait_for(9)) == 9 and len(second.messages) == 1
    gateway.run("queue", "thaw", "--site", "routed.test", *why)
    for message in ids:
        gateway.wait_record("message.settled", message=message)
    assert {r.get("host") for r in acts(gateway, "queue.thaw")} == {"127.0.0.1", None}


def test_drained_it_takes_no_mail_and_empties(place):
    gateway, sink = place
    gateway.run("queue", "freeze", "--site", "a.test", "--reason", "so that something waits")
    _, message = send(gateway, "good@a.test")
    with gateway.client() as early:
        assert gateway.run("queue", "drain", "--reason", "the disk is replaced").stdout == "drain: done\n"
        with pytest.raises(smtplib.SMTPServerDisconnected):
            for _ in range(3):
                assert early.docmd("NOOP")[0] == 421
    for _ in range(4):  # both relays
        with pytest.raises(smtplib.SMTPConnectError, match="421"):
            gateway.client()
    assert {r["says"]["accepts"] for r in gateway.json("status")["relays"]} == {"draining"}
    gateway.run("queue", "thaw", "--site", "a.test", "--reason", "so that it goes")
    gateway.wait_record("message.settled", message=message)
    until(lambda: gateway.run("queue", "orders").stdout.startswith("draining: no mail is taken, 0 messages in the queue"))
    gateway.again()
    with pytest.raises(smtplib.SMTPConnectError, match="421"):
        gateway.client()
    gateway.run("queue", "resume", "--reason", "new disk")
    send(gateway, "good@a.test")
    assert len(sink.wait_for(2)) == 2
    until(lambda: len(acts(gateway, "queue.resume")) >= 2)  # the message tells of one relay's
    assert len(acts(gateway, "queue.drain")) == len(acts(gateway, "queue.resume")) == 2
