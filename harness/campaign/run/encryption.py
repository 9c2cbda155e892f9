"""Whether a run's migrations are encrypted, the same from its first trial to its last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.campaign.plan import Plan
from harness.json_types import Json

KEY: Final = "migration_tls"
"""In the manifest; a run from before there was a choice has no such entry, and its migrations were plain."""


def as_begun(plan: Plan, manifest: Mapping[str, Json]) -> Plan:
    """The plan with migrations as those of the run that has this `manifest` began."""
    encrypted = manifest.get(KEY) is True
    return plan.model_copy(update={"migration": plan.migration.model_copy(update={"tls": encrypted})})
