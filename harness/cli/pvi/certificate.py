"""`sodbench pvi certificate`: what a certificate of destruction says, if its factory signed it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import signing
from harness.cli.signing import Key
from harness.cli.terminal import Output
from harness.errors import RemainsError
from harness.pvi import destruction


def certificate(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where the certificate and its signature are.")
    ],
    key: Key = None,
) -> None:
    """Check a certificate of destruction: who signed it, and whether nothing of the guest is left.

    One that another key signed, or that was changed, is refused with 21. Where something is left, or was not
    looked at, the command ends with 26. Touches no machine.
    """
    found = destruction.read(folder, signing.trusted_key(key))
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
