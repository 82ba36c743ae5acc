"""Who may send for whom: two tenants at a simulated Microsoft 365 and two at a simulated Google, every signal dropped,
doubled, forged, folded and mis-cased, and the mail of real senders that is not simply their own."""
import base64
import hashlib
import json
import smtplib
import ssl
import subprocess
import time

import dkim
import pytest

from lab.sink import Sink
from lab.txt import Txt
from lab.wait import until

M365, GOOGLE, SHARED = "127.0.0.50", "127.0.0.60", "127.0.0.70"
VICTIM = "victim@elsewhere.test"
GUIDS = {"clinic": "11111111-aaaa-4bbb-8ccc-000000000001", "ward": "22222222-aaaa-4bbb-8ccc-000000000002",
         "open": "33333333-aaaa-4bbb-8ccc-000000000003"}
SECRETS = {"clinic": "s3cret-of-the-clinic-0123456789", "gdoc": "s3cret-of-gdoc-0123456789", "glab": "s3cret-of-glab-0123456789"}
DOMAINS = {"clinic": "clinic.test", "ward": "ward.test", "gdoc": "gdoc.test", "glab": "glab.test", "open": "open.test"}


def secret_of(name):
    return {"name": "X-Gateway-Secret", "sha256": hashlib.sha256(SECRETS[name].encode()).hexdigest()}


def tenant_files(folder):
    """clinic: all of Microsoft 365's signals and every switch; ward: the same without secret and with all switches off;
    open: forwards, and anonymous mail."""
    made = []
    for name in ("clinic", "ward", "open"):
        proofs = {"networks": [M365 + "/32"], "client_certificates": ["mail.protection.outlook.com"],
                  "originator_org": [DOMAINS[name]], "tenant_id": GUIDS[name]}
        senders = {"null_sender": False, "shared_mailboxes": False}
        if name == "clinic":
            proofs["secret_header"] = secret_of(name)
            senders = {"calendar": True, "forwards": True, "foreign_envelope": True, "subdomains": True,
                       "onmicrosoft": "clinic.onmicrosoft.com"}
            proofs["originator_org"].append("clinic.onmicrosoft.com")  # as `tenant add --onmicrosoft` writes it
        if name == "open":
            proofs["auth_as"], senders = ["Internal", "Anonymous"], {"forwards": True}
        made.append({"tenant": name, "domains": [DOMAINS[name]], "proofs": proofs, "senders": senders})
    for name in ("gdoc", "glab"):
        made.append({"tenant": name, "domains": [DOMAINS[name]], "normalise_newlines": name == "glab",
                     "proofs": {"networks": [GOOGLE + "/32"], "secret_header": secret_of(name), "dkim": [DOMAINS[name]]}})
    for i in range(80):  # others at the same provider, tried before these
        made.append({"tenant": f"a{i}", "domains": [f"a{i}.test"],
                     "proofs": {**made[0]["proofs"], "originator_org": [f"a{i}.test"], "tenant_id": f"a{i}",
                                "secret_header": {"name": "X-Gateway-Secret", "sha256": hashlib.sha256(b"%d" % i).hexdigest()}}})
    for name, limits in (("alone", {"sessions": 1, "messages": 4}), ("duo", {})):  # share network and certificate
        made.append({"tenant": name, "domains": [f"{name}.test"], "limits": limits,
                     "proofs": {"networks": [SHARED + "/32"], "client_certificates": ["mail.protection.outlook.com"],
                                "originator_org": [f"{name}.test"]}})
    paths = []
    for tenant in made:
        path = folder / f"{tenant['tenant']}.json"
        path.write_text(json.dumps(tenant))
        paths += ["--tenant", path]
    return paths


class World:
    def __init__(self, gateway, sink, txt, key):
        self.gateway, self.sink, self.txt, self.key = gateway, sink, txt, key
        tls = gateway.folder / "config/tls"
        self.certificates = {name: self.certificate(tls, name) for name in ("mail.protection.outlook.com", "evil.test")}

    @staticmethod
    def certificate(tls, name):
        key, csr, ext, out = (tls / f"{name}.{kind}" for kind in ("key", "csr", "ext", "pem"))
        ext.write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=clientAuth,serverAuth\n")
        for words in (["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj",
                       "/CN=" + name, "-out", csr],
                      ["x509", "-req", "-in", csr, "-CA", tls / "ca.pem", "-CAkey", tls / "ca.key", "-days", "30", "-extfile",
                       ext, "-out", out]):
            subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
        return str(out), str(key)

    def client(self, source, certificate=None):
        address = self.gateway.info["smtp"]["host"], self.gateway.info["smtp"]["port"]
        client = smtplib.SMTP(*address, local_hostname="mail.outbound.test", timeout=60, source_address=(source, 0))
        context = ssl.create_default_context(cafile=self.gateway.info["ca"])
        if certificate:
            context.load_cert_chain(*self.certificates[certificate])
        client._host = "localhost"
        client.starttls(context=context)
        client.ehlo()
        return client

    def sign(self, message, domain, selector=b"sel", **keywords):
        field = dkim.sign(message, selector, domain.encode(), self.key, canonicalize=(b"relaxed", b"simple"),
                          include_headers=[b"from", b"subject", b"to"], **keywords)
        return field + message

    def refusals(self):
        return [r for r in self.gateway.records() if r["event"] == "intake.refused"]


def make_world(module_gateways, folder, workers):
    key = folder / "dkim.key"
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", key, "2048"], check=True, capture_output=True)
    der = subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
    record = "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()
    sink, txt = Sink(), Txt()
    for domain in (*DOMAINS.values(), "evil.test"):
        txt.records[f"sel._domainkey.{domain}."] = record
    gateway = module_gateways("--next-hop", f"127.0.0.1:{sink.port}", "--policy", "test/policies/relay-plain.json",
                              "--resolver", txt.address, "--set", "resolver.timeout=\"2s\"", "--workers", workers,
                              "--set", "intake.max_errors=1000", *tenant_files(folder))
    return World(gateway, sink, txt, key.read_bytes())


@pytest.fixture(scope="module")
def world(module_gateways, tmp_path_factory):
    made = make_world(module_gateways, tmp_path_factory.mktemp("tenants"), 1)
    yield made
    made.sink.stop()
    made.txt.stop()


@pytest.fixture
def wide(gateways, tmp_path):
    """One of four relays, each of which tells so many refusals."""
    made = make_world(gateways, tmp_path, 4)
    yield made
    made.sink.stop()
    made.txt.stop()


def microsoft(name, **change):
    """The fields of a Microsoft 365 sender, by short names; a change gives other lines, or None for none."""
    lines = {"org": f"X-OriginatorOrg: {DOMAINS[name]}\r\n", "id": f"X-MS-Exchange-CrossTenant-Id: {GUIDS[name]}\r\n",
             "as": "X-MS-Exchange-CrossTenant-AuthAs: Internal\r\n",
             "secret": f"X-Gateway-Secret: {SECRETS[name]}\r\n" if name in SECRETS else "",
             "from": f"From: Doctor <dr@{DOMAINS[name]}>\r\n", "extra": "", "subject": "Subject: hello\r\n",
             "source": "X-MS-Exchange-CrossTenant-AuthSource: AM0PR01.eurprd01.prod.exchangelabs.com\r\n",
             "body": "\r\nhello\r\n"}
    lines.update({k: v or "" for k, v in change.items()})
    return "".join(lines[k] for k in ("from", "subject", "id", "as", "source", "org", "secret", "extra", "body"))


def doubled(line):
    return line + line


def attempt(client, sender, message, recipient="patient@elsewhere.test"):
    """What the gateway says at the end: code and text."""
    for say in (lambda: client.mail(sender), lambda: client.rcpt(recipient), lambda: client.data(message)):
        try:
            code, text = say()
        except smtplib.SMTPDataError as error:
            code, text = error.smtp_code, error.smtp_error
        if code >= 400:
            client.rset()
            return code, text.decode()
    return code, text.decode()


ORG, ID, AS = f"X-OriginatorOrg: {DOMAINS['clinic']}\r\n", f"X-MS-Exchange-CrossTenant-Id: {GUIDS['clinic']}\r\n", \
    "X-MS-Exchange-CrossTenant-AuthAs: Internal\r\n"
SECRET = f"X-Gateway-Secret: {SECRETS['clinic']}\r\n"
OTHER_ORG, OTHER_ID = f"X-OriginatorOrg: {DOMAINS['ward']}\r\n", f"X-MS-Exchange-CrossTenant-Id: {GUIDS['ward']}\r\n"

# what is changed in an honest message of the clinic, and the signal whose failure the audit must name
DISHONEST = {
    "org dropped": (dict(org=None), "originator-org"),
    "org doubled": (dict(org=doubled(ORG)), "originator-org"),
    "org with another's beside": (dict(org=ORG + OTHER_ORG), "originator-org"),
    "another's org": (dict(org=OTHER_ORG), "originator-org"),
    "a stranger's org": (dict(org="X-OriginatorOrg: evil.test\r\n"), "originator-org"),
    "org folded": (dict(org="X-OriginatorOrg:\r\n clinic.test\r\n"), "originator-org"),
    "org's value folded": (dict(org="X-OriginatorOrg: clinic\r\n .test\r\n"), "originator-org"),
    "org mis-cased": (dict(org="x-originatororg: clinic.test\r\n"), "originator-org"),
    "org's value mis-cased": (dict(org="X-OriginatorOrg: Clinic.Test\r\n"), "originator-org"),
    "org with a comment": (dict(org="X-OriginatorOrg: clinic.test (me)\r\n"), "originator-org"),
    "org with two values": (dict(org="X-OriginatorOrg: clinic.test, evil.test\r\n"), "originator-org"),
    "org with a space behind": (dict(org="X-OriginatorOrg: clinic.test \r\n"), "originator-org"),
    "org with a space before the colon": (dict(org="X-OriginatorOrg : clinic.test\r\n"), "originator-org"),
    "org without its space": (dict(org="X-OriginatorOrg:clinic.test\r\n"), "originator-org"),
    "org's parent": (dict(org="X-OriginatorOrg: test\r\n"), "originator-org"),
    "org's child": (dict(org="X-OriginatorOrg: a.clinic.test\r\n"), "originator-org"),
    "org in the body": (dict(org=None, body="\r\n" + ORG + "\r\nhello\r\n"), "originator-org"),
    "all behind a blank line": (dict(org=None, id=None, extra="\r\n" + ORG + ID), "originator-org"),
    "behind a line that is no field": (dict(org=None, extra="no field at all\r\n" + ORG), "originator-org"),
    "org in another field's fold": (dict(org=None, extra="X-Note: a\r\n " + ORG), "originator-org"),
    "id dropped": (dict(id=None), "tenant-id"),
    "id doubled": (dict(id=doubled(ID)), "tenant-id"),
    "another's id": (dict(id=OTHER_ID), "tenant-id"),
    "id mis-cased": (dict(id=ID.upper()), "tenant-id"),
    "id's value mis-cased": (dict(id=f"X-MS-Exchange-CrossTenant-Id: {GUIDS['clinic'].upper()}\r\n"), "tenant-id"),
    "id folded": (dict(id=f"X-MS-Exchange-CrossTenant-Id:\r\n\t{GUIDS['clinic']}\r\n"), "tenant-id"),
    "id cut": (dict(id=ID[:-4] + "\r\n"), "tenant-id"),
    "id longer": (dict(id=ID[:-2] + "0\r\n"), "tenant-id"),
    "id in braces": (dict(id="X-MS-Exchange-CrossTenant-Id: {" + GUIDS["clinic"] + "}\r\n"), "tenant-id"),
    "auth-as dropped": (dict(**{"as": None}), "auth-as"),
    "auth-as anonymous": (dict(**{"as": "X-MS-Exchange-CrossTenant-AuthAs: Anonymous\r\n"}), "auth-as"),
    "auth-as doubled": (dict(**{"as": doubled(AS)}), "auth-as"),
    "auth-as both": (dict(**{"as": AS + "X-MS-Exchange-CrossTenant-AuthAs: Anonymous\r\n"}), "auth-as"),
    "auth-as mis-cased": (dict(**{"as": AS.lower()}), "auth-as"),
    "secret dropped": (dict(secret=None), "secret-header"),
    "secret doubled": (dict(secret=doubled(SECRET)), "secret-header"),
    "secret forged": (dict(secret="X-Gateway-Secret: s3cret-of-the-clinic-0123456780\r\n"), "secret-header"),
    "secret cut": (dict(secret=SECRET[:-3] + "\r\n"), "secret-header"),
    "secret empty": (dict(secret="X-Gateway-Secret: \r\n"), "secret-header"),
    "secret folded": (dict(secret=SECRET.replace(": ", ":\r\n ")), "secret-header"),
    "secret mis-cased": (dict(secret=SECRET.replace("Gateway", "GATEWAY")), "secret-header"),
    "another's secret": (dict(secret=f"X-Gateway-Secret: {SECRETS['gdoc']}\r\n"), "secret-header"),
    "another's secret beside": (dict(secret=SECRET + f"X-Gateway-Secret: {SECRETS['gdoc']}\r\n"), "secret-header"),
    "all of another's": (dict(org=OTHER_ORG, id=OTHER_ID), "originator-org"),
}


def test_honest_senders_of_microsoft_365_are_let_in(world):
    with world.client(M365, "mail.protection.outlook.com") as client:
        for name in ("clinic", "ward"):
            code, text = attempt(client, f"dr@{DOMAINS[name]}", microsoft(name))
            assert code == 250, text
            record = world.gateway.wait_record("message.accepted", tenant=name)
            assert record["proof"]["failed"] == []
            wanted = {"tls-cert", "network", "originator-org", "tenant-id", "auth-as", "from-domain"}
            assert wanted <= set(record["proof"]["required"])
            assert ("secret-header" in record["proof"]["required"]) == (name == "clinic")
    for message in world.sink.wait_for(2):
        assert SECRETS["clinic"].encode() not in message["data"]
        assert b"X-Gateway-Secret" not in message["data"]


def test_each_dishonest_row_is_refused(world):
    with world.client(M365, "mail.protection.outlook.com") as client:
        for row, (change, _) in DISHONEST.items():
            code, text = attempt(client, "dr@clinic.test", microsoft("clinic", **change), VICTIM)
            assert (code, text) == (550, "5.7.1 relaying denied"), row
    assert not any(VICTIM in m["to"] for m in world.sink.messages)


@pytest.mark.parametrize("source, certificate", [("127.0.0.51", "mail.protection.outlook.com"), (M365, None), (M365, "evil.test"),
                                                 (GOOGLE, "mail.protection.outlook.com"), (GOOGLE, None), ("127.0.0.1", None)])
def test_the_wrong_connection_is_refused_at_mail(world, source, certificate):
    """Header fields prove nothing to a stranger, and a network alone nothing at all; the null sender is no way round."""
    with world.client(source, certificate) as client:
        for sender in ("dr@clinic.test", "dr@ward.test", "dr@evil.test"):
            code, text = attempt(client, sender, microsoft("clinic"))
            assert code == 550 and text.startswith("5.7.1 "), text
        if source != GOOGLE:
            assert client.mail("")[0] == 550


def test_one_tenant_can_not_send_as_the_other(world):
    with world.client(M365, "mail.protection.outlook.com") as client:
        assert attempt(client, "dr@ward.test", microsoft("clinic"))[0] == 550
        assert attempt(client, "dr@clinic.test", microsoft("ward"))[0] == 550
        # the ward's own message, whose From is the clinic's
        code, text = attempt(client, "dr@ward.test", microsoft("ward", **{"from": "From: dr@clinic.test\r\n"}))
        assert (code, text) == (550, "5.7.1 From is not this tenant's")
    # a user of a third tenant with the clinic's fields: proved, yet it speaks for another
    with world.gateway.client() as client:
        code, text = attempt(client, "dr@tenant.test", microsoft("clinic", **{"from": "From: dr@tenant.test\r\n"}))
        assert (code, text) == (550, "5.7.1 relaying denied")
        message = f"From: dr@tenant.test\r\nX-Gateway-Secret: {SECRETS['gdoc']}\r\n\r\nx\r\n"
        code, text = attempt(client, "dr@tenant.test", message)
        assert (code, text) == (550, "5.7.1 relaying denied")


# ---- mail that is not simply the sender's own ----

ANONYMOUS = {"as": "X-MS-Exchange-CrossTenant-AuthAs: Anonymous\r\n"}

SENDERS = {
    "two From fields": ("ward", "dr@ward.test", "From: dr@ward.test\r\nFrom: dr@ward.test\r\n", "", "554 5.6.0"),
    "no From": ("ward", "dr@ward.test", None, "", "554 5.6.0"),
    "an empty From": ("ward", "dr@ward.test", "From: \r\n", "", "5.7.1 From is not"),
    "a From that is no address": ("ward", "dr@ward.test", "From: doctor\r\n", "", "5.7.1 From is not"),
    "one of two mailboxes foreign": ("ward", "dr@ward.test", "From: dr@ward.test, x@evil.test\r\n", "", "5.7.1 From is not"),
    "a foreign From in a comment's clothes": ("ward", "dr@ward.test", "From: (dr@ward.test) x@evil.test\r\n", "",
                                              "5.7.1 From is not"),
    "null sender, switched off": ("ward", "", "From: postmaster@ward.test\r\n", "", "550 5.7.1"),
    "null sender": ("clinic", "", "From: postmaster@clinic.test\r\n", "Auto-Submitted: auto-replied\r\n", None),
    "null sender, foreign From": ("clinic", "", "From: a@evil.test\r\n", "", "5.7.1 From is not"),
    "shared mailbox": ("clinic", "dr@clinic.test", "From: info@clinic.test\r\n", "Sender: dr@clinic.test\r\n", None),
    "shared mailbox, switched off": ("ward", "dr@ward.test", "From: info@ward.test\r\n", "Sender: dr@ward.test\r\n",
                                     "5.7.1 sending on behalf"),
    "shared mailbox, its own name in both": ("ward", "dr@ward.test", "From: dr@ward.test\r\n", "Sender: dr@ward.test\r\n", None),
    "foreign Sender": ("clinic", "dr@clinic.test", "From: dr@clinic.test\r\n", "Sender: x@evil.test\r\n",
                       "5.7.1 the Sender field"),
    "two Senders": ("clinic", "dr@clinic.test", "From: dr@clinic.test\r\n", "Sender: dr@clinic.test\r\n" * 2,
                    "5.7.1 the Sender field"),
    "forward": ("clinic", "bounces+SRS=4Ab=ZZ=evil.test=x@clinic.test", "From: x@evil.test\r\n", "", None),
    "forward, switched off": ("ward", "bounces+SRS=4Ab=ZZ=evil.test=x@ward.test", "From: x@evil.test\r\n", "",
                              "5.7.1 forwarded mail"),
    "forward by SRS0, switched off": ("ward", "SRS0=ab=cd=evil.test=x@ward.test", "From: x@evil.test\r\n", "",
                                      "5.7.1 forwarded mail"),
    "forward without SRS": ("clinic", "x@evil.test", "From: x@evil.test\r\n", "", None),
    "forward without SRS, switched off": ("ward", "x@evil.test", "From: x@evil.test\r\n", "", "550 5.7.1"),
    "a meeting passed on": ("clinic", "dr@clinic.test", "From: boss@evil.test\r\n",
                            "Sender: dr@clinic.test\r\nContent-Type: text/calendar; method=REQUEST\r\n", None),
    "a meeting passed on, switched off": ("ward", "dr@ward.test", "From: boss@evil.test\r\n",
                                          "Sender: dr@ward.test\r\nContent-Class: urn:content-classes:calendarmessage\r\n",
                                          "5.7.1 calendar mail"),
    "onmicrosoft": ("clinic", "dr@clinic.onmicrosoft.com", "From: dr@clinic.onmicrosoft.com\r\n", "", None,
                    dict(org="X-OriginatorOrg: clinic.onmicrosoft.com\r\n")),
    "onmicrosoft under the first name": ("clinic", "dr@clinic.onmicrosoft.com", "From: dr@clinic.onmicrosoft.com\r\n", "", None),
    "another's onmicrosoft as organisation": ("clinic", "dr@clinic.test", "From: dr@clinic.test\r\n", "",
                                              "550 5.7.1 relaying denied", dict(org="X-OriginatorOrg: ward.onmicrosoft.com\r\n")),
    # what Microsoft 365 passes on for others is anonymous, and stays so
    "forward as Microsoft 365 marks it": ("clinic", "bounces+SRS=4Ab=ZZ=evil.test=x@clinic.test", "From: x@evil.test\r\n", "",
                                          "550 5.7.1 relaying denied", ANONYMOUS),
    "forward of a tenant that takes anonymous mail": ("open", "bounces+SRS=4Ab=ZZ=evil.test=x@open.test", "From: x@evil.test\r\n",
                                                      "", None, ANONYMOUS),
    "mail of its own of such a tenant": ("open", "dr@open.test", "From: dr@open.test\r\n", "", None),
    "neither word": ("open", "dr@open.test", "From: dr@open.test\r\n", "", "550 5.7.1 relaying denied",
                     {"as": "X-MS-Exchange-CrossTenant-AuthAs: Partner\r\n"}),
    "another's onmicrosoft": ("clinic", "dr@clinic.test", "From: dr@ward.onmicrosoft.com\r\n", "", None),  # a forward to it
    "onmicrosoft, switched off": ("ward", "dr@ward.test", "From: dr@ward.onmicrosoft.com\r\n", "",
                                  "5.7.1 onmicrosoft.com senders"),
    "subdomain": ("clinic", "dr@lab.clinic.test", "From: dr@lab.clinic.test\r\n", "", None),
    "subdomain, switched off": ("ward", "dr@ward.test", "From: dr@lab.ward.test\r\n", "", "5.7.1 subdomains"),
    "subdomain in the envelope, switched off": ("ward", "dr@lab.ward.test", "From: dr@ward.test\r\n", "", "550 5.7.1"),
}


@pytest.mark.parametrize("row", SENDERS)
def test_mail_of_real_senders(world, row):
    name, sender, author, extra, wanted, *change = SENDERS[row]
    with world.client(M365, "mail.protection.outlook.com") as client:
        code, text = attempt(client, sender, microsoft(name, **{"from": author, "extra": extra}, **(change[0] if change else {})))
    if wanted is None:
        assert code == 250, text
    else:
        assert wanted in f"{code} {text}" and code >= 550


def test_a_null_sender_of_a_switched_off_tenant_is_not_taken_for_another(world):
    """Both tenants fit the connection: the header decides, and the one that it names does not allow it."""
    with world.client(M365, "mail.protection.outlook.com") as client:
        code, text = attempt(client, "", microsoft("ward", **{"from": "From: postmaster@ward.test\r\n"}))
        assert (code, text) == (550, "5.7.1 relaying denied")


def test_a_null_sender_counts_for_the_tenant_whose_mail_it_is(world):
    """Several tenants fit it at MAIL: none of them has a session or a message less by the mail of another."""
    def of(name):
        return (f"From: postmaster@{name}.test\r\nSubject: away\r\nAuto-Submitted: auto-replied\r\n"
                f"X-OriginatorOrg: {name}.test\r\nX-MS-Exchange-CrossTenant-AuthAs: Internal\r\n\r\nI am away\r\n")
    busy = 450, "4.7.1"
    with world.client(SHARED, "mail.protection.outlook.com") as one, world.client(SHARED, "mail.protection.outlook.com") as two:
        assert one.mail("")[0] == 250
        assert two.mail("dr@alone.test")[0] == 250  # that one may be anybody's
        one.rset()
        for _ in range(6):  # more than that one may send, while its only session is under way
            assert attempt(one, "", of("duo"))[0] == 250
        code, text = attempt(one, "", of("alone"))
        assert (code, text[:5]) == busy
        two.rset()
        assert attempt(one, "", of("alone"))[0] == 250
        assert two.mail("dr@alone.test")[0] == 250  # and its session ended with the message
        two.rset()
        said = [attempt(one, "", of("alone")) for _ in range(12)]
        assert said[0][0] == 250 and busy in [(code, text[:5]) for code, text in said]
        assert attempt(one, "", of("duo"))[0] == 250


# ---- a signature that nobody asked for ----

@pytest.mark.parametrize("row, noted", [
    ("its own", True), ("its onmicrosoft domain's", True), ("changed", False), ("a stranger's", False),
    ("another tenant's", False), ("a selector without a key", False), ("a key that can not be had", False), ("garbage", False),
    ("behind eight others", False), ("behind seven others", True)])
def test_a_signature_that_is_not_asked_for_is_noted(world, row, noted):
    message_id = "<%s@clinic.test>" % row.replace(" ", "-").replace("'", "")
    message = microsoft("clinic", extra=f"To: a@elsewhere.test\r\nMessage-ID: {message_id}\r\n").encode()
    signer = {"its onmicrosoft domain's": "clinic.onmicrosoft.com", "a stranger's": "evil.test", "another tenant's": "ward.test"}
    world.txt.records["sel._domainkey.clinic.onmicrosoft.com."] = world.txt.records["sel._domainkey.clinic.test."]
    world.txt.records["late._domainkey.clinic.test."] = world.txt.records["sel._domainkey.clinic.test."]
    signed = world.sign(message, signer.get(row, "clinic.test"))
    junk = b"DKIM-Signature: v=1; a=rsa-sha256; d=x.test; s=sel; h=from; bh=AA==; b=AA==\r\n"
    signed = {"changed": signed.replace(b"hello\r\n", b"hallo\r\n"),
              "a selector without a key": signed.replace(b"s=sel", b"s=nil"),
              "garbage": b"DKIM-Signature: v=1; d=clinic.test; s=sel; a=x; b=\xff\xfe\r\n" + message,
              "a key that can not be had": signed.replace(b"s=sel", b"s=late"), "behind eight others": junk * 8 + signed,
              "behind seven others": junk * 7 + signed}.get(row, signed)
    world.txt.broken.add("late._domainkey.clinic.test.")
    try:
        with world.client(M365, "mail.protection.outlook.com") as client:
            code, text = attempt(client, "dr@clinic.test", signed)
            assert code == 250, text
    finally:
        world.txt.broken.clear()
    record = world.gateway.wait_record("message.accepted", message=world.gateway.message_of(message_id))
    assert record["tenant"] == "clinic" and record["proof"]["failed"] == [] and "dkim" not in record["proof"]["required"]
    assert ("dkim" in record["proof"]["also"]) == noted


def quick_and_noted(world, client, two, number):
    """Whether mail with a signature whose key does not come, and with two one whose key does, is taken well before
    resolver.timeout, and the one is noted."""
    message_id = f"<mute-{two}-{number}@clinic.test>"
    message = microsoft("clinic", extra=f"To: a@elsewhere.test\r\nMessage-ID: {message_id}\r\n").encode()
    known = world.sign(message, "clinic.test", selector=b"quick") if two else message
    unanswered = world.sign(message, "clinic.test", selector=b"still")
    start = time.monotonic()
    code, text = attempt(client, "dr@clinic.test", unanswered[:-len(message)] + known)
    took = time.monotonic() - start
    assert code == 250, text
    record = world.gateway.wait_record("message.accepted", message=world.gateway.message_of(message_id))
    assert record["proof"]["failed"] == []
    return took < 2, "dkim" in record["proof"]["also"]


def test_a_mute_resolver_delays_no_mail_for_a_signature_that_is_only_noted(world):
    """What needs no proof of it waits a moment at most; a signature whose key is there is noted beside one whose key is not."""
    world.txt.records["quick._domainkey.clinic.test."] = world.txt.records["sel._domainkey.clinic.test."]
    world.txt.mute.add("still._domainkey.clinic.test.")
    try:
        with world.client(M365, "mail.protection.outlook.com") as client:
            for noted in (False, True):
                # a machine with much to do may be late once
                assert any(quick_and_noted(world, client, noted, n) == (True, noted) for n in range(3))
        assert "still._domainkey.clinic.test." in world.txt.asked
    finally:
        world.txt.mute.clear()


# ---- Google: network, secret, signature ----

def google(name, **change):
    lines = {"from": f"From: dr@{DOMAINS[name]}\r\n", "secret": f"X-Gateway-Secret: {SECRETS[name]}\r\n", "extra": ""}
    lines.update(change)
    return (lines["from"] + "To: patient@elsewhere.test\r\nSubject: hello\r\n" + lines["secret"] + lines["extra"]
            + "\r\nhello\r\n\r\nbye\r\n").encode()


def test_honest_senders_of_google_are_let_in(world):
    with world.client(GOOGLE) as client:
        for name in ("gdoc", "glab"):
            code, text = attempt(client, f"dr@{DOMAINS[name]}", world.sign(google(name), DOMAINS[name]))
            assert code == 250, text
            record = world.gateway.wait_record("message.accepted", tenant=name)
            assert set(record["proof"]["required"]) == {"network", "secret-header", "from-domain", "dkim"}
            assert record["proof"]["failed"] == []
        # out of office: the null sender of either
        code, text = attempt(client, "", world.sign(google("glab"), "glab.test"))
        assert code == 250, text


def broken(world):
    good = world.sign(google("gdoc"), "gdoc.test")
    signature = good[:good.index(b"From:")]
    secret = f"X-Gateway-Secret: {SECRETS['gdoc']}\r\n"
    return {
        "no signature": google("gdoc"),
        "body changed": good.replace(b"bye", b"by"),
        "body longer": good + b"more\r\n",
        "subject changed": good.replace(b"Subject: hello", b"Subject: hullo"),
        "another's signature": world.sign(google("gdoc"), "glab.test"),
        "a stranger's signature": world.sign(google("gdoc"), "evil.test"),
        "signature over a part of the body": world.sign(google("gdoc"), "gdoc.test", length=True) + b"more\r\n",
        "selector without a key": good.replace(b"s=sel", b"s=nil"),
        "signature without its hash": signature.replace(b"bh=", b"xh=") + google("gdoc"),
        "a stranger's signature, renamed": world.sign(google("gdoc"), "evil.test").replace(b"d=evil.test", b"d=gdoc.test"),
        "garbage": b"DKIM-Signature: v=1; d=gdoc.test; s=sel; a=x; b=\xff\xfe\r\n" + google("gdoc"),
        "no secret": world.sign(google("gdoc", secret=""), "gdoc.test"),
        "another's secret": world.sign(google("gdoc", secret=f"X-Gateway-Secret: {SECRETS['glab']}\r\n"), "gdoc.test"),
        "the secret doubled": world.sign(google("gdoc", secret=doubled(secret)), "gdoc.test"),
        "the secret beside another's": world.sign(
            google("gdoc", secret=secret + f"X-Gateway-Secret: {SECRETS['glab']}\r\n"), "gdoc.test"),
        "the secret's name mis-cased": world.sign(google("gdoc", secret=secret.replace("Gateway", "GATEWAY")), "gdoc.test"),
        "the secret mis-cased": world.sign(google("gdoc", secret=secret.replace("s3cret", "S3CRET")), "gdoc.test"),
        "the secret folded": world.sign(google("gdoc", secret=secret.replace(": ", ":\r\n ")), "gdoc.test"),
        "the secret folded behind a space": world.sign(google("gdoc", secret=secret.replace(": ", ": \r\n\t")), "gdoc.test"),
        "the secret with a space behind": world.sign(google("gdoc", secret=secret.replace("\r", " \r")), "gdoc.test"),
        "the secret cut": world.sign(google("gdoc", secret=secret[:-3] + "\r\n"), "gdoc.test"),
        "the secret's digest": world.sign(
            google("gdoc", secret="X-Gateway-Secret: " + secret_of("gdoc")["sha256"] + "\r\n"), "gdoc.test"),
        "the secret in the body": world.sign(google("gdoc", secret="") + secret.encode(), "gdoc.test"),
        "fields that a routing rule adds, and no secret": world.sign(
            google("gdoc", secret="", extra="X-Gm-Original-To: patient@elsewhere.test\r\nX-Gm-Spam: 0\r\n"), "gdoc.test"),
        "the clinic's fields": world.sign(google("gdoc", extra=ORG + ID + AS), "gdoc.test"),
    }


def test_google_without_a_whole_proof_is_refused(world):
    for row, message in broken(world).items():
        with world.client(GOOGLE) as client:
            assert attempt(client, "dr@gdoc.test", message, VICTIM) == (550, "5.7.1 relaying denied"), row
    with world.client("127.0.0.61") as client:
        assert client.mail("dr@gdoc.test")[0] == 550
    assert not any(VICTIM in m["to"] for m in world.sink.messages)


# ---- what the audit says of them ----

# Google's rows about the secret; the others but the last are about the signature
SECRET_ROWS = ("no secret", "another's secret", "the secret", "fields that a routing rule adds")
BOTH = ("all of another's", "all behind a blank line")


def test_the_audit_names_what_failed(wide):
    """In each row. Those told are limited in time, so what was not is provoked again."""
    rows = {f"m-{n}.test": (M365, "mail.protection.outlook.com", "clinic", microsoft("clinic", **change), signal, row)
            for n, (row, (change, signal)) in enumerate(DISHONEST.items())}
    for n, (row, message) in enumerate(broken(wide).items()):
        signal = "secret-header" if row.startswith(SECRET_ROWS) else "own-signals" if row == "the clinic's fields" else "dkim"
        rows[f"g-{n}.test"] = (GOOGLE, None, "gdoc", message, signal, row)
    told, deadline = {}, time.monotonic() + 100
    while len(told) < len(rows):
        assert time.monotonic() < deadline, [rows[helo][5] for helo in rows if helo not in told]
        for helo, (source, certificate, tenant, message, *_) in rows.items():
            if helo not in told:
                with wide.client(source, certificate) as client:
                    client.ehlo(helo)
                    assert attempt(client, f"dr@{DOMAINS[tenant]}", message)[0] == 550
        time.sleep(0.2)
        told.update((r["actor"]["helo"], r) for r in wide.refusals())
    for helo, (_, _, tenant, _, signal, row) in rows.items():
        record = told[helo]
        assert record["why"] == "intake.not-proved" and "tenant" not in record, row
        assert record["proof"]["claimed"] == tenant, row
        assert record["proof"]["failed"] == [signal] + ["tenant-id"] * (row in BOTH), row
        assert not any(secret in json.dumps(record) for secret in SECRETS.values()), row


def test_refusals_that_are_not_told_are_counted(gateways, tmp_path):
    """A relay tells twenty at once and two a second; the next one told says how many were not: none is missing."""
    world, tried = make_world(gateways, tmp_path, 1), 60
    with world.client(M365, "mail.protection.outlook.com") as client:
        for n in range(tried):
            if n == tried - 1:
                time.sleep(0.6)  # as long as it takes until one may be told again
            assert attempt(client, "dr@clinic.test", microsoft("clinic", org=None))[0] == 550
    until(lambda: sum(1 + r.get("untold_before", 0) for r in world.refusals()) == tried)
    assert max(r.get("untold_before", 0) for r in world.refusals()) >= 1
    assert 21 <= len(world.refusals()) < tried
    world.sink.stop()
    world.txt.stop()


def test_a_key_that_can_not_be_had_now_defers(world):
    world.txt.records["late._domainkey.gdoc.test."] = world.txt.records["sel._domainkey.gdoc.test."]
    world.txt.broken.add("late._domainkey.gdoc.test.")
    late = dkim.sign(google("gdoc"), b"late", b"gdoc.test", world.key, include_headers=[b"from"]) + google("gdoc")
    try:
        with world.client(GOOGLE) as client:
            code, text = attempt(client, "dr@gdoc.test", late)
            assert code == 451 and text.startswith("4.7.5"), text
    finally:
        world.txt.broken.clear()


def test_a_large_signed_message_streams_through(world):
    body = (b"0123456789" * 7 + b"\r\n") * 60000
    message = world.sign(google("gdoc") + body, "gdoc.test")
    with world.client(GOOGLE) as client:
        assert attempt(client, "dr@gdoc.test", message)[0] == 250


# ---- bare newlines: refused, or normalised where the tenant says so ----

def test_bare_newlines_are_normalised_for_the_tenant_that_asks(world):
    message = world.sign(google("glab"), "glab.test")
    for name, wanted in (("glab", b"550 5.7.1"), ("gdoc", b"550 5.6.0")):
        with world.client(GOOGLE) as client:
            for line in (f"MAIL FROM:<dr@{DOMAINS[name]}>", "RCPT TO:<patient@elsewhere.test>", "DATA"):
                client.docmd(line)
            client.sock.sendall(message.replace(b"hello\r\n\r\nbye", b"hello\n.\n\r\nbye") + b".\r\n")
            # what was changed no longer matches the signature, but it was read as a message of its own
            assert client.file.readline().startswith(wanted)
