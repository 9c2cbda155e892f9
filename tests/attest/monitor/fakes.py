"""Monitors that say what a test tells them, and a store that remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from harness.attest.monitor.kinds.contract import ARCHITECTURE_TYPE, Means, Observation
from harness.attest.reasons import Reason, Tier
from harness.attest.verdict import Verdict
from harness.json_types import Json


def seen(
    now_ns: int, tier: Tier = Tier.AFFIRMING, *, boot: str | None = "1", simulated: bool = False
) -> Observation:
    reason = {Tier.CONTRAINDICATED: Reason.PCR_VALUE, Tier.NONE: Reason.ATTESTER_UNREACHABLE}.get(
        tier, Reason.ACCEPTED
    )
    return Observation(
        verdict=Verdict(tier=tier, reason=reason, generated_ns=now_ns),
        trust_evidence={"tier": tier.value},
        boot=boot,
        simulated=simulated,
    )


class Told:
    """A monitor that does what `look` does."""

    name: ClassVar[str] = "told"
    architecture: ClassVar[str] = "Told"
    simulated: ClassVar[bool] = False

    def __init__(self, subject: str, means: Means) -> None:
        raise NotImplementedError

    @classmethod
    def by(cls, look: Callable[[], Observation | None]) -> Told:
        made = cls.__new__(cls)
        made.look = look
        return made

    look: Callable[[], Observation | None]

    def boot_properties(self) -> Mapping[str, Json]:
        return {ARCHITECTURE_TYPE: self.architecture}

    def observe(self) -> Observation | None:
        return self.look()


class Played(Told):
    """The same, simulated."""

    name: ClassVar[str] = "played"
    architecture: ClassVar[str] = "Played"
    simulated: ClassVar[bool] = True


@dataclass
class Store:
    """Properties by server and name, with who said so; raises `fault` where there is one."""

    rows: dict[tuple[str, str], tuple[Json, str, bool]] = field(default_factory=dict)
    fault: Exception | None = None

    def set_property(self, server: str, name: str, value: Json, *, source: str, simulated: bool) -> bool:
        if self.fault is not None:
            raise self.fault
        told = (value, source, simulated)
        changed = self.rows.get((server, name)) != told
        self.rows[server, name] = told
        return changed
