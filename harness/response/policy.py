"""What a provider lays down about responses: in which order, how often, and what if there is no way.

A value that a person writes and reviews, so the model is strict: an unknown key is an error and nothing has
a hidden meaning. This module must never decide anything (:mod:`harness.response.decide.decide` does) and
never read a file (:mod:`harness.response.policy_file` does).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from harness.clock import NS_PER_S
from harness.strict import Strict

Order: TypeAlias = Literal["strictest-first", "oldest-request", "name"]
"""Which of many VMs on a bad server goes first; see :mod:`harness.response.decide.order`."""

Resort: TypeAlias = Literal["hold", "suspend", "shut-down"]
"""What is done with a VM that can go nowhere: it runs on, it is stopped where it is, or it is ended."""

Seconds = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
"""A span of a policy, at most a year."""


class MovingTarget(Strict):
    """The range from which the time between two moves of a moving target is drawn."""

    min_s: Seconds = Field(gt=0, description="s that a VM stays where it arrived, at least; more than 0")
    max_s: Seconds = Field(description="s that a VM stays where it arrived, at most")

    @property
    def min_ns(self) -> int:
        """`min_s` in ns."""
        return _ns(self.min_s)

    @property
    def max_ns(self) -> int:
        """`max_s` in ns."""
        return _ns(self.max_s)


class ResponsePolicy(Strict):
    """How the provider wants trouble answered."""

    version: Literal[1] = Field(description="1: the version of this form")
    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="lower-case letters, digits, '.', '_' and '-'"
    )
    order: Order = Field(
        default="strictest-first",
        description="which VM of many goes first: strictest-first, oldest-request or name",
    )
    nowhere: Resort = Field(description="a VM that can go nowhere: hold, suspend or shut-down")
    settle_s: Seconds = Field(
        default=30.0, description="s that a server which was bad must be good before it receives a VM"
    )
    return_after_s: Seconds = Field(
        default=300.0, description="s before a VM may go back to a server that it fled"
    )
    max_moves: int = Field(
        default=3, ge=1, le=1000, description="moves of one VM within per_s, at most; failed ones count"
    )
    per_s: Seconds = Field(default=900.0, gt=0, description="s of the window that max_moves is counted in")
    retry_after_s: Seconds = Field(
        default=10.0, description="s after a failed move before another one of the VM is decided"
    )
    max_wait_s: Seconds = Field(
        default=60.0,
        description="s that a VM in trouble waits for a limit to end; longer is nowhere to go",
    )
    concurrent_migrations: int = Field(
        default=1, ge=1, le=64, description="moves under way at once; 1 where one link is shared"
    )
    moving_target: MovingTarget | None = Field(
        default=None, description="moves without a reason, at random times: min_s and max_s; left out: none"
    )
    max_window_s: Seconds = Field(
        default=10.0, gt=0, description="s from the destination's own quote to the decision's use, at most"
    )

    @model_validator(mode="after")
    def _consistent(self) -> ResponsePolicy:
        for path, text in inconsistencies(self):
            raise PydanticCustomError("contradiction", "{text}", {"text": text, "path": path})
        return self

    @property
    def settle_ns(self) -> int:
        """`settle_s` in ns."""
        return _ns(self.settle_s)

    @property
    def return_after_ns(self) -> int:
        """`return_after_s` in ns."""
        return _ns(self.return_after_s)

    @property
    def per_ns(self) -> int:
        """`per_s` in ns."""
        return _ns(self.per_s)

    @property
    def retry_after_ns(self) -> int:
        """`retry_after_s` in ns."""
        return _ns(self.retry_after_s)

    @property
    def max_wait_ns(self) -> int:
        """`max_wait_s` in ns."""
        return _ns(self.max_wait_s)

    @property
    def max_window_ns(self) -> int:
        """`max_window_s` in ns."""
        return _ns(self.max_window_s)


def inconsistencies(policy: ResponsePolicy) -> Iterator[tuple[tuple[str, ...], str]]:
    """What in the policy contradicts itself: the offending key's path, and the contradiction."""
    target = policy.moving_target
    if target is not None and target.max_s < target.min_s:
        yield ("moving_target", "max_s"), f"max_s {target.max_s:g} is less than min_s {target.min_s:g}"
    if policy.retry_after_s >= policy.per_s:
        yield (
            ("retry_after_s",),
            f"retry_after_s {policy.retry_after_s:g} is not less than per_s {policy.per_s:g}: "
            "a failed move would be forgotten before it is tried again",
        )


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
