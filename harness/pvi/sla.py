"""A service level agreement: what a provider promises, what the owner requires, and whether it was kept.

Pure. Promises are held against requirements (a promise that is weaker, or missing, is a gap) and against
evidence: attestation results of servers, the properties they state, and responses that were carried out. A
promise for which there is no evidence is ``unknown``, and that is not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from harness.attest.reasons import SILENT, Reason, Tier
from harness.clock import NS_PER_S
from harness.json_types import Json
from harness.strict import Strict

Duration = Annotated[float, Field(gt=0, le=31_622_400, allow_inf_nan=False)]
"""A duration in s: more than nothing, at most a year of 366 days."""
Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}$")]


class Terms(Strict):
    """What is promised of each server and each response; what is left out is not promised.

    Attributes:
        properties: Security properties that a server states, by name, such as ``architecture_type``.
        evidence_age_s: The newest attestation that was accepted is no older.
        warning_counts: Whether an attestation with a warning counts as accepted.
        probes_per_hour: Probing rights: how many attestations an hour a server answers, asked as often.
        answered_percent: Of the attestations that were asked for, how many brought an answer.
        response_s: A response ends within this time after it was begun.
    """

    properties: dict[Name, Name] = Field(default_factory=dict, max_length=64)
    evidence_age_s: Duration | None = None
    warning_counts: bool = False
    probes_per_hour: Rate | None = None
    answered_percent: Percent | None = None
    response_s: Duration | None = None


class Agreement(Strict):
    """The agreement, as a file of YAML.

    Attributes:
        version: Of this form.
        name: What it is called.
        servers: The servers that it is about, as they are enrolled.
        window_s: Over how long before now evidence is looked at.
        promises: What the provider promises.
        requires: What the owner requires.
    """

    version: Literal[1]
    name: Name
    servers: Annotated[tuple[Name, ...], Field(strict=False, min_length=1, max_length=1000)]
    window_s: Duration = 86_400.0
    promises: Terms
    requires: Terms = Field(default_factory=Terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One attestation of a server.

    Attributes:
        at_ns: When its result was made, wall clock.
        tier: The result's tier.
        reason: Its reason; an unknown one counts as an answer.
    """

    at_ns: int
    tier: Tier
    reason: str

    @property
    def answered(self) -> bool:
        """Whether the server answered at all."""
        return self.reason not in _UNANSWERED


_UNANSWERED = frozenset(SILENT - {Reason.NOTHING_APPRAISED, Reason.NOT_ENROLLED, Reason.STATE_CONFLICT})
"""Reasons that mean that no answer came; the three left out are the verifier's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSeen:
    """What is known of a server.

    Attributes:
        name: Its name.
        answers: Its attestations in the window, in any order.
        properties: What it states now.
    """

    name: str
    answers: Sequence[Answer]
    properties: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSeen:
    """A response that was begun in the window.

    Attributes:
        number: Its number.
        vm: The VM.
        began_ns: When it was begun, wall clock.
        ended_ns: When it ended; None while it is open.
    """

    number: int
    vm: str
    began_ns: int
    ended_ns: int | None


class Kept(StrEnum):
    """Whether a promise was kept."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One promise held against the evidence, or a requirement against the promises.

    Attributes:
        about: A server, ``response 3 of vm-1``, or ``the agreement``.
        promise: Which, as the file's key.
        promised: How much.
        found: What was measured; empty where nothing was.
        kept: Whether it was kept.
    """

    about: str
    promise: str
    promised: str
    found: str
    kept: Kept


def gaps(agreement: Agreement) -> tuple[Finding, ...]:
    """What the owner requires and the provider promises less than, or not at all."""
    return tuple(
        Finding(
            about="the agreement",
            promise=name,
            promised="nothing" if promised is None else str(promised),
            found=f"required: {required}",
            kept=Kept.BROKEN,
        )
        for name, required, promised in _weaker(agreement.requires, agreement.promises)
    )


def _weaker(required: Terms, promised: Terms) -> Iterator[tuple[str, object, object]]:
    for name, value in sorted(required.properties.items()):
        if promised.properties.get(name) != value:
            yield f"properties.{name}", value, promised.properties.get(name)
    for name, most in (("evidence_age_s", required.evidence_age_s), ("response_s", required.response_s)):
        given: float | None = getattr(promised, name)
        if most is not None and (given is None or given > most):
            yield name, most, given
    for name, least in (
        ("probes_per_hour", required.probes_per_hour),
        ("answered_percent", required.answered_percent),
    ):
        given = getattr(promised, name)
        if least is not None and (given is None or given < least):
            yield name, least, given
    if required.evidence_age_s is not None and promised.warning_counts and not required.warning_counts:
        yield "warning_counts", "false", "true"


def held(
    agreement: Agreement, servers: Sequence[ServerSeen], responses: Sequence[ResponseSeen], *, now_ns: int
) -> tuple[Finding, ...]:
    """Each promise held against the evidence of each server and each response.

    Args:
        agreement: The agreement.
        servers: What is known of its servers; one that is missing has no evidence.
        responses: The responses in the window.
        now_ns: The present, wall clock.
    """
    seen = {one.name: one for one in servers}
    nothing = {name: ServerSeen(name=name, answers=(), properties={}) for name in agreement.servers}
    found: list[Finding] = []
    for name in agreement.servers:
        found += _of_server(agreement, {**nothing, **seen}[name], now_ns)
    for one in responses:
        found += _of_response(agreement.promises, one, now_ns)
    return tuple(found)


def _of_server(agreement: Agreement, server: ServerSeen, now_ns: int) -> Iterator[Finding]:
    terms, about = agreement.promises, server.name
    for name, value in sorted(terms.properties.items()):
        stated = server.properties.get(name)
        if stated is None:
            yield _finding(about, f"properties.{name}", value, "", Kept.UNKNOWN)
        else:
            yield _judged(about, f"properties.{name}", value, str(stated), kept=stated == value)
    begin_ns = now_ns - round(agreement.window_s * NS_PER_S)
    answers = [one for one in server.answers if begin_ns <= one.at_ns <= now_ns]
    if terms.evidence_age_s is not None:
        yield _age(about, terms, answers, now_ns)
    if terms.answered_percent is not None:
        yield _answered(about, terms.answered_percent, answers)
    if terms.probes_per_hour is not None:
        yield _probed(about, terms.probes_per_hour, answers)


def _age(about: str, terms: Terms, answers: Sequence[Answer], now_ns: int) -> Finding:
    """How old the newest accepted attestation is; one that was asked for and refused breaks the promise."""
    most_s = terms.evidence_age_s or 0.0
    accepted = [one.at_ns for one in answers if one.tier.trusted(warning_counts=terms.warning_counts)]
    promised = f"at most {most_s:g} s"
    if not answers:
        return _finding(about, "evidence_age_s", promised, "", Kept.UNKNOWN)
    if not accepted:
        return _finding(about, "evidence_age_s", promised, "none was accepted", Kept.BROKEN)
    age_s = (now_ns - max(accepted)) / NS_PER_S
    return _judged(about, "evidence_age_s", promised, f"{age_s:.1f} s", kept=age_s <= most_s)


def _answered(about: str, least: float, answers: Sequence[Answer]) -> Finding:
    promised = f"at least {least:g} %"
    if not answers:
        return _finding(about, "answered_percent", promised, "", Kept.UNKNOWN)
    number = sum(one.answered for one in answers)
    percent = 100 * number / len(answers)
    said = f"{percent:.1f} % ({number} of {len(answers)})"
    return _judged(about, "answered_percent", promised, said, kept=percent >= least)


def _probed(about: str, least: float, answers: Sequence[Answer]) -> Finding:
    """The hour with the most answers; where fewer were asked for, whether more would be is not known."""
    promised = f"at least {least:g} in an hour"
    most_asked = _most_in_an_hour(sorted(one.at_ns for one in answers))
    most_answered = _most_in_an_hour(sorted(one.at_ns for one in answers if one.answered))
    said = f"{most_answered} answered, {most_asked} asked for, in the busiest hour"
    if most_answered >= least:
        return _finding(about, "probes_per_hour", promised, said, Kept.KEPT)
    kept = Kept.UNKNOWN if most_asked < least else Kept.BROKEN
    return _finding(about, "probes_per_hour", promised, said, kept)


def _most_in_an_hour(moments_ns: Sequence[int]) -> int:
    most, first = 0, 0
    for last, at_ns in enumerate(moments_ns):
        while at_ns - moments_ns[first] >= 3600 * NS_PER_S:
            first += 1
        most = max(most, last - first + 1)
    return most


def _of_response(terms: Terms, response: ResponseSeen, now_ns: int) -> Iterator[Finding]:
    if terms.response_s is None:
        return
    about, promised = f"response {response.number} of {response.vm}", f"within {terms.response_s:g} s"
    end_ns = now_ns if response.ended_ns is None else response.ended_ns
    took_s = (end_ns - response.began_ns) / NS_PER_S
    if took_s < 0:
        yield _finding(about, "response_s", promised, "the clock went back", Kept.UNKNOWN)
    elif response.ended_ns is None and took_s <= terms.response_s:
        yield _finding(about, "response_s", promised, f"{took_s:.1f} s so far", Kept.UNKNOWN)
    else:
        yield _judged(about, "response_s", promised, f"{took_s:.1f} s", kept=took_s <= terms.response_s)


def _judged(about: str, promise: str, promised: str, found: str, *, kept: bool) -> Finding:
    return _finding(about, promise, promised, found, Kept.KEPT if kept else Kept.BROKEN)


def _finding(about: str, promise: str, promised: str, found: str, kept: Kept) -> Finding:
    return Finding(about=about, promise=promise, promised=promised, found=found, kept=kept)
