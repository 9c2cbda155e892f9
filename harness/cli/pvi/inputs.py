"""What the verbs of a factory are told: its folder, its passphrase, and who belongs to the infrastructure.

A passphrase is read from a terminal or a file, never from an argument or the environment, which other
processes can see.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from harness.attest.identity import certificate as certificates
from harness.cli.attest.inputs import registry
from harness.cli.inputs import inventory_file
from harness.cli.terminal import Output
from harness.clock import realtime_ns
from harness.data_folder import data_folder
from harness.errors import InputFileError, PrerequisiteError, UsageError
from harness.legible import legible
from harness.pair_name import HOSTS
from harness.pvi.factory import ledger, whereabouts
from harness.pvi.factory.factory import Factory
from harness.pvi.factory.whereabouts import Kind, Mark, Whereabouts
from harness.registry.registry import Registry
from harness.rig.host import Host
from harness.rig.pair import load

MAX_FILE_BYTES = 64 * 1024
"""Of a request, a key or a certificate."""

Folder = Annotated[
    Path | None,
    typer.Option("--folder", help="The factory's folder; by default `pvi` in your data folder."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="The file whose first line is the passphrase, yours alone; by default you are asked for it.",
    ),
]
Inventory = Annotated[
    Path | None,
    typer.Option(
        "--inventory",
        "-i",
        help="The rig's Ansible inventory: its hosts say who they and their guests are, so that the factory "
        "is on none of them.",
    ),
]


def factory_folder(named: Path | None) -> Path:
    """The factory's folder: the one named, or the user's own."""
    return named or data_folder() / "pvi"


def passphrase(file: Path | None, *, new: bool = False) -> str:
    """The passphrase; a `new` one is asked for twice.

    Raises:
        PrerequisiteError: The file cannot be read, or others may read it.
        UsageError: There is neither a file nor a terminal.
    """
    if file is None:
        if not sys.stdin.isatty():
            raise UsageError("the passphrase cannot be asked for", remedy="give a --passphrase-file")
        return str(typer.prompt("Passphrase of the factory", hide_input=True, confirmation_prompt=new))
    try:
        if file.stat().st_mode & 0o077:
            raise PrerequisiteError(
                "the passphrase is readable by others",
                where=legible(str(file)),
                remedy="chmod 600 the file, and change the passphrase if others have used the machine",
            )
        return _content(file).decode().partition("\n")[0]
    except (OSError, UnicodeError) as error:
        raise PrerequisiteError(
            "the passphrase cannot be read", where=legible(str(file)), why=str(error)
        ) from error


def content(file: Path, what: str) -> bytes:
    """What a file of the user's holds.

    Raises:
        InputFileError: It cannot be read, or is too long.
    """
    try:
        return _content(file)
    except OSError as error:
        raise InputFileError(f"{what} cannot be read", where=legible(str(file)), why=str(error)) from error


def certificate(file: Path) -> certificates.Certificate:
    """The certificate in a file, PEM or DER, in strict DER.

    Raises:
        InputFileError: There is none.
    """
    raw = content(file, "the certificate")
    try:
        der = raw if raw.startswith(b"0") else ssl.PEM_cert_to_DER_cert(raw.decode("ascii"))
        found = certificates.read(der)
        if not found.strict:
            raise ValueError(f"it is not DER: {', '.join(found.slips)}")
    except ValueError as error:
        raise InputFileError("this is no certificate", where=legible(str(file)), why=str(error)) from error
    return found


def outside(store: Registry, inventory: Path | None) -> Whereabouts:
    """This machine, which belongs neither to the registry's machines nor to the inventory's.

    Raises:
        PrerequisiteError: It does.
        UnreachableError: A host of the inventory does not answer.
    """
    members: dict[Mark, str] = {
        (whereabouts.TPM, one.ek_name.hex()): f"{one.kind} {one.id}" for one in store.attesters()
    }
    if inventory is not None:
        pair = load(inventory_file(inventory, "lab"))
        for role in HOSTS:
            with Host(pair.machines[role]) as host:
                members |= whereabouts.of_host(host)
    here = whereabouts.here()
    whereabouts.require_outside(here, members)
    if here.kind is not Kind.PHYSICAL:
        virtual = here.kind is Kind.VIRTUAL
        told = (
            f"this machine is virtual ({here.virtualisation})" if virtual else "it is not known what this is"
        )
        Output(error=True).say(
            f"warning: {told}: who owns the machine below it can read the factory's keys; "
            f"certificates and audit log say `factory: {here.kind}`"
        )
    return here


@contextmanager
def opened(
    folder: Path | None, url: str | None, file: Path | None, inventory: Path | None
) -> Iterator[Factory]:
    """The factory, held until the block ends.

    Raises:
        PrerequisiteError: There is none, this machine may not have it, or the audit log is not its own.
    """
    place = factory_folder(folder)
    with registry(url) as store:
        here = outside(store, inventory)
        with ledger.held(place, store.audit) as held:
            asked = cache(lambda: passphrase(file))
            yield Factory(folder=place, held=held, here=here, passphrase=asked, now_ns=realtime_ns)


def _content(file: Path) -> bytes:
    if not file.is_file():
        raise OSError("it is not a regular file")
    with file.open("rb") as opened_file:
        found = opened_file.read(MAX_FILE_BYTES + 1)
    if len(found) > MAX_FILE_BYTES:
        raise OSError(f"it is longer than {MAX_FILE_BYTES} bytes")
    return found
