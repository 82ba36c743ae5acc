"""The wall clock jumps two hours back and a week ahead while mail is on hold by a rule, held by hand and due for another try:
what waits waits as long as it was to wait, and neither comes back to its sender nor goes out early."""
import contextlib
import json

import pytest
from crash.board import Board
from lab import mail
from lab.gateway import Gateway
from lab.ports import open_folder
from lab.wait import until

HOUR = 3600 * 1000
POLICY = {
    "version": 1,
    "settings": {"floor": "plain", "expire": "2d"},
    "ladders": {"relay": {"rungs": ["plain"], "floor": "plain", "at_end": "return"}},
    "groups": {"office": {"addresses": ["office@tenant.test"]}},
    "rules": [{"rule": "asks", "when": {"recipient.domain": ["asked.test"]},
               "then": {"hold": {"for": "approval", "by": "office", "within": "8h", "protect": "relay"}}}],
    "default": {"protect": "relay"},
}


@pytest.fixture
def clocked(sinks, tmp_path):
    with open_folder("sp-clock-") as folder, contextlib.closing(Board(f"{folder}/board")) as board:
        sink = sinks(replies={"RCPT": "451 4.3.0 later"})
        policy = tmp_path / "policy.json"
        policy.write_text(json.dumps(POLICY))
        gateway = Gateway(f"{folder}/g", "--plain-listener", "--workers", 1, "--next-hop", f"{sink.address}:{sink.port}",
                          "--policy", policy, "--retry", 1, "--set", 'delivery.retry_max="2s"')
        gateway.environment |= board.environment
        gateway.start()
        try:
            yield gateway, sink, board
        finally:
            gateway.stop()


def submit(gateway, recipient):
    message, message_id = mail.make("what waits\r\n", [recipient])
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", [recipient], message)
    return gateway.message_of(message_id)


def tries(gateway, message):
    return sum(r["event"] == "delivery.attempted" and r["message"] == message for r in gateway.records())


@pytest.mark.parametrize("jumps", [(-2, 0), (7 * 24, 0), (-2, 7 * 24, -2)], ids=["back", "ahead", "both"])
def test_what_waits_is_moved_by_no_jump(clocked, jumps):
    gateway, sink, board = clocked
    asked, by_hand, retried = (submit(gateway, f"a@{domain}.test") for domain in ("asked", "byhand", "retried"))
    gateway.run("queue", "hold", by_hand, "--reason", "wait")
    gateway.wait_record("message.held", message=asked)
    for jump in jumps:
        until(lambda: tries(gateway, retried) > 0)
        seen, changes = tries(gateway, retried), sum(r["event"] == "clock.changed" for r in gateway.records())
        board.set_clock(jump * HOUR)
        if changes or jump:
            until(lambda: sum(r["event"] == "clock.changed" for r in gateway.records()) > changes)
        until(lambda: tries(gateway, retried) > seen + 1)  # goes on as often as before
        waiting = {m["id"]: m["recipients"][0]["state"] for m in gateway.json("queue", "list")["messages"]}
        assert set(waiting) == {asked, by_hand, retried} and waiting[asked] == waiting[by_hand] == "held", waiting
    assert not sink.messages
    assert not {r["event"] for r in gateway.records()} & {"message.expired", "dsn.sent", "message.settled"}
    gateway.again()  # a start with whatever the clock says
    waiting = {m["id"]: m["recipients"][0]["state"] for m in gateway.json("queue", "list")["messages"]}
    assert set(waiting) == {asked, by_hand, retried} and waiting[asked] == waiting[by_hand] == "held", waiting
    sink.replies.clear()
    for message in (asked, by_hand):
        gateway.run("queue", "release", message, "--reason", "go")
    for message in (asked, by_hand, retried):
        gateway.wait_record("message.settled", message=message)
    assert len(sink.messages) == 3
    assert gateway.run("audit", "verify", gateway.info["audit"]).returncode == 0
