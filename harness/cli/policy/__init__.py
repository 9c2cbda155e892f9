"""`sodbench policy`: what customers ask for, what servers can do, and which servers fit. Touches no machine.

The verbs are in the other files of this folder: requests, capabilities, validation.
"""

from __future__ import annotations

import typer

from harness.cli import lazy
from harness.cli.lazy import Verb


class _Verbs(lazy.Verbs):
    verbs = (
        Verb(
            "request",
            "harness.cli.policy.request:request",
            "Ask for protection of a VM, which may be running; with nothing else named, show what "
            "is asked for.",
        ),
        Verb(
            "packages",
            "harness.cli.policy.request:packages",
            "Show the packages and the options that each stands for.",
        ),
        Verb(
            "form",
            "harness.cli.policy.form:form",
            "Write the form of a request as a namespace of OpenStack's metadata definitions, in JSON.",
        ),
        Verb(
            "capabilities",
            "harness.cli.policy.capabilities:capabilities",
            "Show the capability table (the paper's Table III) and what counts of it on each server now.",
        ),
        Verb(
            "statement",
            "harness.cli.policy.statement:statement",
            "Write what is known of a server now as JSON: metadata of its host's aggregate, and traits.",
        ),
        Verb(
            "withdraw",
            "harness.cli.policy.capabilities:withdraw",
            "Withdraw capabilities from a server, as when a flaw was found in it. They no longer count.",
        ),
        Verb(
            "restore",
            "harness.cli.policy.capabilities:restore",
            "Give a server back what was withdrawn from it.",
        ),
        Verb(
            "validate",
            "harness.cli.policy.validate:validate",
            "Say which servers satisfy a request now, best first, and what the others lack.",
        ),
        Verb(
            "explain",
            "harness.cli.policy.validate:explain",
            "Say cell by cell what is asked for a VM, what a server has by design, and what counts "
            "of it now.",
        ),
    )


policy = typer.Typer(
    cls=_Verbs,
    help="Security on demand: requests, capabilities, and which servers satisfy what (docs/policy.md).",
    no_args_is_help=True,
)
