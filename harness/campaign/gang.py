"""Several guests of one campaign: who they are, what each asks for, and in which order they move.

The order is the response policy's, by the same function that decides who leaves a bad server first. So a
campaign measures what the order costs without anything having to go wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from harness.pair_name import ONLY_GUEST
from harness.policy.request import RequestRefusedError, request
from harness.response.decide.assessment import Finding, Vm
from harness.response.decide.cause import Cause
from harness.response.decide.order import Claim, key
from harness.response.policy import Order, ResponsePolicy
from harness.rig.guest.guest import MOST
from harness.strict import Strict

OVERHEAD_MIB = 64
"""What a guest's QEMU takes on top of the guest's memory, in MiB: an allowance, not a measurement."""


SCENARIOS = ("violation",)
"""What makes several guarded guests leave."""


class GuestChoice(Strict):
    """One of several guests; what it does not say is as in the section ``guest``."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,30}$", description="lower-case letters, digits and hyphens"
    )
    memory_mib: int | None = Field(
        default=None, ge=128, le=4_194_304, description="MiB of memory; default: guest.memory_mib"
    )
    vcpus: int | None = Field(default=None, ge=1, le=512, description="virtual CPUs; default: guest.vcpus")
    request: tuple[str, ...] = Field(
        default=("1",),
        strict=False,
        min_length=1,
        description="the protection it asks for, such as 1, 2:c: the more, the earlier it moves",
    )

    @field_validator("request")
    @classmethod
    def _granted(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        try:
            request(options)
        except RequestRefusedError as refused:
            raise ValueError(f"a request that is not refused ({refused.summary})") from refused
        return options


class Guests(Strict):
    """Several guests on one host, each with its own workload and observers, and how many move at once."""

    order: Order = Field(
        default="strictest-first",
        description="who moves first: strictest-first, oldest-request (the order of the list) or name",
    )
    concurrency: int = Field(
        default=1, ge=1, le=MOST, description="how many of them move at once; 1: one after another"
    )
    each: Annotated[tuple[GuestChoice, ...], Field(strict=False)] = Field(
        min_length=2, max_length=MOST, description="the guests, by name"
    )

    @model_validator(mode="before")
    @classmethod
    def _counted(cls, value: object) -> object:
        """``count: 3`` stands for three guests that differ in nothing: g1, g2, g3."""
        if not isinstance(value, dict) or "count" not in value or "each" in value:
            return value
        count = value["count"]
        if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MOST:
            raise ValueError(f"count: 2 to {MOST} guests")
        rest = {name: item for name, item in value.items() if name != "count"}
        return {**rest, "each": [{"name": f"g{number}"} for number in range(1, count + 1)]}

    @field_validator("each")
    @classmethod
    def _told_apart(cls, each: tuple[GuestChoice, ...]) -> tuple[GuestChoice, ...]:
        names = [one.name for one in each]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"each name once; {doubled[0]} is there twice")
        if ONLY_GUEST in names:
            raise ValueError(f"other names than {ONLY_GUEST}, which is what the one guest of a rig is called")
        return each

    @model_validator(mode="after")
    def _as_many_as_there_are(self) -> Guests:
        if self.concurrency > len(self.each):
            raise ValueError(
                f"concurrency: {self.concurrency} with {len(self.each)} guests: at most so many move at once"
            )
        return self


def in_order(guests: Guests) -> tuple[str, ...]:
    """The guests' names in the order in which they move."""
    policy = ResponsePolicy(version=1, name="schedule", nowhere="hold", order=guests.order)
    claims = (_claim(one, number) for number, one in enumerate(guests.each, start=1))
    return tuple(one.finding.vm.name for one in sorted(claims, key=lambda claim: key(claim, policy, 0)))


def _claim(one: GuestChoice, number: int) -> Claim:
    """A guest as it would stand in the queue for the link, were its server bad."""
    vm = Vm(name=one.name, host="", request=request(one.request), request_number=number, placed_ns=0)
    return Claim(finding=Finding(vm=vm, cause=Cause.VIOLATION, why=""), since_ns=0)


def clashes(
    *,
    start: str,
    overlap: str,
    scenarios: Sequence[str] = (),
    common_request: bool = False,
) -> Iterator[tuple[tuple[str, ...], str]]:
    """What a campaign cannot combine with several guests: (key path, sentence).

    Args:
        start: How a trial starts its guests.
        overlap: What happens at a point while migrations run.
        scenarios: What happens to guarded guests; empty where they follow a schedule.
        common_request: Whether the campaign states one request for guarded guests.
    """
    for one in scenarios:
        if one not in SCENARIOS:
            yield (
                ("respond", "scenarios"),
                f"the scenario {one} with guests: several guests are made to leave by {', '.join(SCENARIOS)}",
            )
    if common_request:
        yield (
            ("respond", "request"),
            "respond.request with guests: each guest has a request of its own; write guests.each[].request",
        )
    if start != "boot":
        yield ("start",), f"start: {start} with guests: several guests are booted; write start: boot"
    if overlap != "delay":
        yield (
            ("schedule", "overlap"),
            f"overlap: {overlap} with guests: they leave one after another, each when "
            "the one before is over; write overlap: delay",
        )


def memory_problem(sizes_mib: Sequence[int], host_bytes: int) -> str | None:
    """Why guests of these sizes do not fit into a host's memory; None where they do.

    QEMU needs memory on top of the guest's own: :data:`OVERHEAD_MIB` for each is allowed for.
    """
    need = sum(sizes_mib) + OVERHEAD_MIB * len(sizes_mib)
    have = host_bytes // 2**20
    if need <= have:
        return None
    guests = "1 guest needs" if len(sizes_mib) == 1 else f"{len(sizes_mib)} guests need"
    return f"{have} MiB of memory, and {guests} {need} MiB there"
