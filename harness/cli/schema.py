"""`sodbench schema`: the JSON Schema of each kind of file that people write, for editors and other tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import typer

from harness.analysis.claims import files as claims_files
from harness.analysis.gate import known_bad
from harness.attest.reference import files as reference_files
from harness.campaign import file as campaign_file
from harness.campaign.nightly import file as nightly_file
from harness.errors import UsageError
from harness.nearest import nearest
from harness.policy import capability_file
from harness.pvi import sla_file
from harness.response import policy_file

KINDS: Mapping[str, Callable[[], dict[str, Any]]] = MappingProxyType(
    {
        "campaign": campaign_file.json_schema,
        "policy": reference_files.policy_schema,
        "reference": reference_files.reference_schema,
        "response": policy_file.schema,
        "capabilities": capability_file.schema,
        "known-bad": known_bad.schema,
        "claims": claims_files.schema,
        "sla": sla_file.schema,
        "nightly": nightly_file.schema,
    }
)


def schema(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help=f"{', '.join(KINDS)}: a campaign, an appraisal policy, reference values, a response policy, "
            "a provider's capabilities, known-bad entries of a gate, a paper's claims, "
            "a service level agreement, a night.",
        ),
    ] = "campaign",
) -> None:
    """Print the JSON Schema of a kind of file, by default of a campaign."""
    if kind not in KINDS:
        raise UsageError(
            "no such kind of file",
            where=kind,
            why=f"there are {', '.join(KINDS)}",
            remedy=nearest(kind, KINDS) or "choose one of them",
        )
    typer.echo(json.dumps(KINDS[kind](), indent=2, sort_keys=True))
