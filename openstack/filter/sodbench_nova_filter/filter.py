"""The filter: of the hosts that the scheduler offers, those on which the server's request is kept now.

It fails closed. A server that asks for protection goes nowhere while its request, the keys, the table or the
statement of a host cannot be read. A server that asks for nothing passes everywhere. An error that is not
expected fails the one scheduling request in which it occurs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from nova import exception
from nova.scheduler import filters
from oslo_db import exception as db_exception
from oslo_log import log as logging

from harness.errors import SodbenchError
from harness.policy.nova.hosts import Seen, refusals
from harness.policy.request import Request
from sodbench_nova_filter.asked import asked_of
from sodbench_nova_filter.settings import Settings
from sodbench_nova_filter.shapes import HostState, Spec

LOG = logging.getLogger(__name__)
MOST_REASONS = 20
"""How many reasons one request logs; hosts with the same lack share one."""
UNREADABLE = (SodbenchError, exception.NovaException, db_exception.DBError, OSError)
"""What keeps a request, or a file of settings, from being read."""


class SodbenchFilter(filters.BaseHostFilter):  # type: ignore[misc]
    """Passes the hosts that satisfy what the server's metadata ask for."""

    RUN_ON_REBUILD = True  # a host that is not trusted any more must not take the server's new image either

    def __init__(self) -> None:
        super().__init__()
        self._settings = Settings()

    def filter_all(self, filter_obj_list: Iterable[HostState], spec_obj: Spec) -> list[HostState]:
        """The hosts that pass. What is asked for is read once, not once a host."""
        offered = list(filter_obj_list)
        try:
            asked = asked_of(spec_obj)
            return offered if asked is None else self._passing(asked, offered, spec_obj.instance_uuid)
        except UNREADABLE as error:
            told = error.summary if isinstance(error, SodbenchError) else f"{type(error).__name__}: {error}"
            LOG.warning(
                "%s: no host passes, because nothing can be decided: %s", spec_obj.instance_uuid, told
            )
            return []

    def host_passes(self, host_state: HostState, filter_properties: Spec) -> bool:
        """Whether one host passes."""
        return bool(self.filter_all([host_state], filter_properties))

    def _passing(self, asked: Request, offered: list[HostState], server_id: str) -> list[HostState]:
        names = [host.host for host in offered]
        with self._settings.lock:
            answer = self._settings.hosts().judge(asked, seen(offered), time.time_ns())
            passing = [host for host in offered if answer.permits(host.host)]
            refused = refusals(answer, names) if len(passing) < len(offered) else ()
        wanted = ", ".join(asked.texts())
        for one in refused[:MOST_REASONS]:
            more = f" (and {one.count - 1} more like it)" if one.count > 1 else ""
            LOG.info("%s asks for options %s; refused: %s%s", server_id, wanted, one.example.why, more)
        if len(refused) > MOST_REASONS:
            LOG.info("%s: and %d reasons more", server_id, len(refused) - MOST_REASONS)
        return passing


def seen(hosts: Iterable[HostState]) -> Iterator[Seen]:
    """Host states as the policy core sees them."""
    for host in hosts:
        yield Seen(host.host, host.num_instances or 0, tuple([one.metadata for one in host.aggregates]))
