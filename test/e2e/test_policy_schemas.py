"""What editors are told by policies/schema and what the programs take is the same: right files pass both, wrong ones neither."""
import json
import pathlib

import jsonschema
import pytest

from test_policy_tools import BLOCK, GUIDE, ROOT, SHIPPED, checker, plain, run

KEY = "ab" * 32
SCHEMAS = sorted((ROOT / "policies/schema").glob("*.json"))


def policy(**more):
    return {"version": 1, "extends": "hipaa-default", **more}


def partners(**members):
    return {"version": 1, "partners": {"lab.example": members}}


def wish(**more):
    entry = {"recipient": "a@b.example", "preference": "portal", "given": "2026-01-01", "by": "x"}
    return {"version": 1, "preferences": [{**entry, **more}]}


def suite(*cases, **more):
    return {"version": 1, "policy": "policy.json", "cases": list(cases), **more}


def case(**more):
    return {"name": "one", "when": {"recipient.address": "a@b.example"}, "expect": {"rule": "default"}, **more}


def rule(**more):
    return policy(rules=[{"rule": "a", "then": {"protect": "everyday"}, **more}])


RIGHT = {
    "policy.json": [
        policy(), policy(note="why", settings={"expire": "3d"}), rule(when={"phi.class": ["phi", "severe"]}),
        rule(**{"continue": True, "then": {"tags": ["x"]}}),
        rule(when={"recipient.preference_by": "recipient"}, note="n", until="2030-01-01"),
        rule(when={"message.size": {"at_least": "25MiB"}}), policy(fixed=["floor", "portal.expires"]),
        rule(when={"time.hour": [0, 23], "phi.score": {"below": 101}, "recipient.count": {"at_least": 2}}),
        policy(guards=[{"rule": "g", "then": {"hold": {"for": "approval", "protect": "sealed"}, "raise": "sealed",
                                              "notify": {"sender": ["late"]}}}]),
        rule(then={"hold": {"for": "approval", "otherwise": "return", "protect": "sealed"}}),
        rule(then={"hold": {"for": "delay", "within": "10m", "protect": "sealed"}}, whole_message=True)],
    "lists.json": [
        {}, {"a": {"kind": "domains", "entries": ["x.example", ".y.example"]}},
        {"a": {"kind": "addresses", "entries": ["n@x.example"], "note": "who"}},
        {"a": {"kind": "domains", "file": "domains.txt"}}, {"a": {"kind": "partners", "entries": ["x.example"]}}],
    "partners.json": [
        partners(), partners(level="tls:verified", names=["mx.lab.example"], note="agreement 12"),
        partners(keys=[KEY], next_hop="mx.lab.example:25"), {"version": 1, "partners": {}}],
    "preferences.json": [
        wish(), wish(until="2027-01-01", note="n"), wish(preference="plain", warning="w", until="2027-01-01"),
        {"version": 1, "preferences": []}],
    "test.json": [
        suite(case()), suite(case(delivery=[{"offers": "tls:dane", "rung": "tls:dane"}])),
        suite(case(expect={"rule": "default", "tags": [], "floor": "tls:encrypted"}), given={"phi.class": "none"}, note="n"),
        suite(case(delivery=[{"offers": "unreachable", "after": "1h", "wait": True}]))],
}
WRONG = {
    "policy.json": [
        {"extends": "hipaa-default"}, {"version": 2, "default": {"protect": "everyday"}}, policy(rulez=[]), policy(rules={}),
        policy(note=5), rule(rule="A name"), rule(then={"protect": "everyday", "lane": "fast"}),
        rule(then={"reject": "no-mail", "discard": "x"}), rule(then={}), rule(when={"phi.class": "high"}),
        rule(when={"phi.klass": "phi"}), rule(when={"phi.score": "7"}), rule(when={"subject": {"resembles": "x"}}),
        rule(until="soon"), rule(when={"message.size": {"at_least": "big"}}), rule(**{"continue": "yes"}),
        rule(**{"continue": True}),
        policy(guards=[{"rule": "g", "then": {"discard": "x"}}]),
        policy(guards=[{"rule": "g", "continue": True, "then": {"protect": "sealed"}}]), policy(settings={"floor": "tls"}),
        policy(settings={"expire": "3"}), policy(ladders={"l": {"floor": "plain"}}),
        policy(ladders={"l": {"rungs": ["carrier-pigeon"], "floor": "plain"}}), policy(preferences="p.json"),
        policy(texts={"t": 5}), policy(labels={"l": 5}), policy(guards=[{"rule": "g", "then": {"protect": "everyday"}}]),
        policy(fixed=["flor"]), policy(settings={"expire": "0s"}), policy(settings={"portal": {"remind": ["0d"]}}),
        rule(when={"recipient.domain": {"in": []}}), rule(when={"time.hour": 24}), rule(when={"phi.score": {"at_least": 101}}),
        rule(when={"recipient.count": {"below": 1}}), rule(when={"phi.count.MRN": -1}),
        rule(then={"hold": {"for": "delay", "protect": "sealed"}}),
        rule(then={"hold": {"for": "approval", "otherwise": "protect", "protect": "sealed"}}),
        rule(then={"protect": "sealed"}, whole_message=True),
        rule(**{"continue": True, "then": {"tags": ["x"], "lowers": "because it is so"}}),
        rule(then={"protect": "sealed", "tags": [f"t{n}" for n in range(33)]}),
        *[policy(guards=[{"rule": "g", "continue": True, "then": {"raise": "sealed", **more}}])
          for more in ({"lowers": "because it is so"}, {"header": {"strip": ["x"]}}, {"portal": {"reply": False}},
                       {"copy": "a@b.example"}, {"expire": "1d"})]],
    "lists.json": [
        {"a": {"kind": "domains"}}, {"a": {"entries": ["x.example"]}}, {"a": {"kind": "people", "entries": []}},
        {"a": {"kind": "domains", "entries": ["x.example"], "file": "domains.txt"}},
        {"a": {"kind": "domains", "entries": "x.example"}}, {"a": {"kind": "domains", "entries": [5]}},
        {"A b": {"kind": "domains", "entries": []}}, {"a": []},
        {"a": {"kind": "domains", "entries": [], "until": "2026-01-01"}}, {"a": {"kind": "domains", "entries": [""]}},
        {"a": {"kind": "domains", "entries": ["two words.example"]}}, {"a": {"kind": "domains", "entries": ["n@x.example"]}},
        {"a": {"kind": "addresses", "entries": ["x.example"]}}],
    "partners.json": [
        {"partners": {}}, {"version": 2, "partners": {}}, {"version": 1}, {"version": 1, "partners": []},
        {"version": 1, "partners": {}, "partnerz": {}}, {"version": 1, "partners": {"a b": {}}},
        {"version": 1, "partners": {"": {}}}, {"version": 1, "partners": {"lab.example": "x"}}, partners(level="tls"),
        partners(level=3), partners(level="plain"), partners(keyz=[]), partners(keys=["ab"]), partners(keys=KEY),
        partners(keys=[KEY] * 9), partners(names=["a b"]), partners(names=["x"] * 5), partners(ca_keys=[5]),
        partners(next_hop=25), partners(note=[]), partners(keys=[KEY], level="tls:dane")],
    "preferences.json": [
        {"preferences": []}, {"version": 2, "preferences": []}, {"version": 1}, {"version": 1, "preferences": {}},
        {"version": 1, "preferences": [], "more": 1}, wish(preference="plain"), wish(preference="plain", warning="w"),
        wish(preference="fax"), wish(recipient="b.example"), wish(given="yesterday"), wish(until="never"), wish(by=""),
        wish(who="x"), {"version": 1, "preferences": [{"recipient": "a@b.example"}]},
        {"version": 1, "preferences": ["a@b.example"]}],
    "test.json": [
        {"policy": "policy.json", "cases": [case()]}, {**suite(case()), "version": 2}, {"version": 1, "cases": [case()]},
        {"version": 1, "policy": "policy.json"}, suite(), suite(case(expct={})), suite(case(expect={"rul": "default"})),
        suite(case(expect={"floor": "tls"})), suite(case(expect={"do": "nothing"})), suite(case(expect={"tags": "x"})),
        suite(case(when={"recipient.adress": "a@b.example"})), suite(case(when=[])), suite(case(), given={"phi.klass": "phi"}),
        suite(case(delivery={"offers": "none"})), suite(case(delivery=[{"rung": "portal"}])),
        suite(case(delivery=[{"offers": "none"}])), suite(case(delivery=[{"offers": "tls", "rung": "portal"}])),
        suite(case(delivery=[{"offers": "none", "rung": "fax"}])),
        suite(case(delivery=[{"offers": "none", "rung": "portal", "wait": True}])),
        suite(case(delivery=[{"offers": "none", "after": "soon", "rung": "portal"}])),
        suite(case(delivery=[{"offers": "none", "keys": ["x"], "rung": "portal"}])), suite(case(), more=1), suite("a case")],
}


def take(folder, kind, documents):
    """Whether the program that reads such files takes them, one by one."""
    paths = []
    for n, document in enumerate(documents):
        mains = {"policy.json": document, "lists.json": policy(lists=document),
                 "preferences.json": policy(preferences={"file": "p.json"}),
                 "partners.json": policy(lists={"p": {"kind": "partners", "file": "partners.json"}})}
        own = {"preferences.json": "p.json", "partners.json": "partners.json"}.get(kind, "policy.test.json")
        place = folder / str(n)
        place.mkdir()
        (place / "domains.txt").write_text("x.example\n")
        (place / "policy.json").write_text(json.dumps(mains.get(kind, policy())))
        (place / own).write_text(json.dumps(document))
        paths.append(place / ("policy.test.json" if kind == "test.json" else "policy.json"))
    words = ("policy", "test" if kind == "test.json" else "check", *paths, "--json")
    told = json.loads(run(*words, code=None))
    assert len(told) == len(documents)
    if kind != "test.json":
        return [one["ok"] for one in told]
    return [one["passed"] > 0 and one["failed"] == 0 and not [p for p in one["problems"] if p["severity"] == "error"]
            for one in told]


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda p: p.stem)
def test_schemas_are_schemas(path):
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))


@pytest.mark.parametrize("kind", RIGHT)
def test_right_files_pass_both(kind, tmp_path):
    for document, taken in zip(RIGHT[kind], take(tmp_path, kind, RIGHT[kind])):
        assert not list(checker(kind).iter_errors(document)), document
        assert taken, document


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files_pass_neither(kind, tmp_path):
    passed = []
    for document, taken in zip(WRONG[kind], take(tmp_path, kind, WRONG[kind])):
        if not list(checker(kind).iter_errors(document)):
            passed.append(("schema", document))
        if taken:
            passed.append(("program", document))
    assert not passed, "\n".join(f"{who}: {json.dumps(document)}" for who, document in passed)


def test_every_shipped_file_and_every_list_in_them_is_valid():
    seen = 0
    for path in SHIPPED:
        document = plain(path.read_text())
        assert not list(checker("policy.json").iter_errors(document)), path
        assert not list(checker("lists.json").iter_errors(document.get("lists", {}))), path
        assert not list(checker("test.json").iter_errors(plain(path.with_name(f"{path.stem}.test.json").read_text()))), path
        seen += 1
    assert seen == 5
    assert not list(checker("sites.json").iter_errors(plain((ROOT / "policies/sites.json").read_text())))
    for kind, name, text in BLOCK.findall(GUIDE):
        if kind == "file" and not name.endswith(".json"):
            continue
        schema = {"policy": "policy.json", "layer": "policy.json", "test": "test.json"}.get(kind, pathlib.Path(name).name)
        assert not list(checker(schema).iter_errors(plain(text))), name
