"""What rules do besides protecting: copies, redirections, routes, the bulk lane, texts above and below, a word to the sender."""
import email
import email.policy
import json
import os
import pathlib
import signal
import time

import pytest

from lab import mail
from lab.browser import Https, code_in, cookie_of, link_in, token_of
from lab.sink import Sink
from lab.wait import until

POLICY = {
    "version": 1,
    "settings": {"floor": "plain", "expire": "1d", "dkim_selector": "gw1", "portal": {"notify_floor": "plain"}},
    "texts": {"law": "Federal law prohibits passing this on.\nAsk the clinic.", "foot": "Clinic for Grüße"},
    "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"},
                "pickup": {"rungs": ["portal"], "floor": "sealed"}},
    "rules": [
        {"rule": "copied", "when": {"recipient.address": "copied@example.net"},
         "then": {"protect": "relay", "copy": ["archive@tenant.test", "second@tenant.test"]}},
        {"rule": "moved", "when": {"recipient.address": "old@example.net"}, "then": {"protect": "relay",
                                                                                     "redirect": "new@example.net"}},
        {"rule": "line", "when": {"recipient.domain": "lab.test"}, "then": {"protect": "relay", "route": "lab-line",
                                                                            "lane": "bulk"}},
        {"rule": "machines", "when": {"message.kind": ["auto-reply", "mdn"], "recipient.address": "machine@example.net"},
         "then": {"discard": "nobody reads it"}},
        {"rule": "texts", "when": {"recipient.address": "texts@example.net"},
         "then": {"protect": "relay", "notice": "law", "footer": "foot"}},
        {"rule": "portal", "when": {"recipient.address": "pat@example.net"},
         "then": {"protect": "pickup", "notice": "law", "notify": {"sender": ["portal"]}}},
        {"rule": "unread", "when": {"recipient.address": "slow@example.net"},
         "then": {"protect": "pickup", "portal": {"remind": ["1s"], "unread_after": "2s", "notify_from": "Clinic Mail"},
                  "notify": {"sender": ["unread"]}}}],
    "default": {"protect": "relay"}}


@pytest.fixture(scope="module")
def ways(module_gateways, tmp_path_factory):
    policy = tmp_path_factory.mktemp("ways") / "policy.json"
    policy.write_text(json.dumps(POLICY))
    sink, line = Sink(), Sink()
    gateway = module_gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy", policy,
                              "--route", f"lab-line={line.address}:{line.port}")
    yield gateway, sink, line
    sink.stop()
    line.stop()


def submit(gateway, recipients, text="Dear Pat\r\n"):
    message, message_id = mail.make(text, recipients)
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", recipients, message)
    return message, message_id, gateway.message_of(message_id)


def arrived(sink, message_id):
    return {to: m["data"] for m in sink.messages for to in m["to"] if message_id.encode() in m["data"]}


def test_copies_go_to_whom_the_rule_names(ways):
    gateway, sink, _ = ways
    _, message_id, identity = submit(gateway, ["copied@example.net"])
    settled = gateway.wait_record("message.settled", message=identity)
    assert sorted(arrived(sink, message_id)) == ["archive@tenant.test", "copied@example.net", "second@tenant.test"]
    assert [r["final"] for r in settled["recipients"]] == ["delivered"] * 3
    event = gateway.wait_record("delivery.redirected", message=identity)
    assert event["n"] == [1, 2] and event["ways"][0] == {"n": 1, "rule": "copied", "to": "archive@tenant.test", "way": "copy"}


def test_a_redirection_takes_the_recipients_place(ways):
    gateway, sink, _ = ways
    _, message_id, identity = submit(gateway, ["old@example.net"])
    gateway.wait_record("message.settled", message=identity)
    assert list(arrived(sink, message_id)) == ["new@example.net"]
    event = gateway.wait_record("delivery.redirected", message=identity)
    assert event["ways"] == [{"n": 0, "rule": "moved", "to": "new@example.net", "was": "old@example.net", "way": "redirect"}]


def test_a_route_takes_the_domains_place(ways):
    gateway, sink, line = ways
    _, message_id, identity = submit(gateway, ["in@lab.test"])
    gateway.wait_record("message.settled", message=identity)
    assert list(arrived(line, message_id)) == ["in@lab.test"] and not arrived(sink, message_id)


def test_texts_stand_above_and_below(ways):
    gateway, sink, _ = ways
    _, message_id, identity = submit(gateway, ["texts@example.net"], "Own text\r\n.dot\r\n")
    gateway.wait_record("message.settled", message=identity)
    data = arrived(sink, message_id)["texts@example.net"]
    parts = [p.get_content() for p in email.message_from_bytes(data, policy=email.policy.default).iter_parts()]
    assert parts[0].splitlines() == ["Federal law prohibits passing this on.", "Ask the clinic."]
    assert parts[1].splitlines() == ["Own text", ".dot"] and parts[2].strip() == "Clinic for Grüße"


def mails(sink, to, count):
    """The mails that this address alone has got, once there are so many."""
    deadline = time.monotonic() + 60
    while True:
        found = [m["data"] for m in sink.messages if m["to"] == [to]]
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, f"{len(found)} of {count} mails for {to}"
        time.sleep(0.05)


def test_the_portal_shows_the_notice_and_the_sender_hears(ways):
    gateway, sink, _ = ways
    submit(gateway, ["pat@example.net"], "The result is good.\r\n")
    told = mails(sink, "dr@tenant.test", 1)[0]
    assert b"waits in the secure portal" in told and b"result is good" not in told
    https = Https(gateway)
    asked = https.ask("POST", "/code", {"token": token_of(link_in(mails(sink, "pat@example.net", 1)[0]))})
    code = code_in(mails(sink, "pat@example.net", 2)[1])
    opened = https.ask("POST", "/open", {"code": code}, cookie_of(asked))
    page = https.ask("GET", opened.getheader("Location"), cookie=cookie_of(opened)).content.decode()
    assert "Federal law prohibits" in page and "result is good" in page


def test_machines_mail_is_discarded_and_peoples_is_not(ways):
    gateway, sink, _ = ways
    ids = {}
    for kind, extra in (("auto-reply", "Auto-Submitted: auto-replied\r\n"), ("mail", "")):
        message, message_id = mail.make("I am away.\r\n", ["machine@example.net"], extra=extra)
        with gateway.client(tls=False) as client:
            client.sendmail("dr@tenant.test", ["machine@example.net"], message)
        ids[kind] = gateway.message_of(message_id), message_id
    settled = gateway.wait_record("message.settled", message=ids["auto-reply"][0])
    assert settled["recipients"][0]["final"] == "discarded" and settled["recipients"][0]["rule"] == "machines"
    assert gateway.wait_record("message.settled", message=ids["mail"][0])["recipients"][0]["rule"] == "default"
    assert arrived(sink, ids["mail"][1]) and not arrived(sink, ids["auto-reply"][1])


SIGNED = ("Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=b\r\n\r\n"
          "--b\r\nContent-Type: text/plain\r\n\r\nThe result is good.\r\n--b\r\n"
          "Content-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n"
          "MAA=\r\n--b--\r\n")


def test_a_signed_message_has_its_notice_beside_it(ways):
    """No text is put into what somebody signed: the page shows it, the file that is taken away is as it was sent."""
    gateway, sink, _ = ways
    seen = len(mails(sink, "pat@example.net", 0))
    message, message_id = mail.make("", ["pat@example.net"])
    message = message[:message.index(b"Content-Type")] + SIGNED.encode()
    with gateway.client(tls=False) as client:
        client.sendmail("dr@tenant.test", ["pat@example.net"], message)
    identity = gateway.message_of(message_id)
    decided = json.loads(gateway.run("audit", "facts", identity).stdout)["facts"]
    assert decided["message.sealed"] == "signed"
    https = Https(gateway)
    asked = https.ask("POST", "/code", {"token": token_of(link_in(mails(sink, "pat@example.net", seen + 1)[seen]))})
    code = code_in(mails(sink, "pat@example.net", seen + 2)[seen + 1])
    opened = https.ask("POST", "/open", {"code": code}, cookie_of(asked))
    page = https.ask("GET", opened.getheader("Location"), cookie=cookie_of(opened)).content.decode()
    notice, text = page.index("Federal law prohibits"), page.index("The result is good")
    assert notice < text and 'id="notice"' in page
    taken = https.ask("POST", opened.getheader("Location") + "/original", {}, cookie_of(opened)).content
    assert SIGNED.encode() in taken and b"Federal law" not in taken
    assert "byte for byte" in gateway.run("policy", "replay", "--message", identity).stdout


def test_who_does_not_open_is_reminded_and_the_sender_hears(ways):
    gateway, sink, _ = ways
    _, _, identity = submit(gateway, ["slow@example.net"], "The result is good.\r\n")
    assert gateway.wait_record("portal.reminded", message=identity, who="recipient")["access"]["opens"] == 0
    assert gateway.wait_record("portal.reminded", message=identity, who="sender")["n"] == [0]
    notice, reminder = mails(sink, "slow@example.net", 2)[:2]
    assert token_of(link_in(notice)) == token_of(link_in(reminder)) and b"Clinic Mail" in reminder
    deadline = time.monotonic() + 60
    while not (told := [m for m in mails(sink, "dr@tenant.test", 1) if b"has not been opened" in m]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert b"slow@example.net" in told[0] and b"result is good" not in told[0] + reminder


def test_publishing_takes_effect_at_a_reload_and_is_on_record(gateways, sinks):
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy",
                       "test/policies/relay-plain.json")
    folder = pathlib.Path(gateway.info["config"]).parent / "policies"
    draft = folder / "draft.json"
    rule = '"rules": [{"rule": "new", "when": {"recipient.domain": "example.net"}, "then": {"protect": "relay"}}], "default"'
    draft.write_text((folder / "policy.json").read_text().replace('"default"', rule))
    (folder / "draft.test.json").write_text(json.dumps({
        "version": 1, "policy": "draft.json", "cases": [{"name": "new", "when": {"recipient.domain": "example.net"},
                                                         "expect": {"rule": "new"}}]}))
    gateway.run("policy", "publish", str(draft), "--reason", "a rule for example.net")
    os.kill(gateway.info["pid"], signal.SIGHUP)
    record = gateway.wait_record("policy.published")
    assert record["reason"] == "a rule for example.net" and record["tests_passed"] == 1 and record["actor"]["type"] == "admin"
    deadline = time.monotonic() + 60
    while True:  # relays take the new generation one by one
        _, message_id, identity = submit(gateway, ["a@example.net"])
        accepted = gateway.wait_record("message.accepted", message=identity)
        if accepted["policy"] == record["version"]["after"]:
            break
        assert time.monotonic() < deadline
    assert accepted["decisions"][0]["rule"] == "new"


def test_a_decision_is_replayed_byte_for_byte_and_a_draft_tried_on_the_past(ways):
    gateway, _, _ = ways
    _, _, identity = submit(gateway, ["copied@example.net", "pat@example.net", "b@example.net"])
    gateway.wait_record("message.accepted", message=identity)
    text = gateway.run("policy", "replay", "--message", identity).stdout
    assert text.startswith("3 recipients decided again, 0 otherwise") and text.count("the same, byte for byte") == 3, text
    assert gateway.wait_record("audit.exported", what="facts", about=identity)["actor"]["type"] == "admin"
    folder = pathlib.Path(gateway.info["config"]).parent / "policies"
    draft = json.loads((folder / "policy.json").read_text())
    draft["rules"].insert(0, {"rule": "all-sealed", "when": {"recipient.address": "b@example.net"},
                              "then": {"protect": "pickup"}})
    (folder / "draft.json").write_text(json.dumps(draft))
    done = gateway.run("policy", "replay", "--days", "1", "--draft", str(folder / "draft.json"), "--json", check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["changed"] == 1 and told["recipients"] >= 3
    assert told["changes"][0] == {"message": identity, "recipient": "b@example.net",
                                  "recorded": "protect by default, floor plain",
                                  "replayed": "protect by all-sealed, floor sealed"}
    assert json.loads(gateway.run("policy", "replay", "--days", "1", "--json").stdout)["changed"] == 0


def test_lists_are_reloaded_under_load_and_no_message_is_missed(gateways, sinks):
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"{sink.address}:{sink.port}", "--policy",
                       "test/policies/relay-plain.json")
    policy = pathlib.Path(gateway.info["config"]).parent / "policies/policy.json"
    plain = policy.read_text()
    sent = []

    def versions():
        return {r["policy"] for r in gateway.records() if r["event"] == "message.accepted" and r.get("origin")}

    def send_ten():
        for _ in range(10):
            message, message_id = mail.make("x\r\n", ["a@example.net"])
            with gateway.client(tls=False) as client:
                client.sendmail("dr@tenant.test", ["a@example.net"], message)
            sent.append(message_id)

    def another_decided():
        send_ten()
        return versions() - before

    for turn in range(6):
        before = versions()
        entries = json.dumps([f"host{i}.example" for i in range(turn * 1000 + 1)])
        policy.write_text(plain.replace('"ladders"', f'"lists": {{"l": {{"kind": "domains", "entries": {entries}}}}}, "ladders"'))
        os.kill(gateway.info["pid"], signal.SIGHUP)
        until(another_decided, what="no message was decided by the new lists")
    got = b"".join(m["data"] for m in sink.wait_for(len(sent)))
    assert all(got.count(message_id.encode()) == 1 for message_id in sent)
    assert len(versions()) >= 6
