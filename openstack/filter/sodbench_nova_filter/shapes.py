"""What is used of Nova's own objects, which have no types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Aggregate(Protocol):
    """``nova.objects.Aggregate``."""

    metadata: Mapping[str, str]


class HostState(Protocol):
    """``nova.scheduler.host_manager.HostState``."""

    host: str
    num_instances: int
    aggregates: Sequence[Aggregate]


class Spec(Protocol):
    """``nova.objects.RequestSpec``."""

    instance_uuid: str


class Weighed(Protocol):
    """``nova.scheduler.weights.WeighedHost``."""

    obj: HostState
