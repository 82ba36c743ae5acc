"""Every operator on facts of every kind: what is taken, what is not, and what doubt does."""
import json

import pytest

from test_policy_tools import run

ADDRESS = {"recipient.address": "Pat@Lab.example"}
UNKNOWN = {"unknown": True}
MATCH = [  # condition, facts, whether a rule that asks it is taken
    # texts: equal without regard to case, any of, globs over all of it, expressions anywhere
    ({"recipient.domain": "LAB.example"}, ADDRESS, True), ({"recipient.domain": "ab.example"}, ADDRESS, False),
    ({"recipient.address": ["x@y.example", "pat@lab.example"]}, ADDRESS, True),
    ({"recipient.address": {"like": "p?t@*.example"}}, ADDRESS, True),
    ({"recipient.address": {"like": "at@lab*"}}, ADDRESS, False),
    ({"recipient.address": {"regex": "(?i)^pat@l[ab]+\\.example$"}}, ADDRESS, True),
    ({"recipient.address": {"regex": "^at"}}, ADDRESS, False), ({"recipient.domain": {"in": "labs"}}, ADDRESS, True),
    ({"recipient.address": {"in": ["people", "labs"]}}, ADDRESS, True),
    ({"recipient.address": {"in": "people"}}, {"recipient.address": "NURSE@here.example"}, True),
    ({"recipient.domain": {"in": "labs"}}, {"recipient.address": "a@north.group.example"}, True),
    ({"recipient.domain": {"in": "labs"}}, {"recipient.address": "a@group.example"}, False),
    ({"recipient.domain": {"in": "labs"}}, {"recipient.address": "a@ended.example", "time": "2026-01-01T06:00:00Z"}, False),
    ({"recipient.domain": {"in": "labs"}}, {"recipient.address": "a@ended.example", "time": "2026-01-01T05:59:59Z"}, True),
    ({"recipient.domain": {"resembles": "labs"}}, {"recipient.address": "a@lba.example"}, True),
    ({"recipient.domain": {"resembles": "labs"}}, ADDRESS, False),
    # names that are not ASCII, as people write them and as they are in mail
    ({"recipient.domain": "b\u00fccher.example"}, {"recipient.address": "a@b\u00fccher.example"}, True),
    ({"recipient.address": {"like": "*@b\u00fccher.example"}}, {"recipient.address": "a@xn--bcher-kva.example"}, True),
    ({"sender.domain": "xn--bcher-kva.example"}, {"sender.address": "a@b\u00fccher.example"}, True),
    ({"from.address": "a@b\u00fccher.example"}, {"from.address": "a@xn--bcher-kva.example"}, True),
    # numbers and ordered names
    ({"recipient.count": 3}, {"recipient.count": 3}, True), ({"recipient.count": [1, 2]}, {"recipient.count": 3}, False),
    ({"message.size": {"at_least": 1000}}, {"message.size": 1000}, True),
    ({"message.size": {"below": 1000}}, {"message.size": 1000}, False),
    ({"message.size": {"at_least": "25MiB"}}, {"message.size": 26214400}, True),
    ({"phi.score": {"at_least": 80}}, {"phi.score": 79}, False),
    ({"phi.class": {"at_least": "phi"}}, {"phi.class": "severe"}, True),
    ({"phi.class": {"below": "phi"}}, {"phi.class": "phi"}, False),
    ({"phi.class": ["none", "severe"]}, {"phi.class": "severe"}, True),
    ({"domain.remembered": {"at_least": "tls:verified"}}, {"domain.remembered": "tls:dane"}, True),
    ({"domain.remembered": {"below": "tls:verified"}}, {"domain.remembered": "never-seen"}, True),
    ({"domain.remembered": "never-seen"}, {"domain.remembered": "plain"}, False),
    ({"phi.count.MRN": {"at_least": 2}}, {"phi.count.MRN": 2}, True),
    ({"phi.distinct.US_SSN": {"at_least": 1}}, {"phi.count.MRN": 2}, False),
    ({"phi.count.MRN": 0}, {}, True),
    # the place's hour and day, summer time too
    ({"time.hour": {"below": 6}}, {"time": "2026-07-01T10:30:00Z"}, True),
    ({"time.hour": {"below": 6}}, {"time": "2026-12-01T12:30:00Z"}, False),
    ({"time.weekday": ["saturday", "sunday"]}, {"time": "2026-11-23T03:00:00Z"}, True),
    ({"time.weekday": ["saturday", "sunday"]}, {"time": "2026-11-23T07:00:00Z"}, False),
    # closed lists, truths, sets
    ({"message.kind": ["dsn", "mdn"]}, {"message.kind": "mdn"}, True),
    ({"message.sealed": "none"}, {"message.sealed": "signed"}, False),
    ({"scan": ["partial", "failed"]}, {"scan": "partial"}, True),
    ({"recipient.first_contact": True}, {"recipient.first_contact": True}, True),
    ({"recipient.first_contact": False}, {"recipient.first_contact": True}, False),
    ({"attachment.opaque": True}, {"attachment.opaque": True}, True),
    ({"phi.special": {"has": ["hiv", "genetic"]}}, {"phi.special": ["genetic", "vip"]}, True),
    ({"phi.special": {"has": "hiv"}}, {"phi.special": ["vip"]}, False),
    ({"phi.special": {"exists": True}}, {"phi.special": []}, False),
    ({"attachment.type": ["application/zip", "application/pdf"]}, {"attachment.type": ["text/plain", "application/pdf"]}, True),
    ({"attachment.type": {"like": "image/*"}}, {"attachment.type": ["IMAGE/png"]}, True),
    ({"attachment.name": {"regex": "(?i)\\.(exe|js)$"}}, {"attachment.name": ["a.pdf", "run.JS"]}, True),
    ({"attachment.name": {"like": "*.js"}}, {"attachment.name": ["a.pdf"]}, False),
    # header fields, the subject and its word, labels
    ({"header.X-Clinic": "North"}, {"header.x-clinic": "north"}, True),
    ({"header.x-clinic": {"exists": True}}, {"header.x-clinic": "n"}, True),
    ({"header.x-clinic": {"exists": True}}, {"header.x-other": "n"}, False),
    ({"subject": {"like": "*result*"}}, {"subject": "Your Results"}, True),
    ({"subject.tag": "secure"}, {"subject": "[SECURE] hello"}, True),
    ({"subject.tag": "secure"}, {"subject": "hello [secure]"}, False),
    ({"label": "phi"}, {"label": ["1f0c8a52-0000-4000-8000-000000000001"]}, True),
    ({"label": "phi"}, {"label": ["other"]}, False),
    ({"from.address": {"like": "*@here.example"}}, {"from.address": "a@here.example"}, True),
    ({"sender.group": "desk"}, {"sender.address": "nurse@here.example"}, True),
    ({"sender.group": "desk"}, {"sender.address": "x@here.example"}, False),
    ({"recipient.preference": {"exists": False}}, {}, True),
    ({"recipient.preference_by": "recipient"}, {"recipient.preference_by": "registry"}, False),
    # joined: keys by and, any, all, not, nested
    ({"phi.class": "phi", "recipient.domain": "lab.example"}, {**ADDRESS, "phi.class": "phi"}, True),
    ({"phi.class": "phi", "recipient.domain": "lab.example"}, {**ADDRESS, "phi.class": "none"}, False),
    ({"any": [{"subject": "x"}, {"all": [{"phi.class": "phi"}, {"not": {"recipient.domain": "a.example"}}]}]},
     {**ADDRESS, "phi.class": "phi"}, True),
    ({"any": [{"subject": "x"}, {"phi.class": "severe"}], "not": {"recipient.domain": "lab.example"}},
     {**ADDRESS, "phi.class": "severe"}, False),
    # doubt: a rule that protects is taken; not of unknown is unknown, too; and false settles an and, true an or
    ({"phi.class": "severe"}, {"phi.class": UNKNOWN}, True), ({"not": {"phi.class": "none"}}, {"phi.class": UNKNOWN}, True),
    ({"phi.class": "severe", "recipient.domain": "other.example"}, {**ADDRESS, "phi.class": UNKNOWN}, False),
    ({"any": [{"phi.class": "severe"}, {"recipient.domain": "lab.example"}]}, {**ADDRESS, "phi.class": UNKNOWN}, True),
]
POLICY = {"version": 1, "settings": {"timezone": "America/Chicago"},
          "lists": {"labs": {"kind": "domains", "file": "labs.txt"},
                    "people": {"kind": "addresses", "entries": ["nurse@here.example"]}},
          "groups": {"desk": {"list": "people"}}, "labels": {"phi": "1f0c8a52-0000-4000-8000-000000000001"},
          "ladders": {"best": {"rungs": ["portal"], "floor": "sealed"},
                      "usual": {"rungs": ["tls:encrypted", "portal"], "floor": "tls:encrypted"}},
          "default": {"protect": "usual"}}
GIVEN = {"sender.address": "dr@here.example", "recipient.address": "a@b.example"}


def outcomes(folder, cases, then, **more):
    """Whether the rule decides in each case: a policy for each condition, since each rule would stand before the next."""
    (folder / "labs.txt").write_text("lab.example # of ours\n.group.example\nended.example until=2026-01-01\n")
    paths = []
    for n, (when, facts) in enumerate(cases):
        rule = {"rule": "asked", **({"when": when} if when else {}), "then": then, **more}
        (folder / f"p{n}.json").write_text(json.dumps({**POLICY, "rules": [rule]}))
        paths.append(folder / f"p{n}.test.json")
        paths[-1].write_text(json.dumps({"version": 1, "policy": f"p{n}.json", "given": GIVEN,
                                         "cases": [{"name": "one", "when": facts, "expect": {}}]}))
    return [told["cases"][0]["rule"] == "asked" for told in json.loads(run("policy", "test", *paths, "--json"))]


def test_conditions_take_what_they_say(tmp_path):
    seen = outcomes(tmp_path, [(when, facts) for when, facts, _ in MATCH], {"protect": "best"})
    wrong = [(when, facts) for (when, facts, taken), got in zip(MATCH, seen) if taken != got]
    assert not wrong, "\n".join(map(str, wrong))


CUT = {"scan": "partial", "phi.special": ["hiv"], "phi.score": 60, "phi.count.MRN": 40, "phi.distinct.MRN": 12}
FOUND = [  # condition on what a scan found before it was cut: true, false or unknown (None)
    ({"phi.special": {"has": "hiv"}}, True), ({"phi.special": {"has": ["part2", "hiv"]}}, True),
    ({"phi.special": {"has": "part2"}}, None), ({"phi.special": {"exists": True}}, True),
    ({"phi.special": {"exists": False}}, False), ({"phi.special": {"like": "h*"}}, True),
    ({"phi.score": {"at_least": 60}}, True), ({"phi.score": {"at_least": 61}}, None), ({"phi.score": {"below": 60}}, False),
    ({"phi.score": {"below": 61}}, None), ({"phi.score": [3, 59]}, False), ({"phi.score": [3, 60]}, None),
    ({"phi.count.MRN": {"at_least": 20}}, True), ({"phi.distinct.MRN": {"at_least": 20}}, None),
    ({"phi.distinct.MRN": {"below": 12}}, False), ({"phi.distinct.MRN": {"below": 13}}, None), ({"phi.count.MRN": 12}, False),
    ({"phi.count.MRN": {"exists": True}}, True), ({"phi.count.NPI": {"exists": True}}, None),
    ({"phi.count.NPI": {"exists": False}}, None),
    ({"phi.count.NPI": 0}, None), ({"phi.class": "severe"}, True), ({"not": {"phi.special": {"exists": True}}}, False),
    ({"not": {"phi.special": {"has": "part2"}}}, None)]


def test_what_was_found_before_a_scan_was_cut_is_the_least_there_is(tmp_path):
    for n, (more, wanted) in enumerate([({}, lambda t: t is not False), ({"certain": True}, lambda t: t is True)]):
        (tmp_path / str(n)).mkdir()
        seen = outcomes(tmp_path / str(n), [(when, CUT) for when, _ in FOUND], {"protect": "best"}, **more)
        wrong = [(when, truth) for (when, truth), taken in zip(FOUND, seen) if taken != wanted(truth)]
        assert not wrong, "\n".join(map(str, wrong))
    seen = outcomes(tmp_path, [(when, {**CUT, "scan": "failed"}) for when, _ in FOUND], {"protect": "best"}, certain=True)
    assert seen == [when == {"phi.class": "severe"} for when, _ in FOUND]  # nothing is known then


def test_doubt_never_takes_a_rule_that_lowers_or_protects_no_better(tmp_path):
    doubts = [({"phi.class": "none"}, {"phi.class": UNKNOWN}), ({"not": {"phi.class": "severe"}}, {"phi.class": UNKNOWN}),
              ({"phi.special": {"exists": False}}, {"phi.special": UNKNOWN}),
              ({"recipient.first_contact": False}, {"recipient.first_contact": UNKNOWN})]
    assert outcomes(tmp_path, doubts, {"protect": "usual"}) == [False] * len(doubts)
    assert outcomes(tmp_path, doubts, {"protect": "best"}) == [True] * len(doubts)
    lowering = {"protect": {"rungs": ["plain"], "floor": "plain"}, "lowers": "the recipient was warned, and wishes it"}
    assert outcomes(tmp_path, doubts, lowering) == [False] * len(doubts)


QUARANTINE = {"hold": {"for": "quarantine", "protect": "best"}}
BEHIND = [  # rules behind a hold in doubt (when, then); floor, ladder, rule, what is done
    ([({"recipient.domain": "lab.example"}, {"protect": "best"})], "sealed", "best", "h", "hold"),
    ([({"recipient.domain": "other.example"}, {"protect": "best"})], "tls:encrypted", "usual", "h", "hold"),
    ([({"phi.class": "severe"}, {"protect": "best"})], "sealed", "best", "h", "hold"),
    ([({}, {"raise": "tls:dane"})], "tls:dane", "usual", "h", "hold"),
    ([({}, {"protect": "usual"}), ({}, {"protect": "best"})], "tls:encrypted", "usual", "h", "hold"),
    ([({"phi.class": "phi"}, QUARANTINE)], "sealed", "best", "h", "hold"),
    ([({}, {"reject": "no"})], None, None, "r0", "reject"),
    ([({"phi.class": "phi"}, {"reject": "no"})], "tls:encrypted", "usual", "h", "hold"),
    ([({"phi.class": "phi"}, {"reject": "no"}), ({}, {"protect": "best"})], "sealed", "best", "h", "hold"),
    ([({"phi.class": "phi"}, {"reject": "no"}), ({}, {"reject": "no"})], None, None, "r1", "reject")]


def test_behind_a_hold_in_doubt_the_safer_rules_are_heard(tmp_path):
    hold = {"rule": "h", "when": {"phi.class": "phi"}, "then": {"hold": {"for": "approval", "protect": "usual"}}}
    paths = []
    (tmp_path / "labs.txt").write_text("lab.example\n")
    for n, (rules, floor, ladder, rule, verb) in enumerate(BEHIND):
        behind = [{"rule": f"r{i}", **({"when": when} if when else {}), "then": then, "continue": "raise" in then}
                  for i, (when, then) in enumerate(rules)]
        (tmp_path / f"p{n}.json").write_text(json.dumps({**POLICY, "texts": {"no": "No."}, "rules": [hold, *behind]}))
        paths.append(tmp_path / f"p{n}.test.json")
        expect = {"rule": rule, "do": verb, **({"floor": floor, "ladder": ladder} if floor else {})}
        sure = {"rule": "h", "floor": "tls:encrypted", "ladder": "usual"}
        paths[-1].write_text(json.dumps({"version": 1, "policy": f"p{n}.json", "given": {**GIVEN, **ADDRESS}, "cases": [
            {"name": f"doubt {n}", "when": {"phi.class": UNKNOWN}, "expect": expect},
            {"name": f"certain {n}", "when": {"phi.class": "phi"}, "expect": sure}]}))
    told = json.loads(run("policy", "test", *paths, "--json", code=None))
    failed = [c for file in told for c in file["cases"] if not c["passed"]]
    assert not failed, failed


# days are those of the policy's time zone: in Chicago they begin six hours later than in UTC, in summer five
@pytest.mark.parametrize("now,taken", [("2026-01-01T05:59:59Z", False), ("2026-01-01T06:00:00Z", True),
                                       ("2026-06-30T04:59:59Z", True), ("2026-06-30T05:00:00Z", False)])
def test_a_rule_holds_between_its_dates(tmp_path, now, taken):
    dates = {"from": "2026-01-01", "until": "2026-06-30"}
    assert outcomes(tmp_path, [({}, {"time": now})], {"protect": "best"}, **dates) == [taken]
