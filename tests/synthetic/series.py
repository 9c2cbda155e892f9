"""The series files of a synthetic attempt, each in its own machine's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.synthetic.load import output
from tests.synthetic.truths import Layout, ns

PERIOD_NS = 200_000_000
CONTROLLER_CORES = 0.03
BUSY_CORES = 1.2
QEMU_CORES = 0.5
COPYING_CORES = 0.4
"""Added to the guest's QEMU and its host while a migration copies."""


def write_series(folder: Path, at: Layout) -> None:
    """Write every series of the attempt into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "heartbeat.csv", "seq,sent_ns,received_ns", _heartbeat(at))
    for host in ("a", "b"):
        _write(folder / f"wire-{host}.csv", "t_ns,out_bytes,out_packets,in_bytes,in_packets", _wire(at, host))
        _write(
            folder / f"host-{host}.csv",
            "t_ns,cpu_busy_s,qemu_cpu_s,memory_used_bytes,net_out_bytes,net_in_bytes",
            _host(at, host),
        )
    _write(folder / "controller.csv", "t_ns,cpu_self_s,memory_rss_bytes", _controller(at))
    lines = output(at)
    if lines:
        text = "".join(f"{t_ns}\tgenerator\t{line}\n" for t_ns, line in lines)
        (folder / "workload.log").write_text(text, encoding="utf-8")


def _write(path: Path, header: str, rows: Iterator[str]) -> None:
    path.write_text("".join(f"{row}\n" for row in (header, *rows)), encoding="utf-8")


def _ticks(at: Layout) -> range:
    return range(at.baseline_ns - ns(1), at.closed_ns + ns(1), PERIOD_NS)


def _heartbeat(at: Layout) -> Iterator[str]:
    offset = at.run.clocks["client"].monotonic_offset_ns
    for number, (sent, received) in enumerate(at.heartbeat()):
        yield f"{number},{sent - offset},{'' if received is None else received - offset}"


def _wire(at: Layout, host: str) -> Iterator[str]:
    offset = at.run.clocks[host].monotonic_offset_ns
    for t_ns in _ticks(at):
        out = sum(_sent(at, n, t_ns) for n in at.moves if at.direction(n)[0] == host)
        back = sum(_sent(at, n, t_ns) for n in at.moves if at.direction(n)[1] == host)
        yield f"{t_ns - offset},{5_000 + out},{out // 1500},{7_000 + back},{back // 1500}"


def _sent(at: Layout, n: int, t_ns: int) -> int:
    return round(at.truth.migrations[n - 1].wire_bytes * at.progress(n, t_ns))


def _host(at: Layout, host: str) -> Iterator[str]:
    offset = at.run.clocks[host].monotonic_offset_ns
    busy, qemu, before = 100.0, 3.0, at.baseline_ns - ns(1)
    for t_ns in _ticks(at):
        step_s = (t_ns - before) / 1e9
        copying = COPYING_CORES * _copying_s(at, before, t_ns)
        here = at.host_at(before) == host
        busy += BUSY_CORES * step_s + copying
        qemu = qemu + QEMU_CORES * step_s + copying if here else 0.0
        before = t_ns
        yield f"{t_ns - offset},{busy:.6f},{qemu:.6f},{1 << 30},{t_ns % 1000},{t_ns % 999}"


def _copying_s(at: Layout, first_ns: int, last_ns: int) -> float:
    spans: Callable[[int], int] = lambda n: (  # noqa: E731 - one expression, used once
        max(0, min(last_ns, at.span(n).returned_ns) - max(first_ns, at.span(n).start_ns))
    )
    return sum(spans(n) for n in at.moves) / 1e9


def _controller(at: Layout) -> Iterator[str]:
    for number, t_ns in enumerate(_ticks(at)):
        yield f"{t_ns},{1.0 + CONTROLLER_CORES * number * PERIOD_NS / 1e9:.6f},{90_000_000}"
