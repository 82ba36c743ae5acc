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
    before = path.read_bytes()
    again = run(program, config, "add", "hospital", provider, "hospital.example")
    assert again.returncode == 1 and "it is there already" in again.stderr
    assert path.read_bytes() == before
    shown = run(program, config, "show", "hospital")
    assert shown.returncode == 0 and "all of these together" in shown.stdout and "null sender: on" in shown.stdout
    assert "hospital.example" in run(program, config, "list").stdout


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
