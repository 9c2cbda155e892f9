"""Stored output of the real tools as the lines that an attempt would have collected."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.workloads.contract import GENERATOR, Line, Process, Site

SAMPLES = Path(__file__).parents[1] / "samples"
S = 1_000_000_000
SITE = Site(
    guest_address="198.18.0.1",
    client_address="198.18.0.2",
    baseline_s=10,
    window_s=120,
    limit_s=600,
)


def texts(*parts: str) -> list[str]:
    """The lines of one sample."""
    return (SAMPLES.joinpath(*parts)).read_text(encoding="utf-8").splitlines()


def stamped(said: Sequence[str], source: str = GENERATOR, first_ns: int = S) -> list[Line]:
    """One line a second, from `first_ns` on."""
    return [Line(t_ns=first_ns + number * S, text=text, source=source) for number, text in enumerate(said)]


def as_arrived(said: Sequence[str]) -> list[Line]:
    """locust's lines, each at the time that it says itself."""
    lines, now = [], 0
    for text in said:
        with suppress(ValueError):
            now = int(json.loads(text).get("t_s", 0) * S) or now
        lines.append(Line(t_ns=now or S, text=text))
    return lines


def run(process: Process, **replaced: object) -> list[str]:
    """The process's output in a real shell, with each of the paths in it `replaced`."""
    command = process.command
    for old, new in replaced.items():
        assert old in command
        command = command.replace(old, str(new))
    done = subprocess.run(
        ["sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout.splitlines()


def well_formed(command: str) -> bool:
    """Whether a POSIX shell takes `command`, and does so inside another one's quotes."""
    done = subprocess.run(["sh", "-n"], input=command, text=True, capture_output=True, check=False)
    return done.returncode == 0 and not done.stderr
