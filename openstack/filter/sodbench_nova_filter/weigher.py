"""The weigher: of the hosts that passed, first those that give away the least protection.

It ranks as policy validation does, so that strong hosts are kept for who needs them. A server that asks for
nothing is not ranked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from nova.scheduler import weights
from oslo_log import log as logging

from harness.errors import SodbenchError
from harness.policy.nova.hosts import ranks
from sodbench_nova_filter.asked import asked_of
from sodbench_nova_filter.filter import UNREADABLE, seen
from sodbench_nova_filter.settings import CONF, Settings
from sodbench_nova_filter.shapes import HostState, Spec, Weighed

LOG = logging.getLogger(__name__)


class SodbenchWeigher(weights.BaseHostWeigher):  # type: ignore[misc]
    """Ranks hosts as sodbench's validation does."""

    def __init__(self) -> None:
        super().__init__()
        self._settings = Settings()

    def weight_multiplier(self, host_state: HostState) -> float:  # noqa: ARG002
        """How much the order counts, as nova.conf says."""
        return float(CONF.sodbench.weight_multiplier)

    def weigh_objects(self, weighed_obj_list: Sequence[Weighed], weight_properties: Spec) -> list[float]:
        """A weight for each host: 0 for the best, less for each that follows."""
        hosts = [one.obj for one in weighed_obj_list]
        try:
            asked = asked_of(weight_properties)
            if asked is None:
                return [0.0] * len(hosts)
            with self._settings.lock:
                answer = self._settings.hosts().judge(asked, seen(hosts), time.time_ns())
                return [-float(place) for place in ranks(answer, [host.host for host in hosts])]
        except UNREADABLE as error:
            told = error.summary if isinstance(error, SodbenchError) else f"{type(error).__name__}: {error}"
            LOG.warning("%s: the hosts are not ranked: %s", weight_properties.instance_uuid, told)
            return [0.0] * len(hosts)

    def _weigh_object(self, obj: HostState, weight_properties: Spec) -> float:
        return self.weigh_objects([weights.WeighedHost(obj, 0.0)], weight_properties)[0]
