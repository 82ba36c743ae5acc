"""Names as people write them: addresses that are not ASCII, and layers whose tenant or domain nobody has."""
import json

import pytest

from test_policy_tools import run

INNER, WRITTEN = "pat@xn--bcher-kva.example", "Pat@b\u00fccher.example"
TENANT = {"tenant": "clinic", "domains": ["clinic.example"], "proofs": {"networks": ["127.0.0.1/32"]}}


@pytest.fixture
def house(tmp_path):
    (tmp_path / "policies/layers").mkdir(parents=True)
    (tmp_path / "tenants").mkdir()
    (tmp_path / "tenants/clinic.json").write_text(json.dumps(TENANT))
    (tmp_path / "policies/policy.json").write_text(json.dumps({
        "version": 1, "extends": "hipaa-default", "preferences": {"file": "preferences.json"}}))
    (tmp_path / "policies/preferences.json").write_text('{"version": 1, "preferences": []}')
    (tmp_path / "sallyport.json").write_text(json.dumps({
        "node": "gw1", "hostname": "gw.example", "state_dir": str(tmp_path / "state"), "master_key": "k",
        "policy": "policies/policy.json", "tenants": "tenants", "listen": [{"address": "127.0.0.1:2525", "tls": "starttls"}],
        "tls": {"certificate": "c", "key": "k"}}))
    return tmp_path


@pytest.mark.parametrize("registered", [INNER, WRITTEN])
@pytest.mark.parametrize("asked", [INNER, WRITTEN])
def test_a_wish_is_found_however_the_address_is_written(house, registered, asked):
    config = house / "sallyport.json"
    run("preference", "set", registered, "no-mail", "--by", "letter", "--offline", "-c", config)
    [told] = json.loads(run("explain", "--policy", house / "policies/policy.json", "--from", "dr@clinic.example", "--to", asked,
                            "--json"))["recipients"]
    assert told["rule"] == "asked-for-no-mail" and told["to"].lower() == INNER
    assert "no-mail" in run("preference", "show", asked, "--offline", "-c", config)
    run("preference", "set", asked, "portal", "--by", "phone", "--offline", "-c", config)  # in its place, not beside it
    kept = json.loads((house / "policies/preferences.json").read_text())["preferences"]
    assert [e["preference"] for e in kept] == ["portal"]
    run("preference", "remove", registered, "--reason", "moved", "--offline", "-c", config)
    # and by hand
    (house / "policies/preferences.json").write_text(json.dumps({"version": 1, "preferences": [
        {"recipient": address, "preference": "portal", "given": "2026-01-01", "by": "x"} for address in (WRITTEN, INNER)]}))
    assert "stands in the registry already" in run("policy", "check", house / "policies/policy.json", "--json", code=1)


def told_by_check(house, word):
    problems = json.loads(run("check", "-c", house / "sallyport.json", "--json", code=None))["problems"]
    return [(p["severity"], p["text"]) for p in problems if word in p["text"]]


@pytest.mark.parametrize("where", ["policies/policy.json", "policies/layers/x.json"])
def test_it_is_told_where_reports_and_notices_reach_nobody(house, where):
    """Own mail goes at the settings' floor; `sealed` leaves it the portal alone."""
    rungs = {"ladders": {"by-key": {"rungs": ["smime", "pgp"], "floor": "sealed"}}, "default": {"protect": "by-key"}}
    (house / "policies/policy.json").write_text(json.dumps({"version": 1, **rungs}))
    layer = {"version": 1, **({"scope": {"tenant": "clinic", "domain": "clinic.example"}} if "layers" in where else rungs)}
    (house / where).write_text(json.dumps(layer))
    assert told_by_check(house, "reach nobody") == []
    (house / where).write_text(json.dumps({**layer, "settings": {"floor": "sealed"}}))
    assert [severity for severity, _ in told_by_check(house, "reach nobody")] == ["warning"]
    config = json.loads((house / "sallyport.json").read_text())
    config["portal"] = {"listen": "127.0.0.1:8443", "url": "https://x.example"}
    (house / "sallyport.json").write_text(json.dumps(config))
    assert told_by_check(house, "reach nobody") == []


def test_layers_of_nobody_are_told(house):
    layers = house / "policies/layers"

    def told():
        return told_by_check(house, "layer")
    (layers / "a.json").write_text(json.dumps({"version": 1, "scope": {"tenant": "Clinic", "domain": "clinic.example"}}))
    assert told() == []
    (layers / "b.json").write_text(json.dumps({"version": 1, "scope": {"tenant": "clinc"}, "settings": {"floor": "sealed"}}))
    [(severity, text)] = told()
    assert severity == "error" and 'no tenant is named "clinc"' in text
    (layers / "b.json").write_text(json.dumps({"version": 1, "scope": {"tenant": "clinic", "user": "dr@clnic.example"}}))
    [(severity, text)] = told()
    assert severity == "warning" and "clnic.example is not the tenant's" in text


def test_what_the_settings_let_nobody_have_is_told(house):
    def told(**when):
        (house / "policies/layers/a.json").write_text(json.dumps({
            "version": 1, "scope": {"tenant": "clinic"}, "ladders": {"portal": {"rungs": ["portal"], "floor": "sealed"}},
            "rules": [{"rule": "asks", "when": when, "then": {"protect": "portal"}}]}))
        return told_by_check(house, 'rule "asks" asks for')
    config = json.loads((house / "sallyport.json").read_text())
    config["intake"] = {**config.get("intake", {}), "size_limit": "2MiB", "max_recipients": 50}
    (house / "sallyport.json").write_text(json.dumps(config))
    for when in ({"tenant": "Clinic"}, {"recipient.count": {"at_least": 50}}, {"recipient.count": {"below": 51}},
                 {"message.size": {"at_least": "2MiB"}}, {"tenant": {"like": "c*"}}):
        assert told(**when) == [], when
    for when, text in [({"tenant": ["clinic", "clinc"]}, 'the tenant "clinc", and none is named so'),
                       ({"not": {"tenant": "clinc"}}, 'the tenant "clinc"'),
                       ({"recipient.count": {"at_least": 51}}, "a recipient.count of 51, and intake.max_recipients lets 50"),
                       ({"message.size": {"at_least": "3MiB"}}, "of 3145728, and intake.size_limit lets 2097152 in")]:
        [(severity, said)] = told(**when)
        assert severity == "warning" and text in said and said.startswith("line 1: "), said
