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
            "init",
            "harness.cli.pvi.init:init",
            "Make the factory: a root authority and an issuing one, whose keys a passphrase locks.",
        ),
        Verb(
            "issue",
            "harness.cli.pvi.issue:issue",
            "Certify a key: a host's or VM's identity, a vTPM, a VPN peer, a migration's end, or a probe.",
        ),
        Verb(
            "revoke",
            "harness.cli.pvi.revoke:revoke",
            "Revoke a certificate, and publish the factory's list again.",
        ),
        Verb(
            "lists",
            "harness.cli.pvi.revoke:lists",
            "Publish the revocation lists again before they expire: the issuing one lasts 7 days, the "
            "root's 90.",
        ),
        Verb(
            "check",
            "harness.cli.pvi.check:check",
            "Check a certificate: its chain to the factory's root, its purpose, its dates, and the "
            "revocation lists.",
        ),
        Verb(
            "image",
            "harness.cli.pvi.image:image",
            "Master images: imported, encrypted once, signed with what is in them, checked at every use.",
        ),
        Verb(
            "vpn",
            "harness.cli.pvi.vpn:vpn",
            "Write what strongSwan needs at a peer: certificates, revocation lists, tunnels, the daemon's "
            "settings.",
        ),
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
        Verb(
            "identity",
            "harness.cli.pvi.identity:identity",
            "The life of a VM: its certificates, where it was, looks at its vTPM, and whether they prove it.",
        ),
        Verb(
            "sla",
            "harness.cli.pvi.sla:sla",
            "The service level agreement: what the provider promises, and whether it was kept.",
        ),
    )


pvi = typer.Typer(
    cls=_Verbs,
    help="A private virtual infrastructure: what became of its guests, and whether both sides' logs agree "
    "(docs/pvi.md).",
    no_args_is_help=True,
)
