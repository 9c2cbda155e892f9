"""Commands on the controller, for the rooms that build machines: run, or state clearly what failed."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from harness.errors import PrerequisiteError, ProvisionError


def run(argv: Sequence[str], *, timeout_s: float = 120.0, text_in: str | None = None) -> str:
    """The standard output of `argv`.

    Raises:
        PrerequisiteError: The program is not installed.
        ProvisionError: It failed or took longer than `timeout_s`; the message holds its standard error.
    """
    try:
        done = subprocess.run(
            argv, input=text_in, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError as error:
        raise PrerequisiteError(
            f"{argv[0]} is not installed", remedy="`sodbench doctor` names the package it comes from"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ProvisionError(
            f"no end after {timeout_s:.0f} s", where=shlex.join(argv), remedy="run it by hand to see why"
        ) from error
    if done.returncode != 0:
        raise ProvisionError(
            f"exit status {done.returncode}", where=shlex.join(argv), why=_tail(done.stderr or done.stdout)
        )
    return done.stdout


def succeeds(argv: Sequence[str]) -> bool:
    """Whether `argv` exits with 0: for questions such as "does this link exist"."""
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
