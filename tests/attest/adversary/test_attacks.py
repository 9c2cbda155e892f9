"""Every attack is refused with its own reason, and everything honest is accepted; with both types of keys."""

from __future__ import annotations

import inspect
import re
from collections import Counter

import pytest

from harness.attest.evidence import KeyType
from harness.attest.guest import history
from harness.attest.identity import endorsement
from harness.attest.reasons import Reason
from harness.attest.tpm import credential, wrapping
from tests.attest.adversary import mutants, table
from tests.attest.adversary.case import KINDS, Case
from tests.attest.adversary.conftest import Ledger
from tests.attest.adversary.stage import WARNING, Asked, Stage

ROWS = list(table.rows())


@pytest.mark.parametrize(("case", "kind"), ROWS, ids=[f"{case.id}-{kind}" for case, kind in ROWS])
def test_each_case_gets_its_own_answer(
    case: Case, kind: KeyType, stages: dict[KeyType, Stage], ledger: Ledger
) -> None:
    outcome = table.run(case, stages[kind])
    ledger.outcomes.append(outcome)
    assert outcome.got == case.expected, case.title
    assert outcome.verdict == ("accepted" if case.honest else "refused")


def test_ids_are_unique() -> None:
    twice = [name for name, count in Counter(case.id for case in table.CASES).items() if count > 1]
    assert not twice


def test_every_reason_of_a_check_has_an_attack() -> None:
    """Each reason that a module of the verifier names is expected of a case."""
    modules = (*mutants.MODULES, history, credential, wrapping, endorsement)
    named = {
        Reason[name]
        for module in modules
        for name in re.findall(r"Reason\.([A-Z_]+)", inspect.getsource(module))
    }
    expected = {case.expected.removeprefix(WARNING) for case in table.CASES}
    assert len(named) > 40
    assert {reason.value for reason in named} <= expected


@pytest.mark.parametrize("kind", KINDS)
def test_every_group_has_attacks_and_honest_cases(kind: KeyType) -> None:
    counted = Counter((case.group, case.honest) for case, of in ROWS if of == kind)
    for group in ("freshness", "keys", "structure", "pcrs", "logs", "clock", "guest", "policy"):
        assert counted[group, False] >= 10, group
        assert counted[group, True] >= 1, group


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_known_of_a_platform_before_all_of_it_is_genuine(
    kind: KeyType, stages: dict[KeyType, Stage]
) -> None:
    """Claims come with the steps of appraisal only, and nothing is remembered of what was refused."""
    with_claims = 0
    for case, of in ROWS:
        scene = case.forge(stages[kind]) if of == kind else None
        if not isinstance(scene, Asked):
            continue
        verification = scene.verify()
        last = verification.steps[-1].number
        assert bool(verification.result.claims) == (last == 12), case.id
        assert verification.accepted == case.honest, case.id
        with_claims += last == 12
    assert with_claims > 20
