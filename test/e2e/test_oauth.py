"""OAUTHBEARER against a key set on disk: who is let in and as whom, what a failure costs, keys that change; curl as a client."""
import base64
import itertools
import json
import os
import pathlib
import signal
import smtplib
import ssl
import subprocess
import time

import pytest

from lab import mail, tokens
from lab.sink import Sink


def users(**made):
    return {name: "oauth:" + value for name, value in made.items()}


@pytest.fixture(scope="module")
def issuer():
    return tokens.Issuer()


@pytest.fixture(scope="module")
def gateway(module_gateways, issuer, tmp_path_factory):
    sink, folder = Sink(), tmp_path_factory.mktemp("oauth")
    for name, proofs in (("ward", users(app="app-1", lab="lab@ward.test")), ("lab", users(other="app-1", own="lab-1"))):
        (folder / f"{name}.json").write_text(json.dumps({"tenant": name, "domains": [f"{name}.test"],
                                                         "proofs": {"users": proofs}}))
    made = module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json", "--workers", 1,
                           "--tenant", folder / "ward.json", "--tenant", folder / "lab.json", "--set", "intake.max_errors=1000")
    config = pathlib.Path(made.info["config"]).parent
    made.keys, made.second = config / "keys/issuer.json", tokens.Issuer()
    made.keys.write_text(json.dumps(issuer.key_set()))
    (config / "keys/second.json").write_text(json.dumps(made.second.key_set()))
    common = {"audience": tokens.AUDIENCE}
    made.again(oauth={"issuers": [{"issuer": tokens.ISSUER, "keys": "keys/issuer.json", "tenant": "ward", **common},
                                  {"issuer": "https://lab.example/", "keys": "keys/second.json", "claim": "client",
                                   "tenant": "lab", **common}]})
    made.sink = sink
    yield made
    sink.stop()


SOURCES = itertools.count(1)
GRAIN = 0.01  # the clock of timers goes in steps of a few milliseconds


def connect(gateway):
    """A client in TLS from an address of its own: whoever fails often from one is not listened to for a while."""
    client = smtplib.SMTP(gateway.info["smtp"]["host"], gateway.info["smtp"]["port"], local_hostname="client.test", timeout=60,
                          source_address=(f"127.0.2.{next(SOURCES)}", 0))
    client._host = "localhost"
    client.starttls(context=ssl.create_default_context(cafile=gateway.info["ca"]))
    client.ehlo()
    return client


def response(token, head="n,,"):
    return base64.b64encode(f"{head}\1host=gw\1port=25\1auth=Bearer {token}\1\1".encode()).decode()


def log_in(client, token, head="n,,"):
    """The reply to a token, and the error in JSON before it where there was one."""
    code, text = client.docmd("AUTH", "OAUTHBEARER " + response(token, head))
    if code != 334:
        return code, None
    error = json.loads(base64.b64decode(text))
    return client.docmd("AQ==")[0], error


@pytest.mark.parametrize("key", ["rsa", "ec", "ed"])
def test_a_token_of_each_algorithm_lets_its_user_in(gateway, issuer, key):
    message, message_id = mail.make("hello\r\n", ["a@example.net"])
    message = message.replace(b"dr@tenant.test", b"dr@ward.test")
    with connect(gateway) as client:
        assert "OAUTHBEARER" in client.esmtp_features["auth"].split()
        assert log_in(client, issuer.token(key)) == (235, None)
        client.sendmail("dr@ward.test", ["a@example.net"], message)
    accepted = gateway.wait_record("message.accepted", message=gateway.message_of(message_id))
    assert accepted["actor"]["auth"] == "auth-oauthbearer" and accepted["actor"]["id"] == "app"
    assert accepted["tenant"] == "ward"


def test_one_tenants_issuer_vouches_for_no_other(gateway, issuer):
    with connect(gateway) as client:
        assert log_in(client, issuer.token())[0] == 235  # "app-1" is ward's, though lab has one of that name, too
        with pytest.raises(smtplib.SMTPException):
            client.sendmail("dr@lab.test", ["a@example.net"], mail.make("x\r\n")[0].replace(b"dr@tenant.test", b"dr@lab.test"))
    with connect(gateway) as client:
        assert log_in(client, gateway.second.token(iss="https://lab.example/", client="lab-1"))[0] == 235
    for token in (gateway.second.token(iss="https://lab.example/", client="app-2"), gateway.second.token(),
                  gateway.second.token(iss="https://lab.example/"), issuer.token(iss="https://lab.example/", client="lab-1")):
        with connect(gateway) as client:
            assert log_in(client, token)[0] == 535


@pytest.mark.parametrize("head,code", [("n,a=app,", 235), ("n,a=app-1,", 235), ("y,,", 235), ("n,a=root,", 535),
                                       ("p=tls-unique,,", 501)])
def test_an_identity_that_is_asked_for_must_be_the_tokens(gateway, issuer, head, code):
    with connect(gateway) as client:
        assert log_in(client, issuer.token(), head)[0] == code


def test_each_token_that_proves_nothing_is_refused(gateway, issuer):
    made = tokens.cases(issuer)
    for name in ("no-expired", "no-other-key", "no-none-kid", "bad-two"):
        token = made[name]  # the others are tried with the parser alone
        with connect(gateway) as client:
            assert log_in(client, token) == (535, {"status": "invalid_token", "schemes": "bearer"}), name
            assert client.docmd("MAIL FROM:<dr@ward.test>")[0] == 550, name
    assert "intake.token-refused" in gateway.log and issuer.token().split(".")[1][:20] not in gateway.log


def test_failures_are_slow_and_end_the_session(gateway, issuer):
    expired = issuer.token(exp=1)
    with connect(gateway) as client:
        started = time.monotonic()
        assert log_in(client, expired)[0] == 535
        first = time.monotonic() - started
        client.docmd("AUTH", "OAUTHBEARER " + response(expired))
        assert client.docmd("*")[0] == 501  # giving up saves nothing
        second = time.monotonic() - started - first
        assert first >= 0.5 - GRAIN and second >= 1 - GRAIN
        assert log_in(client, expired)[0] == 421
        client.close()


def test_without_tls_nothing_is_offered_or_taken(gateway, issuer):
    with gateway.client(tls=False) as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        assert client.docmd("AUTH", "OAUTHBEARER " + response(issuer.token()))[0] in (530, 500)


def test_curl_logs_in(gateway, issuer, tmp_path):
    message, message_id = mail.make("hello\r\n", ["a@example.net"])
    (tmp_path / "mail").write_bytes(message.replace(b"dr@tenant.test", b"dr@ward.test"))
    smtp = gateway.info["smtp"]
    done = subprocess.run(["curl", "-sS", "--ssl-reqd", "--cacert", gateway.info["ca"], "--connect-to",
                           f"localhost:{smtp['port']}:{smtp['host']}:{smtp['port']}", "--user", "app:", "--oauth2-bearer",
                           issuer.token("ec"), "--login-options", "AUTH=OAUTHBEARER", "--mail-from", "dr@ward.test",
                           "--mail-rcpt", "a@example.net", "--upload-file", tmp_path / "mail",
                           f"smtp://localhost:{smtp['port']}"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert gateway.wait_record("message.accepted", message=gateway.message_of(message_id))["actor"]["id"] == "app"


def reload(gateway, event):
    before = gateway.log.count(event)
    os.kill(gateway.info["pid"], signal.SIGHUP)
    deadline = time.monotonic() + 60
    while gateway.log.count(event) == before:
        assert time.monotonic() < deadline, gateway.log[-2000:]
        time.sleep(0.05)


def code_of(gateway, token):
    with connect(gateway) as client:
        return log_in(client, token)[0]


def test_keys_change_at_a_reload(gateway, issuer):
    fresh, kept = tokens.Issuer(), gateway.keys.read_text()
    gateway.keys.write_text(json.dumps(fresh.key_set()))
    reload(gateway, '"supervisor.reload"')
    deadline = time.monotonic() + 60
    while code_of(gateway, fresh.token()) != 235:
        assert time.monotonic() < deadline
    assert code_of(gateway, issuer.token()) == 535
    gateway.keys.write_text("{}")
    reload(gateway, '"supervisor.reload-refused","role":"relay"')
    assert code_of(gateway, fresh.token()) == 235  # what was good goes on
    gateway.keys.write_text(kept)
    reload(gateway, '"supervisor.reload"')
