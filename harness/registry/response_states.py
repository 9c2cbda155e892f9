"""The states of a response, and which may follow which (pure).

A response is open until it reaches a final state, and a final state is for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ResponseState(StrEnum):
    """Where a response stands."""

    BEGUN = "begun"
    """Decided; as far as is known, no machine was asked to act yet."""
    MIGRATING = "migrating"
    """The migration was requested."""
    ARRIVED = "arrived"
    """The VM runs on its destination; whether it is the same VM is not known yet."""
    COMPLETED = "completed"
    """It arrived, and its continuity was confirmed."""
    FAILED = "failed"
    """The decided action did not succeed."""
    CALLED_OFF = "called-off"
    """The decision was cancelled before the VM moved."""
    HELD = "held"
    """The VM can go nowhere and stays, under alarm."""
    SUSPENDED = "suspended"
    """The VM can go nowhere and was paused."""
    SHUT_DOWN = "shut-down"
    """The VM can go nowhere and was ended."""
    ABANDONED = "abandoned"
    """Its controller died before any action, or its outcome is unknown; a new decision follows."""


_S = ResponseState

_ANYTIME = frozenset({_S.FAILED, _S.HELD, _S.SUSPENDED, _S.SHUT_DOWN, _S.ABANDONED})

FOLLOWING: Mapping[ResponseState, frozenset[ResponseState]] = {
    _S.BEGUN: _ANYTIME | {_S.MIGRATING, _S.CALLED_OFF},
    _S.MIGRATING: _ANYTIME | {_S.ARRIVED, _S.CALLED_OFF},
    _S.ARRIVED: _ANYTIME | {_S.COMPLETED},
    **{
        final: frozenset[ResponseState]()
        for final in (
            _S.COMPLETED,
            _S.FAILED,
            _S.CALLED_OFF,
            _S.HELD,
            _S.SUSPENDED,
            _S.SHUT_DOWN,
            _S.ABANDONED,
        )
    },
}
"""What may come after each state; nothing after a final one."""

FINAL = frozenset(state for state, following in FOLLOWING.items() if not following)
"""The states that close a response."""
