"""Write the table to a file without pytest: ``python -m tests.attest.adversary FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.attest.adversary import hunt, mutants, table
from tests.attest.adversary.case import KINDS
from tests.attest.adversary.stage import Stage


def main(path: Path) -> int:
    """0 where every case got its answer, no changed form was accepted and no mutant survived."""
    stages = {kind: Stage(kind) for kind in KINDS}
    outcomes = [table.run(case, stages[kind]) for case, kind in table.rows()]
    sweeps = [table.sweep(name, stage) for name in table.SWEEPS for stage in stages.values()]
    scenes = hunt.forged(stages)
    hunts = [hunt.hunt(module, scenes) for module in mutants.MODULES]
    tried, caught = sum(one.tried for one in hunts), sum(one.caught for one in hunts)
    table.write(path, outcomes, sweeps, (tried, caught))
    good = all(one.as_expected for one in outcomes) and not any(one.false_accepts for one in sweeps)
    return 0 if good and tried == caught else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
