"""Every role may die at any time: mail goes on, nothing accepted is lost, the audit stays whole."""
import json
import os
import pathlib
import signal
import subprocess
import time

POLICY = pathlib.Path(__file__).resolve().parent.parent / "policies/relay-plain.json"


def children(supervisor):
    """{role: [pid]} of what runs under the supervisor."""
    found = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().split("(", 1)[1].rsplit(")", 1)
            if int(rest.split()[1]) == supervisor:
                found.setdefault(name, []).append(int(stat.parent.name))
        except OSError:
            continue
    return found


def send(gateway, subject, seconds=90):
    """As a client does: tries again what was not accepted."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with gateway.client(tls=False) as client:
                client.sendmail("a@tenant.test", ["b@example.test"], f"From: a@tenant.test\r\nSubject: {subject}\r\n\r\nx\r\n")
            return
        except OSError:  # smtplib's errors are
            assert time.monotonic() < deadline
            time.sleep(0.05)


def wait_until(true, seconds=90):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_each_role_in_turn(gateways, sinks):
    sink = sinks()
    gateway = gateways("--plain-listener", "--workers", 2, "--next-hop", f"127.0.0.1:{sink.port}", "--policy", POLICY)
    running = children(gateway.info["pid"])
    subjects = []
    for role, pids in running.items():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for i in range(3):
            subjects.append(f"{role}-{i}")
            send(gateway, subjects[-1])
        wait_until(lambda role=role, pids=pids: len(children(gateway.info["pid"]).get(role, [])) == len(pids))

    def arrived():
        return {line.split(b": ")[1].decode() for m in sink.messages for line in m["data"].split(b"\r\n")
                if line.startswith(b"Subject: ")}
    wait_until(lambda: arrived() >= set(subjects))

    def settled():
        lines = gateway.records()
        accepted = {e["message"] for e in lines if e["event"] == "message.accepted"}
        return len(accepted) >= len(subjects) and accepted == {e["message"] for e in lines if e["event"] == "message.settled"}
    wait_until(settled)
    done = subprocess.run([gateway.info["program"], "audit", "verify", gateway.info["audit"]], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_reload_keeps_sessions_and_takes_mail(gateways, sinks):
    sink = sinks()
    gateway = gateways("--plain-listener", "--next-hop", f"127.0.0.1:{sink.port}", "--policy", POLICY)
    session = gateway.client(tls=False)
    config = pathlib.Path(gateway.info["config"])
    settings = json.loads(config.read_text())
    settings["hostname"] = "renamed.tenant.test"
    config.write_text(json.dumps(settings))
    os.kill(gateway.info["pid"], signal.SIGHUP)

    def greeting():
        with gateway.client(tls=False) as client:
            return client.ehlo()[1]
    wait_until(lambda: b"renamed.tenant.test" in greeting())
    session.sendmail("a@tenant.test", ["b@example.test"], "From: a@tenant.test\r\nSubject: old session\r\n\r\nx\r\n")
    session.quit()
    wait_until(lambda: any(b"old session" in m["data"] for m in sink.messages))
