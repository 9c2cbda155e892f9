"""What the adversary's tests share: the honest platforms, and the record of a whole run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from harness.attest.evidence import KeyType
from tests.attest.adversary import hunt, mutants, table
from tests.attest.adversary.case import KINDS
from tests.attest.adversary.hunt import Forged, Hunt
from tests.attest.adversary.stage import Stage
from tests.attest.adversary.table import Outcome, Sweep


@dataclass(slots=True)
class Ledger:
    """What the tests found, in the order in which they ran."""

    outcomes: list[Outcome] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    hunts: dict[str, Hunt] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every part of the suite ran."""
        return (
            len(self.outcomes) == len(list(table.rows()))
            and len(self.sweeps) == len(table.SWEEPS) * len(KINDS)
            and len(self.hunts) == len(mutants.MODULES)
        )


@pytest.fixture(scope="session")
def stages() -> dict[KeyType, Stage]:
    """An honest platform of each key type."""
    return {kind: Stage(kind) for kind in KINDS}


@pytest.fixture(scope="session")
def scenes(stages: dict[KeyType, Stage]) -> tuple[Forged, ...]:
    """Every case, forged once."""
    return hunt.forged(stages)


@pytest.fixture(scope="session")
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """Collects what is found; after a whole run it is written to ``adversary.json`` in pytest's cache."""
    kept = Ledger()
    yield kept
    cache = request.config.cache
    if kept.complete and cache is not None:
        hunts = kept.hunts.values()
        found = sum(one.tried for one in hunts), sum(one.caught for one in hunts)
        table.write(cache.mkdir("sodbench") / "adversary.json", kept.outcomes, kept.sweeps, found)
