"""The page for machines: what it counts, that it tells of a silent role, and that it tells nothing else."""
import http.client
import os
import re
import signal

import pytest

from lab import mail


PLAIN = "test/policies/relay-plain.json"


def get(gateway, path, method="GET", body=None):
    connection = http.client.HTTPConnection(gateway.info["admin"]["host"], gateway.info["admin"]["port"], timeout=60)
    connection.request(method, path, body)
    answer = connection.getresponse()
    answer.text = answer.read().decode()
    connection.close()
    return answer


def figures(gateway):
    """The page as a dictionary; refuses lines that are not of the format."""
    answer = get(gateway, "/metrics")
    assert answer.status == 200 and answer.getheader("Content-Type").startswith("text/plain; version=0.0.4")
    found, described = {}, set()
    for line in answer.text.splitlines():
        comment = re.fullmatch(r"# (HELP|TYPE) (sallyport_[a-z_]+) (.+)", line)
        if comment:
            assert (comment[1], comment[2]) not in described, "names stand together, described once"
            described.add((comment[1], comment[2]))
            continue
        value = re.fullmatch(r'(sallyport_[a-z_]+)((?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})?) (-?[0-9]+)', line)
        assert value and ("TYPE", value[1]) in described and ("HELP", value[1]) in described, line
        found[value[1] + value[2]] = int(value[3])
    return found


@pytest.fixture
def gateway(gateways, sinks):
    sink = sinks()
    return gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", PLAIN, "--plain-listener", "--workers", 1)


def test_the_page_counts_what_happened(gateway):
    before = figures(gateway)
    assert before['sallyport_up{role="relay",index="0"}'] == 1
    assert before['sallyport_up{role="ledger",index="0"}'] == 1
    assert before['sallyport_relay_accepts{relay="0"}'] == 1
    message, message_id = mail.make("Hello", ["secret-name@example.net"])
    gateway.send(message, ["secret-name@example.net"])
    gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    after = figures(gateway)
    assert after['sallyport_journal_records_total{relay="0"}'] >= before['sallyport_journal_records_total{relay="0"}'] + 2
    assert after["sallyport_audit_records_total"] >= before["sallyport_audit_records_total"] + 3
    assert after['sallyport_queue_recipients{relay="0",state="held"}'] == 0
    page = get(gateway, "/metrics").text
    assert "secret-name" not in page and "example.net" not in page and "tenant" not in page
    assert get(gateway, "/healthz").text == "ok\n"


def test_a_silent_role_shows_and_its_figures_go(gateway):
    for pid in gateway.pids("ledger"):
        os.kill(pid, signal.SIGSTOP)
    try:
        assert get(gateway, "/healthz").status == 503
        now = figures(gateway)
        assert now['sallyport_up{role="ledger",index="0"}'] == 0 and now['sallyport_up{role="relay",index="0"}'] == 1
        assert "sallyport_audit_records_total" not in now
    finally:
        for pid in gateway.pids("ledger"):
            os.kill(pid, signal.SIGCONT)


def test_it_takes_no_orders(gateway):
    assert get(gateway, "/metrics", "POST", "command=queue.list").status in (405, 413)
    assert get(gateway, "/queue.list").status == 404
    assert get(gateway, "/metrics/../etc/passwd").status in (400, 404)


def test_an_address_that_others_reach_is_refused(gateways):
    with pytest.raises(RuntimeError, match="only 127.0.0.0/8"):
        gateways("--set", 'admin.listen="0.0.0.0:0"')
