"""Flipped bytes in the store: the message is found out, kept back and reported, all others flow, and it can be deleted."""
import json
import os
import sqlite3
import time

import pytest

from lab import mail, spool
from lab.wait import until

PLAIN = "test/policies/relay-plain.json"
SIZES = {"in-record": 3000, "in-file": 600000}


@pytest.fixture
def plain(gateways, sinks):
    sink = sinks(replies={"RCPT": "451 4.3.0 later"})
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", PLAIN, "--retry", "1",
                       "--workers", "1")
    return gateway, sink


def freeze(gateway):
    """Nothing is tried: what an attempt has read before the damage it would send."""
    gateway.run("queue", "freeze", "--tenant", "test", "--reason", "until it is damaged")


def thaw(gateway, sink):
    sink.replies.clear()
    gateway.run("queue", "thaw", "--tenant", "test", "--reason", "it is damaged")


def submit(gateway, size=200):
    message, message_id = mail.make("x" * 70 + "\r\n" * 2 + ("y" * 76 + "\r\n") * (size // 78), ["a@example.net"])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["a@example.net"], message)
    return gateway.message_of(message_id), message


def wait_empty(gateway, seconds=60):
    deadline = time.monotonic() + seconds
    while gateway.json("queue", "list")["messages"]:
        assert time.monotonic() < deadline, gateway.json("queue", "list")
        time.sleep(0.05)


def test_a_damaged_body_is_held_and_the_rest_flows(plain):
    gateway, sink = plain
    freeze(gateway)
    damaged = [submit(gateway, size)[0] for size in SIZES.values()]
    whole = submit(gateway, 3000)
    gateway.again()  # a first attempt may have a small body from memory
    report = gateway.json("queue", "check")  # while it runs
    assert report["whole"] and sum(s["messages"] for s in report["shards"]) == 3, report
    for message in damaged:
        spool.damage_body(gateway, message)
    report = gateway.run("queue", "check", "--json", check=False)
    assert report.returncode == 1
    found = [m for s in json.loads(report.stdout)["shards"] for m in s["damaged_messages"]]
    assert {m["message"] for m in found} == set(damaged)
    assert damaged[0] in gateway.run("queue", "check", check=False).stdout
    thaw(gateway, sink)
    for message in damaged:
        held = gateway.wait_record("message.held", message=message)
        assert held["reason"] == "content.damaged"
    gateway.wait_record("message.settled", message=whole[0])
    assert [m["data"].endswith(whole[1]) for m in sink.wait_for(1)] == [True]
    rows = gateway.json("queue", "list", "--state", "held")["messages"]
    assert {(m["id"], m["recipients"][0]["why"]) for m in rows} == {(d, "content.damaged") for d in damaged}
    until(lambda: gateway.log.count('"queue.quarantined"') >= 2)
    assert gateway.log.count('"queue.quarantined"') == 2
    # released, it is tried again, and found out again
    gateway.run("queue", "release", damaged[0], "--reason", "once more")
    deadline = time.monotonic() + 60
    while gateway.log.count('"queue.quarantined"') < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for message in damaged:
        deadline = time.monotonic() + 60
        while gateway.run("queue", "delete", message, "--reason", "unreadable", check=False).returncode != 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        gateway.wait_record("message.settled", message=message)
    wait_empty(gateway)
    assert len(sink.messages) == 1
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def test_a_damaged_row_is_quarantined_and_can_be_deleted(plain):
    gateway, sink = plain
    damaged, _ = submit(gateway, 3000)
    whole, text = submit(gateway, 3000)
    spool.damage_row(gateway, damaged)
    spool.flip(spool.find_record(gateway, whole)[0], 40)  # of its header, which stands there twice
    gateway.restart("relay")
    until(lambda: '"journal.header-copy"' in gateway.log)
    sink.replies.clear()
    gateway.wait_record("message.settled", message=whole)
    assert [m["data"].endswith(text) for m in sink.wait_for(1)] == [True]
    assert gateway.json("queue", "list", "--state", "quarantined")["messages"] == [{"id": damaged, "quarantined": True}]
    held = gateway.wait_record("message.held", message=damaged)
    assert held["reason"] == "content.damaged" and held["actor"] == {"type": "system", "id": "queue"}, held
    assert "quarantined" in gateway.run("queue", "list").stdout
    assert "1 quarantined: " in gateway.run("status").stdout and "queue delete ID" in gateway.run("status").stdout
    assert "damaged" in gateway.run("queue", "show", damaged).stdout
    refused = gateway.run("queue", "release", damaged, "--reason", "try", check=False)
    assert refused.returncode == 64 and "deleted" in refused.stdout + refused.stderr
    gateway.run("queue", "delete", damaged, "--reason", "unreadable")
    gateway.wait_record("admin.acted", message=damaged, act="queue.delete")
    gateway.wait_record("message.settled", message=damaged)
    wait_empty(gateway)
    gateway.restart("relay")
    assert gateway.json("queue", "list")["messages"] == []
    assert len(sink.messages) == 1
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def test_many_kinds_of_damage_at_once(plain):
    """Each is told by the name of its message, or where there is none by its place; a repair gives up just these, and then nobody
    is alarmed any more."""
    gateway, sink = plain
    names = ("whole", "id", "length", "row", "body", "body-gone", "body-cut", "in-record", "also-whole")
    sizes = {"body": 600000, "body-gone": 600000, "body-cut": 600000, "also-whole": 600000}
    ids, texts = {}, {}
    for name in names:
        ids[name], texts[name] = submit(gateway, sizes.get(name, 3000))
    gateway.stop()
    segment, start, *_ = spool.find_record(gateway, ids["id"])
    spool.flip(segment, start + 24 + 3)
    segment, start, *_ = spool.find_record(gateway, ids["length"])
    spool.flip(segment, start + 2)
    spool.damage_row(gateway, ids["row"])
    spool.damage_body(gateway, ids["in-record"])
    spool.damage_body(gateway, ids["body"])
    spool.body_file(gateway, ids["body-gone"]).unlink()
    cut = spool.body_file(gateway, ids["body-cut"])
    os.truncate(cut, cut.stat().st_size // 2)
    spool.flip(segment, 40)  # of the segment's header and of the keyring: both stand there twice
    spool.flip(segment.parent / "keyring", 60)

    found = json.loads(gateway.run("queue", "check", "--json", check=False).stdout)
    assert not found["whole"]
    why = {m["message"]: m["why"] for s in found["shards"] for m in s["damaged_messages"]}
    assert len(why) == 7 and not {ids["whole"], ids["also-whole"]} & set(why), why
    assert {n: why.get(ids[n]) for n in ("row", "body", "body-gone", "body-cut")} == {
        "row": "journal.damaged", "body": "content.damaged", "body-gone": "content.truncated", "body-cut": "content.truncated"}
    assert all(m["segment"] >= 1 for s in found["shards"] for m in s["damaged_messages"])
    assert {m["message"] for m in found["missing"]} == {ids["id"], ids["length"]}  # nobody can read their ids; the ledger has
    assert sum(s["read_from_copy"] for s in found["shards"]) == 2
    told = gateway.run("queue", "repair", check=False)
    assert told.returncode == 1 and "9 messages can't be read" in told.stdout and "(segment " in told.stdout, told.stdout
    done = gateway.run("queue", "repair", "--yes", "--reason", "disk 3 is sick")
    assert "9 messages given up" in done.stdout and "2 headers or keyring" in done.stdout, done.stdout
    again = gateway.run("queue", "check")
    assert "nobody waits for what was in there" in again.stdout and "second copy" not in again.stdout, again.stdout
    assert "nothing to repair" in gateway.run("queue", "repair").stdout

    sink.replies.clear()
    gateway.again()
    wait_empty(gateway)
    assert sorted(m["data"][-200:] for m in sink.wait_for(2)) == sorted(texts[n][-200:] for n in ("whole", "also-whole"))
    gateway.wait_record("audit.gap", reason="journal-damaged")  # whose ids nobody can read
    for name in ("id", "length", "row", "body", "body-gone", "body-cut"):
        gateway.wait_record("admin.acted", act="queue.repair", message=ids[name])
    gateway.wait_record("message.settled", message=ids["also-whole"])
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0
    assert not [f for s in spool.shards(gateway) for f in s.glob("body-*/*") if f.name == ids["also-whole"]]


def test_a_body_whose_file_is_gone_is_held(plain):
    gateway, sink = plain
    freeze(gateway)
    message, _ = submit(gateway, 600000)
    _, whole = submit(gateway, 3000)
    spool.body_file(gateway, message).unlink()
    thaw(gateway, sink)
    assert gateway.wait_record("message.held", message=message)["reason"] == "content.damaged"
    assert [m["data"].endswith(whole) for m in sink.wait_for(1)] == [True]
    until(lambda: "content.truncated" in gateway.log)


@pytest.mark.parametrize("how", ["gone", "emptied", "headless"])
def test_a_segment_that_is_lost_is_told(plain, how):
    """Without a file nobody knows whose mail it held but the audit; without a header the records' own heads name it."""
    gateway, sink = plain
    gateway.run("queue", "freeze", "--tenant", "test", "--reason", "so that there are records of acceptance alone")
    gateway.again()  # and the order, which names no message, in another segment
    others = [submit(gateway)]
    while spool.find_record(gateway, others[-1][0])[0].stat().st_size < 64 << 20:  # the first segment gives way to a whole one
        others.append(submit(gateway))
    lost = [submit(gateway, size)[0] for size in (200, 3000, 600000)]
    gateway.again()
    others.append(submit(gateway, 3000))
    gateway.stop()
    segment = spool.find_record(gateway, lost[0])[0]
    beside = {message for message, _ in others if spool.find_record(gateway, message)[0] == segment} | set(lost)
    others = [(message, text) for message, text in others if message not in beside]
    if how == "gone":
        segment.unlink()
    elif how == "emptied":
        os.truncate(segment, 0)
    else:
        with open(segment, "r+b") as file:
            file.write(bytes(4096))
    found = json.loads(gateway.run("queue", "check", "--json", check=False).stdout)
    named = {m["message"] for s in found["shards"] for m in s["damaged_messages"]}
    assert not found["whole"] and (set(lost) <= named if how == "headless" else named == {"0" * 26}), found
    assert not {message for message, _ in others} & named
    missing = {m["message"]: m for m in found["missing"]}  # the ledger knows of them, and nobody else
    assert set(missing) == (set() if how == "headless" else beside), found
    nameless = "0" * 26 in named  # an order among them, say, which names no message
    assert [s["lost_segments"] for s in found["shards"]] == [[int(segment.stem)] if nameless else []], found
    assert all(m["tenant"] == "test" and m["message_id"] and m["kind"] == "mail" for m in missing.values())
    words = gateway.run("queue", "check", check=False)
    assert words.returncode == 1 and "queue repair --yes" in words.stdout and "queue delete" in words.stdout, words.stdout
    assert all(f"message {message} (mail of tenant test): missing" in words.stdout for message in missing), words.stdout
    sink.replies.clear()
    gateway.again()
    gateway.run("queue", "thaw", "--tenant", "test", "--reason", "the rest flows")
    got = sink.wait_for(len(others))
    assert all(sum(m["data"].endswith(text) for m in got) == 1 for _, text in others)
    if how == "headless":
        for message in lost:
            assert gateway.wait_record("message.held", message=message)["reason"] == "content.damaged"
    else:
        gateway.wait_record("audit.gap", reason="journal-damaged")
    rows = gateway.json("queue", "list", "--state", "quarantined")["messages"]
    assert {m["id"] for m in rows} == named
    for message in named:
        gateway.run("queue", "delete", message, "--reason", "the disk was mended")
    wait_empty(gateway)
    gateway.stop()
    if missing:  # given up is what nobody can name; these can be
        found = json.loads(gateway.run("queue", "check", "--json", check=False).stdout)
        assert not found["whole"] and {m["message"] for m in found["missing"]} == set(missing), found
        assert not any(s["damaged_messages"] or s["lost_segments"] for s in found["shards"]), found
        assert gateway.run("queue", "repair", check=False).returncode == 1
        done = gateway.run("queue", "repair", "--yes", "--reason", "their senders were asked")
        assert f"{len(missing)} message" in done.stdout, done.stdout
    assert gateway.run("queue", "check").returncode == 0
    gateway.again()
    for message in missing:
        gateway.wait_record("admin.acted", message=message, act="queue.repair")
        gateway.wait_record("message.settled", message=message)
    assert gateway.run("queue", "check").returncode == 0
    assert gateway.json("status")["relays"][0]["says"]["quarantined"] == 0
    assert len(sink.messages) == len(others)
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0


def test_what_a_start_can_read_is_not_given_up(plain):
    """A batch's head is damaged, but the segment's footer tells of the message: no start would miss it, so nobody gives it up."""
    gateway, sink = plain
    message, text = submit(gateway, 3000)
    for _ in range(3):
        gateway.again()  # goes on in another segment
        if '"journal.footer-written"' in gateway.log:
            break
    until(lambda: '"journal.footer-written"' in gateway.log)
    gateway.stop()
    segment, start, *_ = spool.find_record(gateway, message)
    spool.flip(segment, start // 4096 * 4096)
    looked = gateway.run("queue", "check", check=False)
    assert looked.returncode == 0 and message not in looked.stdout, looked.stdout
    assert "nobody waits for what was in there" in looked.stdout, looked.stdout
    done = gateway.run("queue", "repair", "--yes", "--reason", "disk 3 is sick")
    assert "nothing to repair" in done.stdout, done.stdout
    sink.replies.clear()
    gateway.again()
    gateway.wait_record("message.settled", message=message)
    assert [m["data"].endswith(text) for m in sink.wait_for(1)] == [True]


def whole_file(state):
    """A database as one file, without a log beside it that a stop has left."""
    database = sqlite3.connect(state)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return state.read_bytes()


def test_an_older_ledger_names_nobody(plain):
    """Its database was put back from a copy: it has mail as waiting that has long gone. That is said, and nobody is missing."""
    gateway, sink = plain
    state = gateway.folder / "state/ledger/state.db"
    messages = [submit(gateway, 3000)[0] for _ in range(3)]
    for message in messages:
        gateway.wait_record("message.accepted", message=message)
    gateway.stop()
    older = whole_file(state)
    first = spool.segments(gateway)[0]
    sink.replies.clear()
    gateway.again()
    for message in messages:
        gateway.wait_record("message.settled", message=message)
    gateway.again()  # goes on in another segment, and lets go of those before it
    until(lambda: not first.exists())
    late, _ = submit(gateway)
    gateway.wait_record("message.settled", message=late)
    gateway.stop()
    newer = whole_file(state)
    assert gateway.run("queue", "check").returncode == 0

    state.write_bytes(older)
    told = gateway.run("queue", "check", check=False)
    assert told.returncode == 1 and "older than the spool" in told.stderr, told
    assert not any(message in told.stdout for message in messages), told.stdout
    report = gateway.run("queue", "check", "--json", check=False)
    assert report.returncode == 1 and "missing" not in json.loads(report.stdout), report.stdout
    for words in (), ("--yes", "--reason", "gone"):
        told = gateway.run("queue", "repair", *words, check=False)
        assert told.returncode == 1 and "older than the spool" in told.stderr and "given up" not in told.stdout, told
    state.write_bytes(newer)
    assert gateway.run("queue", "check").returncode == 0


def test_a_ledger_that_nobody_asked_for_long_is_not_older(plain):
    """Starts without mail leave segments without a record, which go: the ledger has passed them all the same."""
    gateway, sink = plain
    message, _ = submit(gateway)
    gateway.wait_record("message.accepted", message=message)
    sink.replies.clear()
    gateway.wait_record("message.settled", message=message)
    for _ in range(3):
        gateway.again()
    first = spool.segments(gateway)[0]
    gateway.again()
    until(lambda: not first.exists())
    gateway.stop()
    assert gateway.run("queue", "check").returncode == 0
