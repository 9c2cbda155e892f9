"""The idle guest: no load, the floor with which every other workload is compared.

There is no generator, hence no output and no timeline; only the heartbeat observes it, and the memory that
the guest dirties without load is in the job's dirty rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel

from harness.strict import Strict
from harness.workloads.contract import Line, Process, Site, Step, Timeline


class IdleOptions(Strict):
    """Nothing to choose."""


class Idle:
    """A booted guest that is left alone (Table IV: no server, no generator)."""

    name: ClassVar[str] = "idle"
    title: ClassVar[str] = "Idle"
    steady_test: ClassVar[str] = "nothing runs: steady at once"
    Options: ClassVar[type[BaseModel]] = IdleOptions
    generator = "none"
    substitutes: str | None = None
    needs: Sequence[str] = ()

    def __init__(self, options: BaseModel) -> None:
        """There is nothing to choose; `options` is taken so that every workload is made alike."""

    def version(self) -> Step | None:
        """None: there is no generator."""
        return None

    def preparation(self, site: Site) -> Sequence[Step]:  # noqa: ARG002
        """Nothing to do."""
        return ()

    def processes(self, site: Site) -> Sequence[Process]:  # noqa: ARG002
        """Nothing runs."""
        return ()

    def steady(self, lines: Sequence[Line]) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """A timeline without a unit of work; output where none is due is a problem."""
        problems = (f"an idle guest printed {len(lines)} lines",) if lines else ()
        return Timeline(work_unit="", period_s=0.0, problems=problems)
