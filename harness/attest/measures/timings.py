"""How long the parts of an attestation took, from its stamps alone.

Two machines stamp with clocks of their own. Durations are differences within one clock; only the moment at
which evidence was generated is mapped to the controller's, and then with its uncertainty. A stamp that is
missing makes None of what needs it, with the reason, and never 0. Nothing here reads a clock or a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from harness.attest.measures.line import Answered, Attestation
from harness.evidence.clocks import Clocks
from harness.evidence.metric import NotMeasured

Phase: TypeAlias = Literal["before", "during", "after"]
"""Before the attempt's first migration, during one, or after one (and before the next)."""

Span: TypeAlias = tuple[int, int]
"""When a migration was called and when the call returned, the controller's ns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """When evidence was generated (EG of RFC 9334).

    Attributes:
        at_ns: The controller's ns.
        uncertainty_ns: Certain within ± this.
        by: ``clock``: the samples of the machine's clock narrowed it; ``exchange``: nothing but that the
            request was received after it was sent, and the answer sent before it was received.
    """

    at_ns: int
    uncertainty_ns: int
    by: Literal["clock", "exchange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request to an attester and its answer, ns.

    Attributes:
        quote_ns: TPM2_Quote: EG - quoting.
        attester_ns: What else the attester did: answered - received, without the quote.
        transport_ns: Transport both ways: (ER - NS) - (answered - received). For a guest that is migrated
            meanwhile the switch-over counts here, for its own clock stands still in it.
        generated: When the evidence was generated.
    """

    quote_ns: int
    attester_ns: int
    transport_ns: int
    generated: Generated


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The durations of one attestation, ns; None where a stamp for it is missing.

    `latency_ns` is the sum of the exchanges, `linking_ns` and `verification_ns`.

    Attributes:
        latency_ns: Attestation latency, RG - NS.
        first: The exchange with the attester; of a linked attestation the guest's.
        second: The exchange with the host that vouches; None where there is none.
        linking_ns: From the guest's evidence to the request to its host, the guest's verification in between;
            None unless linked.
        verification_ns: From the last evidence to the result: RG - ER.
        relay_ns: RR - RG.
        appraisal_ns: RA - RR.
        age_ns: Age of the (older) evidence when it was acted on: OP - EG.
        age_uncertainty_ns: That is certain within ± this.
        response_ns: Response latency, OP - RG.
        missing: Why what is None is None; empty where nothing is.
    """

    latency_ns: int | None
    first: Exchange | None
    second: Exchange | None
    linking_ns: int | None
    verification_ns: int | None
    relay_ns: int | None
    appraisal_ns: int | None
    age_ns: int | None
    age_uncertainty_ns: int | None
    response_ns: int | None
    missing: tuple[str, ...]


def of(record: Attestation, clocks: Clocks) -> Timing:
    """The durations of `record`; `clocks` are the samples of its attempt."""
    missing: list[str] = []
    stamps = record.stamps
    first = _exchange(record.attester, stamps.NS, stamps.ER, clocks, missing)
    second = None
    if record.second is not None:
        second = _exchange(record.second, record.second.NS, record.second.ER, clocks, missing)
    last_er = record.second.ER if record.second is not None else stamps.ER
    age_ns = None if stamps.OP is None or first is None else stamps.OP - first.generated.at_ns
    return Timing(
        latency_ns=_span(stamps.NS, stamps.RG),
        first=first,
        second=second,
        linking_ns=None if record.second is None else _span(stamps.ER, record.second.NS),
        verification_ns=_span(last_er, stamps.RG),
        relay_ns=_span(stamps.RG, stamps.RR),
        appraisal_ns=_span(stamps.RR, stamps.RA),
        age_ns=age_ns,
        age_uncertainty_ns=None if age_ns is None or first is None else first.generated.uncertainty_ns,
        response_ns=_span(stamps.RG, stamps.OP),
        missing=tuple(dict.fromkeys([*_absent(record), *missing])),
    )


def _absent(record: Attestation) -> Iterable[str]:
    stamps = record.stamps
    if record.attester is None or stamps.ER is None:
        yield f"no evidence: {record.reason}"
    elif record.kind == "linked" and record.second is None:
        yield f"no quote of the host: {record.reason}"
    if stamps.RG is None:
        yield f"no result: {record.reason}"
    elif stamps.RR is None or stamps.RA is None:
        yield "the result was not handed on"
    if stamps.OP is None:
        yield "no operation relied on it"


def _span(begin_ns: int | None, end_ns: int | None) -> int | None:
    return None if begin_ns is None or end_ns is None else end_ns - begin_ns


def _exchange(
    answered: Answered | None, sent_ns: int, arrived_ns: int | None, clocks: Clocks, missing: list[str]
) -> Exchange | None:
    if answered is None or arrived_ns is None:
        return None
    if not answered.received <= answered.quoting <= answered.EG <= answered.answered:
        missing.append(f"the stamps of {answered.machine} are out of order")
        return None
    there_ns, here_ns = answered.answered - answered.received, arrived_ns - sent_ns
    if there_ns > here_ns:
        missing.append(f"the clock of {answered.machine} counted more than passed until its answer")
        return None
    quote_ns = answered.EG - answered.quoting
    return Exchange(
        quote_ns=quote_ns,
        attester_ns=there_ns - quote_ns,
        transport_ns=here_ns - there_ns,
        generated=generated(answered, sent_ns, arrived_ns, clocks),
    )


def generated(answered: Answered, sent_ns: int, arrived_ns: int, clocks: Clocks) -> Generated:
    """When the evidence was generated, on the controller's clock, from stamps that are in order.

    The exchange itself says between when and when: the request cannot be received before it was sent, nor
    the answer sent after it was received (the bounds of RFC 5905's on-wire protocol). A sampled clock
    narrows that where it agrees; where it does not, it was sampled before the machine's clock stepped. A
    guest's clock stands still in every switch-over, so that no sample of it holds for long and none is used.
    """
    low = sent_ns + (answered.EG - answered.received)
    high = arrived_ns - (answered.answered - answered.EG)
    by: Literal["clock", "exchange"] = "exchange"
    sampled = None if answered.machine == "guest" else _sampled(answered, sent_ns, clocks)
    if sampled is not None:
        inner = max(low, sampled[0]), min(high, sampled[1])
        if inner[0] <= inner[1] and inner != (low, high):
            (low, high), by = inner, "clock"
    return Generated(at_ns=(low + high) // 2, uncertainty_ns=(high - low + 1) // 2, by=by)


def _sampled(answered: Answered, near_ns: int, clocks: Clocks) -> tuple[int, int] | None:
    """Between when and when the evidence was generated by the samples of that clock; None without any."""
    try:
        stamp = np.array([answered.EG], dtype=np.int64)
        at_ns = int(clocks.from_monotonic(answered.machine, stamp)[0])
        width_ns = clocks.uncertainty_ns(answered.machine, near_ns)
    except NotMeasured:
        return None
    return at_ns - width_ns, at_ns + width_ns


def phase(record: Attestation, migrations: Sequence[Span]) -> Phase:
    """Where in its trial an attestation lies; `migrations` are those of its attempt that were called.

    It overlaps a migration that was under way at any moment from its nonce to its last stamp before any
    operation.
    """
    stamps = record.stamps
    begin_ns = stamps.NS
    last = (record.second.ER if record.second is not None else None, stamps.ER, stamps.RG)
    end_ns = max((stamp for stamp in last if stamp is not None), default=begin_ns)
    if any(started_ns <= end_ns and begin_ns <= returned_ns for started_ns, returned_ns in migrations):
        return "during"
    return "after" if any(returned_ns < begin_ns for _, returned_ns in migrations) else "before"


def steps(record: Attestation) -> dict[str, int]:
    """Step of the verification to the ns it took in all, in the order in which they first ran."""
    found: dict[str, int] = {}
    for name, took_ns in record.steps:
        found[name] = found.get(name, 0) + took_ns
    return found
