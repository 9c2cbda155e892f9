"""Whether a run's migrations are encrypted, the same from its first trial to its last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.campaign.plan import Plan
from harness.json_types import Json

KEY: Final = "migration_tls"
"""In the manifest: true, false, or one of them by variant where variants differ. A run from before there was
a choice has no such entry, and its migrations were plain."""


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


def recorded(manifest: Mapping[str, Json], variant: str | None) -> bool:
    """Whether the run of this `manifest` encrypts the migrations of a trial under `variant`."""
    said = manifest.get(KEY)
    return (said.get(variant or "") if isinstance(said, Mapping) else said) is True


def as_begun(plan: Plan, manifest: Mapping[str, Json], variant: str | None) -> Plan:
    """The `plan` of a trial under `variant`, with migrations as those of the run of this `manifest` began."""
    encrypted = recorded(manifest, variant)
    return plan.model_copy(update={"migration": plan.migration.model_copy(update={"tls": encrypted})})
