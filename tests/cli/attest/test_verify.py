"""`sodbench attest verify`: verdicts on the machines of a rig, and the tokens that carry them."""

from __future__ import annotations

import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from harness.attest.tokens import ear
from harness.clock import NS_PER_S, realtime_ns
from harness.registry import places
from harness.registry.registry import open_registry
from tests.cli.command import Attest

pytestmark = pytest.mark.programs


def test_known_good_hosts_are_affirmed(enrolled: Attest) -> None:
    said = enrolled("verify")
    assert said.code == 0
    assert said.words.count("affirming") == said.words.count("accepted") == 2
    assert "Policy: lab." in said.out


def test_the_latency_is_told_by_phase(enrolled: Attest) -> None:
    said = enrolled("verify", "a", "--json")
    (one,) = json.loads(said.out)
    stamps = one["stamps_ns"]
    assert stamps["NS"] < stamps["ER"] < stamps["RG"] < stamps["RR"] <= stamps["RA"] < stamps["RX"]
    assert [number for number, _name, _ns in one["steps_ns"]] == list(range(1, 13))
    assert one["attester_ns"]["quoting_ns"] < one["attester_ns"]["quoted_ns"]
    assert one["result"]["tier"] == "affirming"
    total, quote, way, verification, _ = map(float, enrolled("verify", "a").out.splitlines()[1].split()[4:])
    assert total == pytest.approx(quote + way + verification, abs=0.2)


def test_without_reference_values_nothing_is_asked(attest: Attest) -> None:
    assert attest("enrol", "a", "--key", "ecc-p256").code == 0
    said = attest("verify", "a")
    assert said.code == 4
    assert "sodbench attest reference a" in said.err
    with open_registry(places.registry_url()) as registry:
        assert registry.results() == ()


def test_who_is_not_enrolled_is_not_affirmed(enrolled: Attest) -> None:
    assert enrolled("release", "b", "--why", "rebuilt").code == 0
    said = enrolled("verify")
    assert said.code == 14
    assert "not-enrolled" in said.words
    assert said.words.count("affirming") == 1


def test_the_default_policy_refuses_a_tpm_in_software(enrolled: Attest) -> None:
    said = enrolled("verify", "a", "--policy", "default")
    assert said.code == 14
    assert "software-tpm" in said.words
    assert "held" in enrolled("status").out


def test_results_leave_as_signed_tokens(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "results.jwt"
    said = enrolled("verify", "--ear", out)
    assert said.code == 0
    key_file = places.signing_key_file()
    assert key_file.stat().st_mode & 0o777 == 0o600
    public = load_pem_public_key(key_file.with_suffix(".pub.pem").read_bytes())
    assert str(key_file.with_suffix(".pub.pem")) in said.err
    tokens = out.read_text().split()
    claims = [ear.decode(one, public, now_s=realtime_ns() // NS_PER_S) for one in tokens]  # type: ignore[arg-type]
    assert [one["ear_status"] for one in claims] == ["affirming", "affirming"]
    assert [list(one["submods"]) for one in claims] == [["a"], ["b"]]  # type: ignore[arg-type]
    before = key_file.read_bytes()
    assert enrolled("verify", "a", "--ear", out).code == 0
    assert key_file.read_bytes() == before
    assert jwt.get_unverified_header(out.read_text().strip())["alg"] == "ES256"


def test_a_key_that_others_can_read_signs_nothing(enrolled: Attest, tmp_path: Path) -> None:
    assert enrolled("verify", "a", "--ear", tmp_path / "one.jwt").code == 0
    places.signing_key_file().chmod(0o644)
    said = enrolled("verify", "a", "--ear", tmp_path / "two.jwt")
    assert (said.code, "readable by others" in said.err) == (4, True)
    assert not (tmp_path / "two.jwt").exists()


def test_a_verdict_is_whole_in_a_pipe(enrolled: Attest, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("80", "40", "0"):
        monkeypatch.setenv("COLUMNS", columns)
        said = enrolled("verify")
        assert said.code == 0
        rows = [line.split()[:4] for line in said.out.splitlines() if line.split()[0] in {"a", "b"}]
        assert rows == [[name, "ecc-p256", "affirming", "accepted"] for name in ("a", "b")]
