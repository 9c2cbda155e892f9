"""What tests of the verifier expect of a refusal."""

from __future__ import annotations

from harness.attest.played.logs import Line
from harness.attest.reasons import Reason, Tier
from harness.attest.result import worst
from harness.attest.verify.verifier import Verification

NEW_FILE = Line(path=b"/usr/bin/new", content=b"new")
"""A file that no reference value knows."""


def refused(verification: Verification, reason: Reason, step: str) -> None:
    """It ended at `step` with `reason`, and nothing of the platform got out if that was before the last."""
    result = verification.result
    assert result.reason is reason, result.detail
    assert verification.steps[-1].name == step
    assert not verification.accepted
    assert verification.memory is None
    assert result.tier in {Tier.NONE, Tier.CONTRAINDICATED}
    assert worst(result.vector) is result.tier
    if step != "appraisal":
        assert result.claims == {}


def said(found: Verification, key: str) -> list[str]:
    """A list among the claims."""
    listed = found.result.claims[key]
    assert isinstance(listed, list)
    return listed
