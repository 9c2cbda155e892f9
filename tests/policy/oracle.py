"""What policy validation has to answer, worked out the long way from the paper's tables as CSV.

Nothing of harness.policy is used here: columns are names, a request is a text of letters for each option, and
every question is answered by looking at every cell of every row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

TABLES = Path(__file__).parent.parent.parent / "results/reference"

ENTITY_OF_OPTION = {
    "1": "other_vms",
    "2": "hypervisor",
    "3": "hardware",
    "4": "cloud_manager",
    "5": "same_os",
    "6": "other_apps",
    "7": "same_app",
}
"""Section III-B."""

Asked = Mapping[str, str]
"""Option to the letters of what is asked for: c, i or ci."""


def table3() -> dict[str, dict[str, str]]:
    """Architecture to its row."""
    with (TABLES / "table3_capabilities.csv").open(newline="") as file:
        return {row["architecture"]: row for row in csv.DictReader(file)}


def table2() -> dict[str, dict[str, str]]:
    """VM to its row."""
    with (TABLES / "table2_requests.csv").open(newline="") as file:
        return {row["vm"]: row for row in csv.DictReader(file)}


def every_request() -> Iterator[dict[str, str]]:
    """All 16384: each of seven options not at all, for one aspect, for the other, or for both."""
    for letters in product(("", "c", "i", "ci"), repeat=7):
        yield {str(number): one for number, one in enumerate(letters, start=1) if one}


def refused(asked: Asked) -> str | None:
    """Why a customer may not ask for this; None if they may."""
    if not asked:
        return "empty"
    if "4" in asked:
        return "cloud-manager-trusted"
    if "2" in asked and ("5" in asked or "6" in asked):
        return "introspection-conflict"
    return None


def columns(asked: Asked) -> list[str]:
    """The columns in which protection is asked for."""
    return [f"{ENTITY_OF_OPTION[option]}_{letter}" for option, letters in asked.items() for letter in letters]


def lacks(asked: Asked, row: Mapping[str, str], accepted: bool) -> dict[str, str]:
    """The columns that the architecture of `row` does not satisfy, with their values."""
    found = {}
    for column in columns(asked):
        value = row[column]
        if value == "yes":
            continue
        if value == "removed" and accepted:
            continue
        found[column] = value
    return found


def surplus(asked: Asked, row: Mapping[str, str]) -> int:
    """How many protections the architecture has that were not asked for."""
    wanted = columns(asked)
    return sum(1 for column, value in row.items() if value == "yes" and column not in wanted)
