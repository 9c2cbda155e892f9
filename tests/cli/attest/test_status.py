"""`sodbench attest status`, `revoke` and `release`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.registry import places
from tests.cli.command import Attest

pytestmark = pytest.mark.programs


def test_the_status_says_what_is_known_now(enrolled: Attest) -> None:
    before = {one["id"]: one for one in json.loads(enrolled("status", "--json").out)}
    assert {(one["tier"], one["why"]) for one in before.values()} == {("none", "never attested")}
    assert enrolled("verify", "a").code == 0
    after = {one["id"]: one for one in json.loads(enrolled("status", "--json").out)}
    assert (after["a"]["tier"], after["a"]["why"]) == ("affirming", "accepted")
    assert 0 <= after["a"]["last"]["age_s"] < 60
    assert after["b"]["tier"] == "none"
    line = next(one for one in enrolled("status").out.splitlines() if one.split()[:1] == ["a"])
    assert "(software)" in line
    assert "ecc-p256" in line
    assert "affirming, accepted," in line
    assert line.rstrip().endswith("s ago")


def test_a_result_that_expired_is_no_result(
    enrolled: Attest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "short.yml"
    text = places.policy_file("lab").read_text()
    short.write_text(text.replace("result_lifetime_s: 60", "result_lifetime_s: 0.001"))
    assert enrolled("verify", "a", "--policy", short).code == 0
    (one,) = [one for one in json.loads(enrolled("status", "--json").out) if one["id"] == "a"]
    assert (one["tier"], one["why"]) == ("none", "expired; was affirming")


def test_a_revoked_host_is_contraindicated_for_good(enrolled: Attest) -> None:
    assert enrolled("verify", "b").code == 0
    assert enrolled("revoke", "b", "--why", "sold").code == 0
    said = enrolled("verify", "b")
    assert (said.code, "key-revoked" in said.words) == (14, True)
    (one,) = [one for one in json.loads(enrolled("status", "--json").out) if one["id"] == "b"]
    assert (one["tier"], one["why"], one["revoked"]) == ("contraindicated", "revoked", True)
    said = enrolled("enrol", "b", "--renew")
    assert (said.code, "revoked" in said.err) == (14, True)


@pytest.mark.parametrize("verb", ["revoke", "release"])
def test_only_who_is_enrolled_can_be_dismissed(attest: Attest, verb: str) -> None:
    said = attest(verb, "a", "--why", "gone")
    assert (said.code, "not-enrolled" in said.err) == (14, True)
    assert attest(verb, "a").code == 2
