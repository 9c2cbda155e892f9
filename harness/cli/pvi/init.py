"""`sodbench pvi init`: the root authority of one private virtual infrastructure."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.attest.inputs import RegistryUrl, registry
from harness.cli.pvi.inputs import Folder, Inventory, PassphraseFile, factory_folder, outside, passphrase
from harness.cli.terminal import Output
from harness.clock import realtime_ns
from harness.pvi.factory import factory, keys


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the infrastructure is called.")],
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    tpm: Annotated[
        str | None,
        typer.Option(
            "--tpm",
            metavar="TCTI",
            help="Keep the keys in this machine's TPM, such as device:/dev/tpmrm0; by default in files.",
        ),
    ] = None,
    inventory: Inventory = None,
    registry_url: RegistryUrl = None,
) -> None:
    """Make the factory: a root authority and an issuing one, whose keys a passphrase locks.

    With --tpm the keys are made in a TPM, stay there, and want the passphrase as well.
    It is refused on a host or guest of its own infrastructure; on another virtual machine it warns, and the
    certificates say so. The audit log has this step and every later one (docs/pvi.md).
    """
    place = factory_folder(folder)
    with registry(registry_url) as store:
        here = outside(store, inventory)
        made = factory.make(
            place,
            name,
            passphrase(passphrase_file, new=True),
            here,
            store.audit,
            realtime_ns(),
            tcti=tpm or "",
        )
    output = Output()
    output.say(f"The factory of {made.name} is in {place}; it is on a machine of kind: {made.kind}.")
    output.say(f"Its keys are {keys.kept(made.tcti)}.")
    output.say(f"Random numbers: {made.randomness}.")
    output.say(f"Hardware for cryptography: {made.hardware}.")
    output.say(f"Root: SHA-256 {made.root}; relying parties copy {place / factory.TRUST}.")
