"""The facts of a rig's machines, gathered by ``verify.yml``, which changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import PrerequisiteError, ProvisionError
from harness.json_types import Json
from harness.rig.pair import Pair
from harness.rig.provision import play


def facts(pair: Pair) -> Mapping[str, Mapping[str, Json]]:
    """Every machine's facts, by role.

    Raises:
        UnreachableError: A machine does not answer.
        PrerequisiteError: A machine lacks what provisioning gives it, or room on its storage.
    """
    try:
        found = play("verify.yml", pair.inventory, programs=pair.programs, limit_s=pair.ansible_limit_s).facts
    except ProvisionError as error:
        raise PrerequisiteError(
            "a machine is not fit for a run", where=error.where, why=error.why, remedy=error.remedy
        ) from error
    known: dict[str, Mapping[str, Json]] = {}
    for role, values in found.items():
        own = values.get("sodbench_facts")
        known[role] = own if isinstance(own, Mapping) else {}
    return known
