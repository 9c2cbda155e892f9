"""`sodbench guest`: deploys the rig's guest where its request is satisfied, finds it, takes it away."""

from __future__ import annotations

import typer

from harness.cli import lazy
from harness.cli.lazy import Verb


class _Verbs(lazy.Verbs):
    verbs = (
        Verb(
            "launch",
            "harness.cli.guest.deploy:launch",
            "Deploy a guest onto the best server that satisfies its request, and prove that it is there.",
        ),
        Verb(
            "status",
            "harness.cli.guest.deploy:status",
            "Show where the guest is, by its hosts and by the registry. Changes nothing.",
        ),
        Verb(
            "end",
            "harness.cli.guest.deploy:end",
            "Remove the guest, with its disk, its identity and its request; guests that a killed run "
            "left, too.",
        ),
    )


guest = typer.Typer(
    cls=_Verbs,
    help="The guarded guest: deployed where its request is satisfied (docs/response.md).",
    no_args_is_help=True,
)
