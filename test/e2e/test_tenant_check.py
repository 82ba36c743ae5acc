"""sallyport tenant check and providers: what is missing is said, one line a finding, and what is done is ticked off."""
import base64
import hashlib
import json
import os
import re
import smtplib
import ssl
import subprocess
import threading

import pytest

from lab.gateway import ROOT
from lab.sink import Sink
from lab.txt import Txt
from lab.wait import until

SECRET = "s3cret-of-the-clinic-0123456789"
HOST = "gateway.tenant.test"
PROVIDER = "spf.provider.test"


def make_key(path, kind, *how):
    """A key file; returns the record that publishes it."""
    subprocess.run(["openssl", "genpkey", *how, "-out", path], check=True, capture_output=True)
    der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
    path.chmod(0o644)
    return f"v=DKIM1; k={kind}; p=" + base64.b64encode(der[-32:] if kind == "ed25519" else der).decode()


class World:
    """A gateway with a tenant whose networks come from a provider's SPF records, and the DNS that says so."""

    def __init__(self, gateways, folder):
        self.dns, self.sink = Txt(), Sink()
        lists, key, key2 = folder / "clinic.json", folder / "dkim.key", folder / "dkim2.key"
        self.published = [make_key(key, "rsa", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"),
                          make_key(key2, "ed25519", "-algorithm", "ed25519")]
        lists.write_text(json.dumps({
            "tenant": "clinic", "domains": ["clinic.test"],
            "dkim": {"domain": "clinic.test", "selector": "gw", "key": str(key), "ed25519_selector": "gw2",
                     "ed25519_key": str(key2)},
            "proofs": {"networks": ["127.0.0.50/32"],
                       "secret_header": {"name": "X-Secret", "sha256": hashlib.sha256(SECRET.encode()).hexdigest()}}}))
        self.gateway = gateways("--next-hop", f"127.0.0.1:{self.sink.port}", "--policy", "test/policies/relay-plain.json",
                                "--resolver", self.dns.address, "--set", "resolver.timeout=\"2s\"", "--workers", 2,
                                "--tenant", lists)
        self.config = self.gateway.info["config"]
        self.folder = self.gateway.folder / "config/tenants"
        self.door = "%s:%d" % (self.gateway.info["smtp"]["host"], self.gateway.info["smtp"]["port"])
        self.environment = {**os.environ, "SSL_CERT_FILE": self.gateway.info["ca"]}

    def say(self, words, timeout=120, **keywords):
        return subprocess.run([self.gateway.info["program"], *words, "-c", self.config], capture_output=True, text=True,
                              timeout=timeout, env=self.environment, **keywords)

    def check(self, *words):
        """Findings by their names, and the exit code."""
        done = self.say(["tenant", "check", "clinic", "--json", *words])
        assert done.returncode in (0, 1), done.stderr
        said = json.loads(done.stdout)
        found = {}
        for finding in said["findings"]:
            found.setdefault(finding["what"], []).append((finding["ok"], finding["text"]))
        assert said["ok"] == (done.returncode == 0)
        return found, done.returncode

    def send(self, source, recipient, secret=SECRET):
        host, port = self.door.split(":")
        client = smtplib.SMTP(host, int(port), local_hostname="mail.provider.test", timeout=60, source_address=(source, 0))
        client._host = "localhost"
        client.starttls(context=ssl.create_default_context(cafile=self.gateway.info["ca"]))
        try:
            client.sendmail("dr@clinic.test", recipient,
                            f"From: dr@clinic.test\r\nX-Secret: {secret}\r\nSubject: x\r\n\r\nx\r\n")
            return 250, ""
        except smtplib.SMTPResponseException as error:
            return error.smtp_code, error.smtp_error.decode()
        except smtplib.SMTPRecipientsRefused as error:
            return next(iter(error.recipients.values()))[0], ""
        finally:
            client.close()


@pytest.fixture(scope="module")
def world(module_gateways, tmp_path_factory):
    world = World(module_gateways, tmp_path_factory.mktemp("check"))
    yield world
    world.sink.stop()
    world.dns.stop()


@pytest.fixture(autouse=True)
def empty_dns(world):
    world.dns.records.clear()
    world.dns.others.clear()
    world.dns.broken.clear()


def publish(world):
    world.dns.others.update({(HOST + ".", "A"): ["127.0.0.1"], ("1.0.0.127.in-addr.arpa.", "PTR"): [HOST + "."]})
    world.dns.records.update({"clinic.test.": f"v=spf1 a:{HOST} -all", "gw._domainkey.clinic.test.": world.published[0],
                              "gw2._domainkey.clinic.test.": world.published[1],
                              "_dmarc.clinic.test.": "v=DMARC1; p=reject", "_mta-sts.clinic.test.": "v=STSv1; id=1"})


def test_nothing_done_yet(world):
    found, code = world.check("--door", world.door)
    assert code == 1
    assert found["file"][0][0] and found["proofs"][0][0]
    assert not found["dns.hostname"][0][0] and "nobody finds the door" in found["dns.hostname"][0][1]
    assert not found["dns.dkim"][0][0] and "gw._domainkey.clinic.test: no record" in found["dns.dkim"][0][1]
    assert not found["dns.dmarc"][0][0] and not found["dns.mta-sts"][0][0]
    assert not found["live.accepted"][0][0]
    assert found["door.closed"][0][0], found


def test_all_done(world):
    publish(world)
    assert world.send("127.0.0.50", "patient@elsewhere.test") == (250, "")
    until(lambda: all(ok for ok, _ in world.check("--door", world.door)[0]["live.accepted"]))  # the audit has it a moment later
    found, code = world.check("--door", world.door)
    wrong = {what: said for what, said in found.items() if not all(ok for ok, _ in said)}
    assert wrong == {} and code == 0
    assert "proved by network, secret-header, from-domain" in found["live.accepted"][0][1]
    assert "SPF of clinic.test lets 127.0.0.1 send" in found["dns.spf"][0][1]
    lines = world.say(["tenant", "check", "clinic", "--door", world.door])
    assert lines.stdout.count("\u2713") >= 9 and lines.returncode == code


@pytest.mark.parametrize("name, record, word", [
    ("gw", None, "no record"), ("gw", "v=DKIM1; k=rsa; p=MIIB", "another key"), ("gw", "v=DKIM1; k=rsa; p=", "revoked"),
    ("gw", "nothing", "can't be read"), ("gw", "swapped", "another key"), ("gw2", "swapped", "another key"),
    ("gw", "testing", "t=y"), ("gw2", None, "no record")])
def test_a_selector_that_does_not_hold_our_key(world, name, record, word):
    publish(world)
    at = f"{name}._domainkey.clinic.test."
    if record is None:
        del world.dns.records[at]
    else:
        world.dns.records[at] = {"swapped": world.published[name == "gw"],
                                 "testing": world.published[0] + "; t=y"}.get(record, record)
    found, code = world.check("--door", world.door)
    said = {text.split(".")[0].split(" ")[0]: (ok, text) for ok, text in found["dns.dkim"]}
    other = "gw2" if name == "gw" else "gw"
    assert code == 1 and said[other][0] and not said[name][0] and word in said[name][1], found["dns.dkim"]


@pytest.mark.parametrize("record, word", [
    ("v=spf1 ip4:192.0.2.0/24 -all", '"fail"'), ("v=spf1 ~all", '"softfail"'), (None, '"none"'),
    ("v=spf1 include:absent.test -all", "error for everybody"), ("v=spf1 include:clinic.test -all", "includes itself")])
def test_spf_that_leaves_us_out(world, record, word):
    publish(world)
    del world.dns.records["clinic.test."]
    if record is not None:
        world.dns.records["clinic.test."] = record
    found, code = world.check("--door", world.door)
    assert code == 1 and not found["dns.spf"][0][0] and word in found["dns.spf"][0][1], found["dns.spf"]


def test_dns_that_does_not_answer_is_no_missing_record(world):
    publish(world)
    world.dns.broken.update({"clinic.test.", "gw._domainkey.clinic.test."})
    found, code = world.check("--door", world.door)
    assert code == 1 and "dns.servfail" in found["dns.dkim"][0][1] and "could not be looked up" in found["dns.spf"][0][1]


def test_a_refusal_names_the_missing_signal(world):
    publish(world)
    assert world.send("127.0.0.50", "patient@elsewhere.test", secret="wrong")[0] == 550
    until(lambda: "live.refused" in world.check("--door", world.door)[0])
    found, code = world.check("--door", world.door)
    assert code == 1 and "not proved: secret-header" in found["live.refused"][0][1]
    assert SECRET not in json.dumps(found)
    assert world.send("127.0.0.50", "patient@elsewhere.test")[0] == 250
    until(lambda: "live.refused" not in world.check("--door", world.door)[0])


@pytest.mark.parametrize("source, secret, good, word", [
    ("127.0.0.50", SECRET, True, "with every proof: network, secret-header, from-domain"),
    ("127.0.0.50", "wrong", False, "not proved: secret-header"), ("127.0.0.51", SECRET, False, "not proved: network")])
def test_a_probe_is_looked_at_and_not_relayed(world, source, secret, good, word):
    publish(world)
    process = subprocess.Popen([world.gateway.info["program"], "tenant", "check", "clinic", "--json", "--wait", "60s", "--door",
                                world.door, "-c", world.config], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=world.environment)
    killer = threading.Timer(100, process.kill)
    killer.start()
    address = next(told["detail"] for told in map(json.loads, process.stderr) if told["error"] == "probe" and told["exit"] == 0)
    assert re.fullmatch(r"sallyport-probe-[0-9a-f]{24}@\S+", address)
    code, text = world.send(source, address, secret)
    assert code == 550
    if good:
        assert "every proof of the tenant holds, and nothing was relayed" in text
    else:
        assert "relaying denied" in text
    said = json.loads(process.stdout.read())
    process.wait(60)
    killer.cancel()
    probe = [f for f in said["findings"] if f["what"] == "live.probe"]
    assert len(probe) == 1 and probe[0]["ok"] == good and word in probe[0]["text"], probe
    assert not any("sallyport-probe" in to for m in world.sink.messages for to in m["to"])


def test_a_probe_beside_a_recipient_takes_it_along(world):
    host, port = world.door.split(":")
    client = smtplib.SMTP(host, int(port), timeout=60, source_address=("127.0.0.50", 0))
    client._host = "localhost"
    client.starttls(context=ssl.create_default_context(cafile=world.gateway.info["ca"]))
    with pytest.raises(smtplib.SMTPDataError) as error:
        client.sendmail("dr@clinic.test", ["victim@elsewhere.test", "sallyport-probe-ab@" + HOST],
                        f"From: dr@clinic.test\r\nX-Secret: {SECRET}\r\n\r\nx\r\n")
    assert error.value.smtp_code == 550
    assert not any("victim@elsewhere.test" in m["to"] for m in world.sink.messages)


def test_no_gateway_and_no_tenant(world):
    assert world.say(["tenant", "check", "nobody"]).returncode == 2
    assert world.say(["tenant", "check"]).returncode == 2
    assert world.say(["tenant", "check", "clinic", "--wait", "soon"]).returncode == 2
    program = ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "bin/sallyport"
    assert subprocess.run([program, "tenant", "check", "x", "-c", "/nonexistent.json"], capture_output=True).returncode == 2


# ---- providers' networks ----

def use_provider(world, networks):
    """The tenant's networks come from the provider's list from now on."""
    path = world.folder / "clinic.json"
    tenant = json.loads(path.read_text())
    tenant["proofs"]["networks"], tenant["proofs"]["networks_from"] = [], [PROVIDER]
    world.dns.records[PROVIDER + "."] = "v=spf1 include:one.provider.test include:two.provider.test ~all"
    world.dns.records["one.provider.test."] = networks[0]
    world.dns.records["two.provider.test."] = networks[1]
    return path, json.dumps(tenant)


def wait_until(world, source, code):
    until(lambda: world.send(source, "patient@elsewhere.test")[0] == code, what=source)


def test_networks_follow_the_providers_dns(world):
    path, text = use_provider(world, ["v=spf1 ip4:127.0.0.52 -all", "v=spf1 ip6:2001:db8::/32 -all"])
    before = path.read_text()
    try:
        done = world.say(["providers", "refresh", PROVIDER, "--force"])  # the laboratory is on loopback
        assert done.returncode == 0 and "2 networks" in done.stdout, done.stderr
        path.write_text(text)
        kept = (world.folder / f"networks/{PROVIDER}.txt").read_text()
        assert "127.0.0.52\n2001:db8::/32\n" in kept
        done = world.say(["providers", "refresh", "--force", "--json"])
        assert done.returncode == 0 and json.loads(done.stdout)["findings"][0]["what"] == PROVIDER
        wait_until(world, "127.0.0.52", 250)
        assert world.send("127.0.0.53", "patient@elsewhere.test")[0] == 550
        # the provider moves: live relays follow
        world.dns.records["one.provider.test."] = "v=spf1 ip4:127.0.0.53 ip4:127.0.0.54 -all"
        assert world.say(["providers", "refresh", "--force"]).returncode == 0
        wait_until(world, "127.0.0.53", 250)
        changed = world.gateway.wait_record("config.changed", file=f"tenants/networks/{PROVIDER}.txt")
        assert set(changed["sha256"]) == {"before", "after"}
        world.gateway.wait_record("tenant.changed", tenant="clinic")
        wait_until(world, "127.0.0.52", 550)
        assert "1 networks" not in world.say(["providers", "list"]).stdout
        found, _ = world.check("--door", world.door)
        assert found["networks"][0] == (True, f"3 networks of {PROVIDER}, 0 days old")
    finally:
        path.write_text(before)
        subprocess.run(["kill", "-HUP", str(world.gateway.info["pid"])], check=True)
        wait_until(world, "127.0.0.50", 250)


@pytest.mark.parametrize("one, two, why", [
    ("v=spf1 ip4:127.0.0.52 -all", "v=spf1 ip4:192.0.2.0/24 -all", "loopback or private"),
    ("v=spf1 ip6:::ffff:0:0/96 -all", "v=spf1 -all", "no provider's"),
    ("v=spf1 ip4:0.0.0.0/0 -all", "v=spf1 -all", "no provider's"), ("v=spf1 +all", "v=spf1 -all", "everybody"),
    ("v=spf1 include:spf.provider.test -all", "v=spf1 -all", "includes itself"), (None, "v=spf1 -all", "no record"),
    ("v=spf1 exists:%{i}.test ip4:192.0.2.1 -all", "v=spf1 -all", "otherwise than by network"),
    ("v=spf1 ip4:192.0.2.1 -all", "v=spf1 -all", "more than half"), ("broken", "v=spf1 -all", "could not be looked up")])
def test_a_bad_list_leaves_the_last_good_one(world, one, two, why):
    path = world.folder / f"networks/{PROVIDER}.txt"
    path.parent.mkdir(exist_ok=True)
    good = "# kept\n192.0.2.0/25\n192.0.2.128/25\n198.51.100.0/24\n"
    path.write_text(good)
    use_provider(world, [one, two])
    if one is None:
        del world.dns.records["one.provider.test."]
    if one == "broken":
        world.dns.broken.add("one.provider.test.")
    done = world.say(["providers", "refresh", PROVIDER])
    assert done.returncode == 1 and why in done.stdout and "the last good list stays" in done.stdout, done.stdout
    assert path.read_text() == good and not list(path.parent.glob("*~"))
    if why == "more than half":
        assert world.say(["providers", "refresh", PROVIDER, "--force"]).returncode == 0
        assert "\n192.0.2.1\n" in path.read_text()
