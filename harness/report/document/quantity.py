"""How numbers are written: stored seconds and bytes become s, ms and MB (10^6 bytes) here and nowhere else.

Nothing here computes a result; a value that is missing stays missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.report.document.model import MISSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a metric is written.

    Attributes:
        label: Its name in prose.
        unit: Unit as rendered, or empty.
        scale: Rendered value = stored value times this.
        digits: Decimals.
    """

    label: str
    unit: str
    scale: float = 1.0
    digits: int = 0

    def text(self, value: float | None) -> str:
        """The number without its unit; a dash when there is none."""
        if value is None or not math.isfinite(value):
            return MISSING
        return f"{value * self.scale:z.{self.digits}f}".replace("-", "−")  # z: no negative zero (PEP 682)

    def with_unit(self, value: float | None) -> str:
        """The number and its unit, held together by a no-break space."""
        text = self.text(value)
        return text if text == MISSING or not self.unit else f"{text}\u00a0{self.unit}"


def seconds(label: str) -> Shown:
    """Stored seconds, written in seconds."""
    return Shown(label=label, unit="s", digits=2)


def milliseconds(label: str) -> Shown:
    """Stored seconds, written in milliseconds."""
    return Shown(label=label, unit="ms", scale=1e3)


def megabytes(label: str) -> Shown:
    """Stored bytes, written in MB of 10^6 bytes."""
    return Shown(label=label, unit="MB", scale=1e-6, digits=1)


KNOWN: Mapping[str, Shown] = MappingProxyType(
    {
        "total_time": seconds("Total time"),
        "command_time": seconds("Command time"),
        "blackout": milliseconds("Blackout"),
        "downtime_qemu": milliseconds("Downtime, QEMU"),
        "downtime_libvirt": milliseconds("Downtime, libvirt"),
        "downtime_libvirt_net": milliseconds("Downtime, libvirt net"),
        "outage_network": milliseconds("Network outage"),
        "outage_application": milliseconds("Application outage"),
        "other_gap_network": milliseconds("Other network gap"),
        "other_gap_application": milliseconds("Other application gap"),
        "data_sent": megabytes("Data sent"),
        "wire_bytes": megabytes("On the wire"),
        "wire_ratio": Shown(label="Wire / hypervisor", unit="", digits=3),
        "iterations": Shown(label="Iterations", unit=""),
        "start_lateness": milliseconds("Start lateness"),
        "steady": Shown(label="Steady", unit=""),
        "heartbeat_background_gap": milliseconds("Baseline gap"),
        "clock_uncertainty": Shown(label="Clocks", unit="ms", scale=1e3, digits=2),
        "paused": milliseconds("Paused otherwise"),
        "time_to_recover": seconds("Time to recover"),
        "work_lost_time": seconds("Work lost"),
        "below_90": seconds("Time below 90\u00a0%"),
        "below_50": seconds("Time below 50\u00a0%"),
        "below_10": seconds("Time below 10\u00a0%"),
        "work_failed": Shown(label="Failed or lost", unit="", digits=1),
        "latency_worst": milliseconds("Worst latency"),
        "latency_baseline": milliseconds("Latency before"),
        "dirty_rate": Shown(label="Dirty rate", unit="MB/s", scale=1e-6, digits=1),
    }
)
"""How the metrics that are known by name are written."""


def of_metric(name: str, unit: str = "") -> Shown:
    """How the metric `name` is written; one that is not known by name is written by its stored `unit`."""
    if name in KNOWN:
        return KNOWN[name]
    label = name.replace("_", " ").capitalize()
    by_unit = {
        "s": seconds(label),
        "bytes": megabytes(label),
        "count": Shown(label=label, unit=""),
        "cores": Shown(label=label, unit="cores", digits=2),
        "percent": Shown(label=label, unit="%"),
        "ratio": Shown(label=label, unit="", digits=3),
        "": Shown(label=label, unit=""),
        "bytes/s": Shown(label=label, unit="MB/s", scale=1e-6, digits=1),
    }
    return by_unit.get(unit, Shown(label=label, unit=unit, digits=1))
