"""The whole table, its sweeps, and the record of what came of them.

The record is what `sodbench report --adversary` reads: every case with what was expected and what was said,
how many bits and cuts were tried, and how many mutants were caught.
"""

from __future__ import annotations

import json
import platform
import statistics
import struct
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.attest.evidence import KeyType
from harness.errors import SodbenchError
from tests.attest.adversary import (
    binding_cases,
    choice_cases,
    clock_cases,
    enrolment_cases,
    event_cases,
    event_form_cases,
    freshness_cases,
    history_cases,
    ima_cases,
    ima_form_cases,
    key_cases,
    move_cases,
    pcr_cases,
    policy_cases,
    public_cases,
    signature_cases,
    structure_cases,
    template_cases,
    text_cases,
)
from tests.attest.adversary.case import KINDS, Case
from tests.attest.adversary.stage import WARNING, Scene, Stage

CASES: tuple[Case, ...] = (
    *freshness_cases.CASES,
    *key_cases.CASES,
    *enrolment_cases.CASES,
    *public_cases.CASES,
    *structure_cases.CASES,
    *signature_cases.CASES,
    *pcr_cases.CASES,
    *event_cases.CASES,
    *event_form_cases.CASES,
    *ima_cases.CASES,
    *ima_form_cases.CASES,
    *template_cases.CASES,
    *text_cases.CASES,
    *clock_cases.CASES,
    *binding_cases.CASES,
    *move_cases.CASES,
    *history_cases.CASES,
    *policy_cases.CASES,
    *choice_cases.CASES,
)

RUNS = 5
"""How often a case is judged; its time is the median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one case with one type of key; fields as the record has them."""

    id: str
    group: str
    title: str
    key: KeyType
    expected: str
    got: str
    verdict: str
    ms: float
    n: int

    @property
    def as_expected(self) -> bool:
        return self.got == self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What came of changing honest evidence in every way of one sort."""

    id: str
    key: KeyType
    tried: int
    false_accepts: int
    ms_total: float


def rows() -> Iterator[tuple[Case, KeyType]]:
    """Every case with every type of key that it makes sense for."""
    return ((case, kind) for case in CASES for kind in case.kinds)


def said(scene: Scene) -> str:
    """What is said of a scene; a mistake of the program is told as one and is as expected nowhere."""
    try:
        return scene.judge()
    except SodbenchError as error:
        return f"error:{error.kind}"
    except (
        AssertionError,
        ArithmeticError,
        AttributeError,
        LookupError,
        NameError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        return f"mistake:{type(error).__name__}"


def run(case: Case, stage: Stage, *, runs: int = RUNS) -> Outcome:
    """Judge a case; what is said must be the same every time."""
    scene = case.forge(stage)
    times_ms, heard = [], set()
    for _ in range(runs):
        begin_ns = time.perf_counter_ns()
        heard.add(said(scene))
        times_ms.append((time.perf_counter_ns() - begin_ns) / 1e6)
    got = "|".join(sorted(heard))
    return Outcome(
        id=case.id,
        group=case.group,
        title=case.title,
        key=stage.kind,
        expected=str(case.expected),
        got=got,
        verdict="accepted" if got == "accepted" or got.startswith(WARNING) else "refused",
        ms=statistics.median(times_ms),
        n=runs,
    )


def sweep(name: str, stage: Stage) -> Sweep:
    """Send every changed form of an honest answer; none of them may be accepted."""
    scene = stage.honest()
    field, forms = _FORMS[name]
    honest: bytes = getattr(scene.evidence, field)
    begin_ns, tried, accepted = time.perf_counter_ns(), 0, 0
    for form in forms(honest):
        tried += 1
        accepted += scene.sent(**{field: form}).verify().accepted
    return Sweep(
        id=name,
        key=stage.kind,
        tried=tried,
        false_accepts=accepted,
        ms_total=(time.perf_counter_ns() - begin_ns) / 1e6,
    )


def truncations(data: bytes) -> Iterator[bytes]:
    """Every proper beginning."""
    return (data[:length] for length in range(len(data)))


def bit_flips(data: bytes) -> Iterator[bytes]:
    """Every form with one bit changed."""
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def byte_deletions(data: bytes) -> Iterator[bytes]:
    """Every form with one byte less."""
    return (data[:at] + data[at + 1 :] for at in range(len(data)))


def byte_insertions(data: bytes) -> Iterator[bytes]:
    """Every form with a zero byte more; between two zeros it is one form, sent twice."""
    return (data[:at] + b"\0" + data[at:] for at in range(len(data) + 1))


_FORMS = {
    f"{ways}-of-the-{field}": (field, forms)
    for field in ("attest", "signature")
    for ways, forms in (
        ("truncations", truncations),
        ("bit-flips", bit_flips),
        ("byte-deletions", byte_deletions),
        ("byte-insertions", byte_insertions),
    )
}

SWEEPS: tuple[str, ...] = tuple(_FORMS)


def write(path: Path, outcomes: list[Outcome], sweeps: list[Sweep], mutants: tuple[int, int] | None) -> None:
    """The record at `path`; `mutants` are those tried and those caught, None where none were tried."""
    record = {
        "schema": 1,
        "machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "key_types": list(KINDS),
        "cases": [asdict(one) for one in outcomes],
        "sweeps": [asdict(one) for one in sweeps],
        "mutants": None if mutants is None else {"tried": mutants[0], "caught": mutants[1]},
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
