"""sallyport tenant add, list and show: a file that the gateway takes, what is to be done elsewhere, and nothing overwritten."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from lab.gateway import ROOT


@pytest.fixture(scope="module")
def program():
    return ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "bin/sallyport"


@pytest.fixture
def config(tmp_path):
    (tmp_path / "tenants").mkdir()
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    shutil.copy(ROOT / "policies/hipaa-default.json", tmp_path / "policies/policy.json")
    path = tmp_path / "sallyport.json"
    path.write_text(json.dumps({"node": "gw1", "hostname": "gw1.example.org", "listen": [
        {"address": "127.0.0.1:0", "tls": "none"}]}))
    return path


def run(program, config, *words):
    return subprocess.run([program, "tenant", *words, "-c", config], capture_output=True, text=True, timeout=60)


STEPS = {
    "--m365": [
        r'New-OutboundConnector -Name "Sallyport" -ConnectorType Partner -UseMXRecord \$false -SmartHosts gw1\.example\.org '
        r"-TlsSettings DomainValidation -TlsDomain gw1\.example\.org -IsTransportRuleScoped \$true\b",
        r'New-TransportRule -Name "Sallyport" -SentToScope NotInOrganization -SetHeaderName X-Sallyport-Tenant '
        r'-SetHeaderValue SECRET -RouteMessageOutboundConnector "Sallyport" -StopRuleProcessing \$true\b',
        r'Then add "tenant_id" to "proofs": \(Get-OrganizationConfig\)\.ExternalDirectoryOrganizationId'],
    "--google": [
        r'Hosts: add a route "Sallyport" to gw1\.example\.org, port 25; require TLS, a CA-signed certificate and its host name\.',
        r"rule for outbound mail: add the custom header X-Sallyport-Tenant with the value SECRET and change the route to "
        r'"Sallyport"\.', r"Authenticate email: DKIM must be on for the domain\."],
}
RECORDS = [r"In the DNS of hospital\.example:", r"SPF: put a:gw1\.example\.org into the record v=spf1 of hospital\.example\b",
           r'DKIM: sallyport\._domainkey\.hospital\.example TXT "v=DKIM1; k=rsa; p=MII',
           r'DKIM: sallyport-ed25519\._domainkey\.hospital\.example TXT "v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}="',
           r'MTA-STS, for mail that comes to you: _mta-sts\.hospital\.example TXT "v=STSv1; id=1", and the policy at '
           r"https://mta-sts\.hospital\.example/\.well-known/mta-sts\.txt\b"]


def assert_steps(provider, printed, secret):
    """Each step once, whole, in this order; a command goes on behind PowerShell's backtick. None of the other provider's."""
    assert "\\" not in printed
    words = " ".join(printed.replace(" `\n", " ").split())
    at = 0
    for step in STEPS[provider] + RECORDS:
        found = list(re.finditer(step.replace("SECRET", secret), words))
        assert len(found) == 1 and found[0].start() >= at, step
        at = found[0].end()
    for other in {"--m365": ("Google", "Hosts:"), "--google": ("PowerShell", "New-", "ExternalDirectory")}[provider]:
        assert other not in words
    assert words.count(secret) == 1


@pytest.mark.parametrize("provider", ["--m365", "--google"])
def test_a_tenant_is_added_once(program, config, provider):
    done = run(program, config, "add", "hospital", provider, "hospital.example")
    assert done.returncode == 0, done.stderr
    path = pathlib.Path(config.parent / "tenants/hospital.json")
    made = json.loads(path.read_text())
    secret = re.search(r"\b[0-9a-f]{48}\b", done.stdout).group()
    assert made["proofs"]["secret_header"]["sha256"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in path.read_text() and path.stat().st_mode & 0o007 == 0
    assert "gw1.example.org" in done.stdout and "sallyport._domainkey.hospital.example" in done.stdout
    assert ("New-OutboundConnector" in done.stdout) == (provider == "--m365")
    keys = [config.parent / "keys/dkim-hospital.key", config.parent / "keys/dkim-hospital-ed25519.key"]
    assert made["dkim"] == {"domain": "hospital.example", "selector": "sallyport", "key": "keys/dkim-hospital.key",
                            "ed25519_selector": "sallyport-ed25519", "ed25519_key": "keys/dkim-hospital-ed25519.key"}
    assert "PRIVATE" not in done.stdout
    for key in keys:
        assert key.stat().st_mode & 0o777 == 0o600 and b"PRIVATE KEY" in key.read_bytes()
    printed = re.findall(r"(\S+\._domainkey\.hospital\.example)  TXT (.*)", done.stdout)
    records = {name: "".join(re.findall(r'"([^"]*)"', strings)) for name, strings in printed}
    dns = subprocess.run([program, "dkim", "dns", "--json", "-c", config], capture_output=True, text=True, timeout=60)
    assert {r["name"]: r["value"] for r in json.loads(dns.stdout)} == records and len(records) == 2
    if provider == "--m365":
        rule = done.stdout[done.stdout.index("New-TransportRule"):done.stdout.index("-StopRuleProcessing")]
        assert "-SentToScope NotInOrganization" in rule and f"-SetHeaderValue {secret}" in rule
        assert "FromScope" not in rule and "ExceptIf" not in rule  # nothing leaves round the gateway by what a sender writes
    assert_steps(provider, done.stdout, secret)
    before = path.read_bytes()
    again = run(program, config, "add", "hospital", provider, "hospital.example")
    assert again.returncode == 1 and "it is there already" in again.stderr
    assert path.read_bytes() == before
    kept = [key.read_bytes() for key in keys]
    path.unlink()  # a tenant that comes back keeps the keys that are published
    printed = run(program, config, "add", "hospital", provider, "hospital.example").stdout.replace('" "', "")
    assert all(record in printed for record in records.values())
    assert [key.read_bytes() for key in keys] == kept
    shown = run(program, config, "show", "hospital")
    assert shown.returncode == 0 and "all of these together" in shown.stdout and "null sender: on" in shown.stdout
    assert "hospital.example" in run(program, config, "list").stdout
    told = json.loads(run(program, config, "show", "hospital", "--json").stdout)
    assert told["tenant"] == "hospital" and "hospital.example" in told["domains"] and told["provable"], told
    assert told["senders"]["null_sender"] is True and told["proofs"]["secret_header"], told
    secret = json.loads((config.parent / "tenants/hospital.json").read_text())["proofs"]["secret_header"]["sha256"]
    assert secret not in json.dumps(told)
    assert [json.loads(line) for line in run(program, config, "list", "--json").stdout.splitlines()] == [told]


def test_a_tenant_takes_no_key_of_anothers(program, config):
    """The second key of one has the name that the first of another would have."""
    assert run(program, config, "add", "ward", "--m365", "ward.example").returncode == 0
    done = run(program, config, "add", "ward-ed25519", "--m365", "other.example")
    assert done.returncode == 1 and "dkim-ward-ed25519.key: it is there already, and no RSA key" in done.stderr
    assert not (config.parent / "tenants/ward-ed25519.json").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what is somebody else's")
def test_what_root_adds_is_the_owners_of_the_settings(program, config):
    """A gateway that runs as somebody else reads the file and the key."""
    for path in (config.parent, config, config.parent / "tenants"):
        os.chown(path, 4711, 4712)
    done = run(program, config, "add", "hospital", "--m365", "hospital.example")
    assert done.returncode == 0, done.stderr
    for name, mode in (("keys", 0o700), ("keys/dkim-hospital.key", 0o600),
                       ("keys/dkim-hospital-ed25519.key", 0o600), ("tenants/hospital.json", 0o640)):
        made = (config.parent / name).stat()
        assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (4711, 4712, mode), name
    os.chown(config.parent / "keys", 0, 0)  # one that is there stays whose it is
    assert run(program, config, "add", "ward", "--m365", "ward.example").returncode == 0
    assert (config.parent / "keys").stat().st_uid == 0


def test_mail_of_the_onmicrosoft_domain_is_the_tenants(program, config):
    done = run(program, config, "add", "x", "--m365", "a.test", "--onmicrosoft", "a.onmicrosoft.com")
    assert done.returncode == 0, done.stderr
    made = json.loads((config.parent / "tenants/x.json").read_text())
    assert made["senders"]["onmicrosoft"] == "a.onmicrosoft.com"
    assert made["proofs"]["originator_org"] == ["a.test", "a.onmicrosoft.com"]


@pytest.mark.parametrize("words", [
    ["add"], ["add", "x"], ["add", "x", "--m365"], ["add", "x", "--m365", "a.test", "--google", "a.test"],
    ["add", "x", "--google", "a.test", "--tenant-id", "1"], ["show"], ["list", "x"], ["add", "x", "--other", "y"]])
def test_a_command_line_that_is_not_understood(program, config, words):
    assert run(program, config, *words).returncode == 2
    assert not list((config.parent / "tenants").iterdir())


@pytest.mark.parametrize("words", [
    ["add", "../x", "--m365", "a.test"], ["add", "x", "--m365", "not a domain"], ["add", "x", "--google", ""],
    ["add", "x", "--m365", "a.test", "--onmicrosoft", "a.test"], ["add", "x", "--m365", 'a.test", "b.test'], ["show", "nobody"]])
def test_what_would_be_no_tenant_is_not_written(program, config, words):
    done = run(program, config, *words)
    assert done.returncode == 1 and done.stderr
    assert not list(config.parent.rglob("x.json")) and not list((config.parent / "tenants").iterdir())
