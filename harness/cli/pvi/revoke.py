"""`sodbench pvi revoke` and `sodbench pvi lists`: what the factory no longer vouches for."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.attest.inputs import RegistryUrl
from harness.cli.pvi import inputs
from harness.cli.pvi.inputs import Folder, Inventory, PassphraseFile
from harness.cli.terminal import Output
from harness.pvi.factory import trust
from harness.pvi.factory.authority import Reason
from harness.pvi.factory.factory import TRUST, Factory


def revoke(
    serial: Annotated[
        str, typer.Argument(metavar="SERIAL", help="The certificate's serial number in hexadecimal.")
    ],
    reason: Annotated[Reason, typer.Option("--reason", help="Why, as the list says it.")] = "unspecified",
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    inventory: Inventory = None,
    registry_url: RegistryUrl = None,
) -> None:
    """Revoke a certificate, and publish the factory's list again.

    Relying parties refuse it once they have copied the folder `trust` (docs/pvi.md).
    """
    with inputs.opened(folder, registry_url, passphrase_file, inventory) as factory:
        factory.revoke(serial.lower(), reason)
        _told(factory)


def lists(
    root: Annotated[
        bool, typer.Option("--root", help="The root's list as well, which needs the root's key.")
    ] = False,
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    inventory: Inventory = None,
    registry_url: RegistryUrl = None,
) -> None:
    """Publish the revocation lists again before they expire: the issuing one lasts 7 days, the root's 90.

    Where a list has expired, no certificate of its authority counts (docs/pvi.md).
    """
    with inputs.opened(folder, registry_url, passphrase_file, inventory) as factory:
        factory.renew_lists(root=root)
        _told(factory)


def _told(factory: Factory) -> None:
    state = factory.held.state
    place = factory.folder / TRUST / trust.ISSUING_LIST
    Output().say(f"{place}: list {state.list_number}, certificates revoked: {len(state.revoked)}")
