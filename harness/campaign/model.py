"""What a user asks for: a campaign, as values that cannot be wrong by themselves.

These models are the only definition of a campaign's keys; the file's reader, the JSON Schema and the
reference in ``docs/campaigns.md`` follow them. They read no file and touch no machine, and they accept no key
they do not know: a misspelt option that is silently ignored would measure something else than was asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from harness.analysis.gate.declared import Gate
from harness.attest.options import Attest
from harness.campaign.gang import Guests
from harness.migration.options import MigrationOptions, conflicts
from harness.migration.schedule import Overlap
from harness.policy.request import RequestRefusedError, request
from harness.rig.acceleration import Accelerator
from harness.rig.guest.kind import GuestImage
from harness.strict import Seconds, Strict

Start: TypeAlias = Literal["boot", "snapshot"]
Mode: TypeAlias = Literal["back-and-forth", "one-per-run"]


Scenario: TypeAlias = Literal[
    "violation", "attestation", "request", "properties", "moving-target", "suspend", "shut-down"
]
"""What happens to a guest that is guarded, and so what makes it move or stop (Security on Demand, III-E)."""

HEARTBEAT_KVM_HZ = 1000
"""1 ms resolution; an echo costs a guest under KVM next to nothing."""
HEARTBEAT_TCG_HZ = 200
"""5 ms resolution: 1 kHz took 16 % of an emulated guest's vCPU in softirq, 200 Hz takes 3 %."""


SMALL_MEMORY_MIB = 256
"""Of a guest with the small image that names no size."""

LinkRate: TypeAlias = Annotated[int, Field(ge=1_000_000, le=1_000_000_000_000)]
"""Bit/s of a link: SSH and heartbeat need some of it too."""

PageCache: TypeAlias = Annotated[int, Field(ge=1, le=4_194_304)]
"""MiB of a guest's page cache."""


class Guest(Strict):
    """The virtual machine that is moved."""

    image: GuestImage = Field(
        default="standard",
        description="standard: a Debian with the servers of all workloads; "
        "small: a kernel and an initramfs, for the workloads idle and memory",
    )
    memory_mib: int = Field(
        default=1024, ge=128, le=4_194_304, description="MiB of memory; the small image's default is 256"
    )
    vcpus: int = Field(default=1, ge=1, le=512, description="number of virtual CPUs")
    boot_timeout_s: Seconds = Field(
        default=300.0, description="s after which a guest that does not answer is given up"
    )
    page_cache_mib: PageCache | None = Field(
        default=None,
        description="MiB that the guest's page cache holds before the window; read from its disk",
    )
    uptime_s: Seconds | None = Field(
        default=None, description="s that the guest has been up, by its own clock, before its servers start"
    )

    @model_validator(mode="before")
    @classmethod
    def _own_memory(cls, value: object) -> object:
        if isinstance(value, Mapping) and value.get("image") == "small" and "memory_mib" not in value:
            return {**value, "memory_mib": SMALL_MEMORY_MIB}
        return value

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Keys that came later are left out where they say nothing: plans keep their hash."""
        found: dict[str, Any] = dump(self)
        if self.image == "standard":
            found.pop("image", None)
        for name in ("page_cache_mib", "uptime_s"):
            if getattr(self, name) is None:
                found.pop(name, None)
        return found


class WorkloadChoice(Strict):
    """A workload and its options; in the file either a mapping or the bare name."""

    name: str = Field(min_length=1, description="a registered workload")
    options: dict[str, JsonValue] = Field(default_factory=dict, description="the workload's own options")
    page_cache_mib: PageCache | None = Field(
        default=None, description="the guest's page cache under this workload, in place of `guest`'s"
    )
    dirty_rate_period_s: Annotated[int, Field(ge=1, le=60)] | None = Field(
        default=None, description="s within which QEMU samples how fast a load dirties memory that states it"
    )

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


class Schedule(Strict):
    """When a trial's migrations are fired, and what else happens around its window."""

    mode: Mode = Field(
        default="back-and-forth",
        description="back-and-forth: all points within one run; one-per-run: one trial for each point",
    )
    window_s: Seconds = Field(description="s of the measured window; the run's length in the report")
    points_s: tuple[float, ...] = Field(
        strict=False,  # a YAML list is not a tuple; the items stay strict
        min_length=1,
        max_length=1000,
        description="s after the window opens at which migrations are fired: ascending, before window_s",
    )
    overlap: Overlap = Field(
        default="delay",
        description="what to do when the one before is still under way at a point: skip the new one, "
        "delay it until the other is over, or abort the other",
    )
    baseline_s: Seconds = Field(
        default=10.0,
        description="s of undisturbed work measured before the window opens: t = 0 has no other baseline",
    )
    settle_timeout_s: Seconds = Field(
        default=120.0,
        description="s a workload may take to become steady; a trial whose load does not is invalid",
    )
    migration_timeout_s: Seconds = Field(default=300.0, description="s after which a migration is given up")

    @field_validator("points_s")
    @classmethod
    def _ordered(cls, points: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        """Refuse points that cannot be fired as written; ``points >= 0`` is false for NaN as well."""
        window_s = info.data.get("window_s")
        late = [point for point in points if window_s is not None and not point < window_s]
        if any(not point >= 0 for point in points):
            raise ValueError("points from 0 upwards; 0 is the opening of the window")
        if any(later <= earlier for earlier, later in pairwise(points)):
            raise ValueError("points in ascending order, each once")
        if late:
            raise ValueError(
                f"points before the end of the window (window_s: {window_s:g}); {late[0]:g} is not"
            )
        return points


class Heartbeat(Strict):
    """The client's echo requests, whose gaps show the network's outage."""

    rate_hz: int | None = Field(
        default=None, ge=1, le=10_000, description="requests per s; default: 1000 on KVM, 200 under TCG"
    )

    def rate_on(self, accelerator: Accelerator) -> int:
        """The rate in Hz on a rig with this accelerator."""
        default = HEARTBEAT_KVM_HZ if accelerator == "kvm" else HEARTBEAT_TCG_HZ
        return default if self.rate_hz is None else self.rate_hz


class Respond(Strict):
    """The guest is guarded: at each point something happens to it, and what follows is decided and timed."""

    scenarios: tuple[Scenario, ...] = Field(
        strict=False,
        min_length=1,
        max_length=7,
        description="what happens at the points, a trial for each: violation, attestation, request, "
        "properties, moving-target, suspend, shut-down",
    )
    request: tuple[str, ...] = Field(
        default=("1", "2"),
        strict=False,
        min_length=1,
        description="the protection that the guest is deployed with: options such as 1, 2:c, 5:ci",
    )
    policy: str = Field(default="lab", min_length=1, description="response policy: a shipped one or a file")
    wait_s: Seconds = Field(
        default=60.0, description="s after which a response that is not over counts as missed"
    )
    calm_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = Field(
        default=2.0, description="s of undisturbed work after a response, before the next point counts"
    )

    @field_validator("scenarios")
    @classmethod
    def _once(cls, scenarios: tuple[Scenario, ...]) -> tuple[Scenario, ...]:
        if len(set(scenarios)) != len(scenarios):
            raise ValueError("each scenario once")
        return scenarios

    @field_validator("request")
    @classmethod
    def _granted(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        try:
            request(options)
        except RequestRefusedError as refused:
            raise ValueError(f"a request that is not refused ({refused.summary})") from refused
        return options


class GuestOverrides(Strict):
    """What a variant can change of the guest; the image is one for a whole run."""

    memory_mib: int = Field(default=1024, ge=128, le=4_194_304, description="MiB of memory")
    vcpus: int = Field(default=1, ge=1, le=512, description="number of virtual CPUs")
    page_cache_mib: PageCache | None = Field(default=None, description="MiB that its page cache holds")
    uptime_s: Seconds | None = Field(
        default=None, description="s that it has been up before its servers start"
    )


class AttestOverrides(Strict):
    """What a variant can change of attestation; the policies are kept once a run."""

    interval_s: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = Field(
        default=5.0, description="s between two attestations of one machine"
    )
    lead_s: Annotated[float, Field(ge=0.05, le=60, allow_inf_nan=False)] = Field(
        default=0.5, description="s before a planned migration at which its destination is quoted once more"
    )


class Overrides(Strict):
    """What one variant changes; every key that it leaves out is the campaign's."""

    guest: GuestOverrides = GuestOverrides()
    migration: MigrationOptions = MigrationOptions()
    attest: AttestOverrides = AttestOverrides()
    workloads: dict[str, dict[str, JsonValue]] = Field(
        default_factory=dict, description="workloads' names, each with the options that are changed"
    )
    link_bit_s: LinkRate | None = Field(
        default=None, description="bit/s that each host may send to the other, below the link's own rate"
    )


VariantName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class Campaign(Strict):
    """One campaign file."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="lower-case letters, digits and hyphens; names the results' folder",
    )
    description: str = Field(default="", description="what the campaign is for, in the report's words")
    rig: str = Field(
        default="lab", min_length=1, description="`lab`, or the path of the inventory of a real pair"
    )
    seed: int = Field(default=1, ge=0, le=2**63 - 1, description="the order of the trials follows from it")
    repetitions: int = Field(default=1, ge=1, le=1000, description="how often each trial is repeated")
    start: Start = Field(
        default="boot",
        description="boot: every trial boots the guest; snapshot: all start from one saved state",
    )
    control: int = Field(
        default=0, ge=0, le=1000, description="control trials (no migrations) for each workload"
    )
    guest: Guest = Guest()
    guests: Guests | None = Field(
        default=None, description="several guests on one host, each as `guest` says; left out: one"
    )
    workloads: tuple[WorkloadChoice, ...] = Field(
        strict=False, min_length=1, max_length=100, description="what the guest works on, one or several"
    )
    schedule: Schedule
    migration: MigrationOptions = MigrationOptions()
    variants: dict[VariantName, Overrides] = Field(
        default_factory=dict,
        max_length=16,
        description="named changes to compare, interleaved in the blocks of one run",
    )
    heartbeat: Heartbeat = Heartbeat()
    attest: Attest | None = Field(
        default=None, description="attest hosts and guest during every trial; without it the guest has no TPM"
    )
    respond: Respond | None = Field(
        default=None, description="guard the guest and let something happen to it at each point; needs attest"
    )
    gate: Gate | None = Field(
        default=None, description="what a run of it is judged by against a baseline (`sodbench gate`)"
    )


def inconsistencies(
    schedule: Schedule | None, migration: MigrationOptions | None
) -> Iterator[tuple[tuple[str, str], str]]:
    """What is wrong between keys that are right by themselves: (key path, sentence).

    None stands for a section that was refused already.
    """
    if migration is None:
        return
    for key, text in conflicts(migration):
        yield ("migration", key), text
    if schedule is None or migration.mode != "post-copy":
        return
    if schedule.overlap == "abort":
        yield (
            ("schedule", "overlap"),
            "overlap: abort with migration mode: post-copy: once the guest runs at the destination "
            "the migration cannot be aborted without losing the guest",
        )
    after_s = migration.post_copy_after_s
    if after_s is not None and after_s >= schedule.migration_timeout_s:
        yield (
            ("migration", "post_copy_after_s"),
            f"post_copy_after_s: {after_s:g} is not before migration_timeout_s: "
            f"{schedule.migration_timeout_s:g}: the switch would never come",
        )
