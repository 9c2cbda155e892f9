"""What an artifact says of its verdicts, for a program to compare with what it judged again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from harness import sums
from harness.analysis.claims.rule import Judged, Verdict
from harness.analysis.claims.verdicts import Judgement
from harness.analysis.table import metric_set
from harness.errors import RecordError
from harness.files import MAX_JSON_BYTES
from harness.legible import legible
from harness.sentence import sentence
from harness.strict import Strict

_CLOSE = 1e-6
"""Relative: the last digits of a float differ between processors and versions of libraries."""
Number = Annotated[float, Field(allow_inf_nan=False)]


class Part(Strict):
    """What one workload shows; numbers in `unit` of the claim."""

    verdict: Verdict = Field(strict=False)
    trials: int
    median: Number
    interval_low: Number | None
    interval_high: Number | None


class Stated(Strict):
    """The verdict of one claim, by which run and which numbers."""

    verdict: Verdict = Field(strict=False)
    run: str | None
    metric: str | None
    unit: str | None
    parts: dict[str, Part]


class Wheel(Strict):
    """The program that judged."""

    name: str
    version: str
    sha256: str


class Statement(Strict):
    """All verdicts of an artifact, by claim."""

    version: Literal[1]
    wheel: Wheel
    claims: dict[str, Stated]


def of(judged: Sequence[Judgement], wheel: Wheel) -> Statement:
    """The statement of claims that were judged."""
    return Statement(version=1, wheel=wheel, claims={one.claim.id: _stated(one) for one in judged})


def _stated(one: Judgement) -> Stated:
    metric = None if one.claim.experiment is None else one.claim.experiment.metric
    return Stated(
        verdict=one.verdict,
        run=None if one.run is None else f"{one.run.campaign}/{one.run.name}",
        metric=metric,
        unit=next((known.unit for known in metric_set().all if known.name == metric), None),
        parts={name: _part(part) for name, part in one.parts.items()},
    )


def _part(part: Judged) -> Part:
    numbers = part.numbers
    return Part(
        verdict=part.verdict,
        trials=numbers.trials,
        median=float(numbers.median),
        interval_low=numbers.interval_low,
        interval_high=numbers.interval_high,
    )


def read(path: Path) -> Statement:
    """The statement stored at `path`.

    Raises:
        RecordError: It cannot be read, or is something else.
    """
    try:
        return Statement.model_validate_json(sums.content(path, limit=MAX_JSON_BYTES))
    except ValidationError as error:
        raise RecordError(
            "not the statement of an artifact's verdicts",
            where=legible(str(path)),
            why=legible(sentence(error)),
            remedy="use the sodbench whose wheel is in the artifact",
        ) from error


def differences(said: Mapping[str, Stated], found: Mapping[str, Stated]) -> Iterator[str]:
    """How the verdicts that were stated differ from those that the evidence gives, a sentence each."""
    for name in sorted(said.keys() | found.keys()):
        one, other = said.get(name), found.get(name)
        if one is None or other is None:
            yield f"{name}: {'no verdict is stated' if one is None else 'there is no such claim'}"
        elif one.verdict is not other.verdict:
            yield f"{name}: stated {one.verdict}, the evidence gives {other.verdict}"
        elif (one.run, one.metric, one.unit) != (other.run, other.metric, other.unit):
            yield f"{name}: stated by {one.run}, judged by {other.run}"
        elif one.parts.keys() != other.parts.keys() or not all(
            _alike(part, other.parts[workload]) for workload, part in one.parts.items()
        ):
            yield f"{name}: the numbers are not those that the evidence gives"


def _alike(one: Part, other: Part) -> bool:
    pairs = (
        (one.median, other.median),
        (one.interval_low, other.interval_low),
        (one.interval_high, other.interval_high),
    )
    close = all(
        left == right
        or (left is not None and right is not None and math.isclose(left, right, rel_tol=_CLOSE))
        for left, right in pairs
    )
    return close and (one.verdict, one.trials) == (other.verdict, other.trials)
