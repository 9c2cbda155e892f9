"""Whether a run's migrations are encrypted, the same from its first trial to its last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.campaign.plan import Plan
from harness.json_types import Json

KEY: Final = "migration_tls"
"""In the manifest; a run from before there was a choice has no such entry, and its migrations were plain."""


def of_run(plan: Plan) -> Json:
    """Whether the run's migrations are encrypted; by variant's name where its variants differ in it."""
    by_variant = {one.name: one.migration.encrypted for one in plan.variants}
    if len(set(by_variant.values())) > 1:
        return {**by_variant}
    return next(iter(by_variant.values()), plan.migration.encrypted)


def of_any(plan: Plan) -> bool:
    """Whether the run encrypts any migration, and so needs the hosts' certificates."""
    found = of_run(plan)
    return found if isinstance(found, bool) else True


def as_begun(plan: Plan, manifest: Mapping[str, Json]) -> Plan:
    """The plan of a trial with migrations as those of the run that has this `manifest` began."""
    encrypted = KEY in manifest and plan.migration.encrypted
    return plan.model_copy(update={"migration": plan.migration.model_copy(update={"tls": encrypted})})
