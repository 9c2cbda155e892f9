"""Honest evidence, changed in every way of a sort: none is accepted, and all that are possible are tried."""

from __future__ import annotations

import pytest

from harness.attest.evidence import KeyType
from tests.attest.adversary import table
from tests.attest.adversary.case import KINDS
from tests.attest.adversary.conftest import Ledger
from tests.attest.adversary.stage import Stage

FORMS_OF_A_BYTE = {"truncations": 1, "bit-flips": 8, "byte-deletions": 1, "byte-insertions": 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", table.SWEEPS)
def test_no_changed_form_is_accepted(
    name: str, kind: KeyType, stages: dict[KeyType, Stage], ledger: Ledger
) -> None:
    stage = stages[kind]
    done = table.sweep(name, stage)
    ledger.sweeps.append(done)
    ways, _, field = name.partition("-of-the-")
    length = len(getattr(stage.honest().evidence, field))
    assert done.tried == length * FORMS_OF_A_BYTE[ways] + (ways == "byte-insertions")
    assert done.false_accepts == 0
    assert stage.honest().verify().accepted
