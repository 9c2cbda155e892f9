"""The attestations of a run as its report sees them: which count, what they are called, how long they took.

Counted are accepted attestations of valid attempts. What was refused or unanswered is never in a number of
time, and is always named elsewhere. A quantile is shown only where there are values enough to carry it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import pandas as pd

from harness.analysis.stats import quantiles, replicated
from harness.analysis.stats.quantiles import Quantile
from harness.attest.measures.table import ACCEPTED
from harness.report import replicates
from harness.report.document.model import MISSING, Cell

KINDS: Mapping[str, str] = MappingProxyType(
    {"host": "host", "guest": "guest alone", "linked": "guest linked to its host"}
)
"""Kinds of attestation in the order they are shown, and what they are called."""
KEYS: Mapping[str, str] = MappingProxyType({"ecc-p256": "P-256", "rsa-2048": "RSA-2048"})
"""Attestation keys likewise."""
PHASES: Mapping[str, str] = MappingProxyType(
    {"before": "before any migration", "during": "during a migration", "after": "after one"}
)
"""Where in its trial an attestation lies."""
IDLE = "idle"
"""The workload without a load."""
SHARES: Sequence[tuple[str, float]] = (("median", 0.5), ("p95", 0.95), ("p99", 0.99))
"""The quantiles of every table of latencies."""


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """The accepted attestations of valid attempts whose latency is known."""
    accepted = table["verdict"].eq("valid") & table["tier"].isin(ACCEPTED) & table["latency_s"].notna()
    return table[accepted.fillna(False).astype(bool)]


def refused(table: pd.DataFrame) -> pd.DataFrame:
    """What was not accepted, of every finished attempt."""
    return table[~table["tier"].isin(ACCEPTED)]


def some(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """The rows whose columns say what is `wanted`."""
    for column, value in wanted.items():
        table = table[table[column].eq(value)]
    return table


def kinds(table: pd.DataFrame) -> list[str]:
    """The kinds there are, in the order they are shown."""
    return _present(table["kind"], KINDS)


def keys(table: pd.DataFrame) -> list[str]:
    """The keys there are, in the order they are shown."""
    return _present(table["key"], KEYS)


def _present(column: pd.Series[str], order: Iterable[str]) -> list[str]:
    there = set(column.dropna())
    return [name for name in order if name in there]


def milliseconds(seconds: float) -> str:
    """Stored seconds as ms, to three digits that mean something."""
    return _rounded(seconds * 1e3)


def microseconds(seconds: float) -> str:
    """Stored seconds as µs, likewise."""
    return _rounded(seconds * 1e6)


def _rounded(value: float) -> str:
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:z.{digits}f}".replace("-", "−")


def said(seconds: float) -> str:
    """Stored seconds with their unit, such as ``5.60 ms`` or ``1.24 s``."""
    return f"{seconds:.2f}\u00a0s" if seconds >= 1 else f"{milliseconds(seconds)}\u00a0ms"


def cells(rows: pd.DataFrame, column: str, *, shares: Sequence[tuple[str, float]] = SHARES) -> list[Cell]:
    """One cell a quantile in ms, its interval below; a dash with its reason where it is not carried.

    Args:
        rows: One row an attestation, with the column ``trial``.
        column: Which of its times, in stored seconds.
        shares: The quantiles.
    """
    known = rows[rows[column].notna()]
    return [_with_interval(known, column, label, share) for label, share in shares]


def _with_interval(known: pd.DataFrame, column: str, label: str, share: float) -> Cell:
    """The quantile of all values; below it the interval of the trials' own quantiles, where they carry it."""
    cell = _cell(label, quantiles.quantile(list(known[column]), share), milliseconds)
    own = [
        quantiles.quantile(list(mine), share).value for _, mine in known.groupby("trial", sort=False)[column]
    ]
    carried = [value for value in own if value is not None]
    if not carried or cell.text == MISSING:
        return cell
    found = replicated([[value] for value in carried])
    return Cell(text=cell.text, below=replicates.interval(found, milliseconds))


def counts(rows: pd.DataFrame) -> str:
    """Such as ``n = 12 in 1 trial``."""
    trials = rows["trial"].nunique()
    return f"n = {len(rows)} in {trials} {'trial' if trials == 1 else 'trials'}"


def methods(rows: Iterable[pd.DataFrame]) -> str:
    """How the intervals of the tables' cells were made, of which these are the rows."""
    found = (replicates.of_trials(one, "latency_s") for one in rows)
    return replicates.methods(one for one in found if one is not None)


def bare(values: Iterable[float], *, micro: bool = False) -> list[Cell]:
    """The same in ms or µs, without the intervals."""
    sample, write = list(values), microseconds if micro else milliseconds
    return [_cell(label, quantiles.quantile(sample, share), write) for label, share in SHARES]


def _cell(label: str, found: Quantile, write: Callable[[float], str]) -> Cell:
    if found.value is None:
        if not found.n:
            return Cell(text=MISSING, tone="quiet", reason="no accepted attestation to measure")
        needed = quantiles.needed(found.share)
        return Cell(
            text=MISSING,
            tone="quiet",
            reason=f"{label} takes {needed} values or more: with fewer it would be the largest value",
        )
    return Cell(text=write(found.value))


def paths(table: pd.DataFrame, kind: str) -> str:
    """How the TPMs of that kind's quotes were reached, such as ``software TPM, ESAPI``."""
    mine = table[table["kind"] == kind]
    found = {
        _path(tpm, host, access)
        for tpm, host, access in zip(mine["tpm"], mine["host_tpm"], mine["access"], strict=True)
    }
    return " or ".join(sorted(found))


def every_path(table: pd.DataFrame) -> str:
    """The same of all of them in one sentence, for a figure that is taken out of its report."""
    return f"Quoted by: {' or '.join(dict.fromkeys(paths(table, kind) for kind in kinds(table)))}."


def _path(tpm: object, host: object, access: object) -> str:
    own, other = (str(name) if isinstance(name, str) else "" for name in (tpm, host))
    which = f"{own or 'unknown'} TPM"
    if other and other != own:
        which = f"{which}, the host's {other}"
    return f"{which}, {access}" if isinstance(access, str) else which
