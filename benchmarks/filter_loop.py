"""Policy validation as schedulers write it: a chain of filters, asked for every server and every request.

This is what :mod:`benchmarks.validation` compares with. It has the form of OpenStack Nova's host filters, to
which the paper added its policy: objects with one method, a host's state and a request's specification as
plain values, and the hosts that every filter passes are weighed. It is written to be fast for what it is:
what can be looked up once is, and the cheapest filters come first.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class HostState:
    """What a scheduler holds of a host."""

    name: str
    architecture: str
    capabilities: Mapping[str, str]
    withdrawn: frozenset[str]
    tier: str
    expires_ns: int
    running_vms: int


@dataclass(slots=True)
class Spec:
    """What is asked for."""

    columns: tuple[str, ...]
    accepted: frozenset[str]
    now_ns: int
    ignored: str | None


class HostFilter(Protocol):
    """One reason to pass a host or not."""

    def host_passes(self, host: HostState, spec: Spec) -> bool:
        """Whether the host may be considered any further."""
        ...


class IgnoreHostsFilter:
    """Not the host that the VM is to leave."""

    def host_passes(self, host: HostState, spec: Spec) -> bool:
        return host.name != spec.ignored


class TrustFilter:
    """Trusted, and not too long ago."""

    def host_passes(self, host: HostState, spec: Spec) -> bool:
        return host.tier == "affirming" and spec.now_ns < host.expires_ns


class CapabilityFilter:
    """Every protection that is asked for."""

    def host_passes(self, host: HostState, spec: Spec) -> bool:
        for column in spec.columns:
            if column in host.withdrawn:
                return False
            value = host.capabilities[column]
            if value != "yes" and not (value == "removed" and host.architecture in spec.accepted):
                return False
        return True


FILTERS: Sequence[HostFilter] = (IgnoreHostsFilter(), TrustFilter(), CapabilityFilter())


def filtered(hosts: Iterable[HostState], spec: Spec) -> list[HostState]:
    """The hosts that every filter passes."""
    return [host for host in hosts if all(one.host_passes(host, spec) for one in FILTERS)]


def weighed(hosts: Iterable[HostState], spec: Spec, most: int) -> list[str]:
    """The best `most` of the hosts that passed: few protections beyond what is asked for, then few VMs."""

    def weight(host: HostState) -> tuple[int, int, str]:
        beyond = sum(
            value == "yes" and column not in host.withdrawn and column not in spec.columns
            for column, value in host.capabilities.items()
        )
        return beyond, host.running_vms, host.name

    return [host.name for host in heapq.nsmallest(most, hosts, key=weight)]
