"""The command line of a simulation: draw, write the JSON with where it was made, print the table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import provenance

SEED = 20130101
"""What draws start from unless another seed is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A simulation of this package.

    Attributes:
        description: What it does, for ``--help``.
        measure: Simulates so many rounds for each row, from that seed: what goes into the JSON.
        table: The rows of a JSON as Markdown.
        rounds: How many rounds a row has unless the command line says otherwise.
        of: What a round is, in the plural.
        out: Where the JSON goes unless the command line says otherwise.
    """

    description: str | None
    measure: Callable[[int, int], Mapping[str, Any]]
    table: Callable[[Mapping[str, Any]], str]
    rounds: int
    of: str
    out: Path

    def main(self) -> None:
        """Simulate, write the JSON and print its table; with ``--table`` print the table of what is there."""
        arguments = argparse.ArgumentParser(description=self.description)
        arguments.add_argument(
            "--rounds", type=int, default=self.rounds, help=f"{self.of} simulated for each row"
        )
        arguments.add_argument("--seed", type=int, default=SEED)
        arguments.add_argument("--out", type=Path, default=self.out)
        arguments.add_argument("--table", action="store_true", help="only print the stored rows as Markdown")
        given = arguments.parse_args()
        if not given.table:
            found = {**provenance.here("numpy", "scipy"), **self.measure(given.rounds, given.seed)}
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps(found, indent=2) + "\n")
        print(self.table(json.loads(given.out.read_text())))
