"""A campaign expanded into trials, in an order that can be drawn again from its seed.

Purely a function of the campaign: no clock, no machine, no randomness but the seed's. A stored plan is all
that a run and its resume need, so nothing is looked up in the campaign again. Trials run in randomised
blocks (Montgomery, Design and Analysis of Experiments, ch. 4): a repetition is one block with every trial of
the campaign once, under each of its variants, so that drift of the rig falls on all of them alike.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, ValidationError, model_serializer

from harness.analysis.gate.declared import Gate
from harness.attest.options import Attest
from harness.campaign.gang import in_order
from harness.campaign.model import Campaign, Guest, Heartbeat, Mode, Respond, Scenario, Start, WorkloadChoice
from harness.campaign.variants import each
from harness.errors import RecordError
from harness.json_types import Json
from harness.migration.options import MigrationOptions
from harness.migration.schedule import Overlap, PlannedMigration
from harness.response.policy import Order
from harness.sentence import sentence
from harness.strict import Strict

PLAN_VERSION: Final = 2
"""Version of a stored plan's fields."""


class Trial(Strict):
    """One boot of the guest, one workload, one window.

    Attributes:
        id: Number in the plan and workload, such as ``001-idle``.
        repetition: The block it belongs to, from 1.
        kind: ``migrations``, or ``control`` for a window in which nothing is moved.
        options: The workload's own options, complete.
        migrations: In the order of their points; empty in a control trial.
        reference_points_s: Where a control trial is cut, so that its stretches compare with those of the
            trials that migrate; empty in these.
        scenario: What happens to the guest at the points, which then are no orders to migrate; None where the
            points are.
        variant: Under which of the plan's variants; None where it has none.
        page_cache_mib: MiB that the guest's page cache holds before the window; None where it is left alone.
        dirty_rate_period_s: Within which time QEMU samples the load's dirty rate; None where it does not.
    """

    id: str
    workload: str
    options: dict[str, JsonValue]
    repetition: int = Field(ge=1)
    kind: Literal["migrations", "control"]
    start: Start
    baseline_s: float
    window_s: float
    settle_timeout_s: float
    migrations: Annotated[tuple[PlannedMigration, ...], Field(strict=False)]
    reference_points_s: Annotated[tuple[float, ...], Field(strict=False)]
    scenario: Scenario | None = None
    variant: str | None = None
    page_cache_mib: int | None = None
    dirty_rate_period_s: int | None = None

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without these the bytes are what they were before there were such keys: plans keep their hash."""
        found: dict[str, Any] = dump(self)
        for name in ("scenario", "variant", "page_cache_mib", "dirty_rate_period_s"):
            if getattr(self, name) is None:
                found.pop(name, None)
        return found


class PlannedGuest(Strict):
    """One of several guests: its name, its size, and what is asked for it where it is guarded."""

    name: str
    memory_mib: int
    vcpus: int
    request: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Where nothing is guarded the request is left out: plans keep their hash."""
        found: dict[str, Any] = dump(self)
        if not self.request:
            found.pop("request", None)
        return found


class PlannedVariant(Strict):
    """What is another under one variant: complete, with all that it does not change."""

    name: str
    guest: Guest
    migration: MigrationOptions
    attest: Attest | None = None
    link_bit_s: int | None = None

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The link's own rate is left out: plans keep their hash."""
        found: dict[str, Any] = dump(self)
        if self.link_bit_s is None:
            found.pop("link_bit_s", None)
        return found


class Plan(Strict):
    """Everything a run needs: the trials in order, and what is the same for all of them."""

    version: Literal[2]
    campaign: str
    description: str
    rig: str
    seed: int
    repetitions: int
    mode: Mode
    overlap: Overlap
    migration_timeout_s: float
    guest: Guest
    migration: MigrationOptions
    heartbeat: Heartbeat
    attest: Attest | None = None
    respond: Respond | None = None
    guests: Annotated[tuple[PlannedGuest, ...], Field(strict=False)] = ()
    concurrency: int = Field(default=1, ge=1)
    order: Order | None = None
    variants: Annotated[tuple[PlannedVariant, ...], Field(strict=False)] = ()
    gate: Gate | None = None
    link_bit_s: int | None = None
    trials: Annotated[tuple[Trial, ...], Field(strict=False)]

    @property
    def hash(self) -> str:
        """SHA-256 of the plan's canonical JSON (sorted keys, no blanks, ASCII), in hexadecimal."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    def trial(self, trial_id: str) -> Trial:
        """The trial of that id.

        Raises:
            KeyError: The plan has none.
        """
        for trial in self.trials:
            if trial.id == trial_id:
                return trial
        raise KeyError(trial_id)

    def under(self, name: str | None) -> Plan:
        """The plan as it is for the trials of one variant; itself for None.

        Raises:
            KeyError: It has no such variant.
        """
        if name is None:
            return self
        for one in self.variants:
            if one.name == name:
                changed = {"guest": one.guest, "migration": one.migration, "attest": one.attest}
                return self.model_copy(update={**changed, "link_bit_s": one.link_bit_s})
        raise KeyError(name)

    @property
    def every_guest(self) -> tuple[Guest, ...]:
        """The guest under each variant, or the only one."""
        return tuple(dict.fromkeys(one.guest for one in self.variants)) or (self.guest,)

    def to_json(self) -> dict[str, Json]:
        """The plan as JSON values; :func:`from_json` reads it back equal."""
        # Plans without them are the bytes they were before there were such sections, and keep their hash.
        sections = ("attest", "respond", "guests", "variants", "gate", "link_bit_s")
        without = {name for name in sections if not getattr(self, name)}
        without |= {"concurrency"} if self.concurrency == 1 else set()
        without |= {"order"} if self.order is None else set()
        return {**self.model_dump(mode="json", exclude=without)}


def from_json(value: Mapping[str, Json], *, where: str = "plan.json") -> Plan:
    """The plan that :meth:`Plan.to_json` wrote.

    Raises:
        RecordError: It is not a plan, or one of another version.
    """
    try:
        return Plan.model_validate(dict(value))
    except ValidationError as error:
        raise RecordError(
            "not a plan of this version",
            where=where,
            why=sentence(error),
            remedy=f"use the sodbench named in the manifest; this one reads plans of version {PLAN_VERSION}",
        ) from error


def expand(campaign: Campaign) -> Plan:
    """The plan of `campaign`: the same campaign and seed always give the same plan, byte for byte."""
    order = random.Random(campaign.seed)
    variants = list(each(campaign))
    trials: list[Trial] = []
    for repetition in range(1, campaign.repetitions + 1):
        block = [
            trial.model_copy(update={"variant": name})
            for name, one in variants
            for trial in _block(one, repetition)
        ]
        order.shuffle(block)
        trials.extend(block)
    schedule = campaign.schedule
    return Plan(
        version=PLAN_VERSION,
        campaign=campaign.name,
        description=campaign.description,
        rig=campaign.rig,
        seed=campaign.seed,
        repetitions=campaign.repetitions,
        mode=schedule.mode,
        overlap=schedule.overlap,
        migration_timeout_s=schedule.migration_timeout_s,
        guest=campaign.guest,
        migration=campaign.migration,
        heartbeat=campaign.heartbeat,
        attest=campaign.attest,
        respond=campaign.respond,
        guests=_guests(campaign),
        concurrency=1 if campaign.guests is None else campaign.guests.concurrency,
        order=_order(campaign),
        gate=campaign.gate,
        variants=tuple(
            PlannedVariant(
                name=name,
                guest=one.guest,
                migration=one.migration,
                attest=one.attest,
                link_bit_s=campaign.variants[name].link_bit_s,
            )
            for name, one in variants
            if name is not None
        ),
        trials=tuple(
            trial.model_copy(update={"id": f"{number:03d}-{trial.workload}"})
            for number, trial in enumerate(trials, start=1)
        ),
    )


def _order(campaign: Campaign) -> Order | None:
    """The order in which guarded guests leave, where the campaign states one; else it is the policy's."""
    guests = campaign.guests
    if guests is None or campaign.respond is None or "order" not in guests.model_fields_set:
        return None
    return guests.order


def _guests(campaign: Campaign) -> tuple[PlannedGuest, ...]:
    """The guests where there are several, in the order in which they are started."""
    return tuple(
        PlannedGuest(
            name=one.name,
            memory_mib=one.memory_mib or campaign.guest.memory_mib,
            vcpus=one.vcpus or campaign.guest.vcpus,
            request=() if campaign.respond is None else one.request,
        )
        for one in (() if campaign.guests is None else campaign.guests.each)
    )


def _migrations(campaign: Campaign, points_s: tuple[float, ...]) -> tuple[PlannedMigration, ...]:
    """The trial's migrations: at each point the one guest's, or those of all of them in their order.

    Where guests are guarded the points are no orders to migrate, so that they name none.
    """
    several = campaign.guests if campaign.respond is None else None
    movers = (None,) if several is None else in_order(several)
    moves = ((at_s, guest) for at_s in points_s for guest in movers)
    return tuple(
        PlannedMigration(n=n, at_s=at_s, guest=guest) for n, (at_s, guest) in enumerate(moves, start=1)
    )


def _block(campaign: Campaign, repetition: int) -> Iterator[Trial]:
    """One repetition's trials, not yet shuffled: each workload with its migrations, and its controls."""
    # Spread evenly over the blocks: with fewer controls than blocks, not all of them early in the run.
    shares = [index * campaign.repetitions // campaign.control for index in range(campaign.control)]
    controls = shares.count(repetition - 1)
    points = campaign.schedule.points_s
    runs = [points] if campaign.schedule.mode == "back-and-forth" else [(point,) for point in points]
    scenarios = (None,) if campaign.respond is None else campaign.respond.scenarios
    for choice in campaign.workloads:
        for run in runs:
            for scenario in scenarios:
                yield _trial(campaign, choice, repetition, run, scenario)
        for _ in range(controls):
            yield _trial(campaign, choice, repetition, ())


def _trial(
    campaign: Campaign,
    choice: WorkloadChoice,
    repetition: int,
    points_s: tuple[float, ...],
    scenario: Scenario | None = None,
) -> Trial:
    schedule = campaign.schedule
    return Trial(
        id="",
        workload=choice.name,
        options=choice.options,
        repetition=repetition,
        kind="migrations" if points_s else "control",
        start=campaign.start,
        baseline_s=schedule.baseline_s,
        window_s=schedule.window_s,
        settle_timeout_s=schedule.settle_timeout_s,
        migrations=_migrations(campaign, points_s),
        reference_points_s=() if points_s else schedule.points_s,
        scenario=scenario,
        page_cache_mib=choice.page_cache_mib or campaign.guest.page_cache_mib,
        dirty_rate_period_s=choice.dirty_rate_period_s,
    )
