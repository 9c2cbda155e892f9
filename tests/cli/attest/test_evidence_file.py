"""`sodbench attest quote`: evidence in a file, and what verify says about it later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jwt
import pytest

from harness.attest.evidence import RefusedError
from harness.attest.examine import evidence_file
from harness.attest.examine.outcome import Round
from harness.attest.examine.round import Examiner
from harness.attest.reasons import Reason
from harness.attest.reference.files import load_policy
from harness.attest.reference.policy import ReferenceValues
from harness.attest.result import AttestationResult
from harness.cli.attest import verify as verify_verb
from harness.clock import NS_PER_S, MonotonicClock, realtime_ns
from harness.registry import places
from harness.registry.registry import open_registry
from tests.cli.command import Attest

pytestmark = pytest.mark.programs


def test_a_stored_quote_is_judged_once(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "evidence.json"
    said = enrolled("quote", "a", "--out", out)
    assert (said.code, said.err) == (0, "")
    assert "Its nonce lives for 30 s." in said.out
    with open_registry(places.registry_url()) as registry:
        assert registry.latest("a") is None
    assert enrolled("verify", "--evidence", out).code == 0
    again = enrolled("verify", "--evidence", out)
    assert (again.code, "nonce-reused" in again.err) == (14, True)
    # Looking at an old file is no reason to distrust the machine.
    assert enrolled("verify", "a").code == 0


def test_a_stored_quote_speaks_for_its_own_machine_only(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "evidence.json"
    assert enrolled("quote", "a", "--out", out).code == 0
    content = json.loads(out.read_text())
    out.write_text(json.dumps({**content, "attester": "b"}))
    said = enrolled("verify", "--evidence", out)
    assert (said.code, "nonce-mismatch" in said.err) == (14, True)
    assert enrolled("verify", "b").code == 0


def test_changed_evidence_is_refused(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "evidence.json"
    assert enrolled("quote", "a", "--out", out).code == 0
    content = json.loads(out.read_text())
    content["evidence"]["pcrs"]["7"] = content["evidence"]["pcrs"]["0"]
    out.write_text(json.dumps(content))
    said = enrolled("verify", "--evidence", out)
    assert (said.code, "pcr-digest" in said.err) == (14, True)
    assert enrolled("verify", "a").code == 0, "whoever altered a file holds no machine"


def test_one_file_that_is_judged_by_several_at_once_holds_nobody(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "evidence.json"
    assert enrolled("quote", "a", "--out", out).code == 0
    kept = evidence_file.read(out)
    with open_registry(places.registry_url()) as registry:
        assert registry.consume(kept.nonce)
        policy = load_policy(places.policy_file("lab"))
        reference = ReferenceValues(version=1)
        examiner = Examiner(registry, lambda _name: policy, lambda _name: reference, MonotonicClock())
        issue, now = registry.issued(kept.nonce), registry.now()
        assert issue is not None
        # The other looked at the nonce before it was used.
        asked = evidence_file.answerable(kept, replace(issue, used=False), now)
        with pytest.raises(RefusedError) as lost:
            examiner.judge("a", asked, kept.evidence)
    assert lost.value.reason is Reason.NONCE_REUSED
    assert enrolled("verify", "a").code == 0


def test_a_token_ends_with_its_result_whenever_it_is_written(
    enrolled: Attest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "results.jwt"
    real = verify_verb._write_tokens

    def late(rounds: Sequence[Round], path: Path) -> None:
        real([replace(one, result=aged(one.result, 8 * NS_PER_S)) for one in rounds], path)

    monkeypatch.setattr(verify_verb, "_write_tokens", late)
    assert enrolled("verify", "a", "--ear", out).code == 0
    claims = jwt.decode(out.read_text().strip(), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 60
    assert claims["exp"] <= realtime_ns() / NS_PER_S + 52


def aged(result: AttestationResult, by_ns: int) -> AttestationResult:
    """The same result, generated that much earlier."""
    return replace(result, generated_ns=result.generated_ns - by_ns, expires_ns=result.expires_ns - by_ns)


def test_a_file_of_evidence_that_is_not_there_is_told_with_what_to_do(attest: Attest, tmp_path: Path) -> None:
    said = attest("verify", "--evidence", tmp_path / "none.json")
    assert (said.code, "cannot be read" in said.err, "Errno" in said.err) == (12, True, False)
    assert "check the path" in said.err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1}'])
def test_a_file_of_something_else_is_no_evidence(attest: Attest, tmp_path: Path, content: str) -> None:
    out = tmp_path / "evidence.json"
    out.write_text(content)
    said = attest("verify", "--evidence", out)
    assert (said.code, "not a file of evidence" in said.err) == (12, True)


def test_a_file_of_another_version_names_both_versions(attest: Attest, tmp_path: Path) -> None:
    out = tmp_path / "evidence.json"
    out.write_text('{"version": 2}')
    said = attest("verify", "--evidence", out)
    assert (said.code, "a file of evidence of version 2" in said.err) == (12, True)
    assert "reads version 1" in said.err
