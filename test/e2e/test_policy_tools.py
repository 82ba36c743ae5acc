"""The command line on policies: every example of docs/policy.md, the schemas, and what the tools say of what was written."""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build" / os.environ["SALLYPORT_PRESET"] / "bin/sallyport"
GUIDE = (ROOT / "docs/policy.md").read_text()
BLOCK = re.compile(r"<!-- (policy|test|file|layer): (\S+) -->\n```(?:jsonc|text)\n(.*?)```", re.S)
SHIPPED = sorted(p for p in (ROOT / "policies").glob("*.json")
                 if not p.name.endswith(".test.json") and p.name != "sites.json")  # which is none


def run(*words, code=0):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert code is None or done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def plain(text):
    """JSON with comments, read: comments go, but not what looks like one inside a string."""
    return json.loads(re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda m: m.group(1) or "", text, flags=re.S))


def test_a_failed_case_says_what_was_expected_and_what_came(tmp_path):
    (tmp_path / "policy.json").write_text(json.dumps({"version": 1, "extends": "hipaa-default"}))
    asks = [{"offers": "tls:dane", "rung": "portal"}, {"offers": "tls:dane", "wait": True},
            {"offers": "unreachable", "end": "return"}, {"offers": "broken", "after": "20h", "wait": True, "late": False}]
    (tmp_path / "policy.test.json").write_text(json.dumps({"version": 1, "policy": "policy.json", "cases": [
        {"name": "x", "when": {"recipient.address": "a@example.net"}, "expect": {"rule": "default"}, "delivery": asks}]}))
    told = run("policy", "test", tmp_path / "policy.test.json", code=1)
    for n, line in enumerate(("expected rung portal, got rung tls:dane", "expected to wait, got rung tls:dane",
                              "expected end: return, got wait for tls:dane", 'expected "late": false, got true, wait for tls:')):
        assert f"delivery[{n}]: {line}" in told, told


def test_a_gateway_without_settings_is_told_of_once(tmp_path):
    done = subprocess.run([PROGRAM, "preference", "show", "pat@example.net", "-c", str(tmp_path / "none.json")],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count("can't read it") == 1, done.stderr


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
        if kind == "layer":  # stands beside one policy alone
            continue
        path = folder / {"policy": f"{name}.json", "test": f"{name}.test.json", "file": name}[kind]
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def test_the_guide_has_its_recipes_and_no_example_that_is_not_run():
    assert len(recipes()) >= 7
    assert GUIDE.count("```jsonc\n") + GUIDE.count("```text\n") == len(BLOCK.findall(GUIDE))


def test_the_guides_layer_binds_its_domain(kitchen, tmp_path):
    [(name, text)] = [(name, text) for kind, name, text in BLOCK.findall(GUIDE) if kind == "layer"]
    for file in ("policy.json", "lists/partners.txt", f"layers/{name}.json"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text if file.startswith("layers") else (kitchen / file).read_text())
    cases = [{"name": domain, "when": {"sender.address": f"dr@{domain}"}, "expect": {"floor": floor}}
             for domain, floor in (("oncology.example", "tls:authenticated"), ("hospital.example", "tls:encrypted"))]
    (tmp_path / "x.test.json").write_text(json.dumps({
        "version": 1, "policy": "policy.json", "cases": cases,
        "given": {"tenant": "hospital", "recipient.address": "a@b.example"}}))
    run("policy", "test", tmp_path / "x.test.json")
    assert not list(checker("policy.json").iter_errors(plain(text)))


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


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_the_written_policy_says_what_the_set_does(path):
    """What an auditor is handed, word for word: a change of a set or of the words is read here first."""
    golden = ROOT / f"test/policies/described/{path.stem}.txt"
    text = re.sub(r"\b[0-9a-f]{16,64}\b", "HASH", run("policy", "describe", path).replace(str(ROOT), ""))
    if os.environ.get("SALLYPORT_TABLES") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_ways_to_log_in_that_nothing_serves_are_told(tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"version": 1, "extends": "hipaa-default", "settings": {
        "portal": {"login": ["code", "passkey", "totp"]}}}))
    [told] = json.loads(run("policy", "check", path, "--json"))
    warned_at = {p["path"]: p["text"] for p in told["problems"] if p["severity"] == "warning"}
    assert set(warned_at) == {"settings.portal.login[1]", "settings.portal.login[2]"}, warned_at
    assert '"passkey" is not served' in warned_at["settings.portal.login[1]"]


def test_explain_goes_by_both_names():
    words = ("--policy", ROOT / "policies/hipaa-default.json", "--from", "a@b.example", "--to", "c@d.example",
             "--subject", "[secure] x")
    assert run("policy", "explain", *words) == run("explain", *words) and "sender-asks" in run("policy", "explain", *words)


@pytest.mark.parametrize("fact, told", [
    ('phi.special=["hiv","part2"]', 'protect by rule "part2"'), ("recipient.preference=null", 'protect by rule "default"'),
    ("subject=true", 'protect by rule "patient-chose-portal"'), ("message.size=25MiB", 'protect by rule "patient-chose-portal"'),
    ("header.x-flag=true", 'protect by rule "patient-chose-portal"'), ("phi.score=1000", "phi.score is 0 to 100"),
    ("phi.class=sever", 'did you mean "severe"? known are: none identifier phi severe'),
    ('recipient.first_contact={"unknown": true}', 'protect by rule "patient-chose-portal"'),
    ("recipient.first_contact=3", "expected true or false"), ("recipient.count=true", "expected a whole number"),
    ("recipient.count=0", "recipient.count is at least 1"), ("attachment.name=[1]", "error: attachment.name[0]: expected text"),
    ("time.hour=24", "time.hour is 0 to 23"), ("phi.count.MRN=-1", "expected a whole number")])
def test_explain_takes_every_fact_and_none_that_no_mail_has(tmp_path, fact, told):
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"version": 1, "extends": "hipaa-default", "preferences": {"file": "preferences.json"}}))
    (tmp_path / "preferences.json").write_text(json.dumps({"version": 1, "preferences": [
        {"recipient": "pat@example.net", "preference": "portal", "given": "2026-01-01", "by": "desk"}]}))
    words = ["explain", "--policy", path, "--from", "a@b.example", "--to", "pat@example.net", "--fact", fact]
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=120)
    assert told in done.stdout + done.stderr, done
    assert done.returncode == (0 if told.startswith("protect") else 1), done


def test_a_case_that_tests_nothing_has_not_passed(tmp_path):
    """It shows which rule decides, and is counted for nothing."""
    (tmp_path / "policy.json").write_text(json.dumps({"version": 1, "extends": "hipaa-default"}))
    tests, to = tmp_path / "policy.test.json", {"recipient.address": "a@example.net"}
    asks = [{"offers": "tls:dane", "rung": "tls:dane"}]
    for case, passed in (({}, 0), ({"expect": {}}, 0), ({"delivery": []}, 0), ({"expect": {"rule": "default"}}, 1),
                         ({"expect": {}, "delivery": asks}, 1)):
        tests.write_text(json.dumps({"version": 1, "policy": "policy.json", "cases": [{"name": "x", "when": to, **case}]}))
        done = subprocess.run([PROGRAM, "policy", "test", tests], capture_output=True, text=True)
        assert done.returncode == 0 and f"{passed} passed, 0 failed" in done.stdout, (case, done)
        assert ("warning: " in done.stderr and "tests nothing" in done.stderr) == (passed == 0), (case, done)


def test_a_case_goes_from_and_to_an_address(tmp_path):
    (tmp_path / "policy.json").write_text(json.dumps({"version": 1, "extends": "hipaa-default"}))
    tests = tmp_path / "policy.test.json"
    for facts, told in (({"recipient.address": "pat"}, "recipient.address"), ({"sender.address": "dr"}, "sender.address"),
                        ({"sender.address": ""}, None), ({"recipient.address": "postmaster"}, None)):
        for place in ("given", "when"):
            case = {"name": "x", "expect": {"rule": "default"}, **({"when": facts} if place == "when" else {})}
            tests.write_text(json.dumps({"version": 1, "policy": "policy.json", "cases": [case],
                                         **({"given": facts} if place == "given" else {})}))
            done = subprocess.run([PROGRAM, "policy", "test", tests], capture_output=True, text=True)
            assert done.returncode == (0 if told is None else 1), (facts, done)
            assert told is None or f"{place}.{told}: expected an address" in done.stderr, done


def test_a_case_of_what_no_mail_has_is_no_test(tmp_path):
    (tmp_path / "policy.json").write_text(json.dumps({"version": 1, "extends": "hipaa-default"}))
    for fact in ({"phi.score": 101}, {"recipient.count": 0}, {"time.hour": 24}, {"phi.class": "sever"},
                 {"message.size": "25 pounds"}, {"attachment.opaque": 2}, {"phi.special": [3]}, {"phi.distinct.MRN": -1}):
        (tmp_path / "policy.test.json").write_text(json.dumps({"version": 1, "policy": "policy.json", "cases": [
            {"name": "x", "when": {"recipient.address": "a@example.net", **fact}, "expect": {"rule": "default"}}]}))
        done = subprocess.run([PROGRAM, "policy", "test", tmp_path / "policy.test.json"], capture_output=True, text=True)
        assert done.returncode == 1 and f"cases[0].when.{next(iter(fact))}" in done.stdout + done.stderr, (fact, done)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_special_laws_are_obeyed_whoever_asks_for_what(path, tmp_path):
    """42 CFR Part 2 and its like in every shipped set: the portal, and the notice where the law has one."""
    people = ["pat@example.net", "in@lab.example", "pat@gmail.com"]
    cases = [{"name": f"{special} {to} {wish} {subject} {label} {found} {sealed}",
              "when": {"recipient.address": to, "phi.special": [special], "phi.class": found, "message.sealed": sealed,
                       "subject": subject, "label": [label] if label else [],
                       "recipient.preference": wish},  # null: absent
              "expect": {"floor": "sealed", "do": "protect", "ladder": "pickup",
                         "notice": special == "part2"},  # beside what arrives signed, on the portal's page
              "delivery": [{"offers": "tls:dane", "keys": ["smime", "pgp"], "rung": "portal"}]}
             for special in ("part2", "hiv") for to in people
             for wish in (None, "plain", "tls")
             for subject in ("x", "[secure] x", "[not-phi] x") for label in (None, "1f0c8a52-0000-4000-8000-000000000001")
             for found in ("identifier", "phi", "severe") for sealed in ("none", "signed")]
    # and whatever else of the message could not be read
    cases += [{**case, "name": f"cut: {case['name']}", "when": {**case["when"], "scan": "partial"}} for case in cases]
    for name in ("hipaa-default.json", path.name):
        (tmp_path / name).write_text((path.parent / name).read_text())
    (tmp_path / "x.test.json").write_text(json.dumps({"version": 1, "policy": path.name, "cases": cases,
                                                      "given": {"sender.address": "dr@hospital.example"}}))
    told = json.loads(run("policy", "test", tmp_path / "x.test.json", "--json", code=None))[0]
    failed = [c for c in told["cases"] if not c["passed"]]
    assert not failed, failed[:3]
    assert len(cases) == 2 * 648


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


SLIPS = [({"phi.count.US_SNN": {"at_least": 2}}, "US_SSN"), ({"phi.distinct.MRM": {"at_least": 20}}, "MRN"),
         ({"phi.special": {"has": ["hiv", "pyschotherapy"]}}, "psychotherapy"), ({"phi.special": "part-2"}, "part2"),
         ({"phi.special": {"has": "vpi"}}, "vip"), ({"phi.count.NOTHING_LIKE_IT": 1}, "unknown type")]


def test_findings_that_nothing_finds_are_errors(tmp_path):
    path, tests = tmp_path / "policy.json", tmp_path / "x.test.json"
    base = {"version": 1, "extends": "hipaa-default", "special": {"vip": "staff and people of public interest"}}
    schema, test_schema = checker("policy.json"), checker("test.json")
    for when, meant in SLIPS:
        policy = {**base, "rules": [{"rule": "a", "when": when, "then": {"protect": "pickup"}}]}
        path.write_text(json.dumps(policy))
        problems = json.loads(run("policy", "check", path, "--json", code=1))[0]["problems"]
        [problem] = [p for p in problems if p["severity"] == "error"]
        assert meant in problem["text"] and problem["path"].startswith("rules[0].when."), problem
        assert list(schema.iter_errors(policy)) or "phi.special" in when, when  # which may be a name of one's own
    good = {**base, "rules": [{"rule": "a", "when": {"phi.special": {"has": ["vip", "hiv"]}, "phi.count.MRN": 2},
                               "then": {"protect": "pickup"}}]}
    path.write_text(json.dumps(good))
    run("policy", "check", path)
    assert not list(schema.iter_errors(good))
    for facts, meant in (({"phi.count.US_SNN": 2}, "US_SSN"), ({"phi.special": ["hvi"]}, "hiv")):
        test = {"version": 1, "policy": "policy.json", "cases": [{"name": "x", "when": facts, "expect": {}}]}
        tests.write_text(json.dumps(test))
        done = subprocess.run([PROGRAM, "policy", "test", tests], capture_output=True, text=True)
        assert done.returncode != 0 and meant in done.stderr + done.stdout, done
        assert list(test_schema.iter_errors(test)) or "phi.special" in facts
    for special in ({"hiv": "x"}, {"Not A Name": "x"}, {"vip": 3}, {"x" * 33: "x"}):
        path.write_text(json.dumps({**base, "special": special}))
        run("policy", "check", path, code=1)
        assert list(schema.iter_errors({**base, "special": special}))


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


def test_format_knows_one_line_end_and_writes_nothing_by_a_slip(tmp_path):
    path = tmp_path / "policy.json"
    text = '// a\n{"version": 1, /* b\n c */ "extends": "hipaa-default"} // d\n'
    path.write_text(text)
    run("policy", "format", path)
    good = path.read_bytes()
    assert b"/* b\n c */" in good
    for written in (text.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + text.encode()):
        path.write_bytes(written)
        done = subprocess.run([PROGRAM, "policy", "format", path, "--chek"], capture_output=True, text=True)
        assert done.returncode == 2 and "--chek: no option of this command" in done.stderr and path.read_bytes() == written
        run("policy", "format", path, "--check", code=1)
        run("policy", "format", path)
        assert path.read_bytes() == good
        run("policy", "format", path, "--check")


def test_a_wrong_command_line_is_told_in_words(tmp_path):
    policy = ROOT / "policies/strict.json"

    def said(*args, code):
        done = subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True, check=False)
        assert done.returncode == code, done
        return done.stdout, done.stderr

    assert 'did you mean "policy check"?' in said("policy", "chekc", policy, code=2)[1]
    assert "--jsn: no option of this command" in said("policy", "check", policy, "--jsn", code=2)[1]
    assert "--verbose: no option of this command" in said("policy", "test", "--verbose", policy, code=2)[1]
    assert "--to pat: an address is NAME@DOMAIN" in said("explain", "--policy", policy, "--from", "a@b.example", "--to", "pat",
                                                         code=2)[1]
    out, err = said("policy", "test", policy, code=1)
    assert "no test was run" in out and "this is a policy" in err
    helped = said("policy", "check", "--help", code=0)[0]
    assert helped.count("sallyport ") == 1 and "policy check FILE" in helped and "Exit codes" in helped
    helped = said("policy", "--help", code=0)[0]
    assert "policy approve" in helped and "policy proposals" in helped
    assert "sallyport tenant" not in helped and "sallyport preference" not in helped
    draft = tmp_path / "draft.json"
    draft.write_text(json.dumps({"version": 1, "default": {"protect": {"rungs": ["tls:encrypted"], "floor": "sealed"}}}))
    assert 'no rung of its own ladder meets the floor "sealed"' in said("policy", "check", draft, code=1)[1]


def test_one_rule_that_hides_many_is_one_warning_and_a_line(tmp_path):
    draft = tmp_path / "draft.json"
    everything = {"rule": "all", "then": {"protect": "careful"}}
    draft.write_text(json.dumps({"version": 1, "extends": "hipaa-default", "rules": [everything]}))
    done = subprocess.run([PROGRAM, "policy", "check", draft], capture_output=True, text=True, check=False)
    hidden = [p for p in json.loads(run("policy", "check", draft, "--json"))[0]["problems"] if "never asked" in p["text"]]
    assert len(hidden) > 5 and done.stderr.count("never asked") == 1 and done.stderr.count("the same of") == 1, done.stderr
    assert all(str(p["line"]) in done.stderr and p["path"] in done.stderr for p in hidden), done.stderr


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


# What can change a decision, or what becomes of a message, and how: a place in TOLD and another value
TOLD = {"version": 1, "scope": {"tenant": "house"}, "fixed": ["floor"], "labels": {"l": "1f0c8a52-0000-4000-8000-000000000001"},
        "settings": {"dkim_selector": "gw", "portal": {"remind": ["3d"], "unread_after": "7d", "notify_from": "House"}},
        "special": {"vip": "staff"}, "groups": {"office": {"addresses": ["a@b.example"]}},
        "lists": {"d": {"kind": "domains", "entries": ["a.example"]}},
        "ladders": {"k": {"rungs": ["smime", {"rung": "tls:dane", "stay": {"dropped": "2h"}}, "portal"], "floor": "tls:dane"}},
        "rules": [{"rule": "r", "from": "2026-01-01", "until": "2030-01-01", "when": {"recipient.domain": {"in": "d"}}, "then": {
            "protect": "k", "header": {"add": {"X-A": "1"}}, "expire": "1d", "portal": {"expires": "9d", "remind": ["2d"]},
            "notify": {"sender": ["late"]}}},
            {"rule": "q", "when": {"sender.group": "office", "phi.special": {"has": "vip"}, "label": "l"},
             "then": {"protect": {"rungs": ["pgp", "portal"], "floor": "sealed"}}}],
        "default": {"protect": "k"}}


@pytest.mark.parametrize("place, value, said", [
    ("scope.tenant", "other", "senders of tenant other"), ("fixed.0", "expire", "No layer within may change expire."),
    ("settings.dkim_selector", "gw2", "selector gw2"), ("settings.portal.remind", ["1d", "4d"], "after 1 day and 4 days"),
    ("settings.portal.unread_after", "6d", "unread after 6 days"), ("settings.portal.notify_from", "Clinic", '"Clinic"'),
    ("labels.l", "1f0c8a52-0000-4000-8000-000000000002", "000000000002"), ("special.vip", "guests", "guests"),
    ("groups.office.addresses", ["c@b.example", "a@b.example"], "c@b.example, a@b.example"),
    ("ladders.k.rungs.1.stay.dropped", "3h", "waiting for it 3 hours"),
    ("rules.0.until", "2031-01-01", "until 2031-01-01: If"),
    ("rules.0.then.header.add.X-A", "2", "X-A is added: 2"), ("rules.0.then.expire", "5h", "given up after 5 hours"),
    ("rules.0.then.portal.expires", "8d", "can be read for 8 days"),
    ("rules.0.then.portal.remind", ["1d"], "reminded of it after 1 day"),
    ("rules.0.then.notify.sender", ["unread"], "if nobody opens it"),
    ("rules.1.then.protect.rungs", ["smime", "portal"], "first S/MIME")])
def test_diff_tells_whatever_can_change_a_decision(tmp_path, place, value, said):
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    a.write_text(json.dumps(TOLD))
    changed = json.loads(a.read_text())
    *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    within = changed
    for part in way:
        within = within[part]
    within[last] = value
    b.write_text(json.dumps(changed))
    told = " ".join(run("policy", "diff", a, b, code=1).split())
    assert said in told.partition(" + ")[2], told


def test_list_and_check_tell_who_could_get_plain_mail(tmp_path):
    path = ROOT / "policies/hipaa-default.json"
    lowers = json.loads(run("policy", "list", path, "--lowers", "--json"))["items"]
    assert [item["name"] for item in lowers] == ["patient-chose-plain"] and "164.522" in lowers[0]["lowers"]
    assert "preference is plain" in run("policy", "list", path, "--plain")
    assert run("policy", "list", ROOT / "policies/strict.json", "--plain") == "none\n"
    assert "plain mail is possible if the recipient's recorded preference is plain" in run("policy", "check", path)
    assert "plain mail is possible for nobody" in run("policy", "check", ROOT / "policies/strict.json")


def warned(path, *rules, **more):
    path.write_text(json.dumps({"version": 1, "extends": "hipaa-default", **more, "rules": [
        {"rule": f"r{i}", "when": when, "then": {"protect": "sealed"}} for i, when in enumerate(rules)]}))
    problems = json.loads(run("policy", "check", path, "--json"))[0]["problems"]
    return [(p["path"], p["text"]) for p in problems if p["severity"] == "warning"]


LISTS = {"l": {"kind": "domains", "file": "l.txt"}}
DEAD = [({"recipient.domain": ["a.example", "b.example"]}, {"recipient.domain": "B.example", "subject": "x"}),
        ({"recipient.domain": {"in": "l"}}, {"recipient.domain": "in.example"}),
        ({"recipient.domain": {"like": "*.x.example"}}, {"recipient.domain": ["a.x.example", "b.x.example"]}),
        ({"subject": {"regex": "(?i)invoice"}}, {"subject": "An Invoice"}),
        ({"any": [{"subject": "p"}, {"subject": "q"}]}, {"subject": "q"}),
        ({"not": {"recipient.domain": "a.example"}}, {"recipient.domain": "b.example"}),
        ({"phi.class": {"at_least": "identifier"}}, {"phi.class": "severe"}),
        ({"phi.score": {"below": 50}}, {"phi.score": {"below": 20}}),
        ({"recipient.preference": {"exists": True}}, {"recipient.preference": "tls"}),
        ({"phi.special": {"has": ["hiv", "part2"]}}, {"phi.special": {"has": "hiv"}})]
LIVING = [({"recipient.domain": {"in": "l"}}, {"recipient.domain": "ends.example"}),  # one day it leaves the list
          ({"recipient.domain": "a.example", "subject": "x"}, {"recipient.domain": "a.example"}),
          ({"any": [{"subject": "p"}, {"phi.class": "phi"}]}, {"subject": "q"}),
          ({"not": {"recipient.domain": "a.example"}}, {"recipient.domain": ["a.example", "b.example"]}),
          ({"header.x-a": "1"}, {"header.x-b": "1"}), ({"phi.score": {"at_least": 50}}, {"phi.score": {"at_least": 20}})]
IMPOSSIBLE = [{"subject": "p", "all": [{"subject": "q"}]}, {"phi.score": {"at_least": 5}, "all": [{"phi.score": {"below": 3}}]},
              {"recipient.domain": "c.example", "all": [{"recipient.domain": {"in": "l"}}]},
              {"recipient.preference": {"exists": False}, "all": [{"recipient.preference": "tls"}]}]
POSSIBLE = [{"header.received": "p", "all": [{"header.received": "q"}]},
            {"attachment.name": "a", "all": [{"attachment.name": "b"}]},
            {"recipient.domain": "ends.example", "all": [{"recipient.domain": {"in": "l"}}]}]


def test_rules_that_never_decide_are_told(tmp_path):
    path = tmp_path / "policy.json"
    (tmp_path / "l.txt").write_text("in.example\nends.example until=2030-01-01\n")
    for pair in DEAD:
        told = [text for at, text in warned(path, *pair, lists=LISTS) if at == "rules[1]"]
        assert told and 'rule "r0"' in told[0], pair
    for pair in LIVING:
        assert not [text for at, text in warned(path, *pair, lists=LISTS) if "never decides" in text], pair
    for when in IMPOSSIBLE:
        assert [text for at, text in warned(path, when, lists=LISTS) if at == "rules[0]" and "can't hold at once" in text], when
    for when in POSSIBLE:
        assert not [text for at, text in warned(path, when, lists=LISTS) if "never decides" in text], when


def test_a_list_that_the_disk_gives_in_part_is_no_shorter_list(tmp_path):
    (tmp_path / "l.txt").write_text("in.example\nother.example\n")
    warned(tmp_path / "policy.json", {"recipient.domain": {"in": "l"}}, lists=LISTS)  # which is good so far
    done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-P", tmp_path / "l.txt", "-e", "trace=read",
                           "-e", "inject=read:error=EIO", PROGRAM, "policy", "check", tmp_path / "policy.json"],
                          capture_output=True, text=True, timeout=120, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    assert done.returncode == 1 and 'lists.l.file: can\'t read "l.txt"' in done.stderr, done.stdout + done.stderr


def test_a_rule_of_a_sets_name_takes_its_place(tmp_path):
    path = tmp_path / "policy.json"
    told = [text for at, text in warned(path) if at]
    assert told == []
    mine = {"rule": "phi", "when": {"phi.class": "phi"}, "then": {"protect": "sealed"}}
    guard = {"rule": "special-class", "continue": True, "when": {"phi.special": {"exists": True}},
             "then": {"raise": "sealed"}}
    path.write_text(json.dumps({"version": 1, "extends": "hipaa-default", "guards": [guard], "rules": [mine]}))
    problems = json.loads(run("policy", "check", path, "--json"))[0]["problems"]
    assert sorted(p["path"] for p in problems if "which is not asked any more" in p["text"]) == ["guards[0]", "rules[0]"]
    names = [item["name"] for item in json.loads(run("policy", "list", path, "--rules", "--json"))["items"]]
    assert names.count("phi") == 1 and names.count("special-class") == 1
    # a guard is no rule, and what binds a tenant is not replaced by it
    path.write_text(json.dumps({"version": 1, "extends": "hipaa-default", "rules": [{**mine, "rule": "special-class"}]}))
    assert "this name is taken" in json.dumps(json.loads(run("policy", "check", path, "--json", code=1)))
    (tmp_path / "layers").mkdir()
    path.write_text(json.dumps({"version": 1, "extends": "hipaa-default"}))
    (tmp_path / "layers/t.json").write_text(json.dumps({"version": 1, "scope": {"tenant": "t"}, "guards": [guard]}))
    assert "this name is taken" in json.dumps(json.loads(run("policy", "check", path, "--json", code=1)))


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


@pytest.fixture
def published(house):
    """(what takes the version of before back, the files that it would write, how they are now)"""
    config, folder = house / "sallyport.json", house / "policies"
    before = json.loads(run("policy", "check", folder / "policy.json", "--json"))[0]["hash"]
    run("policy", "publish", folder / "draft.json", "--reason", "stricter for labs", "-c", config)
    (folder / "lists/labs.txt").write_text("other.example\n")
    files = [folder / "policy.json", folder / "lists/labs.txt"]
    back = (PROGRAM, "policy", "rollback", before, "--reason", "labs complained", "-c", config)
    return back, files, [f.read_text() for f in files]


def events(house):
    return [json.loads(line)["event"] for line in run("policy", "history", "-c", house / "sallyport.json", "--json").splitlines()]


@pytest.mark.parametrize("blocked, told", [("policy.json", []), ("lists/labs.txt", []), (".history/log.jsonl", []),
                                           ("published.json", ["policy.rolled-back", "policy.failed"])])
def test_what_can_not_be_told_or_written_is_not_taken_back(house, published, blocked, told):
    back, files, now = published
    beside = house / f"policies/{blocked}.new~"
    beside.mkdir()
    done = subprocess.run(back, capture_output=True, text=True)
    assert done.returncode == 1 and [f.read_text() for f in files] == now, done
    beside.rmdir()
    assert events(house) == ["policy.published", *told] and not list((house / "policies").rglob("*.new~"))
    run(*back[1:])
    assert [f.read_text() for f in files] != now and events(house)[-1] == "policy.rolled-back"


@pytest.mark.skipif(os.geteuid() != 0, reason="a file is put under another by root alone")
def test_a_rollback_that_fails_half_way_is_none(house, published):
    """The policy is a mount, which can be written beside and not be replaced; the list has its place by then."""
    back, files, now = published
    script = 'mount --bind "$0" "$0" && exec "$@"'
    done = subprocess.run(["unshare", "--mount", "/bin/sh", "-c", script, files[0], *back], capture_output=True, text=True)
    assert done.returncode == 1 and [f.read_text() for f in files] == now, done
    assert events(house) == ["policy.published", "policy.rolled-back", "policy.failed"]


STAFF = 'lists/"our" staff.txt'


def test_tests_of_another_policy_publish_no_draft(house):
    """As they are when they were copied with the draft: they would pass whatever it says."""
    config, folder = house / "sallyport.json", house / "policies"
    words = ("policy", "publish", folder / "draft.json", "--reason", "stricter for labs", "-c", config)
    tests = folder / "draft.test.json"
    good = json.loads(tests.read_text())
    live = (folder / "policy.json").read_text()
    case = {**good["cases"][0], "expect": {"rule": "labs"}}
    tests.write_text(json.dumps({**good, "policy": "policy.json", "cases": [case]}))
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True)
    assert done.returncode == 1, done
    assert f'{tests} tests policy.json and not the draft: it must say "policy": "draft.json"' in done.stderr
    assert (folder / "policy.json").read_text() == live and not list(folder.glob(".history/*.json*"))
    tests.write_text(json.dumps({**good, "policy": "./draft.json", "cases": [{**case, "expect": {}}]}))
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True)
    assert done.returncode == 1 and "no case expects anything" in done.stderr, done
    tests.write_text(json.dumps({**good, "policy": "./draft.json"}))
    run(*words)


@pytest.mark.parametrize("words, told", [
    (("publish", "DRAFT", "--reason", "stricter for labs", "--stage", "shdow"), "--stage shdow: expected shadow, full, or"),
    (("publish", "DRAFT", "--reason", "stricter for labs", "--stage", "0%"), "--stage 0%: expected"),
    (("publish", "DRAFT", "--reason", "stricter for labs", "--dryrun"),
     "--dryrun: no option of this command; did you mean --dry-run?"),
    (("publish", "DRAFT", "other.json", "--reason", "stricter for labs"), "other.json: one word too many"),
    (("publish", "DRAFT", "--reason", "   x   "), "say why, in five letters or more"),
    (("publish", "DRAFT", "--reason", "good\n2026-11-23T00:00:00  taken back"), "--reason: one line of UTF-8"),
    (("publish", "DRAFT", "--reason", b"caf\xe9 at noon"), "--reason: one line of UTF-8"),
    (("publish", "DRAFT", "--reason", "stricter for labs", "--approved-by", "A\x1b[31mB"), "--approved-by: one line"),
    (("publish", "DRAFT", "--reason"), "--reason: wants a value"),
    (("rollback", "0123456789", "--reason", "complaints", "--dry-run"), "--dry-run: no option of this command"),
    (("rollback", "0123456789", "--reason", "complaints", "--stage", "5%"), "--stage: no option of this command"),
    (("promote", "--reason", "all is well", "--dry-run"), "--dry-run: no option of this command"),
    (("abort", "--reason", "all is well", "--stage", "5%"), "--stage: no option of this command"),
    (("history", "--reason", "all is well"), "--reason: no option of this command")])
def test_an_act_says_what_it_did_not_understand_and_does_nothing(house, words, told):
    """An option that is passed over, a --dry-run above all, would have been believed."""
    folder = house / "policies"
    words = [str(folder / "draft.json") if w == "DRAFT" else w for w in words]
    before = {f.name: f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    done = subprocess.run([PROGRAM, "policy", *words[:1], "-c", house / "sallyport.json", *words[1:]], capture_output=True)
    assert done.returncode == 2 and told in done.stderr.decode(), done
    assert {f.name: f.read_bytes() for f in folder.rglob("*") if f.is_file()} == before


@pytest.fixture
def people(house):
    """The same house with a registry of wishes, pinned partners and a list that a directory keeps."""
    folder = house / "policies"
    for name in ("policy.json", "draft.json"):
        text = (folder / name).read_text()
        head, body = text[:text.index("{")], json.loads(text[text.index("{"):])
        body["preferences"] = {"file": "preferences.json"}
        body["lists"]["staff"] = {"kind": "addresses", "file": STAFF}
        body["rules"].append({"rule": "staff", "when": {"recipient.address": {"in": "staff"}}, "then": {"protect": "everyday"}})
        (folder / name).write_text(head + json.dumps(body))
    (folder / STAFF).write_text("# kept by sallyport directory: directory h\nann@hospital.example\n")
    (folder / "preferences.json").write_text(json.dumps({"version": 1, "preferences": [
        {"recipient": "pat@example.net", "preference": "plain", "given": "2026-01-01", "by": "desk", "until": "2030-01-01",
         "warning": "w1"}]}))
    (folder / "partners.json").write_text(json.dumps({"version": 1, "partners": [
        {"domain": "lab.example", "match": ["mx.lab.example"]}]}))
    return house


def test_a_wish_that_can_not_be_meant_is_not_put_down(people):
    config, registry = people / "sallyport.json", people / "policies/preferences.json"
    before = registry.read_bytes()
    said = ("preference", "set", "lee@example.net", "portal", "--offline", "-c", config)
    for words, told in ((("--by", "desk", "--until", "2020-01-01"), "--until 2020-01-01 is over before it begins"),
                        (("--by", "desk", "--given", "2026-05-01", "--until", "2026-05-01"), "is over before it begins"),
                        (("--by", "desk", "--given", "2999-01-01"), "--given 2999-01-01 has not come yet"),
                        (("--by", "desk\nann"), "one line of UTF-8"), (("--by", b"M\xfcller"), "one line of UTF-8"),
                        (("--by", "desk", "--warning", "a\x1b[2J"), "one line of UTF-8")):
        done = subprocess.run([PROGRAM, *said, *words], capture_output=True)
        assert done.returncode == 1 and told in done.stderr.decode(), (words, done)
    gone = [PROGRAM, "preference", "remove", "pat@example.net", "--reason", "a\nb", "--offline", "-c", config]
    assert subprocess.run(gone, capture_output=True).returncode == 1 and registry.read_bytes() == before
    run(*said, "--by", "Schwester Müller, Telefon", "--given", "2026-05-01", "--until", "2026-05-02")


def test_what_people_have_said_since_stands_when_rules_are_taken_back(people):
    """A version taken back is its rules, lists and texts. What was recorded of people meanwhile is nobody's draft."""
    config, folder = people / "sallyport.json", people / "policies"
    before = json.loads(run("policy", "check", folder / "policy.json", "--json"))[0]["hash"]
    run("policy", "publish", folder / "draft.json", "--reason", "stricter for labs", "-c", config)
    run("preference", "remove", "pat@example.net", "--reason", "took it back", "--offline", "-c", config)
    run("preference", "set", "sam@example.net", "no-mail", "--by", "letter", "--offline", "-c", config)
    (folder / "partners.json").write_text(json.dumps({"version": 1, "partners": [
        {"domain": "other.example", "match": ["mx.other.example"]}]}))
    (folder / STAFF).write_text("# kept by sallyport directory: directory h\nbob@hospital.example\n")
    (folder / "lists/labs.txt").write_text("other.example\n")
    stay = {name: (folder / name).read_text() for name in ("preferences.json", "partners.json", STAFF)}
    [done] = [json.loads(line) for line in run("policy", "rollback", before, "--reason", "labs complained", "-c", config,
                                               "--json").splitlines()]
    assert {name: (folder / name).read_text() for name in stay} == stay
    assert (folder / "lists/labs.txt").read_text() == "lab.example\n"
    assert '"careful"' in (folder / "policy.json").read_text()
    assert not (folder / "hipaa-default.json").exists()  # the shipped set is no file of this house
    live = json.loads(run("policy", "check", folder / "policy.json", "--json"))[0]["hash"]
    assert live not in ("", before) and done["after"] == live and done["restored"] == before
    assert sorted(done["left"]) == sorted(stay)
    told = json.loads((folder / "published.json").read_text())
    assert told["event"] == "policy.rolled-back" and told["after"] == live and told["restored"] == before
    assert "is what is live already" in run("policy", "rollback", before, "--reason", "labs complained", "-c", config)
    assert f"rules of {before[:16]}" in run("policy", "history", "-c", config)
    # what came to be is kept too, and can be named
    run("policy", "publish", folder / "draft.json", "--reason", "stricter for labs", "-c", config)
    run("policy", "rollback", live, "--reason", "labs complained", "-c", config)
    assert json.loads(run("policy", "check", folder / "policy.json", "--json"))[0]["hash"] == live


def test_what_decided_is_kept_before_a_preference_changes(people):
    config, folder = people / "sallyport.json", people / "policies"
    for words in (("set", "sam@example.net", "no-mail", "--by", "letter"),
                  ("remove", "pat@example.net", "--reason", "took it back")):
        before = json.loads(run("policy", "check", folder / "policy.json", "--json"))[0]["hash"]
        run("preference", *words, "--offline", "-c", config)
        kept = json.loads((folder / f".history/{before}.json").read_text())
        assert kept["hash"] == before and "preferences.json" in kept["files"]
        assert json.loads(run("policy", "check", folder / "policy.json", "--json"))[0]["hash"] != before


def test_what_can_not_be_taken_back_changes_nothing(people):
    config, folder = people / "sallyport.json", people / "policies"
    before = json.loads(run("policy", "check", folder / "policy.json", "--json"))[0]["hash"]
    run("policy", "publish", folder / "draft.json", "--reason", "stricter for labs", "-c", config)
    (folder / "layers").mkdir()
    (folder / "layers/t.json").write_text(json.dumps({"version": 1, "scope": {"tenant": "t"}, "rules": []}))
    (folder / "lists/labs.txt").write_text("other.example\n")
    files = {f: f.read_text() for f in folder.rglob("*.*") if f.is_file() and ".history" not in f.parts}
    done = subprocess.run([PROGRAM, "policy", "rollback", before, "--reason", "labs complained", "-c", config],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "layers/t.json" in done.stderr and "nothing was changed" in done.stderr, done.stderr
    (folder / "preferences.json").write_text("{")  # what stays must go with what comes back
    run("policy", "rollback", before, "--reason", "labs complained", "-c", config, code=1)
    (folder / "preferences.json").write_text(files[folder / "preferences.json"])
    assert {f: f.read_text() for f in files} == files
    assert not (folder / "hipaa-default.json").exists()


def test_each_command_answers_in_json_with_its_exit_code(house):
    config, folder = house / "sallyport.json", house / "policies"
    live, draft = folder / "policy.json", folder / "draft.json"
    before = json.loads(run("policy", "check", live, "--json"))[0]["hash"]

    def ask(*words, code=0):
        return [json.loads(line) for line in run(*words, "--json", code=code).splitlines()]
    assert ask("policy", "format", live, "--check", code=1) == [{"file": str(live), "canonical": False, "written": False}]
    assert ask("policy", "format", live)[0]["written"] and ask("policy", "format", live, "--check")[0]["canonical"]
    [same] = ask("policy", "diff", live, live)
    assert same["changes"] == [] and same["before"] == same["after"] == before
    [tried] = ask("policy", "publish", draft, "--reason", "stricter", "-c", config, "--dry-run")
    assert [(c["change"], c["after"]["name"]) for c in tried["changes"]] == [("changed", "labs")] and tried["before"] == before
    [staged] = ask("policy", "publish", draft, "--reason", "stricter", "-c", config, "--stage", "shadow")
    assert staged["done"] == "staged" and ask("policy", "status", "-c", config)[0]["staged"]["mode"] == "shadow"
    assert ask("policy", "promote", "--reason", "a quiet week", "-c", config, "--stage", "10%")[0]["done"] == "staged"
    assert ask("policy", "abort", "--reason", "not now", "-c", config)[0]["done"] == "aborted"
    [done] = ask("policy", "publish", draft, "--reason", "stricter", "-c", config)
    assert done == {"done": "published", "before": before, "after": tried["after"]}
    assert ask("policy", "publish", live, "--reason", "stricter", "-c", config, code=1) == []  # no tests beside it
    assert ask("policy", "publish", draft, "--reason", "stricter", "-c", config)[0]["done"] == "nothing"
    assert ask("policy", "rollback", before, "--reason", "labs complained", "-c", config)[0]["done"] == "taken back"
    assert [h["event"] for h in ask("policy", "history", "-c", config)] == [
        "policy.staged", "policy.staged", "policy.unstaged", "policy.published", "policy.rolled-back"]
    [tests] = ask("policy", "test", folder / "draft.test.json")[0]
    assert tests["passed"] == 1 and tests["failed"] == 0
    told = subprocess.run([PROGRAM, "policy", "publish", draft, "--reason", "x", "-c", config], capture_output=True, text=True)
    assert told.returncode == 2 and "say why" in told.stderr
    for words in (("policy",), ("policy", "check"), ("policy", "diff", live), ("policy", "format", live, "--check", "--stdout"),
                  ("policy", "replay"), ("policy", "replay", "--days", "1", "--message", "x"), ("policy", "publish")):
        run(*words, code=2)


WRONG = """// a comment before
{
  "version": 1, /* two
  lines */ "extends": "hipaa-default",
  "ladders": {
    "mine": {"rungs": ["tls:dane", "portl"], "floor": "tls:dane"}   // here
  },
  "rules": [
    {"rule": "one", "when": {"recipient.domain": {"in": "partnrs"}},
     "then": {"protect": "mine", "lnae": "bulk"}},
    {"rule": "two",
     "when": {"any": [{"phi.clas": "phi"}, {"phi.score": {"at_least": "x"}}]},
     "then": {"protect": "everydai"}}
  ],
  "lists": {"partners": {"kind": "domains", "entries": ["a b"]}}
}
"""


def test_errors_are_told_at_once_with_place_and_what_would_be_right(tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(WRONG)
    problems = json.loads(run("policy", "check", path, "--json", code=1))[0]["problems"]
    told = {(p["line"], p["path"]): p["text"] for p in problems if p["severity"] == "error"}
    for place, says in {(6, "ladders.mine.rungs[1]"): 'did you mean "portal"?',
                        (9, "rules[0].when.recipient.domain.in"): "partners",
                        (10, "rules[0].then.lnae"): 'did you mean "lane"?', (12, "rules[1].when.any[0].phi.clas"): '"phi.class"?',
                        (12, "rules[1].when.any[1].phi.score.at_least"): "number",
                        (13, "rules[1].then.protect"): '"everyday"?',
                        (15, "lists.partners.entries[0]"): "expected a domain"}.items():
        assert says in told.get(place, ""), (place, told)
    text = subprocess.run([PROGRAM, "policy", "check", path], capture_output=True, text=True).stderr
    assert f"error: {path}:6: ladders.mine.rungs[1]: " in text and text.count("error: ") == len(told)
    path.write_text('{"version": 1,\n "extends": "hipaa-default",\n "note": "x"\n "rules": []}')
    done = subprocess.run([PROGRAM, "policy", "check", path], capture_output=True, text=True)
    assert done.returncode == 1 and f"{path}:4" in done.stderr, done.stderr


def test_what_is_looked_for_and_not_asked_for_is_told(house):
    """By check -c, which knows both: at the place of the class, and once where nobody asks for anything."""
    (house / "tenants").mkdir()
    (house / "tenants/t.json").write_text(json.dumps({"tenant": "t", "domains": ["t.example"]}))
    (house / "detection").mkdir()
    own = house / "detection/t.json"
    own.write_text('{"version": 1, "terms": {"special": {\n "abuse": ["Harbor House"],\n "vip": ["Bluebird"]}}}')
    policy = house / "policies/policy.json"
    special = {"special": {"abuse": "shelters"}}
    rule = {"rule": "a", "when": {"phi.special": {"has": "abuse"}}, "then": {"protect": {"rungs": ["portal"], "floor": "sealed"}}}
    base = {"version": 1, "default": {"protect": {"rungs": ["portal"], "floor": "sealed"}}}

    def told():
        problems = json.loads(run("check", "-c", house / "sallyport.json", "--json", code=None))["problems"]
        return [(p["line"], p["path"], p["text"]) for p in problems
                if p["file"] == str(own) and p["severity"] == "warning"]

    policy.write_text(json.dumps({**base, **special, "rules": [rule]}))
    [(line, place, text)] = told()
    assert (line, place) == (3, "terms.special.vip") and '{"phi.special": {"has": "vip"}}' in text
    policy.write_text(json.dumps(base))
    [(line, place, text)] = told()
    assert (line, place) == (1, "$") and "no rule asks what is in a message" in text
    (house / "policies/layers").mkdir()  # a rule of the tenant's own layer asks; another tenant's does not count
    (house / "policies/layers/t.json").write_text(json.dumps({
        "version": 1, "scope": {"tenant": "t"}, **special, "rules": [{**rule, "when": {"phi.special": {"exists": True}}}]}))
    assert told() == []
    (house / "policies/layers/t.json").write_text(json.dumps({
        "version": 1, "scope": {"tenant": "u"}, **special, "rules": [rule]}))
    assert [place for _, place, _ in told()] == ["terms.special.abuse", "terms.special.vip"]


def test_a_problem_of_the_main_file_is_told_once_for_all_layers(tmp_path):
    (tmp_path / "layers").mkdir()
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"version": 1, "extends": "hipaa-default", "groups": {"g": {"list": "none"}},
                                "texts": {f"t{n}": "x" for n in range(250)},
                                "rules": [{"rule": "a", "when": {"subject": "x"}, "then": {"protect": "everday"}}]}))
    for n in range(30):
        (tmp_path / f"layers/{n}.json").write_text(json.dumps({"version": 1, "scope": {"tenant": f"t{n}"},
                                                               "texts": {f"t{k}": "y" for k in range(10)}}))
    done = subprocess.run([PROGRAM, "policy", "check", path], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("error: ") == 2, done.stderr[-2000:]
    assert re.search(r"and \d+ more warnings that are not shown", done.stderr), done.stderr[-300:]


def printed(command):
    """What the guide shows under a command, line by line."""
    blocks = re.findall(r"^```([a-z]*)\n(.*?)^```$", GUIDE, re.S | re.M)
    [block] = [b for language, b in blocks if language == "" and f"$ sallyport {command}" in b]
    lines = block[block.index(f"$ sallyport {command}"):].replace("\\\n", " ").splitlines()
    until = next((n for n, line in enumerate(lines) if n > 0 and line.startswith("$ ")), len(lines))
    return shlex.split(lines[0], comments=True)[2:], lines[1:until]


SHOWN = {"policies/policy.json": {"version": 1, "extends": "hipaa-default"},
         "policies/wrong.json": """{
  "version": 1,
  "extends": "hipaa-default",
  // who gets
  // which
  // mail is
  // said by
  // rules
  // below
  //
  "rules": [
    {"rule": "labs", "when": {"recipent.domain": "lab.example"}, "then": {"protect": "everday"}}]}
""",
         "policies/policy.test.json": {"version": 1, "policy": "policy.json", "cases": [
             {"name": f"{n}", "when": {"recipient.address": f"pat{n}@example.net"}, "expect": {"rule": "default"}}
             for n in range(1)]}}


@pytest.mark.parametrize("command", ["policy check", "policy test", "policy diff", "explain --policy"])
def test_the_guide_shows_what_the_commands_print(command, tmp_path):
    """A line that ends in ... is shown in part; lines between those that are shown may be left out."""
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    words, shown = printed(command)
    for name, text in SHOWN.items():
        (tmp_path / name).write_text(text if isinstance(text, str) else json.dumps(text))
    if command == "policy check":
        shutil.copy(tmp_path / "policies/wrong.json", tmp_path / "policies/policy.json")
    if command == "policy diff":
        rule = {"rule": "phi", "when": {"phi.class": {"at_least": "phi"}}, "then": {"protect": "careful"}}
        for name, ladder in (("policies/policy.json", "careful"), ("policies/draft.json", "sealed")):
            (tmp_path / name).write_text(json.dumps({"version": 1, "extends": "hipaa-default",
                                                     "rules": [{**rule, "then": {"protect": ladder}}]}))
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    text = done.stdout + done.stderr
    said = iter(text.splitlines())
    for line in shown:
        assert any(s == line or (line.endswith("...") and s.startswith(line[:-3])) for s in said), (line, text)
    assert shown
