"""Files that a report shows with its run: benchmarks, attacks tried, the cost of attesting at intervals.

They were made elsewhere and perhaps on another machine, which the report names with their date. What a file
does not state stays unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness import disk
from harness.errors import RecordError
from harness.evidence.folder import require_version
from harness.sentence import sentence
from harness.strict import Strict

UNKNOWN = "not recorded in the file"

Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]


class _Foreign(BaseModel):
    """A file of another tool: what is not needed of it is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Cpu(_Foreign):
    """pytest-benchmark's ``machine_info.cpu``."""

    brand_raw: str | None = None
    count: int | None = None


class MachineInfo(_Foreign):
    """pytest-benchmark's ``machine_info``."""

    cpu: Cpu = Cpu()
    machine: str | None = None
    system: str | None = None
    release: str | None = None
    python_implementation: str | None = None
    python_version: str | None = None


class Stats(_Foreign):
    """pytest-benchmark's ``stats`` of one benchmark, seconds."""

    median: Share
    min: Share
    q1: Share | None = None
    q3: Share | None = None
    rounds: Count
    iterations: Count = 1


class Benchmark(_Foreign):
    """One benchmark of the file."""

    name: str
    group: str | None = None
    extra_info: Mapping[str, object] = Field(default_factory=dict)
    stats: Stats


class Benchmarks(_Foreign):
    """The JSON of ``pytest --benchmark-json``, as far as it is shown."""

    machine_info: MachineInfo = MachineInfo()
    datetime: str | None = None
    version: str | None = None
    benchmarks: Sequence[Benchmark]

    @property
    def machine(self) -> str:
        """The machine in words, such as ``EPYC 7B13, 2 CPUs, x86_64, Linux 6.1, CPython 3.11.2``."""
        info = self.machine_info
        parts = (
            info.cpu.brand_raw,
            None if info.cpu.count is None else f"{info.cpu.count} CPUs",
            info.machine,
            " ".join(part for part in (info.system, info.release) if part),
            " ".join(part for part in (info.python_implementation, info.python_version) if part),
        )
        return ", ".join(part for part in parts if part) or UNKNOWN


class Case(Strict):
    """One attack, with one kind of key.

    Attributes:
        id: Its name, the same for every key.
        group: What it is aimed at.
        title: What is done, in words.
        key: The attestation key's type.
        expected: The reason code it must be refused with, or ``accepted``.
        got: The one it was answered with.
        verdict: What the suite made of it, in its own word.
        ms: How long the verifier took for one, in ms; None where it was not timed.
        n: How many times it was tried.
    """

    id: str
    group: str
    title: str
    key: str
    expected: str
    got: str
    verdict: str
    ms: Share | None
    n: Count

    @property
    def held(self) -> bool:
        """Whether the verifier answered as it must."""
        return self.got == self.expected


class Sweep(Strict):
    """Many variants of one attack, such as every flip of a bit: how many were tried and wrongly accepted."""

    id: str
    key: str
    tried: Count
    false_accepts: Count
    ms_total: Share | None


class Mutants(Strict):
    """Verifiers with one check taken out: how many were tried, and how many the suite caught."""

    tried: Count
    caught: Count


class Adversary(Strict):
    """The attacks that were tried on the verifier.

    Attributes:
        schema_: Version of the file's form; ``schema`` in the file.
        machine: On which machine, in words.
        date: When, UTC.
        key_types: Types of attestation keys that were tried.
        cases: The attacks.
        sweeps: Attacks in many variants.
        mutants: The check of the suite itself; None where it was not made.
    """

    schema_: Literal[1] = Field(alias="schema")
    machine: str | None = None
    date: str | None = None
    key_types: Sequence[str]
    cases: Sequence[Case]
    sweeps: Sequence[Sweep] = ()
    mutants: Mutants | None = None


class RatedTrial(Strict):
    """One trial: its name, and the work a second over its window in the workload's own unit."""

    name: Name
    rate: Rate


class Rated(Strict):
    """The trials of one workload at one interval.

    Attributes:
        workload: What ran.
        unit: Of its rates, such as ``operations/s``.
        interval_s: How often each machine was attested, s; None for the control, in which none was.
        trials: One or more.
    """

    workload: Name
    unit: Name
    interval_s: Rate | None
    trials: Annotated[Sequence[RatedTrial], Field(min_length=1)]


class Periodic(Strict):
    """What attesting at intervals costs a running workload: rates alone, and nothing computed from them.

    Attributes:
        schema_: Version of the file's form; ``schema`` in the file.
        machine: On which machine, in words.
        date: When, UTC.
        rig: ``lab`` or ``pair``.
        accelerator: ``kvm`` or ``tcg``.
        attested: Who was attested, in words, such as ``both hosts and the guest``.
        margin_percent: The largest cost that does not matter, per cent, stated before it was measured; None
            where none was, so that no cost is judged.
        margin_reason: Why it is that.
        rows: One a workload and interval, the control's among them.
    """

    schema_: Literal[1] = Field(alias="schema")
    machine: str | None = None
    date: str | None = None
    rig: str | None = None
    accelerator: str | None = None
    attested: str | None = None
    margin_percent: Annotated[float, Field(gt=0, lt=100, allow_inf_nan=False)] | None = None
    margin_reason: Name | None = None
    rows: Annotated[Sequence[Rated], Field(min_length=1)]

    @model_validator(mode="after")
    def _comparable(self) -> Periodic:
        """One row each, a control for every workload, and one unit for what is compared."""
        if (self.margin_percent is None) != (self.margin_reason is None):
            raise ValueError("a margin has its reason, and a reason its margin")
        seen = [(row.workload, row.interval_s) for row in self.rows]
        doubled = next((one for one in seen if seen.count(one) > 1), None)
        if doubled is not None:
            raise ValueError(f"two rows are of {doubled[0]} at the interval {doubled[1]}")
        for workload in dict.fromkeys(row.workload for row in self.rows):
            if (workload, None) not in seen:
                raise ValueError(f"{workload} has no control: no row of it has the interval null")
            if len({row.unit for row in self.rows if row.workload == workload}) > 1:
                raise ValueError(f"the rates of {workload} are in different units")
        return self


_Model = TypeVar("_Model", bound=BaseModel)


def benchmarks(path: Path) -> Benchmarks:
    """The benchmarks stored in `path`; raises RecordError where it cannot be read or holds none."""
    return _read(path, Benchmarks, "the JSON of pytest-benchmark")


def adversary(path: Path) -> Adversary:
    """The attacks stored in `path`; raises RecordError where it cannot be read or holds none."""
    return _read(path, Adversary, "a list of attacks")


def periodic(path: Path) -> Periodic:
    """The rates stored in `path`; raises RecordError where it cannot be read or holds none."""
    return _read(path, Periodic, "what attesting at intervals costs")


def _read(path: Path, model: type[_Model], what: str) -> _Model:
    try:
        raw = path.read_bytes()
        require_version(raw, "schema", 1, what, path)
        return model.model_validate_json(raw)
    except OSError as error:
        why = error.strerror or str(error)
        raise RecordError("cannot be read", where=str(path), why=why, remedy=disk.remedy(error)) from error
    except ValidationError as error:
        raise RecordError(f"not {what}", where=str(path), why=sentence(error)) from error
