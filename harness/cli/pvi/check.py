"""`sodbench pvi check`: whether a certificate is one of a factory's, for its purpose, now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.attest.identity import authorities, revocation_memory
from harness.cli.pvi import inputs
from harness.cli.terminal import Output
from harness.clock import realtime_ns
from harness.pvi.factory import profiles, trust
from harness.pvi.factory.authority import moment
from harness.pvi.factory.factory import TRUST
from harness.pvi.factory.profiles import Profile
from harness.registry import places


def check(
    profile: Annotated[Profile, typer.Argument(metavar="PROFILE", help="For what it is to be used.")],
    file: Annotated[Path, typer.Argument(metavar="CERTIFICATE", help="The certificate, PEM or DER.")],
    trusted: Annotated[
        Path | None,
        typer.Option("--trust", help="The factory's folder `trust`, or a copy; by default your own's."),
    ] = None,
) -> None:
    """Check a certificate: its chain to the factory's root, its purpose, its dates, and the revocation lists.

    One that does not count is refused with 14, a list that went back behind one that was used with 3.
    """
    folder = trusted or inputs.factory_folder(None) / TRUST
    found = inputs.certificate(file).fields
    known = trust.load(folder)
    memory = places.revocation_lists_file()
    revocation_memory.require_current(authorities.load(folder), memory, where=str(folder))
    trust.check(found, profile, known, now=moment(realtime_ns()))
    kind, *_ = profiles.stated(found, profiles.FACTORY_POLICY) or ("unknown",)
    output = Output()
    output.say(f"It counts as {profile} until {found.not_valid_after_utc.isoformat(' ', 'minutes')}.")
    output.say(f"Issued by a factory of kind: {kind}.")
    for one in profiles.stated(found, profiles.SERVICE_POLICY):
        output.say(f"The provider promises: {one}.")
