"""Every response, one row each: nothing is averaged, and nothing that was missed or refused is left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pandas as pd

from harness.attest.reasons import Tier
from harness.evidence.account import Account
from harness.report.attestation.rows import milliseconds
from harness.report.document.model import MISSING, Block, Callout, Cell, Column, Table
from harness.report.material import Material
from harness.report.naming import with_note
from harness.report.response import rows as response_rows
from harness.report.response.rows import ENDED, seconds, thousandths
from harness.response.measures.table import MISSED

_GOOD = frozenset(tier.value for tier in Tier if tier.trusted(warning_counts=False))
"""The tiers of an arrival that ask for no look at it; a warning does, even where a policy lets it pass."""

TIMES: Sequence[tuple[str, str, Callable[[float], str]]] = (
    ("response_detect", "detect, s", thousandths),
    ("response_appraise", "appraise, ms", milliseconds),
    ("response_decide", "decide, ms", milliseconds),
    ("response_trigger", "trigger, ms", milliseconds),
    ("response_act", "act, ms", milliseconds),
    ("response_migrate", "migrate, s", seconds),
    ("response_verify", "verify, ms", milliseconds),
    ("reaction_time", "reaction, s", seconds),
)
"""Column of the responses, label, and how it is written."""


def blocks(material: Material) -> list[Block]:
    """What went wrong, in a sentence, and the list."""
    table = material.responses
    lost = table[~table["state"].eq(table["action"].map(ENDED)).fillna(False).astype(bool)]
    missed = int(table["state"].eq(MISSED).sum())
    if lost.empty:
        text = f"All {len(table)} responses ended as they were decided; none was missed."
        return [Callout(tone="good", text=text), _list(material)]
    others = len(lost) - missed
    parts = [f"missed, though something was provoked: {missed}"] if missed else []
    parts += [f"ended otherwise than decided: {others}"] if others else []
    text = f"Of {len(table)} responses {', '.join(parts)}. They are in no median; the list has the reasons."
    return [Callout(tone="warning", text=text), _list(material)]


def _list(material: Material) -> Table:
    table = material.responses
    whose = ("Guest",) if "guest" in table else ()
    labels = ("Trial", "No.", *whose, "Cause", "Server", "Way", "Refused")
    here = [time for time in TIMES if table[time[0]].notna().any() or time[0] != "response_act"]
    return Table(
        key="every-response",
        title="Every response",
        detail=True,
        columns=[
            *(Column(label=label, numeric=label == "No.") for label in labels),
            *(Column(group="Spans", label=label) for _, label, _ in here),
            Column(label="On arrival", numeric=False),
            Column(label="End", numeric=False),
        ],
        rows=_rows(material, here),
        caption=with_note(
            "Refused: hosts that could not take the guest, their reasons in the notes. On arrival: the tier "
            "of the verdict on the guest. Rows of attempts that are not valid are grey and in no median, nor "
            f"are responses that did not end as decided.{_simulated(table)}",
            material.names.note(material.workloads),
        ),
        dense=True,
    )  # fmt: skip


def _simulated(table: pd.DataFrame) -> str:
    return (
        f" † Reported by simulated hardware. {response_rows.SIMULATED}"
        if table["simulated"].fillna(False).any()
        else ""
    )


def _rows(material: Material, times: Sequence[tuple[str, str, Callable[[float], str]]]) -> list[list[Cell]]:
    attempts = {(one.trial, one.attempt): one for one in material.attempts}
    rows, before = [], None
    for _, one in material.responses.iterrows():
        attempt = attempts[str(one["trial"]), int(one["attempt"])]
        first = attempt is not before
        rows.append(_row(material, attempt, one, first=first, times=times))
        before = attempt
    return rows


def _row(
    material: Material,
    attempt: Account,
    one: pd.Series[str],
    *,
    first: bool,
    times: Sequence[tuple[str, str, Callable[[float], str]]],
) -> list[Cell]:
    tone = "plain" if attempt.verdict == "valid" else "quiet"
    simulated = "" if pd.isna(one["simulated"]) or not one["simulated"] else " †"
    cause, reason = _text(one["cause"]), _text(one["reason"])
    return [
        Cell(text=material.names.trial(attempt) if first else "", tone=tone),
        Cell(text=str(one["n"]), tone=tone),
        *([Cell(text=_text(one["guest"]) or MISSING, tone=tone)] if "guest" in one else []),
        Cell(text=cause or MISSING, below=f"{reason}{simulated}" or _text(one["provoked"]), tone=tone),
        Cell(text=_text(one["server"]) or MISSING, tone=tone),
        _way(one, tone),
        _refused(one, tone),
        *(_time(one, column, write, tone) for column, _, write in times),
        _arrival(one, tone),
        _end(one, tone),
    ]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _way(one: pd.Series[str], tone: str) -> Cell:
    source, destination = _text(one["source"]), _text(one["destination"])
    if source and destination:
        return Cell(text=f"{source}→{destination}", tone=tone)
    return Cell(text=_text(one["action"]) or MISSING, below=f"on {source}" if source else "", tone=tone)


def _refused(one: pd.Series[str], tone: str) -> Cell:
    found = json.loads(_text(one["refused"]) or "{}")
    if not found:
        return Cell(text="", tone=tone)
    reasons = "; ".join(f"{server}: {why}" for server, why in found.items())
    return Cell(text=", ".join(found), tone=tone, reason=reasons)


def _time(one: pd.Series[str], column: str, write: Callable[[float], str], tone: str) -> Cell:
    value = one[column]
    if not pd.isna(value):
        return Cell(text=write(float(value)), tone=tone)
    reason = response_rows.missing(one["missing"]).get(column, "")
    return Cell(text=MISSING if reason else "", tone="quiet", reason=reason)


def _arrival(one: pd.Series[str], tone: str) -> Cell:
    tier, reason = _text(one["arrival_tier"]), _text(one["arrival_reason"])
    if not tier:
        return Cell(text="", tone=tone)
    good = tier in _GOOD
    return Cell(text=tier, below="" if reason == "accepted" else reason, tone="good" if good else "bad")


def _end(one: pd.Series[str], tone: str) -> Cell:
    state, why = _text(one["state"]), _text(one["why"])
    if state == ENDED.get(_text(one["action"])):
        return Cell(text=state, tone=tone)
    return Cell(text=state or "not recorded", tone="bad", reason=why or "no reason recorded")
