"""Every key of every policy is read by something: one that nothing reads promises what never happens."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from harness.attest.reference import policy as appraisal
from harness.response import policy as response

ROOT = Path(__file__).parents[2] / "harness"
MODELS = {ROOT / "response/policy.py", ROOT / "attest/reference/policy.py"}
NAMED_ONLY = {"version"}
"""Keys that say something to whoever reads the file and nothing else."""


def _read(*places: str) -> Iterator[str]:
    """The names of all attributes that the programs in these places read."""
    for path in (path for place in places for path in sorted(ROOT.glob(place))):
        if path not in MODELS:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    yield node.attr


RESPONSE = frozenset(_read("response/**/*.py"))
APPRAISAL = frozenset(_read("attest/**/*.py", "campaign/run/attestation.py"))
KEYS = [
    *((response.ResponsePolicy, key, RESPONSE) for key in response.ResponsePolicy.model_fields),
    *((response.MovingTarget, key, RESPONSE) for key in response.MovingTarget.model_fields),
    *((appraisal.AppraisalPolicy, key, APPRAISAL) for key in appraisal.AppraisalPolicy.model_fields),
    *((appraisal.Require, key, APPRAISAL) for key in appraisal.Require.model_fields),
    *((appraisal.Limits, key, APPRAISAL) for key in appraisal.Limits.model_fields),
    *((appraisal.ReferenceValues, key, APPRAISAL) for key in appraisal.ReferenceValues.model_fields),
    *((appraisal.ImaReference, key, APPRAISAL) for key in appraisal.ImaReference.model_fields),
]


@pytest.mark.parametrize(("model", "key", "read"), KEYS, ids=[f"{m.__name__}.{k}" for m, k, _ in KEYS])
def test_every_key_is_read_by_something(model: type[BaseModel], key: str, read: frozenset[str]) -> None:
    spans = {f"{key.removesuffix('_s')}_ns"} if key.endswith("_s") else set()
    assert key in NAMED_ONLY or {key, *spans} & read, f"nothing reads {model.__name__}.{key}"
