"""`sodbench respond`: something happens to a guest at work, and what follows is decided, done and timed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer
from ruamel.yaml import YAML

from harness import workloads as known_workloads
from harness.campaign.model import Scenario
from harness.cli.attest.inputs import RegistryUrl
from harness.cli.inputs import Inventory, Results, RunInventory
from harness.cli.run import carry
from harness.errors import UsageError
from harness.nearest import nearest

Scenarios = Annotated[
    list[str] | None,
    typer.Option(
        "--scenario",
        "-s",
        help="violation, attestation, request, properties, moving-target, suspend or shut-down; may be given "
        "several times. By default violation.",
    ),
]
Workloads = Annotated[
    list[str] | None,
    typer.Option(
        "--workload", "-w", help="The guest's workload; may be given several times. By default idle."
    ),
]
Count = Annotated[
    int, typer.Option("--count", "-n", min=1, max=100, help="How often the event happens in a trial.")
]
Every = Annotated[
    float, typer.Option("--interval", min=0.1, help="Seconds from one look at a server to the next.")
]
Policy = Annotated[str, typer.Option("--policy", help="Response policy: a shipped one or a file.")]

PER_RESPONSE_S = 14.0
"""What a response takes in the lab with all that is around it; what does not fit in is left out."""


def respond(
    scenario: Scenarios = None,
    workload: Workloads = None,
    count: Count = 3,
    interval_s: Every = 1.0,
    policy: Policy = "lab",
    inventory: Inventory = None,
    run_inventory: RunInventory = False,
    results: Results = Path("results"),
    registry: RegistryUrl = None,
) -> None:
    """Demonstrate responses on a busy guest: what happens, what is decided, what it costs.

    Hosts must be enrolled and their reference values recorded (`sodbench attest enrol`, `sodbench attest
    reference a b guest`). Memory violations and architectures are simulated, as in the paper; TPMs, evidence,
    decisions and migrations are real. A campaign of your own with `respond:` can do more (docs/response.md).
    """
    text = campaign(scenario or ["violation"], workload or ["idle"], count, interval_s, policy)
    carry(text.encode(), "respond", inventory, results, registry, programs=run_inventory)


def campaign(
    scenarios: Sequence[str], workloads: Sequence[str], count: int, interval_s: float, policy: str
) -> str:
    """The campaign, as a file that could have been written by hand.

    Raises:
        UsageError: There is no such scenario or workload.
    """
    known = get_args(Scenario)
    for wrong in (one for one in scenarios if one not in known):
        raise UsageError(
            f"no scenario {wrong!r}", why=f"there are {', '.join(known)}", remedy=nearest(wrong, known)
        )
    for name in workloads:
        known_workloads.get(name)
    asked = {
        "name": "respond",
        "description": "responses on a guest at work",
        "rig": "lab",
        "start": "snapshot",
        "workloads": list(dict.fromkeys(workloads)),
        "schedule": {
            "window_s": 10.0 + PER_RESPONSE_S * count,
            "points_s": [float(2 + number) for number in range(count)],
            "baseline_s": 5.0,
            "settle_timeout_s": 240.0,
        },
        "attest": {"interval_s": interval_s, "keys": ["ecc-p256"], "policy": "lab", "guest_policy": "guest"},
        "respond": {"scenarios": list(dict.fromkeys(scenarios)), "policy": policy},
    }
    stream = io.StringIO()
    YAML().dump(asked, stream)
    return stream.getvalue()
