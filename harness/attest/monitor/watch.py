"""One monitor on one attester: how often it looks, and what of a look is kept in the registry.

What a monitor saw is stored before anybody is told of it, and what cannot be stored was not seen: a verdict
that those who rely on the registry cannot read must not be good. A property says who stated it and whether it
is simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.attest.monitor.kinds.contract import TRUST_EVIDENCE, Monitor, Observation
from harness.attest.monitor.standing import Change, Listener
from harness.attest.reasons import Reason
from harness.json_types import Json

TRUST_TIER = "trust_tier"
"""The server property that follows every change of the verdict, silence included."""


class PropertyStore(Protocol):
    """Where the properties of servers are kept; :class:`harness.registry.registry.Registry` is one."""

    def set_property(self, server: str, name: str, value: Json, *, source: str, simulated: bool) -> bool:
        """Record a property; whether its value is another than before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One monitor on one attester.

    Attributes:
        subject: The attester.
        monitor: Looks at it.
        interval_s: The time from one look to the next.
        lifetime_s: How old a result may become; at least the interval, and better two.
        server: Whether it has the properties of a server; a guest has none.
        phase: Where in the interval its moments lie, from 0 to less than 1; None for a place drawn from
            :attr:`key`, so that many watches do not all come at one moment.
        first: Whether this monitor stands for the server's architecture: then its properties have their plain
            names, else the monitor's name and a dot before them.
    """

    subject: str
    monitor: Monitor
    interval_s: float
    lifetime_s: float
    server: bool = True
    phase: float | None = None
    first: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.interval_s <= self.lifetime_s:
            raise ValueError("a result must live for at least one interval, and an interval is more than 0 s")
        if self.phase is not None and not 0 <= self.phase < 1:
            raise ValueError("a phase is a part of the interval")

    @property
    def key(self) -> str:
        """Names the watch."""
        return f"{self.subject}/{self.monitor.name}"

    def property_name(self, name: str) -> str:
        """The property's name in the registry."""
        return name if self.first else f"{self.monitor.name}.{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What came of a look, None seen where the architecture has no evidence; the properties it changed."""

    seen: Observation | None
    changes: tuple[Change, ...]


class Look:
    """Takes the looks of one watch, one at a time, and remembers what it has stated.

    Args:
        watch: Whose looks.
        store: Where server properties go; None keeps them nowhere.
        now_ns: The controller's CLOCK_MONOTONIC.
    """

    def __init__(self, watch: Watch, store: PropertyStore | None, now_ns: Callable[[], int]) -> None:
        self._watch = watch
        self._store = store if watch.server else None
        self._now_ns = now_ns
        self._stated = False
        self._boot: str | None = None
        self._known: dict[str, Json] = {}

    def take(self) -> Looked:
        """Look once and keep what belongs in the registry.

        Raises:
            SodbenchError: The look could not be taken, or the registry not be written. A monitor may raise
                anything.
        """
        seen = self._watch.monitor.observe()
        changes = [*self._state_boot(seen)]
        if seen is not None and seen.trust_evidence:
            changes += self._record(TRUST_EVIDENCE, seen.trust_evidence)
        return Looked(seen=seen, changes=tuple(changes))

    def _state_boot(self, seen: Observation | None) -> Iterator[Change]:
        """What holds for a whole boot, stated once in it."""
        # Only what was attested may name its architecture; without any evidence the name is all there is.
        if seen is not None and not seen.verdict.tier.believed:
            return
        boot = None if seen is None else seen.boot
        if self._stated and (boot is None or boot == self._boot):
            return
        for name, value in self._watch.monitor.boot_properties().items():
            yield from self._record(name, value)
        self._stated, self._boot = True, boot

    def _record(self, plain: str, value: Json) -> Iterator[Change]:
        """Store a property of a server; the change, if it is one."""
        watch, name = self._watch, self._watch.property_name(plain)
        if not watch.server:
            return
        before = self._known.get(name)
        is_new = name not in self._known or before != value
        if self._store is not None:
            is_new = self._store.set_property(
                watch.subject, name, value, source=watch.monitor.name, simulated=watch.monitor.simulated
            )
        self._known[name] = value
        if is_new:
            yield Change(
                subject=watch.subject,
                monitor=watch.monitor.name,
                kind="property",
                what=name,
                before=before,
                after=value,
                reason=Reason.ACCEPTED,
                at_ns=self._now_ns(),
                simulated=watch.monitor.simulated,
            )


def tier_keeper(watches: Sequence[Watch], store: PropertyStore) -> Listener:
    """A listener that keeps every change of a verdict as the server's property `TRUST_TIER`."""
    servers = {(one.subject, one.monitor.name): one for one in watches if one.server}

    def keep(change: Change) -> None:
        watch = servers.get((change.subject, change.monitor))
        if watch is None or change.what != "tier":
            return
        store.set_property(
            change.subject,
            watch.property_name(TRUST_TIER),
            {"tier": change.after, "reason": change.reason.value},
            source=change.monitor,
            simulated=change.simulated,
        )

    return keep
