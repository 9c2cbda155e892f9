"""The paper's seven workloads as one synthetic campaign, with control trials and substituted generators."""

from __future__ import annotations

from dataclasses import replace

from tests.synthetic.truths import AttemptTruth, MigrationTruth, Truths

SEVEN: tuple[AttemptTruth, ...] = (
    AttemptTruth(
        workload="mail", generator="locust", version="2.43.1", substitutes="mstone", work_per_s=42.0,
        latency_s=0.060, jitter=0.12, lost=2,
    ),
    AttemptTruth(
        workload="app", generator="locust", version="2.43.1", substitutes="Faban", work_per_s=61.0,
        latency_s=0.110, jitter=0.20, lost=1,
    ),
    AttemptTruth(workload="file", work_per_s=600.0),
    AttemptTruth(
        workload="web", generator="locust", version="2.43.1", substitutes="Faban", work_per_s=180.0,
        latency_s=0.025, jitter=0.05,
    ),
    AttemptTruth(
        workload="db", generator="sysbench", version="1.0.20", work_per_s=11.0, latency_s=0.45, jitter=0.45
    ),
    AttemptTruth(
        workload="stream", generator="VLC", version="3.0.21", work_per_s=240.0, latency_s=0.005, jitter=0.01,
        lost=31,
    ),
    AttemptTruth(workload="idle"),
)  # fmt: skip
COSTS = {
    "mail": (6.1, 0.31, 800e6), "app": (7.4, 0.62, 728e6), "file": (5.2, 0.25, 698e6),
    "web": (4.9, 0.22, 645e6), "db": (5.6, 0.41, 718e6), "stream": (4.4, 0.20, 480e6),
    "idle": (2.6, 0.12, 212e6),
}  # fmt: skip
"""Total time (s), blackout (s) and data (bytes) of each workload's migrations, about."""


def seven(
    *,
    repetitions: int = 1,
    control: int = 1,
    window_s: float = 120.0,
    points: int = 5,
    heartbeat_hz: float = 200.0,
) -> Truths:
    """All seven, `repetitions` times with `points` migrations each, and `control` trials of each without."""
    attempts = []
    for repetition in range(1, repetitions + 1):
        for one in SEVEN:
            moves = tuple(_move(one.workload, n, window_s / points) for n in range(points))
            attempts.append(replace(one, repetition=repetition, migrations=moves))
            if repetition <= control:
                points_s = tuple(move.planned_s for move in moves)
                attempts.append(
                    replace(one, repetition=repetition, kind="control", migrations=(), points_s=points_s)
                )
    return Truths(campaign="paper", window_s=window_s, heartbeat_hz=heartbeat_hz, attempts=tuple(attempts))


def _move(workload: str, n: int, every_s: float) -> MigrationTruth:
    total_s, blackout_s, data = COSTS[workload]
    spread = 1 + 0.04 * ((n * 3) % 5 - 2)
    return MigrationTruth(
        planned_s=every_s * n,
        total_s=total_s * spread,
        command_s=total_s * spread + 0.1,
        blackout_s=blackout_s * spread,
        outage_s=blackout_s * spread + 0.02 + 0.03 * (n % 2),
        data_sent_bytes=round(data * spread),
        wire_bytes=round(data * spread * 1.01),
        dirty_pages_s=round(data / 60_000 * spread),
        slowdown=0.62,
    )
