"""The page for machines: what it counts, that it tells of a silent role, and that it tells nothing else."""
import http.client
import pathlib
import re
import signal
import smtplib

import pytest

from lab import mail
from lab.wait import until


ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
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
        value = re.fullmatch(r'(sallyport_[a-z_]+)((?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})?) (-?[0-9]+(?:\.[0-9]{6})?)',
                             line)
        assert value, line
        name = re.sub("_(bucket|sum|count)$", "", value[1]) if "_seconds_" in value[1] else value[1]
        assert ("TYPE", name) in described and ("HELP", name) in described, line
        found[value[1] + value[2]] = float(value[3]) if "." in value[3] else int(value[3])
    return found


@pytest.fixture
def gateway(gateways, sinks):
    sink = sinks()
    return gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", PLAIN, "--plain-listener", "--workers", 1)


def test_the_page_counts_what_happened(gateway):
    before = until(lambda: (now := figures(gateway))['sallyport_relay_accepts{relay="0"}'] == 1 and now)  # the ledger has spoken
    assert before['sallyport_up{role="relay",index="0"}'] == 1
    assert before['sallyport_up{role="ledger",index="0"}'] == 1
    message, message_id = mail.make("Hello", ["secret-name@example.net"])
    gateway.send(message, ["secret-name@example.net"])
    gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    after = figures(gateway)
    assert after['sallyport_journal_records_total{relay="0"}'] >= before['sallyport_journal_records_total{relay="0"}'] + 2
    assert after["sallyport_audit_records_total"] >= before["sallyport_audit_records_total"] + 3
    assert after['sallyport_queue_recipients{relay="0",state="held"}'] == 0
    site = 'relay="0",site="127.0.0.1",source="",level=""'
    assert after["sallyport_site_taken_total{%s}" % site] == 1 and after["sallyport_site_rests{%s}" % site] == 0
    page = get(gateway, "/metrics").text
    assert "secret-name" not in page and "example.net" not in page and "tenant" not in page
    assert get(gateway, "/healthz").text == "ok\n"


def test_the_documentation_names_what_the_page_has(gateway):
    page = set(re.findall(r"^# TYPE (\S+) (\S+)$", get(gateway, "/metrics").text, re.M))
    text = (ROOT / "docs/operations.md").read_text().split("## Metrics", 1)[1].split("\n## ", 1)[0]
    table = set(re.findall(r"^\| `(sallyport_[a-z_]+)(?:\{[a-z,]+\})?` \| (\w+) \|", text, re.M))
    assert page == table


def test_refusals_results_helpers_and_what_waits_are_counted(gateways, sinks):
    sink = sinks(replies={"RCPT": lambda line: "451 4.3.0 later" if b"slow" in line else "250 2.1.5 ok"})
    gateway = gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", PLAIN, "--workers", 1, "--retry", 60)
    names = ["a@good.test", "slow1@site-one.test", "slow2@site-one.test", "slow3@site-two.test"]
    for recipient in names:
        message, message_id = mail.make("Hello", [recipient])
        gateway.send(message, [recipient])
    gateway.wait_record("delivery.attempted", message=gateway.message_of(message_id))
    with gateway.client() as client, pytest.raises(smtplib.SMTPException):
        client.sendmail("stranger@elsewhere.test", ["a@good.test"], b"Subject: x\r\n\r\nx\r\n")
    relay, results, now = 'relay="0"', 'sallyport_delivery_results_total{relay="0",rung="plain",result="%s"}', {}

    def all_is_done():
        now.update(figures(gateway))
        return now.get(results % "deferred") == 3 and now.get(results % "delivered") == 1 and now.get(
            f'sallyport_helpers{{{relay},role="scanner"}}') == 2
    until(all_is_done, what=lambda: now)
    assert now[f'sallyport_delivery_results_total{{{relay},rung="plain",result="delivered"}}'] == 1
    assert now[f'sallyport_delivery_results_total{{{relay},rung="plain",result="deferred"}}'] == 3
    assert now[f"sallyport_accepted_messages_total{{{relay}}}"] == 4
    assert sum(n for name, n in now.items() if name.startswith("sallyport_refused_total")) == 1
    assert now[f'sallyport_queue_site_recipients{{{relay},site="site-one.test"}}'] == 2
    assert now[f'sallyport_queue_site_recipients{{{relay},site="site-two.test"}}'] == 1
    assert now[f"sallyport_queue_sites{{{relay}}}"] == 2
    assert now[f'sallyport_queue_older_messages{{{relay},seconds="3600"}}'] == 0
    assert now[f'sallyport_helpers{{{relay},role="scanner"}}'] == 2
    syncs = now[f"sallyport_journal_syncs_total{{{relay}}}"]
    assert now[f"sallyport_journal_sync_seconds_count{{{relay}}}"] == syncs >= 4
    assert now[f'sallyport_journal_sync_seconds_bucket{{{relay},le="+Inf"}}'] == syncs
    assert now[f"sallyport_journal_sync_seconds_sum{{{relay}}}"] > 0
    starts = now[f'sallyport_helper_starts_total{{{relay},role="keeper"}}']
    gateway.restart("keeper")
    until(lambda: figures(gateway)[f'sallyport_helper_starts_total{{{relay},role="keeper"}}'] == starts + 1,
          what="a restart is not counted")


def test_a_silent_role_shows_and_its_figures_go(gateway):
    gateway.kill("ledger", signal.SIGSTOP)
    try:
        assert get(gateway, "/healthz").status == 503
        now = figures(gateway)
        assert now['sallyport_up{role="ledger",index="0"}'] == 0 and now['sallyport_up{role="relay",index="0"}'] == 1
        assert "sallyport_audit_records_total" not in now
    finally:
        gateway.kill("ledger", signal.SIGCONT)


def test_it_takes_no_orders(gateway):
    assert get(gateway, "/metrics", "POST", "command=queue.list").status in (405, 413)
    assert get(gateway, "/queue.list").status == 404
    assert get(gateway, "/metrics/../etc/passwd").status in (400, 404)


def test_an_address_that_others_reach_is_refused(gateways):
    with pytest.raises(RuntimeError, match="only 127.0.0.0/8"):
        gateways("--set", 'admin.listen="0.0.0.0:0"')
