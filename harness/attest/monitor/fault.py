"""Calls into code of others that must not end their caller: a listener, a monitor, a store.

Whatever such a call raises becomes a value that says what happened, for the caller to report. It is never
dropped.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.attest.reasons import Reason
from harness.errors import SodbenchError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a call ended without a value.

    Attributes:
        reason: The error's own, where it has one; else ``monitor-failed``.
        why: Its message; for an unforeseen error also its type and where it was raised.
    """

    reason: Reason
    why: str


def attempt(call: Callable[[], T]) -> T | Fault:
    """What `call` returns, or what it raised."""
    try:
        return call()
    except SodbenchError as error:
        reason = getattr(error, "reason", None)
        return Fault(
            reason=reason if isinstance(reason, Reason) else Reason.MONITOR_FAILED, why=error.summary
        )
    except BaseException as error:  # noqa: BLE001 - handed to the caller, which reports it
        return Fault(reason=Reason.MONITOR_FAILED, why=_unforeseen(error))


def _unforeseen(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
