"""Every check that closes an attack is taken out once, and the attack then breaks through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.attest.identity import authorities, enrolment
from tests.attest.adversary import table
from tests.attest.adversary.stage import Stage
from tests.security.removed import Removed, gone

Attack = Callable[[Path], bool]
"""Carries an attack out, with a folder for its files; whether it was noticed."""


def case(name: str) -> Attack:
    """An attack of the adversary's table."""
    found = next(one for one in table.CASES if one.id == name)

    def noticed(_folder: Path) -> bool:
        return table.said(found.forge(Stage(found.kinds[0]))) == found.expected

    return noticed


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (
        Removed(function=enrolment.facts, check=" or authorities.from_machine", by=""),
        case("chip-by-its-own-machine"),
    ),
    (
        Removed(function=authorities.of_machine, check="replace(found, from_machine=True)", by="found"),
        case("chip-by-its-own-machine"),
    ),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "without").mkdir()
    assert attack(tmp_path / "whole")
    with gone(removed):
        assert not attack(tmp_path / "without")
