"""Clients that nobody here wrote, as a hospital has them: Postfix and Exim that relay over many connections, and nodemailer."""
import collections
import json
import os
import pathlib
import re
import smtplib
import subprocess
import threading

import pytest

from lab import mail
from lab.ports import open_folder
from lab.senders import EximSender, PostfixSender
from lab.sink import Sink

COUNT, CLIENTS = 60, 6


@pytest.fixture(scope="module")
def sink():
    heard = []

    def on_rcpt(line):
        heard.append(line.decode())
        return "250 2.1.5 ok"

    made = Sink(offer=("PIPELINING", "8BITMIME", "SIZE 104857600", "ENHANCEDSTATUSCODES", "DSN"), replies={"RCPT": on_rcpt})
    made.heard = heard
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(module_gateways, sink):
    return module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json")


@pytest.fixture(scope="module", params=[PostfixSender, EximSender], ids=["postfix", "exim"])
def sender(request, gateway):
    if os.geteuid() != 0:
        pytest.skip("mail servers start as root only")
    with open_folder("sp-sender-") as folder:
        made = request.param(folder, gateway.info)
        yield made
        made.stop()


def submit(sender, messages, **options):
    with smtplib.SMTP("127.0.0.1", sender.port, local_hostname="user.provider.test", timeout=60) as client:
        for number, message in messages:
            client.sendmail("dr@tenant.test", [f"u{number}@example.test"], message, **options)


def sent(sender, count):
    if hasattr(sender, "run_queue"):
        sender.run_queue(8)
    sender.wait_sent(count)


def ids_of(sink):
    return collections.Counter(re.search(rb"(?im)^Message-ID: (\S+)", m["data"]).group(1).decode() for m in sink.messages)


def test_many_messages_over_many_connections(gateway, sink, sender):
    """Each arrives once, whatever the order and however many sessions stand beside each other."""
    made = [mail.make(f"number {n}\r\n" + "line of text\r\n" * (n % 7 * 100)) for n in range(COUNT)]
    threads = [threading.Thread(target=submit, args=(sender, [(n, made[n][0]) for n in range(COUNT)][k::CLIENTS]))
               for k in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent(sender, COUNT)
    with sink.changed:
        assert sink.changed.wait_for(lambda: {message_id for _, message_id in made} <= set(ids_of(sink)), 120)
    counted = ids_of(sink)
    assert [counted[message_id] for _, message_id in made] == [1] * COUNT
    for n in (0, COUNT - 1):  # byte for byte, behind what was prepended
        data = next(m["data"] for m in sink.messages if made[n][1].encode() in m["data"])
        assert data.endswith(made[n][0].split(b"\r\n\r\n", 1)[1])
    for _, message_id in made:
        gateway.message_of(message_id)


def test_dsn_and_8bitmime_come_through(gateway, sink, sender):
    message, message_id = mail.make("Grüße aus der Klinik\r\n")
    before = len(sink.heard)
    with smtplib.SMTP("127.0.0.1", sender.port, local_hostname="user.provider.test", timeout=60) as client:
        client.sendmail("dr@tenant.test", ["success@example.test"], message,
                        mail_options=["BODY=8BITMIME", "RET=HDRS", "ENVID=QQ314159"],
                        rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;first@example.test"])
    sent(sender, 1)
    found = sink.wait_for_one(lambda m: message_id.encode() in m["data"])
    assert "Grüße aus der Klinik".encode() in found["data"]
    rcpt = next(line for line in sink.heard[before:] if "success@example.test" in line)
    assert "NOTIFY=SUCCESS,FAILURE" in rcpt and "ORCPT=rfc822;first@example.test" in rcpt
    said = next(line.decode() for line in sink.mails if b"QQ314159" in line)
    assert "RET=HDRS" in said and "BODY=8BITMIME" in said


def test_a_relaying_server_hears_why_in_its_own_bounce(gateway, sink, sender):
    """What is refused for good is refused at once: the sender's server keeps nothing in its queue."""
    message, _ = mail.make("not ours\r\n")
    log = len(sender.log())
    with smtplib.SMTP("127.0.0.1", sender.port, local_hostname="user.provider.test", timeout=60) as client:
        client.sendmail("dr@stranger.test", ["someone@example.test"], message)
    if hasattr(sender, "run_queue"):
        sender.run_queue(1)
    sender.wait_for(lambda: "5.7.1" in sender.log()[log:], "no refusal", 60)


NODE = r"""
const { createTransport } = require("nodemailer");
const o = JSON.parse(process.argv[2]);
const t = createTransport({host: "localhost", port: o.port, secure: o.secure, requireTLS: true, pool: true, maxConnections: 4,
                           auth: {user: o.user, pass: o.password}, tls: {ca: require("fs").readFileSync(o.ca)}});
Promise.all([...Array(20).keys()].map(n => t.sendMail({
    from: "dr@tenant.test", to: `node${n}@example.test`, subject: `Überweisung ${n}`,
    messageId: `<node-${o.secure}-${n}@tenant.test>`,
    text: "Grüße\r\n.\r\n..dots at the beginning\r\n", attachments: [{filename: "befund.pdf", content: Buffer.alloc(100000, n)}],
    dsn: {id: `n${n}`, return: "headers", notify: ["failure"], recipient: "dr@tenant.test"}})))
    .then(all => { console.log(all.map(i => i.response).join("\n")); t.close(); })
    .catch(e => { console.error(e); process.exit(1); });
"""


@pytest.mark.parametrize("secure", [False, True], ids=["starttls", "implicit"])
def test_nodemailer(gateway, sink, tmp_path, secure):
    script = tmp_path / "send.js"
    script.write_text(NODE)
    options = {"port": gateway.info["smtps" if secure else "smtp"]["port"], "secure": secure, "user": gateway.info["user"],
               "password": gateway.info["password"], "ca": gateway.info["ca"]}
    done = subprocess.run(["node", script, json.dumps(options)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "NODE_PATH": "/usr/share/nodejs"})
    assert done.returncode == 0 and done.stdout.count("250 2.0.0") == 20, done.stdout + done.stderr
    wanted = {f"<node-{str(secure).lower()}-{n}@tenant.test>" for n in range(20)}
    with sink.changed:
        assert sink.changed.wait_for(lambda: wanted <= set(ids_of(sink)), 60)
    data = next(m["data"] for m in sink.messages if f"<node-{str(secure).lower()}-3@".encode() in m["data"])
    assert b"befund.pdf" in data and pathlib.Path(options["ca"]).exists()
