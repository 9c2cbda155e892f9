"""The table notices when any check is missing: each refusal, each condition of one, each of the steps."""

from __future__ import annotations

from types import FunctionType

import pytest

from harness.attest.verify import verifier
from tests.attest.adversary import hunt, mutants
from tests.attest.adversary.conftest import Ledger
from tests.attest.adversary.hunt import Forged

NAMES = [module.__name__.rpartition(".")[2] for module in mutants.MODULES]
STEPS = [step.name for step in verifier.STEPS]
PARTS = {
    step.name: tuple(part for part in step.parts if isinstance(part, FunctionType)) for step in verifier.STEPS
}
REFUSING = [(name, part.__name__) for name, parts in PARTS.items() for part in parts if mutants.refuses(part)]


def test_nothing_is_noticed_where_nothing_is_missing(scenes: tuple[Forged, ...]) -> None:
    assert list(hunt.changes(scenes)) == []
    assert list(hunt.false_accepts(scenes)) == []


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_missing_check_is_noticed(name: str, scenes: tuple[Forged, ...], ledger: Ledger) -> None:
    found = hunt.hunt(mutants.MODULES[NAMES.index(name)], scenes)
    ledger.hunts[name] = found
    assert found.tried > 0
    assert [f"line {mutant.line}: {mutant.id}" for mutant in found.survivors] == []
    assert not found.noticed, "it is not equivalent: take it off the list"


def test_what_is_listed_as_equivalent_is_there(scenes: tuple[Forged, ...]) -> None:
    there = {mutant.id for module in mutants.MODULES for mutant in mutants.of(module)}
    assert hunt.equivalent() <= there


@pytest.mark.parametrize(("name", "part"), REFUSING)
def test_a_step_that_refuses_nothing_lets_an_attack_through(
    name: str, part: str, scenes: tuple[Forged, ...]
) -> None:
    step = next(one for one in PARTS[name] if one.__name__ == part)
    with mutants.exchanged(step, mutants.without_refusals(step)):
        assert next(hunt.false_accepts(scenes), None)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_is_left_out_is_noticed(
    name: str, scenes: tuple[Forged, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "STEPS", tuple(step for step in verifier.STEPS if step.name != name))
    assert next(hunt.changes(scenes), None)


def test_every_step_refuses_something_itself() -> None:
    assert [len(PARTS[step.name]) for step in verifier.STEPS] == [len(step.parts) for step in verifier.STEPS]
    assert dict.fromkeys(name for name, _ in REFUSING) == dict.fromkeys(STEPS)


def test_there_are_twelve_steps_in_their_order() -> None:
    assert [step.number for step in verifier.STEPS] == list(range(1, 13))
    assert [
        *("structure", "scheme", "key", "signature", "origin", "freshness", "selection", "values"),
        *("clock", "event-log", "ima", "appraisal"),
    ] == STEPS
