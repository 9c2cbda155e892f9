"""`sodbench pvi certificate`: what a certificate of destruction says, if its factory signed it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.pvi import inputs
from harness.cli.terminal import Output
from harness.clock import realtime_ns
from harness.errors import RemainsError
from harness.evidence import signature
from harness.pvi import destruction
from harness.pvi.factory import signer
from harness.pvi.factory.authority import moment
from harness.pvi.factory.factory import TRUST


def certificate(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where the certificate and its signature are.")
    ],
    trusted: Annotated[
        Path | None,
        typer.Option("--trust", help="The factory's folder `trust`, or a copy; by default your own's."),
    ] = None,
) -> None:
    """Check a certificate of destruction: who signed it, and whether nothing of the guest is left.

    One that was changed is refused with 21, and one whose signing key is not the factory's, or was revoked,
    with 14. Where something is left, or was not looked at, the command ends with 26. Touches no machine.
    """
    trust = trusted or inputs.factory_folder(None) / TRUST
    known = signer.find(trust, signature.hint(folder, kind=destruction.KIND))
    found = destruction.read(folder, known.key)
    signer.require(known, trust, signed_ns=found.ended_ns, now=moment(realtime_ns()))
    output = Output()
    output.say(f"Guest {found.guest} on {found.host}:")
    rows = [(one.remains.value, one.fate.value, one.why) for one in found.findings]
    output.table(("what", "fate", "why"), rows)
    left = [one.remains.value for one in found.findings if not one.fate.gone]
    if left:
        raise RemainsError(
            "something of the guest may be left on the host",
            where=str(folder / destruction.FILE),
            why=f"not shown to be gone: {', '.join(left)}",
            remedy="destroy what is left, look again, and have the factory certify it",
        )
    output.say("Nothing of it is left there, as far as was looked at.")
