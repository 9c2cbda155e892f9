"""`sodbench policy`: what customers ask for, what servers can do, and which servers fit. Touches no machine.

The verbs are in the other files of this folder: requests, capabilities, validation.
"""

from __future__ import annotations

import typer

from harness.cli.policy import capabilities, request, validate

policy = typer.Typer(
    help="Security on demand: requests, capabilities, and which servers satisfy what (docs/policy.md).",
    no_args_is_help=True,
)
for _verb in (
    request.request,
    request.packages,
    capabilities.capabilities,
    capabilities.withdraw,
    capabilities.restore,
    validate.validate,
    validate.explain,
):
    policy.command()(_verb)
