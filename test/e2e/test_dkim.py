"""DKIM: keys made and compared with DNS by the command line; what the gateway edits or makes carries a signature of each key,
checked with python3-dkim; what it only passes on carries none of ours."""
import base64
import json
import os
import pathlib
import shutil
import smtplib
import stat
import subprocess

import dkim
import pytest

from lab import mail
from lab.browser import Https, link_in, token_of
from lab.gateway import ROOT
from lab.sink import Sink
from lab.txt import Txt

POLICY = {
    "version": 1,
    "settings": {"floor": "plain", "expire": "1d", "dkim_selector": "gw1",
                 "portal": {"login": ["code"], "notify_floor": "plain"}},
    "texts": {"foot": "Clinic for Grüße"},
    "ladders": {"relay": {"rungs": ["tls:encrypted", "plain"], "floor": "plain"},
                "kept": {"rungs": ["portal"], "floor": "sealed"}},
    "rules": [{"rule": "footed", "when": {"recipient.address": "footed@example.net"},
               "then": {"protect": "relay", "footer": "foot"}},
              {"rule": "tagged", "when": {"recipient.address": "tagged@example.net"},
               "then": {"protect": "relay", "header": {"add": {"X-Clinic": "yes"}}}},
              {"rule": "kept", "when": {"recipient.address": "kept@example.net"}, "then": {"protect": "kept"}}],
    "default": {"protect": "relay"}}


@pytest.fixture(scope="module")
def program():
    return ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "bin/sallyport"


@pytest.fixture
def txt():
    server = Txt()
    yield server
    server.stop()


@pytest.fixture
def clinic(program, tmp_path, txt):
    """run(*words) in a configuration folder of two tenants, one of which has a key of its own."""
    for name in ("tenants", "keys"):
        (tmp_path / name).mkdir()
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    (tmp_path / "sallyport.json").write_text(json.dumps({
        "node": "gw1", "hostname": "gw1.example.org", "policy": "policies/hipaa-default.json",
        "listen": [{"address": "127.0.0.1:0", "tls": "none"}], "resolver": {"servers": [txt.address], "timeout": "10s"},
        "sealer": {"dkim_key": "keys/dkim.key", "dkim_ed25519_key": "keys/ed.key"}}))
    for name, own in (("a", {}), ("b", {"key": "keys/b.key"})):
        (tmp_path / f"tenants/{name}.json").write_text(json.dumps({
            "tenant": name, "domains": [f"{name}.test"], "proofs": {"networks": ["127.0.0.0/8"]},
            "dkim": {"domain": f"{name}.test", "selector": "gw1", "ed25519_selector": "gw2", **own}}))

    def run(*words):
        return subprocess.run([program, "dkim", *words, "-c", tmp_path / "sallyport.json"], capture_output=True, text=True,
                              timeout=60)
    run.folder = tmp_path
    return run


def publish(clinic, txt):
    for record in json.loads(clinic("dns", "--json").stdout):
        txt.records[record["name"] + "."] = record["value"]


def test_keys_are_made_once_and_for_their_owner_alone(clinic):
    done = clinic("keygen", "--bits", "3072")
    assert done.returncode == 0, done.stderr
    made = sorted(p.name for p in (clinic.folder / "keys").iterdir())
    assert made == ["b.key", "dkim.key", "ed.key"]
    before = {}
    for name in made:
        path = clinic.folder / "keys" / name
        before[name] = path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.stat().st_uid == path.parent.stat().st_uid
        shown = subprocess.run(["openssl", "pkey", "-in", path, "-noout", "-text"], capture_output=True, text=True, check=True)
        assert ("ED25519" if name == "ed.key" else "3072 bit") in shown.stdout
    again = clinic("keygen")
    assert again.returncode == 0 and again.stdout.count("is there already") == 3
    assert before == {name: (clinic.folder / "keys" / name).read_bytes() for name in made}


def test_records_are_printed_as_a_zone_has_them(clinic):
    assert clinic("dns").returncode == 1  # there are no keys
    clinic("keygen")
    lines = clinic("dns").stdout.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["gw1._domainkey.a.test.", "gw2._domainkey.a.test.",
                                                      "gw1._domainkey.b.test.", "gw2._domainkey.b.test."]
    for line in lines:
        strings = line.split('"')[1::2]
        assert all(len(s) <= 255 for s in strings) and "".join(strings).startswith("v=DKIM1; k=")
    assert len(clinic("dns", "a").stdout.splitlines()) == 2
    der = subprocess.run(["openssl", "rsa", "-in", clinic.folder / "keys/dkim.key", "-pubout", "-outform", "DER"],
                         capture_output=True, check=True).stdout
    assert "".join(lines[0].split('"')[1::2]) == "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()


def test_check_finds_what_is_wrong_in_dns(clinic, txt):
    clinic("keygen")
    absent = clinic("check")
    assert absent.returncode == 1 and absent.stdout.count("✗") == 4 and "no such record" in absent.stdout
    publish(clinic, txt)
    good = clinic("check")
    assert good.returncode == 0 and good.stdout.count("✓") == 4 and "✗" not in good.stdout
    right = txt.records["gw1._domainkey.a.test."]
    cases = {"v=DKIM1; k=rsa; p=": "revoked", "p=AAAA": "other-key", "nonsense": "broken", "v=DKIM1; k=rsa; p=AA; p=AA": "broken",
             right.replace("k=rsa", "k=ed25519"): "other-key", right.replace("k=rsa", "h=sha1; k=rsa"): "limited",
             right.replace("k=rsa", "s=tlsrpt; k=rsa"): "limited", right.replace("k=rsa", "t=y:s; k=rsa"): "testing",
             "k=rsa; " + right: "broken", right[8:].replace("; ", " ;\t") + " ; n=a note": "published"}
    for text, finding in cases.items():
        txt.records["gw1._domainkey.a.test."] = text
        said = clinic("check", "a", "--json")
        found = json.loads(said.stdout)
        assert [f["finding"] for f in found["findings"]] == [finding, "published"], text
        assert said.returncode == (0 if finding == "published" else 1) and found["ok"] == (finding == "published")
    txt.records["gw1._domainkey.a.test."] = right
    txt.broken.add("gw2._domainkey.a.test.")
    assert clinic("check").returncode == 3 and "could not be asked" in clinic("check").stdout
    (clinic.folder / "keys/dkim.key").unlink()
    assert clinic("check").returncode == 1 and "no key that could sign" in clinic("check").stdout


@pytest.mark.parametrize("words", [["keygen", "--bits", "1024"], ["keygen", "--jsn"], ["check", "a", "b"], ["check", "nobody"],
                                   ["sign"], ["dns", "--bits", "2048"]])
def test_a_command_line_that_is_not_understood(clinic, words):
    assert clinic(*words).returncode == 2
    assert not list((clinic.folder / "keys").iterdir())


@pytest.fixture(scope="module")
def signing(module_gateways, tmp_path_factory):
    """A gateway whose tenant has both keys, made by the command line."""
    policy = tmp_path_factory.mktemp("dkim") / "policy.json"
    policy.write_text(json.dumps(POLICY))
    sink = Sink(replies={"RCPT": lambda line: "550 5.1.1 nobody" if b"<nobody@" in line else "250 2.1.5 ok"})
    gateway = module_gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", policy)
    folder = pathlib.Path(gateway.info["config"]).parent
    tenant = folder / "tenants/test.json"
    tenant.write_text(json.dumps({**json.loads(tenant.read_text()), "dkim": {
        "domain": "tenant.test", "selector": "gw1", "ed25519_selector": "gw2", "key": "keys/rsa.key",
        "ed25519_key": "keys/own.key"}}))
    gateway.run("dkim", "keygen")
    gateway.again()
    gateway.public = {r["name"].encode(): r["value"].encode()
                      for r in json.loads(gateway.run("dkim", "dns", "--json").stdout)}
    yield gateway, sink
    sink.stop()


def arrived(sink, message_id, to):
    return next(m["data"] for m in sink.messages if to in m["to"] and message_id.encode() in m["data"])


def check_both(gateway, data):
    """One signature of each algorithm, both good; none over part of a body; both end."""
    d = dkim.DKIM(data)
    fields = [v for n, v in d.headers if n.lower() == b"dkim-signature"]
    assert len(fields) == 2 and b"a=rsa-sha256" in fields[0] and b"a=ed25519-sha256" in fields[1]
    for i, field in enumerate(fields):
        assert d.verify(idx=i, dnsfunc=lambda name, timeout=5: gateway.public.get(name.rstrip(b"."))), field
        tags = dict(part.strip().split(b"=", 1) for part in field.split(b";") if b"=" in part)
        names = b"".join(tags[b"h"].split()).split(b":")
        assert b"l" not in tags and int(tags[b"x"]) - int(tags[b"t"]) == 7 * 86400
        for name in (b"from", b"to", b"cc", b"subject", b"date", b"message-id"):
            assert names.count(name) == sum(n.lower() == name for n, _ in d.headers) + 1, name
    forged = dkim.DKIM(b"Subject: another\r\n" + data)
    assert not any(forged.verify(idx=i, dnsfunc=lambda name, timeout=5: gateway.public[name.rstrip(b".")]) for i in (0, 1))


@pytest.mark.parametrize("to", ["footed@example.net", "tagged@example.net"])
def test_what_a_rule_edits_is_signed_by_both_keys(signing, to):
    gateway, sink = signing
    message, message_id = mail.make("Own text \r\n\r\n.dot\r\n\r\n", [to])
    gateway.send(message, [to])
    record = gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    assert record["recipients"][0]["final"] == "delivered"
    check_both(gateway, arrived(sink, message_id, to))


def test_what_we_make_is_signed_by_both_keys(signing):
    gateway, sink = signing
    message, message_id = mail.make("hello\r\n", ["nobody@example.net"])
    gateway.send(message, ["nobody@example.net"])
    report = sink.wait_for_one(lambda m: m["to"] == ["dr@tenant.test"] and message_id.encode() in m["data"])
    assert b"multipart/report" in report["data"]
    check_both(gateway, report["data"])


def test_a_notice_of_the_portal_and_its_code_are_signed_by_both_keys(signing):
    gateway, sink = signing
    message, message_id = mail.make("hello\r\n", ["kept@example.net"])
    gateway.send(message, ["kept@example.net"])
    notice = sink.wait_for_one(lambda m: m["to"] == ["kept@example.net"])["data"]
    assert b"hello" not in notice
    check_both(gateway, notice)
    assert Https(gateway).ask("POST", "/code", {"token": token_of(link_in(notice))}).status == 200
    code = sink.wait_for_one(lambda m: m["to"] == ["kept@example.net"] and m["data"] != notice)["data"]
    check_both(gateway, code)


def test_what_is_passed_on_as_it_came_is_not_signed(signing):
    gateway, sink = signing
    message, message_id = mail.make("hello\r\n", ["as-is@example.net"])
    gateway.send(message, ["as-is@example.net"])
    gateway.wait_record("message.settled", message=gateway.message_of(message_id))
    assert b"dkim-signature" not in arrived(sink, message_id, "as-is@example.net").lower()


def test_nothing_is_signed_for_whom_no_tenant_is_proved(signing):
    gateway, sink = signing
    message, message_id = mail.make("hello\r\n", ["footed@example.net"])
    with gateway.client(login=False) as client, pytest.raises(smtplib.SMTPException):
        client.sendmail("dr@tenant.test", ["footed@example.net"], message)
    foreign = message.replace(b"From: Doctor <dr@tenant.test>", b"From: Doctor <dr@other.test>")
    with gateway.client() as client, pytest.raises(smtplib.SMTPException):
        client.sendmail("dr@tenant.test", ["footed@example.net"], foreign)
    assert not any(message_id.encode() in m["data"] for m in sink.messages)


def test_a_key_that_can_not_be_used_keeps_mail_back(gateways, sinks, tmp_path):
    """Nothing that should be signed goes out unsigned: the copy waits, and the log says why."""
    sink = sinks()
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    gateway = gateways("--next-hop", f"{sink.address}:{sink.port}", "--policy", policy)
    folder = pathlib.Path(gateway.info["config"]).parent
    tenant = folder / "tenants/test.json"
    subprocess.run(["openssl", "genrsa", "-out", folder / "keys/short.key", "1024"], check=True, capture_output=True)
    tenant.write_text(json.dumps({**json.loads(tenant.read_text()), "dkim": {
        "domain": "tenant.test", "selector": "gw1", "key": "keys/short.key"}}))
    gateway.again()
    assert "sealer.key-failed" in gateway.log and "too short to sign with" in gateway.log
    message, message_id = mail.make("hello\r\n", ["footed@example.net"])
    gateway.send(message, ["footed@example.net"])
    record = gateway.wait_record("delivery.attempted", message=gateway.message_of(message_id))
    assert record["outcome"] == "deferred" or record.get("result") != "delivered", record
    assert not sink.messages
