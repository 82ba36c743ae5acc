"""The dry run: what the gateway would do with a message on disk, and why, by the same policy and detector."""
import json
import os
import pathlib
import subprocess

from lab import mail

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "bin/sallyport"


def explain(*words):
    done = subprocess.run([PROGRAM, "explain", "--policy", ROOT / "policies/hipaa-default.json", *words],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_text_of_a_message_decides(tmp_path):
    sick, _ = mail.make(mail.PHI)
    well, _ = mail.make("Lunch on Friday?\r\n")
    (tmp_path / "sick").write_bytes(sick)
    (tmp_path / "well").write_bytes(well)
    common = ["--from", "dr@tenant.test", "--to", "a@example.test", "--json", "--message"]
    decided = json.loads(explain(*common, tmp_path / "sick"))["recipients"][0]
    assert decided["rule"] == "phi" and decided["floor"] == "tls:authenticated"
    assert json.loads(explain(*common, tmp_path / "well"))["recipients"][0]["rule"] == "default"


def test_the_page_names_rule_file_and_line_and_no_text_of_the_message(tmp_path):
    (tmp_path / "sick").write_bytes(mail.make(mail.PHI)[0])
    page = explain("--from", "dr@tenant.test", "--to", "a@example.test", "--message", tmp_path / "sick")
    assert 'by rule "phi"' in page and "hipaa-default.json:" in page
    assert "Miller" not in page and "4815162342" not in page
