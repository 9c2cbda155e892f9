"""The cells of docs/measurements.md that come from a stored measurement, made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Stored = Mapping[str, Any]


def _within(found: Stored, digits: int) -> str:
    return f"{found['interval_low']:.{digits}f} to {found['interval_high']:.{digits}f}"


def _encrypted(found: Stored) -> str:
    total, blackout = found["medians"]["total_s"], found["medians"]["blackout_s"]
    ratios = found["ratio_of_medians_tls_to_plain"]
    slower, longer = ratios["total_s"], ratios["blackout_s"]
    return (
        f"{total['tls']['median']:.2f} against {total['plain']['median']:.2f} s, ratio {slower['value']:.3f} "
        f"(95 % interval {_within(slower, 3)}); {blackout['tls']['median'] * 1e3:.0f} against "
        f"{blackout['plain']['median'] * 1e3:.0f} ms, {longer['value']:.2f} ({_within(longer, 2)})"
    )


def _encrypted_cpu(found: Stored) -> str:
    said = []
    for name, word in (("source_cpu_s", " s, ratio"), ("destination_cpu_s", " s,")):
        medians, ratio = found["medians"][name], found["ratio_of_medians_tls_to_plain"][name]
        said.append(
            f"{medians['tls']['median']:.2f} against {medians['plain']['median']:.2f}{word} "
            f"{ratio['value']:.2f} ({_within(ratio, 2)})"
        )
    return "; ".join(said)


def _encrypted_wire(found: Stored) -> str:
    wire = found["medians"]["wire_over_hypervisor"]
    return f"{wire['tls']['median']:.4f} ({_within(wire['tls'], 4)}); {wire['plain']['median']:.4f}"


def _bounded(found: Stored) -> str:
    look, share = found["attestation-look"]["look_ms"], found["attestation-look"]["share"]
    trip = found["attestation-trip"]["ratio"]
    return (
        f"{look['median'] * 1e3:.1f} µs, {share['value'] * 100:.2f} % of the trip "
        f"({share['interval_low'] * 100:.2f} to {share['interval_high'] * 100:.2f}); "
        f"trips with to without bounds {trip['value']:.2f} ({_within(trip, 2)})"
    )


CELLS: Sequence[tuple[str, str, Callable[[Stored], str]]] = (
    ("tls-lab", "encrypted (TLS, ", _encrypted),
    ("tls-lab", "CPU of the source's processes", _encrypted_cpu),
    ("tls-lab", "wire bytes over hypervisor bytes", _encrypted_wire),
    ("channel-bounds", "the look at an answer's form", _bounded),
)
"""The file in ``benchmarks/measured``, how a row of the page begins, and what its second cell says."""
