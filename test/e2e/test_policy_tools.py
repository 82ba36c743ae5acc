"""The command line on policies: every example of docs/policy.md, the schemas, and what the tools say of what was written."""
import json
import os
import pathlib
import re
import subprocess

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "bin/sallyport"
GUIDE = (ROOT / "docs/policy.md").read_text()
BLOCK = re.compile(r"<!-- (policy|test|file): (\S+) -->\n```jsonc\n(.*?)```", re.S)
SHIPPED = sorted(p for p in (ROOT / "policies").glob("*.json")
                 if not p.name.endswith(".test.json") and p.name != "sites.json")  # which is none


def run(*words, code=0):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def plain(text):
    """JSON with comments, read: comments go, but not what looks like one inside a string."""
    return json.loads(re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda m: m.group(1) or "", text, flags=re.S))


def checker(name):
    folder = ROOT / "policies/schema"
    store = {f.name: json.loads(f.read_text()) for f in folder.glob("*.json")}
    schema = store[name]
    resolver = jsonschema.RefResolver("", schema, store=store)
    return jsonschema.Draft202012Validator(schema, resolver=resolver)


def recipes():
    return sorted({name for kind, name, _ in BLOCK.findall(GUIDE) if kind == "policy"})


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes")
    for kind, name, text in BLOCK.findall(GUIDE):
        (folder / {"policy": f"{name}.json", "test": f"{name}.test.json", "file": name}[kind]).write_text(text)
    return folder


def test_the_guide_has_its_recipes():
    assert len(recipes()) >= 6


@pytest.mark.parametrize("name", recipes())
def test_each_recipe_does_what_its_test_says(kitchen, name):
    out = json.loads(run("policy", "check", kitchen / f"{name}.json", "--json"))
    assert out[0]["ok"] and not [p for p in out[0]["problems"] if p["file"].startswith(str(kitchen))], out
    assert "0 failed" in run("policy", "test", kitchen / f"{name}.test.json")
    assert not list(checker("policy.json").iter_errors(plain((kitchen / f"{name}.json").read_text())))
    assert not list(checker("test.json").iter_errors(plain((kitchen / f"{name}.test.json").read_text())))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_sets_are_documented_tested_and_described(path):
    assert f"| `{path.stem}` |" in GUIDE
    assert "0 failed" in run("policy", "test", path.with_name(f"{path.stem}.test.json"))
    assert not list(checker("policy.json").iter_errors(plain(path.read_text())))
    assert not list(checker("test.json").iter_errors(plain(path.with_name(f"{path.stem}.test.json").read_text())))
    text = run("policy", "describe", path)
    numbers = [int(n) for n in re.findall(r"^ *(\d+)\. ", text, re.M)]
    assert numbers == list(range(1, len(numbers) + 1)) and "Otherwise the message is" in text
    items = json.loads(run("policy", "describe", path, "--json"))["items"]
    assert len(items) == len(numbers) and all(item["text"] for item in items)


def test_schemas_refuse_what_the_loader_refuses(tmp_path):
    good = {"version": 1, "extends": "hipaa-default"}
    cases = [{"rules": [{"rule": "a", "then": {"protcet": "everyday"}}]}, {"settings": {"floor": "tls"}},
             {"lists": {"x": {"kind": "domains"}}}, {"rules": [{"rule": "a", "then": {"protect": "everyday", "lane": "fast"}}]},
             {"rules": [{"rule": "a", "when": {"subject": {"resembles": "x"}}, "then": {"protect": "everyday"}}]},
             {"rules": [{"rule": "a", "then": {"protect": "everyday", "copy": "nobody"}}]}, {"preferences": "p.json"}]
    path = tmp_path / "policy.json"
    for case in cases:
        path.write_text(json.dumps({**good, **case}))
        run("policy", "check", path, code=1)
        assert list(checker("policy.json").iter_errors({**good, **case})), case
    wish = {"version": 1, "preferences": [{"recipient": "a@b.example", "preference": "plain", "given": "2026-01-01", "by": "x"}]}
    assert list(checker("preferences.json").iter_errors(wish))


def test_format_keeps_every_comment_and_is_its_own_end(tmp_path):
    path = tmp_path / "policy.json"
    for source in [*SHIPPED, *(ROOT / "policies").glob("*.test.json")]:
        text = source.read_text()
        path.write_text(text)
        run("policy", "format", path)
        once = path.read_text()
        assert plain(once) == plain(text)
        assert re.findall(r"//.*", once) == re.findall(r"//.*", text)
        assert all(len(line) <= 120 or "//" in line or line.count('"') < 6 for line in once.splitlines())
        run("policy", "format", path, "--check")
    path.write_text('{"version":1,/* why */"extends":"strict" // behind\n,"note":"a // b"}')
    assert "not in canonical form" in run("policy", "format", path, "--check", code=1)
    run("policy", "format", path)
    assert path.read_text().count("/* why */") == 1 and "// behind" in path.read_text()
    run("policy", "check", path)


def test_diff_tells_in_words(tmp_path):
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    base = {"version": 1, "extends": "hipaa-default", "lists": {"p": {"kind": "domains", "entries": ["one.example",
                                                                                                     "two.example"]}},
            "rules": [{"rule": "first", "when": {"recipient.domain": {"in": "p"}}, "then": {"protect": "sealed"}},
                      {"rule": "second", "when": {"subject": "x"}, "then": {"protect": "sealed"}}]}
    a.write_text(json.dumps(base))
    assert run("policy", "diff", a, a) == "no difference\n"
    base["lists"]["p"]["entries"] = ["two.example", "three.example"]
    base["rules"].reverse()
    base["rules"][1]["then"] = {"protect": "pickup"}
    base["settings"] = {"expire": "3d"}
    base["rules"].append({"rule": "third", "when": {"scan": "failed"}, "then": {"protect": "pickup"}})
    b.write_text(json.dumps(base))
    text = run("policy", "diff", a, b, code=1)
    for said in ("changed setting expire", "+ A message that can't be delivered is given up after 3 days.", "changed rule first",
                 "protected by the ladder pickup", "added rule third", "+three.example, -one.example", "moved rule second"):
        assert said in text, text
    changes = json.loads(run("policy", "diff", a, b, "--json", code=1))["changes"]
    assert {"moved", "changed", "added"} == {c["change"] for c in changes}


def test_list_and_check_tell_who_could_get_plain_mail(tmp_path):
    path = ROOT / "policies/hipaa-default.json"
    lowers = json.loads(run("policy", "list", path, "--lowers", "--json"))["items"]
    assert [item["name"] for item in lowers] == ["patient-chose-plain"] and "164.522" in lowers[0]["lowers"]
    assert "preference is plain" in run("policy", "list", path, "--plain")
    assert run("policy", "list", ROOT / "policies/strict.json", "--plain") == "none\n"
    assert "plain mail is possible if the recipient's recorded preference is plain" in run("policy", "check", path)
    assert "plain mail is possible for nobody" in run("policy", "check", ROOT / "policies/strict.json")


@pytest.fixture
def house(tmp_path):
    """A configuration folder with a live policy, as far as publishing looks at it."""
    folder = tmp_path / "policies"
    (folder / "lists").mkdir(parents=True)
    (folder / "lists/labs.txt").write_text("lab.example\n")
    live = {"version": 1, "extends": "hipaa-default", "lists": {"labs": {"kind": "domains", "file": "lists/labs.txt"}},
            "rules": [{"rule": "labs", "when": {"recipient.domain": {"in": "labs"}}, "then": {"protect": "careful"}}]}
    (folder / "policy.json").write_text(json.dumps(live))
    (tmp_path / "sallyport.json").write_text(json.dumps({
        "node": "gw1", "hostname": "gw.example", "state_dir": str(tmp_path / "state"), "master_key": "k",
        "policy": "policies/policy.json",
        "tenants": "tenants", "listen": [{"address": "127.0.0.1:2525", "tls": "starttls"}], "tls": {"certificate": "c",
                                                                                                    "key": "k"}}))
    live["rules"][0]["then"] = {"protect": "sealed"}
    (folder / "draft.json").write_text("// stricter\n" + json.dumps(live))
    (folder / "draft.test.json").write_text(json.dumps({
        "version": 1, "policy": "draft.json", "given": {"sender.address": "a@b.example"},
        "cases": [{"name": "a lab", "when": {"recipient.address": "x@lab.example"}, "expect": {"rule": "labs",
                                                                                               "floor": "sealed"}}]}))
    return tmp_path


def test_a_draft_is_published_with_tests_and_a_reason_and_taken_back(house):
    config, folder = house / "sallyport.json", house / "policies"
    before = json.loads(run("policy", "check", folder / "policy.json", "--json"))[0]["hash"]
    words = ("policy", "publish", folder / "draft.json", "-c", config)
    run(*words, code=2)  # why?
    (folder / "draft.test.json").rename(house / "aside")
    run(*words, "--reason", "stricter for labs", code=1)
    (folder / "draft.test.json").write_text((house / "aside").read_text().replace('"sealed"', '"tls:dane"'))
    run(*words, "--reason", "stricter for labs", code=1)
    (folder / "draft.test.json").write_text((house / "aside").read_text())
    assert "changed rule labs" in run(*words, "--reason", "stricter for labs", "--dry-run")
    assert json.loads(run("policy", "check", folder / "policy.json", "--json"))[0]["hash"] == before
    run(*words, "--reason", "stricter for labs", "--approved-by", "Privacy Officer")
    after = json.loads(run("policy", "check", folder / "policy.json", "--json"))[0]["hash"]
    assert after != before and (folder / "policy.json").read_text().startswith("// stricter")
    told = json.loads((folder / "published.json").read_text())
    assert told["before"] == before and told["after"] == after and told["approver"] == "Privacy Officer" and told["tests"] == 1
    assert "already" in run(*words, "--reason", "stricter for labs")
    (folder / "lists/labs.txt").write_text("other.example\n")  # a list that changed since comes back too
    run("policy", "rollback", before[:12], "--reason", "labs complained", "-c", config)
    assert json.loads(run("policy", "check", folder / "policy.json", "--json"))[0]["hash"] == before
    assert (folder / "lists/labs.txt").read_text() == "lab.example\n"
    history = [json.loads(line) for line in run("policy", "history", "-c", config, "--json").splitlines()]
    assert [h["event"] for h in history] == ["policy.published", "policy.rolled-back"]
    assert "approved by Privacy Officer" in run("policy", "history", "-c", config)
    run("policy", "rollback", "ffffffff", "--reason", "no such one", "-c", config, code=1)
