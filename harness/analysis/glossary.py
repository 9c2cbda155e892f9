"""Every column and every metric in words, as ``results/README.md`` shows them.

The README's tables are generated from the declarations; a test checks that they agree. ``python -m
harness.analysis.glossary`` generates them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.analysis.table import COLUMNS, METRICS
from harness.attest.measures import table as attestation_table
from harness.evidence.metric import Metric
from harness.files import write_atomic
from harness.response.measures import table as response_table

README = Path(__file__).resolve().parents[2] / "results" / "README.md"


def columns_table(columns: Mapping[str, tuple[str, str]] = COLUMNS) -> str:
    """A table's columns, name to type and meaning, as Markdown."""
    return _table(
        ("column", "type", "meaning"),
        ((f"`{name}`", kind, meaning) for name, (kind, meaning) in columns.items()),
    )


def metrics_table(metrics: Sequence[Metric[Any]] = METRICS) -> str:
    """The metrics as Markdown."""
    return _table(
        ("metric", "of a", "unit", "better", "observer", "definition", "source"),
        (
            (
                f"`{metric.name}`",
                metric.scope,
                metric.unit or "yes (1) or no (0)",
                metric.better,
                metric.observer,
                metric.definition,
                metric.source,
            )
            for metric in metrics
        ),
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def rendered(text: str) -> str:
    """The README's `text` with its tables, between their markers, as they are now."""
    tables = {
        "columns": columns_table(),
        "metrics": metrics_table(),
        "attestations": columns_table(attestation_table.COLUMNS),
        "responses": columns_table(response_table.columns(several=True)),
    }
    for name, table in tables.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if found and ended:
            text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


if __name__ == "__main__":
    write_atomic(README, rendered(README.read_text(encoding="utf-8")).encode())
