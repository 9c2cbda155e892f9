"""`sodbench pvi`: a guest that stays in its owner's control on hosts of a provider.

The other files of this folder have the verbs.
"""

from __future__ import annotations

import typer

from harness.cli import lazy
from harness.cli.lazy import Verb


class _Verbs(lazy.Verbs):
    verbs = (
        Verb(
            "certificate",
            "harness.cli.pvi.certificate:certificate",
            "Check a certificate of destruction: who signed it, and whether nothing of the guest is left.",
        ),
        Verb(
            "reconcile",
            "harness.cli.pvi.reconcile:reconcile",
            "Pair the owner's log with the provider's, and name what one of them has alone.",
        ),
    )


pvi = typer.Typer(
    cls=_Verbs,
    help="A private virtual infrastructure: what became of its guests, and whether both sides' logs agree "
    "(docs/pvi.md).",
    no_args_is_help=True,
)
