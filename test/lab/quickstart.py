"""Brings up a throw-away gateway with a receiving Postfix and a DNSSEC-validating resolver on loopback, sends one message
with PHI to four recipients, and shows how each was protected and where it went. Stays up until Ctrl-C; with --once it
ends with 0 if all four arrived protected."""
import argparse
import pathlib
import re
import signal
import smtplib
import ssl
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from lab import mail  # noqa: E402  (the path comes first)
from lab.dns import Dns  # noqa: E402
from lab.gateway import Gateway, ROOT  # noqa: E402
from lab.ports import free_port, open_folder  # noqa: E402
from lab.postfix import Postfix  # noqa: E402

SECONDS = 60
LINK = re.compile(rb"https://localhost:\d+/[^\s#]*#[\w=-]+")


def send(gateway, recipients):
    """An ordinary client: STARTTLS, AUTH, one message, four recipients."""
    message, message_id = mail.make(mail.PHI, recipients, subject="Referral")
    (gateway.folder / "message.eml").write_bytes(message)
    with smtplib.SMTP("localhost", gateway.info["smtp"]["port"], timeout=60) as client:
        client.starttls(context=ssl.create_default_context(cafile=gateway.info["ca"]))
        client.login(gateway.info["user"], gateway.info["password"])
        client.sendmail("dr@tenant.test", recipients, message)
    return message_id


def reasons(records, message, n):
    """Why earlier rungs were not taken, in the words of the audit."""
    words = []
    for record in records:
        if record["event"] == "delivery.attempted" and record["message"] == message and n in record["n"]:
            words = [f"{r['rung']}: {r.get('why') or r.get('cause')}" for r in record["rungs"] if not r["taken"]]
    return "; ".join(words) or "first of its ladder"


def evidence(records, message, n):
    for record in reversed(records):
        if record.get("message") != message or n not in (record.get("n") or []):
            continue
        if record["event"] == "portal.deposited":
            return f"package {record['package']}"
        tls = record.get("tls") or {}
        if tls:
            proved = tls.get("verified_by", "none")
            return f"TLS {tls['version']}, verified by {proved}"
    return "-"


def expected(postfix, gateway, people, message_id):
    """What each recipient must have got: checked in the mailbox, not in what the gateway says of itself."""
    checks = {
        "tls": lambda m: message_id.encode() in m and b"MRN 4815162342" in m,
        "smime": lambda m: b"application/pkcs7-mime" in m and b"MRN 4815162342" in people[0].open(m),
        "pgp": lambda m: b"multipart/encrypted" in m and b"MRN 4815162342" in people[1].open(m),
        "portal": lambda m: LINK.search(m.replace(b"=\r\n", b"")) and b"4815162342" not in m,
    }

    def quiet(check):
        def run(message):
            try:
                return bool(check(message))
            except ValueError:
                return False
        return run
    return {name: postfix.wait_for(quiet(check), SECONDS) for name, check in checks.items()}


def show(gateway, records, message, settled, recipients, link):
    print(f"\nOne message, four recipients, message {message}:\n")
    row = "{:<28} {:<10} {:<24} {}"
    print(row.format("recipient", "rung", "delivered", "evidence; why not a better rung"))
    for recipient in settled["recipients"]:
        n = recipient["n"]
        print(row.format(recipients[n], recipient["rung"], recipient["final"],
                         f"{evidence(records, message, n)}; {reasons(records, message, n)}"))
        if not recipient["floor_met"]:
            print(f"  NOT PROTECTED: below its floor {recipient['floor']}")
    info = gateway.info
    lines = [
        ["explain", "--config", info["config"], "--from", "dr@tenant.test", "--to", recipients[3], "--message",
         f"{gateway.folder}/message.eml"],
        ["queue", "list", "--config", info["config"]],
        ["audit", "prove", message, "--config", info["config"], "--output", f"{gateway.folder}/proof.json"],
        ["audit", "verify", f"{gateway.folder}/proof.json"],
        ["audit", "verify", info["audit"]],
    ]
    print(f"""
Portal:       https://localhost:{info['portal']['port']}/ (its certificate is signed by {info['ca']})
Pickup link:  {link}
Submit mail:  localhost:{info['smtp']['port']} with STARTTLS, user {info['user']}, password {info['password']}
Audit file:   {info['audit']}

Try:""")
    good = True
    for words in lines:
        print("  " + " ".join([info["program"], *words]))
        done = subprocess.run([info["program"], *words], capture_output=True, text=True)
        if done.returncode != 0:
            print(f"    ended with {done.returncode}: {done.stdout}{done.stderr}")
            good = False
    print(flush=True)
    return good


def run(folder, once):
    port = free_port(("127.0.0.1", "127.0.0.11", "127.0.0.17"))
    dns = Dns(folder, port).start()
    postfix = Postfix(folder, port, dns.certificate("mx1"), ("127.0.0.1", "127.0.0.17"), ("127.0.0.11",)).start()
    gateway = Gateway(f"{folder}/gateway", "--resolver", dns.resolver, "--mx-port", port, "--trust", dns.ca,
                      preset="release")
    people = []
    try:
        gateway.start()
        people = [mail.SmimePerson(folder, "sam@sealed.example.test"), mail.PgpPerson(folder, "pia@sealed.example.test")]
        for person, file in ((people[0], people[0].certificate), (people[1], people[1].key)):
            gateway.run("keys", "import", str(file), "--reason", "quickstart")
        recipients = ["anna@example.test", people[0].address, people[1].address, "pat@plain.example.test"]
        message_id = send(gateway, recipients)
        message = gateway.message_of(message_id, SECONDS)
        settled = gateway.wait_record("message.settled", SECONDS, message=message)
        got = expected(postfix, gateway, people, message_id)
        link = LINK.search(got["portal"].replace(b"=\r\n", b""))[0].decode()
        lines_work = show(gateway, gateway.records(), message, settled, recipients, link)
        rungs = sorted(r["rung"] for r in settled["recipients"])
        good = rungs == ["pgp", "portal", "smime", "tls:dane"] and all(r["floor_met"] for r in settled["recipients"])
        good = good and lines_work
        print("All four arrived protected." if good else f"NOT as expected: {rungs}", flush=True)
        if not once:
            print("It stays up until Ctrl-C.", flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
        return 0 if good else 1
    finally:
        if people:
            people[-1].close()
        gateway.stop()
        postfix.stop()
        dns.stop()


def main():
    parser = argparse.ArgumentParser(prog="scripts/quickstart", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the four deliveries, with 0 if all are protected")
    options = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, [] if options.once else {signal.SIGTERM})
    started = time.monotonic()
    with open_folder("sallyport-") as folder:
        print(f"Bringing up resolver, Postfix and gateway in {folder} ({ROOT})", flush=True)
        status = run(folder, options.once)
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(status)


if __name__ == "__main__":
    main()
